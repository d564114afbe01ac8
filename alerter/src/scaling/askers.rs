//! Who asked, for what, and what they were answered: `GET /api/v1/scaling`. In memory, bounded, and forgotten by a restart.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use parking_lot::Mutex;
use serde_json::{Value, json};
use weir_service::auth::{Access, Tenants};
use weir_service::http::{Problem, Route, Routes};

use super::answer::Unanswered;
use crate::api::number;

/// Askers that are remembered; the one that has not asked for longest makes room for a new one.
const MAX_ASKERS: usize = 500;
/// Answers of one asker that differ from the one before.
const MAX_CHANGES: usize = 60;

/// What an asker was told over time, and how far two points are apart where only the value differs.
const MAX_POINTS: usize = 240;
const POINT_MS: i64 = 10_000;

/// Through which face somebody asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Keda,
    ExternalMetrics,
}

/// One trigger of a ScaledObject, or one metric that a user of the Kubernetes API asks for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Asker {
    pub(super) kind: Kind,
    pub(super) namespace: String,
    /// Of the ScaledObject, or the user.
    pub(super) name: String,
    pub(super) metric: String,
    pub(super) query: String,
    /// As the address had it; empty for KEDA.
    pub(super) selector: String,
}

/// What belongs to an asker.
#[derive(Debug, Clone)]
pub(super) struct About {
    /// Whose data it is answered with; `None` where its namespace has no tenant.
    pub(super) tenants: Option<Tenants>,
    pub(super) target: Option<f64>,
    pub(super) activation: Option<f64>,
}

/// What an asker was told.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Told {
    Value { value: f64, active: Option<bool> },
    Error(String),
}

/// Cheap to clone.
#[derive(Debug, Clone)]
struct Entry {
    about: About,
    first_ms: i64,
    last_ms: i64,
    asked: u64,
    /// Event time of the last value.
    time_ms: Option<i64>,
    /// Wall clock and answer, the newest last; never empty.
    changes: Arc<VecDeque<(i64, Told)>>,
    /// Over time, the newest last.
    history: Arc<VecDeque<Point>>,
}

/// What an asker was told at a time, by the wall clock.
#[derive(Debug, Clone)]
struct Point {
    time_ms: i64,
    told: Told,
    target: Option<f64>,
}

/// All of them; cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Askers(Arc<Mutex<BTreeMap<Asker, Entry>>>);

impl Askers {
    /// Notes an answer: its value, whether that is active, and the event time of it. `now_ms` is the wall clock.
    pub(super) fn note(
        &self,
        asker: Asker,
        about: About,
        answer: Result<(f64, Option<bool>, i64), &Unanswered>,
        now_ms: i64,
    ) {
        let (told, time_ms) = match answer {
            Ok((value, active, time_ms)) => (Told::Value { value, active }, Some(time_ms)),
            Err(error) => (Told::Error(error.to_string()), None),
        };
        let mut askers = self.0.lock();
        if askers.len() >= MAX_ASKERS && !askers.contains_key(&asker) {
            let oldest = askers.iter().min_by_key(|(_, entry)| entry.last_ms).map(|(asker, _)| asker.clone());
            oldest.and_then(|oldest| askers.remove(&oldest));
        }
        let entry = askers.entry(asker).or_insert_with(|| Entry {
            about: about.clone(),
            first_ms: now_ms,
            last_ms: now_ms,
            asked: 0,
            time_ms,
            changes: Arc::default(),
            history: Arc::default(),
        });
        if entry.about.tenants != about.tenants {
            // What it was told of another tenant's data is not the new one's to see.
            (entry.changes, entry.history) = (Arc::default(), Arc::default());
            entry.time_ms = time_ms;
        }
        entry.about = about;
        (entry.last_ms, entry.asked) = (now_ms, entry.asked + 1);
        entry.time_ms = time_ms.or(entry.time_ms);
        entry.add_point(now_ms, &told);
        if entry.changes.back().is_none_or(|(_, before)| !before.is_same(&told)) {
            push(&mut entry.changes, (now_ms, told), MAX_CHANGES);
        }
    }

    /// Those that a credential of these tenants sees. Takes a while, in which askers are answered: not for an async thread.
    fn seen_by(&self, tenants: &Tenants) -> Vec<Value> {
        let sees = |entry: &Entry| match entry.about.tenants.as_ref().and_then(Tenants::only) {
            Some(tenant) => tenants.allows(Some(tenant)),
            None => tenants.is_all(),
        };
        let seen: Vec<(Asker, Entry)> = {
            let askers = self.0.lock();
            let seen = askers.iter().filter(|(_, entry)| sees(entry));
            seen.map(|(asker, entry)| (asker.clone(), entry.clone())).collect()
        };
        seen.iter().map(|(asker, entry)| shown(asker, entry)).collect()
    }

    pub(super) fn routes(&self) -> Routes {
        let about = "Who asked for values to scale by, and what they were answered";
        Routes::new().on(Route::get("/api/v1/scaling", Access::Read, about), list).with_state(self)
    }
}

impl Entry {
    fn add_point(&mut self, time_ms: i64, told: &Told) {
        let target = self.about.target;
        let is_due = self.history.back().is_none_or(|last| {
            time_ms.saturating_sub(last.time_ms) >= POINT_MS || last.target != target || !last.told.is_alike(told)
        });
        if is_due {
            push(&mut self.history, Point { time_ms, told: told.clone(), target }, MAX_POINTS);
        }
    }
}

/// Adds the newest to at most so many. Where somebody looks at those before, they stay as they are there.
fn push<T: Clone>(all: &mut Arc<VecDeque<T>>, newest: T, most: usize) {
    let all = Arc::make_mut(all);
    if all.len() >= most {
        all.pop_front();
    }
    all.push_back(newest);
}

impl Told {
    /// Whether they differ in their value at most.
    fn is_alike(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Value { active: one, .. }, Self::Value { active: other, .. }) => one == other,
            _ => self.is_same(other),
        }
    }

    /// That something is late is one change, however late.
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Error(one), Self::Error(other)) => letters(one).eq(letters(other)),
            _ => self == other,
        }
    }

    fn shown(&self) -> (Value, Value, Value) {
        match self {
            Self::Value { value, active } => (number(*value), json!(active), Value::Null),
            Self::Error(error) => (Value::Null, Value::Null, json!(error)),
        }
    }
}

fn letters(text: &str) -> impl Iterator<Item = char> {
    text.chars().filter(|c| !c.is_ascii_digit())
}

async fn list(State(askers): State<Askers>, tenants: Tenants) -> Result<Json<Value>, Problem> {
    let seen = tokio::task::spawn_blocking(move || askers.seen_by(&tenants)).await;
    let seen = seen.map_err(|_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the work ended without an answer"))?;
    Ok(Json(json!({"scalers": seen})))
}

fn shown(asker: &Asker, entry: &Entry) -> Value {
    let time = |unix_ms: i64| weir_service::time::format(unix_ms.saturating_mul(1_000_000));
    let change = |(at, told): &(i64, Told)| {
        let (value, active, error) = told.shown();
        json!({"at": time(*at), "value": value, "active": active, "error": error})
    };
    let point = |point: &Point| {
        let (value, _, error) = point.told.shown();
        json!({"time": time(point.time_ms), "value": value, "error": error, "target": point.target})
    };
    let (value, active, error) =
        entry.changes.back().map_or((Value::Null, Value::Null, Value::Null), |(_, told)| told.shown());
    json!({
        "kind": match asker.kind { Kind::Keda => "keda", Kind::ExternalMetrics => "external_metrics" },
        "namespace": asker.namespace,
        "name": asker.name,
        "tenant": entry.about.tenants.as_ref().and_then(Tenants::only),
        "metric": asker.metric,
        "query": asker.query,
        "selector": asker.selector,
        "target": entry.about.target,
        "activation_target": entry.about.activation,
        "first_asked": time(entry.first_ms),
        "last_asked": time(entry.last_ms),
        "asked": entry.asked,
        "value": value,
        "active": active,
        "error": error,
        "event_time": entry.time_ms.map(time),
        "changes": entry.changes.iter().map(change).collect::<Vec<_>>(),
        "history": entry.history.iter().map(point).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests;
