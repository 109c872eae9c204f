//! Tests of the evaluation of expectations.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    BrokerFacts, EndedBy, ExpectationOutcome, LagSample, LagSeries, ScenarioDocument, ScenarioVerdict, Script,
    StepOutcome, evaluate, failures,
};

/// A command without a known document: the evaluation also handles values that a checked script cannot name.
const STEPS: &str = "name = \"lab\"\ndescription = \"A try.\"
[[step]]\nname = \"produce\"\nrun = \"undocumented\"
[[step]]\nname = \"other\"\nrun = \"undocumented\"\nexit = 3
[[step]]\nname = \"again\"\nrun = \"undocumented\"\nrepeat = 2
[[step]]\nname = \"till\"\nrun = \"inventory\"\nbackground = true
[[step]]\nkill = \"till\"
";

fn script(expectations: &str) -> Script {
    Script::parse(format!("{STEPS}{expectations}").as_bytes(), &|_| Vec::new())
        .unwrap_or_else(|mistakes| panic!("{}", mistakes.show("x")))
}

fn step(name: &str, exit_code: Option<i32>, document: Option<Value>) -> StepOutcome {
    StepOutcome {
        name: name.to_owned(),
        run: "produce".to_owned(),
        command: "foodstream produce".to_owned(),
        background: false,
        started_seconds: 1.0,
        ended_seconds: Some(2.5),
        ended_by: Some(if exit_code.is_some() { EndedBy::Itself } else { EndedBy::Kill }),
        exit_code,
        document,
        stderr: vec!["error: something broke".to_owned(), String::new()],
        uncommitted: exit_code.is_none().then_some(17),
    }
}

fn run() -> ScenarioDocument {
    let produced = |records: u64| {
        json!({
            "produced": records, "rate": 4.76, "revenue": "10.10", "verdict": "identical", "nothing": null,
            "partitions": [{"records": 3}, {"records": 4}], "by_minute": {"12:00": 1, "12:01": 2},
        })
    };
    let sample =
        |at: u32, messages| LagSample { at_seconds: at.into(), messages, seconds: None, partitions: Vec::new() };
    let lags = [None, Some(0), Some(1000), Some(2000), Some(1500), Some(1000), Some(500), Some(0)];
    ScenarioDocument {
        schema: "foodstream.scenario/1".to_owned(),
        name: "lab".to_owned(),
        description: "A try.".to_owned(),
        file: "lab.toml".to_owned(),
        verdict: ScenarioVerdict::Passed,
        broker: BrokerFacts { embedded: true, address: "127.0.0.1:1".to_owned(), prefix: "lab-1.".to_owned() },
        version: "0.1.0".to_owned(),
        librdkafka: "2.0.0".to_owned(),
        started: "2026-11-22T12:00:00.000Z".to_owned(),
        elapsed_seconds: 9.0,
        steps: vec![
            step("produce", Some(0), Some(produced(10))),
            step("other", Some(3), Some(produced(20))),
            step("again#1", Some(0), Some(produced(10))),
            step("again#2", Some(0), Some(produced(11))),
            step("till", None, None),
        ],
        events: Vec::new(),
        lag: vec![LagSeries {
            group: "lab-1.inventory-consumer-group".to_owned(),
            samples: (0u32..).zip(lags).map(|(at, lag)| sample(at, lag)).collect(),
            predictions: Vec::new(),
        }],
        expectations: Vec::new(),
        not_shown: Vec::new(),
    }
}

/// The outcome of one expectation.
fn outcome(expectation: &str) -> ExpectationOutcome {
    let outcomes = evaluate(&script(&format!("[[expect]]\n{expectation}\n")), &run());
    assert_eq!(outcomes.len(), 2, "the exit code 3 comes first");
    outcomes.into_iter().next_back().expect("one")
}

#[test]
fn true_expectations_hold() {
    for expectation in [
        "step = \"produce\"\nvalue = \"produced\"\nequals = 10",
        "step = \"produce\"\nvalue = \"produced\"\nequals = 10.0",
        "step = \"produce\"\nvalue = \"produced\"\nequals = 11\nwithin = \"10%\"",
        "step = \"produce\"\nvalue = \"rate\"\nequals = 4.76",
        "step = \"produce\"\nvalue = \"rate\"\nat_least = 4.76\nat_most = 4.76",
        "step = \"produce\"\nvalue = \"verdict\"\nequals = \"identical\"",
        "step = \"produce\"\nvalue = \"revenue\"\nequals = 10.1",
        "step = \"produce\"\nvalue = \"revenue\"\nat_most = 10.1",
        "step = \"produce\"\nvalue = \"partitions.1.records\"\nequals = 4",
        "step = \"produce\"\nsum = \"partitions.*.records\"\nequals = 7",
        "step = \"produce\"\nsum = \"by_minute.*\"\nequals = 3",
        "step = \"produce\"\ncount = \"by_minute\"\nequals = 2",
        "step = \"produce\"\ncount = \"partitions\"\nsame_as = { count = \"by_minute\" }",
        "step = \"produce\"\nvalue = \"partitions\"\nsame_as = \"other\"",
        "step = \"again\"\nvalue = \"produced\"\nat_least = 10",
        "step = \"again\"\nvalue = \"rate\"\nsame_as = \"other\"",
        "step = \"again\"\nvalue = \"produced\"\nsame_as = \"produce\"\nwithin = \"10%\"",
        "total_of = [\"produce\", \"again\"]\nvalue = \"produced\"\nequals = 31",
        "total_of = [\"produce\", \"again\"]\nvalue = \"revenue\"\nequals = 30.3",
        "total_of = [\"produce\", \"again\"]\nsum = \"partitions.*.records\"\nsame_as = { total_of = [\"other\", \"again\"] }",
        "step = \"other\"\nvalue = \"run.exit\"\nequals = 3",
        "step = \"produce\"\nvalue = \"run.seconds\"\nequals = 1.5",
        "step = \"till\"\nvalue = \"run.uncommitted\"\nat_least = 1",
        "group = \"inventory-consumer-group\"\nvalue = \"lag.peak\"\nequals = 2000",
        "group = \"inventory-consumer-group\"\nvalue = \"lag.final\"\nequals = 0",
        "group = \"inventory-consumer-group\"\nvalue = \"lag.drain_seconds\"\nsame_as = { value = \"lag.predicted_drain_seconds\" }\nwithin = \"1%\"",
        "group = \"inventory-consumer-group\"\nfrom = \"till\"\nvalue = \"lag.growth_per_second\"\nequals = 1000",
    ] {
        let outcome = outcome(expectation);
        assert!(outcome.held && outcome.why.is_none(), "{expectation}: {outcome:?}");
    }
}

#[test]
fn incomplete_table_is_not_summed_or_counted() {
    let mut document = run();
    let step = document.steps.iter_mut().find(|step| step.name == "produce").expect("a step");
    let left_out = json!({"by_minute": 7, "by_restaurant": 0});
    let metrics = json!({"by_minute": [{"total": 1}], "by_restaurant": [{"total": 1}], "left_out": left_out});
    step.document = Some(json!({"total_orders": 8, "after": metrics}));
    for (selector, held) in [
        ("sum = \"after.by_minute.*.total\"", false),
        ("count = \"after.by_minute\"", false),
        ("value = \"after.by_minute.0.total\"", false),
        ("sum = \"after.by_restaurant.*.total\"", true),
        ("value = \"total_orders\"", true),
    ] {
        let text = format!("step = \"produce\"\n{selector}\nat_least = 1");
        let script = script(&format!("[[expect]]\n{text}\n"));
        let outcome = evaluate(&script, &document).pop().expect("one");
        assert_eq!(outcome.held, held, "{selector}: {outcome:?}");
        assert_eq!(outcome.why.is_some_and(|why| why.contains("--full")), !held, "{selector}");
    }
}

#[test]
fn false_expectations_show_the_seen_value() {
    let mut all = Vec::new();
    for expectation in [
        "step = \"produce\"\nvalue = \"produced\"\nequals = 11",
        "step = \"produce\"\nvalue = \"produced\"\nequals = 12\nwithin = \"10%\"",
        "step = \"produce\"\nvalue = \"produced\"\nat_least = 11\nat_most = 20",
        "step = \"produce\"\nvalue = \"verdict\"\nequals = \"different\"",
        "step = \"produce\"\nvalue = \"revenue\"\nequals = 10.11",
        "step = \"again\"\nvalue = \"produced\"\nequals = 10",
        "step = \"again\"\nvalue = \"produced\"\nsame_as = \"produce\"",
        "total_of = [\"produce\", \"again\"]\nvalue = \"produced\"\nequals = 30",
        "group = \"inventory-consumer-group\"\nvalue = \"lag.peak\"\nat_most = 1999",
    ] {
        let outcome = outcome(expectation);
        assert!(!outcome.held && outcome.why.is_none() && !outcome.seen.is_null(), "{expectation}: {outcome:?}");
        all.push(outcome);
    }
    insta::assert_snapshot!(failures("lab.toml", &all));
}

#[test]
fn missing_values_fail_with_a_reason() {
    let mut all = Vec::new();
    for expectation in [
        "step = \"produce\"\nvalue = \"prodced\"\nequals = 10",
        "step = \"produce\"\nvalue = \"x\"\nequals = 10",
        "step = \"produce\"\nvalue = \"partitions.2.records\"\nequals = 10",
        "step = \"produce\"\nvalue = \"produced.x\"\nequals = 10",
        "step = \"produce\"\nvalue = \"verdict\"\nat_least = 10",
        "step = \"produce\"\nvalue = \"verdict\"\nequals = 10",
        "step = \"produce\"\nvalue = \"nothing\"\nat_most = 10",
        "step = \"produce\"\nvalue = \"partitions\"\nequals = 10",
        "step = \"produce\"\ncount = \"produced\"\nequals = 10",
        "step = \"produce\"\nsum = \"partitions.*.recrods\"\nequals = 10",
        "step = \"produce\"\nvalue = \"produced\"\nsame_as = { value = \"nowhere\" }",
        "total_of = [\"produce\"]\nvalue = \"verdict\"\nequals = 10",
        "group = \"inventory-consumer-group\"\nuntil = \"till\"\nvalue = \"lag.drain_seconds\"\nat_most = 5",
    ] {
        let outcome = outcome(expectation);
        assert!(!outcome.held && outcome.why.is_some(), "{expectation}: {outcome:?}");
        all.push(outcome);
    }
    insta::assert_snapshot!(failures("lab.toml", &all));
}

#[test]
fn unexpected_exits_come_first() {
    let mut run = run();
    run.steps[0].exit_code = Some(7);
    run.steps[1].exit_code = Some(0);
    run.steps[2].ended_by = None;
    run.steps[3].exit_code = None;
    run.steps[3].ended_by = Some(EndedBy::End);
    let outcomes = evaluate(&script("[[expect]]\nstep = \"produce\"\nvalue = \"produced\"\nequals = 10\n"), &run);
    assert!(outcomes[4].held);
    insta::assert_snapshot!(failures("lab.toml", &outcomes), @r"
    lab.toml:3: run.exit of produce: expected 0, seen 7
      error: something broke
    lab.toml:6: run.exit of other: expected 3, seen 0
      error: something broke
    lab.toml:10: run.exit of again#1: expected 0, seen 0
      it was still running at the end of the run
    lab.toml:10: run.exit of again#2: expected 0, seen nothing
      it was ended by a signal that the script did not send
    ");
}

#[test]
fn nothing_holds_without_the_steps() {
    let mut run = run();
    run.steps.clear();
    run.lag.clear();
    let outcomes = evaluate(
        &script(
            "[[expect]]\nstep = \"produce\"\nvalue = \"produced\"\nat_least = 0
[[expect]]\ntotal_of = [\"again\"]\nvalue = \"produced\"\nat_least = 0
[[expect]]\nstep = \"till\"\nvalue = \"run.uncommitted\"\nat_least = 0
[[expect]]\ngroup = \"inventory-consumer-group\"\nvalue = \"lag.final\"\nequals = 0\n",
        ),
        &run,
    );
    assert!(
        outcomes.len() == 4 && outcomes.iter().all(|outcome| !outcome.held && outcome.why.is_some()),
        "{outcomes:?}"
    );
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-c0-9.-]{0,4}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 20, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-c0-2]", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn evaluation_never_panics(
        document in any_json(),
        path in "([a-c0-2]|\\*)(\\.([a-c0-2]|\\*)){0,2}",
        how in "(value|sum|count)",
        assertion in "(equals = 1|at_least = 0|at_most = 5.5|same_as = \"other\"|equals = \"a\")",
    ) {
        let text = format!("{STEPS}[[expect]]\nstep = \"produce\"\n{how} = \"{path}\"\n{assertion}\n");
        let Ok(script) = Script::parse(text.as_bytes(), &|_| Vec::new()) else {
            return Ok(());
        };
        let mut run = run();
        run.steps[0].document = Some(document);
        for outcome in evaluate(&script, &run) {
            prop_assert!(!(outcome.held && outcome.why.is_some()), "{outcome:?}");
            prop_assert!(!(outcome.held && outcome.seen.is_null()), "{outcome:?}");
            prop_assert_eq!(failures("lab.toml", std::slice::from_ref(&outcome)).is_empty(), outcome.held);
        }
    }
}
