//! A broker process under hostile or idle clients: its memory stays bounded, and other commands are served.

use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::{FetchRequest, GroupId, JoinGroupRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};

use super::client::Client;
use super::{Foreground, WorkDir, until};

/// Limit of additional memory, in KiB. Without limits in the broker each of these cases needs more than a gigabyte.
const MEMORY: u64 = 400 << 10;

/// Peak memory of the broker, in KiB.
fn memory(broker: &Foreground) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", broker.pid())).expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a line of /proc/PID/status");
    line.trim_matches(['\t', ' ', 'k', 'B']).parse().expect("KiB")
}

fn assert_served(dir: &WorkDir, address: &str) {
    dir.run(&format!("produce --count 10 --seed 1 -b {address} --timeout 30s")).expect(0);
}

/// Sends bytes until a write times out; returns how many were sent.
fn send_until_blocked(stream: &mut TcpStream, bytes: &[u8]) -> usize {
    stream.set_write_timeout(Some(Duration::from_millis(500))).expect("a bound");
    let mut sent = 0;
    while sent < bytes.len() {
        match stream.write(&bytes[sent..]) {
            Ok(more) if more > 0 => sent += more,
            _ => break,
        }
    }
    sent
}

#[test]
fn unfinished_requests_take_bounded_memory() {
    let dir = WorkDir::new();
    let broker = Foreground::start(&dir, "broker --memory --listen 127.0.0.1:0");
    let before = memory(&broker);
    let address = broker.address().to_owned();
    let length = 31_u32 << 20;
    let mut frame = [&length.to_be_bytes()[..], &[0, 0, 0, 3, 0, 0, 0, 1, 0, 0]].concat();
    frame.resize(length as usize, 0);
    let sent: usize = thread::scope(|scope| {
        let send = || {
            let mut stream = TcpStream::connect(&address).expect("connected");
            let sent = send_until_blocked(&mut stream, &frame);
            (sent, stream)
        };
        let all: Vec<_> = (0..60).map(|_| scope.spawn(send)).collect();
        let all: Vec<_> = all.into_iter().map(|sending| sending.join().expect("sent")).collect();
        // All connections are still open, and another command is served.
        assert_served(&dir, &address);
        all.iter().map(|(sent, _)| sent).sum()
    });
    let taken = memory(&broker) - before;
    assert!(sent > 60 << 20 && taken < MEMORY, "{sent} bytes were sent, {taken} KiB of memory used");
    assert_served(&dir, &address);
    assert_eq!(broker.end(Signal::TERM), 0);
}

#[test]
fn oversized_member_metadata_is_refused() {
    let dir = WorkDir::new();
    let broker = Foreground::start(&dir, "broker --memory --listen 127.0.0.1:0");
    let before = memory(&broker);
    let address = broker.address().to_owned();
    let mut clients = Vec::new();
    for number in 0..12 {
        let protocol = JoinGroupRequestProtocol::default()
            .with_name(StrBytes::from_static_str("range"))
            .with_metadata(Bytes::from(vec![number; 30_000_000]));
        let join = JoinGroupRequest::default()
            .with_group_id(GroupId(StrBytes::from_string(format!("g{}", number % 3))))
            .with_session_timeout_ms(30_000)
            .with_rebalance_timeout_ms(1_000)
            .with_protocol_type(StrBytes::from_static_str("consumer"))
            .with_protocols(vec![protocol]);
        let mut client = Client::connect(&address);
        // `GROUP_MAX_SIZE_REACHED`
        assert_eq!(client.request(3, &join).error_code, 81);
        clients.push(client);
    }
    let taken = memory(&broker) - before;
    assert!(taken < 200 << 10, "{taken} KiB");
    dir.run(&format!("produce --count 10 --seed 1 -b {address}")).expect(0);
    dir.run(&format!("inventory --until-end -b {address}")).expect(0);
    assert_eq!(broker.end(Signal::TERM), 0);
}

#[test]
fn unread_responses_take_bounded_memory() {
    let dir = WorkDir::new();
    let broker = Foreground::start(&dir, "broker --memory --listen 127.0.0.1:0");
    let address = broker.address().to_owned();
    dir.run(&format!("produce --count 30000 --partitions 1 --seed 3 -b {address}")).expect(0);
    let before = memory(&broker);
    let partition = FetchPartition::default().with_partition_max_bytes(1 << 30);
    let topic = FetchTopic::default().with_topic(TopicName(StrBytes::from_static_str("order-events")));
    let fetch = FetchRequest::default()
        .with_max_bytes(1 << 30)
        .with_session_epoch(-1)
        .with_topics(vec![topic.with_partitions(vec![partition])]);
    let mut non_readers = Vec::new();
    for _ in 0..200 {
        let mut client = Client::connect(&address);
        client.send(12, &fetch);
        non_readers.push(client);
    }
    // All of them wait for a share of the response memory. This command is served after some of them.
    until("a command is served", || {
        let run = dir.run(&format!("produce --count 1 --seed 1 -b {address}"));
        (run.code == 0).then_some(())
    });
    let taken = memory(&broker) - before;
    assert!(taken < 2 * MEMORY, "{taken} KiB");
    drop(non_readers);
    dir.run(&format!("analytics --from-beginning --no-commit -b {address}")).expect(0);
    assert_eq!(broker.end(Signal::TERM), 0);
}

#[test]
fn silent_connections_block_no_client() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).expect("up to the hard limit");
    let dir = WorkDir::new();
    let broker = Foreground::start(&dir, "broker --listen 127.0.0.1:0 --data own");
    let address = broker.address().to_owned();
    let silent: Vec<TcpStream> = (0..1_100).map(|_| TcpStream::connect(&address).expect("connected")).collect();
    assert_served(&dir, &address);
    dir.run(&format!("inventory --until-end -b {address}")).expect(0);
    // The same for connections to the control port, which commands need too.
    let control = std::fs::read_to_string(dir.path("own/broker.json")).expect("read");
    let control: serde_json::Value = serde_json::from_str(&control).expect("JSON");
    let control = control["control"].as_str().expect("an address").to_owned();
    let mute: Vec<TcpStream> = (0..400).map(|_| TcpStream::connect(&control).expect("connected")).collect();
    dir.run("lag -b embedded:own").expect(0);
    assert!(dir.status("own").is_some());
    drop((silent, mute));
    assert_eq!(broker.end(Signal::TERM), 0);
}
