//! Checks of the types in an expectation: whether the value can meet the condition at all, by the schema of its document.

use std::ops::Range;

use serde_json::Value;

use super::super::closest_match;
use super::super::command_document::Values;
use super::super::diagnostic::{DiagnosticSink, quoted};
use super::super::fixed_point::FixedPoint;
use super::super::{Assertion, Measurement, Selector, Subject};
use super::fields::Fields;
use super::unroll::Unroller;

/// Reports a value without members that are counted, one that is added up and is not a number, and a condition that
/// the value can never meet. Unknown values are reported elsewhere.
pub(super) fn check(
    fields: &Fields<'_>,
    measurement: &Measurement,
    assertion: &Assertion,
    unroller: &Unroller,
    sink: &mut DiagnosticSink<'_>,
) {
    let is_total = matches!(measurement.subject, Subject::TotalOf(_));
    for step in measurement.subject.steps() {
        let values = |path: &str| unroller.document(step)?.values_at(path).ok();
        match &measurement.selector {
            Selector::Value(path) => {
                let Some(values) = values(path) else { continue };
                if is_total && !values.may_be_number() {
                    add_up(path, &values, place(fields, "value"), sink);
                } else if !is_total {
                    condition(path, &values, assertion, fields, sink);
                }
            }
            Selector::Sum(path) => {
                if let Some(values) = values(path).filter(|values| !values.may_be_number()) {
                    add_up(path, &values, place(fields, "sum"), sink);
                }
            }
            Selector::Count(path) => {
                if let Some(values) = values(path).filter(|values| !values.may_have_members()) {
                    let message = format!("{} is {}, which has no members to count", quoted(path), values.kind_names());
                    sink.add(place(fields, "count"), message, "use value = \"…\" for a single value");
                }
            }
            Selector::Run(_) | Selector::Lag(_) => {}
        }
    }
    if let Assertion::Equals(expected, _) = assertion
        && (is_total || !matches!(measurement.selector, Selector::Value(_)))
        && FixedPoint::of(expected).is_none()
    {
        let message = format!("{} is a number", measurement.selector);
        sink.add(place(fields, "equals"), message, "compare it with a number");
    }
    if let Assertion::SameAs(other, within) = assertion {
        same_as(measurement, other, within.is_some(), place(fields, "same_as"), unroller, sink);
    }
}

/// The place of a value, or of the whole expectation without it.
fn place(fields: &Fields<'_>, key: &str) -> Range<usize> {
    fields.get(key).map_or(fields.span.clone(), toml::Spanned::span)
}

/// Reports two values that are never equal.
fn same_as(
    one: &Measurement,
    other: &Measurement,
    is_within: bool,
    place: Range<usize>,
    unroller: &Unroller,
    sink: &mut DiagnosticSink<'_>,
) {
    let (Some(ours), Some(theirs)) = (values_of(one, unroller), values_of(other, unroller)) else { return };
    let can_hold = if is_within {
        // That of the expectation itself has been reported.
        theirs.may_be_number() || !ours.may_be_number()
    } else {
        ours.may_equal_one_of(&theirs)
    };
    if !can_hold {
        let [ours, theirs] = [(one, ours), (other, theirs)].map(|(measurement, values)| {
            format!("{} is {}", quoted(&measurement.selector.to_string()), values.kind_names())
        });
        sink.add(place, format!("{ours}, but {theirs}"), "compare values of the same type");
    }
}

/// What a measurement may be; `None` if that is not known.
fn values_of(measurement: &Measurement, unroller: &Unroller) -> Option<Values> {
    match (&measurement.subject, &measurement.selector) {
        (Subject::Step(step), Selector::Value(path)) => unroller.document(step)?.values_at(path).ok(),
        _ => Some(Values::numbers()),
    }
}

fn add_up(path: &str, values: &Values, place: Range<usize>, sink: &mut DiagnosticSink<'_>) {
    let message = format!("{} is {}, which cannot be added up", quoted(path), values.kind_names());
    sink.add(place, message, "choose a number, or count the members with count = \"…\"");
}

fn condition(path: &str, values: &Values, assertion: &Assertion, fields: &Fields<'_>, sink: &mut DiagnosticSink<'_>) {
    let needs_number = match assertion {
        Assertion::Bounds { .. } => fields.present(&["at_least", "at_most"]),
        Assertion::Equals(_, Some(_)) | Assertion::SameAs(_, Some(_)) => fields.present(&["within"]),
        Assertion::Equals(..) | Assertion::SameAs(..) => Vec::new(),
    };
    if let Some(key) = needs_number.first().filter(|_| !values.may_be_number()) {
        let message = format!("{} is {}, so {key} cannot hold", quoted(path), values.kind_names());
        sink.add(fields.key(key).unwrap_or(fields.span.clone()), message, "compare it with equals or same_as");
        return;
    }
    let Assertion::Equals(expected, _) = assertion else { return };
    if values.may_equal(expected) {
        return;
    }
    let choices = values.choices();
    let hint = match expected {
        Value::String(text) if !choices.is_empty() => match closest_match(text, choices.iter().copied()) {
            Some(name) => format!("did you mean \"{name}\"?"),
            None => format!("it is one of {}", choices.join(", ")),
        },
        _ => format!("it is {}", values.kind_names()),
    };
    sink.add(place(fields, "equals"), format!("{} is never {expected}", quoted(path)), hint.as_str());
}
