use http::{HeaderValue, header::AUTHORIZATION};
use opentelemetry::metrics::MeterProvider as _;

use super::*;

struct Site {
    folder: tempfile::TempDir,
    auth: Auth,
}

impl Site {
    /// With a token for each of these: name, role, tenants.
    fn new(tokens: &[(&str, Role, &str)], more: &str) -> (Self, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.yaml");
        std::fs::write(&path, "").unwrap();
        let add = |(name, role, tenants): &(&str, Role, &str)| {
            let tenants: Vec<String> = tenants.split(',').map(str::to_owned).collect();
            tokens::add(&path, name, *role, &tenants, None).unwrap()
        };
        let tokens = tokens.iter().map(add).collect();
        let text = format!(r#"{{"tokens": "{}"{more}}}"#, path.display());
        let options: Options = serde_json::from_str(&text).unwrap();
        let meter = opentelemetry::metrics::noop::NoopMeterProvider::new().meter("test");
        let auth = Auth::open(&options, folder.path(), &meter).unwrap();
        (Self { folder, auth }, tokens)
    }

    async fn ask(&self, access: Access, token: &str, narrowed: &[&str]) -> Result<Admitted, Denied> {
        let narrowed: Vec<String> = narrowed.iter().map(|tenant| (*tenant).to_owned()).collect();
        let peer = Some("10.0.0.9".parse().unwrap());
        self.auth.admit(access, &bearer(token), &narrowed, peer).await
    }

    async fn status(&self, access: Access, token: &str, narrowed: &[&str]) -> u16 {
        self.ask(access, token, narrowed).await.map_or_else(|denied| denied.status().as_u16(), |_| 200)
    }
}

fn bearer(token: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if !token.is_empty() {
        headers.insert(AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {token}")).unwrap());
    }
    headers
}

#[tokio::test]
async fn given_a_credential_then_its_role_and_tenants_decide() {
    let tokens = [
        ("gateway", Role::Writer, "acme"),
        ("alice", Role::Viewer, "acme"),
        ("both", Role::Operator, "acme,globex"),
        ("root", Role::Admin, "*"),
    ];
    let (site, tokens) = Site::new(&tokens, "");
    let [gateway, alice, both, root] = [0, 1, 2, 3].map(|at| tokens[at].as_str());
    for (access, token, narrowed, status) in [
        (Access::Read, "", &[][..], 401),
        (Access::Credential, "weir_none", &[], 401),
        (Access::Credential, gateway, &[], 200),
        (Access::Send, gateway, &[], 200),
        (Access::Read, gateway, &[], 403),
        (Access::Send, alice, &[], 403),
        (Access::Send, root, &[], 403),
        (Access::Read, alice, &["acme"], 200),
        (Access::Read, alice, &["ACME"], 403),
        (Access::Read, alice, &["acme", "globex"], 403),
        (Access::Operate, alice, &[], 403),
        (Access::Operate, both, &["globex"], 200),
        (Access::ReadAll, both, &[], 403),
        (Access::ReadAll, root, &[], 200),
        (Access::Admin, both, &[], 403),
        (Access::Admin, root, &["anybody"], 200),
    ] {
        assert_eq!(site.status(access, token, narrowed).await, status, "{access:?} {narrowed:?}");
    }
    let mut headers = bearer(both);
    headers.insert(ORG_ID, HeaderValue::from_static("globex"));
    let admitted = site.auth.admit(Access::Read, &headers, &[], None).await.unwrap();
    assert_eq!((admitted.tenants.only(), admitted.credential.tenants().names().len()), (Some("globex"), 2));
    assert!(site.auth.admit(Access::Read, &headers, &["acme".to_owned()], None).await.is_err(), "each narrows");
}

#[tokio::test]
async fn given_a_token_that_is_revoked_then_it_is_refused_and_what_lives_on_it_ends() {
    let (site, tokens) = Site::new(&[("alice", Role::Viewer, "acme"), ("bob", Role::Viewer, "acme")], "");
    let alice = site.ask(Access::Read, &tokens[0], &[]).await.unwrap().credential;
    assert!(site.auth.is_good(&alice));
    let path = site.folder.path().join("tokens.yaml");
    tokens::revoke(&path, "alice").unwrap();
    site.auth.0.as_ref().unwrap().look();
    assert!(!site.auth.is_good(&alice));
    site.auth.ends(&alice).await;
    assert_eq!(site.status(Access::Read, &tokens[0], &[]).await, 401);
    std::fs::write(&path, "tokens: 1").unwrap();
    site.auth.0.as_ref().unwrap().look();
    assert_eq!(site.status(Access::Read, &tokens[1], &[]).await, 200, "a bad file changes nothing");
}

#[tokio::test]
async fn given_many_wrong_credentials_then_they_wait_and_a_right_one_from_there_does_not() {
    let (site, tokens) = Site::new(&[("alice", Role::Viewer, "acme")], "");
    let mut last = 0;
    for n in 0..40 {
        last = site.status(Access::Read, &format!("weir_{n}"), &[]).await;
    }
    assert_eq!(last, 429);
    assert_eq!(site.status(Access::Read, "", &[]).await, 401, "none at all is no guess");
    assert_eq!(site.status(Access::Read, &tokens[0], &[]).await, 200);
    let denied = site.ask(Access::Read, "weir_x", &[]).await.unwrap_err();
    assert!(denied.retry_after().is_some_and(|seconds| (1..=60).contains(&seconds)));
}

#[tokio::test]
async fn given_an_anonymous_role_then_a_request_without_a_credential_has_it_and_a_wrong_one_has_not() {
    let anonymous = r#", "anonymous": {"role": "viewer", "tenants": ["demo"]}"#;
    let (site, _) = Site::new(&[("alice", Role::Viewer, "acme")], anonymous);
    let admitted = site.ask(Access::Read, "", &[]).await.unwrap();
    assert_eq!((&*admitted.credential.name, admitted.tenants.only()), ("anonymous", Some("demo")));
    assert_eq!(site.status(Access::Operate, "", &[]).await, 403);
    assert_eq!(site.status(Access::Read, "weir_x", &[]).await, 401);
}

#[test]
fn given_a_trusted_proxy_then_the_caller_is_whom_it_names() {
    let (site, _) = Site::new(&[], r#", "trusted_proxies": ["10.0.0.1", "10.0.0.2"]"#);
    let caller = |peer: &str, forwarded: &'static str| {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", HeaderValue::from_static(forwarded));
        let caller = site.auth.0.as_ref().unwrap().caller(&headers, Some(peer.parse().unwrap()));
        caller.unwrap().to_string()
    };
    assert_eq!(caller("10.0.0.1", "1.1.1.1, 2.2.2.2, 10.0.0.2"), "2.2.2.2");
    assert_eq!(caller("::ffff:10.0.0.1", "2.2.2.2"), "2.2.2.2");
    assert_eq!(caller("3.3.3.3", "2.2.2.2"), "3.3.3.3", "others may say what they like");
    assert_eq!(caller("10.0.0.1", "nonsense"), "10.0.0.1");
    assert_eq!(caller("10.0.0.1", "9.9.9.9, x, 2.2.2.2"), "2.2.2.2", "what the caller wrote itself stands left");
    assert_eq!(caller("10.0.0.1", "9.9.9.9, x"), "10.0.0.1");
}

#[tokio::test]
async fn given_no_auth_then_everything_may_be_done_by_everybody() {
    let auth = Auth::off();
    let admitted = auth.admit(Access::Admin, &HeaderMap::new(), &[], None).await.unwrap();
    assert_eq!(admitted.tenants, auth.everything().unwrap());
    let narrowed = auth.admit(Access::Read, &HeaderMap::new(), &["acme".to_owned()], None).await.unwrap();
    assert_eq!(narrowed.tenants.only(), Some("acme"));
}

#[tokio::test]
async fn a_namespace_sees_its_tenant_and_without_one_everything_only_where_nobody_is_asked() {
    let (site, _) = Site::new(&[], "");
    let seen = |auth: &Auth, tenant| auth.for_namespace(tenant).map(|tenants| tenants.names());
    for auth in [&site.auth, &Auth::off()] {
        assert_eq!(seen(auth, Some("acme")), Some(vec!["acme".to_owned()]));
        for reserved in ["*", "weir", ""] {
            assert_eq!(seen(auth, Some(reserved)), None, "{reserved}");
        }
    }
    assert_eq!(seen(&site.auth, None), None);
    assert_eq!(seen(&Auth::off(), None), Some(vec!["*".to_owned()]));
}
