//! Owns taking JSON values whose type is not known beforehand: a value of the wrong type is an answer, not an error.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::values::is_number;
use crate::domain::fault::{Fault, Problem};

/// What all values of one reading share.
#[derive(Default)]
pub(super) struct Reading {
    /// Whether the type of a value is looked at before the value is read. It is the slow way, for what the fast one does
    /// not survive: a number beyond a double, where no number belongs.
    pub(super) careful: bool,
    /// What ended the reading and is no matter of syntax: an error of `serde_json` has room for words only.
    pub(super) fault: Cell<Option<Fault>>,
}

impl Reading {
    /// Keeps another telling of the fault that ended the reading, if one did.
    #[cold]
    pub(super) fn refine(&self, telling: impl FnOnce(Fault) -> Fault) {
        self.fault.set(self.fault.get().map(telling));
    }

    #[cold]
    fn end<E: Error>(&self, fault: Fault) -> E {
        self.fault.set(Some(fault));
        E::custom("a fault kept aside")
    }
}

/// What to make of a value of each type.
pub(super) trait Wanted<'a>: Sized {
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

impl<'a, W: Wanted<'a>> DeserializeSeed<'a> for Any<'_, W> {
    type Value = W::Value;

    #[inline]
    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<W::Value, D::Error> {
        if self.reading.careful { self.look_first(deserializer) } else { deserializer.deserialize_any(self) }
    }
}

impl<'a, W: Wanted<'a>> Any<'_, W> {
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

impl<'a, W: Wanted<'a>> Visitor<'a> for Any<'_, W> {
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
    pub(super) fn read<W: Wanted<'a>>(self, wanted: W) -> Result<W::Value, A::Error> {
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
        Err(self.reading.end(Fault::of_field(self.name, Problem::Duplicate)))
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
