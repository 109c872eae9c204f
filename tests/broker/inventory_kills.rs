//! `inventory` under kills, suspensions and duplicate instances, with its invariants checked afterwards.

#![allow(clippy::disallowed_methods, reason = "the time of a kill is random, and the seed comes from the clock")]

use std::time::Duration;

use rustix::process::Signal;

use super::Case;
use super::invariants;
use super::support::{Running, TestEnv, until};

pub const CASES: &[Case] = &[
    ("inventory_kills::decides_each_line_once_across_20_kills", killed),
    ("inventory_kills::duplicate_instance_id_fences_the_first", duplicated),
    ("inventory_kills::resumed_member_commits_nothing_stale_and_rejoins", resumed),
    ("inventory_kills::resumed_instance_does_not_fence_its_successor", resumed_next_to_successor),
];

/// The group of `inventory`.
pub const GROUP: &str = "inventory-consumer-group";
/// The shortest timeouts that a broker with default settings accepts.
pub const SHORT_TIMEOUTS: &str =
    "-X transaction.timeout.ms=4000 -X session.timeout.ms=6000 -X heartbeat.interval.ms=500";
/// The default stock settings of `inventory`.
pub const OPENING_STOCK: i64 = 100;
pub const RESTOCK_MILLIS: i64 = 3_600_000;

const ORDERS: &str = "order-events";

/// `SplitMix64`; prints its seed when the test fails.
pub struct Random {
    seed: u64,
    state: u64,
}

impl Random {
    fn new() -> Self {
        let drawn = || {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
            u64::from(now.subsec_nanos())
        };
        Self::seeded_or(drawn)
    }

    /// With the seed `FOODSTREAM_TEST_SEED`, or with another one.
    pub fn seeded_or(seed: impl FnOnce() -> u64) -> Self {
        let named = std::env::var("FOODSTREAM_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = named.unwrap_or_else(seed);
        Self { seed, state: seed }
    }

    pub fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).expect("small")
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    /// Sleeps for a random time.
    fn pause(&mut self, below_millis: u64) {
        std::thread::sleep(Duration::from_millis(self.below(below_millis)));
    }
}

impl Drop for Random {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("repeat it with FOODSTREAM_TEST_SEED={}", self.seed);
        }
    }
}

/// Waits until the group has committed more than `point`; the processes must not end.
fn until_progress_beyond(env: &TestEnv, point: i64, running: &mut Vec<Running>) -> i64 {
    until("the group commits again", || {
        if let Some(ended) = running.iter_mut().position(Running::has_ended) {
            panic!("a process ended early: {:?}", running.swap_remove(ended).end());
        }
        Some(env.progress(GROUP, ORDERS)).filter(|progress| *progress > point)
    })
}

fn killed(env: &TestEnv) {
    let mut random = Random::new();
    // With a Kafka, whose suite is not part of `cargo test`, there are more.
    let count = if super::brokers::named().is_some() { 100_000 } else { 50_000 };
    env.run(&format!("produce --count {count} --poison-rate 0.5% --seed {}", random.seed)).expect(0);
    // Half of the processes have an instance id, in random order.
    let mut named: Vec<bool> = (0..20).map(|index| index % 2 == 0).collect();
    for index in (1..named.len()).rev() {
        let other = random.index(index + 1);
        named.swap(index, other);
    }
    let args = format!("inventory {SHORT_TIMEOUTS} --throttle 3000/s");
    let (mut kills, mut open) = (0, 0);
    for (index, named) in named.into_iter().enumerate() {
        let before = env.progress(GROUP, ORDERS);
        let mut running = vec![if named { env.start(&format!("{args} --instance-id till")) } else { env.start(&args) }];
        // Two in three are killed while they process records; the others while they join, restore or wait.
        if random.below(3) > 0 {
            until_progress_beyond(env, before, &mut running);
        }
        if [6, 13].contains(&index) {
            running.push(env.start(&args));
            random.pause(1500);
        }
        random.pause(600);
        for process in &mut running {
            assert!(!process.has_ended(), "process {index} ended before it was killed");
            process.kill();
            kills += 1;
        }
        open += i32::from(index > 0 && env.has_open_transaction("inventory-events"));
    }
    let killed_at = env.progress(GROUP, ORDERS);
    assert!(killed_at < count, "everything was decided before the last kill");
    let last = env.document(&format!("inventory {SHORT_TIMEOUTS} --until-end"));
    let restored = last["restored_records"].as_u64().expect("a number");
    let written = env.read_with_isolation("inventory-events", "read_uncommitted").len();
    let aborted = written - env.read("inventory-events").len();
    eprintln!(
        "{kills} kills, {open} in an open transaction, {killed_at} committed, {aborted} decisions aborted, {restored} restored"
    );
    assert!(kills >= 20 && open > 3 && aborted > 0 && restored > 0, "too few kills hit an open transaction");
    invariants::check(env, OPENING_STOCK, RESTOCK_MILLIS);
}

fn duplicated(env: &TestEnv) {
    env.run("produce --count 20000 --seed 11").expect(0);
    let args = format!("inventory {SHORT_TIMEOUTS} --throttle 500/s --instance-id till");
    let mut running = vec![env.start(&args)];
    let before = until_progress_beyond(env, 0, &mut running);
    let first = running.pop().expect("running");
    running.push(env.start(&args));
    let first = first.end().expect(6);
    assert!(first.stderr.contains("--instance-id till"), "{}", first.stderr);
    until_progress_beyond(env, before.max(env.progress(GROUP, ORDERS)), &mut running);
    let second = running.pop().expect("running");
    second.signal(Signal::INT);
    second.end().expect(0);
    env.run(&format!("inventory {SHORT_TIMEOUTS} --until-end --instance-id till")).expect(0);
    invariants::check(env, OPENING_STOCK, RESTOCK_MILLIS);
}

/// Suspends a process while it has a transaction open on the broker.
fn stop_in_transaction(env: &TestEnv, process: &Running) {
    until("a transaction is open when the process stops", || {
        process.signal(Signal::STOP);
        if env.has_open_transaction("inventory-events") {
            return Some(());
        }
        process.signal(Signal::CONT);
        None
    });
}

fn resumed(env: &TestEnv) {
    // Resumed as soon as the group has reassigned its partitions, with its transaction still open; and long after that,
    // when the transaction has timed out and the successor has decided everything.
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Kafka checks for timed-out transactions every ten seconds. If it checks just before the session ends, the
            // resume came too late and is tried again; every try checks all invariants. The embedded broker expires
            // transactions exactly, so one try is enough.
            let early = (0..4).any(|number| resume_at(&env.other(&format!("early{number}")), true) || !env.is_kafka());
            assert!(early, "no try resumed the first process with its transaction open");
        });
        scope.spawn(|| resume_at(&env.other("late"), false));
    });
}

/// Returns whether the transaction was open when the process was resumed.
fn resume_at(env: &TestEnv, early: bool) -> bool {
    env.run("produce --count 6000 --seed 12").expect(0);
    let slow =
        format!("inventory {SHORT_TIMEOUTS} -X transaction.timeout.ms=5900 --commit-interval 2s --throttle 300/s");
    let mut running = vec![env.start(&slow)];
    until_progress_beyond(env, 0, &mut running);
    let first = running.pop().expect("running");
    let old = env.members(GROUP);
    stop_in_transaction(env, &first);
    // Slow enough to be observed while it runs.
    let mut second = env.start(&format!("inventory {SHORT_TIMEOUTS} --until-end --throttle 1500/s --output json"));
    let mut open = false;
    if early {
        until("all partitions are assigned to the second member", || {
            let members = env.members(GROUP);
            assert!(
                !second.has_ended(),
                "the second member ended before the rebalance was seen: {members:?}, before {old:?}"
            );
            (members.len() == 1 && members != old).then_some(())
        });
        open = env.has_open_transaction("inventory-events");
        first.signal(Signal::CONT);
        second.end().expect(0);
    } else {
        let second = second.end().expect(0).document();
        assert_eq!(second["committed"].as_array().map(Vec::len), Some(6), "the second had every partition");
        first.signal(Signal::CONT);
    }
    // Its old partitions are revoked; it continues as an ordinary member.
    env.run("produce --count 600 --seed 13").expect(0);
    let ends: Vec<Option<i64>> = env.watermarks(ORDERS).into_iter().map(|(_, high)| Some(high)).collect();
    running.push(first);
    until("the first process commits again", || {
        assert!(!running[0].has_ended(), "the first process ended: {:?}", running.pop().map(Running::end));
        (env.committed(GROUP, ORDERS) == ends).then_some(())
    });
    let first = running.pop().expect("running");
    first.signal(Signal::INT);
    first.end().expect(0);
    invariants::check(env, OPENING_STOCK, RESTOCK_MILLIS);
    open
}

fn resumed_next_to_successor(env: &TestEnv) {
    let envs = [env.other("busy"), env.other("idle")];
    std::thread::scope(|scope| {
        scope.spawn(|| resumed_in_a_call(&envs[0]));
        scope.spawn(|| resumed_from_idle(&envs[1]));
    });
}

/// Arguments of an instance that spends most of its time in transaction calls, so that a suspension hits one. Its calls
/// time out after 3 s.
fn named_instance() -> String {
    format!("inventory {SHORT_TIMEOUTS} --throttle 500/s --timeout 3s --instance-id till --commit-interval 1ms")
}

fn assert_fenced(process: Running) {
    let ended = process.end().expect(6);
    assert!(ended.stderr.contains("--instance-id till"), "{}", ended.stderr);
}

fn resumed_in_a_call(env: &TestEnv) {
    env.run("produce --count 30000 --seed 14").expect(0);
    let mut running = vec![env.start(&named_instance())];
    let mut point = 0;
    // Suspended for longer than the call timeout and the session timeout.
    for orders in [2000, 2000, 4000] {
        until_progress_beyond(env, point, &mut running);
        let first = running.pop().expect("running");
        first.signal(Signal::STOP);
        running.push(env.start(&named_instance()));
        point = until_progress_beyond(env, env.progress(GROUP, ORDERS) + orders, &mut running);
        first.signal(Signal::CONT);
        assert_fenced(first);
        point = until_progress_beyond(env, point.max(env.progress(GROUP, ORDERS)) + 500, &mut running);
    }
    stop(running);
    env.run(&format!("inventory {SHORT_TIMEOUTS} --until-end --instance-id till")).expect(0);
    invariants::check(env, OPENING_STOCK, RESTOCK_MILLIS);
}

fn resumed_from_idle(env: &TestEnv) {
    env.run("produce --count 600 --seed 15").expect(0);
    let first = env.start(&named_instance());
    let all = |count| until("everything is decided", || (env.progress(GROUP, ORDERS) == count).then_some(()));
    all(600);
    first.signal(Signal::STOP);
    let mut running = vec![env.start(&named_instance())];
    // Seven seconds of work: longer than the session timeout.
    env.run("produce --count 700 --rate 100/s --seed 16").expect(0);
    until_progress_beyond(env, 600, &mut running);
    first.signal(Signal::CONT);
    assert_fenced(first);
    env.run("produce --count 700 --seed 17").expect(0);
    all(2000);
    stop(running);
    invariants::check(env, OPENING_STOCK, RESTOCK_MILLIS);
}

fn stop(running: Vec<Running>) {
    for process in running {
        process.signal(Signal::INT);
        process.end().expect(0);
    }
}
