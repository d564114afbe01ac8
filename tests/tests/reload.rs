//! The configuration file changes under a running program: what the collector follows changes with it, and no line is
//! lost or there twice.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use weir_tests::{Api, Weir, until};

const PATIENCE: Duration = Duration::from_mins(1);

fn config(logs: &Path, globs: &[&str], tenant: &str) -> Value {
    let include: Vec<_> = globs.iter().map(|glob| logs.join(glob)).collect();
    json!({
        "listen": "127.0.0.1:0",
        "collector": {
            "files": [{ "include": include }],
            "tenant": { "default": tenant },
            "otlp": { "grpc": null, "http": null },
            "host": null,
        },
    })
}

/// Replaces the configuration, and asks for it to be read.
fn change(weir: &Weir, folder: &Path, text: &[u8]) {
    std::fs::write(folder.join("weir.yaml"), text).unwrap();
    weir.signal(Signal::HUP).unwrap();
}

async fn told(weir: &Weir, text: &str) {
    let told = until(PATIENCE, || async { weir.stderr().contains(text).then_some(()) }).await;
    assert!(told.is_some(), "«{text}» is not told");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_followed_by_a_configuration_that_changes_and_a_bad_one_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (logs, place) = (folder.path().join("logs"), folder.path().join("weir"));
    std::fs::create_dir(&logs).unwrap();
    let mut weir = Weir::new("standalone", &place, &config(&logs, &["a.log"], "one")).unwrap();
    let api = Api::new(&weir.start().await.unwrap().http).unwrap();
    let writer = {
        let logs = logs.clone();
        std::thread::spawn(move || {
            for number in 0..2000 {
                for name in ["a.log", "b.log"] {
                    let mut file = std::fs::File::options().append(true).create(true).open(logs.join(name)).unwrap();
                    std::io::Write::write_all(&mut file, format!("{name} {number}\n").as_bytes()).unwrap();
                }
                std::thread::sleep(Duration::from_millis(2));
            }
        })
    };
    tokio::time::sleep(Duration::from_secs(1)).await;
    change(&weir, &place, b"collector: {files: [{includes: []}]}");
    told(&weir, "is not sound: the old one stays").await;
    let mut next = config(&logs, &["a.log", "b.log"], "two");
    next["alerter"] = json!({ "lateness": "2s" });
    change(&weir, &place, &serde_json::to_vec(&next).unwrap());
    told(&weir, "files are followed by the new configuration").await;
    told(&weir, "takes effect at the next start").await;
    writer.join().unwrap();
    let all = until(PATIENCE, || async { (api.count("").await.ok()? >= 4000).then_some(()) }).await;
    let mut bodies: Vec<_> =
        api.search("").await.unwrap().iter().map(|hit| hit["body"].as_str().unwrap().to_owned()).collect();
    assert!(all.is_some(), "{} lines came", bodies.len());
    let count = bodies.len();
    bodies.sort();
    bodies.dedup();
    assert_eq!((count, bodies.len()), (4000, 4000));
    assert!(api.count("tenant:one").await.unwrap() > 0 && api.count("tenant:two").await.unwrap() >= 2000);
    weir.signal(Signal::HUP).unwrap();
    told(&weir, "the configuration is the one that is followed already").await;
    std::fs::rename(place.join("weir.yaml"), place.join("other.yaml")).unwrap();
    weir.signal(Signal::HUP).unwrap();
    told(&weir, "the configuration cannot be read: the old one stays").await;
    assert!(weir.stop().await.unwrap().success());
}
