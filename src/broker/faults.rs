//! Owns faults on demand: what is done to which request instead of, before or after answering it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::ApiKey;

/// What is done to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is not applied, and answered with this error everywhere where its answer can carry one.
    Refuse(ResponseError),
    /// The same after this time: what the client has sent meanwhile is answered right behind it.
    RefuseLate(ResponseError, Duration),
    /// It is applied, and answered with this error as if it had not been.
    ApplyAndRefuse(ResponseError),
    /// It is applied after this time.
    Delay(Duration),
    /// It is applied, and its answer is thrown away with the connection.
    ApplyAndCut,
    /// The connection is cut before it is applied.
    Cut,
}

/// Which requests a fault is for.
#[derive(Debug, Clone)]
pub struct FaultRule {
    api: ApiKey,
    client_id: Option<String>,
    skip: u64,
    every: u64,
    times: u64,
    fault: Fault,
    seen: u64,
    done: u64,
}

impl FaultRule {
    /// Every request of this kind.
    #[must_use]
    pub fn new(api: ApiKey, fault: Fault) -> Self {
        Self { api, client_id: None, skip: 0, every: 1, times: u64::MAX, fault, seen: 0, done: 0 }
    }

    /// Only the `n`-th of them, from 1.
    #[must_use]
    pub fn only(mut self, n: u64) -> Self {
        (self.skip, self.every, self.times) = (n.saturating_sub(1), 1, 1);
        self
    }

    /// Every `n`-th of them.
    #[must_use]
    pub fn every(mut self, n: u64) -> Self {
        (self.skip, self.every) = (n.saturating_sub(1), n.max(1));
        self
    }

    /// No more than this many times.
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.times = times;
        self
    }

    /// Only those of clients whose id is this.
    #[must_use]
    pub fn for_client(mut self, client_id: impl Into<String>) -> Self {
        self.client_id = Some(client_id.into());
        self
    }

    fn meet(&mut self, api: ApiKey, client_id: &str) -> Option<Fault> {
        if self.api != api || self.client_id.as_deref().is_some_and(|wanted| wanted != client_id) {
            return None;
        }
        let number = self.seen;
        self.seen += 1;
        let hit = number >= self.skip && (number - self.skip).is_multiple_of(self.every) && self.done < self.times;
        if hit {
            self.done += 1;
        }
        hit.then_some(self.fault)
    }
}

/// The faults of one broker, changed while it runs. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    rules: Arc<Mutex<Vec<FaultRule>>>,
}

impl Faults {
    /// Adds a rule. Of several that meet a request, the first one added acts; all of them count it.
    pub fn add(&self, rule: FaultRule) {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner).push(rule);
    }

    /// Takes all rules away.
    pub fn clear(&self) {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// How many requests a fault was done to, over all rules.
    #[must_use]
    pub fn done(&self) -> u64 {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|rule| rule.done).sum()
    }

    /// What is to be done to this request.
    pub(super) fn meet(&self, api: ApiKey, client_id: &str) -> Option<Fault> {
        let mut rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        rules.iter_mut().fold(None, |first, rule| {
            let fault = rule.meet(api, client_id);
            first.or(fault)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hits(rule: FaultRule, requests: u64) -> Vec<u64> {
        let faults = Faults::default();
        faults.add(rule);
        (1..=requests).filter(|_| faults.meet(ApiKey::EndTxn, "a").is_some()).collect()
    }

    #[test]
    fn a_rule_meets_the_request_it_names() {
        let cut = || FaultRule::new(ApiKey::EndTxn, Fault::Cut);
        assert_eq!(hits(cut().only(3), 9), [3]);
        assert_eq!(hits(cut().every(4), 12), [4, 8, 12]);
        assert_eq!(hits(cut().every(4).times(2), 99), [4, 8]);
        assert_eq!(hits(cut().times(2), 9), [1, 2]);
        assert_eq!(hits(cut().for_client("b"), 9), [] as [u64; 0]);
        assert_eq!(hits(FaultRule::new(ApiKey::Produce, Fault::Cut), 9), [] as [u64; 0]);
    }
}
