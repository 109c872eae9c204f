//! Owns why a connection does not come about: the client library's words about it told apart, and the fix for each.
//!
//! The library keeps trying whatever happens; what no trying can mend ends the command at first sight.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use super::certificate::{self, Certificate};
use super::connection::Connection;
use super::native;
use crate::descriptors;
use crate::exit::{Code, Failure};

/// How long a port is given to show what it speaks.
const LOOK: Duration = Duration::from_secs(2);

/// What the library said about a connection, as far as it is understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sign {
    /// `host:port`
    place: String,
    trouble: Trouble,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Trouble {
    /// The login was refused, in the broker's words.
    Login(String),
    /// The broker takes other mechanisms.
    Mechanism(String),
    /// The listener takes no login at all.
    NoLogin,
    /// The broker's certificate did not pass.
    Unverified,
    /// It closed in the middle of a TLS handshake, or answered with something else.
    NoTls,
    /// It closed at the first request, which was not in TLS.
    ClosedAtOnce,
    /// It closed at the first request that wants a login.
    ClosedWhenAsked,
    /// It refused the client's certificate, or the lack of one; TLS's name of the alert.
    ClientCertificate(String),
    /// This process has too many files open for another connection.
    NoFiles,
}

/// What a message of the library says about a connection; `None` for what may pass by itself.
pub(super) fn read(text: &str) -> Option<Sign> {
    // Log lines begin with the thread's name, error events do not.
    let words = match text.strip_prefix("[thrd:") {
        Some(rest) => rest.split_once("]: ")?.1,
        None => text,
    };
    let (name, words) = words.split_once(": ")?;
    let (scheme, rest) = name.split_once("://").unwrap_or(("plaintext", name));
    let (place, _) = rest.rsplit_once('/')?;
    let words = words.split_once(" (after ").map_or((words, ""), |(words, state)| (words, state));
    Some(Sign { place: place.to_owned(), trouble: trouble(scheme, words.0, words.1)? })
}

fn trouble(scheme: &str, words: &str, state: &str) -> Option<Trouble> {
    if let Some((_, detail)) = words.split_once("SASL authentication error: ") {
        return Some(Trouble::Login(detail.to_owned()));
    }
    if words.contains("mechanism handshake failed") {
        let offered = words.split_once("supported mechanisms:").map_or("", |(_, offered)| offered.trim());
        return Some(if offered.is_empty() {
            Trouble::NoLogin
        } else {
            Trouble::Mechanism(offered.replace(',', ", "))
        });
    }
    if let Some((_, alert)) = words.split_once("tls alert ").or_else(|| words.split_once("alert "))
        && let Some((alert, number)) = alert.split_once(": SSL alert number ")
    {
        // Those about certificates: bad, unsupported, revoked, expired, unknown, of an unknown authority, denied, required.
        let number: u8 = number.split(|char: char| !char.is_ascii_digit()).next()?.parse().ok()?;
        return matches!(number, 42..=46 | 48 | 49 | 116).then(|| Trouble::ClientCertificate(alert.to_owned()));
    }
    if words.contains("SSL handshake failed") {
        if words.contains("certificate verify failed") {
            return Some(Trouble::Unverified);
        }
        let foreign = ["PLAINTEXT broker listener", "wrong version number", "packet length too long"];
        return foreign.iter().any(|part| words.contains(part)).then_some(Trouble::NoTls);
    }
    if words.ends_with("Too many open files") {
        return Some(Trouble::NoFiles);
    }
    if words.starts_with("Disconnected") {
        if state.contains("APIVERSION_QUERY") && !scheme.ends_with("ssl") {
            return Some(Trouble::ClosedAtOnce);
        }
        if state.contains("in state UP") && !scheme.starts_with("sasl") {
            return Some(Trouble::ClosedWhenAsked);
        }
    }
    None
}

/// The failure of a sign that no waiting can mend; `None` where it may be a passing one. Looks at the port where the sign
/// alone leaves a doubt.
pub(super) fn certain(sign: &Sign, connection: &Connection) -> Option<Failure> {
    match &sign.trouble {
        Trouble::Unverified => {
            let fault = native::certificate_fault(&connection.client(&[("security.protocol", "ssl")]), LOOK);
            let fault = fault.and_then(|fault| Some((fault.code, certificate::of_der(&fault.der)?)));
            Some(fault.map_or_else(|| told(sign, connection), |fault| unverified(sign, connection, &fault)))
        }
        Trouble::NoTls => (answers_kafka(&sign.place)).then(|| told(sign, connection)),
        Trouble::ClosedAtOnce => answers_tls(&sign.place).then(|| told(sign, connection)),
        Trouble::ClosedWhenAsked => None,
        _ => Some(told(sign, connection)),
    }
}

fn denied(message: String) -> Failure {
    Failure::new(Code::Denied, message)
}

fn unreachable(message: String) -> Failure {
    Failure::new(Code::Unreachable, message)
}

/// A sign as a failure.
pub(super) fn told(sign: &Sign, connection: &Connection) -> Failure {
    let place = &sign.place;
    let set = |name: &str| connection.property(name).filter(|value| !value.is_empty());
    let protocol = set("security.protocol").unwrap_or("plaintext").to_ascii_lowercase();
    let mechanism = set("sasl.mechanism").or_else(|| set("sasl.mechanisms")).unwrap_or("GSSAPI");
    match &sign.trouble {
        Trouble::Login(detail) => match set("sasl.username") {
            Some(user) => denied(format!("{place} refused the password of user {user} ({mechanism}): {detail}")).hint(
                "check sasl.username and sasl.password, and that the user exists for this mechanism: kafka-configs --describe --entity-type users",
            ),
            None => denied(format!("{place} refused this login ({mechanism}): {detail}"))
                .hint("check the sasl.… properties; -v shows the client library's own words"),
        },
        Trouble::Mechanism(offered) => denied(format!("{place} takes no login by {mechanism}, only by {offered}"))
            .hint(format!("-X sasl.mechanism={}", offered.split(", ").next().unwrap_or_default())),
        Trouble::NoLogin => unreachable(format!("{place} takes no login, and security.protocol={protocol} asks for one"))
            .hint(format!(
                "-X security.protocol={}, or the port of a listener that takes logins",
                if protocol.ends_with("ssl") { "ssl" } else { "plaintext" }
            )),
        Trouble::Unverified => denied(format!("the certificate of {place} could not be verified")).hint(
            "-X ssl.ca.location=FILE with the certificate of the authority that signed it; its names must have the host of -b",
        ),
        Trouble::NoTls => unreachable(format!("{place} speaks no TLS, and security.protocol={protocol} asks for it")).hint(
            format!(
                "-X security.protocol={}, or the port of a listener that speaks TLS",
                if protocol.starts_with("sasl") { "sasl_plaintext" } else { "plaintext" }
            ),
        ),
        Trouble::ClosedAtOnce => unreachable(format!(
            "{place} closes on what is not TLS, and security.protocol={protocol} is not"
        ))
        .hint(format!(
            "-X security.protocol={}, or the port of a plaintext listener",
            if protocol.starts_with("sasl") { "sasl_ssl" } else { "ssl, or sasl_ssl with sasl.mechanism, sasl.username and sasl.password" }
        )),
        Trouble::ClosedWhenAsked => unreachable(format!(
            "{place} closes the connection at the first request: it may want a login, and security.protocol={protocol} has none"
        ))
        .hint(format!(
            "-X security.protocol=sasl_{protocol} with sasl.mechanism, sasl.username and sasl.password, if it takes logins"
        )),
        Trouble::ClientCertificate(alert) => client_certificate(place, alert, connection),
        Trouble::NoFiles => {
            Failure::new(Code::Unexpected, format!("no connection to {place}: this process has too many open files"))
                .hint(descriptors::HINT)
        }
    }
}

fn client_certificate(place: &str, alert: &str, connection: &Connection) -> Failure {
    let hint =
        "-X ssl.certificate.location=FILE -X ssl.key.location=FILE, signed by an authority that the broker trusts";
    match certificate::of_client(connection) {
        certificate::Client::None => {
            denied(format!("{place} wants a client certificate, and none is set ({alert})")).hint(hint)
        }
        certificate::Client::Unread(file) => denied(format!(
            "{place} refused the client certificate in {file} ({alert})"
        ))
        .hint("it may have expired, or its authority be none that the broker trusts; the broker's log tells which"),
        certificate::Client::Read { certificate: Certificate { subject, issuer, until, .. }, file } => denied(format!(
            "{place} refused the client certificate of {subject} ({alert}): {file}, valid until {until} UTC"
        ))
        .hint(format!("a new one if that is over; or the broker does not trust {issuer}, who signed it")),
    }
}

/// Why the broker's certificate did not pass: OpenSSL's code of it, and the certificate that it is about.
fn unverified(sign: &Sign, connection: &Connection, (code, certificate): &(i32, Certificate)) -> Failure {
    let Sign { place, .. } = sign;
    let host = place.rsplit_once(':').map_or(place.as_str(), |(host, _)| host).trim_matches(['[', ']']);
    let Certificate { subject, issuer, hosts, until } = certificate;
    match code {
        62 | 64 => denied(format!("the certificate of {place} is for {}, not for {host}", hosts.join(", "))).hint(
            "name the broker as its certificate does (-b, and the broker's advertised.listeners), or have one made for this \
             name; -X ssl.endpoint.identification.algorithm=none gives the check up",
        ),
        9 => denied(format!("the certificate of {place} ({subject}) is not valid yet")).hint("check this machine's clock"),
        10 => denied(format!("the certificate of {place} ({subject}) expired at {until} UTC"))
            .hint("the broker needs a new one; if it has one, check this machine's clock"),
        18..=21 => {
            let authority = if *code == 19 { subject } else { issuer };
            let trusted = connection.property("ssl.ca.location").filter(|file| !file.is_empty()).map_or_else(
                || "no ssl.ca.location is set".to_owned(),
                |file| format!("it is not in {file}"),
            );
            denied(format!("the certificate of {place} is signed by {authority}, which is not trusted here: {trusted}"))
                .hint("-X ssl.ca.location=FILE with that authority's certificate in PEM")
        }
        code => denied(format!("the certificate of {place} ({subject}) could not be verified: OpenSSL's error {code}"))
            .hint("-v shows the client library's own words"),
    }
}

/// Sends bytes to a port and reads as many as the answer is asked to have.
fn asked<const N: usize>(place: &str, question: &[u8]) -> Option<[u8; N]> {
    let address = place.to_socket_addrs().ok()?.next()?;
    let mut stream = TcpStream::connect_timeout(&address, LOOK).ok()?;
    stream.set_read_timeout(Some(LOOK)).ok()?;
    stream.set_write_timeout(Some(LOOK)).ok()?;
    stream.write_all(question).ok()?;
    let mut answer = [0; N];
    stream.read_exact(&mut answer).ok()?;
    Some(answer)
}

/// Whether a port answers the beginning of a TLS handshake in TLS.
fn answers_tls(place: &str) -> bool {
    const HANDSHAKE: u8 = 22;
    const ALERT: u8 = 21;
    matches!(asked::<1>(place, &client_hello()), Some([HANDSHAKE | ALERT]))
}

/// Whether a port answers a request of Kafka's protocol that is not in TLS.
fn answers_kafka(place: &str) -> bool {
    // Size 10, api key 18 (ApiVersions), version 0, correlation id 7, no client id; the answer has a size and that id.
    let question = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 0xff, 0xff];
    asked::<8>(place, &question).is_some_and(|answer| answer[4..] == [0, 0, 0, 7])
}

/// The first message of TLS 1.2, with nothing in it but what a server must have to answer.
fn client_hello() -> Vec<u8> {
    let ciphers: &[u8] = &[0xc0, 0x2b, 0xc0, 0x2f, 0xc0, 0x2c, 0xc0, 0x30, 0x00, 0x9c, 0x00, 0x2f];
    // Groups: x25519, P-256; signatures: ECDSA and RSA with SHA-256.
    let extensions: &[u8] = &[0, 10, 0, 6, 0, 4, 0, 29, 0, 23, 0, 13, 0, 8, 0, 6, 4, 3, 8, 4, 4, 1, 0, 11, 0, 2, 1, 0];
    let length = |bytes: &[u8]| u16::try_from(bytes.len()).unwrap_or(0).to_be_bytes();
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.push(0);
    body.extend(length(ciphers));
    body.extend(ciphers);
    body.extend([1, 0]);
    body.extend(length(extensions));
    body.extend(extensions);
    let mut message = vec![1, 0];
    message.extend(length(&body));
    message.extend(body);
    let mut record = vec![22, 3, 1];
    record.extend(length(&message));
    record.extend(message);
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What librdkafka 2.12 said to an Apache Kafka 4.1, and what is made of it.
    const SAID: &[(&str, &str, &str)] = &[
        (
            "[thrd:sasl_ssl://k:2/bootstrap]: sasl_ssl://k:2/bootstrap: SASL authentication error: Authentication failed during authentication due to invalid credentials with SASL mechanism SCRAM-SHA-512 (after 322ms in state AUTH_REQ, 1 identical error(s) suppressed)",
            "security.protocol=sasl_ssl sasl.mechanism=SCRAM-SHA-512 sasl.username=ann",
            "5 k:2 refused the password of user ann (SCRAM-SHA-512): Authentication failed during authentication due to invalid credentials",
        ),
        (
            "[thrd:sasl_ssl://k:2/bootstrap]: sasl_ssl://k:2/bootstrap: SASL SCRAM-SHA-256 mechanism handshake failed: Broker: Unsupported SASL mechanism: broker's supported mechanisms: SCRAM-SHA-512,PLAIN (after 301ms in state AUTH_HANDSHAKE)",
            "security.protocol=sasl_ssl sasl.mechanism=SCRAM-SHA-256",
            "5 k:2 takes no login by SCRAM-SHA-256, only by SCRAM-SHA-512, PLAIN\n  hint: -X sasl.mechanism=SCRAM-SHA-512",
        ),
        (
            "[thrd:sasl_plaintext://k:2/bootstrap]: sasl_plaintext://k:2/bootstrap: SASL SCRAM-SHA-512 mechanism handshake failed: Broker: Request not valid in current SASL state: broker's supported mechanisms:  (after 1ms in state AUTH_HANDSHAKE)",
            "security.protocol=sasl_plaintext",
            "4 k:2 takes no login, and security.protocol=sasl_plaintext asks for one\n  hint: -X security.protocol=plaintext",
        ),
        (
            "[thrd:ssl://[::1]:2/bootstrap]: ssl://[::1]:2/bootstrap: SSL handshake failed: error:0A000086:SSL routines::certificate verify failed: broker certificate could not be verified, verify that ssl.ca.location is correctly configured or root CA certificates are installed (install ca-certificates package) (after 22ms in state SSL_HANDSHAKE, 1 identical error(s) suppressed)",
            "security.protocol=ssl",
            "5 the certificate of [::1]:2 could not be verified\n  hint: -X ssl.ca.location=FILE",
        ),
        (
            "[thrd:sasl_ssl://k:2/bootstrap]: sasl_ssl://k:2/bootstrap: SSL handshake failed: Disconnected: SSL connection closed by peer: connecting to a PLAINTEXT broker listener? (after 8ms in state SSL_HANDSHAKE)",
            "security.protocol=SASL_SSL",
            "4 k:2 speaks no TLS, and security.protocol=sasl_ssl asks for it\n  hint: -X security.protocol=sasl_plaintext",
        ),
        (
            "[thrd:k:2/bootstrap]: k:2/bootstrap: Disconnected: connection closed by peer: receive 0 after POLLIN (after 1ms in state APIVERSION_QUERY)",
            "",
            "4 k:2 closes on what is not TLS, and security.protocol=plaintext is not\n  hint: -X security.protocol=ssl, or sasl_ssl",
        ),
        (
            "[thrd:ssl://k:2/bootstrap]: ssl://k:2/bootstrap: Disconnected: SSL connection closed by peer (after 1ms in state UP)",
            "security.protocol=ssl",
            "4 k:2 closes the connection at the first request: it may want a login, and security.protocol=ssl has none\n  hint: -X security.protocol=sasl_ssl",
        ),
        (
            "[thrd:ssl://k:2/bootstrap]: ssl://k:2/bootstrap: Receive failed: error:0A000412:SSL routines::ssl/tls alert bad certificate: SSL alert number 42 (after 0ms in state APIVERSION_QUERY)",
            "security.protocol=ssl",
            "5 k:2 wants a client certificate, and none is set (bad certificate)\n  hint: -X ssl.certificate.location=FILE",
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

    fn connection(words: &str) -> Connection {
        let properties = words.split_whitespace().filter_map(|word| word.split_once('='));
        let properties = properties.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        Connection { properties, name: None, timeout: Duration::from_secs(1), timeout_said: false, log: None }
    }

    #[test]
    fn what_the_library_said_is_told_with_its_place_and_the_fix() {
        for (said, properties, told_as) in SAID {
            let sign = read(said).expect(said);
            let failure = told(&sign, &connection(properties));
            let text = format!("{} {failure}", failure.code.number());
            assert!(text.starts_with(told_as), "{said}\nis told as\n{text}\nand not as\n{told_as}");
            // Without the thread's name, as an error event has it.
            let event = said.split_once("]: ").map(|(_, event)| event).filter(|event| event.contains("://k"));
            assert!(event.is_none_or(|event| read(event) == Some(sign)), "{said}");
        }
    }

    #[test]
    fn what_may_pass_by_itself_is_no_sign() {
        for said in [
            "[thrd:k:2/bootstrap]: k:2/bootstrap: Connect to ipv4#127.0.0.1:2 failed: Connection refused (after 0ms in state CONNECT)",
            "[thrd:k:2/1]: k:2/1: Disconnected (after 10000ms in state UP, 1 identical error(s) suppressed)",
            "[thrd:sasl_ssl://k:2/1]: sasl_ssl://k:2/1: Disconnected: connection reset by peer (after 3ms in state UP)",
            "[thrd:k:2/bootstrap]: 1/1 brokers are down",
            "",
        ] {
            let sign = read(said);
            let passes = sign.as_ref().is_none_or(|sign| sign.trouble == Trouble::ClosedWhenAsked);
            assert!(passes, "{said}: {sign:?}");
            assert!(sign.is_none_or(|sign| certain(&sign, &connection("")).is_none()));
        }
    }

    #[test]
    fn a_certificate_that_does_not_pass_is_told_by_what_it_says() {
        let certificate = Certificate {
            subject: "CN=other".to_owned(),
            issuer: "CN=authority".to_owned(),
            hosts: vec!["other.example".to_owned(), "10.0.0.1".to_owned()],
            until: "2026-11-23 04:51:15".to_owned(),
        };
        let sign = Sign { place: "k.example:2".to_owned(), trouble: Trouble::Unverified };
        let told = |code, words: &str| unverified(&sign, &connection(words), &(code, certificate.clone())).message;
        assert_eq!(told(62, ""), "the certificate of k.example:2 is for other.example, 10.0.0.1, not for k.example");
        assert!(told(20, "").contains("signed by CN=authority, which is not trusted here: no ssl.ca.location is set"));
        assert!(
            told(19, "ssl.ca.location=/ca.pem")
                .contains("signed by CN=other, which is not trusted here: it is not in /ca.pem")
        );
        assert!(told(10, "").contains("expired at 2026-11-23 04:51:15 UTC"));
        assert!(told(99, "").contains("OpenSSL's error 99"));
    }

    #[test]
    fn a_port_is_looked_at_before_it_is_accused() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
        let place = listener.local_addr().expect("an address").to_string();
        let answer = |bytes: &'static [u8]| {
            let listener = listener.try_clone().expect("cloned");
            std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().expect("accepted");
                let mut some = [0; 8];
                stream.read_exact(&mut some).expect("read");
                stream.write_all(bytes).expect("written");
            })
        };
        for (bytes, tls, kafka) in [
            (&[21, 3, 3, 0, 2, 2, 40, 0][..], true, false),
            (&[0, 0, 0, 4, 0, 0, 0, 7], false, true),
            (&[], false, false),
        ] {
            let thread = answer(bytes);
            assert_eq!(answers_tls(&place), tls);
            thread.join().expect("answered");
            let thread = answer(bytes);
            assert_eq!(answers_kafka(&place), kafka);
            thread.join().expect("answered");
        }
        assert!(!answers_tls("127.0.0.1:1"));
    }
}
