//! `LeaveGroup`: members that leave, and static members that an administrator removes.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::{LeaveGroupRequest, LeaveGroupResponse};

use super::group::{Group, GroupState};
use super::{GroupContext, Groups, Operation};
use crate::broker::response::RequestContext;

/// The first version with several members per request, each with its error (KIP-345).
const MEMBERS_SINCE: i16 = 3;

impl Groups {
    pub(super) fn leave(
        &mut self,
        broker: &mut dyn GroupContext,
        request: &LeaveGroupRequest,
        context: &RequestContext<'_>,
    ) -> LeaveGroupResponse {
        if request.group_id.is_empty() {
            return LeaveGroupResponse::default().with_error_code(ResponseError::InvalidGroupId.code());
        }
        let single = [MemberIdentity::default().with_member_id(request.member_id.clone())];
        let members = if context.version < MEMBERS_SINCE { &single[..] } else { &request.members };
        let Self { by_id: groups, timers, .. } = self;
        let mut op = Operation::new(context.now, timers);
        let mut group = groups.get_mut(request.group_id.as_str());
        let mut any_left = false;
        let mut responses = Vec::new();
        for member in members {
            let left = match &mut group {
                Some(group) => group.leave(member, &mut op),
                None => Err(ResponseError::UnknownMemberId),
            };
            any_left |= left.is_ok();
            responses.push(
                MemberResponse::default()
                    .with_member_id(member.member_id.clone())
                    .with_group_instance_id(member.group_instance_id.clone())
                    .with_error_code(left.err().map_or(0, |error| error.code())),
            );
        }
        if let Some(group) = group.filter(|group| any_left && group.state != GroupState::Empty) {
            group.rebalance(&mut op);
        }
        op.finish(broker, None);
        if context.version < MEMBERS_SINCE {
            let error = responses.first().map_or(0, |response| response.error_code);
            return LeaveGroupResponse::default().with_error_code(error);
        }
        LeaveGroupResponse::default().with_members(responses)
    }
}

impl Group {
    fn leave(&mut self, leaver: &MemberIdentity, op: &mut Operation<'_>) -> Result<(), ResponseError> {
        let instance = leaver.group_instance_id.as_deref();
        let id = if leaver.member_id.is_empty() {
            // Only administrators omit the member id. They name the instance instead.
            let member = instance.and_then(|instance| self.member_of_instance(instance));
            member.ok_or(ResponseError::UnknownMemberId)?.id.clone()
        } else {
            if !self.pending_members.contains(leaver.member_id.as_str()) {
                self.check_member(&leaver.member_id, instance)?;
            }
            leaver.member_id.to_string()
        };
        self.remove_member(&id, op);
        Ok(())
    }
}
