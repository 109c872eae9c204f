//! Owns `lag`: how far behind consumer groups are, once or as a watch.

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
use crate::report;
use crate::settings::LagSettings;

/// How long each wait of a look may take, at least, before the last look is shown as stale.
const LEAST_BOUND: Duration = Duration::from_secs(2);

/// Groups that a refusal names, at most.
const NAMED: usize = 10;

/// Looks in a row that may leave the age of records open before a watch with a condition ends: one that is short of time is no news.
const DARK_LOOKS: usize = 3;

/// Shows the lag of groups.
///
/// # Errors
///
/// With exit code 3 when the condition of `--fail-if` holds or cannot be judged, 7 when the prefix has no group or a chosen topic does not
/// exist, and whatever ended the looking.
pub fn run(context: &Context, settings: &LagSettings) -> Outcome {
    let report = context.open_report()?;
    let csv = settings.csv.as_deref().map(OutputFile::open).transpose()?;
    let html = settings.html.as_deref().map(OutputFile::open).transpose()?;
    let names = &context.common.names;
    let of_prefix = settings.groups.is_empty();
    let groups = if of_prefix {
        vec![names.inventory_group(None), names.analytics_group(None)]
    } else {
        settings.groups.clone()
    };
    let connection = &context.common.connection;
    let mut sampler =
        LagSampler::open(connection, groups, settings.topics.clone(), settings.isolation, &context.shutdown)?;
    if settings.watch.is_none() {
        sampler = sampler.for_one_sample(connection.timeout);
    }
    let mut watch = Watch::new(context, settings, of_prefix);
    let mut ended = watch.run(&mut sampler);
    if ended.is_ok() {
        ended = watch.judged();
    }
    // What was seen until something went wrong was seen all the same.
    if watch.groups.iter().any(|group| group.last.is_some()) {
        watch.finish(report, csv, html)?;
    }
    ended
}

/// What is known of one group.
#[derive(Debug, Default)]
struct WatchedGroup {
    history: RateWindow,
    samples: Vec<LagPoint>,
    last: Option<GroupLag>,
    /// Why `--fail-if` failed.
    failed: Option<String>,
    /// Why the last look could not be judged, and how many looks in a row could not.
    dark: Option<String>,
    dark_looks: usize,
    /// Whether what keeps it from being judged is only not there yet.
    is_missing: bool,
}

struct Watch<'a> {
    context: &'a Context,
    settings: &'a LagSettings,
    of_prefix: bool,
    groups: Vec<WatchedGroup>,
    csv: String,
    /// What was told already.
    told: BTreeSet<String>,
    /// When the last look was answered.
    answered: Deadline,
    /// How long the next look may take in an outage.
    bound: Duration,
    /// Whether the last look was not answered.
    is_stale: bool,
}

impl<'a> Watch<'a> {
    fn new(context: &'a Context, settings: &'a LagSettings, of_prefix: bool) -> Self {
        Self {
            context,
            settings,
            of_prefix,
            groups: Vec::new(),
            csv: csv_heading(),
            told: BTreeSet::new(),
            answered: Deadline::after(Duration::ZERO),
            bound: LEAST_BOUND,
            is_stale: false,
        }
    }

    /// How a watch ends that was stopped: a condition that could not be judged at last does not pass.
    fn judged(&self) -> Outcome {
        let Some(condition) = self.settings.fail_if else { return Ok(Code::Done) };
        let mut dark: Vec<String> = self.groups.iter().filter_map(|group| group.dark.clone()).collect();
        if self.is_stale {
            let stale = report::stale_note(self.answered.elapsed());
            dark.push(format!("--fail-if {condition} was not judged at last: the cluster does not answer; {stale}"));
        }
        if dark.is_empty() { Ok(Code::Done) } else { Err(Failure::new(Code::Different, dark.join("; "))) }
    }

    /// Looks once, or until something ends it.
    fn run(&mut self, sampler: &mut LagSampler) -> Outcome {
        let started = Deadline::after(Duration::ZERO);
        let mut due = Duration::ZERO;
        loop {
            let looks = match sampler.sample() {
                Ok(looks) => looks,
                // A watch runs until it is stopped, also in the middle of a look; one that has seen nothing was stopped before its goal.
                Err(_) if !self.groups.is_empty() && self.context.shutdown.requested().is_some() => {
                    return Ok(Code::Done);
                }
                // What was shown stays, as old as it is; a first look has nothing to show.
                Err(error)
                    if !self.groups.is_empty() && self.settings.watch.is_some() && error.kind().is_retriable() =>
                {
                    if !self.outlast(&error, sampler)? {
                        return Ok(Code::Done);
                    }
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            self.answered(sampler);
            let is_nothing = self.groups.is_empty() && self.of_prefix && !looks.iter().any(GroupSample::exists);
            if is_nothing && self.settings.fail_if.is_none() {
                return Err(self.no_group(sampler));
            }
            self.take(&looks, sampler);
            let failed: Vec<&str> = self.groups.iter().filter_map(|group| group.failed.as_deref()).collect();
            let failure = (!failed.is_empty()).then(|| self.refusal(failed.join("; ")));
            let Some(every) = self.settings.watch else { return failure.map_or(Ok(Code::Done), Err) };
            let read = self.show()?;
            if let Some(failure) = failure {
                return Err(failure);
            }
            // A look that took too long is not made up for.
            while due <= started.elapsed() {
                due += every;
            }
            self.context.shutdown.pause(due.saturating_sub(started.elapsed()));
            if !read || self.context.shutdown.requested().is_some() {
                return Ok(Code::Done);
            }
        }
    }

    /// A look was answered: each wait of the next one gets as long as the last answers have shown to be enough, before what is
    /// shown counts as stale.
    fn answered(&mut self, sampler: &mut LagSampler) {
        self.answered = Deadline::after(Duration::ZERO);
        self.is_stale = false;
        if self.settings.watch.is_some() {
            self.bound = sampler.timeout_hint().max(LEAST_BOUND).min(self.context.common.connection.timeout);
            sampler.set_timeout(self.bound);
        }
    }

    /// Lives through an outage: shows how old the last look is, and looks again; `false` when nobody reads it any more.
    fn outlast(&mut self, error: &kafka::Error, sampler: &mut LagSampler) -> Result<bool, Failure> {
        self.is_stale = true;
        let stale = report::stale_note(self.answered.elapsed());
        if self.told.insert(error.to_string()) {
            self.context.console.note(&report::printable(&error.to_string()));
        }
        // A look that waits long shows nothing meanwhile; one that is too short never ends on a slow broker.
        self.bound = (self.bound * 2).min(self.context.common.connection.timeout);
        sampler.set_timeout(self.bound);
        let console = &self.context.console;
        let read = if self.context.common.json {
            true
        } else if console.stdout_is_terminal() {
            console.redraw(&format!("{}{stale}\n", report::lag_live_text(&self.shown())))?
        } else {
            let lines: String =
                self.shown().iter().map(|group| report::lag_line(group) + "; " + &stale + "\n").collect();
            console.print(&lines)?
        };
        self.context.shutdown.pause(self.settings.watch.unwrap_or_default().min(LEAST_BOUND));
        Ok(read && self.context.shutdown.requested().is_none())
    }

    fn take(&mut self, looks: &[GroupSample], sampler: &LagSampler) {
        self.groups.resize_with(looks.len(), WatchedGroup::default);
        let mut words = Vec::new();
        for (group, sample) in self.groups.iter_mut().zip(looks) {
            let is_first = group.last.is_none();
            // Both groups of a prefix are meant by a condition, and one of them is enough to look at.
            if self.of_prefix && is_first && !sample.exists() && self.settings.fail_if.is_none() {
                continue;
            }
            if sample.kind.is_some() {
                words.push(format!(
                    "the group {} is a share group: it commits no offsets, so no lag of it is known",
                    sample.group
                ));
            } else if !sample.exists() {
                words.push(format!("the group {} does not exist: no offsets, no members", sample.group));
            } else if sample.members == 0 && sample.partitions.is_empty() {
                words.push(format!(
                    "the group {} exists and no offset of it is to be seen: it has none, or it has them on topics that \
                     this principal may not describe",
                    sample.group
                ));
            }
            group.history.push(sample);
            let mut shown = GroupLag::of(sample, group.history.rates());
            if let Some(condition) = self.settings.fail_if {
                let verdict = condition.check(sample, self.settings.allow_missing);
                group.dark = None;
                match verdict {
                    ConditionResult::Met => group.failed = Some(held(condition, &shown)),
                    ConditionResult::Unknown(blind) => {
                        group.dark_looks += 1;
                        group.is_missing = blind.is_missing();
                        let told = not_judged(condition, &shown, blind);
                        shown.not_judged = Some(blind.to_string());
                        if self.settings.watch.is_none() || !blind.is_transient() || group.dark_looks >= DARK_LOOKS {
                            group.failed = Some(told);
                        } else {
                            words.push(told.clone());
                            group.dark = Some(told);
                        }
                    }
                    ConditionResult::NotMet => group.dark_looks = 0,
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
        words.extend(sampler.forbidden().iter().map(|topic| {
            format!("{topic} may not be read: how old its unread records are is not known (kafka-acls --add --operation READ)")
        }));
        for word in words {
            if self.told.insert(word.clone()) {
                self.context.console.note(&report::printable(&word));
            }
        }
    }

    /// Shows a look of a watch as it goes; `false` when nobody reads it any more.
    fn show(&self) -> Result<bool, Failure> {
        let console = &self.context.console;
        if self.context.common.json {
            return Ok(true);
        }
        let groups = self.shown();
        if console.stdout_is_terminal() {
            return console.redraw(&report::lag_live_text(&groups));
        }
        let lines: String = groups.iter().map(|group| report::lag_line(group) + "\n").collect();
        console.print(&lines)
    }

    fn shown(&self) -> Vec<GroupLag> {
        self.groups.iter().filter_map(|group| group.last.clone()).collect()
    }

    /// Leaves the answer, the document and the table.
    fn finish(
        &mut self,
        report: Option<OutputFile>,
        csv: Option<OutputFile>,
        html: Option<OutputFile>,
    ) -> Result<(), Failure> {
        if let Some(csv) = csv {
            csv.finish(&self.csv)?;
        }
        let groups: Vec<GroupLag> = self
            .groups
            .drain(..)
            .filter_map(|group| Some(GroupLag { samples: group.samples, ..group.last? }))
            .collect();
        // A watch has shown its text already.
        let text = if self.settings.watch.is_some() { String::new() } else { report::lag_report(&groups) };
        let document = match <[GroupLag; 1]>::try_from(groups) {
            Ok([group]) if self.settings.groups.len() == 1 => LagDocument::one(group),
            Ok([group]) => LagDocument::several(vec![group]),
            Err(groups) => LagDocument::several(groups),
        };
        if let Some(html) = html {
            html.finish(&report::html::lag_document_page(&document, &self.facts()))?;
        }
        self.context.print_document(&document, &text, report)
    }

    /// What a page says of this command. Without `-X` and `-F`, which may hold secrets.
    fn facts(&self) -> report::html::CommandFacts {
        let mut command = "foodstream lag".to_owned();
        for group in &self.settings.groups {
            command.extend([" --group ", group]);
        }
        if let Some(every) = self.settings.watch {
            command.extend([" --watch ", &humantime::format_duration(every).to_string()]);
        }
        self.context.page_facts(command, self.settings.groups.join(", "))
    }

    /// The end of a condition that holds or cannot be judged.
    fn refusal(&self, message: String) -> Failure {
        let failure = Failure::new(Code::Different, message);
        if self.groups.iter().any(|group| group.is_missing) {
            failure.hint("give --allow-missing where a group may not be there yet")
        } else {
            failure
        }
    }

    fn no_group(&self, sampler: &LagSampler) -> Failure {
        let names = &self.context.common.names;
        let failure = Failure::new(
            Code::Refused,
            format!("there is neither a group {} nor {}", names.inventory_group(None), names.analytics_group(None)),
        );
        let hint = match sampler.group_names() {
            Ok(groups) if !groups.is_empty() => {
                let more = if groups.len() > NAMED { ", …" } else { "" };
                let groups: Vec<_> = groups.iter().take(NAMED).map(|name| report::printable(name)).collect();
                format!("name one with --group; the cluster has {}{more}", groups.join(", "))
            }
            _ => "run `foodstream inventory` or `foodstream analytics` first, or name a group with --group".to_owned(),
        };
        failure.hint(hint)
    }
}

fn held(condition: Condition, group: &GroupLag) -> String {
    format!("--fail-if {condition} holds for {}: {}", report::printable(&group.group), report::lag_total(group))
}

fn not_judged(condition: Condition, group: &GroupLag, blind: UnknownReason) -> String {
    format!("--fail-if {condition} cannot be judged for {}: {blind}", report::printable(&group.group))
}
