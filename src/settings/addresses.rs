//! Owns the addresses of brokers as they were said: each one checked before a broker is asked, and told with its fix.
//!
//! The client library takes most of what is malformed, and looks for it until its time is up: port 99999 is 34463 to it.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::report::printable;

/// The values of `security.protocol`, which the library also takes as the scheme of an address.
const PROTOCOLS: [&str; 4] = ["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"];

/// Why an address is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct InvalidAddress {
    /// The address as it was said.
    pub address: String,
    /// What is wrong with it.
    pub reason: String,
    /// What to write instead.
    pub hint: String,
}

/// The addresses of a list, without blanks and schemes; `protocol` is the value of `security.protocol`, in lower case.
pub(super) fn read(servers: &str, protocol: &str) -> Result<Vec<String>, InvalidAddress> {
    let said = servers.split(',').map(str::trim).filter(|address| !address.is_empty());
    said.map(|address| match plain(address, protocol) {
        Ok(plain) => Ok(plain.to_owned()),
        Err((reason, hint)) => Err(InvalidAddress { address: printable(address).into_owned(), reason, hint }),
    })
    .collect()
}

type AddressError = (String, String);

fn wrong<T>(reason: impl Into<String>, hint: impl Into<String>) -> Result<T, AddressError> {
    Err((reason.into(), hint.into()))
}

/// An address without its scheme, if it is one.
fn plain<'a>(address: &'a str, protocol: &str) -> Result<&'a str, AddressError> {
    let Some((scheme, rest)) = address.split_once("://") else {
        check(address)?;
        return Ok(address);
    };
    let alone = printable(rest.trim_end_matches('/'));
    let asked = scheme.to_ascii_lowercase();
    if !PROTOCOLS.contains(&asked.as_str()) {
        return wrong(
            format!("{}:// is not a protocol of Kafka", printable(scheme)),
            format!("give the address without a scheme: {alone}"),
        );
    }
    if asked != protocol {
        let login = if asked.starts_with("sasl") { ", sasl.mechanism and the login" } else { "" };
        return wrong(
            format!("the scheme is {asked}, and security.protocol is {protocol}"),
            format!("set -X security.protocol={asked}{login}, and give the address without a scheme: {alone}"),
        );
    }
    check(rest)?;
    Ok(rest)
}

/// Checks a host with or without a port.
fn check(address: &str) -> Result<(), AddressError> {
    if let Some(inner) = address.strip_prefix('[') {
        let Some((inner, rest)) = inner.split_once(']') else {
            return wrong("the bracket [ is not closed", "an IPv6 address is written as in [::1]:9092");
        };
        let number = inner.split_once('%').map_or(inner, |(number, _)| number);
        if number.parse::<Ipv6Addr>().is_err() {
            return wrong(
                "there is no IPv6 address in the brackets",
                "write one as in [::1]:9092, and a host as in localhost:9092",
            );
        }
        return match rest.strip_prefix(':') {
            Some(port) => check_port(port, &format!("[{inner}]")),
            None if rest.is_empty() => Ok(()),
            None => wrong("after the bracket ] only a port can follow", format!("as in [{}]:9092", printable(inner))),
        };
    }
    if address.contains(['[', ']']) {
        return wrong("a bracket without its pair", "an IPv6 address is written as in [::1]:9092");
    }
    if address.parse::<Ipv6Addr>().is_ok() {
        return wrong(
            "an IPv6 address needs brackets",
            format!("write [{address}], or with its port as in [::1]:9092"),
        );
    }
    match address.split_once(':') {
        None => check_host(address, None),
        Some((_, port)) if port.contains(':') => {
            wrong("more than one colon", "an address is host:port; several are separated by commas")
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
        return wrong("there is no host", "as in localhost:9092");
    }
    if host.is_empty() {
        let port = port.filter(|port| digits(port)).unwrap_or("9092");
        return wrong("there is no host before the colon", format!("as in localhost:{port}"));
    }
    if host == "embedded" {
        return wrong(
            "`embedded` is the embedded broker, and stands alone",
            "leave it or the others out; a host of this name needs its domain",
        );
    }
    if port.is_none() && digits(host) {
        return wrong("this is a port without a host", format!("as in localhost:{host}"));
    }
    let in_a_host = |char: char| char.is_alphanumeric() || matches!(char, '.' | '-' | '_');
    if let Some(other) = host.chars().find(|char| !in_a_host(*char)) {
        let reason = match other {
            char if char.is_whitespace() => "there is a blank in it".to_owned(),
            other => format!("{} cannot be in the name of a host", printable(&other.to_string())),
        };
        return wrong(reason, "an address is host:port, as in localhost:9092; several are separated by commas");
    }
    let number = host.contains('.') && host.chars().all(|char| char.is_ascii_digit() || char == '.');
    if number && host.parse::<Ipv4Addr>().is_err() {
        return wrong("this is not an IPv4 address", "it has four numbers from 0 to 255, as in 127.0.0.1:9092");
    }
    Ok(())
}

fn check_port(port: &str, host: &str) -> Result<(), AddressError> {
    let as_in = || format!("as in {}:9092", printable(host));
    if port.is_empty() {
        return wrong("there is no port after the colon", as_in());
    }
    let number = port.bytes().all(|byte| byte.is_ascii_digit()).then(|| port.parse::<u16>().ok()).flatten();
    match number {
        Some(1..) => Ok(()),
        _ => wrong("the port is not a number from 1 to 65535", as_in()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_an_address_is_taken_without_blanks_and_schemes() {
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

    /// What is said, what is wrong with it, and what to write instead.
    const MALFORMED: &[(&str, &str, &str)] = &[
        ("h:99999", "the port is not a number from 1 to 65535", "as in h:9092"),
        ("h:0", "the port is not a number", "as in h:9092"),
        ("h:65536", "the port is not a number", "as in h:9092"),
        ("h:+9092", "the port is not a number", "as in h:9092"),
        ("h:-1", "the port is not a number", "as in h:9092"),
        ("h:kafka", "the port is not a number", "as in h:9092"),
        ("h:9092/", "the port is not a number", "as in h:9092"),
        ("h:9092 9093", "the port is not a number", "as in h:9092"),
        ("h:", "there is no port after the colon", "as in h:9092"),
        ("[::1]:", "there is no port after the colon", "as in [::1]:9092"),
        ("[::1]:x", "the port is not a number", "as in [::1]:9092"),
        (":9093", "there is no host before the colon", "as in localhost:9093"),
        (":", "there is no host before the colon", "as in localhost:9092"),
        ("9092", "this is a port without a host", "as in localhost:9092"),
        ("a b:1", "there is a blank in it", "host:port, as in localhost:9092"),
        ("a:1 b:2", "more than one colon", "several are separated by commas"),
        ("a;b", "; cannot be in the name of a host", "several are separated by commas"),
        ("h/path:1", "/ cannot be in the name of a host", "host:port"),
        ("bootstrap.servers=h:1", "= cannot be in the name of a host", "host:port"),
        ("h\u{7}:1", "cannot be in the name of a host", "host:port"),
        ("h:1:2", "more than one colon", "host:port"),
        ("300.1.1.1:1", "this is not an IPv4 address", "from 0 to 255"),
        ("10.0.0:1", "this is not an IPv4 address", "from 0 to 255"),
        ("::1", "an IPv6 address needs brackets", "write [::1]"),
        ("[::1:9092", "the bracket [ is not closed", "as in [::1]:9092"),
        ("::1]:9092", "a bracket without its pair", "as in [::1]:9092"),
        ("h]:9092", "a bracket without its pair", "as in [::1]:9092"),
        ("[localhost]:9092", "there is no IPv6 address in the brackets", "localhost:9092"),
        ("[]:9092", "there is no IPv6 address in the brackets", "[::1]:9092"),
        ("[::1]9092", "after the bracket ] only a port can follow", "as in [::1]:9092"),
        ("embedded", "`embedded` is the embedded broker, and stands alone", "needs its domain"),
        ("http://h:1", "http:// is not a protocol of Kafka", "without a scheme: h:1"),
        ("https://h:1/", "https:// is not a protocol of Kafka", "without a scheme: h:1"),
        ("kafka://h", "kafka:// is not a protocol of Kafka", "without a scheme: h"),
        ("://h:1", ":// is not a protocol of Kafka", "without a scheme: h:1"),
        ("PLAINTEXT://h:0", "the port is not a number", "as in h:9092"),
        ("PLAINTEXT://", "there is no host", "as in localhost:9092"),
        (
            "SASL_SSL://h:1",
            "the scheme is sasl_ssl, and security.protocol is plaintext",
            "-X security.protocol=sasl_ssl, sasl.mechanism and the login, and give the address without a scheme: h:1",
        ),
        (
            "SSL://h:1",
            "the scheme is ssl, and security.protocol is plaintext",
            "-X security.protocol=ssl, and give the address without a scheme: h:1",
        ),
    ];

    #[test]
    fn what_is_no_address_is_told_with_its_fix_wherever_it_stands() {
        for (said, reason, hint) in MALFORMED {
            for servers in [(*said).to_owned(), format!("good:9092, {said}")] {
                let malformed = read(&servers, "plaintext").expect_err(said);
                assert_eq!(malformed.address, printable(said), "{servers}");
                assert!(malformed.reason.contains(reason), "{servers}: {malformed:?}");
                assert!(malformed.hint.contains(hint), "{servers}: {malformed:?}");
            }
        }
        assert!(read("PLAINTEXT://h:1", "ssl").is_err());
    }
}
