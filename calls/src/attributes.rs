//! What the attributes of a SERVER or CONSUMER span say of a call: its interface, whether it failed, bytes and tokens.
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
}

impl Unread {
    /// All of them, in the order of [`Attributes::unread`].
    pub const ALL: [Self; 4] = [Self::HttpStatus, Self::RpcStatus, Self::Bytes, Self::Tokens];

    /// As metrics name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::HttpStatus => "http_status",
            Self::RpcStatus => "rpc_status",
            Self::Bytes => "bytes",
            Self::Tokens => "tokens",
        }
    }
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
}

const KEYS: usize = Key::OldOutputTokens as usize + 1;

/// Keys are told apart by their first byte before they are compared: most attributes are none of these.
fn key(name: &[u8]) -> Option<Key> {
    Some(match *name.first()? {
        b'h' => match name.strip_prefix(b"http.")? {
            b"request.method" => Key::Method,
            b"method" => Key::OldMethod,
            b"route" => Key::Route,
            b"response.status_code" => Key::HttpStatus,
            b"status_code" => Key::OldHttpStatus,
            b"request.body.size" => Key::RequestBytes,
            b"request_content_length" => Key::OldRequestBytes,
            b"response.body.size" => Key::ResponseBytes,
            b"response_content_length" => Key::OldResponseBytes,
            _ => return None,
        },
        b'r' => match name.strip_prefix(b"rpc.")? {
            b"service" => Key::RpcService,
            b"method" => Key::RpcMethod,
            b"grpc.status_code" => Key::GrpcStatus,
            b"response.status_code" => Key::RpcStatus,
            _ => return None,
        },
        b'g' => match name.strip_prefix(b"gen_ai.")? {
            b"operation.name" => Key::Operation,
            b"request.model" => Key::RequestModel,
            b"response.model" => Key::ResponseModel,
            b"usage.input_tokens" => Key::InputTokens,
            b"usage.prompt_tokens" => Key::OldInputTokens,
            b"usage.output_tokens" => Key::OutputTokens,
            b"usage.completion_tokens" => Key::OldOutputTokens,
            _ => return None,
        },
        b'e' if name == b"error.type" => Key::ErrorType,
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

    /// Request and response bytes, input and output tokens; zero where nothing says how many.
    pub fn sums(&self) -> [u64; 4] {
        [
            self.count(Key::RequestBytes, Key::OldRequestBytes),
            self.count(Key::ResponseBytes, Key::OldResponseBytes),
            self.count(Key::InputTokens, Key::OldInputTokens),
            self.count(Key::OutputTokens, Key::OldOutputTokens),
        ]
    }

    /// How many values were not understood, by reason in the order of [`Unread::ALL`].
    pub fn unread(&self) -> [u8; 4] {
        let odd = |keys: &[Key]| {
            let value = |key: &Key| self.0[*key as usize].is_some_and(|value| count(value).is_none());
            keys.iter().filter(|key| value(key)).count() as u8
        };
        [
            odd(&[Key::HttpStatus, Key::OldHttpStatus]),
            self.rpc_statuses().filter(Option::is_none).count() as u8,
            odd(&[Key::RequestBytes, Key::OldRequestBytes, Key::ResponseBytes, Key::OldResponseBytes]),
            odd(&[Key::InputTokens, Key::OldInputTokens, Key::OutputTokens, Key::OldOutputTokens]),
        ]
    }

    fn text(&self, key: Key) -> Option<&'a str> {
        match self.0[key as usize] {
            Some(Value::Text(text)) if !text.is_empty() => Some(text),
            _ => None,
        }
    }

    /// The older attribute counts where the newer one cannot be read.
    fn count(&self, key: Key, older: Key) -> u64 {
        let [newer, older] = [key, older].map(|key| self.0[key as usize].and_then(count));
        newer.or(older).unwrap_or(0)
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
