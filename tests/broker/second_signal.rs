//! A second signal while the broker does not respond: the command cannot finish its work, and ends at once.
#![allow(clippy::disallowed_methods, reason = "measures how promptly a command ends")]

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::Case;
use super::proxy::Proxy;
use super::support::{TestEnv, until};

pub const CASES: &[Case] = &[("second_signal::ends_a_command_at_once", second_signal)];

fn second_signal(env: &TestEnv) {
    env.run("produce --count 3000 --seed 1 --partitions 1").expect(0);
    for (args, topic, first, second, code) in [
        ("produce --rate 300/s --count 100000", "order-events", Signal::INT, Signal::INT, 130),
        ("inventory --throttle 200/s", "inventory-events", Signal::INT, Signal::TERM, 143),
        ("analytics --throttle 200/s", "analytics-state", Signal::HUP, Signal::INT, 130),
    ] {
        let proxy = Proxy::new(&env.broker);
        let before = if env.topics().contains(&env.topic(topic)) { env.watermarks(topic)[0].1 } else { 0 };
        let behind = env.through(&proxy.address());
        let mut running = behind.start(args);
        until("records are written", || {
            assert!(!running.has_ended(), "`{args}` ended early");
            (env.topics().contains(&env.topic(topic)) && env.watermarks(topic)[0].1 > before).then_some(())
        });
        proxy.stall();
        // Make sure that a transaction is open or records are in flight.
        let frozen = Instant::now();
        until("records are in flight", || (frozen.elapsed() > Duration::from_millis(400)).then_some(()));
        let signalled = Instant::now();
        running.signal(first);
        // SIGHUP does not count as a second signal: a closing terminal sends it twice, and a service manager after its
        // SIGTERM.
        running.signal(Signal::HUP);
        running.signal(Signal::HUP);
        until("the command has had time to end", || {
            assert!(!running.has_ended(), "`{args}` ended without a response of the broker");
            (signalled.elapsed() > Duration::from_millis(800)).then_some(())
        });
        let second_sent = Instant::now();
        running.signal(second);
        let run = running.end().expect(code);
        assert!(second_sent.elapsed() < Duration::from_secs(2), "`{args}`: {:?}", second_sent.elapsed());
        assert!(!run.stderr.contains("panicked"), "{}", run.stderr);
    }
}
