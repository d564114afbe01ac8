//! The series of an evaluation: labels whose name may have been dropped, and how series find each other.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hash, Hasher};

use ahash::{AHashMap, RandomState};

use super::Error;
use super::value::{Number, Sample};
use crate::series::read::Labels;

const NAME: &str = "__name__";

/// Labels as they are stored; a dropped name is only marked, because most operators drop it and most results are
/// aggregated, so that copies of the labels would be made for nothing.
#[derive(Debug, Clone)]
pub(super) struct Face {
    pub(super) labels: Labels,
    pub(super) nameless: bool,
}

/// One series at one time.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) face: Face,
    pub(super) value: Number,
}

/// What an expression gives at one time.
pub(super) enum Evaluated {
    Scalar(f64),
    Vector(Vec<Item>),
}

impl Face {
    pub(super) fn new(labels: Labels) -> Self {
        Self { labels, nameless: false }
    }

    /// Empty where there is no such label.
    pub(super) fn label(&self, name: &str) -> &str {
        if self.nameless && name == NAME {
            return "";
        }
        self.labels.get(name).unwrap_or_default()
    }

    pub(super) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> + Clone {
        self.labels.iter().filter(|(name, value)| !(value.is_empty() || (self.nameless && *name == NAME)))
    }

    pub(super) fn into_labels(self) -> Labels {
        if self.nameless && self.labels.contains_key(NAME) {
            let mut labels = self.labels.to_map();
            labels.remove(NAME);
            return labels.into();
        }
        self.labels
    }

    pub(super) fn to_map(&self) -> BTreeMap<String, String> {
        self.pairs().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }
}

impl Item {
    pub(super) fn float(labels: Labels, value: f64) -> Self {
        Self { face: Face::new(labels), value: Number::Float(value) }
    }

    pub(super) fn into_sample(self) -> Sample {
        Sample { labels: self.face.into_labels(), value: self.value }
    }
}

/// Marks all names as dropped. Series that differ by their names alone are an error then.
pub(super) fn drop_names(items: &mut [Item]) -> Result<(), Error> {
    let Some(first) = items.first() else { return Ok(()) };
    let is_one = items.iter().all(|item| item.face.label(NAME) == first.face.label(NAME));
    for item in items.iter_mut() {
        item.face.nameless = true;
    }
    if is_one { Ok(()) } else { unique(items) }
}

/// That no two series have the same labels.
pub(super) fn unique(items: &[Item]) -> Result<(), Error> {
    if items.len() < 2 {
        return Ok(());
    }
    let mut seen = Groups::new(By::All);
    for item in items {
        if !seen.add(&item.face, ()) {
            return Err(same_labels(&item.face));
        }
    }
    Ok(())
}

pub(super) fn same_labels(face: &Face) -> Error {
    let labels = Show(face.pairs());
    Error::Data(format!("vector cannot contain metrics with the same labelset: two series are {labels}"))
}

/// Labels as PromQL writes them.
pub(super) struct Show<I>(pub(super) I);

impl<'a, I: Iterator<Item = (&'a str, &'a str)> + Clone> std::fmt::Display for Show<I> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("{")?;
        for (at, (name, value)) in self.0.clone().enumerate() {
            write!(f, "{}{name}={value:?}", if at > 0 { ", " } else { "" })?;
        }
        f.write_str("}")
    }
}

/// Which labels make series belong together.
#[derive(Debug, Clone, Copy)]
pub(super) enum By<'a> {
    Only(&'a [String]),
    /// All but these, and never the name.
    Except(&'a [String]),
    All,
}

impl By<'_> {
    fn takes(self, name: &str) -> bool {
        match self {
            Self::Only(names) => names.iter().any(|n| n == name),
            Self::Except(names) => name != NAME && !names.iter().any(|n| n == name),
            Self::All => true,
        }
    }

    fn hash(self, face: &Face, state: &RandomState) -> u64 {
        let mut hasher = state.build_hasher();
        if let Self::Only(names) = self {
            for name in names {
                face.label(name).hash(&mut hasher);
            }
        } else {
            face.pairs().filter(|(name, _)| self.takes(name)).for_each(|pair| pair.hash(&mut hasher));
        }
        hasher.finish()
    }

    fn is_same(self, a: &Face, b: &Face) -> bool {
        if let Self::Only(names) = self {
            return names.iter().all(|name| a.label(name) == b.label(name));
        }
        let of = |face: &Face| face.nameless;
        if a.labels.is_copy_of(&b.labels) && of(a) == of(b) {
            return true;
        }
        a.pairs().filter(|(name, _)| self.takes(name)).eq(b.pairs().filter(|(name, _)| self.takes(name)))
    }

    /// The labels of the group that a series belongs to.
    pub(super) fn labels(self, face: &Face) -> BTreeMap<String, String> {
        if let Self::Only(names) = self {
            let given = names.iter().map(|name| (name, face.label(name))).filter(|(_, value)| !value.is_empty());
            return given.map(|(name, value)| (name.clone(), value.to_owned())).collect();
        }
        let kept = face.pairs().filter(|(name, _)| self.takes(name));
        kept.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }
}

/// Something for each group of series, in the order in which the groups were first seen. No keys are built: a series of
/// the group stands for it.
pub(super) struct Groups<'a, T> {
    pub(super) by: By<'a>,
    state: RandomState,
    first: AHashMap<u64, usize>,
    entries: Vec<Entry<T>>,
}

struct Entry<T> {
    face: Face,
    /// The next group of the same hash; its own index where there is none.
    next: usize,
    value: T,
}

impl<'a, T> Groups<'a, T> {
    pub(super) fn new(by: By<'a>) -> Self {
        Self { by, state: RandomState::with_seeds(1, 2, 3, 4), first: AHashMap::new(), entries: Vec::new() }
    }

    /// The group's index; else the last group of the same hash, and the hash.
    fn find(&self, face: &Face) -> Result<usize, (Option<usize>, u64)> {
        let hash = self.by.hash(face, &self.state);
        let Some(&start) = self.first.get(&hash) else { return Err((None, hash)) };
        let mut at = start;
        loop {
            let entry = &self.entries[at];
            if self.by.is_same(&entry.face, face) {
                return Ok(at);
            }
            if entry.next == at {
                return Err((Some(at), hash));
            }
            at = entry.next;
        }
    }

    pub(super) fn get(&self, face: &Face) -> Option<&T> {
        self.find(face).ok().map(|at| &self.entries[at].value)
    }

    pub(super) fn get_mut(&mut self, face: &Face) -> Option<&mut T> {
        self.find(face).ok().map(|at| &mut self.entries[at].value)
    }

    fn push(&mut self, face: &Face, (last, hash): (Option<usize>, u64), value: T) -> usize {
        let at = self.entries.len();
        self.entries.push(Entry { face: face.clone(), next: at, value });
        match last {
            Some(last) => self.entries[last].next = at,
            None => {
                self.first.insert(hash, at);
            }
        }
        at
    }

    /// The group's value, made where the group is new.
    pub(super) fn entry(&mut self, face: &Face, make: impl FnOnce() -> T) -> &mut T {
        let at = match self.find(face) {
            Ok(at) => at,
            Err(place) => self.push(face, place, make()),
        };
        &mut self.entries[at].value
    }

    /// Adds a group; false where it is there already.
    pub(super) fn add(&mut self, face: &Face, value: T) -> bool {
        match self.find(face) {
            Ok(_) => false,
            Err(place) => {
                self.push(face, place, value);
                true
            }
        }
    }

    /// A series of each group, and its value.
    pub(super) fn into_entries(self) -> impl Iterator<Item = (Face, T)> {
        self.entries.into_iter().map(|entry| (entry.face, entry.value))
    }
}
