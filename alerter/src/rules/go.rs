//! What Go's templates do and the engine does not: a label that is not there is empty text, and numbers are written as
//! Go writes them.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use gotmpl::{FuncMap, Template, TemplateError, Value};

use super::humanize;
pub(crate) use super::humanize::{duration, go as number};

/// Arguments of one `printf` or `print`; more are a mistake.
const MOST_ARGUMENTS: usize = 32;

/// Each `else if` lies in the one before it, and the parser does not count how deep.
const MOST_ELSE_IFS: usize = 150;

/// Whether a text is one that the parser's stack holds.
pub(crate) fn check_depth(text: &str) -> Result<(), String> {
    let is_else_if = |action: &&str| {
        let rest = action.trim_start_matches('-').trim_start().strip_prefix("else").map(str::trim_start);
        rest.is_some_and(|rest| rest.starts_with("if") || rest.starts_with("with"))
    };
    if text.split("{{").filter(is_else_if).count() > MOST_ELSE_IFS {
        return Err(format!("more than {MOST_ELSE_IFS} times else if"));
    }
    Ok(())
}

/// Rewrites the actions of a template: labels are asked for by a function that knows those that are not there, and a
/// bare value goes through one that writes it as Go does.
pub(super) fn rewritten(text: &str) -> String {
    let mut made = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("{{") {
        let end = action_end(&rest[start..]).map_or(rest.len(), |length| start + length);
        made.push_str(&rest[..start]);
        made.push_str(&action(&rest[start..end]));
        rest = &rest[end..];
    }
    made.push_str(rest);
    made
}

/// Length of the action that a text begins with; its strings may hold braces.
pub(super) fn action_end(text: &str) -> Option<usize> {
    if text.trim_start_matches("{{").trim_start_matches(['-', ' ']).starts_with("/*") {
        return text.find("}}").map(|at| at + 2);
    }
    let mut at = 2;
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with("}}") {
            return Some(at + 2);
        }
        at += quoted(rest).unwrap_or_else(|| rest.chars().next().map_or(1, char::len_utf8));
    }
    None
}

/// Length of the string literal that a text begins with.
fn quoted(text: &str) -> Option<usize> {
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '`' | '\''))?;
    let mut is_escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if c == quote && !is_escaped {
            return Some(at + 1);
        }
        is_escaped = c == '\\' && !is_escaped && quote != '`';
    }
    None
}

fn action(text: &str) -> Cow<'_, str> {
    static LABEL: LazyLock<Option<regex::Regex>> = LazyLock::new(|| {
        regex::Regex::new(r"(^|[^)\w])(\$labels|\$externalLabels|(?:\$\w*)?\.Labels|\$?\.ExternalLabels)\.(\w+)").ok()
    });
    static BARE: LazyLock<Option<regex::Regex>> = LazyLock::new(|| {
        regex::Regex::new(r"^\{\{(-?\s*)((?:\$value|(?:\$\w*)?\.Value)|(?:.*\|\s*value)|(?:value\s[^|]*?))(\s*-?)\}\}$")
            .ok()
    });
    let (Some(label), Some(bare)) = (&*LABEL, &*BARE) else { return text.into() };
    let text = if prints(text) { bare.replace(text, "{{${1}goNumber (${2})${3}}}") } else { text.into() };
    if !label.is_match(&text) {
        return text;
    }
    let text = &*text;
    // What lies between the literals.
    let (mut made, mut rest, mut plain) = (String::new(), text, 0);
    while let Some(c) = rest[plain..].chars().next() {
        match quoted(&rest[plain..]) {
            Some(length) => {
                made.push_str(&label.replace_all(&rest[..plain], r#"${1}(goLabel $2 "$3")"#));
                made.push_str(&rest[plain..plain + length]);
                (rest, plain) = (&rest[plain + length..], 0);
            }
            None => plain += c.len_utf8(),
        }
    }
    made.push_str(&label.replace_all(rest, r#"${1}(goLabel $2 "$3")"#));
    made.into()
}

/// Whether an action writes what it gives: it is no keyword's and no assignment.
fn prints(action: &str) -> bool {
    const KEYWORDS: [&str; 10] =
        ["if", "else", "end", "range", "with", "define", "template", "block", "break", "continue"];
    let inner = action.trim_start_matches("{{").trim_start_matches('-').trim_start();
    let word = inner.split(|c: char| c.is_whitespace() || matches!(c, '(' | '}')).next().unwrap_or_default();
    let assigns = inner.starts_with('$') && inner.split_once('=').is_some_and(|(to, _)| !to.contains(['"', '`', '|']));
    !KEYWORDS.contains(&word) && !assigns
}

/// Adds the functions, some in place of the engine's own.
pub(super) fn add(map: &mut FuncMap) {
    let mut insert = |name: &str, function: fn(&[Value]) -> Result<Value, TemplateError>| {
        map.insert(name.to_owned(), Arc::new(function));
    };
    insert("goNumber", |arguments| Ok(arguments.first().map_or(Value::Nil, written)));
    insert("goLabel", index);
    insert("index", index);
    insert("printf", printf);
    insert("print", |arguments| match arguments {
        [one] => original("print", &[written(one)]),
        all => original("print", all),
    });
}

/// Go's `printf`, for which a float that is printed by `%v` is written as Go writes it.
pub(crate) fn printf(arguments: &[Value]) -> Result<Value, TemplateError> {
    let Some((Value::String(format), values)) = arguments.split_first() else {
        return original("printf", arguments);
    };
    let (format, values) = plain_verbs(format, values);
    let mut all = vec![Value::from(format)];
    all.extend(values);
    original("printf", &all)
}

/// As Go indexes a map of texts, such as labels: one that is not there is empty.
pub(crate) fn index(arguments: &[Value]) -> Result<Value, TemplateError> {
    let Some((of, keys)) = arguments.split_first() else {
        return Err(TemplateError::Exec("index needs a value".to_owned()));
    };
    let found = keys.iter().try_fold(of.clone(), |of, key| of.index(key))?;
    Ok(if matches!((of, &found), (Value::Map(_), Value::Nil)) { Value::from("") } else { found })
}

/// A float as Go's `%v` writes it; anything else as it is.
fn written(value: &Value) -> Value {
    match value {
        Value::Float(number) => Value::from(humanize::go(*number)),
        other => other.clone(),
    }
}

/// Lets `%v` of a float be `%s` of its text. A format that chooses its arguments by number is left alone.
fn plain_verbs(format: &str, values: &[Value]) -> (String, Vec<Value>) {
    if format.contains("%[") {
        return (format.to_owned(), values.to_vec());
    }
    let (mut made, mut values, mut at) = (String::new(), values.to_vec(), 0);
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        made.push(c);
        if c != '%' {
            continue;
        }
        for c in chars.by_ref() {
            match c {
                '*' => at += 1,
                '0'..='9' | '.' | '+' | '-' | '#' | ' ' => {}
                '%' => {
                    made.push(c);
                    break;
                }
                verb => {
                    let value = values.get_mut(at).filter(|value| verb == 'v' && matches!(value, Value::Float(_)));
                    made.push(if value.is_some() { 's' } else { verb });
                    if let Some(value) = value {
                        *value = written(value);
                    }
                    at += 1;
                    break;
                }
            }
            made.push(c);
        }
    }
    (made, values)
}

/// The engine's own function of this name.
pub(crate) fn original(name: &str, arguments: &[Value]) -> Result<Value, TemplateError> {
    if arguments.len() > MOST_ARGUMENTS {
        return Err(TemplateError::Exec(format!("{name} takes at most {MOST_ARGUMENTS} arguments")));
    }
    let places: Vec<String> = (0..arguments.len()).map(|at| format!("(index . {at})")).collect();
    let template = Template::new(name).parse(&format!("{{{{{name} {}}}}}", places.join(" ")))?;
    template.execute_to_string(&Value::List(arguments.to_vec().into())).map(Value::from)
}
