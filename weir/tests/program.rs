//! The program from outside: how it starts, refuses and stops, and what it says on standard error.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

const QUIET: &str = "listen: 127.0.0.1:0\ncollector: {otlp: {grpc: 127.0.0.1:0, http: 127.0.0.1:0}}\n";

fn weir(arguments: &[&str]) -> Output {
    // No profile of whoever runs the tests.
    Command::new(env!("CARGO_BIN_EXE_weir"))
        .args(arguments)
        .env_remove("WEIR_URL")
        .env("XDG_CONFIG_HOME", "/no/folder")
        .output()
        .unwrap()
}

/// Exit code and standard error.
fn fails(arguments: &[&str]) -> (i32, String) {
    let output = weir(arguments);
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

fn config(folder: &Path, text: &str) -> String {
    let path = folder.join("weir.yaml");
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[test]
fn a_bad_configuration_is_one_line_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data").display().to_string();
    let cases = [
        ("indexer:\n  retentoin: {age: 7d}\n", ":2: unknown key `retentoin`; did you mean `retention`?"),
        ("auth: {tokens: /no/file}\n", "auth.tokens: /no/file: cannot be read: No such file"),
        ("auth: {}\n", "`auth`: set `tokens`"),
        ("auth: {oidc: {issuer: http://id.example, audience: weir}}\n", "`auth.oidc.issuer`: «http://id.example»"),
        ("tls: {cert: /no/cert.pem, key: k}\n", "tls.cert: /no/cert.pem: No such file"),
        ("listen: 0.0.0.0:7400\n", "allow_insecure"),
        ("indexer: {window: soon}\n", "`indexer.window`"),
        ("listen: ${NO_SUCH_VARIABLE_IS_SET}\n", "NO_SUCH_VARIABLE_IS_SET"),
        ("telemetry: {log: loudly=very}\n", "telemetry.log"),
        ("bus: {broker: kafka}\n", "brokers"),
        ("bus: {broker: kafka, brokers: \"h:1\", properties: {lingr.ms: \"5\"}}\n", "`lingr.ms`"),
        ("bus: {retention: {age: week}}\n", "`bus.retention.age`: «week» is not a duration"),
        ("bus: {retention: {size: 1KB}}\n", "bus.retention.size: must be at least 16MiB"),
        ("data_dir: \"\"\n", "`data_dir`: must be a folder, such as ./weir-data"),
        ("listen: nonsense\n", "`listen`: «nonsense» is no address"),
        ("collector: {otlp: {grpc: 0.0.0.0:4317}}\n", "`collector.otlp.grpc`: 0.0.0.0:4317 can be reached"),
        // TLS alone asks nobody who they are; mutual TLS does, so what is wrong then is the file.
        (
            "collector: {otlp: {grpc: 0.0.0.0:4317, tls: {cert: c, key: k}}}\n",
            "set `auth` or `collector.otlp.tls.client_ca`",
        ),
        (
            "collector: {otlp: {grpc: 0.0.0.0:4317, tls: {cert: /no/cert.pem, key: k, client_ca: a}}}\n",
            "collector.otlp.tls.cert: /no/cert.pem: No such file",
        ),
        ("collector: {kubernetes: {kubeconfig: /no/file}}\n", "collector.kubernetes.kubeconfig: /no/file"),
        ("collector: {files: [{include: [/a], encoding: hz}]}\n", "`collector.files[0].encoding`: «hz» is no encoding"),
        ("alerter: {rules: [\"BAD\"]}\n", "double_exponential_smoothing"),
        ("alerter: {rules: [\"no-such/*.yaml\"]}\n", "no-such: is not there (relative paths start at /"),
        (
            "alerter: {alertmanager_config: /no/file}\n",
            "alerter.alertmanager_config: /no/file: cannot be read: No such file",
        ),
        (
            "alerter: {alertmanager_config: f, route: {receiver: a}}\n",
            "alertmanager_config: the file has all of `route` in it",
        ),
        ("alerter: {route: {recever: a}}\n", ":1: `alerter.route`: recever: unknown field `recever`, expected"),
        ("alerter: {receivers: [{name: a, sns_configs: []}]}\n", "receiver `a`: `sns_configs` is not supported; there"),
        ("console: {}\n", "`console` names no role: set `indexer`"),
        ("console: {indexer: 'ftp://indexer'}\n", "«ftp://indexer» is no address of a role"),
        (
            "auth: {oidc: {issuer: https://id.example, audience: weir, client_id: weir}}\n",
            "`auth.oidc.client_id` and `auth.oidc.redirect_url`: set both",
        ),
        (
            "listen: 127.0.0.1:4317\n",
            "`listen` and `collector.otlp.grpc`: 127.0.0.1:4317 and 127.0.0.1:4317 cannot both be listened on",
        ),
        (
            "collector: {otlp: {grpc: 127.0.0.1:9, http: 0.0.0.0:9}}\nallow_insecure: true\n",
            "`collector.otlp.grpc` and `collector.otlp.http`: 127.0.0.1:9 and 0.0.0.0:9 cannot both be",
        ),
    ];
    let rules = folder.path().join("bad-rules.yaml");
    std::fs::write(
        &rules,
        "groups: [{name: g, rules: [{alert: A, expr: 'double_exponential_smoothing(x[5m], 0.5, 0.5) > 1'}]}]\n",
    )
    .unwrap();
    for (text, wanted) in cases {
        let path = config(folder.path(), &text.replace("BAD", rules.to_str().unwrap()));
        for arguments in [&["check", "--config", &path][..], &["standalone", "--config", &path, "--data-dir", &data]] {
            let (code, stderr) = fails(arguments);
            assert_eq!(code, 64, "{text}: {stderr}");
            assert!(stderr.contains(wanted) && stderr.contains("weir.yaml"), "{text}: {stderr}");
            assert_eq!(stderr.lines().count(), 1, "{stderr}");
        }
    }
    assert!(!Path::new(&data).exists());
    let missing = folder.path().join("none.yaml").display().to_string();
    let said = format!("weir: {missing}: cannot be read: No such file or directory (os error 2)\n");
    assert_eq!(fails(&["check", "--config", &missing]), (64, said));
}

#[test]
fn a_console_without_roles_is_a_bad_configuration_and_with_them_needs_no_bus() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data").display().to_string();
    let path = config(folder.path(), QUIET);
    let (code, stderr) = fails(&["console", "--config", &path, "--data-dir", &data]);
    assert_eq!((code, stderr.contains("`console`: name the roles")), (64, true), "{stderr}");
    let text = "listen: 127.0.0.1:0\nbus: {broker: kafka, brokers: \"127.0.0.1:1\"}\nconsole: {usage: \"http://127.0.0.1:1\"}\n";
    let (path, ready) = (config(folder.path(), text), folder.path().join("ready"));
    let mut console = Command::new(env!("CARGO_BIN_EXE_weir"))
        .args(["console", "--config", &path, "--data-dir", &data, "--ready-file", ready.to_str().unwrap()])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let is_ready = (0..400).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(25));
        ready.exists()
    });
    console.kill().unwrap();
    console.wait().unwrap();
    assert!(is_ready, "Kafka is not there, and not needed");
}

#[test]
fn a_good_configuration_is_told_what_would_run() {
    let folder = tempfile::tempdir().unwrap();
    for text in [
        "",
        "bus:\ncollector:\nindexer:\nalerter:\n  # rules: []\ntelemetry:\n",
        "listen: 127.0.0.1:${PORT:-7511}\nusage: {store: sqlite}\nreflow: {captures: []}\nauth: null\n",
    ] {
        let output = weir(&["check", "--config", &config(folder.path(), text)]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let told = String::from_utf8(output.stdout).unwrap();
        assert!(told.contains("HTTP       127.0.0.1:"), "{told}");
        assert!(told.contains("captures   0 from no file"), "{told}");
        assert!(told.contains("alerts     told to nobody"), "{told}");
    }
}

#[test]
fn a_folder_that_is_held_or_cannot_be_made_exits_1_with_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data").display().to_string();
    std::fs::create_dir(&data).unwrap();
    let path = config(folder.path(), QUIET);
    let held = std::fs::File::create(Path::new(&data).join("LOCK")).unwrap();
    held.lock().unwrap();
    let (code, stderr) = fails(&["standalone", "--config", &path, "--data-dir", &data]);
    assert_eq!((code, stderr), (1, format!("weir: the data folder {data} is in use by another weir\n")));
    let (code, stderr) = fails(&["standalone", "--config", &path, "--data-dir", &format!("{path}/below")]);
    assert!(code == 1 && stderr.contains("cannot be written") && stderr.lines().count() == 1, "{stderr}");
}

#[test]
fn asking_where_nobody_listens_exits_1_and_names_the_address() {
    let (code, stderr) = fails(&["search", "x", "--url", "http://127.0.0.1:1"]);
    assert!(code == 1 && stderr.contains("cannot reach weir at http://127.0.0.1:1"), "{stderr}");
}

#[test]
fn a_rule_file_with_an_error_exits_1_and_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, expr: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, format!("groups:\n- name: g\n  rules:\n  - alert: A\n    expr: {expr}\n")).unwrap();
        path.display().to_string()
    };
    let good = weir(&["rules", "check", &file("good.yaml", "sum(rate(weir_calls_total[1m])) > 1")]);
    assert!(good.status.success(), "{}", String::from_utf8_lossy(&good.stderr));
    let (code, stderr) =
        fails(&["rules", "check", &file("bad.yaml", "double_exponential_smoothing(x[5m], 0.5, 0.5) > 1")]);
    assert!(code == 1 && stderr.contains("bad.yaml") && stderr.contains("double_exponential_smoothing"), "{stderr}");
    for (glob, told) in [("no-such/*.yaml", "no-such: is not there"), ("./*.no-such", "./*.no-such: no rules found")] {
        let (code, stderr) = fails(&["rules", "check", glob]);
        assert_eq!(code, 1);
        let here = std::env::current_dir().unwrap();
        assert_eq!(stderr, format!("weir: {told} (relative paths start at {})\n", here.display()));
    }
}

#[test]
fn standalone_says_when_it_is_ready_and_stops_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let (path, ready) = (config(folder.path(), QUIET), folder.path().join("ready"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command.args(["standalone", "--config", &path, "--data-dir"]).arg(folder.path().join("data"));
    let mut child = command.arg("--ready-file").arg(&ready).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut log = String::new();
    while let Some(Ok(line)) = lines.next() {
        log.push_str(&line);
        log.push('\n');
        if line.contains("\"ready\"") {
            break;
        }
    }
    // The log says so just before the file is there.
    let written = (0..200).find_map(|_| {
        std::thread::sleep(std::time::Duration::from_millis(10));
        std::fs::read(&ready).ok()
    });
    let told: serde_json::Value = serde_json::from_slice(&written.expect(&log)).unwrap();
    for key in ["http", "otlp_grpc", "otlp_http"] {
        assert!(told[key].as_str().unwrap().starts_with("http://127.0.0.1:"), "{told}");
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    // Its log must be read on, or it would wait for us.
    let rest: Vec<String> = lines.map_while(Result::ok).collect();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{rest:?}");
    assert!(!ready.exists());
}

#[test]
fn a_stop_while_kafka_is_away_ends_well_and_says_what_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let path = config(folder.path(), &format!("{QUIET}bus: {{broker: kafka, brokers: \"127.0.0.1:1\"}}\n"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command.args(["standalone", "--config", &path, "--data-dir"]).arg(folder.path().join("data"));
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    // All rooms are open, and one of them has met nobody.
    assert!(lines.any(|line| line.unwrap().contains("Connection refused")));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let rest: Vec<String> = lines.map_while(Result::ok).collect();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{rest:?}");
    assert!(rest.iter().any(|line| line.contains("the bus does not answer")), "{rest:?}");
}

#[test]
fn the_demo_prints_commands_that_give_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command.args(["standalone", "--demo", "--config", &config(folder.path(), QUIET), "--data-dir"]);
    command.env_remove("WEIR_URL").env("XDG_CONFIG_HOME", "/no/folder");
    command.arg(folder.path().join("data")).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let said = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let said: Vec<String> = said.take_while(|line| !line.contains("Ctrl-C")).collect();
    let words = said.iter().find_map(|line| line.split_once(" trace ")).map(|(_, words)| words.trim().to_owned());
    let words = words.unwrap_or_else(|| panic!("{said:?}"));
    // A line is searchable within a second or so.
    let tree = (0..200).find_map(|_| {
        std::thread::sleep(std::time::Duration::from_millis(50));
        let output = weir(&[&["trace"][..], &words.split(' ').collect::<Vec<_>>()].concat());
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
    });
    child.kill().unwrap();
    child.wait().unwrap();
    let tree = tree.unwrap_or_else(|| panic!("no trace: {words}"));
    assert_eq!(tree.lines().count(), 5, "{tree}");
    assert!(tree.contains("4 spans") && tree.contains("└─ "), "{tree}");
}
