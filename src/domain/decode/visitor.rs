//! Owns taking JSON values whose type is not known beforehand: a value of the wrong type is an answer, not an error.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::values::is_number;
use crate::domain::decode_error::{DecodeError, Problem};

/// What all values of one reading share.
#[derive(Default)]
pub(super) struct Reading {
    /// Whether the type of a value is looked at before the value is read. It is the slow way, for what the fast one does
    /// not survive: a number beyond a double, where no number belongs.
    pub(super) careful: bool,
    /// What ended the reading and is no matter of syntax: an error of `serde_json` has room for words only.
    pub(super) fault: Cell<Option<DecodeError>>,
}

impl Reading {
    /// Keeps another telling of the fault that ended the reading, if one did.
    #[cold]
    pub(super) fn refine(&self, telling: impl FnOnce(DecodeError) -> DecodeError) {
        self.fault.set(self.fault.get().map(telling));
    }

    #[cold]
    fn end<E: Error>(&self, fault: DecodeError) -> E {
        self.fault.set(Some(fault));
        E::custom("a fault kept aside")
    }
}

/// What to make of a value of each type.
pub(super) trait ValueVisitor<'a>: Sized {
    /// What is made of it.
    type Value;

    /// Of a value of a type that is not wanted, which is all of them unless told otherwise.
    fn wrong(self) -> Self::Value;

    /// Of `null`.
    #[inline]
    fn null(self) -> Self::Value {
        self.wrong()
    }

    /// Of a string; borrowed unless it holds escapes.
    #[inline]
    fn text(self, _text: Cow<'a, str>) -> Self::Value {
        self.wrong()
    }

    /// Of an array.
    fn array<A: SeqAccess<'a>>(self, mut elements: A, _reading: &Reading) -> Result<Self::Value, A::Error> {
        while elements.next_element::<IgnoredAny>()?.is_some() {}
        Ok(self.wrong())
    }

    /// Of an object.
    fn object<A: MapAccess<'a>>(self, mut fields: A, _reading: &Reading) -> Result<Self::Value, A::Error> {
        while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(self.wrong())
    }
}

/// Takes a value of any type.
pub(super) struct Any<'r, W> {
    pub(super) wanted: W,
    pub(super) reading: &'r Reading,
}

impl<'a, W: ValueVisitor<'a>> DeserializeSeed<'a> for Any<'_, W> {
    type Value = W::Value;

    #[inline]
    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<W::Value, D::Error> {
        if self.reading.careful { self.look_first(deserializer) } else { deserializer.deserialize_any(self) }
    }
}

impl<'a, W: ValueVisitor<'a>> Any<'_, W> {
    #[cold]
    fn look_first<D: Deserializer<'a>>(self, deserializer: D) -> Result<W::Value, D::Error> {
        let json = <&RawValue>::deserialize(deserializer)?;
        if is_number(json) {
            return Ok(self.wanted.wrong());
        }
        // It is JSON, so what ends it is a fault kept aside, or a lone surrogate, which is found elsewhere.
        let value = serde_json::Deserializer::from_str(json.get()).deserialize_any(self);
        value.map_err(|_| D::Error::custom("a fault inside the value"))
    }
}

impl<'a, W: ValueVisitor<'a>> Visitor<'a> for Any<'_, W> {
    type Value = W::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<W::Value, E> {
        Ok(self.wanted.null())
    }

    fn visit_bool<E>(self, _: bool) -> Result<W::Value, E> {
        Ok(self.wanted.wrong())
    }

    fn visit_u64<E>(self, _: u64) -> Result<W::Value, E> {
        Ok(self.wanted.wrong())
    }

    fn visit_i64<E>(self, _: i64) -> Result<W::Value, E> {
        Ok(self.wanted.wrong())
    }

    fn visit_f64<E>(self, _: f64) -> Result<W::Value, E> {
        Ok(self.wanted.wrong())
    }

    #[inline]
    fn visit_borrowed_str<E>(self, text: &'a str) -> Result<W::Value, E> {
        Ok(self.wanted.text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<W::Value, E> {
        Ok(self.wanted.text(Cow::Owned(text.to_owned())))
    }

    #[inline]
    fn visit_seq<A: SeqAccess<'a>>(self, elements: A) -> Result<W::Value, A::Error> {
        self.wanted.array(elements, self.reading)
    }

    #[inline]
    fn visit_map<A: MapAccess<'a>>(self, fields: A) -> Result<W::Value, A::Error> {
        self.wanted.object(fields, self.reading)
    }
}

/// The known fields of an object, as they are read.
pub(super) trait Fields<'a> {
    /// A known field.
    type Field: Copy + 'static;

    /// The known fields by their names, at most 32, in the order in which we write them.
    const NAMES: &'static [(&'static str, Self::Field)];

    /// Takes the field's value.
    fn take<A: MapAccess<'a>>(&mut self, field: Self::Field, value: FieldValue<'_, A>) -> Result<(), A::Error>;
}

/// The value of a field that is about to be read.
pub(super) struct FieldValue<'v, A> {
    map: &'v mut A,
    reading: &'v Reading,
}

impl<'a, A: MapAccess<'a>> FieldValue<'_, A> {
    /// Reads it.
    #[inline]
    pub(super) fn read<W: ValueVisitor<'a>>(self, wanted: W) -> Result<W::Value, A::Error> {
        self.map.next_value_seed(Any { wanted, reading: self.reading })
    }

    /// Gives its JSON text, unread: for numbers, which no double must come between.
    #[inline]
    pub(super) fn json(self) -> Result<&'a RawValue, A::Error> {
        self.map.next_value()
    }
}

/// Reads an object's known fields and skips the rest. A known field that stands twice is a fault.
#[inline]
pub(super) fn read_fields<'a, F: Fields<'a>, A: MapAccess<'a>>(
    fields: &mut F,
    mut map: A,
    reading: &Reading,
) -> Result<(), A::Error> {
    let mut seen = 0_u32;
    let mut expected = 0;
    while let Some(key) = map.next_key_seed(Key { names: F::NAMES, expected })? {
        let Some(index) = key else {
            map.next_value::<IgnoredAny>()?;
            continue;
        };
        let (name, field) = F::NAMES[index];
        if seen & (1 << index) != 0 {
            return map.next_value_seed(Repeated { name, reading });
        }
        seen |= 1 << index;
        expected = index + 1;
        fields.take(field, FieldValue { map: &mut map, reading })?;
    }
    Ok(())
}

/// The value of a field that stood before: reached behind the colon, so that what is no JSON is told first.
struct Repeated<'r> {
    name: &'static str,
    reading: &'r Reading,
}

impl<'a> DeserializeSeed<'a> for Repeated<'_> {
    type Value = ();

    #[cold]
    fn deserialize<D: Deserializer<'a>>(self, _: D) -> Result<(), D::Error> {
        Err(self.reading.end(DecodeError::of_field(self.name, Problem::Duplicate)))
    }
}

/// A key: which of `names` it is. `expected` is tried first, for our own writer leaves the fields in their order.
struct Key<F: 'static> {
    names: &'static [(&'static str, F)],
    expected: usize,
}

impl<'a, F> DeserializeSeed<'a> for Key<F> {
    type Value = Option<usize>;

    #[inline]
    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Option<usize>, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl<F> Visitor<'_> for Key<F> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    #[inline]
    fn visit_str<E>(self, key: &str) -> Result<Option<usize>, E> {
        if self.names.get(self.expected).is_some_and(|(name, _)| *name == key) {
            return Ok(Some(self.expected));
        }
        Ok(self.names.iter().position(|(name, _)| *name == key))
    }
}

#[cfg(test)]
mod tests {
    use crate::domain::{BadReason, DecisionRecord, OrderRecord, decode_decision, decode_order};

    fn order(json: &str) -> Result<bool, BadReason> {
        match decode_order(Some(json.as_bytes())) {
            Ok(record) => Ok(matches!(record, OrderRecord::Order(_))),
            Err(bad) => Err(bad.reason),
        }
    }

    /// The fields of an order with a value that no field may have, of each event type.
    fn with_every_field(value: &str, judge: impl Fn(&str, &str)) {
        for field in ["order_id", "user_id", "restaurant_id", "items", "status", "timestamp"] {
            for event_type in ["OrderPlaced", "Other"] {
                let others = ["order_id", "user_id", "restaurant_id", "status"].iter().filter(|name| **name != field);
                let others: Vec<String> = others.map(|name| format!(r#""{name}":"placed","#)).collect();
                let others = others.concat();
                let items = if field == "items" { "" } else { r#""items":[{"item_id":"a","quantity":1,"price":1}],"# };
                let total = r#""total_amount":1,"event_type""#;
                judge(event_type, &format!(r#"{{{others}{items}"{field}":{value},{total}:"{event_type}"}}"#));
            }
        }
    }

    #[test]
    fn a_number_beyond_a_double_is_a_value_of_the_wrong_type_like_any_other() {
        for value in ["1e400", "-1e400", "7", "true"] {
            with_every_field(value, |event_type, json| {
                let expected = if event_type == "Other" { Ok(false) } else { Err(BadReason::WrongType) };
                assert_eq!(order(json), expected, "{json}");
            });
        }
        for lines in ["[1e400]", r#"[{"item_id":1e400}]"#, r#"[{"item_id":"a","quantity":1e400,"price":1e400}]"#] {
            assert_eq!(order(&format!(r#"{{"event_type":"Other","items":{lines}}}"#)), Ok(false), "{lines}");
        }
        let source = r#"{"event_type":"Other","source":1e400,"reason":1e400}"#;
        assert_eq!(decode_decision(Some(source.as_bytes())), Ok(DecisionRecord::Skipped));
    }

    #[test]
    fn the_first_fault_in_the_text_counts() {
        for (json, expected) in [
            (r#"{"status":1,"status":nul}"#, BadReason::DuplicateField),
            (r#"{"status":1,"status" nul}"#, BadReason::NotJson),
            (r#"{"items":[{"price":1,"price":1},nul]}"#, BadReason::DuplicateField),
            (r#"{"items":[nul,{"price":1,"price":1}]}"#, BadReason::NotJson),
            (r#"{"items":[1e400,{"price":1,"price":1}]}"#, BadReason::DuplicateField),
            (r#"{"status":1,"x":"\ud83d","status":1}"#, BadReason::NotJson),
            (r#"{"status":1,"status":1,"x":"\ud83d"}"#, BadReason::DuplicateField),
        ] {
            assert_eq!(order(json), Err(expected), "{json}");
        }
        let deep = "[".repeat(127);
        assert_eq!(order(&format!(r#"{{"x":{deep}nul"#)), Err(BadReason::TooDeep));
        assert_eq!(order(&format!(r#"{{"x":nul{deep}"#)), Err(BadReason::NotJson));
    }
}
