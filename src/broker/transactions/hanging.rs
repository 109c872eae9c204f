//! Hanging transactions: open in a log, but unknown to the coordinator. They would block the last stable offset
//! forever.

use std::collections::BTreeMap;

use super::coordinator::TransactionCoordinator;
use super::requests::COORDINATOR_EPOCH;
use super::{TransactionEntry, TransactionResult, TransactionState};
use crate::broker::core::Core;
use crate::broker::events::BrokerEvent;
use crate::broker::log::{DecidedMarker, ProducerState};

/// The number of outcomes that are kept for a partition.
const OUTCOMES_PER_PARTITION: usize = 16;

/// The last outcomes of transactions in the journal, by topic and partition.
#[derive(Debug, Default)]
pub struct TransactionOutcomes {
    by_partition: BTreeMap<(String, i32), Vec<DecidedMarker>>,
}

impl TransactionOutcomes {
    /// Adds the outcome of a journal entry that prepares an end.
    pub fn add(&mut self, entry: &TransactionEntry) {
        let TransactionEntry::Became { transaction, .. } = entry else { return };
        let Some(result) = transaction.state.prepared_result() else { return };
        let decided = DecidedMarker {
            producer_id: transaction.producer_id,
            epoch: transaction.epoch,
            commit: result == TransactionResult::Commit,
            coordinator_epoch: COORDINATOR_EPOCH,
            at: transaction.updated,
        };
        for (topic, partitions) in &transaction.partitions {
            for partition in partitions {
                let known = self.by_partition.entry((topic.clone(), *partition)).or_default();
                if known.len() == OUTCOMES_PER_PARTITION {
                    known.remove(0);
                }
                known.push(decided);
            }
        }
    }

    /// The outcomes of a partition, the latest last.
    pub fn of(&self, topic: &str, partition: i32) -> &[DecidedMarker] {
        self.by_partition.get(&(topic.to_owned(), partition)).map_or(&[], Vec::as_slice)
    }
}

impl Core {
    /// Ends hanging transactions with the outcome in the journal. Aborts those without one, since they can no longer be
    /// committed.
    pub(in crate::broker) fn end_hanging_transactions(&mut self, outcomes: &TransactionOutcomes, now: i64) {
        for (topic, partition, producer) in self.hanging_transactions() {
            let known = outcomes.of(&topic, partition);
            let last = known.iter().rev().find(|decided| decided.producer_id == producer.producer_id);
            let (committed, epoch) =
                last.map_or((false, producer.epoch), |last| (last.commit, last.epoch.max(producer.epoch)));
            let Some(log) = self.topics.log_mut(&topic, partition) else { continue };
            match log.end_transaction(producer.producer_id, epoch, committed, COORDINATOR_EPOCH, now) {
                Ok(_) => self.events.push(BrokerEvent::TransactionEnded { topic, partition, committed }),
                Err(error) => self.warn(format!(
                    "cannot end the transaction of producer {} in {topic}-{partition}: {error}",
                    producer.producer_id
                )),
            }
        }
    }

    fn hanging_transactions(&self) -> Vec<(String, i32, ProducerState)> {
        let is_known = |topic: &str, partition: i32, producer_id: i64| {
            self.transactions.iter().any(|(_, transaction)| {
                let open =
                    transaction.state == TransactionState::Ongoing || transaction.state.prepared_result().is_some();
                let has = transaction
                    .partitions
                    .get(topic)
                    .is_some_and(|topic_partitions| topic_partitions.contains(&partition));
                transaction.producer_id == producer_id && open && has
            })
        };
        let logs =
            self.topics.iter().flat_map(|topic| (0..).zip(&topic.logs).map(move |(number, log)| (topic, number, log)));
        let open = logs.flat_map(|(topic, number, log)| {
            let open = log.producers().into_iter().filter(|producer| producer.transaction_start.is_some());
            open.map(move |producer| (topic.name.clone(), number, producer))
        });
        open.filter(|(topic, number, producer)| !is_known(topic, *number, producer.producer_id)).collect()
    }
}
