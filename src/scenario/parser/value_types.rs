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
    let place = |key: &str| fields.get(key).map_or(fields.span.clone(), toml::Spanned::span);
    let is_total = matches!(measurement.subject, Subject::TotalOf(_));
    for step in measurement.subject.steps() {
        let values = |path: &str| unroller.document(step)?.values_at(path).ok();
        match &measurement.selector {
            Selector::Value(path) => {
                let Some(values) = values(path) else { continue };
                if is_total && !values.may_be_number() {
                    add_up(path, &values, place("value"), sink);
                } else if !is_total {
                    condition(path, &values, assertion, fields, sink);
                }
            }
            Selector::Sum(path) => {
                if let Some(values) = values(path).filter(|values| !values.may_be_number()) {
                    add_up(path, &values, place("sum"), sink);
                }
            }
            Selector::Count(path) => {
                if let Some(values) = values(path).filter(|values| !values.may_have_members()) {
                    let message = format!("{} is {}, which has no members to count", quoted(path), values.kind_names());
                    sink.add(place("count"), message, "use value = \"…\" for a single value");
                }
            }
            Selector::Run(_) | Selector::Lag(_) => {}
        }
    }
    if let Assertion::Equals(expected, _) = assertion
        && (is_total || !matches!(measurement.selector, Selector::Value(_)))
        && FixedPoint::of(expected).is_none()
    {
        sink.add(place("equals"), format!("{} is a number", measurement.selector), "compare it with a number");
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
    let place = fields.get("equals").map_or(fields.span.clone(), toml::Spanned::span);
    sink.add(place, format!("{} is never {expected}", quoted(path)), hint.as_str());
}
