//! Graceful stops of a server, tested through sockets.

use std::time::Duration;

use bytes::{Buf, BufMut, BytesMut};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::{
    FetchRequest, FetchResponse, GroupId, JoinGroupRequest, JoinGroupResponse, RequestHeader, TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::{BrokerConfig, STOP_TIMEOUT, Server};
use crate::broker::topics::test_support::{NOW, append, make};

/// Deadline of each step.
const BOUND: Duration = Duration::from_secs(30);
const MEGABYTE: usize = 1 << 20;
/// The number of records of a megabyte each. A response with all of them exceeds the socket buffers, so that the broker
/// blocks in the middle of it until the client reads.
const RECORDS: usize = 7;

/// A server with a topic of [`RECORDS`] long records.
async fn started() -> Server {
    let server = Server::start(BrokerConfig::in_memory()).await.expect("started");
    server.shared.call(|core, _| {
        make(core, "t", 1, &[("max.message.bytes", "2000000")]);
        for _ in 0..RECORDS {
            append(core, "t", "k", &"v".repeat(MEGABYTE), NOW);
        }
    });
    server
}

fn framed<R: Request>(correlation: i32, version: i16, request: &R) -> BytesMut {
    let mut frame = BytesMut::new();
    frame.put_i32(0);
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_correlation_id(correlation);
    header.encode(&mut frame, R::header_version(version)).expect("a header");
    request.encode(&mut frame, version).expect("a request");
    let length = u32::try_from(frame.len() - 4).expect("short");
    frame[..4].copy_from_slice(&length.to_be_bytes());
    frame
}

/// A fetch of all records that waits for more bytes than the log holds.
fn fetch(max_wait_ms: i32) -> FetchRequest {
    let partition = FetchPartition::default().with_partition_max_bytes(1 << 23);
    let topic = FetchTopic::default().with_topic(TopicName(StrBytes::from_static_str("t")));
    FetchRequest::default()
        .with_max_wait_ms(max_wait_ms)
        .with_min_bytes(1 << 23)
        .with_max_bytes(1 << 23)
        .with_session_epoch(-1)
        .with_topics(vec![topic.with_partitions(vec![partition])])
}

fn join() -> JoinGroupRequest {
    let protocol = JoinGroupRequestProtocol::default().with_name(StrBytes::from_static_str("range"));
    JoinGroupRequest::default()
        .with_group_id(GroupId(StrBytes::from_static_str("g")))
        .with_session_timeout_ms(30_000)
        .with_rebalance_timeout_ms(60_000)
        .with_protocol_type(StrBytes::from_static_str("consumer"))
        .with_protocols(vec![protocol])
}

async fn connect(server: &Server) -> TcpStream {
    TcpStream::connect(server.address()).await.expect("connected")
}

/// Reads frames until the connection is closed. Fails if one is truncated.
async fn frames_to_the_end(stream: &mut TcpStream) -> Vec<BytesMut> {
    let mut bytes = BytesMut::new();
    while timeout(BOUND, stream.read_buf(&mut bytes)).await.expect("in time").expect("no reset") > 0 {}
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        assert!(bytes.len() >= 4, "cut within a length");
        let length = usize::try_from(bytes.get_i32()).expect("a length");
        assert!(bytes.len() >= length, "cut after {} of {length} bytes", bytes.len());
        frames.push(bytes.split_to(length));
    }
    frames
}

fn decoded<T: Decodable + HeaderVersion>(mut frame: BytesMut, correlation: i32, version: i16) -> T {
    assert_eq!(frame.get_i32(), correlation);
    if T::header_version(version) > 0 {
        assert_eq!(frame.get_u8(), 0, "no tags");
    }
    T::decode(&mut frame.freeze(), version).expect("a response")
}

async fn until_waiting(server: &Server, count: usize) {
    let all_wait = async {
        while server.shared.waiting() < count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(BOUND, all_wait).await.expect("the requests arrive");
}

#[tokio::test]
async fn stop_answers_waiting_requests() {
    let server = started().await;
    let (mut reader, mut first, mut second) = (connect(&server).await, connect(&server).await, connect(&server).await);
    reader.write_all(&framed(7, 12, &fetch(60_000))).await.expect("sent");
    first.write_all(&framed(8, 3, &join())).await.expect("sent");
    first.readable().await.expect("the first member has joined");
    // The second join waits until the first member rejoins.
    second.write_all(&framed(9, 3, &join())).await.expect("sent");
    until_waiting(&server, 2).await;
    let stopping = tokio::spawn(server.stop());
    let mut frames = frames_to_the_end(&mut reader).await;
    let fetched: FetchResponse = decoded(frames.remove(0), 7, 12);
    let records = fetched.responses[0].partitions[0].records.as_ref().expect("records");
    assert!(records.len() > RECORDS * MEGABYTE && frames.is_empty());
    let joined: JoinGroupResponse = decoded(frames_to_the_end(&mut second).await.remove(0), 9, 3);
    // NOT_COORDINATOR
    assert_eq!(joined.error_code, 16);
    assert_eq!(frames_to_the_end(&mut first).await.len(), 1);
    drop((reader, first, second));
    timeout(BOUND, stopping).await.expect("in time").expect("no panic").expect("stopped");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stop_sends_whole_responses_in_order() {
    let server = started().await;
    let mut stream = connect(&server).await;
    for correlation in 0..10 {
        stream.write_all(&framed(correlation, 12, &fetch(0))).await.expect("sent");
    }
    // The broker is in the middle of the first response.
    stream.readable().await.expect("replies come");
    let stopping = tokio::spawn(server.stop());
    while !stopping.is_finished() && TcpStream::connect(stream.peer_addr().expect("a peer")).await.is_ok() {
        tokio::task::yield_now().await;
    }
    let frames = frames_to_the_end(&mut stream).await;
    assert!(!frames.is_empty());
    for (correlation, frame) in (0..).zip(frames) {
        let fetched: FetchResponse = decoded(frame, correlation, 12);
        assert!(fetched.responses[0].partitions[0].records.as_ref().expect("records").len() > RECORDS * MEGABYTE);
    }
    drop(stream);
    timeout(BOUND, stopping).await.expect("in time").expect("no panic").expect("stopped");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stop_times_out_if_a_client_does_not_read() {
    let server = started().await;
    let address = server.address();
    let mut stream = connect(&server).await;
    for correlation in 0..10 {
        stream.write_all(&framed(correlation, 12, &fetch(0))).await.expect("sent");
    }
    stream.readable().await.expect("replies come");
    let start = Instant::now();
    let stopping = tokio::spawn(server.stop());
    // New connections are refused.
    let refused = async { while TcpStream::connect(address).await.is_ok() {} };
    timeout(BOUND, refused).await.expect("refused");
    timeout(BOUND, stopping).await.expect("in time").expect("no panic").expect("stopped");
    let took = start.elapsed();
    assert!((STOP_TIMEOUT..STOP_TIMEOUT + Duration::from_secs(2)).contains(&took), "{took:?}");
}
