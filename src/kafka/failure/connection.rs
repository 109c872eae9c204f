//! Messages and hints for connections that cannot be established: TLS, SASL login, certificates, addresses.

use super::UNREACHABLE_HINT;
use crate::descriptors;
use crate::exit::{Code, Failure};
use crate::kafka::certificate::{self, Certificate};
use crate::kafka::connection::Connection;
use crate::kafka::connection_fault::{ConnectionFault, FaultKind, describe_all};

fn denied(message: String) -> Failure {
    Failure::new(Code::Denied, message)
}

fn unreachable(message: String) -> Failure {
    Failure::new(Code::Unreachable, message)
}

pub(super) fn failure(fault: &ConnectionFault, connection: &Connection) -> Failure {
    let address = &fault.address;
    let set = |name: &str| connection.property(name).filter(|value| !value.is_empty());
    let protocol = set("security.protocol").unwrap_or("plaintext").to_ascii_lowercase();
    let mechanism = set("sasl.mechanism").or_else(|| set("sasl.mechanisms")).unwrap_or("GSSAPI");
    match &fault.kind {
        FaultKind::Login(detail) => match set("sasl.username") {
            Some(user) => denied(format!("{address} refused the password of user {user} ({mechanism}): {detail}")).hint(
                "check sasl.username and sasl.password, and that the user exists for this mechanism: kafka-configs --describe --entity-type users",
            ),
            None => denied(format!("{address} refused this login ({mechanism}): {detail}"))
                .hint("check the sasl.… properties; -v shows librdkafka's messages"),
        },
        FaultKind::Mechanism(offered) => denied(format!("{address} does not support SASL mechanism {mechanism}, only {offered}"))
            .hint(format!("-X sasl.mechanism={}", offered.split(", ").next().unwrap_or_default())),
        FaultKind::NoLogin => unreachable(format!("{address} does not accept logins, but security.protocol={protocol} sends one"))
            .hint(format!(
                "-X security.protocol={}, or the port of a listener that accepts logins",
                if protocol.ends_with("ssl") { "ssl" } else { "plaintext" }
            )),
        FaultKind::Unverified(Some(found)) => unverified(fault, connection, found),
        FaultKind::Unverified(None) => denied(format!("the certificate of {address} could not be verified")).hint(
            "-X ssl.ca.location=FILE with the certificate of the CA that signed it; it must be valid for the host name of -b",
        ),
        FaultKind::NoTls => unreachable(format!("{address} does not speak TLS, but security.protocol={protocol} requires it")).hint(
            format!(
                "-X security.protocol={}, or the port of a listener that speaks TLS",
                if protocol.starts_with("sasl") { "sasl_plaintext" } else { "plaintext" }
            ),
        ),
        FaultKind::ClosedOnConnect => unreachable(format!(
            "{address} closed the connection: it may require TLS, but security.protocol={protocol} does not use it"
        ))
        .hint(format!(
            "-X security.protocol={}, or the port of a plaintext listener",
            if protocol.starts_with("sasl") { "sasl_ssl" } else { "ssl, or sasl_ssl with sasl.mechanism, sasl.username and sasl.password" }
        )),
        FaultKind::ClosedOnRequest => unreachable(format!(
            "{address} closed the connection at the first request: it may require a login, and security.protocol={protocol} has none"
        ))
        .hint(format!(
            "-X security.protocol=sasl_{protocol} with sasl.mechanism, sasl.username and sasl.password, if it accepts logins"
        )),
        FaultKind::ClientCertificate(alert) => client_certificate(address, alert, connection),
        FaultKind::NoConnection(_) | FaultKind::UnknownHost(_) => no_address(std::slice::from_ref(fault)),
        FaultKind::TooManyFiles => {
            Failure::new(Code::Unexpected, format!("no connection to {address}: this process has too many open files"))
                .hint(descriptors::LIMIT_HINT)
        }
    }
}

fn client_certificate(address: &str, alert: &str, connection: &Connection) -> Failure {
    let hint = "-X ssl.certificate.location=FILE -X ssl.key.location=FILE, signed by a CA that the broker trusts";
    match certificate::of_client(connection) {
        certificate::ClientCertificate::None => {
            denied(format!("{address} requires a client certificate, and none is set ({alert})")).hint(hint)
        }
        certificate::ClientCertificate::Unparsed(file) => denied(format!(
            "{address} refused the client certificate in {file} ({alert})"
        ))
        .hint("it may have expired, or the broker may not trust the CA that signed it; the broker's log says which"),
        certificate::ClientCertificate::Parsed { certificate: Certificate { subject, issuer, until, .. }, file } => {
            denied(format!(
                "{address} refused the client certificate of {subject} ({alert}): {file}, valid until {until} UTC"
            ))
            .hint(format!("renew it if it has expired; otherwise the broker may not trust its issuer, {issuer}, or may have revoked it; the broker's log says which"))
        }
    }
}

/// The failure of a broker certificate: OpenSSL's error code, and the certificate that it concerns.
fn unverified(fault: &ConnectionFault, connection: &Connection, (code, certificate): &(i32, Certificate)) -> Failure {
    let address = &fault.address;
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

/// No address can be connected to.
pub(super) fn no_address(faults: &[ConnectionFault]) -> Failure {
    unreachable(describe_all(faults)).hint(UNREACHABLE_HINT)
}

fn host(address: &str) -> &str {
    address.rsplit_once(':').map_or(address, |(host, _)| host)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::kafka::connection_fault::{confirm, parse};

    /// Messages of librdkafka 2.12 about an Apache Kafka 4.1, the properties, and the failure.
    const SAID: &[(&str, &str, &str)] = &[
        (
            "[thrd:sasl_ssl://k:2/bootstrap]: sasl_ssl://k:2/bootstrap: SASL authentication error: Authentication failed during authentication due to invalid credentials with SASL mechanism SCRAM-SHA-512 (after 322ms in state AUTH_REQ, 1 identical error(s) suppressed)",
            "security.protocol=sasl_ssl sasl.mechanism=SCRAM-SHA-512 sasl.username=ann",
            "5 k:2 refused the password of user ann (SCRAM-SHA-512): Authentication failed during authentication due to invalid credentials",
        ),
        (
            "[thrd:sasl_ssl://k:2/bootstrap]: sasl_ssl://k:2/bootstrap: SASL SCRAM-SHA-256 mechanism handshake failed: Broker: Unsupported SASL mechanism: broker's supported mechanisms: SCRAM-SHA-512,PLAIN (after 301ms in state AUTH_HANDSHAKE)",
            "security.protocol=sasl_ssl sasl.mechanism=SCRAM-SHA-256",
            "5 k:2 does not support SASL mechanism SCRAM-SHA-256, only SCRAM-SHA-512, PLAIN\n  hint: -X sasl.mechanism=SCRAM-SHA-512",
        ),
        (
            "[thrd:sasl_plaintext://k:2/bootstrap]: sasl_plaintext://k:2/bootstrap: SASL SCRAM-SHA-512 mechanism handshake failed: Broker: Request not valid in current SASL state: broker's supported mechanisms:  (after 1ms in state AUTH_HANDSHAKE)",
            "security.protocol=sasl_plaintext",
            "4 k:2 does not accept logins, but security.protocol=sasl_plaintext sends one\n  hint: -X security.protocol=plaintext",
        ),
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
            "[thrd:k:2/bootstrap]: k:2/bootstrap: Disconnected: connection closed by peer: receive 0 after POLLIN (after 1ms in state APIVERSION_QUERY)",
            "",
            "4 k:2 closed the connection: it may require TLS, but security.protocol=plaintext does not use it\n  hint: -X security.protocol=ssl, or sasl_ssl",
        ),
        (
            "[thrd:ssl://k:2/bootstrap]: ssl://k:2/bootstrap: Disconnected: SSL connection closed by peer (after 1ms in state UP)",
            "security.protocol=ssl",
            "4 k:2 closed the connection at the first request: it may require a login, and security.protocol=ssl has none\n  hint: -X security.protocol=sasl_ssl",
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
        (
            "[thrd:ssl://k:2/bootstrap]: ssl://k:2/bootstrap: Failed to create socket: Too many open files (after 0ms in state CONNECT, 1 identical error(s) suppressed)",
            "security.protocol=ssl",
            "1 no connection to k:2: this process has too many open files\n  hint: raise the limit",
        ),
    ];

    fn connection(properties: &str) -> Connection {
        let properties = properties.split_whitespace().filter_map(|word| word.split_once('='));
        let properties = properties.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        Connection::new(properties, Duration::from_secs(1))
    }

    #[test]
    fn each_message_becomes_a_failure_with_a_fix() {
        for (said, properties, expected) in SAID {
            let fault = parse(said).expect(said);
            let failure = failure(&fault, &connection(properties));
            let text = format!("{} {failure}", failure.code.number());
            assert!(text.starts_with(expected), "{said}\nbecame\n{text}\nand not\n{expected}");
            // Error events have no thread name.
            let event = said.split_once("]: ").map(|(_, event)| event).filter(|event| event.contains("://k"));
            assert!(event.is_none_or(|event| parse(event) == Some(fault)), "{said}");
        }
    }

    #[test]
    fn transient_faults_are_not_confirmed() {
        for said in [
            "[thrd:k:2/bootstrap]: k:2/bootstrap: Connect to ipv4#127.0.0.1:2 failed: Connection refused (after 0ms in state CONNECT)",
            "[thrd:z:2/bootstrap]: z:2/bootstrap: Failed to resolve 'z:2': Name or service not known (after 3ms in state CONNECT)",
            "[thrd:k:2/1]: k:2/1: Disconnected (after 10000ms in state UP, 1 identical error(s) suppressed)",
            "[thrd:sasl_ssl://k:2/1]: sasl_ssl://k:2/1: Disconnected: connection reset by peer (after 3ms in state UP)",
            "[thrd:k:2/bootstrap]: 1/1 brokers are down",
            "",
        ] {
            assert!(parse(said).is_none_or(|fault| confirm(&fault, &connection("")).is_none()), "{said}");
        }
    }

    #[test]
    fn unreachable_addresses_are_named_with_reasons() {
        let said = [
            "k:2/bootstrap: Connect to ipv4#127.0.0.1:2 failed: Connection refused (after 0ms in state CONNECT)",
            "z:9092/bootstrap: Failed to resolve 'z:9092': Name or service not known (after 3ms in state CONNECT)",
            "y:1/bootstrap: Connection setup timed out in state CONNECT (after 30002ms in state CONNECT)",
        ];
        let faults: Vec<_> = said.into_iter().map(|said| parse(said).expect(said)).collect();
        let failure = no_address(&faults);
        assert_eq!(failure.code, Code::Unreachable);
        assert_eq!(
            failure.message,
            "nothing listens on k:2 (Connection refused); unknown host z (Name or service not known); \
             no connection to y:1 (no answer to the connection)"
        );
    }

    #[test]
    fn a_rejected_certificate_is_described() {
        let certificate = Certificate {
            subject: "CN=other".to_owned(),
            issuer: "CN=authority".to_owned(),
            hosts: vec!["other.example".to_owned(), "10.0.0.1".to_owned()],
            until: "2026-11-23 04:51:15".to_owned(),
        };
        let fault = ConnectionFault { address: "k.example:2".to_owned(), kind: FaultKind::Unverified(None) };
        let message =
            |code, properties: &str| unverified(&fault, &connection(properties), &(code, certificate.clone())).message;
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
