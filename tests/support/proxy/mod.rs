//! TCP proxy between Kafka clients and a broker, which delays, drops, cuts or holds back frames.
//!
//! Clients reach the broker only through the proxy: broker addresses in replies are replaced with the proxy's
//! (`addresses.rs`). This works with any broker without configuration. A cluster has one proxy per broker, and the
//! proxies know each other's addresses. Only plaintext connections are possible, because the proxy reads the frames.
//! Other bytes, such as a TLS probe, pass unchanged.
//!
//! A connection has three threads (`connection.rs`): requests, replies, and delivery of delayed replies. Rules
//! (`rule.rs`) and the proxy's state decide what happens to a reply.
#![allow(dead_code, unused_imports, reason = "each suite uses a part of it")]

mod addresses;
pub mod checks;
mod connection;
mod corruption;
mod rule;
mod state;

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kafka_protocol::messages::ApiKey;

use addresses::Routes;
use state::Shared;

pub use rule::{Action, AlteredByte, Corruption, CorruptionKind, Rule};
pub use state::{BlackHole, Counts};

/// A running proxy. Its connections are closed when it is dropped.
pub struct Proxy {
    shared: Arc<Shared>,
    port: u16,
}

impl Proxy {
    /// Starts a proxy for a cluster with one broker, given as `host:port`.
    pub fn new(broker: &str) -> Self {
        let mut proxies = Self::for_each(&[broker]);
        proxies.remove(0)
    }

    /// Starts a proxy for each broker of a cluster, in the same order.
    pub fn for_each(brokers: &[&str]) -> Vec<Self> {
        let listeners: Vec<(u16, TcpListener)> = brokers.iter().map(|_| listener(0)).collect();
        let ports = listeners.iter().map(|(port, _)| *port);
        let routes = Arc::new(Routes::new(brokers.iter().copied().zip(ports)));
        let start = |(broker, (port, listener)): (&&str, (u16, TcpListener))| {
            let shared = Arc::new(Shared::new((*broker).to_owned(), Arc::clone(&routes)));
            let accepting = Arc::clone(&shared);
            std::thread::spawn(move || accept(&accepting, listener, port));
            Self { shared, port }
        };
        brokers.iter().zip(listeners).map(start).collect()
    }

    /// The address for clients, as `host:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Adds a rule. If several rules match a reply, the first one applies and all of them count it.
    pub fn add(&self, rule: Rule) {
        self.shared.change(|state| state.rules.push(rule));
    }

    /// Delays every reply. Delays of pipelined replies overlap.
    pub fn delay(&self, by: Duration) {
        self.add(Rule::any(Action::Delay(by)));
    }

    /// Removes all rules. Replies that are already delayed stay delayed.
    pub fn clear(&self) {
        self.shared.change(|state| state.rules.clear());
    }

    /// Stops forwarding in both directions without losing frames. New connections are accepted and wait too.
    pub fn stall(&self) {
        self.shared.change(|state| state.stalled = true);
    }

    /// Resumes forwarding after a stall.
    pub fn resume(&self) {
        self.shared.change(|state| state.stalled = false);
    }

    /// Drops all frames in one direction or both. New connections are accepted and stay silent.
    pub fn black_hole(&self, black_hole: BlackHole) {
        self.shared.change(|state| state.begin_black_hole(black_hole));
    }

    /// Ends a black hole. Connections that lost frames are cut, because the TCP streams are incomplete.
    pub fn end_black_hole(&self) {
        self.shared.change(state::State::end_black_hole);
    }

    /// When the black hole began, by a call or by a rule.
    pub fn black_hole_since(&self) -> Option<Instant> {
        self.shared.change(|state| state.black_hole.map(|(_, since)| since))
    }

    /// Cuts all open connections.
    pub fn cut(&self) {
        self.shared.change(state::State::cut_all);
    }

    /// Cuts all open connections within their next reply, after this many bytes of the frame.
    pub fn cut_within_replies(&self, bytes: usize) {
        self.shared.change(|state| state.connections.values_mut().for_each(|open| open.cut_after = Some(bytes)));
    }

    /// Closes the port and waits until connections are refused. Open connections stay.
    pub fn refuse(&self) {
        self.shared.change(|state| state.refusing = true);
        self.wake_listener();
        self.shared.wait_until(|state| !state.listening);
    }

    /// Opens the port again and waits until connections are accepted.
    pub fn accept(&self) {
        self.shared.change(|state| state.refusing = false);
        self.shared.wait_until(|state| state.listening);
    }

    pub fn counts(&self) -> Counts {
        self.shared.change(|state| state.counts.clone())
    }

    /// Number of replies with this API key that came from the broker, including dropped ones.
    pub fn replies(&self, api: ApiKey) -> u64 {
        self.counts().by_api.get(&(api as i16)).copied().unwrap_or(0)
    }

    /// The listener checks the state only when a client connects.
    fn wake_listener(&self) {
        drop(TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)));
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let problems = self.shared.change(|state| {
            state.closed = true;
            state.cut_all();
            std::mem::take(&mut state.problems)
        });
        self.wake_listener();
        if !std::thread::panicking() {
            assert!(problems.is_empty(), "the proxy for {}: {problems:#?}", self.shared.broker);
        }
    }
}

/// A listener at this port; 0 lets the system choose one.
fn listener(port: u16) -> (u16, TcpListener) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("a free port");
    (listener.local_addr().expect("an address").port(), listener)
}

/// Accepts connections until the proxy is dropped.
fn accept(shared: &Arc<Shared>, mut listener: TcpListener, port: u16) {
    loop {
        let accepted = listener.accept();
        let (closed, refusing) = shared.change(|state| (state.closed, state.refusing));
        if closed {
            return;
        }
        if refusing {
            // The kernel refuses connections only without a listening socket.
            drop((listener, accepted));
            shared.change(|state| state.listening = false);
            shared.wait_until(|state| !state.refusing || state.closed);
            listener = self::listener(port).1;
            shared.change(|state| state.listening = true);
        } else {
            match accepted {
                Ok((client, _)) => connection::connect(shared, client),
                Err(error) => shared.change(|state| state.problems.push(format!("accept: {error}"))),
            }
        }
    }
}
