//! What an audit of another service compares: the topics, the group's committed offsets, and the frozen ends.

use crate::audit::Place;
use crate::commands::Context;
use crate::commands::audit::watched_scan::{Watch, WatchedTopic};
use crate::commands::topic_set::{self, Topic};
use crate::exit::{Code, Failure};
use crate::kafka::{EndOffset, ErrorKind, Inspector, OffsetRange, Operation, TopicPartition};
use crate::settings::ServiceSettings;
use crate::state::TopicId;
use crate::topics::behind_a_prefix;

/// The partitions of the orders, and those of the decisions.
pub(super) struct Partitions {
    pub orders: Vec<TopicPartition>,
    pub decisions: Vec<TopicPartition>,
}

/// The ranges to read, and what must be decided in them.
pub(super) struct Cut {
    /// The ranges of the orders, then those of the decisions.
    pub ranges: Vec<OffsetRange>,
    /// The group's committed offset of each partition of the orders; 0 where it has none.
    pub committed: Vec<i64>,
    ids: Vec<Option<TopicId>>,
    /// Whether all orders that were ever written are in the ranges.
    pub orders_whole: bool,
    /// Whether all events that were ever written are in the ranges.
    pub events_whole: bool,
    /// Why not.
    pub unproved: Vec<String>,
}

/// Finds the topics. Fails with exit code 7 when one of them does not exist.
pub(super) fn find(context: &Context, inspector: &Inspector, service: &ServiceSettings) -> Result<Partitions, Failure> {
    let names = &context.common.names;
    let (orders, decisions) = (names.orders(), &service.decisions);
    if orders == *decisions {
        let message = format!("--decisions {decisions}: this is the topic of the orders");
        return Err(Failure::new(Code::Usage, message).hint("name the topic that the service writes its events to"));
    }
    let count = topic_set::require(context, inspector, &[Topic::Orders.to(&[Operation::Read])])?.partitions;
    let Some(events) = inspector.partitions(decisions, &[Operation::Read])? else {
        let failure = Failure::new(Code::Refused, format!("topic {decisions} does not exist"));
        let topics = inspector.topics()?;
        return Err(match behind_a_prefix(decisions, topics.iter().map(|(topic, _)| topic.as_str())) {
            Some(found) => failure.hint(format!("--decisions needs the full name; {found} exists")),
            None => {
                failure.hint("run the service first; --decisions needs the full name of the topic that it writes to")
            }
        });
    };
    if let Some(many) = [count, events].into_iter().find(|count| *count > Place::MAX_PARTITION) {
        return Err(Failure::new(Code::Refused, format!("a topic with {many} partitions cannot be audited"))
            .hint(format!("at most {} partitions are possible", Place::MAX_PARTITION)));
    }
    Ok(Partitions { orders: TopicPartition::all(&orders, count), decisions: TopicPartition::all(decisions, events) })
}

impl Cut {
    /// Freezes what is compared; `None` if the group has no committed offset.
    ///
    /// The order of the requests matters. A service writes its events before it commits, so the ends of the decisions,
    /// read after the committed offsets, are behind all events that these offsets need. The ends of the orders, read
    /// last, are behind all orders that these events are about.
    pub fn freeze(context: &Context, inspector: &Inspector, partitions: &Partitions) -> Result<Option<Self>, Failure> {
        let Partitions { orders, decisions } = partitions;
        let ids = ids(context, inspector, partitions)?;
        let committed = committed(context, inspector, orders)?;
        if committed.iter().all(Option::is_none) {
            return Ok(None);
        }
        let mut unproved = Vec::new();
        let (events_end, events_stable) = stable_ends(context, inspector, decisions, &mut unproved)?;
        let (orders_end, orders_stable) = stable_ends(context, inspector, orders, &mut unproved)?;
        let orders_kept = are_kept(inspector, orders, &mut unproved)?;
        let events_kept = are_kept(inspector, decisions, &mut unproved)?;
        let mut orders_reach = true;
        for ((topic_partition, committed), end) in orders.iter().zip(&committed).zip(&orders_end) {
            if let Some(committed) = committed.filter(|committed| committed > end) {
                unproved.push(format!(
                    "the group's offset of {topic_partition} is {committed}, beyond its end {end}: the topic was created again, or truncated"
                ));
                orders_reach = false;
            }
        }
        let all = orders.iter().chain(decisions);
        let starts = inspector.starts(&all.clone().cloned().collect::<Vec<_>>())?;
        let ranges: Vec<OffsetRange> = all
            .zip(starts)
            .zip(orders_end.into_iter().chain(events_end))
            // Records may have been deleted up to the end in the meantime.
            .map(|((topic_partition, start), end)| OffsetRange {
                topic_partition: topic_partition.clone(),
                start,
                end: end.max(start),
            })
            .collect();
        let (order_ranges, event_ranges) = ranges.split_at(orders.len());
        let (orders_there, events_there) =
            (from_zero(order_ranges, &mut unproved), from_zero(event_ranges, &mut unproved));
        Ok(Some(Self {
            committed: committed.into_iter().map(Option::unwrap_or_default).collect(),
            ids,
            orders_whole: orders_stable && orders_kept && orders_there && orders_reach,
            events_whole: events_stable && events_kept && events_there,
            unproved,
            ranges,
        }))
    }

    /// The topics as they were frozen.
    pub fn watch<'a>(&self, context: &'a Context, inspector: &Inspector, partitions: &Partitions) -> Watch<'a> {
        let (orders, decisions) = self.ranges.split_at(partitions.orders.len());
        let watched = |(ranges, id): (&[OffsetRange], &Option<TopicId>)| WatchedTopic {
            partitions: ranges.iter().map(|range| range.topic_partition.clone()).collect(),
            id: id.clone(),
            starts: ranges.iter().map(|range| range.start).collect(),
            ends: ranges.iter().map(|range| range.end).collect(),
        };
        let topics = [orders, decisions].into_iter().zip(&self.ids).map(watched).collect();
        Watch::new(context, inspector, topics)
    }

    /// The reason why less is proved, if the group was set back in the meantime.
    pub fn set_back(
        &self,
        context: &Context,
        inspector: &Inspector,
        partitions: &Partitions,
    ) -> Result<Option<String>, Failure> {
        let offsets = committed(context, inspector, &partitions.orders)?;
        let set_back = partitions
            .orders
            .iter()
            .zip(&self.committed)
            .zip(&offsets)
            .find(|((_, before), now)| now.unwrap_or_default() < **before);
        Ok(set_back.map(|((topic_partition, before), now)| {
            let now = now.map_or_else(|| "gone".to_owned(), |now| now.to_string());
            format!("the group's offset of {topic_partition} was {before} at the start of the audit, and is now {now}")
        }))
    }
}

fn committed(context: &Context, inspector: &Inspector, orders: &[TopicPartition]) -> Result<Vec<Option<i64>>, Failure> {
    Ok(inspector.committed(orders, &mut |text| context.console.note(text))?)
}

/// The ids of the topic of the orders, and of that of the decisions.
fn ids(context: &Context, inspector: &Inspector, partitions: &Partitions) -> Result<Vec<Option<TopicId>>, Failure> {
    let topics: Vec<String> = [&partitions.orders, &partitions.decisions]
        .iter()
        .filter_map(|of| of.first())
        .map(|one| one.topic.clone())
        .collect();
    Ok(inspector.topic_ids(&topics, context.common.connection.timeout)?)
}

/// The ends up to which a reader of committed records sees everything, and whether they are the ends of the log: not if
/// a transaction does not end.
fn stable_ends(
    context: &Context,
    inspector: &Inspector,
    partitions: &[TopicPartition],
    unproved: &mut Vec<String>,
) -> Result<(Vec<i64>, bool), Failure> {
    let ends = inspector.ends(partitions, EndOffset::HighWatermark)?;
    let error = match inspector.wait_stable(partitions, &ends, &mut |text| context.console.note(text)) {
        Ok(()) => return Ok((ends, true)),
        Err(error) if error.kind() == ErrorKind::Unreachable => error,
        Err(error) => return Err(error.into()),
    };
    let stable = inspector.ends(partitions, EndOffset::LastStable)?;
    let ends: Vec<i64> = ends.into_iter().zip(stable).map(|(end, stable)| end.min(stable)).collect();
    unproved.push(format!("not all records could be read: {}", Failure::from(error).message));
    Ok((ends, false))
}

/// Whether the topic keeps records until they are old.
fn are_kept(inspector: &Inspector, partitions: &[TopicPartition], unproved: &mut Vec<String>) -> Result<bool, Failure> {
    let Some(TopicPartition { topic, .. }) = partitions.first() else { return Ok(true) };
    let is_compacted = inspector.topic_settings(topic)?.is_compacted();
    if is_compacted {
        unproved.push(format!("{topic} is compacted: a record is deleted when a later one has the same key"));
    }
    Ok(!is_compacted)
}

/// Whether the first records that were written are still there.
fn from_zero(ranges: &[OffsetRange], unproved: &mut Vec<String>) -> bool {
    let gone: Vec<&OffsetRange> = ranges.iter().filter(|range| range.start > 0).collect();
    let Some(first) = gone.first() else { return true };
    let more = if gone.len() > 1 { format!(", and those of {} more", gone.len() - 1) } else { String::new() };
    unproved.push(format!("the records of {} below offset {} are gone{more}", first.topic_partition, first.start));
    false
}
