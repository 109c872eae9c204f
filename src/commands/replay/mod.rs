//! Owns `replay`: the group rewound for real, its metrics recomputed from the same records and compared with what it had.

mod freeze;
mod rewind;

use std::path::Path;
use std::time::Duration;

use super::topology;
use super::{Context, first_pass, group};
use crate::exit::{Code, Outcome};
use crate::kafka::Inspector;
use crate::output::OutputFile;
use crate::replay::{Note, PlanDocument, Target, Verdict};
use crate::report;

use freeze::{Partition, freeze, look};
use rewind::Replay;

/// What a replay is to do.
#[derive(Debug, Clone)]
pub struct ReplayJob {
    /// Where to rewind to.
    pub target: Target,
    /// Leave the group alone.
    pub shadow: bool,
    /// Wait this long for members to leave.
    pub wait_empty: Option<Duration>,
    /// The user's own group name.
    pub group: Option<String>,
}

/// Shows what a replay would do, and changes nothing.
///
/// # Errors
///
/// With exit code 7 for a group that is none of analytics.
pub fn dry_run(context: &Context, job: &ReplayJob) -> Outcome {
    let report = context.open_report()?;
    let group_name = context.common.names.analytics_group(job.group.as_deref());
    let inspector = Inspector::open(&context.common.connection, &group_name, &context.shutdown)?;
    let stands = look(context, &inspector, &group_name)?;
    if stands.has_nothing() {
        context.console.note(&format!(
            "the group {group_name} has neither offsets nor state: a replay would begin with a first pass"
        ));
    }
    let frozen = freeze(context, &inspector, &stands, job.target)?;
    let document = PlanDocument::new(frozen.partitions.into_iter().map(|partition| partition.row).collect());
    context.answer(&document, &report::plan_report(&document.plan), report)?;
    Ok(Code::Done)
}

/// Rewinds, recomputes and compares; or, as a shadow, only the last two.
///
/// # Errors
///
/// With exit code 7 when the group is live or none of analytics; it then stands as it was.
pub fn run(context: &Context, job: &ReplayJob, initial_file: &Path, after_file: &Path) -> Outcome {
    let report = context.open_report()?;
    let (initial, after) = (OutputFile::open(initial_file)?, OutputFile::open(after_file)?);
    let group_name = context.common.names.analytics_group(job.group.as_deref());
    let inspector = Inspector::open(&context.common.connection, &group_name, &context.shutdown)?;
    if !job.shadow {
        topology::require(context, &inspector)?;
        // Looked at afterwards: members that are waited for go on until they leave.
        group::wait_empty(context, &inspector, &group_name, job.wait_empty)?;
    }
    let mut stands = look(context, &inspector, &group_name)?;
    let mut note = None;
    if !job.shadow && stands.has_nothing() {
        context.console.note(&format!("the group {group_name} has neither offsets nor state: it gets a first pass"));
        let mut pass = first_pass::count(context, &inspector, &stands.topology, &group_name)?;
        first_pass::install(context, &inspector, &group_name, &mut pass)?;
        note = Some(Note::FirstPass);
        stands = look(context, &inspector, &group_name)?;
    }
    let frozen = freeze(context, &inspector, &stands, job.target)?;
    let sound = frozen.partitions.iter().all(Partition::is_sound);
    let reads = frozen.partitions.iter().any(|partition| partition.row.offsets_to_read() > 0);
    let replay = Replay { context, inspector: &inspector, topology: &stands.topology, group: &group_name, frozen };
    // What cannot be rewound to where it stood, or has nothing to read again, is left alone: only the numbers are told.
    let read = if job.shadow || !sound || !reads { replay.shadow()? } else { replay.rewind()? };
    let document = replay.judge(&read, note);

    initial.finish(&report::metrics_report(&document.before))?;
    after.finish(&report::metrics_report(&document.after))?;
    let text = format!("{}\n{}", report::metrics_report(&document.after), report::replay_report(&document));
    context.answer(&document, &text, report)?;
    Ok(match document.verdict {
        Verdict::Identical => Code::Done,
        Verdict::Different => Code::Different,
    })
}
