//! Messages and hints for TLS: certificates of the broker and of the client, and the principal of a certificate.

use super::{denied, unreachable};
use crate::exit::Failure;
use crate::kafka::certificate::{self, Certificate, ClientCertificate};
use crate::kafka::connection::Connection;
use crate::kafka::tls_fault::TlsFault;

/// The principal of the client's certificate; `None` without a certificate.
pub(super) fn principal(connection: &Connection) -> Option<String> {
    match certificate::of_client(connection) {
        ClientCertificate::None => None,
        ClientCertificate::Unparsed(file) => Some(format!("the subject of {file}")),
        ClientCertificate::Parsed { certificate, .. } => Some(format!("User:{}", certificate.subject)),
    }
}

pub(super) fn failure(fault: &TlsFault, address: &str, connection: &Connection) -> Failure {
    match fault {
        TlsFault::Unverified(Some(found)) => unverified(address, connection, found),
        TlsFault::Unverified(None) => denied(format!("the certificate of {address} could not be verified")).hint(
            "-X ssl.ca.location=FILE with the certificate of the CA that signed it; it must be valid for the host name of -b",
        ),
        TlsFault::NoTls => {
            let protocol = connection.property("security.protocol").unwrap_or_default().to_ascii_lowercase();
            unreachable(format!("{address} does not speak TLS, but security.protocol={protocol} requires it")).hint(format!(
                "-X security.protocol={}, or the port of a listener that speaks TLS",
                if protocol.starts_with("sasl") { "sasl_plaintext" } else { "plaintext" }
            ))
        }
        TlsFault::ClientCertificate(alert) => client_certificate(address, alert, connection),
    }
}

fn client_certificate(address: &str, alert: &str, connection: &Connection) -> Failure {
    let hint = "-X ssl.certificate.location=FILE -X ssl.key.location=FILE, signed by a CA that the broker trusts";
    match certificate::of_client(connection) {
        ClientCertificate::None => {
            denied(format!("{address} requires a client certificate, and none is set ({alert})")).hint(hint)
        }
        ClientCertificate::Unparsed(file) => denied(format!(
            "{address} refused the client certificate in {file} ({alert})"
        ))
        .hint("it may have expired, or the broker may not trust the CA that signed it; the broker's log says which"),
        ClientCertificate::Parsed { certificate: Certificate { subject, issuer, until, .. }, file } => {
            denied(format!(
                "{address} refused the client certificate of {subject} ({alert}): {file}, valid until {until} UTC"
            ))
            .hint(format!("renew it if it has expired; otherwise the broker may not trust its issuer, {issuer}, or may have revoked it; the broker's log says which"))
        }
    }
}

/// The failure of a broker certificate: OpenSSL's error code, and the certificate that it concerns.
fn unverified(address: &str, connection: &Connection, (code, certificate): &(i32, Certificate)) -> Failure {
    let host = host(address).trim_matches(['[', ']']);
    let Certificate { subject, issuer, hosts, until } = certificate;
    match code {
        62 | 64 => denied(format!("the certificate of {address} is for {}, not for {host}", hosts.join(", "))).hint(
            "use a name that is in the certificate (-b, and the broker's advertised.listeners), or issue a certificate for this \
             name; -X ssl.endpoint.identification.algorithm=none disables the check",
        ),
        9 => denied(format!("the certificate of {address} ({subject}) is not valid yet")).hint("check this machine's clock"),
        10 => denied(format!("the certificate of {address} ({subject}) expired at {until} UTC"))
            .hint("renew the broker's certificate; if it is new, check this machine's clock"),
        18..=21 => {
            let authority = if *code == 19 { subject } else { issuer };
            let trusted = connection.property("ssl.ca.location").filter(|file| !file.is_empty()).map_or_else(
                || "no ssl.ca.location is set".to_owned(),
                |file| format!("it is not in {file}"),
            );
            denied(format!("the certificate of {address} is signed by {authority}, which is not trusted here: {trusted}"))
                .hint("-X ssl.ca.location=FILE with that authority's certificate in PEM")
        }
        code => denied(format!("the certificate of {address} ({subject}) could not be verified: OpenSSL's error {code}"))
            .hint("-v shows librdkafka's messages"),
    }
}

fn host(address: &str) -> &str {
    address.rsplit_once(':').map_or(address, |(host, _)| host)
}

#[cfg(test)]
mod tests {
    use super::super::test_support::{Message, assert_failures, connection};
    use super::*;
    use crate::kafka::connection_fault::FaultKind;

    const MESSAGES: &[Message] = &[
        (
            "[thrd:ssl://[::1]:2/bootstrap]: ssl://[::1]:2/bootstrap: SSL handshake failed: error:0A000086:SSL routines::certificate verify failed: broker certificate could not be verified, verify that ssl.ca.location is correctly configured or root CA certificates are installed (install ca-certificates package) (after 22ms in state SSL_HANDSHAKE, 1 identical error(s) suppressed)",
            "security.protocol=ssl",
            "5 the certificate of [::1]:2 could not be verified\n  hint: -X ssl.ca.location=FILE",
        ),
        (
            "[thrd:sasl_ssl://k:2/bootstrap]: sasl_ssl://k:2/bootstrap: SSL handshake failed: Disconnected: SSL connection closed by peer: connecting to a PLAINTEXT broker listener? (after 8ms in state SSL_HANDSHAKE)",
            "security.protocol=SASL_SSL",
            "4 k:2 does not speak TLS, but security.protocol=sasl_ssl requires it\n  hint: -X security.protocol=sasl_plaintext",
        ),
        (
            "[thrd:ssl://k:2/bootstrap]: ssl://k:2/bootstrap: Receive failed: error:0A000412:SSL routines::ssl/tls alert bad certificate: SSL alert number 42 (after 0ms in state APIVERSION_QUERY)",
            "security.protocol=ssl",
            "5 k:2 requires a client certificate, and none is set (bad certificate)\n  hint: -X ssl.certificate.location=FILE",
        ),
        (
            "[thrd:ssl://k:2/bootstrap]: ssl://k:2/bootstrap: Receive failed: error:0A000416:SSL routines::ssl/tls alert certificate unknown: SSL alert number 46 (after 10ms in state APIVERSION_QUERY)",
            "security.protocol=ssl ssl.keystore.location=/no/such.p12",
            "5 k:2 refused the client certificate in /no/such.p12 (certificate unknown)\n  hint: it may have expired",
        ),
    ];

    #[test]
    fn each_message_becomes_a_failure_with_a_fix() {
        assert_failures(MESSAGES, |fault, connection| {
            let FaultKind::Tls(tls) = &fault.kind else { panic!("not a fault of TLS: {fault:?}") };
            failure(tls, &fault.address, connection)
        });
    }

    #[test]
    fn a_rejected_certificate_is_described() {
        let certificate = Certificate {
            subject: "CN=other".to_owned(),
            issuer: "CN=authority".to_owned(),
            hosts: vec!["other.example".to_owned(), "10.0.0.1".to_owned()],
            until: "2026-11-23 04:51:15".to_owned(),
        };
        let message = |code, properties: &str| {
            unverified("k.example:2", &connection(properties), &(code, certificate.clone())).message
        };
        assert_eq!(message(62, ""), "the certificate of k.example:2 is for other.example, 10.0.0.1, not for k.example");
        assert!(
            message(20, "").contains("signed by CN=authority, which is not trusted here: no ssl.ca.location is set")
        );
        assert!(
            message(19, "ssl.ca.location=/ca.pem")
                .contains("signed by CN=other, which is not trusted here: it is not in /ca.pem")
        );
        assert!(message(10, "").contains("expired at 2026-11-23 04:51:15 UTC"));
        assert!(message(99, "").contains("OpenSSL's error 99"));
    }
}
