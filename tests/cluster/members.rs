//! Members that start at the same time on new topics, and members that join and leave while nodes are stopped and
//! killed.

use std::time::Duration;

use super::Case;
use super::brokers::{Cluster, NODES};
use super::exit_table::ExitRule;
use super::processes::Processes;
use super::support::TestEnv;
use super::workload;

pub const CASES: &[Case] = &[("first_starts", first_starts), ("members_join_and_leave", members_join_and_leave)];

/// Number of starts, each on new topics.
const ROUNDS: usize = 8;

fn first_starts(_: &Cluster, env: &TestEnv) {
    let mut problems = Vec::new();
    for round in 0..ROUNDS {
        let env = env.other(&format!("round{round}"));
        env.run("produce --count 500 --seed 5").expect(0);
        // Half of them run until the end of the topics, the others until they are stopped.
        let until_end = round % 2 == 0;
        let finite = if until_end { " --until-end" } else { "" };
        let rule = if until_end { ExitRule::ByItself(0) } else { ExitRule::Clean };
        let mut processes = Processes::new(&env, rule);
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
        if let Err(wrong) = workload::check_data(&env, None) {
            problems.extend(wrong);
        }
    }
    assert!(problems.is_empty(), "first_starts:\n{}", problems.join("\n"));
}

fn members_join_and_leave(cluster: &Cluster, env: &TestEnv) {
    let mut processes = Processes::new(env, ExitRule::Clean);
    processes.start(workload::PRODUCE);
    workload::until_orders_arrive(&mut processes);
    processes.start("inventory");
    processes.start("analytics --metrics-file one.txt");
    workload::until_at_work(&mut processes);
    workload::start_replays(&mut processes, "");
    for number in 0..4 {
        // Different lifetimes, so that the members leave one after another.
        let life = Duration::from_millis(3000 + 700 * number);
        processes.repeat_live("inventory", life);
        processes.repeat_live(&format!("analytics --metrics-file member{number}.txt"), life);
    }
    for node in NODES {
        // The second node is killed, and started again before its session has expired.
        if node == 2 {
            processes.disturb(&format!("node {node} is killed"), || cluster.kill(node));
        } else {
            processes.disturb(&format!("node {node} is stopped"), || cluster.stop(node));
        }
        processes.disturb(&format!("node {node} is started"), || cluster.start(node));
        processes.disturb(&format!("node {node} serves"), || cluster.until_in_sync());
    }
    let problems = processes.disturb("every replica is in sync", || workload::until_progress(&processes));
    workload::finish("members_join_and_leave", &mut processes, problems);
}
