//! Owns what the loop does when a transactional call fails: abort, doubt, a stale generation, fencing.

use std::time::Duration;

use super::Processor;
use super::job::Event;
use super::run::Engine;
use crate::clock;
use crate::exit::{Code, Failure};
use crate::kafka::{Member, TopicPartition, TransactionError, TransactionalId, Transactions, fenced};

impl<P: Processor> Engine<'_, P> {
    /// What an error of a transactional call leads to.
    pub(super) fn failed(&mut self, error: TransactionError, member: &Member) -> Result<(), Failure> {
        self.failed_in_a_row += 1;
        if self.failed_in_a_row == 5 {
            (self.watch)(Event::Note(&format!("transactions keep failing and are tried again: {error}")))?;
        }
        if self.failed_in_a_row > 50 {
            return Err(Failure::new(
                Code::Unreachable,
                format!("fifty transactions in a row failed, the last one: {error}"),
            )
            .hint("look at the broker's log; what was committed stands, start again to go on from there"));
        }
        if !matches!(error, TransactionError::Failed(_))
            && let Some(name) = self.stood_still()
        {
            return Err(fenced(Some(name), &error.to_string()));
        }
        match error {
            TransactionError::Abort(reason) => {
                (self.watch)(Event::Aborted(&reason))?;
                if !self.abort_or_recover(member)? {
                    return Ok(());
                }
                // Grows to two seconds: a broker in trouble is not helped by a hundred tries a second.
                self.shutdown
                    .pause(Duration::from_millis(10 << self.failed_in_a_row.min(8)).min(Duration::from_secs(2)));
                member.read_from(&self.tasks.offsets())
            }
            TransactionError::Stale(reason) => {
                (self.watch)(Event::Aborted(&reason))?;
                // Others may own the partitions: nothing is done until the group has said so or given new ones.
                self.generation = None;
                self.abort_or_recover(member).map(drop)
            }
            TransactionError::Fenced(reason) => {
                self.open = None;
                if self.settings.instance_id.is_some() {
                    return Err(fenced(self.settings.instance_id.as_deref(), &reason));
                }
                // Nobody else can have this process's id: the broker gave up on a transaction that took too long.
                (self.watch)(Event::Aborted(&reason))?;
                self.recover(true, member)
            }
            TransactionError::Doubt(reason) => {
                (self.watch)(Event::Aborted(&reason))?;
                self.recover(false, member)
            }
            TransactionError::Failed(failure) => Err(failure),
        }
    }

    fn abort(&mut self) -> Result<(), TransactionError> {
        let result = self.transactions.as_ref().map_or(Ok(()), Transactions::abort);
        self.open = None;
        self.ended.aborts += 1;
        self.tasks.aborted(self.processor);
        result
    }

    /// The name of this instance, when its transaction has been open for longer than the broker allows.
    ///
    /// Then another may have the name, and the abort must not be tried: for records that timed out librdkafka asks for
    /// a new epoch with its old one, and the broker (4.1.0, measured) first ends the transaction that is open under the
    /// id, whose ever it is, and only then refuses the asker.
    pub(super) fn stood_still(&self) -> Option<&str> {
        let open = self.open.as_ref()?;
        let age = clock::now().saturating_duration_since(open.since);
        self.settings.instance_id.as_deref().filter(|_| age >= self.connection.transaction_timeout())
    }

    /// Aborts; `false` when that led to a recovery instead.
    pub(super) fn abort_or_recover(&mut self, member: &Member) -> Result<bool, Failure> {
        if let Some(name) = self.stood_still() {
            return Err(fenced(Some(name), "the transaction was open for longer than its timeout"));
        }
        match (self.abort(), &self.settings.instance_id) {
            (Ok(()), _) => Ok(true),
            // A recovery would take the name back from the process that has it now.
            (Err(TransactionError::Fenced(reason)), Some(name)) => Err(fenced(Some(name), &reason)),
            (Err(_), _) => self.recover(false, member).map(|()| false),
        }
    }

    pub(super) fn abort_quietly(&mut self) {
        // The failure that led here is the one to tell; the broker aborts by its timeout what could not be aborted now.
        self.abort().unwrap_or_default();
    }

    /// After doubt: a new producer, which ends whatever the old one left open, and state from the topics alone.
    fn recover(&mut self, new_id: bool, member: &Member) -> Result<(), Failure> {
        self.open = None;
        self.ended.aborts += 1;
        self.transactions = None;
        self.incarnation += u32::from(new_id);
        let partitions: Vec<TopicPartition> = self.tasks.iter().map(|task| task.source.clone()).collect();
        self.tasks.clear();
        self.open_producer()?;
        match self.generation.take() {
            Some(generation) => self.assigned(&partitions, generation, member),
            None => Ok(()),
        }
    }

    pub(super) fn open_producer(&mut self) -> Result<(), Failure> {
        let settings = self.settings;
        let member = match &settings.instance_id {
            Some(instance) => instance.clone(),
            None => format!("{}-{}", settings.process_id, self.incarnation),
        };
        let id = TransactionalId { family: format!("{}-", settings.group), member };
        let transactions = Transactions::open(self.connection, &id, &settings.outputs, settings.sizes, self.shutdown)?;
        self.transactions = Some(transactions);
        Ok(())
    }

    /// A member that was lost joins again under its name, and that would throw out a process that has taken the name
    /// over meanwhile. The broker knows: it refuses a producer whose id another has taken. What is asked for is never
    /// committed.
    pub(super) fn check_name(&mut self, member: &Member) -> Result<(), Failure> {
        let Some(name) = &self.settings.instance_id else { return Ok(()) };
        let standing: Vec<(TopicPartition, i64)> = self.tasks.offsets();
        if standing.is_empty() || (self.open.is_none() && !self.begin(member)?) {
            return Ok(());
        }
        let (Some(transactions), Some(generation)) = (&self.transactions, &self.generation) else { return Ok(()) };
        match transactions.send_offsets(&standing, generation) {
            Err(TransactionError::Fenced(reason)) => Err(fenced(Some(name), &reason)),
            _ => Ok(()),
        }
    }
}
