//! Property tests of a group: invariants after every step of a random sequence of requests, timeouts, failures and
//! restarts.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use proptest::prelude::*;

use super::group::GroupState;
use super::test_support::{GROUP, JoinOptions, TestCoordinator, restored};
use super::timers::Timer;
use crate::broker::journal::JournalEntry;
use crate::broker::response::{DeferredResponse, MaybeDeferred, Ticket};

/// Actors: the first two are static, the others dynamic.
const ACTORS: usize = 5;
const INSTANCES: [Option<&str>; ACTORS] = [Some("a"), Some("b"), None, None, None];

#[derive(Debug, Clone)]
enum Step {
    /// Joins with the actor's id, or without one.
    Join {
        actor: usize,
        without_id: bool,
        changed: bool,
        version: i16,
    },
    /// Syncs in the actor's generation, with an assignment for every actor.
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
    /// Restarts from the journal, which is rewritten before if `fresh`.
    Restart {
        fresh: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let actor = || 0..ACTORS;
    prop_oneof![
        8 => (actor(), prop::bool::weighted(0.2), prop::bool::weighted(0.2), prop_oneof![Just(3_i16), Just(9)])
            .prop_map(|(actor, without_id, changed, version)| Step::Join { actor, without_id, changed, version }),
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

/// The member id and generation that an actor has received.
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
    /// The highest generation since the group was created or the broker restarted.
    highest: i32,
    offset: i64,
    /// Whether writes to the journal have failed. Then a generation of the empty group may be missing in it.
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

    fn learn(&mut self, actor: usize, response: &DeferredResponse) {
        let DeferredResponse::Join(response) = response else { return };
        let actor = &mut self.actors[actor];
        if response.error_code == 0 {
            assert!(response.generation_id > 0);
            let leads = response.member_id == response.leader;
            assert!(leads || response.members.is_empty(), "only the leader gets the members");
            assert!(!response.protocol_name.as_ref().is_none_or(|name| name.is_empty()));
            actor.generation = response.generation_id;
        }
        actor.id = response.member_id.to_string();
    }

    fn later_or<T>(&mut self, actor: usize, response: MaybeDeferred<T>, wrap: impl FnOnce(T) -> DeferredResponse) {
        match response {
            MaybeDeferred::Now(response) => {
                let response = wrap(response);
                self.learn(actor, &response);
            }
            MaybeDeferred::Later(ticket) => drop(self.waiting.insert(ticket, actor)),
        }
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Join { actor, without_id, changed, version } => {
                let id = if without_id { String::new() } else { self.actors[actor].id.clone() };
                let metadata = Bytes::from_static(if changed { b"changed" } else { b"same" });
                let response = self.coordinator.join(JoinOptions {
                    member: &id,
                    instance: INSTANCES[actor],
                    protocols: vec![("range", metadata.clone()), ("sticky", metadata)],
                    version,
                    ..JoinOptions::default()
                });
                self.later_or(actor, response, DeferredResponse::Join);
            }
            Step::Sync { actor } => {
                let Actor { id, generation } = self.actors[actor].clone();
                let others: Vec<String> = self.actors.iter().map(|actor| actor.id.clone()).collect();
                let given: Vec<(&str, &'static str)> = others.iter().map(|id| (id.as_str(), "work")).collect();
                let response = self.coordinator.sync(&id, generation, &given);
                self.later_or(actor, response, DeferredResponse::Sync);
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
                assert!(known || generation - behind < 0 || code != 0, "only members of the generation may commit");
                let expected = if code == 0 { (self.offset, 0) } else { before };
                assert_eq!(self.coordinator.fetch(partition, false), expected, "a refused commit changes nothing");
            }
            Step::CommitSimply { partition } => {
                self.offset += 1;
                let is_empty =
                    self.coordinator.groups.by_id.get(GROUP).is_none_or(|group| group.state == GroupState::Empty);
                let code = self.coordinator.commit("", -1, "orders", partition, self.offset);
                assert_eq!(code == 0, is_empty && !self.coordinator.broker.journal_fails);
            }
            Step::CommitInTransaction { actor, producer_id, partition } => {
                let Actor { id, generation } = self.actors[actor].clone();
                self.offset += 1;
                let before = self.coordinator.fetch(partition, false);
                let code = self.coordinator.commit_in_transaction(producer_id, &id, generation, partition, self.offset);
                assert_eq!(self.coordinator.fetch(partition, false), before, "pending offsets are not visible");
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
                self.coordinator.broker.journal_fails = broken;
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
                self.coordinator.broker.journal_fails = false;
                assert_eq!(self.offsets(), seen, "offsets survive a restart");
                // The connections are closed, so nothing waits.
                self.waiting.clear();
                self.highest = 0;
                self.has_gaps = false;
            }
        }
    }

    /// The offsets of both partitions, with and without `require_stable`.
    fn offsets(&mut self) -> [(i64, i16); 4] {
        [(0, false), (0, true), (1, false), (1, true)]
            .map(|(partition, stable)| self.coordinator.fetch(partition, stable))
    }

    fn knows(&self, id: &str, generation: i32) -> bool {
        let group = self.coordinator.groups.by_id.get(GROUP);
        group.is_some_and(|group| group.generation == generation && group.members.contains_key(id))
    }

    fn check(&mut self) {
        for (ticket, response) in std::mem::take(&mut self.coordinator.responses) {
            let actor = self.waiting.remove(&ticket).expect("a response has a ticket that waits");
            self.learn(actor, &response);
        }
        let mut awaited = BTreeSet::new();
        if let Some(group) = self.coordinator.groups.by_id.get(GROUP) {
            assert!(group.generation >= self.highest, "generations increase");
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
        assert_eq!(waiting, awaited, "every waiting request belongs to a member");
        let live = self.coordinator.groups.snapshot();
        assert_eq!(restored(live.clone(), 0).snapshot(), live, "the snapshot is complete");
        if !self.has_gaps {
            assert_eq!(self.coordinator.restarted().groups.snapshot(), live, "the journal is complete");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn group_invariants_hold(
        steps in prop::collection::vec(step(), 1..60),
        initial_delay_ms in prop_oneof![3 => Just(0), 1 => Just(3_000)],
    ) {
        let mut simulation = Simulation::new(initial_delay_ms);
        for step in &steps {
            simulation.take(step);
            simulation.check();
        }
        // Every waiting request is answered in the end.
        simulation.coordinator.broker.journal_fails = false;
        for _ in 0..4 {
            simulation.coordinator.advance(400_000);
            simulation.check();
        }
        prop_assert!(simulation.waiting.is_empty());
    }
}
