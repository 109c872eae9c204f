//! `SyncGroup` and `Heartbeat`.

use std::collections::BTreeMap;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::{HeartbeatRequest, SyncGroupRequest, SyncGroupResponse};

use super::group::{Group, GroupState};
use super::journal_entry::GroupEntry;
use super::member::sync_error;
use super::{GroupContext, Groups, Operation, coordinator_error};
use crate::broker::response::{DeferredResponse, MaybeDeferred, RequestContext};

/// The first version in which requests must name the protocol (KIP-559).
const PROTOCOL_NAMED_SINCE: i16 = 5;

impl Groups {
    pub(super) fn sync(
        &mut self,
        broker: &mut dyn GroupContext,
        request: &SyncGroupRequest,
        context: &RequestContext<'_>,
    ) -> MaybeDeferred<SyncGroupResponse> {
        let named = request.protocol_type.is_some() && request.protocol_name.is_some();
        if context.version >= PROTOCOL_NAMED_SINCE && !named {
            return MaybeDeferred::Now(sync_error(ResponseError::InconsistentGroupProtocol));
        }
        if request.group_id.is_empty() {
            return MaybeDeferred::Now(sync_error(ResponseError::InvalidGroupId));
        }
        let ticket = broker.ticket();
        let Some(group) = self.by_id.get(request.group_id.as_str()) else {
            return MaybeDeferred::Now(sync_error(ResponseError::UnknownMemberId));
        };
        if let Err(error) = group.check_sync(request) {
            return MaybeDeferred::Now(sync_error(error));
        }
        let fits = self.fits_assignments(group, request);
        let Self { by_id: groups, timers, .. } = self;
        let Some(group) = groups.get_mut(request.group_id.as_str()) else {
            return MaybeDeferred::Now(sync_error(ResponseError::UnknownMemberId));
        };
        let mut op = Operation::new(context.now, timers);
        let member = request.member_id.as_str();
        group.remove_pending_sync(member, &mut op);
        if group.state == GroupState::Stable {
            let response = group.sync_response(group.members[member].assignment.clone());
            op.finish(broker, None);
            return MaybeDeferred::Now(response);
        }
        group.members[member].await_sync(&mut op, ticket);
        if group.is_leader(member) {
            let given: BTreeMap<String, Bytes> = request
                .assignments
                .iter()
                .map(|given| (given.member_id.to_string(), Bytes::copy_from_slice(&given.assignment)))
                .collect();
            let record = group.record(&given, group.since);
            // Kafka returns this error when a generation exceeds the maximum record size.
            let room = if fits { Ok(()) } else { Err(ResponseError::UnknownServerError) };
            match room.and_then(|()| broker.record(&[GroupEntry::Generation(record.clone()).into()])) {
                Ok(()) => group.set_assignments(record, &mut op),
                Err(error) => {
                    group.fail_assignments(coordinator_error(error), &mut op);
                    group.prepare_rebalance(&mut op);
                }
            }
        }
        match op.finish(broker, Some(ticket)) {
            Some(DeferredResponse::Sync(response)) => MaybeDeferred::Now(response),
            _ => MaybeDeferred::Later(ticket),
        }
    }

    pub(super) fn heartbeat(&mut self, request: &HeartbeatRequest, now: i64) -> Result<(), ResponseError> {
        if request.group_id.is_empty() {
            return Err(ResponseError::InvalidGroupId);
        }
        let Self { by_id: groups, timers, .. } = self;
        let group = groups.get(request.group_id.as_str()).ok_or(ResponseError::UnknownMemberId)?;
        group.check_member(&request.member_id, request.group_instance_id.as_deref())?;
        if request.generation_id != group.generation {
            return Err(ResponseError::IllegalGeneration);
        }
        group.restart_session(&request.member_id, &mut Operation::new(now, timers));
        if group.state == GroupState::PreparingRebalance { Err(ResponseError::RebalanceInProgress) } else { Ok(()) }
    }
}

impl Group {
    fn check_sync(&self, request: &SyncGroupRequest) -> Result<(), ResponseError> {
        let differs = |asked: Option<&str>, ours: Option<&str>| asked.is_some() && ours.is_some() && asked != ours;
        if self.state == GroupState::Empty {
            return Err(ResponseError::UnknownMemberId);
        }
        self.check_member(&request.member_id, request.group_instance_id.as_deref())?;
        if request.generation_id != self.generation {
            return Err(ResponseError::IllegalGeneration);
        }
        if differs(request.protocol_type.as_deref(), self.protocol_type.as_deref())
            || differs(request.protocol_name.as_deref(), self.protocol.as_deref())
        {
            return Err(ResponseError::InconsistentGroupProtocol);
        }
        if self.state == GroupState::PreparingRebalance {
            return Err(ResponseError::RebalanceInProgress);
        }
        Ok(())
    }
}
