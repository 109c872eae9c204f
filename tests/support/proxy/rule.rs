//! Rules that select replies and what happens to them.

use std::time::Duration;

use kafka_protocol::messages::ApiKey;

use super::state::BlackHole;

/// What happens to a reply. The broker has already applied the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Delayed by this time; later replies do not overtake it.
    Delay(Duration),
    /// The connection is cut after this many bytes of the frame, always before its end.
    CutAfter(usize),
    /// Dropped, and the connection is cut.
    LoseWithConnection,
    /// Dropped, and the connection continues.
    Lose,
    /// A black hole begins with this reply.
    BlackHole(BlackHole),
    /// A reply to `OffsetForLeaderEpoch` that ends every log after its first record.
    Truncate,
    /// A reply to `Fetch` with a corrupted batch, if it contains that batch.
    Corrupt(Corruption),
}

/// The batch to corrupt, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Corruption {
    pub topic: &'static str,
    pub partition: i32,
    /// An offset within the batch.
    pub offset: i64,
    pub how: CorruptionKind,
    /// At most this many times.
    pub times: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CorruptionKind {
    /// Flips a bit of the last record and keeps the checksum.
    Bit,
    /// Sets the codec to zstd and updates the checksum.
    Compression,
    /// Sets an undefined codec and updates the checksum.
    Codec,
    /// Makes the first record longer than the batch and updates the checksum.
    Records,
    /// Sets an unknown magic byte.
    Format,
    /// Flips bits of one byte of the record with the offset, and updates the checksum: a reader sees another record. A
    /// batch of gzip becomes one without compression.
    Record(AlteredByte),
}

/// A byte of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AlteredByte {
    pub is_key: bool,
    pub index: usize,
    /// The bits to flip.
    pub bits: u8,
}

/// An action, and which replies it applies to.
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
    /// Matches every reply.
    pub fn any(action: Action) -> Self {
        Self { api: None, skip: 0, every: 1, times: u64::MAX, action, seen: 0, done: 0 }
    }

    /// Matches replies with this API key.
    pub fn new(api: ApiKey, action: Action) -> Self {
        Self { api: Some(api), ..Self::any(action) }
    }

    /// Applies only to the `n`-th matching reply, counted from 1.
    pub fn only(mut self, n: u64) -> Self {
        (self.skip, self.every, self.times) = (n.saturating_sub(1), 1, 1);
        self
    }

    /// Applies to every `n`-th matching reply.
    pub fn every(mut self, n: u64) -> Self {
        (self.skip, self.every) = (n.saturating_sub(1), n.max(1));
        self
    }

    /// Applies at most this many times.
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

/// The action for this reply: that of the first rule that matches.
pub fn action(rules: &mut [Rule], api: ApiKey) -> Option<Action> {
    rules.iter_mut().fold(None, |first, rule| {
        let action = rule.matches(api);
        first.or(action)
    })
}
