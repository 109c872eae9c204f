//! A network in trouble before a cluster that is well: a proxy stands before each node, so nothing fails over and no leader
//! moves while one of them cannot be reached.

use std::time::Duration;

use foodstream::broker::ApiKey;

use super::Case;
use super::brokers::Cluster;
use super::exit_table::ExitRule;
use super::processes::Processes;
use super::proxy::{Action, BlackHole, Proxy, Rule as ReplyRule};
use super::support::{TestEnv, until};
use super::{reassignments, workload};

pub const CASES: &[Case] = &[
    ("nodes_out_of_reach_one_after_another", nodes_out_of_reach),
    ("truncations_are_believed_when_repeated", truncations),
];

/// How long a node is out of reach: requests in flight time out meanwhile, and the bound of every wait does not pass.
const AWAY: Duration = Duration::from_secs(10);

/// A proxy before each node, and the laboratory behind them.
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

    processes.disturb("nothing passes to and from node 1", || first.stall());
    std::thread::sleep(AWAY);
    processes.disturb("it passes again, and late", || first.resume());
    let mut problems = workload::until_progress(&processes);

    processes.disturb("replies of node 2 are lost", || second.black_hole(BlackHole::Replies));
    std::thread::sleep(AWAY);
    processes.disturb("they arrive again", || second.end_black_hole());
    problems.extend(workload::until_progress(&processes));

    processes.disturb("connections to node 3 are cut and refused", || {
        third.refuse();
        third.cut_within_replies(11);
    });
    std::thread::sleep(AWAY);
    processes.disturb("they are accepted again", || third.accept());
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
    workload::finish("nodes_out_of_reach_one_after_another", &mut processes, problems);
}

/// A scan that takes some ten seconds behind the late replies below: a batch of a partition at a time.
const SLOW_SCAN: &str = "analytics --from-beginning --no-commit -X fetch.message.max.bytes=1000";

/// Lets every node say, to consumers whose leader moves, that the log ends behind its first record: as often as is asked for.
fn truncate(proxies: &[Proxy], times: u64) {
    for proxy in proxies {
        proxy.clear();
        proxy.add(ReplyRule::new(ApiKey::OffsetForLeaderEpoch, Action::Truncate).times(times));
        proxy.add(ReplyRule::new(ApiKey::Fetch, Action::Delay(Duration::from_millis(120))));
    }
}

/// How many answers were made to say so.
fn shortened(proxies: &[Proxy]) -> u64 {
    proxies.iter().map(|proxy| proxy.counts().truncated).sum()
}

/// The library reports truncations that there are none of when leaders move. One that is repeated is one.
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
        until("the scan reads", || (fetched() > start + 20).then_some(()));
        reassignments::move_all_leaders(cluster, &env);
        let run = scan.end().expect(code);
        assert!(shortened(&proxies) > before, "no log was said to be shorter: {}", run.stderr);
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
    processes.disturb("every leader moves, and logs are said to be shorter", || {
        reassignments::move_all_leaders(cluster, &env);
        until("a log was said to be shorter", || (shortened(&proxies) > before).then_some(()));
    });
    let problems = workload::until_progress(&processes);
    proxies.iter().for_each(Proxy::clear);
    workload::finish("truncations_are_believed_when_repeated", &mut processes, problems);
}
