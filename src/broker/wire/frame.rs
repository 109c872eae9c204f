//! Frames: four bytes of length and as many bytes of request, taken from a buffer that grows with what arrives.

use bytes::{Buf, Bytes, BytesMut};

use super::InvalidRequest;

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
    /// Bytes of the length before each frame.
    pub const LENGTH: usize = LENGTH;

    /// The length that a buffer's first frame claims, once it was found to be one; 0 where it has not arrived.
    #[must_use]
    pub fn claim(&self, buffer: &[u8]) -> usize {
        let claim = buffer.first_chunk::<LENGTH>().map_or(0, |length| i32::from_be_bytes(*length));
        usize::try_from(claim).unwrap_or(0).min(self.limit)
    }

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
        fn frames_come_out_as_they_went_in_however_they_arrive(
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
                prop_assert!(buffer.capacity() > buffer.len(), "no room to read into");
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
        fn room_is_made_for_no_more_than_has_arrived(claim in 10_i32..32 << 20, arrived in 4_usize..100_000) {
            let mut buffer = BytesMut::new();
            buffer.put_i32(claim);
            let mut steps = 0;
            while Frames::default().next(&mut buffer).unwrap().is_none() && buffer.len() < arrived {
                let room = buffer.capacity() - buffer.len();
                // The allocator may double what it is asked for.
                prop_assert!(room <= 2 * (buffer.len() + STEP), "{room} for {}", buffer.len());
                buffer.put_bytes(0, room);
                steps += 1;
            }
            prop_assert!(steps < 20, "so many steps take too long");
        }
    }

    #[test]
    fn a_frame_is_a_part_of_the_buffer() {
        let mut buffer = BytesMut::from(&framed(&[vec![7; 10]])[..]);
        let place = buffer[LENGTH..].as_ptr();
        let frame = Frames::default().next(&mut buffer).unwrap().unwrap();
        assert_eq!(frame.as_ptr(), place);
    }

    #[test]
    fn a_length_that_is_none_is_refused_before_anything_follows() {
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
