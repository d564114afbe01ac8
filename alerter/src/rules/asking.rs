//! Templates that ask the store: `query`, and what takes its samples apart.
//!
//! A template's functions outlive the store that they would read, so they read answers instead: where one is not there
//! yet, the template stops, the query is answered, and the template begins anew.

use std::collections::BTreeMap;
use std::sync::Arc;

use gotmpl::{FuncMap, Template, TemplateError, Value as Data};
use parking_lot::Mutex;

use super::go;
use crate::promql::{Number, Query, Value};
use crate::series::read::Read;

/// Queries of one text at most.
const MOST_QUERIES: usize = 32;
/// Samples of one answer that a text sees.
const MOST_SAMPLES: usize = 1000;
/// What a sample's own value is called among its labels, for `strvalue`.
const VALUE: &str = "__value__";

/// What queries are asked of: the store as it is at a time, in unix milliseconds.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) read: &'a dyn Read,
    pub(super) time_ms: i64,
}

impl Asked<'_> {
    /// As `query` gives it: samples with `Labels` and `Value`, in the order of their labels or of `sort`.
    fn answer(&self, text: &str) -> Result<Data, String> {
        let answer = Query::parse(text).and_then(|query| query.at(self.read, self.time_ms));
        let samples = match answer.map_err(|error| error.to_string())? {
            Value::Scalar(value) => vec![sample(&BTreeMap::new(), value)],
            Value::Vector(samples) => {
                let floats = samples.into_iter().take(MOST_SAMPLES).filter_map(|found| match found.value {
                    Number::Float(value) => Some(sample(&found.labels.to_map(), value)),
                    Number::Histogram(_) => None,
                });
                floats.collect()
            }
            Value::Matrix(_) | Value::Text(_) => return Err("a query of a template gives a vector".to_owned()),
        };
        Ok(Data::List(samples.into()))
    }
}

/// Answers so far, and the query that is not among them.
#[derive(Default)]
struct Answers {
    known: BTreeMap<String, Result<Data, String>>,
    wanted: Option<String>,
}

/// The text of a template that may ask.
pub(super) fn execute(template: &Template, data: &Data, asked: Asked<'_>) -> Result<String, TemplateError> {
    let answers = Arc::new(Mutex::new(Answers::default()));
    let shared = answers.clone();
    let query = move |arguments: &[Data]| {
        let [Data::String(text)] = arguments else { return Err(wrong("query takes one text")) };
        let mut answers = shared.lock();
        if let Some(answer) = answers.known.get(&**text) {
            return answer.clone().map_err(|error| wrong(format!("query «{text}»: {error}")));
        }
        answers.wanted = Some(text.to_string());
        Err(wrong("to be answered"))
    };
    let functions: FuncMap = [("query".to_owned(), Arc::new(query) as _)].into_iter().collect();
    let template = template.clone().funcs(functions);
    loop {
        let made = template.execute_to_string(data);
        let Some(text) = answers.lock().wanted.take() else { return made };
        if answers.lock().known.len() >= MOST_QUERIES {
            return Err(wrong(format!("a text asks at most {MOST_QUERIES} queries")));
        }
        let answer = asked.answer(&text);
        answers.lock().known.insert(text, answer);
    }
}

fn wrong(text: impl Into<String>) -> TemplateError {
    TemplateError::Exec(text.into())
}

/// Labels as a template sees them.
pub(super) fn labels(labels: &BTreeMap<String, String>) -> Data {
    let values = labels.iter().map(|(name, value)| (name.clone(), Data::from(value.clone())));
    Data::from(values.collect::<BTreeMap<String, Data>>())
}

fn sample(of: &BTreeMap<String, String>, value: f64) -> Data {
    Data::from(BTreeMap::from([("Labels".to_owned(), labels(of)), ("Value".to_owned(), Data::Float(value))]))
}

fn part(of: &Data, name: &str) -> Result<Data, TemplateError> {
    match of {
        Data::Map(parts) => parts.get(name).cloned().ok_or_else(|| wrong("a sample of a query is needed")),
        _ => Err(wrong("a sample of a query is needed")),
    }
}

fn label(of: &Data, name: &str) -> Result<Data, TemplateError> {
    go::index(&[part(of, "Labels")?, Data::from(name)])
}

/// Adds the functions. `query` answers one sample of zero without labels, as while a text is checked, when nobody is
/// asked: [`execute`] puts its own in place.
pub(super) fn add(map: &mut FuncMap) {
    let mut insert = |name: &str, function: fn(&[Data]) -> Result<Data, TemplateError>| {
        map.insert(name.to_owned(), Arc::new(function));
    };
    insert("query", |arguments| match arguments {
        [Data::String(_)] => Ok(Data::List([sample(&BTreeMap::new(), 0.0)].into())),
        _ => Err(wrong("query takes one text")),
    });
    insert("first", |arguments| match arguments {
        [Data::List(samples)] => samples.first().cloned().ok_or_else(|| wrong("first of a query that found nothing")),
        _ => Err(wrong("first takes the samples of a query")),
    });
    insert("value", |arguments| match arguments {
        [sample] => part(sample, "Value"),
        _ => Err(wrong("value takes one sample")),
    });
    insert("label", |arguments| match arguments {
        [Data::String(name), sample] => label(sample, name),
        _ => Err(wrong("label takes a name and a sample")),
    });
    insert("strvalue", |arguments| match arguments {
        [sample] => label(sample, VALUE),
        _ => Err(wrong("strvalue takes one sample")),
    });
    insert("sortByLabel", |arguments| match arguments {
        [Data::String(name), Data::List(samples)] => {
            let mut keyed = Vec::new();
            for sample in samples.iter() {
                keyed.push((label(sample, name)?.to_string(), sample.clone()));
            }
            keyed.sort_by(|(one, _), (other, _)| one.cmp(other));
            Ok(Data::List(keyed.into_iter().map(|(_, sample)| sample).collect()))
        }
        _ => Err(wrong("sortByLabel takes a name and the samples of a query")),
    });
    insert("args", |arguments| {
        let named = arguments.iter().enumerate().map(|(at, value)| (format!("arg{at}"), value.clone()));
        Ok(Data::from(named.collect::<BTreeMap<String, Data>>()))
    });
}
