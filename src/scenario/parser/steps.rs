//! Owns how the steps of a script are read, each by itself: what it does, and which keys go with that.

use std::ops::Range;
use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::super::diagnostic::{DiagnosticSink, quoted};
use super::super::{Bound, CheckLine, ProcessSignal, Run, Script, Wait};
use super::command;
use super::fields::{Fields, Located, wrong_type};
use crate::topics::Names;

/// A step as it is written.
pub(super) struct ParsedStep {
    /// Its place, for its line and for what is wrong with it as a whole.
    pub(super) span: Range<usize>,
    pub(super) deadline: Option<Duration>,
    pub(super) what: ParsedAction,
}

pub(super) enum ParsedAction {
    Run(ParsedRun),
    ProcessSignal(ProcessSignal, Located<String>),
    Wait(Wait, Range<usize>),
    Repeat(usize, Vec<ParsedStep>),
    /// It is wrong in itself, and that has been told.
    Wrong,
}

/// A command that is started, under the name that the script gives it.
pub(super) struct ParsedRun {
    pub(super) name: Located<String>,
    /// Whether the name is the command's, as none was given.
    pub(super) unnamed: bool,
    pub(super) repeat: Option<usize>,
    pub(super) run: Run,
}

const VERBS: [&str; 7] = ["run", "stop", "kill", "pause", "resume", "wait", "steps"];
const KEYS: [&str; 12] =
    ["run", "name", "background", "exit", "repeat", "stop", "kill", "pause", "resume", "wait", "deadline", "steps"];
const WAIT_KEYS: [&str; 7] = ["lag", "records", "uncommitted", "ended", "at_least", "at_most", "more"];

/// The keys that may stand beside a verb.
fn beside(verb: &str) -> &'static [&'static str] {
    match verb {
        "run" => &["name", "background", "exit", "repeat", "deadline"],
        "steps" => &["repeat"],
        _ => &["deadline"],
    }
}

/// The steps of a script; `None` if there are none, or too many.
pub(super) fn read(
    fields: &Fields<'_>,
    check: &CheckLine<'_>,
    sink: &mut DiagnosticSink<'_>,
) -> Option<Vec<ParsedStep>> {
    let value = fields.get("step")?;
    let Some(list) = value.get_ref().as_array() else {
        wrong_type(value, "[[step]]", sink);
        return None;
    };
    let too_many = |many: usize, sink: &mut DiagnosticSink<'_>| {
        let hint = format!("{} are the most, repeated ones counted each time", Script::MOST_STEPS);
        sink.add(value.span(), format!("{many} steps are too many"), hint.as_str());
        None
    };
    // Before any of them is looked at, and again when repeats are known.
    if list.len() > Script::MOST_STEPS {
        return too_many(list.len(), sink);
    }
    let steps: Vec<_> = list.iter().map(|step| one(step, false, check, sink)).collect();
    let many = count(&steps);
    if many > Script::MOST_STEPS { too_many(many, sink) } else { Some(steps) }
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

fn one(value: &Spanned<DeValue<'_>>, inside: bool, check: &CheckLine<'_>, sink: &mut DiagnosticSink<'_>) -> ParsedStep {
    let wrong = |span| ParsedStep { span, deadline: None, what: ParsedAction::Wrong };
    let Some(fields) = Fields::within(value, &KEYS, "a step", sink) else {
        return wrong(value.span());
    };
    let span = fields.span.clone();
    let deadline = fields.time("deadline", Duration::from_millis(1), sink);
    let verbs = fields.present(&VERBS);
    let [verb] = verbs[..] else {
        if verbs.is_empty() {
            let hint = format!("give it one of {}", VERBS.join(", "));
            fields.missing("a step that does nothing", hint.as_str(), sink);
        } else {
            let place = fields.key(verbs[1]).unwrap_or(span.clone());
            sink.add(place, format!("{} in one step", verbs.join(" and ")), "a step does one thing: make them two");
        }
        return wrong(span);
    };
    for other in fields.present(&KEYS) {
        if other != verb && !beside(verb).contains(&other) {
            let hint = match beside(verb) {
                [one] => format!("only {one} can stand there"),
                several => format!("what can stand there: {}", several.join(", ")),
            };
            let place = fields.key(other).unwrap_or(span.clone());
            sink.add(place, format!("{other} beside {verb}"), hint.as_str());
        }
    }
    let what = match verb {
        "run" => run(&fields, inside, check, sink).map(ParsedAction::Run),
        "wait" => wait(&fields, sink),
        "steps" => group(&fields, inside, check, sink),
        _ => signal(&fields, verb, sink),
    };
    ParsedStep { span, deadline, what: what.unwrap_or(ParsedAction::Wrong) }
}

fn signal(fields: &Fields<'_>, verb: &str, sink: &mut DiagnosticSink<'_>) -> Option<ParsedAction> {
    let signal = [ProcessSignal::Stop, ProcessSignal::Kill, ProcessSignal::Pause, ProcessSignal::Resume];
    let signal = signal.into_iter().find(|signal| signal.to_string() == verb)?;
    let step = fields.text(verb, sink)?;
    Some(ParsedAction::ProcessSignal(signal, Located { value: step.value.to_owned(), span: step.span }))
}

/// A run is returned also where something in it is wrong, so that its name is known to those who refer to it.
fn run(fields: &Fields<'_>, inside: bool, check: &CheckLine<'_>, sink: &mut DiagnosticSink<'_>) -> Option<ParsedRun> {
    let typed = fields.text("run", sink)?;
    let background = fields.flag("background", sink).is_some_and(|flag| flag.value);
    let exit = fields.whole("exit", 0, 255, sink).map_or(0, |code| code.value);
    let repeat = repeat(fields, inside, sink);
    if background && fields.get("deadline").is_some() {
        let place = fields.key("deadline").unwrap_or(fields.span.clone());
        sink.add(
            place,
            "a deadline for what runs in the background",
            "give it to the step that waits for it, or stops it",
        );
    }
    if background && let (Some(_), Some(place)) = (repeat, fields.key("repeat")) {
        sink.add(
            place,
            "repeat beside background",
            "a command is repeated when it has ended; repeat steps that also stop it",
        );
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
        // Known to those who refer to it all the same.
        (None, Some(name)) => (Located { value: name.get_ref().as_str()?.to_owned(), span: name.span() }, false),
        (None, None) => {
            if background {
                let hint = "give it a name, so that it can be stopped: name = \"…\"";
                sink.add(fields.span.clone(), "a command in the background without a name", hint);
            }
            let command = typed.value.split(' ').find(|word| !word.is_empty())?;
            (Located { value: command.to_owned(), span: typed.span.clone() }, true)
        }
    };
    let run = Run {
        name: name.value.clone(),
        typed: typed.value.to_owned(),
        throttled: line.as_ref().is_some_and(|line| line.throttled),
        group: line.as_ref().and_then(|line| line.group.clone()),
        words: line.map(|line| line.words).unwrap_or_default(),
        background,
        exit: i32::try_from(exit).unwrap_or_default(),
    };
    Some(ParsedRun { name, unnamed, repeat, run })
}

/// The place in the script of a place in a text: right where the text stands there as it is, the whole of it where it is escaped.
fn in_text(text: &Located<&str>, place: &Range<usize>, script: &str) -> Range<usize> {
    let quotes = |many: usize| {
        let start = text.span.start + many;
        let inside = script.get(start..start + text.value.len()).is_some_and(|written| written == text.value);
        (inside && !place.is_empty()).then(|| start + place.start..start + place.end)
    };
    quotes(1).or_else(|| quotes(3)).unwrap_or(text.span.clone())
}

fn repeat(fields: &Fields<'_>, inside: bool, sink: &mut DiagnosticSink<'_>) -> Option<usize> {
    let times = fields.whole("repeat", 1, i64::MAX, sink)?;
    if inside {
        let place = fields.key("repeat").unwrap_or(times.span);
        sink.add(place, "a repeat inside of a repeat", "one level is all there is");
        return None;
    }
    Some(usize::try_from(times.value).unwrap_or(usize::MAX))
}

fn group(
    fields: &Fields<'_>,
    inside: bool,
    check: &CheckLine<'_>,
    sink: &mut DiagnosticSink<'_>,
) -> Option<ParsedAction> {
    let value = fields.get("steps")?;
    let times = repeat(fields, inside, sink);
    if fields.get("repeat").is_none() {
        fields.missing("steps in a step without repeat", "say how often: repeat = 3", sink);
    }
    let Some(list) = value.get_ref().as_array() else {
        wrong_type(value, "[[step.steps]]", sink);
        return None;
    };
    if list.is_empty() || list.len() > Script::MOST_STEPS {
        let hint = format!("from 1 to {} of them", Script::MOST_STEPS);
        sink.add(value.span(), format!("{} steps to repeat", list.len()), hint.as_str());
        return None;
    }
    let steps = list.iter().map(|step| one(step, true, check, sink)).collect();
    Some(ParsedAction::Repeat(times.unwrap_or(1), steps))
}

fn wait(fields: &Fields<'_>, sink: &mut DiagnosticSink<'_>) -> Option<ParsedAction> {
    let value = fields.get("wait")?;
    let wait =
        Fields::within(value, &WAIT_KEYS, "a table, as in { lag = \"inventory-consumer-group\", at_most = 0 },", sink)?;
    let what = wait.present(&["lag", "records", "uncommitted", "ended"]);
    let [what] = what[..] else {
        if what.is_empty() {
            wait.missing("a wait for nothing", "give it one of lag, records, uncommitted, ended", sink);
        } else {
            let message = format!("a wait for {}", what.join(" and "));
            sink.add(wait.span, message, "a step waits for one thing: make them two");
        }
        return None;
    };
    let subject = wait.text(what, sink);
    let bounds = wait.present(&["at_least", "at_most", "more"]);
    if what == "ended" {
        for bound in bounds {
            let place = wait.key(bound).unwrap_or(wait.span.clone());
            sink.add(place, format!("{bound} beside ended"), "a command has ended or it has not");
        }
        let step = subject?;
        return Some(ParsedAction::Wait(Wait::Ended(step.value.to_owned()), step.span));
    }
    let [bound] = bounds[..] else {
        if bounds.is_empty() {
            wait.missing("a wait without a number", "as in at_most = 0, at_least = 1000, or more = 500", sink);
        } else {
            let message = format!("{} in one wait", bounds.join(" and "));
            sink.add(wait.span, message, "a step waits for one thing: make them two");
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
    let names = Names::new("");
    let topics = [names.orders(), names.decisions(), names.ledger(), names.dead_letters(), names.analytics_state()];
    if !topics.iter().any(|topic| topic == subject.value) {
        let hint = match sink.meant(subject.value, topics.iter().map(String::as_str)) {
            Some(meant) => format!("{meant}?"),
            None => format!("the topics are {}", topics.join(", ")),
        };
        sink.add(subject.span.clone(), format!("{} is no topic of foodstream", quoted(subject.value)), hint.as_str());
    }
    Some(ParsedAction::Wait(wait, subject.span))
}
