//! `JUnit` XML of an audit: a test case for each check, and an error for each thing that was not proved.

use quick_junit::{NonSuccessKind, Report, SerializeError, TestCase, TestCaseStatus, TestSuite};

use super::audit_words::{judged, shown, uncommitted, witness_title};
use crate::audit::{AuditDocument, CheckResult, Subject};
use crate::printable::{line, printable};
use crate::units::counted;

/// A test suite with a test case for each check.
///
/// # Errors
///
/// When a text cannot be written as XML.
pub fn audit_junit(document: &AuditDocument) -> Result<String, SerializeError> {
    let class = class_name(document);
    let mut suite = TestSuite::new(format!("foodstream audit {class}"));
    for check in &document.checks {
        let mut case = TestCase::new(printable(&check.name).as_ref(), status(check));
        case.set_classname(class.as_str());
        suite.add_test_case(case);
    }
    for (number, sentence) in (1..).zip(&document.unproved) {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
        status.set_message(format!("not proved: {}", shown(sentence)));
        let mut case = TestCase::new(format!("unproved {number}"), status);
        case.set_classname(class.as_str());
        suite.add_test_case(case);
    }
    for (name, value) in &document.options {
        suite.add_property((line(name).as_ref(), line(value).as_ref()));
    }
    let remarks = [Some(judged(document)), uncommitted(document)];
    suite.set_system_out(remarks.into_iter().flatten().collect::<Vec<_>>().join("\n"));
    let mut report = Report::new("foodstream audit");
    report.add_test_suite(suite);
    report.to_string()
}

/// The subject, with the group or the topics that were judged.
fn class_name(document: &AuditDocument) -> String {
    let subject = match document.subject {
        Subject::Prefix => "prefix",
        Subject::Service => "service",
        Subject::Chain => "chain",
    };
    if let Some(group) = &document.group {
        return format!("{subject} {}", printable(group));
    }
    let mut topics: Vec<&str> = document.covered.iter().map(|range| range.topic.as_str()).collect();
    topics.dedup();
    let topics: Vec<_> = topics.into_iter().map(printable).collect();
    [subject.into()].into_iter().chain(topics).collect::<Vec<_>>().join(" ")
}

/// A check that compared nothing is skipped: it has not passed.
fn status(check: &CheckResult) -> TestCaseStatus {
    match (check.violations, check.checked) {
        (0, 0) => return TestCaseStatus::skipped(),
        (0, _) => return TestCaseStatus::success(),
        _ => {}
    }
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
    let violations = format!("{} of {}", counted(check.violations, "violation"), counted(check.checked, "comparison"));
    let Some(witness) = &check.first else {
        status.set_message(violations);
        return status;
    };
    status.set_message(format!("{violations}; {}", witness_title(witness)));
    status.set_type(witness.anomaly.words());
    let [expected, seen] =
        [&witness.expected, &witness.seen].map(|text| text.as_deref().map_or("nothing".into(), line));
    let records = witness.records.iter().map(|record| {
        let place = format!("{}/{} offset {}", printable(&record.topic), record.partition, record.offset);
        format!("\n{}: {place}, {}", line(&record.role), record.state.words())
    });
    let rule = printable(&check.claim);
    status.set_description(format!("rule: {rule}\nexpected: {expected}\nseen: {seen}{}", records.collect::<String>()));
    status
}
