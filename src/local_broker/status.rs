//! Status document of an embedded broker (`broker --status`): address, data, topics, groups; and its text.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use crate::report::printable;
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

/// The text of a document.
#[must_use]
pub fn broker_report(document: &BrokerDocument) -> String {
    let data = printable(document.data.as_deref().unwrap_or("memory"));
    let Some(address) = document.address.as_deref().filter(|_| document.running) else {
        return format!("no broker runs over {data}\n");
    };
    let mut out = format!("running at {}, data in {data}\n", printable(address));
    // Writing to a string cannot fail.
    write_details(&mut out, document).unwrap_or_default();
    out
}

fn write_details(out: &mut String, document: &BrokerDocument) -> std::fmt::Result {
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
    for topic in &document.topics {
        let (partitions, records) = (counted(topic.partitions as u64, "partition"), counted(topic.records, "record"));
        writeln!(out, "  {}: {partitions}, {records}", printable(&topic.name))?;
    }
    writeln!(out, "Groups: {}", document.groups.len())?;
    for group in &document.groups {
        // A group name may contain any character.
        let members = counted(group.members as u64, "member");
        writeln!(out, "  {}: {}, {members}", printable(&group.name), printable(&group.state))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_what_runs_and_its_contents() {
        let nothing = BrokerDocument { data: Some(".foodstream".into()), ..BrokerDocument::default() };
        assert_eq!(broker_report(&nothing), "no broker runs over .foodstream\n");
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
            broker_report(&document),
            "running at 127.0.0.1:41233, data in .foodstream\n\
             Process: 7, since 2026-11-22T12:00:00.000Z\n\
             Clients: 2 of foodstream, 5 Kafka connections\n\
             Data: 1 KiB\n\
             Topics: 1\n  order-events: 6 partitions, 10,000 records\n\
             Groups: 1\n  inventory-consumer-group: Empty, 0 members\n"
        );
    }
}
