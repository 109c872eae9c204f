//! Owns how an expectation of a script is read: of whom, which number, and what it must be.

use std::ops::Range;

use toml::Spanned;
use toml::de::DeValue;

use super::super::mistake::{Findings, quoted};
use super::super::{About, Claim, Expectation, LagValue, Measured, Pick, RunValue, Script, Tolerance};
use super::course::Course;
use super::fields::{At, Fields, text, wrong_type};

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

pub(super) fn read(value: &Spanned<DeValue<'_>>, course: &Course, findings: &mut Findings<'_>) -> Option<Expectation> {
    let fields = Fields::within(value, &KEYS, "an expectation", findings)?;
    let measured = measured(&fields, None, course, findings);
    let claim = claim(&fields, measured.as_ref(), course, findings);
    Some(Expectation { line: findings.line(fields.span.start), measured: measured?, claim: claim? })
}

/// What is looked at; where a part is not said, that of `usual`.
fn measured(
    fields: &Fields<'_>,
    usual: Option<&Measured>,
    course: &Course,
    findings: &mut Findings<'_>,
) -> Option<Measured> {
    let subject = match (fields.present(&SUBJECTS)[..].as_ref(), usual) {
        ([], Some(usual)) => Some(usual.about.clone()),
        ([], None) => {
            let hint = "give it step = \"…\", total_of = […] or group = \"…\"";
            fields.missing("an expectation about nobody", hint, findings);
            None
        }
        ([subject], _) => about(fields, subject, course, findings),
        (several, _) => {
            let place = fields.key(several[1]).unwrap_or(fields.span.clone());
            findings.add(place, format!("{} in one expectation", several.join(" and ")), "it is about one of them");
            return None;
        }
    };
    for window in fields.present(&["from", "until"]) {
        if !matches!(subject, Some(About::Group { .. }) | None) {
            let place = fields.key(window).unwrap_or(fields.span.clone());
            findings.add(
                place,
                format!("{window} beside a step"),
                "it goes with group, whose lag is looked at over time",
            );
        }
    }
    let (pick, place) = match (fields.present(&PICKS)[..].as_ref(), usual) {
        ([], Some(usual)) => (Some(usual.pick.clone()), fields.span.clone()),
        ([], None) => {
            fields.missing("an expectation without a value", "name it: value = \"…\"", findings);
            (None, fields.span.clone())
        }
        ([how], _) => {
            let path = fields.text(how, findings);
            let place = path.as_ref().map_or(fields.span.clone(), |path| path.span.clone());
            (path.and_then(|path| pick(how, &path, findings)), place)
        }
        (several, _) => {
            let place = fields.key(several[1]).unwrap_or(fields.span.clone());
            findings.add(
                place.clone(),
                format!("{} in one expectation", several.join(" and ")),
                "it is about one of them",
            );
            (None, place)
        }
    };
    let measured = Measured { about: subject?, pick: pick? };
    fitting(&measured, &place, course, findings);
    Some(measured)
}

fn about(fields: &Fields<'_>, subject: &str, course: &Course, findings: &mut Findings<'_>) -> Option<About> {
    match subject {
        "step" => {
            let step = fields.text("step", findings)?;
            course.known_step(step.is, &step.span, findings).then(|| About::Step(step.is.to_owned()))
        }
        "total_of" => {
            let value = fields.get("total_of")?;
            let Some(list) = value.get_ref().as_array() else {
                wrong_type(value, "a list of steps", findings);
                return None;
            };
            if list.is_empty() || list.len() > Script::MOST_STEPS {
                let message = format!("the total of {} steps", list.len());
                findings.add(value.span(), message, "name them: total_of = [\"first\", \"second\"]");
                return None;
            }
            let steps: Vec<_> = list.iter().filter_map(|step| text(step, findings)).collect();
            for (at, step) in steps.iter().enumerate() {
                course.known_step(step.is, &step.span, findings);
                if steps[..at].iter().any(|before| before.is == step.is) {
                    findings.add(
                        step.span.clone(),
                        format!("{} is added twice", quoted(step.is)),
                        "once counts all of its runs",
                    );
                }
            }
            (steps.len() == list.len())
                .then(|| About::TotalOf(steps.into_iter().map(|step| step.is.to_owned()).collect()))
        }
        _ => {
            let group = fields.text("group", findings)?;
            course.known_group(group.is, &group.span, findings);
            let mut mark = |key| {
                let step = fields.text(key, findings)?;
                course.known_step(step.is, &step.span, findings).then(|| step.is.to_owned())
            };
            let (from, until) = (mark("from"), mark("until"));
            Some(About::Group { group: group.is.to_owned(), from, until })
        }
    }
}

fn pick(how: &str, path: &At<&str>, findings: &mut Findings<'_>) -> Option<Pick> {
    let named = |prefix: &str| path.is.starts_with(prefix);
    if how == "value" && named("run.") {
        return special(path, &RunValue::NAMED, findings).map(Pick::Run);
    }
    if how == "value" && named("lag.") {
        return special(path, &LagValue::NAMED, findings).map(Pick::Lag);
    }
    let parts: Vec<_> = path.is.split('.').collect();
    if path.is.len() > LONGEST_PATH || parts.iter().any(|part| part.is_empty()) || path.is.chars().any(char::is_control)
    {
        let hint =
            "the names from the document's top to the number, with dots between, as in inventory.reserved_orders";
        findings.add(path.span.clone(), format!("{} is no path", quoted(path.is)), hint);
        return None;
    }
    let many = parts.contains(&"*");
    match how {
        "value" if many => {
            findings.add(
                path.span.clone(),
                "`*` leads to many values",
                "write sum = \"…\" or count = \"…\" instead of value",
            );
            None
        }
        "value" => Some(Pick::Value(path.is.to_owned())),
        "sum" if !many => {
            findings.add(
                path.span.clone(),
                "a sum of one value",
                "say over what it goes, as in partitions.*.records, or write value = \"…\"",
            );
            None
        }
        "sum" => Some(Pick::Sum(path.is.to_owned())),
        _ => Some(Pick::Count(path.is.to_owned())),
    }
}

fn special<T: Copy>(path: &At<&str>, named: &[(&'static str, T)], findings: &mut Findings<'_>) -> Option<T> {
    let found = named.iter().find(|(name, _)| *name == path.is);
    if found.is_none() {
        let hint = match findings.meant(path.is, named.iter().map(|(name, _)| *name)) {
            Some(meant) => format!("{meant}?"),
            None => format!("there is {}", named.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")),
        };
        findings.add(path.span.clone(), format!("no value is called {}", quoted(path.is)), hint.as_str());
    }
    found.map(|(_, value)| *value)
}

/// Whether somebody of this kind has such a value at all.
fn fitting(measured: &Measured, place: &Range<usize>, course: &Course, findings: &mut Findings<'_>) {
    let steps = match &measured.about {
        About::Group { .. } => {
            if !matches!(measured.pick, Pick::Lag(_)) {
                findings.add(
                    place.clone(),
                    format!("{} is no value of a group", measured.pick),
                    "a group has lag.peak and its like; see docs/scenarios.md",
                );
            }
            return;
        }
        About::Step(step) => std::slice::from_ref(step),
        About::TotalOf(steps) => steps.as_slice(),
    };
    if matches!(measured.pick, Pick::Lag(_)) {
        findings.add(
            place.clone(),
            format!("{} is no value of a step", measured.pick),
            "write group = \"…\" instead of step",
        );
        return;
    }
    for step in steps {
        let (runs, kills) = course.runs_and_kills(step);
        match measured.pick {
            // It was started twice under this name, or is wrong in another way.
            _ if runs == 0 => {}
            Pick::Run(RunValue::Uncommitted) if kills < runs => {
                findings.add(
                    place.clone(),
                    format!("{step} is not killed, or not each time"),
                    "run.uncommitted tells what a killed process left",
                );
            }
            Pick::Value(_) | Pick::Sum(_) | Pick::Count(_) | Pick::Run(RunValue::Exit) if kills > 0 => {
                let hint = "expect it of a step that comes after, or expect run.uncommitted or run.seconds";
                findings.add(
                    place.clone(),
                    format!("{step} is killed, and leaves neither document nor exit code"),
                    hint,
                );
            }
            _ => {}
        }
    }
}

fn claim(
    fields: &Fields<'_>,
    measured: Option<&Measured>,
    course: &Course,
    findings: &mut Findings<'_>,
) -> Option<Claim> {
    let within = tolerance(fields, findings);
    match fields.present(&CLAIMS)[..] {
        [] => {
            let hint = format!("give it one of {}", CLAIMS.join(", "));
            fields.missing("an expectation that nothing can fail", hint.as_str(), findings);
            None
        }
        ["equals"] => {
            let value = fields.literal("equals", findings)?;
            if fields.get("within").is_some() && !value.is.is_number() {
                findings.add(
                    value.span,
                    "within beside what is no number",
                    "without within it must be this very value",
                );
            }
            Some(Claim::Equals(value.is, within))
        }
        ["same_as"] => Some(Claim::SameAs(other(fields, measured, course, findings)?, within)),
        ["at_least" | "at_most"] | ["at_least", "at_most"] => {
            if let Some(place) = fields.key("within") {
                findings.add(place, "within beside a bound", "it goes with equals or same_as");
            }
            let (least, most) = (fields.number("at_least", findings), fields.number("at_most", findings));
            if let (Some(least), Some(most)) = (&least, &most)
                && least.is.as_f64() > most.is.as_f64()
            {
                findings.add(
                    most.span.clone(),
                    format!("nothing is at least {} and at most {}", least.is, most.is),
                    "swap them",
                );
            }
            (least.is_some() || most.is_some())
                .then(|| Claim::Bounds { at_least: least.map(|least| least.is), at_most: most.map(|most| most.is) })
        }
        [first, second, ..] => {
            let place = fields.key(second).unwrap_or(fields.span.clone());
            let hint = "one of equals, same_as, or the bounds: make them two expectations";
            findings.add(place, format!("{first} and {second} in one expectation"), hint);
            None
        }
        [_] => None,
    }
}

/// The other value of `same_as`: a step's name stands for the same value of that step.
fn other(
    fields: &Fields<'_>,
    measured: Option<&Measured>,
    course: &Course,
    findings: &mut Findings<'_>,
) -> Option<Measured> {
    let value = fields.get("same_as")?;
    let other = if let DeValue::String(step) = value.get_ref() {
        let known = course.known_step(step, &value.span(), findings);
        let other = Measured { about: About::Step(step.to_string()), pick: measured?.pick.clone() };
        if known {
            fitting(&other, &value.span(), course, findings);
        }
        other
    } else {
        let wanted = "a step, or a table as in { step = \"…\", value = \"…\" },";
        let other = Fields::within(value, &OTHER_KEYS, wanted, findings)?;
        self::measured(&other, measured, course, findings)?
    };
    if measured.is_some_and(|measured| *measured == other) {
        findings.add(value.span(), "a value compared with itself", "name another step or another value");
    }
    Some(other)
}

fn tolerance(fields: &Fields<'_>, findings: &mut Findings<'_>) -> Option<Tolerance> {
    let typed = fields.text("within", findings)?;
    let percent = typed.is.strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
    let percent = percent.filter(|percent| *percent > 0.0 && *percent <= 100.0);
    if percent.is_none() {
        findings.add(
            typed.span,
            format!("{} is no tolerance", quoted(typed.is)),
            "above 0% and at most 100%, as in within = \"10%\"",
        );
    }
    Some(Tolerance { percent: percent? })
}
