//! Changes of alerts' states, newest first.

use axum::Json;
use axum::extract::State as Of;
use serde_json::{Value, json};
use weir_service::auth::Tenants;
use weir_service::http::{Parameter, Problem, Query};

use super::Api;
use super::state::{number, time};
use crate::history::Entry;
use crate::notify::{LabelMatcher, MatcherError};

pub(super) const PARAMETERS: [Parameter; 7] = [
    ("start", "First event time: RFC 3339, unix seconds, or relative (now-1h)"),
    ("end", "Last event time"),
    ("alertname", "Name of the alert"),
    ("filter", "Matcher of the alert's labels such as severity=\"page\"; may be there more than once"),
    ("state", "pending, firing, resolved or inactive; may be there more than once"),
    ("limit", "How many transitions the answer may have, 1 to 1000; 100 where it is not given"),
    ("cursor", "`next_cursor` of the page before"),
];

const STATES: [&str; 4] = ["pending", "firing", "resolved", "inactive"];
const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 1000;

/// What is asked for.
#[derive(Debug)]
struct Wanted {
    start_ms: i64,
    end_ms: i64,
    filter: Vec<LabelMatcher>,
    alertname: Option<String>,
    /// All, where there is none.
    states: Vec<String>,
    limit: usize,
    before: Option<u64>,
}

impl Default for Wanted {
    fn default() -> Self {
        let (filter, states) = (Vec::new(), Vec::new());
        let limit = DEFAULT_LIMIT;
        Self { start_ms: i64::MIN, end_ms: i64::MAX, filter, alertname: None, states, limit, before: None }
    }
}

impl Wanted {
    fn read(parameters: Vec<(String, String)>) -> Result<Self, Problem> {
        let now = weir_service::time::now_unix_nano();
        let mut wanted = Self::default();
        for (name, text) in parameters.into_iter().filter(|(_, text)| !text.is_empty()) {
            let wrong = |what: String| Problem::parameter(&name, what);
            let time = || weir_service::time::parse(&text, now).map(|nano| nano.div_euclid(1_000_000)).map_err(wrong);
            match name.as_str() {
                "start" => wanted.start_ms = time()?,
                "end" => wanted.end_ms = time()?,
                "alertname" => wanted.alertname = Some(text),
                "filter" => {
                    let matcher = text.parse().map_err(|error: MatcherError| wrong(error.to_string()))?;
                    wanted.filter.push(matcher);
                }
                "state" if STATES.contains(&text.as_str()) => wanted.states.push(text),
                "state" => return Err(wrong(format!("«{text}» is no state: use one of {}", STATES.join(", ")))),
                "limit" => {
                    let limit = text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
                    wanted.limit =
                        limit.ok_or_else(|| wrong(format!("«{text}» is no number from 1 to {MAX_LIMIT}")))?;
                }
                "cursor" => {
                    let cursor = text.parse().map_err(|_| wrong(format!("«{text}» is no `next_cursor` of a page")))?;
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

    fn takes(&self, entry: &Entry) -> bool {
        let transition = &entry.transition;
        (self.start_ms..=self.end_ms).contains(&transition.time_ms)
            && self.alertname.as_ref().is_none_or(|name| transition.labels.get("alertname") == Some(name))
            && (self.states.is_empty() || self.states.iter().any(|state| state == transition.state_name()))
            && self.filter.iter().all(|matcher| matcher.matches(&transition.labels))
    }
}

pub(super) async fn list(
    Of(api): Of<Api>,
    tenants: Tenants,
    Query(parameters): Query<Vec<(String, String)>>,
) -> Result<Json<Value>, Problem> {
    let wanted = Wanted::read(parameters)?;
    api.blocking(move |api| {
        let (mut transitions, mut last, mut has_more) = (Vec::new(), 0, false);
        api.sight.of(&tenants).history(wanted.before, |entry| {
            if !wanted.takes(entry) {
                return true;
            }
            if transitions.len() == wanted.limit {
                has_more = true;
                return false;
            }
            last = entry.number;
            transitions.push(shown(entry));
            true
        });
        let next = has_more.then(|| last.to_string());
        Json(json!({"transitions": transitions, "next_cursor": next}))
    })
    .await
}

fn shown(entry: &Entry) -> Value {
    let transition = &entry.transition;
    let (file, group) = transition.group.split_once(';').unwrap_or(("", &transition.group));
    json!({
        "time": time(transition.time_ms),
        "state": transition.state_name(),
        "labels": *transition.labels,
        "annotations": *transition.annotations,
        "value": number(transition.value),
        "active_at": time(transition.active_at_ms),
        "group": group,
        "file": file,
    })
}
