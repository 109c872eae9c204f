//! Tests of the text and of the `JUnit` XML of an audit.

use super::*;
use crate::audit::{AuditDocument, Subject};

fn sample(name: &str) -> AuditDocument {
    let text = match name {
        "audit" => include_str!("../../tests/documents/audit.json"),
        "audit-service" => include_str!("../../tests/documents/audit-service.json"),
        _ => include_str!("../../tests/documents/audit-chain.json"),
    };
    serde_json::from_str(text).expect("a document")
}

fn summary(document: &AuditDocument) -> String {
    audit_report(document, Detail::Summary, &["audit.html".to_owned()])
}

#[test]
fn what_is_not_committed_is_in_the_text_and_in_junit() {
    let mut document = sample("audit-service");
    document.uncommitted = 20;
    let words = "Not committed: 20 offsets of the orders, about which nothing is claimed";
    assert!(audit_report(&document, Detail::Summary, &[]).contains(words));
    assert!(audit_junit(&document).expect("XML").contains(words));
}

#[test]
fn clean_audit_ends_with_its_verdict() {
    let text = summary(&sample("audit"));
    assert!(text.lines().count() <= 20, "{text}");
    insta::assert_snapshot!("audit_clean", text);
}

#[test]
fn violations_have_their_evidence() {
    let document = sample("audit-service");
    let text = summary(&document);
    assert!(text.lines().all(|line| line.chars().count() <= 121), "{text}");
    insta::assert_snapshot!("audit_violated", text);
    insta::assert_snapshot!("audit_violated_full", audit_report(&document, Detail::Full, &[]));
}

#[test]
fn what_is_not_proved_is_named() {
    let mut document = sample("audit-chain");
    insta::assert_snapshot!("audit_unproved", summary(&document));
    document.unproved = vec!["a record is gone.".to_owned(); 9];
    let text = summary(&document);
    assert_eq!(text.matches("Not proved: a record is gone\n").count(), 5);
    assert!(text.contains("\n  and 4 more: audit.html, or --full\n"), "{text}");
    assert_eq!(audit_report(&document, Detail::Full, &[]).matches("Not proved: ").count(), 9);
}

#[test]
fn checks_without_anything_to_compare_are_not_said_to_hold() {
    let mut document = AuditDocument::new(Subject::Chain);
    document.judge();
    let text = summary(&document);
    assert_eq!(text.matches("  nothing to check\n").count(), 4, "{text}");
    assert!(text.ends_with("\nVerdict: clean: 0 inputs and 0 outputs, nothing lost, nothing done twice\n"), "{text}");
    document.unproved.push("stopped".to_owned());
    document.judge();
    let text = summary(&document);
    assert_eq!(text.matches("  not checked\n").count(), 4, "{text}");
    assert!(text.contains("\nCovered: nothing\n"), "{text}");
}

#[test]
fn long_values_are_shown_from_where_they_differ() {
    let mut document = sample("audit-service");
    let value = |units: u32| Some(format!("{{\"item\":\"{}é\",\"on_hand\":{units},\"line\":0}}", "x".repeat(200)));
    let witness = document.checks[1].first.as_mut().expect("a witness");
    (witness.expected, witness.seen) = (value(7), value(777));
    let text = summary(&document);
    assert!(text.contains("\n  expected  …xxxxxxxxxxé\",\"on_hand\":7,\"line\":0}\n"), "{text}");
    assert!(text.contains("\n  seen      …xxxxxxxxxxé\",\"on_hand\":777,\"line\":0}\n"), "{text}");
    assert!(audit_report(&document, Detail::Full, &[]).contains("\n  expected  {\"item\""));
}

/// A document with hostile text in every place where a cluster or a record has text.
fn hostile() -> AuditDocument {
    let mut document = sample("audit-service");
    let text = || "\u{1b}[2J<script>\u{202e}\n]]>&\"".to_owned();
    document.group = Some(text());
    document.options = [("group".to_owned(), text())].into();
    document.unproved = vec![text()];
    document.covered[0].topic = text();
    let witness = document.checks[1].first.as_mut().expect("a witness");
    (witness.summary, witness.expected, witness.seen) = (text(), Some(text()), Some(text()));
    let record = &mut witness.records[0];
    (record.role, record.topic) = (text(), text());
    (record.key, record.value, record.timestamp) = (Some(text()), Some(text()), Some(text()));
    document
}

#[test]
fn text_from_elsewhere_is_escaped() {
    for detail in [Detail::Summary, Detail::Full] {
        let report = audit_report(&hostile(), detail, &["\u{1b}[2J".to_owned()]);
        let steers = |character: char| character.is_control() && character != '\n' || character == '\u{202e}';
        assert!(!report.contains(steers), "{report:?}");
        assert!(report.contains(r"\u{1b}[2J<script>\u{202e}\n]]>&"), "{report}");
    }
}

#[test]
fn junit_has_a_case_for_each_check() {
    insta::assert_snapshot!("audit_junit", audit_junit(&sample("audit-service")).expect("XML"));
    let xml = audit_junit(&sample("audit-chain")).expect("XML");
    assert!(xml.contains(r#"tests="6" skipped="0" failures="0" errors="2""#), "{xml}");
    assert!(xml.contains(r#"classname="chain payments receipts""#), "{xml}");
    let clean = audit_junit(&sample("audit")).expect("XML");
    assert!(clean.contains(r#"tests="13" skipped="0" failures="0" errors="0""#), "{clean}");
}

#[test]
fn junit_escapes_text_from_elsewhere() {
    let xml = audit_junit(&hostile()).expect("XML");
    assert!(!xml.contains(['\u{1b}', '\u{202e}']) && !xml.contains("<script"), "{xml}");
    assert!(xml.contains(r"\u{1b}[2J&lt;script&gt;\u{202e}\n]]&gt;&amp;"), "{xml}");
}
