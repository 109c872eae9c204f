//! Tests of the sentences and key figures at the top of a page: they claim no more than the documents say.

use serde_json::{Value, json};

use super::tests::{facts, header, sample};
use super::*;
use crate::scenario::{EndedBy, LagSample, StepOutcome};
use crate::units;

/// The run of one of the subjects.
fn run_about(name: &str) -> ScenarioDocument {
    sample::subjects().into_iter().find(|(subject, _)| *subject == name).expect("a subject").1
}

/// The document that a step printed.
fn printed<'d>(document: &'d mut ScenarioDocument, step: &str) -> &'d mut Value {
    document.steps.iter_mut().find(|one| one.name == step).and_then(|one| one.document.as_mut()).expect("a document")
}

/// Checks that the top of a page has each of these texts.
#[track_caller]
fn has(page: &str, texts: &[&str]) {
    for text in texts {
        assert!(header(page).contains(text), "{text} is missing in {}", header(page));
    }
}

/// Checks that the top of a page has none of these texts.
#[track_caller]
fn has_not(page: &str, texts: &[&str]) {
    for text in texts {
        assert!(!header(page).contains(text), "{text} is in {}", header(page));
    }
}

#[test]
fn pending_orders_were_not_decided() {
    let mut document = run_about("bad-records");
    document.steps.retain(|step| step.name != "again");
    let metrics = printed(&mut document, "metrics");
    let total = metrics["total_orders"].as_u64().expect("a number");
    assert!(metrics["inventory"]["pending_orders"].as_u64() > Some(0));
    printed(&mut document, "orders")["acknowledged"] = json!(total + 23);
    let page = scenario_page(&document);
    has(&page, &["23 records were bad. Each became a dead letter with its reason."]);
    has_not(&page, &["were decided as orders"]);
    printed(&mut document, "metrics")["inventory"]["pending_orders"] = json!(0);
    let all = units::grouped(total);
    has(&scenario_page(&document), &[&format!("the other {all} were decided as orders.")]);
}

#[test]
fn dead_letters_are_those_that_were_written() {
    let mut document = run_about("bad-records");
    document.steps.retain(|step| step.name != "again");
    // Analytics has read seven bad records that inventory has not.
    printed(&mut document, "metrics")["bad_records"] = json!(30);
    let page = scenario_page(&document);
    has(&page, &["<dt>dead letters</dt><dd>23</dd>", "23 records were bad."]);
}

#[test]
fn replays_without_a_verdict_found_no_difference() {
    let mut document = run_about("replays");
    let nothing = printed(&mut document, "again");
    nothing["verdict"] = json!("different");
    nothing["records"] = json!(0);
    nothing["causes"] = json!([{"cause": "nothing_read"}]);
    let page = scenario_page(&document);
    has(&page, &["0 records were read again: no record was read again, which proves nothing."]);
    has_not(&page, &["found a difference"]);
    let mut identical = document.steps.last().expect("a replay").clone();
    identical.name = "once more".to_owned();
    identical.document = run_about("replays").steps.last().and_then(|step| step.document.clone());
    document.steps.push(identical);
    let page = scenario_page(&document);
    has(&page, &["1 of 2 replays was not identical.", "<dd>1 of 2</dd>"]);
    has_not(&page, &["found a difference"]);
}

#[test]
fn open_transactions_are_not_counted_twice() {
    let mut document = run_about("lag");
    let victim = document.steps.iter().find(|step| step.ended_by == Some(EndedBy::Kill)).expect("a kill").clone();
    // The transaction of the first one may be open at every kill.
    for offsets in [150, 130] {
        document.steps.push(StepOutcome { uncommitted: Some(offsets), ..victim.clone() });
    }
    let page = scenario_page(&document);
    has(&page, &["Processes were killed 3 times with kill -9, with up to 150 offsets in open transactions at a kill."]);
    has(&page, &["<dt>offsets in open transactions at a kill, at most</dt><dd>150</dd>"]);
}

#[test]
fn numbers_are_grouped() {
    let mut document = run_about("orders");
    printed(&mut document, "metrics")["average_orders_per_minute"] = json!(12_000);
    assert!(scenario_page(&document).contains("9,981 orders, 12,000.00 a minute on average"));
    let mut replay = sample::replay(true);
    for metrics in [&mut replay.before, &mut replay.after] {
        metrics.inventory.reserved_revenue = crate::analytics::Revenue(27_888_330);
    }
    assert!(replay_page(&replay, &facts()).contains(r#"<td class="number">278,883.30</td>"#));
}

#[test]
fn single_sample_is_not_watched() {
    let group = |samples: &[f64]| LagSeries {
        group: "readers".to_owned(),
        samples: samples
            .iter()
            .map(|at| LagSample { at_seconds: *at, messages: Some(4), seconds: None, partitions: Vec::new() })
            .collect(),
        predictions: Vec::new(),
    };
    has(&lag_page(&[group(&[0.0, 2.0])], &[], 2.0, &facts()), &["<dt>watched</dt>"]);
    has_not(&lag_page(&[group(&[0.0])], &[], 0.0, &facts()), &["<dt>watched</dt>"]);
}

/// The page of a watch: groups with these lags, a sample a second.
fn watched(groups: &[&[Option<i64>]]) -> String {
    let groups: Vec<_> = (0_u32..)
        .zip(groups)
        .map(|(index, lags)| {
            let sample = |(at, messages): (u32, &Option<i64>)| LagSample {
                at_seconds: at.into(),
                messages: *messages,
                seconds: None,
                partitions: Vec::new(),
            };
            let samples = (0_u32..).zip(*lags).map(sample).collect();
            LagSeries { group: format!("readers-{index}"), samples, predictions: Vec::new() }
        })
        .collect();
    lag_page(&groups, &[], 3.0, &facts())
}

#[test]
fn lag_at_the_end_is_that_of_the_last_samples() {
    let (zero, some, rising) = ([Some(9), Some(0)], [Some(9), Some(4)], [Some(3), Some(5)]);
    let unknown = [None, None];
    has(&watched(&[&zero]), &["Drained</strong> The lag at the end is 0.", "lag at the peak</dt><dd>9</dd>"]);
    has(&watched(&[&some]), &["Lagging</strong> The lag at the end is 4 messages."]);
    has(&watched(&[&unknown]), &["Unknown</strong> The lag at the end is unknown"]);
    let several = watched(&[&some, &rising]);
    has(&several, &["The lag at the end is 9 messages.", "lag at the end</dt><dd>9</dd>"]);
    has_not(&several, &["lag at the peak"]);
    has(&watched(&[&zero, &[Some(0), Some(0)]]), &["Drained"]);
    let partly = watched(&[&zero, &unknown]);
    has(&partly, &["Unknown</strong> The lag at the end is 0 in 1 of 2 groups, and unknown in the other."]);
    has_not(&partly, &["Drained"]);
    let lagging = watched(&[&some, &unknown, &unknown]);
    has(&lagging, &["Lagging</strong> The lag at the end is 4 messages in 1 of 3 groups, and unknown in the others."]);
    let lost = watched(&[&[Some(0), Some(7), None]]);
    has(&lost, &["Unknown", "rose to 7 messages at 1\u{a0}s, and was unknown at the end."]);
    has_not(&lost, &["lag at the end</dt>", "was 7 at the end"]);
}
