//! A member of a group: its protocols, timeouts and assignment, and its waiting join or sync.

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_groups_response::DescribedGroupMember;
use kafka_protocol::messages::join_group_request::{JoinGroupRequest, JoinGroupRequestProtocol};
use kafka_protocol::messages::{JoinGroupResponse, SyncGroupResponse};

use super::journal_entry::GenerationMember;
use super::{Operation, str_bytes};
use crate::broker::response::{DeferredResponse, RequestContext, Ticket};

/// A join that waits for the rebalance to complete.
#[derive(Debug, Clone, Copy)]
pub(super) struct WaitingJoin {
    pub(super) ticket: Ticket,
    /// The version of the request. The response depends on it.
    pub(super) version: i16,
}

#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) id: String,
    pub(super) instance: Option<String>,
    pub(super) client_id: String,
    pub(super) client_host: String,
    pub(super) rebalance_timeout_ms: i32,
    pub(super) session_timeout_ms: i32,
    /// Names and metadata, in the member's order of preference.
    pub(super) protocols: Vec<(String, Bytes)>,
    pub(super) assignment: Bytes,
    pub(super) waiting_join: Option<WaitingJoin>,
    pub(super) waiting_sync: Option<Ticket>,
    /// Whether its first join still waits. Such a member does not know its id and cannot send heartbeats.
    pub(super) is_new: bool,
}

/// Copies the metadata, because a slice would keep the whole request frame in memory.
pub(super) fn protocols_of(protocols: &[JoinGroupRequestProtocol]) -> Vec<(String, Bytes)> {
    protocols.iter().map(|protocol| (protocol.name.to_string(), Bytes::copy_from_slice(&protocol.metadata))).collect()
}

/// Version 0 has one timeout for both.
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

    pub(super) fn metadata(&self, protocol: Option<&str>) -> Bytes {
        let found = self.protocols.iter().find(|(name, _)| Some(name.as_str()) == protocol);
        found.map(|(_, metadata)| metadata.clone()).unwrap_or_default()
    }

    pub(super) fn supports(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|(name, _)| name == protocol)
    }

    /// Whether the protocols are the member's current ones, in the same order.
    pub(super) fn matches(&self, protocols: &[JoinGroupRequestProtocol]) -> bool {
        self.protocols.len() == protocols.len()
            && self
                .protocols
                .iter()
                .zip(protocols)
                .all(|((name, metadata), asked)| *name == *asked.name && *metadata == asked.metadata)
    }

    /// Whether the session timeout is suspended: the member waits for a response. A new member's timeout is not
    /// suspended, because its client may be disconnected.
    pub(super) fn satisfies_heartbeat(&self) -> bool {
        !self.is_new && (self.waiting_join.is_some() || self.waiting_sync.is_some())
    }

    /// Responds to the waiting join. Returns whether there was one.
    pub(super) fn send_join_response(&mut self, op: &mut Operation<'_>, response: JoinGroupResponse) -> bool {
        let Some(waiting_join) = self.waiting_join.take() else { return false };
        op.responses.push((waiting_join.ticket, DeferredResponse::Join(for_version(response, waiting_join.version))));
        true
    }

    /// Responds to the waiting sync. Returns whether there was one.
    pub(super) fn send_sync_response(&mut self, op: &mut Operation<'_>, response: SyncGroupResponse) -> bool {
        let Some(ticket) = self.waiting_sync.take() else { return false };
        op.responses.push((ticket, DeferredResponse::Sync(response)));
        true
    }

    /// Lets a join wait. An earlier one that waits fails with `REBALANCE_IN_PROGRESS`: Kafka drops it, but every ticket
    /// needs a response.
    pub(super) fn await_join(&mut self, op: &mut Operation<'_>, waiting_join: WaitingJoin) {
        let id = self.id.clone();
        self.send_join_response(op, join_error(&id, ResponseError::RebalanceInProgress));
        self.waiting_join = Some(waiting_join);
    }

    /// Lets a sync wait; see `await_join`.
    pub(super) fn await_sync(&mut self, op: &mut Operation<'_>, ticket: Ticket) {
        self.send_sync_response(op, sync_error(ResponseError::RebalanceInProgress));
        self.waiting_sync = Some(ticket);
    }

    /// Fails the waiting requests of a member that is removed. Kafka does not respond to a waiting sync here.
    pub(super) fn remove(mut self, op: &mut Operation<'_>) {
        self.send_join_response(op, join_error("", ResponseError::UnknownMemberId));
        self.send_sync_response(op, sync_error(ResponseError::UnknownMemberId));
    }

    /// Fails the waiting requests. The member stays in the group.
    pub(super) fn end_waiting_requests(&mut self, error: ResponseError, op: &mut Operation<'_>) {
        let id = self.id.clone();
        self.send_join_response(op, join_error(&id, error));
        self.send_sync_response(op, sync_error(error));
    }

    /// The member in a `DescribeGroups` response. `protocol` is `None` unless the group is stable; then no metadata is
    /// shown.
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

pub(super) fn join_error(member: &str, error: ResponseError) -> JoinGroupResponse {
    JoinGroupResponse::default()
        .with_member_id(str_bytes(member))
        .with_protocol_name(None)
        .with_error_code(error.code())
}

/// Adapts a response to its version: before version 7 the protocol name is empty instead of null.
pub(super) fn for_version(mut response: JoinGroupResponse, version: i16) -> JoinGroupResponse {
    if version < 7 {
        response.protocol_name.get_or_insert_default();
    }
    response
}

pub(super) fn sync_error(error: ResponseError) -> SyncGroupResponse {
    SyncGroupResponse::default().with_error_code(error.code())
}
