//! X.509 certificates, read as far as error messages need it: subject, issuer, host names, expiry.
//!
//! Nothing is verified here; OpenSSL does that.

use super::connection::Connection;

/// The fields of a certificate that messages show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Certificate {
    /// The distinguished name as Java writes it (RFC 2253), which is the principal of a client with this certificate.
    pub subject: String,
    pub issuer: String,
    /// The alternative names, or else the subject's common name.
    pub hosts: Vec<String>,
    /// The end of its validity in UTC: `2026-11-23 04:51:15`.
    pub until: String,
}

/// The client certificate of a connection.
pub(super) enum ClientCertificate {
    /// Not configured.
    None,
    /// Configured, but not readable here: a PKCS#12 store, a bad PEM text, a missing file. With the property or file
    /// that has it.
    Unparsed(String),
    Parsed {
        certificate: Certificate,
        file: String,
    },
}

/// The client certificate that the connection's properties name.
pub(super) fn of_client(connection: &Connection) -> ClientCertificate {
    let set = |name: &str| connection.property(name).filter(|value| !value.is_empty());
    if let Some(file) = set("ssl.certificate.location") {
        let read = std::fs::read_to_string(file).ok().and_then(|text| from_pem(&text));
        return match read {
            Some(certificate) => ClientCertificate::Parsed { certificate, file: file.to_owned() },
            None => ClientCertificate::Unparsed(file.to_owned()),
        };
    }
    if let Some(text) = set("ssl.certificate.pem") {
        let file = "ssl.certificate.pem".to_owned();
        return from_pem(text).map_or_else(
            || ClientCertificate::Unparsed(file.clone()),
            |certificate| ClientCertificate::Parsed { certificate, file: file.clone() },
        );
    }
    set("ssl.keystore.location").map_or(ClientCertificate::None, |file| ClientCertificate::Unparsed(file.to_owned()))
}

/// The first certificate of a PEM text.
pub(super) fn from_pem(text: &str) -> Option<Certificate> {
    let (_, rest) = text.split_once("-----BEGIN CERTIFICATE-----")?;
    let (body, _) = rest.split_once("-----END CERTIFICATE-----")?;
    from_der(&base64(body)?)
}

fn base64(text: &str) -> Option<Vec<u8>> {
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0u32, 0);
    for byte in text.bytes().filter(|byte| !byte.is_ascii_whitespace() && *byte != b'=') {
        let digit = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6 | u32::from(digit)) & 0xff_ffff;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).ok()?);
        }
    }
    Some(bytes)
}

/// A DER element: tag and content.
type Element<'a> = (u8, &'a [u8]);

/// Takes the next element; `None` at the end and for invalid DER.
fn next<'a>(bytes: &mut &'a [u8]) -> Option<Element<'a>> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let mut length = usize::from(first);
    if first >= 0x80 {
        let count = usize::from(first & 0x7f);
        let (digits, behind) = rest.split_at_checked(count)?;
        length = digits.iter().try_fold(0usize, |sum, digit| sum.checked_mul(256)?.checked_add(usize::from(*digit)))?;
        rest = behind;
    }
    let (content, behind) = rest.split_at_checked(length)?;
    *bytes = behind;
    Some((tag, content))
}

fn elements(mut bytes: &[u8]) -> impl Iterator<Item = Element<'_>> {
    std::iter::from_fn(move || next(&mut bytes))
}

const SEQUENCE: u8 = 0x30;
const COMMON_NAME: &[u8] = &[0x55, 4, 3];
const ALTERNATIVE_NAMES: &[u8] = &[0x55, 0x1d, 17];

/// Parses a certificate in DER, as TLS sends it.
pub(super) fn from_der(mut bytes: &[u8]) -> Option<Certificate> {
    let (_, mut outer) = next(&mut bytes)?;
    let (_, signed) = next(&mut outer)?;
    let mut fields = elements(signed).peekable();
    // The version is optional.
    fields.next_if(|(tag, _)| *tag == 0xa0);
    let mut after = fields.skip(2);
    let (_, issuer) = after.next()?;
    let (_, validity) = after.next()?;
    let (_, subject) = after.next()?;
    let extensions = after.find(|(tag, _)| *tag == 0xa3).map_or(&[][..], |(_, content)| content);
    let mut hosts = Vec::new();
    for (_, extension) in elements(extensions).flat_map(|(_, list)| elements(list)) {
        let mut parts = elements(extension);
        // An extension is an id, an optional flag (critical), and the value.
        if parts.next().is_some_and(|(_, id)| id == ALTERNATIVE_NAMES)
            && let Some((_, mut value)) = parts.last()
            && let Some((_, names)) = next(&mut value)
        {
            hosts.extend(elements(names).filter_map(host));
        }
    }
    if hosts.is_empty() {
        hosts.extend(attributes(subject).find(|(id, _)| *id == COMMON_NAME).map(|(_, (_, value))| text(value)));
    }
    let until = elements(validity).nth(1).map(|(tag, value)| moment(tag, &text(value)))?;
    Some(Certificate { subject: name(subject), issuer: name(issuer), hosts, until })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A DNS name or an IP address among the alternative names.
fn host((tag, value): Element<'_>) -> Option<String> {
    match (tag, value.len()) {
        (0x82, _) => Some(text(value)),
        (0x87, 4) => <[u8; 4]>::try_from(value).ok().map(|octets| std::net::Ipv4Addr::from(octets).to_string()),
        (0x87, 16) => <[u8; 16]>::try_from(value).ok().map(|octets| std::net::Ipv6Addr::from(octets).to_string()),
        _ => None,
    }
}

/// The attributes of a distinguished name in their order: object id, and the value with its tag.
fn attributes(name: &[u8]) -> impl Iterator<Item = (&[u8], Element<'_>)> {
    elements(name).flat_map(|(_, set)| elements(set)).filter(|(tag, _)| *tag == SEQUENCE).filter_map(|(_, pair)| {
        let mut parts = elements(pair);
        Some((parts.next()?.1, parts.next()?))
    })
}

/// A distinguished name as in RFC 2253: last attribute first.
fn name(bytes: &[u8]) -> String {
    let mut parts: Vec<String> = attributes(bytes)
        .map(|(id, (tag, value))| {
            let key = match id {
                [0x55, 4, 3] => "CN",
                [0x55, 4, 6] => "C",
                [0x55, 4, 7] => "L",
                [0x55, 4, 8] => "ST",
                [0x55, 4, 9] => "STREET",
                [0x55, 4, 10] => "O",
                [0x55, 4, 11] => "OU",
                // Other attributes as in Java: the object id, and the whole element in hexadecimal.
                _ => {
                    let length = u8::try_from(value.len()).unwrap_or(u8::MAX);
                    let head = [tag, length];
                    let whole = head.iter().chain(value);
                    return format!(
                        "{}=#{}",
                        dotted(id),
                        whole.map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
                    );
                }
            };
            format!("{key}={}", escaped(&text(value)))
        })
        .collect();
    parts.reverse();
    parts.join(",")
}

fn escaped(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for char in value.chars() {
        if ",+\"\\<>;".contains(char) {
            out.push('\\');
        }
        out.push(char);
    }
    out
}

fn dotted(id: &[u8]) -> String {
    let Some((first, rest)) = id.split_first() else { return String::new() };
    let mut out = format!("{}.{}", first / 40, first % 40);
    let mut number = 0u64;
    for byte in rest {
        number = number << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            out.push('.');
            out.push_str(&number.to_string());
            number = 0;
        }
    }
    out
}

/// Formats `YYMMDDhhmmssZ` or `YYYYMMDDhhmmssZ`.
fn moment(tag: u8, text: &str) -> String {
    const SHORT: u8 = 0x17;
    let whole = match (tag, text.as_bytes().first()) {
        (SHORT, Some(b'0'..b'5')) => format!("20{text}"),
        (SHORT, _) => format!("19{text}"),
        _ => text.to_owned(),
    };
    let part = |from: usize, to: usize| whole.get(from..to).unwrap_or("");
    format!("{}-{}-{} {}:{}:{}", part(0, 4), part(4, 6), part(6, 8), part(8, 10), part(10, 12), part(12, 14))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with openssl: several attributes, one with a comma, DNS names and addresses.
    const PEM: &str = "-----BEGIN CERTIFICATE-----\n\
MIICXTCCAgKgAwIBAgIUAvwNyROOaZ3IlzUXyulv0G0TV7UwCgYIKoZIzj0EAwIw\n\
YTELMAkGA1UEBhMCREUxEzARBgNVBAoMCkZvb2QsIEluYy4xDzANBgNVBAsMBnN0\n\
cmVhbTEWMBQGA1UEAwwNa2Fma2EuZXhhbXBsZTEUMBIGCSqGSIb3DQEJARYFYUBi\n\
LmMwHhcNMjYxMTIzMDUwMTI0WhcNMzYxMTIwMDUwMTI0WjBhMQswCQYDVQQGEwJE\n\
RTETMBEGA1UECgwKRm9vZCwgSW5jLjEPMA0GA1UECwwGc3RyZWFtMRYwFAYDVQQD\n\
DA1rYWZrYS5leGFtcGxlMRQwEgYJKoZIhvcNAQkBFgVhQGIuYzBZMBMGByqGSM49\n\
AgEGCCqGSM49AwEHA0IABLH0DBRq+2j8jHlfbolp5Zl+aNx9QNvA/gED7X2KEu9f\n\
lGqAokM3BScIHqR2GHXxpGPpqFvP2krvREgH3TOcBy+jgZcwgZQwHQYDVR0OBBYE\n\
FAdvehq+SFB1ythoNz90ramL5IHjMB8GA1UdIwQYMBaAFAdvehq+SFB1ythoNz90\n\
ramL5IHjMA8GA1UdEwEB/wQFMAMBAf8wQQYDVR0RBDowOIINa2Fma2EuZXhhbXBs\n\
ZYIPKi5rYWZrYS5leGFtcGxlhwQKAAAHhxAAAAAAAAAAAAAAAAAAAAABMAoGCCqG\n\
SM49BAMCA0kAMEYCIQCCkBgOdam3nv4TDzoClrh57Kw1rhHhefJR3nFfjpkOHQIh\n\
APf5keJ36yCYpHn3+v9uwRDdUVc/NF1Zb7ePvhOgMpKO\n\
-----END CERTIFICATE-----\n";

    #[test]
    fn reads_names_as_openssl_and_java_show_them() {
        let certificate = from_pem(PEM).expect("read");
        let subject = r"1.2.840.113549.1.9.1=#16056140622e63,CN=kafka.example,OU=stream,O=Food\, Inc.,C=DE";
        assert_eq!(certificate.subject, subject);
        assert_eq!(certificate.issuer, certificate.subject);
        assert_eq!(certificate.hosts, ["kafka.example", "*.kafka.example", "10.0.0.7", "::1"]);
        assert_eq!(certificate.until, "2036-11-20 05:01:24");
    }

    #[test]
    fn damaged_input_is_rejected_without_panic() {
        let der = base64(&PEM.lines().filter(|line| !line.starts_with('-')).collect::<String>()).expect("base64");
        for length in 0..der.len() {
            // Cut at any byte, and with any byte changed.
            let mut bent = der.clone();
            bent[length] = bent[length].wrapping_add(0x7f);
            let read = [from_der(&der[..length]), from_der(&bent)];
            assert!(length > 300 || read[0].is_none() || read[0] != from_der(&der));
        }
        assert_eq!(from_pem("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----"), None);
        assert_eq!(from_pem("no certificate"), None);
    }
}
