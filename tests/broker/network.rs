//! The commands behind a network that is late, silent, or cut: a proxy stands between them and the broker.
#![allow(clippy::disallowed_methods, reason = "that a command ends within its timeout is what is measured")]

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use foodstream::broker::ApiKey;

use super::Case;
use super::chaos::{FAST, OPENING, RESTOCK_MILLIS};
use super::faults::TRANSACTIONAL;
use super::proxy::{Deed, Hole, Proxy, Rule};
use super::support::Lab;
use super::truth;

pub const CASES: &[Case] = &[
    ("network::one_kind_of_reply_5_s_late", one_kind_late),
    ("network::silent_from_the_start", silent_from_the_start),
    ("network::silent_in_mid_run", silent_in_mid_run),
    ("network::produce_cut_within_replies", cut_produce),
    ("network::inventory_cut_within_replies", cut_inventory),
    ("network::replies_lost_with_the_connection", lost_with_the_connection),
    ("network::replies_lost_on_a_living_connection", lost_silently),
    ("network::offsets_that_are_not_answered", offsets_unanswered),
];

/// Two and seven minutes of waiting: part of the suite on Apache Kafka only, where others take as long.
pub const KAFKA_CASES: &[Case] =
    &[("network::all_replies_5_s_late", late_by_5_s), ("network::all_replies_1500_ms_late", late_by_1500_ms)];

/// A command line, and the command lines that make what it works on. Those run without the proxy.
#[derive(Clone, Copy)]
struct Step {
    words: &'static str,
    before: &'static [&'static str],
}

const fn step(words: &'static str, before: &'static [&'static str]) -> Step {
    Step { words, before }
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

/// Each kind of reply that the program waits for, and a command that waits for few of them.
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

// Their topics are there before: it is not their making that is tried.
const PACED: Step = step("produce --count 100000 --rate 500/s", &[ORDERS]);
const SLOW_INVENTORY: Step = step("inventory --until-end --throttle 100/s", &[ORDERS, "inventory --until-end", ORDERS]);
const SLOW_ANALYTICS: Step = step("analytics --until-end --throttle 100/s", &[ORDERS, "analytics --until-end", ORDERS]);

/// Replies with which a silence begins, in the middle of a command's work: which of them, of which kind.
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

/// No command takes longer, but for those where everything is late: they ask up to eighty things one after another.
const BOUND: Duration = Duration::from_mins(2);
/// A command ends this long after the end of its timeout at the latest.
const GRACE: Duration = Duration::from_secs(2);

/// Does the same with each item side by side, since most of it is waiting, and fails with all that went wrong.
fn side_by_side<T: Sync>(lab: &Lab, items: &[T], check: impl Fn(&Lab, &T) -> Result<(), String> + Sync) {
    let (labs, check) = ((0..items.len()).map(|number| lab.other(&number.to_string())), &check);
    let problems: Vec<String> = std::thread::scope(|scope| {
        let checks = items.iter().zip(labs);
        let running: Vec<_> = checks.map(|(item, lab)| scope.spawn(move || check(&lab, item))).collect();
        running
            .into_iter()
            .map(|check| check.join().unwrap_or_else(|panic| Err(words(panic))))
            .filter_map(Result::err)
            .collect()
    });
    assert!(problems.is_empty(), "{} of {}:\n{}", problems.len(), items.len(), problems.join("\n"));
}

/// What a panic says.
fn words(panic: Box<dyn std::any::Any + Send>) -> String {
    panic.downcast::<String>().map_or_else(|_| "panicked".to_owned(), |words| *words)
}

impl Step {
    /// Makes what the command works on, and a proxy for it. One at a time: the commands wait side by side, and preparing them
    /// is work.
    fn prepare(&self, lab: &Lab) -> Proxy {
        static ONE: Mutex<()> = Mutex::new(());
        let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        for words in self.before {
            lab.run(words).expect(0);
        }
        Proxy::new(&lab.broker)
    }
}

/// Runs a command through the proxy, and returns its exit code and what it said; -1 where it had to be killed at the bound.
fn run(lab: &Lab, proxy: &Proxy, words: &str, bound: Duration) -> (i32, String) {
    let (lab, start) = (lab.through(&proxy.address()), Instant::now());
    let mut running = lab.start(words);
    while !running.has_ended() && start.elapsed() < bound {
        std::thread::sleep(Duration::from_millis(5));
    }
    if !running.has_ended() {
        running.kill();
    }
    let run = running.end();
    let code = run.code();
    (code, format!("`{words}`: exit {code} after {:.1?}: {}", start.elapsed(), run.stderr.trim().replace('\n', " | ")))
}

fn late(lab: &Lab, by: Duration, bound: Duration) {
    side_by_side(lab, &STEPS, |lab, step| {
        let proxy = step.prepare(lab);
        proxy.delay(by);
        let (code, told) = run(lab, &proxy, &format!("{} --timeout 60s", step.words), bound);
        assert!(proxy.counts().late > 0, "no reply was late");
        if code == 0 { Ok(()) } else { Err(told) }
    });
}

/// Every wait of the program takes five seconds at least once here, in a tenth of the time that five seconds for each reply take.
fn one_kind_late(lab: &Lab) {
    side_by_side(lab, &ONE_KIND, |lab, (step, api)| {
        let proxy = step.prepare(lab);
        proxy.add(Rule::new(*api, Deed::Delay(Duration::from_secs(5))));
        let (code, told) = run(lab, &proxy, &format!("{} --timeout 60s", step.words), BOUND);
        match (code, proxy.counts().late) {
            (_, 0) => Err(format!("{told}: it met no reply to {api:?}")),
            (0, _) => Ok(()),
            _ => Err(format!("{told} ({api:?})")),
        }
    });
}

fn late_by_1500_ms(lab: &Lab) {
    late(lab, Duration::from_millis(1_500), Duration::from_mins(4));
}

fn late_by_5_s(lab: &Lab) {
    late(lab, Duration::from_secs(5), Duration::from_mins(10));
}

/// The code is 4, and the end is within the timeout and the grace from the beginning of the silence.
fn ends_in_silence(code: i32, told: &str, silent_for: Duration, timeout: Duration) -> Result<(), String> {
    if code == 4 && silent_for <= timeout + GRACE {
        Ok(())
    } else {
        Err(format!("{told}, {silent_for:.1?} after the silence began"))
    }
}

fn silent_from_the_start(lab: &Lab) {
    side_by_side(lab, &STEPS, |lab, step| {
        let proxy = step.prepare(lab);
        proxy.black_hole(Hole::Replies);
        let start = Instant::now();
        let (code, told) = run(lab, &proxy, &format!("{} --timeout 3s", step.words), BOUND);
        let silent_for = start.elapsed();
        assert!(proxy.counts().swallowed > 0, "nothing was swallowed");
        ends_in_silence(code, &told, silent_for, Duration::from_secs(3))
    });
}

fn silent_in_mid_run(lab: &Lab) {
    side_by_side(lab, &IN_MID_RUN, |lab, (step, api, number)| {
        let proxy = step.prepare(lab);
        proxy.add(Rule::new(*api, Deed::BlackHole(Hole::Replies)).only(*number));
        let (code, told) = run(lab, &proxy, &format!("{} --timeout 3s", step.words), BOUND);
        let Some(since) = proxy.black_hole_since() else {
            return Err(format!("{told}: it ended without {number} replies to {api:?}"));
        };
        ends_in_silence(code, &format!("{told} ({api:?} {number})"), since.elapsed(), Duration::from_secs(3))
    });
}

fn cut_produce(lab: &Lab) {
    let proxy = Proxy::new(&lab.broker);
    proxy.add(Rule::new(ApiKey::Produce, Deed::CutAfter(21)).every(3).times(8));
    for api in [ApiKey::ApiVersions, ApiKey::Metadata, ApiKey::InitProducerId] {
        proxy.add(Rule::new(api, Deed::CutAfter(9)).every(3).times(3));
    }
    let words = "produce --count 20000 --rate 10000/s --seed 52";
    let document = lab.through(&proxy.address()).document(words);
    assert!(proxy.counts().cut > 0, "nothing was cut");
    assert_eq!((&document["acknowledged"], &document["failed"]), (&20_000.into(), &0.into()));
    assert_eq!(lab.read("order-events").len(), 20_000, "each order once");
}

fn cut_inventory(lab: &Lab) {
    lab.run("produce --count 4000 --poison-rate 1% --seed 53").expect(0);
    let proxy = Proxy::new(&lab.broker);
    let members = [ApiKey::FindCoordinator, ApiKey::JoinGroup, ApiKey::SyncGroup, ApiKey::OffsetFetch];
    for api in TRANSACTIONAL.into_iter().chain(members).chain([ApiKey::Produce, ApiKey::Fetch, ApiKey::Heartbeat]) {
        proxy.add(Rule::new(api, Deed::CutAfter(7)).every(4).times(3));
    }
    lab.through(&proxy.address()).run(&format!("inventory {FAST} --until-end --throttle 2000/s")).expect(0);
    assert!(proxy.counts().cut > 0, "nothing was cut");
    truth::check(lab, OPENING, RESTOCK_MILLIS);
}

/// Replies that leave a transaction's outcome unknown when they are lost.
const IN_DOUBT: [ApiKey; 4] = [ApiKey::EndTxn, ApiKey::TxnOffsetCommit, ApiKey::AddOffsetsToTxn, ApiKey::Produce];

/// Runs `inventory` while replies are lost, and again without that if it stopped; then each line is decided once.
fn survives(lab: &Lab, rule: Rule, timeouts: &str, codes: &[i32]) -> Result<(), String> {
    lab.run("produce --count 3000 --poison-rate 1% --seed 54").expect(0);
    let proxy = Proxy::new(&lab.broker);
    proxy.add(rule);
    let words = format!("inventory {FAST} {timeouts} --until-end --throttle 2000/s --commit-interval 50ms");
    let (code, told) = run(lab, &proxy, &words, BOUND);
    if !codes.contains(&code) || proxy.counts().lost == 0 {
        return Err(format!("{told}, {} replies lost", proxy.counts().lost));
    }
    if code != 0 {
        lab.run(&format!("inventory {FAST} --until-end")).expect(0);
    }
    truth::check(lab, OPENING, RESTOCK_MILLIS);
    Ok(())
}

fn lost_with_the_connection(lab: &Lab) {
    side_by_side(lab, &IN_DOUBT, |lab, api| {
        survives(lab, Rule::new(*api, Deed::LoseWithConnection).every(4).times(4), "", &[0])
    });
}

/// The client waits for a reply that never comes, while the connection answers everything else.
fn lost_silently(lab: &Lab) {
    side_by_side(lab, &IN_DOUBT, |lab, api| {
        let timeouts = "--timeout 10s -X socket.timeout.ms=3000";
        survives(lab, Rule::new(*api, Deed::Lose).only(3), timeouts, &[0, 4])
    });
}

/// Offsets that are not added, while the group's coordinator answers others: every time-out of the client is longer than the
/// command may take.
fn offsets_unanswered(lab: &Lab) {
    let timeouts = "--timeout 10m -X socket.timeout.ms=300000 -X transaction.timeout.ms=600000 \
                    -X session.timeout.ms=700000 -X max.poll.interval.ms=800000";
    let rule = Rule::new(ApiKey::TxnOffsetCommit, Deed::Lose).only(3);
    survives(lab, rule, timeouts, &[0]).unwrap_or_else(|problem| panic!("{problem}"));
}
