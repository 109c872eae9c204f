//! Messages and hints for connections that cannot be established: SASL login, listeners, addresses.

use super::{UNREACHABLE_HINT, denied, unreachable};
use crate::descriptors;
use crate::exit::{Code, Failure};
use crate::kafka::connection::Connection;
use crate::kafka::connection_fault::{ConnectionFault, FaultKind, describe_all};
use crate::kafka::{HAS_TLS, tls_hint};

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
            .hint(offered_mechanism(offered)),
        FaultKind::NoLogin => unreachable(format!("{address} does not accept logins, but security.protocol={protocol} sends one"))
            .hint(format!(
                "-X security.protocol={}, or the port of a listener that accepts logins",
                if protocol.ends_with("ssl") { "ssl" } else { "plaintext" }
            )),
        #[cfg(feature = "tls")]
        FaultKind::Tls(tls) => super::tls::failure(tls, address, connection),
        FaultKind::ClosedOnConnect => unreachable(format!(
            "{address} closed the connection: it may require TLS, but security.protocol={protocol} does not use it"
        ))
        .hint(tls_hint(&format!(
            "-X security.protocol={}, or {}the port of a plaintext listener",
            if protocol.starts_with("sasl") { "sasl_ssl" } else { "ssl, or sasl_ssl with sasl.mechanism, sasl.username and sasl.password" },
            if HAS_TLS { "" } else { "without TLS " }
        ))),
        FaultKind::ClosedOnRequest => unreachable(format!(
            "{address} closed the connection at the first request: it may require a login, and security.protocol={protocol} has none"
        ))
        .hint(format!(
            "-X security.protocol=sasl_{protocol} with sasl.mechanism, sasl.username and sasl.password, if it accepts logins"
        )),
        FaultKind::NoConnection(_) | FaultKind::UnknownHost(_) => no_address(std::slice::from_ref(fault)),
        FaultKind::TooManyFiles => {
            Failure::new(Code::Unexpected, format!("no connection to {address}: this process has too many open files"))
                .hint(descriptors::LIMIT_HINT)
        }
    }
}

/// The hint to use a mechanism that the broker offers and the client knows. All but PLAIN need a build with TLS.
fn offered_mechanism(offered: &str) -> String {
    let known = |name: &&str| *name != "GSSAPI";
    let mut names = offered.split(", ").filter(known);
    match names.clone().find(|name| *name == "PLAIN").filter(|_| !HAS_TLS).or_else(|| names.next()) {
        Some("PLAIN") => "-X sasl.mechanism=PLAIN".to_owned(),
        Some(name) => tls_hint(&format!("-X sasl.mechanism={name}")),
        None => "use a listener with another mechanism: GSSAPI is Kerberos, which is not built in".to_owned(),
    }
}

/// No address can be connected to.
pub(super) fn no_address(faults: &[ConnectionFault]) -> Failure {
    unreachable(describe_all(faults)).hint(UNREACHABLE_HINT)
}

#[cfg(test)]
mod tests {
    use super::super::test_support::{Message, assert_failures, connection};
    use super::*;
    use crate::kafka::BUILD_WITH_TLS;
    use crate::kafka::connection_fault::{confirm, parse};

    const MESSAGES: &[Message] = &[
        (
            "[thrd:sasl_ssl://k:2/bootstrap]: sasl_ssl://k:2/bootstrap: SASL authentication error: Authentication failed during authentication due to invalid credentials with SASL mechanism SCRAM-SHA-512 (after 322ms in state AUTH_REQ, 1 identical error(s) suppressed)",
            "security.protocol=sasl_ssl sasl.mechanism=SCRAM-SHA-512 sasl.username=ann",
            "5 k:2 refused the password of user ann (SCRAM-SHA-512): Authentication failed during authentication due to invalid credentials",
        ),
        (
            "[thrd:sasl_ssl://k:2/bootstrap]: sasl_ssl://k:2/bootstrap: SASL SCRAM-SHA-256 mechanism handshake failed: Broker: Unsupported SASL mechanism: broker's supported mechanisms: SCRAM-SHA-512,PLAIN (after 301ms in state AUTH_HANDSHAKE)",
            "security.protocol=sasl_ssl sasl.mechanism=SCRAM-SHA-256",
            "5 k:2 does not support SASL mechanism SCRAM-SHA-256, only SCRAM-SHA-512, PLAIN\n  hint: -X sasl.mechanism=",
        ),
        (
            "[thrd:sasl_plaintext://k:2/bootstrap]: sasl_plaintext://k:2/bootstrap: SASL SCRAM-SHA-512 mechanism handshake failed: Broker: Request not valid in current SASL state: broker's supported mechanisms:  (after 1ms in state AUTH_HANDSHAKE)",
            "security.protocol=sasl_plaintext",
            "4 k:2 does not accept logins, but security.protocol=sasl_plaintext sends one\n  hint: -X security.protocol=plaintext",
        ),
        (
            "[thrd:k:2/bootstrap]: k:2/bootstrap: Disconnected: connection closed by peer: receive 0 after POLLIN (after 1ms in state APIVERSION_QUERY)",
            "",
            "4 k:2 closed the connection: it may require TLS, but security.protocol=plaintext does not use it\n  hint: ",
        ),
        (
            "[thrd:ssl://k:2/bootstrap]: ssl://k:2/bootstrap: Disconnected: SSL connection closed by peer (after 1ms in state UP)",
            "security.protocol=ssl",
            "4 k:2 closed the connection at the first request: it may require a login, and security.protocol=ssl has none\n  hint: -X security.protocol=sasl_ssl",
        ),
        (
            "[thrd:ssl://k:2/bootstrap]: ssl://k:2/bootstrap: Failed to create socket: Too many open files (after 0ms in state CONNECT, 1 identical error(s) suppressed)",
            "security.protocol=ssl",
            "1 no connection to k:2: this process has too many open files\n  hint: raise the limit",
        ),
    ];

    #[test]
    fn each_message_becomes_a_failure_with_a_fix() {
        assert_failures(MESSAGES, failure);
    }

    /// A hint does not lead to a second refusal.
    #[test]
    fn a_build_without_tls_is_the_first_step_to_tls() {
        let hint = |kind, properties| {
            failure(&ConnectionFault { address: "k:2".to_owned(), kind }, &connection(properties)).hint.expect("a hint")
        };
        let builds = |hint: &str| hint.starts_with(&format!("{BUILD_WITH_TLS}; then -X "));
        for (kind, properties, has) in [
            (FaultKind::ClosedOnConnect, "", "-X security.protocol=ssl, or sasl_ssl with"),
            (FaultKind::ClosedOnConnect, "security.protocol=sasl_plaintext", "-X security.protocol=sasl_ssl, or"),
            (FaultKind::Mechanism("GSSAPI, SCRAM-SHA-512".to_owned()), "", "-X sasl.mechanism=SCRAM-SHA-512"),
        ] {
            let hint = hint(kind, properties);
            assert!(hint.contains(has) && builds(&hint) != HAS_TLS, "{hint}");
        }
        let offered = |names: &str| hint(FaultKind::Mechanism(names.to_owned()), "");
        assert_eq!(offered("GSSAPI, PLAIN"), "-X sasl.mechanism=PLAIN");
        let first = if HAS_TLS { "SCRAM-SHA-512" } else { "PLAIN" };
        assert_eq!(offered("SCRAM-SHA-512, PLAIN"), format!("-X sasl.mechanism={first}"));
        assert!(offered("GSSAPI").contains("another mechanism"));
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
}
