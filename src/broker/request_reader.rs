//! Request reader: frames from a connection, with timeouts, and with reserved memory for large ones.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::{Instant, timeout, timeout_at};

use super::connection_limits::{ConnectionLimits, MemoryBudget, Reservation, SMALL_FRAME};
use super::wire::{Frames, InvalidRequest};

/// Why a connection has no further request.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The client has closed the connection.
    #[error("the client closed the connection")]
    Closed,
    /// The bytes are not a request.
    #[error(transparent)]
    Malformed(#[from] InvalidRequest),
    /// The first request did not arrive in time.
    #[error("no request within {0:?}")]
    NoRequest(Duration),
    /// The rest of a request did not arrive in time.
    #[error("the request stopped after {arrived} of {length} bytes")]
    Incomplete {
        /// The length that the client declared; 0 if the length field is incomplete.
        length: usize,
        /// Bytes received.
        arrived: usize,
    },
    /// Other large requests held the memory for too long.
    #[error("no memory for a request of {length} bytes within {waited:?}")]
    NoMemory {
        /// The length that the client declared.
        length: usize,
        /// How long the request waited.
        waited: Duration,
    },
}

/// The bytes of a large request. The reservation is released with the last clone of the bytes.
struct ReservedBytes {
    bytes: BytesMut,
    _reservation: Reservation,
}

impl AsRef<[u8]> for ReservedBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Bytes of a connection that are not a whole request yet.
#[derive(Debug, Default)]
pub struct RequestReader {
    /// At most [`SMALL_FRAME`] bytes.
    buffer: BytesMut,
    frames: Frames,
    /// Whether a whole request was read before.
    has_read_request: bool,
}

impl RequestReader {
    /// The next request, if it is buffered.
    ///
    /// # Errors
    ///
    /// When the buffered bytes are not a request.
    pub fn buffered(&mut self) -> Result<Option<Bytes>, ReadError> {
        let frame = self.frames.next(&mut self.buffer)?;
        self.has_read_request |= frame.is_some();
        Ok(frame)
    }

    /// Waits for the next request.
    ///
    /// # Errors
    ///
    /// When the connection has no further request.
    pub async fn next(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
        limits: &ConnectionLimits,
        budget: &MemoryBudget,
    ) -> Result<Bytes, ReadError> {
        let start = Instant::now();
        // After its first request a connection may be idle until the first byte of the next one.
        let mut due = (!self.has_read_request).then_some(start + limits.first_request_timeout);
        loop {
            if !self.buffer.is_empty() {
                due.get_or_insert_with(|| Instant::now() + limits.request_timeout);
            }
            if let Some(frame) = self.buffered()? {
                return Ok(frame);
            }
            if self.buffer.len() >= SMALL_FRAME {
                let due = due.unwrap_or_else(|| Instant::now() + limits.request_timeout);
                let frame = self.read_large(stream, limits, budget, due).await?;
                self.has_read_request = true;
                return Ok(frame);
            }
            let capacity = SMALL_FRAME - self.buffer.len();
            let mut into = (&mut self.buffer).limit(capacity);
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

    /// Reads the rest of a request that is larger than [`SMALL_FRAME`], after reserving memory for all of it. Until
    /// then the bytes stay in the socket, and TCP makes the client wait.
    async fn read_large(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
        limits: &ConnectionLimits,
        budget: &MemoryBudget,
        due: Instant,
    ) -> Result<Bytes, ReadError> {
        let length = self.frames.claim(&self.buffer);
        let start = Instant::now();
        let reservation = budget
            .reserve(length, limits.memory_timeout)
            .await
            .ok_or(ReadError::NoMemory { length, waited: limits.memory_timeout })?;
        // The wait for memory does not count.
        let due = due + start.elapsed();
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
        Ok(Bytes::from_owner(ReservedBytes { bytes, _reservation: reservation }))
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

    /// A case that takes longer waits without a timeout.
    fn block_on<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("built");
        runtime.block_on(async { timeout(Duration::from_secs(30), future).await.expect("in time") })
    }

    /// How a connection ends on which these bytes were sent.
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
        fn reads_requests_of_any_length(
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
    fn incomplete_requests_time_out() {
        let budget = MemoryBudget::new(1 << 20);
        let long = framed(&vec![0; 200_000]);
        block_on(async {
            assert!(matches!(end_after(b"", &QUICK, &budget).await, ReadError::NoRequest(_)));
            // After a request the connection may be idle.
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
        assert_eq!(budget.held(), 0, "reserved memory is released");
    }

    #[test]
    fn a_large_request_waits_for_memory() {
        block_on(async {
            let budget = MemoryBudget::new(300_000);
            let held = budget.reserve(200_000, SLOW.memory_timeout).await.expect("reserved");
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
    fn a_negative_length_ends_the_connection() {
        let budget = MemoryBudget::new(1 << 20);
        let end = block_on(end_after(&u32::MAX.to_be_bytes(), &SLOW, &budget));
        assert!(matches!(end, ReadError::Malformed(InvalidRequest::FrameTooShort(-1))), "{end}");
    }
}
