//! The live screen of `lag --watch`: the groups with their trend, then the partitions with the most lag.

use std::time::Duration;

use super::lag::{lag_group_name, trend};
use super::lag_partitions::{number, remark, time};
use super::text_table::whole;
use crate::frame::{Age, Cell, Column, Frame, Kind, Rest, Row, Table, Text};
use crate::lag::{GroupKind, GroupLag, PartitionLag};
use crate::printable::printable;
use crate::units::{counted, duration, grouped};

/// The groups of a watch that takes a sample `every` so often. Their numbers are stale once they have this age.
pub(crate) fn lag_frame(groups: &[GroupLag], every: Duration, stale_after: Duration) -> Frame {
    let sum = groups.iter().filter_map(|group| group.messages).fold(0i64, i64::saturating_add);
    let messages = counted(sum, "message");
    Frame {
        title: title(groups, every),
        totals: vec![group_table(groups)],
        sum: Text::new(format!("{}: {messages}", counted(groups.len() as u64, "group")))
            .or(messages)
            .or(grouped(sum))
            .or(sum.to_string()),
        tables: vec![partition_table(groups)],
        age: Some(Age { at_first: Duration::ZERO, limit: stale_after }),
    }
}

fn title(groups: &[GroupLag], every: Duration) -> Text {
    let at = groups.first().map_or("", |group| group.at.as_str());
    let (date, time) = at.split_once('T').unwrap_or(("", at));
    let time = time.split('.').next().unwrap_or_default();
    let long = format!("Lag at {date} {time} UTC");
    Text::new(format!("{long}, a sample every {}", duration(every))).or(long).or(format!("Lag at {time}")).or("Lag")
}

fn group_table(groups: &[GroupLag]) -> Table {
    let columns = vec![
        Column::new("group", Kind::Name, 1),
        Column::new("lag", Kind::Number, 0),
        Column::new("behind", Kind::Number, 3),
        Column::new("trend", Kind::Note, 2),
        Column::new("produced/s", Kind::Number, 5),
        Column::new("consumed/s", Kind::Number, 6),
        Column::new("state", Kind::Note, 7),
        Column::new("members", Kind::Number, 8),
        Column::new("", Kind::Note, 4),
    ];
    let rows = groups.iter().map(|group| {
        let cells = [
            lag_group_name(group),
            count(group.messages),
            group.seconds.map_or_else(String::new, time),
            trend(group).unwrap_or_default(),
            group.produced_per_second.map_or_else(String::new, whole),
            group.consumed_per_second.map_or_else(String::new, whole),
            printable(&group.state).into_owned(),
            group.members.to_string(),
            group_remark(group),
        ];
        Row { cells: cells.into_iter().map(Cell::from).collect(), rank: rank(group.messages), amount: group.messages }
    });
    Table { columns, rows: rows.collect(), rest: Rest { which: "more", noun: "group", unit: Some("message") } }
}

fn group_remark(group: &GroupLag) -> String {
    if group.kind == Some(GroupKind::Share) {
        return "a share group, which commits no offsets".to_owned();
    }
    if group.partitions.is_empty() {
        // As `GroupSample::exists`.
        let exists = group.state != "Dead" || group.members > 0;
        return if exists { "no offsets visible" } else { "does not exist" }.to_owned();
    }
    let unknown = group.without_number as u64;
    let unknown = (unknown > 0).then(|| format!("{} unknown", counted(unknown, "partition")));
    let lost = group.lost.filter(|lost| *lost > 0).map(|lost| format!("lost {}", counted(lost, "offset")));
    unknown.into_iter().chain(lost).collect::<Vec<_>>().join(", ")
}

fn partition_table(groups: &[GroupLag]) -> Table {
    let columns = vec![
        Column::new("group", Kind::Name, 4),
        Column::new("topic", Kind::Name, 2),
        Column::new("partition", Kind::Number, 1),
        Column::new("lag", Kind::Number, 0),
        Column::new("behind", Kind::Number, 3),
        Column::new("committed", Kind::Number, 6),
        Column::new("end", Kind::Number, 7),
        Column::new("lost", Kind::Number, 8),
        Column::new("", Kind::Note, 5),
    ];
    let rows = groups.iter().flat_map(|group| {
        // The only group is named once.
        let name = if groups.len() > 1 { lag_group_name(group) } else { String::new() };
        group.partitions.iter().map(move |partition| row(&name, partition))
    });
    Table { columns, rows: rows.collect(), rest: Rest { which: "more", noun: "partition", unit: Some("message") } }
}

fn row(group: &str, partition: &PartitionLag) -> Row {
    let cells = [
        group.to_owned(),
        printable(&partition.topic).into_owned(),
        partition.partition.to_string(),
        if partition.beyond_end { "beyond".to_owned() } else { count(partition.messages) },
        partition.seconds.map_or_else(String::new, time),
        number(partition.committed),
        number(partition.end),
        partition.lost.filter(|lost| *lost > 0).map_or_else(String::new, grouped),
        remark(partition),
    ];
    Row {
        cells: cells.into_iter().map(Cell::from).collect(),
        rank: rank(partition.messages),
        amount: partition.messages,
    }
}

/// Known lag comes first, the most before less, then unknown lag, then none.
fn rank(messages: Option<i64>) -> i64 {
    match messages {
        Some(0) => -1,
        Some(messages) => messages,
        None => 0,
    }
}

fn count(messages: Option<i64>) -> String {
    messages.map_or_else(|| "-".to_owned(), grouped)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Size, Surroundings, fit};
    use crate::lag::{GroupSample, Isolation, LogBounds, NextRecord, PartitionSample, RateWindow};

    fn groups(partitions: i32) -> Vec<GroupLag> {
        let group = |name: &str, reads: i64| {
            let mut window = RateWindow::default();
            let mut last = None;
            for second in 0..10 {
                let partition = |number: i32| {
                    let end = 1_000 + second * 100;
                    let committed =
                        if number == 2 { None } else { Some(end - i64::from(number) * 10 - second * reads) };
                    PartitionSample {
                        topic: "lab1.order-events".to_owned(),
                        partition: number,
                        committed,
                        bounds: Some(LogBounds { log_start: 0, last_stable: end, high_watermark: end }),
                        next: NextRecord::Timestamp(second * 1000 - 3_200),
                        owner: None,
                    }
                };
                let sample = GroupSample {
                    group: name.to_owned(),
                    state: "Stable".to_owned(),
                    members: 1,
                    kind: None,
                    isolation: Isolation::ReadCommitted,
                    at_millis: 1_764_500_000_000 + second * 1000,
                    partitions: (0..partitions).map(partition).collect(),
                };
                window.push(&sample);
                last = Some(GroupLag::of(&sample, window.rates()));
            }
            last.expect("a sample")
        };
        vec![group("lab1.inventory-consumer-group", 50), group("lab1.analytics-consumer-group", 0)]
    }

    fn shown(groups: &[GroupLag], rows: usize, columns: usize) -> String {
        let frame = lag_frame(groups, Duration::from_secs(1), Duration::from_secs(3));
        let around = Surroundings { footer: Text::new("footer"), ..Surroundings::default() };
        let lines = fit(&frame, &around, Size { rows, columns });
        lines.into_iter().map(|line| line.text).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn narrow_screens_show_what_matters() {
        let wide = shown(&groups(4), 24, 120);
        assert!(wide.contains("growing") && !wide.contains("draining"), "{wide}");
        assert!(wide.contains("lab1.inventory-consumer-group") && wide.contains("no commit"), "{wide}");
        assert!(shown(&groups(20), 24, 80).contains(" more partitions: "));
        let narrow = shown(&groups(4), 12, 40);
        assert!(narrow.contains("lab1.inv"), "{narrow}");
        assert!(!narrow.contains("committed"), "{narrow}");
        assert!(shown(&groups(4), 3, 10).ends_with("\nfooter"));
    }

    #[test]
    fn unknown_lag_comes_after_lag_and_before_none() {
        let mut ranks = [None, Some(0), Some(1), Some(700)];
        ranks.sort_by_key(|messages| std::cmp::Reverse(rank(*messages)));
        assert_eq!(ranks, [Some(700), Some(1), None, Some(0)]);
    }

    #[test]
    fn missing_group_has_a_remark() {
        let mut groups = groups(1);
        groups[0].partitions.clear();
        groups[0].members = 0;
        assert!(shown(&groups, 24, 160).contains("no offsets visible"));
        groups[0].state = "Dead".to_owned();
        assert!(shown(&groups, 24, 160).contains("does not exist"));
    }

    #[test]
    fn names_are_escaped() {
        let mut groups = groups(1);
        groups[0].group = "a\u{1b}[31m\n".to_owned();
        groups[0].state = "\u{9b}".to_owned();
        groups[0].partitions[0].topic = "\u{1b}[2J".to_owned();
        let text = shown(&groups, 24, 160);
        assert!(text.contains(r"a\u{1b}[31m\n") && text.contains(r"\u{1b}[2J"), "{text}");
        assert!(!text.chars().any(|character| character.is_control() && character != '\n'), "{text:?}");
    }
}
