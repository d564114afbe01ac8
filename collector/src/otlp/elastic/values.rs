//! How many values a JSON text has, counted without keeping any.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Values of a JSON text: those in lists and objects, and the lists and objects themselves.
pub(super) fn count(text: &[u8]) -> Result<usize, serde_json::Error> {
    let mut count = 0;
    let mut reader = serde_json::Deserializer::from_slice(text);
    Count(&mut count).deserialize(&mut reader)?;
    reader.end()?;
    Ok(count)
}

struct Count<'a>(&'a mut usize);

impl<'de> DeserializeSeed<'de> for Count<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        *self.0 += 1;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Count<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        while elements.next_element_seed(Count(&mut *self.0))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        while fields.next_key::<IgnoredAny>()?.is_some() {
            fields.next_value_seed(Count(&mut *self.0))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn each_value_counts_and_what_is_no_json_is_refused() {
        for (text, values) in [("1", 1), ("[]", 1), ("[1,[2,\"a,b\"],null]", 6), (r#"{"a":{"b":1.5},"c":[true]}"#, 5)] {
            assert_eq!(super::count(text.as_bytes()).unwrap(), values, "{text}");
        }
        assert!(super::count(b"[1,").is_err() && super::count(b"1 2").is_err());
    }
}
