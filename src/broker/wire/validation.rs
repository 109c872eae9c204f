//! Validation of a request before it is decoded: one pass over its bytes by its schema, without any allocation.
//!
//! A valid request is decoded with memory in proportion to its size: every length is within the frame, every count is
//! at most the number of remaining bytes (as in Apache Kafka), and all arrays together have a bounded number of
//! elements.
//! As in Apache Kafka, bytes after the request are ignored. The size of a known tagged field is ignored too, because
//! the field has its own length.

use bytes::{Buf, Bytes};
use kafka_protocol::messages::{ApiKey, RequestHeader};
use kafka_protocol::protocol::decode_request_header_from_buffer;

use super::InvalidRequest;
use super::request_schemas;
use super::schema::{Field, FieldType};

/// Limits of one request.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Elements of all arrays together, and tagged fields. Each one takes about a hundred bytes when it is decoded.
    pub elements: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { elements: 100_000 }
    }
}

/// Names for error messages.
const TAGGED_FIELDS: &str = "tagged fields";
const HEADER: &str = "the request header";

/// Takes the header off a frame, and leaves the body.
///
/// The version is not checked: a client that sends `ApiVersions` in a future version gets a response (KIP-511).
/// [`validate`] rejects every other unknown version.
///
/// # Errors
///
/// When the frame does not begin with the header of a supported request.
pub fn read_header(frame: &mut Bytes) -> Result<(ApiKey, RequestHeader), InvalidRequest> {
    let mut start = &frame[..];
    let short = |left| InvalidRequest::PastEnd { field: HEADER, wanted: 4, left };
    let key = start.try_get_i16().map_err(|_| short(frame.len()))?;
    let version = start.try_get_i16().map_err(|_| short(frame.len()))?;
    let api = ApiKey::try_from(key).map_err(|()| InvalidRequest::UnknownApi(key))?;
    if request_schemas::of(api).is_none() {
        return Err(InvalidRequest::UnknownApi(key));
    }
    let flexible = api.request_header_version(version) >= 2;
    // KIP-482 did not change the client id: its length is never compact.
    let mut cursor = Cursor { left: start, version, flexible: false, elements: 0, limits: Limits::default() };
    cursor.skip(4, "correlation_id")?;
    cursor.string("client_id", true)?;
    if flexible {
        cursor.tagged(&[])?;
    }
    let header = decode_request_header_from_buffer(frame).map_err(|_| InvalidRequest::Undecodable)?;
    Ok((api, header))
}

/// Checks whether a request's body may be decoded.
///
/// # Errors
///
/// When a length, count or number is invalid, or there are too many elements.
pub fn validate(api: ApiKey, version: i16, body: &[u8], limits: Limits) -> Result<(), InvalidRequest> {
    validate_prefix(api, version, body, limits).map(drop)
}

/// Returns the bytes after the request.
fn validate_prefix(api: ApiKey, version: i16, body: &[u8], limits: Limits) -> Result<&[u8], InvalidRequest> {
    let schema = request_schemas::of(api).ok_or(InvalidRequest::UnknownApi(api as i16))?;
    if !(schema.versions.min..=schema.versions.max).contains(&version) {
        return Err(InvalidRequest::UnknownVersion { api, version });
    }
    let mut cursor = Cursor { left: body, version, flexible: version >= schema.flexible, elements: 0, limits };
    cursor.structure(schema.fields)?;
    Ok(cursor.left)
}

struct Cursor<'a> {
    left: &'a [u8],
    version: i16,
    flexible: bool,
    elements: usize,
    limits: Limits,
}

impl Cursor<'_> {
    fn structure(&mut self, fields: &[Field]) -> Result<(), InvalidRequest> {
        for field in fields {
            if field.tag.is_none() && field.is_in(self.version) {
                self.value(field)?;
            }
        }
        if self.flexible { self.tagged(fields) } else { Ok(()) }
    }

    /// Reads tagged fields: known ones by their schema, unknown ones by their size.
    fn tagged(&mut self, fields: &[Field]) -> Result<(), InvalidRequest> {
        let count = self.number(TAGGED_FIELDS)?;
        self.count(count as usize, TAGGED_FIELDS)?;
        for _ in 0..count {
            let tag = self.number(TAGGED_FIELDS)?;
            let size = self.number(TAGGED_FIELDS)?;
            match fields.iter().find(|field| field.tag == Some(tag)) {
                Some(field) if field.is_in(self.version) => self.value(field)?,
                Some(field) => return Err(InvalidRequest::TagNotInVersion { field: field.name }),
                None => self.skip(size as usize, TAGGED_FIELDS)?,
            }
        }
        Ok(())
    }

    fn value(&mut self, field: &Field) -> Result<(), InvalidRequest> {
        let null = field.may_be_null(self.version);
        match field.kind {
            FieldType::Fixed(width) => self.skip(width, field.name),
            FieldType::String => self.string(field.name, null),
            FieldType::Bytes => {
                let length = self.length(field.name, null)?;
                self.skip(length, field.name)
            }
            // The marker byte in front says whether it is null.
            FieldType::Structure(fields) if null => match self.left.try_get_i8() {
                Err(_) => Err(self.beyond(field.name, 1)),
                Ok(-1) => Ok(()),
                Ok(1) => self.structure(fields),
                // Apache Kafka accepts any non-negative marker, the crate only 1. No client sends another one.
                Ok(_) => Err(InvalidRequest::InvalidNullMarker { field: field.name }),
            },
            FieldType::Structure(fields) => self.structure(fields),
            FieldType::Structures(fields) => {
                for _ in 0..self.elements(field.name, null)? {
                    self.structure(fields)?;
                }
                Ok(())
            }
            FieldType::Values(value) => {
                let value = value.named(field.name);
                for _ in 0..self.elements(field.name, null)? {
                    self.value(&value)?;
                }
                Ok(())
            }
        }
    }

    fn string(&mut self, field: &'static str, null: bool) -> Result<(), InvalidRequest> {
        let length = if self.flexible {
            self.compact(field, null)?
        } else {
            let length = self.left.try_get_i16().map_err(|_| self.beyond(field, 2))?;
            signed(i32::from(length), field, null)?
        };
        self.skip(length, field)
    }

    /// Number of elements of an array, 0 for null.
    fn elements(&mut self, field: &'static str, null: bool) -> Result<usize, InvalidRequest> {
        let count = self.length(field, null)?;
        self.count(count, field)?;
        Ok(count)
    }

    /// Counts elements, each of which takes at least one byte.
    fn count(&mut self, count: usize, field: &'static str) -> Result<(), InvalidRequest> {
        if count > self.left.len() {
            return Err(InvalidRequest::CountTooLarge { field, count, left: self.left.len() });
        }
        self.elements += count;
        if self.elements > self.limits.elements {
            return Err(InvalidRequest::TooManyElements { limit: self.limits.elements });
        }
        Ok(())
    }

    /// A length or count of four bytes, or compact; 0 for null.
    fn length(&mut self, field: &'static str, null: bool) -> Result<usize, InvalidRequest> {
        if self.flexible {
            return self.compact(field, null);
        }
        let length = self.left.try_get_i32().map_err(|_| self.beyond(field, 4))?;
        signed(length, field, null)
    }

    /// Compact lengths are one larger, so that 0 means null.
    fn compact(&mut self, field: &'static str, null: bool) -> Result<usize, InvalidRequest> {
        match self.number(field)?.checked_sub(1) {
            Some(length) => Ok(length as usize),
            None if null => Ok(0),
            None => Err(InvalidRequest::NullOrNegative { field }),
        }
    }

    /// A varint. Bits beyond the 32nd are dropped, as in all decoders.
    fn number(&mut self, field: &'static str) -> Result<u32, InvalidRequest> {
        let mut number = 0;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.left.try_get_u8().map_err(|_| self.beyond(field, 1))?;
            number |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(InvalidRequest::VarintTooLong { field })
    }

    fn skip(&mut self, bytes: usize, field: &'static str) -> Result<(), InvalidRequest> {
        self.left = self.left.get(bytes..).ok_or_else(|| self.beyond(field, bytes))?;
        Ok(())
    }

    fn beyond(&self, field: &'static str, wanted: usize) -> InvalidRequest {
        InvalidRequest::PastEnd { field, wanted, left: self.left.len() }
    }
}

/// A length or count where -1 means null. Apache Kafka accepts any negative number as null, but clients only send -1.
fn signed(length: i32, field: &'static str, null: bool) -> Result<usize, InvalidRequest> {
    match usize::try_from(length) {
        Ok(length) => Ok(length),
        Err(_) if null && length == -1 => Ok(0),
        Err(_) => Err(InvalidRequest::NullOrNegative { field }),
    }
}

#[cfg(test)]
#[path = "validation_tests.rs"]
mod tests;
