//! `weir token`: the file of static tokens.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use weir_service::auth::{Role, tokens};

/// What to do with the file.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a token and print it, once: the file keeps its SHA-256 alone
    New {
        #[command(flatten)]
        file: File,
        /// Whose it is, such as grafana; shown in the audit
        #[arg(long)]
        name: String,
        /// Whose data it reads or sends: tenants separated by commas, or * for all
        #[arg(long, value_delimiter = ',', required = true)]
        tenants: Vec<String>,
        /// What it may do: writer, viewer, operator or admin
        #[arg(long)]
        role: Role,
        /// From when on it is refused: RFC 3339, a date (2027-01-31), or relative (now+90d)
        #[arg(long, value_parser = expires)]
        expires: Option<jiff::Timestamp>,
    },
    /// List the tokens of the file, without themselves
    List {
        #[command(flatten)]
        file: File,
        /// Print JSON, one token a line
        #[arg(long)]
        json: bool,
    },
    /// Take a token out of the file; programs that use the file refuse it within seconds
    Revoke {
        #[command(flatten)]
        file: File,
        /// Name of the token
        #[arg(long)]
        name: String,
    },
}

/// The file.
#[derive(Debug, clap::Args)]
pub(crate) struct File {
    /// File of tokens, as in `auth.tokens` of the configuration; made where there is none
    #[arg(long = "file", value_name = "FILE")]
    path: PathBuf,
}

fn expires(text: &str) -> Result<jiff::Timestamp, String> {
    if let Ok(midnight) = format!("{text}T00:00:00Z").parse() {
        return Ok(midnight);
    }
    let nano = weir_service::time::parse(text, weir_service::time::now_unix_nano())
        .map_err(|error| format!("{error}, or a date (2027-01-31)"))?;
    jiff::Timestamp::from_nanosecond(nano.into()).map_err(|error| error.to_string())
}

pub(crate) fn run(command: Command) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    match command {
        Command::New { file, name, tenants, role, expires } => {
            if expires.is_some_and(|time| time <= jiff::Timestamp::now()) {
                anyhow::bail!("--expires is past: the token would be refused at once");
            }
            let tenants: Vec<String> = tenants.iter().map(|tenant| tenant.trim().to_owned()).collect();
            writeln!(out, "{}", tokens::add(&file.path, &name, role, &tenants, expires)?)?;
        }
        Command::List { file, json } => {
            let tokens = tokens::read(&file.path)?;
            let time = |time: Option<jiff::Timestamp>| time.map_or_else(|| "-".to_owned(), |time| time.to_string());
            if !json {
                writeln!(out, "{:<24} {:<9} {:<21} {:<21} TENANTS", "NAME", "ROLE", "CREATED", "EXPIRES")?;
            }
            for token in tokens {
                let (created, expires) = (time(token.created), time(token.expires));
                let tenants = token.tenants.join(",");
                if json {
                    let token = serde_json::json!({
                        "name": token.name, "role": token.role, "tenants": token.tenants,
                        "created": token.created, "expires": token.expires,
                    });
                    writeln!(out, "{token}")?;
                } else {
                    writeln!(out, "{:<24} {:<9} {created:<21} {expires:<21} {tenants}", token.name, token.role.name())?;
                }
            }
        }
        Command::Revoke { file, name } => tokens::revoke(&file.path, &name)?,
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::expires;

    #[test]
    fn given_a_date_or_a_time_then_a_token_expires_then() {
        assert_eq!(expires("2027-01-31").unwrap().to_string(), "2027-01-31T00:00:00Z");
        assert_eq!(expires("2027-01-31T08:00:00+08:00").unwrap().to_string(), "2027-01-31T00:00:00Z");
        assert!(expires("now+90d").unwrap() > jiff::Timestamp::now());
        assert!(expires("soon").unwrap_err().contains("2027-01-31"));
    }
}
