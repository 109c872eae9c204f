//! Tests of the transaction coordinator. The expected responses were recorded from Apache Kafka 4.1.

use kafka_protocol::error::ResponseError;

use super::test_support::{ID, TestCoordinator, identity};
use super::{Marker, TransactionCoordinator, TransactionSupport};
use crate::broker::journal::JournalEntry;
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

/// A coordinator with a transactional id at this epoch, and its producer id.
fn at_epoch(epoch: i16) -> (TestCoordinator, i64) {
    let mut coordinator = TestCoordinator::default();
    let (id, _) = coordinator.init(None, 0).unwrap();
    let transaction = Transaction { epoch, ..coordinator.transactions.get(ID).unwrap().clone() };
    coordinator.replace(ID, transaction).unwrap();
    (coordinator, id)
}

#[test]
fn producer_ids_are_unique_across_restarts() {
    let mut coordinator = TestCoordinator::default();
    let first: Vec<i64> = (0..1_001).map(|_| coordinator.generate_producer_id().unwrap()).collect();
    assert_eq!(first, (0..1_001).collect::<Vec<i64>>());
    assert_eq!(coordinator.journal.len(), 2, "one entry for each block");
    coordinator.restart(0);
    assert_eq!(coordinator.generate_producer_id(), Ok(2_000), "a restart skips the rest of the block");
    coordinator.compact();
    coordinator.restart(0);
    assert_eq!(coordinator.generate_producer_id(), Ok(3_000));
}

#[test]
fn new_instance_gets_the_next_epoch() {
    let mut coordinator = TestCoordinator::default();
    assert_eq!(coordinator.init(None, 0), Ok((0, 0)));
    assert_eq!(coordinator.init(None, 0), Ok((0, 1)));
    assert_eq!(TestCoordinator::default().init(Some((5, 3)), 0), Ok((0, 0)), "an unknown producer fences no one");
}

#[test]
fn producer_bumps_its_own_epoch() {
    let (mut coordinator, id) = at_epoch(1);
    assert_eq!(coordinator.init(Some((id, 1)), 0), Ok((id, 2)));
    assert_eq!(coordinator.init(Some((id, 1)), 0), Ok((id, 2)), "a retry");
    assert_eq!(coordinator.init(Some((id, 0)), 0), Err(ProducerFenced));
    assert_eq!(coordinator.init(Some((id, 9)), 0), Err(ProducerFenced));
    assert_eq!(coordinator.init(Some((id + 1, 2)), 0), Err(ProducerFenced));
    assert_eq!(coordinator.init(None, 0), Ok((id, 3)));
    assert_eq!(coordinator.init(Some((id, 2)), 0), Err(ProducerFenced), "another instance has bumped the epoch");
}

#[test]
fn exhausted_epoch_rotates_the_producer_id() {
    let (mut coordinator, id) = at_epoch(32_766);
    let (other, epoch) = coordinator.init(Some((id, 32_766)), 0).unwrap();
    assert!(other > id);
    assert_eq!(epoch, 0);
    assert_eq!(coordinator.init(Some((id, 32_766)), 0), Ok((other, 0)), "a retry");
    assert_eq!(coordinator.init(Some((id, 32_766)), 0), Err(ProducerFenced), "the next transition discards the old id");

    let (mut coordinator, id) = at_epoch(32_766);
    assert_eq!(coordinator.init(None, 0), Ok((id + 1, 0)));
    assert_eq!(coordinator.init(Some((id, 5)), 0), Err(ProducerFenced));
}

#[test]
fn new_instance_aborts_the_open_transaction() {
    let (mut coordinator, id) = at_epoch(0);
    coordinator.produce((id, 0), 0, Add, 1).unwrap();
    assert_eq!(coordinator.init(None, 2), Err(ConcurrentTransactions));
    assert_eq!((coordinator.state(), coordinator.producer()), (TransactionState::CompleteAbort, (id, 1)));
    assert_eq!(coordinator.markers(0), [(id, 1, Abort)], "the marker fences the previous instance");
    assert_eq!(coordinator.end_as((id, 0), Abort, V1, 3), Err(ProducerFenced));
    assert_eq!(coordinator.end_as((id, 0), Abort, V2, 3), Ok((id, 1)), "a retry of the abort");
    assert_eq!(coordinator.end_as((id, 0), Commit, V2, 3), Err(InvalidTxnState));
    assert_eq!(coordinator.init(None, 4), Ok((id, 2)));
    assert_eq!(coordinator.end_as((id, 0), Abort, V2, 5), Err(ProducerFenced));
    assert_eq!(coordinator.produce((id, 0), 0, Add, 5), Err(InvalidProducerEpoch));
    assert_eq!(coordinator.decisions.len(), 1);
}

#[test]
fn fencing_an_exhausted_epoch_uses_the_reserved_one() {
    let (mut coordinator, id) = at_epoch(32_766);
    coordinator.produce((id, 32_766), 0, Add, 1).unwrap();
    assert_eq!(coordinator.init(None, 2), Err(ConcurrentTransactions));
    assert_eq!((coordinator.state(), coordinator.producer()), (TransactionState::CompleteAbort, (id, 32_767)));
    assert_eq!(coordinator.init(None, 2), Ok((id + 1, 0)));
}

#[test]
fn end_v1_detects_a_retry_by_the_state() {
    let (mut coordinator, id) = at_epoch(3);
    let me = (id, 3);
    for result in [Commit, Abort] {
        assert_eq!(coordinator.end_as(me, result, V1, 0), Err(InvalidTxnState), "no transaction was started");
    }
    for (result, other, state) in
        [(Commit, Abort, TransactionState::CompleteCommit), (Abort, Commit, TransactionState::CompleteAbort)]
    {
        coordinator.add(me, &[0, 1], 1).unwrap();
        assert_eq!(coordinator.end_as((id, 2), result, V1, 2), Err(ProducerFenced));
        assert_eq!(coordinator.end_as((id, 4), result, V1, 2), Err(ProducerFenced));
        assert_eq!(coordinator.end_as((id + 1, 3), result, V1, 2), Err(InvalidProducerIdMapping));
        assert_eq!(coordinator.end_as(me, result, V1, 2), Ok(me));
        assert_eq!(coordinator.state(), state);
        assert_eq!(coordinator.end_as(me, result, V1, 3), Ok(me));
        assert_eq!(coordinator.end_as(me, other, V1, 3), Err(InvalidTxnState));
    }
    assert_eq!(
        coordinator.markers(1),
        [(id, 3, Commit), (id, 3, Abort)],
        "partitions without records get markers, too"
    );
}

#[test]
fn end_v2_detects_a_retry_by_the_epoch() {
    // For each state: abort by a retry, abort by the current epoch, commit by a retry, commit by the current epoch.
    // `Ok(true)` bumps.
    type Row = (TransactionState, [Result<bool, ResponseError>; 4]);
    let table: [Row; 3] = [
        (TransactionState::Empty, [Err(ProducerFenced), Ok(true), Err(ProducerFenced), Err(InvalidTxnState)]),
        (TransactionState::CompleteAbort, [Ok(false), Ok(true), Err(InvalidTxnState), Err(InvalidTxnState)]),
        (TransactionState::CompleteCommit, [Err(InvalidTxnState), Ok(true), Ok(false), Err(InvalidTxnState)]),
    ];
    for (state, expected) in table {
        let cases = [(Abort, 4), (Abort, 5), (Commit, 4), (Commit, 5)];
        for ((result, epoch), expected) in cases.into_iter().zip(expected) {
            let (mut coordinator, id) = at_epoch(5);
            let transaction = Transaction { state, ..coordinator.transactions.get(ID).unwrap().clone() };
            coordinator.replace(ID, transaction).unwrap();
            let response = coordinator.end_as((id, epoch), result, V2, 9);
            let expected = expected.map(|bumps| (id, if bumps { 6 } else { 5 }));
            assert_eq!(response, expected, "{result:?} of {state:?} by {epoch}");
            assert_eq!(coordinator.end_as((id, 3), result, V2, 9), Err(ProducerFenced));
        }
    }
}

#[test]
fn end_v2_bumps_the_epoch() {
    let (mut coordinator, id) = at_epoch(1);
    coordinator.produce((id, 1), 0, Add, 1).unwrap();
    assert_eq!(
        coordinator.end_as((id, 0), Abort, V2, 2),
        Err(ProducerFenced),
        "a late retry of the previous transaction"
    );
    assert_eq!(coordinator.end_as((id, 1), Commit, V2, 2), Ok((id, 2)));
    assert_eq!(coordinator.end_as((id, 1), Commit, V2, 2), Ok((id, 2)), "a retry");
    assert_eq!(coordinator.markers(0), [(id, 2, Commit)]);
    assert_eq!(
        coordinator.produce((id, 1), 0, Add, 3),
        Err(InvalidProducerEpoch),
        "a late record of the previous transaction"
    );
    coordinator.produce((id, 2), 0, Add, 3).unwrap();
    assert_eq!(coordinator.end_as((id, 1), Commit, V2, 3), Err(ProducerFenced));
}

#[test]
fn end_v2_rotates_an_exhausted_producer_id() {
    let (mut coordinator, id) = at_epoch(32_766);
    coordinator.produce((id, 32_766), 0, Add, 1).unwrap();
    assert_eq!(coordinator.end_as((id, 32_766), Commit, V2, 2), Ok((id + 1, 0)));
    assert_eq!(coordinator.markers(0), [(id, 32_767, Commit)], "the marker has the old id");
    assert_eq!(coordinator.end_as((id, 32_766), Commit, V2, 2), Ok((id + 1, 0)), "a retry");
    assert_eq!(coordinator.end_as((id, 32_766), Abort, V2, 2), Err(InvalidTxnState));
    assert_eq!(coordinator.end_as((id, 32_766), Commit, V1, 2), Err(InvalidProducerIdMapping));
    assert_eq!(coordinator.init(Some((id, 32_766)), 3), Ok((id + 1, 0)));
    assert_eq!(coordinator.init(Some((id, 32_766)), 3), Err(ProducerFenced));
    assert_eq!(coordinator.end_as((id, 32_766), Commit, V2, 3), Err(InvalidProducerIdMapping));
}

#[test]
fn abort_v2_without_a_transaction() {
    let (mut coordinator, id) = at_epoch(0);
    assert_eq!(coordinator.end_as((id, 0), Abort, V2, 77), Ok((id, 1)));
    let transaction = coordinator.transactions.get(ID).unwrap();
    assert_eq!((transaction.state, transaction.started), (TransactionState::CompleteAbort, 77));
}

#[test]
fn partitions_not_added_are_refused_by_version() {
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
        for (name, error) in [("", InvalidRequest), ("unknown", InvalidProducerIdMapping)] {
            let identity = super::ProducerIdentity { transactional_id: name, ..identity(me) };
            assert_eq!(coordinator.add_or_verify_partitions(identity, &[("orders", 0)], support, 1), [Err(error)]);
            assert_eq!(coordinator.add_or_verify_group(identity, "kitchen", support, 1), Err(error));
        }
    }
    assert_eq!([8, 10, 11, 12, 13].map(TransactionSupport::of_produce), [Verify, Verify, VerifyAbortable, Add, Add]);
    assert_eq!([0, 3, 4, 5].map(TransactionSupport::of_offset_commit), [Verify, Verify, VerifyAbortable, Add]);
}

#[test]
fn partitions_are_added_to_one_transaction_only() {
    let (mut coordinator, id) = at_epoch(0);
    let me = (id, 0);
    coordinator.add(me, &[0, 1], 1).unwrap();
    coordinator.end_as(me, Commit, V1, 2).unwrap();
    assert_eq!(coordinator.produce(me, 0, Verify, 3), Err(InvalidTxnState));
    coordinator.add(me, &[1], 3).unwrap();
    assert_eq!(coordinator.produce(me, 0, Verify, 3), Err(InvalidTxnState));
}

#[test]
fn transaction_writes_three_journal_entries() {
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
fn timeout_aborts_and_fences_the_producer() {
    let (mut coordinator, id) = at_epoch(0);
    coordinator.produce((id, 0), 0, Add, 1_000).unwrap();
    coordinator.produce((id, 0), 1, Add, 5_000).unwrap();
    coordinator.commit_offsets((id, 0), Add, 5_000).unwrap();
    assert_eq!(coordinator.transactions.next_deadline(), Some(61_001), "from the start of the transaction");
    coordinator.tick(61_000);
    assert_eq!(coordinator.state(), TransactionState::Ongoing);
    coordinator.tick(61_001);
    assert_eq!((coordinator.state(), coordinator.producer()), (TransactionState::CompleteAbort, (id, 1)));
    assert_eq!(coordinator.markers(0), [(id, 1, Abort)]);
    assert_eq!(coordinator.ended_offsets, [(id, Abort)]);
    assert_eq!(coordinator.produce((id, 0), 0, Add, 61_002), Err(InvalidProducerEpoch));
    assert_eq!(coordinator.end_as((id, 0), Commit, V1, 61_002), Err(ProducerFenced));
    assert_eq!(coordinator.end_as((id, 0), Commit, V2, 61_002), Err(InvalidTxnState));
    assert_eq!(coordinator.end_as((id, 0), Abort, V2, 61_002), Ok((id, 1)));
    assert_eq!(coordinator.init(Some((id, 0)), 61_003), Ok((id, 1)), "KIP-360: the producer may bump its epoch");
}

#[test]
fn idle_transactional_id_expires_after_7_days() {
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
fn failed_marker_is_retried() {
    let (mut coordinator, id) = at_epoch(0);
    let me = (id, 0);
    coordinator.add(me, &[0, 1, 2], 1).unwrap();
    coordinator.commit_offsets(me, Add, 1).unwrap();
    assert_eq!(coordinator.end_with_markers(me, 1), Ok((id, 0)), "the commit is decided");
    assert_eq!(coordinator.state(), TransactionState::PrepareCommit);
    assert_eq!((coordinator.markers(0).len(), coordinator.markers(1).len()), (1, 0));
    assert_eq!(coordinator.warnings.len(), 1);
    assert_eq!(coordinator.end_as(me, Commit, V1, 3), Err(ConcurrentTransactions));
    assert_eq!(coordinator.end_as(me, Abort, V1, 3), Err(InvalidTxnState));
    assert_eq!(coordinator.init(None, 3), Err(ConcurrentTransactions));
    assert_eq!(coordinator.add(me, &[3], 3), Err(ConcurrentTransactions));
    assert_eq!(coordinator.produce(me, 0, Add, 3), Err(NotEnoughReplicas), "a retriable error of Produce");
    assert_eq!(coordinator.commit_offsets(me, Add, 3), Err(ConcurrentTransactions));
    assert_eq!(coordinator.transactions.next_deadline(), Some(2 + RETRY_MS));
    coordinator.tick(1 + RETRY_MS);
    assert_eq!(coordinator.state(), TransactionState::PrepareCommit);
    coordinator.tick(2 + RETRY_MS);
    assert_eq!(coordinator.state(), TransactionState::CompleteCommit);
    for partition in 0..3 {
        assert_eq!(coordinator.markers(partition), [(id, 0, Commit)]);
    }
    assert_eq!(coordinator.ended_offsets, [(id, Commit)]);
}

impl TestCoordinator {
    /// Commits at time 2 and writes only this many markers.
    fn end_with_markers(&mut self, producer: (i64, i16), markers: usize) -> Result<(i64, i16), ResponseError> {
        self.killed_after = Some(1 + markers);
        let response = self.end_as(producer, Commit, V1, 2);
        self.killed_after = None;
        response
    }
}

#[test]
fn changes_need_the_journal() {
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
    assert_eq!(coordinator.transactions.next_deadline(), Some(70_000 + RETRY_MS), "retried after a delay");
    coordinator.tick(70_000 + RETRY_MS);
    assert_eq!(coordinator.state(), TransactionState::CompleteAbort);
}

#[test]
fn offsets_are_recorded_with_the_completion() {
    let (mut coordinator, id) = at_epoch(0);
    coordinator.commit_offsets((id, 0), Add, 1).unwrap();
    coordinator.killed_after = Some(1);
    coordinator.end_as((id, 0), Commit, V1, 2).unwrap();
    coordinator.killed_after = None;
    assert_eq!(
        (coordinator.state(), coordinator.pending.len(), coordinator.pending_in_journal.len()),
        (TransactionState::PrepareCommit, 0, 1)
    );
    coordinator.tick(2 + RETRY_MS);
    assert_eq!((coordinator.state(), coordinator.pending_in_journal.len()), (TransactionState::CompleteCommit, 0));
    assert_eq!(coordinator.ended_offsets, [(id, Commit)], "once");
    assert!(coordinator.transactions.unrecorded_offsets.is_empty());
}

#[test]
fn restart_completes_a_prepared_transaction() {
    // The writes are the decision, three markers, the offsets and the completion. The process is killed after each of
    // them.
    for writes in 1..=6 {
        let (mut coordinator, id) = at_epoch(0);
        for partition in 0..3 {
            coordinator.produce((id, 0), partition, Add, 1).unwrap();
        }
        coordinator.commit_offsets((id, 0), Add, 1).unwrap();
        coordinator.killed_after = Some(writes);
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
            coordinator.pending_in_journal.is_empty() && coordinator.transactions.unrecorded_offsets.is_empty(),
            "after {writes}"
        );
        assert_eq!(coordinator.end_as((id, 0), Commit, V2, 4), Ok((id, 1)), "the retry of the client");
    }
}

#[test]
fn open_transaction_survives_a_restart() {
    let (mut coordinator, id) = at_epoch(0);
    coordinator.produce((id, 0), 0, Add, 1).unwrap();
    coordinator.restart(3);
    assert_eq!(coordinator.state(), TransactionState::Ongoing);
    assert_eq!(coordinator.transactions.next_deadline(), Some(60_002));
    assert_eq!(coordinator.end_as((id, 0), Commit, V2, 4), Ok((id, 1)));
    assert_eq!(coordinator.markers(0), [(id, 1, Commit)]);
}

#[test]
fn transaction_with_a_deleted_topic_ends() {
    let (mut coordinator, id) = at_epoch(0);
    coordinator.add((id, 0), &[0], 1).unwrap();
    coordinator.deleted.insert("orders".to_owned());
    coordinator.end_as((id, 0), Commit, V1, 2).unwrap();
    assert_eq!(coordinator.state(), TransactionState::CompleteCommit);
}

#[test]
fn journal_format() {
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
    let unknown =
        JournalEntry::Transaction(TransactionEntry::Completed { transactional_id: "unknown".to_owned(), at: 1 });
    coordinator.journal.push(unknown);
    coordinator.restart(3);
    assert_eq!(coordinator.transactions.get(ID).map(Transaction::producer), Some(ProducerIdAndEpoch { id, epoch: 1 }));
    let gone = Marker { topic: "x".into(), partition: 0, producer: ProducerIdAndEpoch::NONE, result: Abort };
    coordinator.deleted.insert("x".to_owned());
    assert!(coordinator.append_marker(&gone, 0).is_ok());
}
