//! Frames: four bytes of length and as many bytes of request, taken from a buffer that grows with what arrives.

use bytes::{Buf, Bytes, BytesMut};

use super::Rubbish;

/// The longest request taken unless configured otherwise. Clients send no more than about a megabyte unless told to
/// (`max.request.size`, `message.max.bytes`); Apache's 100 MiB is for clusters that replicate, and here every connection
/// may hold as much.
pub const SOCKET_REQUEST_MAX_BYTES: usize = 32 * 1024 * 1024;

/// The length before each frame.
const LENGTH: usize = size_of::<i32>();

/// The shortest header: API key, version, correlation id and the length of no client id.
const HEADER: i32 = 10;

/// What a connection that sends nothing may cost, and the smallest step in which a buffer grows.
const STEP: usize = 4 * 1024;

/// Cuts what arrives on a connection into frames.
#[derive(Debug, Clone, Copy)]
pub struct Frames {
    limit: usize,
}

impl Default for Frames {
    fn default() -> Self {
        Self::new(SOCKET_REQUEST_MAX_BYTES)
    }
}

impl Frames {
    /// Of at most `limit` bytes each, their length not counted.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self { limit }
    }

    /// Takes the next frame out of the buffer, or makes room for more of it: for what is missing, and for no more than
    /// has arrived already, so a claim costs nothing until it is paid in bytes.
    ///
    /// The frame is a part of the buffer, not a copy. Who keeps some of it for long copies that, or keeps all of it.
    ///
    /// # Errors
    ///
    /// When the length is none. Nothing after it can be read then.
    pub fn next(&self, buffer: &mut BytesMut) -> Result<Option<Bytes>, Rubbish> {
        let Some(length) = buffer.first_chunk::<LENGTH>() else {
            buffer.reserve(STEP);
            return Ok(None);
        };
        let claim = i32::from_be_bytes(*length);
        let length = usize::try_from(claim).map_err(|_| Rubbish::FrameTooShort(claim))?;
        if claim < HEADER {
            return Err(Rubbish::FrameTooShort(claim));
        }
        if length > self.limit {
            return Err(Rubbish::FrameTooLong { length, limit: self.limit });
        }
        let missing = (LENGTH + length).saturating_sub(buffer.len());
        if missing > 0 {
            buffer.reserve(missing.min(buffer.len().max(STEP)));
            return Ok(None);
        }
        buffer.advance(LENGTH);
        Ok(Some(buffer.split_to(length).freeze()))
    }
}
