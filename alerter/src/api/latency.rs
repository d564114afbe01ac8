//! `GET /api/v1/interfaces/latency`: how long the calls of one interface took in a range of event time.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::{StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};
use weir_calls::{Durations, DurationsError, Hdr};
use weir_service::auth::Tenants;
use weir_service::http::{Parameter, Problem, Query};
use weir_service::telemetry::whole;

use super::{Api, PATIENCE};
use crate::series::calls::DURATION;
use crate::series::read::{Data, MatchOp, Matcher, Read as _};

pub(super) const PARAMETERS: [Parameter; 5] = [
    ("service", "Name of the service"),
    ("interface", "Name of the interface, such as POST /v1/ocr"),
    ("start", "First time: RFC 3339, unix seconds, or relative (now-15m)"),
    ("end", "Last time"),
    ("format", "json, or hdr: an HdrHistogram of microseconds in the compressed V2 encoding, in base64"),
];

/// Quantiles of the answer, and what they are called there.
const QUANTILES: [(&str, f64); 4] = [("p50_ms", 0.5), ("p90_ms", 0.9), ("p99_ms", 0.99), ("p999_ms", 0.999)];

#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    service: String,
    interface: String,
    start: String,
    end: String,
    format: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Json,
    Hdr,
}

impl Asked {
    /// In unix milliseconds: the whole seconds that the range touches.
    fn range_ms(&self) -> Result<(i64, i64), Problem> {
        let now = weir_service::time::now_unix_nano();
        let time = |name: &str, text: &str| {
            weir_service::time::parse(text, now).map_err(|wrong| Problem::parameter(name, wrong))
        };
        let (start, end) = (time("start", &self.start)?, time("end", &self.end)?);
        if end < start {
            return Err(Problem::parameter("end", "`end` lies before `start`: give a later one"));
        }
        let second = 1_000_000_000;
        let ends_within = i64::from(end.rem_euclid(second) > 0);
        Ok((start.div_euclid(second) * 1000, (end.div_euclid(second) + ends_within) * 1000))
    }

    fn format(&self) -> Result<Format, Problem> {
        match self.format.as_deref() {
            None | Some("json") => Ok(Format::Json),
            Some("hdr") => Ok(Format::Hdr),
            Some(other) => {
                let shown: String = other.chars().filter(|c| !c.is_control()).take(64).collect();
                Err(Problem::parameter("format", format!("`{shown}` is no format: use json or hdr")))
            }
        }
    }

    fn matchers(&self) -> Result<Vec<Matcher>, Problem> {
        let matcher = |name: &str, value: &str| {
            if value.is_empty() {
                return Err(Problem::parameter(name, format!("`{name}` is empty: give its name")));
            }
            Ok(Matcher { name: name.to_owned(), op: MatchOp::Equal, value: value.to_owned() })
        };
        Ok(vec![
            matcher("__name__", DURATION)?,
            matcher("service", &self.service)?,
            matcher("interface", &self.interface)?,
        ])
    }
}

/// The durations of many seconds, in microseconds.
struct Latency {
    all: Durations,
    sum: u64,
    /// Least and greatest; `None` where there was no call.
    bounds: Option<(u64, u64)>,
}

impl Latency {
    fn of(seconds: &[Arc<Hdr>]) -> Result<Self, DurationsError> {
        let mut all = Self { all: Durations::new()?, sum: 0, bounds: None };
        for hdr in seconds {
            all.all.add(hdr)?;
            all.sum = all.sum.saturating_add(hdr.sum());
            if let Some((min, max)) = hdr.bounds() {
                let (least, greatest) = all.bounds.unwrap_or((min, max));
                all.bounds = Some((least.min(min), greatest.max(max)));
            }
        }
        Ok(all)
    }

    fn json(&self, asked: &Asked, (start_ms, end_ms): (i64, i64)) -> Value {
        let ms = |micros: u64| micros as f64 / 1000.0;
        let time = |unix_ms: i64| weir_service::time::format(unix_ms.saturating_mul(1_000_000));
        let count = self.all.count();
        let mut answer = json!({
            "service": asked.service,
            "interface": asked.interface,
            "start": time(start_ms),
            "end": time(end_ms),
            "count": count,
            "sum_ms": ms(self.sum),
            "min_ms": self.bounds.map(|(min, _)| ms(min)),
            "max_ms": self.bounds.map(|(_, max)| ms(max)),
            "mean_ms": (count > 0).then(|| ms(self.sum) / count as f64),
        });
        for (name, q) in QUANTILES {
            // The middle of a slot may lie beyond what was recorded.
            let quantile = self.all.quantile(q).zip(self.bounds);
            answer[name] = json!(quantile.map(|(value, (min, max))| ms(value.max(min).min(max))));
        }
        let slot = |(low, end, count): (u64, u64, u64)| json!({"from_ms": ms(low), "to_ms": ms(end), "count": count});
        answer["slots"] = self.all.slots().map(slot).collect();
        answer
    }
}

fn internal(error: &DurationsError) -> Problem {
    tracing::error!(error = %whole(error), "durations cannot be merged or written");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the durations cannot be merged; the log says more")
}

pub(super) async fn get(
    State(api): State<Api>,
    tenants: Tenants,
    Query(asked): Query<Asked>,
) -> Result<Response, Problem> {
    let (format, matchers, range) = (asked.format()?, asked.matchers()?, asked.range_ms()?);
    let permit = tokio::time::timeout(PATIENCE, api.permits.clone().acquire_owned()).await;
    let permit = permit.map_err(|_| Problem::busy("too many queries run", 1))?;
    let answer = api.blocking(move |api| {
        let _held = permit;
        let series = api.sight.of(&tenants).select(&matchers, range.0, range.1);
        let seconds = series.into_iter().filter_map(|series| match series.data {
            Data::Histogram(seconds) => Some(seconds.into_iter().map(|(_, hdr)| hdr)),
            _ => None,
        });
        let latency = Latency::of(&seconds.flatten().collect::<Vec<_>>())?;
        Ok(match format {
            Format::Json => Json(latency.json(&asked, range)).into_response(),
            Format::Hdr => {
                ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], latency.all.to_base64()?).into_response()
            }
        })
    });
    answer.await?.map_err(|error: DurationsError| internal(&error))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::body::{Body, to_bytes};
    use tower::ServiceExt as _;
    use weir_proto::v1;

    use super::*;
    use crate::engine::Engine;
    use crate::options::Options;
    use crate::series::feed::Shared;
    use crate::series::store::{Refused, Store};

    const T: u64 = 1_700_000_000;

    /// The answer where `acme` had calls of 10 and 20 ms in the second before T and one of 40 ms in the second of T, and
    /// `globex` one of 5 s on the same interface.
    async fn ask(parameters: &str) -> (StatusCode, String) {
        let series = |tenant: &str, seconds: &[(u64, &[u64])]| {
            let slot = |(unix_seconds, micros): &(u64, &[u64])| {
                let mut hdr = Hdr::default();
                micros.iter().for_each(|micros| hdr.record(*micros));
                let calls = micros.len() as u64;
                let durations = Some(hdr.to_message());
                v1::CallSlot { unix_seconds: *unix_seconds, calls, durations, ..v1::CallSlot::default() }
            };
            let slots = seconds.iter().map(slot).collect();
            let [tenant, service, interface] = [tenant, "ocr", "POST /ocr"].map(str::to_owned);
            v1::CallSeries { tenant, service, interface, slots }
        };
        let range = v1::CallDeltas {
            source_topic: "otlp_spans".to_owned(),
            end_offset: 1,
            watermark_unix_nano: (T + 1) * 1_000_000_000,
            series: vec![
                series("acme", &[(T - 1, &[10_000, 20_000]), (T, &[40_000])]),
                series("globex", &[(T, &[5_000_000])]),
            ],
            ..v1::CallDeltas::default()
        };
        let shared = Shared::new(Store::new(3_600_000, 100), Duration::from_mins(5));
        shared.store.write().add_calls(&range, &mut Refused::default());
        let folder = tempfile::tempdir().unwrap();
        let meter = opentelemetry::global::meter("test");
        let (engine, _run) =
            Engine::open(&Options::default(), folder.path(), shared.clone(), None, &meter).await.unwrap();
        let api = Api::new(shared, engine, Duration::from_secs(30));
        let request = http::Request::get(format!("/api/v1/interfaces/latency?{parameters}"));
        let answer = api.routes().open().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let status = answer.status();
        (status, String::from_utf8(to_bytes(answer.into_body(), 1 << 20).await.unwrap().to_vec()).unwrap())
    }

    fn of(start: u64, end: u64) -> String {
        format!("service=ocr&interface=POST%20/ocr&start={start}&end={end}")
    }

    async fn json_of(parameters: &str) -> Value {
        let (status, text) = ask(parameters).await;
        assert_eq!(status, StatusCode::OK, "{text}");
        serde_json::from_str(&text).unwrap()
    }

    #[tokio::test]
    async fn given_a_range_then_the_calls_of_its_seconds_are_merged_exactly() {
        let answer = json_of(&format!("{}&tenant=acme", of(T - 1, T + 1))).await;
        let figures = ["count", "sum_ms", "min_ms", "max_ms"].map(|name| answer[name].as_f64().unwrap());
        assert_eq!(figures.map(|figure| figure as u64), [3, 70, 10, 40], "{answer}");
        for (name, exact) in [("mean_ms", 70.0 / 3.0), ("p50_ms", 20.0), ("p90_ms", 40.0), ("p999_ms", 40.0)] {
            let got = answer[name].as_f64().unwrap();
            assert!((got - exact).abs() <= exact * 0.01 && got <= 40.0, "{name} {got}");
        }
        let slots = answer["slots"].as_array().unwrap();
        assert_eq!(slots.len(), 3);
        assert!(slots[0]["from_ms"].as_f64().unwrap() <= 10.0 && slots[0]["to_ms"].as_f64().unwrap() > 10.0);
        assert_eq!(
            (&answer["start"], &answer["end"]),
            (&json!("2023-11-14T22:13:19Z"), &json!("2023-11-14T22:13:21Z"))
        );
        for (range, count) in [(of(T - 1, T), 2), (of(T, T + 1), 1), (of(T + 1, T + 9), 0)] {
            assert_eq!(json_of(&format!("{range}&tenant=acme")).await["count"], count, "{range}");
        }
        assert_eq!(json_of(&format!("{}.5&tenant=acme", of(T - 1, T))).await["count"], 3, "a second that is touched");
        let nothing = json_of("service=ocr&interface=none&start=0&end=now").await;
        assert_eq!((&nothing["count"], &nothing["p99_ms"], &nothing["slots"]), (&json!(0), &json!(null), &json!([])));
    }

    #[tokio::test]
    async fn given_tenants_then_the_calls_of_those_that_are_seen_count() {
        assert_eq!(json_of(&of(T - 1, T + 1)).await["count"], 4);
        let globex = json_of(&format!("{}&tenant=globex", of(T - 1, T + 1))).await;
        assert_eq!((&globex["count"], &globex["min_ms"]), (&json!(1), &json!(5000.0)));
    }

    #[tokio::test]
    async fn given_the_format_hdr_then_it_is_what_hdrhistogram_reads() {
        let (status, text) = ask(&format!("{}&format=hdr", of(T - 1, T + 1))).await;
        assert!(status == StatusCode::OK && text.starts_with("HISTFAAA"), "{text}");
    }

    #[tokio::test]
    async fn given_a_parameter_that_is_missing_or_wrong_then_the_problem_names_it() {
        for (parameters, name) in [
            ("interface=a&start=0&end=1", "service"),
            ("service=a&start=0&end=1", "interface"),
            ("service=a&interface=b&end=1", "start"),
            ("service=a&interface=b&start=0", "end"),
            ("service=&interface=b&start=0&end=1", "service"),
            ("service=a&interface=b&start=soon&end=1", "start"),
            ("service=a&interface=b&start=2&end=1", "end"),
            ("service=a&interface=b&start=0&end=1&format=csv", "format"),
            ("service=a&interface=b&start=0&end=1&step=1", "step"),
        ] {
            let (status, text) = ask(parameters).await;
            let problem: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(
                (status, &problem["parameter"]),
                (StatusCode::BAD_REQUEST, &json!(name)),
                "{parameters}: {text}"
            );
        }
    }
}
