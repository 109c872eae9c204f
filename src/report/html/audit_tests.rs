//! Tests of the pages with an audit.

use proptest::prelude::*;

use super::tests::{check, facts, header, hostile, poison, sample, without_style};
use super::{audit_page, scenario_page};
use crate::audit::{AuditDocument, RecordState};

fn clean() -> AuditDocument {
    serde_json::from_str(include_str!("../../../tests/documents/audit.json")).expect("a document")
}

fn violated() -> AuditDocument {
    serde_json::from_str(include_str!("../../../tests/documents/audit-service.json")).expect("a document")
}

fn unproved() -> AuditDocument {
    serde_json::from_str(include_str!("../../../tests/documents/audit-chain.json")).expect("a document")
}

pub(super) fn pages() -> [String; 3] {
    [clean(), violated(), unproved()].map(|document| audit_page(&document, &facts()))
}

#[test]
fn audit_page_is_stable() {
    insta::assert_snapshot!("audit_page", without_style(&audit_page(&violated(), &facts())));
}

#[test]
fn verdict_comes_first_then_checks_then_evidence() {
    let page = audit_page(&violated(), &facts());
    let at = |text: &str| page.find(text).unwrap_or_else(|| panic!("{text} is on the page"));
    let order = [
        "</span> Violated</strong> 5 violations in 300 orders and 618 decisions",
        "The group had members or committed",
        "class=\"tiles\"",
        ">Checks</h2>",
        ">Evidence</h2>",
        "order 5789dbe6-121f-8d7f-8ae6-36111905ac8e has events for 1 of its 3 lines",
        ">What was covered</h2>",
        ">Command and versions</h2>",
        ">What this does not show</h2>",
    ];
    assert!(order.windows(2).all(|pair| at(pair[0]) < at(pair[1])), "{:?}", order.map(at));
    assert!(
        header(&audit_page(&clean(), &facts())).contains("Clean</strong> 283 orders and 561 decisions, nothing lost")
    );
    assert!(!audit_page(&clean(), &facts()).contains(">Evidence</h2>"));
    let header = header(&audit_page(&unproved(), &facts())).to_owned();
    assert!(
        header.contains("Unproved</strong> No violation in 4,213 inputs")
            && header.contains("Not proved: inputs are gone")
    );
}

#[test]
fn evidence_is_a_timeline_of_records() {
    let page = audit_page(&violated(), &facts());
    let (_, evidence) = page.split_once("has a further event").expect("a duplicate");
    let (evidence, _) = evidence.split_once("</dl>").expect("its end");
    for text in [
        "<strong>order</strong> order-events partition 0, offset 119",
        "2026-12-01T04:08:29.785Z, committed",
        "<strong>further event</strong> bob-events partition 0, offset 230",
        "2026-12-01T04:08:31.650Z, 1.9\u{a0}s later, committed",
        "<dt>expected</dt><dd><code>reserve 1 × item_9, once</code>",
        "<dt>seen</dt><dd><code>reserve 1 × item_9, again</code>",
    ] {
        assert!(evidence.contains(text), "{text} is missing in {evidence}");
    }
}

#[test]
fn each_state_of_a_record_is_marked_in_words_too() {
    let marks = [
        (RecordState::Committed, "kept", "committed"),
        (RecordState::Aborted, "hidden", "aborted"),
        (RecordState::Open, "hidden", "in an open transaction"),
        (RecordState::Unknown, "gone", "not read again"),
    ];
    for (state, class, words) in marks {
        let mut document = violated();
        document.checks[3].first.as_mut().expect("a witness").records[0].state = state;
        let page = audit_page(&document, &facts());
        let (_, evidence) = page.split_once("which does not exist").expect("an invented event");
        let (record, _) = evidence.split_once("</span>").expect("its end");
        assert!(record.contains(&format!("<li class=\"{class}\">")) && record.contains(words), "{record}");
    }
}

#[test]
fn page_of_a_run_has_its_audits() {
    let mut run = sample::scenario();
    assert!(!scenario_page(&run).contains("<section id=\"audit\""));
    let step = run.steps.last_mut().expect("a step");
    step.document = Some(serde_json::to_value(violated()).expect("JSON"));
    let page = scenario_page(&run);
    let (_, section) = page.split_once("<section id=\"audit\"").expect("a section");
    let (section, _) = section.split_once("</section>").expect("its end");
    for text in ["5 violations in 300 orders", "<code>no-line-doubled</code>", "has a further event"] {
        assert!(section.contains(text), "{text} is missing in {section}");
    }
}

#[test]
fn script_and_escape_sequences_are_text() {
    let mut document = violated();
    let text = || "\u{1b}[2J<script>alert(1)</script>".to_owned();
    document.group = Some(text());
    document.covered[0].topic = text();
    let record = &mut document.checks[1].first.as_mut().expect("a witness").records[0];
    (record.topic, record.key, record.value) = (text(), Some(text()), Some(text()));
    let page = audit_page(&document, &facts());
    assert!(check(&page).is_ok() && !page.contains("<script") && !page.contains('\u{1b}'));
    let shown = r"\u{1b}[2J&#60;script&#62;alert(1)&#60;/script&#62;";
    assert!(page.matches(shown).count() >= 5, "{}", page.matches(shown).count());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn hostile_text_in_an_audit_stays_text(texts in prop::collection::vec(hostile(), 1..24)) {
        for document in [clean(), violated(), unproved()] {
            let document = poison(&document, &texts);
            check(&audit_page(&document, &facts()))?;
            let mut run = sample::scenario();
            run.steps.truncate(1);
            run.steps[0].document = Some(serde_json::to_value(document).expect("JSON"));
            check(&scenario_page(&run))?;
        }
    }
}
