//! The conversation of a model call, from what its span says.
//!
//! Pure. Instrumentations write the messages by four conventions, of which a span follows one or several. They are read
//! in the order of how much they say, and the first that has a question and an answer is taken:
//!
//! | convention | where |
//! |---|---|
//! | OpenTelemetry GenAI | `gen_ai.system_instructions`, `gen_ai.input.messages`, `gen_ai.output.messages` on the span or its event `gen_ai.client.inference.operation.details` |
//! | the same up to 1.36 | events `gen_ai.{system,user,assistant,tool}.message` and `gen_ai.choice` |
//! | the same up to 1.27, OpenLLMetry | `gen_ai.prompt` and `gen_ai.completion`: on the span, flattened (`gen_ai.prompt.0.role`), or on the events `gen_ai.content.*` |
//! | OpenInference | `llm.input_messages.0.message.role` …, else `input.value` and `output.value` |
//!
//! A value that should be JSON and is none, since it was cut off, is the content of one message as it is.

mod message;
mod parts;
mod read;
mod sources;
#[cfg(test)]
mod tests;
mod value;

pub use message::{Content, Function, Message, ToolCall, ToolKind};

use serde::Serialize;
use serde_json::Value as Json;
use sources::{Found, SOURCES, Span};
use value::{structured, text};
use weir_proto::otlp::common::v1::any_value::Value;

/// A conversation. Serialised it is one line of a dataset, `{"messages": […]}`, with `tools` where there are some; the
/// other fields are for columns of their own.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Chat {
    /// What was sent to the model, then its answer.
    pub messages: Vec<Message>,
    /// The tools that the model was offered, in OpenAI's shape.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<Json>,
    /// How many of the messages, from the end, are the answer; 0 if it was not recorded.
    #[serde(skip)]
    pub answers: usize,
    /// Other answers to the same question, where several were asked for.
    #[serde(skip)]
    pub alternatives: Vec<Message>,
    /// The model that answered, else the one that was asked.
    #[serde(skip)]
    pub model: Option<String>,
    /// Why the answer ended, as the provider calls it: `stop`, `length`, `tool_calls`.
    #[serde(skip)]
    pub finish_reason: Option<String>,
}

/// The conversation of a span with these attributes and events; none if it has no message.
pub fn messages(attributes: &[(String, Value)], events: &[(String, Vec<(String, Value)>)]) -> Option<Chat> {
    let span = Span { attributes, events };
    let mut partial = None;
    for source in SOURCES {
        let found = source(&span);
        match (found.inputs.is_empty(), found.outputs.is_empty()) {
            (false, false) => return Some(chat(&span, found)),
            (true, true) => {}
            _ => partial = partial.or(Some(found)),
        }
    }
    partial.map(|found| chat(&span, found))
}

fn chat(span: &Span<'_>, found: Found) -> Chat {
    const MODELS: [&str; 3] = ["gen_ai.response.model", "gen_ai.request.model", "llm.model_name"];
    let Found { inputs, outputs, alternatives, finish_reason } = found;
    let reasons = || {
        let all = span.detail(|attributes| structured(attributes, "gen_ai.response.finish_reasons"))?;
        all.get(0).unwrap_or(&all).as_str().map(str::to_owned)
    };
    Chat {
        answers: outputs.len(),
        messages: [inputs, outputs].concat(),
        tools: sources::tools(span),
        alternatives,
        model: MODELS.iter().find_map(|key| span.detail(|attributes| text(attributes, key))),
        finish_reason: finish_reason.or_else(reasons),
    }
}
