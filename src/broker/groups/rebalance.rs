//! Owns how a group gets from one generation to the next: who is waited for, how long, and what everybody is told then.

use bytes::Bytes;
use kafka_protocol::ResponseError;

use super::Turn;
use super::entry::Generation;
use super::group::{Group, InitialDelay, State};
use super::member::refused_sync;
use super::timers::Timer;

impl Group {
    fn join_timer(&self) -> Timer {
        Timer::Join { group: self.id.clone() }
    }

    fn sync_timer(&self) -> Timer {
        Timer::Sync { group: self.id.clone() }
    }

    /// Begins a rebalance, or goes on with the one that runs.
    pub(super) fn rebalance(&mut self, turn: &mut Turn<'_>) {
        if self.state == State::PreparingRebalance {
            self.complete_if_all_joined(turn);
        } else {
            self.prepare(turn);
        }
    }

    /// Ends the wait for members when nobody is missing. A new group waits for its delay instead.
    pub(super) fn complete_if_all_joined(&mut self, turn: &mut Turn<'_>) {
        if self.state == State::PreparingRebalance && self.previous != State::Empty && self.all_joined() {
            self.complete_join(turn);
        }
    }

    /// Begins a rebalance.
    pub(super) fn prepare(&mut self, turn: &mut Turn<'_>) {
        if self.state == State::CompletingRebalance {
            self.drop_assignments(ResponseError::RebalanceInProgress, turn);
        }
        self.unsynced.clear();
        turn.timers.cancel(&self.sync_timer());
        let is_new = self.state == State::Empty;
        self.enter(State::PreparingRebalance, turn.now);
        if is_new {
            let delay_ms = i64::from(turn.initial_delay_ms);
            if delay_ms == 0 {
                return self.complete_join(turn);
            }
            let remaining = (self.rebalance_timeout_ms() - delay_ms).max(0);
            self.initial = Some(InitialDelay { configured: delay_ms, current: delay_ms, remaining });
            turn.timers.schedule(self.join_timer(), turn.now + delay_ms);
        } else if self.all_joined() {
            self.complete_join(turn);
        } else {
            turn.timers.schedule(self.join_timer(), turn.now + self.rebalance_timeout_ms());
        }
    }

    /// The time to join is over. A new group that is still growing gets some more.
    pub(super) fn join_expired(&mut self, turn: &mut Turn<'_>) {
        match self.initial {
            Some(InitialDelay { configured, current, remaining }) if self.newcomer && remaining != 0 => {
                self.newcomer = false;
                let next = configured.min(remaining);
                let remaining = (remaining - current).max(0);
                self.initial = Some(InitialDelay { configured, current: next, remaining });
                turn.timers.schedule(self.join_timer(), turn.now + next);
            }
            _ => self.complete_join(turn),
        }
    }

    /// Ends the wait for members: who did not rejoin is out, unless static, and the others form the next generation.
    pub(super) fn complete_join(&mut self, turn: &mut Turn<'_>) {
        turn.timers.cancel(&self.join_timer());
        self.initial = None;
        let missing = self.members.values().filter(|member| member.joining.is_none() && member.instance.is_none());
        for id in missing.map(|member| member.id.clone()).collect::<Vec<_>>() {
            self.remove(&id, turn);
        }
        if !self.elect() && !self.members.is_empty() {
            // Static members only, and none of them is here: their sessions decide.
            turn.timers.schedule(self.join_timer(), turn.now + self.rebalance_timeout_ms());
            return;
        }
        self.generation = self.generation.wrapping_add(1);
        self.newcomer = false;
        self.unsynced.clear();
        if self.members.is_empty() {
            self.protocol = None;
            self.subscribed = self.subscriptions();
            self.enter(State::Empty, turn.now);
            let record = self.record(&self.assignments(), self.since);
            self.keep(record, turn);
            return;
        }
        self.protocol = self.select_protocol();
        self.subscribed = self.subscriptions();
        self.enter(State::CompletingRebalance, turn.now);
        for id in self.members.keys().cloned().collect::<Vec<_>>() {
            let mut answer = self.joined(&id);
            if self.is_leader(&id) {
                answer.members = self.roster();
            }
            if let Some(member) = self.members.get_mut(&id) {
                member.answer_join(turn, answer);
                member.is_new = false;
            }
            self.heard_of(&id, turn);
            self.unsynced.insert(id);
        }
        turn.timers.schedule(self.sync_timer(), turn.now + self.rebalance_timeout_ms());
    }

    /// The time to ask for assignments is over: who did not is out.
    pub(super) fn sync_expired(&mut self, turn: &mut Turn<'_>) {
        if !matches!(self.state, State::CompletingRebalance | State::Stable) || self.unsynced.is_empty() {
            return;
        }
        for id in std::mem::take(&mut self.unsynced) {
            self.remove(&id, turn);
        }
        self.prepare(turn);
    }

    /// A member, or an id given out, was not heard of for its session time-out.
    pub(super) fn heartbeat_expired(&mut self, member: &str, turn: &mut Turn<'_>) {
        if self.pending.contains(member) {
            self.remove(member, turn);
            if self.state == State::PreparingRebalance && self.all_joined() {
                self.complete_join(turn);
            }
        } else if self.members.get(member).is_some_and(|known| !known.is_excused()) {
            self.remove(member, turn);
            match self.state {
                State::Stable | State::CompletingRebalance => self.prepare(turn),
                State::PreparingRebalance if self.all_joined() => self.complete_join(turn),
                State::PreparingRebalance | State::Empty => {}
            }
        }
    }

    /// A member has asked for its assignment.
    pub(super) fn has_synced(&mut self, member: &str, turn: &mut Turn<'_>) {
        self.unsynced.remove(member);
        if self.unsynced.is_empty() {
            turn.timers.cancel(&self.sync_timer());
        }
    }

    /// The leader has spoken and the journal has it: everybody who waits is told, and the group is stable.
    pub(super) fn assign(&mut self, record: Generation, turn: &mut Turn<'_>) {
        for given in &record.members {
            let Some(member) = self.members.get_mut(&given.id) else { continue };
            member.assignment = given.assignment.clone();
        }
        self.recorded = Some(record);
        for id in self.members.keys().cloned().collect::<Vec<_>>() {
            let answer = self.synced(self.members[&id].assignment.clone());
            self.tell(&id, answer, turn);
        }
        self.enter(State::Stable, turn.now);
    }

    /// There will be no assignment in this generation: everybody who waits for one is told why.
    pub(super) fn drop_assignments(&mut self, error: ResponseError, turn: &mut Turn<'_>) {
        for id in self.members.keys().cloned().collect::<Vec<_>>() {
            self.members[&id].assignment = Bytes::new();
            self.tell(&id, refused_sync(error), turn);
        }
    }

    /// Sessions begin anew with the answer, because members that wait are excused.
    fn tell(&mut self, id: &str, answer: kafka_protocol::messages::SyncGroupResponse, turn: &mut Turn<'_>) {
        if self.members[id].answer_sync(turn, answer) {
            self.heard_of(id, turn);
        }
    }
}
