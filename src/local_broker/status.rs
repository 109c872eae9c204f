//! Status document of an embedded broker (`broker --status`): address, data, topics, groups; and its text.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use crate::report::{Detail, printable};
use crate::units::{self, counted};

/// `foodstream.broker/1`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokerDocument {
    pub schema: String,
    /// Whether a broker is running. Otherwise all other fields except `data` are `null` or empty.
    pub running: bool,
    /// The data directory; `null` with `--memory`.
    pub data: Option<String>,
    pub address: Option<String>,
    pub pid: Option<u32>,
    /// The time of the start, RFC 3339.
    pub since: Option<String>,
    /// Kafka's cluster id, which is stored with the data.
    pub cluster_id: Option<String>,
    /// foodstream processes that hold a lease.
    pub clients: Option<usize>,
    /// Connections of Kafka clients, including foreign ones.
    pub connections: Option<usize>,
    /// The size of the data directory.
    pub bytes: Option<u64>,
    pub topics: Vec<TopicRow>,
    pub groups: Vec<GroupRow>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicRow {
    pub name: String,
    pub partitions: usize,
    /// Offsets from log start to end, summed over the partitions, including control records.
    pub records: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupRow {
    pub name: String,
    /// Kafka's name of the state.
    pub state: String,
    pub members: usize,
}

impl Default for BrokerDocument {
    fn default() -> Self {
        Self {
            schema: "foodstream.broker/1".to_owned(),
            running: false,
            data: None,
            address: None,
            pid: None,
            since: None,
            cluster_id: None,
            clients: None,
            connections: None,
            bytes: None,
            topics: Vec::new(),
            groups: Vec::new(),
        }
    }
}

/// The most topics in a [`Detail::Summary`]: those of a prefix, and some more.
const TOPICS_SHOWN: usize = 8;
/// The most groups in a [`Detail::Summary`].
const GROUPS_SHOWN: usize = 4;

/// The text of a document. Whether a broker runs is last.
#[must_use]
pub fn broker_report(document: &BrokerDocument, detail: Detail) -> String {
    let data = printable(document.data.as_deref().unwrap_or("memory"));
    let Some(address) = document.address.as_deref().filter(|_| document.running) else {
        return format!("no broker runs over {data}\n");
    };
    let mut out = String::new();
    // Writing to a string cannot fail.
    write_details(&mut out, document, detail).unwrap_or_default();
    out + &format!("running at {}, data in {data}\n", printable(address))
}

fn write_details(out: &mut String, document: &BrokerDocument, detail: Detail) -> std::fmt::Result {
    if let (Some(pid), Some(since)) = (document.pid, &document.since) {
        writeln!(out, "Process: {pid}, since {}", printable(since))?;
    }
    if let (Some(clients), Some(connections)) = (document.clients, document.connections) {
        let connections = counted(connections as u64, "Kafka connection");
        writeln!(out, "Clients: {clients} of foodstream, {connections}")?;
    }
    if let Some(bytes) = document.bytes {
        writeln!(out, "Data: {}", units::bytes(bytes))?;
    }
    writeln!(out, "Topics: {}", document.topics.len())?;
    let shown = |most: usize| if detail == Detail::Full { usize::MAX } else { most };
    for topic in document.topics.iter().take(shown(TOPICS_SHOWN)) {
        let (partitions, offsets) = (counted(topic.partitions as u64, "partition"), counted(topic.records, "offset"));
        writeln!(out, "  {}: {partitions}, {offsets}", printable(&topic.name))?;
    }
    write_more(out, document.topics.len(), shown(TOPICS_SHOWN))?;
    writeln!(out, "Groups: {}", document.groups.len())?;
    for group in document.groups.iter().take(shown(GROUPS_SHOWN)) {
        // A group name may contain any character.
        let members = counted(group.members as u64, "member");
        writeln!(out, "  {}: {}, {members}", printable(&group.name), printable(&group.state))?;
    }
    write_more(out, document.groups.len(), shown(GROUPS_SHOWN))
}

fn write_more(out: &mut String, rows: usize, shown: usize) -> std::fmt::Result {
    match rows.saturating_sub(shown) {
        0 => Ok(()),
        more => writeln!(out, "  and {} more: --full", units::grouped(more as u64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_what_runs_and_its_contents() {
        let nothing = BrokerDocument { data: Some(".foodstream".into()), ..BrokerDocument::default() };
        assert_eq!(broker_report(&nothing, Detail::Summary), "no broker runs over .foodstream\n");
        let document = BrokerDocument {
            running: true,
            address: Some("127.0.0.1:41233".into()),
            pid: Some(7),
            since: Some("2026-11-22T12:00:00.000Z".into()),
            clients: Some(2),
            connections: Some(5),
            bytes: Some(1024),
            topics: vec![TopicRow { name: "order-events".into(), partitions: 6, records: 10_000 }],
            groups: vec![GroupRow { name: "inventory-consumer-group".into(), state: "Empty".into(), members: 0 }],
            ..nothing
        };
        assert_eq!(
            broker_report(&document, Detail::Summary),
            "Process: 7, since 2026-11-22T12:00:00.000Z\n\
             Clients: 2 of foodstream, 5 Kafka connections\n\
             Data: 1 KiB\n\
             Topics: 1\n  order-events: 6 partitions, 10,000 offsets\n\
             Groups: 1\n  inventory-consumer-group: Empty, 0 members\n\
             running at 127.0.0.1:41233, data in .foodstream\n"
        );
        let many = BrokerDocument {
            topics: vec![document.topics[0].clone(); 1_010],
            groups: vec![document.groups[0].clone(); 10],
            ..document
        };
        let text = broker_report(&many, Detail::Summary);
        assert!(text.lines().count() <= 20, "{text}");
        assert!(text.contains("  and 1,002 more: --full\nGroups: 10\n"), "{text}");
        assert!(text.ends_with("  and 6 more: --full\nrunning at 127.0.0.1:41233, data in .foodstream\n"), "{text}");
        assert_eq!(broker_report(&many, Detail::Full).lines().count(), 3 + 1 + 1_010 + 1 + 10 + 1);
    }
}
