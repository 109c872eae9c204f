//! Text report of `lag`: a group with its partitions, and a line per sample of a watch.

use std::fmt::{self, Write};

use super::Detail;
use super::lag_partitions::{time, write_partitions};
use super::text_table::whole;
use crate::lag::{GroupKind, GroupLag, Isolation, Trend};
use crate::printable::printable;
use crate::units::counted;

/// The most partitions, of all groups together, that are listed without [`Detail::Full`].
const ROWS: usize = 12;

/// Groups with their partitions, and their lag last. In a [`Detail::Summary`], a group with many partitions has only some
/// of those with lag or a remark.
#[must_use]
pub fn lag_report(groups: &[GroupLag], detail: Detail) -> String {
    let most = (detail == Detail::Summary).then(|| ROWS / groups.len().max(1));
    let texts: Vec<String> = groups.iter().map(|group| group_text(group, most)).collect();
    texts.join("\n")
}

/// A group in one line.
#[must_use]
pub fn lag_line(group: &GroupLag) -> String {
    let mut line = format!("{} {}: {}", group.at, lag_group_name(group), lag_total(group));
    if let Some(rates) = rates(group) {
        // Writing to a string cannot fail.
        write!(line, ", {rates}").unwrap_or_default();
    }
    line
}

/// The name of a group for people. Old clients can leave it empty.
#[must_use]
pub fn lag_group_name(group: &GroupLag) -> String {
    if group.group.is_empty() { "\"\"".to_owned() } else { printable(&group.group).into_owned() }
}

/// A group with at most this many of its partitions and with shortened ids, or with all as they are.
pub(super) fn group_text(group: &GroupLag, most: Option<usize>) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    write_group(&mut out, group, most).unwrap_or_default();
    out
}

fn write_group(out: &mut String, group: &GroupLag, most: Option<usize>) -> fmt::Result {
    let members = match group.members {
        0 => "no members".to_owned(),
        members => counted(members as u64, "member"),
    };
    if group.kind == Some(GroupKind::Share) {
        return writeln!(out, "Group: {}, a share group, which commits no offsets", lag_group_name(group));
    }
    writeln!(out, "Group: {}, {}, {members}", lag_group_name(group), printable(&group.state))?;
    write_partitions(out, &group.partitions, most)?;
    if let Some(lost) = group.lost.filter(|lost| *lost > 0) {
        writeln!(out, "Lost: {}, deleted before being read", counted(lost, "offset"))?;
    }
    if let Some(rates) = rates(group) {
        writeln!(out, "Rates: {rates}")?;
    }
    let end = match group.isolation {
        Isolation::ReadCommitted => "to the last stable offset",
        Isolation::ReadUncommitted => "to the high watermark",
    };
    match group.messages {
        Some(_) => writeln!(out, "Lag: {} ({end})", lag_total(group)),
        None => writeln!(out, "Lag: {}", lag_total(group)),
    }
}

/// The total lag: `1,200 messages, 3.2 s behind`.
#[must_use]
pub fn lag_total(group: &GroupLag) -> String {
    let unknown = counted(group.without_number as u64, "partition");
    let messages = match group.messages {
        None if group.kind.is_some() => return "a share group, which commits no offsets".to_owned(),
        None if group.partitions.is_empty() => return "no offsets visible".to_owned(),
        None => return format!("unknown for {unknown}"),
        Some(messages) => counted(messages, "message"),
    };
    let behind = group.seconds.map_or_else(String::new, |seconds| format!(", {} behind", time(seconds)));
    let unknown = if group.without_number == 0 { String::new() } else { format!(", unknown for {unknown}") };
    format!("{messages}{behind}{unknown}")
}

fn rates(group: &GroupLag) -> Option<String> {
    let (produced, consumed) = (group.produced_per_second?, group.consumed_per_second?);
    Some(format!("{}/s produced, {}/s consumed, {}", whole(produced), whole(consumed), trend(group)?))
}

/// The trend of the lag in words.
pub(super) fn trend(group: &GroupLag) -> Option<String> {
    Some(match (group.trend?, group.drain_seconds) {
        // Between two samples the lag may be 0 or not, while nothing about the group changes.
        (Trend::CaughtUp | Trend::Steady, _) if group.keeps_up() => "keeping up".to_owned(),
        (Trend::CaughtUp, _) => "caught up".to_owned(),
        (Trend::Growing, _) => "growing".to_owned(),
        (Trend::Steady, _) => "steady".to_owned(),
        (Trend::Draining, None) => "draining".to_owned(),
        (Trend::Draining, Some(seconds)) => format!("drained in {}", time(seconds)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lag::{GroupSample, LogBounds, NextRecord, Owner, PartitionSample, RateWindow};

    fn partition(
        topic: &str,
        number: i32,
        committed: Option<i64>,
        ends: [i64; 3],
        next: NextRecord,
    ) -> PartitionSample {
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
    fn partitions_have_remarks() {
        let mut partitions = vec![
            partition("orders", 0, Some(9), [0, 9, 9], NextRecord::Unknown),
            partition("orders", 1, Some(3), [5, 9, 12], NextRecord::Timestamp(40_000)),
            partition("orders", 2, None, [0, 9, 9], NextRecord::Unknown),
            partition("orders", 3, Some(11), [0, 9, 9], NextRecord::Unknown),
            partition("orders", 4, Some(7), [0, 9, 9], NextRecord::Unknown),
            partition("orders", 5, Some(7), [0, 9, 9], NextRecord::Unknown),
        ];
        partitions[5].bounds = None;
        partitions.push(partition("orders", 6, Some(8), [0, 9, 9], NextRecord::Timestamp(3_642_500)));
        let group = GroupLag::of(&sample(42_500, partitions), None);
        insta::assert_snapshot!(lag_report(&[group], Detail::Summary), @r"
        Group: readers, Stable, 1 member
          topic   partition  committed  end     lag  seconds  lost
          orders          0          9    9       0      0.0     0
          orders          1          3    9       6      2.5     2  3 offsets in open transactions
          orders          2          -    9       -        -     -  no commit
          orders          3         11    9  beyond        -     0  committed beyond the end
          orders          4          7    9       2        -     0
          orders          5          7    -       -        -     -  partition does not exist
          orders          6          8    9       1        -     0  timestamp 1 h in the future
        Lost: 2 offsets, deleted before being read
        Lag: 9 messages, unknown for 3 partitions (to the last stable offset)
        ");
        let share = GroupSample { kind: Some(GroupKind::Share), ..sample(0, vec![]) };
        let share = GroupLag::of(&share, None);
        assert_eq!(
            lag_report(std::slice::from_ref(&share), Detail::Summary),
            "Group: readers, a share group, which commits no offsets\n"
        );
        assert!(lag_line(&share).ends_with("readers: a share group, which commits no offsets"));
    }

    #[test]
    fn many_partitions_without_lag_are_counted() {
        let report = |count: i32, lagging: i32, detail| {
            let committed = |number| if number < lagging { 4 } else { 9 };
            let partitions = (0..count).map(|number| {
                partition("orders", number, Some(committed(number)), [0, 9, 9], NextRecord::Timestamp(0))
            });
            lag_report(&[GroupLag::of(&sample(1_000, partitions.collect()), None)], detail)
        };
        insta::assert_snapshot!(report(200, 1, Detail::Summary), @r"
        Group: readers, Stable, 1 member
          topic   partition  committed  end  lag  seconds  lost
          orders          0          4    9    5      1.0     0
          199 more partitions without lag; --full shows them
        Lag: 5 messages, 1 s behind (to the last stable offset)
        ");
        let none = "1 member\n  200 partitions without lag; --full shows them\nLag: 0 messages, 0 s behind";
        assert!(report(200, 0, Detail::Summary).contains(none), "{}", report(200, 0, Detail::Summary));
        for (count, detail) in [(12, Detail::Summary), (13, Detail::Full)] {
            let text = report(count, 0, detail);
            assert_eq!(text.matches("\n  orders ").count(), usize::try_from(count).expect("a count"), "{text}");
            assert!(!text.contains("--full"), "{text}");
        }
        assert_eq!(report(13, 0, Detail::Summary).matches("\n  orders ").count(), 0);
        let text = report(200, 100, Detail::Summary);
        assert_eq!(text.lines().count(), 1 + 1 + 12 + 1 + 1, "{text}");
        assert!(text.contains("\n  188 more partitions with 440 messages of lag; --full shows them\n"), "{text}");
    }

    #[test]
    fn the_partitions_of_two_groups_fit_on_a_screen() {
        let committed = |number| [9, 5, 9, 1][usize::try_from(number % 4).expect("small")];
        let partitions = |count: i32| {
            (0..count)
                .map(|number| partition("orders", number, Some(committed(number)), [0, 9, 9], NextRecord::Timestamp(0)))
        };
        let groups = [6, 16].map(|count| GroupLag::of(&sample(1_000, partitions(count).collect()), None));
        insta::assert_snapshot!(lag_report(&groups, Detail::Summary), @r"
        Group: readers, Stable, 1 member
          topic   partition  committed  end  lag  seconds  lost
          orders          0          9    9    0      0.0     0
          orders          1          5    9    4      1.0     0
          orders          2          9    9    0      0.0     0
          orders          3          1    9    8      1.0     0
          orders          4          9    9    0      0.0     0
          orders          5          5    9    4      1.0     0
        Lag: 16 messages, 1 s behind (to the last stable offset)

        Group: readers, Stable, 1 member
          topic   partition  committed  end  lag  seconds  lost
          orders          1          5    9    4      1.0     0
          orders          3          1    9    8      1.0     0
          orders          5          5    9    4      1.0     0
          orders          7          1    9    8      1.0     0
          orders         11          1    9    8      1.0     0
          orders         15          1    9    8      1.0     0
          10 more partitions with 8 messages of lag; --full shows them
        Lag: 48 messages, 1 s behind (to the last stable offset)
        ");
    }

    #[test]
    fn assigned_partitions_have_their_member() {
        let owner = Owner {
            member_id: "rdkafka-5f7c2d1b-4a16-9e0b-3c4d5e6f7a8b".to_owned(),
            instance_id: None,
            client_id: "food\u{1b}".to_owned(),
            host: "/192.0.2.7".to_owned(),
        };
        let fixed = Owner { instance_id: Some("one".to_owned()), ..owner.clone() };
        let mut partitions: Vec<PartitionSample> = (0..3)
            .map(|number| partition("orders", number, Some(9), [0, 9, 9], NextRecord::Unknown))
            .chain([partition("orders", 3, None, [0, 9, 9], NextRecord::Unknown)])
            .collect();
        (partitions[0].owner, partitions[1].owner) = (Some(owner), Some(fixed));
        let group = [GroupLag::of(&sample(0, partitions), None)];
        insta::assert_snapshot!(lag_report(&group, Detail::Summary), @r"
        Group: readers, Stable, 1 member
          topic   partition  committed  end  lag  seconds  lost  owner                 host        client
          orders          0          9    9    0      0.0     0  rdkafka-5f…d5e6f7a8b  /192.0.2.7  food\u{1b}
          orders          1          9    9    0      0.0     0  one                   /192.0.2.7  food\u{1b}
          orders          2          9    9    0      0.0     0  -                     -           -
          orders          3          -    9    -        -     -  -                     -           -           no commit
        Lag: 0 messages, 0 s behind, unknown for 1 partition (to the last stable offset)
        ");
        assert!(lag_report(&group, Detail::Full).contains("  rdkafka-5f7c2d1b-4a16-9e0b-3c4d5e6f7a8b  "));
    }

    #[test]
    fn total_is_unknown_without_a_commit() {
        let text = |partitions| lag_total(&GroupLag::of(&sample(0, partitions), None));
        assert_eq!(text(vec![]), "no offsets visible");
        assert_eq!(text(vec![partition("orders", 0, None, [0, 9, 9], NextRecord::Unknown)]), "unknown for 1 partition");
    }

    #[test]
    fn watch_lines_have_rates_and_trend() {
        let mut window = RateWindow::default();
        let mut line = |at, committed, end| {
            let sample =
                sample(at, vec![partition("orders", 0, Some(committed), [0, end, end], NextRecord::Timestamp(0))]);
            window.push(&sample);
            lag_line(&GroupLag::of(&sample, window.rates()))
        };
        let lines = [
            line(1_000, 0, 500),
            line(2_000, 10, 600),
            line(3_000, 20, 700),
            line(4_000, 320, 800),
            line(5_000, 620, 900),
            line(6_000, 920, 1_000),
            line(7_000, 1_090, 1_100),
            line(8_000, 1_200, 1_200),
        ];
        assert_eq!(lines[0], "1970-01-01T00:00:01.000Z readers: 500 messages, 1 s behind");
        let steady = "readers: 590 messages, 2 s behind, 100/s produced, 10/s consumed, steady";
        assert_eq!(lines[1], format!("1970-01-01T00:00:02.000Z {steady}"));
        assert!(lines[2..5].iter().all(|line| line.ends_with(", growing")), "{lines:#?}");
        assert!(lines[5..7].iter().all(|line| line.contains(", drained in ")), "{lines:#?}");
        assert!(lines[7].contains(" 0 messages, 0 s behind") && lines[7].ends_with(", keeping up"), "{lines:#?}");
        assert_eq!(time(3_725.4), "1 h 2 min");
        assert!(!time(f64::MAX).is_empty());
    }

    #[test]
    fn names_are_escaped() {
        let mut group =
            GroupLag::of(&sample(0, vec![partition("\u{1b}[2J", 0, None, [0, 0, 0], NextRecord::Unknown)]), None);
        group.group = "a\u{1b}[31m\n".to_owned();
        group.state = "\u{9b}".to_owned();
        for text in [lag_report(std::slice::from_ref(&group), Detail::Summary), lag_line(&group)] {
            assert!(!text.chars().any(|character| character.is_control() && character != '\n'), "{text:?}");
        }
    }
}
