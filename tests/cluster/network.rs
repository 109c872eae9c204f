//! Network faults on a healthy cluster: with a proxy in front of each node, no leader moves while a node is
//! unreachable.

use std::time::Duration;

use foodstream::broker::ApiKey;

use super::Case;
use super::brokers::Cluster;
use super::exit_table::ExitRule;
use super::processes::Processes;
use super::proxy::{Action, BlackHole, Proxy, Rule as ReplyRule};
use super::support::{TestEnv, until};
use super::{reassignments, workload};

pub const CASES: &[Case] =
    &[("nodes_unreachable_in_turn", nodes_out_of_reach), ("only_repeated_truncations_are_errors", truncations)];

/// How long a node is unreachable: longer than the request timeout, shorter than the timeout of any command.
const AWAY: Duration = Duration::from_secs(10);

/// A proxy for each node, and the environment behind them.
fn behind_proxies(cluster: &Cluster, env: &TestEnv) -> (Vec<Proxy>, TestEnv) {
    let brokers: Vec<&str> = cluster.bootstrap.split(',').collect();
    let proxies = Proxy::for_each(&brokers);
    let addresses: Vec<String> = proxies.iter().map(Proxy::address).collect();
    (proxies, env.through(&addresses.join(",")))
}

fn nodes_out_of_reach(cluster: &Cluster, env: &TestEnv) {
    let (proxies, env) = behind_proxies(cluster, env);
    let mut processes = workload::start(&env, ExitRule::Clean, "");
    let [first, second, third] = &proxies[..] else { panic!("{} proxies", proxies.len()) };

    processes.disturb("node 1 is unreachable", || first.stall());
    std::thread::sleep(AWAY);
    processes.disturb("node 1 is reachable again", || first.resume());
    let mut problems = workload::until_progress(&processes);

    processes.disturb("replies of node 2 are lost", || second.black_hole(BlackHole::Replies));
    std::thread::sleep(AWAY);
    processes.disturb("replies of node 2 arrive again", || second.end_black_hole());
    problems.extend(workload::until_progress(&processes));

    processes.disturb("connections to node 3 are cut and refused", || {
        third.refuse();
        third.cut_within_replies(11);
    });
    std::thread::sleep(AWAY);
    processes.disturb("connections to node 3 are accepted again", || third.accept());
    problems.extend(workload::until_progress(&processes));

    processes.disturb("every reply is 200 ms late", || {
        for proxy in &proxies {
            proxy.delay(Duration::from_millis(200));
        }
    });
    std::thread::sleep(AWAY);
    problems.extend(workload::until_progress(&processes));
    proxies.iter().for_each(Proxy::clear);

    assert!(second.counts().dropped > 0, "no reply of node 2 was lost");
    assert!(third.counts().cut > 0, "no connection to node 3 was cut");
    assert!(proxies.iter().all(|proxy| proxy.counts().late > 0), "no reply was late");
    workload::finish("nodes_unreachable_in_turn", &mut processes, problems);
}

/// A scan that takes about ten seconds with the delayed replies below: it fetches one batch of a partition at a time.
const SLOW_SCAN: &str = "analytics --from-beginning --no-commit -X fetch.message.max.bytes=1000";

/// Makes every node respond to `OffsetForLeaderEpoch` with a log of one record, at most `times` times.
fn truncate(proxies: &[Proxy], times: u64) {
    for proxy in proxies {
        proxy.clear();
        proxy.add(ReplyRule::new(ApiKey::OffsetForLeaderEpoch, Action::Truncate).times(times));
        proxy.add(ReplyRule::new(ApiKey::Fetch, Action::Delay(Duration::from_millis(120))));
    }
}

/// Number of responses that were truncated.
fn shortened(proxies: &[Proxy]) -> u64 {
    proxies.iter().map(|proxy| proxy.counts().truncated).sum()
}

/// librdkafka reports false truncations when leaders move. Only a repeated report is a truncation.
fn truncations(cluster: &Cluster, env: &TestEnv) {
    let (proxies, env) = behind_proxies(cluster, env);
    // Many small batches.
    env.run("produce --count 2400 --rate 800/s --seed 12").expect(0);
    for (times, code) in [(2, 0), (u64::MAX, 7)] {
        truncate(&proxies, times);
        let (fetched, before) =
            (|| proxies.iter().map(|proxy| proxy.replies(ApiKey::Fetch)).sum::<u64>(), shortened(&proxies));
        let start = fetched();
        let scan = env.start(SLOW_SCAN);
        until("the scan fetches records", || (fetched() > start + 20).then_some(()));
        reassignments::move_all_leaders(cluster, &env);
        let run = scan.end().expect(code);
        assert!(shortened(&proxies) > before, "no log was reported as shorter: {}", run.stderr);
        assert_eq!(run.stderr.contains("truncation detected"), code != 0, "{}", run.stderr);
    }
    truncate(&proxies, 0);
    let live = env.other("live");
    let mut processes = Processes::new(&live, ExitRule::Clean);
    processes.start(workload::PRODUCE);
    processes.start(workload::NAMED_INVENTORY);
    processes.start(workload::NAMED_ANALYTICS);
    workload::until_at_work(&mut processes);
    truncate(&proxies, 2);
    let before = shortened(&proxies);
    processes.disturb("every leader moves, and logs are reported as shorter", || {
        reassignments::move_all_leaders(cluster, &env);
        until("a log is reported as shorter", || (shortened(&proxies) > before).then_some(()));
    });
    let problems = workload::until_progress(&processes);
    proxies.iter().for_each(Proxy::clear);
    workload::finish("only_repeated_truncations_are_errors", &mut processes, problems);
}
