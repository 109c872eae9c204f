//! TLS faults: why a handshake fails, parsed from librdkafka's messages.

use super::certificate::{self, Certificate};
use super::connection::Connection;
use super::{native_tls, port_probe};

/// Why a TLS connection cannot be established.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TlsFault {
    /// The broker's certificate was rejected; with OpenSSL's error code and the certificate, once [`confirm`] found
    /// them.
    Unverified(Option<(i32, Certificate)>),
    /// The broker closed the connection during the TLS handshake, or did not answer in TLS.
    NoTls,
    /// The broker refused the client's certificate, or requires one; with the name of the TLS alert.
    ClientCertificate(String),
}

/// Parses the part of a librdkafka message behind the address; `None` when it does not concern TLS.
pub(super) fn parse(message: &str) -> Option<TlsFault> {
    if let Some((_, alert)) = message.split_once("tls alert ").or_else(|| message.split_once("alert "))
        && let Some((alert, number)) = alert.split_once(": SSL alert number ")
    {
        // The alerts about certificates: bad, unsupported, revoked, expired, unknown, unknown CA, access denied,
        // required.
        let number: u8 = number.split(|char: char| !char.is_ascii_digit()).next()?.parse().ok()?;
        return matches!(number, 42..=46 | 48 | 49 | 116).then(|| TlsFault::ClientCertificate(alert.to_owned()));
    }
    if !message.contains("SSL handshake failed") {
        return None;
    }
    if message.contains("certificate verify failed") {
        return Some(TlsFault::Unverified(None));
    }
    let foreign = ["PLAINTEXT broker listener", "wrong version number", "packet length too long"];
    foreign.iter().any(|part| message.contains(part)).then_some(TlsFault::NoTls)
}

/// The fault, with more detail, if no retry can fix it; `None` where it may pass.
pub(super) fn confirm(fault: &TlsFault, address: &str, connection: &Connection) -> Option<TlsFault> {
    match fault {
        TlsFault::Unverified(_) => {
            let config = connection.client_config(&[("security.protocol", "ssl")]);
            let found = native_tls::certificate_fault(&config, port_probe::LIMIT);
            let found = found.and_then(|found| Some((found.code, certificate::from_der(&found.der)?)));
            Some(TlsFault::Unverified(found))
        }
        TlsFault::NoTls => port_probe::answers_kafka(address).then_some(TlsFault::NoTls),
        TlsFault::ClientCertificate(_) => Some(fault.clone()),
    }
}
