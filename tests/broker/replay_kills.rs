//! Owns replays killed with -9: offsets and state are equal after each, and the next replay compares with the same.

#![allow(clippy::disallowed_methods, reason = "kills come at times of their own, and only a clock gives them")]

use std::time::Duration;

use rustix::process::Signal;

use super::Case;
use super::groups::{SHORT, Watch, assert_agree, decided, offsets, positions};
use super::support::{Lab, until};

pub const CASES: &[Case] = &[("replay::killed_anywhere_it_is_never_half_and_compares_with_the_same", killed)];

/// Groups of their own, so that the dead members of one are waited for while the next is killed.
const GROUPS: [&str; 5] = ["g0", "g1", "g2", "g3", "g4"];

fn killed(lab: &Lab) {
    decided(lab, 20_000);
    let mut metrics = None;
    for group in GROUPS {
        metrics = Some(lab.document(&format!("analytics --from-beginning --group {group}")));
    }
    let metrics = metrics.expect("counted");
    let stood = offsets(lab, GROUPS[0]);
    let mut in_the_middle = 0;
    for round in 0..2u64 {
        for (number, group) in (0u64..).zip(GROUPS) {
            kill_one(lab, group, round, number);
        }
        for group in GROUPS {
            assert_agree(lab, group);
            in_the_middle += usize::from(positions(lab, group).values().any(|position| position["until"].is_i64()));
        }
    }
    assert!(in_the_middle >= 4, "only {in_the_middle} kills came between the rewind and the end");
    // Three compare again, two go back.
    let last: Vec<_> = GROUPS
        .iter()
        .enumerate()
        .map(|(number, group)| {
            let words = if number < 3 { "replay" } else { "replay --undo" };
            lab.start(&format!("{words} --group {group} --wait-empty 60s --output json {SHORT}"))
        })
        .collect();
    for (number, (group, run)) in GROUPS.iter().zip(last).enumerate() {
        let document = run.end().expect(0).document();
        if number < 3 {
            assert_eq!(document["verdict"], "identical");
            assert_eq!(document["before"], metrics, "{group}: the same as ever");
        } else {
            assert_eq!(document, metrics, "{group}: back where it stood");
        }
        assert_eq!(offsets(lab, group), stood);
        assert_agree(lab, group);
        assert_eq!(lab.document(&format!("analytics --until-end --group {group}")), metrics);
    }
}

/// Every other one is killed once the rewind is seen, the others at a moment of the whole run.
fn kill_one(lab: &Lab, group: &str, round: u64, number: u64) {
    let watch = Watch::new(lab, group);
    let mut replay = lab.start(&format!("replay --group {group} --wait-empty 60s {SHORT}"));
    if number % 2 == round {
        until("the rewind", || {
            assert!(!replay.has_ended(), "ended before it could be killed");
            watch.rewound().or_else(|| (round > 0 && !watch.is_back()).then(Vec::new))
        });
    } else {
        std::thread::sleep(Duration::from_millis(150 + 130 * number));
    }
    replay.signal(Signal::KILL);
    assert_eq!(replay.end().code(), -1, "it was killed, not done");
}
