//! State of a proxy: what is done to which connection now, and what was done so far. One lock guards all of it.

use std::collections::BTreeMap;
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use kafka_protocol::messages::ApiKey;
use uuid::Uuid;

use super::addresses::Routes;
use super::rule::{self, Action, Rule};

/// What a black hole swallows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlackHole {
    /// Requests: the broker hears nothing, its replies to earlier requests arrive.
    Requests,
    /// Replies: requests are applied, and nobody learns of it.
    Replies,
    /// Both.
    Both,
}

/// A direction on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Request,
    Reply,
}

/// What a proxy has done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections accepted.
    pub connections: u64,
    /// Requests read from clients.
    pub requests: u64,
    /// Replies read from the broker, by the kind of their request.
    pub by_api: BTreeMap<i16, u64>,
    /// Replies that were delayed by a rule.
    pub late: u64,
    /// Frames that waited for the end of a stall.
    pub stalled: u64,
    /// Replies that were lost by a rule.
    pub lost: u64,
    /// Connections that were cut within a reply.
    pub cut: u64,
    /// Replies that were made to say that logs are shorter.
    pub truncated: u64,
    /// Batches that were damaged.
    pub corrupted: u64,
    /// Frames that a black hole swallowed.
    pub dropped: u64,
}

/// An open connection: the two sockets that are joined.
pub struct Connection {
    client: TcpStream,
    broker: TcpStream,
    /// It is cut within its next reply, after this many bytes.
    pub cut_after: Option<usize>,
    /// Something of it went into a black hole.
    has_lost: bool,
}

impl Connection {
    pub fn new(client: TcpStream, broker: TcpStream) -> Self {
        Self { client, broker, cut_after: None, has_lost: false }
    }

    /// Wakes the threads that read or write it; they end then.
    fn cut(&self) {
        for stream in [&self.client, &self.broker] {
            // Fails if the other side was faster.
            stream.shutdown(Shutdown::Both).ok();
        }
    }
}

/// The state of a proxy.
#[derive(Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is switched by itself")]
pub struct State {
    pub rules: Vec<Rule>,
    pub stalled: bool,
    pub black_hole: Option<(BlackHole, Instant)>,
    pub refusing: bool,
    pub listening: bool,
    pub closed: bool,
    pub connections: BTreeMap<u64, Connection>,
    pub counts: Counts,
    /// The names of topics by their ids, as replies to `Metadata` told them.
    pub topics: BTreeMap<Uuid, String>,
    /// What the proxy could not do; fails the test when the proxy is dropped.
    pub problems: Vec<String>,
}

impl State {
    pub fn begin_black_hole(&mut self, black_hole: BlackHole) {
        self.black_hole = Some((black_hole, Instant::now()));
    }

    pub fn end_black_hole(&mut self) {
        self.black_hole = None;
        self.cut_if(|open| open.has_lost);
    }

    pub fn cut_all(&mut self) {
        self.cut_if(|_| true);
    }

    fn cut_if(&mut self, is_selected: impl Fn(&Connection) -> bool) {
        self.connections.retain(|_, open| {
            let is_selected = is_selected(open);
            if is_selected {
                open.cut();
            }
            !is_selected
        });
    }

    /// Whether a black hole takes what goes this way.
    fn drops(&self, direction: Direction) -> bool {
        match self.black_hole {
            None => false,
            Some((BlackHole::Both, _)) => true,
            Some((BlackHole::Requests, _)) => direction == Direction::Request,
            Some((BlackHole::Replies, _)) => direction == Direction::Reply,
        }
    }

    /// Counts a reply, and says what is to be done to it.
    pub fn on_reply(&mut self, api: ApiKey) -> Option<Action> {
        *self.counts.by_api.entry(api as i16).or_default() += 1;
        let action = rule::action(&mut self.rules, api);
        match action {
            Some(Action::Delay(_)) => self.counts.late += 1,
            Some(Action::BlackHole(black_hole)) => self.begin_black_hole(black_hole),
            _ => {}
        }
        action
    }
}

/// Whether a frame may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passage {
    Connection,
    /// The frame is thrown away.
    Drops,
    /// The connection is no longer open.
    Cut,
}

/// What the threads of a proxy share.
pub struct Shared {
    /// The broker's address.
    pub broker: String,
    /// The addresses to be rewritten.
    pub routes: Arc<Routes>,
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    pub fn new(broker: String, routes: Arc<Routes>) -> Self {
        let state = Mutex::new(State { listening: true, ..State::default() });
        Self { broker, routes, state, changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state or reads it, and wakes who waits for a change.
    pub fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.lock());
        self.changed.notify_all();
        result
    }

    pub fn wait_until(&self, holds: impl Fn(&State) -> bool) {
        let state = self.lock();
        drop(self.changed.wait_while(state, |state| !holds(state)));
    }

    /// Waits for a time, or until the connection is cut.
    pub fn wait_for(&self, connection: u64, due: Instant) {
        let mut state = self.lock();
        while state.connections.contains_key(&connection) {
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits for the end of a stall, then says whether a frame may pass.
    pub fn gate(&self, connection: u64, direction: Direction) -> Passage {
        let mut state = self.lock();
        let mut has_waited = false;
        while state.stalled && state.connections.contains_key(&connection) {
            has_waited = true;
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.counts.stalled += u64::from(has_waited);
        let drops = state.drops(direction);
        let Some(open) = state.connections.get_mut(&connection) else { return Passage::Cut };
        if !drops {
            return Passage::Connection;
        }
        open.has_lost = true;
        state.counts.dropped += 1;
        Passage::Drops
    }

    /// Waits until the end of a connection may pass as a reply does, or the connection is cut.
    pub fn wait_to_close(&self, connection: u64) {
        self.wait_until(|state| {
            !state.connections.contains_key(&connection) || !(state.stalled || state.drops(Direction::Reply))
        });
    }

    /// Cuts a connection, if it is open.
    pub fn cut(&self, connection: u64) {
        self.change(|state| {
            if let Some(open) = state.connections.remove(&connection) {
                open.cut();
            }
        });
    }
}
