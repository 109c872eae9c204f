//! The topics of a command: required ones, created ones, and their common partition count.

use std::time::Duration;

use super::{Context, topic_settings};
use crate::clock::Deadline;
use crate::exit::{Code, Failure};
use crate::kafka::{Admin, ErrorKind, Inspector, Operation, Sizes, TopicSpec};
use crate::topics::{COMPACTED, DEAD_LETTER_OVERHEAD, DEFAULT_PARTITIONS, Names};
use crate::units::{counted, duration};

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

    /// Says what a command does with the topic, so that a missing permission is reported early.
    pub const fn to(self, operations: &'static [Operation]) -> TopicUse {
        TopicUse { topic: self, operations }
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) struct TopicUse {
    pub topic: Topic,
    pub operations: &'static [Operation],
}

const READ: &[Operation] = &[Operation::Read];

/// A dry run: only the group's state is read.
pub(super) const PLANNING: &[TopicUse] = &[
    Topic::Orders.to(&[Operation::Describe]),
    Topic::Decisions.to(&[Operation::Describe]),
    Topic::AnalyticsState.to(READ),
];
/// Counting the log.
pub(super) const COUNTING: &[TopicUse] = &[Topic::Orders.to(READ), Topic::Decisions.to(READ)];
/// A comparison that does not change the group.
pub(super) const COMPARING: &[TopicUse] =
    &[Topic::Orders.to(READ), Topic::Decisions.to(READ), Topic::AnalyticsState.to(READ)];
/// A switch of the group's state and offsets.
pub(super) const SWITCHING: &[TopicUse] = &[
    Topic::Orders.to(READ),
    Topic::Decisions.to(READ),
    Topic::AnalyticsState.to(&[Operation::Read, Operation::Write]),
];

/// The topics found on the cluster.
#[derive(Debug, Clone)]
pub(super) struct TopicSet {
    /// The same for all topics.
    pub partitions: i32,
    existing: Vec<Topic>,
}

impl TopicSet {
    pub fn has(&self, topic: Topic) -> bool {
        self.existing.contains(&topic)
    }
}

/// Finds the topics of this prefix; `None` without `order-events`. Fails with exit code 5 if an ACL hides a topic that
/// the command uses, which would otherwise seem to be missing.
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

/// Like [`find`], but fails without `order-events`.
pub(super) fn require(context: &Context, inspector: &Inspector, uses: &[TopicUse]) -> Result<TopicSet, Failure> {
    if let Some(topic_set) = find(context, inspector, uses)? {
        return Ok(topic_set);
    }
    let names = &context.common.names;
    let topics = inspector.topics()?;
    let hint = match names.other_prefixes(topics.iter().map(|(topic, _)| topic.as_str())) {
        None => "publish orders first: `foodstream produce`".to_owned(),
        Some(options) => format!("order topics exist with {options}; or publish orders here: `foodstream produce`"),
    };
    Err(Failure::new(Code::Refused, format!("topic {} does not exist", names.orders())).hint(hint))
}

fn check_count(names: &Names, topic: Topic, found: Option<i32>, wanted: i32) -> Result<(), Failure> {
    match found {
        Some(found) if found != wanted => Err(Failure::new(
            Code::Refused,
            format!(
                "{} has {}, but {} has {}: all topics must have the same number",
                topic.name(names),
                counted(found, "partition"),
                names.orders(),
                counted(wanted, "partition")
            ),
        )
        .hint("use a new --prefix, or delete the topic with the wrong number")),
        _ => Ok(()),
    }
}

/// Creates missing topics with the partition count of `order-events`. `partitions` is the user's choice, which must
/// match existing topics.
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
        // Other topics may exist without orders, and must match too.
        let (all, count) = (inspector.topics()?, partitions.unwrap_or(DEFAULT_PARTITIONS));
        for topic in Topic::ALL {
            let name = topic.name(names);
            let found = all.iter().find(|(found, _)| *found == name).map(|(_, partitions)| *partitions);
            check_count(names, topic, found, count)?;
        }
        if names.lacks_separator() {
            let prefix = names.prefix();
            context.console.warn(&format!(
                "--prefix {prefix} ends without a separator, so its topics are {} and so on; \
                 `--prefix {prefix}.` makes them {prefix}.order-events",
                names.orders()
            ));
        }
        // A consumer of another prefix's orders would wait here without an explanation.
        if uses.iter().any(|used| used.topic != Topic::Orders)
            && let Some(options) = names.other_prefixes(all.iter().map(|(topic, _)| topic.as_str()))
        {
            let orders = names.orders();
            context
                .console
                .note(&format!("{orders} does not exist, so it is created empty; order topics exist with {options}"));
        }
        // Another process may have just created them with another count, which the check below finds.
        make(context, inspector, &[Topic::Orders], count)?;
        find_until(context, inspector, uses, |_| true)?
    };
    if let Some(asked) = partitions
        && found.partitions != asked
    {
        return Err(Failure::new(
            Code::Refused,
            format!("--partitions {asked}: {} already has {}", names.orders(), counted(found.partitions, "partition")),
        )
        .hint("omit --partitions, or use a new --prefix"));
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
    // Check what exists now: another process may have created the topics differently.
    find_until(context, inspector, uses, |found| topics.iter().all(|topic| found.has(*topic)))
}

/// Retries until the topics are as wanted: after a creation, not all brokers know the topic at once.
fn find_until(
    context: &Context,
    inspector: &Inspector,
    uses: &[TopicUse],
    wanted: impl Fn(&TopicSet) -> bool,
) -> Result<TopicSet, Failure> {
    let timeout = context.common.connection.timeout;
    let deadline = Deadline::after(timeout);
    loop {
        if let Some(found) = find(context, inspector, uses)?
            && wanted(&found)
        {
            return Ok(found);
        }
        if deadline.has_passed() {
            return Err(Failure::new(
                Code::Unreachable,
                format!("the created topics did not appear within {}", duration(timeout)),
            )
            .hint("check the broker's log, or use a longer --timeout"));
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

/// Otherwise a bad record at the size limit would block its partition forever.
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
        format!(
            "{topic} accepts records of at most {}, but a bad record of {} needs {}",
            counted(found, "byte"),
            names.orders(),
            counted(needed, "byte")
        ),
    )
    .hint(format!(
        "kafka-configs --bootstrap-server {} --alter --entity-type topics --entity-name {topic} --add-config max.message.bytes={needed}",
        context.common.connection.bootstrap()
    )))
}

/// Size limits of records and batches on the topics that a command writes to.
///
/// The client's record limit is raised for dead letters. Its batches stay below the topics' limit: three records, each
/// within the limit, could otherwise be refused as one batch.
pub(super) fn sizes(context: &Context, inspector: &Inspector, topics: &[Topic]) -> Result<Sizes, Failure> {
    let names = &context.common.names;
    let mut sizes = Sizes::default();
    for topic in topics {
        let limit = match inspector.max_message_bytes(&topic.name(names)) {
            Ok(limit) => limit,
            // Without permission to read the settings, the client's defaults apply.
            Err(error) if error.kind() == ErrorKind::Denied => continue,
            Err(error) => return Err(error.into()),
        };
        sizes.batch = Some(sizes.batch.map_or(limit, |batch| batch.min(limit)));
        sizes.record = Some(sizes.record.map_or(limit, |record| record.max(limit)));
    }
    Ok(sizes)
}
