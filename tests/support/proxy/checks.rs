//! Tests of the proxy, with an echo server as broker and sockets as clients.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::metadata_response::MetadataResponseBroker;
use kafka_protocol::messages::produce_response::NodeEndpoint;
use kafka_protocol::messages::{
    ApiKey, BrokerId, FindCoordinatorResponse, MetadataResponse, ProduceResponse, ResponseHeader,
};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};

use super::addresses::Routes;
use super::{Action, BlackHole, Proxy, Rule};

/// A test: its name and its function.
pub type Check = (&'static str, fn());

pub const CHECKS: &[Check] = &[
    ("proxy::frames_pass_unchanged_and_are_counted", frames_pass),
    ("proxy::bytes_without_frames_pass_unchanged", no_frame),
    ("proxy::replies_name_the_proxy", addresses),
    ("proxy::replies_are_delayed_in_order", late),
    ("proxy::stall_loses_no_frame", stalled),
    ("proxy::black_hole_drops_one_direction", black_holes),
    ("proxy::black_hole_hides_a_closed_connection", black_hole_at_the_end),
    ("proxy::black_hole_begins_at_a_reply", black_hole_by_rule),
    ("proxy::reply_is_cut_within_its_frame", cut_within),
    ("proxy::replies_are_lost_by_api", lost),
    ("proxy::open_connections_are_cut", cut),
    ("proxy::new_connections_are_refused", refused),
];

/// Time limit of a reply.
const REPLY_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a connection must stay silent.
const SILENCE: Duration = Duration::from_millis(100);

/// A server that returns the bytes of each request from its correlation id on.
struct Echo {
    address: String,
    requests: Arc<AtomicU64>,
}

impl Echo {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let address = listener.local_addr().expect("an address").to_string();
        let requests = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&requests);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (mut client, count) = (client.expect("a client"), Arc::clone(&count));
                std::thread::spawn(move || {
                    while let Ok(request) = frame(&mut client) {
                        count.fetch_add(1, Ordering::Relaxed);
                        if client.write_all(&framed(&request[4..])).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self { address, requests }
    }

    fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }
}

fn framed(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).expect("short");
    [&length.to_be_bytes(), body].concat()
}

fn frame(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut frame = vec![0; usize::try_from(u32::from_be_bytes(length)).expect("fits")];
    stream.read_exact(&mut frame)?;
    Ok(frame)
}

fn client(proxy: &Proxy) -> TcpStream {
    let stream = TcpStream::connect(proxy.address()).expect("connected");
    stream.set_read_timeout(Some(REPLY_TIMEOUT)).expect("a bound");
    stream
}

/// Sends a request with this API key.
fn send(stream: &mut TcpStream, api: ApiKey, correlation: i32, body: &[u8]) {
    let mut request = BytesMut::new();
    request.put_i16(api as i16);
    request.put_i16(0);
    request.put_i32(correlation);
    request.put_slice(body);
    stream.write_all(&framed(&request)).expect("sent");
}

/// The correlation id of the next reply; `None` if the connection ends.
fn next(stream: &mut TcpStream) -> Option<i32> {
    match frame(stream) {
        Ok(reply) => Some((&reply[..]).get_i32()),
        Err(error) => {
            assert!(matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset), "{error}");
            None
        }
    }
}

fn asked(stream: &mut TcpStream, correlation: i32) -> Option<i32> {
    send(stream, ApiKey::Heartbeat, correlation, b"body");
    next(stream)
}

fn assert_silent(stream: &mut TcpStream) {
    stream.set_read_timeout(Some(SILENCE)).expect("a bound");
    let error = stream.peek(&mut [0]).expect_err("nothing arrives");
    assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
    stream.set_read_timeout(Some(REPLY_TIMEOUT)).expect("a bound");
}

fn until(what: &str, holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < REPLY_TIMEOUT, "timed out after {REPLY_TIMEOUT:?} waiting until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn frames_pass() {
    let (echo, body) = (Echo::start(), vec![7; 300_000]);
    let proxy = Proxy::new(&echo.address);
    let mut stream = client(&proxy);
    for correlation in 0..3 {
        send(&mut stream, ApiKey::Heartbeat, correlation, &body);
        let reply = frame(&mut stream).expect("a reply");
        assert_eq!(reply, [&correlation.to_be_bytes(), &body[..]].concat());
    }
    let counts = proxy.counts();
    assert_eq!((counts.connections, counts.requests, proxy.replies(ApiKey::Heartbeat)), (1, 3, 3));
    assert_eq!((counts.late, counts.stalled, counts.lost, counts.cut, counts.dropped), (0, 0, 0, 0, 0));
}

fn no_frame() {
    const HELLO: &[u8] = b"\x16\x03\x01\x02\x00 hello";
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let proxy = Proxy::new(&listener.local_addr().expect("an address").to_string());
    let mut stream = client(&proxy);
    stream.write_all(HELLO).expect("sent");
    let (mut broker, _) = listener.accept().expect("a connection");
    let mut arrived = [0; HELLO.len()];
    broker.read_exact(&mut arrived).expect("read");
    assert_eq!(arrived, HELLO);
    drop(broker);
    assert_eq!(next(&mut stream), None, "the broker has closed");
}

/// Encodes a reply, rewrites its addresses, and decodes it.
fn rewritten<T: Encodable + Decodable>(routes: &Routes, api: ApiKey, version: i16, reply: &T) -> Result<T, String> {
    let header = api.response_header_version(version);
    let mut bytes = BytesMut::new();
    ResponseHeader::default().with_correlation_id(5).encode(&mut bytes, header).expect("a header");
    reply.encode(&mut bytes, version).expect("a reply");
    let mut bytes = routes.rewrite(api, version, bytes.freeze())?;
    assert_eq!(ResponseHeader::decode(&mut bytes, header).expect("a header").correlation_id, 5);
    Ok(T::decode(&mut bytes, version).expect("a reply"))
}

fn addresses() {
    let routes = Routes::new([("localhost:9092", 40_001), ("kafka-2:9093", 40_002)].into_iter());
    let own = StrBytes::from_static_str("127.0.0.1");
    let broker = |node, host, port| {
        let broker = MetadataResponseBroker::default().with_node_id(BrokerId(node));
        broker.with_host(StrBytes::from_static_str(host)).with_port(port)
    };
    for version in [0, 1, 8, 12] {
        let brokers = vec![broker(1, "127.0.0.1", 9092), broker(2, "kafka-2", 9093)];
        let reply = MetadataResponse::default().with_brokers(brokers);
        let reply = rewritten(&routes, ApiKey::Metadata, version, &reply).expect("both have a proxy");
        let addresses: Vec<_> = reply.brokers.iter().map(|broker| (broker.host.clone(), broker.port)).collect();
        assert_eq!(addresses, [(own.clone(), 40_001), (own.clone(), 40_002)], "version {version}");
        let stranger = MetadataResponse::default().with_brokers(vec![broker(3, "127.0.0.1", 9093)]);
        rewritten(&routes, ApiKey::Metadata, version, &stranger).expect_err("an address without a proxy");
    }
    let found = FindCoordinatorResponse::default().with_host(StrBytes::from_static_str("kafka-2")).with_port(9093);
    let reply = rewritten(&routes, ApiKey::FindCoordinator, 2, &found).expect("known");
    assert_eq!((reply.host, reply.port), (own.clone(), 40_002));
    let without_host = FindCoordinatorResponse::default().with_error_code(15).with_port(-1);
    rewritten(&routes, ApiKey::FindCoordinator, 2, &without_host).expect("an error reply has no address");
    let found = Coordinator::default().with_host(StrBytes::from_static_str("localhost")).with_port(9092);
    let found = FindCoordinatorResponse::default().with_coordinators(vec![found]);
    let reply = rewritten(&routes, ApiKey::FindCoordinator, 4, &found).expect("known");
    assert_eq!((&reply.coordinators[0].host, reply.coordinators[0].port), (&own, 40_001));
    // The address of the new leader in a produce response.
    let node = NodeEndpoint::default().with_node_id(BrokerId(2)).with_host(StrBytes::from_static_str("kafka-2"));
    let moved = ProduceResponse::default().with_node_endpoints(vec![node.with_port(9093)]);
    let reply = rewritten(&routes, ApiKey::Produce, 10, &moved).expect("known");
    assert_eq!((&reply.node_endpoints[0].host, reply.node_endpoints[0].port), (&own, 40_002));
    // A reply without addresses is not decoded.
    let bytes = Bytes::from_static(b"\0\0\0\x05 anything");
    assert_eq!(routes.rewrite(ApiKey::Fetch, 12, bytes.clone()), Ok(bytes));
}

fn late() {
    const BY: Duration = Duration::from_millis(300);
    let echo = Echo::start();
    let proxy = Proxy::new(&echo.address);
    let mut stream = client(&proxy);
    proxy.delay(BY);
    let start = Instant::now();
    for correlation in 0..20 {
        send(&mut stream, ApiKey::Heartbeat, correlation, b"");
    }
    assert!((0..20).all(|correlation| next(&mut stream) == Some(correlation)), "not in order");
    let took = start.elapsed();
    assert!((BY..20 * BY).contains(&took), "{took:?}");
    assert_eq!(proxy.counts().late, 20);
    // Delays by API; later replies do not overtake a delayed one.
    proxy.clear();
    proxy.add(Rule::new(ApiKey::EndTxn, Action::Delay(BY)));
    let start = Instant::now();
    send(&mut stream, ApiKey::EndTxn, 20, b"");
    send(&mut stream, ApiKey::Heartbeat, 21, b"");
    assert_eq!((next(&mut stream), next(&mut stream)), (Some(20), Some(21)));
    assert!(start.elapsed() >= BY);
    assert_eq!(proxy.counts().late, 21);
}

fn stalled() {
    let echo = Echo::start();
    let proxy = Proxy::new(&echo.address);
    let mut stream = client(&proxy);
    assert_eq!(asked(&mut stream, 1), Some(1));
    proxy.stall();
    send(&mut stream, ApiKey::Heartbeat, 2, b"");
    let mut newcomer = client(&proxy);
    send(&mut newcomer, ApiKey::Heartbeat, 3, b"");
    assert_silent(&mut stream);
    assert_silent(&mut newcomer);
    assert_eq!(echo.requests(), 1);
    proxy.resume();
    assert_eq!((next(&mut stream), next(&mut newcomer)), (Some(2), Some(3)));
    assert_eq!(proxy.counts().stalled, 2);
}

fn black_holes() {
    for (black_hole, requests_forwarded) in [(BlackHole::Replies, 2), (BlackHole::Requests, 0), (BlackHole::Both, 0)] {
        let echo = Echo::start();
        let proxy = Proxy::new(&echo.address);
        let (mut stream, mut idle) = (client(&proxy), client(&proxy));
        assert_eq!((asked(&mut stream, 1), asked(&mut idle, 1)), (Some(1), Some(1)));
        proxy.black_hole(black_hole);
        let mut newcomer = client(&proxy);
        send(&mut stream, ApiKey::Heartbeat, 2, b"");
        send(&mut newcomer, ApiKey::Heartbeat, 2, b"");
        until("both requests are dropped", || proxy.counts().dropped == 2);
        assert_silent(&mut stream);
        assert_silent(&mut newcomer);
        assert_eq!(echo.requests(), 2 + requests_forwarded, "{black_hole:?}");
        proxy.end_black_hole();
        // Connections that lost frames are cut, idle ones continue.
        assert_eq!((next(&mut stream), next(&mut newcomer)), (None, None));
        assert_eq!((asked(&mut idle, 3), asked(&mut client(&proxy), 4)), (Some(3), Some(4)));
    }
}

fn black_hole_at_the_end() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let proxy = Proxy::new(&listener.local_addr().expect("an address").to_string());
    let mut stream = client(&proxy);
    let (broker, _) = listener.accept().expect("a connection");
    proxy.black_hole(BlackHole::Replies);
    drop(broker);
    assert_silent(&mut stream);
    proxy.end_black_hole();
    assert_eq!(next(&mut stream), None);
}

fn black_hole_by_rule() {
    let echo = Echo::start();
    let proxy = Proxy::new(&echo.address);
    proxy.add(Rule::new(ApiKey::EndTxn, Action::BlackHole(BlackHole::Both)).only(1));
    let mut stream = client(&proxy);
    assert_eq!(asked(&mut stream, 1), Some(1));
    assert!(proxy.black_hole_since().is_none());
    send(&mut stream, ApiKey::EndTxn, 2, b"");
    until("the black hole has begun", || proxy.black_hole_since().is_some());
    assert_silent(&mut stream);
    send(&mut stream, ApiKey::Heartbeat, 3, b"");
    until("the next request is dropped", || proxy.counts().dropped == 2);
    assert_eq!(echo.requests(), 2);
}

fn cut_within() {
    // Length, correlation id and ten bytes are a frame of 18 bytes; a cut never forwards all of it.
    for (bytes, arrive) in [(0, 0), (3, 3), (11, 11), (18, 17), (1_000, 17)] {
        let echo = Echo::start();
        let proxy = Proxy::new(&echo.address);
        let mut stream = client(&proxy);
        proxy.add(Rule::new(ApiKey::Heartbeat, Action::CutAfter(bytes)).only(2));
        assert_eq!(asked(&mut stream, 1), Some(1));
        send(&mut stream, ApiKey::Heartbeat, 2, b"ten bytes.");
        let mut arrived = Vec::new();
        stream.read_to_end(&mut arrived).expect("read");
        assert_eq!(arrived.len(), arrive, "{bytes}");
        assert_eq!(proxy.counts().cut, 1);
        assert_eq!(asked(&mut client(&proxy), 3), Some(3));
    }
}

fn lost() {
    let echo = Echo::start();
    let proxy = Proxy::new(&echo.address);
    proxy.add(Rule::new(ApiKey::EndTxn, Action::Lose).every(2).times(1));
    proxy.add(Rule::new(ApiKey::Produce, Action::LoseWithConnection).only(1));
    let mut stream = client(&proxy);
    for correlation in 1..=4 {
        send(&mut stream, ApiKey::EndTxn, correlation, b"");
    }
    assert_eq!([1, 3, 4].map(Some), [(); 3].map(|()| next(&mut stream)), "the second alone is lost");
    send(&mut stream, ApiKey::Produce, 5, b"");
    assert_eq!(next(&mut stream), None);
    assert_eq!((echo.requests(), proxy.counts().lost), (5, 2));
    let mut stream = client(&proxy);
    send(&mut stream, ApiKey::Produce, 6, b"");
    assert_eq!(next(&mut stream), Some(6));
}

fn cut() {
    let echo = Echo::start();
    let proxy = Proxy::new(&echo.address);
    let mut both = [client(&proxy), client(&proxy)];
    assert_eq!(both.each_mut().map(|stream| asked(stream, 1)), [Some(1), Some(1)]);
    proxy.cut();
    assert_eq!(both.each_mut().map(next), [None, None]);
    let mut both = [client(&proxy), client(&proxy)];
    assert_eq!(both.each_mut().map(|stream| asked(stream, 1)), [Some(1), Some(1)]);
    proxy.cut_within_replies(6);
    let mut newcomer = client(&proxy);
    for stream in &mut both {
        send(stream, ApiKey::Heartbeat, 2, b"");
        let mut arrived = Vec::new();
        stream.read_to_end(&mut arrived).expect("read");
        assert_eq!(arrived.len(), 6);
    }
    assert_eq!(proxy.counts().cut, 2);
    assert_eq!(asked(&mut newcomer, 3), Some(3));
}

fn refused() {
    let echo = Echo::start();
    let proxy = Proxy::new(&echo.address);
    let mut stream = client(&proxy);
    assert_eq!(asked(&mut stream, 1), Some(1));
    proxy.refuse();
    let error = TcpStream::connect(proxy.address()).expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    assert_eq!(asked(&mut stream, 2), Some(2), "an open connection stays");
    proxy.accept();
    assert_eq!(asked(&mut client(&proxy), 3), Some(3));
}
