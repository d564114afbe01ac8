//! Messages from JSON, in the shapes of the conventions and of the providers' own APIs.

use serde_json::{Map, Value as Json};

use super::message::Message;
use super::parts::{Parts, are_parts, call, flat, is_part};
use super::value::parsed;

type Object = Map<String, Json>;

/// The messages that `json` holds; `role` is that of what does not say its own.
///
/// What is no message in any known shape is the content of one, so nothing is lost.
pub(super) fn messages(json: &Json, role: &str) -> Vec<Message> {
    match json {
        Json::Null => Vec::new(),
        Json::Array(_) if are_parts(json) => message(&Map::from_iter([("content".to_owned(), json.clone())]), role),
        Json::Array(items) => items.iter().flat_map(|item| messages(item, role)).collect(),
        Json::Object(object) => from_object(object, role),
        Json::String(text) if text.is_empty() => Vec::new(),
        text_or_scalar => vec![Message::text(role, flat(text_or_scalar))],
    }
}

/// Fields of a request or a response that hold its messages, and those of what is told to the model before them.
const LISTS: [&str; 7] = ["messages", "choices", "candidates", "contents", "input", "output", "prompt"];
const INSTRUCTIONS: [&str; 5] =
    ["system", "instructions", "system_instruction", "systemInstruction", "system_instructions"];

/// The elements of an answer that are alternatives to each other, if they are, or the one element that it is.
pub(super) fn elements(json: &Json) -> Vec<&Json> {
    match json {
        Json::Array(items) if !are_parts(json) => items.iter().collect(),
        Json::Object(object) if !is_message(object) => {
            match ["choices", "candidates", "messages"].iter().find_map(|key| object.get(*key)?.as_array()) {
                Some(items) => items.iter().collect(),
                None => vec![json],
            }
        }
        other => vec![other],
    }
}

/// Why a choice ended, as its provider calls it.
pub(super) fn finish_reason(json: &Json) -> Option<String> {
    let reason = ["finish_reason", "finishReason", "stop_reason", "stopReason"].iter().find_map(|key| json.get(*key));
    reason.and_then(Json::as_str).filter(|reason| !reason.is_empty()).map(str::to_owned)
}

fn is_message(object: &Object) -> bool {
    ["role", "content", "parts", "tool_calls", "function_call", "text", "message"]
        .iter()
        .any(|key| object.contains_key(*key))
}

fn from_object(object: &Object, role: &str) -> Vec<Message> {
    if is_part(object) {
        return message(object, role);
    }
    if !object.contains_key("role")
        && let Some(list) = LISTS.iter().find_map(|key| object.get(*key)).filter(|list| !list.is_null())
    {
        let instructions = INSTRUCTIONS.iter().find_map(|key| object.get(*key));
        let mut found = instructions.map(|system| messages(system, "system")).unwrap_or_default();
        found.extend(messages(list, role));
        return found;
    }
    // LangChain has the role as the type.
    let of_type =
        || object.get("type").filter(|kind| ["human", "ai", "system", "tool"].iter().any(|role| *kind == role));
    let own = object.get("role").or_else(of_type).and_then(Json::as_str);
    let role = own.and_then(known_role).unwrap_or(role);
    // A choice holds its message, a candidate of Gemini its content.
    if let Some(inner) = object.get("message").filter(|inner| !inner.is_null()) {
        return messages(&parsed(inner.clone()), role);
    }
    if let Some(inner @ Json::Object(content)) = object.get("content")
        && content.contains_key("parts")
    {
        return messages(inner, role);
    }
    message(object, role)
}

/// The role by the names that frameworks have for it.
fn known_role(role: &str) -> Option<&'static str> {
    Some(match role.to_ascii_lowercase().as_str() {
        "system" | "developer" => "system",
        "user" | "human" => "user",
        "assistant" | "ai" | "model" | "bot" | "thinking" => "assistant",
        "tool" | "function" => "tool",
        _ => return None,
    })
}

fn message(object: &Object, role: &str) -> Vec<Message> {
    let mut parts = Parts::default();
    let content =
        ["parts", "content", "contents", "text"].iter().find_map(|key| object.get(*key).filter(|c| !c.is_null()));
    let is_thought = object.get("role").and_then(Json::as_str) == Some("thinking");
    match content.filter(|_| !is_part(object)) {
        Some(thought) if is_thought => parts.add_reasoning(&flat(thought)),
        Some(content) => parts.add(content),
        None if is_part(object) => parts.add(&Json::Object(object.clone())),
        None if !is_message(object) => return vec![Message::text(role, Json::Object(object.clone()).to_string())],
        None => {}
    }
    if let Some(Json::String(thought)) = object.get("reasoning_content").or_else(|| object.get("reasoning")) {
        parts.add_reasoning(thought);
    }
    if let Some(Json::Array(calls)) = object.get("tool_calls").cloned().map(parsed) {
        parts.calls.extend(calls.iter().filter_map(Json::as_object).map(call));
    }
    if let Some(Json::Object(one)) = object.get("function_call").filter(|_| is_message(object)) {
        parts.calls.push(call(one));
    }
    let string = |key: &str| object.get(key).and_then(Json::as_str).filter(|s| !s.is_empty()).map(str::to_owned);
    let mut message = Message::text(role, "");
    message.content = parts.content();
    message.reasoning_content = parts.reasoning();
    message.name = string("name").filter(|_| is_message(object));
    message.tool_calls = parts.calls;
    if role == "tool" {
        message.tool_call_id = string("tool_call_id").or_else(|| string("id"));
    }
    let mut found = parts.results;
    if !message.is_empty() {
        found.push(message);
    }
    found
}
