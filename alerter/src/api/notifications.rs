//! What was sent to whom, newest first.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use weir_service::auth::Tenants;
use weir_service::http::{Parameter, Problem, Query};

use super::Api;
use super::state::time;
use crate::notify::{Notification, NotifiedAlert};

pub(super) const PARAMETERS: [Parameter; 6] = [
    ("start", "First time: RFC 3339, unix seconds, or relative (now-1h)"),
    ("end", "Last time"),
    ("receiver", "Name of the receiver"),
    ("alertname", "Name of an alert among those that it was told of"),
    ("limit", "How many notifications the answer may have, 1 to 1000; 100 where it is not given"),
    ("cursor", "`next_cursor` of the page before"),
];

const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 1000;
const HIDDEN: &str = "the receiver did not take it; weir's log says more";

/// What is asked for.
#[derive(Debug)]
struct Wanted {
    start_ms: i64,
    end_ms: i64,
    receiver: Option<String>,
    alertname: Option<String>,
    limit: usize,
    /// Time and id.
    before: Option<(i64, u64)>,
}

impl Wanted {
    fn read(parameters: Vec<(String, String)>) -> Result<Self, Problem> {
        let now = weir_service::time::now_unix_nano();
        let (start_ms, end_ms, limit) = (i64::MIN, i64::MAX, DEFAULT_LIMIT);
        let mut wanted = Self { start_ms, end_ms, receiver: None, alertname: None, limit, before: None };
        for (name, text) in parameters.into_iter().filter(|(_, text)| !text.is_empty()) {
            let wrong = |what: String| Problem::parameter(&name, what);
            let time = || weir_service::time::parse(&text, now).map(|nano| nano.div_euclid(1_000_000)).map_err(wrong);
            match name.as_str() {
                "start" => wanted.start_ms = time()?,
                "end" => wanted.end_ms = time()?,
                "receiver" => wanted.receiver = Some(text),
                "alertname" => wanted.alertname = Some(text),
                "limit" => {
                    let limit = text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
                    wanted.limit =
                        limit.ok_or_else(|| wrong(format!("«{text}» is no number from 1 to {MAX_LIMIT}")))?;
                }
                "cursor" => {
                    let cursor = text.split_once('-').and_then(|(at, id)| Some((at.parse().ok()?, id.parse().ok()?)));
                    let cursor = cursor.ok_or_else(|| wrong(format!("«{text}» is no `next_cursor` of a page")))?;
                    wanted.before = Some(cursor);
                }
                // The door lets no others through.
                _ => {}
            }
        }
        if wanted.end_ms < wanted.start_ms {
            return Err(Problem::parameter("end", "lies before `start`: the end is the later one"));
        }
        Ok(wanted)
    }

    fn takes(&self, one: &Notification) -> bool {
        let is_named = |name: &String| {
            let mut labels = one.alerts.iter().map(|alert| &*alert.labels).chain([&one.group]);
            labels.any(|labels| labels.get("alertname") == Some(name))
        };
        (self.start_ms..=self.end_ms).contains(&one.time_ms)
            && self.receiver.as_ref().is_none_or(|name| one.receiver == *name)
            && self.alertname.as_ref().is_none_or(is_named)
    }
}

pub(super) async fn list(
    State(api): State<Api>,
    tenants: Tenants,
    Query(parameters): Query<Vec<(String, String)>>,
) -> Result<Json<Value>, Problem> {
    let wanted = Wanted::read(parameters)?;
    api.blocking(move |api| {
        let (mut all, mut last, mut has_more) = (Vec::new(), (0, 0), false);
        api.sight.of(&tenants).notifications(wanted.before, |one| {
            if !wanted.takes(one) {
                return true;
            }
            if all.len() == wanted.limit {
                has_more = true;
                return false;
            }
            last = (one.time_ms, one.id);
            all.push(shown(one, tenants.is_all()));
            true
        });
        let next = has_more.then(|| format!("{}-{}", last.0, last.1));
        Json(json!({"notifications": all, "next_cursor": next}))
    })
    .await
}

/// Why a receiver did not take one may name its server, which is for those who see all.
fn shown(one: &Notification, sees_all: bool) -> Value {
    let state = |is_firing: bool| if is_firing { "firing" } else { "resolved" };
    let alert = |alert: &NotifiedAlert| json!({"labels": *alert.labels, "status": state(alert.is_firing)});
    json!({
        "time": time(one.time_ms),
        "receiver": one.receiver,
        "integration": one.integration,
        "group": one.group,
        "status": state(one.is_firing),
        "alerts": one.alerts.iter().map(alert).collect::<Vec<_>>(),
        "alerts_total": one.alerts_total,
        "outcome": one.outcome.name(),
        "error": one.error.as_deref().map(|error| if sees_all || one.attempts == 0 { error } else { HIDDEN }),
        "attempts": one.attempts,
        "duration_ms": one.duration_ms,
    })
}
