//! Members that start all at once on new topics, or come and go, and replays, while nodes are stopped and killed.

use std::time::Duration;

use super::Case;
use super::brokers::{Cluster, NODES};
use super::processes::Processes;
use super::support::Lab;
use super::table::Rule;
use super::workload;

pub const CASES: &[Case] =
    &[("first_starts", first_starts), ("members_come_and_go_and_replays_run", members_come_and_go_and_replays_run)];

/// How many times everything is started on new topics.
const ROUNDS: usize = 8;

fn first_starts(_: &Cluster, lab: &Lab) {
    let mut problems = Vec::new();
    for round in 0..ROUNDS {
        let lab = lab.other(&format!("round{round}"));
        lab.run("produce --count 500 --seed 5").expect(0);
        // Half of them run to the end that they find, the others until they are stopped.
        let until_end = round % 2 == 0;
        let finite = if until_end { " --until-end" } else { "" };
        let rule = if until_end { Rule::ByItself(0) } else { Rule::Clean };
        let mut processes = Processes::new(&lab, rule);
        for _ in 0..3 {
            processes.start(&format!("inventory{finite}"));
        }
        processes.start(&format!("analytics{finite}"));
        if until_end {
            processes.until_ended("", Duration::from_mins(1));
        } else {
            problems.extend(workload::until_all_is_read(&processes, 500));
        }
        let table = workload::stop(&format!("first_starts, round {round}"), &mut processes);
        problems.extend(table.problems());
        if let Err(wrong) = workload::data(&lab, None) {
            problems.extend(wrong);
        }
    }
    assert!(problems.is_empty(), "first_starts:\n{}", problems.join("\n"));
}

fn members_come_and_go_and_replays_run(cluster: &Cluster, lab: &Lab) {
    let replayed = lab.other("replayed");
    replayed.run("produce --count 5000 --seed 6").expect(0);
    replayed.run("inventory --until-end").expect(0);
    replayed.run("analytics --until-end").expect(0);
    let mut replays = Processes::new(&replayed, Rule::Clean);
    replays.repeat("replays", &["replay", "replay --undo"]);

    let mut processes = Processes::new(lab, Rule::Clean);
    processes.start(workload::PRODUCE);
    workload::until_orders_arrive(&mut processes);
    processes.start("inventory");
    processes.start("analytics --metrics-file one.txt");
    workload::until_at_work(&mut processes);
    for number in 0..4 {
        // One after another, and none as long as another.
        let life = Duration::from_millis(3000 + 700 * number);
        processes.come_and_go("inventory", life);
        processes.come_and_go(&format!("analytics --metrics-file member{number}.txt"), life);
    }
    for (index, node) in NODES.into_iter().enumerate() {
        let (what, act): (_, fn(&Cluster, i32)) =
            if index == 1 { ("killed", Cluster::kill) } else { ("stopped", Cluster::stop) };
        for processes in [&processes, &replays] {
            processes.disturb(&format!("node {node} is {what}"), || ());
        }
        act(cluster, node);
        for processes in [&processes, &replays] {
            processes.disturb(&format!("node {node} is started"), || ());
        }
        cluster.start(node);
        cluster.until_in_sync();
    }
    let mut problems = processes.disturb("every replica is in sync", || workload::until_progress(&processes));
    let table = workload::stop("replays", &mut replays);
    problems.extend(table.problems());
    problems.extend(workload::data(&replays.fresh_lab(), None).err().unwrap_or_default());
    workload::finish("members_come_and_go_and_replays_run", &mut processes, problems);
}
