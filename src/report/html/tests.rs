//! Tests of whole pages: their content, that they fetch nothing, and that text is always escaped.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::scenario::{ExpectationOutcome, LagSample, ScenarioVerdict};

#[path = "../../../tests/page/sample.rs"]
pub(super) mod sample;

pub(super) fn facts() -> CommandFacts {
    CommandFacts {
        command: "foodstream replay --shadow -b localhost:9092".to_owned(),
        group: "analytics-consumer-group".to_owned(),
        broker: "localhost:9092".to_owned(),
        version: "0.1.0".to_owned(),
        librdkafka: "2.12.1".to_owned(),
        started: "2026-11-22T12:41:07.113Z".to_owned(),
    }
}

/// A short run.
fn small() -> ScenarioDocument {
    let mut document = sample::scenario();
    document.steps.retain(|step| ["slow", "metrics"].contains(&step.name.as_str()));
    if let Some(Value::Object(metrics)) = &mut document.steps[1].document {
        for rows in ["by_minute", "by_restaurant", "range"] {
            metrics[rows].as_array_mut().expect("rows").truncate(2);
        }
    }
    document.events.truncate(3);
    document.lag.truncate(1);
    document.lag[0].samples = document.lag[0].samples.iter().step_by(40).cloned().collect();
    document.expectations.drain(..15);
    document.expectations.truncate(3);
    document
}

/// A page without its style sheet.
pub(super) fn without_style(page: &str) -> String {
    let (head, rest) = page.split_once("<style>").expect("a style");
    let (_, tail) = rest.split_once("</style>").expect("its end");
    format!("{head}{tail}")
}

#[test]
fn scenario_page_is_stable() {
    insta::assert_snapshot!("scenario_page", without_style(&scenario_page(&small())));
}

#[test]
fn replay_page_is_stable() {
    let mut document = sample::replay(false);
    for side in [&mut document.before, &mut document.after] {
        side.by_minute.truncate(6);
        side.by_restaurant.drain(..18);
        side.orders_by_minute = side.orders_by_minute.clone().into_iter().take(2).collect();
        side.range.truncate(1);
    }
    document.plan.truncate(1);
    insta::assert_snapshot!("replay_page", without_style(&replay_page(&document, &facts())));
}

#[test]
fn lag_page_is_stable() {
    let mut groups = sample::lag();
    groups.truncate(1);
    groups[0].samples = groups[0].samples.iter().step_by(50).cloned().collect();
    groups[0].predictions.clear();
    insta::assert_snapshot!("lag_page", without_style(&lag_page(&groups, &[], 121.0, &facts())));
}

/// All pages of the sample.
fn pages() -> Vec<String> {
    let mut interrupted = sample::scenario();
    interrupted.verdict = ScenarioVerdict::Interrupted;
    let of_subjects = sample::subjects().into_iter().map(|(_, document)| scenario_page(&document));
    let others = vec![
        scenario_page(&sample::scenario()),
        scenario_page(&interrupted),
        replay_page(&sample::replay(true), &facts()),
        replay_page(&sample::replay(false), &facts()),
        lag_page(&sample::lag(), &sample::events(), 121.0, &facts()),
    ];
    of_subjects.chain(others).chain(super::audit_tests::pages()).collect()
}

#[test]
fn pages_fetch_and_run_nothing() {
    for page in pages() {
        for word in
            ["http://", "https://", "src=", "@import", "url(", "<script", "javascript:", "<link", "<iframe", "//cdn"]
        {
            assert!(!page.contains(word), "{word}");
        }
        assert!(page.contains("default-src 'none'"));
    }
}

#[test]
fn verdict_and_failures_come_first() {
    let page = scenario_page(&sample::scenario());
    let at = |text: &str| page.find(text).unwrap_or_else(|| panic!("{text} is on the page"));
    let order = [
        "1 of 30 expectations failed",
        "Failed expectations",
        "<figure>",
        "expectations held",
        ">Lag over time</h2>",
        ">Timeline</h2>",
        ">Expectations</h2>",
        ">Orders per minute</h2>",
        ">Rejected orders</h2>",
        ">Before and after the replay</h2>",
        ">Commands</h2>",
        ">Seeds and versions</h2>",
        ">What this run does not show</h2>",
    ];
    assert!(order.windows(2).all(|pair| at(pair[0]) < at(pair[1])), "{:?}", order.map(at));
    assert!(
        page.contains("expected 31.2 within 5 %, seen 29.5 (line 72)"),
        "{}",
        &page[at("expectations failed")..][..300]
    );
    assert!(page.contains("20261122007"), "a seed has no separators");
}

/// The part of a page above its first section.
pub(super) fn header(page: &str) -> &str {
    page.split_once("<header>").and_then(|(_, rest)| rest.split_once("</header>")).expect("a header").0
}

#[test]
fn header_says_what_happened() {
    let pages: std::collections::BTreeMap<_, _> =
        sample::subjects().into_iter().map(|(name, document)| (name, scenario_page(&document))).collect();
    let has = |name: &str, texts: &[&str]| {
        let header = header(&pages[name]);
        for text in texts {
            assert!(header.contains(text), "{name}: {text} is missing in {header}");
        }
    };
    has("lag", &["A process was killed with kill -9, with 120 offsets in open transactions.", "<dd>1</dd>"]);
    has("lag", &["kills survived", "peak 2,024", "slow killed", "orders starts, 80/s", "12:41:07 UTC", "30 of 30"]);
    has(
        "bad-records",
        &["23 records were bad. Each became a dead letter with its reason.", "throttled-lag.order-events-dlq"],
    );
    has("bad-records", &["<dd>4</dd>", "not_utf8", "no value", "throttled-lag.order-events partition 3, offset 812"]);
    has(
        "bad-records",
        &[
            "\\xff\\u{1b}[2J",
            "byte 41: a string has no end",
            "{&#34;event_type&#34;:&#34;OrderPlaced&#34;,&#34;order_id&#34;…",
        ],
    );
    has("replays", &["29,918 records were read again, and every metric and every digest is the same.", "1 of 1"]);
    has(
        "orders",
        &["Decisions about 9,981 orders: 8,837 reserved", "orders pending", "Orders per minute of event time"],
    );
    assert!(!header(&pages["orders"]).contains("lost or decided twice"), "not while orders are pending");
    let at = |name: &str, text: &str| pages[name].find(text).expect(text);
    assert!(at("bad-records", "Bad records by reason") < at("bad-records", "<main>"));
    assert!(at("lag", "id=\"lag0-wide-title\"") < at("lag", "<main>"));
    for page in pages.values() {
        assert_eq!(page.matches("id=\"lag0-wide-title\"").count(), 1, "one chart, at the top or in its section");
    }
}

/// A run in which every order that was acknowledged has one decision.
fn decided_once() -> ScenarioDocument {
    let (_, mut document) = sample::subjects().swap_remove(3);
    let metrics = document.steps.iter_mut().find(|step| step.name == "metrics").and_then(|step| step.document.as_mut());
    let metrics = metrics.expect("a document");
    let mut total = 0;
    for rows in ["by_minute", "by_restaurant"] {
        total = 0;
        for row in metrics[rows].as_array_mut().expect("rows") {
            (row["reserved"], row["rejected"], row["released"]) = (row["total"].clone(), 0.into(), 0.into());
            total += row["total"].as_u64().expect("a number");
        }
    }
    metrics["total_orders"] = total.into();
    metrics["bad_records"] = 23.into();
    metrics.as_object_mut().expect("fields").remove("left_out");
    for (field, value) in [("reserved", total), ("rejected", 0), ("released", 0), ("pending", 0)] {
        metrics["inventory"][format!("{field}_orders")] = value.into();
    }
    document.steps[0].document.as_mut().expect("a document")["acknowledged"] = (total + 23).into();
    document
}

#[test]
fn lost_orders_are_counted_against_what_was_acknowledged() {
    let is_claimed = |document: &ScenarioDocument| {
        let page = scenario_page(document);
        let claims = ["lost or decided twice", "was decided exactly once"].map(|text| header(&page).contains(text));
        assert_eq!(claims[0], claims[1], "{}", header(&page));
        claims[0]
    };
    let all = decided_once();
    assert!(is_claimed(&all), "{}", header(&scenario_page(&all)));
    let mut lost = all.clone();
    let acknowledged = &mut lost.steps[0].document.as_mut().expect("a document")["acknowledged"];
    *acknowledged = (acknowledged.as_u64().expect("a number") + 1).into();
    assert!(!is_claimed(&lost), "one order is missing");
    let mut killed = all;
    killed.steps[0].document = None;
    assert!(!is_claimed(&killed), "a producer was killed");
}

#[test]
fn killed_processes_leave_bad_records_uncounted() {
    let (_, mut document) = sample::subjects().swap_remove(1);
    let complete = document.clone();
    // A process without a document.
    document.steps.extend(sample::scenario().steps.into_iter().filter(|step| step.name == "fast"));
    let whole = scenario_page(&document);
    assert!(
        whole.contains("<dt>dead letters</dt><dd>23</dd>") && !whole.contains("<dt>reasons</dt>"),
        "of the metrics"
    );
    assert!(whole.contains("of the processes that were not killed"));
    document.steps.retain(|step| !["metrics", "again"].contains(&step.name.as_str()));
    let page = scenario_page(&document);
    assert!(page.contains("Each bad record became a dead letter") && !page.contains("<dt>dead letters</dt>"));
    let page = scenario_page(&complete);
    assert!(page.contains("<dt>dead letters</dt><dd>23</dd>") && page.contains("<dt>reasons</dt><dd>4</dd>"));
    assert!(!page.contains("of the processes that were not killed"));
}

#[test]
fn bad_records_of_another_subject_have_a_section() {
    let (_, bad_records) = sample::subjects().swap_remove(1);
    let (_, mut lag) = sample::subjects().swap_remove(0);
    assert!(!scenario_page(&lag).contains("id=\"bad-records\""));
    lag.steps[2].document.clone_from(&bad_records.steps[1].document);
    let page = scenario_page(&lag);
    let section = page.split_once("<section id=\"bad-records\"").expect("a section").1;
    assert!(section.contains("not_utf8") && section.contains("were written to throttled-lag.order-events-dlq"));
    assert!(!scenario_page(&bad_records).contains("<section id=\"bad-records\""), "it is at the top");
}

#[test]
fn quiet_groups_have_a_line_and_no_chart() {
    let (_, mut document) = sample::subjects().swap_remove(3);
    document.lag[0].samples.iter_mut().for_each(|sample| sample.messages = sample.messages.map(|_| 0));
    document.lag[1].samples.iter_mut().for_each(|sample| sample.messages = None);
    document.lag.iter_mut().for_each(|group| group.predictions.clear());
    let page = scenario_page(&document);
    assert!(page.contains("throttled-lag.inventory-consumer-group: the lag was 0 in the 235 of 243 samples in which"));
    assert!(page.contains("throttled-lag.analytics-consumer-group: the lag is unknown in 243 samples"));
    assert!(!page.contains("lag-line") || !page.contains("id=\"lag0"), "a chart without lag");
}

#[test]
fn charts_of_a_page_have_the_same_time_axis() {
    let page = scenario_page(&sample::scenario());
    let chart = |id: &str| {
        let (_, rest) = page.split_once(&format!("<title id=\"{id}-wide-title\">")).unwrap_or_else(|| panic!("{id}"));
        rest.split_once("</svg>").expect("an end").0
    };
    // Of each chart the ticks of the time axis: their place and their text.
    let ticks = |id: &str| -> Vec<(String, String)> {
        let lines = chart(id).lines().filter(|line| line.contains("text-anchor=\"middle\"") && line.contains(" s<"));
        let lines = lines.filter(|line| !line.contains("peak"));
        let part = |line: &str, from: &str, to: char| {
            line.split_once(from).and_then(|(_, rest)| rest.split_once(to)).map(|(part, _)| part.to_owned())
        };
        lines.filter_map(|line| Some((part(line, " x=\"", '"')?, part(line, ">", '<')?))).collect()
    };
    let first = ticks("lag0");
    assert!(first.len() > 5 && first[0].1 == "0 s", "{first:?}");
    for id in ["lag0seconds", "lag1", "lag1seconds", "timeline"] {
        assert_eq!(ticks(id), first, "{id}");
    }
}

#[test]
fn svg_file_is_a_whole_picture() {
    let svg = lag_svg(&sample::scenario());
    assert!(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 960 "), "{}", &svg[..200]);
    for text in ["peak 2,024", "slow killed", "prefers-color-scheme: dark", "class=\"paper\"", "predicted end"] {
        assert!(svg.contains(text), "{text}");
    }
    assert!(svg.len() < 30_000, "{} bytes", svg.len());
    assert_eq!(svg, lag_svg(&sample::scenario()));
    let mut quiet = sample::scenario();
    quiet.lag.clear();
    assert!(lag_svg(&quiet).contains("No group had lag."));
}

/// Checks the tags of an SVG file like those of a page.
fn check_svg(svg: &str) -> Result<(), TestCaseError> {
    let (head, rest) = svg.split_once("<style>").expect("a style");
    let (_, tail) = rest.split_once("</style>").expect("its end");
    let page = format!("<!doctype html><style>\n{}</style>{head}{tail}", page::STYLE);
    for tag in tags(&page).map_err(TestCaseError::fail)? {
        let is_known = ["svg", "title", "desc", "rect", "text", "g", "path", "circle"].contains(&tag.name.as_str());
        prop_assert!(is_known, "<{}>", tag.name);
        for (name, value) in &tag.attributes {
            let is_ours = value.chars().all(|c| c.is_ascii_alphanumeric() || " -_.,:/()".contains(c));
            prop_assert!(is_ours, "{}={:?}", name, value);
        }
    }
    Ok(())
}

#[test]
fn empty_sections_are_left_out() {
    let mut document = sample::scenario();
    document.steps.clear();
    document.lag.clear();
    document.events.clear();
    document.not_shown.clear();
    document.expectations.clear();
    document.verdict = ScenarioVerdict::Interrupted;
    let page = scenario_page(&document);
    for heading in [
        "Orders per minute",
        "Lag over time",
        "Before and after",
        "Rejected orders",
        "Expectations",
        "Timeline",
        "does not show",
    ] {
        assert!(!page.contains(&format!(">{heading}")), "{heading}");
    }
    let banner = page.find("This run was interrupted.").expect("a warning");
    assert!(banner < page.find("class=\"verdict").expect("a verdict"), "before the verdict");
    assert!(!scenario_page(&sample::scenario()).contains("was interrupted"));
}

#[test]
fn headings_are_nested_and_ids_are_unique() {
    for page in pages() {
        let tags = tags(&page).expect("well formed");
        let levels: Vec<_> = tags
            .iter()
            .filter(|tag| tag.name.len() == 2 && tag.name.starts_with('h') && tag.name != "hr")
            .map(|tag| tag.name[1..].parse::<u8>().expect("a level"))
            .collect();
        assert_eq!((levels[0], levels.iter().skip(1).min()), (1, Some(&2)));
        assert!(levels.windows(2).all(|pair| pair[1] <= pair[0] + 1), "{levels:?}");
        let mut ids: Vec<_> = tags.iter().filter_map(|tag| tag.attribute("id")).collect();
        let all = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), all, "{ids:?}");
        for tag in &tags {
            for target in tag.attribute("aria-labelledby").unwrap_or_default().split_whitespace() {
                assert!(ids.contains(&target), "{target}");
            }
        }
    }
}

/// The colours of text and marks on each background, in light and dark mode.
#[test]
fn contrast_meets_wcag_aa() {
    let (light, rest) = page::STYLE.split_once("@media (prefers-color-scheme: dark)").expect("two modes");
    let dark = rest.split_once("}\n}").expect("an end").0;
    for mode in [light, dark] {
        let colour = |name: &str| {
            let (_, rest) = mode.split_once(&format!("--{name}: #")).unwrap_or_else(|| panic!("--{name}"));
            let channel = |at: usize| {
                let part = f64::from(u8::from_str_radix(&rest[at..at + 2], 16).expect("hex")) / 255.0;
                if part <= 0.040_45 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
            };
            0.2126 * channel(0) + 0.7152 * channel(2) + 0.0722 * channel(4)
        };
        let contrast = |one: &str, other: &str| {
            let (one, other) = (colour(one), colour(other));
            (one.max(other) + 0.05) / (one.min(other) + 0.05)
        };
        for (text, ground) in [
            ("ink", "paper"),
            ("ink", "card"),
            ("quiet", "paper"),
            ("link", "paper"),
            ("good", "paper"),
            ("bad", "paper"),
            ("good", "good-paper"),
            ("bad", "bad-paper"),
            ("part", "part-paper"),
            ("ink", "good-paper"),
            ("ink", "bad-paper"),
            ("ink", "part-paper"),
        ] {
            assert!(contrast(text, ground) >= 4.5, "{text} on {ground}: {:.2}", contrast(text, ground));
        }
        for (mark, ground) in [
            ("reserved", "paper"),
            ("rejected", "paper"),
            ("lag", "paper"),
            ("predicted", "paper"),
            ("strong-line", "paper"),
        ] {
            assert!(contrast(mark, ground) >= 3.0, "{mark} on {ground}: {:.2}", contrast(mark, ground));
        }
    }
}

// --- text is always escaped -----------------------------------------------------------------------------------------

/// A tag of a page.
struct Tag {
    name: String,
    attributes: Vec<(String, String)>,
}

impl Tag {
    fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

/// Parses a page strictly: tags are closed in order, attributes are quoted, and text has no brackets or control
/// characters.
fn tags(page: &str) -> Result<Vec<Tag>, String> {
    let (head, rest) = page.split_once("<style>").ok_or("no style")?;
    let (style, tail) = rest.split_once("</style>").ok_or("no end of the style")?;
    if style != format!("\n{}", page::STYLE) {
        return Err("another style sheet".to_owned());
    }
    let text = format!("{}{tail}", head.strip_prefix("<!doctype html>").ok_or("no doctype")?);
    let (mut tags, mut open) = (Vec::new(), Vec::new());
    let mut rest = text.as_str();
    while let Some(at) = rest.find(['<', '>']) {
        let (before, from) = rest.split_at(at);
        let steers = |character: char| {
            character.is_control() && character != '\n' || ('\u{202a}'..='\u{202e}').contains(&character)
        };
        if before.contains(steers) {
            return Err(format!("{before:?} has control characters"));
        }
        let Some(end) = from.find('>').filter(|_| from.starts_with('<')) else {
            return Err(format!("a bracket in {before:?}"));
        };
        let (inside, after) = (&from[1..end], &from[end + 1..]);
        rest = after;
        if let Some(name) = inside.strip_prefix('/') {
            let last = open.pop();
            if last.as_deref() != Some(name) {
                return Err(format!("</{name}> closes {last:?}"));
            }
            continue;
        }
        let (inside, is_empty) = inside.strip_suffix('/').map_or((inside, false), |inside| (inside, true));
        let (name, mut given) = inside.split_once(' ').unwrap_or((inside, ""));
        let mut attributes = Vec::new();
        while !given.trim().is_empty() {
            let (attribute, value) = given.trim_start().split_once("=\"").ok_or_else(|| format!("{inside:?}"))?;
            let (value, further) = value.split_once('"').ok_or_else(|| format!("{inside:?}"))?;
            attributes.push((attribute.to_owned(), value.to_owned()));
            given = further;
        }
        if !is_empty && name != "meta" {
            open.push(name.to_owned());
        }
        tags.push(Tag { name: name.to_owned(), attributes });
    }
    if open.is_empty() { Ok(tags) } else { Err(format!("{open:?} stay open")) }
}

const NAMES: &str = "html head meta title style body header p h1 h2 h3 strong div span dl dt dd nav ul ol li a main section \
    figure figcaption svg desc path rect circle text table caption thead tbody tr th td code pre details summary footer";
const ATTRIBUTES: &str = "lang charset name content http-equiv class role aria-hidden aria-label aria-labelledby id href \
    viewBox x y width height d cx cy r text-anchor scope tabindex";

/// Checks that a page has only known tags and attributes, and no untrusted text in an attribute.
pub(super) fn check(page: &str) -> Result<(), TestCaseError> {
    let tags = tags(page).map_err(TestCaseError::fail)?;
    for tag in &tags {
        prop_assert!(NAMES.split_whitespace().any(|name| name == tag.name), "<{}>", tag.name);
        for (name, value) in &tag.attributes {
            prop_assert!(ATTRIBUTES.split_whitespace().any(|known| known == name), "<{} {}>", tag.name, name);
            let is_ours = value.chars().all(|c| c.is_ascii_alphanumeric() || " -_.,;:='/#".contains(c));
            prop_assert!(is_ours, "{}={:?}", name, value);
            prop_assert!(name != "href" || value.starts_with('#'), "{}", value);
        }
    }
    Ok(())
}

/// Hostile text.
pub(super) fn hostile() -> impl Strategy<Value = String> {
    let sharp = [
        "<script>alert(1)</script>",
        "</style><script src=//e.vil>",
        "\"><img src=x onerror=alert(1)>",
        "' onload='x",
        "&lt;b&gt;",
        "</svg></title></desc>",
        "<!--",
        "]]>",
        "{{ 7 * 7 }}",
        "javascript:alert(1)",
        "@import url(https://e.vil/x.css)",
        "\u{1b}[2J\u{1b}]8;;http://e.vil\u{7}",
        "\u{202e}txt.exe\u{202c}",
        "\0",
        "a\n\nb\tc",
        "\u{feff}",
        "",
    ];
    let sharp = prop::sample::select(sharp.to_vec()).prop_map(str::to_owned);
    prop_oneof![3 => sharp.clone(), 2 => any::<String>(), 1 => (sharp.clone(), any::<String>(), sharp).prop_map(|(a, b, c)| a + &b + &c)]
}

/// Replaces every string of a document by hostile text, except field names and enum values.
fn poisoned(value: &Value, words: &mut dyn FnMut() -> String, is_data: bool) -> Value {
    const KEPT: [&str; 8] = ["schema", "verdict", "kind", "ended_by", "cause", "subject", "anomaly", "state"];
    const TYPED: [&str; 3] = ["digest", "reserved_revenue", "started"];
    match value {
        Value::String(_) => Value::String(words()),
        Value::Array(values) => values.iter().map(|value| poisoned(value, words, is_data)).collect(),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| {
                if KEPT.contains(&name.as_str()) || TYPED.contains(&name.as_str()) && value.is_string() {
                    return (name.clone(), value.clone());
                }
                let is_named_by_data = name == "orders_by_minute" || name == "rejected_by_reason";
                let name = if is_data { words() } else { name.clone() };
                (name, poisoned(value, words, is_named_by_data))
            })
            .collect(),
        other => other.clone(),
    }
}

pub(super) fn poison<T: serde::Serialize + serde::de::DeserializeOwned>(document: &T, texts: &[String]) -> T {
    let mut next = texts.iter().cycle();
    let mut words = || next.next().cloned().unwrap_or_default();
    let value = serde_json::to_value(document).expect("serializes");
    serde_json::from_value(poisoned(&value, &mut words, false)).expect("is a document still")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn hostile_text_anywhere_stays_text(texts in prop::collection::vec(hostile(), 1..24)) {
        let mut run = small();
        run.steps.push(sample::scenario().steps.pop().expect("a replay"));
        let (_, bad_records) = sample::subjects().swap_remove(1);
        let shown = scenario_page(&poison(&bad_records, &texts));
        check(&shown)?;
        prop_assert!(shown.contains("Bad records by reason"));
        run.verdict = ScenarioVerdict::Interrupted;
        let run = poison(&run, &texts);
        prop_assert!(run.steps.last().and_then(|step| step.document.clone()).is_some());
        let page = scenario_page(&run);
        prop_assert!(page.contains("Before and after the replay"), "hostile names do not remove sections");
        check(&page)?;
        check_svg(&lag_svg(&run))?;
        let text = |index: usize| texts[index % texts.len()].clone();
        let facts = CommandFacts {
            command: text(0), group: text(1), broker: text(2), version: text(3), librdkafka: text(4), started: text(5),
        };
        check(&replay_page(&poison(&sample::replay(false), &texts), &facts))?;
        check(&lag_page(&poison(&sample::lag()[..1].to_vec(), &texts), &poison(&sample::events(), &texts), 9.0, &facts))?;
    }

    #[test]
    fn unusual_numbers_render(
        at in prop::collection::vec(any::<f64>(), 1..30), messages: Option<i64>, seen in any::<f64>(), elapsed: f64,
    ) {
        let mut run = small();
        run.elapsed_seconds = elapsed;
        run.lag[0].samples = at.iter().map(|at| LagSample { at_seconds: *at, messages, seconds: Some(-*at), partitions: vec![] }).collect();
        for (event, at) in run.events.iter_mut().zip(&at) {
            event.at_seconds = *at;
        }
        run.lag[0].predictions[0].drained_at_seconds = seen;
        run.expectations.push(ExpectationOutcome { seen: json!(seen), ..run.expectations[0].clone() });
        check(&scenario_page(&run))?;
        check_svg(&lag_svg(&run))?;
        check(&lag_page(&run.lag, &run.events, elapsed, &facts()))?;
    }
}

#[test]
fn check_detects_planted_mistakes() {
    let page = scenario_page(&small());
    assert!(check(&page).is_ok());
    for planted in
        ["<script>", "<img src=x>", "a < b", "\u{1b}[2J<b></b>", "<p onclick=\"x\"></p>", "<p>", "<a href=\"x\"></a>"]
    {
        let page = page.replacen("<h1>", &format!("{planted}<h1>"), 1);
        assert!(check(&page).is_err(), "{planted}");
    }
}
