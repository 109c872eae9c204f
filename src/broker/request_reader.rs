//! Owns reading requests off a connection: how long one may take to arrive, and the room that a long one needs before it does.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::{Instant, timeout, timeout_at};

use super::connection_limits::{ConnectionLimits, MemoryBudget, Reservation, SMALL_FRAME};
use super::wire::{Frames, InvalidRequest};

/// Why no request follows.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The client has left.
    #[error("it has left")]
    Closed,
    /// What it sent is no request.
    #[error(transparent)]
    Malformed(#[from] InvalidRequest),
    /// It connected and asked for nothing.
    #[error("it asked for nothing within {0:?}")]
    NoRequest(Duration),
    /// It stopped in the middle of a request.
    #[error("its request of {length} bytes stopped after {arrived} of them")]
    Incomplete {
        /// As it claimed; 0 where even that had not arrived.
        length: usize,
        /// What came of it.
        arrived: usize,
    },
    /// Too many long requests were under way.
    #[error("there was no room for its request of {length} bytes within {waited:?}")]
    NoMemory {
        /// As it claimed.
        length: usize,
        /// How long it waited.
        waited: Duration,
    },
}

/// A long request and the room that it takes, which is given back with the last of its bytes.
struct Long {
    bytes: BytesMut,
    _room: Reservation,
}

impl AsRef<[u8]> for Long {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// What has arrived and is no whole request yet.
#[derive(Debug, Default)]
pub struct RequestReader {
    /// Never more than [`SMALL_FRAME`] bytes.
    buffer: BytesMut,
    frames: Frames,
    /// Whether there was a whole request before.
    has_asked: bool,
}

impl RequestReader {
    /// A request that is here already.
    ///
    /// # Errors
    ///
    /// When what is here is none.
    pub fn buffered(&mut self) -> Result<Option<Bytes>, ReadError> {
        let frame = self.frames.next(&mut self.buffer)?;
        self.has_asked |= frame.is_some();
        Ok(frame)
    }

    /// The next request, whole, as soon as it is there.
    ///
    /// # Errors
    ///
    /// When none follows.
    pub async fn next(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
        limits: &ConnectionLimits,
        budget: &MemoryBudget,
    ) -> Result<Bytes, ReadError> {
        let begun = Instant::now();
        // One that has asked before may be silent until the first byte of its next request.
        let mut due = (!self.has_asked).then_some(begun + limits.first_request_timeout);
        loop {
            if !self.buffer.is_empty() {
                due.get_or_insert_with(|| Instant::now() + limits.request_timeout);
            }
            if let Some(frame) = self.buffered()? {
                return Ok(frame);
            }
            if self.buffer.len() >= SMALL_FRAME {
                let due = due.unwrap_or_else(|| Instant::now() + limits.request_timeout);
                let frame = self.long(stream, limits, budget, due).await?;
                self.has_asked = true;
                return Ok(frame);
            }
            let room = SMALL_FRAME - self.buffer.len();
            let mut into = (&mut self.buffer).limit(room);
            let read = stream.read_buf(&mut into);
            let read = match due {
                Some(due) => timeout_at(due, read).await,
                None => Ok(read.await),
            };
            match read {
                Ok(Ok(0) | Err(_)) => return Err(ReadError::Closed),
                Ok(Ok(_)) => {}
                Err(_) if !self.buffer.is_empty() => {
                    return Err(ReadError::Incomplete {
                        length: self.frames.claim(&self.buffer),
                        arrived: self.buffer.len(),
                    });
                }
                Err(_) => return Err(ReadError::NoRequest(limits.first_request_timeout)),
            }
        }
    }

    /// The rest of a request that is longer than what is held without asking. Nothing more of it is read before there is room
    /// for all of it: what it has sent stays where it is, and the client has to wait.
    async fn long(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
        limits: &ConnectionLimits,
        budget: &MemoryBudget,
        due: Instant,
    ) -> Result<Bytes, ReadError> {
        let length = self.frames.claim(&self.buffer);
        let begun = Instant::now();
        let room = budget
            .reserve(length, limits.memory_timeout)
            .await
            .ok_or(ReadError::NoMemory { length, waited: limits.memory_timeout })?;
        let due = due + begun.elapsed();
        let mut bytes = BytesMut::with_capacity(length);
        bytes.extend_from_slice(&self.buffer[Frames::LENGTH..]);
        self.buffer = BytesMut::new();
        while bytes.len() < length {
            let missing = length - bytes.len();
            let bound = due.saturating_duration_since(Instant::now()).min(limits.request_stall_timeout);
            match timeout(bound, stream.read_buf(&mut (&mut bytes).limit(missing))).await {
                Ok(Ok(0) | Err(_)) => return Err(ReadError::Closed),
                Ok(Ok(_)) => {}
                Err(_) => return Err(ReadError::Incomplete { length, arrived: bytes.len() }),
            }
        }
        Ok(Bytes::from_owner(Long { bytes, _room: room }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use tokio::io::AsyncWriteExt;

    use super::*;

    const QUICK: ConnectionLimits = ConnectionLimits {
        max_connections: 10,
        first_request_timeout: Duration::from_millis(20),
        request_timeout: Duration::from_millis(20),
        request_stall_timeout: Duration::from_millis(20),
        response_stall_timeout: Duration::from_millis(20),
        response_timeout: Duration::from_millis(20),
        memory_timeout: Duration::from_millis(20),
        min_idle_unused: Duration::ZERO,
        min_idle_used: Duration::ZERO,
        request_memory: 1 << 20,
        response_memory: 0,
    };

    const SLOW: ConnectionLimits = ConnectionLimits {
        first_request_timeout: Duration::from_mins(1),
        request_timeout: Duration::from_mins(1),
        request_stall_timeout: Duration::from_mins(1),
        memory_timeout: Duration::from_mins(1),
        ..QUICK
    };

    fn framed(request: &[u8]) -> Vec<u8> {
        [&u32::try_from(request.len()).expect("short").to_be_bytes()[..], request].concat()
    }

    /// No case takes longer; one that does has found a wait without a bound.
    fn block_on<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("built");
        runtime.block_on(async { timeout(Duration::from_secs(30), future).await.expect("in time") })
    }

    /// What ends a connection on which this much was sent.
    async fn end_after(sent: &[u8], limits: &ConnectionLimits, budget: &MemoryBudget) -> ReadError {
        let (mut client, mut server) = tokio::io::duplex(1 << 22);
        client.write_all(sent).await.expect("sent");
        let mut reader = RequestReader::default();
        loop {
            match reader.next(&mut server, limits, budget).await {
                Ok(_) => {}
                Err(end) => break end,
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]
        #[test]
        fn requests_of_any_length_come_out_as_they_went_in_and_give_their_room_back(
            lengths in vec(prop_oneof![10_usize..100, SMALL_FRAME - 10..SMALL_FRAME + 10, SMALL_FRAME..300_000], 1..6),
            pipe in 1_usize..200_000,
        ) {
            block_on(async {
                let (mut client, mut server) = tokio::io::duplex(pipe);
                let requests: Vec<Vec<u8>> =
                    (1_u8..).zip(&lengths).map(|(byte, length)| vec![byte; *length]).collect();
                let sent: Vec<u8> = requests.iter().flat_map(|request| framed(request)).collect();
                let sending = tokio::spawn(async move { client.write_all(&sent).await.expect("sent") });
                let budget = MemoryBudget::new(400_000);
                let mut reader = RequestReader::default();
                for request in &requests {
                    let frame = reader.next(&mut server, &SLOW, &budget).await.expect("a request");
                    assert_eq!(frame, request);
                    assert_eq!(budget.held() > 0, frame.len() > SMALL_FRAME - Frames::LENGTH, "{}", frame.len());
                    assert!(reader.buffer.len() <= SMALL_FRAME);
                }
                sending.await.expect("no panic");
                assert!(matches!(reader.next(&mut server, &SLOW, &budget).await, Err(ReadError::Closed)));
                assert_eq!(budget.held(), 0);
            });
        }
    }

    #[test]
    fn who_says_nothing_or_stops_in_the_middle_is_not_waited_for() {
        let budget = MemoryBudget::new(1 << 20);
        let long = framed(&vec![0; 200_000]);
        block_on(async {
            assert!(matches!(end_after(b"", &QUICK, &budget).await, ReadError::NoRequest(_)));
            // Who has asked may be silent.
            let (mut client, mut server) = tokio::io::duplex(1 << 10);
            client.write_all(&framed(&[0; 10])).await.expect("sent");
            let mut reader = RequestReader::default();
            reader.next(&mut server, &QUICK, &budget).await.expect("a request");
            let silent = timeout(QUICK.request_timeout * 3, reader.next(&mut server, &QUICK, &budget)).await;
            assert!(silent.is_err());
            assert!(matches!(
                end_after(&[0, 0], &QUICK, &budget).await,
                ReadError::Incomplete { length: 0, arrived: 2 }
            ));
            let cut = &long[..100_004];
            assert!(matches!(
                end_after(cut, &QUICK, &budget).await,
                ReadError::Incomplete { length: 200_000, arrived: 100_000 }
            ));
            let end = end_after(&[&framed(&[0; 10]), &long[..5]].concat(), &QUICK, &budget).await;
            assert!(matches!(end, ReadError::Incomplete { length: 200_000, arrived: 5 }), "{end}");
        });
        assert_eq!(budget.held(), 0, "and gives back what it had");
    }

    #[test]
    fn a_long_request_is_not_read_before_there_is_room_and_one_of_any_length_comes_through() {
        block_on(async {
            let budget = MemoryBudget::new(300_000);
            let held = budget.reserve(200_000, SLOW.memory_timeout).await.expect("room");
            let long = framed(&vec![7; 250_000]);
            let hasty = ConnectionLimits { memory_timeout: QUICK.memory_timeout, ..SLOW };
            assert!(matches!(end_after(&long, &hasty, &budget).await, ReadError::NoMemory { length: 250_000, .. }));
            let shared = budget.clone();
            let (mut client, mut server) = tokio::io::duplex(1 << 20);
            client.write_all(&long).await.expect("sent");
            let reading = tokio::spawn(async move {
                let mut reader = RequestReader::default();
                let frame = reader.next(&mut server, &SLOW, &shared).await;
                (frame.expect("whole").len(), reader.buffer.len())
            });
            tokio::task::yield_now().await;
            assert!(!reading.is_finished());
            drop(held);
            assert_eq!(reading.await.expect("no panic"), (250_000, 0));
            assert_eq!(budget.held(), 0);
        });
    }

    #[test]
    fn a_length_that_is_none_ends_it_at_once() {
        let budget = MemoryBudget::new(1 << 20);
        let end = block_on(end_after(&u32::MAX.to_be_bytes(), &SLOW, &budget));
        assert!(matches!(end, ReadError::Malformed(InvalidRequest::FrameTooShort(-1))), "{end}");
    }
}
