//! Owns `JoinGroup`: who may become a member, under which id, and whether that begins a rebalance.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{JoinGroupRequest, JoinGroupResponse};

use super::entry::GroupEntry;
use super::group::{Group, State};
use super::member::{Joining, Member, protocols_of, rebalance_timeout_of, refused_join, spelled};
use super::{Groups, Surroundings, Turn, refusal_of};
use crate::broker::answer::{Answer, Call, Deferred, Ticket};

/// From this version on a dynamic member joins twice: first for its id (KIP-394).
const MEMBER_ID_REQUIRED_SINCE: i16 = 4;
/// From this version on a static leader that comes back can be told to keep the assignment (KIP-814).
const SKIP_ASSIGNMENT_SINCE: i16 = 9;
/// How long a member is waited for that was never answered and so cannot be heard of; fixed in Kafka, too.
const NEW_MEMBER_JOIN_TIMEOUT_MS: i64 = 5 * 60 * 1000;

/// What a join leads to.
enum Outcome {
    /// It is answered at once.
    Answered(JoinGroupResponse),
    /// It waits under its ticket, and may have been answered already.
    Waits,
}

/// A request and what comes with it.
struct Asked<'a> {
    request: &'a JoinGroupRequest,
    call: &'a Call<'a>,
    ticket: Ticket,
}

impl Asked<'_> {
    fn joining(&self) -> Joining {
        Joining { ticket: self.ticket, version: self.call.version }
    }

    fn instance(&self) -> Option<&str> {
        self.request.group_instance_id.as_deref()
    }
}

impl Groups {
    /// Answers `JoinGroup`.
    pub(super) fn join(
        &mut self,
        around: &mut dyn Surroundings,
        request: &JoinGroupRequest,
        call: &Call<'_>,
    ) -> Answer<JoinGroupResponse> {
        match self.try_join(around, request, call) {
            Answer::Now(answer) => Answer::Now(spelled(answer, call.version)),
            later @ Answer::Later(_) => later,
        }
    }

    fn try_join(
        &mut self,
        around: &mut dyn Surroundings,
        request: &JoinGroupRequest,
        call: &Call<'_>,
    ) -> Answer<JoinGroupResponse> {
        let member = request.member_id.as_str();
        let settings = around.settings();
        let sessions = settings.group_min_session_timeout_ms..=settings.group_max_session_timeout_ms;
        let initial_delay_ms = settings.group_initial_rebalance_delay_ms;
        if request.group_id.is_empty() {
            return Answer::Now(refused_join(member, ResponseError::InvalidGroupId));
        }
        if !sessions.contains(&request.session_timeout_ms) {
            return Answer::Now(refused_join(member, ResponseError::InvalidSessionTimeout));
        }
        if !self.has_room_to_join(request, call.client) {
            return Answer::Now(refused_join(member, ResponseError::GroupMaxSizeReached));
        }
        let id = request.group_id.as_str();
        if !self.by_id.contains_key(id) {
            if !member.is_empty() {
                return Answer::Now(refused_join(member, ResponseError::UnknownMemberId));
            }
            let mut group = Group::new(id.to_owned(), call.now);
            let record = group.record(&group.assignments(), group.since);
            if let Err(error) = around.record(&[GroupEntry::Generation(record.clone()).into()]) {
                return Answer::Now(refused_join("", refusal_of(error)));
            }
            group.recorded = Some(record);
            self.insert(group, call.now);
        }
        let asked = Asked { request, call, ticket: around.ticket() };
        let Self { by_id: groups, timers, .. } = self;
        let Some(group) = groups.get_mut(id) else {
            return Answer::Now(refused_join(member, ResponseError::UnknownMemberId));
        };
        let mut turn = Turn::new(call.now, timers);
        turn.initial_delay_ms = initial_delay_ms;
        let outcome = group.join(around, &asked, &mut turn);
        let answered = turn.finish(around, Some(asked.ticket));
        match (outcome, answered) {
            (Outcome::Answered(answer), _) | (Outcome::Waits, Some(Deferred::Join(answer))) => Answer::Now(answer),
            (Outcome::Waits, _) => Answer::Later(asked.ticket),
        }
    }
}

impl Group {
    fn join(&mut self, around: &mut dyn Surroundings, asked: &Asked<'_>, turn: &mut Turn<'_>) -> Outcome {
        let member = asked.request.member_id.as_str();
        if !self.accepts(&asked.request.protocol_type, &asked.request.protocols) {
            return Outcome::Answered(refused_join(member, ResponseError::InconsistentGroupProtocol));
        }
        if !member.is_empty() {
            return self.join_known(member, asked, turn);
        }
        let fresh = around.fresh_id();
        let Some(instance) = asked.instance() else {
            let id = format!("{}-{fresh}", asked.call.client.id);
            return self.join_dynamic(id, asked, turn);
        };
        let id = format!("{instance}-{fresh}");
        match self.member_of_instance(instance).map(|member| member.id.clone()) {
            Some(old) => self.join_again(around, &old, &id, asked, turn),
            None => self.admit(&id, asked, turn),
        }
    }

    /// A dynamic member without an id.
    fn join_dynamic(&mut self, id: String, asked: &Asked<'_>, turn: &mut Turn<'_>) -> Outcome {
        if asked.call.version < MEMBER_ID_REQUIRED_SINCE {
            return self.admit(&id, asked, turn);
        }
        let answer = refused_join(&id, ResponseError::MemberIdRequired);
        turn.timers.schedule(self.heartbeat(&id), turn.now + i64::from(asked.request.session_timeout_ms));
        self.pending.insert(id);
        Outcome::Answered(answer)
    }

    /// One that says who it is.
    fn join_known(&mut self, member: &str, asked: &Asked<'_>, turn: &mut Turn<'_>) -> Outcome {
        if self.pending.contains(member) {
            if asked.instance().is_some() {
                // Static members get no id ahead; Kafka calls this an illegal state.
                return Outcome::Answered(refused_join("", ResponseError::UnknownServerError));
            }
            return self.admit(member, asked, turn);
        }
        if let Err(error) = self.check_member(member, asked.instance()) {
            return Outcome::Answered(refused_join(member, error));
        }
        let same = self.members[member].matches(&asked.request.protocols);
        match self.state {
            // Its answer may have been lost.
            State::CompletingRebalance if same => {
                let mut answer = self.joined(member);
                if self.is_leader(member) {
                    answer.members = self.roster();
                }
                Outcome::Answered(answer)
            }
            // A leader comes back when it wants another assignment, though it subscribes to the same.
            State::Stable if same && !self.is_leader(member) => Outcome::Answered(self.joined(member)),
            State::PreparingRebalance | State::CompletingRebalance | State::Stable => {
                self.update(member, asked, turn);
                self.rebalance(turn);
                Outcome::Waits
            }
            State::Empty => Outcome::Answered(refused_join(member, ResponseError::UnknownMemberId)),
        }
    }

    /// Makes a member, which begins a rebalance.
    fn admit(&mut self, id: &str, asked: &Asked<'_>, turn: &mut Turn<'_>) -> Outcome {
        let mut member = Member::new(id.to_owned(), asked.request, asked.call);
        member.await_join(turn, asked.joining());
        if self.state == State::PreparingRebalance && self.previous == State::Empty {
            self.newcomer = true;
        }
        self.add(member, &asked.request.protocol_type);
        turn.timers.schedule(self.heartbeat(id), turn.now + NEW_MEMBER_JOIN_TIMEOUT_MS);
        self.rebalance(turn);
        Outcome::Waits
    }

    /// A member says anew what it wants, and waits.
    fn update(&mut self, member: &str, asked: &Asked<'_>, turn: &mut Turn<'_>) {
        let Some(member) = self.members.get_mut(member) else { return };
        member.protocols = protocols_of(&asked.request.protocols);
        member.rebalance_timeout_ms = rebalance_timeout_of(asked.request, asked.call.version);
        member.session_timeout_ms = asked.request.session_timeout_ms;
        member.await_join(turn, asked.joining());
    }

    /// A static member has come back without an id: it takes its old place under a new one (KIP-345).
    fn join_again(
        &mut self,
        around: &mut dyn Surroundings,
        old: &str,
        new: &str,
        asked: &Asked<'_>,
        turn: &mut Turn<'_>,
    ) -> Outcome {
        let before = (self.state == State::Stable).then(|| self.clone());
        self.replace(old, new, turn);
        self.heard_of(new, turn);
        self.update(new, asked, turn);
        match before {
            Some(before) if self.select_protocol() == self.protocol => {
                let record = self.record(&self.assignments(), self.since);
                if let Err(error) = around.record(&[GroupEntry::Generation(record.clone()).into()]) {
                    turn.timers.cancel(&self.heartbeat(new));
                    *self = before;
                    self.heard_of(old, turn);
                    let answer = self.joined("").with_error_code(refusal_of(error).code());
                    return Outcome::Answered(answer);
                }
                self.recorded = Some(record);
                let answer = self.kept(&before, new, asked.call.version);
                if let Some(member) = self.members.get_mut(new) {
                    member.answer_join(turn, answer);
                }
            }
            Some(_) => self.rebalance(turn),
            // The leader may know the old id already, and would assign to it.
            None if self.state == State::CompletingRebalance => self.prepare(turn),
            None => self.complete_if_all_joined(turn),
        }
        Outcome::Waits
    }

    /// What a static member is told that came back into a stable group. Before version 9 a leader must not learn that
    /// it leads, or it would compute an assignment that nobody waits for: it is told its old id.
    fn kept(&self, before: &Self, member: &str, version: i16) -> JoinGroupResponse {
        let mut answer = self.joined(member);
        if version < SKIP_ASSIGNMENT_SINCE {
            answer.leader = before.joined(member).leader;
        } else if self.is_leader(member) {
            answer.members = self.roster();
            answer.skip_assignment = true;
        }
        answer
    }
}
