//! A message as trainers read it: the shape of OpenAI's chat API, which TRL and `datasets` take too.

use serde::Serialize;
use serde_json::Value as Json;

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Message {
    /// `system`, `user`, `assistant` or `tool`.
    pub role: String,
    /// What it says; empty if all that it does is to call tools.
    pub content: Content,
    /// What a reasoning model thought before it answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_content: Option<String>,
    /// Name of the participant or of the tool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Tools that the assistant calls.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
    /// Which call a message of a tool answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
}

/// Content of a message.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Content {
    /// Text alone; several parts of text are joined by line feeds.
    Text(String),
    /// Text, images and other parts, in OpenAI's shape where it has one.
    Parts(Vec<Json>),
}

/// One call of a tool, serialised as `{"id": …, "type": "function", "function": {…}}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ToolCall {
    /// What the answer refers to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Always [`ToolKind::Function`].
    #[serde(rename = "type")]
    pub kind: ToolKind,
    /// What is called.
    pub function: Function,
}

/// Kind of a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolKind {
    /// A function, the only kind that chat messages have.
    Function,
}

/// A function and what it is called with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// Its arguments as JSON text, as the model wrote them.
    pub arguments: String,
}

impl Message {
    pub(super) fn text(role: &str, text: impl Into<String>) -> Self {
        Self {
            role: role.to_owned(),
            content: Content::Text(text.into()),
            reasoning_content: None,
            name: None,
            tool_calls: Vec::new(),
            tool_call_id: None,
        }
    }

    /// Whether it says nothing, calls nothing and thinks nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.is_silent() && self.reasoning_content.is_none()
    }

    /// Whether there is at most reasoning in it.
    pub(super) fn is_silent(&self) -> bool {
        self.content.is_empty() && self.tool_calls.is_empty()
    }
}

impl Content {
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Text(text) => text.is_empty(),
            Self::Parts(parts) => parts.is_empty(),
        }
    }
}
