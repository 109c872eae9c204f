//! Evaluation of expectations: looks up each value in the document of a run and checks the assertion. A missing value
//! fails.

use serde_json::Value;

use super::closest_match;
use super::diagnostic::visible;
use super::fixed_point::FixedPoint;
use super::group_steps::rate_changes;
use super::lag_curve::LagCurve;
use super::script::step_name;
use super::{
    Assertion, EndedBy, Expectation, ExpectationOutcome, Measurement, RunValue, ScenarioDocument, Script, Selector,
    StepOutcome, Subject, Tolerance, value_text,
};
use crate::units::counted;

/// The values of a measurement: one for each run of a step, one for any other subject; or the reason why it has none.
type Values = Result<Vec<Value>, String>;

/// Evaluates a run: first the unexpected exit codes in the order of start, then every expectation in the order of the
/// script.
///
/// The document is complete except for its expectations and its verdict. A step that is missing in it was never
/// started, and an expectation with a missing value does not hold.
#[must_use]
pub fn evaluate(script: &Script, document: &ScenarioDocument) -> Vec<ExpectationOutcome> {
    let exits = document.steps.iter().filter_map(|step| exit_outcome(script, step));
    let expected = script.expectations.iter().map(|expectation| evaluate_one(expectation, document));
    exits.chain(expected).collect()
}

/// The failed expectations as text: the line of the script, the expected value, and the value that was seen. Empty if
/// all held.
#[must_use]
pub fn failures(file: &str, outcomes: &[ExpectationOutcome]) -> String {
    let failed = outcomes.iter().filter(|outcome| !outcome.held);
    let lines = failed.map(|outcome| {
        let ExpectationOutcome { about, value, expected, line, why, .. } = outcome;
        let why = why.as_ref().map(|why| format!("  {}\n", visible(why))).unwrap_or_default();
        let what = format!("{file}:{line}: {value} of {about}: expected {expected}, seen {}", outcome.seen_text());
        format!("{}\n{why}", visible(&what))
    });
    lines.collect()
}

/// A value in a sentence: a string is quoted.
fn quoted_value(value: &Value) -> String {
    if value.is_string() { format!("\"{}\"", value_text(value)) } else { value_text(value) }
}

/// The outcome for an exit code: an unexpected one, or one that the script expects not to be 0.
fn exit_outcome(script: &Script, outcome: &StepOutcome) -> Option<ExpectationOutcome> {
    let step = script
        .steps
        .iter()
        .find(|step| matches!(&step.action, super::StepAction::Run(run) if run.name == outcome.name));
    let expected_value = step.and_then(|step| match &step.action {
        super::StepAction::Run(run) => Some(run.exit),
        _ => None,
    })?;
    let with = |held, why: Option<String>| {
        let line = step.map_or(0, |step| step.line);
        let expected = expected_value.to_string();
        let (about, value, seen) = (outcome.name.clone(), "run.exit".to_owned(), outcome.exit_code.into());
        Some(ExpectationOutcome { about, value, expected, seen, held, line, why })
    };
    let last_line = || outcome.stderr.iter().rev().find(|line| !line.trim().is_empty()).cloned();
    match (outcome.ended_by, outcome.exit_code) {
        (Some(EndedBy::Kill), _) => None,
        (None, _) => with(false, Some("it was still running at the end of the run".to_owned())),
        (Some(_), Some(code)) if code == expected_value => (expected_value != 0).then(|| with(true, None)).flatten(),
        (Some(_), Some(_)) => with(false, last_line()),
        (Some(_), None) => with(false, Some("it was ended by a signal that the script did not send".to_owned())),
    }
}

fn evaluate_one(expectation: &Expectation, document: &ScenarioDocument) -> ExpectationOutcome {
    let Expectation { line, measurement, assertion } = expectation;
    let mut expected = assertion.to_string();
    let seen = look_up(measurement, document);
    let held = match &seen {
        Ok(seen) => {
            if let Assertion::SameAs(other, _) = assertion
                && let Ok(other) = look_up(other, document)
            {
                expected = format!("{expected}: {}", value_text(&joined(&other)));
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
        seen: seen.map_or(Value::Null, |seen| shortened(joined(&seen))),
        held,
        line: *line,
        why,
    }
}

/// A single value as is, several values as a list.
fn joined(values: &[Value]) -> Value {
    match values {
        [one] => one.clone(),
        several => Value::Array(several.to_vec()),
    }
}

/// Replaces a long list or object by its beginning as text. The document of the step has all of it.
fn shortened(value: Value) -> Value {
    let text = value_text(&value);
    if text.ends_with('…') { Value::String(text) } else { value }
}

fn holds(assertion: &Assertion, seen: &[Value], document: &ScenarioDocument) -> Result<bool, String> {
    if seen.is_empty() {
        return Err("the step has no value".to_owned());
    }
    match assertion {
        Assertion::Bounds { at_least, at_most } => {
            let bound = |number: &Option<serde_json::Number>| match number {
                Some(number) => number_of(&Value::Number(number.clone())).map(Some),
                None => Ok(None),
            };
            let (least, most) = (bound(at_least)?, bound(at_most)?);
            let mut held = true;
            for value in seen {
                let number = number_of(value)?;
                held &= least.is_none_or(|least| number >= least) && most.is_none_or(|most| number <= most);
            }
            Ok(held)
        }
        Assertion::Equals(expected_value, tolerance) => {
            let mut held = true;
            for value in seen {
                held &= equal(value, expected_value, *tolerance)?;
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
            for (value, expected_value) in seen.iter().zip(others.iter().cycle()) {
                held &= equal(value, expected_value, *tolerance)?;
            }
            Ok(held)
        }
    }
}

fn equal(value: &Value, expected_value: &Value, tolerance: Option<Tolerance>) -> Result<bool, String> {
    if let Some(Tolerance { percent }) = tolerance {
        return Ok(number_of(value)?.is_within(percent, number_of(expected_value)?));
    }
    match (FixedPoint::of(value), FixedPoint::of(expected_value)) {
        (Some(value), Some(expected_value)) => Ok(value == expected_value),
        _ if std::mem::discriminant(value) == std::mem::discriminant(expected_value) => Ok(value == expected_value),
        _ => Err(format!(
            "{} is {}, but {} is {}",
            quoted_value(value),
            kind(value),
            quoted_value(expected_value),
            kind(expected_value)
        )),
    }
}

fn number_of(value: &Value) -> Result<FixedPoint, String> {
    FixedPoint::of(value).ok_or_else(|| match value {
        Value::Number(_) => format!("{value} is too large to compare"),
        _ => format!("expected a number, but {} is {}", quoted_value(value), kind(value)),
    })
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn look_up(measurement: &Measurement, document: &ScenarioDocument) -> Values {
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
                    let number = number_of(&value_of(run, &measurement.selector)?)
                        .map_err(|why| format!("{}: {why}", run.name))?;
                    total = total.plus(number).ok_or("the total is too large to compare")?;
                }
            }
            Ok(vec![total.to_json()])
        }
        Subject::Group { group, from, until } => {
            let Selector::Lag(value) = measurement.selector else {
                return Err(format!("a group has no value {}", measurement.selector));
            };
            let name = format!("{}{group}", document.broker.prefix);
            let lag = document.lag.iter().find(|lag| lag.group == name).ok_or("its lag was not sampled")?;
            let moment = |step: &Option<String>| match step {
                Some(step) => match runs_of(step, document).next() {
                    Some(run) => Ok(Some(run.started_seconds)),
                    None => Err(format!("{step} was never started")),
                },
                None => Ok(None),
            };
            let changes = rate_changes(&name, &document.broker.prefix, &document.steps, &document.events);
            let curve = LagCurve::of(&lag.samples, moment(from)?, moment(until)?).with_changes(changes);
            let value = curve.value(value)?;
            // Samples are not more precise than three decimals.
            let rounded = (value * 1000.0).round() / 1000.0;
            let number = FixedPoint::approximate(rounded).ok_or("it is too large to compare")?;
            Ok(vec![number.to_json()])
        }
    }
}

fn runs_of<'d>(step: &str, document: &'d ScenarioDocument) -> impl Iterator<Item = &'d StepOutcome> {
    document.steps.iter().filter(move |run| step_name(&run.name) == step)
}

fn value_of(run: &StepOutcome, selector: &Selector) -> Result<Value, String> {
    let document = || match (&run.document, run.ended_by) {
        (Some(document), _) => Ok(document),
        (None, Some(EndedBy::Kill)) => Err(format!("{} was killed and wrote no document", run.name)),
        (None, None) => Err(format!("{} has not ended", run.name)),
        (None, Some(_)) => Err(format!("{} wrote no document", run.name)),
    };
    match selector {
        Selector::Value(path) => {
            check_complete(document()?, path)?;
            let found = values_at(document()?, path)?;
            found.first().map(|value| (*value).clone()).ok_or_else(|| format!("{path} does not exist"))
        }
        Selector::Sum(path) => {
            check_complete(document()?, path)?;
            let mut total = FixedPoint::ZERO;
            for value in values_at(document()?, path)? {
                total = total.plus(number_of(value)?).ok_or("the sum is too large to compare")?;
            }
            Ok(total.to_json())
        }
        Selector::Count(path) => {
            check_complete(document()?, path)?;
            let mut count = 0usize;
            for value in values_at(document()?, path)? {
                count += match value {
                    Value::Array(list) => list.len(),
                    Value::Object(table) => table.len(),
                    other => return Err(format!("{path} is {}, which has no members to count", kind(other))),
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
            let number = FixedPoint::approximate(((ended - run.started_seconds) * 1000.0).round() / 1000.0);
            Ok(number.ok_or("its duration is unknown")?.to_json())
        }
        Selector::Run(RunValue::Uncommitted) => {
            let why = || format!("{} was not killed while it ran", run.name);
            Ok(run.uncommitted.ok_or_else(why)?.into())
        }
        Selector::Lag(_) => Err(format!("a step has no value {selector}")),
    }
}

/// Fails if rows of the table at a path were left out, as a metrics document does without `--full`.
fn check_complete(document: &Value, path: &str) -> Result<(), String> {
    let mut parent = document;
    for part in path.split('.') {
        let left_out = parent.get("left_out").and_then(|left_out| left_out.get(part)).and_then(Value::as_u64);
        if let Some(rows) = left_out.filter(|rows| *rows > 0) {
            return Err(format!("{part} leaves out {}: add --full to the command", counted(rows, "row")));
        }
        match parent.get(part) {
            Some(next) => parent = next,
            None => break,
        }
    }
    Ok(())
}

/// The values at a path: one, or several with `*`.
fn values_at<'d>(document: &'d Value, path: &str) -> Result<Vec<&'d Value>, String> {
    let mut values = vec![document];
    let mut walked = String::new();
    for part in path.split('.') {
        let mut next = Vec::new();
        for value in values {
            match (value, part) {
                (Value::Array(list), "*") => next.extend(list),
                (Value::Object(table), "*") => next.extend(table.values()),
                (Value::Object(table), _) => next.push(table.get(part).ok_or_else(|| missing(table, part, &walked))?),
                (Value::Array(list), _) => {
                    let found = part.parse::<usize>().ok().and_then(|index| list.get(index));
                    let why = || {
                        format!(
                            "{} has {} (from 0), but not {part}",
                            shown(&walked),
                            counted(list.len() as u64, "member")
                        )
                    };
                    next.push(found.ok_or_else(why)?);
                }
                (other, _) => return Err(format!("{} is {}, which has no {part}", shown(&walked), kind(other))),
            }
        }
        values = next;
        if !walked.is_empty() {
            walked.push('.');
        }
        walked.push_str(part);
    }
    Ok(values)
}

fn shown(walked: &str) -> &str {
    if walked.is_empty() { "the document" } else { walked }
}

fn missing(table: &serde_json::Map<String, Value>, part: &str, walked: &str) -> String {
    let keys = || table.keys().map(String::as_str);
    let hint = match closest_match(part, keys()) {
        Some(name) => format!("did you mean {name}?"),
        None => format!("it has {}", keys().take(20).collect::<Vec<_>>().join(", ")),
    };
    format!("{} has no {part}; {hint}", shown(walked))
}
