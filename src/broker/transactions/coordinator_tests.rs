//! Owns the scripted claims about transactions; what they expect of each sequence was measured on Apache Kafka 4.1.

use kafka_protocol::error::ResponseError;

use super::test_support::{ID, TestCoordinator, identity};
use super::{Marker, TransactionCoordinator, TransactionSupport};
use crate::broker::journal_entry::JournalEntry;
use crate::broker::transactions::{
    EXPIRATION_MS, ProducerIdAndEpoch, RETRY_MS, Transaction, TransactionEntry, TransactionResult, TransactionState,
    TransactionVersion,
};

use ResponseError::{
    ConcurrentTransactions, InvalidProducerEpoch, InvalidProducerIdMapping, InvalidRequest, InvalidTxnState,
    NotCoordinator, NotEnoughReplicas, ProducerFenced, TransactionAbortable,
};
use TransactionResult::{Abort, Commit};
use TransactionSupport::{Add, Verify, VerifyAbortable};
use TransactionVersion::{V1, V2};

/// A transactional id whose producer has come to this epoch.
fn at_epoch(epoch: i16) -> (TestCoordinator, i64) {
    let mut coordinator = TestCoordinator::default();
    let (id, _) = coordinator.init(None, 0).unwrap();
    let transaction = Transaction { epoch, ..coordinator.transactions.get(ID).unwrap().clone() };
    coordinator.replace(ID, transaction).unwrap();
    (coordinator, id)
}

#[test]
fn producer_ids_come_in_blocks_and_none_comes_twice() {
    let mut coordinator = TestCoordinator::default();
    let first: Vec<i64> = (0..1_001).map(|_| coordinator.generate_producer_id().unwrap()).collect();
    assert_eq!(first, (0..1_001).collect::<Vec<i64>>());
    assert_eq!(coordinator.journal.len(), 2, "one line a block");
    coordinator.restart(0);
    assert_eq!(coordinator.generate_producer_id(), Ok(2_000), "the rest of a block is not given after a restart");
    coordinator.compact();
    coordinator.restart(0);
    assert_eq!(coordinator.generate_producer_id(), Ok(3_000));
}

#[test]
fn a_new_instance_gets_the_next_epoch() {
    let mut coordinator = TestCoordinator::default();
    assert_eq!(coordinator.init(None, 0), Ok((0, 0)));
    assert_eq!(coordinator.init(None, 0), Ok((0, 1)));
    assert_eq!(
        TestCoordinator::default().init(Some((5, 3)), 0),
        Ok((0, 0)),
        "nobody is prepare_fence by who was never known"
    );
}

#[test]
fn a_producer_may_have_its_own_epoch_bumped_and_ask_twice() {
    let (mut coordinator, id) = at_epoch(1);
    assert_eq!(coordinator.init(Some((id, 1)), 0), Ok((id, 2)));
    assert_eq!(coordinator.init(Some((id, 1)), 0), Ok((id, 2)), "a retry");
    assert_eq!(coordinator.init(Some((id, 0)), 0), Err(ProducerFenced));
    assert_eq!(coordinator.init(Some((id, 9)), 0), Err(ProducerFenced));
    assert_eq!(coordinator.init(Some((id + 1, 2)), 0), Err(ProducerFenced));
    assert_eq!(coordinator.init(None, 0), Ok((id, 3)));
    assert_eq!(coordinator.init(Some((id, 2)), 0), Err(ProducerFenced), "another instance came between");
}

#[test]
fn an_exhausted_epoch_brings_another_producer_id() {
    let (mut coordinator, id) = at_epoch(32_766);
    let (other, epoch) = coordinator.init(Some((id, 32_766)), 0).unwrap();
    assert!(other > id);
    assert_eq!(epoch, 0);
    assert_eq!(coordinator.init(Some((id, 32_766)), 0), Ok((other, 0)), "a retry");
    assert_eq!(coordinator.init(Some((id, 32_766)), 0), Err(ProducerFenced), "the step after it forgets the old id");

    let (mut coordinator, id) = at_epoch(32_766);
    assert_eq!(coordinator.init(None, 0), Ok((id + 1, 0)));
    assert_eq!(coordinator.init(Some((id, 5)), 0), Err(ProducerFenced));
}

#[test]
fn an_instance_aborts_what_its_predecessor_left_open_and_is_told_to_ask_again() {
    let (mut coordinator, id) = at_epoch(0);
    coordinator.produce((id, 0), 0, Add, 1).unwrap();
    assert_eq!(coordinator.init(None, 2), Err(ConcurrentTransactions));
    assert_eq!((coordinator.state(), coordinator.producer()), (TransactionState::CompleteAbort, (id, 1)));
    assert_eq!(coordinator.markers(0), [(id, 1, Abort)], "the marker fences the predecessor");
    assert_eq!(coordinator.end_as((id, 0), Abort, V1, 3), Err(ProducerFenced));
    assert_eq!(coordinator.end_as((id, 0), Abort, V2, 3), Ok((id, 1)), "it has been aborted indeed");
    assert_eq!(coordinator.end_as((id, 0), Commit, V2, 3), Err(InvalidTxnState));
    assert_eq!(coordinator.init(None, 4), Ok((id, 2)));
    assert_eq!(coordinator.end_as((id, 0), Abort, V2, 5), Err(ProducerFenced));
    assert_eq!(coordinator.produce((id, 0), 0, Add, 5), Err(InvalidProducerEpoch));
    assert_eq!(coordinator.decisions.len(), 1);
}

#[test]
fn fencing_an_exhausted_producer_takes_the_epoch_that_is_kept_for_it() {
    let (mut coordinator, id) = at_epoch(32_766);
    coordinator.produce((id, 32_766), 0, Add, 1).unwrap();
    assert_eq!(coordinator.init(None, 2), Err(ConcurrentTransactions));
    assert_eq!((coordinator.state(), coordinator.producer()), (TransactionState::CompleteAbort, (id, 32_767)));
    assert_eq!(coordinator.init(None, 2), Ok((id + 1, 0)));
}

#[test]
fn the_classic_end_knows_a_retry_by_the_state() {
    let (mut coordinator, id) = at_epoch(3);
    let me = (id, 3);
    for outcome in [Commit, Abort] {
        assert_eq!(coordinator.end_as(me, outcome, V1, 0), Err(InvalidTxnState), "nothing was begun");
    }
    for (outcome, other, state) in
        [(Commit, Abort, TransactionState::CompleteCommit), (Abort, Commit, TransactionState::CompleteAbort)]
    {
        coordinator.add(me, &[0, 1], 1).unwrap();
        assert_eq!(coordinator.end_as((id, 2), outcome, V1, 2), Err(ProducerFenced));
        assert_eq!(coordinator.end_as((id, 4), outcome, V1, 2), Err(ProducerFenced));
        assert_eq!(coordinator.end_as((id + 1, 3), outcome, V1, 2), Err(InvalidProducerIdMapping));
        assert_eq!(coordinator.end_as(me, outcome, V1, 2), Ok(me));
        assert_eq!(coordinator.state(), state);
        assert_eq!(coordinator.end_as(me, outcome, V1, 3), Ok(me));
        assert_eq!(coordinator.end_as(me, other, V1, 3), Err(InvalidTxnState));
    }
    assert_eq!(coordinator.markers(1), [(id, 3, Commit), (id, 3, Abort)], "also where nothing was written");
}

#[test]
fn the_bumping_end_knows_a_retry_by_the_epoch() {
    // By state: what a retry and what the current epoch get, for an abort and for a commit. `Ok(true)` bumps.
    type Row = (TransactionState, [Result<bool, ResponseError>; 4]);
    let table: [Row; 3] = [
        (TransactionState::Empty, [Err(ProducerFenced), Ok(true), Err(ProducerFenced), Err(InvalidTxnState)]),
        (TransactionState::CompleteAbort, [Ok(false), Ok(true), Err(InvalidTxnState), Err(InvalidTxnState)]),
        (TransactionState::CompleteCommit, [Err(InvalidTxnState), Ok(true), Ok(false), Err(InvalidTxnState)]),
    ];
    for (state, expected) in table {
        let cases = [(Abort, 4), (Abort, 5), (Commit, 4), (Commit, 5)];
        for ((outcome, epoch), expected) in cases.into_iter().zip(expected) {
            let (mut coordinator, id) = at_epoch(5);
            let transaction = Transaction { state, ..coordinator.transactions.get(ID).unwrap().clone() };
            coordinator.replace(ID, transaction).unwrap();
            let answer = coordinator.end_as((id, epoch), outcome, V2, 9);
            let expected = expected.map(|bumps| (id, if bumps { 6 } else { 5 }));
            assert_eq!(answer, expected, "{outcome:?} of {state:?} by {epoch}");
            assert_eq!(coordinator.end_as((id, 3), outcome, V2, 9), Err(ProducerFenced));
        }
    }
}

#[test]
fn a_bumping_end_returns_the_epoch_of_the_next_transaction() {
    let (mut coordinator, id) = at_epoch(1);
    coordinator.produce((id, 1), 0, Add, 1).unwrap();
    assert_eq!(coordinator.end_as((id, 0), Abort, V2, 2), Err(ProducerFenced), "a late retry of the one before");
    assert_eq!(coordinator.end_as((id, 1), Commit, V2, 2), Ok((id, 2)));
    assert_eq!(coordinator.end_as((id, 1), Commit, V2, 2), Ok((id, 2)), "a retry");
    assert_eq!(coordinator.markers(0), [(id, 2, Commit)]);
    assert_eq!(coordinator.produce((id, 1), 0, Add, 3), Err(InvalidProducerEpoch), "a late record of the one before");
    coordinator.produce((id, 2), 0, Add, 3).unwrap();
    assert_eq!(coordinator.end_as((id, 1), Commit, V2, 3), Err(ProducerFenced));
}

#[test]
fn a_bumping_end_of_an_exhausted_epoch_returns_another_producer_id() {
    let (mut coordinator, id) = at_epoch(32_766);
    coordinator.produce((id, 32_766), 0, Add, 1).unwrap();
    assert_eq!(coordinator.end_as((id, 32_766), Commit, V2, 2), Ok((id + 1, 0)));
    assert_eq!(coordinator.markers(0), [(id, 32_767, Commit)], "the marker is the old id's");
    assert_eq!(coordinator.end_as((id, 32_766), Commit, V2, 2), Ok((id + 1, 0)), "a retry");
    assert_eq!(coordinator.end_as((id, 32_766), Abort, V2, 2), Err(InvalidTxnState));
    assert_eq!(coordinator.end_as((id, 32_766), Commit, V1, 2), Err(InvalidProducerIdMapping));
    assert_eq!(coordinator.init(Some((id, 32_766)), 3), Ok((id + 1, 0)));
    assert_eq!(coordinator.init(Some((id, 32_766)), 3), Err(ProducerFenced));
    assert_eq!(coordinator.end_as((id, 32_766), Commit, V2, 3), Err(InvalidProducerIdMapping));
}

#[test]
fn an_abort_of_nothing_begins_when_it_is_asked() {
    let (mut coordinator, id) = at_epoch(0);
    assert_eq!(coordinator.end_as((id, 0), Abort, V2, 77), Ok((id, 1)));
    let transaction = coordinator.transactions.get(ID).unwrap();
    assert_eq!((transaction.state, transaction.started), (TransactionState::CompleteAbort, 77));
}

#[test]
fn what_was_not_added_is_refused_in_the_words_of_the_version() {
    let (mut coordinator, id) = at_epoch(0);
    let me = (id, 0);
    coordinator.add(me, &[0], 1).unwrap();
    coordinator.produce(me, 0, Verify, 1).unwrap();
    assert_eq!(coordinator.produce(me, 1, Verify, 1), Err(InvalidTxnState));
    assert_eq!(coordinator.produce(me, 1, VerifyAbortable, 1), Err(TransactionAbortable));
    assert_eq!(coordinator.commit_offsets(me, Verify, 1), Err(InvalidTxnState));
    assert_eq!(coordinator.commit_offsets(me, VerifyAbortable, 1), Err(TransactionAbortable));
    for support in [Verify, VerifyAbortable, Add] {
        assert_eq!(coordinator.produce((id, 1), 0, support, 1), Err(InvalidProducerEpoch));
        assert_eq!(coordinator.produce((id + 1, 0), 0, support, 1), Err(InvalidProducerIdMapping));
        assert_eq!(coordinator.commit_offsets((id, 1), support, 1), Err(InvalidProducerEpoch));
        assert_eq!(coordinator.commit_offsets((id + 1, 0), support, 1), Err(InvalidProducerIdMapping));
        for (name, error) in [("", InvalidRequest), ("nobody", InvalidProducerIdMapping)] {
            let identity = super::ProducerIdentity { transactional_id: name, ..identity(me) };
            assert_eq!(coordinator.add_or_verify_partitions(identity, &[("orders", 0)], support, 1), [Err(error)]);
            assert_eq!(coordinator.add_or_verify_group(identity, "kitchen", support, 1), Err(error));
        }
    }
    assert_eq!([8, 10, 11, 12, 13].map(TransactionSupport::of_produce), [Verify, Verify, VerifyAbortable, Add, Add]);
    assert_eq!([0, 3, 4, 5].map(TransactionSupport::of_offset_commit), [Verify, Verify, VerifyAbortable, Add]);
}

#[test]
fn a_partition_of_the_last_transaction_is_not_part_of_the_next_one() {
    let (mut coordinator, id) = at_epoch(0);
    let me = (id, 0);
    coordinator.add(me, &[0, 1], 1).unwrap();
    coordinator.end_as(me, Commit, V1, 2).unwrap();
    assert_eq!(coordinator.produce(me, 0, Verify, 3), Err(InvalidTxnState));
    coordinator.add(me, &[1], 3).unwrap();
    assert_eq!(coordinator.produce(me, 0, Verify, 3), Err(InvalidTxnState));
}

#[test]
fn a_transaction_over_many_partitions_costs_three_lines() {
    let (mut coordinator, id) = at_epoch(0);
    let me = (id, 0);
    let before = coordinator.journal.len();
    coordinator.add(me, &(0..18).collect::<Vec<i32>>(), 1).unwrap();
    coordinator.add(me, &[3, 4], 1).unwrap();
    for partition in 0..18 {
        coordinator.produce(me, partition, Verify, 1).unwrap();
    }
    coordinator.end_as(me, Commit, V1, 2).unwrap();
    assert_eq!(coordinator.journal.len() - before, 3);
}

#[test]
fn a_transaction_times_out_and_its_producer_is_fenced() {
    let (mut coordinator, id) = at_epoch(0);
    coordinator.produce((id, 0), 0, Add, 1_000).unwrap();
    coordinator.produce((id, 0), 1, Add, 5_000).unwrap();
    coordinator.commit_offsets((id, 0), Add, 5_000).unwrap();
    assert_eq!(coordinator.transactions.next_deadline(), Some(61_001), "counted from its beginning");
    coordinator.tick(61_000);
    assert_eq!(coordinator.state(), TransactionState::Ongoing);
    coordinator.tick(61_001);
    assert_eq!((coordinator.state(), coordinator.producer()), (TransactionState::CompleteAbort, (id, 1)));
    assert_eq!(coordinator.markers(0), [(id, 1, Abort)]);
    assert_eq!(coordinator.settled, [(id, Abort)]);
    assert_eq!(coordinator.produce((id, 0), 0, Add, 61_002), Err(InvalidProducerEpoch));
    assert_eq!(coordinator.end_as((id, 0), Commit, V1, 61_002), Err(ProducerFenced));
    assert_eq!(coordinator.end_as((id, 0), Commit, V2, 61_002), Err(InvalidTxnState));
    assert_eq!(coordinator.end_as((id, 0), Abort, V2, 61_002), Ok((id, 1)));
    assert_eq!(coordinator.init(Some((id, 0)), 61_003), Ok((id, 1)), "KIP-360: it may go on");
}

#[test]
fn an_idle_transactional_id_is_forgotten_after_a_week() {
    let (mut coordinator, id) = at_epoch(0);
    coordinator.produce((id, 0), 0, Add, 10).unwrap();
    coordinator.end_as((id, 0), Commit, V2, 20).unwrap();
    assert_eq!(coordinator.transactions.next_deadline(), Some(20 + EXPIRATION_MS));
    coordinator.tick(19 + EXPIRATION_MS);
    assert!(coordinator.transactions.get(ID).is_some());
    coordinator.tick(20 + EXPIRATION_MS);
    assert!(coordinator.transactions.get(ID).is_none());
    assert_eq!(coordinator.transactions.next_deadline(), None);
    assert_eq!(coordinator.end_as((id, 1), Commit, V2, 0), Err(InvalidProducerIdMapping));
    coordinator.restart(0);
    assert!(coordinator.transactions.get(ID).is_none());
}

#[test]
fn a_marker_that_cannot_be_written_leaves_the_transaction_prepared_until_it_can() {
    let (mut coordinator, id) = at_epoch(0);
    let me = (id, 0);
    coordinator.add(me, &[0, 1, 2], 1).unwrap();
    coordinator.commit_offsets(me, Add, 1).unwrap();
    assert_eq!(coordinator.end_marking_only(me, 1), Ok((id, 0)), "the decision stands");
    assert_eq!(coordinator.state(), TransactionState::PrepareCommit);
    assert_eq!((coordinator.markers(0).len(), coordinator.markers(1).len()), (1, 0));
    assert_eq!(coordinator.troubles.len(), 1);
    assert_eq!(coordinator.end_as(me, Commit, V1, 3), Err(ConcurrentTransactions));
    assert_eq!(coordinator.end_as(me, Abort, V1, 3), Err(InvalidTxnState));
    assert_eq!(coordinator.init(None, 3), Err(ConcurrentTransactions));
    assert_eq!(coordinator.add(me, &[3], 3), Err(ConcurrentTransactions));
    assert_eq!(
        coordinator.produce(me, 0, Add, 3),
        Err(NotEnoughReplicas),
        "a produce knows this error as one to try again"
    );
    assert_eq!(coordinator.commit_offsets(me, Add, 3), Err(ConcurrentTransactions));
    assert_eq!(coordinator.transactions.next_deadline(), Some(2 + RETRY_MS));
    coordinator.tick(1 + RETRY_MS);
    assert_eq!(coordinator.state(), TransactionState::PrepareCommit);
    coordinator.tick(2 + RETRY_MS);
    assert_eq!(coordinator.state(), TransactionState::CompleteCommit);
    for partition in 0..3 {
        assert_eq!(coordinator.markers(partition), [(id, 0, Commit)]);
    }
    assert_eq!(coordinator.settled, [(id, Commit)]);
}

impl TestCoordinator {
    /// A commit at 2 whose markers fail after so many.
    fn end_marking_only(&mut self, producer: (i64, i16), markers: usize) -> Result<(i64, i16), ResponseError> {
        self.dies_after = Some(1 + markers);
        let answer = self.end_as(producer, Commit, V1, 2);
        self.dies_after = None;
        answer
    }
}

#[test]
fn a_step_that_cannot_be_recorded_is_not_taken() {
    let (mut coordinator, id) = at_epoch(0);
    let fails =
        |coordinator: &mut TestCoordinator, step: &dyn Fn(&mut TestCoordinator) -> Option<ResponseError>, error| {
            let before = (coordinator.transactions.snapshot(), coordinator.transactions.next_deadline());
            coordinator.failing_records = 1;
            assert_eq!(step(coordinator), Some(error));
            assert_eq!((coordinator.transactions.snapshot(), coordinator.transactions.next_deadline()), before);
            assert_eq!(coordinator.failing_records, 0);
        };
    fails(&mut coordinator, &|coordinator| coordinator.init(None, 1).err(), NotCoordinator);
    fails(&mut coordinator, &|coordinator| coordinator.add((id, 0), &[0], 1).err(), NotCoordinator);
    fails(&mut coordinator, &|coordinator| coordinator.produce((id, 0), 0, Add, 1).err(), NotEnoughReplicas);
    fails(&mut coordinator, &|coordinator| coordinator.commit_offsets((id, 0), Add, 1).err(), NotCoordinator);
    coordinator.add((id, 0), &[0], 1).unwrap();
    fails(&mut coordinator, &|coordinator| coordinator.end_as((id, 0), Commit, V2, 1).err(), NotCoordinator);
    fails(&mut coordinator, &|coordinator| coordinator.init(None, 1).err(), NotCoordinator);
    assert!(coordinator.decisions.is_empty() && coordinator.markers(0).is_empty());
    coordinator.failing_records = 1;
    coordinator.tick(70_000);
    assert_eq!(coordinator.state(), TransactionState::Ongoing);
    assert_eq!(coordinator.transactions.next_deadline(), Some(70_000 + RETRY_MS), "it is tried again, but not at once");
    coordinator.tick(70_000 + RETRY_MS);
    assert_eq!(coordinator.state(), TransactionState::CompleteAbort);
}

#[test]
fn offsets_that_were_settled_in_memory_reach_the_journal_with_the_completion() {
    let (mut coordinator, id) = at_epoch(0);
    coordinator.commit_offsets((id, 0), Add, 1).unwrap();
    coordinator.dies_after = Some(1);
    coordinator.end_as((id, 0), Commit, V1, 2).unwrap();
    coordinator.dies_after = None;
    assert_eq!(
        (coordinator.state(), coordinator.pending.len(), coordinator.pending_kept.len()),
        (TransactionState::PrepareCommit, 0, 1)
    );
    coordinator.tick(2 + RETRY_MS);
    assert_eq!((coordinator.state(), coordinator.pending_kept.len()), (TransactionState::CompleteCommit, 0));
    assert_eq!(coordinator.settled, [(id, Commit)], "once");
    assert!(coordinator.transactions.unrecorded_offsets.is_empty());
}

#[test]
fn a_start_finishes_what_was_decided_and_marks_only_what_is_open() {
    // The decision, three markers, the offsets' line, the completion: dies before each but the first.
    for writes in 1..=6 {
        let (mut coordinator, id) = at_epoch(0);
        for partition in 0..3 {
            coordinator.produce((id, 0), partition, Add, 1).unwrap();
        }
        coordinator.commit_offsets((id, 0), Add, 1).unwrap();
        coordinator.dies_after = Some(writes);
        assert_eq!(coordinator.end_as((id, 0), Commit, V2, 2), Ok((id, 1)));
        coordinator.restart(3);
        assert_eq!(
            (coordinator.state(), coordinator.producer()),
            (TransactionState::CompleteCommit, (id, 1)),
            "after {writes}"
        );
        for partition in 0..3 {
            assert_eq!(coordinator.markers(partition), [(id, 1, Commit)], "after {writes}");
        }
        assert!(
            coordinator.pending_kept.is_empty() && coordinator.transactions.unrecorded_offsets.is_empty(),
            "after {writes}"
        );
        assert_eq!(coordinator.end_as((id, 0), Commit, V2, 4), Ok((id, 1)), "the client asks again, and hears it");
    }
}

#[test]
fn an_undecided_transaction_survives_a_restart_and_can_still_end() {
    let (mut coordinator, id) = at_epoch(0);
    coordinator.produce((id, 0), 0, Add, 1).unwrap();
    coordinator.restart(3);
    assert_eq!(coordinator.state(), TransactionState::Ongoing);
    assert_eq!(coordinator.transactions.next_deadline(), Some(60_002));
    assert_eq!(coordinator.end_as((id, 0), Commit, V2, 4), Ok((id, 1)));
    assert_eq!(coordinator.markers(0), [(id, 1, Commit)]);
}

#[test]
fn a_deleted_topic_does_not_keep_a_transaction_from_its_end() {
    let (mut coordinator, id) = at_epoch(0);
    coordinator.add((id, 0), &[0], 1).unwrap();
    coordinator.deleted.insert("orders".to_owned());
    coordinator.end_as((id, 0), Commit, V1, 2).unwrap();
    assert_eq!(coordinator.state(), TransactionState::CompleteCommit);
}

#[test]
fn the_journal_says_it_in_these_words() {
    let (mut coordinator, id) = at_epoch(0);
    coordinator.journal.clear();
    coordinator.add((id, 0), &[0, 1], 1).unwrap();
    coordinator.end_as((id, 0), Commit, V2, 2).unwrap();
    let lines: Vec<String> = coordinator.journal.iter().map(|entry| serde_json::to_string(entry).unwrap()).collect();
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
    let odd = JournalEntry::Transaction(TransactionEntry::Completed { transactional_id: "nobody".to_owned(), at: 1 });
    coordinator.journal.push(odd);
    coordinator.restart(3);
    assert_eq!(coordinator.transactions.get(ID).map(Transaction::producer), Some(ProducerIdAndEpoch { id, epoch: 1 }));
    let gone = Marker { topic: "x".into(), partition: 0, producer: ProducerIdAndEpoch::NONE, outcome: Abort };
    coordinator.deleted.insert("x".to_owned());
    assert!(coordinator.append_marker(&gone, 0).is_ok());
}
