//! How the commands that ask a running weir find it, and what they show and trust.
#![allow(clippy::unwrap_used, reason = "these are tests")]

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, mpsc};

use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// Answers every request in one way, and hands on the head of each.
struct Server {
    url: String,
    heads: mpsc::Receiver<String>,
}

impl Server {
    fn start(status: u16, body: &'static str, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}", listener.local_addr().unwrap());
        let (send, heads) = mpsc::channel();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let head = match &tls {
                    Some(tls) => {
                        let connection = ServerConnection::new(tls.clone()).unwrap();
                        answer(StreamOwned::new(connection, stream), status, body)
                    }
                    None => answer(stream, status, body),
                };
                // A client that does not trust the certificate sends none.
                if send.send(head.unwrap_or_default()).is_err() {
                    return;
                }
            }
        });
        Self { url, heads }
    }

    /// The header `authorization` of the one request since the last call.
    fn authorization(&self) -> Option<String> {
        let head = self.heads.recv_timeout(std::time::Duration::from_secs(10)).unwrap();
        let line =
            head.lines().find_map(|line| line.split_once("uthorization: ").or(line.split_once("authorization: ")));
        line.map(|(_, value)| value.to_owned())
    }
}

fn answer(stream: impl Read + Write, status: u16, body: &str) -> std::io::Result<String> {
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") && stream.read_line(&mut head)? > 0 {}
    let length = body.len();
    let kind = "application/json";
    let answer = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
    stream.get_mut().write_all(answer.as_bytes())?;
    stream.get_mut().flush()?;
    Ok(head)
}

/// A folder in which `weir/config.yaml` lies, where there is one.
fn asks(folder: &Path, variables: &[(&str, &str)], arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    for name in ["WEIR_URL", "WEIR_TOKEN", "WEIR_CA", "WEIR_PROFILE"] {
        command.env_remove(name);
    }
    command.env("XDG_CONFIG_HOME", folder).envs(variables.iter().copied()).args(arguments).output().unwrap()
}

fn error(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn profiles(folder: &Path, text: &str, mode: u32) {
    let file = folder.join("weir/config.yaml");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, text).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
}

const NONE: &str = r#"{"alerts": []}"#;

#[test]
fn an_option_wins_over_the_environment_and_that_over_the_profile() {
    let folder = tempfile::tempdir().unwrap();
    let (here, there) = (Server::start(200, NONE, None), Server::start(200, NONE, None));
    let text = format!(
        "current: prod\nprofiles:\n  prod: {{url: \"{}\", token: weir_profile}}\n  file: {{url: \"{}\", token_file: t}}\n",
        here.url, there.url
    );
    profiles(folder.path(), &text, 0o600);
    std::fs::write(folder.path().join("weir/t"), "weir_file\n").unwrap();
    let bearer = |token: &str| Some(format!("Bearer {token}"));
    for (variables, options, server, right) in [
        (&[][..], &[][..], &here, bearer("weir_profile")),
        (&[("WEIR_TOKEN", "")], &[], &here, bearer("weir_profile")),
        (&[("WEIR_TOKEN", "weir_env")], &[], &here, bearer("weir_env")),
        (&[("WEIR_TOKEN", "weir_env")], &["--token", "weir_option"], &here, bearer("weir_option")),
        (&[("WEIR_PROFILE", "file")], &[], &there, bearer("weir_file")),
        (&[("WEIR_PROFILE", "file")], &["--profile", "prod"], &here, bearer("weir_profile")),
        // The token of a profile is for its own address.
        (&[("WEIR_URL", &there.url)], &[], &there, None),
        (&[("WEIR_URL", &there.url)], &["--url", &here.url], &here, bearer("weir_profile")),
        (&[("WEIR_URL", &there.url), ("WEIR_TOKEN", "weir_env")], &[], &there, bearer("weir_env")),
    ] {
        let output = asks(folder.path(), variables, &[&["alerts"], options].concat());
        assert!(output.status.success() && output.stderr.is_empty(), "{variables:?} {options:?}: {}", error(&output));
        assert_eq!(server.authorization(), right, "{variables:?} {options:?}");
    }
}

#[test]
fn a_profile_file_that_is_wrong_exits_64_and_one_that_others_can_read_is_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(200, NONE, None);
    profiles(folder.path(), &format!("url: \"{}\"\ntoken: weir_secret\n", server.url), 0o644);
    let output = asks(folder.path(), &[], &["alerts"]);
    let told = error(&output);
    assert!(output.status.success() && told.starts_with("weir: warning: ") && told.contains("chmod 600 "), "{told}");
    assert!(!told.contains("weir_secret"), "{told}");
    for (text, options, wanted) in [
        (
            "profiles:\n  a:\n    tokn: weir_secret\n",
            &[][..],
            "config.yaml:3: unknown key `tokn`; did you mean `token`?",
        ),
        ("token: [weir_secret]\n", &[], "config.yaml:1: `token`: should be text"),
        ("profiles: {prod: {}}\n", &["--profile", "prd"], "config.yaml: no profile `prd`; did you mean `prod`?"),
    ] {
        profiles(folder.path(), text, 0o600);
        let output = asks(folder.path(), &[], &[&["alerts"], options].concat());
        let told = error(&output);
        assert!(output.status.code() == Some(64) && told.contains(wanted), "{told}");
        assert!(told.lines().count() == 1 && !told.contains("weir_secret"), "{told}");
    }
}

#[test]
fn a_token_is_in_no_help_and_no_error() {
    let folder = tempfile::tempdir().unwrap();
    let variables = [("WEIR_TOKEN", "weir_secret")];
    for arguments in [
        &["search", "--help"][..],
        &["load", "spans", "--help"],
        &["alerts", "--token", "weir_secret", "--bogus"],
        &["alerts", "--url", "http://127.0.0.1:1"],
        &["alerts", "--url", "http://weir.example:7400"],
        &["alerts", "--url", "https://weir_secret@weir.example"],
        &["alerts", "--token", "weir_secret\u{1}", "--url", "http://127.0.0.1:1"],
        &["load", "spans", "--endpoint", "http://weir.example:4317"],
    ] {
        let output = asks(folder.path(), &variables, arguments);
        let told = String::from_utf8_lossy(&output.stdout).into_owned() + &error(&output);
        assert!(!told.is_empty() && !told.contains("weir_secret"), "{arguments:?}: {told}");
    }
    let refused = asks(folder.path(), &variables, &["alerts", "--url", "http://weir.example:7400"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(error(&refused).contains("the token would go to weir.example unencrypted"), "{}", error(&refused));
}

#[test]
fn a_refusal_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    for (status, body, token, wanted) in [
        (
            401,
            r#"{"detail": "no credential"}"#,
            "",
            "401 Unauthorized: weir wants a credential: --token or WEIR_TOKEN\n",
        ),
        (401, r#"{"detail": "it is expired"}"#, "weir_x", "weir does not take this credential: it is expired\n"),
        (
            403,
            r#"{"detail": "this needs the role operator"}"#,
            "weir_x",
            "403 Forbidden: this needs the role operator\n",
        ),
    ] {
        let server = Server::start(status, body, None);
        let output = asks(folder.path(), &[("WEIR_TOKEN", token)], &["alerts", "--url", &server.url]);
        let told = error(&output);
        assert!(output.status.code() == Some(1) && told.ends_with(wanted), "{told}");
    }
}

/// The server's configuration, and its authority in PEM.
fn certificate() -> (rcgen::KeyPair, rcgen::Certificate, String) {
    let ca_key = rcgen::KeyPair::generate().unwrap();
    let mut ca = rcgen::CertificateParams::new(vec![]).unwrap();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = ca.self_signed(&ca_key).unwrap();
    let issuer = rcgen::Issuer::new(ca, ca_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let own = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    (key, own, authority.pem())
}

#[test]
fn an_authority_of_ones_own_is_trusted_where_it_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (key, own, authority) = certificate();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, authority).unwrap();
    let ca = ca.to_str().unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let config = config.with_no_client_auth().with_single_cert(vec![own.der().clone()], key).unwrap();
    let server = Server::start(200, NONE, Some(Arc::new(config)));
    let token = [("WEIR_TOKEN", "weir_x")];
    let output = asks(folder.path(), &token, &["alerts", "--url", &server.url]);
    assert!(
        output.status.code() == Some(1) && error(&output).contains("--ca names the authority"),
        "{}",
        error(&output)
    );
    assert_eq!(server.authorization(), None);
    for (variables, options) in [(&token[..], &["--ca", ca][..]), (&[token[0], ("WEIR_CA", ca)], &[])] {
        let output = asks(folder.path(), variables, &[&["alerts", "--url", &server.url], options].concat());
        assert!(output.status.success(), "{}", error(&output));
        assert_eq!(server.authorization().as_deref(), Some("Bearer weir_x"));
    }
    profiles(folder.path(), &format!("url: \"{}\"\ntoken: weir_p\nca: ../ca.pem\n", server.url), 0o600);
    let output = asks(folder.path(), &[], &["alerts"]);
    assert!(output.status.success(), "{}", error(&output));
    assert_eq!(server.authorization().as_deref(), Some("Bearer weir_p"));
}

#[test]
fn spans_are_sent_over_tls() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let (key, own, authority) = certificate();
    for (name, text) in [("ca.pem", authority), ("tls.crt", own.pem()), ("tls.key", key.serialize_pem())] {
        std::fs::write(at(name), text).unwrap();
    }
    let text = format!(
        "listen: 127.0.0.1:0\nbus: {{broker: \"null\"}}\ndata_dir: {}\ncollector:\n  otlp: {{grpc: 127.0.0.1:0, http: \
         127.0.0.1:0, tls: {{cert: {}, key: {}}}}}\n",
        at("data"),
        at("tls.crt"),
        at("tls.key")
    );
    std::fs::write(at("weir.yaml"), text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command.args(["collector", "--config", &at("weir.yaml"), "--ready-file", &at("ready")]).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let ready = (0..400).find_map(|_| {
        std::thread::sleep(std::time::Duration::from_millis(25));
        std::fs::read(at("ready")).ok()
    });
    let ready: Option<serde_json::Value> = ready.and_then(|text| serde_json::from_slice(&text).ok());
    let send = |protocol: &str, key: &str, options: &[&str]| {
        let endpoint = ready.as_ref().and_then(|ready| ready[key].as_str()).unwrap_or_default();
        let arguments =
            ["load", "spans", "--spans", "100", "--rate", "0", "--protocol", protocol, "--endpoint", endpoint];
        let output = asks(folder.path(), &[("WEIR_TOKEN", "weir_x")], &[&arguments, options].concat());
        let report = serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap_or_default();
        (report["accepted"].as_u64(), error(&output) + report["first_error"].as_str().unwrap_or_default())
    };
    let ca = at("ca.pem");
    let sent = ["grpc", "http-proto"].map(|protocol| {
        let key = if protocol == "grpc" { "otlp_grpc" } else { "otlp_http" };
        (send(protocol, key, &["--ca", &ca]), send(protocol, key, &["--retry-for", "0s"]))
    });
    child.kill().unwrap();
    child.wait().unwrap();
    for (trusted, untrusted) in sent {
        assert_eq!(trusted, (Some(100), String::new()));
        assert_eq!(untrusted.0, Some(0), "{untrusted:?}");
    }
}

#[test]
fn a_machine_without_authorities_can_ask_in_plain_text() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(200, NONE, None);
    let nowhere = folder.path().to_str().unwrap();
    let none = [("SSL_CERT_FILE", "/no/file"), ("SSL_CERT_DIR", nowhere)];
    let output = asks(folder.path(), &none, &["alerts", "--url", &server.url]);
    assert!(output.status.success(), "{}", error(&output));
    let output = asks(folder.path(), &none, &["alerts", "--url", "https://127.0.0.1:1"]);
    assert!(error(&output).contains("--ca names authorities to trust"), "{}", error(&output));
}
