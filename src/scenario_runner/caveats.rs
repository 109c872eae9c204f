//! Owns what a run does not show, in sentences for its report.

use crate::scenario::{ProcessSignal, Script, StepAction};

/// What a reader must not take from a run of this script.
pub(super) fn not_shown(script: &Script, embedded: bool) -> Vec<String> {
    let mut sentences = Vec::new();
    let mut say = |sentence: &str| sentences.push(sentence.to_owned());
    if embedded {
        say(
            "The broker was one process that keeps everything in memory: nothing is shown about replication, disks or the loss of a machine.",
        );
        say(
            "Its speed is that of this machine with client and broker side by side; a cluster behind a network has another.",
        );
    } else {
        say("The cluster was taken as it was: its replication and its settings are not looked at.");
    }
    let kills =
        script.steps.iter().any(|step| matches!(&step.action, StepAction::ProcessSignal(ProcessSignal::Kill, _)));
    if kills {
        say("Processes were killed, machines were not: what a broker has acknowledged was never at risk.");
    } else {
        say("No process was killed: that nothing is lost or done twice is shown for an undisturbed run only.");
    }
    say("Lag is sampled: what happened between two samples is not seen.");
    sentences
}
