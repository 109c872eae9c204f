//! Text report of `clean`: the topics and groups of a prefix, their members, and what was deleted.

use std::fmt::{self, Write};

use super::text_table::{Align, TextTable};
use crate::clean::{CleanDocument, Reason};
use crate::printable::printable;
use crate::units::{counted, grouped};

/// The topics, the groups with their members, and the groups that are kept.
#[must_use]
pub fn clean_listing(document: &CleanDocument) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    write_listing(&mut out, document).unwrap_or_default();
    out
}

/// The result in one line.
#[must_use]
pub fn clean_outcome(document: &CleanDocument) -> String {
    if document.is_empty() {
        return format!("Nothing to delete: no topics or groups {}\n", prefix(document));
    }
    let records: i64 = document.topics.iter().map(|topic| topic.records).sum();
    let verb = if document.deleted { "Deleted" } else { "To be deleted" };
    format!("{verb}: {} with {}, {}\n", topics(document), counted(records, "record"), groups(document))
}

/// The confirmation prompt before the deletion.
#[must_use]
pub fn clean_question(document: &CleanDocument) -> String {
    format!("Delete {} and {} {}? [y/N] ", topics(document), groups(document), prefix(document))
}

fn prefix(document: &CleanDocument) -> String {
    if document.prefix.is_empty() {
        return "with the default names".to_owned();
    }
    format!("with --prefix {}", printable(&document.prefix))
}

fn topics(document: &CleanDocument) -> String {
    counted(document.topics.len() as u64, "topic")
}

fn groups(document: &CleanDocument) -> String {
    counted(document.groups.len() as u64, "group")
}

/// The first member, and the number of the others.
fn members(members: &[String]) -> String {
    match members {
        [] => "-".to_owned(),
        [first] => printable(first).into_owned(),
        [first, rest @ ..] => format!("{} and {} more", printable(first), grouped(rest.len() as u64)),
    }
}

fn name(name: &str) -> String {
    if name.is_empty() { "(empty name)".to_owned() } else { printable(name).into_owned() }
}

fn write_listing(out: &mut String, document: &CleanDocument) -> fmt::Result {
    if !document.topics.is_empty() {
        writeln!(out, "Topics:")?;
        let mut table =
            TextTable::new([("topic", Align::Left), ("partitions", Align::Right), ("records", Align::Right)]);
        for topic in &document.topics {
            table.row([printable(&topic.name).into_owned(), topic.partitions.to_string(), topic.records.to_string()]);
        }
        write!(out, "{table}")?;
    }
    if !document.groups.is_empty() {
        writeln!(out, "Groups:")?;
        let mut table = TextTable::new([("group", Align::Left), ("state", Align::Left), ("members", Align::Left)]);
        for group in &document.groups {
            table.row([name(&group.name), printable(&group.state).into_owned(), members(&group.members)]);
        }
        write!(out, "{table}")?;
    }
    if !document.kept.is_empty() {
        writeln!(out, "Groups that are kept:")?;
        let mut table = TextTable::new([("group", Align::Left), ("why", Align::Left), ("members", Align::Left)]);
        for group in &document.kept {
            let why = match group.reason {
                Reason::OtherTopics => "has offsets on other topics too",
                Reason::OtherName => "has another name, and no --prefix was given",
                Reason::OtherKind => "is a share group, or has NUL in its name",
            };
            table.row([name(&group.name), why.to_owned(), members(&group.members)]);
        }
        write!(out, "{table}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clean::{GroupRow, KeptRow, TopicRow};

    fn document() -> CleanDocument {
        let mut document = CleanDocument::new("lab1.");
        document.topics = vec![
            TopicRow { name: "lab1.inventory-events".into(), partitions: 6, records: 0 },
            TopicRow { name: "lab1.order-events".into(), partitions: 6, records: 10_000 },
        ];
        document.groups = vec![GroupRow {
            name: "lab1.inventory-consumer-group".into(),
            state: "Stable".into(),
            members: vec!["foodstream at /127.0.0.1".into(), "another at /127.0.0.1".into()],
        }];
        document.kept = vec![KeptRow {
            name: "bills\u{1b}[2J".into(),
            reason: Reason::OtherTopics,
            topics: vec!["bills".into(), "lab1.order-events".into()],
            members: Vec::new(),
        }];
        document
    }

    #[test]
    fn lists_topics_groups_and_kept_groups() {
        insta::assert_snapshot!(clean_listing(&document()), @r"
        Topics:
          topic                  partitions  records
          lab1.inventory-events           6        0
          lab1.order-events               6    10000
        Groups:
          group                          state   members
          lab1.inventory-consumer-group  Stable  foodstream at /127.0.0.1 and 1 more
        Groups that are kept:
          group           why                              members
          bills\u{1b}[2J  has offsets on other topics too  -
        ");
    }

    #[test]
    fn question_and_outcome_are_one_line() {
        let mut document = document();
        assert_eq!(clean_question(&document), "Delete 2 topics and 1 group with --prefix lab1.? [y/N] ");
        assert_eq!(clean_outcome(&document), "To be deleted: 2 topics with 10,000 records, 1 group\n");
        document.deleted = true;
        assert_eq!(clean_outcome(&document), "Deleted: 2 topics with 10,000 records, 1 group\n");
        let nothing = CleanDocument::new("");
        assert_eq!(clean_outcome(&nothing), "Nothing to delete: no topics or groups with the default names\n");
        assert_eq!(clean_listing(&nothing), "");
    }
}
