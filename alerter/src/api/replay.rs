//! What a rule file would have fired, before it is used.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State as Of;
use axum::extract::rejection::BytesRejection;
use http::StatusCode;
use serde_json::Value;
use tokio::sync::Semaphore;
use weir_bus::Bus;
use weir_service::auth::Tenants;
use weir_service::http::{Parameter, Problem, Query};
use weir_service::telemetry::whole;

use super::Api;
use super::view::seen_by;
use crate::options::Options;
use crate::replay::{Error, Replay, Sees, Window};
use crate::rules::{Rule, RuleKind, RuleSet, Templates};

pub(super) const PARAMETERS: [Parameter; 2] = [
    ("start", "First event time: RFC 3339, unix seconds, or relative (now-1h)"),
    ("end", "Last event time; now where it is not given"),
];

/// How long one may take: less than any answer, so that it ends with an answer of its own.
const WITHIN: Duration = Duration::from_secs(50);
/// Bytes of a rule file.
const MAX_BYTES: usize = 1 << 20;
/// Rules, series or alerts of one of them, and labels or annotations of one: what is made of them is in memory.
const MAX_RULES: usize = 200;
const MAX_ALERTS: usize = 1000;
const MAX_TEXTS: usize = 32;
/// Who comes while another replay runs is asked to come back after so many seconds.
const RETRY_AFTER: u32 = 10;

/// What replays are made with; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Replays {
    bus: Bus,
    options: Arc<Options>,
    /// Each takes the memory of another store: one at a time.
    one: Arc<Semaphore>,
}

impl Replays {
    pub(crate) fn new(bus: Bus, options: Options) -> Self {
        Self { bus, options: Arc::new(options), one: Arc::new(Semaphore::new(1)) }
    }
}

fn window(parameters: &[(String, String)]) -> Result<Window, Problem> {
    let now = weir_service::time::now_unix_nano();
    let time = |name: &str| {
        let text = parameters.iter().find(|(other, text)| other == name && !text.is_empty());
        let read = text.map(|(_, text)| weir_service::time::parse(text, now).map(|nano| nano.div_euclid(1_000_000)));
        read.transpose().map_err(|error| Problem::parameter(name, error))
    };
    let missing = || Problem::parameter("start", "is missing: it is the first event time, such as now-1h");
    let (start_ms, end_ms) = (time("start")?.ok_or_else(missing)?, time("end")?.unwrap_or(now / 1_000_000));
    if end_ms <= start_ms {
        return Err(Problem::parameter("end", "must be after `start`"));
    }
    Ok(Window { start_ms, end_ms })
}

fn rules(body: Result<Bytes, BytesRejection>) -> Result<RuleSet, Problem> {
    let body = body.map_err(|error| Problem::new(error.status(), error.body_text()))?;
    if body.len() > MAX_BYTES {
        let detail = format!("the rule file has {} bytes, and at most {MAX_BYTES} are taken", body.len());
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail));
    }
    let bad = |detail: String| Problem::new(StatusCode::BAD_REQUEST, detail);
    let text = std::str::from_utf8(&body).map_err(|_| bad("the rule file is not UTF-8".to_owned()))?;
    let rules = RuleSet::parse("rules.yaml".as_ref(), text, Templates::Simple);
    let mut rules = rules.map_err(|errors| bad(errors.to_string()))?;
    if rules.groups.is_empty() {
        return Err(bad("the body holds no rules: send a Prometheus rule file, with `groups`".to_owned()));
    }
    let count = rules.groups.iter().map(|group| group.rules.len()).sum::<usize>();
    if count > MAX_RULES {
        return Err(bad(format!("the body holds {count} rules, and at most {MAX_RULES} are taken")));
    }
    let texts = |rule: &Rule| match &rule.kind {
        RuleKind::Alert { annotations, .. } => rule.labels.len().max(annotations.len()),
        RuleKind::Record(_) => rule.labels.len(),
    };
    if let Some(rule) = rules.groups.iter().flat_map(|group| &group.rules).find(|rule| texts(rule) > MAX_TEXTS) {
        return Err(bad(format!("rule `{}` has more than {MAX_TEXTS} labels or annotations", rule.name())));
    }
    for group in &mut rules.groups {
        group.limit = if group.limit == 0 { MAX_ALERTS } else { group.limit.min(MAX_ALERTS) };
    }
    Ok(rules)
}

fn problem(error: &Error) -> Problem {
    let status = match error {
        Error::Empty | Error::Before { .. } | Error::After { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        Error::Bus(_) | Error::TooLong(_) => StatusCode::SERVICE_UNAVAILABLE,
        Error::Ended(_) => StatusCode::INTERNAL_SERVER_ERROR,
        Error::Config(error) => {
            // Who asks may not be who may see the configuration.
            tracing::error!(%error, "rules cannot be replayed: Alertmanager's configuration cannot be used");
            let detail = "Alertmanager's configuration cannot be used; the log says more";
            return Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail);
        }
    };
    Problem::new(status, whole(error).to_string())
}

/// The body is a rule file; the rules see the series of the credential's tenants, and what they record.
pub(super) async fn run(
    Of(api): Of<Api>,
    tenants: Tenants,
    Query(parameters): Query<Vec<(String, String)>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, Problem> {
    let window = window(&parameters)?;
    let unavailable = || Problem::new(StatusCode::NOT_FOUND, "this alerter has no bus to replay over");
    let Replays { bus, options, one } = api.replays.ok_or_else(unavailable)?;
    let busy = |_| Problem::busy("another replay is running: try again when it is done", RETRY_AFTER);
    let held = one.try_acquire_owned().map_err(busy)?;
    // Rule files of this size are read off the async threads.
    let read = tokio::task::spawn_blocking(move || (rules(body), held)).await;
    let unread = |_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the rules were not read");
    let (rules, held) = read.map_err(unread)?;
    let rules = rules?;
    // Held for as long as the replay is there, which may be longer than whoever asked.
    let see = seen_by(tenants);
    let sees: Sees = Arc::new(move |labels| {
        let _ = &held;
        see(labels)
    });
    let replay = Replay { options: (*options).clone(), rules, window, sees, within: Some(WITHIN) };
    let report = replay.run(&bus, |_| ()).await.map_err(|error| problem(&error))?;
    Ok(Json(report.to_json()))
}
