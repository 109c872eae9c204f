//! Owns the cases about what lies below requests: frames, headers, and several requests at once on a connection.

use std::collections::BTreeMap;

use bytes::Bytes;
use kafka_protocol::messages::{ApiKey, MetadataRequest, ProduceRequest};

use super::Case;
use super::batch::Batch;
use super::lab::Lab;
use super::requests;

pub const CASES: &[Case] = &[
    ("what_is_no_request_closes_the_connection", no_request),
    ("requests_are_answered_in_their_order", in_order),
    ("unknown_tagged_fields_are_ignored", tagged),
    ("a_request_may_arrive_byte_by_byte", byte_by_byte),
];

fn no_request(lab: &mut Lab) {
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
        let mut client = lab.connect();
        client.send_bytes(&bytes);
        let answer = client.receive::<MetadataRequest>(1);
        lab.note(&format!("{way}: {}", if answer.is_none() { "closed" } else { "answered" }));
    }
}

fn in_order(lab: &mut Lab) {
    let target = lab.target("topic", 1);
    let mut client = lab.connect();
    for value in ["a", "b", "c"] {
        client.send(9, &requests::produce(9, &target, &[(0, Batch::of(lab.zero, &[value]).bytes())]));
        client.send(12, &requests::metadata(&[&target.name]));
    }
    for _ in 0..3 {
        let answer = client.receive::<ProduceRequest>(9).expect("an answer");
        lab.tell_answer::<ProduceRequest>(9, &answer);
        let answer = client.receive::<MetadataRequest>(12).expect("an answer");
        lab.tell_answer::<MetadataRequest>(12, &answer);
    }
    lab.ask(12, &requests::fetch(12, &target, &[(0, 0)]));
}

fn tagged(lab: &mut Lab) {
    let target = lab.target("topic", 1);
    let tags = BTreeMap::from([(77, Bytes::from_static(b"news")), (78, Bytes::new())]);
    let mut request = requests::metadata(&[&target.name]).with_unknown_tagged_fields(tags.clone());
    for topic in request.topics.iter_mut().flatten() {
        topic.unknown_tagged_fields = tags.clone();
    }
    lab.ask(12, &request);
    let batch = Batch::of(lab.zero, &["a"]).bytes();
    let mut request = requests::produce(9, &target, &[(0, batch)]).with_unknown_tagged_fields(tags.clone());
    request.topic_data[0].partition_data[0].unknown_tagged_fields = tags;
    lab.ask(9, &request);
}

fn byte_by_byte(lab: &mut Lab) {
    let mut client = lab.connect();
    // Metadata v1 of no topics: length, key, version, correlation id, no client id, an empty list.
    for byte in b"\0\0\0\x0e\0\x03\0\x01\0\0\0\0\xff\xff\0\0\0\0" {
        client.send_bytes(&[*byte]);
    }
    client.expect_answer_to(0);
    let answer = client.receive::<MetadataRequest>(1).expect("an answer");
    lab.tell_answer::<MetadataRequest>(1, &answer);
    lab.note(&format!("{:?} was understood", ApiKey::Metadata));
}
