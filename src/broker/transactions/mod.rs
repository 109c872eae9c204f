//! Owns producer ids and transactions: epochs, fencing, their ends and time-outs, and every request about them.

use kafka_protocol::error::ResponseError;
use serde::{Deserialize, Serialize};

/// What the journal keeps of producers and transactions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransactionEntry {}

/// All producer ids and transactions.
#[derive(Debug, Default)]
pub struct Transactions {}

/// A producer that speaks in a transaction.
#[derive(Debug, Clone, Copy)]
pub struct Speaker<'a> {
    /// The transactional id that the request names.
    pub transactional_id: &'a str,
    /// Its producer id.
    pub producer_id: i64,
    /// Its epoch.
    pub epoch: i16,
}

impl Transactions {
    /// Takes in what the journal remembers.
    pub fn restore(&mut self, entry: TransactionEntry) {
        match entry {}
    }

    /// Everything that a fresh journal must hold.
    #[must_use]
    pub fn snapshot(&self) -> Vec<TransactionEntry> {
        Vec::new()
    }

    /// Whether this producer may write to this partition now. With `joins` (a produce of version 12 on, KIP-890) the partition becomes part of
    /// the transaction, which begins if need be; otherwise it must be part of it already. Returns what the journal must keep.
    ///
    /// # Errors
    ///
    /// What the produce is to answer.
    pub fn enter_partition(
        &mut self,
        _speaker: Speaker<'_>,
        _topic: &str,
        _partition: i32,
        _joins: bool,
        _now: i64,
    ) -> Result<Option<TransactionEntry>, ResponseError> {
        unimplemented!()
    }

    /// The same for a group's offsets (`TxnOffsetCommit`, which joins from version 5 on).
    ///
    /// # Errors
    ///
    /// What the request is to answer.
    pub fn enter_group(
        &mut self,
        _speaker: Speaker<'_>,
        _group: &str,
        _joins: bool,
        _now: i64,
    ) -> Result<Option<TransactionEntry>, ResponseError> {
        unimplemented!()
    }

    /// When a transaction times out next, in milliseconds by the broker's clock.
    #[must_use]
    pub fn next_deadline(&self) -> Option<i64> {
        None
    }
}
