//! Owns the document of an embedded broker: whether one runs over a folder, where, and what it holds; and its text.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use crate::report::printable;

/// `foodstream.broker/1`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokerDocument {
    /// The form of this document.
    pub schema: String,
    /// Whether a broker answers. All that follows is `null` or empty where none does, but for the folder.
    pub running: bool,
    /// Where its data is; `null` for memory.
    pub data: Option<String>,
    /// Where clients reach it.
    pub address: Option<String>,
    /// Its process.
    pub pid: Option<u32>,
    /// Its start, RFC 3339.
    pub since: Option<String>,
    /// Kafka's id of the cluster, kept with the data.
    pub cluster_id: Option<String>,
    /// Processes of this program that keep it.
    pub clients: Option<usize>,
    /// Connections of Kafka clients, whoever they are.
    pub connections: Option<usize>,
    /// How large the folder is.
    pub bytes: Option<u64>,
    /// Topics by name.
    pub topics: Vec<TopicRow>,
    /// Consumer groups by name.
    pub groups: Vec<GroupRow>,
}

/// A topic of the broker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicRow {
    /// Its name.
    pub name: String,
    /// How many partitions it has.
    pub partitions: usize,
    /// Offsets from the start to the end of its logs, control records included.
    pub records: i64,
}

/// A consumer group of the broker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupRow {
    /// Its name.
    pub name: String,
    /// Kafka's name of its state.
    pub state: String,
    /// How many members it has.
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

/// The document for people.
#[must_use]
pub fn broker_report(document: &BrokerDocument) -> String {
    let data = printable(document.data.as_deref().unwrap_or("memory"));
    let Some(address) = document.address.as_deref().filter(|_| document.running) else {
        return format!("no broker runs over {data}\n");
    };
    let mut out = format!("running at {}, data in {data}\n", printable(address));
    // A string takes every text.
    write_details(&mut out, document).unwrap_or_default();
    out
}

fn write_details(out: &mut String, document: &BrokerDocument) -> std::fmt::Result {
    if let (Some(pid), Some(since)) = (document.pid, &document.since) {
        writeln!(out, "Process: {pid}, since {}", printable(since))?;
    }
    if let (Some(clients), Some(connections)) = (document.clients, document.connections) {
        writeln!(out, "Clients: {clients} of foodstream, {connections} Kafka connections")?;
    }
    if let Some(bytes) = document.bytes {
        writeln!(out, "Data: {bytes} bytes")?;
    }
    writeln!(out, "Topics: {}", document.topics.len())?;
    for topic in &document.topics {
        writeln!(out, "  {}: {} partitions, {} records", printable(&topic.name), topic.partitions, topic.records)?;
    }
    writeln!(out, "Groups: {}", document.groups.len())?;
    for group in &document.groups {
        // A group may be called anything.
        writeln!(out, "  {}: {}, {} members", printable(&group.name), printable(&group.state), group.members)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_tells_what_runs_and_what_it_holds() {
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
             Data: 1024 bytes\n\
             Topics: 1\n  order-events: 6 partitions, 10000 records\n\
             Groups: 1\n  inventory-consumer-group: Empty, 0 members\n"
        );
    }
}
