//! Parser of expectations: the subject, the value, and the assertion.

use std::ops::Range;

use toml::Spanned;
use toml::de::DeValue;

use super::super::diagnostic::{DiagnosticSink, quoted};
use super::super::{Assertion, Expectation, LagValue, Measurement, RunValue, Script, Selector, Subject, Tolerance};
use super::fields::{Fields, Located, in_text, text, wrong_type};
use super::unroll::Unroller;
use super::value_types;
use crate::units::counted;

const SUBJECTS: [&str; 3] = ["step", "total_of", "group"];
const SELECTORS: [&str; 3] = ["value", "sum", "count"];
const ASSERTIONS: [&str; 4] = ["at_least", "at_most", "equals", "same_as"];
const KEYS: [&str; 13] = [
    "step", "total_of", "group", "from", "until", "value", "sum", "count", "at_least", "at_most", "equals", "same_as",
    "within",
];
const OTHER_KEYS: [&str; 8] = ["step", "total_of", "group", "from", "until", "value", "sum", "count"];
/// The longest path, in bytes.
const LONGEST_PATH: usize = 256;

pub(super) fn read(
    value: &Spanned<DeValue<'_>>,
    unroller: &Unroller,
    sink: &mut DiagnosticSink<'_>,
) -> Option<Expectation> {
    let fields = Fields::within(value, &KEYS, "an expectation", sink)?;
    let measurement = measurement(&fields, None, unroller, sink);
    let assertion = assertion(&fields, measurement.as_ref(), unroller, sink);
    if let (Some(measurement), Some(assertion)) = (&measurement, &assertion) {
        value_types::check(&fields, measurement, assertion, unroller, sink);
    }
    Some(Expectation { line: sink.line(fields.span.start), measurement: measurement?, assertion: assertion? })
}

/// The subject and the value. Missing parts are taken from `default`.
fn measurement(
    fields: &Fields<'_>,
    default: Option<&Measurement>,
    unroller: &Unroller,
    sink: &mut DiagnosticSink<'_>,
) -> Option<Measurement> {
    let subject = match (fields.present(&SUBJECTS)[..].as_ref(), default) {
        ([], Some(default)) => Some(default.subject.clone()),
        ([], None) => {
            let hint = "add step = \"…\", total_of = […] or group = \"…\"";
            fields.missing("the expectation has no subject", hint, sink);
            None
        }
        ([key], _) => self::subject(fields, key, unroller, sink),
        (several, _) => {
            let place = fields.key(several[1]).unwrap_or(fields.span.clone());
            sink.add(place, format!("{} in one expectation", several.join(" and ")), "keep one of them");
            for subject in several {
                // Only its mistakes matter: the expectation is invalid anyway.
                drop(self::subject(fields, subject, unroller, sink));
            }
            None
        }
    };
    for window in fields.present(&["from", "until"]) {
        if !matches!(subject, Some(Subject::Group { .. }) | None) {
            let place = fields.key(window).unwrap_or(fields.span.clone());
            sink.add(place, format!("{window} needs a group"), "it selects a part of a group's lag over time");
        }
    }
    let (selector, place) = match (fields.present(&SELECTORS)[..].as_ref(), default) {
        ([], Some(default)) => (Some(default.selector.clone()), fields.span.clone()),
        ([], None) => {
            fields.missing("the expectation has no value", "add value = \"…\"", sink);
            (None, fields.span.clone())
        }
        ([how], _) => {
            let path = fields.text(how, sink);
            let place = path.as_ref().map_or(fields.span.clone(), |path| path.span.clone());
            (path.and_then(|path| self::selector(how, &path, sink)), place)
        }
        (several, _) => {
            let place = fields.key(several[1]).unwrap_or(fields.span.clone());
            sink.add(place.clone(), format!("{} in one expectation", several.join(" and ")), "keep one of them");
            for how in several {
                let path = fields.text(how, sink);
                drop(path.and_then(|path| self::selector(how, &path, sink)));
            }
            (None, place)
        }
    };
    let measurement = Measurement { subject: subject?, selector: selector? };
    check_selector(&measurement, &place, unroller, sink);
    let inherited = default.filter(|_| fields.present(&SELECTORS).is_empty());
    check_path(&measurement, inherited, &place, unroller, sink);
    Some(measurement)
}

fn subject(fields: &Fields<'_>, subject: &str, unroller: &Unroller, sink: &mut DiagnosticSink<'_>) -> Option<Subject> {
    match subject {
        "step" => {
            let step = fields.text("step", sink)?;
            unroller.check_step(step.value, &step.span, sink).then(|| Subject::Step(step.value.to_owned()))
        }
        "total_of" => {
            let value = fields.get("total_of")?;
            let Some(list) = value.get_ref().as_array() else {
                wrong_type(value, "a list of steps", sink);
                return None;
            };
            if list.is_empty() || list.len() > Script::MAX_STEPS {
                let message = format!("total_of has {}", counted(list.len() as u64, "step"));
                sink.add(value.span(), message, "list the steps: total_of = [\"first\", \"second\"]");
                return None;
            }
            let steps: Vec<_> = list.iter().filter_map(|step| text(step, sink)).collect();
            for (at, step) in steps.iter().enumerate() {
                unroller.check_step(step.value, &step.span, sink);
                if steps[..at].iter().any(|before| before.value == step.value) {
                    sink.add(
                        step.span.clone(),
                        format!("duplicate step {}", quoted(step.value)),
                        "one entry counts all of its runs",
                    );
                }
            }
            (steps.len() == list.len())
                .then(|| Subject::TotalOf(steps.into_iter().map(|step| step.value.to_owned()).collect()))
        }
        _ => {
            let group = fields.text("group", sink)?;
            unroller.check_group(group.value, &group.span, sink);
            let mut mark = |key| {
                let step = fields.text(key, sink)?;
                unroller.check_step(step.value, &step.span, sink).then(|| step.value.to_owned())
            };
            let (from, until) = (mark("from"), mark("until"));
            Some(Subject::Group { group: group.value.to_owned(), from, until })
        }
    }
}

fn selector(how: &str, path: &Located<&str>, sink: &mut DiagnosticSink<'_>) -> Option<Selector> {
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
        let hint = "join the names from the top of the document with dots, as in inventory.reserved_orders";
        sink.add(path.span.clone(), format!("invalid path {}", quoted(path.value)), hint);
        return None;
    }
    let many = parts.contains(&"*");
    match how {
        "value" if many => {
            sink.add(
                path.span.clone(),
                "a path with `*` has many values",
                "use sum = \"…\" or count = \"…\" instead of value",
            );
            None
        }
        "value" => Some(Selector::Value(path.value.to_owned())),
        "sum" if !many => {
            sink.add(
                path.span.clone(),
                "a sum needs a path with `*`",
                "use a path like partitions.*.records, or value = \"…\"",
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
        let hint = match sink.suggest(path.value, named.iter().map(|(name, _)| *name)) {
            Some(name) => format!("did you mean {name}?"),
            None => format!("expected one of {}", named.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")),
        };
        sink.add(path.span.clone(), format!("unknown value {}", quoted(path.value)), hint.as_str());
    }
    found.map(|(_, value)| *value)
}

/// Reports a value that its subject cannot have.
fn check_selector(measurement: &Measurement, place: &Range<usize>, unroller: &Unroller, sink: &mut DiagnosticSink<'_>) {
    if let Subject::Group { .. } = measurement.subject {
        if !matches!(measurement.selector, Selector::Lag(_)) {
            sink.add(
                place.clone(),
                format!("a group has no value {}", measurement.selector),
                "the values of a group begin with lag., as in lag.peak; see docs/scenarios.md",
            );
        }
        return;
    }
    if matches!(measurement.selector, Selector::Lag(_)) {
        sink.add(
            place.clone(),
            format!("a step has no value {}", measurement.selector),
            "use group = \"…\" instead of step",
        );
        return;
    }
    for step in measurement.subject.steps() {
        let (runs, kills) = unroller.runs_and_kills(step);
        match measurement.selector {
            // Another mistake about this step has been reported.
            _ if runs == 0 => {}
            Selector::Run(RunValue::Uncommitted) if kills < runs => {
                sink.add(
                    place.clone(),
                    format!("{step} is not killed in every run"),
                    "only a killed process has run.uncommitted",
                );
            }
            Selector::Value(_) | Selector::Sum(_) | Selector::Count(_) | Selector::Run(RunValue::Exit) if kills > 0 => {
                let hint = "check a later step, or use run.uncommitted or run.seconds";
                sink.add(place.clone(), format!("{step} is killed, so it has no document and no exit code"), hint);
            }
            _ => {}
        }
    }
}

/// Reports a path that the document of a step does not have. If the path is inherited from another measurement, its
/// mistakes in the same document have been reported there.
fn check_path(
    measurement: &Measurement,
    inherited: Option<&Measurement>,
    place: &Range<usize>,
    unroller: &Unroller,
    sink: &mut DiagnosticSink<'_>,
) {
    let (Selector::Value(path) | Selector::Sum(path) | Selector::Count(path)) = &measurement.selector else { return };
    let documents = |measurement: &Measurement| -> Vec<_> {
        let steps = measurement.subject.steps().iter();
        steps.filter_map(|step| Some((step.clone(), unroller.document(step)?))).collect()
    };
    let mut reported: Vec<_> =
        inherited.map(documents).unwrap_or_default().into_iter().map(|(_, document)| document).collect();
    for (step, document) in documents(measurement) {
        if reported.contains(&document) {
            continue;
        }
        reported.push(document);
        if let Err(mistake) = document.values_at(path) {
            let written = Located { value: path.as_str(), span: place.clone() };
            let place = in_text(&written, &mistake.place, sink.text());
            sink.add(place, format!("{step}: {}", mistake.message), mistake.hint.as_str());
        }
    }
}

fn assertion(
    fields: &Fields<'_>,
    measurement: Option<&Measurement>,
    unroller: &Unroller,
    sink: &mut DiagnosticSink<'_>,
) -> Option<Assertion> {
    let within = tolerance(fields, sink);
    match fields.present(&ASSERTIONS)[..] {
        [] => {
            let hint = format!("add one of {}", ASSERTIONS.join(", "));
            fields.missing("the expectation has no condition", hint.as_str(), sink);
            None
        }
        ["equals"] => {
            let value = fields.literal("equals", sink)?;
            if fields.get("within").is_some() && !value.value.is_number() {
                sink.add(value.span, "within needs a number", "remove within to compare the value exactly");
            }
            Some(Assertion::Equals(value.value, within))
        }
        ["same_as"] => Some(Assertion::SameAs(other(fields, measurement, unroller, sink)?, within)),
        ["at_least" | "at_most"] | ["at_least", "at_most"] => {
            if let Some(place) = fields.key("within") {
                sink.add(place, "within cannot be combined with a bound", "use it with equals or same_as");
            }
            let (least, most) = (fields.number("at_least", sink), fields.number("at_most", sink));
            if let (Some(least), Some(most)) = (&least, &most)
                && least.value.as_f64() > most.value.as_f64()
            {
                sink.add(
                    most.span.clone(),
                    format!("no number is at least {} and at most {}", least.value, most.value),
                    "swap the bounds",
                );
            }
            (least.is_some() || most.is_some()).then(|| Assertion::Bounds {
                at_least: least.map(|least| least.value),
                at_most: most.map(|most| most.value),
            })
        }
        [first, second, ..] => {
            let place = fields.key(second).unwrap_or(fields.span.clone());
            let hint = "use an expectation for each";
            sink.add(place, format!("{first} and {second} in one expectation"), hint);
            None
        }
        [_] => None,
    }
}

/// The other value of `same_as`. A step name means the same value of that step.
fn other(
    fields: &Fields<'_>,
    measurement: Option<&Measurement>,
    unroller: &Unroller,
    sink: &mut DiagnosticSink<'_>,
) -> Option<Measurement> {
    let value = fields.get("same_as")?;
    let other = if let DeValue::String(step) = value.get_ref() {
        let known = unroller.check_step(step, &value.span(), sink);
        let other = Measurement { subject: Subject::Step(step.to_string()), selector: measurement?.selector.clone() };
        if known {
            check_selector(&other, &value.span(), unroller, sink);
            check_path(&other, measurement, &value.span(), unroller, sink);
        }
        other
    } else {
        let expected = "a step name, or a table like { step = \"…\", value = \"…\" }";
        let other = Fields::within(value, &OTHER_KEYS, expected, sink)?;
        self::measurement(&other, measurement, unroller, sink)?
    };
    if measurement.is_some_and(|measurement| *measurement == other) {
        sink.add(value.span(), "the value is compared with itself", "use another step or another value");
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
            format!("invalid tolerance {}", quoted(typed.value)),
            "use a percentage above 0% and up to 100%, as in within = \"10%\"",
        );
    }
    Some(Tolerance { percent: percent? })
}
