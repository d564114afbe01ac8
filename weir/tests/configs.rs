//! Every example configuration is sound.

use std::path::Path;
use std::process::Command;

#[test]
fn every_example_is_a_sound_configuration() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for role in ["standalone", "collector", "indexer", "alerter"] {
        let path = format!("configs/{role}.yaml");
        let mut weir = Command::new(env!("CARGO_BIN_EXE_weir"));
        let output = weir.args(["check", "--config", &path]).current_dir(&root).output().unwrap();
        assert!(output.status.success(), "{path}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
