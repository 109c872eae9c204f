//! Rebalance callback of a group member (assign, revoke): queues assignment and revocation events for the poll loop.
//!
//! librdkafka lets the application answer a rebalance later: the poll loop calls `assign` or `unassign` when its transaction
//! allows it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::TopicPartitionList;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, ConsumerGroupMetadata};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaRespErr;

use super::client_context::Context;
use super::{TopicPartition, native};

/// Group metadata of a member (KIP-447): its id and generation, taken in the callback of an assignment.
///
/// Taken later, it could belong to a newer generation or to no member at all, and the broker would accept a transaction
/// from a process that no longer owns the partitions.
#[derive(Clone)]
pub struct GroupMetadata {
    native: Arc<ConsumerGroupMetadata>,
    group: Arc<str>,
    member_id: Option<Arc<str>>,
}

impl GroupMetadata {
    pub(super) fn native(&self) -> &ConsumerGroupMetadata {
        &self.native
    }

    /// The member id from the group coordinator.
    #[must_use]
    pub fn member_id(&self) -> Option<&str> {
        self.member_id.as_deref()
    }

    pub(super) fn group(&self) -> &str {
        &self.group
    }
}

impl std::fmt::Debug for GroupMetadata {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GroupMetadata")
    }
}

/// A rebalance event.
pub(super) enum RebalanceEvent {
    Assigned(Vec<TopicPartition>, Option<GroupMetadata>),
    Revoked { lost: bool },
}

/// The consumer context of a member.
pub(super) struct MemberContext {
    pub context: Context,
    events: Mutex<VecDeque<RebalanceEvent>>,
    closing: AtomicBool,
    group: Arc<str>,
}

impl MemberContext {
    pub fn new(context: Context, group: &str) -> Self {
        Self { context, events: Mutex::default(), closing: AtomicBool::new(false), group: group.into() }
    }

    /// The next event that the poll loop has not seen.
    pub fn next_event(&self) -> Option<RebalanceEvent> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    /// From now on the callback answers a rebalance at once.
    pub fn start_closing(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }
}

impl ClientContext for MemberContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.context.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.context.error(error, reason);
    }
}

impl ConsumerContext for MemberContext {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, code: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        if self.closing.load(Ordering::Relaxed) {
            // No poll loop runs any more. Without an answer the close would never return.
            drop(consumer.unassign());
            return;
        }
        let event = if code == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            let assigned = partitions
                .elements()
                .iter()
                .map(|element| TopicPartition::new(element.topic(), element.partition()))
                .collect();
            let metadata = consumer.group_metadata();
            let metadata = metadata.map(|metadata| GroupMetadata {
                native: Arc::new(metadata),
                group: Arc::clone(&self.group),
                member_id: native::member_id(consumer.client().native_ptr()).map(Arc::from),
            });
            RebalanceEvent::Assigned(assigned, metadata)
        } else {
            RebalanceEvent::Revoked { lost: consumer.assignment_lost() }
        };
        self.events.lock().unwrap_or_else(PoisonError::into_inner).push_back(event);
    }
}
