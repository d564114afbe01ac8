use serde_json::Value;

use super::{Target, plain, say, text};

/// Arguments of `weir alerts`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    target: Target,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let answer = args.target.weir()?.get_json(&["api", "v1", "alerts"], &[]).await?;
    if args.target.json {
        say(&answer.to_string())?;
        return Ok(());
    }
    let alerts = answer["alerts"].as_array().map(Vec::as_slice).unwrap_or_default();
    if alerts.is_empty() {
        say("no alerts")?;
    }
    for alert in alerts {
        if !say(&line(alert))? {
            break;
        }
    }
    Ok(())
}

fn line(alert: &Value) -> String {
    let labels = alert["labels"].as_object();
    let shown: Vec<String> = labels
        .into_iter()
        .flatten()
        .filter(|(name, _)| *name != "alertname")
        .map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default()))
        .collect();
    let since = ["active_at", "activeAt"].iter().find_map(|key| alert[*key].as_str()).unwrap_or_default();
    let summary = text(&alert["annotations"], "summary");
    let name = text(&alert["labels"], "alertname");
    plain(&format!("{:<8} {name} {{{}}} since {since} {summary}", text(alert, "state"), shown.join(", ")))
}
