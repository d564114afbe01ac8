//! Autoscalers get the right value or an error: KEDA over gRPC, asked by a client made of the same contract, and
//! HorizontalPodAutoscalers through the Kubernetes API's own requests.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

#[path = "scaling/alerter.rs"]
mod alerter;
#[path = "scaling/site.rs"]
mod site;

use std::time::Duration;

use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use tonic::Code;
use tonic::transport::Channel;
use weir_proto::externalscaler::ScaledObjectRef;
use weir_proto::externalscaler::external_scaler_client::ExternalScalerClient;
use weir_service::auth::Role;
use weir_tests::certificates::Authority;
use weir_tests::kubernetes::FRONT_PROXY;
use weir_tests::until;

use alerter::{Rig, metrics, reference};
use site::{HPA, Site};

/// How long anything may take on a machine that is busy with something else.
const PATIENCE: Duration = Duration::from_secs(30);
const CALLS: &str = r#"sum(increase(weir_calls_total{service="ocr"}[10m]))"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_threshold_is_pushed_once_event_time_passes_it_and_late_or_absent_data_are_errors_and_push_nothing() {
    let mut rig = Rig::start(json!({"late_after": "6s", "keda": {"grpc": "127.0.0.1:0"}})).await;
    let asked = reference(CALLS, "10", Some("5"));
    rig.until_asked(&asked, "absent data", |answer| answer == &Err(Code::NotFound)).await;
    assert_eq!(rig.is_active(&asked).await, Err(Code::NotFound));
    let mut stream = rig.stream(&asked).await.unwrap();

    rig.calls(4).await;
    assert!(!stream.message().await.unwrap().unwrap().result, "the first value is pushed");
    rig.until_asked(&asked, "4 calls", |answer| answer == &Ok(4.0)).await;
    assert_eq!(rig.is_active(&asked).await, Ok(false));

    // Behind the event time that is held, they are not there yet.
    rig.hold();
    rig.calls(10).await;
    let silent = tokio::time::timeout(Duration::from_millis(1500), stream.message()).await;
    assert!(silent.is_err(), "pushed before event time came there: {silent:?}");
    rig.until_asked(&asked, "late data", |answer| answer == &Err(Code::Unavailable)).await;
    assert_eq!(rig.is_active(&asked).await, Err(Code::Unavailable));
    let silent = tokio::time::timeout(Duration::from_millis(1500), stream.message()).await;
    assert!(silent.is_err(), "pushed though nothing is known: {silent:?}");

    rig.go_on();
    let pushed = tokio::time::timeout(PATIENCE, stream.message()).await.unwrap();
    assert!(pushed.unwrap().unwrap().result, "event time has passed the threshold");
    rig.until_asked(&asked, "14 calls", |answer| answer == &Ok(14.0)).await;
    assert_eq!(rig.is_active(&asked).await, Ok(true));

    let scalers = rig.get("/api/v1/scaling").await["scalers"].clone();
    let scaler = &scalers[0];
    assert_eq!(scalers.as_array().unwrap().len(), 1, "{scalers}");
    let point = scaler["history"].as_array().unwrap().last().unwrap();
    assert_eq!((&point["target"], point["value"].is_number(), &point["error"]), (&json!(10.0), true, &Value::Null));
    for (key, right) in [
        ("kind", json!("keda")),
        ("namespace", json!("team-a")),
        ("name", json!("ocr")),
        ("query", json!(CALLS)),
        ("target", json!(10.0)),
        ("activation_target", json!(5.0)),
        ("value", json!(14.0)),
        ("active", json!(true)),
        ("error", Value::Null),
    ] {
        assert_eq!(scaler[key], right, "{key}: {scaler}");
    }
    let changes = scaler["changes"].as_array().unwrap();
    let values: Vec<_> = changes.iter().filter_map(|change| change["value"].as_f64()).collect();
    assert_eq!(values, [4.0, 14.0], "{scaler}");
    let error = changes[changes.len() - 2]["error"].as_str().unwrap();
    assert!(error.starts_with("the data are late"), "{scaler}");

    // A stop ends a stream without an error, so that KEDA comes back at once.
    rig.stop().await;
    let ended = tokio::time::timeout(PATIENCE, stream.message()).await.unwrap();
    assert_eq!(ended.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_answered_says_what_would_be_right_in_every_call() {
    let mut rig = Rig::start(json!({"keda": {"grpc": "127.0.0.1:0"}})).await;
    rig.calls(3).await;
    let sound = reference(CALLS, "2.5", None);
    rig.until_asked(&sound, "3 calls", |answer| answer == &Ok(3.0)).await;
    let spec = rig.client.get_metric_spec(sound).await.unwrap().into_inner().metric_specs.remove(0);
    assert_eq!((spec.target_size, spec.target_size_float), (3, 2.5));
    assert_eq!(spec.metric_name, "sum-increase-weir-calls-total-service-ocr-10m");
    let value = |query: &str| reference(query, "1", None);
    for (asked, code, told) in [
        (reference("", "1", None), Code::InvalidArgument, "metadata.query is missing"),
        (reference("sum(", "1", None), Code::InvalidArgument, "metadata.query: not a valid expression"),
        (reference("up", "0", None), Code::InvalidArgument, "metadata.target: «0» must be above 0"),
        (reference("up", "1", Some("x")), Code::InvalidArgument, "metadata.activationTarget: «x» is not a number"),
        (value(r#"{service="ocr"}"#), Code::FailedPrecondition, "series, and one value is needed"),
        (value("0 / 0"), Code::FailedPrecondition, "is NaN"),
        (value("nothing_there"), Code::NotFound, "finds no series"),
        (value("sum(weir_call_duration_seconds)"), Code::FailedPrecondition, "take histogram_quantile"),
    ] {
        let errors = [
            rig.client.get_metrics(metrics(&asked)).await.unwrap_err(),
            rig.client.is_active(asked.clone()).await.unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.code(), code, "{asked:?}: {error}");
            assert!(error.message().contains(told), "{asked:?}: {error}");
        }
        if code == Code::InvalidArgument {
            assert_eq!(rig.client.get_metric_spec(asked.clone()).await.unwrap_err().code(), code, "{asked:?}");
            assert_eq!(rig.stream(&asked).await.unwrap_err(), code, "{asked:?}");
        }
    }
    let is_true_zero = reference("vector(0)", "1", None);
    assert_eq!(rig.value(&is_true_zero).await, Ok(0.0));
    assert_eq!(rig.is_active(&is_true_zero).await, Ok(false));
    let noted = until(PATIENCE, || async {
        let scalers = rig.get("/api/v1/scaling").await;
        scalers["scalers"].as_array().is_some_and(|all| all.len() == 9).then_some(())
    });
    noted.await.expect("all that asked are there");
    // Streams are bounded, and one that its caller drops makes room.
    let mut streams = Vec::new();
    let refused = loop {
        match rig.stream(&is_true_zero).await {
            Ok(stream) => streams.push(stream),
            Err(code) => break code,
        }
    };
    assert_eq!((refused, streams.len()), (Code::ResourceExhausted, 256));
    assert!(!streams[255].message().await.unwrap().unwrap().result);
    streams.pop();
    let end = tokio::time::Instant::now() + PATIENCE;
    while let Err(code) = rig.stream(&is_true_zero).await {
        assert!(code == Code::ResourceExhausted && tokio::time::Instant::now() < end, "{code:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn given_tenants_then_keda_and_kubernetes_see_those_of_the_namespace_and_nobody_else_is_let_in() {
    let mut site = Site::start().await;
    site.calls("acme", 4).await;
    site.calls("globex", 9).await;
    of_keda(&site).await;
    of_kubernetes(&site).await;

    let (acme, globex) = (site.token(Role::Viewer, "acme").await, site.token(Role::Viewer, "globex").await);
    let root = site.token(Role::Admin, "*").await;
    assert!(site.scalers(&globex).await.is_empty());
    let of_acme = site.scalers(&acme).await;
    assert!(of_acme.iter().all(|scaler| scaler["tenant"] == "acme" && scaler["namespace"] == "team-a"), "{of_acme:?}");
    let kinds = |kind: &str| of_acme.iter().filter(|scaler| scaler["kind"] == kind).count();
    assert!(kinds("keda") == 1 && kinds("external_metrics") > 1, "{of_acme:?}");
    let of_root = site.scalers(&root).await;
    let is_refused = |scaler: &Value| scaler["namespace"] == "team-b" && scaler["error"].is_string();
    assert!(of_root.len() > of_acme.len() && of_root.iter().any(is_refused), "{of_root:?}");

    // A namespace that is mapped later needs no restart.
    site.map("globex");
    let mut scaler = site.scaler(Some(site.of_keda())).await.unwrap();
    until_value(&mut scaler, &of_team_b(&reference("sum(weir_calls_total)", "10", None)), 9.0).await;
}

/// Mutual TLS, and a namespace without a tenant.
async fn of_keda(site: &Site) {
    let asked = reference("sum(weir_calls_total{service=\"ocr\"})", "10", None);
    let stranger = Authority::new("stranger").unwrap().issue("keda-operator", &[]).unwrap();
    for identity in [None, Some(stranger)] {
        // That a client is not let in, TLS 1.3 says behind the handshake.
        if let Some(mut scaler) = site.scaler(identity).await {
            scaler.is_active(asked.clone()).await.unwrap_err();
        }
    }
    let mut scaler = site.scaler(Some(site.of_keda())).await.unwrap();
    until_value(&mut scaler, &asked, 4.0).await;
    let refused = scaler.is_active(of_team_b(&asked)).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
    assert!(refused.message().contains("`team-b` belongs to no tenant"), "{refused}");
}

fn of_team_b(asked: &ScaledObjectRef) -> ScaledObjectRef {
    ScaledObjectRef { namespace: "team-b".to_owned(), ..asked.clone() }
}

async fn until_value(scaler: &mut ExternalScalerClient<Channel>, asked: &ScaledObjectRef, right: f64) {
    let (mut last, end) = (None, tokio::time::Instant::now() + PATIENCE);
    while last != Some(right) && tokio::time::Instant::now() < end {
        let answer = scaler.get_metrics(metrics(asked)).await;
        last = answer.ok().map(|answer| answer.into_inner().metric_values[0].metric_value_float);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(last, Some(right), "the tenant's calls, and no others");
}

/// What kube-apiserver and a HorizontalPodAutoscaler ask, and who else might.
async fn of_kubernetes(site: &Site) {
    const API: &str = "/apis/external.metrics.k8s.io/v1beta1";
    let ready = until(PATIENCE, || async { (site.kube("aggregator", API).await.0 == 200).then_some(()) });
    ready.await.expect("the front proxy is known");
    let (_, resources) = site.kube("system:kube-aggregator", API).await;
    assert_eq!(resources["kind"], "APIResourceList");
    assert_eq!(resources["groupVersion"], "external.metrics.k8s.io/v1beta1");
    let names: Vec<_> = resources["resources"].as_array().unwrap().iter().map(|r| r["name"].clone()).collect();
    assert_eq!(names, ["all", "calls", "constant", "half"]);
    assert_eq!(site.kube("u", "/apis").await.1["groups"][0]["name"], "external.metrics.k8s.io");
    assert_eq!(site.kube("u", "/apis/external.metrics.k8s.io").await.1["kind"], "APIGroup");

    let of = |namespace: &str, metric: &str| format!("{API}/namespaces/{namespace}/{metric}");
    let (status, list) = site.kube(HPA, &of("team-a", "calls")).await;
    assert_eq!((status, &list["kind"]), (200, &json!("ExternalMetricValueList")), "{list}");
    assert_eq!(list["apiVersion"], "external.metrics.k8s.io/v1beta1");
    let items = list["items"].as_array().unwrap();
    assert_eq!((items.len(), &items[0]["metricName"], &items[0]["value"]), (1, &json!("calls"), &json!("4")), "{list}");
    items[0]["timestamp"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert_eq!(site.kube(HPA, &of("team-a", "half")).await.1["items"][0]["value"], "500m");
    let selected = format!("{}?labelSelector=service%3Docr%2Coutcome+in+%28ok%29", of("team-a", "calls"));
    assert_eq!(site.kube(HPA, &selected).await.1["items"][0]["value"], "4");
    // The same user asks for the same metric again.
    let review = |spec: &Value| spec["resourceAttributes"]["resource"] == "calls" && spec["user"] == HPA;
    let reviews: Vec<_> = site.api.reviews().into_iter().filter(review).collect();
    assert_eq!(reviews.len(), 1, "{reviews:?}");
    assert_eq!(reviews[0]["groups"], json!(["system:serviceaccounts", "system:authenticated"]));

    for (user, path, code, reason, told) in [
        (HPA, format!("{}?labelSelector=service%3Dx", of("team-a", "calls")), 404, "NotFound", "finds no series"),
        (HPA, format!("{}?labelSelector=a%2Fb%3Dx", of("team-a", "calls")), 400, "BadRequest", "labelSelector: "),
        (HPA, format!("{}?labelSelector=a%3Dx", of("team-a", "constant")), 400, "BadRequest", "selects no series"),
        (HPA, of("team-a", "all"), 422, "Invalid", "one value is needed"),
        (HPA, of("team-a", "nothing"), 404, "NotFound", "there are: all, calls, constant, half"),
        (HPA, of("team-b", "calls"), 403, "Forbidden", "`team-b` belongs to no tenant"),
        ("mallory", of("team-a", "calls"), 403, "Forbidden", "User \"mallory\" cannot list resource \"calls\""),
        (HPA, "/openapi/v2".to_owned(), 404, "NotFound", "there is nothing at /openapi/v2"),
    ] {
        let (status, body) = site.kube(user, &path).await;
        assert_eq!(
            (status, &body["kind"], &body["reason"]),
            (code, &json!("Status"), &json!(reason)),
            "{path}: {body}"
        );
        assert!(body["message"].as_str().unwrap().contains(told), "{path}: {body}");
    }

    let path = of("team-a", "calls");
    let mut named = HeaderMap::new();
    named.insert("x-remote-user", HPA.parse().unwrap());
    let (nobody, other) = (site.client(None), site.client(Some(site.of_front_proxy("kubelet"))));
    let proxy = site.client(Some(site.of_front_proxy(FRONT_PROXY)));
    for (client, headers) in [(&nobody, &named), (&other, &named), (&proxy, &HeaderMap::new())] {
        let (status, body) = site.asked(client, headers.clone(), &path).await.unwrap();
        assert_eq!((status, &body["reason"]), (401, &json!("Unauthorized")), "{body}");
    }
    let stranger = Authority::new("stranger").unwrap().issue(FRONT_PROXY, &[]).unwrap();
    assert_eq!(site.asked(&site.client(Some(stranger)), named, &path).await, None, "another authority's client");
    assert_eq!(site.asked(&nobody, HeaderMap::new(), "/healthz").await, Some((200, json!("ok"))));
}
