//! Owns the second signal: a command whose broker has frozen cannot finish in order, and ends at once when told twice.
#![allow(clippy::disallowed_methods, reason = "how promptly a command ends is what is measured")]

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::Case;
use super::proxy::Proxy;
use super::support::{Lab, until};

pub const CASES: &[Case] = &[("insist::a_second_signal_ends_a_command_at_once", second_signal)];

fn second_signal(lab: &Lab) {
    lab.run("produce --count 3000 --seed 1 --partitions 1").expect(0);
    for (words, topic, first, second, code) in [
        ("produce --rate 300/s --count 100000", "order-events", Signal::INT, Signal::INT, 130),
        ("inventory --throttle 200/s", "inventory-events", Signal::INT, Signal::TERM, 143),
        ("analytics --throttle 200/s", "analytics-state", Signal::HUP, Signal::INT, 130),
    ] {
        let proxy = Proxy::new(&lab.broker);
        let before = if lab.topics().contains(&lab.topic(topic)) { lab.watermarks(topic)[0].1 } else { 0 };
        let behind = lab.through(&proxy.address());
        let mut running = behind.start(words);
        until("it is at work", || {
            assert!(!running.has_ended(), "`{words}` ended by itself");
            (lab.topics().contains(&lab.topic(topic)) && lab.watermarks(topic)[0].1 > before).then_some(())
        });
        proxy.stall();
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
