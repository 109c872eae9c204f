//! Cases of transaction administration: describe, list, and the producers of a partition.

use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::{
    DescribeProducersRequest, DescribeTransactionsRequest, ListTransactionsRequest, ProducerId, TopicName,
    TransactionalId,
};
use kafka_protocol::protocol::StrBytes;

use super::Case;
use super::batch::Batch;
use super::requests::{self, text};
use super::test_support::Recorder;
use super::transactional::Producer;

pub const CASES: &[Case] = &[
    ("describe_transactions_in_every_state", described),
    ("list_transactions_filters", listed),
    ("describe_producers_lists_active_producers", producers),
];

fn described(recorder: &mut Recorder) {
    let (one, other) = (recorder.target("one", 2), recorder.target("other", 1));
    // The first producer id may be 0, which is also the value for no producer.
    recorder.request(4, &requests::init_producer_id(None));
    let producer = Producer::init(recorder, "id");
    recorder.note("empty");
    recorder.record(0, &producer.describe());
    recorder.note("ongoing");
    recorder.request(0, &producer.add(&one.name, &[0, 1]));
    recorder.request(0, &producer.add(&other.name, &[0]));
    recorder.record(0, &producer.describe());
    recorder.note("committed");
    recorder.request(1, &producer.end(true));
    producer.await_state(recorder, "CompleteCommit");
    recorder.record(0, &producer.describe());
    recorder.note("aborted");
    recorder.request(0, &producer.add(&one.name, &[0]));
    recorder.request(1, &producer.end(false));
    producer.await_state(recorder, "CompleteAbort");
    recorder.record(0, &producer.describe());
    recorder.note("unknown, and without a name");
    let ids = |ids: &[StrBytes]| {
        let ids = ids.iter().map(|id| TransactionalId(id.clone())).collect();
        DescribeTransactionsRequest::default().with_transactional_ids(ids)
    };
    recorder.record(0, &ids(&[recorder.name("unknown"), producer.id]));
    recorder.record(0, &ids(&[text("")]));
    recorder.record(0, &ids(&[]));
}

fn listed(recorder: &mut Recorder) {
    let target = recorder.target("topic", 1);
    let empty = Producer::init(recorder, "empty");
    let ongoing = Producer::init(recorder, "ongoing");
    recorder.request(0, &ongoing.add(&target.name, &[0]));
    let done = Producer::init(recorder, "done");
    recorder.request(0, &done.add(&target.name, &[0]));
    recorder.request(1, &done.end(true));
    done.await_state(recorder, "CompleteCommit");
    let mut record = |note: &str, version, change: &dyn Fn(ListTransactionsRequest) -> ListTransactionsRequest| {
        let mut response =
            recorder.request(version, &change(ListTransactionsRequest::default().with_duration_filter(-1)));
        response.transaction_states.retain(|state| recorder.is_own_name(&state.transactional_id));
        recorder.note(note);
        recorder.record_response::<ListTransactionsRequest>(version, &response);
    };
    let states = |states: &[&str]| states.iter().map(|state| text(state)).collect::<Vec<_>>();
    for version in 0..=2 {
        record("all", version, &|request| request);
        record("ongoing", version, &|request| request.with_state_filters(states(&["Ongoing"])));
        record("two states", version, &|request| request.with_state_filters(states(&["Empty", "CompleteCommit"])));
        record("an unknown state", version, &|request| {
            request.with_state_filters(states(&["Ongoing", "NoSuchState", "ongoing"]))
        });
        record("a producer id", version, &|request| {
            request.with_producer_id_filters(vec![ProducerId(empty.number), ProducerId(7_000_000_000)])
        });
        record("a producer id in another state", version, &|request| {
            request.with_producer_id_filters(vec![ProducerId(empty.number)]).with_state_filters(states(&["Ongoing"]))
        });
    }
    for version in 1..=2 {
        record("open for an hour", version, &|request| request.with_duration_filter(3_600_000));
        record("open for any time", version, &|request| request.with_duration_filter(0));
    }
    record("a pattern", 2, &|request| request.with_transactional_id_pattern(Some(text(".*going"))));
    record("a pattern of the middle", 2, &|request| request.with_transactional_id_pattern(Some(text("going"))));
    record("an empty pattern", 2, &|request| request.with_transactional_id_pattern(Some(text(""))));
    record("no pattern at all", 2, &|request| request.with_transactional_id_pattern(Some(text("(("))));
}

fn producers(recorder: &mut Recorder) {
    let target = recorder.target("topic", 2);
    let describe = |name: &StrBytes, partitions: &[i32]| {
        let topic =
            TopicRequest::default().with_name(TopicName(name.clone())).with_partition_indexes(partitions.to_vec());
        DescribeProducersRequest::default().with_topics(vec![topic])
    };
    recorder.note("no producer");
    recorder.record(0, &describe(&target.name, &[0, 1]));
    recorder.note("an idempotent one");
    let response = recorder.request(4, &requests::init_producer_id(None));
    let batch = Batch::of(recorder.zero, &["a", "b"]).by((*response.producer_id, response.producer_epoch), 0).bytes();
    recorder.request(9, &requests::produce(9, &target, &[(1, batch)]));
    recorder.record(0, &describe(&target.name, &[0, 1]));
    recorder.note("a transaction, open, then committed");
    let producer = Producer::init(recorder, "id");
    recorder.request(0, &producer.add(&target.name, &[0]));
    recorder.request(9, &producer.produce(9, (&target, 0), 0, &["a", "b", "c"]));
    recorder.record(0, &describe(&target.name, &[0]));
    recorder.request(1, &producer.end(true));
    producer.await_state(recorder, "CompleteCommit");
    recorder.record(0, &describe(&target.name, &[0]));
    recorder.note("what does not exist");
    recorder.record(0, &describe(&target.name, &[5]));
    recorder.record(0, &describe(&recorder.name("unknown"), &[0]));
    recorder.record(0, &describe(&text("a/b"), &[0]));
}
