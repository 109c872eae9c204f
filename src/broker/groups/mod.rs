//! Owns consumer groups: members and their generations, committed and pending offsets, and every request about them.
//!
//! Kafka's classic protocol. Requests go to [`Groups`], which asks the broker around it for little ([`Surroundings`]);
//! what happens to one group within one request or tick is a [`Turn`].

mod admin;
mod commit;
mod coordinator;
mod entry;
mod fetch;
mod group;
mod hex;
mod join;
mod leave;
mod member;
mod offsets;
mod rebalance;
mod requests;
mod sync;
mod timers;
mod weight;

#[cfg(test)]
mod membership_tests;
#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod offset_tests;
#[cfg(test)]
mod restart_tests;
#[cfg(test)]
mod testbed;

use std::collections::BTreeMap;

use kafka_protocol::ResponseError;
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

pub use self::entry::GroupEntry;

use self::group::Group;
use self::offsets::Offsets;
use self::timers::{Timer, Timers};
use super::answer::{Deferred, Outbox, Ticket};
use super::core::NodeSettings;
use super::entry::Entry;
use super::transactions::{Entrance, Speaker};

/// `offsets.retention.check.interval.ms`
const CLEANUP_INTERVAL_MS: i64 = 10 * 60 * 1000;

/// All groups.
#[derive(Debug, Default)]
pub struct Groups {
    by_id: BTreeMap<String, Group>,
    /// Offsets that wait for the end of a transaction: by producer id, then by group.
    pending: BTreeMap<i64, BTreeMap<String, Offsets>>,
    timers: Timers,
    /// Position of the last commit.
    position: u64,
    /// When offsets and groups are looked through for what has expired; never while there are none.
    cleanup_due: Option<i64>,
}

/// What groups need of the broker around them.
pub(super) trait Surroundings {
    /// How the node is configured.
    fn settings(&self) -> &NodeSettings;

    /// Writes to the journal.
    fn record(&mut self, entries: &[Entry]) -> Result<(), ResponseError>;

    /// Whether this partition exists.
    fn has_partition(&self, topic: &str, partition: i32) -> bool;

    /// Whether this producer may write offsets of this group in its transaction, of which the group becomes part.
    fn enter_transaction(
        &mut self,
        speaker: Speaker<'_>,
        group: &str,
        entrance: Entrance,
        now: i64,
    ) -> Result<(), ResponseError>;

    /// A ticket that nobody has.
    fn ticket(&mut self) -> Ticket;

    /// Puts an answer out under its ticket.
    fn put(&mut self, ticket: Ticket, answer: Deferred);

    /// An id that nobody has.
    fn fresh_id(&mut self) -> Uuid;
}

/// One request or tick: its time, and what comes of it.
struct Turn<'a> {
    now: i64,
    timers: &'a mut Timers,
    /// `group.initial.rebalance.delay.ms`; only a join begins a first rebalance.
    initial_delay_ms: i32,
    answers: Vec<(Ticket, Deferred)>,
    /// For the journal, after the fact: an older generation found after a restart does no harm.
    entries: Vec<GroupEntry>,
}

impl<'a> Turn<'a> {
    fn new(now: i64, timers: &'a mut Timers) -> Self {
        Self { now, timers, initial_delay_ms: 0, answers: Vec::new(), entries: Vec::new() }
    }

    /// Hands everything over, and returns the answer under the turn's own ticket if there is one.
    fn finish(self, around: &mut dyn Surroundings, own: Option<Ticket>) -> Option<Deferred> {
        let entries: Vec<Entry> = self.entries.into_iter().map(Entry::Group).collect();
        if !entries.is_empty() && around.record(&entries).is_err() {
            // Noted there. Kafka goes on here, too: the group is empty, and an older generation would time out.
        }
        let mut answered = None;
        for (ticket, answer) in self.answers {
            if own == Some(ticket) {
                answered = Some(answer);
            } else {
                around.put(ticket, answer);
            }
        }
        answered
    }
}

/// Text for the wire.
fn wire(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// What a client is told when the journal could not be written; a coordinator whose disk fails is none any more.
fn refusal_of(error: ResponseError) -> ResponseError {
    match error {
        ResponseError::KafkaStorageError => ResponseError::NotCoordinator,
        error => error,
    }
}

impl From<GroupEntry> for Entry {
    fn from(entry: GroupEntry) -> Self {
        Self::Group(entry)
    }
}

impl Groups {
    /// All of them, by id: Kafka's name of the state, and how many members there are.
    pub fn summary(&self) -> impl Iterator<Item = (&str, &'static str, usize)> {
        self.by_id.values().map(|group| (group.id.as_str(), group.state.name(), group.members.len()))
    }

    /// Takes in what the journal remembers. Members have their session time-out from now on to be heard of.
    pub fn restore(&mut self, entry: GroupEntry, now: i64) {
        let GroupEntry::Generation(record) = entry else { return self.apply(entry) };
        if !self.by_id.contains_key(&record.group) {
            self.insert(Group::new(record.group.clone(), now), now);
        }
        let Self { by_id: groups, timers, .. } = self;
        let Some(group) = groups.get_mut(&record.group) else { return };
        for member in group.members.keys() {
            timers.cancel(&group.heartbeat(member));
        }
        group.restore(record);
        let mut turn = Turn::new(now, timers);
        for member in group.members.keys() {
            group.heard_of(member, &mut turn);
        }
    }

    /// Everything that a fresh journal must hold.
    #[must_use]
    pub fn snapshot(&self) -> Vec<GroupEntry> {
        let recorded = self.by_id.values().filter_map(|group| group.recorded.clone());
        recorded.map(GroupEntry::Generation).chain(self.offset_entries()).collect()
    }

    /// A transaction has ended: its pending offsets become committed or are dropped. Returns what the journal must keep of that.
    pub fn end_transaction(&mut self, producer_id: i64, committed: bool, _now: i64) -> Vec<Entry> {
        if !self.pending.contains_key(&producer_id) {
            return Vec::new();
        }
        let entry = GroupEntry::TransactionEnded { producer_id, committed };
        self.apply(entry.clone());
        vec![entry.into()]
    }

    /// A topic is gone, and with it every group's offsets for it. Returns what the journal must keep of that.
    pub fn topic_deleted(&mut self, topic: &str) -> Vec<Entry> {
        if self.drop_topic(topic) {
            vec![GroupEntry::TopicDeleted { topic: topic.to_owned() }.into()]
        } else {
            Vec::new()
        }
    }

    /// Sessions and rebalances whose time has come. Returns what the journal must keep.
    pub fn tick(&mut self, now: i64, outbox: &mut Outbox) -> Vec<Entry> {
        let mut entries = Vec::new();
        while let Some(timer) = self.timers.take_due(now) {
            let Self { by_id: groups, timers, .. } = self;
            let mut turn = Turn::new(now, timers);
            let (Timer::Join { group } | Timer::Sync { group } | Timer::Heartbeat { group, .. }) = &timer;
            let Some(group) = groups.get_mut(group) else { continue };
            match &timer {
                Timer::Join { .. } => group.join_expired(&mut turn),
                Timer::Sync { .. } => group.sync_expired(&mut turn),
                Timer::Heartbeat { member, .. } => group.heartbeat_expired(member, &mut turn),
            }
            for (ticket, answer) in turn.answers {
                outbox.put(ticket, answer);
            }
            entries.append(&mut turn.entries);
        }
        if self.cleanup_due.is_some_and(|due| due <= now) {
            for entry in self.expired(now) {
                self.apply(entry.clone());
                entries.push(entry);
            }
            self.cleanup_due = (!self.by_id.is_empty()).then_some(now + CLEANUP_INTERVAL_MS);
        }
        entries.into_iter().map(Entry::Group).collect()
    }

    /// Answers every join and sync that waits: this node is nobody's coordinator any more. The groups themselves stay as
    /// the journal has them, for the next start.
    pub fn end_waits(&mut self, now: i64, outbox: &mut Outbox) {
        let Self { by_id: groups, timers, .. } = self;
        let mut turn = Turn::new(now, timers);
        for member in groups.values_mut().flat_map(|group| group.members.values_mut()) {
            member.end_waits(ResponseError::NotCoordinator, &mut turn);
        }
        for (ticket, answer) in turn.answers {
            outbox.put(ticket, answer);
        }
    }

    /// When `tick` has something to do next, in milliseconds by the broker's clock.
    #[must_use]
    pub fn next_deadline(&self) -> Option<i64> {
        self.timers.next().into_iter().chain(self.cleanup_due).min()
    }

    /// Adds a group.
    fn insert(&mut self, group: Group, now: i64) {
        self.cleanup_due.get_or_insert(now + CLEANUP_INTERVAL_MS);
        self.by_id.insert(group.id.clone(), group);
    }

    /// Does what an entry tells of offsets and deletions.
    fn apply(&mut self, entry: GroupEntry) {
        match entry {
            GroupEntry::Offsets(commit) => self.take_offsets(commit),
            GroupEntry::OffsetsDeleted { group, topics } => self.drop_offsets(&group, &topics),
            GroupEntry::TransactionEnded { producer_id, committed } => self.take_end(producer_id, committed),
            GroupEntry::TopicDeleted { topic } => drop(self.drop_topic(&topic)),
            GroupEntry::Deleted { group } => {
                if let Some(removed) = self.by_id.remove(&group) {
                    for member in removed.pending.iter().chain(removed.members.keys()) {
                        self.timers.cancel(&removed.heartbeat(member));
                    }
                }
                self.drop_pending(&group);
            }
            // Only a restart takes a generation from the journal.
            GroupEntry::Generation(_) => {}
        }
    }
}
