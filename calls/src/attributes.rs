//! What the attributes of a SERVER or CONSUMER span say of a call: its interface, whether it failed, bytes, tokens, and
//! how fast a model answered.
//!
//! Call statistics and captures read spans by this one rule. The names of OpenTelemetry's conventions are read, and the
//! older ones that programs still send; where both are there, the newer one counts, and of one that is there twice, the
//! first.

use crate::interface;
use crate::outcome::{self, Status};

/// The value of an attribute, as far as a call needs it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// Text; empty text is no value.
    Text(&'a str),
    /// A whole number.
    Int(i64),
    /// A number.
    Double(f64),
    /// Anything else.
    Other,
}

/// Why a value that is there was not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unread {
    /// An HTTP status that is no whole number.
    HttpStatus,
    /// An RPC status that is neither a number nor a name of gRPC's.
    RpcStatus,
    /// A size of a body that is no whole number, or less than zero.
    Bytes,
    /// A count of tokens that is no whole number, or less than zero.
    Tokens,
    /// A time of tokens that is no number of seconds, or longer than its call: one in milliseconds.
    TokenTime,
}

impl Unread {
    /// All of them, in the order of [`Measures::unread`].
    pub const ALL: [Self; 5] = [Self::HttpStatus, Self::RpcStatus, Self::Bytes, Self::Tokens, Self::TokenTime];

    /// As metrics name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::HttpStatus => "http_status",
            Self::RpcStatus => "rpc_status",
            Self::Bytes => "bytes",
            Self::Tokens => "tokens",
            Self::TokenTime => "token_time",
        }
    }
}

/// What attributes measure of a call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Measures {
    /// Request and response bytes; input and output tokens; of these the cached input and the reasoning output tokens.
    /// Zero where nothing says how many.
    pub sums: [u64; 6],
    /// From the start of the call to the first token of the answer, in microseconds.
    pub time_to_first_token: Option<u64>,
    /// Between two tokens of the answer after the first, in microseconds.
    pub time_per_output_token: Option<u64>,
    /// How many values were not understood, by reason in the order of [`Unread::ALL`].
    pub unread: [u8; Unread::ALL.len()],
}

/// The attributes that are read. Of those that mean the same, the one that counts stands first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Method,
    OldMethod,
    Route,
    RpcService,
    RpcMethod,
    Operation,
    RequestModel,
    ResponseModel,
    HttpStatus,
    OldHttpStatus,
    GrpcStatus,
    RpcStatus,
    ErrorType,
    RequestBytes,
    OldRequestBytes,
    ResponseBytes,
    OldResponseBytes,
    InputTokens,
    OldInputTokens,
    OutputTokens,
    OldOutputTokens,
    CachedTokens,
    OldCachedTokens,
    ReasoningTokens,
    OldReasoningTokens,
    FirstToken,
    OldFirstToken,
    PerToken,
    /// From the first token to the last.
    AllTokens,
}

const KEYS: usize = Key::AllTokens as usize + 1;

/// Keys are told apart by their length before they are compared: most attributes are none of these.
fn key(name: &[u8]) -> Option<Key> {
    Some(match (name.len(), name) {
        (19, b"http.request.method") => Key::Method,
        (11, b"http.method") => Key::OldMethod,
        (10, b"http.route") => Key::Route,
        (25, b"http.response.status_code") => Key::HttpStatus,
        (16, b"http.status_code") => Key::OldHttpStatus,
        (22, b"http.request.body.size") => Key::RequestBytes,
        (27, b"http.request_content_length") => Key::OldRequestBytes,
        (23, b"http.response.body.size") => Key::ResponseBytes,
        (28, b"http.response_content_length") => Key::OldResponseBytes,
        (11, b"rpc.service") => Key::RpcService,
        (10, b"rpc.method") => Key::RpcMethod,
        (20, b"rpc.grpc.status_code") => Key::GrpcStatus,
        (24, b"rpc.response.status_code") => Key::RpcStatus,
        (10, b"error.type") => Key::ErrorType,
        (21, b"gen_ai.operation.name") => Key::Operation,
        (20, b"gen_ai.request.model") => Key::RequestModel,
        (21, b"gen_ai.response.model") => Key::ResponseModel,
        (25, b"gen_ai.usage.input_tokens") => Key::InputTokens,
        (26, b"gen_ai.usage.prompt_tokens") => Key::OldInputTokens,
        (26, b"gen_ai.usage.output_tokens") => Key::OutputTokens,
        (30, b"gen_ai.usage.completion_tokens") => Key::OldOutputTokens,
        (36, b"gen_ai.usage.cache_read.input_tokens") => Key::CachedTokens,
        // OpenLLMetry; Envoy's AI gateway and others; Sentry.
        (36, b"gen_ai.usage.cache_read_input_tokens")
        | (26, b"gen_ai.usage.cached_tokens")
        | (32, b"gen_ai.usage.cached_input_tokens" | b"gen_ai.usage.input_tokens.cached") => Key::OldCachedTokens,
        (36, b"gen_ai.usage.reasoning.output_tokens") => Key::ReasoningTokens,
        (29, b"gen_ai.usage.reasoning_tokens") | (36, b"gen_ai.usage.output_tokens.reasoning") => {
            Key::OldReasoningTokens
        }
        (35, b"gen_ai.response.time_to_first_chunk") => Key::FirstToken,
        // vLLM and SGLang; Sentry.
        (34, b"gen_ai.latency.time_to_first_token") | (35, b"gen_ai.response.time_to_first_token") => {
            Key::OldFirstToken
        }
        (37, b"gen_ai.response.time_per_output_token") => Key::PerToken,
        // vLLM and SGLang.
        (35, b"gen_ai.latency.time_in_model_decode") => Key::AllTokens,
        _ => return None,
    })
}

/// The attributes of one call.
#[derive(Debug, Clone, Copy)]
pub struct Attributes<'a>([Option<Value<'a>>; KEYS]);

impl Default for Attributes<'_> {
    fn default() -> Self {
        Self([None; KEYS])
    }
}

impl<'a> Attributes<'a> {
    /// Takes one attribute; those that say nothing of a call are left out.
    pub fn take(&mut self, name: &[u8], value: Value<'a>) {
        if let Some(key) = key(name) {
            self.0[key as usize].get_or_insert(value);
        }
    }

    /// The same where reading a value costs something: `value` is asked for it only where it counts.
    pub fn take_with<E>(&mut self, name: &[u8], value: impl FnOnce() -> Result<Value<'a>, E>) -> Result<(), E> {
        if let Some(key) = key(name)
            && self.0[key as usize].is_none()
        {
            self.0[key as usize] = Some(value()?);
        }
        Ok(())
    }

    /// The parts of the interface's name; what is `spoken` is the span's own name.
    pub fn interface(&self, spoken: &'a str) -> [&'a str; 3] {
        let method = self.text(Key::Method).or_else(|| self.text(Key::OldMethod));
        let http = method.zip(self.text(Key::Route));
        let rpc = self.text(Key::RpcMethod).map(|method| (self.text(Key::RpcService), method));
        let model = self.text(Key::RequestModel).or_else(|| self.text(Key::ResponseModel));
        interface::parts(interface::Names { http, rpc, operation: self.text(Key::Operation), model }, spoken)
    }

    /// Whether the call failed. `status` is the span's own status.
    pub fn is_error(&self, status: Status) -> bool {
        match status {
            Status::Error => true,
            Status::Ok => false,
            Status::Unset => {
                self.http_status().is_some_and(outcome::is_http_error)
                    || self.rpc_statuses().any(|status| status == Some(true))
                    || self.0[Key::ErrorType as usize].is_some_and(|value| value != Value::Text(""))
            }
        }
    }

    /// What is measured of a call that took so many microseconds.
    ///
    /// The time per output token is `(duration - time to first token) / (output tokens - 1)` where nothing says it.
    pub fn measures(&self, duration: u64) -> Measures {
        let (mut bytes, mut tokens, mut times) = (0, 0, 0);
        let request_bytes = self.count([Key::RequestBytes, Key::OldRequestBytes], &mut bytes);
        let response_bytes = self.count([Key::ResponseBytes, Key::OldResponseBytes], &mut bytes);
        let input = self.count([Key::InputTokens, Key::OldInputTokens], &mut tokens);
        let output = self.count([Key::OutputTokens, Key::OldOutputTokens], &mut tokens);
        let cached = self.count([Key::CachedTokens, Key::OldCachedTokens], &mut tokens);
        let reasoning = self.count([Key::ReasoningTokens, Key::OldReasoningTokens], &mut tokens);
        let [first, old_first, per_token, all_tokens] =
            [Key::FirstToken, Key::OldFirstToken, Key::PerToken, Key::AllTokens]
                .map(|key| self.time(key, duration, &mut times));
        let first = first.or(old_first);
        let after_the_first = output.saturating_sub(1);
        let per_token = per_token.or_else(|| {
            let all = all_tokens.or_else(|| Some(duration.saturating_sub(first?)))?;
            (all + after_the_first / 2).checked_div(after_the_first).filter(|time| *time > 0)
        });
        let mut http = 0;
        self.counts([Key::HttpStatus, Key::OldHttpStatus], &mut http);
        let rpc = self.rpc_statuses().filter(Option::is_none).count() as u8;
        Measures {
            sums: [request_bytes, response_bytes, input, output, cached, reasoning],
            time_to_first_token: first,
            time_per_output_token: per_token,
            unread: [http, rpc, bytes, tokens, times],
        }
    }

    fn text(&self, key: Key) -> Option<&'a str> {
        match self.0[key as usize] {
            Some(Value::Text(text)) if !text.is_empty() => Some(text),
            _ => None,
        }
    }

    /// The older attribute counts where the newer one cannot be read; `unread` counts those that cannot.
    fn count(&self, keys: [Key; 2], unread: &mut u8) -> u64 {
        let [newer, older] = self.counts(keys, unread);
        newer.or(older).unwrap_or(0)
    }

    fn counts(&self, keys: [Key; 2], unread: &mut u8) -> [Option<u64>; 2] {
        keys.map(|key| {
            let value = self.0[key as usize]?;
            let count = count(value);
            *unread += u8::from(count.is_none());
            count
        })
    }

    /// A time in microseconds, sent in seconds. Zero is none: calls that were aborted have it.
    fn time(&self, key: Key, duration: u64, unread: &mut u8) -> Option<u64> {
        // Clocks of a process and rounding differ by less.
        const SLACK: u64 = 1000;
        let micros = seconds(self.0[key as usize]?).map(|seconds| (seconds * 1e6).round());
        let micros = micros.filter(|micros| (0.0..=duration.saturating_add(SLACK) as f64).contains(micros));
        *unread += u8::from(micros.is_none());
        micros.map(|micros| micros as u64).filter(|micros| *micros > 0)
    }

    fn http_status(&self) -> Option<u64> {
        self.0[Key::HttpStatus as usize].or(self.0[Key::OldHttpStatus as usize]).and_then(count)
    }

    /// Of each status that is there whether it is an error; `None` where it is not understood.
    fn rpc_statuses(&self) -> impl Iterator<Item = Option<bool>> + '_ {
        let value = |key: Key| self.0[key as usize].filter(|value| *value != Value::Text(""));
        [Key::GrpcStatus, Key::RpcStatus].into_iter().filter_map(value).map(|value| match value {
            Value::Text(text) => outcome::is_rpc_error(text),
            other => number(other).map(outcome::is_grpc_error),
        })
    }
}

/// A whole number that is not negative, whatever it was sent as.
fn count(value: Value<'_>) -> Option<u64> {
    u64::try_from(number(value)?).ok()
}

fn seconds(value: Value<'_>) -> Option<f64> {
    match value {
        Value::Int(number) => Some(number as f64),
        Value::Double(number) => Some(number),
        Value::Text(text) => text.trim().parse().ok(),
        Value::Other => None,
    }
}

/// Doubles that are no whole number, or too large to be exact, are none.
fn number(value: Value<'_>) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let whole = |number: f64| (number.fract() == 0.0 && number.abs() <= EXACT).then_some(number as i64);
    match value {
        Value::Int(number) => Some(number),
        Value::Double(number) => whole(number),
        Value::Text(text) => {
            let text = text.trim();
            text.parse().ok().or_else(|| text.parse().ok().and_then(whole))
        }
        Value::Other => None,
    }
}

#[cfg(test)]
mod tests;
