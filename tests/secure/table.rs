//! Owns reading the table of least rights from docs/REFERENCE.md.

use std::fmt;

/// What an ACL is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Topic,
    Group,
    TransactionalId,
}

/// One right: an operation on a resource of a prefix yet to be named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    pub kind: Kind,
    /// Without the prefix; of transactional ids what they begin with.
    pub name: String,
    pub operation: String,
}

impl Need {
    pub fn new(kind: Kind, name: &str, operation: &str) -> Self {
        Self { kind, name: name.to_owned(), operation: operation.to_owned() }
    }

    /// The argument of `kafka-acls` that names its resource.
    pub fn argument(&self, prefix: &str) -> String {
        let kind = match self.kind {
            Kind::Topic => "--topic",
            Kind::Group => "--group",
            Kind::TransactionalId => "--transactional-id",
        };
        format!("{kind} {prefix}{}", self.name)
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {:?} {}", self.operation, self.kind, self.name)
    }
}

/// A command and what it needs.
#[derive(Debug, Clone)]
pub struct Row {
    pub command: String,
    pub needs: Vec<Need>,
}

/// The table.
pub fn read() -> Vec<Row> {
    let page = include_str!("../../docs/REFERENCE.md");
    let (_, section) = page.split_once("## Least rights").expect("the section");
    let (section, _) = section.split_once("\n## ").expect("another section");
    let mut lines = section.lines().filter(|line| line.starts_with('|'));
    let topics: Vec<String> = cells(lines.next().expect("a head")).iter().map(|cell| word(cell)).collect();
    let rows: Vec<Row> = lines.skip(1).map(|line| row(&topics, line)).collect();
    assert!(rows.len() > 8, "the table has {} rows", rows.len());
    rows
}

fn row(head: &[String], line: &str) -> Row {
    let cells = cells(line);
    let mut needs = Vec::new();
    for (column, cell) in cells.iter().enumerate().skip(1).filter(|(_, cell)| !cell.is_empty()) {
        for part in cell.split(", ") {
            needs.push(match head[column].as_str() {
                "groups" => Need::new(Kind::Group, &word(part), &before(part)),
                "transactional ids" => Need::new(Kind::TransactionalId, &word(part), &before(part)),
                topic => Need::new(Kind::Topic, topic, part),
            });
        }
    }
    Row { command: word(&cells[0]), needs }
}

fn cells(line: &str) -> Vec<String> {
    line.trim().trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
}

/// What stands between backticks, or the whole where nothing does.
fn word(cell: &str) -> String {
    cell.split('`').nth(1).unwrap_or(cell).to_owned()
}

fn before(cell: &str) -> String {
    cell.split('`').next().unwrap_or(cell).trim().to_owned()
}
