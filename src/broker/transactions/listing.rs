//! Owns what administrators are shown of transactions (KIP-664).

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

/// The states that a filter may name, whether or not a transaction is ever seen in them here.
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

/// Where Kafka keeps a group's offsets: a transaction shows a group as this topic's partition. There is no such topic here.
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

    /// `ListTransactions`: by state and producer id, from version 1 on by duration, from 2 on by a pattern (KIP-994, KIP-1152).
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

    /// What the filters let through, and the states that they name and nobody knows.
    fn list(&self, request: ListTransactionsRequest, now: i64) -> Result<(Vec<Listed>, Vec<StrBytes>), ResponseError> {
        let ListTransactionsRequest { state_filters, producer_id_filters, duration_filter, .. } = request;
        let pattern = request.transactional_id_pattern.filter(|pattern| !pattern.is_empty());
        let pattern = pattern.map(|pattern| whole(&pattern)).transpose()?;
        let any_state = state_filters.is_empty();
        let (known, unknown): (Vec<_>, Vec<_>) =
            state_filters.into_iter().partition(|name| STATE_NAMES.contains(&name.as_str()));
        let producers: BTreeSet<i64> = producer_id_filters.iter().map(|id| id.0).collect();
        let is_wanted = |id: &str, transaction: &Transaction| {
            (any_state || known.iter().any(|name| name.as_str() == transaction.state.name()))
                && (producers.is_empty() || producers.contains(&transaction.producer_id))
                // Without a transaction its start is -1, long ago: Kafka lists it, too.
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

/// A pattern that must match a whole id.
fn whole(pattern: &str) -> Result<Regex, ResponseError> {
    // By itself first: `a)(b` is no pattern, and would be one between parentheses.
    let by_itself = Regex::new(pattern).map_err(|_| ResponseError::InvalidRegularExpression)?;
    Regex::new(&format!(r"\A(?:{})\z", by_itself.as_str())).map_err(|_| ResponseError::InvalidRegularExpression)
}

/// The partitions of a transaction, groups among them.
fn topics(transaction: &Transaction) -> Vec<TopicData> {
    let mut topics: BTreeMap<&str, BTreeSet<i32>> =
        transaction.partitions.iter().map(|(topic, of_topic)| (topic.as_str(), of_topic.clone())).collect();
    topics.retain(|_, of_topic| !of_topic.is_empty());
    for group in &transaction.groups {
        topics.entry(OFFSETS_TOPIC).or_default().insert(offsets_partition(group));
    }
    let data = topics.into_iter().map(|(topic, of_topic)| {
        TopicData::default()
            .with_topic(TopicName(StrBytes::from_string(topic.to_owned())))
            .with_partitions(of_topic.into_iter().collect())
    });
    data.collect()
}

/// The partition in which Kafka keeps this group's offsets: Java's hash of the name.
fn offsets_partition(group: &str) -> i32 {
    let hash = group.encode_utf16().fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    (hash & i32::MAX) % OFFSETS_PARTITIONS
}
