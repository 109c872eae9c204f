//! Admin requests about groups: `ListGroups`, `DescribeGroups`, `DeleteGroups`.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::describe_groups_response::DescribedGroup;
use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::{
    DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest, DescribeGroupsResponse, GroupId,
    ListGroupsRequest, ListGroupsResponse,
};
use kafka_protocol::protocol::StrBytes;

use super::group::{Group, GroupState};
use super::journal_entry::GroupEntry;
use super::{GroupContext, Groups, coordinator_error, str_bytes};
use crate::broker::response::RequestContext;

/// The type of all groups here. The `consumer` and `share` protocols are not supported.
const TYPE: &str = "classic";
/// The first version that returns an error for a group that does not exist. Earlier ones return the state `Dead`.
const GROUP_ID_NOT_FOUND_SINCE: i16 = 6;
/// All ACL operations on a group, as bits: read, delete, describe, describe configs, alter configs.
const ALL_OPERATIONS: i32 = 1 << 3 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11;

impl Groups {
    pub(super) fn list(&self, request: &ListGroupsRequest) -> ListGroupsResponse {
        let allows = |filter: &[StrBytes], name: &str| {
            filter.is_empty() || filter.iter().any(|wanted| wanted.eq_ignore_ascii_case(name))
        };
        let groups = self
            .by_id
            .values()
            .filter(|group| allows(&request.states_filter, group.state.name()) && allows(&request.types_filter, TYPE))
            .map(|group| {
                ListedGroup::default()
                    .with_group_id(str_bytes(&group.id).into())
                    .with_protocol_type(str_bytes(group.protocol_type.as_deref().unwrap_or_default()))
                    .with_group_state(str_bytes(group.state.name()))
                    .with_group_type(str_bytes(TYPE))
            });
        ListGroupsResponse::default().with_groups(groups.collect())
    }

    pub(super) fn describe(
        &self,
        request: &DescribeGroupsRequest,
        context: &RequestContext<'_>,
    ) -> DescribeGroupsResponse {
        let groups = request.groups.iter().map(|id| {
            let described = match self.by_id.get(id.as_str()) {
                Some(group) => group.describe(),
                None => unknown(id, context.version),
            };
            let shows_operations = request.include_authorized_operations && described.error_code == 0;
            if shows_operations { described.with_authorized_operations(ALL_OPERATIONS) } else { described }
        });
        DescribeGroupsResponse::default().with_groups(groups.collect())
    }

    pub(super) fn delete(
        &mut self,
        broker: &mut dyn GroupContext,
        request: &DeleteGroupsRequest,
    ) -> DeleteGroupsResponse {
        let results = request.groups_names.iter().map(|id| {
            let deleted = match self.by_id.get(id.as_str()).map(|group| group.state) {
                None => Err(ResponseError::GroupIdNotFound),
                Some(GroupState::Empty) => {
                    let entry = GroupEntry::Deleted { group: id.to_string() };
                    let kept = broker.record(&[entry.clone().into()]).map_err(coordinator_error);
                    kept.map(|()| self.apply(entry))
                }
                Some(_) => Err(ResponseError::NonEmptyGroup),
            };
            DeletableGroupResult::default()
                .with_group_id(id.clone())
                .with_error_code(deleted.err().map_or(0, |error| error.code()))
        });
        DeleteGroupsResponse::default().with_results(results.collect())
    }
}

fn unknown(id: &GroupId, version: i16) -> DescribedGroup {
    let dead = DescribedGroup::default().with_group_id(id.clone()).with_group_state(str_bytes("Dead"));
    if version < GROUP_ID_NOT_FOUND_SINCE {
        return dead;
    }
    let message = format!("Group {} not found.", id.as_str());
    dead.with_error_code(ResponseError::GroupIdNotFound.code()).with_error_message(Some(message.into()))
}

impl Group {
    fn describe(&self) -> DescribedGroup {
        let protocol = self.protocol.as_deref().filter(|_| self.state == GroupState::Stable);
        DescribedGroup::default()
            .with_group_id(str_bytes(&self.id).into())
            .with_group_state(str_bytes(self.state.name()))
            .with_protocol_type(str_bytes(self.protocol_type.as_deref().unwrap_or_default()))
            .with_protocol_data(str_bytes(protocol.unwrap_or_default()))
            .with_members(self.members.values().map(|member| member.describe(protocol)).collect())
    }
}
