//! `label_replace` and `label_join`.

use regex::{Regex, RegexBuilder};

use super::Error;
use super::face::{Face, Item, unique};
use super::plan::Node;

/// A pattern that compiles to more is refused.
const PATTERN_BYTES: usize = 1 << 20;

/// A label made from others.
#[derive(Debug, Clone)]
pub(super) struct Relabel {
    pub(super) of: Node,
    /// The label that is set.
    to: String,
    how: How,
}

#[derive(Debug, Clone)]
enum How {
    /// Where the pattern matches the whole of a label, the replacement with its groups filled in.
    Replace { from: String, pattern: Regex, replacement: String },
    /// The values of some labels with a separator between them.
    Join { from: Vec<String>, separator: String },
}

impl Relabel {
    /// `arguments` are the function's, of the right kinds.
    pub(super) fn new(replaces: bool, arguments: Vec<Node>) -> Result<Self, Error> {
        let mut arguments = arguments.into_iter();
        let missing = || Error::Type("the function takes a vector and string literals".to_owned());
        let of = arguments.next().ok_or_else(missing)?;
        let text = |node: Node| if let Node::Text(text) = node { Ok(text) } else { Err(missing()) };
        let texts = arguments.map(text).collect::<Result<Vec<_>, _>>()?;
        let mut texts = texts.into_iter();
        let mut next = || texts.next().ok_or_else(missing);
        let to = next()?;
        if to.is_empty() {
            return Err(Error::Type("invalid label name \"\": the label that is set needs a name".to_owned()));
        }
        let how = if replaces {
            let (replacement, from, pattern) = (next()?, next()?, next()?);
            let compiled = RegexBuilder::new(&format!("^(?s:{pattern})$")).size_limit(PATTERN_BYTES).build();
            let pattern = compiled.map_err(|_| Error::Type(format!("«{pattern}» is not a regular expression")))?;
            How::Replace { from, pattern, replacement }
        } else {
            let separator = next()?;
            How::Join { from: texts.collect(), separator }
        };
        Ok(Self { of, to, how })
    }

    pub(super) fn apply(&self, mut items: Vec<Item>) -> Result<Vec<Item>, Error> {
        for item in &mut items {
            let Some(value) = self.value(&item.face) else { continue };
            if item.face.label(&self.to) == value {
                continue;
            }
            let mut labels = item.face.to_map();
            if value.is_empty() {
                labels.remove(&self.to);
            } else {
                labels.insert(self.to.clone(), value);
            }
            item.face = Face::new(labels.into());
        }
        unique(&items)?;
        Ok(items)
    }

    fn value(&self, face: &Face) -> Option<String> {
        match &self.how {
            How::Replace { from, pattern, replacement } => {
                let groups = pattern.captures(face.label(from))?;
                let mut value = String::new();
                groups.expand(replacement, &mut value);
                Some(value)
            }
            How::Join { from, separator } => {
                let values: Vec<&str> = from.iter().map(|name| face.label(name)).collect();
                Some(values.join(separator))
            }
        }
    }
}
