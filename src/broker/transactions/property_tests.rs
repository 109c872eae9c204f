//! Owns the laws of transactions: whatever two instances of a producer, failing disks and kills of the process do in whatever order.

use std::collections::BTreeSet;

use kafka_protocol::error::ResponseError;
use proptest::prelude::*;

use super::test_support::{ID, TestCoordinator};
use super::{TransactionCoordinator, TransactionSupport};
use crate::broker::transactions::{
    RETRY_MS, Transaction, TransactionResult, TransactionState, TransactionVersion, Transactions,
};

/// What happens next. The first field of a request is the instance that asks.
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
    /// The process dies after so many writes.
    Die(usize),
    Restart,
    Compact,
}

fn event() -> impl Strategy<Value = Event> {
    let who = 0..2_usize;
    let support = prop_oneof![
        Just(TransactionSupport::Add),
        Just(TransactionSupport::Verify),
        Just(TransactionSupport::VerifyAbortable)
    ];
    let outcome = prop_oneof![Just(TransactionResult::Commit), Just(TransactionResult::Abort)];
    let protocol = prop_oneof![Just(TransactionVersion::V1), Just(TransactionVersion::V2)];
    prop_oneof![
        3 => (who.clone(), any::<bool>()).prop_map(|(who, says)| Event::Init(who, says)),
        1 => Just(Event::Idempotent),
        3 => (who.clone(), prop::collection::vec(0..4_i32, 0..4)).prop_map(|(who, partitions)| Event::Add(who, partitions)),
        6 => (who.clone(), 0..4_i32, support.clone()).prop_map(|(who, to, how)| Event::Produce(who, to, how)),
        3 => (who.clone(), support).prop_map(|(who, how)| Event::Offsets(who, how)),
        6 => (who, outcome, protocol).prop_map(|(who, outcome, by)| Event::End(who, outcome, by)),
        2 => prop_oneof![Just(1), Just(RETRY_MS), Just(61_000)].prop_map(Event::Wait),
        1 => (1..3_usize).prop_map(Event::FailRecords),
        1 => (1..3_usize).prop_map(Event::FailMarks),
        2 => (0..6_usize).prop_map(Event::Die),
        1 => Just(Event::Restart),
        1 => Just(Event::Compact),
    ]
}

struct Simulation {
    coordinator: TestCoordinator,
    now: i64,
    /// Who each instance believes to be.
    instances: [Option<(i64, i16)>; 2],
    given: BTreeSet<i64>,
}

impl Simulation {
    fn new(epoch: i16) -> Self {
        let mut coordinator = TestCoordinator::default();
        let (id, _) = coordinator.init(None, 0).unwrap();
        let transaction = Transaction { epoch, ..coordinator.transactions.get(ID).unwrap().clone() };
        coordinator.replace(ID, transaction).unwrap();
        Self { coordinator, now: 1, instances: [Some((id, epoch)), None], given: BTreeSet::from([id]) }
    }

    fn step(&mut self, event: &Event) {
        let before = self.coordinator.transactions.get(ID).cloned();
        let decided = self.coordinator.decisions.len();
        let current = before.as_ref().map(|transaction| (transaction.producer_id, transaction.epoch));
        match event {
            Event::Init(who, says) => {
                let expected = if *says { self.instances[*who] } else { None };
                if let Ok(producer) = self.coordinator.init(expected, self.now) {
                    // Another id than before was never given to anybody.
                    if current.is_none_or(|(id, _)| id != producer.0) {
                        assert!(self.given.insert(producer.0), "a producer id was given twice");
                    }
                    self.instances[*who] = Some(producer);
                }
            }
            Event::Idempotent => {
                if let Ok(id) = self.coordinator.generate_producer_id() {
                    assert!(self.given.insert(id), "a producer id was given twice");
                }
            }
            Event::Add(who, partitions) => {
                let Some(producer) = self.instances[*who] else { return };
                let answer = self.coordinator.add(producer, partitions, self.now);
                only_the_current(producer, current, answer.is_ok());
            }
            Event::Produce(who, partition, support) => {
                let Some(producer) = self.instances[*who] else { return };
                let answer = self.coordinator.produce(producer, *partition, *support, self.now);
                only_the_current(producer, current, answer.is_ok());
            }
            Event::Offsets(who, support) => {
                let Some(producer) = self.instances[*who] else { return };
                let answer = self.coordinator.commit_offsets(producer, *support, self.now);
                only_the_current(producer, current, answer.is_ok());
            }
            Event::End(who, outcome, protocol) => {
                let Some(producer) = self.instances[*who] else { return };
                let answer = self.coordinator.end_as(producer, *outcome, *protocol, self.now);
                let has_decided = self.coordinator.decisions.len() > decided;
                only_the_current(producer, current, has_decided);
                if let Ok(next) = answer {
                    assert_eq!(self.coordinator.decisions.last().unwrap().outcome, *outcome, "it was told another end");
                    if current.is_some_and(|(id, _)| id != next.0) {
                        assert!(self.given.insert(next.0), "a producer id was given twice");
                    }
                    if *protocol == TransactionVersion::V2 {
                        self.instances[*who] = Some(next);
                    }
                } else {
                    assert!(!has_decided, "an end that was decided was not told");
                }
            }
            Event::Wait(ms) => {
                self.now += ms;
                self.coordinator.tick(self.now);
            }
            Event::FailRecords(count) => self.coordinator.failing_records = *count,
            Event::FailMarks(count) => self.coordinator.failing_marks = *count,
            Event::Die(writes) => self.coordinator.dies_after = Some(*writes),
            Event::Restart => self.restart(),
            Event::Compact => {
                if self.coordinator.dies_after.is_none() {
                    self.coordinator.compact();
                }
            }
        }
        assert!(self.coordinator.decisions.len() <= decided + 1);
        if self.coordinator.is_dead() {
            self.restart();
        }
    }

    fn restart(&mut self) {
        self.coordinator.restart(self.now);
        assert!(
            self.coordinator.transactions.iter().all(|(_, transaction)| transaction.state.prepared_result().is_none())
        );
        restores(&self.coordinator.transactions);
    }

    /// Nothing fails any more, and nobody asks for anything.
    fn settle(&mut self) {
        self.restart();
        self.now += 61_000;
        self.coordinator.tick(self.now);
        for decision in &self.coordinator.decisions {
            assert!(decision.completed, "an end was decided and never completed");
        }
        for ((_, partition), log) in &self.coordinator.logs {
            assert!(log.open.is_empty(), "a transaction hangs in partition {partition}");
        }
        assert!(self.coordinator.pending.is_empty() && self.coordinator.pending_kept.is_empty(), "offsets hang");
        assert_ne!(
            self.coordinator.transactions.get(ID).map(|transaction| transaction.state),
            Some(TransactionState::Ongoing)
        );
    }
}

/// An older epoch never changes anything.
fn only_the_current(identity: (i64, i16), current: Option<(i64, i16)>, changed: bool) {
    if Some(identity) != current {
        assert!(!changed, "{identity:?} was let in, and the producer is {current:?}");
    }
}

/// A journal of what is remembered is remembered as the same.
fn restores(transactions: &Transactions) {
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

    /// A transaction ends once and one way, with one marker for each of its partitions (the coordinator holds that at each write),
    /// nothing hangs, an older epoch changes nothing, and no producer id is given twice.
    #[test]
    fn whatever_happens_each_transaction_ends_once_and_one_way(
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
fn a_killed_broker_owes_no_answer_but_keeps_the_decision() {
    let mut simulation = Simulation::new(0);
    let me = simulation.instances[0].unwrap();
    simulation.coordinator.produce(me, 0, TransactionSupport::Add, 1).unwrap();
    simulation.coordinator.dies_after = Some(0);
    let answer = simulation.coordinator.end_as(me, TransactionResult::Commit, TransactionVersion::V2, 2);
    assert_eq!(answer, Err(ResponseError::NotCoordinator));
    simulation.restart();
    assert_eq!(simulation.coordinator.state(), TransactionState::Ongoing, "nothing was decided");
    simulation.settle();
}
