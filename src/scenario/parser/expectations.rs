//! Owns how an expectation of a script is read: of whom, which number, and what it must be.

use std::ops::Range;

use toml::Spanned;
use toml::de::DeValue;

use super::super::diagnostic::{DiagnosticSink, quoted};
use super::super::{Assertion, Expectation, LagValue, Measurement, RunValue, Script, Selector, Subject, Tolerance};
use super::fields::{Fields, Located, text, wrong_type};
use super::unroll::Unroller;

const SUBJECTS: [&str; 3] = ["step", "total_of", "group"];
const PICKS: [&str; 3] = ["value", "sum", "count"];
const CLAIMS: [&str; 4] = ["at_least", "at_most", "equals", "same_as"];
const KEYS: [&str; 13] = [
    "step", "total_of", "group", "from", "until", "value", "sum", "count", "at_least", "at_most", "equals", "same_as",
    "within",
];
const OTHER_KEYS: [&str; 8] = ["step", "total_of", "group", "from", "until", "value", "sum", "count"];
/// The longest path, in bytes.
const LONGEST_PATH: usize = 256;

pub(super) fn read(
    value: &Spanned<DeValue<'_>>,
    course: &Unroller,
    sink: &mut DiagnosticSink<'_>,
) -> Option<Expectation> {
    let fields = Fields::within(value, &KEYS, "an expectation", sink)?;
    let measurement = measurement(&fields, None, course, sink);
    let assertion = assertion(&fields, measurement.as_ref(), course, sink);
    Some(Expectation { line: sink.line(fields.span.start), measurement: measurement?, assertion: assertion? })
}

/// ParsedAction is looked at; where a part is not said, that of `usual`.
fn measurement(
    fields: &Fields<'_>,
    usual: Option<&Measurement>,
    course: &Unroller,
    sink: &mut DiagnosticSink<'_>,
) -> Option<Measurement> {
    let subject = match (fields.present(&SUBJECTS)[..].as_ref(), usual) {
        ([], Some(usual)) => Some(usual.subject.clone()),
        ([], None) => {
            let hint = "give it step = \"…\", total_of = […] or group = \"…\"";
            fields.missing("an expectation about nobody", hint, sink);
            None
        }
        ([subject], _) => about(fields, subject, course, sink),
        (several, _) => {
            let place = fields.key(several[1]).unwrap_or(fields.span.clone());
            sink.add(place, format!("{} in one expectation", several.join(" and ")), "it is about one of them");
            return None;
        }
    };
    for window in fields.present(&["from", "until"]) {
        if !matches!(subject, Some(Subject::Group { .. }) | None) {
            let place = fields.key(window).unwrap_or(fields.span.clone());
            sink.add(place, format!("{window} beside a step"), "it goes with group, whose lag is looked at over time");
        }
    }
    let (pick, place) = match (fields.present(&PICKS)[..].as_ref(), usual) {
        ([], Some(usual)) => (Some(usual.selector.clone()), fields.span.clone()),
        ([], None) => {
            fields.missing("an expectation without a value", "name it: value = \"…\"", sink);
            (None, fields.span.clone())
        }
        ([how], _) => {
            let path = fields.text(how, sink);
            let place = path.as_ref().map_or(fields.span.clone(), |path| path.span.clone());
            (path.and_then(|path| pick(how, &path, sink)), place)
        }
        (several, _) => {
            let place = fields.key(several[1]).unwrap_or(fields.span.clone());
            sink.add(place.clone(), format!("{} in one expectation", several.join(" and ")), "it is about one of them");
            (None, place)
        }
    };
    let measurement = Measurement { subject: subject?, selector: pick? };
    fitting(&measurement, &place, course, sink);
    Some(measurement)
}

fn about(fields: &Fields<'_>, subject: &str, course: &Unroller, sink: &mut DiagnosticSink<'_>) -> Option<Subject> {
    match subject {
        "step" => {
            let step = fields.text("step", sink)?;
            course.known_step(step.value, &step.span, sink).then(|| Subject::Step(step.value.to_owned()))
        }
        "total_of" => {
            let value = fields.get("total_of")?;
            let Some(list) = value.get_ref().as_array() else {
                wrong_type(value, "a list of steps", sink);
                return None;
            };
            if list.is_empty() || list.len() > Script::MOST_STEPS {
                let message = format!("the total of {} steps", list.len());
                sink.add(value.span(), message, "name them: total_of = [\"first\", \"second\"]");
                return None;
            }
            let steps: Vec<_> = list.iter().filter_map(|step| text(step, sink)).collect();
            for (at, step) in steps.iter().enumerate() {
                course.known_step(step.value, &step.span, sink);
                if steps[..at].iter().any(|before| before.value == step.value) {
                    sink.add(
                        step.span.clone(),
                        format!("{} is added twice", quoted(step.value)),
                        "once counts all of its runs",
                    );
                }
            }
            (steps.len() == list.len())
                .then(|| Subject::TotalOf(steps.into_iter().map(|step| step.value.to_owned()).collect()))
        }
        _ => {
            let group = fields.text("group", sink)?;
            course.known_group(group.value, &group.span, sink);
            let mut mark = |key| {
                let step = fields.text(key, sink)?;
                course.known_step(step.value, &step.span, sink).then(|| step.value.to_owned())
            };
            let (from, until) = (mark("from"), mark("until"));
            Some(Subject::Group { group: group.value.to_owned(), from, until })
        }
    }
}

fn pick(how: &str, path: &Located<&str>, sink: &mut DiagnosticSink<'_>) -> Option<Selector> {
    let named = |prefix: &str| path.value.starts_with(prefix);
    if how == "value" && named("run.") {
        return special(path, &RunValue::NAMED, sink).map(Selector::Run);
    }
    if how == "value" && named("lag.") {
        return special(path, &LagValue::NAMED, sink).map(Selector::Lag);
    }
    let parts: Vec<_> = path.value.split('.').collect();
    if path.value.len() > LONGEST_PATH
        || parts.iter().any(|part| part.is_empty())
        || path.value.chars().any(char::is_control)
    {
        let hint =
            "the names from the document's top to the number, with dots between, as in inventory.reserved_orders";
        sink.add(path.span.clone(), format!("{} is no path", quoted(path.value)), hint);
        return None;
    }
    let many = parts.contains(&"*");
    match how {
        "value" if many => {
            sink.add(
                path.span.clone(),
                "`*` leads to many values",
                "write sum = \"…\" or count = \"…\" instead of value",
            );
            None
        }
        "value" => Some(Selector::Value(path.value.to_owned())),
        "sum" if !many => {
            sink.add(
                path.span.clone(),
                "a sum of one value",
                "say over what it goes, as in partitions.*.records, or write value = \"…\"",
            );
            None
        }
        "sum" => Some(Selector::Sum(path.value.to_owned())),
        _ => Some(Selector::Count(path.value.to_owned())),
    }
}

fn special<T: Copy>(path: &Located<&str>, named: &[(&'static str, T)], sink: &mut DiagnosticSink<'_>) -> Option<T> {
    let found = named.iter().find(|(name, _)| *name == path.value);
    if found.is_none() {
        let hint = match sink.meant(path.value, named.iter().map(|(name, _)| *name)) {
            Some(meant) => format!("{meant}?"),
            None => format!("there is {}", named.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")),
        };
        sink.add(path.span.clone(), format!("no value is called {}", quoted(path.value)), hint.as_str());
    }
    found.map(|(_, value)| *value)
}

/// Whether somebody of this kind has such a value at all.
fn fitting(measurement: &Measurement, place: &Range<usize>, course: &Unroller, sink: &mut DiagnosticSink<'_>) {
    let steps = match &measurement.subject {
        Subject::Group { .. } => {
            if !matches!(measurement.selector, Selector::Lag(_)) {
                sink.add(
                    place.clone(),
                    format!("{} is no value of a group", measurement.selector),
                    "a group has lag.peak and its like; see docs/scenarios.md",
                );
            }
            return;
        }
        Subject::Step(step) => std::slice::from_ref(step),
        Subject::TotalOf(steps) => steps.as_slice(),
    };
    if matches!(measurement.selector, Selector::Lag(_)) {
        sink.add(
            place.clone(),
            format!("{} is no value of a step", measurement.selector),
            "write group = \"…\" instead of step",
        );
        return;
    }
    for step in steps {
        let (runs, kills) = course.runs_and_kills(step);
        match measurement.selector {
            // It was started twice under this name, or is wrong in another way.
            _ if runs == 0 => {}
            Selector::Run(RunValue::Uncommitted) if kills < runs => {
                sink.add(
                    place.clone(),
                    format!("{step} is not killed, or not each time"),
                    "run.uncommitted tells what a killed process left",
                );
            }
            Selector::Value(_) | Selector::Sum(_) | Selector::Count(_) | Selector::Run(RunValue::Exit) if kills > 0 => {
                let hint = "expect it of a step that comes after, or expect run.uncommitted or run.seconds";
                sink.add(place.clone(), format!("{step} is killed, and leaves neither document nor exit code"), hint);
            }
            _ => {}
        }
    }
}

fn assertion(
    fields: &Fields<'_>,
    measurement: Option<&Measurement>,
    course: &Unroller,
    sink: &mut DiagnosticSink<'_>,
) -> Option<Assertion> {
    let within = tolerance(fields, sink);
    match fields.present(&CLAIMS)[..] {
        [] => {
            let hint = format!("give it one of {}", CLAIMS.join(", "));
            fields.missing("an expectation that nothing can fail", hint.as_str(), sink);
            None
        }
        ["equals"] => {
            let value = fields.literal("equals", sink)?;
            if fields.get("within").is_some() && !value.value.is_number() {
                sink.add(value.span, "within beside what is no number", "without within it must be this very value");
            }
            Some(Assertion::Equals(value.value, within))
        }
        ["same_as"] => Some(Assertion::SameAs(other(fields, measurement, course, sink)?, within)),
        ["at_least" | "at_most"] | ["at_least", "at_most"] => {
            if let Some(place) = fields.key("within") {
                sink.add(place, "within beside a bound", "it goes with equals or same_as");
            }
            let (least, most) = (fields.number("at_least", sink), fields.number("at_most", sink));
            if let (Some(least), Some(most)) = (&least, &most)
                && least.value.as_f64() > most.value.as_f64()
            {
                sink.add(
                    most.span.clone(),
                    format!("nothing is at least {} and at most {}", least.value, most.value),
                    "swap them",
                );
            }
            (least.is_some() || most.is_some()).then(|| Assertion::Bounds {
                at_least: least.map(|least| least.value),
                at_most: most.map(|most| most.value),
            })
        }
        [first, second, ..] => {
            let place = fields.key(second).unwrap_or(fields.span.clone());
            let hint = "one of equals, same_as, or the bounds: make them two expectations";
            sink.add(place, format!("{first} and {second} in one expectation"), hint);
            None
        }
        [_] => None,
    }
}

/// The other value of `same_as`: a step's name stands for the same value of that step.
fn other(
    fields: &Fields<'_>,
    measurement: Option<&Measurement>,
    course: &Unroller,
    sink: &mut DiagnosticSink<'_>,
) -> Option<Measurement> {
    let value = fields.get("same_as")?;
    let other = if let DeValue::String(step) = value.get_ref() {
        let known = course.known_step(step, &value.span(), sink);
        let other = Measurement { subject: Subject::Step(step.to_string()), selector: measurement?.selector.clone() };
        if known {
            fitting(&other, &value.span(), course, sink);
        }
        other
    } else {
        let wanted = "a step, or a table as in { step = \"…\", value = \"…\" },";
        let other = Fields::within(value, &OTHER_KEYS, wanted, sink)?;
        self::measurement(&other, measurement, course, sink)?
    };
    if measurement.is_some_and(|measurement| *measurement == other) {
        sink.add(value.span(), "a value compared with itself", "name another step or another value");
    }
    Some(other)
}

fn tolerance(fields: &Fields<'_>, sink: &mut DiagnosticSink<'_>) -> Option<Tolerance> {
    let typed = fields.text("within", sink)?;
    let percent = typed.value.strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
    let percent = percent.filter(|percent| *percent > 0.0 && *percent <= 100.0);
    if percent.is_none() {
        sink.add(
            typed.span,
            format!("{} is no tolerance", quoted(typed.value)),
            "above 0% and at most 100%, as in within = \"10%\"",
        );
    }
    Some(Tolerance { percent: percent? })
}
