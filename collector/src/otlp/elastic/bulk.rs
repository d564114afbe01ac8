//! The body of `_bulk`: lines of an action, and of a document behind those that have one.

use ahash::AHashMap;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::StatusCode;
use prost::Message as _;
use serde_json::{Map, Value, json};
use weir_proto::otlp::logs::v1::LogRecord;
use weir_service::elastic::Fault;

use super::document::{self, Document};
use crate::otlp::Tenants;
use crate::otlp::split::Sizes;
use crate::otlp::wire::{field_len, put_bytes, put_head};

/// Most actions of one request; a shipper that is told of too many sends them in two.
pub(super) const MAX_ITEMS: usize = 1 << 16;

/// Longest name of an index, and longest `_id`, in bytes: as Elasticsearch has them.
const MAX_INDEX: usize = 255;
const MAX_ID: usize = 512;

/// Room for what lies around a resource and a record in a value for the bus, in bytes.
const AROUND: usize = 256;

/// A request that was read: what its documents become, and what its answer says of each.
#[derive(Debug, Default)]
pub(super) struct Bulk {
    items: Vec<Item>,
    /// Records (the field of a scope, each) by resource.
    records: AHashMap<Vec<u8>, Vec<u8>>,
    /// Documents made ids by this; the rest is their number.
    ids: u64,
}

#[derive(Debug)]
struct Item {
    action: Action,
    index: String,
    id: Option<String>,
    error: Option<Fault>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Index,
    Create,
    Update,
    Delete,
}

impl Action {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "index" => Self::Index,
            "create" => Self::Create,
            "update" => Self::Update,
            "delete" => Self::Delete,
            _ => return None,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::Index => "index",
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

impl Bulk {
    /// Reads a body. `index` is that of the path; `sizes` are what the topic takes. An error is one of the whole request.
    pub(super) fn read(body: &[u8], index: Option<&str>, tenants: &Tenants, sizes: Sizes) -> Result<Self, Fault> {
        let mut bulk = Self { ids: rand::random(), ..Self::default() };
        if !body.is_empty() && !body.ends_with(b"\n") {
            return Err(Fault::argument("The bulk request must be terminated by a newline [\\n]"));
        }
        let mut lines = body.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).enumerate();
        let mut unnamed = Vec::new();
        while let Some((at, line)) = lines.next() {
            if line.is_empty() {
                continue;
            }
            if bulk.items.len() >= MAX_ITEMS {
                let reason = format!("a bulk request has at most {MAX_ITEMS} actions: send them in several");
                return Err(Fault::new(StatusCode::PAYLOAD_TOO_LARGE, "illegal_argument_exception", reason));
            }
            let (action, mut about) = read_action(line, at + 1)?;
            let mut text = |name| about.remove(name).as_ref().and_then(text_of);
            let (named, id) = (text("_index").or(index.map(str::to_owned)), text("_id"));
            let source = if action == Action::Delete { None } else { lines.next().map(|(_, line)| line) };
            if named.is_none() {
                unnamed.push(bulk.items.len() + 1);
            }
            let mut item = Item { action, index: named.unwrap_or_default(), id, error: None };
            item.error = bulk.add(&item, source, tenants, sizes).err();
            bulk.items.push(item);
        }
        if !unnamed.is_empty() {
            let wrong: Vec<_> = unnamed.iter().take(10).map(|number| format!("{number}: index is missing;")).collect();
            let reason = format!("Validation Failed: {}", wrong.join(" "));
            return Err(Fault::new(StatusCode::BAD_REQUEST, "action_request_validation_exception", reason));
        }
        if bulk.items.is_empty() {
            let reason = "Validation Failed: 1: no requests added;";
            return Err(Fault::new(StatusCode::BAD_REQUEST, "action_request_validation_exception", reason));
        }
        Ok(bulk)
    }

    fn add(&mut self, item: &Item, source: Option<&[u8]>, tenants: &Tenants, sizes: Sizes) -> Result<(), Fault> {
        check_index(&item.index)?;
        if item.id.as_ref().is_some_and(|id| id.len() > MAX_ID) {
            return Err(Fault::argument(format!("an _id has at most {MAX_ID} bytes")));
        }
        let Some(source) = source.filter(|_| matches!(item.action, Action::Index | Action::Create)) else {
            let reason = format!("[{}] is not supported: log records are only added", item.action.name());
            return Err(Fault::argument(reason));
        };
        let Document { resource, record } = document::read(source, &item.index, item.id.as_deref())?;
        // A shipper sends a batch again that is refused whole, and its other documents would wait for ever.
        if let Err(foreign) = tenants.assign(&resource) {
            return Err(Fault::new(StatusCode::FORBIDDEN, "security_exception", foreign.to_string()));
        }
        let bytes = resource.len() + record.encoded_len() + AROUND;
        if bytes > sizes.alone || resource.len() + AROUND > sizes.batch / 2 {
            let reason = format!("the document takes {bytes} bytes, more than the {} that the bus takes", sizes.alone);
            return Err(Fault::new(StatusCode::PAYLOAD_TOO_LARGE, "illegal_argument_exception", reason));
        }
        push(self.records.entry(resource).or_default(), &record);
        Ok(())
    }

    /// What its documents are, as an OTLP export request; it is taken out.
    pub(super) fn take_request(&mut self) -> Bytes {
        let mut out = Vec::new();
        for (resource, records) in std::mem::take(&mut self.records) {
            put_head(&mut out, 1, field_len(resource.len()) + field_len(records.len()));
            put_bytes(&mut out, 1, &resource);
            put_bytes(&mut out, 2, &records);
        }
        out.into()
    }

    pub(super) fn has_errors(&self) -> bool {
        self.items.iter().any(|item| item.error.is_some())
    }

    /// The items of the answer, in the order of the request.
    pub(super) fn answers(&self) -> Vec<Value> {
        self.items.iter().enumerate().map(|(at, item)| item.answer(self.ids.wrapping_add(at as u64))).collect()
    }
}

impl Item {
    fn answer(&self, made: u64) -> Value {
        let id = self.id.clone().unwrap_or_else(|| URL_SAFE_NO_PAD.encode(made.to_be_bytes()));
        let answer = match &self.error {
            Some(fault) => json!({
                "_index": self.index,
                "_id": id,
                "status": fault.status.as_u16(),
                "error": fault.error(),
            }),
            None => json!({
                "_index": self.index,
                "_id": id,
                "_version": 1,
                "result": "created",
                "_shards": {"total": 1, "successful": 1, "failed": 0},
                "_seq_no": 0,
                "_primary_term": 1,
                "status": 201,
            }),
        };
        json!({self.action.name(): answer})
    }
}

fn push(records: &mut Vec<u8>, record: &LogRecord) {
    put_head(records, 2, record.encoded_len());
    // A Vec takes what is written to it.
    let _ = record.encode(records);
}

fn read_action(line: &[u8], number: usize) -> Result<(Action, Map<String, Value>), Fault> {
    let malformed = |what: &str| Fault::argument(format!("Malformed action/metadata line [{number}], {what}"));
    let read: Value = serde_json::from_slice(line).map_err(|error| malformed(&format!("which is no JSON: {error}")))?;
    let Value::Object(action) = read else { return Err(malformed("expected an object with one action")) };
    if action.len() != 1 {
        return Err(malformed("expected an object with one action"));
    }
    let Some((name, about)) = action.into_iter().next() else { return Err(malformed("expected one action")) };
    let Some(action) = Action::of(&name) else {
        let shown: String = name.chars().take(64).collect();
        return Err(malformed(&format!("expected field [create], [delete], [index] or [update] but found [{shown}]")));
    };
    match about {
        Value::Object(about) => Ok((action, about)),
        _ => Err(malformed("expected an object behind the action")),
    }
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Names of indices as Elasticsearch takes them.
fn check_index(index: &str) -> Result<(), Fault> {
    let wrong = if index.len() > MAX_INDEX {
        "must not be longer than 255 bytes"
    } else if index.to_lowercase() != index {
        "must be lowercase"
    } else if index.contains(|c: char| "\\/*?\"<>| ,#:".contains(c) || c.is_control()) {
        "must not contain the following characters ['\\','/','*','?','\"','<','>','|',' ',',','#',':']"
    } else if index.starts_with(['_', '-', '+']) || index == "." || index == ".." {
        "must not start with '_', '-', or '+'"
    } else {
        return Ok(());
    };
    let shown: String = index.chars().take(MAX_INDEX).collect();
    let reason = format!("Invalid index name [{shown}], {wrong}");
    Err(Fault { index: Some(shown), ..Fault::new(StatusCode::BAD_REQUEST, "invalid_index_name_exception", reason) })
}
