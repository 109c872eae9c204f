//! A network in trouble before a cluster that is well: a proxy stands before each node, so nothing fails over and no leader
//! moves while one of them cannot be reached.

use std::time::Duration;

use foodstream::broker::ApiKey;

use super::Case;
use super::brokers::Cluster;
use super::processes::Processes;
use super::proxy::{Deed, Hole, Proxy, Rule as Reply};
use super::support::{Lab, until};
use super::table::Rule;
use super::{moves, workload};

pub const CASES: &[Case] = &[
    ("nodes_out_of_reach_one_after_another", nodes_out_of_reach),
    ("truncations_are_believed_when_repeated", truncations),
];

/// How long a node is out of reach: requests in flight time out meanwhile, and the bound of every wait does not pass.
const AWAY: Duration = Duration::from_secs(10);

/// A proxy before each node, and the laboratory behind them.
fn behind_proxies(cluster: &Cluster, lab: &Lab) -> (Vec<Proxy>, Lab) {
    let brokers: Vec<&str> = cluster.bootstrap.split(',').collect();
    let proxies = Proxy::for_each(&brokers);
    let addresses: Vec<String> = proxies.iter().map(Proxy::address).collect();
    (proxies, lab.through(&addresses.join(",")))
}

fn nodes_out_of_reach(cluster: &Cluster, lab: &Lab) {
    let (proxies, lab) = behind_proxies(cluster, lab);
    let mut processes = workload::start(&lab, Rule::Clean, "");
    let [first, second, third] = &proxies[..] else { panic!("{} proxies", proxies.len()) };

    processes.disturb("nothing passes to and from node 1", || first.stall());
    std::thread::sleep(AWAY);
    processes.disturb("it passes again, and late", || first.resume());
    let mut problems = workload::until_progress(&processes);

    processes.disturb("replies of node 2 are lost", || second.black_hole(Hole::Replies));
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

    assert!(second.counts().swallowed > 0, "no reply of node 2 was lost");
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
        proxy.add(Reply::new(ApiKey::OffsetForLeaderEpoch, Deed::Truncate).times(times));
        proxy.add(Reply::new(ApiKey::Fetch, Deed::Delay(Duration::from_millis(120))));
    }
}

/// How many answers were made to say so.
fn shortened(proxies: &[Proxy]) -> u64 {
    proxies.iter().map(|proxy| proxy.counts().truncated).sum()
}

/// The library reports truncations that there are none of when leaders move. One that is repeated is one.
fn truncations(cluster: &Cluster, lab: &Lab) {
    let (proxies, lab) = behind_proxies(cluster, lab);
    // Many small batches.
    lab.run("produce --count 2400 --rate 800/s --seed 12").expect(0);
    for (times, code) in [(2, 0), (u64::MAX, 7)] {
        truncate(&proxies, times);
        let (fetched, before) =
            (|| proxies.iter().map(|proxy| proxy.replies(ApiKey::Fetch)).sum::<u64>(), shortened(&proxies));
        let start = fetched();
        let scan = lab.start(SLOW_SCAN);
        until("the scan reads", || (fetched() > start + 20).then_some(()));
        moves::move_every_leader(cluster, &lab);
        let run = scan.end().expect(code);
        assert!(shortened(&proxies) > before, "no log was said to be shorter: {}", run.stderr);
        assert_eq!(run.stderr.contains("truncation detected"), code != 0, "{}", run.stderr);
    }
    truncate(&proxies, 0);
    let live = lab.other("live");
    let mut processes = Processes::new(&live, Rule::Clean);
    processes.start(workload::PRODUCE);
    processes.start(workload::NAMED_INVENTORY);
    processes.start(workload::NAMED_ANALYTICS);
    workload::until_at_work(&mut processes);
    truncate(&proxies, 2);
    let before = shortened(&proxies);
    processes.disturb("every leader moves, and logs are said to be shorter", || {
        moves::move_every_leader(cluster, &lab);
        until("a log was said to be shorter", || (shortened(&proxies) > before).then_some(()));
    });
    let problems = workload::until_progress(&processes);
    proxies.iter().for_each(Proxy::clear);
    workload::finish("truncations_are_believed_when_repeated", &mut processes, problems);
}
