//! Whose data it is by the client's certificate: real handshakes, into the embedded bus.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use prost::Message as _;
use rcgen::{CertificateParams, SanType};
use tonic::Code;
use weir_bus::{Bus, Event};
use weir_proto::topic;

use super::tls::{Site, connect, dial, post_body, signed};
use super::*;
use crate::options::TenantOptions;

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

fn uri(name: &str) -> SanType {
    SanType::URI(name.try_into().unwrap())
}

fn mapped(clients: &[(&str, &str)]) -> TenantOptions {
    let clients = clients.iter().map(|(name, tenant)| ((*name).to_owned(), (*tenant).to_owned())).collect();
    TenantOptions { clients, ..TenantOptions::default() }
}

/// Records of three resources: one says whose it is, one says so twice, and one does not.
fn claiming(body: &str) -> ExportLogsServiceRequest {
    let once: &[_] = &[("weir.tenant", "claimed")];
    let twice: &[_] = &[("weir.tenant", "a"), ("weir.tenant", "claimed"), ("k8s.namespace.name", "team-x")];
    logs([once, twice, &[("service.name", "ocr")]].map(|resource| (resource, vec![line(body)])).to_vec())
}

impl Site {
    fn client_named(&self, names: Vec<SanType>) -> rustls::ClientConfig {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.subject_alt_names = names;
        self.client(Some(&signed(&self.clients, params)))
    }
}

/// By what a record says, the tenants of its resources: once so many records are there.
async fn arrived(bus: &Bus, count: usize) -> BTreeMap<String, Vec<String>> {
    let mut consumer = bus.group_consumer("test", &[topic::LOGS]).unwrap();
    let (mut seen, mut found) = (0, BTreeMap::<_, Vec<_>>::new());
    while seen < count {
        let Event::Batch(messages) = consumer.next(100, Duration::from_secs(1)).await.unwrap() else { continue };
        for message in messages {
            let request = ExportLogsServiceRequest::decode(message.value).unwrap();
            let of = found.entry(bodies(&request).remove(0)).or_default();
            of.extend(tenants(request.resource_logs[0].resource.as_ref()));
            of.sort();
            seen += 1;
        }
    }
    found
}

#[tokio::test]
async fn all_of_a_client_is_the_tenants_that_a_name_of_its_certificate_is_mapped_to() {
    let site = Site::new();
    let mut tenant = mapped(&[("team-a.gpu.example", "acme"), ("spiffe://cluster/ns/b", "globex")]);
    tenant.namespaces.insert("team-x".to_owned(), "x".to_owned());
    let serving = site.serve_as(true, &tenant).await;
    let cases = [
        ("a DNS name", vec![dns("other.example"), dns("Team-A.gpu.example")], ["acme"; 3]),
        ("a URI", vec![uri("spiffe://cluster/ns/b")], ["globex"; 3]),
        (
            "no name of the map",
            vec![dns("b.example"), uri("spiffe://cluster/ns/b/c")],
            ["claimed", "claimed", "default"],
        ),
        ("a part of one", vec![dns("*.gpu.example"), dns("x.team-a.gpu.example")], ["claimed", "claimed", "default"]),
        ("no URI, though it is called one", vec![uri("team-a.gpu.example")], ["claimed", "claimed", "default"]),
        ("no name at all", vec![], ["claimed", "claimed", "default"]),
    ];
    let mut expected = BTreeMap::new();
    for (what, names, tenants) in cases {
        let (over_grpc, over_http) = (format!("{what}, gRPC"), format!("{what}, HTTP"));
        let config = site.client_named(names);
        dial(serving.grpc, config.clone()).await.export(claiming(&over_grpc)).await.unwrap();
        let mut stream = connect(serving.http, config).await.unwrap();
        let answer = post_body(&mut stream, &claiming(&over_http).encode_to_vec()).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        expected.extend([over_grpc, over_http].map(|body| (body, tenants.map(str::to_owned).to_vec())));
    }
    assert_eq!(arrived(&serving.bus, 36).await, expected);
}

#[tokio::test]
async fn names_that_disagree_are_refused_for_good_and_told_once_until_the_map_is_another() {
    let site = Site::new();
    let serving = site.serve_as(true, &mapped(&[("a.example", "acme"), ("spiffe://b", "globex")])).await;
    let config = site.client_named(vec![dns("a.example"), dns("else.example"), uri("spiffe://b")]);
    let (mut grpc, mut http) = (dial(serving.grpc, config.clone()).await, connect(serving.http, config).await.unwrap());
    let told = Arc::new(AtomicUsize::new(0));
    let listening = tracing::subscriber::set_default(Warnings(told.clone()));
    for _ in 0..2 {
        let refused = grpc.export(claiming("refused")).await.unwrap_err();
        assert_eq!((refused.code(), refused.details()), (Code::PermissionDenied, &b""[..]));
        let answer = post_body(&mut http, &claiming("refused").encode_to_vec()).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 403 ") && !answer.contains("retry-after"), "{answer}");
        for says in ["a.example of acme", "spiffe://b of globex", "collector.tenant.clients"] {
            assert!(refused.message().contains(says) && answer.contains(says), "{refused} {answer}");
        }
    }
    drop(listening);
    assert_eq!(told.load(Ordering::Relaxed), 1);

    // The connections are those that were there.
    for (clients, body) in [(&[("a.example", "acme"), ("spiffe://b", "acme")][..], "agreed"), (&[], "mapped no more")] {
        serving.tenants.replace(&TenantOptions { trust_attribute: clients.is_empty(), ..mapped(clients) });
        grpc.export(claiming(body)).await.unwrap();
        let answer = post_body(&mut http, &claiming(body).encode_to_vec()).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    let expected = [
        ("agreed", ["acme"; 6]),
        ("mapped no more", ["claimed", "claimed", "claimed", "claimed", "default", "default"]),
    ];
    let expected = expected.map(|(body, tenants)| (body.to_owned(), tenants.map(str::to_owned).to_vec()));
    assert_eq!(arrived(&serving.bus, 12).await, BTreeMap::from(expected));
}

/// Counts the warnings of this thread.
struct Warnings(Arc<AtomicUsize>);

impl tracing::Subscriber for Warnings {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::WARN
    }

    fn event(&self, _: &tracing::Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}
