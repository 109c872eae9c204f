//! What is shown at each size.

use proptest::prelude::*;

use super::width::width;
use super::*;

const FOOTER: &str = "q or Ctrl-C ends";

fn around(footer: &str) -> Surroundings {
    Surroundings { footer: Text::new(footer).or("q: end"), ..Surroundings::default() }
}

/// A group of a total and rows that have a name, two numbers and a remark.
fn frame(totals: &[(&str, i64)], rows: &[(&str, i64)]) -> Frame {
    let table = |rows: &[(&str, i64)], noun| Table {
        columns: vec![
            Column::new("name", Kind::Name, 1),
            Column::new("lag", Kind::Number, 0),
            Column::new("end", Kind::Number, 3),
            Column::new("", Kind::Chart, 4),
            Column::new("remark", Kind::Note, 2),
        ],
        rows: rows
            .iter()
            .map(|(name, lag)| Row {
                cells: vec![
                    Cell::Text((*name).to_owned()),
                    Cell::Text(units::grouped(*lag)),
                    Cell::Text(units::grouped(lag.saturating_mul(7))),
                    Cell::Span { from: 0.25, to: 0.5, fill: '#' },
                    Cell::Text("committed beyond the end".to_owned()),
                ],
                rank: *lag,
                amount: Some(*lag),
            })
            .collect(),
        rest: Rest { which: "more", noun, unit: Some("message") },
    };
    let sum = totals.iter().fold(0i64, |sum, (_, lag)| sum.saturating_add(*lag));
    Frame {
        title: Text::new("A title with many words").or("A title"),
        totals: vec![table(totals, "group")],
        sum: Text::new(format!("sum {}", units::grouped(sum))).or(sum.to_string()),
        tables: vec![table(rows, "partition")],
        age: Some(Age { at_first: Duration::ZERO, limit: Duration::from_secs(5) }),
    }
}

fn shown(frame: &Frame, around: &Surroundings, rows: usize, columns: usize) -> String {
    let lines = fit(frame, around, Size { rows, columns });
    assert_eq!(lines.len(), rows);
    lines.into_iter().map(|line| line.text).collect::<Vec<_>>().join("\n")
}

fn example() -> Frame {
    let names = ["orders-0", "orders-1", "orders-2", "orders-3", "orders-4", "orders-5", "orders-6", "orders-7"];
    let rows: Vec<(&str, i64)> = names.into_iter().zip([0, 1_200, 7, 90, 12, 3_400, 0, 5]).collect();
    frame(&[("inventory-consumer-group", 4_714), ("analytics-consumer-group", 0)], &rows)
}

#[test]
fn wide_screen_shows_everything() {
    let text = shown(&example(), &around(FOOTER), 18, 100);
    assert!(text.starts_with("A title with many words\n"), "{text}");
    for part in ["inventory-consumer-group", "orders-7", "committed beyond the end", "[  "] {
        assert!(text.contains(part), "{part:?} in {text}");
    }
    assert!(!text.contains("and "), "{text}");
}

#[test]
fn narrow_screen_drops_columns() {
    let text = shown(&example(), &around(FOOTER), 12, 40);
    assert!(text.contains("4,714") && text.contains("remark") && !text.contains('['), "{text}");
}

#[test]
fn rows_that_do_not_fit_are_summed_up() {
    let text = shown(&example(), &around(FOOTER), 9, 60);
    assert!(text.contains("orders-5") && text.contains("orders-1") && !text.contains("orders-2"), "{text}");
    assert!(text.contains("and 6 more partitions: 114 messages"), "{text}");
}

#[test]
fn smallest_screen_shows_sum_and_footer() {
    assert_eq!(shown(&example(), &around(FOOTER), 3, 10), "A title\nsum 4,714\nq: end");
    assert_eq!(shown(&example(), &around(FOOTER), 2, 20), "sum 4,714\nq or Ctrl-C ends");
    assert_eq!(shown(&example(), &around(FOOTER), 1, 20), "sum 4,714");
}

#[test]
fn stale_numbers_are_marked_with_their_age() {
    let after = |seconds| Surroundings { elapsed: Duration::from_secs(seconds), ..around(FOOTER) };
    assert!(!shown(&example(), &after(4), 12, 80).contains("stale"));
    for (seconds, age) in [(5, "5 s"), (61, "61 s"), (200, "3 min 20 s")] {
        let wide = shown(&example(), &after(seconds), 12, 80);
        assert!(wide.contains(&format!("\nstale: no answer from the cluster for {age}\n")), "{wide}");
    }
    let small = shown(&example(), &after(5), 3, 10);
    assert_eq!(small, "stale 5 s\nsum 4,714\nq: end");
    let lines = fit(&example(), &after(5), Size { rows: 12, columns: 80 });
    assert_eq!(lines.iter().filter(|line| line.tone == Tone::Alert).count(), 1);
}

#[test]
fn last_message_is_above_the_footer() {
    let with = Surroundings { message: Some("warning: something\u{1b}[31m".to_owned()), ..around(FOOTER) };
    let text = shown(&example(), &with, 12, 60);
    assert!(text.ends_with("\nwarning: something\\u{1b}[31m\nq or Ctrl-C ends"), "{text}");
    assert!(!shown(&example(), &with, 5, 60).contains("warning"));
}

#[test]
fn names_are_shortened_in_the_middle_and_numbers_never() {
    assert_eq!(width::shorten("lab1.inventory-consumer-group", 16), "lab1.inv…r-group");
    assert_eq!(width::clip("and 44 more partitions: 1,200 messages", 27), "and 44 more partitions:…");
    assert_eq!(width::clip("and 44 more partitions: 1,200 messages", 31), "and 44 more partitions: 1,200…");
    // Both characters are two columns wide.
    assert_eq!(width::shorten("表表表表表", 7), "表表…表");
    assert_eq!(width::clip("e\u{301}e\u{301}e\u{301}", 2), "e\u{301}…");
    let wide = frame(&[("a", 123_456_789_012)], &[]);
    assert!(shown(&wide, &around(FOOTER), 4, 12).contains("123456789012"));
    assert!(shown(&wide, &around(FOOTER), 4, 8).contains("########"));
}

#[test]
fn charts_have_the_width_that_is_left() {
    let table = Table {
        columns: vec![Column::new("group", Kind::Name, 1), Column::new("", Kind::Chart, 2)],
        rows: vec![Row {
            cells: vec![
                Cell::Text("inventory".to_owned()),
                Cell::Series(vec![None, Some(0), Some(350), Some(700), Some(1)]),
            ],
            rank: 0,
            amount: None,
        }],
        rest: Rest::default(),
    };
    let row = |columns| table.lines(2, columns)[1].text.clone();
    assert_eq!(row(24), "inventory  [ ▁▄█▁      ]");
    assert_eq!(row(21), "inventory  [ ▁▄█▁   ]");
    assert_eq!(row(20), "inventory", "a chart needs ten columns");
    assert_eq!(width(&row(200)), 2 + 9 + 2 + 34);
}

fn names() -> impl Strategy<Value = String> {
    proptest::string::string_regex("[a-z0-9.表🍕e\u{301}\u{1b}\u{202e}-]{0,40}").expect("a pattern")
}

proptest! {
    #[test]
    fn never_more_than_the_terminal_has(
        totals in proptest::collection::vec((names(), 0..i64::MAX / 100), 1..12),
        rows in proptest::collection::vec((names(), 0..i64::MAX / 100), 0..70),
        height in 2usize..60,
        columns in 1usize..160,
        elapsed in 0u64..10_000,
        message in proptest::option::of(names()),
    ) {
        let of = |rows: &[(String, i64)]| rows.iter().map(|(name, lag)| (name.clone(), *lag)).collect::<Vec<_>>();
        let (totals, rows) = (of(&totals), of(&rows));
        let totals: Vec<(&str, i64)> = totals.iter().map(|(name, lag)| (name.as_str(), *lag)).collect();
        let rows: Vec<(&str, i64)> = rows.iter().map(|(name, lag)| (name.as_str(), *lag)).collect();
        let around = Surroundings { message, elapsed: Duration::from_secs(elapsed), ..around(FOOTER) };
        let frame = frame(&totals, &rows);
        let lines = fit(&frame, &around, Size { rows: height, columns });
        prop_assert_eq!(lines.len(), height);
        for line in &lines {
            prop_assert!(width(&line.text) <= columns, "{:?}", line.text);
            prop_assert!(!line.text.chars().any(char::is_control), "{:?}", line.text);
        }
        if columns >= 10 {
            let footer = if columns >= 16 { FOOTER } else { "q: end" };
            prop_assert_eq!(lines.last().map(|line| line.text.as_str()), Some(footer));
            // Either all totals, or their sum.
            let sum = frame.sum.fit(columns);
            let headings = lines.iter().filter(|line| line.tone == Tone::Heading).count();
            prop_assert!(headings > 0 || lines.iter().any(|line| line.text == sum), "{:?}", lines);
            let is_stale = lines.iter().any(|line| line.tone == Tone::Alert);
            prop_assert_eq!(is_stale, elapsed >= 5 && height > 2);
        }
    }

    #[test]
    fn shortening_keeps_the_width(name in names(), columns in 0usize..50) {
        for short in [width::shorten(&name, columns), width::clip(&name, columns)] {
            prop_assert!(width(&short) <= columns);
            prop_assert_eq!(short == name, width(&name) <= columns);
        }
    }
}
