//! Owns the text of lag: a group with its partitions, the same as a picture that is redrawn, and a line per look of a watch.

use std::cmp::Reverse;
use std::fmt::{self, Write};
use std::time::Duration;

use super::text_table::{Align, TextTable};
use crate::lag::{GroupKind, GroupLag, Isolation, PartitionLag, Trend};
use crate::printable::printable;

/// Lines of a picture: more would not fit on every terminal, and what does not fit cannot be redrawn.
const PICTURED: usize = 23;

/// Lines of a group in a picture beside its rows: name, lag, what was lost, pace, heading, how many rows are left out, and
/// the blank line between two groups.
const AROUND_ROWS: usize = 7;

/// Groups with all of their partitions.
#[must_use]
pub fn lag_report(groups: &[GroupLag]) -> String {
    let texts: Vec<String> = groups.iter().map(|group| group_text(group, usize::MAX)).collect();
    texts.join("\n")
}

/// The same in as many lines as a terminal has: of many partitions those with the most lag.
#[must_use]
pub fn lag_live_text(groups: &[GroupLag]) -> String {
    let rows = (PICTURED / groups.len().max(1)).saturating_sub(AROUND_ROWS).max(2);
    let at = groups.first().map_or("", |group| group.at.as_str());
    let texts: Vec<String> = groups.iter().map(|group| group_text(group, rows)).collect();
    format!("{at}\n{}", texts.join("\n"))
}

/// A group in one line, for a log.
#[must_use]
pub fn lag_line(group: &GroupLag) -> String {
    let mut line = format!("{} {}: {}", group.at, printable(&group.group), total(group));
    if let Some(pace) = pace(group) {
        // A string takes every text.
        write!(line, ", {pace}").unwrap_or_default();
    }
    line
}

/// What waits, in words: `1200 messages, 3.2 s behind`.
#[must_use]
pub fn lag_total(group: &GroupLag) -> String {
    total(group)
}

fn group_text(group: &GroupLag, rows: usize) -> String {
    let mut out = String::new();
    // A string takes every text.
    write_group(&mut out, group, rows).unwrap_or_default();
    out
}

fn write_group(out: &mut String, group: &GroupLag, rows: usize) -> fmt::Result {
    let members = match group.members {
        0 => "no members".to_owned(),
        1 => "1 member".to_owned(),
        members => format!("{members} members"),
    };
    if group.kind == Some(GroupKind::Share) {
        return writeln!(out, "Group: {}, a share group, which commits no offsets", printable(&group.group));
    }
    writeln!(out, "Group: {}, {}, {members}", printable(&group.group), printable(&group.state))?;
    let end = match group.isolation {
        Isolation::ReadCommitted => "to the last stable offset",
        Isolation::ReadUncommitted => "to the high watermark",
    };
    match group.messages {
        Some(_) => writeln!(out, "Lag: {} ({end})", total(group))?,
        None => writeln!(out, "Lag: {}", total(group))?,
    }
    if let Some(lost) = group.lost.filter(|lost| *lost > 0) {
        writeln!(out, "Lost: {lost} offsets were deleted before they were read")?;
    }
    if let Some(pace) = pace(group) {
        writeln!(out, "Pace: {pace}")?;
    }
    if group.partitions.is_empty() {
        return Ok(());
    }
    let shown = most_lagging(&group.partitions, rows);
    let columns = ["partition", "committed", "end", "lag", "seconds", "lost"].map(|name| (name, Align::Right));
    let [partition, committed, end, lag, seconds, lost] = columns;
    let mut table =
        TextTable::new([("topic", Align::Left), partition, committed, end, lag, seconds, lost, ("", Align::Left)]);
    for row in &shown {
        table.row([
            printable(&row.topic).into(),
            row.partition.to_string(),
            number(row.committed),
            number(row.end),
            if row.beyond_end { "beyond".to_owned() } else { number(row.messages) },
            row.seconds.map_or_else(|| "-".to_owned(), |seconds| format!("{seconds:.1}")),
            number(row.lost),
            remark(row),
        ]);
    }
    write!(out, "{table}")?;
    match group.partitions.len() - shown.len() {
        0 => Ok(()),
        more => writeln!(out, "  and {more} more partitions with less lag"),
    }
}

/// As many rows as there is room for, in their order: those whose lag is no number or large come before the others.
fn most_lagging(rows: &[PartitionLag], room: usize) -> Vec<&PartitionLag> {
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by_key(|&index| (rows[index].messages.is_some(), Reverse(rows[index].messages)));
    order.truncate(room);
    order.sort_unstable();
    order.into_iter().map(|index| &rows[index]).collect()
}

fn total(group: &GroupLag) -> String {
    let without = match group.without_number {
        0 => String::new(),
        1 => ", 1 partition without a number".to_owned(),
        count => format!(", {count} partitions without a number"),
    };
    let messages = match group.messages {
        None if group.kind.is_some() => return "a share group, which commits no offsets".to_owned(),
        None if group.partitions.is_empty() => return "no offsets to be seen".to_owned(),
        None => return format!("not known{without}"),
        Some(1) => "1 message".to_owned(),
        Some(messages) => format!("{messages} messages"),
    };
    let behind = group.seconds.map_or_else(String::new, |seconds| format!(", {seconds:.1} s behind"));
    format!("{messages}{behind}{without}")
}

fn pace(group: &GroupLag) -> Option<String> {
    let (produced, consumed) = (group.produced_per_second?, group.consumed_per_second?);
    let trend = match (group.trend?, group.drain_seconds) {
        (Trend::CaughtUp, _) => "caught up".to_owned(),
        (Trend::Growing, _) => "growing".to_owned(),
        (Trend::Steady, _) => "standing".to_owned(),
        (Trend::Draining, None) => "draining".to_owned(),
        (Trend::Draining, Some(seconds)) => format!("drained in {}", in_words(seconds)),
    };
    Some(format!("{produced:.0}/s written, {consumed:.0}/s read, {trend}"))
}

/// A duration without more digits than it deserves.
fn in_words(seconds: f64) -> String {
    let Ok(duration) = Duration::try_from_secs_f64(seconds.clamp(0.0, 1e12)) else { return format!("{seconds:.0} s") };
    if duration < Duration::from_secs(10) {
        return format!("{seconds:.1} s");
    }
    humantime::format_duration(Duration::from_secs(duration.as_secs())).to_string()
}

fn number(value: Option<i64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

fn remark(row: &PartitionLag) -> String {
    if row.high_watermark.is_none() {
        return "there is no such partition".to_owned();
    }
    if row.committed.is_none() {
        return "no commit".to_owned();
    }
    if row.beyond_end {
        return "committed beyond the end".to_owned();
    }
    let open = match (row.last_stable_offset, row.high_watermark) {
        (Some(stable), Some(high)) if stable < high => {
            Some(format!("{} behind an open transaction", high.saturating_sub(stable)))
        }
        _ => None,
    };
    let ahead = row.ahead_seconds.map(|seconds| format!("timestamp {} in the future", in_words(seconds)));
    open.into_iter().chain(ahead).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lag::{GroupSample, LogBounds, NextRecord, PartitionSample, RateWindow};

    fn seen(topic: &str, number: i32, committed: Option<i64>, ends: [i64; 3], next: NextRecord) -> PartitionSample {
        let [log_start, last_stable, high_watermark] = ends;
        PartitionSample {
            topic: topic.to_owned(),
            partition: number,
            committed,
            bounds: Some(LogBounds { log_start, last_stable, high_watermark }),
            next,
            owner: None,
        }
    }

    fn sample(at_millis: i64, partitions: Vec<PartitionSample>) -> GroupSample {
        GroupSample {
            group: "readers".to_owned(),
            state: "Stable".to_owned(),
            members: 1,
            kind: None,
            isolation: Isolation::ReadCommitted,
            at_millis,
            partitions,
        }
    }

    #[test]
    fn every_kind_of_partition_has_its_words() {
        let mut partitions = vec![
            seen("orders", 0, Some(9), [0, 9, 9], NextRecord::Unknown),
            seen("orders", 1, Some(3), [5, 9, 12], NextRecord::Timestamp(40_000)),
            seen("orders", 2, None, [0, 9, 9], NextRecord::Unknown),
            seen("orders", 3, Some(11), [0, 9, 9], NextRecord::Unknown),
            seen("orders", 4, Some(7), [0, 9, 9], NextRecord::Unknown),
            seen("orders", 5, Some(7), [0, 9, 9], NextRecord::Unknown),
        ];
        partitions[5].bounds = None;
        partitions.push(seen("orders", 6, Some(8), [0, 9, 9], NextRecord::Timestamp(3_642_500)));
        let group = GroupLag::of(&sample(42_500, partitions), None);
        insta::assert_snapshot!(lag_report(&[group]), @r"
        Group: readers, Stable, 1 member
        Lag: 9 messages, 3 partitions without a number (to the last stable offset)
        Lost: 2 offsets were deleted before they were read
          topic   partition  committed  end     lag  seconds  lost
          orders          0          9    9       0      0.0     0
          orders          1          3    9       6      2.5     2  3 behind an open transaction
          orders          2          -    9       -        -     -  no commit
          orders          3         11    9  beyond        -     0  committed beyond the end
          orders          4          7    9       2        -     0
          orders          5          7    -       -        -     -  there is no such partition
          orders          6          8    9       1        -     0  timestamp 1h in the future
        ");
        let share = GroupSample { kind: Some(GroupKind::Share), ..sample(0, vec![]) };
        let share = GroupLag::of(&share, None);
        assert_eq!(
            lag_report(std::slice::from_ref(&share)),
            "Group: readers, a share group, which commits no offsets\n"
        );
        assert!(lag_line(&share).ends_with("readers: a share group, which commits no offsets"));
    }

    #[test]
    fn without_a_commit_no_number_is_told() {
        let text = |partitions| lag_total(&GroupLag::of(&sample(0, partitions), None));
        assert_eq!(text(vec![]), "no offsets to be seen");
        assert_eq!(
            text(vec![seen("orders", 0, None, [0, 9, 9], NextRecord::Unknown)]),
            "not known, 1 partition without a number"
        );
    }

    #[test]
    fn a_watch_says_where_it_leads() {
        let mut history = RateWindow::default();
        let mut look = |at, committed, end| {
            let sample = sample(at, vec![seen("orders", 0, Some(committed), [0, end, end], NextRecord::Timestamp(0))]);
            history.push(&sample);
            lag_line(&GroupLag::of(&sample, history.pace()))
        };
        let lines = [look(1_000, 0, 500), look(2_000, 10, 600), look(3_000, 600, 700), look(4_000, 800, 800)];
        insta::assert_snapshot!(lines.join("\n"), @r"
        1970-01-01T00:00:01.000Z readers: 500 messages, 1.0 s behind
        1970-01-01T00:00:02.000Z readers: 590 messages, 2.0 s behind, 100/s written, 10/s read, growing
        1970-01-01T00:00:03.000Z readers: 100 messages, 3.0 s behind, 100/s written, 300/s read, drained in 0.5 s
        1970-01-01T00:00:04.000Z readers: 0 messages, 0.0 s behind, 100/s written, 267/s read, caught up
        ");
        assert_eq!(in_words(3_725.4), "1h 2m 5s");
        assert!(!in_words(f64::MAX).is_empty());
    }

    #[test]
    fn a_picture_fits_on_a_terminal_and_keeps_what_lags_most() {
        let partitions: Vec<PartitionSample> = (0..60)
            .map(|number| seen("orders", number, Some(0), [0, i64::from(number) * 10, 1_000], NextRecord::Unknown))
            .collect();
        let mut group = GroupLag::of(&sample(0, partitions), None);
        let picture = lag_live_text(std::slice::from_ref(&group));
        assert!(picture.lines().count() <= 23, "{picture}");
        assert!(picture.contains("orders         59") && !picture.contains("orders         12"), "{picture}");
        assert!(picture.ends_with("and 44 more partitions with less lag\n"), "{picture}");
        assert!(lag_live_text(&[group.clone(), group.clone()]).lines().count() <= 23);
        group.partitions.truncate(16);
        assert!(!lag_live_text(&[group]).contains("more partitions"));
    }

    #[test]
    fn no_name_of_the_cluster_steers_a_terminal() {
        let mut group =
            GroupLag::of(&sample(0, vec![seen("\u{1b}[2J", 0, None, [0, 0, 0], NextRecord::Unknown)]), None);
        group.group = "a\u{1b}[31m\n".to_owned();
        group.state = "\u{9b}".to_owned();
        for text in [lag_report(std::slice::from_ref(&group)), lag_line(&group), lag_live_text(&[group])] {
            assert!(!text.chars().any(|character| character.is_control() && character != '\n'), "{text:?}");
        }
    }
}
