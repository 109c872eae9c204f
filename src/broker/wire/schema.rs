//! Schema language for requests: fields, their types and versions.

use kafka_protocol::protocol::VersionRange;

/// For requests without flexible versions (KIP-482).
pub(super) const NEVER: i16 = i16::MAX;

/// The schema of one request in all its versions.
#[derive(Debug)]
pub(super) struct RequestSchema {
    /// Versions that the protocol crate decodes.
    pub(super) versions: VersionRange,
    /// First version with compact lengths and tagged fields.
    pub(super) flexible: i16,
    pub(super) fields: &'static [Field],
}

/// A field of a structure, in the versions that have it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    /// Kafka's name of the field.
    pub(super) name: &'static str,
    pub(super) kind: FieldType,
    since: i16,
    until: i16,
    nullable: i16,
    /// Tag of a tagged field.
    pub(super) tag: Option<u32>,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum FieldType {
    /// A number of bytes.
    Fixed(usize),
    /// A length of two bytes, or compact, and the bytes.
    String,
    /// A length of four bytes, or compact, and the bytes.
    Bytes,
    /// A count of four bytes, or compact, and elements of a primitive type.
    Values(&'static Field),
    /// A count of four bytes, or compact, and structures.
    Structures(&'static [Field]),
    /// One structure.
    Structure(&'static [Field]),
}

impl Field {
    const fn new(kind: FieldType) -> Self {
        Self { name: "", kind, since: 0, until: i16::MAX, nullable: i16::MAX, tag: None }
    }

    pub(super) const fn named(self, name: &'static str) -> Self {
        Self { name, ..self }
    }

    pub(super) const fn since(self, version: i16) -> Self {
        Self { since: version, ..self }
    }

    pub(super) const fn until(self, version: i16) -> Self {
        Self { until: version, ..self }
    }

    pub(super) const fn nullable(self) -> Self {
        self.nullable_since(0)
    }

    pub(super) const fn nullable_since(self, version: i16) -> Self {
        Self { nullable: version, ..self }
    }

    pub(super) const fn tagged(self, tag: u32) -> Self {
        Self { tag: Some(tag), ..self }
    }

    /// Whether the version has this field.
    pub(super) const fn is_in(&self, version: i16) -> bool {
        self.since <= version && version <= self.until
    }

    /// Whether the field is nullable in this version.
    pub(super) const fn may_be_null(&self, version: i16) -> bool {
        self.nullable <= version
    }
}

pub(super) const BOOL: Field = Field::new(FieldType::Fixed(1));
pub(super) const INT8: Field = Field::new(FieldType::Fixed(1));
pub(super) const INT16: Field = Field::new(FieldType::Fixed(2));
pub(super) const INT32: Field = Field::new(FieldType::Fixed(4));
pub(super) const INT64: Field = Field::new(FieldType::Fixed(8));
pub(super) const UUID: Field = Field::new(FieldType::Fixed(16));
pub(super) const STRING: Field = Field::new(FieldType::String);
pub(super) const BYTES: Field = Field::new(FieldType::Bytes);

pub(super) const fn array_of(value: &'static Field) -> Field {
    Field::new(FieldType::Values(value))
}

pub(super) const fn array(fields: &'static [Field]) -> Field {
    Field::new(FieldType::Structures(fields))
}

pub(super) const fn structure(fields: &'static [Field]) -> Field {
    Field::new(FieldType::Structure(fields))
}

/// Names the fields and puts them into a constant, for a `'static` reference.
macro_rules! fields {
    ($($name:ident: $field:expr),* $(,)?) => {{
        const FIELDS: &[Field] = &[$($field.named(stringify!($name))),*];
        FIELDS
    }};
}

pub(super) use fields;
