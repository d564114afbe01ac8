use std::path::PathBuf;

/// The folder of real data that `WEIR_TEST_DATA` names; skips the test `name` where there is none.
pub fn data(name: &str) -> Option<PathBuf> {
    let folder = crate::environment("WEIR_TEST_DATA").map(PathBuf::from).filter(|folder| folder.is_dir());
    if folder.is_none() {
        crate::skip(name, "WEIR_TEST_DATA names no folder of test data");
    }
    folder
}
