//! Which fields and indices there are.

use std::collections::{BTreeMap, BTreeSet};

use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use http::Uri;
use serde_json::{Map, Value as Json, json};
use weir_query::ast::Query;
use weir_query::line::Line;
use weir_service::elastic::Fault;

use super::hits::{flatten, source};
use super::indices::{self, ALL, Indices, like, names};
use super::request::Params;
use super::{Asked, InPath, body_of, index_of, run, shown};
use crate::api::Api;
use crate::query::dsl::Compiler;
use crate::schedule::Caller;
use crate::search::{self, Error, MAX_GROUPS, Selection};
use crate::snapshot::Snapshot;

/// Fields are those of so many of the newest lines.
const SAMPLE: usize = 20_000;

/// Types of fields by name.
type Fields = BTreeMap<String, BTreeSet<&'static str>>;

pub(super) async fn field_caps(
    State(api): State<Api>,
    index: InPath,
    caller: Caller,
    uri: Uri,
    body: Bytes,
) -> Response {
    let params = Params::of(&uri);
    let read = || -> Result<(Indices, Asked), Fault> {
        let body = body_of(&body)?;
        let query = match body.get("index_filter") {
            Some(filter) => Compiler::new(weir_service::time::now_unix_nano()).query(filter)?,
            None => Query::All,
        };
        let indices = Indices::read(index_of(index)?.as_deref().unwrap_or_default(), params.ignores_unavailable());
        let asked = Asked::new(query, &indices)?;
        Ok((indices, asked))
    };
    let found = match read() {
        Ok((indices, asked)) => fields_of(&api, &caller, indices, asked).await,
        Err(fault) => Err(fault),
    };
    let patterns: Vec<String> = params.get("fields").unwrap_or("*").split(',').map(str::to_owned).collect();
    shown(found.map(|(fields, indices)| {
        let is_asked = |name: &String| patterns.iter().any(|pattern| like(pattern, name));
        let caps = fields.into_iter().filter(|(name, _)| is_asked(name)).map(|(name, kinds)| {
            let of = |kind: &'static str| {
                let can = json!({
                    "type": kind, "metadata_field": name.starts_with('_'), "searchable": true,
                    "aggregatable": kind != "text",
                });
                (kind.to_owned(), can)
            };
            let kinds: Map<String, Json> = kinds.into_iter().map(of).collect();
            (name, Json::Object(kinds))
        });
        json!({"indices": indices, "fields": caps.collect::<Map<_, _>>()})
    }))
}

/// Deepest nesting of names in a mapping.
const MAX_DEPTH: usize = 20;
/// Most names in all mappings of an answer.
const MAX_NAMES: usize = 200_000;

pub(super) async fn mapping(State(api): State<Api>, index: InPath, caller: Caller, uri: Uri) -> Response {
    shown(mappings(&api, index, &caller, &uri).await)
}

async fn mappings(api: &Api, index: InPath, caller: &Caller, uri: &Uri) -> Result<Json, Fault> {
    let params = Params::of(uri);
    let indices = Indices::read(index_of(index)?.as_deref().unwrap_or_default(), params.ignores_unavailable());
    let asked = Asked::new(Query::All, &indices)?;
    let (fields, indices) = fields_of(api, caller, indices, asked).await?;
    if fields.len().saturating_mul(indices.len()) > MAX_NAMES {
        return Err(Fault::argument("too many fields and indices: ask for fewer indices"));
    }
    let mut root = json!({});
    for (name, kinds) in &fields {
        // Of several types, text takes all.
        let kind = kinds.iter().find(|kind| **kind == "keyword").or(kinds.first());
        let mut at = &mut root;
        // The last part has what would lie deeper.
        for key in name.splitn(MAX_DEPTH, '.') {
            at = &mut at["properties"][key];
        }
        at["type"] = kind.copied().into();
    }
    Ok(Json::Object(indices.into_iter().map(|index| (index, json!({"mappings": root}))).collect()))
}

async fn fields_of(
    api: &Api,
    caller: &Caller,
    indices: Indices,
    asked: Asked,
) -> Result<(Fields, BTreeSet<String>), Fault> {
    run(api, caller, &asked, move |snapshot, selection| {
        if let Err(fault) = indices.check(snapshot)? {
            return Ok(Err(fault));
        }
        sampled(snapshot, &indices, selection).map(Ok)
    })
    .await
}

fn sampled(
    snapshot: &dyn Snapshot,
    indices: &Indices,
    selection: &Selection,
) -> Result<(Fields, BTreeSet<String>), Error> {
    let mut fields: Fields = BTreeMap::new();
    let mut found = BTreeSet::new();
    if indices.is_everything() {
        found.insert(ALL.to_owned());
        for name in ["@timestamp", "message", "log.level", "service.name", "trace.id", "span.id", "_index"] {
            fields.insert(name.to_owned(), BTreeSet::from([kind(name, &json!(""))]));
        }
    }
    let mut lines = 0;
    'newest: for candidate in snapshot.candidates(&selection.needs, selection.start, selection.end)? {
        for line in &selection.read(&candidate)? {
            add_fields(line, &mut fields);
            if let Some(index) = indices::of(line).filter(|index| !found.contains(*index) && !indices.is_everything()) {
                found.insert(index.to_owned());
            }
            lines += 1;
            if lines >= SAMPLE || fields.len() >= MAX_GROUPS {
                break 'newest;
            }
        }
    }
    Ok((fields, found))
}

fn add_fields(line: &Line, fields: &mut Fields) {
    flatten("", &Json::Object(source(line)), &mut |name, value| {
        let kind = kind(&name, value);
        fields.entry(name).or_default().insert(kind);
    });
}

fn kind(name: &str, value: &Json) -> &'static str {
    match (name, value) {
        ("@timestamp", _) => "date",
        ("message", _) => "text",
        (_, Json::Bool(_)) => "boolean",
        (_, Json::Number(number)) if number.is_i64() => "long",
        (_, Json::Number(_)) => "double",
        _ => "keyword",
    }
}

/// Indices with the number of their lines.
async fn counted(api: &Api, caller: &Caller, indices: Indices) -> Result<Vec<(String, u64)>, Fault> {
    let everything = Asked::new(Query::All, &Indices::default())?;
    run(api, caller, &everything, move |snapshot, selection| {
        if let Err(fault) = indices.check(snapshot)? {
            return Ok(Err(fault));
        }
        let mut counted = Vec::new();
        for name in names(snapshot, &indices, selection)? {
            match count(snapshot, &name, selection)? {
                Ok(count) => counted.push((name, count)),
                Err(fault) => return Ok(Err(fault)),
            }
        }
        Ok(Ok(counted))
    })
    .await
}

fn count(snapshot: &dyn Snapshot, name: &str, within: &Selection) -> Result<Result<u64, Fault>, Error> {
    match Asked::new(Query::All, &Indices::read(name, true)) {
        Ok(asked) => search::count(snapshot, &Selection { budget: within.budget.clone(), ..asked.selection }).map(Ok),
        Err(fault) => Ok(Err(fault)),
    }
}

pub(super) async fn cat_indices(State(api): State<Api>, index: InPath, caller: Caller, uri: Uri) -> Response {
    let params = Params::of(&uri);
    if params.get("format") != Some("json") {
        return shown(Err(Fault::argument("_cat is answered as JSON: add format=json")));
    }
    if let Some(other) = ["bytes", "b", "v", "s"].into_iter().find(|name| params.get(name).is_some()) {
        return shown(Err(Fault::argument(format!("_cat does not take the parameter [{other}] here"))));
    }
    let listed = match index_of(index) {
        Ok(index) => counted(&api, &caller, Indices::read(index.as_deref().unwrap_or_default(), true)).await,
        Err(fault) => Err(fault),
    };
    shown(listed.map(|listed| {
        let is_shown = params.get("health").is_none_or(|health| health == "green");
        let rows = listed.into_iter().filter(|_| is_shown).map(|(name, count)| {
            let row = json!({
                "health": "green", "status": "open", "index": name, "uuid": name, "pri": "1", "rep": "0",
                "docs.count": count.to_string(), "docs.deleted": "0",
            });
            match (params.get("h"), row) {
                (Some(columns), Json::Object(row)) => {
                    let kept = row.into_iter().filter(|(name, _)| columns.split(',').any(|column| column == name));
                    Json::Object(kept.collect())
                }
                (_, row) => row,
            }
        });
        rows.collect()
    }))
}

pub(super) async fn resolve(State(api): State<Api>, index: InPath, caller: Caller) -> Response {
    let listed = match index_of(index) {
        Ok(index) => resolved(&api, &caller, Indices::read(index.as_deref().unwrap_or_default(), false)).await,
        Err(fault) => Err(fault),
    };
    shown(listed.map(|names| {
        let indices: Vec<Json> = names.iter().map(|name| json!({"name": name, "attributes": ["open"]})).collect();
        json!({"indices": indices, "aliases": [], "data_streams": []})
    }))
}

async fn resolved(api: &Api, caller: &Caller, indices: Indices) -> Result<BTreeSet<String>, Fault> {
    let everything = Asked::new(Query::All, &Indices::default())?;
    run(api, caller, &everything, move |snapshot, selection| {
        if let Err(fault) = indices.check(snapshot)? {
            return Ok(Err(fault));
        }
        let mut names = names(snapshot, &indices, selection)?;
        if indices.is_everything() {
            names.insert(ALL.to_owned());
        }
        Ok(Ok(names))
    })
    .await
}

pub(super) async fn index(State(api): State<Api>, index: InPath, caller: Caller, uri: Uri) -> Response {
    shown(mappings(&api, index, &caller, &uri).await.map(|mappings| {
        let Json::Object(indices) = mappings else { return mappings };
        let of = |(name, about): (String, Json)| {
            (name, json!({"aliases": {}, "mappings": about["mappings"], "settings": {}}))
        };
        Json::Object(indices.into_iter().map(of).collect())
    }))
}
