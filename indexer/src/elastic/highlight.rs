//! Highlighting: the message with tags around the words that were asked for.

use serde_json::{Value as Json, json};
use weir_query::Matcher;
use weir_query::line::Line;
use weir_service::elastic::Fault;

/// Longest tag, in bytes: it is there for each word that is found, of each hit.
const MAX_TAG: usize = 256;

/// Tags, and where they are wanted.
#[derive(Debug)]
pub(super) struct Highlight {
    before: String,
    after: String,
}

impl Highlight {
    pub(super) fn read(json: &Json) -> Result<Self, Fault> {
        let Json::Object(about) = json else { return Err(Fault::parsing("[highlight] must be an object")) };
        let tag = |name: &str, default: &str| {
            let given = about.get(name);
            let tag = given.and_then(|tags| tags.as_str().or_else(|| tags.get(0)?.as_str())).unwrap_or(default);
            if tag.len() > MAX_TAG {
                return Err(Fault::argument(format!("a tag in [{name}] has at most {MAX_TAG} bytes")));
            }
            Ok(tag.to_owned())
        };
        Ok(Self { before: tag("pre_tags", "<em>")?, after: tag("post_tags", "</em>")? })
    }

    /// What is highlighted of a line; nothing where nothing of its message was asked for.
    pub(super) fn of(&self, line: &Line, matcher: &Matcher) -> Option<Json> {
        let text = line.body.text();
        let found = matcher.highlights(&text);
        if found.is_empty() {
            return None;
        }
        let (mut out, mut end) = (String::with_capacity(text.len() + 32), 0);
        for range in found {
            out.push_str(text.get(end..range.start)?);
            out.push_str(&self.before);
            out.push_str(text.get(range.clone())?);
            out.push_str(&self.after);
            end = range.end;
        }
        out.push_str(text.get(end..)?);
        Some(json!({"message": [out]}))
    }
}
