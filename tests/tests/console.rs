//! The console: what is embedded is what its sources build, and a browser sees what a user should, on a standalone weir
//! with the demo's services. Pictures of every page are left in `target/tmp/console`.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;
use weir_tests::console::{Web, chromium};
use weir_tests::{Weir, skip};

/// Every file below a folder, by its path there.
fn tree(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let files =
        walkdir::WalkDir::new(folder).into_iter().map(Result::unwrap).filter(|entry| entry.file_type().is_file());
    let name = |path: &Path| path.strip_prefix(folder).unwrap().display().to_string();
    files.map(|entry| (name(entry.path()), std::fs::read(entry.path()).unwrap())).collect()
}

#[tokio::test]
async fn given_the_sources_when_they_are_built_then_the_bundle_is_the_one_that_is_embedded() {
    let web = match Web::open().await {
        Ok(web) => web,
        Err(why) => return skip("the console's bundle", &format!("{why:#}")),
    };
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("dist");
    web.run("npm", &["run", "build"], &[("OUT", out.to_str().unwrap())]).await.unwrap();
    let (built, kept) = (tree(&out), tree(&web.folder().join("dist")));
    let names = |tree: &BTreeMap<String, Vec<u8>>| tree.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&built), names(&kept), "run `npm run build` in console/web and commit dist/");
    assert!(built == kept, "run `npm run build` in console/web and commit dist/");
    web.run("npm", &["run", "check"], &[]).await.unwrap();
    web.run("npm", &["run", "unit"], &[]).await.unwrap();
}

#[tokio::test]
async fn given_the_demo_when_a_browser_opens_each_page_then_its_main_task_can_be_done() {
    let web = match (Web::open().await, chromium()) {
        (Ok(web), Ok(_)) => web,
        (Err(why), _) | (_, Err(why)) => return skip("the console's pages", &format!("{why:#}")),
    };
    let folder = tempfile::tempdir().unwrap();
    let config = json!({
        "listen": "127.0.0.1:0",
        "collector": {"otlp": {"grpc": "127.0.0.1:0", "http": "127.0.0.1:0"}},
    });
    let mut weir = Weir::new("standalone", folder.path(), &config).unwrap().with_arguments(&["--demo"]);
    let ready = weir.start().await.unwrap();
    web.run("node", &["api.mjs", &ready.http, "--check"], &[]).await.unwrap();
    let shots = Path::new(env!("CARGO_TARGET_TMPDIR")).join("console");
    let otlp = ready.otlp_http.unwrap();
    let environment = [("WEIR_URL", &*ready.http), ("WEIR_OTLP", &*otlp), ("WEIR_SHOTS", shots.to_str().unwrap())];
    web.run("npx", &["playwright", "test", "--project=pages"], &environment).await.unwrap();
}
