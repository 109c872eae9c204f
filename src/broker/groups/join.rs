//! `JoinGroup`: new dynamic and static members, and members that rejoin.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{JoinGroupRequest, JoinGroupResponse};

use super::group::{Group, GroupState};
use super::journal_entry::GroupEntry;
use super::member::{Member, WaitingJoin, for_version, join_error, protocols_of, rebalance_timeout_of};
use super::{GroupContext, Groups, Operation, coordinator_error};
use crate::broker::response::{DeferredResponse, MaybeDeferred, RequestContext, Ticket};

/// The first version in which a dynamic member needs an id to join, and sends a first join to get it (KIP-394).
const MEMBER_ID_REQUIRED_SINCE: i16 = 4;
/// The first version that can return `skip_assignment` to a static leader that rejoins (KIP-814).
const SKIP_ASSIGNMENT_SINCE: i16 = 9;
/// Timeout of a new member until its first join response, since it cannot send heartbeats before. Fixed in Kafka, too.
const NEW_MEMBER_JOIN_TIMEOUT_MS: i64 = 5 * 60 * 1000;

enum JoinOutcome {
    Answered(JoinGroupResponse),
    /// The join waits under its ticket. The operation may already have a response for it.
    Waits,
}

struct JoinCall<'a> {
    request: &'a JoinGroupRequest,
    context: &'a RequestContext<'a>,
    ticket: Ticket,
}

impl JoinCall<'_> {
    fn waiting_join(&self) -> WaitingJoin {
        WaitingJoin { ticket: self.ticket, version: self.context.version }
    }

    fn instance(&self) -> Option<&str> {
        self.request.group_instance_id.as_deref()
    }
}

impl Groups {
    pub(super) fn join(
        &mut self,
        broker: &mut dyn GroupContext,
        request: &JoinGroupRequest,
        context: &RequestContext<'_>,
    ) -> MaybeDeferred<JoinGroupResponse> {
        match self.try_join(broker, request, context) {
            MaybeDeferred::Now(response) => MaybeDeferred::Now(for_version(response, context.version)),
            later @ MaybeDeferred::Later(_) => later,
        }
    }

    fn try_join(
        &mut self,
        broker: &mut dyn GroupContext,
        request: &JoinGroupRequest,
        context: &RequestContext<'_>,
    ) -> MaybeDeferred<JoinGroupResponse> {
        let member = request.member_id.as_str();
        let settings = broker.settings();
        let sessions = settings.group_min_session_timeout_ms..=settings.group_max_session_timeout_ms;
        let initial_delay_ms = settings.group_initial_rebalance_delay_ms;
        if request.group_id.is_empty() {
            return MaybeDeferred::Now(join_error(member, ResponseError::InvalidGroupId));
        }
        if !sessions.contains(&request.session_timeout_ms) {
            return MaybeDeferred::Now(join_error(member, ResponseError::InvalidSessionTimeout));
        }
        if !self.fits_join(request, context.client) {
            return MaybeDeferred::Now(join_error(member, ResponseError::GroupMaxSizeReached));
        }
        let id = request.group_id.as_str();
        if !self.by_id.contains_key(id) {
            if !member.is_empty() {
                return MaybeDeferred::Now(join_error(member, ResponseError::UnknownMemberId));
            }
            let mut group = Group::new(id.to_owned(), context.now);
            let record = group.record(&group.assignments(), group.since);
            if let Err(error) = broker.record(&[GroupEntry::Generation(record.clone()).into()]) {
                return MaybeDeferred::Now(join_error("", coordinator_error(error)));
            }
            group.recorded = Some(record);
            self.insert(group, context.now);
        }
        let join = JoinCall { request, context, ticket: broker.ticket() };
        let Self { by_id: groups, timers, .. } = self;
        let Some(group) = groups.get_mut(id) else {
            return MaybeDeferred::Now(join_error(member, ResponseError::UnknownMemberId));
        };
        let mut op = Operation::new(context.now, timers);
        op.initial_delay_ms = initial_delay_ms;
        let outcome = group.join(broker, &join, &mut op);
        let answered = op.finish(broker, Some(join.ticket));
        match (outcome, answered) {
            (JoinOutcome::Answered(response), _) | (JoinOutcome::Waits, Some(DeferredResponse::Join(response))) => {
                MaybeDeferred::Now(response)
            }
            (JoinOutcome::Waits, _) => MaybeDeferred::Later(join.ticket),
        }
    }
}

impl Group {
    fn join(&mut self, broker: &mut dyn GroupContext, join: &JoinCall<'_>, op: &mut Operation<'_>) -> JoinOutcome {
        let member = join.request.member_id.as_str();
        if !self.supports_protocols(&join.request.protocol_type, &join.request.protocols) {
            return JoinOutcome::Answered(join_error(member, ResponseError::InconsistentGroupProtocol));
        }
        if !member.is_empty() {
            return self.join_with_member_id(member, join, op);
        }
        let uuid = broker.new_uuid();
        let Some(instance) = join.instance() else {
            let id = format!("{}-{uuid}", join.context.client.id);
            return self.join_new_dynamic_member(id, join, op);
        };
        let id = format!("{instance}-{uuid}");
        match self.member_of_instance(instance).map(|member| member.id.clone()) {
            Some(old) => self.rejoin_static_member(broker, &old, &id, join, op),
            None => self.add_and_rebalance(&id, join, op),
        }
    }

    fn join_new_dynamic_member(&mut self, id: String, join: &JoinCall<'_>, op: &mut Operation<'_>) -> JoinOutcome {
        if join.context.version < MEMBER_ID_REQUIRED_SINCE {
            return self.add_and_rebalance(&id, join, op);
        }
        let response = join_error(&id, ResponseError::MemberIdRequired);
        op.timers.schedule(self.heartbeat_timer(&id), op.now + i64::from(join.request.session_timeout_ms));
        self.pending_members.insert(id);
        JoinOutcome::Answered(response)
    }

    /// A join with a member id: a pending one, or one of a member that rejoins.
    fn join_with_member_id(&mut self, member: &str, join: &JoinCall<'_>, op: &mut Operation<'_>) -> JoinOutcome {
        if self.pending_members.contains(member) {
            if join.instance().is_some() {
                // Static members do not get an id ahead of joining. Kafka throws an `IllegalStateException`.
                return JoinOutcome::Answered(join_error("", ResponseError::UnknownServerError));
            }
            return self.add_and_rebalance(member, join, op);
        }
        if let Err(error) = self.check_member(member, join.instance()) {
            return JoinOutcome::Answered(join_error(member, error));
        }
        let same = self.members[member].matches(&join.request.protocols);
        match self.state {
            // A retry: the response may have been lost.
            GroupState::CompletingRebalance if same => {
                let mut response = self.join_response(member);
                if self.is_leader(member) {
                    response.members = self.current_member_metadata();
                }
                JoinOutcome::Answered(response)
            }
            // A leader rejoins with an unchanged subscription to trigger a new assignment, for example after new
            // partitions.
            GroupState::Stable if same && !self.is_leader(member) => JoinOutcome::Answered(self.join_response(member)),
            GroupState::PreparingRebalance | GroupState::CompletingRebalance | GroupState::Stable => {
                self.update_member_and_wait(member, join, op);
                self.rebalance(op);
                JoinOutcome::Waits
            }
            GroupState::Empty => JoinOutcome::Answered(join_error(member, ResponseError::UnknownMemberId)),
        }
    }

    /// Adds a member and starts a rebalance.
    fn add_and_rebalance(&mut self, id: &str, join: &JoinCall<'_>, op: &mut Operation<'_>) -> JoinOutcome {
        let mut member = Member::new(id.to_owned(), join.request, join.context);
        member.await_join(op, join.waiting_join());
        if self.state == GroupState::PreparingRebalance && self.previous_state == GroupState::Empty {
            self.new_member_added = true;
        }
        self.add_member(member, &join.request.protocol_type);
        op.timers.schedule(self.heartbeat_timer(id), op.now + NEW_MEMBER_JOIN_TIMEOUT_MS);
        self.rebalance(op);
        JoinOutcome::Waits
    }

    fn update_member_and_wait(&mut self, member: &str, join: &JoinCall<'_>, op: &mut Operation<'_>) {
        let Some(member) = self.members.get_mut(member) else { return };
        member.protocols = protocols_of(&join.request.protocols);
        member.rebalance_timeout_ms = rebalance_timeout_of(join.request, join.context.version);
        member.session_timeout_ms = join.request.session_timeout_ms;
        member.await_join(op, join.waiting_join());
    }

    /// A static member that joins without a member id gets a new one and replaces its former self (KIP-345).
    fn rejoin_static_member(
        &mut self,
        broker: &mut dyn GroupContext,
        old: &str,
        new: &str,
        join: &JoinCall<'_>,
        op: &mut Operation<'_>,
    ) -> JoinOutcome {
        let before = (self.state == GroupState::Stable).then(|| self.clone());
        self.replace_static_member(old, new, op);
        self.restart_session(new, op);
        self.update_member_and_wait(new, join, op);
        match before {
            Some(before) if self.select_protocol() == self.protocol => {
                let record = self.record(&self.assignments(), self.since);
                if let Err(error) = broker.record(&[GroupEntry::Generation(record.clone()).into()]) {
                    op.timers.cancel(&self.heartbeat_timer(new));
                    *self = before;
                    self.restart_session(old, op);
                    let response = self.join_response("").with_error_code(coordinator_error(error).code());
                    return JoinOutcome::Answered(response);
                }
                self.recorded = Some(record);
                let response = self.static_rejoin_response(&before, new, join.context.version);
                if let Some(member) = self.members.get_mut(new) {
                    member.send_join_response(op, response);
                }
            }
            Some(_) => self.rebalance(op),
            // The leader may have received the old id already, and would assign partitions to it.
            None if self.state == GroupState::CompletingRebalance => self.prepare_rebalance(op),
            None => self.complete_if_all_joined(op),
        }
        JoinOutcome::Waits
    }

    /// The response to a static member that rejoins a stable group. Before version 9 a leader must not learn that it is
    /// the leader, since it would compute an assignment that is not used: the response names its old id as the leader.
    fn static_rejoin_response(&self, before: &Self, member: &str, version: i16) -> JoinGroupResponse {
        let mut response = self.join_response(member);
        if version < SKIP_ASSIGNMENT_SINCE {
            response.leader = before.join_response(member).leader;
        } else if self.is_leader(member) {
            response.members = self.current_member_metadata();
            response.skip_assignment = true;
        }
        response
    }
}
