//! Outages: a broker that is away for longer than a session, a hanging transaction, a truncated log.
#![allow(clippy::disallowed_methods, reason = "measures the length of an outage")]

use std::sync::Mutex;
use std::time::{Duration, Instant};

use foodstream::kafka::{
    Connection, Error, ErrorKind, Inspector, OffsetRange, Reader, ScanRecord, StableWait, TopicPartition, scan,
};
use foodstream::shutdown::Shutdown;
use rustix::process::Signal;

use super::Case;
use super::edge_cases::OpenTransaction;
use super::invariants;
use super::inventory_kills::{GROUP, OPENING_STOCK, RESTOCK_MILLIS, SHORT_TIMEOUTS};
use super::proxy::Proxy;
use super::support::{Running, TestEnv, until};

pub const CASES: &[Case] = &[
    ("outages::live_commands_outlast_a_session_timeout", broker_away),
    ("outages::hanging_transaction_fails_after_a_minute", hanging_transaction),
    ("outages::truncated_log_is_refused", truncated_log),
];

fn broker_away(env: &TestEnv) {
    env.run("produce --count 6000 --seed 41 --partitions 2").expect(0);
    let proxy = Proxy::new(&env.broker);
    let behind = env.through(&proxy.address());
    let mut running: Vec<Running> = [
        // With an instance id that no other process uses, so it must not exit as fenced.
        format!("inventory {SHORT_TIMEOUTS} --throttle 300/s --instance-id till"),
        format!("inventory {SHORT_TIMEOUTS} --throttle 300/s"),
        format!("analytics {SHORT_TIMEOUTS} --throttle 300/s --every 500ms --instance-id desk"),
    ]
    .iter()
    .map(|args| behind.start(args))
    .collect();
    let decided = || env.progress(GROUP, "order-events");
    until("orders are decided", || (decided() > 0).then_some(()));
    until("orders are counted", || (env.progress("analytics-consumer-group", "order-events") > 0).then_some(()));
    running.push(behind.start("lag --watch 200ms"));
    until("lag has queried the broker", || (proxy.replies(foodstream::broker::ApiKey::ListOffsets) > 40).then_some(()));
    proxy.refuse();
    proxy.cut();
    let gone = Instant::now();
    // Longer than the transaction timeout of 4 s and the session timeout of 6 s.
    until("the outage has lasted 9 s", || {
        assert!(!running.iter_mut().any(Running::has_ended), "ended in an outage: {:?}", ends(&mut running));
        (gone.elapsed() > Duration::from_secs(9)).then_some(())
    });
    let before = decided();
    proxy.accept();
    until("inventory commits again", || {
        assert!(!running.iter_mut().any(Running::has_ended), "ended after an outage: {:?}", ends(&mut running));
        (decided() > before).then_some(())
    });
    let shown: Vec<String> = running
        .into_iter()
        .map(|process| {
            process.signal(Signal::INT);
            process.end().expect(0).stdout
        })
        .collect();
    assert!(shown[2].contains("; stale: no answer from the cluster for "), "analytics: {}", shown[2]);
    assert!(shown[3].contains("; stale: no answer from the cluster for "), "lag: {}", shown[3]);
    env.run(&format!("inventory {SHORT_TIMEOUTS} --until-end")).expect(0);
    invariants::check(env, OPENING_STOCK, RESTOCK_MILLIS);
}

/// Exit codes and stderr of the processes that have ended.
fn ends(running: &mut Vec<Running>) -> Vec<(i32, String)> {
    let ended = running.extract_if(.., Running::has_ended).map(Running::end);
    ended.map(|run| (run.code(), run.stderr)).collect()
}

fn hanging_transaction(env: &TestEnv) {
    env.run("produce --count 100 --seed 42 --partitions 1").expect(0);
    let open = OpenTransaction::lasting(env, "order-events", Duration::from_mins(5));
    let running: Vec<Running> =
        ["inventory --until-end", "analytics --until-end", "analytics --from-beginning --group other"]
            .iter()
            .map(|args| env.start(args))
            .collect();
    for process in running {
        let run = process.end().expect(4);
        let place = format!("{}/0", env.topic("order-events"));
        assert!(run.stderr.contains(&format!("waiting for a transaction on {place} to end")), "{}", run.stderr);
        assert!(run.stderr.contains(&format!("a transaction on {place} has been open for more")), "{}", run.stderr);
    }
    open.abort();
}

/// Counts records.
struct Count(u64);

impl Reader for Count {
    type Error = Error;

    fn record(&mut self, _: ScanRecord<'_>) -> Result<(), Error> {
        self.0 += 1;
        Ok(())
    }

    fn reached(&mut self, _: usize, _: i64) {}
}

/// The frozen end lies beyond the end of the log, as after an unclean leader election.
fn truncated_log(env: &TestEnv) {
    env.run("produce --count 50 --seed 43 --partitions 1").expect(0);
    let properties = vec![("bootstrap.servers".to_owned(), env.broker.clone())];
    let connection = Connection::new(properties, Duration::from_secs(30));
    let (group, shutdown) = (env.topic("reader"), Shutdown::default());
    let inspector = Inspector::open(&connection, &group, &shutdown).expect("opened");
    let place = TopicPartition::new(env.topic("order-events"), 0);
    let gone = |error: &Error| {
        assert_eq!(error.kind(), ErrorKind::OutOfRange, "{error}");
        let text = error.to_string();
        assert!(text.contains(&format!("{place} ended at offset 60")) && text.contains("ends at 50 now"), "{text}");
    };

    let mut wait = StableWait::default();
    let error = until("the wait reports the truncation", || {
        wait.check(&inspector, std::slice::from_ref(&place), &[60], &mut |_| {}).err()
    });
    gone(&error);

    let ranges = [OffsetRange { topic_partition: place.clone(), start: 0, end: 60 }];
    let shares = [Mutex::new(Count(0))];
    gone(&scan(&connection, &group, &ranges, &shares, &shutdown, |_| Ok(())).expect_err("the end is beyond the log"));
    assert_eq!(shares[0].lock().expect("whole").0, 50, "all existing records were read");
}
