//! `audit` of the topics of a prefix: every damage is found under its names by the command and by the independent
//! checker, and nothing else is.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};

use serde_json::Value;

use super::Case;
use super::audit_copy::{DECISIONS, Logs};
use super::audit_damages::{DECISION_DAMAGES, Damage, damage};
use super::audit_damages_state::{
    DEAD_LETTER_DAMAGES, LEDGER_DAMAGES, OFFSET_DAMAGES, OPEN_TRANSACTIONS, ORDER_DAMAGES, READER_DAMAGES,
};
use super::groups::SHORT_TIMEOUTS;
use super::invariants::{TopicSnapshot, audit_agrees};
use super::support::{TestEnv, until};

pub const CASES: &[Case] = &[("audit::every_damage_is_caught_by_name", damages)];

/// A run with reserved, rejected and released orders, restocks, repeated and bad orders, aborted transactions, a group
/// of `analytics`, and orders that are not decided yet.
fn good_run(env: &TestEnv) {
    let orders = "--partitions 2 --restaurants 4 --items 3 --poison-rate 12% --duplicate-rate 8% --failure-rate 15%";
    let inventory = format!("inventory {SHORT_TIMEOUTS} --opening-stock 10 --restock-every 1m --instance-id till");
    env.run(&format!("produce --count 40 --seed 5 --orders-per-minute 20 {orders}")).expect(0);
    env.run(&format!("{inventory} --until-end")).expect(0);
    env.run("analytics --until-end").expect(0);
    env.run(&format!("produce --count 40 --seed 6 --orders-per-minute 20 {orders}")).expect(0);
    let mut killed = env.start(&format!("{inventory} --throttle 40/s --commit-interval 3s"));
    until("decisions of both partitions are in an open transaction", || {
        let (stable, ends) = (env.last_stable_offsets("inventory-events"), env.watermarks("inventory-events"));
        stable.iter().zip(ends).all(|(stable, (_, end))| stable + 8 <= end).then_some(())
    });
    killed.kill();
    env.run(&format!("{inventory} --until-end")).expect(0);
    env.run("analytics --until-end").expect(0);
    env.run(&format!("produce --count 20 --seed 7 {orders}")).expect(0);
}

/// The topics of a good run. All cases have the same.
pub fn good(env: &TestEnv) -> &'static Logs {
    static GOOD: OnceLock<Logs> = OnceLock::new();
    GOOD.get_or_init(|| {
        let source = env.other("good");
        good_run(&source);
        audit_agrees(&source);
        Logs::read(&source)
    })
}

/// The names of the checks that `audit` found violated.
pub fn violated(document: &Value) -> BTreeSet<String> {
    let checks = document["checks"].as_array().expect("checks").iter();
    let found = checks.filter(|check| check["violations"].as_u64() > Some(0));
    found.map(|check| check["name"].as_str().expect("a name").to_owned()).collect()
}

/// How many things a check has compared.
pub fn checked(document: &Value, name: &str) -> u64 {
    let checks = document["checks"].as_array().expect("checks");
    let check = checks.iter().find(|check| check["name"] == name);
    check.and_then(|check| check["checked"].as_u64()).unwrap_or_else(|| panic!("{name}: {document}"))
}

/// Evidence that does not say what was expected or seen, or that has no record.
fn poor_evidence(document: &Value) -> Option<String> {
    let checks = document["checks"].as_array().expect("checks").iter();
    let mut evidence = checks.map(|check| (&check["name"], &check["first"])).filter(|(_, first)| !first.is_null());
    let is_poor = |name: &Value, first: &Value| {
        let records = first["records"].as_array().expect("records");
        let is_lost = ["lost_write", "torn_transaction"].iter().any(|anomaly| first["anomaly"] == *anomaly);
        let is_open = records.iter().all(|record| record["state"] == "open");
        // There may be no position record, or no offset.
        name != "position-equals-offset"
            && (records.is_empty()
                || first["expected"].is_null()
                || first["seen"].is_null() != is_lost
                || first["expected"] == first["seen"]
                || is_open != (name == "no-hanging-transaction")
                || records.iter().any(|record| record["state"] == "unknown"))
    };
    evidence.find(|(name, first)| is_poor(name, first)).map(|(name, first)| format!("evidence of {name}: {first:#}"))
}

/// Compares what the table, the command and the independent checker say about a damage.
fn problem(env: &TestEnv, good: &Logs, number: usize, damage: &Damage) -> Option<String> {
    let mut logs = good.clone();
    (damage.change)(&mut logs);
    let copy = logs.write(env.other(&format!("{number}")));
    let expected: BTreeSet<String> = damage.violated.split_whitespace().map(str::to_owned).collect();
    let truth = TopicSnapshot::of(&copy.env).violations();
    let names: BTreeSet<String> = truth.names().into_iter().map(str::to_owned).collect();
    let run = copy.env.run("audit --output json --timeout 5s");
    let document = run.document();
    let found = violated(&document);
    let verdict = if expected.is_empty() { ("clean", 0) } else { ("violated", 3) };
    if (document["verdict"].as_str(), run.code()) != (Some(verdict.0), verdict.1) {
        return Some(format!("{}: exit {}, {}\n{document:#}", damage.name, run.code(), document["verdict"]));
    }
    let is_aborted = |record: &Value| record["state"] == "aborted" && record["topic"] == copy.env.topic(DECISIONS);
    let lost = document["checks"][0]["first"]["records"].as_array().into_iter().flatten();
    if damage.name.contains("transaction aborted") && !lost.clone().any(is_aborted) {
        return Some(format!("{}: no aborted decision in {lost:?}", damage.name));
    }
    if let Some(evidence) = poor_evidence(&document) {
        return Some(format!("{}: {evidence}", damage.name));
    }
    (names != expected || found != expected).then(|| {
        let shown = |other: &BTreeSet<String>| {
            let more: Vec<_> = other.difference(&expected).collect();
            let less: Vec<_> = expected.difference(other).collect();
            format!("more {more:?}, less {less:?}")
        };
        let evidence: Vec<String> = document["checks"]
            .as_array()
            .expect("checks")
            .iter()
            .filter(|check| !check["first"].is_null())
            .map(|check| format!("  {}: {}", check["name"], check["first"]["summary"]))
            .collect();
        let (checker, audit) = (shown(&names), shown(&found));
        format!("{}: checker {checker}; audit {audit}\n{truth:#?}\n{}", damage.name, evidence.join("\n"))
    })
}

/// The ledger of a run with other orders. Nothing else is changed.
const ANOTHER_LEDGER: Damage = damage(
    "ledger of another run",
    "position-equals-offset counts-agree ledger-agrees records-unchanged stock-balances",
    |_| {},
);

fn with_another_ledger(env: &TestEnv, good: &Logs) -> Logs {
    let source = env.other("another");
    source.run("produce --count 30 --seed 8 --partitions 2 --restaurants 4 --items 3").expect(0);
    source.run("inventory --until-end --opening-stock 10 --restock-every 1m").expect(0);
    good.with_ledger_of(Logs::read(&source))
}

fn damages(env: &TestEnv) {
    let tables = [DECISION_DAMAGES, OFFSET_DAMAGES, LEDGER_DAMAGES, ORDER_DAMAGES, DEAD_LETTER_DAMAGES, READER_DAMAGES];
    let mut chosen = tables.concat();
    if std::env::var_os("FOODSTREAM_AUDIT_DAMAGES").is_none() {
        // All of them take most of a minute. Without the variable, one of each set of checks.
        let mut seen = BTreeSet::new();
        chosen.retain(|damage| seen.insert(damage.violated));
    }
    // These wait, so they are the first.
    chosen.splice(0..0, OPEN_TRANSACTIONS.iter().copied());
    let good = good(env);
    let mut problems = parallel(&chosen, |number, damage| problem(env, good, number, damage));
    problems.extend(problem(env, &with_another_ledger(env, good), chosen.len(), &ANOTHER_LEDGER));
    assert!(problems.is_empty(), "{} of {} damages:\n{}", problems.len(), chosen.len(), problems.join("\n\n"));
}

/// Runs the function for each item, and returns what it finds. A case mostly waits for answers, so many run at a time.
pub fn parallel<T: Sync, P: Send>(items: &[T], run: impl Fn(usize, &T) -> Option<P> + Sync) -> Vec<P> {
    let (next, found) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(number) else { return };
                    let result = run(number, item);
                    found.lock().expect("whole").extend(result);
                }
            });
        }
    });
    found.into_inner().expect("whole")
}
