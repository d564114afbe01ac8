//! What the HTTP API refuses, and how, as Prometheus does; and how expressions are laid out.

use serde_json::{Value, json};
use weir_alerter::promql;
use weir_tests::prometheus::Prometheus;
use weir_tests::{Api, Weir};

use super::queries::QUERIES;

/// What is asked of both, below `/api/v1/`. Left out: a pattern of `label_replace` that is none, which weir refuses as it
/// reads the query (400) and Prometheus as it evaluates it (422); names of labels that Prometheus takes since 3.0.
const ASKED: &[&str] = &[
    "query?query=1%2B1",
    "query?query=1%2B1&time=1700000000.5&timeout=10s&stats=all",
    "query?query=1%2B1&time=2023-11-14T22:13:20Z",
    "query",
    "query?query=",
    "query?query=rate(",
    "query?query=rate(x)",
    "query?query=nothing_of_this_name(x)",
    "query?query=x&time=soon",
    "query?query=x&timeout=soon",
    "query?query=label_replace(vector(1)%20or%20label_replace(vector(2),%22a%22,%22x%22,%22%22,%22%22),%22a%22,%22y%22,%22%22,%22%22)",
    "query_range?query=x&start=1700000000&end=1700000060&step=15",
    "query_range?query=x&start=1700000000&end=1700000060&step=15s&timeout=1m",
    "query_range?query=x&start=1700000000&end=1700000060",
    "query_range?query=x&start=1700000000&step=15",
    "query_range?query=x&end=1700000060&step=15",
    "query_range?query=x&start=1700000060&end=1700000000&step=15",
    "query_range?query=x&start=1700000000&end=1700000060&step=0",
    "query_range?query=x&start=1700000000&end=1700000060&step=-1",
    "query_range?query=x&start=1700000000&end=1700000060&step=often",
    "query_range?query=x&start=1700000000&end=1700011001&step=1",
    "query_range?query=x%5B1m%5D&start=1700000000&end=1700000060&step=15",
    "query_range?query=%22text%22&start=1700000000&end=1700000060&step=15",
    "query_range?start=1700000000&end=1700000060&step=15",
    "query_exemplars?query=x&start=1700000000&end=1700000060",
    "query_exemplars?query=x&start=1700000060&end=1700000000",
    "query_exemplars?query=rate(&start=1700000000&end=1700000060",
    "format_query?query=sum(x)by(a)",
    "format_query?query=sum(x",
    "series?match[]=x",
    "series?match[]=x&match[]=y&start=1700000000&end=1700000060",
    "series",
    "series?match[]=sum(x)",
    "series?match[]=x&start=soon",
    "labels",
    "labels?match[]=x&match[]=y",
    "labels?match[]=%7B",
    "labels?end=soon",
    "label/job/values",
    "label/job/values?match[]=x",
    "label/job/values?match[]=x%7B",
    "metadata",
    "metadata?limit=1",
    "metadata?limit=few",
    "rules",
    "rules?type=alert",
    "rules?type=record",
    "rules?type=both",
    "alerts",
    "status/buildinfo",
    "status/tsdb",
];

/// What promql-parser lays out otherwise: it leaves a plus sign out, and writes large numbers with all their digits.
const LAID_OUT_OTHERWISE: [&str; 5] = [
    "+temp * 2",
    "hour(vector(1700000000))",
    "day_of_week(vector(1700000000))",
    "day_of_year(vector(1709164800))",
    "days_in_month(vector(1709164800))",
];

/// Status, and of the body `status`, `errorType` and what kind of data there is.
fn shape((status, body): &(u16, Value)) -> Value {
    let kind = match &body["data"] {
        Value::Null => "none",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
        _ => "other",
    };
    json!([status, body["status"], body["errorType"], kind])
}

#[tokio::test(flavor = "multi_thread")]
async fn given_the_same_requests_then_they_are_taken_and_refused_as_prometheus_does() {
    let prometheus = match Prometheus::start() {
        Ok(prometheus) => prometheus,
        Err(error) => return weir_tests::skip("requests_are_refused_as_prometheus_does", &format!("{error:#}")),
    };
    let folder = tempfile::tempdir().unwrap();
    let config = json!({"listen": "127.0.0.1:0", "collector": {"otlp": {"grpc": null, "http": null}, "host": null}});
    let mut weir = Weir::new("standalone", folder.path(), &config).unwrap();
    let ready = weir.start().await.unwrap();
    let (own, other) = (Api::new(&ready.http).unwrap(), Api::new(&prometheus.url()).unwrap());
    let mut wrong = Vec::new();
    for asked in ASKED {
        let (path, query) = asked.split_once('?').unwrap_or((asked, ""));
        let pairs: Vec<(String, String)> = reqwest::Url::parse(&format!("http://x/?{query}"))
            .unwrap()
            .query_pairs()
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let ours = own.get(&format!("/prometheus/api/v1/{path}"), &pairs).await.unwrap();
        let theirs = other.get(&format!("/prometheus/api/v1/{path}"), &pairs).await.unwrap();
        if shape(&ours) != shape(&theirs) {
            wrong.push(format!("{asked}: weir {} {}, Prometheus {}", shape(&ours), ours.1["error"], shape(&theirs)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn given_an_expression_then_it_is_laid_out_as_prometheus_lays_it_out() {
    let prometheus = match Prometheus::start() {
        Ok(prometheus) => prometheus,
        Err(error) => return weir_tests::skip("it_is_laid_out_as_prometheus_lays_it_out", &format!("{error:#}")),
    };
    let api = Api::new(&prometheus.url()).unwrap();
    let mut wrong = Vec::new();
    for query in QUERIES {
        let (_, theirs) = api.get("/prometheus/api/v1/format_query", &[("query", query)]).await.unwrap();
        let ours = promql::pretty(query).ok();
        if ours.as_deref() != theirs["data"].as_str() {
            wrong.push((*query, ours, theirs["data"].clone()));
        }
    }
    let differ: Vec<&str> = wrong.iter().map(|(query, _, _)| *query).collect();
    assert_eq!(differ, LAID_OUT_OTHERWISE, "{wrong:#?}");
}
