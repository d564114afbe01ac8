//! What a dataset holds: its files, how far they reach on the bus, and the definitions that made them. What is listed is
//! whole and never changes; what is not listed is not there.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::capture::Unfinished;
use crate::definition::Definition;
use crate::row::all_heads;

/// The manifest of a dataset, `manifest.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Of this format: 1.
    pub format_version: u32,
    /// The capture's name.
    pub name: String,
    /// Rises with every change.
    pub version: u64,
    /// RFC 3339.
    pub updated: String,
    /// Definitions by their fingerprint; those of the files, and the newest.
    pub definitions: BTreeMap<String, Made>,
    /// Fingerprint of the newest definition.
    pub definition: String,
    /// By partition (`TOPIC/NUMBER`), the next offset to be read: what lies before it is in the files, or was not taken.
    pub positions: BTreeMap<String, i64>,
    /// By partition, the calls that may have more parts: its position is that of the oldest of them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unfinished: BTreeMap<String, Unfinished>,
    /// In the order in which they were listed.
    pub files: Vec<Listed>,
}

/// A definition and the columns of its files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Made {
    /// As it was given.
    pub definition: Definition,
    /// Column names and types, in their order.
    pub schema: Vec<SchemaColumn>,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchemaColumn {
    /// Its name.
    pub name: String,
    /// `string`, `int`, `float`, `bool`, `timestamp` or `json`.
    #[serde(rename = "type")]
    pub column: String,
}

/// The columns of a definition's files, in their order.
pub fn schema(definition: &Definition) -> Vec<SchemaColumn> {
    let column = |head: crate::row::Head| SchemaColumn { name: head.name, column: head.column.name().to_owned() };
    all_heads(definition).into_iter().map(column).collect()
}

/// A file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Listed {
    /// Its name, beside the manifest.
    pub name: String,
    /// Rows in it.
    pub rows: u64,
    /// Its size.
    pub bytes: u64,
    /// SHA-256 of its bytes in hexadecimal digits.
    pub sha256: String,
    /// When it was listed, RFC 3339.
    pub created: String,
    /// Fingerprint of the definition that made it.
    pub definition: String,
    /// By partition, the offsets `[first, end)` that its rows were taken from.
    pub positions: BTreeMap<String, (i64, i64)>,
}

/// What a writer adds.
#[derive(Debug, Clone, Default)]
pub struct Step {
    /// By partition, the offsets `[first, end)` that were gone through.
    pub positions: BTreeMap<String, (i64, i64)>,
    /// Of the same partitions, what was not in a row yet where the writer began, and what is not now.
    pub began: BTreeMap<String, Unfinished>,
    /// The latter.
    pub unfinished: BTreeMap<String, Unfinished>,
    /// A file with what was taken of them, and what made it.
    pub file: Option<(Listed, Definition)>,
}

/// Another writer has gone through some of the offsets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{partition} was gone through to {there} by another, and from {first} on here")]
pub struct Overtaken {
    /// Which.
    pub partition: String,
    /// The manifest's position.
    pub there: i64,
    /// The writer's.
    pub first: i64,
}

impl Manifest {
    /// Of a dataset that has nothing yet.
    pub fn new(definition: &Definition) -> Self {
        let mut new = Self {
            format_version: 1,
            name: definition.name.clone(),
            version: 0,
            updated: String::new(),
            definitions: BTreeMap::new(),
            definition: String::new(),
            positions: BTreeMap::new(),
            unfinished: BTreeMap::new(),
            files: Vec::new(),
        };
        new.define(definition);
        new
    }

    /// Takes a newer definition; `false` where it is the newest already.
    pub fn define(&mut self, definition: &Definition) -> bool {
        let fingerprint = definition.fingerprint();
        if self.definition == fingerprint {
            return false;
        }
        self.know(&fingerprint, definition);
        self.definition = fingerprint;
        self.forget();
        true
    }

    fn know(&mut self, fingerprint: &str, definition: &Definition) {
        if self.definitions.contains_key(fingerprint) {
            return;
        }
        self.definitions
            .insert(fingerprint.to_owned(), Made { definition: definition.clone(), schema: schema(definition) });
    }

    /// The newest definition.
    pub fn newest(&self) -> Option<&Definition> {
        self.definitions.get(&self.definition).map(|made| &made.definition)
    }

    /// Adds what a writer has, if it begins where this ends.
    pub fn add(&mut self, step: Step) -> Result<(), Overtaken> {
        for (partition, (first, _)) in &step.positions {
            let there = self.reached(partition).unwrap_or(*first);
            // A step that only ends calls goes no further: whether another ended them shows in what is left of them.
            if there != *first || self.unfinished.get(partition) != step.began.get(partition) {
                return Err(Overtaken { partition: partition.clone(), there, first: *first });
            }
        }
        let mut unfinished = step.unfinished;
        for (partition, (_, end)) in step.positions {
            self.unfinished.remove(&partition);
            let mut position = end;
            if let Some(open) = unfinished.remove(&partition) {
                position = open.oldest();
                self.unfinished.insert(partition.clone(), open);
            }
            self.positions.insert(partition, position);
        }
        if let Some((file, definition)) = step.file {
            // A newer one may be there already, of this instance or of another.
            self.know(&file.definition, &definition);
            self.files.push(file);
        }
        Ok(())
    }

    /// Up to where a partition was gone through.
    pub fn reached(&self, partition: &str) -> Option<i64> {
        let unfinished = self.unfinished.get(partition).map(|open| open.through);
        unfinished.or_else(|| self.positions.get(partition).copied())
    }

    /// Begins a partition at this offset, whatever was gone through.
    pub fn begin(&mut self, partition: &str, position: i64) {
        self.unfinished.remove(partition);
        self.positions.insert(partition.to_owned(), position);
    }

    /// Whether a step was added before.
    pub fn has(&self, step: &Step) -> bool {
        match &step.file {
            Some((file, _)) => self.file(&file.name).is_some(),
            None => step.positions.iter().all(|(partition, (_, end))| {
                self.reached(partition) == Some(*end)
                    && self.unfinished.get(partition) == step.unfinished.get(partition)
            }),
        }
    }

    /// Takes files off the list, and gives them.
    pub fn take_off(&mut self, mut is_gone: impl FnMut(&Listed) -> bool) -> Vec<Listed> {
        let (gone, kept) = std::mem::take(&mut self.files).into_iter().partition(|file| is_gone(file));
        self.files = kept;
        self.forget();
        gone
    }

    /// A file that is listed.
    pub fn file(&self, name: &str) -> Option<&Listed> {
        self.files.iter().find(|file| file.name == name)
    }

    /// Forgets definitions that nothing was made by.
    fn forget(&mut self) {
        let (files, newest) = (&self.files, &self.definition);
        self.definitions.retain(|id, _| id == newest || files.iter().any(|file| file.definition == *id));
    }
}

/// As [`Manifest::positions`] names a partition.
pub fn partition_name(partition: &weir_bus::Partition) -> String {
    format!("{}/{}", partition.topic, partition.partition)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(first: i64, end: i64) -> Step {
        Step { positions: BTreeMap::from([("otlp_spans/0".to_owned(), (first, end))]), ..Step::default() }
    }

    fn manifest() -> Manifest {
        let text = "{name: a, tenants: [acme], fields: {trace: trace_id}}";
        Manifest::new(&serde_saphyr::from_str(text).unwrap())
    }

    #[test]
    fn given_steps_that_follow_each_other_then_they_are_added_and_no_other() {
        let mut manifest = manifest();
        manifest.add(step(5, 9)).unwrap();
        manifest.add(step(9, 12)).unwrap();
        let overtaken = manifest.clone().add(step(9, 20)).unwrap_err();
        assert_eq!((overtaken.there, overtaken.first), (12, 9));
        manifest.clone().add(step(13, 20)).unwrap_err();
        assert_eq!(manifest.positions["otlp_spans/0"], 12);
    }

    #[test]
    fn given_calls_that_may_have_more_parts_then_the_position_is_the_oldest_and_others_go_on_behind_all() {
        let mut manifest = manifest();
        let open = Unfinished { through: 9, parts: vec![(6, vec![0, 2]), (8, vec![1])] };
        let with = Step { unfinished: BTreeMap::from([("otlp_spans/0".to_owned(), open)]), ..step(5, 9) };
        assert!(!manifest.has(&with));
        manifest.add(with.clone()).unwrap();
        assert!(manifest.has(&with) && !manifest.has(&step(5, 9)));
        assert_eq!((manifest.positions["otlp_spans/0"], manifest.reached("otlp_spans/0")), (6, Some(9)));
        let overtaken = manifest.clone().add(step(6, 12)).unwrap_err();
        assert_eq!((overtaken.there, overtaken.first), (9, 6));
        manifest.clone().add(step(9, 12)).unwrap_err();
        let ends = Step { began: with.unfinished.clone(), ..step(9, 9) };
        let mut other = manifest.clone();
        other.add(ends.clone()).unwrap();
        assert_eq!((other.positions["otlp_spans/0"], other.unfinished.len()), (9, 0));
        other.add(ends).unwrap_err();
        let text = serde_json::to_string(&manifest).unwrap();
        assert_eq!(serde_json::from_str::<Manifest>(&text).unwrap(), manifest);
        manifest.add(Step { began: with.unfinished, ..step(9, 12) }).unwrap();
        assert_eq!((manifest.positions["otlp_spans/0"], manifest.unfinished.len()), (12, 0));
    }

    #[test]
    fn given_another_definition_then_those_of_files_are_kept_with_it() {
        let mut manifest = manifest();
        let first = manifest.definition.clone();
        let file = Listed {
            name: "f".into(),
            rows: 1,
            bytes: 1,
            sha256: String::new(),
            created: String::new(),
            definition: first.clone(),
            positions: BTreeMap::new(),
        };
        let made = manifest.newest().unwrap().clone();
        let mut other = made.clone();
        other.query = "service:a".to_owned();
        assert!(manifest.define(&other) && !manifest.define(&other));
        assert_eq!(manifest.definitions.len(), 1, "nothing was made by the first");
        // It was open when another definition came.
        manifest.add(Step { file: Some((file, made)), ..step(0, 1) }).unwrap();
        assert_eq!(manifest.newest(), Some(&other));
        assert_eq!(manifest.definitions.len(), 2);
        assert_eq!(manifest.definitions[&first].schema[0].name, "trace");
        assert_eq!(manifest.take_off(|_| true).len(), 1);
        assert_eq!(manifest.definitions.keys().collect::<Vec<_>>(), [&manifest.definition]);
        let text = serde_json::to_string(&manifest).unwrap();
        assert_eq!(serde_json::from_str::<Manifest>(&text).unwrap(), manifest);
    }
}
