//! `Core` methods for the requests about groups.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{
    DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest, DescribeGroupsResponse, FindCoordinatorRequest,
    FindCoordinatorResponse, HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse,
    LeaveGroupRequest, LeaveGroupResponse, ListGroupsRequest, ListGroupsResponse, OffsetCommitRequest,
    OffsetCommitResponse, OffsetDeleteRequest, OffsetDeleteResponse, OffsetFetchRequest, OffsetFetchResponse,
    SyncGroupRequest, SyncGroupResponse, TxnOffsetCommitRequest, TxnOffsetCommitResponse,
};
use uuid::Uuid;

use super::member::{for_version, join_error};
use super::{GroupContext, Groups, find_coordinator};
use crate::broker::controlled_shutdown;
use crate::broker::core::{Core, NodeSettings};
use crate::broker::journal::JournalEntry;
use crate::broker::response::{DeferredResponse, MaybeDeferred, RequestContext, Ticket};
use crate::broker::transactions::{ProducerIdentity, TransactionSupport};

impl GroupContext for Core {
    fn settings(&self) -> &NodeSettings {
        &self.settings
    }

    fn record(&mut self, entries: &[JournalEntry]) -> Result<(), ResponseError> {
        self.record(entries)
    }

    fn has_partition(&self, topic: &str, partition: i32) -> bool {
        self.topics.log(topic, partition).is_some()
    }

    fn add_group_to_transaction(
        &mut self,
        identity: ProducerIdentity<'_>,
        group: &str,
        support: TransactionSupport,
        now: i64,
    ) -> Result<(), ResponseError> {
        self.add_or_verify_group(identity, group, support, now)
    }

    fn ticket(&mut self) -> Ticket {
        self.outbox.ticket()
    }

    fn put(&mut self, ticket: Ticket, response: DeferredResponse) {
        self.outbox.put(ticket, response);
    }

    #[expect(clippy::disallowed_methods, reason = "member ids must differ from those of any other start of the broker")]
    fn new_uuid(&mut self) -> Uuid {
        Uuid::new_v4()
    }
}

impl Core {
    /// Takes the groups out of the core, so that they can borrow the rest of it.
    fn with_groups<R>(&mut self, work: impl FnOnce(&mut Groups, &mut Self) -> R) -> R {
        let mut groups = std::mem::take(&mut self.groups);
        let result = work(&mut groups, self);
        self.groups = groups;
        result
    }

    /// `FindCoordinator`
    #[must_use]
    pub fn find_coordinator(
        &self,
        request: &FindCoordinatorRequest,
        context: &RequestContext<'_>,
    ) -> FindCoordinatorResponse {
        if self.stopping {
            return controlled_shutdown::refuse(request);
        }
        find_coordinator::find(&self.settings, request, context.version)
    }

    /// `JoinGroup`. The response is deferred until the rebalance completes.
    pub fn join_group(
        &mut self,
        request: &JoinGroupRequest,
        context: &RequestContext<'_>,
    ) -> MaybeDeferred<JoinGroupResponse> {
        if self.stopping {
            let refused = join_error(&request.member_id, ResponseError::CoordinatorNotAvailable);
            return MaybeDeferred::Now(for_version(refused, context.version));
        }
        self.with_groups(|groups, core| groups.join(core, request, context))
    }

    /// `SyncGroup`. The response is deferred until the leader's assignments arrive.
    pub fn sync_group(
        &mut self,
        request: &SyncGroupRequest,
        context: &RequestContext<'_>,
    ) -> MaybeDeferred<SyncGroupResponse> {
        if self.stopping {
            return MaybeDeferred::Now(controlled_shutdown::refuse(request));
        }
        self.with_groups(|groups, core| groups.sync(core, request, context))
    }

    /// `Heartbeat`
    pub fn heartbeat(&mut self, request: &HeartbeatRequest, context: &RequestContext<'_>) -> HeartbeatResponse {
        if self.stopping {
            return controlled_shutdown::refuse(request);
        }
        let error = self.groups.heartbeat(request, context.now).err();
        HeartbeatResponse::default().with_error_code(error.map_or(0, |error| error.code()))
    }

    /// `LeaveGroup`
    pub fn leave_group(&mut self, request: &LeaveGroupRequest, context: &RequestContext<'_>) -> LeaveGroupResponse {
        self.with_groups(|groups, core| groups.leave(core, request, context))
    }

    /// `OffsetCommit`
    pub fn offset_commit(
        &mut self,
        request: &OffsetCommitRequest,
        context: &RequestContext<'_>,
    ) -> OffsetCommitResponse {
        self.with_groups(|groups, core| groups.commit(core, request, context))
    }

    /// `TxnOffsetCommit`
    pub fn txn_offset_commit(
        &mut self,
        request: &TxnOffsetCommitRequest,
        context: &RequestContext<'_>,
    ) -> TxnOffsetCommitResponse {
        self.with_groups(|groups, core| groups.commit_in_transaction(core, request, context))
    }

    /// `OffsetFetch`
    #[must_use]
    pub fn offset_fetch(&self, request: &OffsetFetchRequest, context: &RequestContext<'_>) -> OffsetFetchResponse {
        self.groups.fetch(request, context)
    }

    /// `OffsetDelete`
    pub fn offset_delete(&mut self, request: &OffsetDeleteRequest) -> OffsetDeleteResponse {
        self.with_groups(|groups, core| groups.delete_offsets(core, request))
    }

    /// `ListGroups`
    #[must_use]
    pub fn list_groups(&self, request: &ListGroupsRequest) -> ListGroupsResponse {
        self.groups.list(request)
    }

    /// `DescribeGroups`
    #[must_use]
    pub fn describe_groups(
        &self,
        request: &DescribeGroupsRequest,
        context: &RequestContext<'_>,
    ) -> DescribeGroupsResponse {
        self.groups.describe(request, context)
    }

    /// `DeleteGroups`
    pub fn delete_groups(&mut self, request: &DeleteGroupsRequest) -> DeleteGroupsResponse {
        self.with_groups(|groups, core| groups.delete(core, request))
    }
}
