//! Graceful shutdown of a broker process with clients that wait and one that is reading a response.

use bytes::Bytes;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::{FetchRequest, GroupId, JoinGroupRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use rustix::process::Signal;

use super::client::Client;
use super::{Foreground, WorkDir, until};

/// The error code `NOT_COORDINATOR`, which clients retry.
const NOT_COORDINATOR: i16 = 16;
/// Versions in which a fetch names its topics and a member joins without an id.
const FETCH: i16 = 12;
const JOIN: i16 = 3;

fn join() -> JoinGroupRequest {
    let protocol = JoinGroupRequestProtocol::default().with_name(StrBytes::from_static_str("range"));
    JoinGroupRequest::default()
        .with_group_id(GroupId(StrBytes::from_static_str("g")))
        .with_session_timeout_ms(30_000)
        .with_rebalance_timeout_ms(60_000)
        .with_protocol_type(StrBytes::from_static_str("consumer"))
        .with_protocols(vec![protocol])
}

/// A fetch of all orders of one partition.
fn fetch() -> FetchRequest {
    let partition = FetchPartition::default().with_partition_max_bytes(1 << 23);
    let topic = FetchTopic::default().with_topic(TopicName(StrBytes::from_static_str("order-events")));
    FetchRequest::default()
        .with_max_bytes(1 << 23)
        .with_session_epoch(-1)
        .with_topics(vec![topic.with_partitions(vec![partition])])
}

#[test]
fn stop_answers_waiters_and_cuts_no_frame() {
    let dir = WorkDir::new();
    let broker = Foreground::start(&dir, "broker --listen 127.0.0.1:0 --data own");
    let address = broker.address().to_owned();
    dir.run(&format!("produce --count 10000 --partitions 1 --seed 3 -b {address}")).expect(0);
    let (mut first, mut second) = (Client::connect(&address), Client::connect(&address));
    assert_eq!(first.request(JOIN, &join()).error_code, 0);
    // It waits until the first member joins again.
    second.send(JOIN, &join());
    until("both are members", || {
        let status = dir.status("own").expect("a running broker");
        status["groups"].as_array()?.iter().any(|group| group["members"] == 2).then_some(())
    });
    // More than the socket buffers hold: the broker is in the middle of a response.
    let mut reader = Client::connect(&address);
    for _ in 0..20 {
        reader.send(FETCH, &fetch());
    }
    let records = |answer: Option<kafka_protocol::messages::FetchResponse>| -> Option<Bytes> {
        answer?.responses.remove(0).partitions.remove(0).records
    };
    let whole = records(reader.receive::<FetchRequest>(FETCH)).expect("a response");
    assert!(whole.len() > 1 << 20, "{} bytes", whole.len());
    let pid = broker.pid();
    super::signal(pid, Signal::TERM);
    assert_eq!(second.receive::<JoinGroupRequest>(JOIN).expect("a response").error_code, NOT_COORDINATOR);
    assert!(second.receive::<JoinGroupRequest>(JOIN).is_none(), "the connection ends");
    // The client panics on a truncated frame.
    let mut answers = 1;
    while answers < 20
        && let Some(again) = records(reader.receive::<FetchRequest>(FETCH))
    {
        assert!(again == whole, "a different response");
        answers += 1;
    }
    assert!(answers > 1, "only one response was received");
    drop((first, second, reader));
    assert_eq!(broker.ended(), 0);
    assert!(dir.status("own").is_none());
}
