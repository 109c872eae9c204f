//! Owns transactions that are open in a log and in no journal: a log that lost a marker would keep its readers waiting for ever.

use std::collections::BTreeMap;

use super::coordinator::TransactionCoordinator;
use super::requests::COORDINATOR_EPOCH;
use super::{TransactionEntry, TransactionResult, TransactionState};
use crate::broker::core::Core;
use crate::broker::events::BrokerEvent;
use crate::broker::log::{DecidedMarker, ProducerState};

/// Ends that are remembered of one partition.
const REMEMBERED: usize = 16;

/// The last ends of transactions that a journal tells of, by topic and partition.
#[derive(Debug, Default)]
pub struct TransactionOutcomes {
    by_partition: BTreeMap<(String, i32), Vec<DecidedMarker>>,
}

impl TransactionOutcomes {
    /// Takes in a line of the journal.
    pub fn add(&mut self, entry: &TransactionEntry) {
        let TransactionEntry::Became { transaction, .. } = entry else { return };
        let Some(outcome) = transaction.state.prepared_result() else { return };
        let decided = DecidedMarker {
            producer_id: transaction.producer_id,
            epoch: transaction.epoch,
            commit: outcome == TransactionResult::Commit,
            coordinator_epoch: COORDINATOR_EPOCH,
            at: transaction.updated,
        };
        for (topic, partitions) in &transaction.partitions {
            for partition in partitions {
                let known = self.by_partition.entry((topic.clone(), *partition)).or_default();
                if known.len() == REMEMBERED {
                    known.remove(0);
                }
                known.push(decided);
            }
        }
    }

    /// Those of one partition, the last one last.
    #[must_use]
    pub fn of(&self, topic: &str, partition: i32) -> &[DecidedMarker] {
        self.by_partition.get(&(topic.to_owned(), partition)).map_or(&[], Vec::as_slice)
    }
}

impl Core {
    /// Ends what is open in a log and not in the journal: as the journal says, or by an abort where it says nothing of it any more, since
    /// nothing could commit it.
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
                    "the transaction of producer {} in {topic}-{partition} cannot be ended: {error}",
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
                let has = transaction.partitions.get(topic).is_some_and(|of_topic| of_topic.contains(&partition));
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
