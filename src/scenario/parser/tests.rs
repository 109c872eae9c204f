//! Tests of the script parser.

use proptest::prelude::*;

use super::super::{CommandMistake, Diagnostics, ProcessSignal, Script, StepAction, Wait};

fn parse(text: &str) -> Result<Script, Diagnostics> {
    Script::parse(text.as_bytes(), &|_| Vec::new())
}

/// The diagnostics of a script.
fn rejected(text: &str) -> String {
    parse(text).expect_err("there is a mistake in it").show("lab.toml")
}

/// A script with these lines, which start on line 3.
fn script(lines: &str) -> String {
    format!("name = \"lab\"\ndescription = \"A try.\"\n{lines}")
}

const ORDERS: &str =
    "[[step]]\nrun = \"produce\"\n[[expect]]\nstep = \"produce\"\nvalue = \"acknowledged\"\nequals = 10\n";

#[test]
fn repeats_are_unrolled_with_numbered_names() {
    let script = parse(&script(
        "deadline = \"10s\"\nsample_every = \"100ms\"\n
[[step]]\nname = \"orders\"\nrun = \"produce --count 10\"\nrepeat = 2\n
[[step]]\nrepeat = 2\n
[[step.steps]]\nname = \"till\"\nrun = \"inventory --throttle 5/s\"\nbackground = true\n
[[step.steps]]\nwait = { lag = \"inventory-consumer-group\", at_most = 5 }\ndeadline = \"5s\"\n
[[step.steps]]\nkill = \"till\"\n
[[expect]]\nstep = \"orders\"\nvalue = \"acknowledged\"\nequals = 10\n",
    ))
    .expect("no mistake");
    let steps: Vec<_> =
        script.steps.iter().map(|step| format!("{}: {} ({:?})", step.line, step.action, step.deadline)).collect();
    insta::assert_snapshot!(steps.join("\n"), @r"
    6: orders#1: produce --count 10 (10s)
    6: orders#2: produce --count 10 (10s)
    14: till#1: inventory --throttle 5/s (10s)
    19: wait until lag of inventory-consumer-group at most 5 (5s)
    23: kill till#1 (10s)
    14: till#2: inventory --throttle 5/s (10s)
    19: wait until lag of inventory-consumer-group at most 5 (5s)
    23: kill till#2 (10s)
    ");
    assert_eq!(script.groups, ["inventory-consumer-group"]);
    assert_eq!(script.runs().filter(|run| run.throttled && run.background).count(), 2);
}

#[test]
fn steps_in_a_list_and_all_keys_are_parsed() {
    let script = parse(&script(
        "[[step]]\nname = \"live\"\nrun = \"analytics\"\nbackground = true\nexit = 130
[[step]]\nrepeat = 2\nsteps = [\n  { pause = \"live\" },\n  { wait = { records = \"order-events\", at_least = 0 } },\n  { resume = \"live\" },\n]
[[step]]\nstop = \"live\"
[[expect]]\ntotal_of = [\"live\"]\nsum = \"by_minute.*.total\"\nat_least = 0\nat_most = 1.5
[[expect]]\ngroup = \"analytics-consumer-group\"\nfrom = \"live\"\nvalue = \"lag.peak\"\nequals = 3\nwithin = \"12.5 %\"
[[expect]]\nstep = \"live\"\ncount = \"by_minute\"\nsame_as = { value = \"orders_by_minute.x\" }\n",
    ))
    .expect("no mistake");
    assert_eq!(script.steps[1].action, StepAction::Signal(ProcessSignal::Pause, "live".into()));
    assert!(matches!(&script.steps[2].action, StepAction::Wait(Wait::Records(topic, _)) if topic == "order-events"));
    let expected: Vec<_> = script
        .expectations
        .iter()
        .map(|one| {
            format!("{}: {}: {} is {}", one.line, one.measurement.subject, one.measurement.selector, one.assertion)
        })
        .collect();
    insta::assert_snapshot!(expected.join("\n"), @r"
    17: total of live: sum of by_minute.*.total is at least 0 and at most 1.5
    22: analytics-consumer-group from live: lag.peak is 3, within 12.5%
    28: live: count of by_minute is the same as orders_by_minute.x of live
    ");
}

#[test]
fn each_kind_of_mistake_has_a_message() {
    let mut all = Vec::new();
    let mut show = |what: &str, text: &str| {
        all.push(format!("# {what}\n{}", rejected(text)));
    };
    show("nothing at all", "");
    show("no TOML", "name = \"lab\nstep = [\n");
    show("a misspelt key at the top", &format!("nmae = \"x\"\n{}", script(ORDERS)));
    show("a misspelt heading", &script("[[setp]]\nrun = \"produce\"\n[[expct]]\nstep = \"produce\"\n"));
    show("a misspelt key of a step", &script(&ORDERS.replace("run =", "rnu =")));
    show("a misspelt key of an expectation", &script(&ORDERS.replace("equals", "equal")));
    show("a misspelt key of a wait", &script(&format!("[[step]]\nwait = {{ lga = \"x\", at_most = 0 }}\n{ORDERS}")));
    show("a shell", &script("[[step]]\nshell = \"ls\"\n"));
    show(
        "bad values",
        &script(
            "deadline = \"0s\"\nsample_every = \"1ms\"\n[[step]]\nrun = 5\n[[step]]\nrun = \"produce\"\nexit = 256\nbackground = \"yes\"\ndeadline = \"2 fortnights\"\n[[expect]]\nstep = \"produce\"\nvalue = \"acknowledged\"\nequals = [1]\nwithin = \"0%\"\n",
        ),
    );
    show("no steps and no expectations", &script(""));
    show("a list of another type", &script("step = 1\nexpect = 2\n"));
    show(
        "two things in a step",
        &script(&format!("{ORDERS}[[step]]\nstop = \"a\"\nkill = \"a\"\n[[step]]\nname = \"b\"\n")),
    );
    show(
        "keys that do not go together",
        &script(&format!(
            "{ORDERS}[[step]]\nname = \"x\"\nwait = {{ records = \"order-events\", at_least = 1 }}\nbackground = true\n[[step]]\nname = \"b\"\nrun = \"analytics\"\nbackground = true\ndeadline = \"1s\"\nrepeat = 2\n"
        )),
    );
    show(
        "names",
        &script(&format!(
            "{ORDERS}[[step]]\nname = \"<b>\"\nrun = \"analytics\"\n[[step]]\nrun = \"replay\"\nbackground = true\n[[step]]\nrun = \"produce --seed 2\"\n"
        )),
    );
    show(
        "references",
        &script(&format!(
            "{ORDERS}[[step]]\nstop = \"prodcue\"\n[[step]]\nkill = \"produce\"\n[[step]]\nstop = \"later\"\n[[step]]\nname = \"later\"\nrun = \"analytics\"\nbackground = true\n[[step]]\nresume = \"later\"\n[[step]]\npause = \"later\"\n[[step]]\nstop = \"later\"\n[[step]]\nwait = {{ ended = \"later\" }}\n[[step]]\nstop = \"later\"\n[[step]]\nwait = {{ lag = \"analytics-consumer-grop\", at_most = 0 }}\n[[step]]\nwait = {{ records = \"orders\", at_least = 1 }}\n"
        )),
    );
    show(
        "paused for ever",
        &script(&format!(
            "{ORDERS}[[step]]\nname = \"live\"\nrun = \"analytics\"\nbackground = true\n[[step]]\npause = \"live\"\n"
        )),
    );
    show(
        "waits",
        &script(&format!(
            "{ORDERS}[[step]]\nwait = 5\n[[step]]\nwait = {{ }}\n[[step]]\nwait = {{ records = \"order-events\" }}\n[[step]]\nwait = {{ records = \"order-events\", at_least = -1 }}\n[[step]]\nwait = {{ records = \"order-events\", uncommitted = \"order-events\", at_least = 1 }}\n[[step]]\nwait = {{ ended = \"produce\", at_least = 1 }}\n"
        )),
    );
    show(
        "repeats",
        &script(&format!(
            "{ORDERS}[[step]]\nsteps = []\n[[step]]\nrepeat = 0\nrun = \"replay\"\n[[step]]\nrepeat = 2\nsteps = [{{ repeat = 2, run = \"lag\" }}, {{ name = \"live\", run = \"analytics\", background = true }}]\n"
        )),
    );
    show(
        "too many steps after repeats",
        &script(&format!("{ORDERS}[[step]]\nrun = \"replay\"\nrepeat = 9223372036854775807\n")),
    );
    show(
        "expectations",
        &script(&format!(
            "{ORDERS}[[expect]]\n[[expect]]\nstep = \"produce\"\ngroup = \"g\"\nvalue = \"x\"\nequals = 1\n[[expect]]\nstep = \"prduce\"\nvalue = \"run.secnds\"\nsum = \"a\"\n[[expect]]\nstep = \"produce\"\nvalue = \"run.secnds\"\nat_least = 2\nat_most = 1\n[[expect]]\nstep = \"produce\"\nvalue = \"lag.peak\"\nat_least = 2\nequals = 1\n[[expect]]\nstep = \"produce\"\nvalue = \"a..b\"\nsame_as = \"x\"\n[[expect]]\nstep = \"produce\"\nvalue = \"a\"\nsame_as = \"produce\"\n[[expect]]\nstep = \"produce\"\nvalue = \"a.*\"\nat_least = 1\nwithin = \"5%\"\n[[expect]]\nstep = \"produce\"\nvalue = \"run.uncommitted\"\nat_least = 1\nfrom = \"produce\"\n"
        )),
    );
    show(
        "a killed step's document",
        &script(&format!(
            "{ORDERS}[[step]]\nname = \"till\"\nrun = \"inventory\"\nbackground = true\n[[step]]\nkill = \"till\"\n[[expect]]\nstep = \"till\"\nvalue = \"orders\"\nequals = 1\n"
        )),
    );
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn compared_values_have_the_same_type() {
    let compared = |value: &str, same_as: &str| {
        let text = script(&format!(
            "[[step]]\nname = \"a\"\nrun = \"replay\"\n[[step]]\nname = \"b\"\nrun = \"analytics\"\n\
             [[expect]]\nstep = \"a\"\nvalue = \"{value}\"\nsame_as = {same_as}\n"
        ));
        parse(&text).err().map(|mistakes| mistakes.show("lab.toml")).unwrap_or_default()
    };
    for (value, same_as) in [
        ("records", "{ value = \"after.total_orders\" }"),
        ("records", "{ step = \"b\", count = \"by_minute\" }"),
        ("records", "{ value = \"run.exit\" }"),
        // Money is a string, and is compared as a number.
        ("after.inventory.reserved_revenue", "{ step = \"b\", value = \"total_orders\" }"),
        ("after.by_minute", "{ step = \"b\", value = \"by_minute\" }"),
        ("differences.0.before", "{ value = \"verdict\" }"),
        ("verdict", "{ value = \"unknown\" }\nwithin = \"1%\""),
    ] {
        assert!(!compared(value, same_as).contains("but"), "{}", compared(value, same_as));
    }
    insta::assert_snapshot!([
        compared("verdict", "{ value = \"records\" }"),
        compared("verdict", "{ step = \"b\", count = \"by_minute\" }"),
        compared("run.exit", "{ value = \"after.by_minute\" }"),
        compared("after.by_minute", "{ step = \"b\", value = \"orders_by_minute\" }"),
        compared("records", "{ value = \"verdict\" }\nwithin = \"1%\""),
    ].concat(), @r#"
    lab.toml:12:11: "verdict" is a string, but "records" is an integer
      12 | same_as = { value = "records" }
         |           ^^^^^^^^^^^^^^^^^^^^^
      hint: compare values of the same type
    lab.toml:12:11: "verdict" is a string, but "count of by_minute" is a number
      12 | same_as = { step = "b", count = "by_minute" }
         |           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      hint: compare values of the same type
    lab.toml:12:11: "run.exit" is a number, but "after.by_minute" is a list
      12 | same_as = { value = "after.by_minute" }
         |           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      hint: compare values of the same type
    lab.toml:12:11: "after.by_minute" is a list, but "orders_by_minute" is an object
      12 | same_as = { step = "b", value = "orders_by_minute" }
         |           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      hint: compare values of the same type
    lab.toml:12:11: "records" is an integer, but "verdict" is a string
      12 | same_as = { value = "verdict" }
         |           ^^^^^^^^^^^^^^^^^^^^^
      hint: compare values of the same type
    "#);
}

#[test]
fn hostile_scripts_are_rejected() {
    let mut all = Vec::new();
    let mut show = |text: &str| {
        all.push(rejected(text));
    };
    for line in [
        "produce; rm -rf /",
        "produce $(rm -rf /)",
        "produce `rm -rf /`",
        "produce && rm -rf /",
        "analytics --until-end --metrics-file ../../.bashrc",
        "analytics --until-end --metrics-file=/etc/passwd",
        "produce -b evil:9092",
        "produce -X plugin.library.paths=/tmp/evil.so",
        "scenario run self.toml",
        "clean --yes",
        "broker --data x",
        "rm -rf /",
        "produce --prefix other.",
    ] {
        show(&script(
            &ORDERS
                .replace("\"produce\"\n[[", &format!("\"{line}\"\n[["))
                .replace("[[step]]\n", "[[step]]\nname = \"produce\"\n"),
        ));
    }
    show(
        &script(&ORDERS.replace("run =", "name = \"<script>alert(1)</script>\"\nrun ="))
            .replace("\"lab\"", "\"<img src=x>\""),
    );
    show(&script(ORDERS).replace("A try.", "\\u001b[31mred"));
    show(&script(&ORDERS.replace("\"produce\"\n[[", "\"produce \\u001b[31m\\u202e\"\n[[")));
    let ten_thousand = format!("{}{}", script(""), "[[step]]\nrun = \"produce\"\n".repeat(10_000));
    show(&ten_thousand);
    show(&format!("{}{}", script(ORDERS), "#".repeat(Script::MAX_BYTES)));
    let all = all.join("\n");
    insta::assert_snapshot!(all);
    assert!(!all.contains('\u{1b}') && !all.contains('\u{202e}'));
}

#[test]
fn largest_scripts_are_rejected_quickly() {
    let all = |many: usize, one: &dyn Fn(usize) -> String| (0..many).map(one).collect::<Vec<_>>().concat();
    let names = |many| all(many, &|name| format!("\"{name:0>64}\","));
    let steps = |many| all(many, &|name| format!("[[step]]\nname = \"a{name:0>63}\"\nrun = \"produce\"\n"));
    let keys = |many| all(many, &|key| format!("k{key}=0,"));
    for text in [
        script(&format!("{}[[expect]]\ntotal_of = [{}]\nvalue = \"x\"\nequals = 1\n", steps(990), names(13_000))),
        script(&format!("[[step]]\nwait = {{ {} }}\n", keys(20_000))),
        script(&format!("{}\n", keys(20_000).replace(',', "\n"))),
        format!("{}a = 1", "a.".repeat(100_000)),
        format!("[{}a]", "a.".repeat(100_000)),
        format!("a = {}", "[".repeat(500_000)),
        format!("a = {}", "{a=".repeat(300_000)),
        "\u{e9}".repeat(500_000),
        "\"\\".repeat(400_000),
    ] {
        assert!(text.len() <= Script::MAX_BYTES);
        let diagnostics = parse(&text).expect_err("refused");
        assert!(diagnostics.show("x").len() < 100_000);
    }
}

#[test]
fn invalid_utf8_has_a_position() {
    let diagnostics = Script::parse(b"name = \"lab\"\n# \xff\n", &|_| Vec::new()).expect_err("no UTF-8");
    assert!(diagnostics.show("x.toml").starts_with("x.toml:2:3: invalid UTF-8"), "{diagnostics:?}");
}

#[test]
fn command_line_check_errors_are_reported() {
    let check = |words: &[String]| {
        let mistake =
            || CommandMistake { argument: Some(1), message: "no such flag".into(), hint: Some("try none".into()) };
        if words.len() > 1 { vec![mistake()] } else { Vec::new() }
    };
    let text = script(&ORDERS.replace("\"produce\"\n[[", "\"produce --cuont 5\"\n[["));
    insta::assert_snapshot!(Script::parse(text.as_bytes(), &check).expect_err("refused").show("x.toml"), @r#"
    x.toml:4:16: no such flag
      4 | run = "produce --cuont 5"
        |                ^^^^^^^
      hint: try none
    "#);
}

#[test]
fn escaped_command_line_is_marked_as_a_whole() {
    insta::assert_snapshot!(rejected(&script(&ORDERS.replace("\"produce\"\n[[", "\"\\u0070roduce -q\"\n[["))), @r#"
    lab.toml:4:7: option "-q" is not allowed in a step
      4 | run = "\u0070roduce -q"
        |       ^^^^^^^^^^^^^^^^^
      hint: the runner shows the progress
    "#);
}

/// Random combinations of valid and invalid parts of scripts.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("name = \"lab\"\n".to_owned()),
        Just("description = \"d\"\n".to_owned()),
        Just("[[step]]\n".to_owned()),
        Just("[[step.steps]]\n".to_owned()),
        Just("[[expect]]\n".to_owned()),
        Just("run = \"inventory\"\nbackground = true\nname = \"a\"\n".to_owned()),
        Just("run = \"produce é '\"\n".to_owned()),
        Just("repeat = 3\n".to_owned()),
        Just("wait = { lag = \"inventory-consumer-group\", at_most = 0 }\n".to_owned()),
        Just("step = \"a\"\nvalue = \"reserved\"\n".to_owned()),
        Just("group = \"é\"\nvalue = \"lag.peak\"\n".to_owned()),
        ("(step|run|stop|kill|pause|resume|same_as|value|within|deadline|from)", "[a-é'\"\\\\;.*%0-9 ]{0,6}")
            .prop_map(|(key, value)| format!("{key} = \"{value}\"\n")),
        (
            "(equals|at_least|at_most|exit|repeat|step|expect)",
            "(-?[0-9]{1,20}|nan|1e999|0x1F|\\[\\]|\\{\\}|true|1979-05-27)"
        )
            .prop_map(|(key, value)| format!("{key} = {value}\n")),
        ".{0,12}",
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn parsing_text_never_panics(text in pieces()) {
        if let Err(diagnostics) = parse(&text) {
            prop_assert!(!diagnostics.all().is_empty());
            let lines: Vec<_> = text.split('\n').collect();
            for mistake in diagnostics.all() {
                let line = lines.get(mistake.line - 1);
                prop_assert!(line.is_some_and(|line| mistake.column <= line.chars().count() + 1), "{mistake:?} in {text:?}");
            }
            prop_assert!(!diagnostics.show("x").chars().any(|letter| letter.is_control() && letter != '\n'));
        }
    }

    #[test]
    fn parsing_bytes_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Err(diagnostics) = Script::parse(&bytes, &|_| Vec::new()) {
            prop_assert!(!diagnostics.show("x").is_empty());
        }
    }
}
