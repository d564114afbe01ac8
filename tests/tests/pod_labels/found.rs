//! What came against what was written.

use std::collections::{BTreeMap, HashMap};

use weir_proto::attribute;

/// What is told of a line beside its text: its tenant, and all of `k8s.`.
pub(super) type Facts = BTreeMap<String, String>;

/// What came, by the line's text.
#[derive(Default)]
pub(super) struct Found(HashMap<String, Vec<Facts>>);

impl Found {
    pub(super) fn add(&mut self, body: &str, resource: impl Iterator<Item = (String, String)>) {
        let facts = resource.filter(|(key, _)| key.starts_with("k8s.") || key == attribute::TENANT).collect();
        self.0.entry(body.to_owned()).or_default().push(facts);
    }

    pub(super) fn check(mut self, lines: &HashMap<String, Facts>) {
        let (mut lost, mut twice, mut wrong) = (Vec::new(), Vec::new(), Vec::new());
        for (body, facts) in lines {
            match self.0.remove(body).unwrap_or_default().as_slice() {
                [] => lost.push(body.clone()),
                [found] if found == facts => {}
                [found] => {
                    let but = |one: &Facts, other: &Facts| -> Facts {
                        one.clone().into_iter().filter(|(key, value)| other.get(key) != Some(value)).collect()
                    };
                    wrong.push(format!("{body}: {:?} and not {:?}", but(found, facts), but(facts, found)));
                }
                _ => twice.push(body.clone()),
            }
        }
        assert!(self.0.is_empty(), "nobody wrote these: {:?}", self.0);
        for (what, bodies) in [("lost", lost), ("there twice", twice), ("told wrongly", wrong)] {
            let few = &bodies[..bodies.len().min(10)];
            assert!(bodies.is_empty(), "{} of {} lines are {what}, such as {few:#?}", bodies.len(), lines.len());
        }
    }
}
