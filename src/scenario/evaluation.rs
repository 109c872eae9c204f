//! Owns what comes of expectations: a run held against its script, each value looked up and judged, none of them ever assumed.

use serde_json::Value;

use super::closest_match::closest_match;
use super::diagnostic::visible;
use super::fixed_point::FixedPoint;
use super::lag_curve::LagCurve;
use super::script::step_of;
use super::{
    Assertion, EndedBy, Expectation, ExpectationOutcome, Measurement, RunValue, ScenarioDocument, Script, Selector,
    StepOutcome, Subject, Tolerance,
};

/// The most characters of a value that are shown.
const LONGEST_SHOWN: usize = 200;

/// Values that were looked up, one for each run of a step, one for everything else; or why there are none.
type Seen = Result<Vec<Value>, String>;

/// What came of everything that a script expects: first every command that did not end as it was to, in the order of their starts,
/// then every expectation, in the order of the script. The document is complete but for its expectations and its verdict; a step that is not
/// there was never started. An expectation whose value is not there did not hold.
#[must_use]
pub fn evaluate(script: &Script, document: &ScenarioDocument) -> Vec<ExpectationOutcome> {
    let exits = document.steps.iter().filter_map(|step| exit(script, step));
    let expected = script.expectations.iter().map(|expectation| judge(expectation, document));
    exits.chain(expected).collect()
}

/// The expectations that did not hold, as people read them: where in the script, what was expected, what was seen. Empty if all
/// of them held.
#[must_use]
pub fn failures(file: &str, outcomes: &[ExpectationOutcome]) -> String {
    let failed = outcomes.iter().filter(|outcome| !outcome.held);
    let told = failed.map(|outcome| {
        let ExpectationOutcome { about, value, expected, seen, line, why, .. } = outcome;
        let why = why.as_ref().map(|why| format!("  {}\n", visible(why))).unwrap_or_default();
        let what = format!("{file}:{line}: {value} of {about}: expected {expected}, seen {}", brief(seen));
        format!("{}\n{why}", visible(&what))
    });
    told.collect()
}

/// A value in a line.
fn brief(value: &Value) -> String {
    if value.is_null() {
        return "nothing".to_owned();
    }
    let text = value.to_string();
    let short: String = text.chars().take(LONGEST_SHOWN).collect();
    if short.len() < text.len() { format!("{short}…") } else { text }
}

/// What is told of a command that ended otherwise than it was to; and of one whose exit code the script names.
fn exit(script: &Script, outcome: &StepOutcome) -> Option<ExpectationOutcome> {
    let step = script
        .steps
        .iter()
        .find(|step| matches!(&step.action, super::StepAction::Run(run) if run.name == outcome.name));
    let wanted = step.and_then(|step| match &step.action {
        super::StepAction::Run(run) => Some(run.exit),
        _ => None,
    })?;
    let told = |held, why: Option<String>| {
        let line = step.map_or(0, |step| step.line);
        let expected = format!("exit code {wanted}");
        let (about, value, seen) = (outcome.name.clone(), "run.exit".to_owned(), outcome.exit_code.into());
        Some(ExpectationOutcome { about, value, expected, seen, held, line, why })
    };
    let last_words = || outcome.stderr.iter().rev().find(|line| !line.trim().is_empty()).cloned();
    match (outcome.ended_by, outcome.exit_code) {
        (Some(EndedBy::Kill), _) => None,
        (None, _) => told(false, Some("it had not ended when the run was over".to_owned())),
        (Some(_), Some(code)) if code == wanted => (wanted != 0).then(|| told(true, None)).flatten(),
        (Some(_), Some(_)) => told(false, last_words()),
        (Some(_), None) => told(false, Some("it was ended by a signal that the script did not send".to_owned())),
    }
}

fn judge(expectation: &Expectation, document: &ScenarioDocument) -> ExpectationOutcome {
    let Expectation { line, measurement, assertion } = expectation;
    let mut expected = assertion.to_string();
    let seen = look_up(measurement, document);
    let held = match &seen {
        Ok(seen) => {
            if let Assertion::SameAs(other, _) = assertion
                && let Ok(other) = look_up(other, document)
            {
                expected = format!("{expected}: {}", brief(&together(&other)));
            }
            holds(assertion, seen, document)
        }
        Err(why) => Err(why.clone()),
    };
    let (held, why) = match held {
        Ok(held) => (held, None),
        Err(why) => (false, Some(why)),
    };
    ExpectationOutcome {
        about: measurement.subject.to_string(),
        value: measurement.selector.to_string(),
        expected,
        seen: seen.map_or(Value::Null, |seen| in_short(together(&seen))),
        held,
        line: *line,
        why,
    }
}

/// One value as it is, several as a list.
fn together(values: &[Value]) -> Value {
    match values {
        [one] => one.clone(),
        several => Value::Array(several.to_vec()),
    }
}

/// A list or an object of any size as text that says what it is; the step's own document has the whole.
fn in_short(value: Value) -> Value {
    let text = brief(&value);
    if text.ends_with('…') { Value::String(text) } else { value }
}

fn holds(assertion: &Assertion, seen: &[Value], document: &ScenarioDocument) -> Result<bool, String> {
    // Nothing holds of nothing.
    if seen.is_empty() {
        return Err("there is no value".to_owned());
    }
    match assertion {
        Assertion::Bounds { at_least, at_most } => {
            let bound = |number: &Option<serde_json::Number>| match number {
                Some(number) => amount_of(&Value::Number(number.clone())).map(Some),
                None => Ok(None),
            };
            let (least, most) = (bound(at_least)?, bound(at_most)?);
            let mut held = true;
            for value in seen {
                let amount = amount_of(value)?;
                held &= least.is_none_or(|least| amount >= least) && most.is_none_or(|most| amount <= most);
            }
            Ok(held)
        }
        Assertion::Equals(wanted, tolerance) => {
            let mut held = true;
            for value in seen {
                held &= equal(value, wanted, *tolerance)?;
            }
            Ok(held)
        }
        Assertion::SameAs(other, tolerance) => {
            let others =
                look_up(other, document).map_err(|why| format!("{} of {}: {why}", other.selector, other.subject))?;
            if others.len() != seen.len() && others.len() != 1 {
                return Err(format!("{} values cannot be compared with {}", seen.len(), others.len()));
            }
            let mut held = !others.is_empty();
            for (value, wanted) in seen.iter().zip(others.iter().cycle()) {
                held &= equal(value, wanted, *tolerance)?;
            }
            Ok(held)
        }
    }
}

fn equal(value: &Value, wanted: &Value, tolerance: Option<Tolerance>) -> Result<bool, String> {
    if let Some(Tolerance { percent }) = tolerance {
        return Ok(amount_of(value)?.is_within(percent, amount_of(wanted)?));
    }
    match (FixedPoint::of(value), FixedPoint::of(wanted)) {
        (Some(value), Some(wanted)) => Ok(value == wanted),
        _ if std::mem::discriminant(value) == std::mem::discriminant(wanted) => Ok(value == wanted),
        _ => Err(format!("{} is {}, and {} is {}", brief(value), kind(value), brief(wanted), kind(wanted))),
    }
}

fn amount_of(value: &Value) -> Result<FixedPoint, String> {
    FixedPoint::of(value).ok_or_else(|| match value {
        Value::Number(_) => format!("{value} is too large to be compared"),
        _ => format!("{} is {}, and a number is wanted", brief(value), kind(value)),
    })
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn look_up(measurement: &Measurement, document: &ScenarioDocument) -> Seen {
    match &measurement.subject {
        Subject::Step(step) => {
            let runs: Vec<_> = runs_of(step, document).collect();
            if runs.is_empty() {
                return Err(format!("{step} was never started"));
            }
            runs.into_iter().map(|run| value_of(run, &measurement.selector)).collect()
        }
        Subject::TotalOf(steps) => {
            let mut total = FixedPoint::ZERO;
            for step in steps {
                let mut runs = runs_of(step, document).peekable();
                if runs.peek().is_none() {
                    return Err(format!("{step} was never started"));
                }
                for run in runs {
                    let amount = amount_of(&value_of(run, &measurement.selector)?)
                        .map_err(|why| format!("{}: {why}", run.name))?;
                    total = total.plus(amount).ok_or("the total is too large to be compared")?;
                }
            }
            Ok(vec![total.to_json()])
        }
        Subject::Group { group, from, until } => {
            let Selector::Lag(value) = measurement.selector else {
                return Err(format!("{} is no value of a group", measurement.selector));
            };
            let name = format!("{}{group}", document.broker.prefix);
            let lag = document.lag.iter().find(|lag| lag.group == name).ok_or("its lag was never looked at")?;
            let moment = |step: &Option<String>| match step {
                Some(step) => match runs_of(step, document).next() {
                    Some(run) => Ok(Some(run.started_seconds)),
                    None => Err(format!("{step} was never started")),
                },
                None => Ok(None),
            };
            let value = LagCurve::of(&lag.samples, moment(from)?, moment(until)?).value(value)?;
            // Three digits are what samples are good for.
            let rounded = (value * 1000.0).round() / 1000.0;
            let amount = FixedPoint::approximate(rounded).ok_or("it is too large to be compared")?;
            Ok(vec![amount.to_json()])
        }
    }
}

fn runs_of<'d>(step: &str, document: &'d ScenarioDocument) -> impl Iterator<Item = &'d StepOutcome> {
    document.steps.iter().filter(move |run| step_of(&run.name) == step)
}

fn value_of(run: &StepOutcome, pick: &Selector) -> Result<Value, String> {
    let document = || match (&run.document, run.ended_by) {
        (Some(document), _) => Ok(document),
        (None, Some(EndedBy::Kill)) => Err(format!("{} was killed and left no document", run.name)),
        (None, None) => Err(format!("{} has not ended", run.name)),
        (None, Some(_)) => Err(format!("{} left no document", run.name)),
    };
    match pick {
        Selector::Value(path) => {
            whole(document()?, path)?;
            let found = places(document()?, path)?;
            found.first().map(|value| (*value).clone()).ok_or_else(|| format!("nothing stands at {path}"))
        }
        Selector::Sum(path) => {
            whole(document()?, path)?;
            let mut total = FixedPoint::ZERO;
            for value in places(document()?, path)? {
                total = total.plus(amount_of(value)?).ok_or("the sum is too large to be compared")?;
            }
            Ok(total.to_json())
        }
        Selector::Count(path) => {
            whole(document()?, path)?;
            let mut count = 0usize;
            for value in places(document()?, path)? {
                count += match value {
                    Value::Array(list) => list.len(),
                    Value::Object(table) => table.len(),
                    other => return Err(format!("{path} is {}, and has no members to count", kind(other))),
                };
            }
            Ok(count.into())
        }
        Selector::Run(RunValue::Exit) => match run.exit_code {
            Some(code) => Ok(code.into()),
            None => Err(format!("{} has no exit code", run.name)),
        },
        Selector::Run(RunValue::Seconds) => {
            let ended = run.ended_seconds.ok_or_else(|| format!("{} has not ended", run.name))?;
            let amount = FixedPoint::approximate(((ended - run.started_seconds) * 1000.0).round() / 1000.0);
            Ok(amount.ok_or("its times are none")?.to_json())
        }
        Selector::Run(RunValue::Uncommitted) => {
            let why = || format!("{} was not killed while it ran, or what it left was not looked at", run.name);
            Ok(run.uncommitted.ok_or_else(why)?.into())
        }
        Selector::Lag(_) => Err(format!("{pick} is no value of a step")),
    }
}

/// Requires that a table has all of its rows: one of a document of metrics may have some of many.
fn whole(document: &Value, path: &str) -> Result<(), String> {
    let mut parent = document;
    for part in path.split('.') {
        let left_out = parent.get("left_out").and_then(|left_out| left_out.get(part)).and_then(Value::as_u64);
        if let Some(rows) = left_out.filter(|rows| *rows > 0) {
            return Err(format!("{part} leaves {rows} rows out: give the command --full"));
        }
        match parent.get(part) {
            Some(next) => parent = next,
            None => break,
        }
    }
    Ok(())
}

/// The values that a path leads to: one, or as many as its `*` find.
fn places<'d>(document: &'d Value, path: &str) -> Result<Vec<&'d Value>, String> {
    let mut places = vec![document];
    let mut walked = String::new();
    for part in path.split('.') {
        let mut next = Vec::new();
        for place in places {
            match (place, part) {
                (Value::Array(list), "*") => next.extend(list),
                (Value::Object(table), "*") => next.extend(table.values()),
                (Value::Object(table), _) => next.push(table.get(part).ok_or_else(|| missing(table, part, &walked))?),
                (Value::Array(list), _) => {
                    let found = part.parse::<usize>().ok().and_then(|index| list.get(index));
                    let why =
                        || format!("{} has {} members, the first is 0, and none is {part}", shown(&walked), list.len());
                    next.push(found.ok_or_else(why)?);
                }
                (other, _) => return Err(format!("{} is {}, and has no {part}", shown(&walked), kind(other))),
            }
        }
        places = next;
        if !walked.is_empty() {
            walked.push('.');
        }
        walked.push_str(part);
    }
    Ok(places)
}

fn shown(walked: &str) -> &str {
    if walked.is_empty() { "the document" } else { walked }
}

fn missing(table: &serde_json::Map<String, Value>, part: &str, walked: &str) -> String {
    let keys = || table.keys().map(String::as_str);
    let there = match closest_match(part, keys()) {
        Some(meant) => format!("{meant}?"),
        None => format!("there is {}", keys().take(20).collect::<Vec<_>>().join(", ")),
    };
    format!("{} has no {part}; {there}", shown(walked))
}
