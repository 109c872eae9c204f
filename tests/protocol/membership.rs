//! Group members: their requests, and stable groups of one or two members.

use std::fmt::Debug;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    DescribeGroupsRequest, HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, SyncGroupRequest,
};
use kafka_protocol::protocol::{Request, StrBytes};

use super::client::Client;
use super::requests::text;
use super::test_support::Recorder;

/// A member of a group in a generation.
#[derive(Clone)]
pub struct Member {
    pub group: StrBytes,
    pub id: StrBytes,
    pub generation: i32,
    pub instance: Option<StrBytes>,
}

impl Member {
    pub fn of(group: &StrBytes, response: &JoinGroupResponse) -> Self {
        Self {
            group: group.clone(),
            id: response.member_id.clone(),
            generation: response.generation_id,
            instance: None,
        }
    }

    /// The member with an instance id (KIP-345).
    pub fn with_instance(mut self, instance: &str) -> Self {
        self.instance = Some(text(instance));
        self
    }

    pub fn heartbeat(&self) -> HeartbeatRequest {
        HeartbeatRequest::default()
            .with_group_id(self.group.clone().into())
            .with_member_id(self.id.clone())
            .with_generation_id(self.generation)
            .with_group_instance_id(self.instance.clone())
    }

    /// A sync below version 5; the leader sends assignments.
    pub fn sync(&self, assignments: &[(&Self, &str)]) -> SyncGroupRequest {
        self.sync_in(0, assignments)
    }

    pub fn sync_in(&self, version: i16, assignments: &[(&Self, &str)]) -> SyncGroupRequest {
        let assignments = assignments
            .iter()
            .map(|(member, assignment)| {
                SyncGroupRequestAssignment::default()
                    .with_member_id(member.id.clone())
                    .with_assignment(Bytes::copy_from_slice(assignment.as_bytes()))
            })
            .collect();
        let request = SyncGroupRequest::default()
            .with_group_id(self.group.clone().into())
            .with_member_id(self.id.clone())
            .with_generation_id(self.generation)
            .with_group_instance_id(self.instance.clone())
            .with_assignments(assignments);
        if version < 5 {
            return request;
        }
        request.with_protocol_type(Some(text("consumer"))).with_protocol_name(Some(text("range")))
    }

    pub fn leave_in(&self, version: i16) -> LeaveGroupRequest {
        let request = LeaveGroupRequest::default().with_group_id(self.group.clone().into());
        if version < 3 {
            return request.with_member_id(self.id.clone());
        }
        let identity =
            MemberIdentity::default().with_member_id(self.id.clone()).with_group_instance_id(self.instance.clone());
        request.with_members(vec![identity])
    }
}

/// A member with its own connection, on which it can wait.
pub struct Joined {
    pub client: Client,
    pub member: Member,
}

impl Joined {
    /// A member that has an id and has not joined.
    pub fn connect(recorder: &mut Recorder, version: i16, group: &StrBytes) -> Self {
        let mut id = text("");
        if version >= 4 {
            id = recorder.request(version, &join(group, &id)).member_id;
        }
        let member = Member { group: group.clone(), id, generation: -1, instance: None };
        Self { client: recorder.connect(), member }
    }

    /// Records the response that the member waits for.
    pub fn record<R: Request>(&mut self, recorder: &mut Recorder, version: i16) -> R::Response
    where
        R::Response: Debug,
    {
        let response = self.client.receive::<R>(version).expect("a response");
        recorder.record_response::<R>(version, &response);
        response
    }

    /// Records the response to a join and takes the generation from it.
    pub fn record_join(&mut self, recorder: &mut Recorder, version: i16) {
        let response = self.record::<JoinGroupRequest>(recorder, version);
        let instance = self.member.instance.take();
        self.member = Member { instance, ..Member::of(&self.member.group, &response) };
    }
}

/// A join. Its metadata must be a consumer subscription: otherwise Kafka never completes the rebalance.
pub fn join(group: &StrBytes, member: &StrBytes) -> JoinGroupRequest {
    join_with(group, member, &["range"])
}

pub fn join_with(group: &StrBytes, member: &StrBytes, protocols: &[&str]) -> JoinGroupRequest {
    let protocols = protocols
        .iter()
        .map(|name| {
            let metadata = subscription(&[], &format!("metadata of {name}"));
            JoinGroupRequestProtocol::default().with_name(text(name)).with_metadata(metadata)
        })
        .collect();
    JoinGroupRequest::default()
        .with_group_id(group.clone().into())
        .with_member_id(member.clone())
        .with_session_timeout_ms(30_000)
        .with_rebalance_timeout_ms(30_000)
        .with_protocol_type(text("consumer"))
        .with_protocols(protocols)
}

/// A consumer subscription: version 0 of the consumer protocol.
pub fn subscription(topics: &[&StrBytes], user_data: &str) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_i16(0);
    bytes.put_i32(i32::try_from(topics.len()).expect("a count"));
    for topic in topics {
        bytes.put_i16(i16::try_from(topic.len()).expect("a length"));
        bytes.put_slice(topic.as_bytes());
    }
    bytes.put_i32(i32::try_from(user_data.len()).expect("a length"));
    bytes.put_slice(user_data.as_bytes());
    bytes.freeze()
}

pub fn describe(group: &StrBytes) -> DescribeGroupsRequest {
    DescribeGroupsRequest::default().with_groups(vec![group.clone().into()])
}

/// Creates a stable group of one member without recording anything.
pub fn alone(recorder: &mut Recorder, group: &StrBytes) -> Member {
    alone_with(recorder, group, &["range"])
}

pub fn alone_with(recorder: &mut Recorder, group: &StrBytes, protocols: &[&str]) -> Member {
    let id = recorder.request(5, &join(group, &text(""))).member_id;
    alone_by(recorder, join_with(group, &id, protocols))
}

/// Creates a stable group of one member with this join request.
pub fn alone_by(recorder: &mut Recorder, request: JoinGroupRequest) -> Member {
    let response = recorder.request(5, &request);
    assert_eq!(response.error_code, 0, "a member joins alone");
    let mut member = Member::of(&request.group_id, &response);
    member.instance = request.group_instance_id;
    let synced = recorder.request(3, &member.sync(&[(&member, "all")]));
    assert_eq!(synced.error_code, 0, "a member syncs alone");
    member
}

/// Two members in one generation that is not synced. The first one is the leader. Records the joins.
pub fn pair(recorder: &mut Recorder, version: i16, group: &StrBytes) -> (Joined, Joined) {
    let mut first = Joined::connect(recorder, version, group);
    first.client.send(version, &join(group, &first.member.id));
    first.record_join(recorder, version);
    let mut second = Joined::connect(recorder, version, group);
    second.client.send(version, &join(group, &second.member.id));
    // The second member is in the group when the first one must rejoin; the first generation need not be synced for
    // that.
    let error = recorder.request(3, &first.member.sync(&[(&first.member, "all")])).error_code;
    if error == 0 {
        recorder.request_until(3, &first.member.heartbeat(), |response| response.error_code != 0);
    }
    first.client.send(version, &join(group, &first.member.id));
    first.record_join(recorder, version);
    second.record_join(recorder, version);
    (first, second)
}

/// Two members in one stable generation, without recording anything. The first one is the leader.
pub fn synced_pair(recorder: &mut Recorder, group: &StrBytes) -> (Member, Member) {
    let first = alone(recorder, group);
    let mut second = Joined::connect(recorder, 5, group);
    second.client.send(5, &join(group, &second.member.id));
    recorder.request_until(3, &first.heartbeat(), |response| response.error_code != 0);
    let first = Member::of(group, &recorder.request(5, &join(group, &first.id)));
    let second = Member::of(group, &second.client.receive::<JoinGroupRequest>(5).expect("a response"));
    recorder.request(3, &first.sync(&[(&first, "one"), (&second, "two")]));
    recorder.request(3, &second.sync(&[]));
    (first, second)
}
