//! Scenarios as they lie in files: YAML documents, each a request and what it should answer.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

/// One request.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) methods: Vec<String>,
    endpoint: String,
    params: Map<String, Value>,
    json: Option<Value>,
    ndjson: Option<Vec<Value>>,
    /// `None` where any is right.
    pub(super) status: Option<u16>,
    pub(super) expected: Option<Value>,
    stores: Map<String, Value>,
}

impl Step {
    fn of(step: &Value) -> Self {
        let methods = match &step["method"] {
            Value::Array(methods) => methods.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            Value::String(method) => vec![method.clone()],
            _ => vec!["GET".to_owned()],
        };
        let status = match step.get("status_code") {
            None => Some(200),
            Some(status) => status.as_u64().map(|status| status as u16),
        };
        Self {
            methods,
            endpoint: step["endpoint"].as_str().unwrap_or_default().to_owned(),
            params: step["params"].as_object().cloned().unwrap_or_default(),
            json: step.get("json").cloned(),
            ndjson: step["ndjson"].as_array().cloned(),
            status,
            expected: step.get("expected").cloned(),
            stores: step["store"].as_object().cloned().unwrap_or_default(),
        }
    }

    pub(super) fn path(&self) -> String {
        let path = self.endpoint.trim_start_matches('/').trim_start_matches("_elastic/");
        let mut query = String::new();
        for (name, value) in &self.params {
            let text = match value {
                Value::String(text) => text.clone(),
                Value::Array(values) => values.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(","),
                value => value.to_string(),
            };
            let escaped: Vec<String> = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
            query.push(if path.contains('?') || !query.is_empty() { '&' } else { '?' });
            query.extend([name, "=", &escaped.concat()]);
        }
        format!("{path}{query}")
    }

    pub(super) fn body(&self, stored: &Value) -> (&'static str, Vec<u8>) {
        match (&self.ndjson, &self.json) {
            (Some(lines), _) => {
                let lines: Vec<String> = lines.iter().map(|line| format!("{line}\n")).collect();
                ("application/x-ndjson", lines.concat().into_bytes())
            }
            (None, Some(json)) => ("application/json", filled(json, stored).to_string().into_bytes()),
            (None, None) => ("application/json", Vec::new()),
        }
    }

    /// Keeps the answer, and under their names the parts that later steps use.
    pub(super) fn store(&self, answer: &Value, stored: &mut Value) {
        let mut kept = answer.clone();
        for (name, place) in &self.stores {
            kept[name.as_str()] = answer[place.as_str().unwrap_or_default()].clone();
        }
        *stored = kept;
    }
}

/// A body with what `$previous` takes of the answer before: `val["name"]`.
fn filled(json: &Value, stored: &Value) -> Value {
    match json {
        Value::Object(fields) => match fields.get("$previous").and_then(Value::as_str) {
            Some(path) => {
                let names = path.split('"').skip(1).step_by(2);
                names.fold(stored, |value, name| &value[name]).clone()
            }
            None => Value::Object(fields.iter().map(|(name, value)| (name.clone(), filled(value, stored))).collect()),
        },
        Value::Array(values) => values.iter().map(|value| filled(value, stored)).collect(),
        value => value.clone(),
    }
}

/// Folders with scenarios, but for those that are left out.
pub(super) fn folders(root: &Path, left_out: &[(&str, &str)]) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for entry in walkdir::WalkDir::new(root).sort_by_file_name() {
        let path = entry.unwrap().into_path();
        let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        let is_left_out = left_out.iter().any(|(out, _)| *out == name || name.starts_with(&format!("{out}/")));
        if path.is_dir() && !is_left_out && path.join("_ctx.yaml").exists() {
            folders.push(path);
        }
    }
    folders
}

/// The steps of each file of a folder that are for Quickwit or for both.
pub(super) fn files(folder: &Path, name: &str, left_out: &[(&str, &str)]) -> Vec<(String, Vec<Step>)> {
    let mut found = Vec::new();
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let context = documents_of(&folder.join("_ctx.yaml")).into_iter().next().unwrap_or_default();
    let of_quickwit = documents_of(&folder.join("_ctx.quickwit.yaml")).into_iter().next().unwrap_or_default();
    for path in paths {
        let file = path.file_name().unwrap().to_str().unwrap().to_owned();
        let whole = format!("{name}/{file}");
        if file.starts_with('_')
            || path.extension().is_none_or(|extension| extension != "yaml")
            || left_out.iter().any(|(out, _)| *out == whole)
        {
            continue;
        }
        let mut steps = Vec::new();
        // What the first document of a file says without a request of its own holds for the others.
        for document in documents_of(&path) {
            let mut step = merged(&merged(&context, &of_quickwit), &document);
            let engines = step["engines"].as_array().cloned().unwrap_or_default();
            let is_wanted = engines.is_empty() || engines.iter().any(|engine| engine == "quickwit");
            if document.is_null() || !is_wanted {
                continue;
            }
            step["engines"] = Value::Null;
            steps.push(Step::of(&step));
        }
        if !steps.is_empty() {
            found.push((file, steps));
        }
    }
    found
}

/// The documents that a setup sends, by index.
pub(super) fn documents(folder: &Path) -> Vec<(String, Vec<Value>)> {
    let mut found: Vec<(String, Vec<Value>)> = Vec::new();
    let own = folder.join("_setup.quickwit.yaml");
    for step in documents_of(&own) {
        let endpoint = step["endpoint"].as_str().unwrap_or_default();
        let lines = if let Some(file) = step["body_from_file"].as_str() {
            let mut text = String::new();
            let packed = std::fs::File::open(folder.join(file)).unwrap();
            flate2::read::MultiGzDecoder::new(packed).read_to_string(&mut text).unwrap();
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
        } else {
            let lines = step.get("ndjson").or_else(|| step.get("shuffle_ndjson"));
            lines.and_then(Value::as_array).cloned().unwrap_or_default()
        };
        if let Some(index) = endpoint.strip_suffix("/ingest") {
            found.push((index.to_owned(), lines));
        } else if endpoint.ends_with("_bulk") {
            for pair in lines.chunks(2) {
                let index = pair[0]["index"]["_index"].as_str().or(pair[0]["create"]["_index"].as_str());
                let index = index.or(endpoint.strip_suffix("/_bulk")).unwrap_or_default().to_owned();
                match found.last_mut().filter(|(last, _)| *last == index) {
                    Some((_, documents)) => documents.push(pair[1].clone()),
                    None => found.push((index, vec![pair[1].clone()])),
                }
            }
        }
    }
    found
}

fn merged(under: &Value, over: &Value) -> Value {
    let mut fields = under.as_object().cloned().unwrap_or_default();
    fields.extend(over.as_object().cloned().unwrap_or_default());
    if fields.is_empty() { json!({}) } else { Value::Object(fields) }
}

fn documents_of(path: &Path) -> Vec<Value> {
    let Ok(text) = std::fs::read_to_string(path) else { return Vec::new() };
    let options = serde_saphyr::options! { duplicate_keys: serde_saphyr::DuplicateKeyPolicy::LastWins };
    serde_saphyr::from_multiple_with_options(&text, options)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
