//! Rules: which replies something is done to, and what.

use std::time::Duration;

use kafka_protocol::messages::ApiKey;

use super::state::BlackHole;

/// What is done to a reply. The broker has applied its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It arrives later by this much; the replies behind it do not overtake it.
    Delay(Duration),
    /// The connection is cut after this many bytes of the frame, but always before its end.
    CutAfter(usize),
    /// It is lost, and the connection with it.
    LoseWithConnection,
    /// It is lost, and the connection goes on.
    Lose,
    /// A black hole begins with it.
    BlackHole(BlackHole),
    /// It says that every log ends behind its first record: a reply to `OffsetForLeaderEpoch`.
    Truncate,
    /// A batch in it is damaged, if it has it: a reply to `Fetch`.
    Corruption(Corruption),
}

/// Which batch of which partition is damaged, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Corruption {
    pub topic: &'static str,
    pub partition: i32,
    /// An offset of the batch.
    pub offset: i64,
    pub how: CorruptionKind,
    /// How often at most.
    pub times: u64,
}

/// What is done to the bytes of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CorruptionKind {
    /// One bit of its last record is flipped; its checksum stays.
    Bit,
    /// It says that it is compressed with zstd, and its checksum agrees.
    Compression,
    /// It says that it has a codec that there is none of, and its checksum agrees.
    Codec,
    /// Its first record claims to be longer than the batch, and its checksum agrees.
    Records,
    /// Its format is of another number.
    Format,
}

/// Which replies a deed is for.
#[derive(Debug, Clone)]
pub struct Rule {
    api: Option<ApiKey>,
    skip: u64,
    every: u64,
    times: u64,
    action: Action,
    seen: u64,
    done: u64,
}

impl Rule {
    /// Every reply.
    pub fn any(action: Action) -> Self {
        Self { api: None, skip: 0, every: 1, times: u64::MAX, action, seen: 0, done: 0 }
    }

    /// Every reply to requests of this kind.
    pub fn new(api: ApiKey, action: Action) -> Self {
        Self { api: Some(api), ..Self::any(action) }
    }

    /// Only the `n`-th of them, from 1.
    pub fn only(mut self, n: u64) -> Self {
        (self.skip, self.every, self.times) = (n.saturating_sub(1), 1, 1);
        self
    }

    /// Every `n`-th of them.
    pub fn every(mut self, n: u64) -> Self {
        (self.skip, self.every) = (n.saturating_sub(1), n.max(1));
        self
    }

    /// At most this many times.
    pub fn times(mut self, times: u64) -> Self {
        self.times = times;
        self
    }

    fn matches(&mut self, api: ApiKey) -> Option<Action> {
        if self.api.is_some_and(|wanted| wanted != api) {
            return None;
        }
        let number = self.seen;
        self.seen += 1;
        let hit = number >= self.skip && (number - self.skip).is_multiple_of(self.every) && self.done < self.times;
        self.done += u64::from(hit);
        hit.then_some(self.action)
    }
}

/// What is to be done to this reply.
pub fn action(rules: &mut [Rule], api: ApiKey) -> Option<Action> {
    rules.iter_mut().fold(None, |first, rule| {
        let action = rule.matches(api);
        first.or(action)
    })
}
