//! Property tests of transactions: two instances of a producer, failing writes and kills of the process, in random
//! order.

use std::collections::BTreeSet;

use kafka_protocol::error::ResponseError;
use proptest::prelude::*;

use super::test_support::{ID, TestCoordinator};
use super::{TransactionCoordinator, TransactionSupport};
use crate::broker::transactions::{
    RETRY_MS, Transaction, TransactionResult, TransactionState, TransactionVersion, Transactions,
};

/// One random event. The first field of a request is the instance that sends it.
#[derive(Debug, Clone)]
enum Event {
    Init(usize, bool),
    Idempotent,
    Add(usize, Vec<i32>),
    Produce(usize, i32, TransactionSupport),
    Offsets(usize, TransactionSupport),
    End(usize, TransactionResult, TransactionVersion),
    Wait(i64),
    FailRecords(usize),
    FailMarks(usize),
    /// The process is killed after this many writes.
    Kill(usize),
    Restart,
    Compact,
}

fn event() -> impl Strategy<Value = Event> {
    let instance = 0..2_usize;
    let support = prop_oneof![
        Just(TransactionSupport::Add),
        Just(TransactionSupport::Verify),
        Just(TransactionSupport::VerifyAbortable)
    ];
    let result = prop_oneof![Just(TransactionResult::Commit), Just(TransactionResult::Abort)];
    let version = prop_oneof![Just(TransactionVersion::V1), Just(TransactionVersion::V2)];
    prop_oneof![
        3 => (instance.clone(), any::<bool>()).prop_map(|(instance, with_producer)| Event::Init(instance, with_producer)),
        1 => Just(Event::Idempotent),
        3 => (instance.clone(), prop::collection::vec(0..4_i32, 0..4)).prop_map(|(instance, partitions)| Event::Add(instance, partitions)),
        6 => (instance.clone(), 0..4_i32, support.clone()).prop_map(|(instance, to, how)| Event::Produce(instance, to, how)),
        3 => (instance.clone(), support).prop_map(|(instance, how)| Event::Offsets(instance, how)),
        6 => (instance, result, version).prop_map(|(instance, result, by)| Event::End(instance, result, by)),
        2 => prop_oneof![Just(1), Just(RETRY_MS), Just(61_000)].prop_map(Event::Wait),
        1 => (1..3_usize).prop_map(Event::FailRecords),
        1 => (1..3_usize).prop_map(Event::FailMarks),
        2 => (0..6_usize).prop_map(Event::Kill),
        1 => Just(Event::Restart),
        1 => Just(Event::Compact),
    ]
}

struct Simulation {
    coordinator: TestCoordinator,
    now: i64,
    /// The producer id and epoch of each instance.
    instances: [Option<(i64, i16)>; 2],
    used_ids: BTreeSet<i64>,
}

impl Simulation {
    fn new(epoch: i16) -> Self {
        let mut coordinator = TestCoordinator::default();
        let (id, _) = coordinator.init(None, 0).unwrap();
        let transaction = Transaction { epoch, ..coordinator.transactions.get(ID).unwrap().clone() };
        coordinator.replace(ID, transaction).unwrap();
        Self { coordinator, now: 1, instances: [Some((id, epoch)), None], used_ids: BTreeSet::from([id]) }
    }

    fn step(&mut self, event: &Event) {
        let before = self.coordinator.transactions.get(ID).cloned();
        let decided = self.coordinator.decisions.len();
        let current = before.as_ref().map(|transaction| (transaction.producer_id, transaction.epoch));
        match event {
            Event::Init(instance, with_producer) => {
                let expected = if *with_producer { self.instances[*instance] } else { None };
                if let Ok(producer) = self.coordinator.init(expected, self.now) {
                    // A new producer id must never have been used.
                    if current.is_none_or(|(id, _)| id != producer.0) {
                        assert!(self.used_ids.insert(producer.0), "a producer id was used twice");
                    }
                    self.instances[*instance] = Some(producer);
                }
            }
            Event::Idempotent => {
                if let Ok(id) = self.coordinator.generate_producer_id() {
                    assert!(self.used_ids.insert(id), "a producer id was used twice");
                }
            }
            Event::Add(instance, partitions) => {
                let Some(producer) = self.instances[*instance] else { return };
                let response = self.coordinator.add(producer, partitions, self.now);
                assert_only_current(producer, current, response.is_ok());
            }
            Event::Produce(instance, partition, support) => {
                let Some(producer) = self.instances[*instance] else { return };
                let response = self.coordinator.produce(producer, *partition, *support, self.now);
                assert_only_current(producer, current, response.is_ok());
            }
            Event::Offsets(instance, support) => {
                let Some(producer) = self.instances[*instance] else { return };
                let response = self.coordinator.commit_offsets(producer, *support, self.now);
                assert_only_current(producer, current, response.is_ok());
            }
            Event::End(instance, result, version) => {
                let Some(producer) = self.instances[*instance] else { return };
                let response = self.coordinator.end_as(producer, *result, *version, self.now);
                let has_decided = self.coordinator.decisions.len() > decided;
                assert_only_current(producer, current, has_decided);
                if let Ok(next) = response {
                    assert_eq!(
                        self.coordinator.decisions.last().unwrap().result,
                        *result,
                        "the response has another outcome"
                    );
                    if current.is_some_and(|(id, _)| id != next.0) {
                        assert!(self.used_ids.insert(next.0), "a producer id was used twice");
                    }
                    if *version == TransactionVersion::V2 {
                        self.instances[*instance] = Some(next);
                    }
                } else {
                    assert!(!has_decided, "the outcome was decided, but the request failed");
                }
            }
            Event::Wait(ms) => {
                self.now += ms;
                self.coordinator.tick(self.now);
            }
            Event::FailRecords(count) => self.coordinator.failing_records = *count,
            Event::FailMarks(count) => self.coordinator.failing_markers = *count,
            Event::Kill(writes) => self.coordinator.killed_after = Some(*writes),
            Event::Restart => self.restart(),
            Event::Compact => {
                if self.coordinator.killed_after.is_none() {
                    self.coordinator.compact();
                }
            }
        }
        assert!(self.coordinator.decisions.len() <= decided + 1);
        if self.coordinator.is_killed() {
            self.restart();
        }
    }

    fn restart(&mut self) {
        self.coordinator.restart(self.now);
        assert!(
            self.coordinator.transactions.iter().all(|(_, transaction)| transaction.state.prepared_result().is_none())
        );
        assert_snapshot_restores(&self.coordinator.transactions);
    }

    /// Restarts without failures and lets every timeout expire.
    fn settle(&mut self) {
        self.restart();
        self.now += 61_000;
        self.coordinator.tick(self.now);
        for decision in &self.coordinator.decisions {
            assert!(decision.completed, "a prepared transaction was not completed");
        }
        for ((_, partition), log) in &self.coordinator.logs {
            assert!(log.open.is_empty(), "hanging transaction in partition {partition}");
        }
        assert!(
            self.coordinator.pending.is_empty() && self.coordinator.pending_in_journal.is_empty(),
            "offsets are still pending"
        );
        assert_ne!(
            self.coordinator.transactions.get(ID).map(|transaction| transaction.state),
            Some(TransactionState::Ongoing)
        );
    }
}

/// Only the current producer may change anything.
fn assert_only_current(identity: (i64, i16), current: Option<(i64, i16)>, changed: bool) {
    if Some(identity) != current {
        assert!(!changed, "{identity:?} was accepted, but the producer is {current:?}");
    }
}

/// The snapshot restores the same transactions.
fn assert_snapshot_restores(transactions: &Transactions) {
    let mut restored = Transactions::default();
    for entry in transactions.snapshot() {
        restored.restore(entry);
    }
    assert_eq!(restored.by_id, transactions.by_id);
    assert_eq!(restored.deadlines, transactions.deadlines);
    assert_eq!(restored.producer_ids_until, transactions.producer_ids_until);
    assert!(restored.next_producer_id >= transactions.next_producer_id);
    assert_eq!(restored.snapshot(), transactions.snapshot());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// A transaction ends once, with one outcome and one marker for each partition (checked by `TestCoordinator` at
    /// each write), no transaction hangs, an old epoch changes nothing, and no producer id is used twice.
    #[test]
    fn transaction_invariants_hold(
        epoch in prop_oneof![Just(0_i16), Just(32_764_i16)],
        events in prop::collection::vec(event(), 1..60),
    ) {
        let mut simulation = Simulation::new(epoch);
        for event in &events {
            simulation.step(event);
            simulation.now += 1;
        }
        simulation.settle();
    }
}

#[test]
fn kill_before_the_decision_decides_nothing() {
    let mut simulation = Simulation::new(0);
    let me = simulation.instances[0].unwrap();
    simulation.coordinator.produce(me, 0, TransactionSupport::Add, 1).unwrap();
    simulation.coordinator.killed_after = Some(0);
    let response = simulation.coordinator.end_as(me, TransactionResult::Commit, TransactionVersion::V2, 2);
    assert_eq!(response, Err(ResponseError::NotCoordinator));
    simulation.restart();
    assert_eq!(simulation.coordinator.state(), TransactionState::Ongoing, "nothing was decided");
    simulation.settle();
}
