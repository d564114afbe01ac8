//! A text as a template and its variables: the words that hold an ASCII digit are taken out of it.
//!
//! Lines of one program differ mostly in such words. What is left is the same for many lines, and is kept once; a word
//! without a digit lies in the template or nowhere, and one with a digit is a variable or nowhere.

use ahash::AHashMap;
use weir_query::body::has_escapes;
use weir_query::line::{Body, Line};
use weir_query::words::is_ideograph;

/// Stands where a variable was. Texts that hold it are kept whole, since what a terminal shows of them has other words; so
/// is JSON with escapes, whose strings have other words than it has.
pub(super) const PLACE: u8 = 0x1b;

/// Stands in for a variable where words of a template are looked for. No word of a template is the same, since it has a
/// digit.
pub(super) const STAND_IN: &str = "0";

/// What a body was, and whether it was taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Text,
    Json,
    /// Whole, in the one place of its template.
    WholeText,
    WholeJson,
    WholeBytes,
    /// The protobuf of a span, of which all else of its line is made.
    Span,
}

impl Kind {
    pub(super) const ALL: [Self; 6] =
        [Self::Text, Self::Json, Self::WholeText, Self::WholeJson, Self::WholeBytes, Self::Span];

    pub(super) fn is_whole(self) -> bool {
        matches!(self, Self::WholeText | Self::WholeJson | Self::WholeBytes | Self::Span)
    }
}

/// Bodies of the lines of a chunk.
#[derive(Debug, Default)]
pub(super) struct Templates<'a> {
    pub(super) distinct: Vec<Template<'a>>,
    /// For each line, its place among them.
    pub(super) ordinals: Vec<u32>,
}

/// A template and the lines that have it.
#[derive(Debug)]
pub(super) struct Template<'a> {
    pub(super) kind: Kind,
    /// With [`PLACE`] where a variable was.
    pub(super) text: Box<str>,
    /// Variables of all its lines, line by line; `places` for each of them.
    pub(super) variables: Vec<&'a [u8]>,
    pub(super) places: usize,
    pub(super) lines: u32,
}

impl<'a> Templates<'a> {
    pub(super) fn of(lines: &[&'a Line]) -> Self {
        let mut templates = Self { distinct: Vec::new(), ordinals: Vec::with_capacity(lines.len()) };
        let mut known: [AHashMap<Box<str>, u32>; Kind::ALL.len()] = Default::default();
        let (mut text, mut variables) = (String::new(), Vec::new());
        for line in lines {
            text.clear();
            variables.clear();
            let kind = match &line.body {
                Body::Text(body) if !has_escapes(&line.body) && split(body, &mut text, &mut variables) => Kind::Text,
                Body::Json(body) if !has_escapes(&line.body) && split(body, &mut text, &mut variables) => Kind::Json,
                whole => {
                    text.clear();
                    text.push(char::from(PLACE));
                    variables.clear();
                    variables.push(whole.bytes());
                    match whole {
                        _ if line.span.is_some() => Kind::Span,
                        Body::Text(_) => Kind::WholeText,
                        Body::Json(_) => Kind::WholeJson,
                        Body::Bytes(_) => Kind::WholeBytes,
                    }
                }
            };
            let known = &mut known[kind as usize];
            let ordinal = known.get(text.as_str()).copied().unwrap_or_else(|| {
                let ordinal = templates.distinct.len() as u32;
                known.insert(text.as_str().into(), ordinal);
                templates.distinct.push(Template {
                    kind,
                    text: text.as_str().into(),
                    variables: Vec::new(),
                    places: variables.len(),
                    lines: 0,
                });
                ordinal
            });
            if let Some(template) = templates.distinct.get_mut(ordinal as usize) {
                template.variables.extend_from_slice(&variables);
                template.lines += 1;
            }
            templates.ordinals.push(ordinal);
        }
        templates
    }
}

impl Template<'_> {
    /// The text with [`STAND_IN`] for each variable.
    pub(super) fn put_plain(&self, plain: &mut String) {
        fill(&self.text, plain);
    }
}

/// The template with [`STAND_IN`] for each variable.
pub(super) fn fill(template: &str, plain: &mut String) {
    plain.clear();
    for (at, kept) in template.split(char::from(PLACE)).enumerate() {
        plain.push_str(if at > 0 { STAND_IN } else { "" });
        plain.push_str(kept);
    }
}

/// What a byte is in a word.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Class {
    Between,
    Letter,
    Digit,
    /// Part of a longer character.
    Other,
    Place,
}

const CLASSES: [Class; 256] = {
    let mut classes = [Class::Between; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            b'0'..=b'9' => Class::Digit,
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => Class::Letter,
            PLACE => Class::Place,
            0x80.. => Class::Other,
            _ => Class::Between,
        };
        byte += 1;
    }
    classes
};

/// Adds the template and the variables of a text; false for a text that cannot be taken apart.
fn split<'a>(text: &'a str, template: &mut String, variables: &mut Vec<&'a [u8]>) -> bool {
    let bytes = text.as_bytes();
    // From where the template was not written yet, and where the word began, if it did.
    let (mut kept, mut word, mut has_digit, mut at) = (0, 0, false, 0);
    loop {
        let mut width = 1;
        let class = bytes.get(at).map_or(Class::Between, |byte| CLASSES[usize::from(*byte)]);
        let is_word = match class {
            Class::Letter => true,
            Class::Digit => {
                has_digit = true;
                true
            }
            Class::Between => false,
            Class::Place => return false,
            Class::Other => {
                let c = text.get(at..).and_then(|rest| rest.chars().next()).unwrap_or(' ');
                width = c.len_utf8();
                c.is_alphanumeric() && !is_ideograph(c)
            }
        };
        if !is_word {
            if has_digit {
                template.push_str(text.get(kept..word).unwrap_or_default());
                template.push(char::from(PLACE));
                variables.push(bytes.get(word..at).unwrap_or_default());
                (kept, has_digit) = (at, false);
            }
            word = at + width;
        }
        if at >= bytes.len() {
            break;
        }
        at += width;
    }
    template.push_str(text.get(kept..).unwrap_or_default());
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use weir_query::words::words;

    use super::*;

    fn parts(text: &str) -> Option<(String, Vec<&str>)> {
        let (mut template, mut variables) = (String::new(), Vec::new());
        split(text, &mut template, &mut variables)
            .then(|| (template, variables.into_iter().map(|bytes| std::str::from_utf8(bytes).unwrap()).collect()))
    }

    #[test]
    fn given_a_text_then_words_with_digits_are_taken_out_of_it() {
        for (text, template, variables) in [
            ("GPU7 has 80_GB of 显存3, a-b", "\x1b has \x1b of 显存\x1b, a-b", vec!["GPU7", "80_GB", "3"]),
            ("é1é 12", "\x1b \x1b", vec!["é1é", "12"]),
            ("no digit", "no digit", vec![]),
            ("", "", vec![]),
        ] {
            assert_eq!(parts(text), Some((template.to_owned(), variables)), "{text}");
        }
        assert_eq!(parts("\x1b[31mred"), None);
    }

    proptest! {
        #[test]
        fn given_any_text_then_its_words_are_those_of_the_template_and_the_variables(
            text in "[a-cA-C0-1_ .é显存İſ٣-]{0,24}|.{0,24}",
        ) {
            let Some((template, variables)) = parts(&text) else { return Ok(()) };
            let mut rest = variables.iter();
            let filled: String = template
                .chars()
                .map(|c| if c == char::from(PLACE) { rest.next().unwrap().to_string() } else { c.to_string() })
                .collect();
            prop_assert_eq!(&filled, &text);
            let (with, without): (Vec<_>, Vec<_>) =
                words(&text).into_iter().partition(|word| word.bytes().any(|b| b.is_ascii_digit()));
            prop_assert_eq!(with, variables.iter().flat_map(|variable| words(variable)).collect::<Vec<_>>());
            let plain = template.replace(char::from(PLACE), STAND_IN);
            let plain: Vec<_> = words(&plain).into_iter().filter(|word| word != STAND_IN).collect();
            prop_assert_eq!(plain, without);
        }
    }
}
