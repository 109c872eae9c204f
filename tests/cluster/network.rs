//! A network in trouble before a cluster that is well: a proxy stands before each node, so nothing fails over and no leader
//! moves while one of them cannot be reached.

use std::time::Duration;

use super::Case;
use super::brokers::Cluster;
use super::proxy::{Hole, Proxy};
use super::support::Lab;
use super::table::Rule;
use super::workload;

pub const CASES: &[Case] = &[("nodes_out_of_reach_one_after_another", nodes_out_of_reach)];

/// How long a node is out of reach: requests in flight time out meanwhile, and the bound of every wait does not pass.
const AWAY: Duration = Duration::from_secs(10);

fn nodes_out_of_reach(cluster: &Cluster, lab: &Lab) {
    let brokers: Vec<&str> = cluster.bootstrap.split(',').collect();
    let proxies = Proxy::for_each(&brokers);
    let addresses: Vec<String> = proxies.iter().map(Proxy::address).collect();
    let lab = lab.through(&addresses.join(","));
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
