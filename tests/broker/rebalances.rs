//! Several `inventory` members in one group, and a throttled member.

#![allow(clippy::disallowed_methods, reason = "measures records per second")]

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::invariants;
use super::inventory_kills::{GROUP, OPENING_STOCK, RESTOCK_MILLIS, SHORT_TIMEOUTS};
use super::support::{Running, TestEnv, until};
use super::{Case, edge_cases};

pub const CASES: &[Case] = &[
    ("rebalances::joining_and_leaving_members_share_orders", shared),
    ("rebalances::throttled_member_stays_in_the_group", throttled),
];

fn shared(env: &TestEnv) {
    let producer = env.start("produce --rate 4000/s --duration 120s --seed 31 --output json");
    until("the topic of the orders exists", || {
        let listed = env.run("replay --dry-run");
        // The error is reported until the topic exists.
        (!listed.stderr.contains("does not exist")).then_some(())
    });
    let args = format!("inventory {SHORT_TIMEOUTS} --output json");
    let mut members: Vec<Running> = (0..3).map(|_| env.start(&args)).collect();
    let goes_beyond = |point: i64| {
        until("the group commits again", || {
            Some(env.progress(GROUP, "order-events")).filter(|progress| *progress > point)
        })
    };
    until("all three are members", || (env.members(GROUP).len() == 3).then_some(()));
    let point = goes_beyond(0);
    members.push(env.start(&args));
    until("the fourth has joined", || (env.members(GROUP).len() == 4).then_some(()));
    // Enough orders for each member to decide some: those that waited for the rebalance may belong to one member.
    let point = goes_beyond(point + 12_000);
    let leaver = members.remove(0);
    leaver.signal(Signal::INT);
    let mut orders = 0;
    let mut ended = |run: Running| {
        let document = run.end().expect(0).document();
        let own = document["orders"].as_u64().expect("a number");
        assert!(own > 0, "a member decided nothing: {document}");
        orders += own;
    };
    ended(leaver);
    goes_beyond(point);
    producer.signal(Signal::INT);
    let placed = producer.end().expect(130).document();
    let ends: Vec<Option<i64>> = env.watermarks("order-events").into_iter().map(|(_, high)| Some(high)).collect();
    until("everything is decided", || (env.committed(GROUP, "order-events") == ends).then_some(()));
    for member in &members {
        member.signal(Signal::INT);
    }
    members.into_iter().for_each(&mut ended);
    assert_eq!(placed["acknowledged"], orders, "the members' counts add up");
    invariants::check(env, OPENING_STOCK, RESTOCK_MILLIS);
}

fn throttled(env: &TestEnv) {
    let envs = [env.other("paced"), env.other("slow")];
    std::thread::scope(|scope| {
        scope.spawn(|| paced(&envs[0]));
        scope.spawn(|| slower_than_its_poll_interval(&envs[1]));
    });
}

fn paced(env: &TestEnv) {
    env.run("produce --count 5000 --seed 32").expect(0);
    let running = env.start(&format!("inventory {SHORT_TIMEOUTS} --throttle 200/s"));
    until("the first order is committed", || (env.progress(GROUP, "order-events") > 0).then_some(()));
    let (start, from, members) = (Instant::now(), env.progress(GROUP, "order-events"), env.members(GROUP));
    // Longer than the session timeout.
    until("1,500 more are decided", || {
        let progress = env.progress(GROUP, "order-events") - from;
        let most = start.elapsed().as_millis() * 300 / 1000 + 100;
        assert!(u128::try_from(progress).expect("not back") < most, "{progress} orders in {:?}", start.elapsed());
        (progress >= 1500).then_some(())
    });
    assert!(start.elapsed() > Duration::from_secs(5), "1,500 orders in {:?}", start.elapsed());
    assert_eq!(env.members(GROUP), members, "no member was evicted");
    let asked = Instant::now();
    running.signal(Signal::INT);
    running.end().expect(0);
    assert!(asked.elapsed() < Duration::from_secs(3), "it took {:?} to stop", asked.elapsed());
    edge_cases::assert_no_open_transaction(env);
    invariants::check(env, OPENING_STOCK, RESTOCK_MILLIS);
}

fn slower_than_its_poll_interval(env: &TestEnv) {
    env.run("produce --count 60 --seed 33").expect(0);
    let running = env.start(&format!("inventory {SHORT_TIMEOUTS} -X max.poll.interval.ms=7000 --throttle 6/m"));
    until("the first order is committed", || (env.progress(GROUP, "order-events") > 0).then_some(()));
    let members = env.members(GROUP);
    // The next order comes ten seconds later: a member that does not poll would be evicted before that.
    until("the second order is committed", || (env.progress(GROUP, "order-events") > 1).then_some(()));
    assert_eq!(env.members(GROUP), members, "no member was evicted");
    running.signal(Signal::INT);
    running.end().expect(0);
    invariants::check(env, OPENING_STOCK, RESTOCK_MILLIS);
}
