//! Owns the topics of a command: those that must exist, those that are made, and that all have the same partitions.

use std::time::Duration;

use super::{Context, topic_settings};
use crate::clock::Deadline;
use crate::exit::{Code, Failure};
use crate::kafka::{Admin, ErrorKind, Inspector, Operation, Sizes, TopicSpec};
use crate::topics::{COMPACTED, DEAD_LETTER_OVERHEAD, DEFAULT_PARTITIONS, Names};

/// One of the five topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Topic {
    Orders,
    Decisions,
    Ledger,
    DeadLetters,
    AnalyticsState,
}

impl Topic {
    const ALL: [Self; 5] = [Self::Orders, Self::Decisions, Self::Ledger, Self::DeadLetters, Self::AnalyticsState];

    pub fn name(self, names: &Names) -> String {
        match self {
            Self::Orders => names.orders(),
            Self::Decisions => names.decisions(),
            Self::Ledger => names.ledger(),
            Self::DeadLetters => names.dead_letters(),
            Self::AnalyticsState => names.analytics_state(),
        }
    }

    /// What a command does with it; a right that is missing for that is told at the first look.
    pub const fn to(self, operations: &'static [Operation]) -> TopicUse {
        TopicUse { topic: self, operations }
    }
}

/// What a command does with a topic.
#[derive(Debug, Clone, Copy)]
pub(super) struct TopicUse {
    pub topic: Topic,
    pub operations: &'static [Operation],
}

const READ: &[Operation] = &[Operation::Read];

/// What a plan looks at: nothing but the group's state is read.
pub(super) const PLANNING: &[TopicUse] = &[
    Topic::Orders.to(&[Operation::Describe]),
    Topic::Decisions.to(&[Operation::Describe]),
    Topic::AnalyticsState.to(READ),
];
/// What a count of the log reads.
pub(super) const COUNTING: &[TopicUse] = &[Topic::Orders.to(READ), Topic::Decisions.to(READ)];
/// What a comparison beside the group reads.
pub(super) const COMPARING: &[TopicUse] =
    &[Topic::Orders.to(READ), Topic::Decisions.to(READ), Topic::AnalyticsState.to(READ)];
/// What a switch of the group's state and offsets needs.
pub(super) const SWITCHING: &[TopicUse] = &[
    Topic::Orders.to(READ),
    Topic::Decisions.to(READ),
    Topic::AnalyticsState.to(&[Operation::Read, Operation::Write]),
];

/// What was found on the cluster.
#[derive(Debug, Clone)]
pub(super) struct TopicSet {
    /// Partition count of every topic.
    pub partitions: i32,
    /// The topics that exist.
    existing: Vec<Topic>,
}

impl TopicSet {
    /// Whether a topic exists.
    pub fn has(&self, topic: Topic) -> bool {
        self.existing.contains(&topic)
    }
}

/// Looks at the topics of this prefix; `None` without `order-events`.
///
/// # Errors
///
/// With exit code 5 when an ACL hides one of those that the command uses: it would be taken for one that is not there.
pub(super) fn find(context: &Context, inspector: &Inspector, uses: &[TopicUse]) -> Result<Option<TopicSet>, Failure> {
    let names = &context.common.names;
    let mut topics = inspector.topics()?;
    for TopicUse { topic, operations } in uses {
        let name = topic.name(names);
        if !topics.iter().any(|(found, _)| *found == name)
            && let Some(partitions) = inspector.partitions(&name, operations)?
        {
            topics.push((name, partitions));
        }
    }
    let count = |topic: Topic| {
        let name = topic.name(names);
        topics.iter().find(|(found, _)| *found == name).map(|(_, partitions)| *partitions)
    };
    let Some(partitions) = count(Topic::Orders) else { return Ok(None) };
    let existing: Vec<Topic> = Topic::ALL.into_iter().filter(|topic| count(*topic).is_some()).collect();
    for topic in &existing {
        check_count(names, *topic, count(*topic), partitions)?;
    }
    Ok(Some(TopicSet { partitions, existing }))
}

/// As [`find`], for a command that cannot do without orders.
pub(super) fn require(context: &Context, inspector: &Inspector, uses: &[TopicUse]) -> Result<TopicSet, Failure> {
    if let Some(topic_set) = find(context, inspector, uses)? {
        return Ok(topic_set);
    }
    let names = &context.common.names;
    let prefixes: Vec<String> = inspector
        .topics()?
        .iter()
        .filter_map(|(topic, _)| Names::prefix_of_orders(topic))
        .map(|prefix| if prefix.is_empty() { "no prefix".to_owned() } else { format!("--prefix {prefix}") })
        .collect();
    let hint = if prefixes.is_empty() {
        "place some orders first: `foodstream produce`".to_owned()
    } else {
        format!("order topics exist with {}; or place orders here: `foodstream produce`", prefixes.join(", "))
    };
    Err(Failure::new(Code::Refused, format!("there is no topic {}", names.orders())).hint(hint))
}

fn check_count(names: &Names, topic: Topic, found: Option<i32>, wanted: i32) -> Result<(), Failure> {
    match found {
        Some(found) if found != wanted => Err(Failure::new(
            Code::Refused,
            format!(
                "{} has {found} partitions, {} has {wanted}: all topics must have the same",
                topic.name(names),
                names.orders()
            ),
        )
        .hint("use a fresh --prefix, or delete the topic that is wrong")),
        _ => Ok(()),
    }
}

/// Makes the topics that are missing, with the partition count of `order-events`.
///
/// `partitions` is what the user asked for; it must be what exists.
pub(super) fn ensure(
    context: &Context,
    inspector: &Inspector,
    uses: &[TopicUse],
    partitions: Option<i32>,
) -> Result<TopicSet, Failure> {
    let names = &context.common.names;
    let found = if let Some(found) = find(context, inspector, uses)? {
        found
    } else {
        // Without orders nothing was looked at: what exists of the others must fit too.
        let (all, count) = (inspector.topics()?, partitions.unwrap_or(DEFAULT_PARTITIONS));
        for topic in Topic::ALL {
            let name = topic.name(names);
            let found = all.iter().find(|(found, _)| *found == name).map(|(_, partitions)| *partitions);
            check_count(names, topic, found, count)?;
        }
        // They may exist already, with another count: made by another process a moment ago.
        make(context, inspector, &[Topic::Orders], count)?;
        find_until(context, inspector, uses, |_| true)?
    };
    if let Some(asked) = partitions
        && found.partitions != asked
    {
        return Err(Failure::new(
            Code::Refused,
            format!("--partitions {asked}: {} exists with {} partitions", names.orders(), found.partitions),
        )
        .hint("leave --partitions out, or use a fresh --prefix"));
    }
    let topics: Vec<Topic> = uses.iter().map(|used| used.topic).collect();
    let missing: Vec<Topic> = topics.iter().copied().filter(|topic| !found.has(*topic)).collect();
    make(context, inspector, &missing, found.partitions)?;
    topic_settings::check(context, inspector, uses)?;
    if topics.contains(&Topic::DeadLetters) {
        check_dead_letters(context, inspector)?;
    }
    if missing.is_empty() {
        return Ok(found);
    }
    // What was made is looked at: it may have been made by another process, and otherwise.
    find_until(context, inspector, uses, |found| topics.iter().all(|topic| found.has(*topic)))
}

/// Looks until the topics are as wanted: a cluster answers before each of its brokers has heard of a new topic.
fn find_until(
    context: &Context,
    inspector: &Inspector,
    uses: &[TopicUse],
    wanted: impl Fn(&TopicSet) -> bool,
) -> Result<TopicSet, Failure> {
    let deadline = Deadline::after(context.common.connection.timeout);
    loop {
        if let Some(found) = find(context, inspector, uses)?
            && wanted(&found)
        {
            return Ok(found);
        }
        if deadline.has_passed() {
            return Err(Failure::new(Code::Unreachable, "topics were created and did not appear in time")
                .hint("look at the broker's log, or give more --timeout"));
        }
        context.shutdown.check()?;
        context.shutdown.pause(Duration::from_millis(10));
    }
}

fn make(context: &Context, inspector: &Inspector, topics: &[Topic], partitions: i32) -> Result<(), Failure> {
    if topics.is_empty() {
        return Ok(());
    }
    let names = &context.common.names;
    let facts = |topic: Topic| -> Result<TopicSpec, Failure> {
        let owned = |settings: &[(&str, &str)]| {
            settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let settings = match topic {
            Topic::Orders | Topic::Decisions => Vec::new(),
            Topic::Ledger | Topic::AnalyticsState => owned(COMPACTED),
            Topic::DeadLetters => {
                let size = (inspector.max_message_bytes(&names.orders())? + DEAD_LETTER_OVERHEAD).to_string();
                owned(&[("max.message.bytes", size.as_str())])
            }
        };
        Ok(TopicSpec { name: topic.name(names), partitions, settings })
    };
    let facts: Vec<TopicSpec> = topics.iter().map(|topic| facts(*topic)).collect::<Result<_, _>>()?;
    let admin = Admin::open(&context.common.connection, &context.runtime, &context.shutdown)?;
    Ok(admin.create(&facts)?)
}

/// Otherwise a bad record at the size limit would stop its partition for ever.
fn check_dead_letters(context: &Context, inspector: &Inspector) -> Result<(), Failure> {
    let names = &context.common.names;
    let needed = inspector.max_message_bytes(&names.orders())? + DEAD_LETTER_OVERHEAD;
    let found = inspector.max_message_bytes(&names.dead_letters())?;
    if found >= needed {
        return Ok(());
    }
    let topic = names.dead_letters();
    Err(Failure::new(
        Code::Refused,
        format!("{topic} takes records of {found} bytes at most; a bad record of {} needs {needed}", names.orders()),
    )
    .hint(format!(
        "kafka-configs --bootstrap-server {} --alter --entity-type topics --entity-name {topic} --add-config max.message.bytes={needed}",
        context.common.connection.bootstrap()
    )))
}

/// How large records and batches may be on the topics that a command writes to.
///
/// The client's own limit for a record is raised for the dead letters, and its batches are kept below what the topics
/// take: three records that are each within a topic's limit are refused together otherwise.
pub(super) fn sizes(context: &Context, inspector: &Inspector, topics: &[Topic]) -> Result<Sizes, Failure> {
    let names = &context.common.names;
    let mut sizes = Sizes::default();
    for topic in topics {
        let limit = match inspector.max_message_bytes(&topic.name(names)) {
            Ok(limit) => limit,
            // Without the right to read a topic's settings the client's own defaults have to do.
            Err(error) if error.kind() == ErrorKind::Denied => continue,
            Err(error) => return Err(error.into()),
        };
        sizes.batch = Some(sizes.batch.map_or(limit, |batch| batch.min(limit)));
        sizes.record = Some(sizes.record.map_or(limit, |record| record.max(limit)));
    }
    Ok(sizes)
}
