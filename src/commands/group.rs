//! Owns the analytics group as a whole: its state and offsets, and holding it while both are switched at once.

use std::time::Duration;

use super::Context;
use super::topology::{Topic, Topology};
use crate::analytics::{Feed, GroupState};
use crate::clock::{self, Deadline};
use crate::exit::{Code, Failure};
use crate::kafka::{self, GroupMetadata, Happening, Inspector, Member, MemberSettings, TopicPartition};
use crate::shutdown::Shutdown;
use crate::stream::{StreamError, changelog};

/// A source partition of the metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub source: TopicPartition,
    pub feed: Feed,
}

/// Every source partition, ordered by topic and number as in every document; without `inventory-events` only the orders'.
pub(super) fn places(context: &Context, topology: &Topology) -> Vec<Place> {
    let names = &context.common.names;
    let all = |topic: String, feed: Feed| {
        TopicPartition::all(&topic, topology.partitions).into_iter().map(move |source| Place { source, feed })
    };
    let mut places: Vec<Place> = all(names.orders(), Feed::Orders).collect();
    if topology.has(Topic::Decisions) {
        places.extend(all(names.decisions(), Feed::Decisions));
    }
    places.sort_by(|left, right| left.source.cmp(&right.source));
    places
}

/// Reads the group's whole state, as the last committed transaction left it.
pub(super) fn read_state(
    context: &Context,
    inspector: &Inspector,
    topology: &Topology,
    group: &str,
) -> Result<GroupState, Failure> {
    Ok(read_state_until(context, inspector, topology, group, &context.shutdown)?)
}

fn read_state_until(
    context: &Context,
    inspector: &Inspector,
    topology: &Topology,
    group: &str,
    shutdown: &Shutdown,
) -> Result<GroupState, StreamError> {
    let mut state = GroupState::new(group);
    if !topology.has(Topic::AnalyticsState) {
        return Ok(state);
    }
    let topic = context.common.names.analytics_state();
    let source =
        changelog::Source { connection: &context.common.connection, inspector, group, topic: &topic, shutdown };
    let partitions: Vec<i32> = (0..topology.partitions).collect();
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
    topology: &Topology,
    group: &str,
) -> Result<GroupState, StreamError> {
    read_state_until(context, &inspector.after_a_stop(), topology, group, &Shutdown::default())
}

/// The group's committed offsets of the places, in their order.
pub(super) fn offsets(context: &Context, inspector: &Inspector, places: &[Place]) -> Result<Vec<Option<i64>>, Failure> {
    let sources: Vec<TopicPartition> = places.iter().map(|place| place.source.clone()).collect();
    Ok(inspector.committed(&sources, &mut |text| context.console.note(text))?)
}

/// The offset that belongs to a position of the state, which was read after `earlier` and before `later`: a live group
/// moves on meanwhile, and wherever it stood in between it stood with both.
pub(super) fn offset_beside(position: Option<i64>, earlier: Option<i64>, later: Option<i64>) -> Option<i64> {
    let was_there = match (position, later) {
        (Some(position), Some(later)) => earlier.is_none_or(|earlier| earlier <= position) && position <= later,
        (None, _) => earlier.is_none(),
        (Some(_), None) => false,
    };
    if was_there { position } else { later }
}

/// Offsets without state are another program's group.
pub(super) fn refuse_foreign(group: &str) -> Failure {
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
        let liveness = inspector.liveness(group)?;
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

/// The session of the member that holds a group: it answers every few moments, and should not be missed for long when it is
/// killed. Brokers with default settings take 6 s and more.
const HOLD_SESSION: Duration = Duration::from_secs(10);

/// The group, held by this process: its only member, with every partition paused.
#[derive(Debug)]
pub(super) struct Hold {
    member: Member,
    metadata: GroupMetadata,
}

impl Hold {
    /// Joins the empty group and takes every partition.
    pub fn take(context: &Context, group: &str, places: &[Place]) -> Result<Self, GroupError> {
        let mut topics: Vec<String> = places.iter().map(|place| place.source.topic.clone()).collect();
        topics.dedup();
        let settings =
            MemberSettings { group: group.to_owned(), instance_id: None, topics, session_timeout: HOLD_SESSION };
        let member = Member::join(&context.common.connection, &settings)?;
        let deadline = Deadline::after(context.common.connection.timeout.max(Duration::from_secs(30)));
        let result = loop {
            if let Err(stop) = context.shutdown.check() {
                break Err(stop);
            }
            if deadline.has_passed() {
                break Err(Failure::new(Code::Unreachable, format!("the group {group} gave no partitions in time"))
                    .hint("look at the broker's log, or give more --timeout"));
            }
            match member.poll(Duration::from_millis(100)) {
                // The metadata of this very assignment: what is taken later may belong to a generation with others in it.
                Ok(Happening::Assigned(partitions, metadata)) => break Ok((partitions, metadata)),
                Ok(_) => {}
                Err(error) => break Err(error.into()),
            }
        };
        let (partitions, metadata) = match result {
            Ok(assigned) => assigned,
            Err(failure) => {
                member.leave();
                return Err(GroupError::Other(failure));
            }
        };
        if partitions.len() < places.len() {
            member.leave();
            return Err(GroupError::joined(group));
        }
        // Assigned without a fetch: nothing is read here, and nothing prefetched is thrown away.
        member.read_from(&[])?;
        Ok(Self { member, metadata })
    }

    /// In whose name offsets are set.
    pub fn metadata(&self) -> &GroupMetadata {
        &self.metadata
    }

    /// Serves the membership; to be called every few moments.
    ///
    /// # Errors
    ///
    /// With exit code 7 when somebody joined: the group goes on from what was committed last.
    pub fn serve(&self, group: &str) -> Result<(), GroupError> {
        let deadline = Deadline::after(Duration::from_millis(5));
        while !deadline.has_passed() {
            match self.member.poll(Duration::ZERO)? {
                Happening::Revoked { .. } | Happening::Assigned(..) => return Err(GroupError::joined(group)),
                Happening::Nothing => return Ok(()),
                Happening::Record(_) | Happening::Trouble(_) => {}
            }
            clock::pause(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Leaves the group, and waits until it has no member: a coordinator that goes away in that moment hears nothing of it,
    /// and the group would be live for whatever command comes next.
    pub fn release(self, context: &Context, inspector: &Inspector, group: &str) {
        self.member.leave();
        let (inspector, bound) = (inspector.after_a_stop(), Deadline::after(HOLD_SESSION + Duration::from_secs(2)));
        let mut silence = Some(Deadline::after(Duration::from_secs(1)));
        // What cannot be found out now is found out by the next command.
        while inspector.liveness(group).is_ok_and(|liveness| !liveness.members.is_empty()) && !bound.has_passed() {
            if silence.take_if(|silence| silence.has_passed()).is_some() {
                context.console.note(&format!("waiting for the group {group} to notice that this command has left"));
            }
            clock::pause(Duration::from_millis(50));
        }
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
