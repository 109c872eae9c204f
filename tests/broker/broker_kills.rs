//! Repeated kills of an embedded broker that stores its data on disk.

use std::net::TcpListener;
use std::process::{Command, Stdio};

use super::Case;
use super::invariants;
use super::inventory_kills::{GROUP, OPENING_STOCK, RESTOCK_MILLIS, SHORT_TIMEOUTS};
use super::process::Running;
use super::support::{TestEnv, until};

pub const CASES: &[Case] = &[
    ("broker_kills::loses_no_acknowledged_record_under_inventory", under_inventory),
    ("broker_kills::stores_each_order_once_under_produce", under_produce),
];

/// A port that was free a moment ago. A killed broker must be restarted on the same port.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port()
}

/// Starts the broker over the data directory and waits until it accepts connections.
fn broker(env: &TestEnv, port: u16) -> Running {
    let address = format!("127.0.0.1:{port}");
    let mut command = Command::new(env!("CARGO_BIN_EXE_foodstream"));
    command
        .args(["broker", "--listen", &address, "--data"])
        .arg(env.dir().join("data"))
        .current_dir(env.dir())
        .stdin(Stdio::null());
    let mut running = Running::start(command, "broker");
    until("the broker listens", || {
        assert!(!running.has_ended(), "the broker ended before it was killed");
        std::net::TcpStream::connect(&address).ok()
    });
    running
}

fn under_inventory(env: &TestEnv) {
    let port = free_port();
    let env = env.on(&format!("127.0.0.1:{port}"));
    let mut running = broker(&env, port);
    env.run("produce --count 30000 --poison-rate 0.5% --seed 41").expect(0);
    // Long transactions, so that one is open most of the time.
    let args = format!("inventory {SHORT_TIMEOUTS} --throttle 1000/s --commit-interval 400ms");
    let mut inventory = env.start(&args);
    let (mut kills, mut open) = (0, 0);
    for round in 0..12 {
        let before = env.progress(GROUP, "order-events");
        until("the group commits again", || {
            if inventory.has_ended() {
                // A broker that is away for long may end the command with exit code 4; then it is started again.
                std::mem::replace(&mut inventory, env.start(&args)).end().expect(4);
            }
            (env.progress(GROUP, "order-events") > before).then_some(())
        });
        // In every other round the kill does not directly follow a commit.
        if round % 2 == 0 {
            until("a transaction is open", || env.has_open_transaction("inventory-events").then_some(()));
            open += 1;
        }
        running.kill();
        kills += 1;
        running = broker(&env, port);
    }
    let killed_at = env.progress(GROUP, "order-events");
    inventory.kill();
    env.run(&format!("inventory {SHORT_TIMEOUTS} --until-end")).expect(0);
    eprintln!("{kills} kills of the broker, {open} with an open transaction, {killed_at} committed before the last");
    assert!(kills >= 10 && open > 0 && killed_at < 30_000, "too few kills hit an open transaction");
    invariants::check(&env, OPENING_STOCK, RESTOCK_MILLIS);
    drop(running);
}

fn under_produce(env: &TestEnv) {
    let port = free_port();
    let env = env.on(&format!("127.0.0.1:{port}"));
    let mut running = broker(&env, port);
    let mut produce = env.start("produce --count 60000 --rate 15000/s --seed 42 --output json");
    let written = || env.watermarks("order-events").iter().map(|(_, high)| high).sum::<i64>();
    until("the topic exists", || (!env.topics().is_empty()).then_some(()));
    for _ in 0..10 {
        let before = written();
        until("orders are written", || (produce.has_ended() || written() > before).then_some(()));
        running.kill();
        running = broker(&env, port);
    }
    let document = produce.end().expect(0).document();
    assert_eq!((&document["acknowledged"], &document["failed"]), (&60_000.into(), &0.into()));
    assert_eq!(env.read("order-events").len(), 60_000, "each order is stored once");
    drop(running);
}
