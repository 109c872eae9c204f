//! Text reports of `lag --all-groups`: a line for each group, those with the most lag first, and a line over all.

use std::cmp::Reverse;
use std::fmt::{self, Write};

use super::Detail;
use super::lag::{group_text, lag_group_name, lag_line, lag_total};
use super::lag_partitions::time;
use super::text_table::{Align, TextTable};
use crate::lag::{GroupKind, GroupLag};
use crate::printable::printable;
use crate::units::{counted, grouped};

/// The rows of a table that groups without lag may fill.
const ROWS: usize = 16;

/// All groups. In a [`Detail::Summary`], most groups without lag are only counted; otherwise each group has its partitions.
#[must_use]
pub fn lag_groups_report(groups: &[GroupLag], detail: Detail) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    write_report(&mut out, groups, detail).unwrap_or_default();
    out
}

fn write_report(out: &mut String, groups: &[GroupLag], detail: Detail) -> fmt::Result {
    let sorted = by_lag(groups);
    if detail == Detail::Full {
        for group in sorted {
            writeln!(out, "{}", group_text(group, None))?;
        }
    } else {
        let with_lag = groups.iter().filter(|group| !is_without_lag(group)).count();
        let shown = with_lag.max(ROWS).min(groups.len());
        write_table(out, &sorted[..shown])?;
        if shown < groups.len() {
            writeln!(out, "  and {} without lag; --full shows them", more(groups.len() - shown))?;
        }
    }
    writeln!(out, "{}", over_all(groups))
}

/// A line for each group with lag or unknown lag, and one over all.
#[must_use]
pub fn lag_groups_lines(groups: &[GroupLag]) -> String {
    let mut lines: String = by_lag(groups)
        .into_iter()
        .filter(|group| !is_without_lag(group) && group.kind.is_none())
        .map(|group| lag_line(group) + "\n")
        .collect();
    let at = groups.first().map_or("", |group| group.at.as_str());
    // Writing to a string cannot fail.
    writeln!(lines, "{at} {}", over_all(groups)).unwrap_or_default();
    lines
}

/// Groups with lag, the most first, then those whose lag is unknown, then those without lag.
pub(crate) fn sort_by_lag(groups: &mut [GroupLag]) {
    groups.sort_by(|left, right| place(left).cmp(&place(right)));
}

fn by_lag(groups: &[GroupLag]) -> Vec<&GroupLag> {
    let mut sorted: Vec<&GroupLag> = groups.iter().collect();
    sorted.sort_by_key(|group| place(group));
    sorted
}

fn place(group: &GroupLag) -> (u8, Reverse<Option<i64>>, &str) {
    let rank = match group.messages {
        _ if is_without_lag(group) => 2,
        Some(1..) => 0,
        _ => 1,
    };
    (rank, Reverse(group.messages), &group.group)
}

/// Whether the lag is 0 on every partition. On a partition without a number it is unknown.
fn is_without_lag(group: &GroupLag) -> bool {
    group.messages == Some(0) && group.without_number == 0
}

fn write_table(out: &mut String, groups: &[&GroupLag]) -> fmt::Result {
    if groups.is_empty() {
        return Ok(());
    }
    let [members, lag, behind, lost] = ["members", "lag", "behind", "lost"].map(|name| (name, Align::Right));
    let names = [("group", Align::Left), ("state", Align::Left)];
    let mut table = TextTable::new([names[0], names[1], members, lag, behind, lost, ("", Align::Left)]);
    for group in groups {
        let number = |number: Option<i64>| number.map_or_else(|| "-".to_owned(), grouped);
        table.row([
            // Old clients may have committed offsets for a group with an empty name.
            lag_group_name(group),
            printable(&group.state).into_owned(),
            if group.kind.is_some() { "-".to_owned() } else { grouped(group.members as u64) },
            number(group.messages),
            group.seconds.map_or_else(|| "-".to_owned(), time),
            number(group.lost),
            remark(group),
        ]);
    }
    write!(out, "{table}")
}

fn remark(group: &GroupLag) -> String {
    match group.messages {
        Some(_) if group.without_number > 0 => {
            format!("unknown for {}", counted(group.without_number as u64, "partition"))
        }
        Some(_) => String::new(),
        None if group.kind == Some(GroupKind::Share) => "share group".to_owned(),
        None => lag_total(group),
    }
}

/// The lag of all groups in one line.
fn over_all(groups: &[GroupLag]) -> String {
    let lagging: Vec<&GroupLag> = groups.iter().filter(|group| group.messages.is_some_and(|it| it > 0)).collect();
    let messages: i64 = lagging.iter().filter_map(|group| group.messages).fold(0, i64::saturating_add);
    let oldest = lagging.iter().filter_map(|group| group.seconds).reduce(f64::max);
    let mut line = format!("{}: {} of lag", counted(groups.len() as u64, "group"), counted(messages, "message"));
    if !lagging.is_empty() {
        let behind = oldest.map_or_else(String::new, |seconds| format!(", up to {} behind", time(seconds)));
        line.extend([" in ", &counted(lagging.len() as u64, "group"), &behind]);
    }
    match groups.iter().filter(|group| group.messages.is_none() || group.without_number > 0).count() {
        0 => line,
        unknown => format!("{line}; unknown for {}", counted(unknown as u64, "group")),
    }
}

fn more(count: usize) -> String {
    counted(count as u64, "more group")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lag::{GroupSample, Isolation, LogBounds, NextRecord, PartitionSample};

    /// A group with these committed offsets in partitions that end at 1,000, whose next record is 30 s old.
    fn group(name: &str, committed: &[Option<i64>]) -> GroupLag {
        let bounds = LogBounds { log_start: 0, last_stable: 1_000, high_watermark: 1_000 };
        let partitions = (0..).zip(committed).map(|(partition, committed)| PartitionSample {
            topic: "orders".to_owned(),
            partition,
            committed: *committed,
            bounds: Some(bounds),
            next: NextRecord::Timestamp(0),
            owner: None,
        });
        let sample = GroupSample {
            group: name.to_owned(),
            state: "Stable".to_owned(),
            members: committed.len(),
            kind: None,
            isolation: Isolation::ReadCommitted,
            at_millis: 30_000,
            partitions: partitions.collect(),
        };
        GroupLag::of(&sample, None)
    }

    fn share(name: &str) -> GroupLag {
        GroupLag { kind: Some(GroupKind::Share), state: "Unknown".to_owned(), ..group(name, &[]) }
    }

    #[test]
    fn groups_are_sorted_by_lag_and_summed_up() {
        let groups = [
            group("caught-up", &[Some(1_000)]),
            group("behind", &[Some(990), None]),
            group("", &[Some(999)]),
            group("never", &[None]),
            group("partly", &[Some(1_000), None]),
            share("shared"),
            group("far\u{1b}[2J", &[Some(0), Some(0)]),
        ];
        insta::assert_snapshot!(lag_groups_report(&groups, Detail::Summary), @r#"
          group         state    members    lag  behind  lost
          far\u{1b}[2J  Stable         2  2,000    30 s     0
          behind        Stable         2     10    30 s     0  unknown for 1 partition
          ""            Stable         1      1    30 s     0
          partly        Stable         2      0     0 s     0  unknown for 1 partition
          never         Stable         1      -       -     -  unknown for 1 partition
          shared        Unknown        -      -       -     -  share group
          caught-up     Stable         1      0     0 s     0
        7 groups: 2,011 messages of lag in 3 groups, up to 30 s behind; unknown for 4 groups
        "#);
        insta::assert_snapshot!(lag_groups_lines(&groups), @r#"
        1970-01-01T00:00:30.000Z far\u{1b}[2J: 2,000 messages, 30 s behind
        1970-01-01T00:00:30.000Z behind: 10 messages, 30 s behind, unknown for 1 partition
        1970-01-01T00:00:30.000Z "": 1 message, 30 s behind
        1970-01-01T00:00:30.000Z partly: 0 messages, 0 s behind, unknown for 1 partition
        1970-01-01T00:00:30.000Z never: unknown for 1 partition
        1970-01-01T00:00:30.000Z 7 groups: 2,011 messages of lag in 3 groups, up to 30 s behind; unknown for 4 groups
        "#);
        let full = lag_groups_report(&groups, Detail::Full);
        assert!(full.starts_with("Group: far\\u{1b}[2J, Stable, 2 members\n  topic "), "{full}");
        assert!(full.contains("\nLag: 2,000 messages, 30 s behind (to the last stable offset)\n\nGroup: "), "{full}");
        assert_eq!(full.lines().filter(|line| line.starts_with("Group: ")).count(), 7);
    }

    #[test]
    fn hundreds_of_groups_are_short() {
        let mut groups: Vec<GroupLag> =
            (0..300).map(|number| group(&format!("idle-{number:03}"), &[Some(1_000)])).collect();
        groups.push(group("slow", &[Some(0)]));
        let text = lag_groups_report(&groups, Detail::Summary);
        assert_eq!(text.lines().count(), 19, "{text}");
        assert!(text.lines().nth(1).is_some_and(|line| line.starts_with("  slow ")), "{text}");
        let end = "  and 285 more groups without lag; --full shows them\n301 groups: 1,000 messages of lag in 1 group, up to \
                   30 s behind\n";
        assert!(text.ends_with(end), "{text}");
        let lines = lag_groups_lines(&groups);
        assert_eq!(lines.lines().count(), 2, "{lines}");
        // Those with lag are never left out of the report.
        groups.extend((0..40).map(|number| group(&format!("lagging-{number}"), &[Some(0)])));
        assert_eq!(lag_groups_report(&groups, Detail::Summary).lines().count(), 1 + 41 + 1 + 1);
    }
}
