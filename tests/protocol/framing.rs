//! Cases of frames, headers, and pipelined requests.

use std::collections::BTreeMap;

use bytes::Bytes;
use kafka_protocol::messages::{ApiKey, MetadataRequest, ProduceRequest};

use super::Case;
use super::batch::Batch;
use super::requests;
use super::test_support::Recorder;

pub const CASES: &[Case] = &[
    ("invalid_requests_close_the_connection", no_request),
    ("responses_keep_the_request_order", in_order),
    ("unknown_tagged_fields_are_ignored", tagged),
    ("a_request_may_arrive_byte_by_byte", byte_by_byte),
];

fn no_request(recorder: &mut Recorder) {
    let frame = |body: &[u8]| {
        let length = i32::try_from(body.len()).expect("a length");
        [&length.to_be_bytes(), body].concat()
    };
    let ways: Vec<(&str, Vec<u8>)> = vec![
        ("a negative length", (-1i32).to_be_bytes().to_vec()),
        ("a length of 200 MB", 200_000_000i32.to_be_bytes().to_vec()),
        ("an empty frame", frame(b"")),
        ("half a header", frame(b"\0\x03\0\x01")),
        ("a header without its client id", frame(b"\0\x03\0\x01\0\0\0\x07")),
        ("Metadata v1 without a body", frame(b"\0\x03\0\x01\0\0\0\x07\xff\xff")),
        ("Metadata v1 that says it has a million topics", frame(b"\0\x03\0\x01\0\0\0\x07\xff\xff\0\x0f\x42\x40")),
        ("Metadata v1 with a name that is cut", frame(b"\0\x03\0\x01\0\0\0\x07\xff\xff\0\0\0\x01\0\x09ab")),
        ("HTTP", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec()),
    ];
    for (way, bytes) in ways {
        let mut client = recorder.connect();
        client.send_bytes(&bytes);
        let response = client.receive::<MetadataRequest>(1);
        recorder.note(&format!("{way}: {}", if response.is_none() { "closed" } else { "answered" }));
    }
}

fn in_order(recorder: &mut Recorder) {
    let target = recorder.target("topic", 1);
    let mut client = recorder.connect();
    for value in ["a", "b", "c"] {
        client.send(9, &requests::produce(9, &target, &[(0, Batch::of(recorder.zero, &[value]).bytes())]));
        client.send(12, &requests::metadata(&[&target.name]));
    }
    for _ in 0..3 {
        let response = client.receive::<ProduceRequest>(9).expect("a response");
        recorder.record_response::<ProduceRequest>(9, &response);
        let response = client.receive::<MetadataRequest>(12).expect("a response");
        recorder.record_response::<MetadataRequest>(12, &response);
    }
    recorder.record(12, &requests::fetch(12, &target, &[(0, 0)]));
}

fn tagged(recorder: &mut Recorder) {
    let target = recorder.target("topic", 1);
    let tags = BTreeMap::from([(77, Bytes::from_static(b"news")), (78, Bytes::new())]);
    let mut request = requests::metadata(&[&target.name]).with_unknown_tagged_fields(tags.clone());
    for topic in request.topics.iter_mut().flatten() {
        topic.unknown_tagged_fields = tags.clone();
    }
    recorder.record(12, &request);
    let batch = Batch::of(recorder.zero, &["a"]).bytes();
    let mut request = requests::produce(9, &target, &[(0, batch)]).with_unknown_tagged_fields(tags.clone());
    request.topic_data[0].partition_data[0].unknown_tagged_fields = tags;
    recorder.record(9, &request);
}

fn byte_by_byte(recorder: &mut Recorder) {
    let mut client = recorder.connect();
    // Metadata v1 of no topics: length, key, version, correlation id, no client id, an empty list.
    for byte in b"\0\0\0\x0e\0\x03\0\x01\0\0\0\0\xff\xff\0\0\0\0" {
        client.send_bytes(&[*byte]);
    }
    client.expect_response_to(0);
    let response = client.receive::<MetadataRequest>(1).expect("a response");
    recorder.record_response::<MetadataRequest>(1, &response);
    recorder.note(&format!("{:?} was understood", ApiKey::Metadata));
}
