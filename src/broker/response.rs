//! Request context and deferred responses: what the core receives with a request, and how a response leaves it later.

use kafka_protocol::messages::{JoinGroupResponse, SyncGroupResponse};

/// The client that sent a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Number of the connection; numbers are not reused.
    pub connection: u64,
    /// The client id from the request header; empty if the header has none.
    pub id: String,
    /// The peer's address in the format that group descriptions use: `/127.0.0.1`.
    pub host: String,
}

/// Version, time and client of a request.
#[derive(Debug, Clone, Copy)]
pub struct RequestContext<'a> {
    /// The API version of the request and of its response.
    pub version: i16,
    /// Milliseconds since the epoch by the broker's clock.
    pub now: i64,
    /// The client that sent the request.
    pub client: &'a Client,
}

/// Identifies a deferred response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(u64);

/// A response, or the ticket of one that will appear in the [`Outbox`].
#[derive(Debug)]
pub enum MaybeDeferred<T> {
    /// The response is ready.
    Now(T),
    /// A later request or tick puts the response into the outbox under this ticket.
    Later(Ticket),
}

/// A response that had to wait.
#[derive(Debug)]
pub enum DeferredResponse {
    /// The rebalance has completed.
    Join(JoinGroupResponse),
    /// The leader has sent the assignments.
    Sync(SyncGroupResponse),
    /// The fetch has enough bytes or has timed out. The caller plans the read again.
    Fetch,
}

/// Deferred responses that are ready, in the order in which they became ready.
#[derive(Debug, Default)]
pub struct Outbox {
    issued: u64,
    ready: Vec<(Ticket, DeferredResponse)>,
}

impl Outbox {
    /// Issues a new ticket.
    pub fn ticket(&mut self) -> Ticket {
        self.issued += 1;
        Ticket(self.issued)
    }

    /// Adds the response of a ticket.
    pub fn put(&mut self, ticket: Ticket, response: DeferredResponse) {
        self.ready.push((ticket, response));
    }

    /// Removes and returns all responses that are ready.
    pub fn take(&mut self) -> Vec<(Ticket, DeferredResponse)> {
        std::mem::take(&mut self.ready)
    }
}
