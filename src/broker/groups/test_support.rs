//! Test support for groups: a coordinator with a test broker and a clock, and requests of members.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use kafka_protocol::messages::{
    HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, OffsetCommitRequest, OffsetFetchRequest,
    SyncGroupRequest, SyncGroupResponse, TxnOffsetCommitRequest,
};
use uuid::Uuid;

use super::journal_entry::GroupEntry;
use super::{GroupContext, Groups, str_bytes};
use crate::broker::core::NodeSettings;
use crate::broker::journal::JournalEntry;
use crate::broker::response::{Client, DeferredResponse, MaybeDeferred, Outbox, RequestContext, Ticket};
use crate::broker::transactions::{ProducerIdentity, TransactionSupport};

/// The group of tests that need only one.
pub(super) const GROUP: &str = "g";
/// Default session timeout.
pub(super) const SESSION_MS: i32 = 10_000;
/// Default rebalance timeout.
pub(super) const REBALANCE_MS: i32 = 60_000;

/// The broker that groups use.
#[derive(Debug, Default)]
pub(super) struct TestBroker {
    pub(super) settings: NodeSettings,
    pub(super) journal: Vec<JournalEntry>,
    /// Whether writes to the journal fail.
    pub(super) journal_fails: bool,
    /// The error of `add_group_to_transaction`.
    pub(super) transaction_error: Option<ResponseError>,
    /// The calls of `add_group_to_transaction`.
    pub(super) added_groups: Vec<(String, TransactionSupport)>,
    pub(super) outbox: Outbox,
    ids: u128,
}

impl GroupContext for TestBroker {
    fn settings(&self) -> &NodeSettings {
        &self.settings
    }

    fn record(&mut self, entries: &[JournalEntry]) -> Result<(), ResponseError> {
        if self.journal_fails {
            return Err(ResponseError::KafkaStorageError);
        }
        self.journal.extend_from_slice(entries);
        Ok(())
    }

    /// All topics but `unknown` exist, with four partitions each.
    fn has_partition(&self, topic: &str, partition: i32) -> bool {
        topic != "unknown" && (0..4).contains(&partition)
    }

    fn add_group_to_transaction(
        &mut self,
        _identity: ProducerIdentity<'_>,
        group: &str,
        support: TransactionSupport,
        _now: i64,
    ) -> Result<(), ResponseError> {
        self.added_groups.push((group.to_owned(), support));
        self.transaction_error.map_or(Ok(()), Err)
    }

    fn ticket(&mut self) -> Ticket {
        self.outbox.ticket()
    }

    fn put(&mut self, ticket: Ticket, response: DeferredResponse) {
        self.outbox.put(ticket, response);
    }

    fn new_uuid(&mut self) -> Uuid {
        self.ids += 1;
        Uuid::from_u128(self.ids)
    }
}

/// The fields of a join.
#[derive(Debug, Clone)]
pub(super) struct JoinOptions<'a> {
    pub(super) member: &'a str,
    pub(super) instance: Option<&'a str>,
    pub(super) protocols: Vec<(&'a str, Bytes)>,
    pub(super) protocol_type: &'a str,
    pub(super) version: i16,
    pub(super) session_ms: i32,
    pub(super) rebalance_ms: i32,
}

impl Default for JoinOptions<'_> {
    fn default() -> Self {
        Self {
            member: "",
            instance: None,
            protocols: vec![("range", subscription(&["orders"]))],
            protocol_type: "consumer",
            version: 9,
            session_ms: SESSION_MS,
            rebalance_ms: REBALANCE_MS,
        }
    }
}

/// Groups, the broker that they use, a clock, and the deferred responses.
#[derive(Debug, Default)]
pub(super) struct TestCoordinator {
    pub(super) groups: Groups,
    pub(super) broker: TestBroker,
    pub(super) now: i64,
    /// Deferred responses, by ticket.
    pub(super) responses: BTreeMap<Ticket, DeferredResponse>,
    /// Tickets of deferred responses.
    pub(super) issued: BTreeSet<Ticket>,
}

impl TestCoordinator {
    /// Calls the groups at the current time, and collects the deferred responses.
    pub(super) fn context<R>(
        &mut self,
        version: i16,
        work: impl FnOnce(&mut Groups, &mut TestBroker, &RequestContext<'_>) -> R,
    ) -> R {
        let client = Client { connection: 1, id: "client".to_owned(), host: "/127.0.0.1".to_owned() };
        let context = RequestContext { version, now: self.now, client: &client };
        let result = work(&mut self.groups, &mut self.broker, &context);
        self.collect();
        result
    }

    fn collect(&mut self) {
        for (ticket, response) in self.broker.outbox.take() {
            let twice = self.responses.insert(ticket, response);
            assert!(twice.is_none(), "{ticket:?} has two responses");
        }
    }

    /// Advances the clock, with a tick at every deadline and one at the end.
    pub(super) fn advance(&mut self, ms: i64) {
        let end = self.now + ms;
        while let Some(due) = self.groups.next_deadline().filter(|due| *due <= end) {
            self.tick(due.max(self.now));
        }
        self.tick(end);
    }

    pub(super) fn tick(&mut self, now: i64) {
        self.now = now;
        let entries = self.groups.tick(now, &mut self.broker.outbox);
        self.broker.journal.extend(entries);
        self.collect();
        assert!(self.groups.next_deadline().is_none_or(|due| due > now), "nothing is due after a tick");
    }

    fn issue<T>(&mut self, response: MaybeDeferred<T>) -> MaybeDeferred<T> {
        if let MaybeDeferred::Later(ticket) = response {
            assert!(self.issued.insert(ticket), "a ticket was issued twice");
        }
        response
    }

    pub(super) fn join(&mut self, options: JoinOptions<'_>) -> MaybeDeferred<JoinGroupResponse> {
        let request = JoinGroupRequest::default()
            .with_group_id(str_bytes(GROUP).into())
            .with_session_timeout_ms(options.session_ms)
            .with_rebalance_timeout_ms(options.rebalance_ms)
            .with_member_id(str_bytes(options.member))
            .with_group_instance_id(options.instance.map(str_bytes))
            .with_protocol_type(str_bytes(options.protocol_type))
            .with_protocols(
                options
                    .protocols
                    .into_iter()
                    .map(|(name, metadata)| {
                        JoinGroupRequestProtocol::default().with_name(str_bytes(name)).with_metadata(metadata)
                    })
                    .collect(),
            );
        let response = self.context(options.version, |groups, broker, context| groups.join(broker, &request, context));
        self.issue(response)
    }

    /// A join whose response is not deferred.
    pub(super) fn join_now(&mut self, options: JoinOptions<'_>) -> JoinGroupResponse {
        now(self.join(options))
    }

    /// A join whose response is deferred.
    pub(super) fn join_later(&mut self, options: JoinOptions<'_>) -> Ticket {
        later(self.join(options))
    }

    pub(super) fn sync(
        &mut self,
        member: &str,
        generation: i32,
        given: &[(&str, &'static str)],
    ) -> MaybeDeferred<SyncGroupResponse> {
        let assignments = given.iter().map(|(member, assignment)| {
            SyncGroupRequestAssignment::default()
                .with_member_id(str_bytes(member))
                .with_assignment(Bytes::from_static(assignment.as_bytes()))
        });
        let request = SyncGroupRequest::default()
            .with_group_id(str_bytes(GROUP).into())
            .with_generation_id(generation)
            .with_member_id(str_bytes(member))
            .with_assignments(assignments.collect());
        let response = self.context(4, |groups, broker, context| groups.sync(broker, &request, context));
        self.issue(response)
    }

    pub(super) fn sync_now(
        &mut self,
        member: &str,
        generation: i32,
        given: &[(&str, &'static str)],
    ) -> SyncGroupResponse {
        now(self.sync(member, generation, given))
    }

    pub(super) fn sync_later(&mut self, member: &str, generation: i32) -> Ticket {
        later(self.sync(member, generation, &[]))
    }

    pub(super) fn heartbeat(&mut self, member: &str, generation: i32) -> Result<(), ResponseError> {
        self.heartbeat_as(member, None, generation)
    }

    pub(super) fn heartbeat_as(
        &mut self,
        member: &str,
        instance: Option<&str>,
        generation: i32,
    ) -> Result<(), ResponseError> {
        let request = HeartbeatRequest::default()
            .with_group_id(str_bytes(GROUP).into())
            .with_member_id(str_bytes(member))
            .with_group_instance_id(instance.map(str_bytes))
            .with_generation_id(generation);
        self.context(4, |groups, _, context| groups.heartbeat(&request, context.now))
    }

    /// Sends `LeaveGroup` and returns the error code of each member.
    pub(super) fn leave(&mut self, members: &[(&str, Option<&str>)]) -> Vec<i16> {
        let members = members.iter().map(|(member, instance)| {
            MemberIdentity::default().with_member_id(str_bytes(member)).with_group_instance_id(instance.map(str_bytes))
        });
        let request =
            LeaveGroupRequest::default().with_group_id(str_bytes(GROUP).into()).with_members(members.collect());
        let response = self.context(5, |groups, broker, context| groups.leave(broker, &request, context));
        assert_eq!(response.error_code, 0);
        response.members.iter().map(|member| member.error_code).collect()
    }

    /// Commits an offset and returns the error code.
    pub(super) fn commit(&mut self, member: &str, generation: i32, topic: &str, partition: i32, offset: i64) -> i16 {
        let partition =
            OffsetCommitRequestPartition::default().with_partition_index(partition).with_committed_offset(offset);
        let topic =
            OffsetCommitRequestTopic::default().with_name(str_bytes(topic).into()).with_partitions(vec![partition]);
        let request = OffsetCommitRequest::default()
            .with_group_id(str_bytes(GROUP).into())
            .with_member_id(str_bytes(member))
            .with_generation_id_or_member_epoch(generation)
            .with_topics(vec![topic]);
        let response = self.context(9, |groups, broker, context| groups.commit(broker, &request, context));
        response.topics[0].partitions[0].error_code
    }

    /// Commits an offset in a transaction and returns the error code.
    pub(super) fn commit_in_transaction(
        &mut self,
        producer_id: i64,
        member: &str,
        generation: i32,
        partition: i32,
        offset: i64,
    ) -> i16 {
        let partition =
            TxnOffsetCommitRequestPartition::default().with_partition_index(partition).with_committed_offset(offset);
        let topic = TxnOffsetCommitRequestTopic::default()
            .with_name(str_bytes("orders").into())
            .with_partitions(vec![partition]);
        let request = TxnOffsetCommitRequest::default()
            .with_transactional_id(str_bytes("t").into())
            .with_group_id(str_bytes(GROUP).into())
            .with_producer_id(producer_id.into())
            .with_member_id(str_bytes(member))
            .with_generation_id(generation)
            .with_topics(vec![topic]);
        let response =
            self.context(3, |groups, broker, context| groups.commit_in_transaction(broker, &request, context));
        response.topics[0].partitions[0].error_code
    }

    pub(super) fn end_transaction(&mut self, producer_id: i64, committed: bool) {
        let entries = self.groups.end_transaction(producer_id, committed, self.now);
        self.broker.journal.extend(entries);
    }

    /// The offset and the error code of a partition of `orders`.
    pub(super) fn fetch(&mut self, partition: i32, stable: bool) -> (i64, i16) {
        let topic = OffsetFetchRequestTopics::default()
            .with_name(str_bytes("orders").into())
            .with_partition_indexes(vec![partition]);
        let group =
            OffsetFetchRequestGroup::default().with_group_id(str_bytes(GROUP).into()).with_topics(Some(vec![topic]));
        let request = OffsetFetchRequest::default().with_groups(vec![group]).with_require_stable(stable);
        let response = self.context(9, |groups, _, context| groups.fetch(&request, context));
        let found = &response.groups[0].topics[0].partitions[0];
        (found.committed_offset, found.error_code)
    }

    /// Joins twice: for a member id, then with it. Returns the id and the second response.
    pub(super) fn join_with_new_id(&mut self, options: JoinOptions<'_>) -> (String, MaybeDeferred<JoinGroupResponse>) {
        let id = self.join_now(options.clone()).member_id.to_string();
        let response = self.join(JoinOptions { member: &id, ..options });
        (id, response)
    }

    /// A stable group of one member in generation 1, whose assignment is `all`.
    pub(super) fn stable_of_one(&mut self) -> String {
        let (id, joined) = self.join_with_new_id(JoinOptions::default());
        assert_eq!(now(joined).generation_id, 1);
        assert_eq!(self.sync_now(&id, 1, &[(&id, "all")]).assignment, "all");
        id
    }

    /// A stable group of a leader and a follower in generation 2.
    pub(super) fn stable_of_two(&mut self) -> (String, String) {
        let leader = self.stable_of_one();
        let (follower, joined) = self.join_with_new_id(JoinOptions::default());
        let follower_waits = later(joined);
        let joined = self.join_now(JoinOptions { member: &leader, ..JoinOptions::default() });
        assert_eq!((joined.generation_id, &*joined.leader), (2, leader.as_str()));
        assert_eq!(self.join_response(follower_waits).generation_id, 2);
        let waits = self.sync_later(&follower, 2);
        let given = [(leader.as_str(), "half"), (follower.as_str(), "rest")];
        assert_eq!(self.sync_now(&leader, 2, &given).assignment, "half");
        assert_eq!(self.sync_response(waits).assignment, "rest");
        (leader, follower)
    }

    /// The deferred response to a join.
    pub(super) fn join_response(&mut self, ticket: Ticket) -> JoinGroupResponse {
        match self.responses.remove(&ticket) {
            Some(DeferredResponse::Join(response)) => response,
            other => panic!("{ticket:?} has {other:?}"),
        }
    }

    /// The deferred response to a sync.
    pub(super) fn sync_response(&mut self, ticket: Ticket) -> SyncGroupResponse {
        match self.responses.remove(&ticket) {
            Some(DeferredResponse::Sync(response)) => response,
            other => panic!("{ticket:?} has {other:?}"),
        }
    }

    /// The name of the group's state; `Dead` if it does not exist.
    pub(super) fn state(&self) -> &'static str {
        self.groups.by_id.get(GROUP).map_or("Dead", |group| group.state.name())
    }

    pub(super) fn generation(&self) -> i32 {
        self.groups.by_id[GROUP].generation
    }

    /// A broker that is restored from this one's journal.
    pub(super) fn restarted(&self) -> Self {
        let entries = self.broker.journal.iter().map(|entry| match entry {
            JournalEntry::Group(entry) => entry.clone(),
            other => panic!("not an entry of groups: {other:?}"),
        });
        Self { groups: restored(entries, self.now), now: self.now, ..Self::default() }
    }
}

/// Restores groups from entries that were converted to JSON and back.
pub(super) fn restored(entries: impl IntoIterator<Item = GroupEntry>, now: i64) -> Groups {
    let mut groups = Groups::default();
    for entry in entries {
        let json = serde_json::to_string(&entry).unwrap();
        groups.restore(serde_json::from_str(&json).unwrap(), now);
    }
    groups
}

pub(super) fn now<T>(response: MaybeDeferred<T>) -> T {
    match response {
        MaybeDeferred::Now(response) => response,
        MaybeDeferred::Later(ticket) => panic!("deferred: {ticket:?}"),
    }
}

pub(super) fn later<T: std::fmt::Debug>(response: MaybeDeferred<T>) -> Ticket {
    match response {
        MaybeDeferred::Later(ticket) => ticket,
        MaybeDeferred::Now(response) => panic!("not deferred: {response:?}"),
    }
}

/// A consumer's metadata for a subscription to these topics.
pub(super) fn subscription(topics: &[&str]) -> Bytes {
    let mut metadata = BytesMut::new();
    metadata.put_i16(1);
    metadata.put_i32(i32::try_from(topics.len()).unwrap());
    for topic in topics {
        metadata.put_i16(i16::try_from(topic.len()).unwrap());
        metadata.put_slice(topic.as_bytes());
    }
    metadata.put_i32(-1);
    metadata.freeze()
}
