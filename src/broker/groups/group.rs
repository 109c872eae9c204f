//! Owns one group: its state, members, leader and protocol, by the rules of Kafka's classic protocol.

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

/// The protocol type of consumers, whose subscriptions the broker reads.
const CONSUMER: &str = "consumer";

/// What a group is doing. Kafka's `Dead` is a group that does not exist here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GroupState {
    /// No members; it may hold offsets.
    Empty,
    /// Waits for its members to (re)join.
    PreparingRebalance,
    /// Waits for the leader's assignment.
    CompletingRebalance,
    /// Everybody knows what to do.
    Stable,
}

impl GroupState {
    /// As the protocol names it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
        }
    }
}

/// What is left of the wait for a new group's members, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct InitialDelay {
    /// The configured delay.
    pub(super) configured: i64,
    /// The one that runs.
    pub(super) current: i64,
    /// How much may follow.
    pub(super) remaining: i64,
}

/// A group.
#[derive(Debug, Clone)]
pub(super) struct Group {
    pub(super) id: String,
    pub(super) state: GroupState,
    /// The state before this one: a rebalance that began `Empty` waits for its delay instead of its members.
    pub(super) previous_state: GroupState,
    /// Since when, in milliseconds.
    pub(super) since: i64,
    pub(super) generation: i32,
    pub(super) protocol_type: Option<String>,
    pub(super) protocol: Option<String>,
    pub(super) leader: Option<String>,
    /// In the order in which they joined.
    pub(super) members: IndexMap<String, Member>,
    /// Member ids that were given out and not used yet.
    pub(super) pending_members: BTreeSet<String>,
    /// Members that did not ask for their assignment yet.
    pub(super) pending_sync: BTreeSet<String>,
    pub(super) initial_delay: Option<InitialDelay>,
    /// A member came while the initial delay ran.
    pub(super) new_member_added: bool,
    /// Topics that the members subscribe to, if the broker can tell.
    pub(super) subscribed: Option<BTreeSet<String>>,
    /// The generation that the journal holds.
    pub(super) recorded: Option<Generation>,
    pub(super) offsets: Offsets,
    /// Producers whose transactions hold offsets for this group.
    pub(super) transactions: BTreeSet<i64>,
}

impl Group {
    /// A group that nobody has joined.
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

    /// Takes the generation that the journal remembers, in place of what was known. Offsets stay.
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

    /// As the journal is to remember it, with these assignments.
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

    /// What every member was given.
    pub(super) fn assignments(&self) -> BTreeMap<String, Bytes> {
        self.members.values().map(|member| (member.id.clone(), member.assignment.clone())).collect()
    }

    /// Enters a state.
    pub(super) fn transition_to(&mut self, state: GroupState, now: i64) {
        self.previous_state = self.state;
        self.state = state;
        self.since = now;
    }

    /// Whether this member leads.
    pub(super) fn is_leader(&self, member: &str) -> bool {
        self.leader.as_deref() == Some(member)
    }

    /// The member of this instance id.
    pub(super) fn member_of_instance(&self, instance: &str) -> Option<&Member> {
        self.members.values().find(|member| member.instance.as_deref() == Some(instance))
    }

    /// The longest rebalance time-out of its members.
    pub(super) fn rebalance_timeout_ms(&self) -> i64 {
        i64::from(self.members.values().map(|member| member.rebalance_timeout_ms).fold(0, i32::max))
    }

    /// Whether nobody is missing.
    pub(super) fn all_joined(&self) -> bool {
        self.pending_members.is_empty() && self.members.values().all(|member| member.waiting_join.is_some())
    }

    /// Whether one who speaks these protocols may join.
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

    /// The protocol that all members support and most of them prefer; the one voted for first if they are equal.
    pub(super) fn select_protocol(&self) -> Option<String> {
        let mut votes: IndexMap<&str, usize> = IndexMap::new();
        for member in self.members.values() {
            let vote = member.protocols.iter().map(|(name, _)| name.as_str()).find(|name| self.all_support(name));
            *votes.entry(vote?).or_default() += 1;
        }
        let most = votes.values().copied().max()?;
        votes.into_iter().find(|(_, count)| *count == most).map(|(name, _)| name.to_owned())
    }

    /// Whether a request may speak for this member.
    ///
    /// # Errors
    ///
    /// `UNKNOWN_MEMBER_ID`, or `FENCED_INSTANCE_ID` for a static member that another one has replaced.
    pub(super) fn check_member(&self, member: &str, instance: Option<&str>) -> Result<(), ResponseError> {
        if let Some(instance) = instance {
            let known = self.member_of_instance(instance).ok_or(ResponseError::UnknownMemberId)?;
            if known.id != member {
                return Err(ResponseError::FencedInstanceId);
            }
        }
        if self.members.contains_key(member) { Ok(()) } else { Err(ResponseError::UnknownMemberId) }
    }

    /// Adds a member. The first one leads.
    pub(super) fn add_member(&mut self, member: Member, protocol_type: &str) {
        if self.members.is_empty() {
            self.protocol_type = Some(protocol_type.to_owned());
        }
        self.leader.get_or_insert_with(|| member.id.clone());
        self.pending_members.remove(&member.id);
        self.members.insert(member.id.clone(), member);
    }

    /// Removes a member, and answers what it waits for. Another one leads if it led.
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

    /// Gives a static member's place to one with a new id, and fences the old one (KIP-345).
    pub(super) fn replace_static_member(&mut self, old: &str, new: &str, op: &mut Operation<'_>) {
        let Some((at, _, mut member)) = self.members.shift_remove_full(old) else { return };
        member.answer_join(op, join_error(old, ResponseError::FencedInstanceId));
        member.answer_sync(op, sync_error(ResponseError::FencedInstanceId));
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

    /// Makes sure that the leader is one who rejoined. Returns whether there is one.
    pub(super) fn elect_leader(&mut self) -> bool {
        let Some(leader) = self.leader.as_ref().and_then(|leader| self.members.get(leader)) else { return false };
        if leader.waiting_join.is_none() {
            let Some(joined) = self.members.values().find(|member| member.waiting_join.is_some()) else { return false };
            self.leader = Some(joined.id.clone());
        }
        true
    }

    /// The timer of a member's session.
    pub(super) fn heartbeat_timer(&self, member: &str) -> Timer {
        Timer::Heartbeat { group: self.id.clone(), member: member.to_owned() }
    }

    /// A member was heard of: its session begins anew.
    pub(super) fn restart_session(&self, member: &str, op: &mut Operation<'_>) {
        if let Some(known) = self.members.get(member) {
            op.timers.schedule(self.heartbeat_timer(member), op.now + i64::from(known.session_timeout_ms));
        }
    }

    /// What a member is told that has joined this generation.
    pub(super) fn join_response(&self, member: &str) -> JoinGroupResponse {
        JoinGroupResponse::default()
            .with_member_id(str_bytes(member))
            .with_generation_id(self.generation)
            .with_protocol_type(self.protocol_type.as_deref().map(str_bytes))
            .with_protocol_name(Some(str_bytes(self.protocol.as_deref().unwrap_or_default())))
            .with_leader(str_bytes(self.leader.as_deref().unwrap_or_default()))
    }

    /// The members as their leader needs to know them.
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

    /// What a member is told that asks for its assignment.
    pub(super) fn sync_response(&self, assignment: Bytes) -> SyncGroupResponse {
        SyncGroupResponse::default()
            .with_protocol_type(self.protocol_type.as_deref().map(str_bytes))
            .with_protocol_name(self.protocol.as_deref().map(str_bytes))
            .with_assignment(assignment)
    }

    /// Whether its members speak the protocol of consumers.
    pub(super) fn is_consumer_group(&self) -> bool {
        self.protocol_type.as_deref() == Some(CONSUMER)
    }

    /// Whether members subscribe to this topic; a group of consumers that the broker cannot read may subscribe to anything.
    pub(super) fn subscribes_to(&self, topic: &str) -> bool {
        self.subscribed.as_ref().map_or_else(|| self.is_consumer_group(), |topics| topics.contains(topic))
    }

    /// The topics that the members of a group of consumers subscribe to, if all of them can be read.
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

    /// Tells the journal of a generation in this op.
    pub(super) fn record_generation(&mut self, record: Generation, op: &mut Operation<'_>) {
        self.recorded = Some(record.clone());
        op.entries.push(GroupEntry::Generation(record));
    }
}

/// The topics of a consumer's subscription, read as version 0, which every version begins with.
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
