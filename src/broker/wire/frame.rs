//! Frames of the protocol: a length of four bytes and a request. The buffer grows only as data arrives.

use bytes::{Buf, Bytes, BytesMut};

use super::InvalidRequest;

/// Default of `socket.request.max.bytes`. Clients send about a megabyte at most, unless they are configured otherwise
/// (`max.request.size`, `message.max.bytes`). Kafka's default of 100 MiB is for replication, and here every connection
/// may use as much.
pub const SOCKET_REQUEST_MAX_BYTES: usize = 32 * 1024 * 1024;

const LENGTH: usize = size_of::<i32>();

/// Shortest header: API key, version, correlation id and the length of a null client id.
const HEADER: i32 = 10;

/// Memory of an idle connection, and the smallest step in which a buffer grows.
const STEP: usize = 4 * 1024;

/// Splits the received bytes of a connection into frames.
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
    /// Bytes of the length in front of each frame.
    pub const LENGTH: usize = LENGTH;

    /// The length that the first frame in the buffer claims, after it was validated; 0 if it has not arrived.
    #[must_use]
    pub fn claim(&self, buffer: &[u8]) -> usize {
        let claim = buffer.first_chunk::<LENGTH>().map_or(0, |length| i32::from_be_bytes(*length));
        usize::try_from(claim).unwrap_or(0).min(self.limit)
    }

    /// Frames of at most `limit` bytes each, not counting the length.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self { limit }
    }

    /// Takes the next frame out of the buffer, or reserves space for the rest of it: never more than has arrived
    /// already, so that a false length costs no memory.
    ///
    /// The frame shares the memory of the buffer. To keep a part of it for long, copy that part.
    ///
    /// # Errors
    ///
    /// When the length is invalid. The connection cannot be read any further then.
    pub fn next(&self, buffer: &mut BytesMut) -> Result<Option<Bytes>, InvalidRequest> {
        let Some(length) = buffer.first_chunk::<LENGTH>() else {
            buffer.reserve(STEP);
            return Ok(None);
        };
        let claim = i32::from_be_bytes(*length);
        let length = usize::try_from(claim).map_err(|_| InvalidRequest::FrameTooShort(claim))?;
        if claim < HEADER {
            return Err(InvalidRequest::FrameTooShort(claim));
        }
        if length > self.limit {
            return Err(InvalidRequest::FrameTooLong { length, limit: self.limit });
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

#[cfg(test)]
mod tests {
    use bytes::BufMut;
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn framed(requests: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for request in requests {
            bytes.put_i32(i32::try_from(request.len()).unwrap());
            bytes.put_slice(request);
        }
        bytes
    }

    proptest! {
        #[test]
        fn splits_frames_however_they_arrive(
            requests in vec(vec(any::<u8>(), 10..40), 0..6),
            steps in vec(1_usize..30, 1..10),
        ) {
            let bytes = framed(&requests);
            let mut steps = steps.into_iter().cycle();
            let (mut buffer, mut arriving, mut frames) = (BytesMut::new(), &bytes[..], Vec::new());
            loop {
                while let Some(frame) = Frames::default().next(&mut buffer).unwrap() {
                    frames.push(frame.to_vec());
                }
                prop_assert!(buffer.capacity() > buffer.len(), "no space to read into");
                if arriving.is_empty() {
                    break;
                }
                let step = steps.next().unwrap().min(arriving.len());
                buffer.put_slice(&arriving[..step]);
                arriving.advance(step);
            }
            prop_assert_eq!(frames, requests);
            prop_assert!(buffer.is_empty());
        }

        #[test]
        fn reserves_no_more_than_has_arrived(claim in 10_i32..32 << 20, arrived in 4_usize..100_000) {
            let mut buffer = BytesMut::new();
            buffer.put_i32(claim);
            let mut steps = 0;
            while Frames::default().next(&mut buffer).unwrap().is_none() && buffer.len() < arrived {
                let room = buffer.capacity() - buffer.len();
                // The allocator may double the request.
                prop_assert!(room <= 2 * (buffer.len() + STEP), "{room} for {}", buffer.len());
                buffer.put_bytes(0, room);
                steps += 1;
            }
            prop_assert!(steps < 20, "too many steps");
        }
    }

    #[test]
    fn frame_shares_the_buffers_memory() {
        let mut buffer = BytesMut::from(&framed(&[vec![7; 10]])[..]);
        let place = buffer[LENGTH..].as_ptr();
        let frame = Frames::default().next(&mut buffer).unwrap().unwrap();
        assert_eq!(frame.as_ptr(), place);
    }

    #[test]
    fn rejects_an_invalid_length_at_once() {
        let next = |length: i32| Frames::new(1_000).next(&mut BytesMut::from(&length.to_be_bytes()[..]));
        for length in [i32::MIN, -1, 0, 9] {
            assert_eq!(next(length), Err(InvalidRequest::FrameTooShort(length)));
        }
        assert_eq!(next(10), Ok(None));
        assert_eq!(next(1_000), Ok(None));
        assert_eq!(next(1_001), Err(InvalidRequest::FrameTooLong { length: 1_001, limit: 1_000 }));
        assert!(matches!(next(i32::MAX), Err(InvalidRequest::FrameTooLong { .. })));
    }
}
