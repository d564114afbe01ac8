//! How single lines of traces look.

use memchr::memmem::find;

use crate::severity;

/// How the lines of a sanitizer's report begin.
pub(super) const REPORT: [&[u8]; 22] = [
    b"READ of size ",
    b"WRITE of size ",
    b"0x",
    b"freed by ",
    b"previously allocated ",
    b"allocated by ",
    b"SUMMARY: ",
    b"Shadow byte",
    b"=>0x",
    b"Direct leak of ",
    b"Indirect leak of ",
    b"Thread T",
    b"HINT: ",
    b"Address 0x",
    b"This frame has ",
    b"The signal is caused by ",
    b"Read at 0x",
    b"Write at 0x",
    b"Previous read at 0x",
    b"Previous write at 0x",
    b"Goroutine ",
    b"AddressSanitizer can not provide additional info",
];

pub(super) fn is_report(line: &[u8]) -> bool {
    if starts(line, &[b"WARNING: ThreadSanitizer: ", b"WARNING: DATA RACE"]) {
        return true;
    }
    let Some(rest) = line.strip_prefix(b"==") else { return false };
    let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    digits > 0 && starts(&rest[digits..], &[b"==ERROR: ", b"==WARNING: ", b"==ABORTING", b"==HINT: ", b"==The signal "])
}

/// The line that sanitizers draw: 65 characters, or 18.
pub(super) fn is_rule(line: &[u8]) -> bool {
    line.len() >= 18 && line.iter().all(|&b| b == b'=')
}

pub(super) fn is_traceback(line: &[u8]) -> bool {
    line.starts_with(b"Traceback (most recent call last)")
}

pub(super) fn is_goroutine(line: &[u8]) -> bool {
    let rest = line.strip_prefix(b"goroutine ");
    rest.is_some_and(|rest| rest.first().is_some_and(u8::is_ascii_digit) && rest.ends_with(b"]:"))
}

/// `package.function(arguments)`.
pub(super) fn is_call(line: &[u8]) -> bool {
    let head = line.iter().position(|&b| b == b'(').map(|at| &line[..at]);
    line.ends_with(b")") && head.is_some_and(|head| !head.contains(&b' ') && (head == b"panic" || head.contains(&b'.')))
}

/// `rax    0xca`.
pub(super) fn is_register(line: &[u8]) -> bool {
    let name = line.iter().take_while(|b| b.is_ascii_alphanumeric()).count();
    (2..=6).contains(&name) && line[name..].starts_with(b" ") && line[name..].trim_ascii_start().starts_with(b"0x")
}

/// `#12  0x401 in main ()`, `#1 {main}`, `#0 /a.php(9): f()`, but not `#1 of three`.
pub(super) fn is_numbered(line: &[u8]) -> bool {
    let Some(rest) = line.strip_prefix(b"#") else { return false };
    let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    let rest = &rest[digits..];
    digits > 0
        && rest.starts_with(b" ")
        && (rest.contains(&b'(') || rest.ends_with(b"{main}") || rest.trim_ascii_start().starts_with(b"0x"))
}

/// `at f (file:1:2)`, `at /a.js:1:2`, `eval at f (…)`, but not prose.
pub(super) fn is_at(text: &[u8]) -> bool {
    let text = text.strip_prefix(b"eval ").unwrap_or(text);
    let Some(rest) = text.strip_prefix(b"at ") else { return false };
    match rest.iter().position(|&b| b == b'(') {
        Some(open) => {
            let name = rest[..open].trim_ascii();
            let name =
                [&b"async "[..], b"new "].iter().fold(name, |name, word| name.strip_prefix(*word).unwrap_or(name));
            let name = find(name, b" [as ").map_or(name, |end| &name[..end]);
            !name.is_empty() && !name.contains(&b' ') && rest[open..].contains(&b')')
        }
        None => ends_in_digit(rest) && !rest.contains(&b' '),
    }
}

/// An identifier, also a qualified one, alone or before a colon; not the name of a severity.
pub(super) fn names_exception(line: &[u8]) -> bool {
    let (name, rest) = split_name(line);
    is_exception(name) && rest.first().is_none_or(|&b| b == b':')
}

/// `java.io.IOException: why`, `System.IO.IOException (0x80131620): why`, `org.RemoteException(org.Why): why`.
pub(super) fn is_qualified_exception(line: &[u8]) -> bool {
    let (name, rest) = split_name(line);
    is_exception(name)
        && name.contains(&b'.')
        && [&b"Exception"[..], b"Error", b"Throwable"].iter().any(|end| name.ends_with(end))
        && match rest.strip_prefix(b" ").unwrap_or(rest).first() {
            Some(b'(') => find(rest, b"): ").is_some(),
            _ => rest.first().is_none_or(|&b| b == b':'),
        }
}

fn split_name(line: &[u8]) -> (&[u8], &[u8]) {
    line.split_at(line.iter().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'$')).count())
}

fn is_exception(name: &[u8]) -> bool {
    !name.first().is_none_or(u8::is_ascii_digit) && (name == b"Error" || severity::number(name).is_none())
}

/// Where Node says an error was thrown: `/app/a.js:12`, `node:events:495`.
pub(super) fn is_node_source(line: &[u8]) -> bool {
    let place = starts(line, &[b"node:internal/", b"node:events:"])
        || [&b".js:"[..], b".mjs:", b".cjs:", b".ts:"].iter().any(|kind| find(line, kind).is_some());
    ends_in_digit(line) && !line.contains(&b' ') && place
}

/// `NoMethodError (undefined method):`, ``a.rb:1:in `f': undefined method (NoMethodError)``.
pub(super) fn is_ruby_error(line: &[u8]) -> bool {
    (line.ends_with(b"):") && (find(line, b"Error (").is_some() || find(line, b"Exception (").is_some()))
        || (line.ends_with(b"Error)") && follows(line, b":in ").is_some())
}

/// Ends in `:12`.
pub(super) fn ends_in_digit(text: &[u8]) -> bool {
    let digits = text.iter().rev().take_while(|b| b.is_ascii_digit()).count();
    digits > 0 && text[..text.len() - digits].ends_with(b":")
}

pub(super) fn starts(line: &[u8], with: &[&[u8]]) -> bool {
    with.iter().any(|with| line.starts_with(with))
}

pub(super) fn follows<'a>(line: &'a [u8], part: &[u8]) -> Option<&'a [u8]> {
    find(line, part).map(|at| &line[at + part.len()..])
}
