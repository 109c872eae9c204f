//! `lag`: the lag of consumer groups, once or repeatedly with `--watch`.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Context;
use crate::clock::Deadline;
use crate::exit::{Code, Failure, Outcome};
use crate::kafka::{self, LagSampler};
use crate::lag::{
    Condition, ConditionResult, GroupLag, GroupSample, LagDocument, LagPoint, RateWindow, UnknownReason, csv_heading,
    csv_rows,
};
use crate::output::OutputFile;
use crate::report::{self, Detail};
use crate::screen::Screen;
use crate::settings::LagSettings;
use crate::topics::behind_a_prefix;
use crate::units::counted;

/// The least time for each wait of a sample in an outage, before the previous sample is shown as stale.
const MIN_TIMEOUT: Duration = Duration::from_secs(2);

/// The most groups that an error lists.
const MAX_LISTED: usize = 10;

/// The time after which a single sample of all groups reads no more ages of unread records: many groups may have
/// different positions in one partition.
const AGES_OF_ALL_GROUPS: Duration = Duration::from_secs(5);

/// Consecutive samples without the age of records before a watch with `--fail-if` ends: one that ran out of time is not
/// a failure.
const MAX_UNKNOWN_SAMPLES: usize = 3;

/// Shows the lag of groups. Fails with exit code 3 if the condition of `--fail-if` is met or cannot be evaluated, 7 if
/// the prefix has no group or a topic of `--topic` does not exist.
pub fn run(context: &Context, settings: &LagSettings) -> Outcome {
    let report = context.open_report()?;
    let csv = settings.csv.as_deref().map(OutputFile::open).transpose()?;
    let html = settings.html.as_deref().map(OutputFile::open).transpose()?;
    let names = &context.common.names;
    let of_prefix = settings.groups.is_empty() && !settings.all_groups;
    let groups = if of_prefix {
        vec![names.inventory_group(None), names.analytics_group(None)]
    } else {
        settings.groups.clone()
    };
    let connection = &context.common.connection;
    let (topics, isolation) = (settings.topics.clone(), settings.isolation);
    let mut sampler = if settings.all_groups {
        LagSampler::open_for_all(connection, topics, isolation, &context.shutdown)?
    } else {
        LagSampler::open(connection, groups, topics, isolation, &context.shutdown)?
    };
    if settings.watch.is_none() {
        let most = if settings.all_groups { AGES_OF_ALL_GROUPS } else { Duration::MAX };
        sampler = sampler.for_one_sample(connection.timeout.min(most));
    }
    let mut watch = Watch::new(context, settings, of_prefix);
    let mut ended = watch.run(&mut sampler);
    // Everything else is printed to the normal screen.
    let was_on_screen = watch.screen.take().is_some();
    if ended.is_ok() {
        ended = watch.final_outcome();
    }
    // Earlier samples are written even after a failure.
    let is_list_without_groups = settings.all_groups && watch.has_sample && ended.is_ok();
    if is_list_without_groups || watch.groups.iter().any(|group| group.last.is_some()) {
        watch.finish(report, csv, html, was_on_screen)?;
    }
    ended
}

#[derive(Debug, Default)]
struct WatchedGroup {
    name: String,
    /// Whether the last sample has the group: with `--all-groups`, groups appear and disappear.
    is_current: bool,
    history: RateWindow,
    samples: Vec<LagPoint>,
    last: Option<GroupLag>,
    /// Why the command fails because of `--fail-if`.
    failed: Option<String>,
    /// Why the condition could not be evaluated in the last sample, and for how many samples in a row.
    unknown: Option<String>,
    unknown_samples: usize,
    /// The condition could not be evaluated because the group or its offsets do not exist yet.
    is_missing: bool,
}

struct Watch<'a> {
    context: &'a Context,
    settings: &'a LagSettings,
    of_prefix: bool,
    groups: Vec<WatchedGroup>,
    /// Of all groups, those that may not be described.
    not_authorized: Vec<String>,
    has_sample: bool,
    csv: String,
    /// Notes that were already printed.
    printed: BTreeSet<String>,
    /// When the last sample was complete.
    last_sample: Deadline,
    /// The timeout of the next sample in an outage.
    timeout: Duration,
    /// Whether the last sample failed.
    is_stale: bool,
    /// Where a terminal shows the samples.
    screen: Option<Screen>,
}

impl<'a> Watch<'a> {
    fn new(context: &'a Context, settings: &'a LagSettings, of_prefix: bool) -> Self {
        Self {
            context,
            settings,
            of_prefix,
            groups: Vec::new(),
            not_authorized: Vec::new(),
            has_sample: false,
            csv: csv_heading(),
            printed: BTreeSet::new(),
            last_sample: Deadline::after(Duration::ZERO),
            timeout: MIN_TIMEOUT,
            is_stale: false,
            screen: None,
        }
    }

    /// The outcome of a stopped watch: a condition that was unknown in the last sample is a failure.
    fn final_outcome(&self) -> Outcome {
        let Some(condition) = self.settings.fail_if else { return Ok(Code::Done) };
        let mut unknown: Vec<String> =
            self.groups.iter().filter(|group| group.is_current).filter_map(|group| group.unknown.clone()).collect();
        if self.is_stale {
            let stale = report::stale_note(self.last_sample.elapsed());
            unknown.push(format!("--fail-if {condition} cannot be evaluated: the cluster does not respond; {stale}"));
        }
        if unknown.is_empty() { Ok(Code::Done) } else { Err(Failure::new(Code::Different, unknown.join("; "))) }
    }

    /// Takes one sample, or samples until something ends the watch.
    fn run(&mut self, sampler: &mut LagSampler) -> Outcome {
        let started = Deadline::after(Duration::ZERO);
        let mut due = Duration::ZERO;
        loop {
            let group_samples = match sampler.sample() {
                Ok(group_samples) => group_samples,
                // A watch ends successfully when stopped, even during a sample, unless it has no sample yet.
                Err(_) if self.has_sample && self.context.shutdown.requested().is_some() => {
                    return Ok(Code::Done);
                }
                // In an outage the last sample remains visible with its age; the first sample must succeed.
                Err(error) if self.has_sample && self.settings.watch.is_some() && error.kind().is_retriable() => {
                    if !self.outlast_outage(&error, sampler)? {
                        return Ok(Code::Done);
                    }
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            self.adapt_timeout(sampler);
            let is_nothing = !self.has_sample && !group_samples.iter().any(GroupSample::exists);
            if is_nothing && self.settings.fail_if.is_none() {
                if self.settings.all_groups {
                    return Err(self.no_group_at_all(sampler));
                }
                if self.of_prefix {
                    return Err(self.no_group(sampler));
                }
            }
            self.add(&group_samples, sampler);
            let mut failed: Vec<String> = self.groups.iter().filter_map(|group| group.failed.clone()).collect();
            failed.extend(self.unseen_groups(group_samples.is_empty()));
            let failure = (!failed.is_empty()).then(|| self.condition_failure(failed.join("; ")));
            let Some(every) = self.settings.watch else { return failure.map_or(Ok(Code::Done), Err) };
            let open = self.show()?;
            if let Some(failure) = failure {
                return Err(failure);
            }
            // Intervals that a slow sample missed are skipped.
            while due <= started.elapsed() {
                due += every;
            }
            self.context.shutdown.pause(due.saturating_sub(started.elapsed()));
            if !open || self.context.shutdown.requested().is_some() {
                return Ok(Code::Done);
            }
        }
    }

    /// Adapts the timeout of the next sample to the last responses.
    fn adapt_timeout(&mut self, sampler: &mut LagSampler) {
        self.last_sample = Deadline::after(Duration::ZERO);
        self.is_stale = false;
        if self.settings.watch.is_some() {
            self.timeout = sampler.timeout_hint().max(MIN_TIMEOUT).min(self.context.common.connection.timeout);
            sampler.set_timeout(self.timeout);
        }
    }

    /// Handles an outage: shows the age of the last sample. Returns `false` when the output is closed.
    fn outlast_outage(&mut self, error: &kafka::Error, sampler: &mut LagSampler) -> Result<bool, Failure> {
        self.is_stale = true;
        let stale = report::stale_note(self.last_sample.elapsed());
        // A note is one line: without the hint.
        let message = Failure::from(error.clone()).message;
        if self.printed.insert(message.clone()) {
            self.context.console.note(&report::printable(&message));
        }
        // A long timeout shows nothing in the meantime, and one that is too short never succeeds on a slow broker.
        self.timeout = (self.timeout * 2).min(self.context.common.connection.timeout);
        sampler.set_timeout(self.timeout);
        let console = &self.context.console;
        // A screen shows the age of the last sample itself.
        let open = if self.context.common.json || self.screen.is_some() {
            true
        } else if self.settings.all_groups {
            let lines = report::lag_groups_lines(&self.shown());
            let lines: Vec<_> = lines.lines().map(|line| format!("{line}; {stale}\n")).collect();
            console.print(&lines.concat())?
        } else {
            let lines: String =
                self.shown().iter().map(|group| report::lag_line(group) + "; " + &stale + "\n").collect();
            console.print(&lines)?
        };
        self.context.shutdown.pause(self.settings.watch.unwrap_or_default().min(MIN_TIMEOUT));
        Ok(open && self.context.shutdown.requested().is_none())
    }

    fn add(&mut self, group_samples: &[GroupSample], sampler: &LagSampler) {
        self.has_sample = true;
        self.not_authorized = sampler.not_authorized().to_vec();
        let mut notes = Vec::new();
        notes.extend(self.settings.all_groups.then(|| self.not_authorized_note()).flatten());
        self.groups.iter_mut().for_each(|group| group.is_current = false);
        for sample in group_samples {
            let index = self.groups.iter().position(|group| group.name == sample.group).unwrap_or_else(|| {
                self.groups.push(WatchedGroup { name: sample.group.clone(), ..WatchedGroup::default() });
                self.groups.len() - 1
            });
            let group = &mut self.groups[index];
            group.is_current = true;
            let is_first = group.last.is_none();
            // `--fail-if` applies to both groups of a prefix; without it, a missing one is skipped.
            if self.of_prefix && is_first && !sample.exists() && self.settings.fail_if.is_none() {
                continue;
            }
            if self.settings.all_groups {
                // The table has a remark.
            } else if sample.kind.is_some() {
                notes.push(format!(
                    "group {} is a share group: it commits no offsets, so its lag is unknown",
                    sample.group
                ));
            } else if !sample.exists() {
                let similar = if is_first && !self.of_prefix { similar_group(sampler, &sample.group) } else { None };
                let similar = similar.map_or_else(String::new, |group| format!("; {group} exists"));
                notes.push(format!(
                    "group {} does not exist: it has neither offsets nor members{similar}",
                    sample.group
                ));
            } else if sample.members == 0 && sample.partitions.is_empty() {
                notes.push(format!(
                    "the group {} exists and no offset of it is to be seen: it has none, or it has them on topics that \
                     this principal may not describe",
                    sample.group
                ));
            }
            group.history.push(sample);
            let mut shown = GroupLag::of(sample, group.history.rates());
            // Of all groups, those that cannot have lag do not count.
            let is_judged = !(self.settings.all_groups && sample.kind.is_some());
            if let Some(condition) = self.settings.fail_if.filter(|_| is_judged) {
                let verdict = condition.check(sample, self.settings.allow_missing);
                group.unknown = None;
                match verdict {
                    ConditionResult::Met => group.failed = Some(met(condition, &shown)),
                    ConditionResult::Unknown(blind) => {
                        group.unknown_samples += 1;
                        group.is_missing = blind.is_missing();
                        let message = unknown(condition, &shown, blind);
                        shown.not_judged = Some(blind.to_string());
                        if self.settings.watch.is_none()
                            || !blind.is_transient()
                            || group.unknown_samples >= MAX_UNKNOWN_SAMPLES
                        {
                            group.failed = Some(message);
                        } else {
                            notes.push(message.clone());
                            group.unknown = Some(message);
                        }
                    }
                    ConditionResult::NotMet => group.unknown_samples = 0,
                }
                shown.fails = Some(verdict != ConditionResult::NotMet);
            }
            if self.settings.watch.is_some() {
                group.samples.push(LagPoint::of(sample, group.history.rates()));
            }
            if self.settings.csv.is_some() {
                self.csv.push_str(&csv_rows(sample));
            }
            group.last = Some(shown);
        }
        notes.extend(sampler.forbidden().iter().map(|topic| {
            format!("no permission to read {topic}: the age of its unread records is unknown (kafka-acls --add --operation READ)")
        }));
        for note in notes {
            if self.printed.insert(note.clone()) {
                self.context.console.note(&report::printable(&note));
            }
        }
    }

    /// Shows the current sample of a watch. Returns `false` when the output is closed.
    fn show(&mut self) -> Result<bool, Failure> {
        let console = &self.context.console;
        if self.context.common.json {
            return Ok(true);
        }
        let mut groups = self.shown();
        self.screen = self.screen.take().or_else(|| console.result_screen(&self.context.shutdown));
        if let Some(screen) = &self.screen {
            let every = self.settings.watch.unwrap_or_default();
            if self.settings.all_groups {
                report::sort_by_lag(&mut groups);
            }
            return Ok(screen.draw(report::lag_frame(&groups, every, every + MIN_TIMEOUT)));
        }
        if self.settings.all_groups {
            return console.print(&report::lag_groups_lines(&groups));
        }
        let lines: String = groups.iter().map(|group| report::lag_line(group) + "\n").collect();
        console.print(&lines)
    }

    fn shown(&self) -> Vec<GroupLag> {
        self.groups.iter().filter(|group| group.is_current).filter_map(|group| group.last.clone()).collect()
    }

    /// Prints the result and writes the files.
    fn finish(
        &mut self,
        report: Option<OutputFile>,
        csv: Option<OutputFile>,
        html: Option<OutputFile>,
        was_on_screen: bool,
    ) -> Result<(), Failure> {
        if let Some(csv) = csv {
            csv.finish(&self.csv)?;
        }
        if self.settings.all_groups {
            // In the order of their first samples so far.
            self.groups.sort_by(|left, right| left.name.cmp(&right.name));
        }
        // The document also has the samples of groups that no longer exist.
        let shown = self.shown();
        let groups: Vec<GroupLag> = self
            .groups
            .drain(..)
            .filter_map(|group| Some(GroupLag { samples: group.samples, ..group.last? }))
            .collect();
        // The lines of a watch are already there, unlike a screen.
        let mut text = String::new();
        if self.settings.watch.is_none() || was_on_screen {
            let detail = Detail::of(self.settings.full);
            text = if self.settings.all_groups {
                report::lag_groups_report(&shown, detail)
            } else {
                report::lag_report(&shown, detail)
            };
        }
        if self.is_stale && was_on_screen {
            text.extend([&report::stale_note(self.last_sample.elapsed()), "\n"]);
        }
        let document = match <[GroupLag; 1]>::try_from(groups) {
            Ok([group]) if self.settings.all_groups => LagDocument::all(vec![group], self.not_authorized.clone()),
            Err(groups) if self.settings.all_groups => LagDocument::all(groups, self.not_authorized.clone()),
            Ok([group]) if self.settings.groups.len() == 1 => LagDocument::one(group),
            Ok([group]) => LagDocument::several(vec![group]),
            Err(groups) => LagDocument::several(groups),
        };
        if let Some(html) = html {
            html.finish(&report::html::lag_document_page(&document, &self.facts()))?;
        }
        self.context.print_document(&document, &text, report)
    }

    /// The command line on a page, without `-X` and `-F`, which may contain secrets.
    fn facts(&self) -> report::html::CommandFacts {
        let mut command = "foodstream lag".to_owned();
        for group in &self.settings.groups {
            command.extend([" --group ", group]);
        }
        let of = if self.settings.all_groups { "all groups".to_owned() } else { self.settings.groups.join(", ") };
        if self.settings.all_groups {
            command.push_str(" --all-groups");
        }
        if let Some(every) = self.settings.watch {
            command.extend([" --watch ", &humantime::format_duration(every).to_string()]);
        }
        self.context.page_facts(command, of)
    }

    /// The failure of a condition that is met or unknown.
    fn condition_failure(&self, message: String) -> Failure {
        let failure = Failure::new(Code::Different, message);
        if self.groups.iter().any(|group| group.is_missing) {
            failure.hint("add --allow-missing if the group may not exist yet")
        } else {
            failure
        }
    }

    /// Why the condition cannot be evaluated for groups that no sample has.
    fn unseen_groups(&self, has_no_group: bool) -> Option<String> {
        let condition = self.settings.fail_if.filter(|_| self.settings.all_groups)?;
        if let Some(note) = self.not_authorized_note() {
            return Some(format!("--fail-if {condition} cannot be evaluated for all groups: {note}"));
        }
        let is_missing = has_no_group && !self.settings.allow_missing;
        is_missing.then(|| format!("--fail-if {condition} cannot be evaluated: {}", self.nothing()))
    }

    fn not_authorized_note(&self) -> Option<String> {
        let groups = &self.not_authorized;
        (!groups.is_empty()).then(|| {
            format!(
                "no permission to describe {}: {} (kafka-acls --add --operation DESCRIBE --group NAME)",
                counted(groups.len() as u64, "group"),
                listed(groups)
            )
        })
    }

    /// What a sample without a group means.
    fn nothing(&self) -> &'static str {
        if self.settings.topics.is_empty() {
            "the cluster has no consumer group that this principal may see"
        } else {
            "no consumer group that this principal may see has an offset or a member on these topics"
        }
    }

    fn no_group_at_all(&mut self, sampler: &LagSampler) -> Failure {
        self.not_authorized = sampler.not_authorized().to_vec();
        if let Some(note) = self.not_authorized_note() {
            return Failure::new(Code::Denied, note)
                .hint("grant DESCRIBE on each group, or on a prefix of their names");
        }
        Failure::new(Code::Refused, self.nothing()).hint(
            "a group exists as long as it has members or committed offsets; with ACLs, DESCRIBE on it makes it visible",
        )
    }

    fn no_group(&self, sampler: &LagSampler) -> Failure {
        let names = &self.context.common.names;
        let failure = Failure::new(
            Code::Refused,
            format!("neither group {} nor group {} exists", names.inventory_group(None), names.analytics_group(None)),
        );
        let groups = sampler.group_names().unwrap_or_default();
        let existing = groups.iter().map(String::as_str).chain(sampler.topic_names());
        let hint = match names.other_prefixes(existing) {
            Some(options) => format!("groups or topics of this program exist with {options}"),
            None if groups.is_empty() => {
                "run `foodstream inventory` or `foodstream analytics` first, or choose a group with --group".to_owned()
            }
            None => format!("choose one with --group, or --all-groups; the cluster has {}", listed(&groups)),
        };
        failure.hint(hint)
    }
}

/// A group that exists with this name behind a prefix: `--group` takes full names.
fn similar_group(sampler: &LagSampler, name: &str) -> Option<String> {
    // Without an answer, the note has no suggestion.
    let groups = sampler.group_names().unwrap_or_default();
    behind_a_prefix(name, groups.iter().map(String::as_str)).map(str::to_owned)
}

/// The first names.
fn listed(groups: &[String]) -> String {
    let more = if groups.len() > MAX_LISTED { ", …" } else { "" };
    let groups: Vec<_> = groups.iter().take(MAX_LISTED).map(|name| report::printable(name)).collect();
    format!("{}{more}", groups.join(", "))
}

fn met(condition: Condition, group: &GroupLag) -> String {
    format!("--fail-if {condition} is met for {}: {}", report::lag_group_name(group), report::lag_total(group))
}

fn unknown(condition: Condition, group: &GroupLag, blind: UnknownReason) -> String {
    format!("--fail-if {condition} cannot be evaluated for {}: {blind}", report::lag_group_name(group))
}
