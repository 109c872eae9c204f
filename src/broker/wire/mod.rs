//! What came over the wire, before it is believed: frames, and requests whose lengths and counts have been walked.
//!
//! The decoders of the protocol crate reserve memory for as many elements as a count claims; thirty bytes can claim four
//! thousand million. So nothing is decoded here or elsewhere in the broker before `guard` has walked it by its shape.

mod frame;
mod request_schemas;
#[cfg(test)]
mod samples;
mod schema;
mod validation;

use kafka_protocol::messages::ApiKey;

pub use frame::{Frames, SOCKET_REQUEST_MAX_BYTES};
pub use validation::{Limits, read_header, validate};

/// Why bytes are not a request. Apache Kafka answers each of these by closing the connection, and says no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRequest {
    /// The frame is too short for the header of any request, or its length is negative.
    #[error("a frame of {0} bytes holds no request")]
    FrameTooShort(i32),
    /// The frame is longer than this broker takes.
    #[error("a frame of {length} bytes is longer than the {limit} of socket.request.max.bytes")]
    FrameTooLong {
        /// As the frame claims.
        length: usize,
        /// As the broker is configured.
        limit: usize,
    },
    /// No request of this broker has that key.
    #[error("there is no request with API key {0}")]
    UnknownApi(i16),
    /// The request exists, but not in that version.
    #[error("{api:?} has no version {version}")]
    UnknownVersion {
        /// The request.
        api: ApiKey,
        /// As the header claims.
        version: i16,
    },
    /// A value reaches beyond the last byte.
    #[error("{field} wants {wanted} bytes, and {left} are left")]
    PastEnd {
        /// Name of the field.
        field: &'static str,
        /// How many bytes the value takes.
        wanted: usize,
        /// How many there are.
        left: usize,
    },
    /// An array has more elements than bytes are left, and each takes at least one.
    #[error("{field} has {count} elements in {left} bytes")]
    CountTooLarge {
        /// Name of the field.
        field: &'static str,
        /// As the request claims.
        count: usize,
        /// How many bytes there are.
        left: usize,
    },
    /// A length or count below zero, or none in a field that is never null in this version.
    #[error("{field} is null or of negative length")]
    NullOrNegative {
        /// Name of the field.
        field: &'static str,
    },
    /// The byte before a structure that may be null is neither -1 nor 1.
    #[error("{field} is neither null nor there")]
    InvalidNullMarker {
        /// Name of the field.
        field: &'static str,
    },
    /// A variable-length number of more than five bytes.
    #[error("the number in {field} does not end")]
    VarintTooLong {
        /// Name of the field.
        field: &'static str,
    },
    /// A tagged field that this version does not know, though a later one does.
    #[error("{field} is tagged in a version that does not have it")]
    TagNotInVersion {
        /// Name of the field.
        field: &'static str,
    },
    /// The arrays of the request have too many elements in all.
    #[error("the request has more than {limit} elements")]
    TooManyElements {
        /// As in [`Limits`].
        limit: usize,
    },
    /// The lengths are right, and still it cannot be decoded: text is not UTF-8.
    #[error("the request cannot be decoded")]
    Undecodable,
}
