//! Owns the connection: one request or answer at a time in Kafka's framing, at any version, with no client library between.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, RequestHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};

/// No answer takes longer; whoever hits it has found a hang.
const BOUND: Duration = Duration::from_secs(20);

/// The client id of every request, which groups repeat in their members.
pub const CLIENT_ID: &str = "contract";

/// A connection to a broker.
pub struct Client {
    stream: TcpStream,
    correlation: i32,
    /// Correlation ids that were sent and not answered, oldest first.
    unanswered: Vec<i32>,
}

impl Client {
    pub fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).expect("the broker accepts connections");
        stream.set_nodelay(true).expect("no delay");
        stream.set_read_timeout(Some(BOUND)).expect("a bound");
        Self { stream, correlation: 0, unanswered: Vec::new() }
    }

    /// Sends a request and awaits no answer.
    pub fn send<R: Request>(&mut self, version: i16, request: &R) {
        let mut body = BytesMut::new();
        request.encode(&mut body, version).expect("the request can be said at this version");
        self.send_body(R::KEY, version, R::header_version(version), &body);
    }

    /// Sends a body of the caller's own making, so that it may be wrong.
    pub fn send_body(&mut self, key: i16, version: i16, header_version: i16, body: &[u8]) {
        self.correlation += 1;
        let header = RequestHeader::default()
            .with_request_api_key(key)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation)
            .with_client_id(Some(StrBytes::from_static_str(CLIENT_ID)));
        let mut frame = BytesMut::new();
        frame.put_i32(0);
        header.encode(&mut frame, header_version).expect("a header");
        frame.put_slice(body);
        let length = i32::try_from(frame.len() - 4).expect("a frame's length");
        frame[..4].copy_from_slice(&length.to_be_bytes());
        self.unanswered.push(self.correlation);
        self.send_bytes(&frame);
    }

    /// Sends what need not be a request.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        // A broker that has closed the connection is told by what it answers: nothing.
        if let Err(error) = self.stream.write_all(bytes) {
            assert!(is_closed(error.kind()), "the request cannot be sent: {error}");
        }
    }

    /// Awaits the answer to a request of the caller's own bytes.
    pub fn expect_answer_to(&mut self, correlation: i32) {
        self.unanswered.push(correlation);
    }

    /// Forgets the oldest request: Kafka never answers a produce request with acks=0.
    pub fn expect_no_answer(&mut self) {
        self.unanswered.remove(0);
    }

    /// The answer to the oldest request that has none; `None` when the broker closed the connection instead.
    pub fn receive<R: Request>(&mut self, version: i16) -> Option<R::Response> {
        let api = ApiKey::try_from(R::KEY).expect("a known API");
        let mut frame = self.frame(api)?;
        let correlation = self.unanswered.remove(0);
        assert_eq!(frame.get_i32(), correlation, "answers come in the order of their requests");
        if R::Response::header_version(version) > 0 {
            assert_eq!(frame.get_u8(), 0, "no tags in a response header");
        }
        let response = R::Response::decode(&mut frame, version)
            .unwrap_or_else(|error| panic!("the answer to {api:?} v{version} cannot be read: {error}"));
        assert!(frame.is_empty(), "the answer to {api:?} v{version} has {} bytes too many", frame.len());
        Some(response)
    }

    /// Sends a request and awaits its answer.
    pub fn request<R: Request>(&mut self, version: i16, request: &R) -> R::Response {
        self.send(version, request);
        self.receive::<R>(version).expect("the broker answers and keeps the connection")
    }

    fn frame(&mut self, api: ApiKey) -> Option<Bytes> {
        let mut length = [0; 4];
        if let Err(error) = self.stream.read_exact(&mut length) {
            assert!(is_closed(error.kind()), "no answer to {api:?}: {error}");
            return None;
        }
        let mut frame = vec![0; usize::try_from(i32::from_be_bytes(length)).expect("a length")];
        self.stream.read_exact(&mut frame).expect("a whole frame");
        Some(frame.into())
    }
}

fn is_closed(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
}
