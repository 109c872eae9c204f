//! Faults of a connection that does not come about, read from what the client library says about it.
//!
//! The library keeps trying whatever happens. What no retry can mend ends the command at once ([`confirm`]); what may pass by
//! itself is only told when the time is over.

use super::certificate::Certificate;
use super::connection::Connection;
use super::{certificate, native, port_probe};

/// What the library said about a connection, as far as it is understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ConnectionFault {
    /// `host:port`
    pub address: String,
    pub kind: FaultKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FaultKind {
    /// The login was refused, in the broker's words.
    Login(String),
    /// The broker takes other mechanisms.
    Mechanism(String),
    /// The listener takes no login at all.
    NoLogin,
    /// The broker's certificate did not pass; OpenSSL's code of the reason and the certificate, once [`confirm`] found them.
    Unverified(Option<(i32, Certificate)>),
    /// It closed in the middle of a TLS handshake, or answered with something else.
    NoTls,
    /// It closed at the first request, which was not in TLS.
    ClosedOnConnect,
    /// It closed at the first request that wants a login.
    ClosedOnRequest,
    /// It refused the client's certificate, or the lack of one; TLS's name of the alert.
    ClientCertificate(String),
    /// No connection to the address: the operating system's words, as in "Connection refused".
    NoConnection(String),
    /// The host has no address: the resolver's words.
    UnknownHost(String),
    /// This process has no file descriptor left for a socket.
    TooManyFiles,
}

impl FaultKind {
    /// Whether it says that the address cannot be reached at the moment, rather than how it answers.
    pub fn is_unreachable_address(&self) -> bool {
        matches!(self, Self::NoConnection(_) | Self::UnknownHost(_))
    }

    /// Whether a broker that is being stopped or started shows the same: not to be believed once a connection has worked.
    pub fn may_be_a_restart(&self) -> bool {
        matches!(self, Self::ClosedOnConnect | Self::ClosedOnRequest | Self::NoTls) || self.is_unreachable_address()
    }
}

/// What a message of the library says about a connection; `None` where it says nothing about one.
pub(super) fn parse(text: &str) -> Option<ConnectionFault> {
    let words = without_thread(text);
    let (name, words) = words.split_once(": ")?;
    let (scheme, rest) = name.split_once("://").unwrap_or(("plaintext", name));
    let (address, _) = rest.rsplit_once('/')?;
    let (words, state) = words.split_once(" (after ").unwrap_or((words, ""));
    Some(ConnectionFault { address: address.to_owned(), kind: kind(scheme, words, state)? })
}

/// A message of the library for people: without the thread's name in front and the state of its connection behind.
pub(super) fn without_log_prefix(text: &str) -> &str {
    let words = without_thread(text);
    words.split_once(" (after ").map_or(words, |(words, _)| words)
}

/// Log lines begin with the thread's name, error events do not.
fn without_thread(text: &str) -> &str {
    text.strip_prefix("[thrd:").and_then(|rest| rest.split_once("]: ")).map_or(text, |(_, words)| words)
}

fn kind(scheme: &str, words: &str, state: &str) -> Option<FaultKind> {
    if words.contains("Too many open files") {
        return Some(FaultKind::TooManyFiles);
    }
    if let Some((_, reason)) = words.split_once("Failed to resolve ") {
        let reason = reason.rsplit_once(": ").map_or(reason, |(_, reason)| reason);
        return Some(FaultKind::UnknownHost(reason.to_owned()));
    }
    if let Some((_, reason)) = words.split_once("Connect to ").and_then(|(_, rest)| rest.split_once(" failed: ")) {
        return Some(FaultKind::NoConnection(reason.to_owned()));
    }
    if words.starts_with("Connection setup timed out") {
        return Some(FaultKind::NoConnection("no answer to the connection".to_owned()));
    }
    if let Some((_, detail)) = words.split_once("SASL authentication error: ") {
        return Some(FaultKind::Login(detail.to_owned()));
    }
    if words.contains("mechanism handshake failed") {
        let offered = words.split_once("supported mechanisms:").map_or("", |(_, offered)| offered.trim());
        return Some(if offered.is_empty() {
            FaultKind::NoLogin
        } else {
            FaultKind::Mechanism(offered.replace(',', ", "))
        });
    }
    if let Some((_, alert)) = words.split_once("tls alert ").or_else(|| words.split_once("alert "))
        && let Some((alert, number)) = alert.split_once(": SSL alert number ")
    {
        // Those about certificates: bad, unsupported, revoked, expired, unknown, of an unknown authority, denied, required.
        let number: u8 = number.split(|char: char| !char.is_ascii_digit()).next()?.parse().ok()?;
        return matches!(number, 42..=46 | 48 | 49 | 116).then(|| FaultKind::ClientCertificate(alert.to_owned()));
    }
    if words.contains("SSL handshake failed") {
        if words.contains("certificate verify failed") {
            return Some(FaultKind::Unverified(None));
        }
        let foreign = ["PLAINTEXT broker listener", "wrong version number", "packet length too long"];
        return foreign.iter().any(|part| words.contains(part)).then_some(FaultKind::NoTls);
    }
    if words.starts_with("Disconnected") {
        if state.contains("APIVERSION_QUERY") && !scheme.ends_with("ssl") {
            return Some(FaultKind::ClosedOnConnect);
        }
        if state.contains("in state UP") && !scheme.starts_with("sasl") {
            return Some(FaultKind::ClosedOnRequest);
        }
    }
    None
}

/// The fault that no retry can mend, looked at more closely; `None` where it may pass. Looks at the port where the message
/// alone leaves a doubt.
pub(super) fn confirm(fault: &ConnectionFault, connection: &Connection) -> Option<ConnectionFault> {
    if fault.kind.may_be_a_restart() && connection.has_worked() {
        return None;
    }
    let confirmed = match &fault.kind {
        FaultKind::Unverified(_) => {
            let found = native::certificate_fault(
                &connection.client_config(&[("security.protocol", "ssl")]),
                port_probe::LIMIT,
            );
            let found = found.and_then(|found| Some((found.code, certificate::from_der(&found.der)?)));
            return Some(ConnectionFault { kind: FaultKind::Unverified(found), ..fault.clone() });
        }
        FaultKind::NoTls => port_probe::answers_kafka(&fault.address),
        FaultKind::ClosedOnConnect => port_probe::answers_tls(&fault.address),
        FaultKind::ClosedOnRequest | FaultKind::NoConnection(_) | FaultKind::UnknownHost(_) => false,
        _ => true,
    };
    confirmed.then(|| fault.clone())
}

/// Why addresses cannot be connected to, for people.
pub(super) fn describe_all(faults: &[ConnectionFault]) -> String {
    let words = |fault: &ConnectionFault| match &fault.kind {
        FaultKind::UnknownHost(words) => {
            let host = fault.address.rsplit_once(':').map_or(fault.address.as_str(), |(host, _)| host);
            format!("unknown host {host} ({words})")
        }
        FaultKind::NoConnection(words) if words.contains("refused") => {
            format!("nothing listens on {} ({words})", fault.address)
        }
        FaultKind::NoConnection(words) => format!("no connection to {} ({words})", fault.address),
        _ => fault.address.clone(),
    };
    faults.iter().map(words).collect::<Vec<_>>().join("; ")
}
