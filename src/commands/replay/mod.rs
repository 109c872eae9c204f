//! `replay`: rewinds the group, recomputes its metrics from the same records and compares them.

mod rewind;
mod snapshot;

use super::{Context, full_pass, group, topic_set, topic_settings};
use crate::analytics::DEFAULT_ROWS;
use crate::exit::{Code, Failure, Outcome};
use crate::kafka::Inspector;
use crate::output::OutputFile;
use crate::replay::{Note, PlanDocument, PlanRow, ReplayVerdict, Target, export_csv};
use crate::report::{self, Detail, GroupEffect};
use crate::settings::ReplaySettings;

use rewind::ReplayRun;
use snapshot::{GroupStatus, PartitionSnapshot, Snapshot, check, read_group, take_snapshot};

/// Shows the plan of a replay and changes nothing. Fails with exit code 2 if the target does not fit the topics.
pub fn dry_run(context: &Context, settings: &ReplaySettings) -> Outcome {
    let (report, export) = (context.open_report()?, open_export(settings)?);
    let group_name = context.common.names.analytics_group(settings.group.as_deref());
    let inspector = Inspector::open(&context.common.connection, &group_name, &context.shutdown)?.describe_only();
    check(context, settings, &topic_set::require(context, &inspector, topic_set::PLANNING)?)?;
    let status = read_group(context, &inspector, &group_name, topic_set::PLANNING)?;
    if status.has_nothing() {
        context
            .console
            .note(&format!("group {group_name} has neither offsets nor state: a replay would start with a first pass"));
    }
    note_target_time(context, settings);
    let snapshot = take_snapshot(context, &inspector, &status, settings)?;
    let document = PlanDocument::new(&settings.target, plan(&snapshot));
    finish_export(export, &document.plan)?;
    let files = context.files(settings.export.as_deref().as_slice());
    context.print_document(
        &document,
        &report::plan_report(&document.plan, Detail::of(settings.full), &files),
        report,
    )?;
    Ok(Code::Done)
}

fn plan(snapshot: &Snapshot) -> Vec<PlanRow> {
    snapshot.partitions.iter().map(|partition| partition.row.clone()).collect()
}

fn open_export(settings: &ReplaySettings) -> Result<Option<OutputFile>, Failure> {
    settings.export.as_deref().map(OutputFile::open).transpose()
}

fn finish_export(export: Option<OutputFile>, plan: &[PlanRow]) -> Result<(), Failure> {
    export.map_or(Ok(()), |export| export.finish(&export_csv(plan)))
}

/// Prints the time that a duration was resolved to, so that the user can repeat the replay.
fn note_target_time(context: &Context, settings: &ReplaySettings) {
    if let Target::Time(time) = &settings.target {
        context.console.note(&format!("the target is the first record at or after {time}, by record timestamp"));
    }
}

/// Rewinds, recomputes and compares; with `--shadow`, without the rewind. Fails with exit code 2 if the target does not
/// fit the topics, and 7, leaving the group unchanged, if it is live or not an analytics group.
pub fn run(context: &Context, settings: &ReplaySettings) -> Outcome {
    let report = context.open_report()?;
    let (initial, after) = (OutputFile::open(&settings.initial_file)?, OutputFile::open(&settings.after_file)?);
    let export = open_export(settings)?;
    let html = settings.html.as_deref().map(OutputFile::open).transpose()?;
    let group_name = context.common.names.analytics_group(settings.group.as_deref());
    let mut inspector = Inspector::open(&context.common.connection, &group_name, &context.shutdown)?;
    let uses = if settings.shadow { topic_set::COMPARING } else { topic_set::SWITCHING };
    if settings.shadow {
        inspector = inspector.describe_only();
    }
    let topic_set = topic_set::require(context, &inspector, uses)?;
    check(context, settings, &topic_set)?;
    if !settings.shadow {
        topic_settings::check_state(context, &inspector, &topic_set)?;
        // Read afterwards, because members that are still leaving commit until then.
        group::wait_empty(context, &inspector, &group_name, settings.wait_empty)?;
    }
    let mut status = read_group(context, &inspector, &group_name, uses)?;
    let mut note = None;
    if !settings.shadow && status.has_nothing() {
        context.console.note(&format!("group {group_name} has neither offsets nor state: starting with a first pass"));
        let mut pass = full_pass::count(context, &inspector, &status.topic_set, &group_name)?;
        full_pass::install(context, &inspector, &group_name, &mut pass)?;
        note = Some(Note::FirstPass);
        status = read_group(context, &inspector, &group_name, uses)?;
    }
    note_target_time(context, settings);
    let snapshot = take_snapshot(context, &inspector, &status, settings)?;
    // The snapshot has the metrics; the state itself may be large.
    let GroupStatus { topic_set, .. } = status;
    // Before the rewind: for an undo by hand, and so that a full disk fails before anything has changed.
    finish_export(export, &plan(&snapshot))?;
    let sound = snapshot.partitions.iter().all(PartitionSnapshot::is_sound);
    let reads = snapshot.partitions.iter().any(|partition| partition.row.offsets_to_read() > 0);
    let replay = ReplayRun { context, inspector: &inspector, topic_set: &topic_set, group: &group_name, snapshot };
    // A group that cannot be rewound safely, or has nothing to read again, is not changed: the metrics are only
    // compared.
    let rewinds = sound && reads && !settings.shadow;
    if !rewinds && !settings.shadow {
        note = note.or(Some(Note::LeftAlone));
    }
    let effect = if rewinds { GroupEffect::Rewound } else { GroupEffect::Unchanged };
    let read = if rewinds { replay.rewind()? } else { replay.shadow()? };
    let rows = if settings.full { usize::MAX } else { DEFAULT_ROWS };
    let document = replay.judge(read, note, rows)?;

    initial.finish(&report::metrics_report(&document.before))?;
    after.finish(&report::metrics_report(&document.after))?;
    context.note_row_limit(&document.after, settings.full);
    let files = context.files(&[&settings.initial_file, &settings.after_file]);
    let text = if context.common.json {
        String::new()
    } else {
        let whole = context.files(&[]);
        report::replay_report(&document, effect, Detail::of(settings.full), &files, whole.first().map(String::as_str))
    };
    let document = document.limited(rows);
    if let Some(html) = html {
        html.finish(&report::html::replay_page(&document, &page_facts(context, settings, &group_name)))?;
    }
    context.print_document(&document, &text, report)?;
    Ok(match document.verdict {
        ReplayVerdict::Identical => {
            if rewinds {
                context.show_next_scenario();
            }
            Code::Done
        }
        ReplayVerdict::Different => Code::Different,
    })
}

/// The command line on a page, without `-X` and `-F`, which may contain secrets.
fn page_facts(context: &Context, settings: &ReplaySettings, group_name: &str) -> report::html::CommandFacts {
    let shadow = if settings.shadow { " --shadow" } else { "" };
    let group = settings.group.as_ref().map(|group| format!(" --group {group}")).unwrap_or_default();
    let command = format!("foodstream replay {}{shadow}{group}", settings.target);
    context.page_facts(command, group_name.to_owned())
}
