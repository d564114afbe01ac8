//! What is found, what is left alone, and what becomes of it.

mod generator;
mod json;
mod lookalikes;
mod patterns;
mod planted;
mod properties;
mod rules;

use super::*;

/// A key that is the same in every test.
fn key() -> HmacKey {
    HmacKey::from_hex(&"0b".repeat(32)).unwrap()
}

fn rule(field: &str, method: Method, patterns: &[Pattern], expressions: &[&str]) -> Rule {
    let expressions = expressions.iter().map(|text| (*text).to_owned()).collect();
    Rule { field: field.to_owned(), method, patterns: patterns.to_vec(), expressions }
}

/// Looks for all patterns in its one field.
fn redactor(method: Method) -> Redactor {
    Redactor::new(&[rule("text", method, &Pattern::ALL, &[])], &["text"], &key()).unwrap()
}

/// What becomes of a text; the same text if nothing is found in it.
fn apply(redactor: &Redactor, text: &str) -> String {
    match redactor.text(0, text, &mut Counts::default()) {
        Redacted::Same => text.to_owned(),
        Redacted::Changed(changed) => changed,
        Redacted::Gone => "gone".to_owned(),
    }
}

fn mask(text: &str) -> String {
    apply(&redactor(Method::Mask), text)
}
