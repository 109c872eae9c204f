//! Owns what the pipeline makes of a broker that refuses, forgets its answers, is slow or ends transactions: embedded brokers of its own, failing on demand.
//!
//! Whatever is done to it, `inventory` either ends with one decision per line, or stops with a documented code and goes on rightly when it is started again.

use std::time::Duration;

use foodstream::broker::{ApiKey, BrokerConfig, Fault, FaultRule, ResponseError};
use rustix::process::Signal;

use super::Case;
use super::brokers::Embedded;
use super::chaos::{FAST, GROUP, OPENING, RESTOCK_MILLIS};
use super::support::{Lab, Running, until};
use super::truth;

pub const CASES: &[Case] = &[
    ("faults::the_replies_of_ended_transactions_are_lost", lost_ends),
    ("faults::coordinators_move_load_and_are_busy", busy_coordinators),
    ("faults::offsets_are_unstable_for_a_while", unstable_offsets),
    ("faults::a_broker_has_not_heard_of_a_leader_yet", unknown_leaders),
    ("faults::the_producers_epoch_is_refused", refused_epochs),
    ("faults::a_named_instance_whose_transaction_was_given_up_recovers", fenced_by_name),
    ("faults::a_produce_times_out_after_it_was_applied", applied_produces),
    ("faults::the_first_orders_of_a_partition_meet_a_broker_that_does_not_lead_it_yet", unled_orders),
    ("faults::orders_do_not_overtake_each_other_at_a_leader_that_refuses", overtaking_orders),
    ("faults::the_first_decisions_of_a_partition_meet_a_broker_that_does_not_lead_it_yet", unled_decisions),
    ("faults::connections_are_cut_in_front_of_every_request_of_the_loop", cuts),
    ("faults::a_member_that_stands_still_while_it_restores_meets_its_successors_work", overtaken),
    ("faults::transactions_time_out_under_a_working_instance", timeouts),
    ("faults::answers_are_slow", slow_answers),
    ("faults::orders_that_no_broker_takes_are_given_up_after_one_timeout", untaken_orders),
];

/// Every request with which a transactional producer talks to its coordinators.
pub const TRANSACTIONAL: [ApiKey; 5] = [
    ApiKey::InitProducerId,
    ApiKey::AddPartitionsToTxn,
    ApiKey::AddOffsetsToTxn,
    ApiKey::TxnOffsetCommit,
    ApiKey::EndTxn,
];

/// A broker that fails on demand.
struct Place {
    lab: Lab,
    config: BrokerConfig,
    _broker: Embedded,
}

impl Place {
    fn empty(lab: &Lab) -> Self {
        let config = BrokerConfig::in_memory();
        let broker = Embedded::start(config.clone());
        Self { lab: lab.on(&broker.address()), config, _broker: broker }
    }

    /// With orders on it.
    fn new(lab: &Lab, orders: u32) -> Self {
        let place = Self::empty(lab);
        place.lab.run(&format!("produce --count {orders} --poison-rate 1% --seed 31")).expect(0);
        place
    }

    fn fail(&self, rule: FaultRule) {
        self.config.faults.add(rule);
    }

    /// Runs `inventory` while the faults last and again without them, if it had stopped; then everything must be there once.
    fn survives(&self, words: &str, codes: &[i32]) -> i32 {
        let first = self.lab.run(&format!("inventory {FAST} --until-end {words}"));
        assert!(codes.contains(&first.code()), "exit {}: {}", first.code(), first.stderr);
        let done = self.config.faults.done();
        assert!(done > 0, "nothing was done to it");
        self.config.faults.clear();
        self.lab.run(&format!("inventory {FAST} --until-end {words}")).expect(0);
        truth::check(&self.lab, OPENING, RESTOCK_MILLIS);
        first.code()
    }
}

fn lost_ends(lab: &Lab) {
    let place = Place::new(lab, 6_000);
    place.fail(FaultRule::new(ApiKey::EndTxn, Fault::ApplyAndCut).every(2));
    place.survives("--throttle 6000/s --commit-interval 50ms", &[0]);
}

fn busy_coordinators(lab: &Lab) {
    let errors = [
        ResponseError::NotCoordinator,
        ResponseError::CoordinatorLoadInProgress,
        ResponseError::CoordinatorNotAvailable,
        ResponseError::ConcurrentTransactions,
    ];
    std::thread::scope(|scope| {
        for error in errors {
            scope.spawn(move || {
                let place = Place::new(&lab.other(&format!("{}.", error.code())), 2_000);
                for api in TRANSACTIONAL {
                    // Nobody answers the commit of offsets with a word about other transactions.
                    if (api, error) != (ApiKey::TxnOffsetCommit, ResponseError::ConcurrentTransactions) {
                        place.fail(FaultRule::new(api, Fault::Refuse(error)).every(2).times(6));
                    }
                }
                place.survives("--throttle 2000/s", &[0]);
            });
        }
    });
}

fn unstable_offsets(lab: &Lab) {
    let place = Place::new(lab, 2_000);
    place.fail(FaultRule::new(ApiKey::OffsetFetch, Fault::Refuse(ResponseError::UnstableOffsetCommit)).times(8));
    place.survives("", &[0]);
}

fn unknown_leaders(lab: &Lab) {
    let place = Place::new(lab, 2_000);
    for error in [ResponseError::UnknownLeaderEpoch, ResponseError::FencedLeaderEpoch] {
        place.fail(FaultRule::new(ApiKey::ListOffsets, Fault::Refuse(error)).times(3));
    }
    place.survives("", &[0]);
}

fn refused_epochs(lab: &Lab) {
    std::thread::scope(|scope| {
        for error in [ResponseError::InvalidProducerEpoch, ResponseError::ProducerFenced] {
            scope.spawn(move || {
                for api in [ApiKey::Produce, ApiKey::AddPartitionsToTxn, ApiKey::TxnOffsetCommit, ApiKey::EndTxn] {
                    let place = Place::new(&lab.other(&format!("{}.{}.", error.code(), api as i16)), 2_000);
                    place.fail(FaultRule::new(api, Fault::Refuse(error)).only(3));
                    // Without a name nobody else can have the producer's id: it was not fenced by a twin, so it goes on under another one.
                    place.survives("--throttle 4000/s", &[0]);
                }
            });
        }
    });
}

fn fenced_by_name(lab: &Lab) {
    let place = Place::new(lab, 2_000);
    place.fail(FaultRule::new(ApiKey::EndTxn, Fault::Refuse(ResponseError::ProducerFenced)).only(2));
    // The group still names this member under its instance id: no other process has taken over.
    place.survives("--throttle 4000/s --instance-id till", &[0]);
}

fn applied_produces(lab: &Lab) {
    let place = Place::empty(lab);
    place.fail(FaultRule::new(ApiKey::Produce, Fault::ApplyAndRefuse(ResponseError::RequestTimedOut)).every(3));
    place.fail(FaultRule::new(ApiKey::Produce, Fault::ApplyAndCut).every(7));
    let document = place.lab.document("produce --count 20000 --seed 32 -X batch.num.messages=300");
    assert_eq!((&document["acknowledged"], &document["failed"]), (&20_000.into(), &0.into()));
    assert_eq!(place.lab.read("order-events").len(), 20_000, "each order once");
    assert!(place.config.faults.done() > 10);
    place.survives("--throttle 30000/s --commit-interval 30ms", &[0]);
}

/// What is sent behind the first records of a partition is in flight when these are refused, and then it is led. A partition
/// takes any first sequence number from a producer that it does not know. The client has fewer than five records of a
/// partition in flight at a time unless they are of one batch, so the first ones come slowly.
fn unled(lab: &Lab, each: impl Fn(&Lab, FaultRule) + Sync) {
    let late = Fault::RefuseLate(ResponseError::NotLeaderOrFollower, Duration::from_millis(300));
    std::thread::scope(|scope| {
        for nth in 1..=6 {
            let (each, lab) = (&each, lab.other(&format!("{nth}.")));
            scope.spawn(move || each(&lab, FaultRule::new(ApiKey::Produce, late).only(nth)));
        }
    });
}

fn unled_orders(lab: &Lab) {
    unled(lab, |lab, rule| {
        let place = Place::empty(lab);
        place.fail(rule);
        let document = place.lab.document("produce --count 600 --seed 33 --partitions 5 --rate 400/s");
        assert_eq!((&document["acknowledged"], &document["failed"]), (&600.into(), &0.into()));
        assert_eq!(place.config.faults.done(), 1);
        assert_eq!(place.lab.read("order-events").len(), 600, "what was acknowledged is there");
    });
}

/// Answers are lost and leaders refuse, in turns, while several requests of each partition wait.
fn overtaking_orders(lab: &Lab) {
    std::thread::scope(|scope| {
        for nth in 0..4u64 {
            let lab = lab.other(&format!("{nth}."));
            scope.spawn(move || {
                let place = Place::empty(&lab);
                let late = Fault::RefuseLate(ResponseError::NotLeaderOrFollower, Duration::from_millis(30));
                place.fail(FaultRule::new(ApiKey::Produce, Fault::ApplyAndCut).every(23 + nth).times(12));
                place.fail(FaultRule::new(ApiKey::Produce, late).every(7 + nth).times(40));
                let document = place.lab.document("produce --count 3000 --seed 34 --partitions 5 --rate 1000/s");
                assert_eq!((&document["acknowledged"], &document["failed"]), (&3000.into(), &0.into()));
                assert!(place.config.faults.done() > 20, "{}", place.config.faults.done());
                assert_eq!(place.lab.read("order-events").len(), 3000, "each order once");
            });
        }
    });
}

fn unled_decisions(lab: &Lab) {
    unled(lab, |lab, rule| {
        let place = Place::new(lab, 600);
        place.fail(rule);
        place.survives("--throttle 300/s --commit-interval 1s", &[0]);
    });
}

fn cuts(lab: &Lab) {
    let place = Place::new(lab, 4_000);
    for api in TRANSACTIONAL.into_iter().chain([ApiKey::Produce, ApiKey::Fetch, ApiKey::OffsetFetch]) {
        place.fail(FaultRule::new(api, Fault::Cut).every(5).times(4));
    }
    place.survives("--throttle 4000/s", &[0]);
}

fn timeouts(lab: &Lab) {
    let place = Place::new(lab, 6_000);
    let mut running = vec![place.lab.start(&format!("inventory {FAST} --throttle 1500/s --commit-interval 1s"))];
    for _ in 0..3 {
        until("a transaction is open", || {
            assert!(
                !running.iter_mut().any(Running::has_ended),
                "ended by itself: {:?}",
                running.pop().map(Running::end)
            );
            place.lab.has_open_transaction("inventory-events").then_some(())
        });
        let before = place.lab.progress(GROUP, "order-events");
        // Beyond the transaction's time-out, and short of the session's.
        place.config.clock.advance(Duration::from_millis(4_500));
        until("it goes on", || (place.lab.progress(GROUP, "order-events") > before).then_some(()));
    }
    running.iter_mut().for_each(Running::kill);
    let last = place.lab.document(&format!("inventory {FAST} --until-end"));
    assert!(last["restored_records"].as_u64().is_some_and(|records| records > 0), "{last}");
    truth::check(&place.lab, OPENING, RESTOCK_MILLIS);
}

/// Between its look at the group's offsets and its look at the ledger another gets the partitions and commits.
fn overtaken(lab: &Lab) {
    let place = Place::new(lab, 6_000);
    place.fail(FaultRule::new(ApiKey::ListOffsets, Fault::Delay(Duration::from_secs(1))).for_client("slow"));
    let words = format!("inventory {FAST} --throttle 1000/s");
    let slow = place.lab.start(&format!("{words} -X client.id=slow"));
    until("the first is a member", || (place.lab.members(GROUP).len() == 1).then_some(()));
    // It asks for the group's offsets now, then for starts and ends of the orders, then of the ledger.
    let asked = place.config.faults.done();
    until("the first knows the offsets", || (place.config.faults.done() > asked).then_some(()));
    slow.signal(Signal::STOP);
    place.config.faults.clear();
    // Beyond its session.
    place.config.clock.advance(Duration::from_millis(6_500));
    let quick = place.lab.start(&words);
    until("the second commits", || (place.lab.progress(GROUP, "order-events") > 500).then_some(()));
    slow.signal(Signal::CONT);
    let mut running = vec![slow, quick];
    until("both are members", || {
        assert!(!running[0].has_ended(), "it did not live on: {:?}", running.swap_remove(0).end());
        (place.lab.members(GROUP).len() == 2).then_some(())
    });
    until("everything is decided", || (place.lab.progress(GROUP, "order-events") == 6_000).then_some(()));
    for process in running {
        process.signal(Signal::INT);
        process.end().expect(0);
    }
    truth::check(&place.lab, OPENING, RESTOCK_MILLIS);
}

fn slow_answers(lab: &Lab) {
    let place = Place::new(lab, 2_000);
    for api in TRANSACTIONAL {
        place.fail(FaultRule::new(api, Fault::Delay(Duration::from_millis(700))).every(3).times(4));
    }
    place.survives("--throttle 2000/s", &[0]);
}

/// The first order of each partition goes alone: each of them would wait for a timeout of its own.
fn untaken_orders(lab: &Lab) {
    let place = Place::empty(lab);
    place.fail(FaultRule::new(ApiKey::Produce, Fault::Refuse(ResponseError::NotLeaderOrFollower)));
    let run = place.lab.run("produce --count 200 --partitions 6 --timeout 2s --output json").expect(4);
    assert!(place.config.faults.done() > 0, "nothing was done to it");
    let document = run.document();
    assert_eq!(document["acknowledged"], 0);
    assert!(document["produced"].as_i64().expect("a count") <= 6, "{document}");
}
