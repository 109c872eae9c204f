//! Tests of connection limits, with a server and raw sockets.

use std::time::Duration;

use bytes::{BufMut, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{BrokerConfig, Server};
use crate::broker::connection_limits::{ConnectionLimits, SMALL_FRAME};
use crate::broker::topics::test_support::{NOW, append, make};

/// Timeout of every step.
const TIMEOUT: Duration = Duration::from_secs(30);

async fn started(limits: ConnectionLimits) -> Server {
    Server::start(BrokerConfig { limits, ..BrokerConfig::in_memory() }).await.expect("started")
}

async fn connect(server: &Server) -> TcpStream {
    TcpStream::connect(server.address()).await.expect("connected")
}

/// An `ApiVersions` request, padded to a length with bytes that the broker ignores.
fn request(length: usize) -> BytesMut {
    let mut frame = BytesMut::new();
    frame.put_u32(u32::try_from(length).expect("short"));
    frame.put_slice(&[0, 18, 0, 0, 0, 0, 0, 42, 0, 0]);
    frame.resize(4 + length, 0);
    frame
}

/// Sends a request and returns whether it is answered; false if the connection ends instead.
async fn is_answered(stream: &mut TcpStream, length: usize) -> bool {
    let ask = async {
        // An evicted connection may be closed already.
        if stream.write_all(&request(length)).await.is_err() {
            return false;
        }
        let Ok(size) = stream.read_u32().await else { return false };
        let mut response = vec![0; size as usize];
        stream.read_exact(&mut response).await.is_ok() && response.starts_with(&[0, 0, 0, 42, 0, 0])
    };
    timeout(TIMEOUT, ask).await.expect("in time")
}

/// Waits until the broker closes a connection.
async fn is_closed(stream: &mut TcpStream) {
    let ended = async { while stream.read(&mut [0; 64]).await.is_ok_and(|read| read > 0) {} };
    timeout(TIMEOUT, ended).await.expect("closed in time");
}

#[tokio::test]
async fn a_new_connection_evicts_an_unused_one() {
    let limits = ConnectionLimits {
        max_connections: 4,
        min_idle_unused: Duration::ZERO,
        min_idle_used: Duration::MAX,
        ..ConnectionLimits::default()
    };
    let server = started(limits).await;
    let (mut first, mut second) = (connect(&server).await, connect(&server).await);
    assert!(is_answered(&mut first, 10).await && is_answered(&mut second, 10).await);
    let (mut silent, mut later) = (connect(&server).await, connect(&server).await);
    for _ in 0..10 {
        assert!(is_answered(&mut connect(&server).await, 10).await);
    }
    let mut third = connect(&server).await;
    assert!(is_answered(&mut third, 10).await);
    let mut fourth = connect(&server).await;
    assert!(is_answered(&mut fourth, 10).await);
    is_closed(&mut silent).await;
    is_closed(&mut later).await;
    // All four are used and none is idle for long enough: the next connection waits until one closes.
    let mut fifth = connect(&server).await;
    for stream in [&mut first, &mut second, &mut third, &mut fourth] {
        assert!(is_answered(stream, 10).await);
    }
    let waits = tokio::spawn(async move { is_answered(&mut fifth, 10).await });
    assert!(is_answered(&mut first, 10).await && !waits.is_finished());
    drop(second);
    assert!(waits.await.expect("no panic"));
    server.stop().await.expect("stopped");
}

#[tokio::test]
async fn a_new_connection_evicts_the_oldest_used_one() {
    let limits = ConnectionLimits {
        max_connections: 2,
        min_idle_unused: Duration::MAX,
        min_idle_used: Duration::ZERO,
        ..ConnectionLimits::default()
    };
    let server = started(limits).await;
    let (mut old, mut newer) = (connect(&server).await, connect(&server).await);
    assert!(is_answered(&mut old, 10).await && is_answered(&mut newer, 10).await);
    assert!(is_answered(&mut connect(&server).await, 10).await);
    is_closed(&mut old).await;
    assert!(is_answered(&mut newer, 10).await);
    server.stop().await.expect("stopped");
}

#[tokio::test]
async fn closes_connections_without_a_first_request() {
    let limits = ConnectionLimits { first_request_timeout: Duration::from_millis(50), ..ConnectionLimits::default() };
    let server = started(limits).await;
    let mut known = connect(&server).await;
    assert!(is_answered(&mut known, 10).await);
    let (mut silent, mut slow) = (connect(&server).await, connect(&server).await);
    slow.write_all(&request(10)[..9]).await.expect("sent");
    is_closed(&mut silent).await;
    is_closed(&mut slow).await;
    assert!(is_answered(&mut known, 10).await, "a used connection may be idle for longer");
    server.stop().await.expect("stopped");
}

/// Many connections send a part of a large request and stop, more than fit into memory. A whole request is still
/// answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn incomplete_large_requests_share_memory() {
    let large = 4 << 20;
    let limits = ConnectionLimits {
        request_memory: 5 << 20,
        request_stall_timeout: Duration::from_millis(20),
        ..ConnectionLimits::default()
    };
    let server = started(limits).await;
    let mut unfinished = Vec::new();
    for _ in 0..20 {
        let mut stream = connect(&server).await;
        stream.write_all(&request(large)[..SMALL_FRAME + 100]).await.expect("sent");
        unfinished.push(stream);
    }
    let taken = async {
        while server.shared.request_budget.held() == 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(TIMEOUT, taken).await.expect("one of them has a reservation");
    assert!(server.shared.request_budget.held() <= 5 << 20);
    let mut short = connect(&server).await;
    assert!(is_answered(&mut short, 10).await, "a small request needs no reservation");
    let mut whole = connect(&server).await;
    assert!(is_answered(&mut whole, large).await);
    assert!(is_answered(&mut whole, 30 << 20).await, "a request larger than the budget takes all of it");
    drop(unfinished);
    let released = async {
        while server.shared.request_budget.held() > 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(TIMEOUT, released).await.expect("all memory is released");
    server.stop().await.expect("stopped");
}

/// A fetch of all records of the topic `t`.
fn fetch() -> BytesMut {
    let mut frame = BytesMut::new();
    let mut body = BytesMut::new();
    body.put_slice(&[0, 1, 0, 4, 0, 0, 0, 42, 0, 0]);
    body.put_i32(-1);
    // No wait, at least one byte, no maximum.
    body.put_i32(0);
    body.put_i32(1);
    body.put_i32(i32::MAX);
    body.put_u8(0);
    body.put_i32(1);
    body.put_slice(&[0, 1, b't']);
    body.put_i32(1);
    body.put_i32(0);
    body.put_i64(0);
    body.put_i32(i32::MAX);
    frame.put_u32(u32::try_from(body.len()).expect("short"));
    frame.extend(body);
    frame
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unread_large_responses_share_memory() {
    let limits = ConnectionLimits {
        response_memory: 10 << 20,
        response_stall_timeout: Duration::from_millis(50),
        ..ConnectionLimits::default()
    };
    let server = started(limits).await;
    server.shared.call(|core, _| {
        make(core, "t", 1, &[("max.message.bytes", "2000000")]);
        for _ in 0..7 {
            append(core, "t", "k", &"v".repeat(1 << 20), NOW);
        }
    });
    let mut idle = Vec::new();
    for _ in 0..10 {
        let mut stream = connect(&server).await;
        stream.write_all(&fetch()).await.expect("sent");
        idle.push(stream);
    }
    let taken = async {
        while server.shared.response_budget.held() == 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(TIMEOUT, taken).await.expect("one of them has a reservation");
    assert!(server.shared.response_budget.held() <= 10 << 20);
    let mut reader = connect(&server).await;
    reader.write_all(&fetch()).await.expect("sent");
    let response = async {
        let size = reader.read_u32().await.expect("a response");
        let mut response = vec![0; size as usize];
        reader.read_exact(&mut response).await.expect("a whole response");
        response.len()
    };
    assert!(timeout(TIMEOUT, response).await.expect("in time") > 7 << 20);
    server.stop().await.expect("stopped");
}
