//! Holding a group: as its only member, with every partition, while its offsets and its state are switched at once.

use std::cell::RefCell;
use std::time::Duration;

use super::Context;
use super::group::{GroupError, InputPartition};
use crate::clock::{self, Deadline};
use crate::exit::{Code, Failure};
use crate::kafka::{
    CLOSE_TIMEOUT, CLOSE_TIMEOUT_IN_OUTAGE, GroupMetadata, Inspector, Member, MemberSettings, PollEvent, TopicPartition,
};

/// The shortest and the longest session of the member that holds a group: it answers every few moments, and should not be
/// missed for long when it is killed. Brokers with default settings take 6 s and more.
const SESSION: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(30));

/// How long the group may take to give its partitions, where `--timeout` is no longer: a member whose join was lost with its
/// coordinator is waited for until its session has expired.
const LEAST_JOIN: Duration = Duration::from_secs(30);

/// How often a wait for the group asks whether the cluster answers at all.
const PROBE: Duration = Duration::from_secs(1);

/// Grows with a long `--timeout`, as a cluster that answers slowly needs three answers before a new member sends its first
/// sign of life.
fn session(context: &Context) -> Duration {
    (context.common.connection.timeout / 3).clamp(SESSION.0, SESSION.1)
}

/// The group, membership by this process: its only member, with every partition paused.
pub(super) struct SoleMember<'a> {
    context: &'a Context,
    inspector: &'a Inspector,
    group: String,
    sources: Vec<TopicPartition>,
    member: Member,
    membership: RefCell<Membership>,
}

struct Membership {
    /// Of the current assignment: taken later it could belong to a generation with others in it.
    metadata: GroupMetadata,
    /// The group's offsets as this process found or left them: others show that it was not alone.
    offsets: Vec<Option<i64>>,
    /// Those of a switch under way, of which it may be unknown whether it took effect.
    expected: Vec<(TopicPartition, i64)>,
}

impl<'a> SoleMember<'a> {
    /// Joins the empty group and takes every partition.
    pub fn join(
        context: &'a Context,
        inspector: &'a Inspector,
        group: &str,
        inputs: &[InputPartition],
    ) -> Result<Self, GroupError> {
        let sources: Vec<TopicPartition> = inputs.iter().map(|input| input.source.clone()).collect();
        let mut topics: Vec<String> = sources.iter().map(|source| source.topic.clone()).collect();
        topics.dedup();
        let session_timeout = session(context);
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

    /// In whose name offsets are set.
    pub fn metadata(&self) -> GroupMetadata {
        self.membership.borrow().metadata.clone()
    }

    /// Remembers offsets that are about to be set in the group's name.
    pub fn expect(&self, offsets: &[(TopicPartition, i64)]) {
        self.membership.borrow_mut().expected = offsets.to_vec();
    }

    /// Remembers offsets that were set in the group's name.
    pub fn committed(&self, offsets: &[(TopicPartition, i64)]) {
        let mut membership = self.membership.borrow_mut();
        membership.expected.clear();
        for (source, offset) in self.sources.iter().zip(&mut membership.offsets) {
            if let Some((_, committed)) = offsets.iter().find(|(input, _)| input == source) {
                *offset = Some(*committed);
            }
        }
    }

    /// Serves the membership; to be called every few moments. A rebalance that gives every partition back is lived through:
    /// coordinators move, and forget.
    ///
    /// # Errors
    ///
    /// [`GroupError::Live`] when another member joined: the group goes on from what was committed last.
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

    /// Waits for the rebalance that made this member's generation stale, and for the partitions that it gives.
    ///
    /// # Errors
    ///
    /// As [`SoleMember::poll`].
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

    /// Leaves the group after a failure, which may be that the cluster does not answer: waits for nothing.
    pub fn leave_at_once(self) {
        self.member.close(CLOSE_TIMEOUT_IN_OUTAGE);
    }

    /// Leaves the group, and waits until it has no member: a coordinator that goes away in that moment hears nothing of it,
    /// and the group would be live for whatever command comes next.
    pub fn leave(self) {
        self.member.close(CLOSE_TIMEOUT);
        let (inspector, bound) =
            (self.inspector.ignoring_shutdown(), Deadline::after(session(self.context) + Duration::from_secs(2)));
        let mut silence = Some(Deadline::after(PROBE));
        let is_live = || inspector.group_members(&self.group).is_ok_and(|liveness| !liveness.members.is_empty());
        // What cannot be found out now is found out by the next command.
        while is_live() && !bound.has_passed() {
            if silence.take_if(|silence| silence.has_passed()).is_some() {
                let group = &self.group;
                self.context
                    .console
                    .note(&format!("waiting for the group {group} to notice that this command has left"));
            }
            clock::pause(Duration::from_millis(50));
        }
    }
}

/// Waits until the group gives every partition to this member.
fn assigned(
    context: &Context,
    inspector: &Inspector,
    member: &Member,
    group: &str,
    count: usize,
) -> Result<GroupMetadata, GroupError> {
    let timeout = context.common.connection.timeout;
    let deadline = Deadline::after(timeout.max(LEAST_JOIN));
    let (mut probe, mut silent) = (Deadline::after(PROBE), None);
    loop {
        context.shutdown.check()?;
        match member.poll(Duration::from_millis(100))? {
            PollEvent::Assigned(partitions, metadata) if partitions.len() == count => {
                // Assigned without a fetch: nothing is read here, and nothing prefetched is thrown away.
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
            let failure = Failure::new(Code::Unreachable, format!("the group {group} gave no partitions in time"))
                .hint("look at the broker's log, or give more --timeout");
            return Err(failure.into());
        }
    }
}
