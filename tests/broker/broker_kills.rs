//! Owns what is left when the broker itself is killed: an embedded one in a process of its own, over files, again and again.

use std::net::TcpListener;
use std::process::{Command, Stdio};

use super::Case;
use super::chaos::{FAST, GROUP, OPENING, RESTOCK_MILLIS};
use super::process::Running;
use super::support::{Lab, until};
use super::truth;

pub const CASES: &[Case] = &[
    ("broker_kills::killed_while_inventory_works_it_loses_nothing_that_was_acknowledged", under_inventory),
    ("broker_kills::killed_while_orders_are_placed_it_has_each_of_them_once", under_produce),
];

/// A port that was free a moment ago; the broker that is killed must come back on the same one.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port()
}

/// Starts the broker over this folder, and waits until it answers.
fn broker(lab: &Lab, port: u16) -> Running {
    let address = format!("127.0.0.1:{port}");
    let mut command = Command::new(env!("CARGO_BIN_EXE_foodstream"));
    command
        .args(["broker", "--listen", &address, "--data"])
        .arg(lab.folder().join("data"))
        .current_dir(lab.folder())
        .stdin(Stdio::null());
    let mut running = Running::start(command, "broker");
    until("the broker listens", || {
        assert!(!running.has_ended(), "the broker ended by itself");
        std::net::TcpStream::connect(&address).ok()
    });
    running
}

fn under_inventory(lab: &Lab) {
    let port = free_port();
    let lab = lab.on(&format!("127.0.0.1:{port}"));
    let mut running = broker(&lab, port);
    lab.run("produce --count 30000 --poison-rate 0.5% --seed 41").expect(0);
    // Long transactions, so that most of the time one is open.
    let words = format!("inventory {FAST} --throttle 1000/s --commit-interval 400ms");
    let mut inventory = lab.start(&words);
    let (mut kills, mut open) = (0, 0);
    for round in 0..12 {
        let before = lab.progress(GROUP, "order-events");
        until("the group goes on", || {
            if inventory.has_ended() {
                // A broker that is gone for long may end it, with a code that says so; whoever runs it starts it again.
                std::mem::replace(&mut inventory, lab.start(&words)).end().expect(4);
            }
            (lab.progress(GROUP, "order-events") > before).then_some(())
        });
        // Every second time not just after a commit.
        if round % 2 == 0 {
            until("a transaction is open", || lab.has_open_transaction("inventory-events").then_some(()));
            open += 1;
        }
        running.kill();
        kills += 1;
        running = broker(&lab, port);
    }
    let killed_at = lab.progress(GROUP, "order-events");
    inventory.kill();
    lab.run(&format!("inventory {FAST} --until-end")).expect(0);
    eprintln!("{kills} kills of the broker, {open} with an open transaction, {killed_at} committed at the last");
    assert!(kills >= 10 && open > 0 && killed_at < 30_000, "the kills did not hit what they were meant to");
    truth::check(&lab, OPENING, RESTOCK_MILLIS);
    drop(running);
}

fn under_produce(lab: &Lab) {
    let port = free_port();
    let lab = lab.on(&format!("127.0.0.1:{port}"));
    let mut running = broker(&lab, port);
    let mut produce = lab.start("produce --count 60000 --rate 15000/s --seed 42 --output json");
    let written = || lab.watermarks("order-events").iter().map(|(_, high)| high).sum::<i64>();
    until("the topic is there", || (!lab.topics().is_empty()).then_some(()));
    for _ in 0..10 {
        let before = written();
        until("orders arrive", || (produce.has_ended() || written() > before).then_some(()));
        running.kill();
        running = broker(&lab, port);
    }
    let document = produce.end().expect(0).document();
    assert_eq!((&document["acknowledged"], &document["failed"]), (&60_000.into(), &0.into()));
    assert_eq!(lab.read("order-events").len(), 60_000, "each order once");
    drop(running);
}
