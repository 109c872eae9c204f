//! Exclusive membership: this process is the only member of a group, with all partitions, while offsets and state are
//! switched.

use std::cell::RefCell;
use std::time::Duration;

use super::Context;
use super::group::{GroupError, InputPartition};
use crate::clock::{self, Deadline};
use crate::exit::{Code, Failure};
use crate::kafka::{
    CLOSE_TIMEOUT, CLOSE_TIMEOUT_IN_OUTAGE, GroupMetadata, Inspector, Member, MemberSettings, PollEvent, TopicPartition,
};
use crate::units::duration;

/// The shortest and longest session timeout. The member polls every few moments, and after a kill it should time out
/// soon. Brokers with default settings allow 6 s or more.
const SESSION_TIMEOUTS: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(30));

/// The least time for the group to assign the partitions: a member whose join was lost with its coordinator blocks the
/// group until its session times out.
const MIN_JOIN_TIMEOUT: Duration = Duration::from_secs(30);

/// How often the wait for the group probes whether the cluster responds.
const PROBE: Duration = Duration::from_secs(1);

/// Grows with `--timeout`, because a slow cluster needs three responses before a new member sends its first heartbeat.
fn session_timeout(context: &Context) -> Duration {
    (context.common.connection.timeout / 3).clamp(SESSION_TIMEOUTS.0, SESSION_TIMEOUTS.1)
}

/// This process as the only member of a group, with all partitions assigned and none fetched.
pub(super) struct SoleMember<'a> {
    context: &'a Context,
    inspector: &'a Inspector,
    group: String,
    sources: Vec<TopicPartition>,
    member: Member,
    membership: RefCell<Membership>,
}

struct Membership {
    /// Of the current assignment. Read later, it could belong to a generation with other members.
    metadata: GroupMetadata,
    /// The group's offsets as this process found or committed them. Any others mean that another member committed.
    offsets: Vec<Option<i64>>,
    /// The offsets of a switch in progress, whose outcome may be unknown.
    expected: Vec<(TopicPartition, i64)>,
}

impl<'a> SoleMember<'a> {
    /// Joins the empty group and gets all partitions.
    pub fn join(
        context: &'a Context,
        inspector: &'a Inspector,
        group: &str,
        inputs: &[InputPartition],
    ) -> Result<Self, GroupError> {
        let sources: Vec<TopicPartition> = inputs.iter().map(|input| input.source.clone()).collect();
        let mut topics: Vec<String> = sources.iter().map(|source| source.topic.clone()).collect();
        topics.dedup();
        let session_timeout = session_timeout(context);
        let settings = MemberSettings { group: group.to_owned(), instance_id: None, topics, session_timeout };
        let member = Member::join(&context.common.connection, &settings)?;
        let joined = assigned(context, inspector, &member, group, sources.len()).and_then(|metadata| {
            let offsets = inspector.committed(&sources, &mut |text| context.console.note(text))?;
            Ok(Membership { metadata, offsets, expected: Vec::new() })
        });
        match joined {
            Ok(membership) => {
                let (group, membership) = (group.to_owned(), RefCell::new(membership));
                Ok(Self { context, inspector, group, sources, member, membership })
            }
            Err(error) => {
                member.close(CLOSE_TIMEOUT_IN_OUTAGE);
                Err(error)
            }
        }
    }

    pub fn metadata(&self) -> GroupMetadata {
        self.membership.borrow().metadata.clone()
    }

    /// Records the offsets that are about to be committed.
    pub fn expect(&self, offsets: &[(TopicPartition, i64)]) {
        self.membership.borrow_mut().expected = offsets.to_vec();
    }

    /// Records the offsets that were committed.
    pub fn committed(&self, offsets: &[(TopicPartition, i64)]) {
        let mut membership = self.membership.borrow_mut();
        membership.expected.clear();
        for (source, offset) in self.sources.iter().zip(&mut membership.offsets) {
            if let Some((_, committed)) = offsets.iter().find(|(input, _)| input == source) {
                *offset = Some(*committed);
            }
        }
    }

    /// Serves the membership; must be called every few moments. Survives a rebalance that assigns all partitions to
    /// this process again, as after a coordinator change. Fails with [`GroupError::Live`] if another member joined; the
    /// group then continues from the last commit.
    pub fn poll(&self) -> Result<(), GroupError> {
        let deadline = Deadline::after(Duration::from_millis(5));
        while !deadline.has_passed() {
            match self.member.poll(Duration::ZERO)? {
                PollEvent::Revoked { .. } => return self.rejoin(true),
                PollEvent::Assigned(..) => return Err(GroupError::joined(&self.group)),
                PollEvent::Empty => return Ok(()),
                PollEvent::OutOfRange(error) => return Err(error.into()),
                PollEvent::Record(_) | PollEvent::Retrying(_) | PollEvent::Unreadable(_) => {}
            }
            clock::pause(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Waits for the rebalance that made this generation stale, and for the new assignment. Fails like
    /// [`SoleMember::poll`].
    pub fn rejoin(&self, revoked: bool) -> Result<(), GroupError> {
        if revoked {
            self.member.unassign()?;
        }
        let metadata = assigned(self.context, self.inspector, &self.member, &self.group, self.sources.len())?;
        let offsets = self.inspector.committed(&self.sources, &mut |text| self.context.console.note(text))?;
        let mut membership = self.membership.borrow_mut();
        let was_alone = self.sources.iter().zip(&membership.offsets).zip(&offsets).all(|((source, left), found)| {
            left == found
                || membership.expected.iter().any(|(input, offset)| input == source && Some(*offset) == *found)
        });
        if !was_alone {
            return Err(GroupError::joined(&self.group));
        }
        membership.metadata = metadata;
        Ok(())
    }

    /// Leaves the group after a failure without waiting, since the cluster may not respond.
    pub fn leave_at_once(self) {
        self.member.close(CLOSE_TIMEOUT_IN_OUTAGE);
    }

    /// Leaves the group and waits until it has no members: a coordinator that changes at this moment misses the
    /// request, and the group would be live for the next command.
    pub fn leave(self) {
        self.member.close(CLOSE_TIMEOUT);
        let (inspector, bound) = (
            self.inspector.ignoring_shutdown(),
            Deadline::after(session_timeout(self.context) + Duration::from_secs(2)),
        );
        let mut silence = Some(Deadline::after(PROBE));
        let is_live = || inspector.group_members(&self.group).is_ok_and(|liveness| !liveness.members.is_empty());
        // An error here is left to the next command.
        while is_live() && !bound.has_passed() {
            if silence.take_if(|silence| silence.has_passed()).is_some() {
                let group = &self.group;
                self.context.console.note(&format!("waiting until group {group} notices that this command has left"));
            }
            clock::pause(Duration::from_millis(50));
        }
    }
}

/// Waits until all partitions are assigned to this member.
fn assigned(
    context: &Context,
    inspector: &Inspector,
    member: &Member,
    group: &str,
    count: usize,
) -> Result<GroupMetadata, GroupError> {
    let timeout = context.common.connection.timeout;
    let bound = timeout.max(MIN_JOIN_TIMEOUT);
    let deadline = Deadline::after(bound);
    let (mut probe, mut silent) = (Deadline::after(PROBE), None);
    loop {
        context.shutdown.check()?;
        match member.poll(Duration::from_millis(100))? {
            PollEvent::Assigned(partitions, metadata) if partitions.len() == count => {
                // Assigned but not fetched: nothing is read here.
                member.assign(&[])?;
                return Ok(metadata);
            }
            PollEvent::Assigned(..) => return Err(GroupError::joined(group)),
            PollEvent::Revoked { .. } => member.unassign()?,
            PollEvent::OutOfRange(error) => return Err(error.into()),
            PollEvent::Empty | PollEvent::Record(_) | PollEvent::Retrying(_) | PollEvent::Unreadable(_) => {}
        }
        if probe.has_passed() {
            let begun = Deadline::after(timeout);
            if inspector.responds() {
                silent = None;
            } else if silent.get_or_insert(begun).has_passed() {
                return Err(inspector.no_answer("joining the group", "no answer from the cluster").into());
            }
            probe = Deadline::after(PROBE);
        }
        if deadline.has_passed() {
            let failure = Failure::new(
                Code::Unreachable,
                format!("no partitions of group {group} were assigned within {}", duration(bound)),
            )
            .hint("check the broker's log, or use a longer --timeout");
            return Err(failure.into());
        }
    }
}
