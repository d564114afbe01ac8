//! Autoscalers get the right value or an error: KEDA over gRPC, asked by a client made of the same contract, and
//! HorizontalPodAutoscalers through the Kubernetes API's own requests.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "scaling/alerter.rs"]
mod alerter;

use std::time::Duration;

use serde_json::{Value, json};
use tonic::Code;
use weir_tests::until;

use alerter::{Rig, reference};

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
    assert_eq!(stream.message().await.unwrap().unwrap().result, false, "the first value is pushed");
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
            rig.client.get_metrics(alerter::metrics(&asked)).await.unwrap_err(),
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
        scalers["scalers"].as_array().is_some_and(|all| all.len() == 10).then_some(())
    });
    noted.await.expect("all that asked are there");
    rig.stop().await;
}
