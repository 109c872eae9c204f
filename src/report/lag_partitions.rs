//! The partitions of a group in a text report of `lag`: which are listed, and their table.

use std::cmp::Reverse;
use std::fmt::{self, Write};
use std::time::Duration;

use super::text_table::{Align, TextTable};
use crate::frame::shorten;
use crate::lag::PartitionLag;
use crate::printable::printable;
use crate::units::{counted, duration};

/// The most columns for a shortened id of a member or a client.
const MEMBER_COLUMNS: usize = 20;

/// Writes at most this many partitions, with shortened ids, and a line about the others; or all as they are.
pub(super) fn write_partitions(out: &mut String, rows: &[PartitionLag], most: Option<usize>) -> fmt::Result {
    let mut listed: Vec<&PartitionLag> = rows.iter().collect();
    let mut others: Vec<&PartitionLag> = Vec::new();
    if let Some(most) = most.filter(|most| rows.len() > *most) {
        let is_notable = |row: &PartitionLag| {
            row.messages != Some(0) || row.lost.is_some_and(|lost| lost > 0) || !remark(row).is_empty()
        };
        // A stable sort: rows without a number first, then those with the most lag.
        listed.sort_by_key(|row| (!is_notable(row), row.messages.is_some(), Reverse(row.messages)));
        let notable = listed.iter().take_while(|row| is_notable(row)).count();
        others = listed.split_off(notable.min(most));
        listed.sort_by_key(|row| (&row.topic, row.partition));
    }
    if !listed.is_empty() {
        let has_members = listed.iter().any(|row| row.owner.is_some());
        let member_columns = most.map_or(usize::MAX, |_| MEMBER_COLUMNS);
        write!(out, "{}", if has_members { table_with_members(&listed, member_columns) } else { table(&listed) })?;
    }
    if others.is_empty() {
        return Ok(());
    }
    let noun = if listed.is_empty() { "partition" } else { "more partition" };
    let lag = others.iter().try_fold(0, |sum: i64, row| Some(sum.saturating_add(row.messages?)));
    let lag = match lag {
        Some(0) => " without lag".to_owned(),
        Some(messages) => format!(" with {} of lag", counted(messages, "message")),
        None => String::new(),
    };
    writeln!(out, "  {}{lag}; --full shows them", counted(others.len() as u64, noun))
}

const COLUMNS: [(&str, Align); 7] = [
    ("topic", Align::Left),
    ("partition", Align::Right),
    ("committed", Align::Right),
    ("end", Align::Right),
    ("lag", Align::Right),
    ("seconds", Align::Right),
    ("lost", Align::Right),
];

fn cells(row: &PartitionLag) -> [String; COLUMNS.len()] {
    [
        printable(&row.topic).into(),
        row.partition.to_string(),
        number(row.committed),
        number(row.end),
        if row.beyond_end { "beyond".to_owned() } else { number(row.messages) },
        row.seconds.map_or_else(|| "-".to_owned(), |seconds| format!("{seconds:.1}")),
        number(row.lost),
    ]
}

fn table(rows: &[&PartitionLag]) -> String {
    let [topic, partition, committed, end, lag, seconds, lost] = COLUMNS;
    let mut table = TextTable::new([topic, partition, committed, end, lag, seconds, lost, ("", Align::Left)]);
    for row in rows {
        let [topic, partition, committed, end, lag, seconds, lost] = cells(row);
        table.row([topic, partition, committed, end, lag, seconds, lost, remark(row)]);
    }
    table.to_string()
}

/// As [`table`], with the member of each partition: the name of a static one, otherwise its id, as in Kafka's tool.
fn table_with_members(rows: &[&PartitionLag], member_columns: usize) -> String {
    let [topic, partition, committed, end, lag, seconds, lost] = COLUMNS;
    let [owner, host, client, remarks] = ["owner", "host", "client", ""].map(|name| (name, Align::Left));
    let mut table =
        TextTable::new([topic, partition, committed, end, lag, seconds, lost, owner, host, client, remarks]);
    for row in rows {
        let [topic, partition, committed, end, lag, seconds, lost] = cells(row);
        let text = |text: Option<&String>| {
            text.map_or_else(|| "-".to_owned(), |text| shorten(&printable(text), member_columns))
        };
        let [owner, host, client] =
            [row.instance_id.as_ref().or(row.owner.as_ref()), row.host.as_ref(), row.client_id.as_ref()].map(text);
        table.row([topic, partition, committed, end, lag, seconds, lost, owner, host, client, remark(row)]);
    }
    table.to_string()
}

pub(super) fn number(value: Option<i64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

pub(super) fn remark(row: &PartitionLag) -> String {
    if row.high_watermark.is_none() {
        return "partition does not exist".to_owned();
    }
    if row.committed.is_none() {
        return "no commit".to_owned();
    }
    if row.beyond_end {
        return "committed beyond the end".to_owned();
    }
    let open = match (row.last_stable_offset, row.high_watermark) {
        (Some(stable), Some(high)) if stable < high => {
            Some(format!("{} in open transactions", counted(high.saturating_sub(stable), "offset")))
        }
        _ => None,
    };
    let ahead = row.ahead_seconds.map(|seconds| format!("timestamp {} in the future", time(seconds)));
    open.into_iter().chain(ahead).collect::<Vec<_>>().join(", ")
}

/// A time in seconds, as people read it.
pub(super) fn time(seconds: f64) -> String {
    if seconds <= 0.0 {
        return "0 s".to_owned();
    }
    let millis = Duration::try_from_secs_f64(seconds.min(1e12)).unwrap_or_default().as_millis();
    duration(Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX)))
}
