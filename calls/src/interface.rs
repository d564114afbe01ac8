//! What a caller calls: the rule that call statistics and captures name interfaces by, before a configuration renames any.

/// Longest name, in bytes; what is behind it is cut off, between characters.
pub const MAX_BYTES: usize = 256;

/// Names of spans that say nothing of what is called: vLLM names every span so.
const EMPTY_NAMES: [&str; 2] = ["", "llm_request"];

/// What attributes say; texts are not empty. A raw path is none of them: it holds ids.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Names<'a> {
    /// Method and route.
    pub(crate) http: Option<(&'a str, &'a str)>,
    /// RPC service, where there is one, and method.
    pub(crate) rpc: Option<(Option<&'a str>, &'a str)>,
    /// What a model is asked to do, and the model.
    pub(crate) operation: Option<&'a str>,
    pub(crate) model: Option<&'a str>,
}

/// The parts that make the name: method and route, or RPC service and method, or the span's own name. Where that says
/// nothing, operation and model.
pub(crate) fn parts<'a>(names: Names<'a>, span: &'a str) -> [&'a str; 3] {
    match names {
        Names { http: Some((method, route)), .. } => [method, " ", route],
        // Newer conventions have the service in the method: `ocr.V1/Read`.
        Names { rpc: Some((_, method)), .. } if method.contains('/') => [method, "", ""],
        Names { rpc: Some((Some(service), method)), .. } => [service, "/", method],
        Names { operation, model, .. } if EMPTY_NAMES.contains(&span) => match (operation.unwrap_or(span), model) {
            ("", Some(model)) => [model, "", ""],
            (operation, Some(model)) => [operation, " ", model],
            (operation, None) => [operation, "", ""],
        },
        _ => [span, "", ""],
    }
}
