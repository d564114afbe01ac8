//! Where each convention keeps the messages.

use serde_json::{Map, Value as Json};
use weir_proto::otlp::common::v1::any_value::Value;

use super::message::Message;
use super::parts::unwrapped;
use super::read::{elements, finish_reason, messages};
use super::value::{Attributes, get, parsed, structured, text, unflatten};

/// A span as the functions of this module take it.
pub(super) struct Span<'a> {
    pub(super) attributes: &'a Attributes,
    pub(super) events: &'a [(String, Vec<(String, Value)>)],
}

/// What one convention gives.
#[derive(Default)]
pub(super) struct Found {
    pub(super) inputs: Vec<Message>,
    pub(super) outputs: Vec<Message>,
    pub(super) alternatives: Vec<Message>,
    pub(super) finish_reason: Option<String>,
}

/// The conventions, the one that says most first.
pub(super) const SOURCES: [fn(&Span<'_>) -> Found; 5] =
    [current, per_message, prompt_and_completion, openinference, values];

/// The event that holds what the current convention has too much of for a span.
const DETAILS: &str = "gen_ai.client.inference.operation.details";

impl<'a> Span<'a> {
    /// Attributes of the events of a name.
    fn events(&self, name: &'a str) -> impl Iterator<Item = &'a Attributes> {
        self.events.iter().filter(move |(event, _)| event == name).map(|(_, attributes)| attributes.as_slice())
    }

    /// Where the current convention keeps an attribute: on the span, else on its event.
    pub(super) fn detail<T>(&self, of: impl Fn(&Attributes) -> Option<T>) -> Option<T> {
        of(self.attributes).or_else(|| self.events(DETAILS).find_map(of))
    }
}

/// `gen_ai.system_instructions`, `gen_ai.input.messages`, `gen_ai.output.messages`.
fn current(span: &Span<'_>) -> Found {
    let read = |key: &str| span.detail(|attributes| structured(attributes, key));
    let mut inputs = read("gen_ai.system_instructions").map(|json| messages(&json, "system")).unwrap_or_default();
    inputs.extend(read("gen_ai.input.messages").map(|json| messages(&json, "user")).unwrap_or_default());
    Found { inputs, ..answer(&read("gen_ai.output.messages").unwrap_or_default()) }
}

/// Events `gen_ai.{system,user,assistant,tool}.message` and `gen_ai.choice`, up to version 1.36 of the conventions.
fn per_message(span: &Span<'_>) -> Found {
    let mut inputs = Vec::new();
    let mut choices: Vec<Json> = Vec::new();
    let mut indexes = Vec::new();
    for (name, attributes) in span.events {
        let role = match name.as_str() {
            "gen_ai.system.message" => "system",
            "gen_ai.user.message" => "user",
            "gen_ai.assistant.message" => "assistant",
            "gen_ai.tool.message" => "tool",
            "gen_ai.choice" => {
                // Each choice has one event; a second of the same index is a repetition by an older SDK.
                let index = get(attributes, "index").cloned();
                if index.is_none() || !indexes.contains(&index) {
                    choices.push(body(attributes));
                    indexes.push(index);
                }
                continue;
            }
            _ => continue,
        };
        inputs.extend(messages(&body(attributes), role));
    }
    Found { inputs, ..answer(&Json::Array(choices)) }
}

/// The body of an event, in its attributes or as one of them.
fn body(attributes: &Attributes) -> Json {
    let whole = ["gen_ai.event.content", "event.body", "body"].iter().find_map(|key| structured(attributes, key));
    match whole.unwrap_or_else(|| unflatten(attributes, "").unwrap_or_default()) {
        Json::Object(mut body) => {
            // `gen_ai.system` and the like say something about the event.
            body.remove("gen_ai");
            body.remove("event");
            if !["role", "content", "message", "parts", "tool_calls", "text"].iter().any(|key| body.contains_key(*key))
            {
                return Json::Null;
            }
            // Without its own keys, which read like those of a part.
            body.remove("type");
            Json::Object(body)
        }
        Json::String(content) => Json::Object(Map::from_iter([("content".to_owned(), Json::String(content))])),
        other => other,
    }
}

/// `gen_ai.prompt` and `gen_ai.completion`, up to version 1.27, on the span or on events, whole or flattened.
fn prompt_and_completion(span: &Span<'_>) -> Found {
    let read = |key: &str, event: &'static str| {
        let flattened = unflatten(span.attributes, &format!("{key}."));
        let whole = || structured(span.attributes, key);
        let on_event = || {
            let of =
                |attributes| structured(attributes, key).or_else(|| structured(attributes, "gen_ai.event.content"));
            span.events(event).find_map(of)
        };
        flattened.or_else(whole).or_else(on_event).unwrap_or_default()
    };
    let inputs = messages(&read("gen_ai.prompt", "gen_ai.content.prompt"), "user");
    Found { inputs, ..answer(&read("gen_ai.completion", "gen_ai.content.completion")) }
}

/// `llm.input_messages` and `llm.output_messages` of OpenInference, flattened.
fn openinference(span: &Span<'_>) -> Found {
    let read = |prefix: &str| unflatten(span.attributes, prefix).unwrap_or_default();
    let inputs = messages(&read("llm.input_messages."), "user");
    let outputs = joined(messages(&read("llm.output_messages."), "assistant"));
    // Choices and the items of one answer are written alike; only choices have several texts.
    let (outputs, alternatives) = match outputs.iter().position(|message| !message.content.is_empty()) {
        Some(first) if !has_tools(&outputs) => {
            let rest = outputs[first + 1..].to_vec();
            (outputs[..=first].to_vec(), rest)
        }
        _ => (outputs, Vec::new()),
    };
    Found { inputs, outputs, alternatives, finish_reason: None }
}

/// `input.value` and `output.value` of OpenInference: the request and the response as the provider has them.
fn values(span: &Span<'_>) -> Found {
    // Chains, retrievers and tools have them too, and are no conversations.
    if text(span.attributes, "openinference.span.kind").is_some_and(|kind| !kind.eq_ignore_ascii_case("llm")) {
        return Found::default();
    }
    let read = |side: &str| {
        let key = format!("{side}.value");
        let plain = text(span.attributes, &format!("{side}.mime_type")).is_some_and(|mime| mime == "text/plain");
        let json =
            if plain { text(span.attributes, &key).map(Json::String) } else { structured(span.attributes, &key) };
        json.unwrap_or_default()
    };
    Found { inputs: messages(&read("input"), "user"), ..answer(&read("output")) }
}

/// The first of the alternatives that an answer has, and the others.
fn answer(json: &Json) -> Found {
    let elements = elements(json);
    let all: Vec<Vec<Message>> = elements.iter().map(|element| messages(element, "assistant")).collect();
    let finish_reason = elements.iter().find_map(|element| finish_reason(element)).or_else(|| finish_reason(json));
    if all.iter().any(|messages| has_tools(messages)) {
        return Found { outputs: joined(all.concat()), finish_reason, ..Found::default() };
    }
    // Some write what the model thought as a message before its answer.
    let first = all.iter().position(|messages| messages.iter().any(|message| !message.is_silent()));
    let count = first.map_or(all.len(), |first| first + 1);
    let (outputs, alternatives) = (joined(all[..count].concat()), all[count..].concat());
    Found { outputs, alternatives, finish_reason, ..Found::default() }
}

/// Whether tools answer within, so that it is a sequence of messages.
fn has_tools(messages: &[Message]) -> bool {
    messages.iter().any(|message| message.role == "tool")
}

/// Joins to a message of the assistant what it thought before, and to its text the calls behind it.
fn joined(messages: Vec<Message>) -> Vec<Message> {
    let mut joined: Vec<Message> = Vec::new();
    for mut message in messages {
        match joined.last_mut() {
            Some(last) if last.role == "assistant" && message.role == "assistant" => {
                if last.is_silent() && message.reasoning_content.is_none() {
                    message.reasoning_content = last.reasoning_content.take();
                    *last = message;
                } else if message.content.is_empty() && message.reasoning_content.is_none() {
                    last.tool_calls.append(&mut message.tool_calls);
                } else {
                    joined.push(message);
                }
            }
            _ => joined.push(message),
        }
    }
    joined
}

/// The tools that the model may call, in OpenAI's shape.
pub(super) fn tools(span: &Span<'_>) -> Vec<Json> {
    let current = span.detail(|attributes| structured(attributes, "gen_ai.tool.definitions"));
    let definitions = current.or_else(|| unflatten(span.attributes, "llm.tools.")).unwrap_or_default();
    let Json::Array(definitions) = definitions else { return Vec::new() };
    definitions.into_iter().filter_map(tool).collect()
}

fn tool(definition: Json) -> Option<Json> {
    let definition = parsed(definition);
    let object = unwrapped(definition.as_object()?, "tool").clone();
    let mut object = match object.get("json_schema").cloned().map(parsed) {
        Some(Json::Object(schema)) => schema,
        _ => object,
    };
    if object.contains_key("function") || !object.contains_key("name") {
        return Some(Json::Object(object));
    }
    object.remove("type");
    if let Some(schema) = object.remove("input_schema") {
        object.insert("parameters".to_owned(), schema);
    }
    Some(serde_json::json!({"type": "function", "function": object}))
}
