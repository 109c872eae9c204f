//! Owns what belongs to a prefix: which topics and groups of a cluster a `clean` takes, which it leaves, and its document.

use serde::Serialize;

use crate::topics::Names;

/// A consumer group of the cluster, whoever's it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FoundGroup {
    /// Its name.
    pub name: String,
    /// Kafka's name of its state.
    pub state: String,
    /// `client id at host` of each member.
    pub members: Vec<String>,
    /// The topics that it has committed offsets for, or that are assigned to its members, each once and in order.
    pub topics: Vec<String>,
    /// Whether no consumer group answers to the name, so that nothing more is known of it.
    pub is_odd: bool,
}

/// What a group is to a `clean`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Belonging {
    /// It goes with the topics.
    Ours,
    /// It reads a topic of the prefix, or is called as one of its groups, and stays: more hangs on it.
    Kept(Reason),
    /// It has nothing to do with the prefix.
    Foreign,
}

/// Why a group stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(clippy::enum_variant_names, reason = "the names in the document")]
pub enum Reason {
    /// It has offsets for other topics too, which would be lost with it.
    OtherTopics,
    /// Without a prefix only the two groups of the usual names are taken.
    OtherName,
    /// No consumer group answers to its name: it is a share group, or has NUL in its name.
    OtherKind,
}

/// What a group is to a `clean` of these names, in a cluster with these topics.
///
/// A group belongs to the prefix when all that it has read are topics of this prefix, or when it has read nothing and its
/// name begins with the prefix, and with no longer one that is in use: `lab1.` is not `lab1.x`.
#[must_use]
pub fn belonging(names: &Names, cluster: &[(String, i32)], group: &FoundGroup) -> Belonging {
    let ours = names.topics();
    let usual = names.groups().contains(&group.name);
    let touches = reads_any(&ours, group);
    let elsewhere = group.topics.iter().any(|topic| !ours.contains(topic));
    if group.is_odd {
        let of_prefix = usual || carries_prefix(names, cluster, &group.name);
        return if of_prefix { Belonging::Kept(Reason::OtherKind) } else { Belonging::Foreign };
    }
    match (usual || touches, elsewhere) {
        (true, true) => Belonging::Kept(Reason::OtherTopics),
        (true, false) if usual || !names.prefix().is_empty() => Belonging::Ours,
        (true, false) => Belonging::Kept(Reason::OtherName),
        (false, false) if carries_prefix(names, cluster, &group.name) => Belonging::Ours,
        (false, _) => Belonging::Foreign,
    }
}

/// Whether the topics of these names would be taken from under a member of the group.
#[must_use]
pub fn is_in_the_way(names: &Names, belonging: Belonging, group: &FoundGroup) -> bool {
    let reads = || reads_any(&names.topics(), group);
    !group.members.is_empty()
        && match belonging {
            Belonging::Ours => true,
            Belonging::Kept(_) => reads(),
            Belonging::Foreign => false,
        }
}

fn reads_any(topics: &[String], group: &FoundGroup) -> bool {
    group.topics.iter().any(|topic| topics.contains(topic))
}

/// Whether a group that has read nothing yet is of this prefix by its name, and of no longer one.
fn carries_prefix(names: &Names, cluster: &[(String, i32)], group: &str) -> bool {
    let prefix = names.prefix();
    let Some(rest) = group.strip_prefix(prefix).filter(|_| !prefix.is_empty()) else { return false };
    // The usual group of a longer prefix, which may have no topics yet.
    let usual = Names::new("").groups().into_iter().any(|usual| rest.ends_with(&usual));
    let longer = |topic: &str| {
        let other = Names::prefix_of_orders(topic).filter(|other| other.len() > prefix.len());
        other.is_some_and(|other| group.starts_with(other))
    };
    !usual && !cluster.iter().any(|(topic, _)| longer(topic))
}

/// `foodstream.clean/1`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CleanDocument {
    /// The form of this document.
    pub schema: &'static str,
    /// The prefix; empty for none.
    pub prefix: String,
    /// Whether they are gone; `false` after `--dry-run`.
    pub deleted: bool,
    /// The topics, in the order of their names.
    pub topics: Vec<TopicRow>,
    /// The groups, likewise.
    pub groups: Vec<GroupRow>,
    /// Groups that read one of these topics or are called as one of these groups, and stay.
    pub kept: Vec<KeptRow>,
}

/// A topic of the prefix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TopicRow {
    /// Its name.
    pub name: String,
    /// How many partitions it has.
    pub partitions: i32,
    /// Offsets from the start to the end of its logs, control records included.
    pub records: i64,
}

/// A group of the prefix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroupRow {
    /// Its name.
    pub name: String,
    /// Kafka's name of its state.
    pub state: String,
    /// `client id at host` of each member.
    pub members: Vec<String>,
}

/// A group that stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeptRow {
    /// Its name.
    pub name: String,
    /// Why it stays.
    pub reason: Reason,
    /// What it reads.
    pub topics: Vec<String>,
    /// `client id at host` of each member.
    pub members: Vec<String>,
}

impl CleanDocument {
    /// Nothing of a prefix, to be filled.
    pub fn new(prefix: impl Into<String>) -> Self {
        Self {
            schema: "foodstream.clean/1",
            prefix: prefix.into(),
            deleted: false,
            topics: Vec::new(),
            groups: Vec::new(),
            kept: Vec::new(),
        }
    }

    /// Whether there is nothing to delete.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.topics.is_empty() && self.groups.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLUSTER: &[&str] =
        &["order-events", "lab1.order-events", "lab1.xorder-events", "lab10.order-events", "payments"];

    fn judged(prefix: &str, name: &str, topics: &[&str]) -> Belonging {
        let cluster: Vec<(String, i32)> = CLUSTER.iter().map(|topic| ((*topic).to_owned(), 6)).collect();
        belonging(&Names::new(prefix), &cluster, &group(name, topics))
    }

    fn group(name: &str, topics: &[&str]) -> FoundGroup {
        FoundGroup {
            name: name.to_owned(),
            state: "Empty".to_owned(),
            members: Vec::new(),
            topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
            is_odd: false,
        }
    }

    #[test]
    fn an_odd_group_of_the_prefix_stays_and_another_is_none_of_its_business() {
        for (prefix, name, expected) in [
            ("lab1.", "lab1.shared", Belonging::Kept(Reason::OtherKind)),
            ("lab1.", "lab1.inventory-consumer-group", Belonging::Kept(Reason::OtherKind)),
            ("", "inventory-consumer-group", Belonging::Kept(Reason::OtherKind)),
            ("lab1.", "", Belonging::Foreign),
            ("lab1.", "shared", Belonging::Foreign),
            ("lab1.", "lab1.xshared", Belonging::Foreign),
            ("", "", Belonging::Foreign),
        ] {
            let cluster: Vec<(String, i32)> = CLUSTER.iter().map(|topic| ((*topic).to_owned(), 6)).collect();
            let group = FoundGroup { is_odd: true, ..group(name, &[]) };
            assert_eq!(belonging(&Names::new(prefix), &cluster, &group), expected, "{prefix} {name}");
        }
    }

    #[test]
    fn a_group_belongs_to_the_prefix_whose_topics_are_all_that_it_read() {
        for (prefix, name, topics, expected) in [
            ("lab1.", "lab1.inventory-consumer-group", &["lab1.order-events"][..], Belonging::Ours),
            ("lab1.", "lab1.inventory-consumer-group", &[], Belonging::Ours),
            ("lab1.", "lab1.mine", &["lab1.inventory-events", "lab1.order-events"], Belonging::Ours),
            ("lab1.", "lab1.mine", &[], Belonging::Ours),
            ("lab1.", "console", &["lab1.order-events"], Belonging::Ours),
            ("lab1.", "console", &["lab1.order-events", "payments"], Belonging::Kept(Reason::OtherTopics)),
            (
                "lab1.",
                "lab1.analytics-consumer-group",
                &["lab1.order-events", "payments"],
                Belonging::Kept(Reason::OtherTopics),
            ),
            ("lab1.", "lab1.mine", &["payments"], Belonging::Foreign),
            ("lab1.", "console", &["payments"], Belonging::Foreign),
            ("lab1.", "console", &[], Belonging::Foreign),
        ] {
            assert_eq!(judged(prefix, name, topics), expected, "{prefix} {name} {topics:?}");
        }
    }

    #[test]
    fn a_neighbour_whose_prefix_begins_the_same_keeps_its_groups() {
        for (name, topics) in [
            ("lab1.xinventory-consumer-group", &["lab1.xorder-events"][..]),
            ("lab1.xinventory-consumer-group", &[]),
            // Not even its topics are there yet.
            ("lab1.yanalytics-consumer-group", &[]),
            ("lab1.xmine", &[]),
            ("lab10.inventory-consumer-group", &["lab10.order-events"]),
            ("lab10.inventory-consumer-group", &[]),
            ("inventory-consumer-group", &["order-events"]),
        ] {
            assert_eq!(judged("lab1.", name, topics), Belonging::Foreign, "{name} {topics:?}");
        }
    }

    #[test]
    fn without_a_prefix_only_the_two_usual_groups_go() {
        for (name, topics, expected) in [
            ("inventory-consumer-group", &["order-events"][..], Belonging::Ours),
            ("analytics-consumer-group", &[], Belonging::Ours),
            ("inventory-consumer-group", &["payments"], Belonging::Kept(Reason::OtherTopics)),
            ("mine", &["order-events"], Belonging::Kept(Reason::OtherName)),
            ("mine", &[], Belonging::Foreign),
            ("lab1.inventory-consumer-group", &["lab1.order-events"], Belonging::Foreign),
        ] {
            assert_eq!(judged("", name, topics), expected, "{name} {topics:?}");
        }
    }

    #[test]
    fn a_member_is_in_the_way_of_whatever_would_be_taken_from_under_it() {
        let names = Names::new("");
        let live =
            |name: &str, topics: &[&str]| FoundGroup { members: vec!["a at /b".to_owned()], ..group(name, topics) };
        let in_the_way = |group: &FoundGroup| is_in_the_way(&names, belonging(&names, &[], group), group);
        assert!(in_the_way(&live("inventory-consumer-group", &[])));
        assert!(in_the_way(&live("mine", &["order-events"])));
        assert!(in_the_way(&live("mine", &["order-events", "payments"])));
        assert!(!in_the_way(&live("inventory-consumer-group", &["payments"])), "it reads nothing that goes");
        assert!(!in_the_way(&live("mine", &["payments"])));
        assert!(!in_the_way(&group("inventory-consumer-group", &["order-events"])));
    }
}
