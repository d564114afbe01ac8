//! What a search asks for: its body, and the parameters of its address.

use std::collections::BTreeMap;

use http::Uri;
use serde_json::{Map, Value as Json, json};
use weir_query::ast::Query;
use weir_service::elastic::Fault;

use super::highlight::Highlight;
use super::hits::{Shape, SourceFilter};
use super::indices::Indices;
use super::search::Plan;
use super::sort::{self, SortKey};
use super::{Asked, MAX_SEARCHES};
use crate::aggregate::Aggregations;
use crate::query::dsl::Compiler;

/// Greatest `from` and `size` together.
pub(super) const MAX_WINDOW: usize = 10_000;

/// Parts of a body that change nothing of what is found here.
const WITHOUT_EFFECT: [&str; 14] = [
    "script_fields",
    "stored_fields",
    "explain",
    "version",
    "seq_no_primary_term",
    "timeout",
    "terminate_after",
    "min_score",
    "profile",
    "runtime_mappings",
    "track_scores",
    "indices_boost",
    "stats",
    "ext",
];

/// Parameters of an address; of one that is given twice, the last counts.
#[derive(Debug, Default)]
pub(super) struct Params(BTreeMap<String, String>);

/// How many hits are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Track {
    Not,
    UpTo(u64),
    All,
}

/// A search.
#[derive(Debug)]
pub(super) struct Request {
    /// The body and the parameters together, for a scroll to go on with.
    pub(super) body: Json,
    pub(super) query: Query,
    pub(super) from: usize,
    pub(super) size: usize,
    pub(super) sort: Vec<SortKey>,
    pub(super) after: Option<Vec<Json>>,
    pub(super) track: Track,
    pub(super) shape: Shape,
    pub(super) aggregations: Option<Aggregations>,
    pub(super) scroll: bool,
}

impl Params {
    pub(super) fn of(uri: &Uri) -> Self {
        Self(form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(super) fn is_set(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value != "false")
    }

    pub(super) fn ignores_unavailable(&self) -> bool {
        self.is_set("ignore_unavailable")
    }

    fn list(&self, name: &str) -> Option<Json> {
        let listed = self.get(name)?.split(',').filter(|one| !one.is_empty());
        Some(listed.map(Json::from).collect())
    }
}

impl Request {
    /// Reads a search; parameters of the address win over the body.
    pub(super) fn read(body: &Json, params: &Params) -> Result<Self, Fault> {
        let Json::Object(body) = body else { return Err(Fault::parsing("the body of a search must be an object")) };
        let mut body = body.clone();
        for name in ["size", "from", "track_total_hits", "sort"] {
            if let Some(value) = params.get(name) {
                body.insert(name.to_owned(), value.into());
            }
        }
        if let Some(text) = params.get("q") {
            body.insert("query".to_owned(), json!({"query_string": {"query": text}}));
        }
        if let Some(listed) = params.list("_source") {
            let is_plain = |word: &str| listed == json!([word]);
            let source = if is_plain("true") {
                true.into()
            } else if is_plain("false") {
                false.into()
            } else {
                listed
            };
            body.insert("_source".to_owned(), source);
        }
        let (includes, excludes) = (params.list("_source_includes"), params.list("_source_excludes"));
        if includes.is_some() || excludes.is_some() {
            let none = || json!([]);
            let filter = json!({"includes": includes.unwrap_or_else(none), "excludes": excludes.unwrap_or_else(none)});
            body.insert("_source".to_owned(), filter);
        }
        Self::of(body, params.get("scroll").is_some())
    }

    /// Reads what holds all that there is to know of a search.
    pub(super) fn of(body: Map<String, Json>, scroll: bool) -> Result<Self, Fault> {
        let now = weir_service::time::now_unix_nano();
        let mut compiler = Compiler::new(now);
        let mut request = Self {
            body: Json::Null,
            query: Query::All,
            from: 0,
            size: 10,
            sort: Vec::new(),
            after: None,
            track: Track::UpTo(10_000),
            shape: Shape::default(),
            aggregations: None,
            scroll,
        };
        let mut also = None;
        for (name, json) in body.iter().filter(|(_, json)| !json.is_null()) {
            match name.as_str() {
                "query" => request.query = compiler.query(json)?,
                "post_filter" => also = Some(compiler.query(json)?),
                "from" => request.from = number(name, json)?,
                "size" => request.size = number(name, json)?,
                "sort" => request.sort = sort::read(json)?,
                "search_after" => {
                    let after = json.as_array().ok_or_else(|| Fault::parsing("[search_after] must be a list"))?;
                    request.after = Some(after.clone());
                }
                "track_total_hits" => request.track = track(json)?,
                "_source" => request.shape.source = SourceFilter::read(json)?,
                "fields" | "docvalue_fields" => request.shape.add_fields(name, json)?,
                "highlight" => request.shape.highlight = Some(Highlight::read(json)?),
                "aggs" | "aggregations" => {
                    let read = Aggregations::read(json, now)?;
                    request.aggregations = Some(read).filter(|read| !read.list().is_empty());
                }
                name if WITHOUT_EFFECT.contains(&name) => {}
                _ => {
                    let shown: String = name.chars().take(64).collect();
                    return Err(Fault::parsing(format!("unknown key [{shown}] for a search")));
                }
            }
        }
        if let Some(also) = also {
            if request.aggregations.is_some() {
                return Err(Fault::argument("[post_filter] is not supported beside aggregations: filter the query"));
            }
            request.query = Query::And(vec![request.query, also]);
        }
        if request.from.saturating_add(request.size) > MAX_WINDOW {
            let asked = request.from.saturating_add(request.size);
            return Err(Fault::argument(format!(
                "Result window is too large, from + size must be less than or equal to: [{MAX_WINDOW}] but was \
                 [{asked}]. Use search_after, or the scroll API"
            )));
        }
        if request.after.is_some() && request.from > 0 {
            return Err(Fault::argument("`from` parameter must be set to 0 when `search_after` is used"));
        }
        request.body = Json::Object(body);
        Ok(request)
    }

    /// The query of `_count`.
    pub(super) fn read_count(body: &Json, params: &Params) -> Result<Query, Fault> {
        if let Some(key) = body.as_object().and_then(|body| body.keys().find(|key| *key != "query")) {
            let shown: String = key.chars().take(64).collect();
            return Err(Fault::parsing(format!("request does not support [{shown}]")));
        }
        Self::read(body, params).map(|request| request.query)
    }

    /// Ready to run over these indices.
    pub(super) fn plan(self, indices: Indices) -> Result<Plan, Fault> {
        let asked = Asked::new(self.query.clone(), &indices)?;
        Plan::new(self, asked, indices)
    }
}

/// The searches of an `_msearch`, each on its own.
pub(super) fn many(body: &[u8], index: Option<&str>, params: &Params) -> Result<Vec<Result<Plan, Fault>>, Fault> {
    let mut lines = body.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let mut plans = Vec::new();
    while let Some(head) = lines.next() {
        let search = lines.by_ref().next();
        let Some(search) = search.filter(|search| !search.is_empty()) else {
            if head.is_empty() {
                continue;
            }
            return Err(Fault::argument("a header of _msearch has no search in the line behind it"));
        };
        if plans.len() >= MAX_SEARCHES {
            return Err(Fault::argument(format!("an _msearch has at most {MAX_SEARCHES} searches")));
        }
        let head = if head.is_empty() { b"{}" } else { head };
        let read = |text| serde_json::from_slice(text).map_err(|error| Fault::parsing(format!("no JSON: {error}")));
        let (head, search): (Json, Json) = (read(head)?, read(search)?);
        plans.push(one_of_many(&head, &search, index, params));
    }
    if plans.is_empty() {
        let reason = "Validation Failed: 1: no requests added;";
        return Err(Fault::new(http::StatusCode::BAD_REQUEST, "action_request_validation_exception", reason));
    }
    Ok(plans)
}

fn one_of_many(head: &Json, search: &Json, index: Option<&str>, params: &Params) -> Result<Plan, Fault> {
    let named = match head.get("index").or_else(|| head.get("indices")) {
        Some(Json::String(name)) => Some(name.clone()),
        Some(Json::Array(names)) => Some(names.iter().filter_map(Json::as_str).collect::<Vec<_>>().join(",")),
        _ => None,
    };
    let named = named.as_deref().or(index).unwrap_or_default();
    let ignores = head.get("ignore_unavailable").is_some_and(|flag| *flag == json!(true) || *flag == json!("true"));
    let indices = Indices::read(named, ignores || params.ignores_unavailable());
    Request::read(search, params)?.plan(indices)
}

fn number(name: &str, json: &Json) -> Result<usize, Fault> {
    let read = json.as_u64().or_else(|| json.as_str()?.parse().ok()).and_then(|number| usize::try_from(number).ok());
    read.ok_or_else(|| Fault::argument(format!("[{name}] must be a whole number from 0 on")))
}

fn track(json: &Json) -> Result<Track, Fault> {
    match (json.as_bool(), json.as_u64(), json.as_str()) {
        (Some(true), ..) | (_, _, Some("true" | "")) => Ok(Track::All),
        (Some(false), ..) | (_, _, Some("false")) => Ok(Track::Not),
        (_, Some(most), _) => Ok(Track::UpTo(most)),
        (_, _, Some(text)) if text.parse::<u64>().is_ok() => Ok(Track::UpTo(text.parse().unwrap_or(u64::MAX))),
        _ => Err(Fault::argument("[track_total_hits] must be true, false or a number")),
    }
}
