//! The console: what is embedded is what its sources build, and a browser sees what a user should, on a standalone weir
//! with the demo's services. Pictures of every page are left in `target/tmp/console`.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};
use weir_service::auth::{Role, tokens};
use weir_tests::console::{Web, chromium};
use weir_tests::keycloak::{Keycloak, Realm};
use weir_tests::{Weir, client, skip};

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

/// The sources and a browser, or why they are not here.
async fn browser() -> anyhow::Result<Web> {
    chromium()?;
    Web::open().await
}

#[tokio::test]
async fn given_the_demo_when_a_browser_opens_each_page_then_its_main_task_can_be_done() {
    let web = match browser().await {
        Ok(web) => web,
        Err(why) => return skip("the console's pages", &format!("{why:#}")),
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

/// One line and one call of a tenant, which name it.
async fn send(otlp: &str, writer: &str, tenant: &str) {
    let now = weir_service::time::now_unix_nano_unsigned();
    let resource =
        json!({"attributes": [{"key": "service.name", "value": {"stringValue": format!("{tenant}-service")}}]});
    let line = json!({"timeUnixNano": now.to_string(), "severityNumber": 17, "severityText": "ERROR",
        "body": {"stringValue": format!("line of {tenant}")}});
    let span = json!({"traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174", "kind": 2,
        "name": format!("POST /{tenant}"), "startTimeUnixNano": (now - 1_000_000_000).to_string(),
        "endTimeUnixNano": now.to_string()});
    let logs = json!({"resourceLogs": [{"resource": resource, "scopeLogs": [{"logRecords": [line]}]}]});
    let spans = json!({"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": [span]}]}]});
    for (path, body) in [("logs", &logs), ("traces", &spans)] {
        let post = client().build().unwrap().post(format!("{otlp}/v1/{path}")).bearer_auth(writer).json(body);
        assert_eq!(post.send().await.unwrap().status(), 200);
    }
}

#[tokio::test]
async fn given_a_real_keycloak_when_alice_signs_in_then_no_page_shows_her_anything_of_another_tenant() {
    let (web, keycloak) = match (browser().await, Keycloak::shared().await) {
        (Ok(web), Ok(keycloak)) => (web, keycloak),
        (Err(why), _) | (_, Err(why)) => return skip("the console's sign-in", &format!("{why:#}")),
    };
    let realm = Realm::create(&keycloak).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tokens.yaml");
    let token = |name: &str, role, tenant: &str| tokens::add(&file, name, role, &[tenant.to_owned()], None).unwrap();
    let writers = ["acme", "globex"].map(|tenant| (tenant, token(&format!("{tenant}-writer"), Role::Writer, tenant)));
    let viewer = token("viewer", Role::Viewer, "acme");
    // The provider is told the address before weir has it.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config: Value = json!({
        "listen": format!("127.0.0.1:{port}"),
        "collector": {"otlp": {"grpc": "127.0.0.1:0", "http": "127.0.0.1:0"}},
        "auth": {
            "tokens": file,
            "oidc": {
                "issuer": realm.issuer(), "audience": "weir", "client_id": "weir",
                "redirect_url": format!("http://127.0.0.1:{port}/auth/callback"),
            },
        },
    });
    let mut weir = Weir::new("standalone", folder.path(), &config).unwrap();
    let ready = weir.start().await.unwrap();
    for (tenant, writer) in &writers {
        send(ready.otlp_http.as_deref().unwrap(), writer, tenant).await;
    }
    let environment =
        [("WEIR_URL", &*ready.http), ("WEIR_USER", "alice"), ("WEIR_PASSWORD", "alice"), ("WEIR_TOKEN", &*viewer)];
    web.run("npx", &["playwright", "test", "--project=sign-in"], &environment).await.unwrap();
}
