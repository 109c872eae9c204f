//! The analytics group: its state and offsets, whether it is live, and checks before it is changed.

use std::time::Duration;

use super::Context;
use super::topic_set::{Topic, TopicSet};
use crate::analytics::{Feed, GroupState, View};
use crate::clock::Deadline;
use crate::exit::{Code, Failure};
use crate::kafka::{self, Inspector, TopicPartition};
use crate::shutdown::Shutdown;
use crate::state::{TopicId, is_another_topic};
use crate::stream::{StreamError, changelog};

/// How often an incomplete state is read again.
const MAX_READS: u32 = 3;

/// A source partition of the metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct InputPartition {
    pub source: TopicPartition,
    pub feed: Feed,
}

/// All source partitions, sorted by topic and number as in documents. Without `inventory-events` only those of orders.
pub(super) fn inputs(context: &Context, topic_set: &TopicSet) -> Vec<InputPartition> {
    let names = &context.common.names;
    let all = |topic: String, feed: Feed| {
        TopicPartition::all(&topic, topic_set.partitions).into_iter().map(move |source| InputPartition { source, feed })
    };
    let mut inputs: Vec<InputPartition> = all(names.orders(), Feed::Orders).collect();
    if topic_set.has(Topic::Decisions) {
        inputs.extend(all(names.decisions(), Feed::Decisions));
    }
    inputs.sort_by(|left, right| left.source.cmp(&right.source));
    inputs
}

/// The topic id of each input, if known.
pub(super) fn topic_ids(
    context: &Context,
    inspector: &Inspector,
    inputs: &[InputPartition],
) -> Result<Vec<Option<TopicId>>, Failure> {
    let mut topics: Vec<String> = inputs.iter().map(|input| input.source.topic.clone()).collect();
    topics.dedup();
    let ids = inspector.topic_ids(&topics, context.common.connection.timeout)?;
    let of = |input: &InputPartition| {
        let index = topics.iter().position(|topic| *topic == input.source.topic)?;
        ids[index].clone()
    };
    Ok(inputs.iter().map(of).collect())
}

/// The error for a topic that was deleted and created again while a command read it, which makes the result invalid.
pub(super) fn recreated_since(
    inputs: &[InputPartition],
    before: &[Option<TopicId>],
    after: &[Option<TopicId>],
) -> Option<Failure> {
    let ids = before.iter().zip(after);
    let (input, (Some(before), Some(after))) =
        inputs.iter().zip(ids).find(|(_, (before, after))| is_another_topic(before.as_ref(), after.as_ref()))?
    else {
        return None;
    };
    let topic = &input.source.topic;
    let failure = Failure::new(
        Code::Refused,
        format!("topic {topic} was deleted and created again: its id was {before} and is now {after}"),
    );
    Some(failure.hint("the group is unchanged; run the command again"))
}

/// Fails with exit code 7 if state is missing, because totals would be wrong.
pub(super) fn require_complete(state: &GroupState) -> Result<(), Failure> {
    let Some((topic, partition, loss)) = state.losses().next() else { return Ok(()) };
    Err(Failure::new(Code::Refused, format!("state_lost: the state of {topic}/{partition} is incomplete: {loss}"))
        .hint("recount: `foodstream analytics --from-beginning`, and keep cleanup.policy=compact on analytics-state"))
}

/// Reads the group's complete state as of the last committed transaction.
pub(super) fn read_state(
    context: &Context,
    inspector: &Inspector,
    topic_set: &TopicSet,
    group: &str,
) -> Result<GroupState, Failure> {
    Ok(read_state_until(context, inspector, topic_set, group, &context.shutdown)?)
}

/// Like [`read_state`], but positions only.
pub(super) fn read_positions(
    context: &Context,
    inspector: &Inspector,
    topic_set: &TopicSet,
    group: &str,
) -> Result<GroupState, Failure> {
    let state = GroupState::positions_only(group);
    if !topic_set.has(Topic::AnalyticsState) {
        return Ok(state);
    }
    Ok(read_into(state, context, inspector, topic_set, &context.shutdown)?)
}

fn read_state_until(
    context: &Context,
    inspector: &Inspector,
    topic_set: &TopicSet,
    group: &str,
    shutdown: &Shutdown,
) -> Result<GroupState, StreamError> {
    if !topic_set.has(Topic::AnalyticsState) {
        return Ok(GroupState::new(group));
    }
    let mut reads = 0;
    loop {
        let state = read_into(GroupState::new(group), context, inspector, topic_set, shutdown)?;
        reads += 1;
        // The cleaner may delete an old value before it is read, while its replacement is past the end offset.
        if reads == MAX_READS || state.losses().next().is_none() && !has_loss_before_switch(&state) {
            return Ok(state);
        }
    }
}

fn has_loss_before_switch(state: &GroupState) -> bool {
    state.positions().any(|(topic, partition, _)| state.loss(topic, partition, View::BeforeSwitch).is_some())
}

fn read_into(
    mut state: GroupState,
    context: &Context,
    inspector: &Inspector,
    topic_set: &TopicSet,
    shutdown: &Shutdown,
) -> Result<GroupState, StreamError> {
    let group = state.group().to_owned();
    let topic = context.common.names.analytics_state();
    let source = changelog::Changelog {
        connection: &context.common.connection,
        inspector,
        group: &group,
        topic: &topic,
        shutdown,
    };
    let partitions: Vec<i32> = (0..topic_set.partitions).collect();
    changelog::read(source, &partitions, &mut |text| context.console.note(text), |partition, key, value| {
        state.apply(key, value).map_err(|error| {
            Failure::new(Code::Refused, format!("{topic}/{partition}: {error}")).hint(
                "another program or a newer foodstream wrote to this topic; use the newer version, or a new --prefix",
            )
        })
    })?;
    Ok(state)
}

/// Like [`read_state`], even after a stop: a stopped command still prints its last result.
pub(super) fn read_final_state(
    context: &Context,
    inspector: &Inspector,
    topic_set: &TopicSet,
    group: &str,
) -> Result<GroupState, StreamError> {
    read_state_until(context, &inspector.ignoring_shutdown(), topic_set, group, &Shutdown::default())
}

/// The group's committed offset of each input.
pub(super) fn offsets(
    context: &Context,
    inspector: &Inspector,
    inputs: &[InputPartition],
) -> Result<Vec<Option<i64>>, Failure> {
    let sources: Vec<TopicPartition> = inputs.iter().map(|input| input.source.clone()).collect();
    Ok(inspector.committed(&sources, &mut |text| context.console.note(text))?)
}

/// The committed offset that belongs to a position. The position was read after `earlier` and before `later`; in a live
/// group the offset moves with it, so a position between the two had an equal offset.
pub(super) fn offset_for_position(position: Option<i64>, earlier: Option<i64>, later: Option<i64>) -> Option<i64> {
    let was_there = match (position, later) {
        (Some(position), Some(later)) => earlier.is_none_or(|earlier| earlier <= position) && position <= later,
        (None, _) => earlier.is_none(),
        (Some(_), None) => false,
    };
    if was_there { position } else { later }
}

/// Offsets without state belong to another program's group.
pub(super) fn not_an_analytics_group(group: &str) -> Failure {
    Failure::new(
        Code::Refused,
        format!("group {group} has offsets on these topics but no analytics state: it is not an analytics group"),
    )
    .hint("choose another group with --group, or delete this one with kafka-consumer-groups --delete")
}

/// Waits at most `wait` until the group has no members, and fails if it still has some.
pub(super) fn wait_empty(
    context: &Context,
    inspector: &Inspector,
    group: &str,
    wait: Option<Duration>,
) -> Result<(), GroupError> {
    let deadline = Deadline::after(wait.unwrap_or_default());
    let mut noted = false;
    loop {
        // Without joining, which would cause a rebalance in a live group.
        let liveness = inspector.group_members(group)?;
        if liveness.members.is_empty() {
            return Ok(());
        }
        let members = liveness.members.join(", ");
        if deadline.has_passed() {
            return Err(GroupError::Live(Failure::new(
                Code::Refused,
                format!("group {group} is live ({}), its members are: {members}", liveness.state),
            )
            .hint("stop them, or add --wait-empty 60s; --shadow recomputes without changing a live group (a killed member is listed until its session times out)")));
        }
        if !noted {
            noted = true;
            context.console.note(&format!("waiting until group {group} is empty; its members are: {members}"));
        }
        context.shutdown.check()?;
        context.shutdown.pause(Duration::from_millis(200));
    }
}

/// Why the group could not be changed.
#[derive(Debug)]
pub(super) enum GroupError {
    /// It has members, or a member joined.
    Live(Failure),
    Other(Failure),
}

impl GroupError {
    pub fn joined(group: &str) -> Self {
        let failure = Failure::new(Code::Refused, format!("another member has joined group {group}"))
            .hint("stop it and run the command again; the group's offsets and state are consistent, and it continues from them");
        Self::Live(failure)
    }
}

impl From<Failure> for GroupError {
    fn from(failure: Failure) -> Self {
        Self::Other(failure)
    }
}

impl From<kafka::Error> for GroupError {
    fn from(error: kafka::Error) -> Self {
        Self::Other(error.into())
    }
}

impl From<GroupError> for Failure {
    fn from(error: GroupError) -> Self {
        match error {
            GroupError::Live(failure) | GroupError::Other(failure) => failure,
        }
    }
}
