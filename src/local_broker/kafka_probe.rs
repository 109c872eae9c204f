//! Probe for a Kafka at an address: one `ApiVersions` request, with a timeout.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::clock::Deadline;

/// How long a Kafka may take to answer.
pub const BOUND: Duration = Duration::from_millis(500);

/// Kafka's port on both loopback addresses, either of which `localhost` may be.
pub const LOCALHOST: [&str; 2] = ["127.0.0.1:9092", "[::1]:9092"];

const CORRELATION: u32 = 0x666f_6f64;

/// Whether a Kafka answers at one of these addresses, within one timeout for all of them.
#[must_use]
pub fn any_answers(addresses: &[SocketAddr], bound: Duration) -> bool {
    let deadline = Deadline::after(bound);
    addresses.iter().any(|address| ask(*address, &deadline).unwrap_or(false))
}

/// `ApiVersions` version 0, which every Kafka since 0.10 answers.
fn request() -> Vec<u8> {
    const CLIENT: &[u8] = b"foodstream";
    let mut body = Vec::new();
    body.extend_from_slice(&18_i16.to_be_bytes());
    body.extend_from_slice(&0_i16.to_be_bytes());
    body.extend_from_slice(&CORRELATION.to_be_bytes());
    body.extend_from_slice(&10_i16.to_be_bytes());
    body.extend_from_slice(CLIENT);
    let mut frame = u32::try_from(body.len()).unwrap_or_default().to_be_bytes().to_vec();
    frame.extend_from_slice(&body);
    frame
}

fn ask(address: SocketAddr, deadline: &Deadline) -> io::Result<bool> {
    let mut stream = TcpStream::connect_timeout(&address, remaining(deadline)?)?;
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(remaining(deadline)?))?;
    stream.write_all(&request())?;
    // Length, correlation id, error code: no other protocol answers with these.
    let mut head = [0; 10];
    let mut got = 0;
    while got < head.len() {
        stream.set_read_timeout(Some(remaining(deadline)?))?;
        match stream.read(&mut head[got..])? {
            0 => return Ok(false),
            more => got += more,
        }
    }
    let [l0, l1, l2, l3, c0, c1, c2, c3, e0, e1] = head;
    let length = u32::from_be_bytes([l0, l1, l2, l3]);
    let correlation = u32::from_be_bytes([c0, c1, c2, c3]);
    Ok((6..65_536).contains(&length) && correlation == CORRELATION && [e0, e1] == [0, 0])
}

/// The remaining time, never zero, which sockets reject.
fn remaining(deadline: &Deadline) -> io::Result<Duration> {
    let remaining = deadline.remaining();
    if remaining.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(remaining) }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// A server that accepts one connection and passes it to `serve`.
    fn peer(serve: impl FnOnce(TcpStream) + Send + 'static) -> (SocketAddr, thread::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let address = listener.local_addr().expect("an address");
        (address, thread::spawn(move || serve(listener.accept().expect("asked").0)))
    }

    fn kafka(mut stream: TcpStream) {
        let mut asked = [0; 24];
        stream.read_exact(&mut asked).expect("a request");
        assert_eq!(asked[..8], [0, 0, 0, 20, 0, 18, 0, 0], "20 bytes of ApiVersions, version 0");
        let mut reply = vec![0, 0, 0, 10];
        reply.extend_from_slice(&asked[8..12]);
        reply.extend_from_slice(&[0, 0, 0, 0, 0, 0]);
        for byte in reply {
            // The client may close the connection before the end.
            drop(stream.write_all(&[byte]));
        }
    }

    #[test]
    fn recognises_a_kafka_that_answers_byte_by_byte() {
        let (address, peer) = peer(kafka);
        assert!(any_answers(&[address], Duration::from_secs(30)));
        peer.join().expect("asked rightly");
    }

    #[test]
    fn tries_the_second_address_after_a_refusal() {
        let refusing = TcpListener::bind("127.0.0.1:0").expect("bound").local_addr().expect("an address");
        let (address, peer) = peer(kafka);
        assert!(any_answers(&[refusing, address], Duration::from_secs(30)));
        peer.join().expect("asked rightly");
        assert!(!any_answers(&[refusing], Duration::from_secs(30)));
    }

    #[test]
    fn other_protocols_and_silence_are_not_kafka() {
        let (address, web) = peer(|mut stream| {
            let _asked = stream.read(&mut [0; 64]).expect("a request");
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").expect("answered");
        });
        assert!(!any_answers(&[address], Duration::from_secs(30)));
        web.join().expect("asked");
        let (address, closing) = peer(drop);
        assert!(!any_answers(&[address], Duration::from_secs(30)));
        closing.join().expect("asked");
        let mute = TcpListener::bind("127.0.0.1:0").expect("bound");
        assert!(!any_answers(&[mute.local_addr().expect("an address")], Duration::from_millis(20)));
    }
}
