//! How a request's bytes are laid out: the notation in which the shapes are written.

use kafka_protocol::protocol::VersionRange;

/// Of a request that never became flexible (KIP-482).
pub(super) const NEVER: i16 = i16::MAX;

/// One request in all its versions.
#[derive(Debug)]
pub(super) struct RequestSchema {
    /// Those that the protocol crate decodes.
    pub(super) versions: VersionRange,
    /// The first version with compact lengths and tagged fields.
    pub(super) flexible: i16,
    /// What it consists of.
    pub(super) fields: &'static [Field],
}

/// One field of a structure, in those versions that have it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    /// As Kafka calls it.
    pub(super) name: &'static str,
    /// How its bytes are laid out.
    pub(super) field_type: FieldType,
    since: i16,
    until: i16,
    nullable: i16,
    /// The tag, of a field that is not among the others but behind them.
    pub(super) tag: Option<u32>,
}

/// How a value lies in the bytes.
#[derive(Debug, Clone, Copy)]
pub(super) enum FieldType {
    /// So many bytes.
    Fixed(usize),
    /// A length of two bytes, or compact, and as many bytes.
    String,
    /// A length of four bytes, or compact, and as many bytes.
    Bytes,
    /// A count of four bytes, or compact, and as many elements of one kind without fields.
    Values(&'static Field),
    /// A count of four bytes, or compact, and as many structures.
    Structures(&'static [Field]),
    /// One structure.
    Structure(&'static [Field]),
}

impl Field {
    const fn new(field_type: FieldType) -> Self {
        Self { name: "", field_type, since: 0, until: i16::MAX, nullable: i16::MAX, tag: None }
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

    /// Whether the version has this field at all.
    pub(super) const fn is_in(&self, version: i16) -> bool {
        self.since <= version && version <= self.until
    }

    /// Whether null is a value of this field.
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

/// Fields with their names, in a constant of their own so that they may be referred to for ever.
macro_rules! fields {
    ($($name:ident: $field:expr),* $(,)?) => {{
        const FIELDS: &[Field] = &[$($field.named(stringify!($name))),*];
        FIELDS
    }};
}

pub(super) use fields;
