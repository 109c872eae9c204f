//! Owns the cases about transactions seen from outside: describing and listing them and the producers of a partition.

use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::{
    DescribeProducersRequest, DescribeTransactionsRequest, ListTransactionsRequest, ProducerId, TopicName,
    TransactionalId,
};
use kafka_protocol::protocol::StrBytes;

use super::Case;
use super::batch::Batch;
use super::lab::Lab;
use super::requests::{self, text};
use super::transactional::Producer;

pub const CASES: &[Case] = &[
    ("describe_transactions_tells_every_state", described),
    ("list_transactions_filters", listed),
    ("describe_producers_tells_who_writes", producers),
];

fn described(lab: &mut Lab) {
    let (one, other) = (lab.target("one", 2), lab.target("other", 1));
    // The first producer id of all may be 0, and that is also what is told of nobody.
    lab.put(4, &requests::init_producer_id(None));
    let producer = Producer::init(lab, "id");
    lab.note("empty");
    lab.ask(0, &producer.describe());
    lab.note("ongoing");
    lab.put(0, &producer.add(&one.name, &[0, 1]));
    lab.put(0, &producer.add(&other.name, &[0]));
    lab.ask(0, &producer.describe());
    lab.note("committed");
    lab.put(1, &producer.end(true));
    producer.await_state(lab, "CompleteCommit");
    lab.ask(0, &producer.describe());
    lab.note("aborted");
    lab.put(0, &producer.add(&one.name, &[0]));
    lab.put(1, &producer.end(false));
    producer.await_state(lab, "CompleteAbort");
    lab.ask(0, &producer.describe());
    lab.note("unknown, and without a name");
    let ids = |ids: &[StrBytes]| {
        let ids = ids.iter().map(|id| TransactionalId(id.clone())).collect();
        DescribeTransactionsRequest::default().with_transactional_ids(ids)
    };
    lab.ask(0, &ids(&[lab.name("unknown"), producer.id]));
    lab.ask(0, &ids(&[text("")]));
    lab.ask(0, &ids(&[]));
}

fn listed(lab: &mut Lab) {
    let target = lab.target("topic", 1);
    let empty = Producer::init(lab, "empty");
    let ongoing = Producer::init(lab, "ongoing");
    lab.put(0, &ongoing.add(&target.name, &[0]));
    let done = Producer::init(lab, "done");
    lab.put(0, &done.add(&target.name, &[0]));
    lab.put(1, &done.end(true));
    done.await_state(lab, "CompleteCommit");
    let mut tell = |note: &str, version, change: &dyn Fn(ListTransactionsRequest) -> ListTransactionsRequest| {
        let mut answer = lab.put(version, &change(ListTransactionsRequest::default().with_duration_filter(-1)));
        answer.transaction_states.retain(|state| lab.is_mine(&state.transactional_id));
        lab.note(note);
        lab.tell_answer::<ListTransactionsRequest>(version, &answer);
    };
    let states = |states: &[&str]| states.iter().map(|state| text(state)).collect::<Vec<_>>();
    for version in 0..=2 {
        tell("all", version, &|request| request);
        tell("ongoing", version, &|request| request.with_state_filters(states(&["Ongoing"])));
        tell("two states", version, &|request| request.with_state_filters(states(&["Empty", "CompleteCommit"])));
        tell("an unknown state", version, &|request| {
            request.with_state_filters(states(&["Ongoing", "NoSuchState", "ongoing"]))
        });
        tell("a producer id", version, &|request| {
            request.with_producer_id_filters(vec![ProducerId(empty.number), ProducerId(7_000_000_000)])
        });
        tell("a producer id in another state", version, &|request| {
            request.with_producer_id_filters(vec![ProducerId(empty.number)]).with_state_filters(states(&["Ongoing"]))
        });
    }
    for version in 1..=2 {
        tell("open for an hour", version, &|request| request.with_duration_filter(3_600_000));
        tell("open for any time", version, &|request| request.with_duration_filter(0));
    }
    tell("a pattern", 2, &|request| request.with_transactional_id_pattern(Some(text(".*going"))));
    tell("a pattern of the middle", 2, &|request| request.with_transactional_id_pattern(Some(text("going"))));
    tell("an empty pattern", 2, &|request| request.with_transactional_id_pattern(Some(text(""))));
    tell("no pattern at all", 2, &|request| request.with_transactional_id_pattern(Some(text("(("))));
}

fn producers(lab: &mut Lab) {
    let target = lab.target("topic", 2);
    let describe = |name: &StrBytes, partitions: &[i32]| {
        let topic =
            TopicRequest::default().with_name(TopicName(name.clone())).with_partition_indexes(partitions.to_vec());
        DescribeProducersRequest::default().with_topics(vec![topic])
    };
    lab.note("nobody");
    lab.ask(0, &describe(&target.name, &[0, 1]));
    lab.note("an idempotent one");
    let answer = lab.put(4, &requests::init_producer_id(None));
    let batch = Batch::of(lab.zero, &["a", "b"]).by((*answer.producer_id, answer.producer_epoch), 0).bytes();
    lab.put(9, &requests::produce(9, &target, &[(1, batch)]));
    lab.ask(0, &describe(&target.name, &[0, 1]));
    lab.note("a transaction, open, then committed");
    let producer = Producer::init(lab, "id");
    lab.put(0, &producer.add(&target.name, &[0]));
    lab.put(9, &producer.produce(9, (&target, 0), 0, &["a", "b", "c"]));
    lab.ask(0, &describe(&target.name, &[0]));
    lab.put(1, &producer.end(true));
    producer.await_state(lab, "CompleteCommit");
    lab.ask(0, &describe(&target.name, &[0]));
    lab.note("what does not exist");
    lab.ask(0, &describe(&target.name, &[5]));
    lab.ask(0, &describe(&lab.name("unknown"), &[0]));
    lab.ask(0, &describe(&text("a/b"), &[0]));
}
