//! Text that is not UTF-8, in protobuf: made readable, so that it does not cost the records beside it.

use super::schema::{Kind, Message};
use super::wire::{Fields, MAX_DEPTH, Malformed, Value, put_bytes};

/// The same message with U+FFFD for what is not UTF-8 in its strings, to the last nested one; `None` where there is no
/// such thing. It has at most three times the bytes, and is not checked further. `depth` is how deep the message lies in
/// the request, which is at 0.
pub(super) fn strings(message: &'static Message, bytes: &[u8], depth: usize) -> Result<Option<Vec<u8>>, Malformed> {
    if depth > MAX_DEPTH {
        return Err(Malformed::Deep);
    }
    let mut out: Option<Vec<u8>> = None;
    let mut at = 0;
    for field in Fields::of(bytes) {
        let field = field?;
        let kind = message.by_number(field.number).map(|known| known.kind);
        let repaired = match (kind, field.value) {
            (Some(Kind::Nested(inner)), Value::Bytes(content)) => strings(inner, content, depth + 1)?,
            (Some(Kind::String), Value::Bytes(content)) => match String::from_utf8_lossy(content) {
                std::borrow::Cow::Owned(text) => Some(text.into_bytes()),
                std::borrow::Cow::Borrowed(_) => None,
            },
            _ => None,
        };
        match (repaired, &mut out) {
            (Some(content), _) => put_bytes(out.get_or_insert_with(|| bytes[..at].to_vec()), field.number, &content),
            (None, Some(out)) => out.extend_from_slice(field.whole),
            (None, None) => {}
        }
        at += field.whole.len();
    }
    Ok(out)
}
