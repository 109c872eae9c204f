//! What connections may ask of a whole server, seen through sockets.

use std::time::Duration;

use bytes::{BufMut, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{BrokerConfig, Server};
use crate::broker::connection_limits::{ConnectionLimits, SMALL_FRAME};
use crate::broker::topics::test_support::{NOW, append, make};

/// No step takes longer.
const BOUND: Duration = Duration::from_secs(30);

async fn started(limits: ConnectionLimits) -> Server {
    Server::start(BrokerConfig { limits, ..BrokerConfig::in_memory() }).await.expect("started")
}

async fn connect(server: &Server) -> TcpStream {
    TcpStream::connect(server.address()).await.expect("connected")
}

/// `ApiVersions`, as any client asks first, filled up to a length by what the broker ignores.
fn request(length: usize) -> BytesMut {
    let mut frame = BytesMut::new();
    frame.put_u32(u32::try_from(length).expect("short"));
    frame.put_slice(&[0, 18, 0, 0, 0, 0, 0, 42, 0, 0]);
    frame.resize(4 + length, 0);
    frame
}

/// Whether a request is answered; not if the connection ends instead.
async fn is_answered(stream: &mut TcpStream, length: usize) -> bool {
    let ask = async {
        // A connection that has lost its place may be closed already.
        if stream.write_all(&request(length)).await.is_err() {
            return false;
        }
        let Ok(size) = stream.read_u32().await else { return false };
        let mut answer = vec![0; size as usize];
        stream.read_exact(&mut answer).await.is_ok() && answer.starts_with(&[0, 0, 0, 42, 0, 0])
    };
    timeout(BOUND, ask).await.expect("in time")
}

/// Waits for the end of a connection.
async fn ends(stream: &mut TcpStream) {
    let ended = async { while stream.read(&mut [0; 64]).await.is_ok_and(|read| read > 0) {} };
    timeout(BOUND, ended).await.expect("it ends");
}

#[tokio::test]
async fn who_says_nothing_gives_up_its_place_to_who_comes() {
    let places = ConnectionLimits {
        max_connections: 4,
        min_idle_unused: Duration::ZERO,
        min_idle_used: Duration::MAX,
        ..ConnectionLimits::default()
    };
    let server = started(places).await;
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
    ends(&mut silent).await;
    ends(&mut later).await;
    // All four have asked, and nobody is quiet for so long: the next one waits until one leaves.
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
async fn who_asked_the_longest_ago_gives_up_its_place_when_everybody_has_asked() {
    let places = ConnectionLimits {
        max_connections: 2,
        min_idle_unused: Duration::MAX,
        min_idle_used: Duration::ZERO,
        ..ConnectionLimits::default()
    };
    let server = started(places).await;
    let (mut old, mut newer) = (connect(&server).await, connect(&server).await);
    assert!(is_answered(&mut old, 10).await && is_answered(&mut newer, 10).await);
    assert!(is_answered(&mut connect(&server).await, 10).await);
    ends(&mut old).await;
    assert!(is_answered(&mut newer, 10).await);
    server.stop().await.expect("stopped");
}

#[tokio::test]
async fn who_says_nothing_at_all_is_not_kept() {
    let hasty = ConnectionLimits { first_request_timeout: Duration::from_millis(50), ..ConnectionLimits::default() };
    let server = started(hasty).await;
    let mut known = connect(&server).await;
    assert!(is_answered(&mut known, 10).await);
    let (mut silent, mut slow) = (connect(&server).await, connect(&server).await);
    slow.write_all(&request(10)[..9]).await.expect("sent");
    ends(&mut silent).await;
    ends(&mut slow).await;
    assert!(is_answered(&mut known, 10).await, "who has asked may be idle for longer");
    server.stop().await.expect("stopped");
}

/// More connections hold a part of a long request than there is room for; none of them goes on, and a whole one comes through.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unfinished_requests_share_their_room_and_a_whole_one_comes_through() {
    let long = 4 << 20;
    let limits = ConnectionLimits {
        request_memory: 5 << 20,
        request_stall_timeout: Duration::from_millis(20),
        ..ConnectionLimits::default()
    };
    let server = started(limits).await;
    let mut unfinished = Vec::new();
    for _ in 0..20 {
        let mut stream = connect(&server).await;
        stream.write_all(&request(long)[..SMALL_FRAME + 100]).await.expect("sent");
        unfinished.push(stream);
    }
    let taken = async {
        while server.shared.request_budget.held() == 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(BOUND, taken).await.expect("one of them has its room");
    assert!(server.shared.request_budget.held() <= 5 << 20);
    let mut short = connect(&server).await;
    assert!(is_answered(&mut short, 10).await, "a short one needs no room");
    let mut whole = connect(&server).await;
    assert!(is_answered(&mut whole, long).await);
    assert!(is_answered(&mut whole, 30 << 20).await, "one that is longer than all the room gets all of it");
    drop(unfinished);
    let given_back = async {
        while server.shared.request_budget.held() > 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(BOUND, given_back).await.expect("all of it is given back");
    server.stop().await.expect("stopped");
}

/// A fetch of everything of a topic.
fn fetch() -> BytesMut {
    let mut frame = BytesMut::new();
    let mut body = BytesMut::new();
    body.put_slice(&[0, 1, 0, 4, 0, 0, 0, 42, 0, 0]);
    body.put_i32(-1);
    // It waits for nothing, and takes a byte as well as all of them.
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
async fn answers_that_nobody_takes_share_their_room_and_are_cut_off() {
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
    let mut deaf = Vec::new();
    for _ in 0..10 {
        let mut stream = connect(&server).await;
        stream.write_all(&fetch()).await.expect("sent");
        deaf.push(stream);
    }
    let taken = async {
        while server.shared.response_budget.held() == 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(BOUND, taken).await.expect("one of them has its room");
    assert!(server.shared.response_budget.held() <= 10 << 20);
    let mut reader = connect(&server).await;
    reader.write_all(&fetch()).await.expect("sent");
    let answer = async {
        let size = reader.read_u32().await.expect("an answer");
        let mut answer = vec![0; size as usize];
        reader.read_exact(&mut answer).await.expect("a whole one");
        answer.len()
    };
    assert!(timeout(BOUND, answer).await.expect("in time") > 7 << 20);
    server.stop().await.expect("stopped");
}
