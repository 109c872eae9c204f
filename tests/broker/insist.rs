//! Owns the second signal: a command whose broker has frozen cannot finish in order, and ends at once when told twice.
#![allow(clippy::disallowed_methods, reason = "how promptly a command ends is what is measured")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::Case;
use super::support::{Lab, until};

pub const CASES: &[Case] = &[("insist::a_second_signal_ends_a_command_at_once", second_signal)];

/// The broker behind an address of its own, which can be made to fall silent.
struct Proxy {
    address: String,
    frozen: Arc<AtomicBool>,
}

impl Proxy {
    fn before(broker: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let own = listener.local_addr().expect("an address").port();
        let (broker, frozen) = (broker.to_owned(), Arc::new(AtomicBool::new(false)));
        let proxy = Self { address: format!("127.0.0.1:{own}"), frozen: Arc::clone(&frozen) };
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (client, server) =
                    (client.expect("a client"), TcpStream::connect(&broker).expect("the broker is there"));
                let pairs = [(&client, &server), (&server, &client)];
                for (from, to) in pairs {
                    let (from, to) = (from.try_clone().expect("cloned"), to.try_clone().expect("cloned"));
                    let (broker, frozen) = (broker.clone(), Arc::clone(&frozen));
                    std::thread::spawn(move || drop(pass(from, to, &broker, own, &frozen)));
                }
            }
        });
        proxy
    }
}

/// Passes on whole requests and replies; where a reply tells the broker's address it tells the proxy's instead.
fn pass(mut from: TcpStream, mut to: TcpStream, broker: &str, own: u16, frozen: &AtomicBool) -> std::io::Result<()> {
    let port: u16 = broker.rsplit(':').next().and_then(|port| port.parse().ok()).expect("host:port");
    let address = |host: &[u8], port: u16| [host, &u32::from(port).to_be_bytes()].concat();
    loop {
        let mut length = [0; 4];
        from.read_exact(&mut length)?;
        let mut frame = vec![0; usize::try_from(u32::from_be_bytes(length)).expect("fits")];
        from.read_exact(&mut frame)?;
        for host in ["127.0.0.1", "localhost"] {
            let (told, instead) = (address(host.as_bytes(), port), address(host.as_bytes(), own));
            while let Some(at) = frame.windows(told.len()).position(|window| window == told) {
                frame[at..at + told.len()].copy_from_slice(&instead);
            }
        }
        while frozen.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(5));
        }
        to.write_all(&length)?;
        to.write_all(&frame)?;
    }
}

fn second_signal(lab: &Lab) {
    lab.run("produce --count 3000 --seed 1 --partitions 1").expect(0);
    for (words, topic, first, second, code) in [
        ("produce --rate 300/s --count 100000", "order-events", Signal::INT, Signal::INT, 130),
        ("inventory --throttle 200/s", "inventory-events", Signal::INT, Signal::TERM, 143),
        ("analytics --throttle 200/s", "analytics-state", Signal::HUP, Signal::INT, 130),
    ] {
        let proxy = Proxy::before(&lab.broker);
        let before = if lab.topics().contains(&lab.topic(topic)) { lab.watermarks(topic)[0].1 } else { 0 };
        let mut behind = lab.other("");
        behind.prefix.clone_from(&lab.prefix);
        behind.broker.clone_from(&proxy.address);
        let mut running = behind.start(words);
        until("it is at work", || {
            (lab.topics().contains(&lab.topic(topic)) && lab.watermarks(topic)[0].1 > before).then_some(())
        });
        proxy.frozen.store(true, Ordering::Relaxed);
        // Without an open transaction or records on their way there would be nothing to finish.
        let frozen = Instant::now();
        until("it has had time to take more", || (frozen.elapsed() > Duration::from_millis(400)).then_some(()));
        let asked = Instant::now();
        running.signal(first);
        // A terminal that closes sends two of these, and a service manager one after its SIGTERM: no hurry is meant.
        running.signal(Signal::HUP);
        running.signal(Signal::HUP);
        until("it has had time to end", || {
            assert!(!running.has_ended(), "`{words}` ended without the broker's word");
            (asked.elapsed() > Duration::from_millis(800)).then_some(())
        });
        let insisted = Instant::now();
        running.signal(second);
        let run = running.end().expect(code);
        assert!(insisted.elapsed() < Duration::from_secs(2), "`{words}`: {:?}", insisted.elapsed());
        assert!(!run.stderr.contains("panicked"), "{}", run.stderr);
    }
}
