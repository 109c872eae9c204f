//! Client ids with control characters, in the log of a broker process.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Stdio;

use rustix::process::Signal;

use super::hostile::{HOSTILE, assert_printable};
use super::{Foreground, WorkDir, signal, until};

/// A `Metadata` request for no topics, with this client id.
fn request(id: &str) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend(3_i16.to_be_bytes());
    body.extend(1_i16.to_be_bytes());
    body.extend(1_i32.to_be_bytes());
    body.extend(i16::try_from(id.len()).expect("short").to_be_bytes());
    body.extend(id.as_bytes());
    body.extend(0_i32.to_be_bytes());
    [&u32::try_from(body.len()).expect("short").to_be_bytes()[..], &body].concat()
}

#[test]
fn client_ids_are_escaped() {
    let dir = WorkDir::new();
    let log = dir.path("stderr");
    let mut command = dir.command("broker -v --memory --listen 127.0.0.1:0");
    command.stderr(Stdio::from(std::fs::File::create(&log).expect("a file")));
    let broker = Foreground::of(command);
    let mut client = TcpStream::connect(broker.address()).expect("connected");
    client.write_all(&request(HOSTILE)).expect("sent");
    client.read_exact(&mut [0; 4]).expect("answered");
    drop(client);
    let read = || std::fs::read_to_string(&log).expect("read");
    until("the client id is logged", || read().contains("]52;c;eHh4").then_some(()));
    signal(broker.pid(), Signal::TERM);
    assert_eq!(broker.ended(), 0);
    assert_printable(&read(), "the broker's log");
}
