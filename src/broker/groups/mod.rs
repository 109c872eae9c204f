//! Group coordinator: consumer groups of Kafka's classic protocol, with their members, generations, and committed and
//! pending offsets.
//!
//! [`Groups`] handles the requests. It uses the rest of the broker only through [`GroupContext`]. An [`Operation`]
//! collects the effects of one request or tick on a group.

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
use super::journal::JournalEntry;
use super::response::{DeferredResponse, Outbox, Ticket};
use super::transactions::{ProducerIdentity, TransactionSupport};

/// `offsets.retention.check.interval.ms`
const CLEANUP_INTERVAL_MS: i64 = 10 * 60 * 1000;

#[derive(Debug, Default)]
pub struct Groups {
    by_id: BTreeMap<String, Group>,
    /// Offsets committed in open transactions, by producer id and group.
    pending_offsets: BTreeMap<i64, BTreeMap<String, Offsets>>,
    timers: Timers,
    /// The number of the last commit.
    position: u64,
    /// When expired offsets and groups are removed next; `None` without groups.
    cleanup_due: Option<i64>,
}

/// The parts of the broker that groups use.
pub(super) trait GroupContext {
    fn settings(&self) -> &NodeSettings;

    fn record(&mut self, entries: &[JournalEntry]) -> Result<(), ResponseError>;

    fn has_partition(&self, topic: &str, partition: i32) -> bool;

    /// Checks that the producer may commit offsets of the group in its transaction, and adds the group to it.
    fn add_group_to_transaction(
        &mut self,
        identity: ProducerIdentity<'_>,
        group: &str,
        support: TransactionSupport,
        now: i64,
    ) -> Result<(), ResponseError>;

    /// A new ticket for a deferred response.
    fn ticket(&mut self) -> Ticket;

    /// Sends a deferred response.
    fn put(&mut self, ticket: Ticket, response: DeferredResponse);

    fn new_uuid(&mut self) -> Uuid;
}

/// One request or tick: its time, and the effects that it has on a group.
struct Operation<'a> {
    now: i64,
    timers: &'a mut Timers,
    /// `group.initial.rebalance.delay.ms`. Set for joins only, since only a join starts the first rebalance.
    initial_delay_ms: i32,
    responses: Vec<(Ticket, DeferredResponse)>,
    /// Written to the journal after the change in memory. If that fails, a restart restores an older generation, which
    /// is harmless.
    entries: Vec<GroupEntry>,
}

impl<'a> Operation<'a> {
    fn new(now: i64, timers: &'a mut Timers) -> Self {
        Self { now, timers, initial_delay_ms: 0, responses: Vec::new(), entries: Vec::new() }
    }

    /// Writes the entries and sends the responses. Returns the response for the ticket `own` instead of sending it.
    fn finish(self, broker: &mut dyn GroupContext, own: Option<Ticket>) -> Option<DeferredResponse> {
        let entries: Vec<JournalEntry> = self.entries.into_iter().map(JournalEntry::Group).collect();
        if !entries.is_empty() && broker.record(&entries).is_err() {
            // `record` has reported the error. Kafka continues here, too: the group is empty, and after a restart the
            // members of the older generation time out.
        }
        let mut answered = None;
        for (ticket, response) in self.responses {
            if own == Some(ticket) {
                answered = Some(response);
            } else {
                broker.put(ticket, response);
            }
        }
        answered
    }
}

fn str_bytes(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// Converts an error of the journal: a coordinator that cannot write returns `NOT_COORDINATOR`, which clients retry.
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
    /// Id, name of the state, and number of members of each group.
    pub fn summary(&self) -> impl Iterator<Item = (&str, &'static str, usize)> {
        self.by_id.values().map(|group| (group.id.as_str(), group.state.name(), group.members.len()))
    }

    /// Applies an entry of the journal at start. The session timeouts of members start now.
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

    /// The entries of a rewritten journal.
    pub fn snapshot(&self) -> Vec<GroupEntry> {
        let recorded = self.by_id.values().filter_map(|group| group.recorded.clone());
        recorded.map(GroupEntry::Generation).chain(self.offset_entries()).collect()
    }

    /// Commits or discards the pending offsets of a producer's transaction. Returns the entries for the journal.
    pub fn end_transaction(&mut self, producer_id: i64, committed: bool, _now: i64) -> Vec<JournalEntry> {
        if !self.pending_offsets.contains_key(&producer_id) {
            return Vec::new();
        }
        let entry = GroupEntry::TransactionEnded { producer_id, committed };
        self.apply(entry.clone());
        vec![entry.into()]
    }

    /// Deletes every group's offsets of a deleted topic. Returns the entries for the journal.
    pub fn topic_deleted(&mut self, topic: &str) -> Vec<JournalEntry> {
        if self.remove_topic(topic) {
            vec![GroupEntry::TopicDeleted { topic: topic.to_owned() }.into()]
        } else {
            Vec::new()
        }
    }

    /// Expires sessions, rebalances, offsets and groups. Returns the entries for the journal.
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
            for (ticket, response) in op.responses {
                outbox.put(ticket, response);
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

    /// Fails every waiting join and sync with `NOT_COORDINATOR`, because the broker stops. The journal keeps the groups
    /// for the next start.
    pub fn end_waiting_requests(&mut self, now: i64, outbox: &mut Outbox) {
        let Self { by_id: groups, timers, .. } = self;
        let mut op = Operation::new(now, timers);
        for member in groups.values_mut().flat_map(|group| group.members.values_mut()) {
            member.end_waiting_requests(ResponseError::NotCoordinator, &mut op);
        }
        for (ticket, response) in op.responses {
            outbox.put(ticket, response);
        }
    }

    /// When `tick` has something to do next, in milliseconds.
    pub fn next_deadline(&self) -> Option<i64> {
        self.timers.next().into_iter().chain(self.cleanup_due).min()
    }

    fn insert(&mut self, group: Group, now: i64) {
        self.cleanup_due.get_or_insert(now + CLEANUP_INTERVAL_MS);
        self.by_id.insert(group.id.clone(), group);
    }

    /// Applies an entry about offsets or deletions.
    fn apply(&mut self, entry: GroupEntry) {
        match entry {
            GroupEntry::Offsets(commit) => self.apply_commit(commit),
            GroupEntry::OffsetsDeleted { group, topics } => self.remove_offsets(&group, &topics),
            GroupEntry::TransactionEnded { producer_id, committed } => {
                self.apply_transaction_end(producer_id, committed);
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
            // Generations are restored in `restore`; at run time the group already has this one.
            GroupEntry::Generation(_) => {}
        }
    }
}
