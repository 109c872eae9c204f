//! Serde visitors for JSON values of any type: a wrong type is an error of the field, not of the parser.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::values::is_number;
use crate::domain::decode_error::{DecodeError, Problem};

/// Shared by all values of one record.
#[derive(Default)]
pub(super) struct ReadContext {
    /// Whether to check the type of a value before parsing it. Slow, and needed for a number beyond the range of a
    /// double in a field of another type: the parser would fail.
    pub(super) careful: bool,
    /// The error that ended the parsing, if it is not one of syntax: an error of `serde_json` holds text only.
    pub(super) error: Cell<Option<DecodeError>>,
}

impl ReadContext {
    /// Changes the error that ended the parsing, if there is one.
    #[cold]
    pub(super) fn map_error(&self, map: impl FnOnce(DecodeError) -> DecodeError) {
        self.error.set(self.error.get().map(map));
    }

    #[cold]
    fn fail<E: Error>(&self, error: DecodeError) -> E {
        self.error.set(Some(error));
        E::custom("see ReadContext::error")
    }
}

/// Converts a JSON value of any type.
pub(super) trait ValueVisitor<'a>: Sized {
    /// The result.
    type Value;

    /// The result for a value of the wrong type: by default of any type.
    fn wrong_type(self) -> Self::Value;

    /// The result for `null`.
    #[inline]
    fn null(self) -> Self::Value {
        self.wrong_type()
    }

    /// The result for a string, which is borrowed unless it has escapes.
    #[inline]
    fn text(self, _text: Cow<'a, str>) -> Self::Value {
        self.wrong_type()
    }

    /// The result for an array.
    fn array<A: SeqAccess<'a>>(self, mut elements: A, _context: &ReadContext) -> Result<Self::Value, A::Error> {
        while elements.next_element::<IgnoredAny>()?.is_some() {}
        Ok(self.wrong_type())
    }

    /// The result for an object.
    fn object<A: MapAccess<'a>>(self, mut fields: A, _context: &ReadContext) -> Result<Self::Value, A::Error> {
        while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(self.wrong_type())
    }
}

/// A JSON value of any type, passed to a visitor.
pub(super) struct AnyValue<'r, V> {
    pub(super) visitor: V,
    pub(super) context: &'r ReadContext,
}

impl<'a, V: ValueVisitor<'a>> DeserializeSeed<'a> for AnyValue<'_, V> {
    type Value = V::Value;

    #[inline]
    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        if self.context.careful { self.check_type_first(deserializer) } else { deserializer.deserialize_any(self) }
    }
}

impl<'a, V: ValueVisitor<'a>> AnyValue<'_, V> {
    #[cold]
    fn check_type_first<D: Deserializer<'a>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        let json = <&RawValue>::deserialize(deserializer)?;
        if is_number(json) {
            return Ok(self.visitor.wrong_type());
        }
        // It is valid JSON: the error is that of the context, or a lone surrogate, which `skipped_values` reports.
        let value = serde_json::Deserializer::from_str(json.get()).deserialize_any(self);
        value.map_err(|_| D::Error::custom("an error inside the value"))
    }
}

impl<'a, V: ValueVisitor<'a>> Visitor<'a> for AnyValue<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<V::Value, E> {
        Ok(self.visitor.null())
    }

    fn visit_bool<E>(self, _: bool) -> Result<V::Value, E> {
        Ok(self.visitor.wrong_type())
    }

    fn visit_u64<E>(self, _: u64) -> Result<V::Value, E> {
        Ok(self.visitor.wrong_type())
    }

    fn visit_i64<E>(self, _: i64) -> Result<V::Value, E> {
        Ok(self.visitor.wrong_type())
    }

    fn visit_f64<E>(self, _: f64) -> Result<V::Value, E> {
        Ok(self.visitor.wrong_type())
    }

    #[inline]
    fn visit_borrowed_str<E>(self, text: &'a str) -> Result<V::Value, E> {
        Ok(self.visitor.text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<V::Value, E> {
        Ok(self.visitor.text(Cow::Owned(text.to_owned())))
    }

    #[inline]
    fn visit_seq<A: SeqAccess<'a>>(self, elements: A) -> Result<V::Value, A::Error> {
        self.visitor.array(elements, self.context)
    }

    #[inline]
    fn visit_map<A: MapAccess<'a>>(self, fields: A) -> Result<V::Value, A::Error> {
        self.visitor.object(fields, self.context)
    }
}

/// The known fields of an object, as they are read.
pub(super) trait Fields<'a> {
    /// The known fields.
    type Field: Copy + 'static;

    /// The known fields by name, at most 32, in the order in which foodstream writes them.
    const NAMES: &'static [(&'static str, Self::Field)];

    /// Reads the field's value.
    fn take<A: MapAccess<'a>>(&mut self, field: Self::Field, value: FieldValue<'_, A>) -> Result<(), A::Error>;
}

/// The unread value of a field.
pub(super) struct FieldValue<'v, A> {
    map: &'v mut A,
    context: &'v ReadContext,
}

impl<'a, A: MapAccess<'a>> FieldValue<'_, A> {
    /// Reads the value.
    #[inline]
    pub(super) fn read<V: ValueVisitor<'a>>(self, visitor: V) -> Result<V::Value, A::Error> {
        self.map.next_value_seed(AnyValue { visitor, context: self.context })
    }

    /// The JSON text of the value: for numbers, which a double would round.
    #[inline]
    pub(super) fn json(self) -> Result<&'a RawValue, A::Error> {
        self.map.next_value()
    }
}

/// Reads an object's known fields and skips the others. A duplicate known field is an error.
#[inline]
pub(super) fn read_fields<'a, F: Fields<'a>, A: MapAccess<'a>>(
    fields: &mut F,
    mut map: A,
    context: &ReadContext,
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
            return map.next_value_seed(DuplicateField { name, context });
        }
        seen |= 1 << index;
        expected = index + 1;
        fields.take(field, FieldValue { map: &mut map, context })?;
    }
    Ok(())
}

/// The value of a duplicate field. The error is at the value, so a syntax error before it comes first.
struct DuplicateField<'r> {
    name: &'static str,
    context: &'r ReadContext,
}

impl<'a> DeserializeSeed<'a> for DuplicateField<'_> {
    type Value = ();

    #[cold]
    fn deserialize<D: Deserializer<'a>>(self, _: D) -> Result<(), D::Error> {
        Err(self.context.fail(DecodeError::of_field(self.name, Problem::Duplicate)))
    }
}

/// The index of a key in `names`. Tries `expected` first: foodstream writes the fields in order.
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

    /// Orders of two event types with `value` in each field.
    fn with_every_field(value: &str, check: impl Fn(&str, &str)) {
        for field in ["order_id", "user_id", "restaurant_id", "items", "status", "timestamp"] {
            for event_type in ["OrderPlaced", "Other"] {
                let others = ["order_id", "user_id", "restaurant_id", "status"].iter().filter(|name| **name != field);
                let others: Vec<String> = others.map(|name| format!(r#""{name}":"placed","#)).collect();
                let others = others.concat();
                let items = if field == "items" { "" } else { r#""items":[{"item_id":"a","quantity":1,"price":1}],"# };
                let total = r#""total_amount":1,"event_type""#;
                check(event_type, &format!(r#"{{{others}{items}"{field}":{value},{total}:"{event_type}"}}"#));
            }
        }
    }

    #[test]
    fn a_number_beyond_a_double_has_the_wrong_type() {
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
    fn the_first_error_in_the_text_counts() {
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
