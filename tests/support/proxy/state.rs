//! State of a proxy: rules, faults, connections and counters behind one lock.

use std::collections::BTreeMap;
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use kafka_protocol::messages::ApiKey;
use uuid::Uuid;

use super::addresses::Routes;
use super::rule::{self, Action, Rule};

/// Which frames a black hole drops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlackHole {
    /// Requests do not reach the broker; replies to earlier requests arrive.
    Requests,
    /// Requests are applied, but their replies are lost.
    Replies,
    Both,
}

/// Direction of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Request,
    Reply,
}

/// Counters of a proxy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections accepted.
    pub connections: u64,
    /// Requests read from clients.
    pub requests: u64,
    /// Replies read from the broker, by API key.
    pub by_api: BTreeMap<i16, u64>,
    /// Replies delayed by a rule.
    pub late: u64,
    /// Frames that waited for the end of a stall.
    pub stalled: u64,
    /// Replies lost by a rule.
    pub lost: u64,
    /// Connections cut within a reply.
    pub cut: u64,
    /// Replies changed to shorter logs.
    pub truncated: u64,
    /// Batches corrupted.
    pub corrupted: u64,
    /// Frames dropped by a black hole.
    pub dropped: u64,
}

/// An open connection: its client socket and its broker socket.
pub struct Connection {
    client: TcpStream,
    broker: TcpStream,
    /// Cut the connection within its next reply, after this many bytes.
    pub cut_after: Option<usize>,
    /// A black hole has dropped a frame of this connection.
    has_dropped_frames: bool,
}

impl Connection {
    pub fn new(client: TcpStream, broker: TcpStream) -> Self {
        Self { client, broker, cut_after: None, has_dropped_frames: false }
    }

    /// Ends the threads that read from or write to the sockets.
    fn cut(&self) {
        for stream in [&self.client, &self.broker] {
            // Fails if the peer has already closed the connection.
            stream.shutdown(Shutdown::Both).ok();
        }
    }
}

#[derive(Default)]
#[allow(clippy::struct_excessive_bools, reason = "independent switches")]
pub struct State {
    pub rules: Vec<Rule>,
    pub stalled: bool,
    pub black_hole: Option<(BlackHole, Instant)>,
    pub refusing: bool,
    pub listening: bool,
    pub closed: bool,
    pub connections: BTreeMap<u64, Connection>,
    pub counts: Counts,
    /// Topic names by id, from `Metadata` replies.
    pub topics: BTreeMap<Uuid, String>,
    /// Errors of the proxy; dropping it fails the test if there are any.
    pub problems: Vec<String>,
}

impl State {
    pub fn begin_black_hole(&mut self, black_hole: BlackHole) {
        self.black_hole = Some((black_hole, Instant::now()));
    }

    pub fn end_black_hole(&mut self) {
        self.black_hole = None;
        self.cut_if(|connection| connection.has_dropped_frames);
    }

    pub fn cut_all(&mut self) {
        self.cut_if(|_| true);
    }

    fn cut_if(&mut self, is_selected: impl Fn(&Connection) -> bool) {
        self.connections.retain(|_, connection| {
            let is_selected = is_selected(connection);
            if is_selected {
                connection.cut();
            }
            !is_selected
        });
    }

    /// Whether a black hole drops frames in this direction.
    fn drops(&self, direction: Direction) -> bool {
        match self.black_hole {
            None => false,
            Some((BlackHole::Both, _)) => true,
            Some((BlackHole::Requests, _)) => direction == Direction::Request,
            Some((BlackHole::Replies, _)) => direction == Direction::Reply,
        }
    }

    /// Counts a reply and returns the action for it.
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

/// Whether a frame may be forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passage {
    Forward,
    /// The frame is dropped.
    Drop,
    /// The connection is closed.
    Closed,
}

/// State shared by the threads of a proxy.
pub struct Shared {
    pub broker: String,
    /// The addresses to rewrite.
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

    /// Reads or changes the state, and wakes all waiting threads.
    pub fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.lock());
        self.changed.notify_all();
        result
    }

    pub fn wait_until(&self, holds: impl Fn(&State) -> bool) {
        let state = self.lock();
        drop(self.changed.wait_while(state, |state| !holds(state)));
    }

    /// Waits until `due`, or until the connection is cut.
    pub fn wait_for(&self, id: u64, due: Instant) {
        let mut state = self.lock();
        while state.connections.contains_key(&id) {
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits for the end of a stall, then decides about a frame.
    pub fn gate(&self, id: u64, direction: Direction) -> Passage {
        let mut state = self.lock();
        let mut has_waited = false;
        while state.stalled && state.connections.contains_key(&id) {
            has_waited = true;
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.counts.stalled += u64::from(has_waited);
        let drops = state.drops(direction);
        let Some(connection) = state.connections.get_mut(&id) else { return Passage::Closed };
        if !drops {
            return Passage::Forward;
        }
        connection.has_dropped_frames = true;
        state.counts.dropped += 1;
        Passage::Drop
    }

    /// Waits until a close may be forwarded like a reply, or the connection is cut.
    pub fn wait_to_close(&self, id: u64) {
        self.wait_until(|state| {
            !state.connections.contains_key(&id) || !(state.stalled || state.drops(Direction::Reply))
        });
    }

    pub fn cut(&self, id: u64) {
        self.change(|state| {
            if let Some(connection) = state.connections.remove(&id) {
                connection.cut();
            }
        });
    }
}
