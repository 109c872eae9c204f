//! Text report of `clean`: the topics and groups of a prefix, their members, and what was deleted.

use std::fmt::{self, Write};

use super::Detail;
use super::text_table::{Align, TextTable};
use crate::clean::{CleanDocument, Reason};
use crate::printable::printable;
use crate::units::{counted, grouped};

/// The most groups that are kept in a [`Detail::Summary`]. Everything that is deleted is always listed.
const KEPT_SHOWN: usize = 3;

/// The topics, the groups with their members, and the groups that are kept.
#[must_use]
pub fn clean_listing(document: &CleanDocument, detail: Detail) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    write_listing(&mut out, document, detail).unwrap_or_default();
    out
}

/// The result in one line.
#[must_use]
pub fn clean_outcome(document: &CleanDocument) -> String {
    if document.is_empty() {
        return format!("Nothing to delete: no topics or groups {}\n", prefix(document));
    }
    let offsets: i64 = document.topics.iter().map(|topic| topic.records).sum();
    let verb = if document.deleted { "Deleted" } else { "To be deleted" };
    format!("{verb}: {} with {}, {}\n", topics(document), counted(offsets, "offset"), groups(document))
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

fn write_listing(out: &mut String, document: &CleanDocument, detail: Detail) -> fmt::Result {
    if !document.topics.is_empty() {
        writeln!(out, "Topics:")?;
        let mut table =
            TextTable::new([("topic", Align::Left), ("partitions", Align::Right), ("offsets", Align::Right)]);
        for topic in &document.topics {
            table.row([printable(&topic.name).into_owned(), topic.partitions.to_string(), grouped(topic.records)]);
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
        let shown = if detail == Detail::Full { usize::MAX } else { KEPT_SHOWN };
        for group in document.kept.iter().take(shown) {
            let why = match group.reason {
                Reason::OtherTopics => "has offsets on other topics too",
                Reason::OtherName => "has another name, and no --prefix was given",
                Reason::OtherKind => "is a share group, or has NUL in its name",
            };
            table.row([name(&group.name), why.to_owned(), members(&group.members)]);
        }
        write!(out, "{table}")?;
        match document.kept.len().saturating_sub(shown) {
            0 => {}
            more => writeln!(out, "  and {} more: --full", grouped(more as u64))?,
        }
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
        insta::assert_snapshot!(clean_listing(&document(), Detail::Summary), @r"
        Topics:
          topic                  partitions  offsets
          lab1.inventory-events           6        0
          lab1.order-events               6   10,000
        Groups:
          group                          state   members
          lab1.inventory-consumer-group  Stable  foodstream at /127.0.0.1 and 1 more
        Groups that are kept:
          group           why                              members
          bills\u{1b}[2J  has offsets on other topics too  -
        ");
    }

    #[test]
    fn some_kept_groups_are_left_out_and_no_other_rows() {
        let mut document = document();
        document.groups = vec![document.groups[0].clone(); 9];
        document.kept = vec![document.kept[0].clone(); 5];
        let text = clean_listing(&document, Detail::Summary);
        assert!(text.ends_with("  -\n  and 2 more: --full\n"), "{text}");
        let rows = |text: &str| [text.matches("lab1.inventory-consumer").count(), text.matches("bills").count()];
        assert_eq!(rows(&text), [9, 3]);
        assert_eq!(rows(&clean_listing(&document, Detail::Full)), [9, 5]);
    }

    #[test]
    fn question_and_outcome_are_one_line() {
        let mut document = document();
        assert_eq!(clean_question(&document), "Delete 2 topics and 1 group with --prefix lab1.? [y/N] ");
        assert_eq!(clean_outcome(&document), "To be deleted: 2 topics with 10,000 offsets, 1 group\n");
        document.deleted = true;
        assert_eq!(clean_outcome(&document), "Deleted: 2 topics with 10,000 offsets, 1 group\n");
        let nothing = CleanDocument::new("");
        assert_eq!(clean_outcome(&nothing), "Nothing to delete: no topics or groups with the default names\n");
        assert_eq!(clean_listing(&nothing, Detail::Summary), "");
    }
}
