//! `analytics`: the group's metrics, live or in one pass over the whole log.

use std::path::Path;
use std::time::Duration;

use super::group::GroupError;
use super::state_follower::StateFollower;
use super::topic_set::{self, Topic};
use super::{Context, full_pass, group, topic_settings};
use crate::analytics::{Feed, MetricsDocument, View};
use crate::clock::{self, Deadline};
use crate::exit::{Code, Outcome};
use crate::frame::Age;
use crate::kafka::{EndOffset, Inspector};
use crate::output::OutputFile;
use crate::processors::{AnalyticsProcessor, STATE};
use crate::report::{self, Detail};
use crate::screen::Screen;
use crate::settings::ConsumerSettings;
use crate::stream::{self, ErrorTexts, LoopEvent, LoopSettings, StreamError};

/// How long after the last response the figures on a screen are stale, in addition to the time between two frames. While
/// the cluster responds, the loop has a response each second.
const SILENCE: Duration = Duration::from_secs(3);

const ERROR_TEXTS: ErrorTexts = ErrorTexts {
    command: "analytics",
    resume_flag: "--resume-from-state",
    state_name: "state",
    state_missing_hint: "name another group with --group, or delete this one with kafka-consumer-groups --delete",
    topic_recreated_hint: "`foodstream analytics --start-over` counts it from its first record, `foodstream analytics --from-beginning` counts everything again",
    state_incomplete_hint: "recount: `foodstream analytics --from-beginning`, and keep cleanup.policy=compact on analytics-state",
    records_missing_hint: "recount what is left of the log: `foodstream analytics --from-beginning`",
};

/// Runs live, until stopped or until the group reaches the current ends. Earlier commits remain valid after a failure.
pub fn live(context: &Context, settings: &ConsumerSettings, every: Duration, metrics_file: &Path) -> Outcome {
    let (report, file) = (context.open_report()?, OutputFile::open(metrics_file)?);
    let connection = &context.common.connection;
    let names = &context.common.names;
    let group_name = names.analytics_group(settings.group.as_deref());
    let inspector = Inspector::open(connection, &group_name, &context.shutdown)?;
    let topic_set = topic_set::ensure(context, &inspector, topic_set::SWITCHING, None)?;
    let inputs = group::inputs(context, &topic_set);
    let until = if settings.until_end {
        let sources: Vec<_> = inputs.iter().map(|input| input.source.clone()).collect();
        let ends = inspector.ends(&sources, EndOffset::HighWatermark)?;
        Some(sources.into_iter().zip(ends).collect())
    } else {
        None
    };
    let mut processor =
        AnalyticsProcessor::new(&group_name, &[Feed::Orders, Feed::Decisions], context.process_id.clone());
    let loop_settings = LoopSettings {
        group: group_name.clone(),
        instance_id: settings.instance_id.clone(),
        process_id: context.process_id.clone(),
        sources: vec![names.orders(), names.decisions()],
        partitions: topic_set.partitions,
        outputs: vec![names.analytics_state()],
        changelog: STATE,
        sizes: topic_set::sizes(context, &inspector, &[Topic::AnalyticsState])?,
        compressed: None,
        commit_interval: settings.commit_interval,
        throttle: settings.throttle,
        until,
        survives_outages: !settings.until_end,
        resume: settings.resume,
        start_over: settings.start_over,
        error_texts: ERROR_TEXTS,
    };
    let mut follower = StateFollower::start(context, &inspector, &topic_set, &group_name)?;
    let mut next = Deadline::after(every);
    let ended = {
        let draws = context.console.has_result_screen() && !context.common.json;
        let mut screen: Option<Screen> = None;
        // A screen shows the progress itself, and a bar would overwrite it.
        let mut progress = (settings.until_end || !draws).then(|| context.console.progress("records counted", None));
        let mut outage = None;
        // The loop may wait for a response for much longer than an outage takes to be one.
        let mut last_answer = clock::now();
        stream::run(connection, &loop_settings, &mut processor, &inspector, &context.shutdown, &mut |event| {
            match event {
                LoopEvent::Note(text) => context.console.note(text),
                LoopEvent::Aborted(reason) => context.console.detail(&format!("a transaction was aborted: {reason}")),
                LoopEvent::Progress(ended) => {
                    outage = None;
                    last_answer = ended.last_answer.unwrap_or(last_answer);
                    if let Some(progress) = &mut progress {
                        progress.set(ended.records);
                    }
                }
                LoopEvent::Outage(age) => outage = Some(age.max(last_answer.elapsed())),
            }
            if settings.until_end || context.common.json || !next.has_passed() {
                return Ok(true);
            }
            next.renew();
            let document = follower.metrics()?;
            screen = screen.take().or_else(|| context.console.result_screen(&context.shutdown));
            if let Some(screen) = &screen {
                let age = match outage {
                    Some(age) => Age { at_first: age, limit: Duration::ZERO },
                    None => Age { at_first: last_answer.elapsed(), limit: every + SILENCE },
                };
                return Ok(screen.draw(report::metrics_frame(&document, &group_name, Some(age))));
            }
            let stale = outage.map(report::stale_note);
            let line = report::metrics_line(&document);
            let stale = stale.map_or_else(String::new, |stale| format!("; {stale}"));
            context.console.print(&format!("{line}{stale}\n"))
        })?
    };
    drop(processor);
    // The final result is read from the topic again: all committed transactions of the group.
    let document = match group::read_final_state(context, &inspector, &topic_set, &group_name) {
        Ok(state) => {
            group::require_complete(&state)?;
            state.metrics([&names.orders(), &names.decisions()], |_, _, _| View::Current).document()
        }
        // Stopped in an outage, a live command ends with the last metrics it showed.
        Err(StreamError::Kafka(error)) if error.kind().is_retriable() && !settings.until_end => {
            context.console.warn(&format!("{error}; these metrics are the last ones read"));
            follower.metrics()?
        }
        Err(error) => return Err(error.into()),
    };
    drop(follower);
    let counted = has_records(&document);
    finish(context, document, settings.full, report, file, metrics_file)?;
    let code = context.end(ended.reached_end || !settings.until_end);
    if code == Code::Done && settings.until_end && counted {
        show_replay(context, &inspector, &group_name, settings.group.as_deref());
    }
    Ok(code)
}

fn finish(
    context: &Context,
    document: MetricsDocument,
    full: bool,
    report: Option<OutputFile>,
    file: OutputFile,
    metrics_file: &Path,
) -> Result<(), crate::exit::Failure> {
    // The file has all rows, like the original's.
    file.finish(&report::metrics_report(&document))?;
    let files = context.files(&[metrics_file]);
    context.print_metrics(document, full, report, |metrics| match Detail::of(full) {
        Detail::Full => report::metrics_report(metrics),
        Detail::Summary => report::metrics_summary(metrics, &files),
    })
}

fn has_records(document: &MetricsDocument) -> bool {
    document.range.iter().any(|row| row.end > row.start)
}

/// The next command is a replay of the group, which is refused while the group has members, unless it is a shadow.
fn show_replay(context: &Context, inspector: &Inspector, group_name: &str, group: Option<&str>) {
    if context.next_command.is_none() {
        return;
    }
    // Without an answer the replay is not proposed: this command has already succeeded.
    let Ok(liveness) = inspector.group_members(group_name) else { return };
    let mut next = vec!["replay"];
    if !liveness.members.is_empty() {
        next.push("--shadow");
    }
    if let Some(group) = group {
        next.extend(["--group", group]);
    }
    context.show_next(&next);
}

/// Counts the whole log at scan speed. The result becomes the group's state and offsets, unless `commit` is false or
/// the group is live.
pub fn from_beginning(
    context: &Context,
    group: Option<&str>,
    commit: bool,
    metrics_file: &Path,
    full: bool,
) -> Outcome {
    let (report, file) = (context.open_report()?, OutputFile::open(metrics_file)?);
    let names = &context.common.names;
    let group_name = names.analytics_group(group);
    let inspector = Inspector::open(&context.common.connection, &group_name, &context.shutdown)?;
    let uses = if commit { topic_set::SWITCHING } else { topic_set::COUNTING };
    let topic_set = topic_set::require(context, &inspector, uses)?;
    if !topic_set.has(Topic::Decisions) {
        context.console.note(&format!("topic {} does not exist: it counts as empty", names.decisions()));
    }
    let mut installs = commit;
    if commit {
        topic_settings::check_state(context, &inspector, &topic_set)?;
        let inputs = group::inputs(context, &topic_set);
        let has_offsets = group::offsets(context, &inspector, &inputs)?.iter().any(Option::is_some);
        if has_offsets && !group::read_state(context, &inspector, &topic_set, &group_name)?.has_positions() {
            return Err(group::not_an_analytics_group(&group_name));
        }
        let liveness = inspector.group_members(&group_name)?;
        if !liveness.members.is_empty() {
            installs = false;
            context.console.warn(&format!(
                "the group {group_name} is live ({}): it is not changed, these metrics are only printed",
                liveness.members.join(", ")
            ));
        }
    }
    let mut pass = full_pass::count(context, &inspector, &topic_set, &group_name)?;
    let document = pass.document();
    if installs {
        match full_pass::install(context, &inspector, &group_name, &mut pass) {
            // A member has joined in the meantime, so the group is treated as live.
            Err(GroupError::Live(failure)) => {
                context
                    .console
                    .warn(&format!("{}: it is not changed, these metrics are only printed", failure.message));
            }
            other => other?,
        }
    }
    let counted = has_records(&document);
    finish(context, document, full, report, file, metrics_file)?;
    if commit && counted {
        show_replay(context, &inspector, &group_name, group);
    }
    Ok(Code::Done)
}
