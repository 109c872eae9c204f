//! Owns the scripted claims about transactions; what they expect of each sequence was measured on Apache Kafka 4.1.

use kafka_protocol::error::ResponseError;

use super::bench::{Bench, ID, speaker};
use super::{Coordinator, Entrance, Marker};
use crate::broker::entry::Entry;
use crate::broker::transactions::{
    EXPIRATION_MS, Outcome, Producer, Protocol, RETRY_MS, State, Transaction, TransactionEntry,
};

use Entrance::{Added, AddedOrAbortable, Joins};
use Outcome::{Abort, Commit};
use Protocol::{Bumping, Classic};
use ResponseError::{
    ConcurrentTransactions, InvalidProducerEpoch, InvalidProducerIdMapping, InvalidRequest, InvalidTxnState,
    NotCoordinator, NotEnoughReplicas, ProducerFenced, TransactionAbortable,
};

/// A transactional id whose producer has come to this epoch.
fn at_epoch(epoch: i16) -> (Bench, i64) {
    let mut bench = Bench::default();
    let (id, _) = bench.init(None, 0).unwrap();
    let transaction = Transaction { epoch, ..bench.transactions.get(ID).unwrap().clone() };
    bench.replace(ID, transaction).unwrap();
    (bench, id)
}

#[test]
fn producer_ids_come_in_blocks_and_none_comes_twice() {
    let mut bench = Bench::default();
    let first: Vec<i64> = (0..1_001).map(|_| bench.fresh_producer_id().unwrap()).collect();
    assert_eq!(first, (0..1_001).collect::<Vec<i64>>());
    assert_eq!(bench.journal.len(), 2, "one line a block");
    bench.restart(0);
    assert_eq!(bench.fresh_producer_id(), Ok(2_000), "the rest of a block is not given after a restart");
    bench.compact();
    bench.restart(0);
    assert_eq!(bench.fresh_producer_id(), Ok(3_000));
}

#[test]
fn a_new_instance_gets_the_next_epoch() {
    let mut bench = Bench::default();
    assert_eq!(bench.init(None, 0), Ok((0, 0)));
    assert_eq!(bench.init(None, 0), Ok((0, 1)));
    assert_eq!(Bench::default().init(Some((5, 3)), 0), Ok((0, 0)), "nobody is fenced by who was never known");
}

#[test]
fn a_producer_may_have_its_own_epoch_bumped_and_ask_twice() {
    let (mut bench, id) = at_epoch(1);
    assert_eq!(bench.init(Some((id, 1)), 0), Ok((id, 2)));
    assert_eq!(bench.init(Some((id, 1)), 0), Ok((id, 2)), "a retry");
    assert_eq!(bench.init(Some((id, 0)), 0), Err(ProducerFenced));
    assert_eq!(bench.init(Some((id, 9)), 0), Err(ProducerFenced));
    assert_eq!(bench.init(Some((id + 1, 2)), 0), Err(ProducerFenced));
    assert_eq!(bench.init(None, 0), Ok((id, 3)));
    assert_eq!(bench.init(Some((id, 2)), 0), Err(ProducerFenced), "another instance came between");
}

#[test]
fn an_exhausted_epoch_brings_another_producer_id() {
    let (mut bench, id) = at_epoch(32_766);
    let (other, epoch) = bench.init(Some((id, 32_766)), 0).unwrap();
    assert!(other > id);
    assert_eq!(epoch, 0);
    assert_eq!(bench.init(Some((id, 32_766)), 0), Ok((other, 0)), "a retry");
    assert_eq!(bench.init(Some((id, 32_766)), 0), Err(ProducerFenced), "the step after it forgets the old id");

    let (mut bench, id) = at_epoch(32_766);
    assert_eq!(bench.init(None, 0), Ok((id + 1, 0)));
    assert_eq!(bench.init(Some((id, 5)), 0), Err(ProducerFenced));
}

#[test]
fn an_instance_aborts_what_its_predecessor_left_open_and_is_told_to_ask_again() {
    let (mut bench, id) = at_epoch(0);
    bench.produce((id, 0), 0, Joins, 1).unwrap();
    assert_eq!(bench.init(None, 2), Err(ConcurrentTransactions));
    assert_eq!((bench.state(), bench.producer()), (State::CompleteAbort, (id, 1)));
    assert_eq!(bench.markers(0), [(id, 1, Abort)], "the marker fences the predecessor");
    assert_eq!(bench.end_as((id, 0), Abort, Classic, 3), Err(ProducerFenced));
    assert_eq!(bench.end_as((id, 0), Abort, Bumping, 3), Ok((id, 1)), "it has been aborted indeed");
    assert_eq!(bench.end_as((id, 0), Commit, Bumping, 3), Err(InvalidTxnState));
    assert_eq!(bench.init(None, 4), Ok((id, 2)));
    assert_eq!(bench.end_as((id, 0), Abort, Bumping, 5), Err(ProducerFenced));
    assert_eq!(bench.produce((id, 0), 0, Joins, 5), Err(InvalidProducerEpoch));
    assert_eq!(bench.decisions.len(), 1);
}

#[test]
fn fencing_an_exhausted_producer_takes_the_epoch_that_is_kept_for_it() {
    let (mut bench, id) = at_epoch(32_766);
    bench.produce((id, 32_766), 0, Joins, 1).unwrap();
    assert_eq!(bench.init(None, 2), Err(ConcurrentTransactions));
    assert_eq!((bench.state(), bench.producer()), (State::CompleteAbort, (id, 32_767)));
    assert_eq!(bench.init(None, 2), Ok((id + 1, 0)));
}

#[test]
fn the_classic_end_knows_a_retry_by_the_state() {
    let (mut bench, id) = at_epoch(3);
    let me = (id, 3);
    for outcome in [Commit, Abort] {
        assert_eq!(bench.end_as(me, outcome, Classic, 0), Err(InvalidTxnState), "nothing was begun");
    }
    for (outcome, other, state) in [(Commit, Abort, State::CompleteCommit), (Abort, Commit, State::CompleteAbort)] {
        bench.add(me, &[0, 1], 1).unwrap();
        assert_eq!(bench.end_as((id, 2), outcome, Classic, 2), Err(ProducerFenced));
        assert_eq!(bench.end_as((id, 4), outcome, Classic, 2), Err(ProducerFenced));
        assert_eq!(bench.end_as((id + 1, 3), outcome, Classic, 2), Err(InvalidProducerIdMapping));
        assert_eq!(bench.end_as(me, outcome, Classic, 2), Ok(me));
        assert_eq!(bench.state(), state);
        assert_eq!(bench.end_as(me, outcome, Classic, 3), Ok(me));
        assert_eq!(bench.end_as(me, other, Classic, 3), Err(InvalidTxnState));
    }
    assert_eq!(bench.markers(1), [(id, 3, Commit), (id, 3, Abort)], "also where nothing was written");
}

#[test]
fn the_bumping_end_knows_a_retry_by_the_epoch() {
    // By state: what a retry and what the current epoch get, for an abort and for a commit. `Ok(true)` bumps.
    type Row = (State, [Result<bool, ResponseError>; 4]);
    let table: [Row; 3] = [
        (State::Empty, [Err(ProducerFenced), Ok(true), Err(ProducerFenced), Err(InvalidTxnState)]),
        (State::CompleteAbort, [Ok(false), Ok(true), Err(InvalidTxnState), Err(InvalidTxnState)]),
        (State::CompleteCommit, [Err(InvalidTxnState), Ok(true), Ok(false), Err(InvalidTxnState)]),
    ];
    for (state, expected) in table {
        let cases = [(Abort, 4), (Abort, 5), (Commit, 4), (Commit, 5)];
        for ((outcome, epoch), expected) in cases.into_iter().zip(expected) {
            let (mut bench, id) = at_epoch(5);
            let transaction = Transaction { state, ..bench.transactions.get(ID).unwrap().clone() };
            bench.replace(ID, transaction).unwrap();
            let answer = bench.end_as((id, epoch), outcome, Bumping, 9);
            let expected = expected.map(|bumps| (id, if bumps { 6 } else { 5 }));
            assert_eq!(answer, expected, "{outcome:?} of {state:?} by {epoch}");
            assert_eq!(bench.end_as((id, 3), outcome, Bumping, 9), Err(ProducerFenced));
        }
    }
}

#[test]
fn a_bumping_end_returns_the_epoch_of_the_next_transaction() {
    let (mut bench, id) = at_epoch(1);
    bench.produce((id, 1), 0, Joins, 1).unwrap();
    assert_eq!(bench.end_as((id, 0), Abort, Bumping, 2), Err(ProducerFenced), "a late retry of the one before");
    assert_eq!(bench.end_as((id, 1), Commit, Bumping, 2), Ok((id, 2)));
    assert_eq!(bench.end_as((id, 1), Commit, Bumping, 2), Ok((id, 2)), "a retry");
    assert_eq!(bench.markers(0), [(id, 2, Commit)]);
    assert_eq!(bench.produce((id, 1), 0, Joins, 3), Err(InvalidProducerEpoch), "a late record of the one before");
    bench.produce((id, 2), 0, Joins, 3).unwrap();
    assert_eq!(bench.end_as((id, 1), Commit, Bumping, 3), Err(ProducerFenced));
}

#[test]
fn a_bumping_end_of_an_exhausted_epoch_returns_another_producer_id() {
    let (mut bench, id) = at_epoch(32_766);
    bench.produce((id, 32_766), 0, Joins, 1).unwrap();
    assert_eq!(bench.end_as((id, 32_766), Commit, Bumping, 2), Ok((id + 1, 0)));
    assert_eq!(bench.markers(0), [(id, 32_767, Commit)], "the marker is the old id's");
    assert_eq!(bench.end_as((id, 32_766), Commit, Bumping, 2), Ok((id + 1, 0)), "a retry");
    assert_eq!(bench.end_as((id, 32_766), Abort, Bumping, 2), Err(InvalidTxnState));
    assert_eq!(bench.end_as((id, 32_766), Commit, Classic, 2), Err(InvalidProducerIdMapping));
    assert_eq!(bench.init(Some((id, 32_766)), 3), Ok((id + 1, 0)));
    assert_eq!(bench.init(Some((id, 32_766)), 3), Err(ProducerFenced));
    assert_eq!(bench.end_as((id, 32_766), Commit, Bumping, 3), Err(InvalidProducerIdMapping));
}

#[test]
fn an_abort_of_nothing_begins_when_it_is_asked() {
    let (mut bench, id) = at_epoch(0);
    assert_eq!(bench.end_as((id, 0), Abort, Bumping, 77), Ok((id, 1)));
    let transaction = bench.transactions.get(ID).unwrap();
    assert_eq!((transaction.state, transaction.started), (State::CompleteAbort, 77));
}

#[test]
fn what_was_not_added_is_refused_in_the_words_of_the_version() {
    let (mut bench, id) = at_epoch(0);
    let me = (id, 0);
    bench.add(me, &[0], 1).unwrap();
    bench.produce(me, 0, Added, 1).unwrap();
    assert_eq!(bench.produce(me, 1, Added, 1), Err(InvalidTxnState));
    assert_eq!(bench.produce(me, 1, AddedOrAbortable, 1), Err(TransactionAbortable));
    assert_eq!(bench.commit_offsets(me, Added, 1), Err(InvalidTxnState));
    assert_eq!(bench.commit_offsets(me, AddedOrAbortable, 1), Err(TransactionAbortable));
    for entrance in [Added, AddedOrAbortable, Joins] {
        assert_eq!(bench.produce((id, 1), 0, entrance, 1), Err(InvalidProducerEpoch));
        assert_eq!(bench.produce((id + 1, 0), 0, entrance, 1), Err(InvalidProducerIdMapping));
        assert_eq!(bench.commit_offsets((id, 1), entrance, 1), Err(InvalidProducerEpoch));
        assert_eq!(bench.commit_offsets((id + 1, 0), entrance, 1), Err(InvalidProducerIdMapping));
        for (name, error) in [("", InvalidRequest), ("nobody", InvalidProducerIdMapping)] {
            let speaker = super::Speaker { transactional_id: name, ..speaker(me) };
            assert_eq!(bench.enter_partitions(speaker, &[("orders", 0)], entrance, 1), [Err(error)]);
            assert_eq!(bench.enter_group(speaker, "kitchen", entrance, 1), Err(error));
        }
    }
    assert_eq!([8, 10, 11, 12, 13].map(Entrance::of_produce), [Added, Added, AddedOrAbortable, Joins, Joins]);
    assert_eq!([0, 3, 4, 5].map(Entrance::of_offset_commit), [Added, Added, AddedOrAbortable, Joins]);
}

#[test]
fn a_partition_of_the_last_transaction_is_not_part_of_the_next_one() {
    let (mut bench, id) = at_epoch(0);
    let me = (id, 0);
    bench.add(me, &[0, 1], 1).unwrap();
    bench.end_as(me, Commit, Classic, 2).unwrap();
    assert_eq!(bench.produce(me, 0, Added, 3), Err(InvalidTxnState));
    bench.add(me, &[1], 3).unwrap();
    assert_eq!(bench.produce(me, 0, Added, 3), Err(InvalidTxnState));
}

#[test]
fn a_transaction_over_many_partitions_costs_three_lines() {
    let (mut bench, id) = at_epoch(0);
    let me = (id, 0);
    let before = bench.journal.len();
    bench.add(me, &(0..18).collect::<Vec<i32>>(), 1).unwrap();
    bench.add(me, &[3, 4], 1).unwrap();
    for partition in 0..18 {
        bench.produce(me, partition, Added, 1).unwrap();
    }
    bench.end_as(me, Commit, Classic, 2).unwrap();
    assert_eq!(bench.journal.len() - before, 3);
}

#[test]
fn a_transaction_times_out_and_its_producer_is_fenced() {
    let (mut bench, id) = at_epoch(0);
    bench.produce((id, 0), 0, Joins, 1_000).unwrap();
    bench.produce((id, 0), 1, Joins, 5_000).unwrap();
    bench.commit_offsets((id, 0), Joins, 5_000).unwrap();
    assert_eq!(bench.transactions.next_deadline(), Some(61_001), "counted from its beginning");
    bench.tick(61_000);
    assert_eq!(bench.state(), State::Ongoing);
    bench.tick(61_001);
    assert_eq!((bench.state(), bench.producer()), (State::CompleteAbort, (id, 1)));
    assert_eq!(bench.markers(0), [(id, 1, Abort)]);
    assert_eq!(bench.settled, [(id, Abort)]);
    assert_eq!(bench.produce((id, 0), 0, Joins, 61_002), Err(InvalidProducerEpoch));
    assert_eq!(bench.end_as((id, 0), Commit, Classic, 61_002), Err(ProducerFenced));
    assert_eq!(bench.end_as((id, 0), Commit, Bumping, 61_002), Err(InvalidTxnState));
    assert_eq!(bench.end_as((id, 0), Abort, Bumping, 61_002), Ok((id, 1)));
    assert_eq!(bench.init(Some((id, 0)), 61_003), Ok((id, 1)), "KIP-360: it may go on");
}

#[test]
fn an_idle_transactional_id_is_forgotten_after_a_week() {
    let (mut bench, id) = at_epoch(0);
    bench.produce((id, 0), 0, Joins, 10).unwrap();
    bench.end_as((id, 0), Commit, Bumping, 20).unwrap();
    assert_eq!(bench.transactions.next_deadline(), Some(20 + EXPIRATION_MS));
    bench.tick(19 + EXPIRATION_MS);
    assert!(bench.transactions.get(ID).is_some());
    bench.tick(20 + EXPIRATION_MS);
    assert!(bench.transactions.get(ID).is_none());
    assert_eq!(bench.transactions.next_deadline(), None);
    assert_eq!(bench.end_as((id, 1), Commit, Bumping, 0), Err(InvalidProducerIdMapping));
    bench.restart(0);
    assert!(bench.transactions.get(ID).is_none());
}

#[test]
fn a_marker_that_cannot_be_written_leaves_the_transaction_prepared_until_it_can() {
    let (mut bench, id) = at_epoch(0);
    let me = (id, 0);
    bench.add(me, &[0, 1, 2], 1).unwrap();
    bench.commit_offsets(me, Joins, 1).unwrap();
    assert_eq!(bench.end_marking_only(me, 1), Ok((id, 0)), "the decision stands");
    assert_eq!(bench.state(), State::PrepareCommit);
    assert_eq!((bench.markers(0).len(), bench.markers(1).len()), (1, 0));
    assert_eq!(bench.troubles.len(), 1);
    assert_eq!(bench.end_as(me, Commit, Classic, 3), Err(ConcurrentTransactions));
    assert_eq!(bench.end_as(me, Abort, Classic, 3), Err(InvalidTxnState));
    assert_eq!(bench.init(None, 3), Err(ConcurrentTransactions));
    assert_eq!(bench.add(me, &[3], 3), Err(ConcurrentTransactions));
    assert_eq!(
        bench.produce(me, 0, Joins, 3),
        Err(NotEnoughReplicas),
        "a produce knows this error as one to try again"
    );
    assert_eq!(bench.commit_offsets(me, Joins, 3), Err(ConcurrentTransactions));
    assert_eq!(bench.transactions.next_deadline(), Some(2 + RETRY_MS));
    bench.tick(1 + RETRY_MS);
    assert_eq!(bench.state(), State::PrepareCommit);
    bench.tick(2 + RETRY_MS);
    assert_eq!(bench.state(), State::CompleteCommit);
    for partition in 0..3 {
        assert_eq!(bench.markers(partition), [(id, 0, Commit)]);
    }
    assert_eq!(bench.settled, [(id, Commit)]);
}

impl Bench {
    /// A commit at 2 whose markers fail after so many.
    fn end_marking_only(&mut self, producer: (i64, i16), markers: usize) -> Result<(i64, i16), ResponseError> {
        self.dies_after = Some(1 + markers);
        let answer = self.end_as(producer, Commit, Classic, 2);
        self.dies_after = None;
        answer
    }
}

#[test]
fn a_step_that_cannot_be_recorded_is_not_taken() {
    let (mut bench, id) = at_epoch(0);
    let fails = |bench: &mut Bench, step: &dyn Fn(&mut Bench) -> Option<ResponseError>, error| {
        let before = (bench.transactions.snapshot(), bench.transactions.next_deadline());
        bench.failing_records = 1;
        assert_eq!(step(bench), Some(error));
        assert_eq!((bench.transactions.snapshot(), bench.transactions.next_deadline()), before);
        assert_eq!(bench.failing_records, 0);
    };
    fails(&mut bench, &|bench| bench.init(None, 1).err(), NotCoordinator);
    fails(&mut bench, &|bench| bench.add((id, 0), &[0], 1).err(), NotCoordinator);
    fails(&mut bench, &|bench| bench.produce((id, 0), 0, Joins, 1).err(), NotEnoughReplicas);
    fails(&mut bench, &|bench| bench.commit_offsets((id, 0), Joins, 1).err(), NotCoordinator);
    bench.add((id, 0), &[0], 1).unwrap();
    fails(&mut bench, &|bench| bench.end_as((id, 0), Commit, Bumping, 1).err(), NotCoordinator);
    fails(&mut bench, &|bench| bench.init(None, 1).err(), NotCoordinator);
    assert!(bench.decisions.is_empty() && bench.markers(0).is_empty());
    bench.failing_records = 1;
    bench.tick(70_000);
    assert_eq!(bench.state(), State::Ongoing);
    assert_eq!(bench.transactions.next_deadline(), Some(70_000 + RETRY_MS), "it is tried again, but not at once");
    bench.tick(70_000 + RETRY_MS);
    assert_eq!(bench.state(), State::CompleteAbort);
}

#[test]
fn offsets_that_were_settled_in_memory_reach_the_journal_with_the_completion() {
    let (mut bench, id) = at_epoch(0);
    bench.commit_offsets((id, 0), Joins, 1).unwrap();
    bench.dies_after = Some(1);
    bench.end_as((id, 0), Commit, Classic, 2).unwrap();
    bench.dies_after = None;
    assert_eq!((bench.state(), bench.pending.len(), bench.pending_kept.len()), (State::PrepareCommit, 0, 1));
    bench.tick(2 + RETRY_MS);
    assert_eq!((bench.state(), bench.pending_kept.len()), (State::CompleteCommit, 0));
    assert_eq!(bench.settled, [(id, Commit)], "once");
    assert!(bench.transactions.owed.is_empty());
}

#[test]
fn a_start_finishes_what_was_decided_and_marks_only_what_is_open() {
    // The decision, three markers, the offsets' line, the completion: dies before each but the first.
    for writes in 1..=6 {
        let (mut bench, id) = at_epoch(0);
        for partition in 0..3 {
            bench.produce((id, 0), partition, Joins, 1).unwrap();
        }
        bench.commit_offsets((id, 0), Joins, 1).unwrap();
        bench.dies_after = Some(writes);
        assert_eq!(bench.end_as((id, 0), Commit, Bumping, 2), Ok((id, 1)));
        bench.restart(3);
        assert_eq!((bench.state(), bench.producer()), (State::CompleteCommit, (id, 1)), "after {writes}");
        for partition in 0..3 {
            assert_eq!(bench.markers(partition), [(id, 1, Commit)], "after {writes}");
        }
        assert!(bench.pending_kept.is_empty() && bench.transactions.owed.is_empty(), "after {writes}");
        assert_eq!(bench.end_as((id, 0), Commit, Bumping, 4), Ok((id, 1)), "the client asks again, and hears it");
    }
}

#[test]
fn an_undecided_transaction_survives_a_restart_and_can_still_end() {
    let (mut bench, id) = at_epoch(0);
    bench.produce((id, 0), 0, Joins, 1).unwrap();
    bench.restart(3);
    assert_eq!(bench.state(), State::Ongoing);
    assert_eq!(bench.transactions.next_deadline(), Some(60_002));
    assert_eq!(bench.end_as((id, 0), Commit, Bumping, 4), Ok((id, 1)));
    assert_eq!(bench.markers(0), [(id, 1, Commit)]);
}

#[test]
fn a_deleted_topic_does_not_keep_a_transaction_from_its_end() {
    let (mut bench, id) = at_epoch(0);
    bench.add((id, 0), &[0], 1).unwrap();
    bench.deleted.insert("orders".to_owned());
    bench.end_as((id, 0), Commit, Classic, 2).unwrap();
    assert_eq!(bench.state(), State::CompleteCommit);
}

#[test]
fn the_journal_says_it_in_these_words() {
    let (mut bench, id) = at_epoch(0);
    bench.journal.clear();
    bench.add((id, 0), &[0, 1], 1).unwrap();
    bench.end_as((id, 0), Commit, Bumping, 2).unwrap();
    let lines: Vec<String> = bench.journal.iter().map(|entry| serde_json::to_string(entry).unwrap()).collect();
    assert_eq!(
        lines,
        [
            r#"{"transaction":{"entered":{"transactional_id":"till","at":1,"partitions":{"orders":[0,1]}}}}"#,
            concat!(
                r#"{"transaction":{"became":{"transactional_id":"till","transaction":{"state":"prepare_commit","#,
                r#""producer_id":0,"epoch":1,"last_epoch":0,"previous_producer_id":0,"timeout_ms":60000,"started":1,"#,
                r#""updated":2,"partitions":{"orders":[0,1]}}}}}"#
            ),
            r#"{"transaction":{"completed":{"transactional_id":"till","at":2}}}"#,
        ]
    );
    let odd = Entry::Transaction(TransactionEntry::Completed { transactional_id: "nobody".to_owned(), at: 1 });
    bench.journal.push(odd);
    bench.restart(3);
    assert_eq!(bench.transactions.get(ID).map(Transaction::producer), Some(Producer { id, epoch: 1 }));
    let gone = Marker { topic: "x".into(), partition: 0, producer: Producer::NONE, outcome: Abort };
    bench.deleted.insert("x".to_owned());
    assert!(bench.mark(&gone, 0).is_ok());
}
