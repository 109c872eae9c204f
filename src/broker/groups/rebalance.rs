//! Owns how a group gets from one generation to the next: who is waited for, how long, and what everybody is told then.

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

    /// Begins a rebalance, or goes on with the one that runs.
    pub(super) fn rebalance(&mut self, op: &mut Operation<'_>) {
        if self.state == GroupState::PreparingRebalance {
            self.complete_if_all_joined(op);
        } else {
            self.prepare_rebalance(op);
        }
    }

    /// Ends the wait for members when nobody is missing. A new group waits for its delay instead.
    pub(super) fn complete_if_all_joined(&mut self, op: &mut Operation<'_>) {
        if self.state == GroupState::PreparingRebalance && self.previous_state != GroupState::Empty && self.all_joined()
        {
            self.complete_join(op);
        }
    }

    /// Begins a rebalance.
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

    /// The time to join is over. A new group that is still growing gets some more.
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

    /// Ends the wait for members: who did not rejoin is out, unless static, and the others form the next generation.
    pub(super) fn complete_join(&mut self, op: &mut Operation<'_>) {
        op.timers.cancel(&self.join_timer());
        self.initial_delay = None;
        let missing = self.members.values().filter(|member| member.waiting_join.is_none() && member.instance.is_none());
        for id in missing.map(|member| member.id.clone()).collect::<Vec<_>>() {
            self.remove_member(&id, op);
        }
        if !self.elect_leader() && !self.members.is_empty() {
            // Static members only, and none of them is here: their sessions decide.
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
            let mut answer = self.join_response(&id);
            if self.is_leader(&id) {
                answer.members = self.current_member_metadata();
            }
            if let Some(member) = self.members.get_mut(&id) {
                member.answer_join(op, answer);
                member.is_new = false;
            }
            self.restart_session(&id, op);
            self.pending_sync.insert(id);
        }
        op.timers.schedule(self.sync_timer(), op.now + self.rebalance_timeout_ms());
    }

    /// The time to ask for assignments is over: who did not is out.
    pub(super) fn sync_expired(&mut self, op: &mut Operation<'_>) {
        if !matches!(self.state, GroupState::CompletingRebalance | GroupState::Stable) || self.pending_sync.is_empty() {
            return;
        }
        for id in std::mem::take(&mut self.pending_sync) {
            self.remove_member(&id, op);
        }
        self.prepare_rebalance(op);
    }

    /// A member, or an id given out, was not heard of for its session time-out.
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

    /// A member has asked for its assignment.
    pub(super) fn remove_pending_sync(&mut self, member: &str, op: &mut Operation<'_>) {
        self.pending_sync.remove(member);
        if self.pending_sync.is_empty() {
            op.timers.cancel(&self.sync_timer());
        }
    }

    /// The leader has spoken and the journal has it: everybody who waits is told, and the group is stable.
    pub(super) fn set_assignments(&mut self, record: Generation, op: &mut Operation<'_>) {
        for given in &record.members {
            let Some(member) = self.members.get_mut(&given.id) else { continue };
            member.assignment = given.assignment.clone();
        }
        self.recorded = Some(record);
        for id in self.members.keys().cloned().collect::<Vec<_>>() {
            let answer = self.sync_response(self.members[&id].assignment.clone());
            self.answer_sync(&id, answer, op);
        }
        self.transition_to(GroupState::Stable, op.now);
    }

    /// There will be no assignment in this generation: everybody who waits for one is told why.
    pub(super) fn fail_assignments(&mut self, error: ResponseError, op: &mut Operation<'_>) {
        for id in self.members.keys().cloned().collect::<Vec<_>>() {
            self.members[&id].assignment = Bytes::new();
            self.answer_sync(&id, sync_error(error), op);
        }
    }

    /// Sessions begin anew with the answer, because members that wait are excused.
    fn answer_sync(&mut self, id: &str, answer: kafka_protocol::messages::SyncGroupResponse, op: &mut Operation<'_>) {
        if self.members[id].answer_sync(op, answer) {
            self.restart_session(id, op);
        }
    }
}
