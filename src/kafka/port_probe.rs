//! Port probe: whether a port speaks TLS, or Kafka's protocol in plaintext.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// The timeout of a probe.
pub(super) const LIMIT: Duration = Duration::from_secs(2);

/// Sends bytes to a port and reads an answer of `N` bytes.
fn asked<const N: usize>(address: &str, question: &[u8]) -> Option<[u8; N]> {
    let address = address.to_socket_addrs().ok()?.next()?;
    let mut stream = TcpStream::connect_timeout(&address, LIMIT).ok()?;
    stream.set_read_timeout(Some(LIMIT)).ok()?;
    stream.set_write_timeout(Some(LIMIT)).ok()?;
    stream.write_all(question).ok()?;
    let mut answer = [0; N];
    stream.read_exact(&mut answer).ok()?;
    Some(answer)
}

/// Whether a port answers a TLS `ClientHello` in TLS.
pub(super) fn answers_tls(address: &str) -> bool {
    const HANDSHAKE: u8 = 22;
    const ALERT: u8 = 21;
    matches!(asked::<1>(address, &client_hello()), Some([HANDSHAKE | ALERT]))
}

/// Whether a port answers a plaintext Kafka request. Only a failed TLS handshake asks for it.
#[cfg(any(feature = "tls", test))]
pub(super) fn answers_kafka(address: &str) -> bool {
    // Size 10, api key 18 (ApiVersions), version 0, correlation id 7, no client id. The response starts with a size and
    // the correlation id.
    let question = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 0xff, 0xff];
    asked::<8>(address, &question).is_some_and(|answer| answer[4..] == [0, 0, 0, 7])
}

/// A minimal TLS 1.2 `ClientHello` that a server answers.
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

    #[test]
    fn recognises_tls_and_kafka() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
        let address = listener.local_addr().expect("an address").to_string();
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
            assert_eq!(answers_tls(&address), tls);
            thread.join().expect("answered");
            let thread = answer(bytes);
            assert_eq!(answers_kafka(&address), kafka);
            thread.join().expect("answered");
        }
        assert!(!answers_tls("127.0.0.1:1"));
    }
}
