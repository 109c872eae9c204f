//! Owns what goes into the core beside a request, and how an answer comes out of it: at once, or later under a ticket.

use kafka_protocol::messages::{JoinGroupResponse, SyncGroupResponse};

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Number of the connection, never used again.
    pub connection: u64,
    /// The client id of the request's header; empty where there is none.
    pub id: String,
    /// The peer's address, as groups show it: `/127.0.0.1`.
    pub host: String,
}

/// What a request comes with.
#[derive(Debug, Clone, Copy)]
pub struct RequestContext<'a> {
    /// The version in which it was asked and will be answered.
    pub version: i16,
    /// Milliseconds since the epoch by the broker's clock.
    pub now: i64,
    /// Who asks.
    pub client: &'a Client,
}

/// Names an answer that is to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(u64);

/// An answer, or the promise of one in the [`Outbox`].
#[derive(Debug)]
pub enum MaybeDeferred<T> {
    /// Now.
    Now(T),
    /// Under this ticket, in the outbox, after a later request or tick.
    Later(Ticket),
}

/// An answer that had to wait.
#[derive(Debug)]
pub enum DeferredResponse {
    /// The rebalance is through.
    Join(JoinGroupResponse),
    /// The leader has spoken.
    Sync(SyncGroupResponse),
    /// Enough is there to be read, or the time is up: the fetch is to be planned now.
    Fetch,
}

/// The answers that have become ready, in the order in which they did.
#[derive(Debug, Default)]
pub struct Outbox {
    issued: u64,
    ready: Vec<(Ticket, DeferredResponse)>,
}

impl Outbox {
    /// A ticket that nobody has.
    pub fn ticket(&mut self) -> Ticket {
        self.issued += 1;
        Ticket(self.issued)
    }

    /// Puts an answer out under its ticket.
    pub fn put(&mut self, ticket: Ticket, answer: DeferredResponse) {
        self.ready.push((ticket, answer));
    }

    /// Takes what is ready.
    pub fn take(&mut self) -> Vec<(Ticket, DeferredResponse)> {
        std::mem::take(&mut self.ready)
    }
}
