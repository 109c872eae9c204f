//! Parser of steps: what each step does, and which keys it may have.

use std::ops::Range;
use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::super::diagnostic::{DiagnosticSink, quoted};
use super::super::{Bound, CheckCommand, ProcessSignal, Run, Script, Wait};
use super::command;
use super::fields::{Fields, Located, in_text, wrong_type};
use super::{MAX_DURATION, MIN_DEADLINE};
use crate::topics::Names;
use crate::units::{counted, grouped};

/// A step before repeats are unrolled.
pub(super) struct ParsedStep {
    /// Its position, for its line and for diagnostics about the whole step.
    pub(super) span: Range<usize>,
    pub(super) deadline: Option<Duration>,
    pub(super) what: ParsedAction,
}

pub(super) enum ParsedAction {
    Run(ParsedRun),
    Signal(ProcessSignal, Located<String>),
    Wait(Wait, Range<usize>),
    Repeat(usize, Vec<ParsedStep>),
    /// An invalid step, which has been reported, and whether it may have names and groups.
    Invalid(bool),
}

/// A command and its name in the script.
pub(super) struct ParsedRun {
    pub(super) name: Located<String>,
    /// Whether the script gives no name, so that the step has the command's name.
    pub(super) unnamed: bool,
    pub(super) repeat: Option<usize>,
    pub(super) run: Run,
}

const VERBS: [&str; 7] = ["run", "stop", "kill", "pause", "resume", "wait", "steps"];
const KEYS: [&str; 12] =
    ["run", "name", "background", "exit", "repeat", "stop", "kill", "pause", "resume", "wait", "deadline", "steps"];
const WAIT_KEYS: [&str; 7] = ["lag", "records", "uncommitted", "ended", "at_least", "at_most", "more"];

const MIN_WAIT: Duration = Duration::from_millis(1);

/// The keys that may be used together with a verb.
fn allowed_with(verb: &str) -> &'static [&'static str] {
    match verb {
        "run" => &["name", "background", "exit", "repeat", "deadline"],
        "steps" => &["repeat"],
        _ => &["deadline"],
    }
}

/// The steps of a script; `None` without steps, and with too many.
pub(super) fn read(
    fields: &Fields<'_>,
    check: &CheckCommand<'_>,
    sink: &mut DiagnosticSink<'_>,
) -> Option<Vec<ParsedStep>> {
    let value = fields.get("step")?;
    let Some(list) = value.get_ref().as_array() else {
        wrong_type(value, "[[step]]", sink);
        return None;
    };
    let too_many = |many: usize, sink: &mut DiagnosticSink<'_>| {
        let hint = format!("the limit is {}, counting each repetition", grouped(Script::MAX_STEPS as u64));
        sink.add(
            value.span(),
            format!("the script has {} steps, which is too many", grouped(many as u64)),
            hint.as_str(),
        );
        None
    };
    // Checked before the steps are parsed, and again when repeats are known.
    if list.len() > Script::MAX_STEPS {
        return too_many(list.len(), sink);
    }
    let steps: Vec<_> = list.iter().map(|step| one(step, false, check, sink)).collect();
    let many = count(&steps);
    if many > Script::MAX_STEPS { too_many(many, sink) } else { Some(steps) }
}

fn count(steps: &[ParsedStep]) -> usize {
    steps
        .iter()
        .map(|step| match &step.what {
            ParsedAction::Run(start) => start.repeat.unwrap_or(1),
            ParsedAction::Repeat(times, steps) => count(steps).saturating_mul(*times),
            _ => 1,
        })
        .fold(0, usize::saturating_add)
}

fn one(
    value: &Spanned<DeValue<'_>>,
    inside: bool,
    check: &CheckCommand<'_>,
    sink: &mut DiagnosticSink<'_>,
) -> ParsedStep {
    let invalid = |span, names| ParsedStep { span, deadline: None, what: ParsedAction::Invalid(names) };
    let has_names = |verb: &&str| matches!(*verb, "run" | "steps");
    let Some(fields) = Fields::within(value, &KEYS, "a step", sink) else {
        return invalid(value.span(), true);
    };
    let span = fields.span.clone();
    let deadline = fields.time("deadline", MIN_DEADLINE, MAX_DURATION, sink);
    let verbs = fields.present(&VERBS);
    let [verb] = verbs[..] else {
        if verbs.is_empty() {
            let hint = format!("add one of {}", VERBS.join(", "));
            fields.missing("the step does nothing", hint.as_str(), sink);
        } else {
            let place = fields.key(verbs[1]).unwrap_or(span.clone());
            sink.add(place, format!("{} in one step", verbs.join(" and ")), "use a step for each");
        }
        // The verb of a step without one may be misspelt.
        let names = verbs.is_empty() || verbs.iter().any(has_names);
        for verb in verbs {
            // Only its mistakes matter: the step is invalid anyway.
            drop(action(&fields, verb, inside, check, sink));
        }
        return invalid(span, names);
    };
    for other in fields.present(&KEYS) {
        if other != verb && !allowed_with(verb).contains(&other) {
            let hint = match allowed_with(verb) {
                [one] => format!("{verb} can only be combined with {one}"),
                several => format!("{verb} can only be combined with {}", several.join(", ")),
            };
            let place = fields.key(other).unwrap_or(span.clone());
            sink.add(place, format!("{other} cannot be combined with {verb}"), hint.as_str());
        }
    }
    let what = action(&fields, verb, inside, check, sink);
    ParsedStep { span, deadline, what: what.unwrap_or(ParsedAction::Invalid(has_names(&verb))) }
}

fn action(
    fields: &Fields<'_>,
    verb: &str,
    inside: bool,
    check: &CheckCommand<'_>,
    sink: &mut DiagnosticSink<'_>,
) -> Option<ParsedAction> {
    match verb {
        "run" => run(fields, inside, check, sink).map(ParsedAction::Run),
        "wait" => wait(fields, sink),
        "steps" => group(fields, inside, check, sink),
        _ => signal(fields, verb, sink),
    }
}

fn signal(fields: &Fields<'_>, verb: &str, sink: &mut DiagnosticSink<'_>) -> Option<ParsedAction> {
    let signal = [ProcessSignal::Stop, ProcessSignal::Kill, ProcessSignal::Pause, ProcessSignal::Resume];
    let signal = signal.into_iter().find(|signal| signal.to_string() == verb)?;
    let step = fields.text(verb, sink)?;
    Some(ParsedAction::Signal(signal, Located { value: step.value.to_owned(), span: step.span }))
}

/// Returns a run even if it has mistakes, so that other steps can refer to its name.
fn run(
    fields: &Fields<'_>,
    inside: bool,
    check: &CheckCommand<'_>,
    sink: &mut DiagnosticSink<'_>,
) -> Option<ParsedRun> {
    let typed = fields.text("run", sink)?;
    let background = fields.flag("background", sink).is_some_and(|flag| flag.value);
    let exit = fields.whole("exit", 0, 255, sink).map_or(0, |code| code.value);
    let repeat = repeat(fields, inside, sink);
    if background && fields.get("deadline").is_some() {
        let place = fields.key("deadline").unwrap_or(fields.span.clone());
        sink.add(
            place,
            "a background command cannot have a deadline",
            "set the deadline of the step that waits for it or stops it",
        );
    }
    if background && let (Some(_), Some(place)) = (repeat, fields.key("repeat")) {
        sink.add(place, "a background command cannot be repeated", "repeat a list of steps that also stops it");
    }
    let line = match command::read(typed.value, check) {
        Ok(line) => Some(line),
        Err(wrong) => {
            for (place, message, hint) in wrong {
                sink.add(in_text(&typed, &place, sink.text()), message, hint.as_deref());
            }
            None
        }
    };
    let (name, unnamed) = match (fields.name("name", sink), fields.get("name")) {
        (Some(name), _) => (Located { value: name.value.to_owned(), span: name.span }, false),
        // An invalid name, kept so that references to it are not reported too.
        (None, Some(name)) => (Located { value: name.get_ref().as_str()?.to_owned(), span: name.span() }, false),
        (None, None) => {
            if background {
                let hint = "add name = \"…\", so that another step can stop it";
                sink.add(fields.span.clone(), "a background command needs a name", hint);
            }
            let command = typed.value.split(' ').find(|word| !word.is_empty())?;
            (Located { value: command.to_owned(), span: typed.span.clone() }, true)
        }
    };
    let run = Run {
        name: name.value.clone(),
        command_line: typed.value.to_owned(),
        throttled: line.as_ref().is_some_and(|line| line.throttled),
        document: command::document(typed.value),
        group: line.as_ref().and_then(|line| line.group.clone()),
        arguments: line.map(|line| line.arguments).unwrap_or_default(),
        background,
        exit: i32::try_from(exit).unwrap_or_default(),
    };
    Some(ParsedRun { name, unnamed, repeat, run })
}

fn repeat(fields: &Fields<'_>, inside: bool, sink: &mut DiagnosticSink<'_>) -> Option<usize> {
    let times = fields.whole("repeat", 1, i64::MAX, sink)?;
    if inside {
        let place = fields.key("repeat").unwrap_or(times.span);
        sink.add(place, "nested repeat", "repeats cannot be nested");
        return None;
    }
    Some(usize::try_from(times.value).unwrap_or(usize::MAX))
}

fn group(
    fields: &Fields<'_>,
    inside: bool,
    check: &CheckCommand<'_>,
    sink: &mut DiagnosticSink<'_>,
) -> Option<ParsedAction> {
    let value = fields.get("steps")?;
    let times = repeat(fields, inside, sink);
    if fields.get("repeat").is_none() {
        fields.missing("steps without repeat", "add the number of repetitions: repeat = 3", sink);
    }
    let Some(list) = value.get_ref().as_array() else {
        wrong_type(value, "[[step.steps]]", sink);
        return None;
    };
    if list.is_empty() || list.len() > Script::MAX_STEPS {
        let hint = format!("a repeat has 1 to {} steps", grouped(Script::MAX_STEPS as u64));
        sink.add(value.span(), format!("{} to repeat", counted(list.len() as u64, "step")), hint.as_str());
        return None;
    }
    let steps = list.iter().map(|step| one(step, true, check, sink)).collect();
    Some(ParsedAction::Repeat(times.unwrap_or(1), steps))
}

fn wait(fields: &Fields<'_>, sink: &mut DiagnosticSink<'_>) -> Option<ParsedAction> {
    let value = fields.get("wait")?;
    if value.get_ref().is_str() {
        if let Some(place) = fields.key("deadline") {
            sink.add(place, "a wait for a time cannot have a deadline", "remove the deadline: the time is its end");
        }
        let time = fields.time("wait", MIN_WAIT, Script::MAX_WAIT, sink)?;
        return Some(ParsedAction::Wait(Wait::Time(time), value.span()));
    }
    let expected = "a condition like { lag = \"inventory-consumer-group\", at_most = 0 } or a time like \"5s\"";
    let wait = Fields::within(value, &WAIT_KEYS, expected, sink)?;
    let what = wait.present(&["lag", "records", "uncommitted", "ended"]);
    let [what] = what[..] else {
        if what.is_empty() {
            wait.missing("the wait has no condition", "add one of lag, records, uncommitted, ended", sink);
        } else {
            let message = format!("{} in one wait", what.join(" and "));
            sink.add(wait.span, message, "use a step for each");
        }
        return None;
    };
    let subject = wait.text(what, sink);
    let bounds = wait.present(&["at_least", "at_most", "more"]);
    if what == "ended" {
        for bound in bounds {
            let place = wait.key(bound).unwrap_or(wait.span.clone());
            sink.add(place, format!("{bound} cannot be combined with ended"), "ended has no number: remove the bound");
        }
        let step = subject?;
        return Some(ParsedAction::Wait(Wait::Ended(step.value.to_owned()), step.span));
    }
    if let Some(topic) = subject.as_ref().filter(|_| what != "lag") {
        check_topic(topic, sink);
    }
    let [bound] = bounds[..] else {
        if bounds.is_empty() {
            wait.missing("the wait has no bound", "add at_most = 0, at_least = 1000, or more = 500", sink);
        } else {
            let message = format!("{} in one wait", bounds.join(" and "));
            sink.add(wait.span, message, "use a step for each");
        }
        return None;
    };
    let number = wait.whole(bound, 0, i64::MAX, sink);
    let (subject, number) = (subject?, number?);
    let bound = match bound {
        "at_least" => Bound::AtLeast(number.value),
        "at_most" => Bound::AtMost(number.value),
        _ => Bound::More(number.value),
    };
    let of = subject.value.to_owned();
    let wait = match what {
        "lag" => return Some(ParsedAction::Wait(Wait::Lag(of, bound), subject.span)),
        "records" => Wait::Records(of, bound),
        _ => Wait::Uncommitted(of, bound),
    };
    Some(ParsedAction::Wait(wait, subject.span))
}

/// Reports an unknown topic.
fn check_topic(topic: &Located<&str>, sink: &mut DiagnosticSink<'_>) {
    let names = Names::new("");
    let topics = [names.orders(), names.decisions(), names.ledger(), names.dead_letters(), names.analytics_state()];
    if !topics.iter().any(|known| known == topic.value) {
        let hint = match sink.suggest(topic.value, topics.iter().map(String::as_str)) {
            Some(name) => format!("did you mean {name}?"),
            None => format!("the topics are {}", topics.join(", ")),
        };
        sink.add(topic.span.clone(), format!("unknown topic {}", quoted(topic.value)), hint.as_str());
    }
}
