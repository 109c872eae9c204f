//! Input from the network before it is decoded: frames, and validation of requests.
//!
//! The decoders of the protocol crate reserve memory for as many elements as a count claims, and thirty bytes can claim
//! four billion. So every request is validated by its schema (`validation`) before anything decodes it.

mod frame;
mod request_schemas;
#[cfg(test)]
mod samples;
mod schema;
mod validation;

use kafka_protocol::messages::ApiKey;

pub use frame::{Frames, SOCKET_REQUEST_MAX_BYTES};
pub use validation::{Limits, read_header, validate};

/// Why bytes are not a valid request. Like Apache Kafka, the broker closes the connection without a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRequest {
    /// The frame is shorter than any request header, or its length is negative.
    #[error("a frame of {0} bytes is too short for a request")]
    FrameTooShort(i32),
    /// The frame is longer than the limit.
    #[error("a frame of {length} bytes exceeds socket.request.max.bytes={limit}")]
    FrameTooLong {
        /// Length from the frame.
        length: usize,
        /// The configured limit.
        limit: usize,
    },
    /// The broker does not support this API.
    #[error("unknown API key {0}")]
    UnknownApi(i16),
    /// The broker does not support this version.
    #[error("unsupported version {version} of {api:?}")]
    UnknownVersion {
        /// The API.
        api: ApiKey,
        /// Version from the header.
        version: i16,
    },
    /// A value continues past the end of the request.
    #[error("{field} needs {wanted} bytes, but only {left} are left")]
    PastEnd {
        /// Name of the field.
        field: &'static str,
        /// Bytes that the value needs.
        wanted: usize,
        /// Bytes that are left.
        left: usize,
    },
    /// An array has more elements than bytes are left, and each element takes at least one.
    #[error("{field} claims {count} elements, but only {left} bytes are left")]
    CountTooLarge {
        /// Name of the field.
        field: &'static str,
        /// Count from the request.
        count: usize,
        /// Bytes that are left.
        left: usize,
    },
    /// A negative length or count, or null in a field that is not nullable in this version.
    #[error("{field} is null or has a negative length")]
    NullOrNegative {
        /// Name of the field.
        field: &'static str,
    },
    /// The marker of a nullable structure is neither -1 nor 1.
    #[error("{field} has an invalid null marker")]
    InvalidNullMarker {
        /// Name of the field.
        field: &'static str,
    },
    /// A varint of more than five bytes.
    #[error("{field} has a varint of more than 5 bytes")]
    VarintTooLong {
        /// Name of the field.
        field: &'static str,
    },
    /// A tagged field that exists only in later versions.
    #[error("{field} does not exist in this version")]
    TagNotInVersion {
        /// Name of the field.
        field: &'static str,
    },
    /// The arrays of the request have too many elements in total.
    #[error("the request has more than {limit} array elements")]
    TooManyElements {
        /// The limit from [`Limits`].
        limit: usize,
    },
    /// All lengths are valid, but decoding failed: a string is not UTF-8.
    #[error("the request cannot be decoded")]
    Undecodable,
}
