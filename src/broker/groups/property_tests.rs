//! Owns the laws that hold whatever members, administrators, transactions and time do to a group, in any order.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use proptest::prelude::*;

use super::group::GroupState;
use super::test_support::{GROUP, JoinOptions, TestCoordinator, restored};
use super::timers::Timer;
use crate::broker::journal_entry::JournalEntry;
use crate::broker::response::{DeferredResponse, MaybeDeferred, Ticket};

/// Actors: the first two are static, the others dynamic.
const ACTORS: usize = 5;
const INSTANCES: [Option<&str>; ACTORS] = [Some("a"), Some("b"), None, None, None];

#[derive(Debug, Clone)]
enum Step {
    /// JoinOptions under the id it knows, or anew.
    Join {
        actor: usize,
        anew: bool,
        changed: bool,
        version: i16,
    },
    /// Syncs in the generation it knows; gives every member known to it something.
    Sync {
        actor: usize,
    },
    Heartbeat {
        actor: usize,
    },
    Leave {
        actor: usize,
    },
    Commit {
        actor: usize,
        behind: i32,
        partition: i32,
    },
    CommitSimply {
        partition: i32,
    },
    CommitInTransaction {
        actor: usize,
        producer_id: i64,
        partition: i32,
    },
    EndTransaction {
        producer_id: i64,
        committed: bool,
    },
    DeleteTopic,
    Pass {
        ms: i64,
    },
    Break {
        broken: bool,
    },
    /// From the journal as it grew, or from a fresh one.
    Restart {
        fresh: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let actor = || 0..ACTORS;
    prop_oneof![
        8 => (actor(), prop::bool::weighted(0.2), prop::bool::weighted(0.2), prop_oneof![Just(3_i16), Just(9)])
            .prop_map(|(actor, anew, changed, version)| Step::Join { actor, anew, changed, version }),
        8 => actor().prop_map(|actor| Step::Sync { actor }),
        4 => actor().prop_map(|actor| Step::Heartbeat { actor }),
        3 => actor().prop_map(|actor| Step::Leave { actor }),
        4 => (actor(), 0..2, 0..2).prop_map(|(actor, behind, partition)| Step::Commit { actor, behind, partition }),
        1 => (0..2).prop_map(|partition| Step::CommitSimply { partition }),
        2 => (actor(), 1_i64..3, 0..2)
            .prop_map(|(actor, producer_id, partition)| Step::CommitInTransaction { actor, producer_id, partition }),
        2 => (1_i64..3, any::<bool>())
            .prop_map(|(producer_id, committed)| Step::EndTransaction { producer_id, committed }),
        1 => Just(Step::DeleteTopic),
        4 => prop_oneof![Just(1_i64), Just(4_000), Just(9_999), Just(60_000), Just(700_000)]
            .prop_map(|ms| Step::Pass { ms }),
        1 => prop::bool::weighted(0.5).prop_map(|broken| Step::Break { broken }),
        1 => any::<bool>().prop_map(|fresh| Step::Restart { fresh }),
    ]
}

/// What an actor knows of itself.
#[derive(Debug, Clone, Default)]
struct Actor {
    id: String,
    generation: i32,
}

#[derive(Debug)]
struct Simulation {
    coordinator: TestCoordinator,
    actors: Vec<Actor>,
    waiting: BTreeMap<Ticket, usize>,
    /// Highest generation that the group had, until it was deleted or the broker restarted.
    highest: i32,
    offset: i64,
    /// The journal could not be written at times, so an empty generation may be missing in it.
    has_gaps: bool,
}

impl Simulation {
    fn new(initial_delay_ms: i32) -> Self {
        let mut coordinator = TestCoordinator::default();
        coordinator.broker.settings.group_initial_rebalance_delay_ms = initial_delay_ms;
        Self {
            coordinator,
            actors: vec![Actor::default(); ACTORS],
            waiting: BTreeMap::new(),
            highest: 0,
            offset: 0,
            has_gaps: false,
        }
    }

    fn learn(&mut self, actor: usize, answer: &DeferredResponse) {
        let DeferredResponse::Join(answer) = answer else { return };
        let actor = &mut self.actors[actor];
        if answer.error_code == 0 {
            assert!(answer.generation_id > 0);
            let leads = answer.member_id == answer.leader;
            assert!(leads || answer.members.is_empty(), "only the leader learns who the members are");
            assert!(!answer.protocol_name.as_ref().is_none_or(|name| name.is_empty()));
            actor.generation = answer.generation_id;
        }
        actor.id = answer.member_id.to_string();
    }

    fn later_or<T>(&mut self, actor: usize, answer: MaybeDeferred<T>, wrap: impl FnOnce(T) -> DeferredResponse) {
        match answer {
            MaybeDeferred::Now(answer) => {
                let answer = wrap(answer);
                self.learn(actor, &answer);
            }
            MaybeDeferred::Later(ticket) => drop(self.waiting.insert(ticket, actor)),
        }
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Join { actor, anew, changed, version } => {
                let id = if anew { String::new() } else { self.actors[actor].id.clone() };
                let metadata = Bytes::from_static(if changed { b"changed" } else { b"same" });
                let answer = self.coordinator.join(JoinOptions {
                    member: &id,
                    instance: INSTANCES[actor],
                    protocols: vec![("range", metadata.clone()), ("sticky", metadata)],
                    version,
                    ..JoinOptions::default()
                });
                self.later_or(actor, answer, DeferredResponse::Join);
            }
            Step::Sync { actor } => {
                let Actor { id, generation } = self.actors[actor].clone();
                let others: Vec<String> = self.actors.iter().map(|actor| actor.id.clone()).collect();
                let given: Vec<(&str, &'static str)> = others.iter().map(|id| (id.as_str(), "work")).collect();
                let answer = self.coordinator.sync(&id, generation, &given);
                self.later_or(actor, answer, DeferredResponse::Sync);
            }
            Step::Heartbeat { actor } => {
                let Actor { id, generation } = self.actors[actor].clone();
                let known = self.knows(&id, generation);
                let heard = self.coordinator.heartbeat_as(&id, INSTANCES[actor], generation);
                assert!(known || heard.is_err());
            }
            Step::Leave { actor } => {
                let id = self.actors[actor].id.clone();
                self.coordinator.leave(&[(&id, INSTANCES[actor])]);
            }
            Step::Commit { actor, behind, partition } => {
                let Actor { id, generation } = self.actors[actor].clone();
                let known = self.knows(&id, generation - behind);
                self.offset += 1;
                let before = self.coordinator.fetch(partition, false);
                let code = self.coordinator.commit(&id, generation - behind, "orders", partition, self.offset);
                assert!(known || generation - behind < 0 || code != 0, "only members of the generation commit");
                let expected = if code == 0 { (self.offset, 0) } else { before };
                assert_eq!(self.coordinator.fetch(partition, false), expected, "a refused commit leaves no trace");
            }
            Step::CommitSimply { partition } => {
                self.offset += 1;
                let is_empty =
                    self.coordinator.groups.by_id.get(GROUP).is_none_or(|group| group.state == GroupState::Empty);
                let code = self.coordinator.commit("", -1, "orders", partition, self.offset);
                assert_eq!(code == 0, is_empty && !self.coordinator.broker.broken);
            }
            Step::CommitInTransaction { actor, producer_id, partition } => {
                let Actor { id, generation } = self.actors[actor].clone();
                self.offset += 1;
                let before = self.coordinator.fetch(partition, false);
                let code = self.coordinator.commit_in_transaction(producer_id, &id, generation, partition, self.offset);
                assert_eq!(self.coordinator.fetch(partition, false), before, "what is pending is not seen");
                assert!(code != 0 || self.coordinator.fetch(partition, true).1 != 0);
            }
            Step::EndTransaction { producer_id, committed } => self.coordinator.end_transaction(producer_id, committed),
            Step::DeleteTopic => {
                let entries = self.coordinator.groups.topic_deleted("orders");
                self.coordinator.broker.journal.extend(entries);
                assert_eq!((self.coordinator.fetch(0, true), self.coordinator.fetch(1, true)), ((-1, 0), (-1, 0)));
            }
            Step::Pass { ms } => self.coordinator.advance(ms),
            Step::Break { broken } => {
                self.coordinator.broker.broken = broken;
                self.has_gaps |= broken;
            }
            Step::Restart { fresh } => {
                let seen = self.offsets();
                if fresh {
                    self.coordinator.broker.journal =
                        self.coordinator.groups.snapshot().into_iter().map(JournalEntry::Group).collect();
                }
                let restarted = self.coordinator.restarted();
                let broker = std::mem::take(&mut self.coordinator.broker);
                self.coordinator = restarted;
                self.coordinator.broker = broker;
                self.coordinator.broker.broken = false;
                assert_eq!(self.offsets(), seen, "offsets outlive the broker");
                // Connections are gone, and with them who waited.
                self.waiting.clear();
                self.highest = 0;
                self.has_gaps = false;
            }
        }
    }

    /// What is found of the two partitions, with and without looking at open transactions.
    fn offsets(&mut self) -> [(i64, i16); 4] {
        [(0, false), (0, true), (1, false), (1, true)]
            .map(|(partition, stable)| self.coordinator.fetch(partition, stable))
    }

    fn knows(&self, id: &str, generation: i32) -> bool {
        let group = self.coordinator.groups.by_id.get(GROUP);
        group.is_some_and(|group| group.generation == generation && group.members.contains_key(id))
    }

    fn check(&mut self) {
        for (ticket, answer) in std::mem::take(&mut self.coordinator.answered) {
            let actor = self.waiting.remove(&ticket).expect("an answer has a ticket that waits");
            self.learn(actor, &answer);
        }
        let mut awaited = BTreeSet::new();
        if let Some(group) = self.coordinator.groups.by_id.get(GROUP) {
            assert!(group.generation >= self.highest, "generations grow");
            self.highest = group.generation;
            assert_eq!(
                group.state == GroupState::Empty,
                group.members.is_empty() && group.state != GroupState::PreparingRebalance
            );
            assert_eq!(group.leader.is_some(), !group.members.is_empty());
            if let Some(leader) = &group.leader {
                assert!(group.members.contains_key(leader), "the leader is a member");
            }
            let mut instances = BTreeSet::new();
            for (id, member) in &group.members {
                assert_eq!(*id, member.id);
                assert!(!group.pending_members.contains(id));
                assert!(member.instance.as_ref().is_none_or(|instance| instances.insert(instance)));
                for ticket in
                    member.waiting_join.map(|waiting_join| waiting_join.ticket).into_iter().chain(member.waiting_sync)
                {
                    assert!(awaited.insert(ticket));
                }
                assert!(member.waiting_join.is_none() || group.state == GroupState::PreparingRebalance);
                assert!(member.waiting_sync.is_none() || group.state == GroupState::CompletingRebalance);
            }
            assert!(group.pending_sync.iter().all(|id| group.members.contains_key(id)));
            for timer in self.coordinator.groups.timers.running() {
                match timer {
                    Timer::Join { .. } => assert_eq!(group.state, GroupState::PreparingRebalance),
                    Timer::Sync { .. } => assert!(!group.pending_sync.is_empty()),
                    Timer::Heartbeat { member, .. } => {
                        assert!(group.members.contains_key(member) || group.pending_members.contains(member));
                    }
                }
            }
        } else {
            self.highest = 0;
        }
        let waiting: BTreeSet<Ticket> = self.waiting.keys().copied().collect();
        assert_eq!(waiting, awaited, "who waits is waited for: no ticket is forgotten, none is made up");
        let live = self.coordinator.groups.snapshot();
        assert_eq!(restored(live.clone(), 0).snapshot(), live, "a snapshot tells all of it");
        if !self.has_gaps {
            assert_eq!(self.coordinator.restarted().groups.snapshot(), live, "the journal tells the same");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_a_group_keeps_its_laws(
        steps in prop::collection::vec(step(), 1..60),
        initial_delay_ms in prop_oneof![3 => Just(0), 1 => Just(3_000)],
    ) {
        let mut simulation = Simulation::new(initial_delay_ms);
        for step in &steps {
            simulation.take(step);
            simulation.check();
        }
        // In the end everybody who waits is answered.
        simulation.coordinator.broker.broken = false;
        for _ in 0..4 {
            simulation.coordinator.advance(400_000);
            simulation.check();
        }
        prop_assert!(simulation.waiting.is_empty());
    }
}
