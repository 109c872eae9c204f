//! Admin requests about transactions: `ListTransactions`, `DescribeTransactions` (KIP-664).

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::describe_transactions_response::{TopicData, TransactionState as Described};
use kafka_protocol::messages::list_transactions_response::TransactionState as Listed;
use kafka_protocol::messages::{
    DescribeTransactionsRequest, DescribeTransactionsResponse, ListTransactionsRequest, ListTransactionsResponse,
    ProducerId, TopicName, TransactionalId,
};
use kafka_protocol::protocol::StrBytes;
use regex_lite::Regex;

use super::{Transaction, Transactions};
use crate::broker::core::Core;
use crate::broker::response::RequestContext;

/// The valid state filters. `Dead` and `PrepareEpochFence` match no transaction here.
const STATE_NAMES: [&str; 8] = [
    "Empty",
    "Ongoing",
    "PrepareCommit",
    "PrepareAbort",
    "CompleteCommit",
    "CompleteAbort",
    "Dead",
    "PrepareEpochFence",
];

/// Kafka's offsets topic. A transaction with a group is described with this topic, which does not exist here.
const OFFSETS_TOPIC: &str = "__consumer_offsets";
/// `offsets.topic.num.partitions`
const OFFSETS_PARTITIONS: i32 = 50;

impl Core {
    /// `DescribeTransactions`
    pub fn describe_transactions(
        &mut self,
        request: DescribeTransactionsRequest,
        _call: &RequestContext<'_>,
    ) -> DescribeTransactionsResponse {
        let described = request.transactional_ids.into_iter().map(|id| self.transactions.describe(id)).collect();
        DescribeTransactionsResponse::default().with_transaction_states(described)
    }

    /// `ListTransactions`, with filters by state and producer id, from version 1 on by duration, from 2 on by a pattern
    /// (KIP-994, KIP-1152).
    pub fn list_transactions(
        &mut self,
        request: ListTransactionsRequest,
        context: &RequestContext<'_>,
    ) -> ListTransactionsResponse {
        match self.transactions.list(request, context.now) {
            Ok((listed, unknown)) => {
                ListTransactionsResponse::default().with_transaction_states(listed).with_unknown_state_filters(unknown)
            }
            Err(error) => ListTransactionsResponse::default().with_error_code(error.code()),
        }
    }
}

impl Transactions {
    fn describe(&self, id: TransactionalId) -> Described {
        let described = Described::default();
        let described = if id.is_empty() {
            described.with_error_code(ResponseError::InvalidRequest.code())
        } else if let Some(transaction) = self.get(&id) {
            described
                .with_transaction_state(StrBytes::from_static_str(transaction.state.name()))
                .with_transaction_timeout_ms(transaction.timeout_ms)
                .with_transaction_start_time_ms(transaction.started)
                .with_producer_id(ProducerId(transaction.producer_id))
                .with_producer_epoch(transaction.epoch)
                .with_topics(topics(transaction))
        } else {
            described.with_error_code(ResponseError::TransactionalIdNotFound.code())
        };
        described.with_transactional_id(id)
    }

    /// The transactions that match the filters, and the unknown state filters.
    fn list(&self, request: ListTransactionsRequest, now: i64) -> Result<(Vec<Listed>, Vec<StrBytes>), ResponseError> {
        let ListTransactionsRequest { state_filters, producer_id_filters, duration_filter, .. } = request;
        let pattern = request.transactional_id_pattern.filter(|pattern| !pattern.is_empty());
        let pattern = pattern.map(|pattern| whole_id_pattern(&pattern)).transpose()?;
        let any_state = state_filters.is_empty();
        let (known, unknown): (Vec<_>, Vec<_>) =
            state_filters.into_iter().partition(|name| STATE_NAMES.contains(&name.as_str()));
        let producers: BTreeSet<i64> = producer_id_filters.iter().map(|id| id.0).collect();
        let is_wanted = |id: &str, transaction: &Transaction| {
            (any_state || known.iter().any(|name| name.as_str() == transaction.state.name()))
                && (producers.is_empty() || producers.contains(&transaction.producer_id))
                // An id without a transaction has the start -1, so every duration matches, as in Kafka.
                && (duration_filter < 0 || now - transaction.started > duration_filter)
                && pattern.as_ref().is_none_or(|pattern| pattern.is_match(id))
        };
        let listed = self.iter().filter(|(id, transaction)| is_wanted(id, transaction)).map(|(id, transaction)| {
            Listed::default()
                .with_transactional_id(TransactionalId(StrBytes::from_string(id.to_owned())))
                .with_producer_id(ProducerId(transaction.producer_id))
                .with_transaction_state(StrBytes::from_static_str(transaction.state.name()))
        });
        Ok((listed.collect(), unknown))
    }
}

/// Compiles a pattern that must match the whole transactional id.
fn whole_id_pattern(pattern: &str) -> Result<Regex, ResponseError> {
    // Compile it alone first: `a)(b` is invalid, but would be valid between the added parentheses.
    let alone = Regex::new(pattern).map_err(|_| ResponseError::InvalidRegularExpression)?;
    Regex::new(&format!(r"\A(?:{})\z", alone.as_str())).map_err(|_| ResponseError::InvalidRegularExpression)
}

/// The topics of a transaction, with the offsets topic for its groups.
fn topics(transaction: &Transaction) -> Vec<TopicData> {
    let mut topics: BTreeMap<&str, BTreeSet<i32>> = transaction
        .partitions
        .iter()
        .map(|(topic, topic_partitions)| (topic.as_str(), topic_partitions.clone()))
        .collect();
    topics.retain(|_, topic_partitions| !topic_partitions.is_empty());
    for group in &transaction.groups {
        topics.entry(OFFSETS_TOPIC).or_default().insert(offsets_partition(group));
    }
    let data = topics.into_iter().map(|(topic, topic_partitions)| {
        TopicData::default()
            .with_topic(TopicName(StrBytes::from_string(topic.to_owned())))
            .with_partitions(topic_partitions.into_iter().collect())
    });
    data.collect()
}

/// The partition of the offsets topic for a group, from Java's `hashCode` of the group id.
fn offsets_partition(group: &str) -> i32 {
    let hash = group.encode_utf16().fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    (hash & i32::MAX) % OFFSETS_PARTITIONS
}
