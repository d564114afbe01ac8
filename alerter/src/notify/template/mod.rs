//! Templates of notifications: Go's, over Alertmanager's data, with its functions and its own templates by name.
//!
//! Texts of receivers are templates, which may call what the files of `templates` define. A text that cannot work is
//! refused when it is loaded: what does not parse, and functions, variables, templates and fields that are not there.
//! Each execution is bounded: in its work, in the length of each text, and in what it writes.

mod access;
mod data;
mod functions;
mod rewrite;
#[cfg(test)]
mod tests;
mod time;

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use gotmpl::{TemplateError, Value, html};

use super::group::{Alert, Delivery};
use rewrite::Tree;

/// What Alertmanager's own templates are called, in weir's words.
const DEFAULTS: &str = include_str!("default.tmpl");
/// The name of the text that is executed.
const TEXT: &str = "weir.text";
/// Bytes that a template may write, and that a text or file may have.
const MOST_BYTES: usize = 1 << 20;
const MOST_RANGES: u64 = 100_000;

/// How a text is executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    /// What is inserted is escaped as its place asks.
    Html,
}

/// Files of templates cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplatesError {
    /// They cannot be found or read.
    #[error("templates: {0}")]
    Files(String),
    /// One is no template.
    #[error("templates: {path}: {why}", path = path.display())]
    Parse {
        /// Which.
        path: PathBuf,
        /// Why not.
        why: String,
    },
}

/// All templates that texts can call.
#[derive(Clone)]
pub(super) struct Templates {
    trees: BTreeMap<String, Arc<Tree>>,
    /// Those that the user's files define.
    own: BTreeSet<String>,
    functions: BTreeSet<String>,
}

impl fmt::Debug for Templates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(&self.own).finish()
    }
}

impl Templates {
    /// Alertmanager's by name, then those of the files that the globs name: of two of one name, the later one. Reads
    /// files: not for an async thread.
    pub(super) fn load(globs: &[String]) -> Result<Self, TemplatesError> {
        let functions = functions::functions(0).into_keys().collect();
        let mut templates = Self { trees: BTreeMap::new(), own: BTreeSet::new(), functions };
        templates.add(DEFAULTS).map_err(TemplatesError::Files)?;
        templates.own.clear();
        let files = crate::rules::read_files(globs).map_err(|error| TemplatesError::Files(error.to_string()))?;
        for (path, text) in files {
            templates.add(&text).map_err(|why| TemplatesError::Parse { path, why })?;
        }
        Ok(templates)
    }

    fn add(&mut self, text: &str) -> Result<Tree, String> {
        let (body, defined) = rewrite::parse(text, &self.functions)?;
        let mut names = BTreeSet::new();
        for (name, tree) in defined {
            // As in Go: an empty one takes no other's place.
            if tree.body.is_empty_tree() && self.trees.contains_key(&name) {
                continue;
            }
            if !tree.body.is_empty_tree() && !names.insert(name.clone()) {
                return Err(format!("multiple definition of template {name:?}"));
            }
            self.own.insert(name.clone());
            self.trees.insert(name, Arc::new(tree));
        }
        Ok(body)
    }

    /// Whether the user's files define this one.
    pub(super) fn has_own(&self, name: &str) -> bool {
        self.own.contains(name)
    }

    /// What a text that can never work does wrong.
    pub(super) fn check(&self, kind: Kind, text: &str) -> Result<(), String> {
        let ready = self.ready(kind, text, 0)?;
        for ends_at_ms in [None, Some(60_000)] {
            let map = |name: &str| Arc::new(BTreeMap::from([(name.to_owned(), "x".to_owned())]));
            let alert = Alert {
                labels: map("alertname"),
                annotations: map("summary"),
                starts_at_ms: 0,
                ends_at_ms,
                generator_url: "http://x/".to_owned(),
            };
            let group = BTreeMap::from([("alertname".to_owned(), "x".to_owned())]);
            // What else fails may be for want of real labels.
            if let Err(failure) = ready.execute(&data::of("x", &group, &[alert], "http://x"))
                && failure.always
            {
                return Err(failure.why);
            }
        }
        Ok(())
    }

    fn render(&self, kind: Kind, text: &str, data: &Value, now_ms: i64) -> Result<String, String> {
        if !text.contains("{{") {
            return Ok(text.to_owned());
        }
        self.ready(kind, text, now_ms)?.execute(data).map_err(|failure| failure.why)
    }

    /// A text with all that it calls, and what that calls.
    fn ready(&self, kind: Kind, text: &str, now_ms: i64) -> Result<Ready, String> {
        if text.len() > MOST_BYTES {
            return Err(format!("a text of more than {MOST_BYTES} bytes"));
        }
        let mut all = self.clone();
        let body = all.add(text)?;
        let mut needed: BTreeMap<&str, &Tree> = BTreeMap::new();
        let mut open: Vec<&str> = body.calls.iter().map(String::as_str).collect();
        while let Some(name) = open.pop() {
            let tree = all.trees.get(name).ok_or_else(|| format!("template {name:?} not defined"))?;
            if needed.insert(name, tree).is_none() {
                open.extend(tree.calls.iter().map(String::as_str));
            }
        }
        let trees = needed.into_iter().map(|(name, tree)| (name, tree.body.clone())).chain([(TEXT, body.body)]);
        let functions = functions::functions(now_ms);
        Ok(match kind {
            Kind::Text => {
                let template = gotmpl::Template::new("").funcs(functions).max_range_iters(MOST_RANGES);
                Ready::Text(trees.fold(template, |template, (name, tree)| template.add_parse_tree(name, tree)))
            }
            Kind::Html => {
                let template = html::Template::new("").funcs(functions).max_range_iters(MOST_RANGES);
                let entry = format!("{{{{template {TEXT:?} .}}}}");
                let template = trees.map(Ok).try_fold(template, |template, tree: Result<_, TemplateError>| {
                    let (name, tree) = tree?;
                    template.add_parse_tree(name, tree)
                });
                let template = template.and_then(|template| template.parse(&entry));
                Ready::Html(template.map_err(|error| error.to_string())?)
            }
        })
    }
}

enum Ready {
    Text(gotmpl::Template),
    Html(html::Template),
}

struct Failure {
    why: String,
    /// Whether it fails with any data.
    always: bool,
}

impl Ready {
    fn execute(&self, data: &Value) -> Result<String, Failure> {
        let mut out = Bounded(String::new());
        let executed = match self {
            Self::Text(template) => template.execute_template_fmt(&mut out, TEXT, data),
            Self::Html(template) => template.execute_fmt(&mut out, data),
        };
        let always = matches!(executed, Err(TemplateError::Escape { .. }));
        match executed {
            Ok(()) => Ok(out.0),
            Err(TemplateError::Write) => {
                Err(Failure { why: format!("it writes more than {MOST_BYTES} bytes"), always })
            }
            // The prefix of the engine says nothing.
            Err(TemplateError::Exec(why)) => Err(Failure { always: why.starts_with(access::NO_FIELD), why }),
            Err(error) => Err(Failure { why: error.to_string(), always }),
        }
    }
}

/// A text that is not longer than a template may write.
struct Bounded(String);

impl fmt::Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.0.len() + text.len() > MOST_BYTES {
            return Err(fmt::Error);
        }
        self.0.push_str(text);
        Ok(())
    }
}

/// The texts of one notification.
pub(super) struct Texts<'a> {
    templates: &'a Templates,
    delivery: &'a Delivery,
    pub(super) external_url: &'a str,
    pub(super) now_ms: i64,
    data: OnceCell<Value>,
    failed: RefCell<Vec<String>>,
}

impl<'a> Texts<'a> {
    pub(super) fn new(templates: &'a Templates, delivery: &'a Delivery, external_url: &'a str, now_ms: i64) -> Self {
        let (data, failed) = (OnceCell::new(), RefCell::default());
        Self { templates, delivery, external_url, now_ms, data, failed }
    }

    /// The text of a field; `None` where there is none, or where it fails, so that the default is to be sent. A field
    /// that is not set is the template `by_default`, if the user's files define that.
    pub(super) fn of(&self, field: &str, text: Option<&str>, by_default: &str) -> Option<String> {
        self.execute(Kind::Text, field, text, by_default)
    }

    /// The same for a field that is HTML.
    pub(super) fn of_html(&self, field: &str, text: Option<&str>, by_default: &str) -> Option<String> {
        self.execute(Kind::Html, field, text, by_default)
    }

    fn execute(&self, kind: Kind, field: &str, text: Option<&str>, by_default: &str) -> Option<String> {
        let called = || self.templates.has_own(by_default).then(|| format!("{{{{template {by_default:?} .}}}}"));
        let text = text.map(str::to_owned).or_else(called)?;
        let data = self.data.get_or_init(|| {
            let Delivery { receiver, group_labels, alerts, .. } = self.delivery;
            data::of(receiver, group_labels, alerts, self.external_url)
        });
        match self.templates.render(kind, &text, data, self.now_ms) {
            Ok(text) => Some(text),
            Err(why) => {
                self.failed.borrow_mut().push(format!("{field}: {why}"));
                None
            }
        }
    }

    /// What failed so far, in one line.
    pub(super) fn failed(&self) -> Option<String> {
        let failed = self.failed.borrow();
        let line = failed.join("; ");
        (!failed.is_empty()).then(|| format!("template failed: {}", line.chars().take(500).collect::<String>()))
    }
}
