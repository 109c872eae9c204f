//! Replays killed with SIGKILL: offsets and state stay equal, and the next replay compares with the same metrics.

#![allow(clippy::disallowed_methods, reason = "some kills come after a fixed time")]

use std::time::Duration;

use rustix::process::Signal;

use super::Case;
use super::groups::{
    GROUP, OffsetWatch, SHORT_TIMEOUTS, assert_offsets_match_positions, offsets, positions, produce_and_decide,
};
use super::invariants;
use super::inventory_kills::{OPENING_STOCK, RESTOCK_MILLIS};
use super::replay_log::{HOUR, Writer, assert_positions_match_log, now, rfc3339};
use super::support::{TestEnv, until};

pub const CASES: &[Case] = &[
    ("replay::offsets_and_state_agree_after_kills", killed),
    ("replay::killed_target_is_applied_whole_or_not_at_all", killed_with_targets),
];

/// Several groups, so that the dead members of one can expire while the next is killed.
const GROUPS: [&str; 5] = ["g0", "g1", "g2", "g3", "g4"];

fn killed(env: &TestEnv) {
    produce_and_decide(env, 20_000);
    let mut metrics = None;
    for group in GROUPS {
        metrics = Some(env.document(&format!("analytics --from-beginning --group {group}")));
    }
    let metrics = metrics.expect("counted");
    let offsets_before = offsets(env, GROUPS[0]);
    let mut rewound = 0;
    for round in 0..2u64 {
        for (number, group) in (0u64..).zip(GROUPS) {
            kill_one(env, group, round, number);
        }
        for group in GROUPS {
            assert_offsets_match_positions(env, group);
            rewound += usize::from(positions(env, group).values().any(|position| position["until"].is_i64()));
        }
    }
    assert!(rewound >= 4, "only {rewound} kills hit a rewound group");
    // What a group has read of the range that it reads again is judged, too.
    invariants::check(env, OPENING_STOCK, RESTOCK_MILLIS);
    // Three compare again, two are undone.
    let last: Vec<_> = GROUPS
        .iter()
        .enumerate()
        .map(|(number, group)| {
            let args = if number < 3 { "replay" } else { "replay --undo" };
            env.start(&format!("{args} --group {group} --wait-empty 60s --output json"))
        })
        .collect();
    for (number, (group, run)) in GROUPS.iter().zip(last).enumerate() {
        let document = run.end().expect(0).document();
        if number < 3 {
            assert_eq!(document["verdict"], "identical");
            assert_eq!(document["before"], metrics, "{group}: the metrics before the kills");
        } else {
            assert_eq!(document, metrics, "{group}: restored");
        }
        assert_eq!(offsets(env, group), offsets_before);
        assert_offsets_match_positions(env, group);
        assert_eq!(env.document(&format!("analytics --until-end --group {group}")), metrics);
    }
    invariants::check(env, OPENING_STOCK, RESTOCK_MILLIS);
}

/// Every other replay is killed after the rewind is visible, the others at different times of the whole run.
fn kill_one(env: &TestEnv, group: &str, round: u64, number: u64) {
    let watch = OffsetWatch::new(env, group);
    let mut replay = env.start(&format!("replay --group {group} --wait-empty 60s {SHORT_TIMEOUTS} {SLOW}"));
    if number % 2 == round {
        until("the group is rewound", || {
            assert!(!replay.has_ended(), "the replay ended before it could be killed");
            watch.rewound().or_else(|| (round > 0 && !watch.is_back()).then(Vec::new))
        });
    } else {
        std::thread::sleep(Duration::from_millis(150 + 130 * number));
    }
    replay.signal(Signal::KILL);
    assert_eq!(replay.end().code(), -1, "the replay was killed");
}

/// Fetches one batch at a time, so that a replay can be killed while it reads.
const SLOW: &str = "-X fetch.message.max.bytes=1 -X queued.min.messages=1 -X fetch.queue.backoff.ms=20";

/// When a replay is killed.
#[derive(Clone, Copy, PartialEq)]
enum When {
    /// It is the only member of the group: just before or after the rewind.
    Holding,
    /// The rewind is visible.
    Rewound,
}

fn killed_with_targets(env: &TestEnv) {
    let now = now();
    let mut writer = Writer::new(env);
    writer.transaction(&[(20, now - 3 * HOUR), (20, now - HOUR)], true);
    writer.transaction(&[(5, now - HOUR)], false);
    drop(writer);
    env.delete_records("order-events", 0, 7);
    env.run("produce --count 1500 --seed 9 -X batch.num.messages=1").expect(0);
    env.run("inventory --until-end").expect(0);
    let metrics = env.document("analytics --from-beginning");
    let offsets_before = offsets(env, GROUP);
    let orders = env.topic("order-events");
    std::fs::write(env.dir().join("plan.csv"), format!("{orders},0,60\n{orders},2,90\n")).expect("written");
    let since = format!("--to-datetime {}", rfc3339(now));
    let kills = [
        ("--to-earliest", When::Rewound),
        ("--to-offset 60", When::Rewound),
        (&since, When::Rewound),
        ("--by-duration 2h", When::Rewound),
        ("--shift-by -300", When::Rewound),
        ("--from-file plan.csv", When::Rewound),
        ("--topic order-events:1,2 --to-offset 80", When::Rewound),
        (&since, When::Holding),
        ("--shift-by -300", When::Holding),
        ("--from-file plan.csv", When::Holding),
    ];
    let group = |index: usize| format!("k{index}");
    for (index, (target, when)) in kills.iter().enumerate() {
        let group = group(index);
        env.run(&format!("analytics --from-beginning --group {group}")).expect(0);
        let watch = OffsetWatch::new(env, &group);
        let mut replay = env.start(&format!("replay {target} --group {group} {SLOW} {SHORT_TIMEOUTS}"));
        until("the replay can be killed", || {
            assert!(!replay.has_ended(), "{target}: ended before it could be killed");
            match when {
                When::Holding => (env.members(&group).len() == 1).then_some(()),
                When::Rewound => watch.rewound().map(drop),
            }
        });
        replay.signal(Signal::KILL);
        assert_eq!(replay.end().code(), -1, "{target}: the replay was killed");
    }
    let again: Vec<_> = kills
        .iter()
        .enumerate()
        .map(|(index, (target, when))| {
            let group = group(index);
            // Waits for the open transactions of killed processes.
            assert_positions_match_log(env, &group);
            let rewound = positions(env, &group).values().any(|position| position["until"].is_i64());
            assert!(
                rewound || offsets(env, &group) == offsets_before,
                "{target}: either unchanged or rewound with its state"
            );
            assert!(rewound || *when == When::Holding, "{target}: the rewind was visible");
            let args = match index {
                // An ordinary member continues from the state that was recomputed at the targets.
                4 => "analytics --until-end --metrics-file live.txt".to_owned(),
                // The partitions that this one does not select stay rewound.
                6 => "replay --topic inventory-events --to-offset 30 --wait-empty 60s".to_owned(),
                _ => format!("replay {target} --wait-empty 60s"),
            };
            env.start(&format!("{args} --group {group} --output json"))
        })
        .collect();
    for ((index, (target, _)), run) in kills.iter().enumerate().zip(again) {
        let (group, document) = (group(index), run.end().expect(0).document());
        if index == 4 {
            assert_eq!(document, metrics, "{target}: metrics of the base and the rest");
        } else {
            assert_eq!(document["verdict"], "identical", "{target}");
            assert_eq!(document["before"], metrics, "{target}: the same as before the kill");
        }
        if index == 6 {
            assert_ne!(offsets(env, &group), offsets_before, "{target}: another replay does not finish the killed one");
            assert_positions_match_log(env, &group);
            assert_eq!(env.document(&format!("replay --undo --group {group}")), metrics, "{target}");
        }
        assert_eq!(offsets(env, &group), offsets_before, "{target}");
        assert_positions_match_log(env, &group);
    }
}
