//! The pipeline on an embedded broker with injected faults: error codes, lost and slow responses, timed-out
//! transactions.
//!
//! After each fault `inventory` either ends with one decision per line, or exits with a documented code and continues
//! correctly when it is started again.

use std::time::Duration;

use foodstream::broker::{ApiKey, BrokerConfig, Fault, FaultRule, ResponseError};
use rustix::process::Signal;

use super::Case;
use super::brokers::Embedded;
use super::invariants;
use super::inventory_kills::{GROUP, OPENING_STOCK, RESTOCK_MILLIS, SHORT_TIMEOUTS};
use super::support::{Running, TestEnv, until};

pub const CASES: &[Case] = &[
    ("faults::lost_end_txn_replies", lost_ends),
    ("faults::moved_loading_and_busy_coordinators", busy_coordinators),
    ("faults::unstable_offset_commits", unstable_offsets),
    ("faults::unknown_leader_epochs", unknown_leaders),
    ("faults::refused_producer_epochs", refused_epochs),
    ("faults::named_instance_recovers_from_producer_fenced", fenced_by_name),
    ("faults::produce_times_out_after_append", timed_out_produces),
    ("faults::first_orders_reach_a_non_leader", orders_to_non_leaders),
    ("faults::orders_are_not_reordered_by_leader_errors", overtaking_orders),
    ("faults::first_decisions_reach_a_non_leader", decisions_to_non_leaders),
    ("faults::connections_cut_before_requests", cut_connections),
    ("faults::member_is_overtaken_during_restore", overtaken_member),
    ("faults::transactions_time_out_while_running", timeouts),
    ("faults::slow_responses", slow_responses),
    ("faults::refused_orders_fail_after_one_timeout", refused_orders),
];

/// Every request that a transactional producer sends to its coordinators.
pub const TRANSACTIONAL: [ApiKey; 5] = [
    ApiKey::InitProducerId,
    ApiKey::AddPartitionsToTxn,
    ApiKey::AddOffsetsToTxn,
    ApiKey::TxnOffsetCommit,
    ApiKey::EndTxn,
];

/// An embedded broker with injected faults.
struct FaultyBroker {
    env: TestEnv,
    config: BrokerConfig,
    _broker: Embedded,
}

impl FaultyBroker {
    fn empty(env: &TestEnv) -> Self {
        let config = BrokerConfig::in_memory();
        let broker = Embedded::start(config.clone());
        Self { env: env.on(&broker.address()), config, _broker: broker }
    }

    fn new(env: &TestEnv, orders: u32) -> Self {
        let faulty = Self::empty(env);
        faulty.env.run(&format!("produce --count {orders} --poison-rate 1% --seed 31")).expect(0);
        faulty
    }

    fn inject(&self, rule: FaultRule) {
        self.config.faults.add(rule);
    }

    /// Runs `inventory` with the faults and, if it stopped, again without them; then checks all invariants.
    fn check_inventory(&self, args: &str, codes: &[i32]) -> i32 {
        let first = self.env.run(&format!("inventory {SHORT_TIMEOUTS} --until-end {args}"));
        assert!(codes.contains(&first.code()), "exit {}: {}", first.code(), first.stderr);
        let done = self.config.faults.done();
        assert!(done > 0, "no fault was injected");
        self.config.faults.clear();
        self.env.run(&format!("inventory {SHORT_TIMEOUTS} --until-end {args}")).expect(0);
        invariants::check(&self.env, OPENING_STOCK, RESTOCK_MILLIS);
        first.code()
    }
}

fn lost_ends(env: &TestEnv) {
    let faulty = FaultyBroker::new(env, 6_000);
    faulty.inject(FaultRule::new(ApiKey::EndTxn, Fault::ApplyAndCut).every(2));
    faulty.check_inventory("--throttle 6000/s --commit-interval 50ms", &[0]);
}

fn busy_coordinators(env: &TestEnv) {
    let errors = [
        ResponseError::NotCoordinator,
        ResponseError::CoordinatorLoadInProgress,
        ResponseError::CoordinatorNotAvailable,
        ResponseError::ConcurrentTransactions,
    ];
    std::thread::scope(|scope| {
        for error in errors {
            scope.spawn(move || {
                let faulty = FaultyBroker::new(&env.other(&format!("{}.", error.code())), 2_000);
                for api in TRANSACTIONAL {
                    // `TxnOffsetCommit` never returns `CONCURRENT_TRANSACTIONS`.
                    if (api, error) != (ApiKey::TxnOffsetCommit, ResponseError::ConcurrentTransactions) {
                        faulty.inject(FaultRule::new(api, Fault::Refuse(error)).every(2).times(6));
                    }
                }
                faulty.check_inventory("--throttle 2000/s", &[0]);
            });
        }
    });
}

fn unstable_offsets(env: &TestEnv) {
    let faulty = FaultyBroker::new(env, 2_000);
    faulty.inject(FaultRule::new(ApiKey::OffsetFetch, Fault::Refuse(ResponseError::UnstableOffsetCommit)).times(8));
    faulty.check_inventory("", &[0]);
}

fn unknown_leaders(env: &TestEnv) {
    let faulty = FaultyBroker::new(env, 2_000);
    for error in [ResponseError::UnknownLeaderEpoch, ResponseError::FencedLeaderEpoch] {
        faulty.inject(FaultRule::new(ApiKey::ListOffsets, Fault::Refuse(error)).times(3));
    }
    faulty.check_inventory("", &[0]);
}

fn refused_epochs(env: &TestEnv) {
    std::thread::scope(|scope| {
        for error in [ResponseError::InvalidProducerEpoch, ResponseError::ProducerFenced] {
            scope.spawn(move || {
                for api in [ApiKey::Produce, ApiKey::AddPartitionsToTxn, ApiKey::TxnOffsetCommit, ApiKey::EndTxn] {
                    let faulty = FaultyBroker::new(&env.other(&format!("{}.{}.", error.code(), api as i16)), 2_000);
                    faulty.inject(FaultRule::new(api, Fault::Refuse(error)).only(3));
                    // Without an instance id no other process can own the producer id: it was not fenced by a
                    // successor, so it continues with a new one.
                    faulty.check_inventory("--throttle 4000/s", &[0]);
                }
            });
        }
    });
}

fn fenced_by_name(env: &TestEnv) {
    let faulty = FaultyBroker::new(env, 2_000);
    faulty.inject(FaultRule::new(ApiKey::EndTxn, Fault::Refuse(ResponseError::ProducerFenced)).only(2));
    // The group still lists this member under its instance id: no other process has taken over.
    faulty.check_inventory("--throttle 4000/s --instance-id till", &[0]);
}

fn timed_out_produces(env: &TestEnv) {
    let faulty = FaultyBroker::empty(env);
    faulty.inject(FaultRule::new(ApiKey::Produce, Fault::ApplyAndRefuse(ResponseError::RequestTimedOut)).every(3));
    faulty.inject(FaultRule::new(ApiKey::Produce, Fault::ApplyAndCut).every(7));
    let document = faulty.env.document("produce --count 20000 --seed 32 -X batch.num.messages=300");
    assert_eq!((&document["acknowledged"], &document["failed"]), (&20_000.into(), &0.into()));
    assert_eq!(faulty.env.read("order-events").len(), 20_000, "each order is stored once");
    assert!(faulty.config.faults.done() > 10);
    faulty.check_inventory("--throttle 30000/s --commit-interval 30ms", &[0]);
}

/// Runs a case for each of the first six produce requests, which fails late with `NOT_LEADER_OR_FOLLOWER`. Records behind
/// the first ones of a partition are then in flight, and a partition accepts any first sequence number from a new producer.
/// The client keeps fewer than five records of a partition in flight unless they are in one batch, so the first records
/// must come slowly.
fn non_leaders(env: &TestEnv, each: impl Fn(&TestEnv, FaultRule) + Sync) {
    let late = Fault::RefuseLate(ResponseError::NotLeaderOrFollower, Duration::from_millis(300));
    std::thread::scope(|scope| {
        for nth in 1..=6 {
            let (each, env) = (&each, env.other(&format!("{nth}.")));
            scope.spawn(move || each(&env, FaultRule::new(ApiKey::Produce, late).only(nth)));
        }
    });
}

fn orders_to_non_leaders(env: &TestEnv) {
    non_leaders(env, |env, rule| {
        let faulty = FaultyBroker::empty(env);
        faulty.inject(rule);
        let document = faulty.env.document("produce --count 600 --seed 33 --partitions 5 --rate 400/s");
        assert_eq!((&document["acknowledged"], &document["failed"]), (&600.into(), &0.into()));
        assert_eq!(faulty.config.faults.done(), 1);
        assert_eq!(faulty.env.read("order-events").len(), 600, "every acknowledged order is stored");
    });
}

/// Lost responses and leader errors alternate while several requests of each partition wait.
fn overtaking_orders(env: &TestEnv) {
    std::thread::scope(|scope| {
        for nth in 0..4u64 {
            let env = env.other(&format!("{nth}."));
            scope.spawn(move || {
                let faulty = FaultyBroker::empty(&env);
                let late = Fault::RefuseLate(ResponseError::NotLeaderOrFollower, Duration::from_millis(30));
                faulty.inject(FaultRule::new(ApiKey::Produce, Fault::ApplyAndCut).every(23 + nth).times(12));
                faulty.inject(FaultRule::new(ApiKey::Produce, late).every(7 + nth).times(40));
                let document = faulty.env.document("produce --count 3000 --seed 34 --partitions 5 --rate 1000/s");
                assert_eq!((&document["acknowledged"], &document["failed"]), (&3000.into(), &0.into()));
                assert!(faulty.config.faults.done() > 20, "{}", faulty.config.faults.done());
                assert_eq!(faulty.env.read("order-events").len(), 3000, "each order is stored once");
            });
        }
    });
}

fn decisions_to_non_leaders(env: &TestEnv) {
    non_leaders(env, |env, rule| {
        let faulty = FaultyBroker::new(env, 600);
        faulty.inject(rule);
        faulty.check_inventory("--throttle 300/s --commit-interval 1s", &[0]);
    });
}

fn cut_connections(env: &TestEnv) {
    let faulty = FaultyBroker::new(env, 4_000);
    for api in TRANSACTIONAL.into_iter().chain([ApiKey::Produce, ApiKey::Fetch, ApiKey::OffsetFetch]) {
        faulty.inject(FaultRule::new(api, Fault::Cut).every(5).times(4));
    }
    faulty.check_inventory("--throttle 4000/s", &[0]);
}

fn timeouts(env: &TestEnv) {
    let faulty = FaultyBroker::new(env, 6_000);
    let mut running =
        vec![faulty.env.start(&format!("inventory {SHORT_TIMEOUTS} --throttle 1500/s --commit-interval 1s"))];
    for _ in 0..3 {
        until("a transaction is open", || {
            assert!(
                !running.iter_mut().any(Running::has_ended),
                "inventory ended: {:?}",
                running.pop().map(Running::end)
            );
            faulty.env.has_open_transaction("inventory-events").then_some(())
        });
        let before = faulty.env.progress(GROUP, "order-events");
        // Longer than the transaction timeout, shorter than the session timeout.
        faulty.config.clock.advance(Duration::from_millis(4_500));
        until("inventory commits again", || (faulty.env.progress(GROUP, "order-events") > before).then_some(()));
    }
    running.iter_mut().for_each(Running::kill);
    let last = faulty.env.document(&format!("inventory {SHORT_TIMEOUTS} --until-end"));
    assert!(last["restored_records"].as_u64().is_some_and(|records| records > 0), "{last}");
    invariants::check(&faulty.env, OPENING_STOCK, RESTOCK_MILLIS);
}

/// Between reading the group's offsets and reading the ledger, another member gets the partitions and commits.
fn overtaken_member(env: &TestEnv) {
    let faulty = FaultyBroker::new(env, 6_000);
    faulty.inject(FaultRule::new(ApiKey::ListOffsets, Fault::Delay(Duration::from_secs(1))).for_client("slow"));
    let args = format!("inventory {SHORT_TIMEOUTS} --throttle 1000/s");
    let slow = faulty.env.start(&format!("{args} -X client.id=slow"));
    until("the first is a member", || (faulty.env.members(GROUP).len() == 1).then_some(()));
    // It requests the group's offsets now, then start and end of the orders, then of the ledger.
    let asked = faulty.config.faults.done();
    until("the first member has read the offsets", || (faulty.config.faults.done() > asked).then_some(()));
    slow.signal(Signal::STOP);
    faulty.config.faults.clear();
    // Longer than its session timeout.
    faulty.config.clock.advance(Duration::from_millis(6_500));
    let quick = faulty.env.start(&args);
    until("the second member commits", || (faulty.env.progress(GROUP, "order-events") > 500).then_some(()));
    slow.signal(Signal::CONT);
    let mut running = vec![slow, quick];
    until("both are members", || {
        assert!(!running[0].has_ended(), "the first member ended: {:?}", running.swap_remove(0).end());
        (faulty.env.members(GROUP).len() == 2).then_some(())
    });
    until("everything is decided", || (faulty.env.progress(GROUP, "order-events") == 6_000).then_some(()));
    for process in running {
        process.signal(Signal::INT);
        process.end().expect(0);
    }
    invariants::check(&faulty.env, OPENING_STOCK, RESTOCK_MILLIS);
}

fn slow_responses(env: &TestEnv) {
    let faulty = FaultyBroker::new(env, 2_000);
    for api in TRANSACTIONAL {
        faulty.inject(FaultRule::new(api, Fault::Delay(Duration::from_millis(700))).every(3).times(4));
    }
    faulty.check_inventory("--throttle 2000/s", &[0]);
}

/// The first order of each partition is sent alone, so each partition could wait for a timeout.
fn refused_orders(env: &TestEnv) {
    let faulty = FaultyBroker::empty(env);
    faulty.inject(FaultRule::new(ApiKey::Produce, Fault::Refuse(ResponseError::NotLeaderOrFollower)));
    let run = faulty.env.run("produce --count 200 --partitions 6 --timeout 2s --output json").expect(4);
    assert!(faulty.config.faults.done() > 0, "no fault was injected");
    let document = run.document();
    assert_eq!(document["acknowledged"], 0);
    assert!(document["produced"].as_i64().expect("a count") <= 6, "{document}");
}
