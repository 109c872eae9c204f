//! Fault injection: rules that reject, delay or cut requests by API, client and count.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::ApiKey;

/// What happens to a request that a [`FaultRule`] matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The request is not applied. The response has this error in every field that can carry one.
    Refuse(ResponseError),
    /// Like [`Fault::Refuse`], after a delay. Requests that the client pipelined are answered right behind it.
    RefuseLate(ResponseError, Duration),
    /// The request is applied, and the response has this error as if it was not.
    ApplyAndRefuse(ResponseError),
    /// The request is applied after a delay.
    Delay(Duration),
    /// The request is applied, and the connection is closed instead of sending the response.
    ApplyAndCut,
    /// The connection is closed and the request is not applied.
    Cut,
}

/// Selects the requests of a fault.
///
/// ```
/// use foodstream::broker::{ApiKey, Fault, FaultRule, ResponseError};
///
/// // The first two commits of the client "billing" fail.
/// let error = Fault::Refuse(ResponseError::CoordinatorNotAvailable);
/// let rule = FaultRule::new(ApiKey::OffsetCommit, error).for_client("billing").times(2);
/// ```
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
    /// A fault for every request of this API.
    #[must_use]
    pub fn new(api: ApiKey, fault: Fault) -> Self {
        Self { api, client_id: None, skip: 0, every: 1, times: u64::MAX, fault, seen: 0, done: 0 }
    }

    /// Limits the rule to the `n`-th request, counted from 1.
    #[must_use]
    pub fn only(mut self, n: u64) -> Self {
        (self.skip, self.every, self.times) = (n.saturating_sub(1), 1, 1);
        self
    }

    /// Limits the rule to every `n`-th request.
    #[must_use]
    pub fn every(mut self, n: u64) -> Self {
        (self.skip, self.every) = (n.saturating_sub(1), n.max(1));
        self
    }

    /// Limits how often the fault happens.
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.times = times;
        self
    }

    /// Limits the rule to clients with this `client.id`.
    #[must_use]
    pub fn for_client(mut self, client_id: impl Into<String>) -> Self {
        self.client_id = Some(client_id.into());
        self
    }

    /// Counts a request and returns the fault if the rule matches it.
    fn next_fault(&mut self, api: ApiKey, client_id: &str) -> Option<Fault> {
        if self.api != api || self.client_id.as_deref().is_some_and(|expected| expected != client_id) {
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

/// The fault rules of one broker. Clones share them, so that a test can change the rules while the broker runs.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    rules: Arc<Mutex<Vec<FaultRule>>>,
}

impl Faults {
    /// Adds a rule. If several rules match a request, the oldest rule decides, and all of them count the request.
    pub fn add(&self, rule: FaultRule) {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner).push(rule);
    }

    /// Removes all rules.
    pub fn clear(&self) {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The number of faults that have happened, over all rules.
    #[must_use]
    pub fn done(&self) -> u64 {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|rule| rule.done).sum()
    }

    /// Counts a request and returns its fault, if it has one.
    pub(super) fn next_fault(&self, api: ApiKey, client_id: &str) -> Option<Fault> {
        let mut rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        rules.iter_mut().fold(None, |first, rule| {
            let fault = rule.next_fault(api, client_id);
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
        (1..=requests).filter(|_| faults.next_fault(ApiKey::EndTxn, "a").is_some()).collect()
    }

    #[test]
    fn rules_select_by_api_client_and_count() {
        let cut = || FaultRule::new(ApiKey::EndTxn, Fault::Cut);
        assert_eq!(hits(cut().only(3), 9), [3]);
        assert_eq!(hits(cut().every(4), 12), [4, 8, 12]);
        assert_eq!(hits(cut().every(4).times(2), 99), [4, 8]);
        assert_eq!(hits(cut().times(2), 9), [1, 2]);
        assert_eq!(hits(cut().for_client("b"), 9), [] as [u64; 0]);
        assert_eq!(hits(FaultRule::new(ApiKey::Produce, Fault::Cut), 9), [] as [u64; 0]);
    }
}
