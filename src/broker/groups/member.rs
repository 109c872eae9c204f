//! Owns one member of a group: what it said when it joined, what it was given, and the answers it waits for.

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_groups_response::DescribedGroupMember;
use kafka_protocol::messages::join_group_request::{JoinGroupRequest, JoinGroupRequestProtocol};
use kafka_protocol::messages::{JoinGroupResponse, SyncGroupResponse};

use super::journal_entry::GenerationMember;
use super::{Operation, str_bytes};
use crate::broker::response::{DeferredResponse, RequestContext, Ticket};

/// A join that waits for the end of the rebalance.
#[derive(Debug, Clone, Copy)]
pub(super) struct WaitingJoin {
    pub(super) ticket: Ticket,
    /// Answers differ by version.
    pub(super) version: i16,
}

/// A member.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) id: String,
    pub(super) instance: Option<String>,
    pub(super) client_id: String,
    pub(super) client_host: String,
    pub(super) rebalance_timeout_ms: i32,
    pub(super) session_timeout_ms: i32,
    /// Names and metadata, the member's favourite first.
    pub(super) protocols: Vec<(String, Bytes)>,
    pub(super) assignment: Bytes,
    pub(super) waiting_join: Option<WaitingJoin>,
    pub(super) waiting_sync: Option<Ticket>,
    /// It was never answered yet, so it does not know its id and cannot be heard of.
    pub(super) is_new: bool,
}

/// Copies, because what a request holds keeps its whole frame alive.
pub(super) fn protocols_of(protocols: &[JoinGroupRequestProtocol]) -> Vec<(String, Bytes)> {
    protocols.iter().map(|protocol| (protocol.name.to_string(), Bytes::copy_from_slice(&protocol.metadata))).collect()
}

/// Version 0 knows one time-out for both.
pub(super) fn rebalance_timeout_of(request: &JoinGroupRequest, version: i16) -> i32 {
    if version == 0 { request.session_timeout_ms } else { request.rebalance_timeout_ms }
}

impl Member {
    pub(super) fn new(id: String, request: &JoinGroupRequest, context: &RequestContext<'_>) -> Self {
        Self {
            id,
            instance: request.group_instance_id.as_ref().map(ToString::to_string),
            client_id: context.client.id.clone(),
            client_host: context.client.host.clone(),
            rebalance_timeout_ms: rebalance_timeout_of(request, context.version),
            session_timeout_ms: request.session_timeout_ms,
            protocols: protocols_of(&request.protocols),
            assignment: Bytes::new(),
            waiting_join: None,
            waiting_sync: None,
            is_new: true,
        }
    }

    /// Puts the member back as the journal remembers it.
    pub(super) fn restore(record: &GenerationMember, protocol: &str) -> Self {
        Self {
            id: record.id.clone(),
            instance: record.instance.clone(),
            client_id: record.client_id.clone(),
            client_host: record.client_host.clone(),
            rebalance_timeout_ms: record.rebalance_timeout_ms,
            session_timeout_ms: record.session_timeout_ms,
            protocols: vec![(protocol.to_owned(), record.subscription.clone())],
            assignment: record.assignment.clone(),
            waiting_join: None,
            waiting_sync: None,
            is_new: false,
        }
    }

    /// As the journal is to remember it.
    pub(super) fn record(&self, protocol: Option<&str>, assignment: Bytes) -> GenerationMember {
        GenerationMember {
            id: self.id.clone(),
            instance: self.instance.clone(),
            client_id: self.client_id.clone(),
            client_host: self.client_host.clone(),
            rebalance_timeout_ms: self.rebalance_timeout_ms,
            session_timeout_ms: self.session_timeout_ms,
            subscription: self.metadata(protocol),
            assignment,
        }
    }

    /// What it said under this protocol.
    pub(super) fn metadata(&self, protocol: Option<&str>) -> Bytes {
        let found = self.protocols.iter().find(|(name, _)| Some(name.as_str()) == protocol);
        found.map(|(_, metadata)| metadata.clone()).unwrap_or_default()
    }

    /// Whether it can work with this protocol.
    pub(super) fn supports(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|(name, _)| name == protocol)
    }

    /// Whether it says the same as before, in the same order.
    pub(super) fn matches(&self, protocols: &[JoinGroupRequestProtocol]) -> bool {
        self.protocols.len() == protocols.len()
            && self
                .protocols
                .iter()
                .zip(protocols)
                .all(|((name, metadata), asked)| *name == *asked.name && *metadata == asked.metadata)
    }

    /// A member that waits in a rebalance need not be heard of, unless it was never answered: nobody may be there.
    pub(super) fn satisfies_heartbeat(&self) -> bool {
        !self.is_new && (self.waiting_join.is_some() || self.waiting_sync.is_some())
    }

    /// Answers the join that waits. Returns whether there was one.
    pub(super) fn answer_join(&mut self, op: &mut Operation<'_>, answer: JoinGroupResponse) -> bool {
        let Some(waiting_join) = self.waiting_join.take() else { return false };
        op.answers.push((waiting_join.ticket, DeferredResponse::Join(for_version(answer, waiting_join.version))));
        true
    }

    /// Answers the sync that waits. Returns whether there was one.
    pub(super) fn answer_sync(&mut self, op: &mut Operation<'_>, answer: SyncGroupResponse) -> bool {
        let Some(ticket) = self.waiting_sync.take() else { return false };
        op.answers.push((ticket, DeferredResponse::Sync(answer)));
        true
    }

    /// Lets a join wait. One that waited already is told to try again: Kafka forgets it, but a ticket wants an answer.
    pub(super) fn await_join(&mut self, op: &mut Operation<'_>, waiting_join: WaitingJoin) {
        let id = self.id.clone();
        self.answer_join(op, join_error(&id, ResponseError::RebalanceInProgress));
        self.waiting_join = Some(waiting_join);
    }

    /// Lets a sync wait; see `await_join`.
    pub(super) fn await_sync(&mut self, op: &mut Operation<'_>, ticket: Ticket) {
        self.answer_sync(op, sync_error(ResponseError::RebalanceInProgress));
        self.waiting_sync = Some(ticket);
    }

    /// Answers whatever waits, because the member is no longer one. Kafka leaves a waiting sync unanswered here.
    pub(super) fn remove(mut self, op: &mut Operation<'_>) {
        self.answer_join(op, join_error("", ResponseError::UnknownMemberId));
        self.answer_sync(op, sync_error(ResponseError::UnknownMemberId));
    }

    /// Answers whatever waits with an error; the member stays one.
    pub(super) fn end_waiting_requests(&mut self, error: ResponseError, op: &mut Operation<'_>) {
        let id = self.id.clone();
        self.answer_join(op, join_error(&id, error));
        self.answer_sync(op, sync_error(error));
    }

    /// As administrators see it; what it subscribes to is only shown of a stable group.
    pub(super) fn describe(&self, protocol: Option<&str>) -> DescribedGroupMember {
        DescribedGroupMember::default()
            .with_member_id(str_bytes(&self.id))
            .with_group_instance_id(self.instance.as_deref().map(str_bytes))
            .with_client_id(str_bytes(&self.client_id))
            .with_client_host(str_bytes(&self.client_host))
            .with_member_metadata(self.metadata(protocol))
            .with_member_assignment(self.assignment.clone())
    }
}

/// A join that failed.
pub(super) fn join_error(member: &str, error: ResponseError) -> JoinGroupResponse {
    JoinGroupResponse::default()
        .with_member_id(str_bytes(member))
        .with_protocol_name(None)
        .with_error_code(error.code())
}

/// An answer as this version can say it: before version 7 no protocol is an empty name.
pub(super) fn for_version(mut answer: JoinGroupResponse, version: i16) -> JoinGroupResponse {
    if version < 7 {
        answer.protocol_name.get_or_insert_default();
    }
    answer
}

/// A sync that failed.
pub(super) fn sync_error(error: ResponseError) -> SyncGroupResponse {
    SyncGroupResponse::default().with_error_code(error.code())
}
