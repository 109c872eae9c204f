//! A consumer group of the classic protocol: state, members, leader, protocol and subscriptions.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{Buf, Bytes};
use indexmap::IndexMap;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::{JoinGroupResponse, SyncGroupResponse};

use super::journal_entry::{Generation, GroupEntry};
use super::member::{Member, join_error, sync_error};
use super::offsets::Offsets;
use super::timers::Timer;
use super::{Operation, str_bytes};

/// The protocol type of consumers. The broker decodes their subscriptions.
const CONSUMER: &str = "consumer";

/// The state of a group.
///
/// ```text
/// Empty ─► PreparingRebalance ─► CompletingRebalance ─► Stable ─► PreparingRebalance …
/// ```
///
/// A new member, a member that leaves, or a timeout leads back to `PreparingRebalance`. If it ends without members, the
/// group is `Empty`. A group in Kafka's state `Dead` does not exist here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GroupState {
    /// No members. It may have committed offsets.
    Empty,
    /// Waiting for the members to join or rejoin.
    PreparingRebalance,
    /// Waiting for the leader's assignments.
    CompletingRebalance,
    /// The members have their assignments.
    Stable,
}

impl GroupState {
    /// Kafka's name of the state.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
        }
    }
}

/// The initial rebalance delay of a new group, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct InitialDelay {
    pub(super) configured: i64,
    /// The delay of the running timer.
    pub(super) current: i64,
    /// How much the delay may still be extended.
    pub(super) remaining: i64,
}

#[derive(Debug, Clone)]
pub(super) struct Group {
    pub(super) id: String,
    pub(super) state: GroupState,
    /// The state before this one. A rebalance that started in `Empty` waits for the initial delay instead of its
    /// members.
    pub(super) previous_state: GroupState,
    /// When the group entered its state, in milliseconds.
    pub(super) since: i64,
    pub(super) generation: i32,
    pub(super) protocol_type: Option<String>,
    pub(super) protocol: Option<String>,
    pub(super) leader: Option<String>,
    /// The members, in the order in which they joined.
    pub(super) members: IndexMap<String, Member>,
    /// Member ids that were returned with `MEMBER_ID_REQUIRED` and not used yet.
    pub(super) pending_members: BTreeSet<String>,
    /// Members of this generation that have not sent `SyncGroup` yet.
    pub(super) pending_sync: BTreeSet<String>,
    pub(super) initial_delay: Option<InitialDelay>,
    /// Whether a member joined during the initial delay.
    pub(super) new_member_added: bool,
    /// The topics that the members subscribe to; `None` if a subscription cannot be decoded.
    pub(super) subscribed: Option<BTreeSet<String>>,
    /// The generation that is in the journal.
    pub(super) recorded: Option<Generation>,
    pub(super) offsets: Offsets,
    /// Producers with pending offsets of this group.
    pub(super) transactions: BTreeSet<i64>,
}

impl Group {
    pub(super) fn new(id: String, now: i64) -> Self {
        Self {
            id,
            state: GroupState::Empty,
            previous_state: GroupState::Empty,
            since: now,
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            members: IndexMap::new(),
            pending_members: BTreeSet::new(),
            pending_sync: BTreeSet::new(),
            initial_delay: None,
            new_member_added: false,
            subscribed: None,
            recorded: None,
            offsets: Offsets::default(),
            transactions: BTreeSet::new(),
        }
    }

    /// Restores a generation from the journal. Keeps the offsets.
    pub(super) fn restore(&mut self, record: Generation) {
        let members: IndexMap<String, Member> = record
            .members
            .iter()
            .map(|member| (member.id.clone(), Member::restore(member, record.protocol.as_deref().unwrap_or_default())))
            .collect();
        self.state = if members.is_empty() { GroupState::Empty } else { GroupState::Stable };
        self.since = record.since;
        self.generation = record.number;
        self.protocol_type.clone_from(&record.protocol_type);
        self.protocol.clone_from(&record.protocol);
        self.leader.clone_from(&record.leader);
        self.members = members;
        self.subscribed = self.subscriptions();
        self.recorded = Some(record);
    }

    /// The journal's record of this generation with the given assignments.
    pub(super) fn record(&self, assignments: &BTreeMap<String, Bytes>, since: i64) -> Generation {
        let protocol = self.protocol.as_deref();
        Generation {
            group: self.id.clone(),
            number: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            since,
            members: self
                .members
                .values()
                .map(|member| member.record(protocol, assignments.get(&member.id).cloned().unwrap_or_default()))
                .collect(),
        }
    }

    pub(super) fn assignments(&self) -> BTreeMap<String, Bytes> {
        self.members.values().map(|member| (member.id.clone(), member.assignment.clone())).collect()
    }

    pub(super) fn transition_to(&mut self, state: GroupState, now: i64) {
        self.previous_state = self.state;
        self.state = state;
        self.since = now;
    }

    pub(super) fn is_leader(&self, member: &str) -> bool {
        self.leader.as_deref() == Some(member)
    }

    pub(super) fn member_of_instance(&self, instance: &str) -> Option<&Member> {
        self.members.values().find(|member| member.instance.as_deref() == Some(instance))
    }

    /// The longest rebalance timeout of the members.
    pub(super) fn rebalance_timeout_ms(&self) -> i64 {
        i64::from(self.members.values().map(|member| member.rebalance_timeout_ms).fold(0, i32::max))
    }

    pub(super) fn all_joined(&self) -> bool {
        self.pending_members.is_empty() && self.members.values().all(|member| member.waiting_join.is_some())
    }

    /// Whether a member with these protocols may join.
    pub(super) fn supports_protocols(&self, protocol_type: &str, protocols: &[JoinGroupRequestProtocol]) -> bool {
        if self.state == GroupState::Empty {
            !protocol_type.is_empty() && !protocols.is_empty()
        } else {
            self.protocol_type.as_deref() == Some(protocol_type)
                && protocols.iter().any(|protocol| self.all_support(&protocol.name))
        }
    }

    fn all_support(&self, protocol: &str) -> bool {
        self.members.values().all(|member| member.supports(protocol))
    }

    /// The protocol with most votes. Each member votes for the first one in its list that all members support; the
    /// earlier vote breaks a tie.
    pub(super) fn select_protocol(&self) -> Option<String> {
        let mut votes: IndexMap<&str, usize> = IndexMap::new();
        for member in self.members.values() {
            let vote = member.protocols.iter().map(|(name, _)| name.as_str()).find(|name| self.all_support(name));
            *votes.entry(vote?).or_default() += 1;
        }
        let most = votes.values().copied().max()?;
        votes.into_iter().find(|(_, count)| *count == most).map(|(name, _)| name.to_owned())
    }

    /// Checks the member id and the instance id of a request.
    ///
    /// # Errors
    ///
    /// `UNKNOWN_MEMBER_ID`, or `FENCED_INSTANCE_ID` for a static member that was replaced.
    pub(super) fn check_member(&self, member: &str, instance: Option<&str>) -> Result<(), ResponseError> {
        if let Some(instance) = instance {
            let known = self.member_of_instance(instance).ok_or(ResponseError::UnknownMemberId)?;
            if known.id != member {
                return Err(ResponseError::FencedInstanceId);
            }
        }
        if self.members.contains_key(member) { Ok(()) } else { Err(ResponseError::UnknownMemberId) }
    }

    /// Adds a member. The first one becomes the leader.
    pub(super) fn add_member(&mut self, member: Member, protocol_type: &str) {
        if self.members.is_empty() {
            self.protocol_type = Some(protocol_type.to_owned());
        }
        self.leader.get_or_insert_with(|| member.id.clone());
        self.pending_members.remove(&member.id);
        self.members.insert(member.id.clone(), member);
    }

    /// Removes a member or a pending member id, and responds to its waiting requests. If it was the leader, the next
    /// member leads.
    pub(super) fn remove_member(&mut self, member: &str, op: &mut Operation<'_>) {
        if let Some(removed) = self.members.shift_remove(member) {
            removed.remove(op);
        }
        if self.is_leader(member) {
            self.leader = self.members.keys().next().cloned();
        }
        self.pending_members.remove(member);
        self.pending_sync.remove(member);
        op.timers.cancel(&self.heartbeat_timer(member));
    }

    /// Gives a static member a new id and fences the old one (KIP-345).
    pub(super) fn replace_static_member(&mut self, old: &str, new: &str, op: &mut Operation<'_>) {
        let Some((at, _, mut member)) = self.members.shift_remove_full(old) else { return };
        member.send_join_response(op, join_error(old, ResponseError::FencedInstanceId));
        member.send_sync_response(op, sync_error(ResponseError::FencedInstanceId));
        member.is_new = false;
        new.clone_into(&mut member.id);
        self.members.shift_insert(at, new.to_owned(), member);
        if self.is_leader(old) {
            self.leader = Some(new.to_owned());
        }
        if self.pending_sync.remove(old) {
            self.pending_sync.insert(new.to_owned());
        }
        op.timers.cancel(&self.heartbeat_timer(old));
    }

    /// Replaces a leader that did not rejoin. Returns whether the group has a leader that rejoined.
    pub(super) fn elect_leader(&mut self) -> bool {
        let Some(leader) = self.leader.as_ref().and_then(|leader| self.members.get(leader)) else { return false };
        if leader.waiting_join.is_none() {
            let Some(joined) = self.members.values().find(|member| member.waiting_join.is_some()) else { return false };
            self.leader = Some(joined.id.clone());
        }
        true
    }

    pub(super) fn heartbeat_timer(&self, member: &str) -> Timer {
        Timer::Heartbeat { group: self.id.clone(), member: member.to_owned() }
    }

    /// Restarts a member's session timeout.
    pub(super) fn restart_session(&self, member: &str, op: &mut Operation<'_>) {
        if let Some(known) = self.members.get(member) {
            op.timers.schedule(self.heartbeat_timer(member), op.now + i64::from(known.session_timeout_ms));
        }
    }

    pub(super) fn join_response(&self, member: &str) -> JoinGroupResponse {
        JoinGroupResponse::default()
            .with_member_id(str_bytes(member))
            .with_generation_id(self.generation)
            .with_protocol_type(self.protocol_type.as_deref().map(str_bytes))
            .with_protocol_name(Some(str_bytes(self.protocol.as_deref().unwrap_or_default())))
            .with_leader(str_bytes(self.leader.as_deref().unwrap_or_default()))
    }

    /// The members and their metadata, for the leader.
    pub(super) fn current_member_metadata(&self) -> Vec<JoinGroupResponseMember> {
        self.members
            .values()
            .map(|member| {
                JoinGroupResponseMember::default()
                    .with_member_id(str_bytes(&member.id))
                    .with_group_instance_id(member.instance.as_deref().map(str_bytes))
                    .with_metadata(member.metadata(self.protocol.as_deref()))
            })
            .collect()
    }

    pub(super) fn sync_response(&self, assignment: Bytes) -> SyncGroupResponse {
        SyncGroupResponse::default()
            .with_protocol_type(self.protocol_type.as_deref().map(str_bytes))
            .with_protocol_name(self.protocol.as_deref().map(str_bytes))
            .with_assignment(assignment)
    }

    pub(super) fn is_consumer_group(&self) -> bool {
        self.protocol_type.as_deref() == Some(CONSUMER)
    }

    /// Whether members subscribe to the topic. True for a consumer group whose subscriptions cannot be decoded.
    pub(super) fn subscribes_to(&self, topic: &str) -> bool {
        self.subscribed.as_ref().map_or_else(|| self.is_consumer_group(), |topics| topics.contains(topic))
    }

    /// The topics that the members of a consumer group subscribe to; `None` if one cannot be decoded.
    pub(super) fn subscriptions(&self) -> Option<BTreeSet<String>> {
        if !self.is_consumer_group() {
            return None;
        }
        if self.members.is_empty() {
            return Some(BTreeSet::new());
        }
        let protocol = self.protocol.as_deref()?;
        let mut topics = BTreeSet::new();
        for member in self.members.values() {
            topics.extend(subscription(member.metadata(Some(protocol)))?);
        }
        Some(topics)
    }

    /// Adds a generation to the operation's journal entries.
    pub(super) fn record_generation(&mut self, record: Generation, op: &mut Operation<'_>) {
        self.recorded = Some(record.clone());
        op.entries.push(GroupEntry::Generation(record));
    }
}

/// Decodes the topics of a consumer's subscription as version 0, which is a prefix of every version.
fn subscription(mut metadata: Bytes) -> Option<Vec<String>> {
    let version = metadata.try_get_i16().ok()?;
    if version < 0 {
        return None;
    }
    let count = metadata.try_get_i32().ok()?;
    let mut topics = Vec::new();
    for _ in 0..count {
        let length = usize::try_from(metadata.try_get_i16().ok()?).ok()?;
        if metadata.remaining() < length {
            return None;
        }
        topics.push(String::from_utf8(metadata.split_to(length).to_vec()).ok()?);
    }
    Some(topics)
}
