//! A part of a YAML document before it is known what it stands for, so that defaults can be filled in first.
//!
//! Scalars become what they are read as, as if they were read straight from YAML: text may be written as a number.

use std::fmt;

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{
    Deserialize, DeserializeOwned, Deserializer, Error as _, Expected, IntoDeserializer, MapAccess, SeqAccess,
    Unexpected, Visitor,
};
use serde::ser::{Serialize, Serializer};

/// Any value. What it holds may be a secret, so it is not shown.
#[derive(Clone, PartialEq, Default)]
pub enum Node {
    /// Nothing.
    #[default]
    Null,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i128),
    /// Another number.
    Float(f64),
    /// Text.
    Text(String),
    /// A sequence.
    List(Vec<Self>),
    /// A mapping, in the order in which it is written.
    Map(Vec<(String, Self)>),
}

/// Something that is read of a node, with the node.
#[derive(Clone, PartialEq, Default)]
pub struct Kept<T> {
    /// What it is.
    pub value: T,
    pub(super) node: Node,
}

impl<T> Kept<T> {
    /// Whether nothing is there, or a mapping of nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.node.is_empty()
    }
}

impl<T: fmt::Debug> fmt::Debug for Kept<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Kept<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let node = Node::deserialize(deserializer)?;
        let value = node.clone().read().map_err(D::Error::custom)?;
        Ok(Self { value, node })
    }
}

/// What a node cannot be read as. It names kinds alone, since a value may be a secret at a wrong place.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Error(String);

impl serde::de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self(format!("invalid type: {}, expected {expected}", kind(&unexpected)))
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self(format!("invalid value: {}, expected {expected}", kind(&unexpected)))
    }
}

fn kind(unexpected: &Unexpected<'_>) -> String {
    match unexpected {
        Unexpected::Str(_) | Unexpected::Char(_) => "text".to_owned(),
        Unexpected::Bool(_) => "a boolean".to_owned(),
        Unexpected::Unsigned(_) | Unexpected::Signed(_) | Unexpected::Float(_) => "a number".to_owned(),
        Unexpected::Bytes(_) => "bytes".to_owned(),
        other => other.to_string(),
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<yaml>")
    }
}

impl Node {
    /// The value of a key of a mapping; a key without a value is none.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        let Self::Map(entries) = self else { return None };
        let value = entries.iter().find(|(name, _)| name == key).map(|(_, value)| value);
        value.filter(|value| **value != Self::Null)
    }

    /// Whether nothing is there, or a mapping of nothing.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Map(entries) => entries.is_empty(),
            _ => false,
        }
    }

    /// Reads it as something; the error names the key.
    pub(super) fn read<T: DeserializeOwned>(self) -> Result<T, String> {
        serde_path_to_error::deserialize(self).map_err(|error| match error.path().to_string().as_str() {
            "." => error.inner().to_string(),
            path => format!("{path}: {}", error.inner()),
        })
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Int(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Int(value.into()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Node, E> {
        Ok(Node::Int(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(value.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Node::Map(map))
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Int(value) => match i64::try_from(*value) {
                Ok(value) => serializer.serialize_i64(value),
                Err(_) => serializer.serialize_i128(*value),
            },
            Self::Float(value) => serializer.serialize_f64(*value),
            Self::Text(value) => serializer.serialize_str(value),
            Self::List(items) => serializer.collect_seq(items),
            Self::Map(entries) => serializer.collect_map(entries.iter().map(|(name, value)| (name, value))),
        }
    }
}

impl IntoDeserializer<'_, Error> for Node {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Node {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Self::Null => visitor.visit_unit(),
            Self::Bool(value) => visitor.visit_bool(value),
            Self::Int(value) => match (u64::try_from(value), i64::try_from(value)) {
                (Ok(value), _) => visitor.visit_u64(value),
                (_, Ok(value)) => visitor.visit_i64(value),
                _ => visitor.visit_i128(value),
            },
            Self::Float(value) => visitor.visit_f64(value),
            Self::Text(value) => visitor.visit_string(value),
            Self::List(items) => visitor.visit_seq(SeqDeserializer::new(items.into_iter())),
            Self::Map(entries) => visitor.visit_map(MapDeserializer::new(entries.into_iter())),
        }
    }

    /// Of YAML 1.1, which Alertmanager reads, too.
    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self {
            Self::Text(text) => match text.to_ascii_lowercase().as_str() {
                "y" | "yes" | "on" => visitor.visit_bool(true),
                "n" | "no" | "off" => visitor.visit_bool(false),
                _ => self.deserialize_any(visitor),
            },
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Self::Bool(value) => visitor.visit_string(value.to_string()),
            Self::Int(value) => visitor.visit_string(value.to_string()),
            Self::Float(_) => Err(Error::custom("text that looks like a number with a point needs quotes")),
            other => other.deserialize_any(visitor),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self == Self::Null { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self {
            Self::Text(text) => visitor.visit_enum(text.into_deserializer()),
            _ => Err(Error::custom("should be a word")),
        }
    }

    /// A key without a value holds nothing.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self == Self::Null { Self::List(Vec::new()).deserialize_any(visitor) } else { self.deserialize_any(visitor) }
    }

    /// The same.
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self == Self::Null { Self::Map(Vec::new()).deserialize_any(visitor) } else { self.deserialize_any(visitor) }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_map(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct tuple tuple_struct identifier
        ignored_any
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Shape {
        text: Vec<String>,
        number: Option<u16>,
        nothing: Option<u16>,
        map: BTreeMap<String, bool>,
    }

    #[test]
    fn what_is_read_of_a_node_is_what_yaml_would_give() {
        let yaml = "{text: [a, 13800000000, true, '1.10'], number: 7, nothing: null, map: {a: true}}";
        let node: Node = serde_saphyr::from_str(yaml).unwrap();
        assert_eq!(node.read::<Shape>().unwrap(), serde_saphyr::from_str(yaml).unwrap());
        let nothing: Node = serde_saphyr::from_str("{text: , number: , map: }").unwrap();
        let read = nothing.read::<Shape>().unwrap();
        assert!(read.text.is_empty() && read.number.is_none() && read.map.is_empty());
    }

    #[test]
    fn what_cannot_be_read_names_its_key_and_shows_no_value() {
        for (yaml, wanted) in [
            ("{text: [1.10], map: {}}", "text[0]: text that looks like a number with a point needs quotes"),
            ("{text: [], map: {a: {b: c}}}", "map.a: invalid type: map, expected a boolean"),
            ("{text: [], map: {}, x: 1}", "x: unknown field `x`"),
            ("{text: s3cret, map: {}}", "text: invalid type: text, expected a sequence"),
            ("{text: [], map: s3cret}", "map: invalid type: text, expected a map"),
        ] {
            let node: Node = serde_saphyr::from_str(yaml).unwrap();
            assert_eq!(format!("{node:?}"), "<yaml>");
            let error = node.read::<Shape>().unwrap_err();
            assert!(error.starts_with(wanted), "{error}");
        }
    }
}
