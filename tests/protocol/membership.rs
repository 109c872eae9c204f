//! Owns members of groups: their requests, and how one or two of them get into a group.

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
use super::lab::Lab;
use super::requests::text;

/// A member of a group in a generation.
#[derive(Clone)]
pub struct Member {
    pub group: StrBytes,
    pub id: StrBytes,
    pub generation: i32,
    pub instance: Option<StrBytes>,
}

impl Member {
    pub fn of(group: &StrBytes, answer: &JoinGroupResponse) -> Self {
        Self { group: group.clone(), id: answer.member_id.clone(), generation: answer.generation_id, instance: None }
    }

    /// The member under an instance id (KIP-345).
    pub fn under_instance(mut self, instance: &str) -> Self {
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

    /// A sync below version 5, with assignments if it is the leader's.
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

/// A member on a connection of its own, on which it can wait.
pub struct Joined {
    pub client: Client,
    pub member: Member,
}

impl Joined {
    /// A member that knows its id, and has not joined.
    pub fn connect(lab: &mut Lab, version: i16, group: &StrBytes) -> Self {
        let mut id = text("");
        if version >= 4 {
            id = lab.put(version, &join(group, &id)).member_id;
        }
        let member = Member { group: group.clone(), id, generation: -1, instance: None };
        Self { client: lab.connect(), member }
    }

    /// Tells the answer that the member waited for.
    pub fn tell<R: Request>(&mut self, lab: &mut Lab, version: i16) -> R::Response
    where
        R::Response: Debug,
    {
        let answer = self.client.receive::<R>(version).expect("an answer");
        lab.tell_answer::<R>(version, &answer);
        answer
    }

    /// Tells the answer to a join, and takes the generation from it.
    pub fn join_answer(&mut self, lab: &mut Lab, version: i16) {
        let answer = self.tell::<JoinGroupRequest>(lab, version);
        let instance = self.member.instance.take();
        self.member = Member { instance, ..Member::of(&self.member.group, &answer) };
    }
}

/// A join. Kafka reads the metadata of consumers as theirs, and never ends a rebalance where it cannot.
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

/// What a consumer says of the topics that it reads: version 0 of the consumer protocol's subscription.
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

/// The only member of a stable group, of which nothing is told.
pub fn alone(lab: &mut Lab, group: &StrBytes) -> Member {
    alone_with(lab, group, &["range"])
}

pub fn alone_with(lab: &mut Lab, group: &StrBytes, protocols: &[&str]) -> Member {
    let id = lab.put(5, &join(group, &text(""))).member_id;
    alone_by(lab, join_with(group, &id, protocols))
}

/// The only member of a stable group, by a join of its own making.
pub fn alone_by(lab: &mut Lab, request: JoinGroupRequest) -> Member {
    let answer = lab.put(5, &request);
    assert_eq!(answer.error_code, 0, "a member joins alone");
    let mut member = Member::of(&request.group_id, &answer);
    member.instance = request.group_instance_id;
    let synced = lab.put(3, &member.sync(&[(&member, "all")]));
    assert_eq!(synced.error_code, 0, "a member syncs alone");
    member
}

/// Two members in one generation that is not synced, the first of them the leader, and how they got there.
pub fn pair(lab: &mut Lab, version: i16, group: &StrBytes) -> (Joined, Joined) {
    let mut first = Joined::connect(lab, version, group);
    first.client.send(version, &join(group, &first.member.id));
    first.join_answer(lab, version);
    let mut second = Joined::connect(lab, version, group);
    second.client.send(version, &join(group, &second.member.id));
    // It is in the group when the first one is told to join again; the first generation need not be synced for that.
    let gone = lab.put(3, &first.member.sync(&[(&first.member, "all")])).error_code;
    if gone == 0 {
        lab.put_until(3, &first.member.heartbeat(), |answer| answer.error_code != 0);
    }
    first.client.send(version, &join(group, &first.member.id));
    first.join_answer(lab, version);
    second.join_answer(lab, version);
    (first, second)
}

/// Two members in one stable generation, the first of them the leader, of which nothing is told.
pub fn synced_pair(lab: &mut Lab, group: &StrBytes) -> (Member, Member) {
    let first = alone(lab, group);
    let mut second = Joined::connect(lab, 5, group);
    second.client.send(5, &join(group, &second.member.id));
    lab.put_until(3, &first.heartbeat(), |answer| answer.error_code != 0);
    let first = Member::of(group, &lab.put(5, &join(group, &first.id)));
    let second = Member::of(group, &second.client.receive::<JoinGroupRequest>(5).expect("an answer"));
    lab.put(3, &first.sync(&[(&first, "one"), (&second, "two")]));
    lab.put(3, &second.sync(&[]));
    (first, second)
}
