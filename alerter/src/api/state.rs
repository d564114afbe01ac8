//! Alerts and rules, in weir's own form and in Prometheus'.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State as Of;
use serde_json::{Value, json};
use weir_service::auth::Tenants;
use weir_service::http::Problem;

use super::Api;
use super::answer::{Answer, Failure, float, success};
use super::parameters::Asked;
use crate::pipeline::Pipeline;
use crate::rules::{Alert, GroupStatus, Health, RuleKind, RuleStatus, State, Text};
use crate::series::progress::{Presence, Standing};

pub(super) fn time(unix_ms: i64) -> String {
    weir_service::time::format(unix_ms.saturating_mul(1_000_000))
}

impl Api {
    /// How the pipeline is, and how far event time has come.
    fn pipeline(&self) -> Value {
        let now = weir_service::time::now_unix_nano_unsigned();
        let watermark = self.sight.watermark();
        let last_call = self.sight.last_call_unix_nano();
        let waited = |standing: &Standing| standing.state != Presence::Live;
        let late: Vec<Value> = self
            .sight
            .collectors()
            .iter()
            .filter(|standing| waited(standing))
            .map(|standing| json!({"collector": standing.id, "host": standing.host, "state": standing.state.name()}))
            .collect();
        let state = Pipeline::of(watermark, last_call, now, self.late_after);
        json!({
            "state": state.name(),
            "event_time": watermark.map(|nano| weir_service::time::format(nano as i64)),
            "lag_seconds": watermark.map(|nano| now.saturating_sub(nano) as f64 / 1e9),
            "last_call": (last_call > 0).then(|| weir_service::time::format(last_call as i64)),
            "evaluated_until": self.sight.evaluated_ms().map(time),
            "late": late,
        })
    }
}

/// Pending, firing and lately resolved alerts, with the state of the pipeline that they rest on.
pub(super) async fn alerts(Of(api): Of<Api>, tenants: Tenants) -> Result<Json<Value>, Problem> {
    api.blocking(move |api| all_alerts(api, &tenants)).await
}

fn all_alerts(api: &Api, tenants: &Tenants) -> Json<Value> {
    let view = api.sight.of(tenants);
    let mut alerts = Vec::new();
    let now_ms = weir_service::time::now_unix_ms();
    for group in view.status() {
        for rule in &group.rules {
            for alert in &rule.alerts {
                let silenced_by = view.silenced_by(&alert.labels, now_ms);
                let inhibited_by = view.inhibited_by(&alert.labels);
                let is_active = silenced_by.is_empty() && inhibited_by.is_none();
                alerts.push(json!({
                    "state": alert.state.name(),
                    "status": {
                        "state": if is_active { "active" } else { "suppressed" },
                        "silencedBy": silenced_by,
                        "inhibitedBy": Vec::from_iter(inhibited_by),
                    },
                    "labels": *alert.labels,
                    "annotations": *alert.annotations,
                    "value": number(alert.value),
                    "active_at": time(alert.active_at_ms),
                    "fired_at": alert.fired_at_ms.map(time),
                    "resolved_at": alert.resolved_at_ms.map(time),
                    "group": group.name,
                    "file": group.file,
                    "rule": rule.rule.name(),
                    "expr": rule.rule.query.text(),
                }));
            }
        }
    }
    Json(json!({
        "alerts": alerts,
        "pipeline": api.pipeline(),
        "rules_error": view.bad_files(),
        "alertmanager_config_error": view.bad_config(),
    }))
}

/// All groups with their rules, and how their last evaluation went.
pub(super) async fn rules(Of(api): Of<Api>, tenants: Tenants) -> Result<Json<Value>, Problem> {
    api.blocking(move |api| all_rules(api, &tenants)).await
}

fn all_rules(api: &Api, tenants: &Tenants) -> Json<Value> {
    let view = api.sight.of(tenants);
    let rule = |status: &RuleStatus| {
        let (kind, hold_ms, keep_ms) = kind(status);
        let (annotations, threshold) = match &status.rule.kind {
            RuleKind::Alert { annotations, .. } => (texts(annotations), status.rule.query.threshold()),
            RuleKind::Record(_) => (json!({}), None),
        };
        json!({
            "name": status.rule.name(),
            "type": kind,
            "expr": status.rule.query.text(),
            "threshold": threshold.map(|of| json!({"expr": of.expr, "op": of.op, "value": number(of.value)})),
            "labels": texts(&status.rule.labels),
            "annotations": annotations,
            "line": status.rule.line,
            "for_seconds": hold_ms as f64 / 1000.0,
            "keep_firing_for_seconds": keep_ms as f64 / 1000.0,
            "health": health(&status.health).0,
            "error": health(&status.health).1,
            "alerts": status.alerts.iter().filter(|alert| alert.state != State::Resolved).count(),
        })
    };
    let group = |group: &GroupStatus| {
        json!({
            "name": group.name,
            "file": group.file,
            "interval_seconds": group.interval_ms as f64 / 1000.0,
            "evaluated_until": group.evaluated_ms.map(time),
            "rules": group.rules.iter().map(rule).collect::<Vec<_>>(),
        })
    };
    let groups: Vec<_> = view.status().iter().map(group).collect();
    Json(json!({"groups": groups, "pipeline": api.pipeline(), "rules_error": view.bad_files()}))
}

/// JSON has no NaN and no infinity; they are text.
pub(crate) fn number(value: f64) -> Value {
    if value.is_finite() { json!(value) } else { json!(float(value)) }
}

fn kind(status: &RuleStatus) -> (&'static str, i64, i64) {
    match &status.rule.kind {
        RuleKind::Alert { for_ms, keep_firing_ms, .. } => ("alerting", *for_ms, *keep_firing_ms),
        RuleKind::Record(_) => ("recording", 0, 0),
    }
}

fn health(health: &Health) -> (&'static str, Option<&str>) {
    match health {
        Health::Unknown => ("unknown", None),
        Health::Ok => ("ok", None),
        Health::Failed(error) => ("err", Some(error)),
    }
}

fn active(alerts: &[Alert]) -> Vec<Value> {
    let alert = |alert: &Alert| {
        json!({
            "labels": *alert.labels,
            "annotations": *alert.annotations,
            "state": alert.state.name(),
            "activeAt": time(alert.active_at_ms),
            "value": float(alert.value),
        })
    };
    alerts.iter().filter(|alert| alert.state != State::Resolved).map(alert).collect()
}

pub(super) async fn prometheus_alerts(Of(api): Of<Api>, asked: Asked) -> Answer {
    let alerts = move |api: &Api| {
        let status = api.sight.of(&asked.tenants).status();
        let rules = status.iter().flat_map(|group| &group.rules);
        Ok(rules.flat_map(|rule| active(&rule.alerts)).collect::<Vec<_>>())
    };
    success(&json!({"alerts": api.run(alerts).await?}))
}

/// As they are written, templates and all.
fn texts(texts: &BTreeMap<String, Text>) -> Value {
    json!(texts.iter().map(|(name, text)| (name, text.source())).collect::<BTreeMap<_, _>>())
}

pub(super) async fn prometheus_rules(Of(api): Of<Api>, asked: Asked) -> Answer {
    let Asked { tenants, parameters } = asked;
    let wanted = match parameters.get("type") {
        None => None,
        Some("alert") => Some("alerting"),
        Some("record") => Some("recording"),
        Some(other) => return Err(Failure::parameter("type", format!("«{other}» is neither alert nor record"))),
    };
    let without_alerts = parameters.is_on("exclude_alerts")?;
    let mut status = api.run(move |api| Ok(api.sight.of(&tenants).status())).await?;
    // Of a name that is not given, all are wanted.
    let is_named = |parameter: &str, name: &str| {
        let mut names = parameters.all(parameter).peekable();
        names.peek().is_none() || names.any(|wanted| wanted == name)
    };
    status.retain(|group| is_named("rule_group[]", &group.name) && is_named("file[]", &group.file.to_string_lossy()));
    for group in &mut status {
        group.rules.retain(|rule| {
            wanted.is_none_or(|wanted| wanted == kind(rule).0) && is_named("rule_name[]", rule.rule.name())
        });
    }
    // As in Prometheus, a group without a rule of such a name is left out, and one without a rule of such a type is not.
    let by_name = parameters.all("rule_name[]").next().is_some();
    status.retain(|group| !by_name || !group.rules.is_empty());
    let never = "0001-01-01T00:00:00Z";
    let group = |group: &GroupStatus| {
        let evaluated = group.evaluated_ms.map_or_else(|| never.to_owned(), time);
        let rule = |status: &RuleStatus| {
            let (kind, hold_ms, keep_ms) = kind(status);
            let mut rule = json!({
                "name": status.rule.name(),
                "query": status.rule.query.text(),
                "type": kind,
                "health": health(&status.health).0,
                "lastError": health(&status.health).1.unwrap_or_default(),
                "labels": texts(&status.rule.labels),
                "evaluationTime": 0,
                "lastEvaluation": evaluated,
            });
            if let (Value::Object(rule), RuleKind::Alert { annotations, .. }) = (&mut rule, &status.rule.kind) {
                let is = |state| status.alerts.iter().any(|alert| alert.state == state);
                let state = if is(State::Firing) {
                    "firing"
                } else if is(State::Pending) {
                    "pending"
                } else {
                    "inactive"
                };
                rule.insert("state".to_owned(), json!(state));
                rule.insert("duration".to_owned(), json!(hold_ms as f64 / 1000.0));
                rule.insert("keepFiringFor".to_owned(), json!(keep_ms as f64 / 1000.0));
                rule.insert("annotations".to_owned(), texts(annotations));
                let shown = if without_alerts { &[] } else { status.alerts.as_slice() };
                rule.insert("alerts".to_owned(), json!(active(shown)));
            }
            rule
        };
        json!({
            "name": group.name,
            "file": group.file,
            "interval": group.interval_ms as f64 / 1000.0,
            "limit": group.limit,
            "rules": group.rules.iter().map(rule).collect::<Vec<_>>(),
            "evaluationTime": 0,
            "lastEvaluation": evaluated,
        })
    };
    success(&json!({"groups": status.iter().map(group).collect::<Vec<_>>()}))
}
