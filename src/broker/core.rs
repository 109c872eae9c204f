//! The broker's state as one value, without sockets, threads or a clock: each request is a method that takes the time
//! and returns the response.
//!
//! The methods are next to the state that they change: `topics/`, `groups/`, `transactions/`, `produce.rs`, `fetch.rs`.

use kafka_protocol::error::ResponseError;
use uuid::Uuid;

use super::corruption::OpenError;
use super::directory::{Directory, TOPICS};
use super::ends::EndsFile;
use super::events::BrokerEvent;
use super::fetch::WaitingFetches;
use super::groups::Groups;
use super::journal::Journal;
use super::journal::JournalEntry;
use super::journal_recovery::JournalRecovery;
use super::log::{LogStorage, OpenFiles};
use super::response::{DeferredResponse, Outbox, Ticket};
use super::storage_error::describe_io_error;
use super::topics::Topics;
use super::transactions::{TransactionOutcomes, Transactions};

/// The id of the only node.
pub const NODE_ID: i32 = 1;

/// Where the broker keeps its data.
#[derive(Debug, Clone)]
pub enum Storage {
    /// In memory, until the process ends.
    Memory,
    /// In this data directory.
    Directory(Directory),
}

/// Settings of a node, with the names and units of Kafka's broker properties.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSettings {
    /// Host and port of `advertised.listeners`.
    pub advertised: (String, u16),
    /// `auto.create.topics.enable`
    pub auto_create_topics: bool,
    /// `num.partitions`
    pub num_partitions: i32,
    /// `transaction.max.timeout.ms`
    pub transaction_max_timeout_ms: i32,
    /// `group.min.session.timeout.ms`
    pub group_min_session_timeout_ms: i32,
    /// `group.max.session.timeout.ms`
    pub group_max_session_timeout_ms: i32,
    /// `group.initial.rebalance.delay.ms`
    pub group_initial_rebalance_delay_ms: i32,
    /// `offset.metadata.max.bytes`
    pub offset_metadata_max_bytes: usize,
    /// `log.retention.check.interval.ms`
    pub log_retention_check_interval_ms: i64,
    /// `log.cleaner.backoff.ms`
    pub log_cleaner_backoff_ms: i64,
    /// Whether data is flushed to disk before it is acknowledged.
    pub fsync: bool,
}

impl Default for NodeSettings {
    fn default() -> Self {
        Self {
            advertised: ("127.0.0.1".to_owned(), 9092),
            auto_create_topics: true,
            num_partitions: 1,
            transaction_max_timeout_ms: 900_000,
            group_min_session_timeout_ms: 6_000,
            group_max_session_timeout_ms: 1_800_000,
            // Kafka's default of 3 s waits for several members to start. Here the first member is usually the only one.
            group_initial_rebalance_delay_ms: 0,
            offset_metadata_max_bytes: 4_096,
            log_retention_check_interval_ms: 300_000,
            log_cleaner_backoff_ms: 15_000,
            fsync: false,
        }
    }
}

/// The state of the broker. Every request is a method.
#[derive(Debug)]
pub struct Core {
    /// The node's settings.
    pub settings: NodeSettings,
    /// The cluster id, created with the data.
    pub cluster_id: Uuid,
    pub(super) storage: Storage,
    /// The open files of all logs.
    pub(super) files: OpenFiles,
    pub(super) topics: Topics,
    pub(super) groups: Groups,
    pub(super) transactions: Transactions,
    pub(super) journal: Journal,
    /// The recorded ends of the journal and the logs; `None` in memory.
    pub(super) ends: Option<EndsFile>,
    pub(super) waiting_fetches: WaitingFetches,
    pub(super) outbox: Outbox,
    pub(super) events: Vec<BrokerEvent>,
    /// Whether the broker stops; then no response may be deferred. See `controlled_shutdown.rs`.
    pub(super) stopping: bool,
}

impl Core {
    /// Opens a storage. The caller must hold the lock of a data directory.
    ///
    /// # Errors
    ///
    /// If a file does not hold the acknowledged data, or cannot be read or written. Data that is refused is not
    /// changed.
    pub fn open(storage: Storage, settings: NodeSettings, cluster_id: Uuid, now: i64) -> Result<Self, OpenError> {
        let (mut opening, entries) = match &storage {
            Storage::Memory => (None, Vec::new()),
            Storage::Directory(folder) => {
                let (opening, entries) = JournalRecovery::read(folder, cluster_id, settings.fsync)?;
                (Some(opening), entries)
            }
        };
        let mut core = Self {
            settings,
            cluster_id,
            storage,
            files: OpenFiles::default(),
            topics: Topics::default(),
            groups: Groups::default(),
            transactions: Transactions::default(),
            journal: Journal::in_memory(),
            ends: None,
            waiting_fetches: WaitingFetches::default(),
            outbox: Outbox::default(),
            events: Vec::new(),
            stopping: false,
        };
        let mut outcomes = TransactionOutcomes::default();
        for entry in entries {
            match entry {
                JournalEntry::Head(_) => {}
                JournalEntry::Topic(entry) => core.topics.restore(entry),
                JournalEntry::Group(entry) => core.groups.restore(entry, now),
                JournalEntry::Transaction(entry) => {
                    outcomes.add(&entry);
                    core.transactions.restore(entry);
                }
            }
        }
        core.open_topics(opening.as_mut(), &outcomes, now)?;
        core.finish_prepared(now);
        core.end_hanging_transactions(&outcomes, now);
        Ok(core)
    }

    /// The directory of a topic. It is named by the topic id, because topic names may differ only in case.
    pub(super) fn topic_directory(&self, topic: Uuid) -> Option<Directory> {
        match &self.storage {
            Storage::Memory => None,
            Storage::Directory(folder) => Some(folder.child(TOPICS).child(topic.to_string())),
        }
    }

    /// The storage of a partition's log.
    #[must_use]
    pub fn log_storage(&self, topic: Uuid, partition: i32) -> LogStorage {
        match self.topic_directory(topic) {
            None => LogStorage::Memory,
            Some(folder) => LogStorage::Directory {
                dir: folder.child(partition.to_string()),
                fsync: self.settings.fsync,
                files: self.files.clone(),
            },
        }
    }

    /// Writes entries to the journal. They must be applied in memory only after this succeeds.
    ///
    /// # Errors
    ///
    /// `KAFKA_STORAGE_ERROR`.
    pub fn record(&mut self, entries: &[JournalEntry]) -> Result<(), ResponseError> {
        self.journal.append(entries).map_err(|error| {
            self.events
                .push(BrokerEvent::WriteFailed { what: "the journal".to_owned(), reason: describe_io_error(&error) });
            ResponseError::KafkaStorageError
        })
    }

    /// Takes the deferred responses that are ready.
    pub fn take_ready(&mut self) -> Vec<(Ticket, DeferredResponse)> {
        self.outbox.take()
    }

    /// Takes the events since the last call.
    pub fn take_events(&mut self) -> Vec<BrokerEvent> {
        std::mem::take(&mut self.events)
    }

    /// Does everything that is due, and returns the next deadline.
    pub fn tick(&mut self, now: i64) -> Option<i64> {
        self.tick_fetches(now);
        self.tick_transactions(now);
        let entries = self.groups.tick(now, &mut self.outbox);
        // Losing these entries is harmless: after a restart the same members and offsets expire again.
        self.record(&entries).ok();
        self.clean(now);
        self.compact_journal();
        [
            self.waiting_fetches.next_deadline(),
            self.groups.next_deadline(),
            self.transactions.next_deadline(),
            self.topics.next_deadline(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Rewrites the journal if most of its entries are superseded. If that fails, the old journal stays in use.
    fn compact_journal(&mut self) {
        if !self.journal.needs_rewrite() {
            return;
        }
        let entries = self.snapshot();
        if let Err(error) = self.journal.rewrite(&entries) {
            self.events.push(BrokerEvent::BackgroundError { what: format!("cannot compact the journal: {error}") });
        }
    }

    /// The entries of a rewritten journal.
    #[must_use]
    pub fn snapshot(&self) -> Vec<JournalEntry> {
        (self.topics.snapshot().into_iter().map(JournalEntry::Topic))
            .chain(self.groups.snapshot().into_iter().map(JournalEntry::Group))
            .chain(self.transactions.snapshot().into_iter().map(JournalEntry::Transaction))
            .collect()
    }

    /// Closes the logs and the journal cleanly, so that the next start does not check them.
    ///
    /// # Errors
    ///
    /// If they cannot be written.
    pub fn close(&mut self) -> std::io::Result<()> {
        let mut all_closed = true;
        for log in self.topics.logs_mut() {
            all_closed &= log.close()?;
        }
        // A log whose failed write was not undone must be checked by the next start.
        if all_closed { self.journal.close() } else { Ok(()) }
    }
}
