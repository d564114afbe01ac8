//! The parts of a message's content, as the conventions and the providers write them.

use serde_json::{Map, Value as Json, json};

use super::message::{Content, Function, Message, ToolCall, ToolKind};
use super::value::parsed;

type Object = Map<String, Json>;

/// What the parts of one message come to.
#[derive(Default)]
pub(super) struct Parts {
    texts: usize,
    content: Vec<Json>,
    reasoning: Vec<String>,
    pub(super) calls: Vec<ToolCall>,
    /// Answers of tools, which are messages of their own.
    pub(super) results: Vec<Message>,
}

impl Parts {
    /// Adds content in any shape: a text, a part, a list of either.
    pub(super) fn add(&mut self, content: &Json) {
        match content {
            Json::Null => {}
            Json::String(text) => self.add_string(text),
            Json::Array(parts) => parts.iter().for_each(|part| match part {
                Json::String(text) => self.add_text(text),
                part => self.add(part),
            }),
            Json::Object(part) => self.add_part(part),
            scalar => self.add_text(&scalar.to_string()),
        }
    }

    /// A text, or parts that were made one.
    fn add_string(&mut self, text: &str) {
        if text.starts_with("[{")
            && let parts @ Json::Array(_) = parsed(Json::String(text.to_owned()))
            && are_parts(&parts)
        {
            return self.add(&parts);
        }
        self.add_text(text);
    }

    fn add_text(&mut self, text: &str) {
        if !text.is_empty() {
            self.texts += 1;
            self.content.push(json!({"type": "text", "text": text}));
        }
    }

    fn add_part(&mut self, part: &Object) {
        let part = unwrapped(part, "message_content");
        let text = || ["text", "content", "refusal", "thinking", "summary"].iter().find_map(|key| part.get(*key));
        match Kind::of(part) {
            Kind::Text => self.add_text(&text().map(flat).unwrap_or_default()),
            Kind::Reasoning => self.add_reasoning(&text().map(flat).unwrap_or_default()),
            Kind::Call(part) => self.calls.push(call(part)),
            Kind::Result(part) => self.results.push(result(part)),
            Kind::Other => match media(part) {
                Some(media) => self.content.push(media),
                None if part.contains_key("type") => self.content.push(Json::Object(part.clone())),
                None => self.add_text(&Json::Object(part.clone()).to_string()),
            },
        }
    }

    pub(super) fn add_reasoning(&mut self, text: &str) {
        if !text.is_empty() {
            self.reasoning.push(text.to_owned());
        }
    }

    pub(super) fn reasoning(&self) -> Option<String> {
        (!self.reasoning.is_empty()).then(|| self.reasoning.join("\n"))
    }

    pub(super) fn content(&self) -> Content {
        if self.texts == self.content.len() {
            let texts: Vec<&str> = self.content.iter().filter_map(|part| part["text"].as_str()).collect();
            return Content::Text(texts.join("\n"));
        }
        Content::Parts(self.content.clone())
    }
}

enum Kind<'a> {
    Text,
    Reasoning,
    Call(&'a Object),
    Result(&'a Object),
    /// An image, a file, or what no convention names.
    Other,
}

impl<'a> Kind<'a> {
    fn of(part: &'a Object) -> Self {
        let inner = |keys: [&str; 3]| keys.iter().find_map(|key| part.get(*key)?.as_object());
        match part.get("type").and_then(Json::as_str) {
            Some("text" | "input_text" | "output_text" | "summary_text" | "reasoning_text" | "refusal") => Self::Text,
            Some("reasoning" | "thinking") => Self::Reasoning,
            Some("tool_call" | "tool_use" | "function_call") => Self::Call(part),
            Some("tool_call_response" | "tool_result" | "function_call_output") => Self::Result(part),
            Some(_) => Self::Other,
            // Bedrock and Gemini say it by the name of the one field.
            None => {
                if let Some(call) = inner(["toolUse", "functionCall", "function_call"]) {
                    Self::Call(call)
                } else if let Some(result) = inner(["toolResult", "functionResponse", "function_response"]) {
                    Self::Result(result)
                } else if part.contains_key("text") {
                    Self::Text
                } else {
                    Self::Other
                }
            }
        }
    }
}

/// Whether these are parts of one message, and not messages.
pub(super) fn are_parts(json: &Json) -> bool {
    json.as_array()
        .is_some_and(|parts| !parts.is_empty() && parts.iter().all(|part| part.as_object().is_some_and(is_part)))
}

/// Whether this is a part of a known kind.
pub(super) fn is_part(part: &Object) -> bool {
    let known = !matches!(Kind::of(part), Kind::Other) || media(part).is_some();
    known && !part.contains_key("role")
}

/// What a wrapper of the key's name holds, as in `{"tool_call": {…}}`, or the object itself.
pub(super) fn unwrapped<'a>(object: &'a Object, key: &str) -> &'a Object {
    object.get(key).and_then(Json::as_object).unwrap_or(object)
}

/// The text of the first of these keys that has one.
fn string(object: &Object, keys: &[&str]) -> Option<String> {
    keys.iter().find_map(|key| object.get(*key)?.as_str()).filter(|text| !text.is_empty()).map(str::to_owned)
}

/// A call as any of the conventions writes it.
pub(super) fn call(call: &Object) -> ToolCall {
    let call = unwrapped(call, "tool_call");
    let function = unwrapped(call, "function");
    let arguments = ["arguments", "input", "args"].iter().find_map(|key| function.get(*key));
    ToolCall {
        id: string(call, &["call_id", "id", "toolUseId", "tool_call_id"]),
        kind: ToolKind::Function,
        function: Function {
            name: string(function, &["name"]).unwrap_or_default(),
            arguments: match arguments {
                None | Some(Json::Null) => "{}".to_owned(),
                Some(Json::String(text)) => text.clone(),
                Some(json) => json.to_string(),
            },
        },
    }
}

fn result(result: &Object) -> Message {
    let answer = ["response", "result", "content", "output"].iter().find_map(|key| result.get(*key));
    let mut message = Message::text("tool", answer.map(flat).unwrap_or_default());
    message.name = string(result, &["name"]);
    message.tool_call_id = string(result, &["id", "call_id", "tool_use_id", "toolUseId", "tool_call_id"]);
    message
}

/// Any content as one text: texts and lists of texts as they read, anything else as JSON.
pub(super) fn flat(json: &Json) -> String {
    match json {
        Json::Null => String::new(),
        Json::String(text) => text.clone(),
        Json::Array(items) if items.is_empty() => String::new(),
        Json::Array(_) if are_parts(json) => {
            let mut parts = Parts::default();
            parts.add(json);
            match parts.content() {
                Content::Text(text) if parts.calls.is_empty() && parts.results.is_empty() => text,
                _ => json.to_string(),
            }
        }
        other => other.to_string(),
    }
}

/// An image or a sound in OpenAI's shape.
fn media(part: &Object) -> Option<Json> {
    let kind = part.get("type")?.as_str()?;
    let mime = string(part, &["mime_type", "media_type"]);
    let modality = string(part, &["modality"]);
    let modality = modality.as_deref().or_else(|| mime.as_deref()?.split('/').next());
    let image = |url: String| Some(json!({"type": "image_url", "image_url": {"url": url}}));
    match (kind, modality) {
        ("uri", Some("image")) => image(string(part, &["uri"])?),
        ("blob", Some("image")) => image(data_url(mime, &string(part, &["content", "data"])?)),
        ("blob", Some("audio")) => {
            let format = mime.as_deref().and_then(|mime| mime.split('/').nth(1)).unwrap_or("wav").to_owned();
            let data = string(part, &["content", "data"])?;
            Some(json!({"type": "input_audio", "input_audio": {"data": data, "format": format}}))
        }
        ("image", _) => {
            let source = part.get("source").or_else(|| part.get("image"))?.as_object()?;
            let source = unwrapped(source, "image");
            let data = || Some(data_url(string(source, &["media_type"]), &string(source, &["data"])?));
            image(string(source, &["url"]).or_else(data)?)
        }
        ("image_url" | "input_audio" | "file", _) => Some(Json::Object(part.clone())),
        _ => None,
    }
}

fn data_url(mime: Option<String>, data: &str) -> String {
    format!("data:{};base64,{data}", mime.unwrap_or_else(|| "image/png".to_owned()))
}
