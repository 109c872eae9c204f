//! Targets of a replay, on a log with markers, aborted transactions, deleted and uncounted records. Each target must
//! match the log and Kafka's own tool, and its metrics the model.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use super::Case;
use super::groups::{
    GROUP, SOURCES, assert_offsets_match_positions, epochs, live_keys, offsets, positions, run_pipeline,
};
use super::invariants::number;
use super::replay_log::{
    HOUR, MINUTE, Times, assert_metrics, assert_positions_match_log, expected_metrics, log, now, rfc3339,
};
use super::support::{StoredRecord, TestEnv};

pub const CASES: &[Case] = &[
    ("replay::each_target_matches_log_and_model", replay_targets),
    ("replay::unselected_partitions_stay_unchanged", partial),
    ("replay::deleted_base_records_change_nothing", base_gone),
    ("replay::invalid_plans_are_refused_by_line", refused),
    ("replay::exported_plan_can_be_read_back", exports),
];

/// Cases that need Kafka's own tools.
pub const KAFKA_CASES: &[Case] = &[
    ("replay::plans_match_kafka_consumer_groups", same_plan_as_kafka),
    ("replay::export_round_trips_through_kafka_tool", round_trip),
];

/// Offsets and records of a partition.
struct PartitionState {
    topic: String,
    partition: i64,
    log_start: i64,
    high_watermark: i64,
    committed: i64,
    /// Offset and timestamp of every record, including aborted ones.
    records: Vec<(i64, i64)>,
}

fn partition_states(env: &TestEnv) -> Vec<PartitionState> {
    let mut partition_states = Vec::new();
    for topic in [SOURCES[1], SOURCES[0]] {
        let (all, committed) = (env.read_with_isolation(topic, "read_uncommitted"), env.committed(GROUP, topic));
        for ((partition, (log_start, high_watermark)), committed) in
            (0i32..).zip(env.settled_watermarks(topic)).zip(committed)
        {
            let own = all.iter().filter(|record| record.partition == partition);
            partition_states.push(PartitionState {
                topic: env.topic(topic),
                partition: partition.into(),
                log_start,
                high_watermark,
                committed: committed.expect("an offset"),
                records: own.map(|record| (record.offset, record.timestamp)).collect(),
            });
        }
    }
    partition_states
}

impl PartitionState {
    /// The first offset at or after a time. An offset without a record is a transaction marker; `markers_count` says
    /// whether its time is late enough.
    fn since(&self, millis: i64, markers_count: bool) -> Option<i64> {
        let known: BTreeMap<i64, i64> = self.records.iter().copied().collect();
        (self.log_start..self.high_watermark)
            .find(|offset| known.get(offset).map_or(markers_count, |timestamp| *timestamp >= millis))
    }

    /// The plan's row for a target offset; `None` means that no record is as late as the time.
    fn row(&self, asked: Option<i64>) -> Value {
        let targets = asked.unwrap_or(self.high_watermark);
        let to = targets.max(self.log_start).min(self.committed);
        let mut row = json!({
            "topic": self.topic, "partition": self.partition, "from": self.committed, "to": to, "end": self.committed,
        });
        let note = match asked {
            None => Some("no_record_since"),
            Some(asked) if asked < to => Some("raised"),
            Some(asked) if asked > to => Some("lowered"),
            Some(_) => None,
        };
        if let Some(note) = note {
            row["note"] = json!({ note: { "asked": targets } });
        }
        row
    }
}

/// A flag and the offset that it selects in a partition.
type Target<'a> = (String, Box<dyn Fn(&PartitionState) -> Option<i64> + 'a>);

fn targets(times: &Times) -> Vec<Target<'_>> {
    let (decisions, orders) = (times.decisions, times.orders);
    let two_hours_ago = now() - 2 * HOUR;
    vec![
        ("--to-earliest".into(), Box::new(|place| Some(place.log_start))),
        ("--to-offset 50".into(), Box::new(|_| Some(50))),
        // Beyond the group's offset on the orders, and in the middle of the decisions.
        ("--to-offset 150".into(), Box::new(|_| Some(150))),
        (format!("--to-datetime {}", rfc3339(decisions)), Box::new(move |place| place.since(decisions, false))),
        (
            format!("--to-datetime {}", rfc3339(orders).trim_end_matches('Z')),
            Box::new(move |place| place.since(orders, false)),
        ),
        ("--by-duration PT2H".into(), Box::new(move |place| place.since(two_hours_ago, true))),
        ("--shift-by -25".into(), Box::new(|place| Some(place.committed - 25))),
        ("--shift-by -99999".into(), Box::new(|place| Some(place.committed - 99_999))),
        // Only uncounted orders are as late as this.
        (
            format!("--to-datetime {}", rfc3339(orders + 10 * MINUTE)),
            Box::new(move |place| place.since(orders + 10 * MINUTE, false)),
        ),
    ]
}

fn replay_targets(env: &TestEnv) {
    let times = log(env);
    let (partition_states, offsets_before) = (partition_states(env), offsets(env, GROUP));
    let metrics = expected_metrics(env);
    let committed: Vec<StoredRecord> = SOURCES.iter().flat_map(|topic| records_of(env, topic)).collect();
    let mut kinds = BTreeMap::new();
    for (flag, asked) in targets(&times) {
        let plan: Vec<Value> = partition_states.iter().map(|place| place.row(asked(place))).collect();
        let dry = env.document(&format!("replay --dry-run {flag}"));
        assert_eq!(dry["plan"].as_array().expect("rows"), &plan, "{flag}");
        assert_eq!(dry["schema"], "foodstream.plan/1");
        assert_eq!(offsets(env, GROUP), offsets_before, "{flag}: a dry run moves nothing");
        for row in &plan {
            let note = row["note"].as_object().map_or("none", |note| note.keys().next().expect("a word").as_str());
            *kinds.entry(note.to_owned()).or_insert(0) += 1;
        }

        if plan.iter().all(|row| row["to"] == row["end"]) {
            let document = env.run(&format!("replay {flag} --output json")).expect(3).document();
            assert_eq!(verdict(&document), ("different", vec!["nothing_read"]), "{flag}");
            continue;
        }
        let document = env.document(&format!("replay {flag}"));
        assert_eq!((&document["verdict"], &document["plan"]), (&json!("identical"), &dry["plan"]), "{flag}");
        let again = committed.iter().filter(|record| {
            let row = plan.iter().find(|row| matches(row, env, record)).expect("a row");
            (number(&row["to"])..number(&row["end"])).contains(&record.offset)
        });
        assert_eq!(document["records"], again.count(), "{flag}: the committed records between target and end");
        assert_metrics(&document["after"], &metrics, &flag);
        assert_eq!(document["before"], document["after"], "{flag}");
        assert_eq!(offsets(env, GROUP), offsets_before, "{flag}");
        assert_positions_match_log(env, GROUP);
    }
    // All kinds of notes must have occurred.
    for note in ["none", "raised", "lowered", "no_record_since"] {
        assert!(kinds.get(note).is_some_and(|count| *count >= 3), "{note}: {kinds:?}");
    }
    // New records are counted onto the same state.
    let after = env.document("analytics --until-end");
    assert_eq!(after, env.document("analytics --from-beginning --group pass"));
    assert_eq!(number(&after["total_orders"]), number(&metrics["total_orders"]) + 15, "the 15 uncounted orders");
}

/// A topic's committed records, with the topic in place of headers.
fn records_of(env: &TestEnv, topic: &str) -> Vec<StoredRecord> {
    let mut records = env.read(topic);
    for record in &mut records {
        record.headers = vec![(topic.to_owned(), None)];
    }
    records
}

fn matches(row: &Value, env: &TestEnv, record: &StoredRecord) -> bool {
    row["topic"] == env.topic(&record.headers[0].0).as_str() && row["partition"] == record.partition
}

fn verdict(document: &Value) -> (&str, Vec<&str>) {
    let causes = document["causes"].as_array().expect("causes");
    let names = causes.iter().map(|cause| cause["cause"].as_str().expect("a word"));
    (document["verdict"].as_str().expect("a verdict"), names.collect())
}

/// Offsets, live keys, and the end of the state topic, which shows any write.
fn group_state(env: &TestEnv) -> impl PartialEq + std::fmt::Debug {
    (offsets(env, GROUP), live_keys(env), env.settled_watermarks("analytics-state"))
}

fn partial(env: &TestEnv) {
    run_pipeline(env, 1_500);
    let metrics = env.document("analytics --until-end");
    env.run("replay").expect(0);
    let (offsets_before, shown) = (offsets(env, GROUP), epochs(env, GROUP));
    // Deleted after they were counted.
    env.delete_records("order-events", 1, 50);
    assert_eq!(verdict(&env.run("replay --output json").expect(3).document()), ("different", vec!["records_gone"]));
    assert_eq!(env.document("replay --undo"), metrics);

    let place = (env.topic("order-events"), 1);
    let kept = |name: &str| positions(env, GROUP)[&place][name].clone();
    let fields = ["next_offset", "log_start", "counts", "digest", "epoch"];
    let before = fields.map(kept);
    for (args, chosen) in [
        ("--topic order-events:0,2 --topic inventory-events", 5),
        ("--topic order-events:2 --shift-by -40", 1),
        ("--topic inventory-events --to-offset 30", 3),
        (&*format!("--topic {} --to-datetime 2020-01-01T00:00:00.000", env.topic("inventory-events:1")), 1),
    ] {
        for flag in ["--shadow", ""] {
            let document = env.document(&format!("replay {args} {flag}"));
            assert_eq!(document["verdict"], "identical", "{args}");
            let stays = |row: &&Value| row["note"] == "stays";
            let rows = document["plan"].as_array().expect("rows");
            assert_eq!(rows.iter().filter(stays).count(), 6 - chosen, "{args}: {rows:?}");
            assert!(rows.iter().filter(stays).all(|row| row["from"] == row["to"] && row["to"] == row["end"]));
            assert!(document["records"].as_i64() > Some(0));
            assert_eq!((&document["before"], &document["after"]), (&metrics, &metrics), "{args}");
            assert_eq!(fields.map(kept), before, "{args}: unselected partitions are unchanged");
            assert_eq!(offsets(env, GROUP), offsets_before);
            assert_offsets_match_positions(env, GROUP);
        }
    }
    let last = epochs(env, GROUP);
    assert_ne!(last, shown);
    assert!(last[&place].len() == 1, "state without an undo is deleted: {last:?}");

    // An undo restores the state before the last switch only.
    let other = |position: &Value| (position["epoch"].clone(), position["next_offset"].clone());
    let epochs_and_offsets = |env: &TestEnv| -> Vec<_> { positions(env, GROUP).values().map(other).collect() };
    let now = epochs_and_offsets(env);
    assert_eq!(env.document("replay --undo"), metrics);
    let moved: Vec<bool> = epochs_and_offsets(env).iter().zip(&now).map(|(then, now)| then != now).collect();
    assert_eq!(moved, [false, true, false, false, false, false], "only inventory-events/1 had moved");
    assert_offsets_match_positions(env, GROUP);
    assert_eq!(env.document("analytics --until-end"), metrics);
}

fn base_gone(env: &TestEnv) {
    run_pipeline(env, 1_500);
    env.delete_records("order-events", 1, 50);
    let before = group_state(env);
    // The state in the middle of the log cannot be rebuilt. `--to-offset 50` is the start of the deleted partition only.
    for args in ["--shift-by -20", "--to-offset 60", "--topic order-events:1 --shift-by -20"] {
        let run = env.run(&format!("replay {args} --output json")).expect(3);
        let document = run.document();
        assert_eq!(verdict(&document), ("different", vec!["records_gone"]), "{args}");
        assert_eq!(document["note"], "left_alone", "{args}");
        let cause = &document["causes"][0];
        assert_eq!((number(&cause["log_start_before"]), number(&cause["log_start_after"])), (0, 50));
        assert_eq!(number(&cause["records_before"]), number(&cause["records_after"]) + 50);
        assert_eq!(group_state(env), before, "{args}: nothing was changed");
    }
    let text = env.run("replay --shift-by -20").expect(3).stdout;
    assert!(text.contains("nothing moved") && text.contains("records_gone"), "{text}");
    // The other partitions can be replayed.
    let document = env.document("replay --topic order-events:0,2 --topic inventory-events --shift-by -20");
    assert_eq!(document["verdict"], "identical");
    assert!(document["note"].is_null());
}

fn refused(env: &TestEnv) {
    run_pipeline(env, 300);
    let before = group_state(env);
    let (orders, group) = (env.topic("order-events"), env.topic(GROUP));
    let write = |content: &str| std::fs::write(env.dir().join("plan.csv"), content).expect("written");
    for (content, message) in [
        (format!("{orders},0,5\n{orders},7,5\n"), "plan.csv:2: ".to_owned() + &orders + " has no partition 7"),
        (
            format!("{orders},0,5\norder-events-dlq,0,5\n"),
            "plan.csv:2: analytics does not read the topic `order-events-dlq`".to_owned(),
        ),
        (format!("{orders},0,5\n\n{orders},0,6\n"), format!("plan.csv:3: {orders}/0 is already in line 1")),
        (format!("{orders},0,five\n"), "plan.csv:1: the offset `five` is not an integer".to_owned()),
        (
            format!("others,{orders},0,5\nothers,{orders},1,5\n"),
            format!("no row belongs to the group {group}: the file has rows of others"),
        ),
        (String::new(), "plan.csv:1: the file has no row".to_owned()),
    ] {
        write(&content);
        for flag in ["", "--dry-run", "--shadow"] {
            let run =
                env.run(&format!("replay --from-file plan.csv {flag} --export out.csv --report r.json")).expect(2);
            assert!(run.stderr.contains(&message) && run.stderr.contains("hint:"), "{content:?}: {}", run.stderr);
            assert_eq!(run.stdout, "");
        }
    }
    write(&format!("{orders},0,5\n"));
    for (args, message) in [
        ("--topic order-evnts", "--topic order-evnts: "),
        ("--topic order-events:0,3", "partition 3 does not exist, only 0 to 2"),
        ("--topic order-events:1 --from-file plan.csv", "plan.csv has no row for the partitions selected by --topic"),
        ("--from-file missing.csv", "cannot read missing.csv"),
        ("--shift-by 5", "a replay only goes back"),
        ("--to-offset 5 --shift-by -5", "cannot be used with"),
    ] {
        let run = env.run(&format!("replay {args} --export out.csv")).expect(2);
        assert!(run.stderr.contains(message), "{args}: {}", run.stderr);
    }
    assert_eq!(group_state(env), before);
    let unwritable = env.run("replay --shift-by -5 --export missing/out.csv").expect(8);
    assert!(unwritable.stderr.contains("missing/out.csv"), "{}", unwritable.stderr);
    assert_eq!(group_state(env), before, "refused before any change");
    let mut files: Vec<_> =
        std::fs::read_dir(env.dir()).expect("listed").map(|entry| entry.expect("an entry").file_name()).collect();
    files.sort();
    assert_eq!(files, ["metrics_output.txt", "plan.csv"], "no file is left");
}

fn text(env: &TestEnv, name: &str) -> String {
    std::fs::read_to_string(env.dir().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn exports(env: &TestEnv) {
    run_pipeline(env, 300);
    env.run("replay --dry-run --shift-by -20 --topic order-events:0,2 --export dry.csv").expect(0);
    let at = |partition: usize| offsets(env, GROUP)[0][partition].expect("an offset") - 20;
    let orders = env.topic("order-events");
    assert_eq!(text(env, "dry.csv"), format!("{orders},0,{}\n{orders},2,{}\n", at(0), at(2)));
    let by_flag = env.document("replay --dry-run --shift-by -20 --topic order-events:0,2");
    let by_file = env.document("replay --dry-run --from-file dry.csv --export again.csv");
    assert_eq!(by_file["plan"], by_flag["plan"]);
    assert_eq!(by_file["target"], "--from-file dry.csv");
    assert_eq!(text(env, "again.csv"), text(env, "dry.csv"));
    // With a group column and quotes, as the tool writes it for all groups; only the rows of this group apply.
    let group = env.topic(GROUP);
    let mut quoted = String::new();
    for line in text(env, "dry.csv").lines() {
        let (topic, rest) = line.split_once(',').expect("columns");
        quoted.extend(["\"others\",\"", topic, "\",0,0\r\n\"", &group, "\",\"", topic, "\",", rest, "\r\n"]);
        quoted.extend(["others,payments,", rest, "\r\n"]);
    }
    std::fs::write(env.dir().join("four.csv"), quoted).expect("written");
    let mut piped = env.command("replay --dry-run --from-file - --output json");
    piped.stdin(std::fs::File::open(env.dir().join("four.csv")).expect("opened"));
    let piped = super::process::Running::start(piped, "replay --from-file -").end().expect(0).document();
    assert_eq!((&piped["plan"], &piped["target"]), (&by_flag["plan"], &json!("--from-file -")));
    for flag in ["--shadow", ""] {
        let document = env.document(&format!("replay --from-file four.csv {flag} --export final.csv"));
        assert_eq!((&document["verdict"], &document["plan"]), (&json!("identical"), &by_flag["plan"]), "{flag}");
        assert_eq!(text(env, "final.csv"), text(env, "dry.csv"), "{flag}");
    }
    assert_positions_match_log(env, GROUP);
    // A group without offsets exports an empty file.
    env.run("replay --dry-run --group fresh --export none.csv").expect(0);
    assert_eq!(text(env, "none.csv"), "");
}

/// The rows of an offsets file. The tool also prints notes to stdout where a time has found nothing.
fn rows(text: &str) -> BTreeMap<(String, i64), i64> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.trim().as_bytes());
    let rows = reader
        .records()
        .map(|row| row.expect("a row"))
        .filter(|row| row.len() == 3)
        .map(|row| ((row[0].to_owned(), row[1].parse().expect("a partition")), row[2].parse().expect("an offset")));
    rows.collect()
}

fn tool(env: &TestEnv, args: &str) -> String {
    env.tool(
        "kafka-consumer-groups",
        &format!("--group {} --reset-offsets --dry-run --export {args}", env.topic(GROUP)),
    )
}

fn topics(env: &TestEnv) -> String {
    format!("--topic {} --topic {}", env.topic(SOURCES[0]), env.topic(SOURCES[1]))
}

/// The tool's plan equals ours, except for offsets ahead of the group: a replay only goes back.
fn same_plan_as_kafka(env: &TestEnv) {
    let times = log(env);
    let mut same = 0;
    let kinds = [
        "--to-earliest".to_owned(),
        "--to-offset 50".to_owned(),
        format!("--to-datetime {}", rfc3339(times.decisions).trim_end_matches('Z')),
        format!("--to-datetime {}", rfc3339(times.orders)),
        "--by-duration PT2H".to_owned(),
        "--shift-by -25".to_owned(),
    ];
    for kind in &kinds {
        let theirs = rows(&tool(env, &format!("{kind} {}", topics(env))));
        let plan = env.document(&format!("replay --dry-run {kind}"))["plan"].as_array().expect("rows").clone();
        assert_eq!(theirs.len(), plan.len(), "{kind}");
        for row in plan {
            let place = (row["topic"].as_str().expect("a topic").to_owned(), number(&row["partition"]));
            let (theirs, ours, committed) = (theirs[&place], number(&row["to"]), number(&row["from"]));
            assert_eq!(ours, theirs.min(committed), "{kind}: {row}, and the tool says {theirs}");
            same += usize::from(ours == theirs && ours < committed);
        }
    }
    assert!(same >= 25, "{same} of {} rows go back, and to the same offset", kinds.len() * 6);
}

fn round_trip(env: &TestEnv) {
    log(env);
    env.run("replay --dry-run --shift-by -25 --topic order-events --topic inventory-events:0,2 --export ours.csv")
        .expect(0);
    let path = |name: &str| env.dir().join(name);
    let ours = text(env, "ours.csv");
    let theirs = tool(env, &format!("--from-file {}", shown(&path("ours.csv"))));
    assert_eq!(rows(&theirs), rows(&ours), "the tool reads our file");
    std::fs::write(path("theirs.csv"), theirs).expect("written");
    env.run("replay --dry-run --from-file theirs.csv --export again.csv").expect(0);
    assert_eq!(text(env, "again.csv"), ours, "the tool's file gives the same plan");
    assert_eq!(ours.lines().count(), 5);
    // Offsets that the tool has set have no state, and this is reported.
    let args =
        format!("--group {} --reset-offsets --execute --from-file {}", env.topic(GROUP), shown(&path("ours.csv")));
    env.tool("kafka-consumer-groups", &args);
    let moved: Vec<i64> = offsets(env, GROUP).concat().into_iter().flatten().collect();
    assert_eq!(moved.len(), 6);
    assert_eq!(verdict(&env.run("replay --output json").expect(3).document()), ("different", vec!["state_foreign"; 5]));
    env.run("analytics --until-end --resume-from-state").expect(0);
    assert_eq!(env.document("replay --from-file ours.csv")["verdict"], "identical");
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
