use std::collections::HashMap;
use std::fmt::Write as _;

/// A variable that is not there, and the line that asks for it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Missing {
    pub(super) name: String,
    pub(super) line: u64,
}

/// Replaces `${VAR}` and `${VAR:-default}` within double quotes; the parser itself does so in plain scalars alone. Values
/// are escaped, so that a quoted scalar stays one scalar on one line.
pub(super) fn expand(text: &str, variables: &HashMap<String, String>) -> Result<String, Missing> {
    let mut out = String::with_capacity(text.len());
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let mut rest = line;
        while let Some((before, inside, after)) = double_quoted(rest) {
            out.push_str(before);
            let expanded = variables_in(inside, variables);
            out.push_str(&expanded.map_err(|name| Missing { name, line: number as u64 + 1 })?);
            out.push('"');
            rest = after;
        }
        out.push_str(rest);
    }
    Ok(out)
}

/// The text up to and with the opening quote, the text between the quotes, and the rest behind the closing quote.
fn double_quoted(line: &str) -> Option<(&str, &str, &str)> {
    let mut before = ' ';
    let mut chars = line.char_indices();
    while let Some((at, c)) = chars.next() {
        // Only where a value may begin does a quote open one, and only there is `#` a comment.
        let may_begin = before.is_whitespace() || "[{,".contains(before);
        before = c;
        match c {
            '#' if may_begin => return None,
            '\'' if may_begin => {
                chars.by_ref().find(|(_, c)| *c == '\'')?;
            }
            '"' if may_begin => {
                let start = at + 1;
                let mut is_escaped = false;
                let (end, _) = chars.by_ref().find(|(_, c)| {
                    let is_end = *c == '"' && !is_escaped;
                    is_escaped = *c == '\\' && !is_escaped;
                    is_end
                })?;
                if line[start..end].contains("${") {
                    return Some((&line[..start], &line[start..end], &line[end + 1..]));
                }
            }
            _ => {}
        }
    }
    None
}

/// The error is the name of a variable that is not there.
fn variables_in(mut text: &str, variables: &HashMap<String, String>) -> Result<String, String> {
    let mut out = String::new();
    while let Some((before, rest)) = text.split_once("${") {
        out.push_str(before);
        let Some((inside, after)) = rest.split_once('}') else {
            out.push_str("${");
            text = rest;
            continue;
        };
        let (name, default) = inside.split_once(":-").map_or((inside, None), |(name, default)| (name, Some(default)));
        match (variables.get(name).filter(|value| default.is_none() || !value.is_empty()), default) {
            (Some(value), _) => escape(&mut out, value),
            // A default is written within the quotes, so it is escaped already.
            (None, Some(default)) => out.push_str(default),
            (None, None) => return Err(name.to_owned()),
        }
        text = after;
    }
    out.push_str(text);
    Ok(out)
}

fn escape(out: &mut String, value: &str) {
    for c in value.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            c if c.is_control() => {
                let _ = write!(out, "\\U{:08x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
}
