//! The analytics group as a whole: its state and offsets, whether it is live, and what must not be done to it.

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

/// How often a state is read that is not whole.
const LOOKS: u32 = 3;

/// A source partition of the metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct InputPartition {
    pub source: TopicPartition,
    pub feed: Feed,
}

/// Every source partition, ordered by topic and number as in every document; without `inventory-events` only the orders'.
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

/// The id of each input's topic, in their order, as far as it is known.
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

/// A topic was deleted and created again while a command read it; nothing of what it read stands.
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
        format!("topic {topic} was deleted and created again meanwhile: its id is {after} now, and was {before}"),
    );
    Some(failure.hint("the group is as it was before; run the command again"))
}

/// Requires that nothing of the state is gone that is shown.
///
/// # Errors
///
/// With exit code 7: the sums would be wrong.
pub(super) fn require_complete(state: &GroupState) -> Result<(), Failure> {
    let Some((topic, partition, loss)) = state.losses().next() else { return Ok(()) };
    Err(Failure::new(
        Code::Refused,
        format!("state_lost: the state of {topic}/{partition} is not whole any more: {loss}"),
    )
    .hint("count again: `foodstream analytics --from-beginning`, and keep cleanup.policy=compact on analytics-state"))
}

/// Reads the group's whole state, as the last committed transaction left it.
pub(super) fn read_state(
    context: &Context,
    inspector: &Inspector,
    topic_set: &TopicSet,
    group: &str,
) -> Result<GroupState, Failure> {
    Ok(read_state_until(context, inspector, topic_set, group, &context.shutdown)?)
}

/// As [`read_state`], for who asks for positions only.
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
    let mut looks = 0;
    loop {
        let state = read_into(GroupState::new(group), context, inspector, topic_set, shutdown)?;
        looks += 1;
        // A cleaner may take a key of a live group's before the reader, and its newer value comes behind the end.
        if looks == LOOKS || state.losses().next().is_none() && !has_lost_before(&state) {
            return Ok(state);
        }
    }
}

fn has_lost_before(state: &GroupState) -> bool {
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
                "another program wrote to this topic, or a newer foodstream did; use that one, or a fresh --prefix",
            )
        })
    })?;
    Ok(state)
}

/// As [`read_state`], also when a stop was asked for: the last word of a command that was stopped is still told.
pub(super) fn read_final_state(
    context: &Context,
    inspector: &Inspector,
    topic_set: &TopicSet,
    group: &str,
) -> Result<GroupState, StreamError> {
    read_state_until(context, &inspector.ignoring_shutdown(), topic_set, group, &Shutdown::default())
}

/// The group's committed offsets of the inputs, in their order.
pub(super) fn offsets(
    context: &Context,
    inspector: &Inspector,
    inputs: &[InputPartition],
) -> Result<Vec<Option<i64>>, Failure> {
    let sources: Vec<TopicPartition> = inputs.iter().map(|input| input.source.clone()).collect();
    Ok(inspector.committed(&sources, &mut |text| context.console.note(text))?)
}

/// The offset that belongs to a position of the state, which was read after `earlier` and before `later`: a live group
/// moves on meanwhile, and wherever it stood in between it stood with both.
pub(super) fn offset_for_position(position: Option<i64>, earlier: Option<i64>, later: Option<i64>) -> Option<i64> {
    let was_there = match (position, later) {
        (Some(position), Some(later)) => earlier.is_none_or(|earlier| earlier <= position) && position <= later,
        (None, _) => earlier.is_none(),
        (Some(_), None) => false,
    };
    if was_there { position } else { later }
}

/// Offsets without state are another program's group.
pub(super) fn not_an_analytics_group(group: &str) -> Failure {
    Failure::new(
        Code::Refused,
        format!("the group {group} has offsets on these topics and no analytics state: it is not an analytics group"),
    )
    .hint("name another with --group, or delete this one with kafka-consumer-groups --delete")
}

/// Refuses a group that has members; waits for them to leave for as long as the user said.
pub(super) fn wait_empty(
    context: &Context,
    inspector: &Inspector,
    group: &str,
    wait: Option<Duration>,
) -> Result<(), GroupError> {
    let deadline = Deadline::after(wait.unwrap_or_default());
    let mut told = false;
    loop {
        // Listed before anything joins: to join would disturb a live group.
        let liveness = inspector.group_members(group)?;
        if liveness.members.is_empty() {
            return Ok(());
        }
        let members = liveness.members.join(", ");
        if deadline.has_passed() {
            return Err(GroupError::Live(Failure::new(
                Code::Refused,
                format!("the group {group} is live ({}), its members are: {members}", liveness.state),
            )
            .hint("stop them, or give --wait-empty 60s; --shadow recomputes beside a live group (a killed member is listed until its session expires)")));
        }
        if !told {
            told = true;
            context.console.note(&format!("waiting for the group {group} to be empty; its members are: {members}"));
        }
        context.shutdown.check()?;
        context.shutdown.pause(Duration::from_millis(200));
    }
}

/// Why the group could not be held or switched.
#[derive(Debug)]
pub(super) enum GroupError {
    /// It has members, or got one.
    Live(Failure),
    /// Anything else.
    Other(Failure),
}

impl GroupError {
    pub fn joined(group: &str) -> Self {
        let failure = Failure::new(Code::Refused, format!("another member joined the group {group} meanwhile"))
            .hint("stop it and run the command again; the group's offsets and state agree, and it goes on from them");
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
