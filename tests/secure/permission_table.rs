//! Parser of the table of least permissions in docs/reference/permissions.md.

use std::fmt;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResourceType {
    Topic,
    Group,
    TransactionalId,
}

/// An operation on a resource whose prefix is added later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequiredPermission {
    pub kind: ResourceType,
    /// Without the prefix. For transactional ids it is the start of the id.
    pub name: String,
    pub operation: String,
}

impl RequiredPermission {
    pub fn new(kind: ResourceType, name: &str, operation: &str) -> Self {
        Self { kind, name: name.to_owned(), operation: operation.to_owned() }
    }

    /// The `kafka-acls` argument for the resource.
    pub fn argument(&self, prefix: &str) -> String {
        let kind = match self.kind {
            ResourceType::Topic => "--topic",
            ResourceType::Group => "--group",
            ResourceType::TransactionalId => "--transactional-id",
        };
        format!("{kind} {prefix}{}", self.name)
    }
}

impl fmt::Display for RequiredPermission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {:?} {}", self.operation, self.kind, self.name)
    }
}

/// A command and its permissions.
#[derive(Debug, Clone)]
pub struct CommandPermissions {
    pub command: String,
    pub permissions: Vec<RequiredPermission>,
}

/// Reads the table.
pub fn read() -> Vec<CommandPermissions> {
    let page = include_str!("../../docs/reference/permissions.md");
    let (_, section) = page.split_once("## Least rights").expect("the section");
    let (section, _) = section.split_once("\n## ").expect("another section");
    let mut lines = section.lines().filter(|line| line.starts_with('|'));
    let topics: Vec<String> = cells(lines.next().expect("a head")).iter().map(|cell| word(cell)).collect();
    let rows: Vec<CommandPermissions> = lines.skip(1).map(|line| row(&topics, line)).collect();
    assert!(rows.len() > 8, "the table has {} rows", rows.len());
    rows
}

fn row(head: &[String], line: &str) -> CommandPermissions {
    let cells = cells(line);
    let mut permissions = Vec::new();
    for (column, cell) in cells.iter().enumerate().skip(1).filter(|(_, cell)| !cell.is_empty()) {
        for part in cell.split(", ") {
            permissions.push(match head[column].as_str() {
                "groups" => RequiredPermission::new(ResourceType::Group, &word(part), &before(part)),
                "transactional ids" => {
                    RequiredPermission::new(ResourceType::TransactionalId, &word(part), &before(part))
                }
                topic => RequiredPermission::new(ResourceType::Topic, topic, part),
            });
        }
    }
    CommandPermissions { command: word(&cells[0]), permissions }
}

fn cells(line: &str) -> Vec<String> {
    line.trim().trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
}

/// The text between backticks, or all of it without backticks.
fn word(cell: &str) -> String {
    cell.split('`').nth(1).unwrap_or(cell).to_owned()
}

fn before(cell: &str) -> String {
    cell.split('`').next().unwrap_or(cell).trim().to_owned()
}
