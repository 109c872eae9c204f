//! Owns consumer groups: members and their generations, committed and pending offsets, and every request about them.
//!
//! Kafka's classic protocol. Requests go to [`Groups`], which asks the broker broker it for little ([`GroupContext`]);
//! what happens to one group within one request or tick is a [`Operation`].

mod admin;
mod commit;
mod fetch;
mod find_coordinator;
mod group;
mod join;
mod journal_entry;
mod leave;
mod member;
mod memory;
mod offsets;
mod rebalance;
mod requests;
mod serde_hex;
mod sync;
mod timers;

#[cfg(test)]
mod membership_tests;
#[cfg(test)]
mod offset_tests;
#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod restart_tests;
#[cfg(test)]
mod test_support;

use std::collections::BTreeMap;

use kafka_protocol::ResponseError;
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

pub use self::journal_entry::GroupEntry;

use self::group::Group;
use self::offsets::Offsets;
use self::timers::{Timer, Timers};
use super::core::NodeSettings;
use super::journal_entry::JournalEntry;
use super::response::{DeferredResponse, Outbox, Ticket};
use super::transactions::{ProducerIdentity, TransactionSupport};

/// `offsets.retention.check.interval.ms`
const CLEANUP_INTERVAL_MS: i64 = 10 * 60 * 1000;

/// All groups.
#[derive(Debug, Default)]
pub struct Groups {
    by_id: BTreeMap<String, Group>,
    /// Offsets that wait for the end of a transaction: by producer id, then by group.
    pending_offsets: BTreeMap<i64, BTreeMap<String, Offsets>>,
    timers: Timers,
    /// Position of the last commit.
    position: u64,
    /// When offsets and groups are looked through for what has expired; never while there are none.
    cleanup_due: Option<i64>,
}

/// What groups need of the broker broker them.
pub(super) trait GroupContext {
    /// How the node is configured.
    fn settings(&self) -> &NodeSettings;

    /// Writes to the journal.
    fn record(&mut self, entries: &[JournalEntry]) -> Result<(), ResponseError>;

    /// Whether this partition exists.
    fn has_partition(&self, topic: &str, partition: i32) -> bool;

    /// Whether this producer may write offsets of this group in its transaction, of which the group becomes part.
    fn add_group_to_transaction(
        &mut self,
        identity: ProducerIdentity<'_>,
        group: &str,
        support: TransactionSupport,
        now: i64,
    ) -> Result<(), ResponseError>;

    /// A ticket that nobody has.
    fn ticket(&mut self) -> Ticket;

    /// Puts an answer out under its ticket.
    fn put(&mut self, ticket: Ticket, answer: DeferredResponse);

    /// An id that nobody has.
    fn new_uuid(&mut self) -> Uuid;
}

/// One request or tick: its time, and what comes of it.
struct Operation<'a> {
    now: i64,
    timers: &'a mut Timers,
    /// `group.initial.rebalance.delay.ms`; only a join begins a first rebalance.
    initial_delay_ms: i32,
    answers: Vec<(Ticket, DeferredResponse)>,
    /// For the journal, after the fact: an older generation found after a restart does no harm.
    entries: Vec<GroupEntry>,
}

impl<'a> Operation<'a> {
    fn new(now: i64, timers: &'a mut Timers) -> Self {
        Self { now, timers, initial_delay_ms: 0, answers: Vec::new(), entries: Vec::new() }
    }

    /// Hands everything over, and returns the answer under the op's own ticket if there is one.
    fn finish(self, broker: &mut dyn GroupContext, own: Option<Ticket>) -> Option<DeferredResponse> {
        let entries: Vec<JournalEntry> = self.entries.into_iter().map(JournalEntry::Group).collect();
        if !entries.is_empty() && broker.record(&entries).is_err() {
            // Noted there. Kafka goes on here, too: the group is empty, and an older generation would time out.
        }
        let mut answered = None;
        for (ticket, answer) in self.answers {
            if own == Some(ticket) {
                answered = Some(answer);
            } else {
                broker.put(ticket, answer);
            }
        }
        answered
    }
}

/// Text for the wire.
fn str_bytes(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// What a client is told when the journal could not be written; a coordinator whose disk fails is none any more.
fn coordinator_error(error: ResponseError) -> ResponseError {
    match error {
        ResponseError::KafkaStorageError => ResponseError::NotCoordinator,
        error => error,
    }
}

impl From<GroupEntry> for JournalEntry {
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
            timers.cancel(&group.heartbeat_timer(member));
        }
        group.restore(record);
        let mut op = Operation::new(now, timers);
        for member in group.members.keys() {
            group.restart_session(member, &mut op);
        }
    }

    /// Everything that a fresh journal must hold.
    #[must_use]
    pub fn snapshot(&self) -> Vec<GroupEntry> {
        let recorded = self.by_id.values().filter_map(|group| group.recorded.clone());
        recorded.map(GroupEntry::Generation).chain(self.offset_entries()).collect()
    }

    /// A transaction has ended: its pending offsets become committed or are dropped. Returns what the journal must keep of that.
    pub fn end_transaction(&mut self, producer_id: i64, committed: bool, _now: i64) -> Vec<JournalEntry> {
        if !self.pending_offsets.contains_key(&producer_id) {
            return Vec::new();
        }
        let entry = GroupEntry::TransactionEnded { producer_id, committed };
        self.apply(entry.clone());
        vec![entry.into()]
    }

    /// A topic is gone, and with it every group's offsets for it. Returns what the journal must keep of that.
    pub fn topic_deleted(&mut self, topic: &str) -> Vec<JournalEntry> {
        if self.remove_topic(topic) {
            vec![GroupEntry::TopicDeleted { topic: topic.to_owned() }.into()]
        } else {
            Vec::new()
        }
    }

    /// Sessions and rebalances whose time has come. Returns what the journal must keep.
    pub fn tick(&mut self, now: i64, outbox: &mut Outbox) -> Vec<JournalEntry> {
        let mut entries = Vec::new();
        while let Some(timer) = self.timers.take_due(now) {
            let Self { by_id: groups, timers, .. } = self;
            let mut op = Operation::new(now, timers);
            let (Timer::Join { group } | Timer::Sync { group } | Timer::Heartbeat { group, .. }) = &timer;
            let Some(group) = groups.get_mut(group) else { continue };
            match &timer {
                Timer::Join { .. } => group.join_expired(&mut op),
                Timer::Sync { .. } => group.sync_expired(&mut op),
                Timer::Heartbeat { member, .. } => group.heartbeat_expired(member, &mut op),
            }
            for (ticket, answer) in op.answers {
                outbox.put(ticket, answer);
            }
            entries.append(&mut op.entries);
        }
        if self.cleanup_due.is_some_and(|due| due <= now) {
            for entry in self.expired(now) {
                self.apply(entry.clone());
                entries.push(entry);
            }
            self.cleanup_due = (!self.by_id.is_empty()).then_some(now + CLEANUP_INTERVAL_MS);
        }
        entries.into_iter().map(JournalEntry::Group).collect()
    }

    /// Answers every join and sync that waits: this node is nobody's coordinator any more. The groups themselves stay as
    /// the journal has them, for the next start.
    pub fn end_waiting_requests(&mut self, now: i64, outbox: &mut Outbox) {
        let Self { by_id: groups, timers, .. } = self;
        let mut op = Operation::new(now, timers);
        for member in groups.values_mut().flat_map(|group| group.members.values_mut()) {
            member.end_waiting_requests(ResponseError::NotCoordinator, &mut op);
        }
        for (ticket, answer) in op.answers {
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
            GroupEntry::Offsets(commit) => self.apply_commit(commit),
            GroupEntry::OffsetsDeleted { group, topics } => self.remove_offsets(&group, &topics),
            GroupEntry::TransactionEnded { producer_id, committed } => {
                self.apply_transaction_end(producer_id, committed)
            }
            GroupEntry::TopicDeleted { topic } => drop(self.remove_topic(&topic)),
            GroupEntry::Deleted { group } => {
                if let Some(removed) = self.by_id.remove(&group) {
                    for member in removed.pending_members.iter().chain(removed.members.keys()) {
                        self.timers.cancel(&removed.heartbeat_timer(member));
                    }
                }
                self.remove_pending_offsets(&group);
            }
            // Only a restart takes a generation from the journal.
            GroupEntry::Generation(_) => {}
        }
    }
}
