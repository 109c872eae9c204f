//! What an audit of another service compares: the topics, the group's committed offsets, and the frozen ends.

use crate::commands::Context;
use crate::commands::audit::frozen_topic::FrozenTopic;
use crate::commands::audit::watched_scan::Watch;
use crate::commands::topic_set::{self, Topic};
use crate::exit::{Code, Failure};
use crate::kafka::{Inspector, OffsetRange, Operation, TopicPartition};
use crate::lag::Isolation;
use crate::settings::ServiceSettings;
use crate::topics::behind_a_prefix;

/// Both topics as they are read. The orders below the group's committed offsets must be decided.
pub(super) struct Cut {
    pub orders: FrozenTopic,
    pub events: FrozenTopic,
}

impl Cut {
    /// Finds the topics. Fails with exit code 7 when one of them does not exist.
    pub fn find(context: &Context, inspector: &Inspector, service: &ServiceSettings) -> Result<Self, Failure> {
        let (orders, decisions) = (context.common.names.orders(), &service.decisions);
        if orders == *decisions {
            let message = format!("--decisions {decisions}: this is the topic of the orders");
            return Err(Failure::new(Code::Usage, message).hint("name the topic that the service writes its events to"));
        }
        topic_set::require(context, inspector, &[Topic::Orders.to(&[Operation::Read])])?;
        let missing = |topic: &str| Failure::new(Code::Refused, format!("topic {topic} does not exist"));
        let orders = FrozenTopic::find(context, inspector, &orders)?.ok_or_else(|| missing(&orders))?;
        let Some(events) = FrozenTopic::find(context, inspector, decisions)? else {
            let topics = inspector.topics()?;
            let found = behind_a_prefix(decisions, topics.iter().map(|(topic, _)| topic.as_str()));
            return Err(missing(decisions).hint(match found {
                Some(found) => format!("--decisions needs the full name; {found} exists"),
                None => {
                    "run the service first; --decisions needs the full name of the topic that it writes to".to_owned()
                }
            }));
        };
        Ok(Self { orders, events })
    }

    /// Freezes what is compared; `false` if the group has no committed offset.
    ///
    /// The order of the requests matters. A service writes its events before it commits, so the ends of the events, read
    /// after the committed offsets, are behind all events that these offsets need. The ends of the orders, read last,
    /// are behind all orders that these events are about.
    pub fn freeze(&mut self, context: &Context, inspector: &Inspector) -> Result<bool, Failure> {
        self.orders.required = committed(context, inspector, &self.orders.partitions)?;
        if self.orders.required.iter().all(Option::is_none) {
            return Ok(false);
        }
        self.events.end_now(context, inspector, Isolation::ReadCommitted)?;
        self.events.required = vec![Some(i64::MAX); self.events.partitions.len()];
        self.orders.end_now(context, inspector, Isolation::ReadCommitted)?;
        Ok(true)
    }

    /// The ranges of the orders, then those of the events.
    pub fn ranges(&self) -> Vec<OffsetRange> {
        [&self.orders, &self.events].into_iter().flat_map(FrozenTopic::ranges).collect()
    }

    /// The topics as they were frozen.
    pub fn watch<'a>(&self, context: &'a Context, inspector: &Inspector) -> Watch<'a> {
        Watch::new(context, inspector, vec![self.orders.watched(), self.events.watched()])
    }

    /// The reason why less is proved, if the group was set back in the meantime.
    pub fn set_back(&self, context: &Context, inspector: &Inspector) -> Result<Option<String>, Failure> {
        let FrozenTopic { partitions, required, .. } = &self.orders;
        let offsets = committed(context, inspector, partitions)?;
        let set_back = partitions.iter().zip(required.iter().zip(&offsets)).find(|(_, (before, now))| now < before);
        let shown = |offset: &Option<i64>| offset.map_or_else(|| "gone".to_owned(), |offset| offset.to_string());
        Ok(set_back.map(|(source, (before, now))| {
            let [before, now] = [before, now].map(shown);
            format!("the group's offset of {source} was {before} at the start of the audit, and is now {now}")
        }))
    }
}

fn committed(context: &Context, inspector: &Inspector, orders: &[TopicPartition]) -> Result<Vec<Option<i64>>, Failure> {
    Ok(inspector.committed(orders, &mut |text| context.console.note(text))?)
}
