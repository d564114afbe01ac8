//! Whose data it is by the sender's token, and what a request may not claim.

use http::HeaderMap;
use http::header::AUTHORIZATION;
use prost::Message as _;
use weir_proto::otlp::collector::metrics::v1::ExportMetricsServiceRequest;
use weir_proto::otlp::metrics::v1::{Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric};
use weir_service::auth::{self, Auth, Role, tokens};

use super::*;
use crate::options::TenantOptions;
use crate::otlp::refusal::Refusal;
use crate::otlp::{Foreign, Signal, Sizes, Tenants, split};

struct Site {
    _folder: tempfile::TempDir,
    tenants: Tenants,
}

impl Site {
    fn new(of: &[(&str, Role, &str)]) -> (Self, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.yaml");
        let add = |(name, role, tenants): &(&str, Role, &str)| {
            let tenants: Vec<String> = tenants.split(',').map(str::to_owned).collect();
            tokens::add(&path, name, *role, &tenants, None).unwrap()
        };
        let made = of.iter().map(add).collect();
        let options = auth::Options { tokens: Some(path), ..auth::Options::default() };
        let auth = Auth::open(&options, folder.path(), &opentelemetry::global::meter("test")).unwrap();
        let mut options = TenantOptions { trust_attribute: false, ..TenantOptions::default() };
        options.namespaces.insert("team-a".to_owned(), "mapped".to_owned());
        let tenants = Tenants::new(&options, auth);
        (Self { _folder: folder, tenants }, made)
    }

    async fn sender(&self, token: &str) -> Result<Tenants, Refusal> {
        let mut headers = HeaderMap::new();
        if !token.is_empty() {
            headers.insert(AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
        }
        self.tenants.of(&headers, None, None).await
    }
}

/// The tenant that a resource with these attributes gets.
fn assigned(sender: &Tenants, attributes: Attributes<'_>) -> Result<String, Foreign> {
    let resource = resource(attributes).encode_to_vec();
    let assigned = sender.assign(&resource)?;
    let found = tenants(Some(&Resource::decode(&*assigned).unwrap()));
    assert_eq!(found.len(), 1, "{found:?}");
    Ok(found[0].clone())
}

#[tokio::test]
async fn given_a_writers_token_then_its_data_gets_its_tenant_and_a_claim_outside_of_it_is_refused() {
    let of = [("one", Role::Writer, "acme"), ("several", Role::Writer, "acme,globex"), ("all", Role::Writer, "*")];
    let (site, made) = Site::new(&of);
    let named = |tenant: &str| Err(Foreign::Named(tenant.to_owned()));
    let plain: Attributes<'_> = &[("service.name", "ocr")];
    let acme: Attributes<'_> = &[("weir.tenant", "acme")];
    let globex: Attributes<'_> = &[("weir.tenant", "globex")];
    let audit: Attributes<'_> = &[("weir.tenant", "weir")];
    let of_team: Attributes<'_> = &[("k8s.namespace.name", "team-a")];
    let is = |tenant: &str| Ok(tenant.to_owned());
    for (at, attributes, right) in [
        (0, plain, is("acme")),
        (0, acme, is("acme")),
        (0, globex, named("globex")),
        (0, audit, named("weir")),
        (0, of_team, is("acme")),
        (1, plain, Err(Foreign::Unnamed(vec!["acme".to_owned(), "globex".to_owned()]))),
        (1, globex, is("globex")),
        (1, &[("weir.tenant", "initech")], named("initech")),
        (2, plain, is("default")),
        (2, of_team, is("mapped")),
        (2, globex, is("globex")),
        (2, audit, named("weir")),
        (2, &[("weir.tenant", "")], named("")),
    ] {
        let sender = site.sender(&made[at]).await.unwrap();
        assert_eq!(assigned(&sender, attributes), right, "{} {attributes:?}", of[at].0);
    }
}

#[tokio::test]
async fn given_metrics_with_names_of_weirs_own_then_only_who_may_send_for_every_tenant_is_believed() {
    let of = [("one", Role::Writer, "acme"), ("several", Role::Writer, "acme,globex"), ("all", Role::Writer, "*")];
    let (site, made) = Site::new(&of);
    let anyone =
        |trust_attribute| Tenants::new(&TenantOptions { trust_attribute, ..TenantOptions::default() }, Auth::off());
    let mut senders = vec![(anyone(true), true), (anyone(false), false)];
    for (token, is_trusted) in made.iter().zip([false, false, true]) {
        senders.push((site.sender(token).await.unwrap(), is_trusted));
    }
    let point = NumberDataPoint::default();
    let metric = |name: &str, points: usize| Metric {
        name: name.to_owned(),
        data: Some(metric::Data::Gauge(Gauge { data_points: vec![point.clone(); points] })),
        ..Metric::default()
    };
    let metrics = vec![metric("weir.gpu.time", 2), metric("app.queue", 1), metric("weir_calls_total", 3)];
    let resource_metrics = vec![ResourceMetrics {
        resource: Some(resource(&[("weir.tenant", "acme")])),
        scope_metrics: vec![ScopeMetrics { metrics, ..ScopeMetrics::default() }],
        ..ResourceMetrics::default()
    }];
    let request = ExportMetricsServiceRequest { resource_metrics }.encode_to_vec().into();
    for (sender, is_trusted) in senders {
        let sizes = Sizes::of(Signal::Metrics, weir_proto::MAX_RECORD_BYTES);
        let split = split(Signal::Metrics, &request, &sender, sizes).unwrap();
        assert_eq!((split.accepted, split.refused), if is_trusted { (6, 0) } else { (1, 5) });
        let reason = split.reason.unwrap_or_default();
        assert_eq!(reason.starts_with("metric named `weir.gpu.time`: names that begin"), !is_trusted, "{reason}");
        let sent = ExportMetricsServiceRequest::decode(split.records[0].value.clone()).unwrap();
        let names = sent.resource_metrics[0].scope_metrics[0].metrics.iter().map(|metric| metric.name.as_str());
        assert!(names.filter(|name| name.starts_with("weir")).count() == if is_trusted { 2 } else { 0 });
    }
}

#[tokio::test]
async fn given_no_writers_token_then_nothing_is_taken() {
    let of = [("viewer", Role::Viewer, "acme"), ("root", Role::Admin, "*")];
    let (site, made) = Site::new(&of);
    for (token, status, code) in [
        ("", 401, tonic::Code::Unauthenticated),
        ("weir_x", 401, tonic::Code::Unauthenticated),
        (made[0].as_str(), 403, tonic::Code::PermissionDenied),
        (made[1].as_str(), 403, tonic::Code::PermissionDenied),
    ] {
        let refusal = site.sender(token).await.unwrap_err();
        assert_eq!((refusal.http_status().as_u16(), refusal.code()), (status, code));
        assert_eq!(refusal.http(true).headers().contains_key("www-authenticate"), status == 401);
    }
}
