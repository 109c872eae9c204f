//! Commands behind a proxy with late replies, silence and cut connections.
#![allow(clippy::disallowed_methods, reason = "measures that a command ends within its timeout")]

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use foodstream::broker::ApiKey;

use super::Case;
use super::faults::TRANSACTIONAL;
use super::invariants;
use super::inventory_kills::{OPENING_STOCK, RESTOCK_MILLIS, SHORT_TIMEOUTS};
use super::proxy::{Action, BlackHole, Proxy, Rule};
use super::support::TestEnv;

pub const CASES: &[Case] = &[
    ("network::one_kind_of_reply_5_s_late", one_kind_late),
    ("network::silent_from_the_start", silent_from_the_start),
    ("network::silent_mid_run", silent_in_mid_run),
    ("network::produce_cut_within_replies", cut_produce),
    ("network::inventory_cut_within_replies", cut_inventory),
    ("network::replies_lost_with_the_connection", lost_with_the_connection),
    ("network::replies_lost_on_an_open_connection", lost_silently),
    ("network::unanswered_offset_commits", offsets_unanswered),
];

/// These wait for two and seven minutes, so they run on Apache Kafka only, where other cases take as long.
pub const KAFKA_CASES: &[Case] =
    &[("network::all_replies_5_s_late", late_by_5_s), ("network::all_replies_1500_ms_late", late_by_1500_ms)];

/// A command and the commands that prepare its data. The latter run without the proxy.
#[derive(Clone, Copy)]
struct Step {
    args: &'static str,
    before: &'static [&'static str],
}

const fn step(args: &'static str, before: &'static [&'static str]) -> Step {
    Step { args, before }
}

const ORDERS: &str = "produce --count 400 --partitions 2 --seed 51";
const PRODUCE: Step = step(ORDERS, &[]);
const INVENTORY: Step = step("inventory --until-end", &[ORDERS]);
const ANALYTICS: Step = step("analytics --until-end", &[ORDERS, "inventory --until-end"]);
const SCAN: Step = step("analytics --from-beginning", &[ORDERS, "inventory --until-end"]);
const LAG: Step = step("lag", &[ORDERS, "inventory --until-end"]);
const REPLAY: Step = step("replay", &[ORDERS, "analytics --from-beginning"]);
const CLEAN: Step = step("clean --yes", &[ORDERS]);

const STEPS: [Step; 7] = [PRODUCE, INVENTORY, ANALYTICS, SCAN, LAG, REPLAY, CLEAN];

/// Each API whose replies the program waits for, with a command that waits for few of them.
const ONE_KIND: [(Step, ApiKey); 19] = [
    (PRODUCE, ApiKey::CreateTopics),
    (PRODUCE, ApiKey::InitProducerId),
    (PRODUCE, ApiKey::Produce),
    (INVENTORY, ApiKey::JoinGroup),
    (INVENTORY, ApiKey::SyncGroup),
    (INVENTORY, ApiKey::OffsetFetch),
    (INVENTORY, ApiKey::AddPartitionsToTxn),
    (INVENTORY, ApiKey::AddOffsetsToTxn),
    (INVENTORY, ApiKey::TxnOffsetCommit),
    (INVENTORY, ApiKey::EndTxn),
    (ANALYTICS, ApiKey::DescribeConfigs),
    (ANALYTICS, ApiKey::LeaveGroup),
    (SCAN, ApiKey::Fetch),
    (CLEAN, ApiKey::ListGroups),
    (LAG, ApiKey::Metadata),
    (LAG, ApiKey::FindCoordinator),
    (LAG, ApiKey::ListOffsets),
    (REPLAY, ApiKey::DescribeGroups),
    (CLEAN, ApiKey::DeleteTopics),
];

// Their topics exist before: creating topics is not tested here.
const PACED: Step = step("produce --count 100000 --rate 500/s", &[ORDERS]);
const SLOW_INVENTORY: Step = step("inventory --until-end --throttle 100/s", &[ORDERS, "inventory --until-end", ORDERS]);
const SLOW_ANALYTICS: Step = step("analytics --until-end --throttle 100/s", &[ORDERS, "analytics --until-end", ORDERS]);

/// Replies at which a silence begins while a command runs: API and number.
const IN_MID_RUN: [(Step, ApiKey, u64); 10] = [
    (PRODUCE, ApiKey::CreateTopics, 1),
    (PACED, ApiKey::Produce, 20),
    (SLOW_INVENTORY, ApiKey::JoinGroup, 1),
    (SLOW_INVENTORY, ApiKey::EndTxn, 3),
    (SLOW_ANALYTICS, ApiKey::TxnOffsetCommit, 3),
    (SCAN, ApiKey::Fetch, 1),
    (LAG, ApiKey::OffsetFetch, 1),
    (REPLAY, ApiKey::Fetch, 3),
    (REPLAY, ApiKey::EndTxn, 1),
    (CLEAN, ApiKey::DeleteTopics, 1),
];

/// Time limit of a command. Cases in which everything is late need more: they wait for up to eighty replies in
/// sequence.
const COMMAND_TIMEOUT: Duration = Duration::from_mins(2);
/// A command ends at most this long after its timeout.
const GRACE: Duration = Duration::from_secs(2);

/// Runs a check for each item concurrently, since most of it is waiting, and fails with all problems.
fn side_by_side<T: Sync>(env: &TestEnv, items: &[T], check: impl Fn(&TestEnv, &T) -> Result<(), String> + Sync) {
    let (envs, check) = ((0..items.len()).map(|number| env.other(&number.to_string())), &check);
    let problems: Vec<String> = std::thread::scope(|scope| {
        let checks = items.iter().zip(envs);
        let running: Vec<_> = checks.map(|(item, env)| scope.spawn(move || check(&env, item))).collect();
        running
            .into_iter()
            .map(|check| check.join().unwrap_or_else(|panic| Err(panic_message(panic))))
            .filter_map(Result::err)
            .collect()
    });
    assert!(problems.is_empty(), "{} of {}:\n{}", problems.len(), items.len(), problems.join("\n"));
}

/// The message of a panic.
fn panic_message(panic: Box<dyn std::any::Any + Send>) -> String {
    panic.downcast::<String>().map_or_else(|_| "panicked".to_owned(), |message| *message)
}

impl Step {
    /// Prepares the data of the command and a proxy. Serialised, because preparing is work while the commands only
    /// wait.
    fn prepare(&self, env: &TestEnv) -> Proxy {
        static ONE: Mutex<()> = Mutex::new(());
        let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        for args in self.before {
            env.run(args).expect(0);
        }
        Proxy::new(&env.broker)
    }
}

/// Runs a command through the proxy; returns its exit code and a summary. The code is -1 if it was killed at the limit.
fn run(env: &TestEnv, proxy: &Proxy, args: &str, bound: Duration) -> (i32, String) {
    let (env, start) = (env.through(&proxy.address()), Instant::now());
    let mut running = env.start(args);
    while !running.has_ended() && start.elapsed() < bound {
        std::thread::sleep(Duration::from_millis(5));
    }
    if !running.has_ended() {
        running.kill();
    }
    let run = running.end();
    let code = run.code();
    (code, format!("`{args}`: exit {code} after {:.1?}: {}", start.elapsed(), run.stderr.trim().replace('\n', " | ")))
}

fn late(env: &TestEnv, by: Duration, bound: Duration) {
    side_by_side(env, &STEPS, |env, step| {
        let proxy = step.prepare(env);
        proxy.delay(by);
        let (code, outcome) = run(env, &proxy, &format!("{} --timeout 60s", step.args), bound);
        assert!(proxy.counts().late > 0, "no reply was late");
        if code == 0 { Ok(()) } else { Err(outcome) }
    });
}

/// Delays each API by five seconds in turn: a tenth of the time that delaying all replies takes.
fn one_kind_late(env: &TestEnv) {
    side_by_side(env, &ONE_KIND, |env, (step, api)| {
        let proxy = step.prepare(env);
        proxy.add(Rule::new(*api, Action::Delay(Duration::from_secs(5))));
        let (code, outcome) = run(env, &proxy, &format!("{} --timeout 60s", step.args), COMMAND_TIMEOUT);
        match (code, proxy.counts().late) {
            (_, 0) => Err(format!("{outcome}: no reply to {api:?} was delayed")),
            (0, _) => Ok(()),
            _ => Err(format!("{outcome} ({api:?})")),
        }
    });
}

fn late_by_1500_ms(env: &TestEnv) {
    late(env, Duration::from_millis(1_500), Duration::from_mins(4));
}

fn late_by_5_s(env: &TestEnv) {
    late(env, Duration::from_secs(5), Duration::from_mins(10));
}

/// Requires exit code 4 within the timeout and the grace period after the silence began.
fn ends_in_silence(code: i32, outcome: &str, silent_for: Duration, timeout: Duration) -> Result<(), String> {
    if code == 4 && silent_for <= timeout + GRACE {
        Ok(())
    } else {
        Err(format!("{outcome}, {silent_for:.1?} after the silence began"))
    }
}

fn silent_from_the_start(env: &TestEnv) {
    side_by_side(env, &STEPS, |env, step| {
        let proxy = step.prepare(env);
        proxy.black_hole(BlackHole::Replies);
        let start = Instant::now();
        let (code, outcome) = run(env, &proxy, &format!("{} --timeout 3s", step.args), COMMAND_TIMEOUT);
        let silent_for = start.elapsed();
        assert!(proxy.counts().dropped > 0, "no reply was dropped");
        ends_in_silence(code, &outcome, silent_for, Duration::from_secs(3))
    });
}

fn silent_in_mid_run(env: &TestEnv) {
    side_by_side(env, &IN_MID_RUN, |env, (step, api, number)| {
        let proxy = step.prepare(env);
        proxy.add(Rule::new(*api, Action::BlackHole(BlackHole::Replies)).only(*number));
        let (code, outcome) = run(env, &proxy, &format!("{} --timeout 3s", step.args), COMMAND_TIMEOUT);
        let Some(since) = proxy.black_hole_since() else {
            return Err(format!("{outcome}: the command received fewer than {number} replies to {api:?}"));
        };
        ends_in_silence(code, &format!("{outcome} ({api:?} {number})"), since.elapsed(), Duration::from_secs(3))
    });
}

fn cut_produce(env: &TestEnv) {
    let proxy = Proxy::new(&env.broker);
    proxy.add(Rule::new(ApiKey::Produce, Action::CutAfter(21)).every(3).times(8));
    for api in [ApiKey::ApiVersions, ApiKey::Metadata, ApiKey::InitProducerId] {
        proxy.add(Rule::new(api, Action::CutAfter(9)).every(3).times(3));
    }
    let args = "produce --count 20000 --rate 10000/s --seed 52";
    let document = env.through(&proxy.address()).document(args);
    assert!(proxy.counts().cut > 0, "no connection was cut");
    assert_eq!((&document["acknowledged"], &document["failed"]), (&20_000.into(), &0.into()));
    assert_eq!(env.read("order-events").len(), 20_000, "each order is stored once");
}

fn cut_inventory(env: &TestEnv) {
    env.run("produce --count 4000 --poison-rate 1% --seed 53").expect(0);
    let proxy = Proxy::new(&env.broker);
    let members = [ApiKey::FindCoordinator, ApiKey::JoinGroup, ApiKey::SyncGroup, ApiKey::OffsetFetch];
    for api in TRANSACTIONAL.into_iter().chain(members).chain([ApiKey::Produce, ApiKey::Fetch, ApiKey::Heartbeat]) {
        proxy.add(Rule::new(api, Action::CutAfter(7)).every(4).times(3));
    }
    env.through(&proxy.address()).run(&format!("inventory {SHORT_TIMEOUTS} --until-end --throttle 2000/s")).expect(0);
    assert!(proxy.counts().cut > 0, "no connection was cut");
    invariants::check(env, OPENING_STOCK, RESTOCK_MILLIS);
}

/// Replies whose loss leaves the outcome of a transaction unknown.
const UNKNOWN_OUTCOME: [ApiKey; 4] =
    [ApiKey::EndTxn, ApiKey::TxnOffsetCommit, ApiKey::AddOffsetsToTxn, ApiKey::Produce];

/// Runs `inventory` while replies are lost, and again without losses if it stopped; then checks all invariants.
fn survives(env: &TestEnv, rule: Rule, timeouts: &str, codes: &[i32]) -> Result<(), String> {
    env.run("produce --count 3000 --poison-rate 1% --seed 54").expect(0);
    let proxy = Proxy::new(&env.broker);
    proxy.add(rule);
    let args = format!("inventory {SHORT_TIMEOUTS} {timeouts} --until-end --throttle 2000/s --commit-interval 50ms");
    let (code, outcome) = run(env, &proxy, &args, COMMAND_TIMEOUT);
    if !codes.contains(&code) || proxy.counts().lost == 0 {
        return Err(format!("{outcome}, {} replies lost", proxy.counts().lost));
    }
    if code != 0 {
        env.run(&format!("inventory {SHORT_TIMEOUTS} --until-end")).expect(0);
    }
    invariants::check(env, OPENING_STOCK, RESTOCK_MILLIS);
    Ok(())
}

fn lost_with_the_connection(env: &TestEnv) {
    side_by_side(env, &UNKNOWN_OUTCOME, |env, api| {
        survives(env, Rule::new(*api, Action::LoseWithConnection).every(4).times(4), "", &[0])
    });
}

/// The client waits for a reply that never comes, while the connection serves other requests.
fn lost_silently(env: &TestEnv) {
    side_by_side(env, &UNKNOWN_OUTCOME, |env, api| {
        let timeouts = "--timeout 10s -X socket.timeout.ms=3000";
        survives(env, Rule::new(*api, Action::Lose).only(3), timeouts, &[0, 4])
    });
}

/// An unanswered `TxnOffsetCommit`, with client timeouts that are longer than the command may take.
fn offsets_unanswered(env: &TestEnv) {
    let timeouts = "--timeout 10m -X socket.timeout.ms=300000 -X transaction.timeout.ms=600000 \
                    -X session.timeout.ms=700000 -X max.poll.interval.ms=800000";
    let rule = Rule::new(ApiKey::TxnOffsetCommit, Action::Lose).only(3);
    survives(env, rule, timeouts, &[0]).unwrap_or_else(|problem| panic!("{problem}"));
}
