//! Rebalances: from `PreparingRebalance` over `CompletingRebalance` to `Stable`, with their timeouts.

use bytes::Bytes;
use kafka_protocol::ResponseError;

use super::Operation;
use super::group::{Group, GroupState, InitialDelay};
use super::journal_entry::Generation;
use super::member::sync_error;
use super::timers::Timer;

impl Group {
    fn join_timer(&self) -> Timer {
        Timer::Join { group: self.id.clone() }
    }

    fn sync_timer(&self) -> Timer {
        Timer::Sync { group: self.id.clone() }
    }

    /// Starts a rebalance, or completes the running one if all members have joined.
    pub(super) fn rebalance(&mut self, op: &mut Operation<'_>) {
        if self.state == GroupState::PreparingRebalance {
            self.complete_if_all_joined(op);
        } else {
            self.prepare_rebalance(op);
        }
    }

    /// Completes the join phase if all members have joined. A new group waits for its initial delay instead.
    pub(super) fn complete_if_all_joined(&mut self, op: &mut Operation<'_>) {
        if self.state == GroupState::PreparingRebalance && self.previous_state != GroupState::Empty && self.all_joined()
        {
            self.complete_join(op);
        }
    }

    pub(super) fn prepare_rebalance(&mut self, op: &mut Operation<'_>) {
        if self.state == GroupState::CompletingRebalance {
            self.fail_assignments(ResponseError::RebalanceInProgress, op);
        }
        self.pending_sync.clear();
        op.timers.cancel(&self.sync_timer());
        let is_new = self.state == GroupState::Empty;
        self.transition_to(GroupState::PreparingRebalance, op.now);
        if is_new {
            let delay_ms = i64::from(op.initial_delay_ms);
            if delay_ms == 0 {
                return self.complete_join(op);
            }
            let remaining = (self.rebalance_timeout_ms() - delay_ms).max(0);
            self.initial_delay = Some(InitialDelay { configured: delay_ms, current: delay_ms, remaining });
            op.timers.schedule(self.join_timer(), op.now + delay_ms);
        } else if self.all_joined() {
            self.complete_join(op);
        } else {
            op.timers.schedule(self.join_timer(), op.now + self.rebalance_timeout_ms());
        }
    }

    /// The join timeout has expired. The initial delay of a new group is extended while members join.
    pub(super) fn join_expired(&mut self, op: &mut Operation<'_>) {
        match self.initial_delay {
            Some(InitialDelay { configured, current, remaining }) if self.new_member_added && remaining != 0 => {
                self.new_member_added = false;
                let next = configured.min(remaining);
                let remaining = (remaining - current).max(0);
                self.initial_delay = Some(InitialDelay { configured, current: next, remaining });
                op.timers.schedule(self.join_timer(), op.now + next);
            }
            _ => self.complete_join(op),
        }
    }

    /// Completes the join phase: removes dynamic members that did not rejoin, and starts the next generation.
    pub(super) fn complete_join(&mut self, op: &mut Operation<'_>) {
        op.timers.cancel(&self.join_timer());
        self.initial_delay = None;
        let missing = self.members.values().filter(|member| member.waiting_join.is_none() && member.instance.is_none());
        for id in missing.map(|member| member.id.clone()).collect::<Vec<_>>() {
            self.remove_member(&id, op);
        }
        if !self.elect_leader() && !self.members.is_empty() {
            // No member has joined and all are static. Wait until they rejoin or their sessions expire.
            op.timers.schedule(self.join_timer(), op.now + self.rebalance_timeout_ms());
            return;
        }
        self.generation = self.generation.wrapping_add(1);
        self.new_member_added = false;
        self.pending_sync.clear();
        if self.members.is_empty() {
            self.protocol = None;
            self.subscribed = self.subscriptions();
            self.transition_to(GroupState::Empty, op.now);
            let record = self.record(&self.assignments(), self.since);
            self.record_generation(record, op);
            return;
        }
        self.protocol = self.select_protocol();
        self.subscribed = self.subscriptions();
        self.transition_to(GroupState::CompletingRebalance, op.now);
        for id in self.members.keys().cloned().collect::<Vec<_>>() {
            let mut response = self.join_response(&id);
            if self.is_leader(&id) {
                response.members = self.current_member_metadata();
            }
            if let Some(member) = self.members.get_mut(&id) {
                member.send_join_response(op, response);
                member.is_new = false;
            }
            self.restart_session(&id, op);
            self.pending_sync.insert(id);
        }
        op.timers.schedule(self.sync_timer(), op.now + self.rebalance_timeout_ms());
    }

    /// The sync timeout has expired: removes the members that did not send `SyncGroup`.
    pub(super) fn sync_expired(&mut self, op: &mut Operation<'_>) {
        if !matches!(self.state, GroupState::CompletingRebalance | GroupState::Stable) || self.pending_sync.is_empty() {
            return;
        }
        for id in std::mem::take(&mut self.pending_sync) {
            self.remove_member(&id, op);
        }
        self.prepare_rebalance(op);
    }

    /// The session timeout of a member or a pending member id has expired.
    pub(super) fn heartbeat_expired(&mut self, member: &str, op: &mut Operation<'_>) {
        if self.pending_members.contains(member) {
            self.remove_member(member, op);
            if self.state == GroupState::PreparingRebalance && self.all_joined() {
                self.complete_join(op);
            }
        } else if self.members.get(member).is_some_and(|known| !known.satisfies_heartbeat()) {
            self.remove_member(member, op);
            match self.state {
                GroupState::Stable | GroupState::CompletingRebalance => self.prepare_rebalance(op),
                GroupState::PreparingRebalance if self.all_joined() => self.complete_join(op),
                GroupState::PreparingRebalance | GroupState::Empty => {}
            }
        }
    }

    pub(super) fn remove_pending_sync(&mut self, member: &str, op: &mut Operation<'_>) {
        self.pending_sync.remove(member);
        if self.pending_sync.is_empty() {
            op.timers.cancel(&self.sync_timer());
        }
    }

    /// Sets the leader's assignments, which are in the journal, and responds to the waiting syncs. The group becomes
    /// stable.
    pub(super) fn set_assignments(&mut self, record: Generation, op: &mut Operation<'_>) {
        for given in &record.members {
            let Some(member) = self.members.get_mut(&given.id) else { continue };
            member.assignment = given.assignment.clone();
        }
        self.recorded = Some(record);
        for id in self.members.keys().cloned().collect::<Vec<_>>() {
            let response = self.sync_response(self.members[&id].assignment.clone());
            self.send_sync_response(&id, response, op);
        }
        self.transition_to(GroupState::Stable, op.now);
    }

    /// Fails the waiting syncs.
    pub(super) fn fail_assignments(&mut self, error: ResponseError, op: &mut Operation<'_>) {
        for id in self.members.keys().cloned().collect::<Vec<_>>() {
            self.members[&id].assignment = Bytes::new();
            self.send_sync_response(&id, sync_error(error), op);
        }
    }

    /// Responds to a waiting sync and restarts the session timeout, which is suspended while a member waits.
    fn send_sync_response(
        &mut self,
        id: &str,
        response: kafka_protocol::messages::SyncGroupResponse,
        op: &mut Operation<'_>,
    ) {
        if self.members[id].send_sync_response(op, response) {
            self.restart_session(id, op);
        }
    }
}
