//! Limits of what a run proves, as sentences for its report.

use crate::scenario::{ProcessSignal, Script, StepAction, Wait};

/// What a run of this script does not show.
pub(super) fn not_shown(script: &Script, embedded: bool) -> Vec<String> {
    let mut sentences = Vec::new();
    let mut add = |sentence: &str| sentences.push(sentence.to_owned());
    if embedded {
        add(
            "The broker was a single process that keeps everything in memory: the run shows nothing about replication, disks or the loss of a machine.",
        );
        add(
            "The speed is that of this machine, with client and broker on the same host; a cluster across a network has another.",
        );
    } else {
        add("The cluster was used as is: its replication and its settings were not checked.");
    }
    let kills = script.steps.iter().any(|step| matches!(&step.action, StepAction::Signal(ProcessSignal::Kill, _)));
    if kills {
        add(
            "Processes were killed, but no machine failed: records that the broker had acknowledged were never at risk.",
        );
    } else {
        add("No process was killed: that no order is lost or counted twice is shown only for an undisturbed run.");
    }
    if script.steps.iter().any(|step| matches!(&step.action, StepAction::Wait(Wait::Time(_)))) {
        add("The script waits for fixed times: what had happened by then depends on the speed of the machine.");
    }
    add("Lag is sampled: changes between two samples are not visible.");
    sentences
}
