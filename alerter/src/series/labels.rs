//! Labels of a series, in one piece of memory: there are as many of them as series.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Index;
use std::sync::Arc;

use serde::{Serialize, Serializer};

/// The low bits of a character that count, where the one after it counts too.
const LENGTH_BITS: u32 = 6;
const MORE: usize = 1 << LENGTH_BITS;

/// A series' labels in the order of their names, the name among them as `__name__`; an empty value is as no label.
///
/// Names and values lie one behind the other in one text, each behind its length, which is written in characters of six
/// bits. A copy is cheap.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Labels(Arc<str>);

impl Labels {
    /// The value of a label.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(other, _)| *other == name).map(|(_, value)| value)
    }

    /// Whether there is a label of this name.
    pub fn contains_key(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Names and values, in the order of the names.
    pub fn iter(&self) -> Pairs<'_> {
        Pairs(&self.0)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The same as a map, to be changed.
    pub fn to_map(&self) -> BTreeMap<String, String> {
        self.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    /// Whether it is a copy of the same.
    pub(crate) fn is_copy_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Such labels as text, by which they are found in a map without being made.
    pub(super) fn text<'a>(sorted: impl Iterator<Item = (&'a str, &'a str)>) -> String {
        let mut text = String::with_capacity(128);
        for (name, value) in sorted {
            put(&mut text, name);
            put(&mut text, value);
        }
        text
    }

    /// Of what [`Labels::text`] gave.
    pub(super) fn of_text(text: &str) -> Self {
        Self(text.into())
    }
}

fn put(text: &mut String, part: &str) {
    let mut length = part.len();
    while length >= MORE {
        text.push(char::from((length % MORE + MORE) as u8));
        length >>= LENGTH_BITS;
    }
    text.push(char::from(length as u8));
    text.push_str(part);
}

/// Names and values of [`Labels`].
#[derive(Debug, Clone)]
pub struct Pairs<'a>(&'a str);

impl<'a> Pairs<'a> {
    fn part(&mut self) -> Option<&'a str> {
        let first = usize::from(*self.0.as_bytes().first()?);
        if first < MORE {
            // As nearly all are.
            let (part, rest) = self.0.get(1..)?.split_at_checked(first)?;
            self.0 = rest;
            return Some(part);
        }
        let (mut length, mut shift, mut used) = (0, 0, 0);
        for byte in self.0.bytes() {
            used += 1;
            length |= (usize::from(byte) % MORE) << shift;
            shift += LENGTH_BITS;
            if usize::from(byte) < MORE {
                break;
            }
        }
        let (part, rest) = self.0.get(used..)?.split_at_checked(length)?;
        self.0 = rest;
        Some(part)
    }
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        Some((self.part()?, self.part()?))
    }
}

impl<'a> IntoIterator for &'a Labels {
    type Item = (&'a str, &'a str);
    type IntoIter = Pairs<'a>;

    fn into_iter(self) -> Pairs<'a> {
        self.iter()
    }
}

impl From<&BTreeMap<String, String>> for Labels {
    fn from(map: &BTreeMap<String, String>) -> Self {
        Self::of_text(&Self::text(map.iter().map(|(name, value)| (&name[..], &value[..]))))
    }
}

impl From<BTreeMap<String, String>> for Labels {
    fn from(map: BTreeMap<String, String>) -> Self {
        Self::from(&map)
    }
}

impl FromIterator<(String, String)> for Labels {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Self {
        Self::from(pairs.into_iter().collect::<BTreeMap<_, _>>())
    }
}

impl Borrow<str> for Labels {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Index<&str> for Labels {
    type Output = str;

    /// Empty where there is no such label, as in PromQL.
    fn index(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }
}

impl Ord for Labels {
    fn cmp(&self, other: &Self) -> Ordering {
        self.iter().cmp(other.iter())
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Serialize for Labels {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self)
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn map() -> impl Strategy<Value = BTreeMap<String, String>> {
        let text = || prop_oneof!["[a-c]{0,3}", ".{0,5}", "(ab|字){0,200}", "a{60,70}", "b{4090,4100}"];
        prop::collection::btree_map(text(), text(), 0..6)
    }

    proptest! {
        #[test]
        fn labels_are_as_the_map_that_they_were_made_from(a in map(), b in map()) {
            let (labels, other) = (Labels::from(&a), Labels::from(&b));
            prop_assert_eq!(labels.to_map(), a.clone());
            for name in a.keys().chain(b.keys()) {
                prop_assert_eq!(labels.get(name), a.get(name).map(String::as_str));
            }
            prop_assert_eq!(labels.cmp(&other), a.cmp(&b));
            prop_assert_eq!(labels == other, a == b);
            prop_assert_eq!(labels.is_empty(), a.is_empty());
            prop_assert_eq!(format!("{labels:?}"), format!("{a:?}"));
        }
    }
}
