//! Owns the targets of a replay, on a log with markers, aborted transactions, deleted records and records that the group has
//! not seen: each goes where the log says, as Kafka's own tool does, and what it counts is what a recount counts.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use super::Case;
use super::groups::{GROUP, SOURCES, assert_agree, counted, epochs, live_keys, offsets, positions};
use super::replay_log::{HOUR, MINUTE, Times, assert_metrics, assert_recounted, log, now, recounted, spelled};
use super::support::{Lab, Stored};
use super::truth::number;

pub const CASES: &[Case] = &[
    ("replay::each_target_goes_where_the_log_says_and_counts_what_a_recount_counts", targets),
    ("replay::what_is_not_asked_for_stays_as_it_is_also_without_its_old_records", limited),
    ("replay::a_base_whose_records_are_gone_is_told_and_nothing_is_touched", base_gone),
    ("replay::what_does_not_exist_is_refused_by_line_before_anything_is_touched", refused),
    ("replay::an_export_is_the_plan_and_is_read_back_as_it", exports),
];

/// Those that need Kafka's own tools.
pub const KAFKA_CASES: &[Case] = &[
    ("replay::plans_are_those_of_kafkas_own_tool", as_kafkas_tool),
    ("replay::an_export_survives_kafkas_own_tool_byte_for_byte", through_kafkas_tool),
];

/// Where a partition stands and what is on it.
struct Place {
    topic: String,
    partition: i64,
    log_start: i64,
    high_watermark: i64,
    committed: i64,
    /// Offset and timestamp of every record, aborted ones too.
    records: Vec<(i64, i64)>,
}

fn places(lab: &Lab) -> Vec<Place> {
    let mut places = Vec::new();
    for topic in [SOURCES[1], SOURCES[0]] {
        let (all, committed) = (lab.read_as(topic, "read_uncommitted"), lab.committed(GROUP, topic));
        for ((partition, (log_start, high_watermark)), committed) in (0i32..).zip(lab.settled(topic)).zip(committed) {
            let own = all.iter().filter(|record| record.partition == partition);
            places.push(Place {
                topic: lab.topic(topic),
                partition: partition.into(),
                log_start,
                high_watermark,
                committed: committed.expect("an offset"),
                records: own.map(|record| (record.offset, record.timestamp)).collect(),
            });
        }
    }
    places
}

impl Place {
    /// The first offset at or after a time. Where an offset has no record stands a marker, and markers are of the time when
    /// they were written, which `markers_count` says is late enough.
    fn since(&self, millis: i64, markers_count: bool) -> Option<i64> {
        let known: BTreeMap<i64, i64> = self.records.iter().copied().collect();
        (self.log_start..self.high_watermark)
            .find(|offset| known.get(offset).map_or(markers_count, |timestamp| *timestamp >= millis))
    }

    /// The plan's row for an offset asked for; `None` is a time that found nothing.
    fn row(&self, asked: Option<i64>) -> Value {
        let wanted = asked.unwrap_or(self.high_watermark);
        let to = wanted.max(self.log_start).min(self.committed);
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
            row["note"] = json!({ note: { "asked": wanted } });
        }
        row
    }
}

/// A flag and, for a partition, the offset that it asks for.
type Wanted<'a> = (String, Box<dyn Fn(&Place) -> Option<i64> + 'a>);

fn wanted(times: &Times) -> Vec<Wanted<'_>> {
    let (decisions, orders) = (times.decisions, times.orders);
    let two_hours_ago = now() - 2 * HOUR;
    vec![
        ("--to-earliest".into(), Box::new(|place| Some(place.log_start))),
        ("--to-offset 50".into(), Box::new(|_| Some(50))),
        // Ahead of the group on the orders, and in the middle of the decisions.
        ("--to-offset 150".into(), Box::new(|_| Some(150))),
        (format!("--to-datetime {}", spelled(decisions)), Box::new(move |place| place.since(decisions, false))),
        (
            format!("--to-datetime {}", spelled(orders).trim_end_matches('Z')),
            Box::new(move |place| place.since(orders, false)),
        ),
        ("--by-duration PT2H".into(), Box::new(move |place| place.since(two_hours_ago, true))),
        ("--shift-by -25".into(), Box::new(|place| Some(place.committed - 25))),
        ("--shift-by -99999".into(), Box::new(|place| Some(place.committed - 99_999))),
        // Where only orders are that nobody has counted.
        (
            format!("--to-datetime {}", spelled(orders + 10 * MINUTE)),
            Box::new(move |place| place.since(orders + 10 * MINUTE, false)),
        ),
    ]
}

fn targets(lab: &Lab) {
    let times = log(lab);
    let (places, stood) = (places(lab), offsets(lab, GROUP));
    let metrics = recounted(lab);
    let committed: Vec<Stored> = SOURCES.iter().flat_map(|topic| named(lab, topic)).collect();
    let mut kinds = BTreeMap::new();
    for (flag, asked) in wanted(&times) {
        let plan: Vec<Value> = places.iter().map(|place| place.row(asked(place))).collect();
        let dry = lab.document(&format!("replay --dry-run {flag}"));
        assert_eq!(dry["plan"].as_array().expect("rows"), &plan, "{flag}");
        assert_eq!(dry["schema"], "foodstream.plan/1");
        assert_eq!(offsets(lab, GROUP), stood, "{flag}: a dry run moves nothing");
        for row in &plan {
            let note = row["note"].as_object().map_or("none", |note| note.keys().next().expect("a word").as_str());
            *kinds.entry(note.to_owned()).or_insert(0) += 1;
        }

        if plan.iter().all(|row| row["to"] == row["end"]) {
            let document = lab.run(&format!("replay {flag} --output json")).expect(3).document();
            assert_eq!(verdict(&document), ("different", vec!["nothing_read"]), "{flag}");
            continue;
        }
        let document = lab.document(&format!("replay {flag}"));
        assert_eq!((&document["verdict"], &document["plan"]), (&json!("identical"), &dry["plan"]), "{flag}");
        let again = committed.iter().filter(|record| {
            let row = plan.iter().find(|row| is_of(row, lab, record)).expect("a row");
            (number(&row["to"])..number(&row["end"])).contains(&record.offset)
        });
        assert_eq!(document["records"], again.count(), "{flag}: the committed records between target and end");
        assert_metrics(&document["after"], &metrics, &flag);
        assert_eq!(document["before"], document["after"], "{flag}");
        assert_eq!(offsets(lab, GROUP), stood, "{flag}");
        assert_recounted(lab, GROUP);
    }
    // A run that did not meet what it was meant to meet shows nothing.
    for note in ["none", "raised", "lowered", "no_record_since"] {
        assert!(kinds.get(note).is_some_and(|count| *count >= 3), "{note}: {kinds:?}");
    }
    // And the state is whole: what comes now is counted onto it.
    let after = lab.document("analytics --until-end");
    assert_eq!(after, lab.document("analytics --from-beginning --group pass"));
    assert_eq!(number(&after["total_orders"]), number(&metrics["total_orders"]) + 15, "those that nobody had counted");
}

/// A topic's committed records, with the topic's number among the sources in place of headers.
fn named(lab: &Lab, topic: &str) -> Vec<Stored> {
    let mut records = lab.read(topic);
    for record in &mut records {
        record.headers = vec![(topic.to_owned(), None)];
    }
    records
}

fn is_of(row: &Value, lab: &Lab, record: &Stored) -> bool {
    row["topic"] == lab.topic(&record.headers[0].0).as_str() && row["partition"] == record.partition
}

fn verdict(document: &Value) -> (&str, Vec<&str>) {
    let causes = document["causes"].as_array().expect("causes");
    let words = causes.iter().map(|cause| cause["cause"].as_str().expect("a word"));
    (document["verdict"].as_str().expect("a verdict"), words.collect())
}

/// What nobody may change: offsets, every live key of the state, and that nothing at all was written to it.
fn everything(lab: &Lab) -> impl PartialEq + std::fmt::Debug {
    (offsets(lab, GROUP), live_keys(lab), lab.settled("analytics-state"))
}

fn limited(lab: &Lab) {
    counted(lab, 1_500);
    let metrics = lab.document("analytics --until-end");
    lab.run("replay").expect(0);
    let (stood, shown) = (offsets(lab, GROUP), epochs(lab, GROUP));
    // Counted, and gone since.
    lab.delete_records("order-events", 1, 50);
    assert_eq!(verdict(&lab.run("replay --output json").expect(3).document()), ("different", vec!["records_gone"]));
    assert_eq!(lab.document("replay --undo"), metrics);

    let place = (lab.topic("order-events"), 1);
    let kept = |name: &str| positions(lab, GROUP)[&place][name].clone();
    let fields = ["next_offset", "log_start", "counts", "digest", "epoch"];
    let before = fields.map(kept);
    for (words, chosen) in [
        ("--topic order-events:0,2 --topic inventory-events", 5),
        ("--topic order-events:2 --shift-by -40", 1),
        ("--topic inventory-events --to-offset 30", 3),
        (&*format!("--topic {} --to-datetime 2020-01-01T00:00:00.000", lab.topic("inventory-events:1")), 1),
    ] {
        for flag in ["--shadow", ""] {
            let document = lab.document(&format!("replay {words} {flag}"));
            assert_eq!(document["verdict"], "identical", "{words}");
            let stays = |row: &&Value| row["note"] == "stays";
            let rows = document["plan"].as_array().expect("rows");
            assert_eq!(rows.iter().filter(stays).count(), 6 - chosen, "{words}: {rows:?}");
            assert!(rows.iter().filter(stays).all(|row| row["from"] == row["to"] && row["to"] == row["end"]));
            assert!(document["records"].as_i64() > Some(0));
            assert_eq!((&document["before"], &document["after"]), (&metrics, &metrics), "{words}");
            assert_eq!(fields.map(kept), before, "{words}: what was not asked for is not counted again");
            assert_eq!(offsets(lab, GROUP), stood);
            assert_agree(lab, GROUP);
        }
    }
    let last = epochs(lab, GROUP);
    assert_ne!(last, shown);
    assert!(last[&place].len() == 1, "what an undo cannot go back to is not kept: {last:?}");

    // An undo goes back behind the last switch and behind no earlier one.
    let other = |position: &Value| (position["epoch"].clone(), position["next_offset"].clone());
    let stands = |lab: &Lab| -> Vec<_> { positions(lab, GROUP).values().map(other).collect() };
    let now = stands(lab);
    assert_eq!(lab.document("replay --undo"), metrics);
    let moved: Vec<bool> = stands(lab).iter().zip(&now).map(|(then, now)| then != now).collect();
    assert_eq!(moved, [false, true, false, false, false, false], "only inventory-events/1 had moved");
    assert_agree(lab, GROUP);
    assert_eq!(lab.document("analytics --until-end"), metrics);
}

fn base_gone(lab: &Lab) {
    counted(lab, 1_500);
    lab.delete_records("order-events", 1, 50);
    let before = everything(lab);
    // In the middle the state can not be had again; `--to-offset 50` on the deleted partition is its start, but not on others.
    for words in ["--shift-by -20", "--to-offset 60", "--topic order-events:1 --shift-by -20"] {
        let run = lab.run(&format!("replay {words} --output json")).expect(3);
        let document = run.document();
        assert_eq!(verdict(&document), ("different", vec!["records_gone"]), "{words}");
        assert_eq!(document["note"], "left_alone", "{words}");
        let cause = &document["causes"][0];
        assert_eq!((number(&cause["log_start_before"]), number(&cause["log_start_after"])), (0, 50));
        assert_eq!(number(&cause["records_before"]), number(&cause["records_after"]) + 50);
        assert_eq!(everything(lab), before, "{words}: nothing was touched");
    }
    let text = lab.run("replay --shift-by -20").expect(3).stdout;
    assert!(text.contains("was not rewound") && text.contains("records_gone"), "{text}");
    // The others are proved all the same.
    let document = lab.document("replay --topic order-events:0,2 --topic inventory-events --shift-by -20");
    assert_eq!(document["verdict"], "identical");
    assert!(document["note"].is_null());
}

fn refused(lab: &Lab) {
    counted(lab, 300);
    let before = everything(lab);
    let (orders, group) = (lab.topic("order-events"), lab.topic(GROUP));
    let write = |content: &str| std::fs::write(lab.folder().join("plan.csv"), content).expect("written");
    for (content, told) in [
        (format!("{orders},0,5\n{orders},7,5\n"), "plan.csv:2: ".to_owned() + &orders + " has no partition 7"),
        (format!("{orders},0,5\norder-events-dlq,0,5\n"), "plan.csv:2: the topic `order-events-dlq`".to_owned()),
        (format!("{orders},0,5\n\n{orders},0,6\n"), format!("plan.csv:3: {orders}/0 stands in line 1 already")),
        (format!("{orders},0,five\n"), "plan.csv:1: the offset `five` is no number".to_owned()),
        (
            format!("others,{orders},0,5\nothers,{orders},1,5\n"),
            format!("no row is of the group {group}: the file has rows of others"),
        ),
        (String::new(), "plan.csv:1: the file has no row".to_owned()),
    ] {
        write(&content);
        for flag in ["", "--dry-run", "--shadow"] {
            let run =
                lab.run(&format!("replay --from-file plan.csv {flag} --export out.csv --report r.json")).expect(2);
            assert!(run.stderr.contains(&told) && run.stderr.contains("hint:"), "{content:?}: {}", run.stderr);
            assert_eq!(run.stdout, "");
        }
    }
    write(&format!("{orders},0,5\n"));
    for (words, told) in [
        ("--topic order-evnts", "--topic order-evnts: "),
        ("--topic order-events:0,3", "there is no partition 3, only 0 to 2"),
        ("--topic order-events:1 --from-file plan.csv", "no row of plan.csv is of the partitions that --topic names"),
        ("--from-file missing.csv", "missing.csv cannot be read"),
        ("--shift-by 5", "a replay only goes back"),
        ("--to-offset 5 --shift-by -5", "cannot be used with"),
    ] {
        let run = lab.run(&format!("replay {words} --export out.csv")).expect(2);
        assert!(run.stderr.contains(told), "{words}: {}", run.stderr);
    }
    assert_eq!(everything(lab), before);
    let unwritable = lab.run("replay --shift-by -5 --export missing/out.csv").expect(8);
    assert!(unwritable.stderr.contains("missing/out.csv"), "{}", unwritable.stderr);
    assert_eq!(everything(lab), before, "told before anything was done");
    let mut files: Vec<_> =
        std::fs::read_dir(lab.folder()).expect("listed").map(|entry| entry.expect("an entry").file_name()).collect();
    files.sort();
    assert_eq!(files, ["metrics_output.txt", "plan.csv"], "no file is left behind");
}

fn text(lab: &Lab, name: &str) -> String {
    std::fs::read_to_string(lab.folder().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn exports(lab: &Lab) {
    counted(lab, 300);
    lab.run("replay --dry-run --shift-by -20 --topic order-events:0,2 --export dry.csv").expect(0);
    let at = |partition: usize| offsets(lab, GROUP)[0][partition].expect("an offset") - 20;
    let orders = lab.topic("order-events");
    assert_eq!(text(lab, "dry.csv"), format!("{orders},0,{}\n{orders},2,{}\n", at(0), at(2)));
    let by_flag = lab.document("replay --dry-run --shift-by -20 --topic order-events:0,2");
    let by_file = lab.document("replay --dry-run --from-file dry.csv --export again.csv");
    assert_eq!(by_file["plan"], by_flag["plan"]);
    assert_eq!(by_file["target"], "--from-file dry.csv");
    assert_eq!(text(lab, "again.csv"), text(lab, "dry.csv"));
    // With the group in front and quoted, as the tool writes it for all groups and long names: the rows of this one are meant.
    let group = lab.topic(GROUP);
    let mut quoted = String::new();
    for line in text(lab, "dry.csv").lines() {
        let (topic, rest) = line.split_once(',').expect("columns");
        quoted.extend(["\"others\",\"", topic, "\",0,0\r\n\"", &group, "\",\"", topic, "\",", rest, "\r\n"]);
        quoted.extend(["others,payments,", rest, "\r\n"]);
    }
    std::fs::write(lab.folder().join("four.csv"), quoted).expect("written");
    let mut piped = lab.command("replay --dry-run --from-file - --output json");
    piped.stdin(std::fs::File::open(lab.folder().join("four.csv")).expect("opened"));
    let piped = super::process::Running::start(piped, "replay --from-file -").end().expect(0).document();
    assert_eq!((&piped["plan"], &piped["target"]), (&by_flag["plan"], &json!("--from-file -")));
    for flag in ["--shadow", ""] {
        let document = lab.document(&format!("replay --from-file four.csv {flag} --export final.csv"));
        assert_eq!((&document["verdict"], &document["plan"]), (&json!("identical"), &by_flag["plan"]), "{flag}");
        assert_eq!(text(lab, "final.csv"), text(lab, "dry.csv"), "{flag}");
    }
    assert_recounted(lab, GROUP);
    // A group that has nothing to rewind exports nothing that a tool could set.
    lab.run("replay --dry-run --group fresh --export none.csv").expect(0);
    assert_eq!(text(lab, "none.csv"), "");
}

/// Rows of a file of offsets, whatever is quoted in it. The tool tells on stdout too where a time has found nothing.
fn rows(text: &str) -> BTreeMap<(String, i64), i64> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.trim().as_bytes());
    let rows = reader
        .records()
        .map(|row| row.expect("a row"))
        .filter(|row| row.len() == 3)
        .map(|row| ((row[0].to_owned(), row[1].parse().expect("a partition")), row[2].parse().expect("an offset")));
    rows.collect()
}

fn tool(lab: &Lab, words: &str) -> String {
    lab.tool(
        "kafka-consumer-groups",
        &format!("--group {} --reset-offsets --dry-run --export {words}", lab.topic(GROUP)),
    )
}

fn topics(lab: &Lab) -> String {
    format!("--topic {} --topic {}", lab.topic(SOURCES[0]), lab.topic(SOURCES[1]))
}

/// What the tool would set is what we would, but for what lies ahead of the group: a replay only goes back.
fn as_kafkas_tool(lab: &Lab) {
    let times = log(lab);
    let mut same = 0;
    let kinds = [
        "--to-earliest".to_owned(),
        "--to-offset 50".to_owned(),
        format!("--to-datetime {}", spelled(times.decisions).trim_end_matches('Z')),
        format!("--to-datetime {}", spelled(times.orders)),
        "--by-duration PT2H".to_owned(),
        "--shift-by -25".to_owned(),
    ];
    for kind in &kinds {
        let theirs = rows(&tool(lab, &format!("{kind} {}", topics(lab))));
        let plan = lab.document(&format!("replay --dry-run {kind}"))["plan"].as_array().expect("rows").clone();
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

fn through_kafkas_tool(lab: &Lab) {
    log(lab);
    lab.run("replay --dry-run --shift-by -25 --topic order-events --topic inventory-events:0,2 --export ours.csv")
        .expect(0);
    let path = |name: &str| lab.folder().join(name);
    let ours = text(lab, "ours.csv");
    let theirs = tool(lab, &format!("--from-file {}", shown(&path("ours.csv"))));
    assert_eq!(rows(&theirs), rows(&ours), "the tool reads our file");
    std::fs::write(path("theirs.csv"), theirs).expect("written");
    lab.run("replay --dry-run --from-file theirs.csv --export again.csv").expect(0);
    assert_eq!(text(lab, "again.csv"), ours, "and we read the tool's");
    assert_eq!(ours.lines().count(), 5);
    // What the tool has set, we undo no more than anybody: offsets without their state are told.
    let words =
        format!("--group {} --reset-offsets --execute --from-file {}", lab.topic(GROUP), shown(&path("ours.csv")));
    lab.tool("kafka-consumer-groups", &words);
    let moved: Vec<i64> = offsets(lab, GROUP).concat().into_iter().flatten().collect();
    assert_eq!(moved.len(), 6);
    assert_eq!(verdict(&lab.run("replay --output json").expect(3).document()), ("different", vec!["state_foreign"; 5]));
    lab.run("analytics --until-end --resume-from-state").expect(0);
    assert_eq!(lab.document("replay --from-file ours.csv")["verdict"], "identical");
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
