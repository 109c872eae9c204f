//! Connection faults: why a connection cannot be established, parsed from librdkafka's error and log messages.
//!
//! librdkafka retries every fault. A fault that no retry can fix ends the command at once ([`confirm`]); any other is
//! only reported at the timeout.

use super::connection::Connection;
use super::port_probe;
#[cfg(feature = "tls")]
use super::tls_fault::{self, TlsFault};

/// A connection fault that was recognised in a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ConnectionFault {
    /// `host:port`
    pub address: String,
    pub kind: FaultKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FaultKind {
    /// The broker refused the login; with its message.
    Login(String),
    /// The broker supports other mechanisms.
    Mechanism(String),
    /// The listener does not accept logins.
    NoLogin,
    /// The TLS handshake failed.
    #[cfg(feature = "tls")]
    Tls(TlsFault),
    /// The broker closed the plaintext connection at the first request.
    ClosedOnConnect,
    /// The broker closed the connection at the first request that requires a login.
    ClosedOnRequest,
    /// No connection to the address; with the operating system's message, for example "Connection refused".
    NoConnection(String),
    /// The host name cannot be resolved; with the resolver's message.
    UnknownHost(String),
    /// This process has no free file descriptor for a socket.
    TooManyFiles,
}

impl FaultKind {
    /// Whether the address cannot be reached at the moment (and did not answer with a fault).
    pub fn is_unreachable_address(&self) -> bool {
        matches!(self, Self::NoConnection(_) | Self::UnknownHost(_))
    }

    /// Whether a broker that is stopping or starting shows the same fault. It is ignored after a connection has worked.
    pub fn may_be_a_restart(&self) -> bool {
        match self {
            Self::ClosedOnConnect | Self::ClosedOnRequest => true,
            #[cfg(feature = "tls")]
            Self::Tls(fault) => *fault == TlsFault::NoTls,
            _ => self.is_unreachable_address(),
        }
    }
}

/// Parses a librdkafka message; `None` when it does not concern a connection.
pub(super) fn parse(text: &str) -> Option<ConnectionFault> {
    let message = without_thread(text);
    let (name, message) = message.split_once(": ")?;
    let (scheme, rest) = name.split_once("://").unwrap_or(("plaintext", name));
    let (address, _) = rest.rsplit_once('/')?;
    let (message, state) = message.split_once(" (after ").unwrap_or((message, ""));
    Some(ConnectionFault { address: address.to_owned(), kind: kind(scheme, message, state)? })
}

/// The message without the thread name before it and the connection state after it.
pub(super) fn without_log_prefix(text: &str) -> &str {
    let message = without_thread(text);
    message.split_once(" (after ").map_or(message, |(message, _)| message)
}

/// Log lines begin with the thread name, error events do not.
fn without_thread(text: &str) -> &str {
    text.strip_prefix("[thrd:").and_then(|rest| rest.split_once("]: ")).map_or(text, |(_, message)| message)
}

fn kind(scheme: &str, message: &str, state: &str) -> Option<FaultKind> {
    if message.contains("Too many open files") {
        return Some(FaultKind::TooManyFiles);
    }
    if let Some((_, reason)) = message.split_once("Failed to resolve ") {
        let reason = reason.rsplit_once(": ").map_or(reason, |(_, reason)| reason);
        return Some(FaultKind::UnknownHost(reason.to_owned()));
    }
    if let Some((_, reason)) = message.split_once("Connect to ").and_then(|(_, rest)| rest.split_once(" failed: ")) {
        return Some(FaultKind::NoConnection(reason.to_owned()));
    }
    if message.starts_with("Connection setup timed out") {
        return Some(FaultKind::NoConnection("no answer to the connection".to_owned()));
    }
    if let Some((_, detail)) = message.split_once("SASL authentication error: ") {
        return Some(FaultKind::Login(detail.to_owned()));
    }
    if message.contains("mechanism handshake failed") {
        let offered = message.split_once("supported mechanisms:").map_or("", |(_, offered)| offered.trim());
        return Some(if offered.is_empty() {
            FaultKind::NoLogin
        } else {
            FaultKind::Mechanism(offered.replace(',', ", "))
        });
    }
    #[cfg(feature = "tls")]
    if let Some(fault) = tls_fault::parse(message) {
        return Some(FaultKind::Tls(fault));
    }
    if message.starts_with("Disconnected") {
        if state.contains("APIVERSION_QUERY") && !scheme.ends_with("ssl") {
            return Some(FaultKind::ClosedOnConnect);
        }
        if state.contains("in state UP") && !scheme.starts_with("sasl") {
            return Some(FaultKind::ClosedOnRequest);
        }
    }
    None
}

/// The fault, with more detail, if no retry can fix it; `None` where it may pass. Probes the port where the message is
/// ambiguous.
pub(super) fn confirm(fault: &ConnectionFault, connection: &Connection) -> Option<ConnectionFault> {
    if fault.kind.may_be_a_restart() && connection.has_worked() {
        return None;
    }
    let confirmed = match &fault.kind {
        #[cfg(feature = "tls")]
        FaultKind::Tls(tls) => {
            let confirmed = tls_fault::confirm(tls, &fault.address, connection)?;
            return Some(ConnectionFault { kind: FaultKind::Tls(confirmed), ..fault.clone() });
        }
        FaultKind::ClosedOnConnect => port_probe::answers_tls(&fault.address),
        FaultKind::ClosedOnRequest | FaultKind::NoConnection(_) | FaultKind::UnknownHost(_) => false,
        _ => true,
    };
    confirmed.then(|| fault.clone())
}

/// Describes why addresses cannot be connected to.
pub(super) fn describe_all(faults: &[ConnectionFault]) -> String {
    let message = |fault: &ConnectionFault| match &fault.kind {
        FaultKind::UnknownHost(message) => {
            let host = fault.address.rsplit_once(':').map_or(fault.address.as_str(), |(host, _)| host);
            format!("unknown host {host} ({message})")
        }
        FaultKind::NoConnection(message) if message.contains("refused") => {
            format!("nothing listens on {} ({message})", fault.address)
        }
        FaultKind::NoConnection(message) => format!("no connection to {} ({message})", fault.address),
        _ => fault.address.clone(),
    };
    faults.iter().map(message).collect::<Vec<_>>().join("; ")
}
