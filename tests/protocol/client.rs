//! Raw client: requests and responses in Kafka's framing, at any version, without a client library.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, RequestHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};

/// Timeout of a response; a case that reaches it has found a hang.
const TIMEOUT: Duration = Duration::from_secs(20);

/// The client id of every request. Groups return it with their members, so it is part of the transcripts.
pub const CLIENT_ID: &str = "contract";

/// A connection to a broker.
pub struct Client {
    stream: TcpStream,
    correlation: i32,
    /// Correlation ids of requests without a response, oldest first.
    pending: Vec<i32>,
}

impl Client {
    pub fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).expect("the broker accepts connections");
        stream.set_nodelay(true).expect("no delay");
        stream.set_read_timeout(Some(TIMEOUT)).expect("a timeout");
        Self { stream, correlation: 0, pending: Vec::new() }
    }

    /// Sends a request without waiting for the response.
    pub fn send<R: Request>(&mut self, version: i16, request: &R) {
        let mut body = BytesMut::new();
        request.encode(&mut body, version).expect("the request can be encoded at this version");
        self.send_body(R::KEY, version, R::header_version(version), &body);
    }

    /// Sends a request body from the caller, which may be invalid.
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
        self.pending.push(self.correlation);
        self.send_bytes(&frame);
    }

    /// Sends bytes that need not be a request.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        // If the broker has closed the connection, `receive` returns `None`.
        if let Err(error) = self.stream.write_all(bytes) {
            assert!(is_closed(error.kind()), "cannot send the request: {error}");
        }
    }

    /// Expects a response to a request that was sent as bytes.
    pub fn expect_response_to(&mut self, correlation: i32) {
        self.pending.push(correlation);
    }

    /// Expects no response to the oldest request: Kafka sends none to produce requests with acks=0.
    pub fn expect_no_response(&mut self) {
        self.pending.remove(0);
    }

    /// Waits for the response to the oldest pending request; `None` if the broker closes the connection instead.
    pub fn receive<R: Request>(&mut self, version: i16) -> Option<R::Response> {
        let api = ApiKey::try_from(R::KEY).expect("a known API");
        let mut frame = self.frame(api)?;
        let correlation = self.pending.remove(0);
        assert_eq!(frame.get_i32(), correlation, "responses have the order of their requests");
        if R::Response::header_version(version) > 0 {
            assert_eq!(frame.get_u8(), 0, "no tags in a response header");
        }
        let response = R::Response::decode(&mut frame, version)
            .unwrap_or_else(|error| panic!("cannot decode the response to {api:?} v{version}: {error}"));
        assert!(frame.is_empty(), "the response to {api:?} v{version} has {} extra bytes", frame.len());
        Some(response)
    }

    /// Sends a request and waits for its response.
    pub fn request<R: Request>(&mut self, version: i16, request: &R) -> R::Response {
        self.send(version, request);
        self.receive::<R>(version).expect("a response on an open connection")
    }

    fn frame(&mut self, api: ApiKey) -> Option<Bytes> {
        let mut length = [0; 4];
        if let Err(error) = self.stream.read_exact(&mut length) {
            assert!(is_closed(error.kind()), "no response to {api:?}: {error}");
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
