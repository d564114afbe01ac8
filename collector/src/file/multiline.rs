//! Which lines are one stack trace: Java, C#, JavaScript, Python, Go, Rust, C++, PHP, Ruby and Dart, as their runtimes
//! print them.
//!
//! A state machine with no look ahead: whether a line goes on depends on the lines of its record alone, and a record
//! begins with a state that its first line alone decides. A *frame* is a line that never stands alone, so it belongs to
//! the line before, whatever that is; other lines go on only in a state that expects them. Everything else is a record of
//! its own, so a message of several lines in front of its frames is not joined, and one blank line that may lie within a
//! trace belongs to it even if nothing follows.

mod lines;

use memchr::memmem::find;

use self::lines::{
    REPORT, ends_in_digit, follows, is_at, is_call, is_goroutine, is_node_source, is_numbered, is_qualified_exception,
    is_register, is_report, is_ruby_error, is_rule, is_traceback, names_exception, starts,
};
use crate::severity;

/// Least severity of a line that a trace behind it explains: WARN.
const ANNOUNCES: u8 = 13;

/// What may come next.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// No trace so far; the record is one line.
    #[default]
    Plain,
    /// The trace is over, but for frames.
    Done,
    /// Java, C#, JavaScript: frames that begin with `at`.
    Frames {
        /// The fields of a JavaScript error, until `}`.
        fields: bool,
        /// Ends with a blank line and Node's version.
        node: bool,
    },
    /// Java: an exception was named.
    Named,
    /// Java: the next line names the exception that is nested.
    Nested,
    /// Java: that name; a blank line may follow.
    NestedName,
    /// Node: the next line is the source that threw.
    NodeSource,
    /// Node: a mark below the source, a blank line, the error.
    NodeMark,
    /// Node: behind the last blank line.
    NodeEnd,
    /// Python: frames, until a line names the exception.
    Python,
    /// Python: the exception was named.
    PythonNamed,
    /// Python: a blank line behind the name.
    PythonGap,
    /// Python: the next traceback follows.
    PythonChain,
    /// Python: a group of exceptions, drawn as a tree.
    PythonGroup,
    /// Go: a panic, before its goroutines.
    GoHead,
    /// Go: calls and their places.
    Go,
    /// Go: a blank line, then another goroutine.
    GoGap,
    /// PHP, Dart, C++: frames that begin with `#`.
    Numbered,
    /// A blank line, then the frames of another.
    NumberedGap,
    /// Dart: lines of a message that may be anything.
    Dart(u8),
    /// Rust: the next line is the panic's message.
    RustMessage,
    /// Rust: notes and a backtrace.
    Rust,
    /// Rust: an error that `main` returned.
    RustError,
    /// Rust: a blank line before the causes or the backtrace.
    RustGap,
    /// C++: `terminate called`, then why.
    Terminate,
    /// A line of `=`, before the report of a sanitizer.
    Rule,
    /// The report of a sanitizer or of Go's race detector.
    Sanitizer,
    /// Ruby: the error, before its frames.
    RubyHead,
}

const FRAMES: State = State::Frames { fields: false, node: false };

/// The state after the first line of a record.
pub(super) fn begin(line: &[u8]) -> State {
    let line = without_return(line);
    let found = match line.first() {
        Some(b' ' | b'\t') => indented_head(line.trim_ascii_start()),
        Some(b'T') if is_traceback(line) => Some(State::Python),
        Some(b'p') if line.starts_with(b"panic: ") => Some(State::GoHead),
        Some(b'f') if line.starts_with(b"fatal error: ") => Some(State::GoHead),
        Some(b'u') if line.starts_with(b"unexpected fault address ") => Some(State::GoHead),
        Some(b'r') if line.starts_with(b"runtime: goroutine stack exceeds ") => Some(State::GoHead),
        Some(b'S') if line == b"SIGQUIT: quit" => Some(State::GoHead),
        Some(b'g') if is_goroutine(line) => Some(State::Go),
        Some(b't') if line.starts_with(b"terminate called ") => Some(State::Terminate),
        Some(b't') if line.starts_with(b"thread '") && find(line, b" panicked at ").is_some() => {
            Some(if line.ends_with(b":") { State::RustMessage } else { State::Rust })
        }
        Some(b'U') if line == b"Unhandled exception:" => Some(State::Dart(1)),
        Some(b'E') if line.starts_with(b"Error: ") => Some(State::RustError),
        Some(b'=') if is_rule(line) => Some(State::Rule),
        Some(b'=' | b'W') if is_report(line) => Some(State::Sanitizer),
        Some(b'/' | b'f' | b'n') if is_node_source(line) => Some(State::NodeSource),
        _ => None,
    };
    found.or_else(|| frame(line)).or_else(|| is_ruby_error(line).then_some(State::RubyHead)).unwrap_or_default()
}

/// The state after `line`, if it goes on with the record `so_far` (whole, as long as it is one line).
pub(super) fn go_on(state: State, so_far: &[u8], line: &[u8]) -> Option<State> {
    let line = without_return(line);
    let blank = line.trim_ascii().is_empty();
    let indented = !blank && matches!(line[0], b' ' | b'\t');
    let next = match state {
        State::Plain => explains(so_far, line),
        State::Frames { fields, node } if indented => {
            Some(State::Frames { fields: fields || line.ends_with(b" {"), node })
        }
        State::Frames { fields: true, node } if line.starts_with(b"}") => Some(State::Frames { fields: false, node }),
        State::Frames { node: true, .. } if blank => Some(State::NodeEnd),
        State::Frames { node: true, .. } if line.starts_with(b"Emitted '") => Some(state),
        State::Nested => names_exception(line).then_some(State::NestedName),
        State::NestedName => blank.then_some(State::Named),
        State::NodeSource => Some(State::NodeMark),
        State::NodeMark if indented || blank || line.starts_with(b"^") => Some(State::NodeMark),
        State::NodeMark => (names_exception(line) || find(line, b" [ERR_").is_some())
            .then_some(State::Frames { fields: false, node: true }),
        State::NodeEnd => line.starts_with(b"Node.js v").then_some(State::Done),
        State::Python if indented || blank => Some(State::Python),
        State::Python => (names_exception(line) || find(line, b":in ").is_some_and(|at| ends_in_digit(&line[..at])))
            .then_some(State::PythonNamed),
        State::PythonNamed => blank.then_some(State::PythonGap),
        State::PythonGap => {
            let chained = line.starts_with(b"During handling of the above exception")
                || line.starts_with(b"The above exception was the direct cause");
            chained.then_some(State::PythonChain)
        }
        State::PythonChain if blank => Some(State::PythonChain),
        State::PythonChain if is_traceback(line) => Some(State::Python),
        State::PythonGroup => {
            (indented && matches!(line.trim_ascii_start()[0], b'|' | b'+')).then_some(State::PythonGroup)
        }
        State::GoHead | State::Go | State::GoGap => in_go(state, line, indented, blank),
        State::Numbered if blank => Some(State::NumberedGap),
        State::Numbered if indented || is_numbered(line) || starts(line, &[b"<asynchronous ", b"PHP   "]) => {
            Some(State::Numbered)
        }
        State::NumberedGap => starts(line, &[b"Next ", b"Thread "]).then_some(State::Numbered),
        State::Dart(any) => in_dart(any, line, indented || blank),
        State::RustMessage => Some(State::Rust),
        State::Rust if blank => Some(State::RustGap),
        State::Rust => (indented || line.starts_with(b"note: ")).then_some(State::Rust),
        State::RustError => blank.then_some(State::RustGap),
        State::RustGap => (line == b"Location:").then_some(State::Rust),
        State::Terminate if line.starts_with(b"Aborted") => Some(State::Done),
        State::Terminate => indented.then_some(State::Terminate),
        State::Rule => is_report(line).then_some(State::Sanitizer),
        State::Sanitizer if is_rule(line) => Some(State::Done),
        State::Sanitizer => (indented || blank || is_report(line) || starts(line, &REPORT)).then_some(State::Sanitizer),
        State::RubyHead => (indented || blank).then_some(State::RubyHead),
        State::Done | State::Named | State::Frames { .. } | State::PythonChain | State::Numbered => None,
    };
    next.or_else(|| frame(line))
}

/// A line that is never one of its own.
fn frame(line: &[u8]) -> Option<State> {
    let first = *line.first()?;
    let text = if matches!(first, b' ' | b'\t') { line.trim_ascii_start() } else { line };
    match text.first()? {
        b'C' if text.starts_with(b"Caused by: ") => return Some(State::Named),
        b'C' if text == b"Caused by:" => return Some(State::Rust),
        b'S' if text.starts_with(b"Suppressed: ") => return Some(State::Named),
        b'S' if text == b"Stack trace:" => return Some(State::Numbered),
        b'P' if text == b"PHP Stack trace:" => return Some(State::Numbered),
        b'S' | b's' if text[1..].starts_with(b"tack backtrace:") => return Some(State::Rust),
        b'-' if starts(text, &[b"--- End of stack trace from previous ", b"--- End of inner exception "]) => {
            return Some(FRAMES);
        }
        b'#' if text.starts_with(b"#0 ") && is_numbered(text) => return Some(State::Numbered),
        _ => {}
    }
    if !matches!(first, b' ' | b'\t') {
        return None;
    }
    match text[0] {
        b'a' | b'e' if is_at(text) => Some(FRAMES),
        b'.' if text.starts_with(b"... ") && text.get(4).is_some_and(u8::is_ascii_digit) => Some(FRAMES),
        b'-' if text.starts_with(b"---> ") => Some(FRAMES),
        b'n' if text == b"nested exception is:" => Some(State::Nested),
        b'f' if text.starts_with(b"from ") && find(text, b":in ").is_some() => Some(State::Done),
        _ if find(text, b":in ").is_some_and(|at| ends_in_digit(&text[..at])) => Some(State::Done),
        _ if first == b'\t'
            && follows(text, b".go:").is_some_and(|rest| rest.first().is_some_and(u8::is_ascii_digit)) =>
        {
            Some(State::Go)
        }
        _ => None,
    }
}

/// A trace that a line in front of it announces: what a logger was told of, printed behind the message; or the line ends
/// in a colon.
fn explains(so_far: &[u8], line: &[u8]) -> Option<State> {
    let next = match line.first()? {
        b'T' if is_traceback(line) => State::Python,
        b'g' if is_goroutine(line) => State::Go,
        b'a'..=b'z' | b'A'..=b'Z' if is_qualified_exception(line) => State::Named,
        _ => return None,
    };
    let announced = match next {
        State::Python if so_far.starts_with(b"Exception ") => true,
        State::Go if find(so_far, b"panic").is_some() => true,
        _ => {
            let so_far = without_return(so_far);
            let told = || severity::detect(so_far).is_some_and(|number| number >= ANNOUNCES);
            (so_far.ends_with(b":") || told()) && !is_qualified_exception(so_far)
        }
    };
    announced.then_some(next)
}

fn indented_head(text: &[u8]) -> Option<State> {
    let numbered = || {
        let digits = text.iter().take_while(|b| b.is_ascii_digit()).count();
        digits > 0 && text[digits..].starts_with(b": ")
    };
    match text.first()? {
        b'F' if text.starts_with(b"File \"") && find(text, b", line ").is_some() => Some(State::Python),
        b'+' if text.starts_with(b"+ Exception Group Traceback") => Some(State::PythonGroup),
        b'0'..=b'9' if numbered() => Some(State::Rust),
        _ => None,
    }
}

fn in_go(state: State, line: &[u8], indented: bool, blank: bool) -> Option<State> {
    if is_goroutine(line) || line == b"runtime stack:" {
        return Some(State::Go);
    }
    if line.starts_with(b"exit status ") {
        return Some(State::Done);
    }
    match state {
        State::GoGap => is_register(line).then_some(State::Go),
        _ if blank => Some(State::GoGap),
        _ if indented => Some(state),
        State::GoHead => starts(line, &[b"panic: ", b"[signal ", b"fatal error: ", b"PC="]).then_some(state),
        _ => (is_call(line) || is_register(line) || starts(line, &[b"created by ", b"...", b"[originating from "]))
            .then_some(State::Go),
    }
}

fn in_dart(any: u8, line: &[u8], loose: bool) -> Option<State> {
    if line.starts_with(b"#0 ") {
        return Some(State::Numbered);
    }
    if any > 0 {
        // The text that could not be read follows.
        let quotes = line.starts_with(b"FormatException: ") && find(line, b"(at ").is_some();
        return Some(State::Dart(any - 1 + u8::from(quotes)));
    }
    (loose || starts(line, &[b"Receiver: ", b"Tried calling: ", b"Found: "])).then_some(State::Dart(0))
}

fn without_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests;
