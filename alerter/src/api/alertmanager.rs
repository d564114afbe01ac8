//! `/alertmanager/api/v2/…` in the shapes of Alertmanager's API, version 2, for `amtool` and what else speaks to one.

use std::collections::{BTreeMap, BTreeSet};

use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use regex::{Regex, RegexBuilder};
use serde_json::{Value, json};
use weir_service::auth::{Access, Credential, Tenants};
use weir_service::http::{Json as Posted, Parameter, Problem, Query, Route, Routes};

use super::silences::filters;
use super::state::time;
use super::view::View;
use super::{Api, silences};
use crate::notify::{Alert, LabelMatcher, PostedSilence, fingerprint};
use crate::options::reason;

/// The version of Alertmanager whose API this is.
const VERSION: &str = "0.25.0";
/// What fires is said to do so for so long, in milliseconds; it is said again when it is asked for again.
const HOLDS_MS: i64 = 300_000;
/// What a pattern may take when compiled, in bytes.
const REGEX_BYTES: usize = 1 << 16;

const NOT_TAKEN: &str = "alerts come from weir's own rules, and none are taken here; to send other alerts to the same \
    receivers, use an Alertmanager, which weir can tell too (alertmanager_configs)";
const HIDDEN: &str = "# The configuration is shown to a credential of all tenants.\n";

/// An error as Alertmanager's clients read it: a JSON text.
#[derive(Debug)]
pub(super) struct Refusal(Problem);

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, Json(self.0.detail)).into_response()
    }
}

type Answer = Result<Json<Value>, Refusal>;

pub(super) fn routes(routes: Routes<Api>) -> Routes<Api> {
    let get = |path, about, parameters: &[Parameter]| Route::get(path, Access::Read, about).takes(parameters);
    let filter = ("filter", "Matcher such as severity=\"page\"; may be there more than once");
    let asked = [
        filter,
        ("receiver", "Regular expression of the receiver's name"),
        ("active", "false: without alerts that are told"),
        ("silenced", "false: without those that are silenced"),
        ("inhibited", "false: without those that another keeps from being told"),
        ("unprocessed", "Of no account: all alerts here are processed"),
    ];
    let silence = "/alertmanager/api/v2/silence/{id}";
    let silences = "/alertmanager/api/v2/silences";
    let post = "Makes or changes a silence, as Alertmanager does";
    routes
        .on(get("/alertmanager/api/v2/status", "How notifications are configured", &[]), status)
        .on(get("/alertmanager/api/v2/receivers", "Names of receivers", &[]), receivers)
        .on(get("/alertmanager/api/v2/alerts", "Alerts that fire, as Alertmanager has them", &asked), alerts)
        .on(Route::post("/alertmanager/api/v2/alerts", Access::Operate, "Refused: alerts come from rules"), refuse)
        .on(get("/alertmanager/api/v2/alerts/groups", "Groups that alerts are told in", &asked), groups)
        .on(get(silences, "Silences, as Alertmanager has them", &[filter]), list_silences)
        .on(Route::post(silences, Access::Operate, post), post_silence)
        .on(get(silence, "One silence, as Alertmanager has it", &[]), one_silence)
        .on(Route::delete(silence, Access::Operate, "Ends a silence, as Alertmanager does"), delete_silence)
}

async fn status(State(api): State<Api>, tenants: Tenants) -> Json<Value> {
    let config = api.sight.of(&tenants).notification_config();
    Json(json!({
        "cluster": {"status": "disabled", "peers": []},
        "versionInfo": {
            "version": VERSION, "revision": "weir", "branch": "weir", "buildUser": "", "buildDate": "", "goVersion": ""
        },
        "config": {"original": config.as_deref().unwrap_or(HIDDEN)},
        "uptime": weir_service::time::format(api.opened),
    }))
}

async fn receivers(State(api): State<Api>, tenants: Tenants) -> Json<Value> {
    let names = api.sight.of(&tenants).receivers();
    Json(names.iter().map(|name| json!({ "name": name })).collect())
}

async fn refuse(State(_): State<Api>, _: Tenants) -> Refusal {
    Refusal(Problem::new(StatusCode::METHOD_NOT_ALLOWED, NOT_TAKEN))
}

/// Which alerts are asked for.
struct Asked {
    filters: Vec<LabelMatcher>,
    receiver: Option<Regex>,
    active: bool,
    silenced: bool,
    inhibited: bool,
}

impl Asked {
    fn read(parameters: &[(String, String)]) -> Result<Self, Problem> {
        let value =
            |name: &str| parameters.iter().rev().find(|(other, _)| other == name).map(|(_, text)| text.as_str());
        let is_on = |name: &str| match value(name) {
            None | Some("true" | "1") => Ok(true),
            Some("false" | "0") => Ok(false),
            Some(other) => Err(Problem::parameter(name, format!("{name}: «{other}» is neither true nor false"))),
        };
        let receiver = value("receiver").filter(|text| !text.is_empty()).map(|text| {
            let regex = RegexBuilder::new(&format!("^(?:{text})$")).size_limit(REGEX_BYTES).build();
            regex.map_err(|error| {
                let detail = format!("receiver: «{text}» is not a regular expression: {}", reason(&error));
                Problem::parameter("receiver", detail)
            })
        });
        is_on("unprocessed")?;
        Ok(Self {
            filters: filters(parameters)?,
            receiver: receiver.transpose()?,
            active: is_on("active")?,
            silenced: is_on("silenced")?,
            inhibited: is_on("inhibited")?,
        })
    }

    fn takes_receiver(&self, name: &str) -> bool {
        self.receiver.as_ref().is_none_or(|regex| regex.is_match(name))
    }
}

/// Alerts as they are shown, by their fingerprints.
struct Shown<'a> {
    view: View<'a>,
    asked: &'a Asked,
    receivers: BTreeMap<u64, BTreeSet<String>>,
    now_ms: i64,
    updated_ms: i64,
}

impl Shown<'_> {
    /// `None` where it is not asked for.
    fn alert(&self, alert: &Alert) -> Option<Value> {
        let (asked, labels) = (self.asked, &*alert.labels);
        let id = fingerprint(labels);
        if alert.ends_at_ms.is_some() || !asked.filters.iter().all(|matcher| matcher.matches(labels)) {
            return None;
        }
        let silenced_by = self.view.silenced_by(labels, self.now_ms);
        let inhibited_by: Vec<String> = self.view.inhibited_by(labels).into_iter().collect();
        let is_active = silenced_by.is_empty() && inhibited_by.is_empty();
        if (is_active && !asked.active)
            || (!silenced_by.is_empty() && !asked.silenced)
            || (!inhibited_by.is_empty() && !asked.inhibited)
        {
            return None;
        }
        let receivers = self.receivers.get(&id).into_iter().flatten();
        Some(json!({
            "annotations": *alert.annotations,
            "endsAt": time(self.now_ms.saturating_add(HOLDS_MS)),
            "fingerprint": format!("{id:016x}"),
            "receivers": receivers.map(|name| json!({ "name": name })).collect::<Vec<_>>(),
            "startsAt": time(alert.starts_at_ms),
            "status": {
                "inhibitedBy": inhibited_by,
                "silencedBy": silenced_by,
                "state": if is_active { "active" } else { "suppressed" },
            },
            "updatedAt": time(self.updated_ms),
            "generatorURL": alert.generator_url,
            "labels": labels,
        }))
    }
}

/// Groups, each with its alerts by their fingerprints, of those that are asked for.
fn shown(api: &Api, tenants: &Tenants, asked: &Asked) -> Vec<(Value, BTreeMap<u64, Value>)> {
    let view = api.sight.of(tenants);
    let (groups, updated_ms) = view.groups();
    let mut receivers: BTreeMap<u64, BTreeSet<String>> = BTreeMap::new();
    for group in &groups {
        for alert in &group.alerts {
            receivers.entry(fingerprint(&alert.labels)).or_default().insert(group.receiver.clone());
        }
    }
    let now_ms = weir_service::time::now_unix_ms();
    let shown = Shown { view, asked, receivers, now_ms, updated_ms };
    let taken = groups.iter().filter(|group| asked.takes_receiver(&group.receiver));
    let group = taken.map(|group| {
        let alerts = group.alerts.iter().filter_map(|alert| Some((fingerprint(&alert.labels), shown.alert(alert)?)));
        (json!({"labels": group.labels, "receiver": {"name": group.receiver}}), alerts.collect())
    });
    group.filter(|(_, alerts): &(Value, BTreeMap<u64, Value>)| !alerts.is_empty()).collect()
}

async fn alerts(State(api): State<Api>, tenants: Tenants, Query(parameters): Query<Vec<(String, String)>>) -> Answer {
    let asked = Asked::read(&parameters)?;
    let all = api.blocking(move |api| {
        let alerts: BTreeMap<u64, Value> =
            shown(api, &tenants, &asked).into_iter().flat_map(|(_, alerts)| alerts).collect();
        Json(alerts.into_values().collect())
    });
    Ok(all.await?)
}

async fn groups(State(api): State<Api>, tenants: Tenants, Query(parameters): Query<Vec<(String, String)>>) -> Answer {
    let asked = Asked::read(&parameters)?;
    let all = api.blocking(move |api| {
        let groups = shown(api, &tenants, &asked).into_iter().map(|(mut group, alerts)| {
            group["alerts"] = alerts.into_values().collect();
            group
        });
        Json(groups.collect())
    });
    Ok(all.await?)
}

async fn list_silences(api: State<Api>, tenants: Tenants, parameters: Query<Vec<(String, String)>>) -> Answer {
    Ok(silences::list(api, tenants, parameters).await?)
}

async fn one_silence(api: State<Api>, tenants: Tenants, id: Path<String>) -> Answer {
    Ok(silences::one(api, tenants, id).await?)
}

async fn post_silence(
    api: State<Api>,
    tenants: Tenants,
    credential: Extension<Credential>,
    posted: Posted<PostedSilence>,
) -> Answer {
    Ok(silences::put(api, tenants, credential, posted).await?)
}

async fn delete_silence(api: State<Api>, tenants: Tenants, id: Path<String>) -> Result<StatusCode, Refusal> {
    Ok(silences::delete(api, tenants, id).await?)
}
