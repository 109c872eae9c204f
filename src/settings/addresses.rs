//! Broker addresses, checked before any connection attempt.
//!
//! librdkafka accepts most malformed addresses and then waits for its timeout: it reads port 99999 as 34463.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::kafka::tls_hint;
use crate::report::printable;

/// Values of `security.protocol`, which librdkafka also accepts as the scheme of an address.
const PROTOCOLS: [&str; 4] = ["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"];

/// A malformed address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct InvalidAddress {
    pub address: String,
    /// What is wrong.
    pub reason: String,
    pub hint: String,
}

/// The addresses of a list, without spaces and schemes. `protocol` is the lower-case value of `security.protocol`.
pub(super) fn read(servers: &str, protocol: &str) -> Result<Vec<String>, InvalidAddress> {
    let text = servers.split(',').map(str::trim).filter(|address| !address.is_empty());
    text.map(|address| match plain(address, protocol) {
        Ok(plain) => Ok(plain.to_owned()),
        Err((reason, hint)) => Err(InvalidAddress { address: printable(address).into_owned(), reason, hint }),
    })
    .collect()
}

type AddressError = (String, String);

fn invalid<T>(reason: impl Into<String>, hint: impl Into<String>) -> Result<T, AddressError> {
    Err((reason.into(), hint.into()))
}

/// A valid address without its scheme.
fn plain<'a>(address: &'a str, protocol: &str) -> Result<&'a str, AddressError> {
    let Some((scheme, rest)) = address.split_once("://") else {
        check(address)?;
        return Ok(address);
    };
    let alone = printable(rest.trim_end_matches('/'));
    let asked = scheme.to_ascii_lowercase();
    if !PROTOCOLS.contains(&asked.as_str()) {
        return invalid(
            format!("{}:// is not a Kafka protocol", printable(scheme)),
            format!("give the address without a scheme: {alone}"),
        );
    }
    if asked != protocol {
        let login = if asked.starts_with("sasl") { ", sasl.mechanism and the credentials" } else { "" };
        let hint = format!("set -X security.protocol={asked}{login}, and give the address without a scheme: {alone}");
        return invalid(
            format!("the scheme is {asked}, but security.protocol is {protocol}"),
            if asked.ends_with("ssl") { tls_hint(&hint) } else { hint },
        );
    }
    check(rest)?;
    Ok(rest)
}

/// Checks a host with an optional port.
fn check(address: &str) -> Result<(), AddressError> {
    if let Some(inner) = address.strip_prefix('[') {
        let Some((inner, rest)) = inner.split_once(']') else {
            return invalid("the bracket [ is not closed", "an IPv6 address is written as in [::1]:9092");
        };
        let number = inner.split_once('%').map_or(inner, |(number, _)| number);
        if number.parse::<Ipv6Addr>().is_err() {
            return invalid(
                "the brackets contain no IPv6 address",
                "write an IPv6 address as in [::1]:9092, and a host as in localhost:9092",
            );
        }
        return match rest.strip_prefix(':') {
            Some(port) => check_port(port, &format!("[{inner}]")),
            None if rest.is_empty() => Ok(()),
            None => invalid("only a port can follow the bracket ]", format!("as in [{}]:9092", printable(inner))),
        };
    }
    if address.contains(['[', ']']) {
        return invalid("the brackets do not match", "an IPv6 address is written as in [::1]:9092");
    }
    if address.parse::<Ipv6Addr>().is_ok() {
        return invalid(
            "an IPv6 address needs brackets",
            format!("write [{address}], or with its port as in [::1]:9092"),
        );
    }
    match address.split_once(':') {
        None => check_host(address, None),
        Some((_, port)) if port.contains(':') => {
            invalid("more than one colon", "an address is host:port; separate several with commas")
        }
        Some((host, port)) => {
            check_host(host, Some(port))?;
            check_port(port, host)
        }
    }
}

fn check_host(host: &str, port: Option<&str>) -> Result<(), AddressError> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if host.is_empty() && port.is_none() {
        return invalid("the host is missing", "as in localhost:9092");
    }
    if host.is_empty() {
        let port = port.filter(|port| digits(port)).unwrap_or("9092");
        return invalid("the host before the colon is missing", format!("as in localhost:{port}"));
    }
    if host == "embedded" {
        return invalid(
            "`embedded` must be the only address",
            "omit it or the others; a host of this name needs its domain",
        );
    }
    if port.is_none() && digits(host) {
        return invalid("this is a port without a host", format!("as in localhost:{host}"));
    }
    let allowed = |char: char| char.is_alphanumeric() || matches!(char, '.' | '-' | '_');
    if let Some(other) = host.chars().find(|char| !allowed(*char)) {
        let reason = match other {
            char if char.is_whitespace() => "it contains a space".to_owned(),
            other => format!("a host name cannot contain {}", printable(&other.to_string())),
        };
        return invalid(reason, "an address is host:port, as in localhost:9092; separate several with commas");
    }
    let number = host.contains('.') && host.chars().all(|char| char.is_ascii_digit() || char == '.');
    if number && host.parse::<Ipv4Addr>().is_err() {
        return invalid("this is not an IPv4 address", "it has four numbers from 0 to 255, as in 127.0.0.1:9092");
    }
    Ok(())
}

fn check_port(port: &str, host: &str) -> Result<(), AddressError> {
    let as_in = || format!("as in {}:9092", printable(host));
    if port.is_empty() {
        return invalid("the port after the colon is missing", as_in());
    }
    let number = port.bytes().all(|byte| byte.is_ascii_digit()).then(|| port.parse::<u16>().ok()).flatten();
    match number {
        Some(1..) => Ok(()),
        _ => invalid("the port is not a number from 1 to 65535", as_in()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::{BUILD_WITH_TLS, HAS_TLS};

    #[test]
    fn accepts_addresses_with_spaces_and_schemes() {
        for (servers, protocol, taken) in [
            ("localhost:9092", "plaintext", &["localhost:9092"][..]),
            ("localhost", "plaintext", &["localhost"]),
            ("kafka_1.example-lab.org:65535", "plaintext", &["kafka_1.example-lab.org:65535"]),
            ("127.0.0.1:1", "plaintext", &["127.0.0.1:1"]),
            ("[::1]:9092", "plaintext", &["[::1]:9092"]),
            ("[fe80::1%eth0]", "plaintext", &["[fe80::1%eth0]"]),
            ("bücher.example:9092", "plaintext", &["bücher.example:9092"]),
            ("embedded.example.org:9092", "plaintext", &["embedded.example.org:9092"]),
            (" a:1, b:2 ,,c,", "plaintext", &["a:1", "b:2", "c"]),
            ("PLAINTEXT://a:1", "plaintext", &["a:1"]),
            ("SASL_SSL://a:1,b:2,sasl_ssl://[::1]", "sasl_ssl", &["a:1", "b:2", "[::1]"]),
            (" , ", "plaintext", &[]),
        ] {
            assert_eq!(
                read(servers, protocol).as_deref(),
                Ok(taken.iter().map(|&a| a.to_owned()).collect::<Vec<_>>().as_slice()),
                "{servers}"
            );
        }
    }

    /// Address, reason and hint.
    const MALFORMED: &[(&str, &str, &str)] = &[
        ("h:99999", "the port is not a number from 1 to 65535", "as in h:9092"),
        ("h:0", "the port is not a number", "as in h:9092"),
        ("h:65536", "the port is not a number", "as in h:9092"),
        ("h:+9092", "the port is not a number", "as in h:9092"),
        ("h:-1", "the port is not a number", "as in h:9092"),
        ("h:kafka", "the port is not a number", "as in h:9092"),
        ("h:9092/", "the port is not a number", "as in h:9092"),
        ("h:9092 9093", "the port is not a number", "as in h:9092"),
        ("h:", "the port after the colon is missing", "as in h:9092"),
        ("[::1]:", "the port after the colon is missing", "as in [::1]:9092"),
        ("[::1]:x", "the port is not a number", "as in [::1]:9092"),
        (":9093", "the host before the colon is missing", "as in localhost:9093"),
        (":", "the host before the colon is missing", "as in localhost:9092"),
        ("9092", "this is a port without a host", "as in localhost:9092"),
        ("a b:1", "it contains a space", "host:port, as in localhost:9092"),
        ("a:1 b:2", "more than one colon", "separate several with commas"),
        ("a;b", "a host name cannot contain ;", "separate several with commas"),
        ("h/path:1", "a host name cannot contain /", "host:port"),
        ("bootstrap.servers=h:1", "a host name cannot contain =", "host:port"),
        ("h\u{7}:1", "a host name cannot contain", "host:port"),
        ("h:1:2", "more than one colon", "host:port"),
        ("300.1.1.1:1", "this is not an IPv4 address", "from 0 to 255"),
        ("10.0.0:1", "this is not an IPv4 address", "from 0 to 255"),
        ("::1", "an IPv6 address needs brackets", "write [::1]"),
        ("[::1:9092", "the bracket [ is not closed", "as in [::1]:9092"),
        ("::1]:9092", "the brackets do not match", "as in [::1]:9092"),
        ("h]:9092", "the brackets do not match", "as in [::1]:9092"),
        ("[localhost]:9092", "the brackets contain no IPv6 address", "localhost:9092"),
        ("[]:9092", "the brackets contain no IPv6 address", "[::1]:9092"),
        ("[::1]9092", "only a port can follow the bracket ]", "as in [::1]:9092"),
        ("embedded", "`embedded` must be the only address", "needs its domain"),
        ("http://h:1", "http:// is not a Kafka protocol", "without a scheme: h:1"),
        ("https://h:1/", "https:// is not a Kafka protocol", "without a scheme: h:1"),
        ("kafka://h", "kafka:// is not a Kafka protocol", "without a scheme: h"),
        ("://h:1", ":// is not a Kafka protocol", "without a scheme: h:1"),
        ("PLAINTEXT://h:0", "the port is not a number", "as in h:9092"),
        ("PLAINTEXT://", "the host is missing", "as in localhost:9092"),
        (
            "SASL_SSL://h:1",
            "the scheme is sasl_ssl, but security.protocol is plaintext",
            "-X security.protocol=sasl_ssl, sasl.mechanism and the credentials, and give the address without a scheme: h:1",
        ),
        (
            "SSL://h:1",
            "the scheme is ssl, but security.protocol is plaintext",
            "-X security.protocol=ssl, and give the address without a scheme: h:1",
        ),
    ];

    #[test]
    fn a_malformed_address_comes_with_a_fix() {
        for (text, reason, hint) in MALFORMED {
            for servers in [(*text).to_owned(), format!("good:9092, {text}")] {
                let malformed = read(&servers, "plaintext").expect_err(text);
                assert_eq!(malformed.address, printable(text), "{servers}");
                assert!(malformed.reason.contains(reason), "{servers}: {malformed:?}");
                assert!(malformed.hint.contains(hint), "{servers}: {malformed:?}");
            }
        }
        assert!(read("PLAINTEXT://h:1", "ssl").is_err());
        let hint = |servers, protocol| read(servers, protocol).expect_err("refused").hint;
        assert_eq!(hint("SSL://h:1", "plaintext").starts_with(BUILD_WITH_TLS), !HAS_TLS);
        assert!(hint("SASL_PLAINTEXT://h:1", "plaintext").starts_with("set -X"));
    }
}
