//! Owns a broker broker groups for tests: what it was told, when it refuses to write, and members that speak to it.

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
use crate::broker::journal_entry::JournalEntry;
use crate::broker::response::{Client, DeferredResponse, MaybeDeferred, Outbox, RequestContext, Ticket};
use crate::broker::transactions::{ProducerIdentity, TransactionSupport};

/// The group of all tests that need but one.
pub(super) const GROUP: &str = "g";
/// Session time-out of members who say nothing else.
pub(super) const SESSION_MS: i32 = 10_000;
/// Rebalance time-out of members who say nothing else.
pub(super) const REBALANCE_MS: i32 = 60_000;

/// The broker broker groups.
#[derive(Debug, Default)]
pub(super) struct TestBroker {
    pub(super) settings: NodeSettings,
    pub(super) journal: Vec<JournalEntry>,
    /// Every write fails from here on.
    pub(super) broken: bool,
    /// What `add_group_to_transaction` answers, if not yes.
    pub(super) refuses_transactions: Option<ResponseError>,
    /// Groups for which a transaction was entered, and how.
    pub(super) entered: Vec<(String, TransactionSupport)>,
    pub(super) outbox: Outbox,
    ids: u128,
}

impl GroupContext for TestBroker {
    fn settings(&self) -> &NodeSettings {
        &self.settings
    }

    fn record(&mut self, entries: &[JournalEntry]) -> Result<(), ResponseError> {
        if self.broken {
            return Err(ResponseError::KafkaStorageError);
        }
        self.journal.extend_from_slice(entries);
        Ok(())
    }

    /// Topics exist unless they are called `unknown`, with four partitions each.
    fn has_partition(&self, topic: &str, partition: i32) -> bool {
        topic != "unknown" && (0..4).contains(&partition)
    }

    fn add_group_to_transaction(
        &mut self,
        _speaker: ProducerIdentity<'_>,
        group: &str,
        support: TransactionSupport,
        _now: i64,
    ) -> Result<(), ResponseError> {
        self.entered.push((group.to_owned(), support));
        self.refuses_transactions.map_or(Ok(()), Err)
    }

    fn ticket(&mut self) -> Ticket {
        self.outbox.ticket()
    }

    fn put(&mut self, ticket: Ticket, answer: DeferredResponse) {
        self.outbox.put(ticket, answer);
    }

    fn new_uuid(&mut self) -> Uuid {
        self.ids += 1;
        Uuid::from_u128(self.ids)
    }
}

/// How a member options; what it does not say is usual.
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

/// Groups, the broker broker them, a clock, and the answers that came.
#[derive(Debug, Default)]
pub(super) struct TestCoordinator {
    pub(super) groups: Groups,
    pub(super) broker: TestBroker,
    pub(super) now: i64,
    /// Answers that came later, by ticket.
    pub(super) answered: BTreeMap<Ticket, DeferredResponse>,
    /// Tickets that were given out.
    pub(super) issued: BTreeSet<Ticket>,
}

impl TestCoordinator {
    /// Does something at the present time, and collects what was answered beside it.
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
        for (ticket, answer) in self.broker.outbox.take() {
            let twice = self.answered.insert(ticket, answer);
            assert!(twice.is_none(), "{ticket:?} was answered twice");
        }
    }

    /// Lets time pass, with a tick at every deadline on the way and one at the end.
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
        assert!(self.groups.next_deadline().is_none_or(|due| due > now), "a tick leaves nothing that is due");
    }

    fn issue<T>(&mut self, answer: MaybeDeferred<T>) -> MaybeDeferred<T> {
        if let MaybeDeferred::Later(ticket) = answer {
            assert!(self.issued.insert(ticket), "a ticket is given out once");
        }
        answer
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
        let answer = self.context(options.version, |groups, broker, context| groups.join(broker, &request, context));
        self.issue(answer)
    }

    /// A join that is answered at once.
    pub(super) fn join_now(&mut self, options: JoinOptions<'_>) -> JoinGroupResponse {
        now(self.join(options))
    }

    /// A join that has to wait.
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
        let answer = self.context(4, |groups, broker, context| groups.sync(broker, &request, context));
        self.issue(answer)
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

    /// Leaves, and returns the error code per member.
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

    /// Commits one offset, and returns the error code.
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

    /// Commits one offset in a transaction, and returns the error code.
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

    /// Offset and error code of one partition of `orders`.
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

    /// A member that has joined and waits, under the id that it was given first.
    pub(super) fn join_with_new_id(&mut self, options: JoinOptions<'_>) -> (String, MaybeDeferred<JoinGroupResponse>) {
        let id = self.join_now(options.clone()).member_id.to_string();
        let answer = self.join(JoinOptions { member: &id, ..options });
        (id, answer)
    }

    /// A group of one member, stable in its first generation, which was given `all`.
    pub(super) fn stable_of_one(&mut self) -> String {
        let (id, joined) = self.join_with_new_id(JoinOptions::default());
        assert_eq!(now(joined).generation_id, 1);
        assert_eq!(self.sync_now(&id, 1, &[(&id, "all")]).assignment, "all");
        id
    }

    /// A group of a leader and a follower, stable in its second generation.
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

    /// The answer to a join that waited.
    pub(super) fn join_response(&mut self, ticket: Ticket) -> JoinGroupResponse {
        match self.answered.remove(&ticket) {
            Some(DeferredResponse::Join(answer)) => answer,
            other => panic!("{ticket:?} has {other:?}"),
        }
    }

    /// The answer to a sync that waited.
    pub(super) fn sync_response(&mut self, ticket: Ticket) -> SyncGroupResponse {
        match self.answered.remove(&ticket) {
            Some(DeferredResponse::Sync(answer)) => answer,
            other => panic!("{ticket:?} has {other:?}"),
        }
    }

    /// The name of the group's state, or `Dead`.
    pub(super) fn state(&self) -> &'static str {
        self.groups.by_id.get(GROUP).map_or("Dead", |group| group.state.name())
    }

    pub(super) fn generation(&self) -> i32 {
        self.groups.by_id[GROUP].generation
    }

    /// The same broker after a restart, as its journal tells it.
    pub(super) fn restarted(&self) -> Self {
        let entries = self.broker.journal.iter().map(|entry| match entry {
            JournalEntry::Group(entry) => entry.clone(),
            other => panic!("{other:?} is not about groups"),
        });
        Self { groups: restored(entries, self.now), now: self.now, ..Self::default() }
    }
}

/// Groups out of entries, each through its JSON.
pub(super) fn restored(entries: impl IntoIterator<Item = GroupEntry>, now: i64) -> Groups {
    let mut groups = Groups::default();
    for entry in entries {
        let json = serde_json::to_string(&entry).unwrap();
        groups.restore(serde_json::from_str(&json).unwrap(), now);
    }
    groups
}

pub(super) fn now<T>(answer: MaybeDeferred<T>) -> T {
    match answer {
        MaybeDeferred::Now(answer) => answer,
        MaybeDeferred::Later(ticket) => panic!("it waits under {ticket:?}"),
    }
}

pub(super) fn later<T: std::fmt::Debug>(answer: MaybeDeferred<T>) -> Ticket {
    match answer {
        MaybeDeferred::Later(ticket) => ticket,
        MaybeDeferred::Now(answer) => panic!("it is answered at once: {answer:?}"),
    }
}

/// What a consumer says of itself when it subscribes to these topics.
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
