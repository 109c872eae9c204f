//! Which topics and groups of a cluster `clean` deletes and which it keeps, and its document.

use serde::Serialize;

use crate::topics::Names;

/// A consumer group of the cluster, of this prefix or not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FoundGroup {
    pub name: String,
    /// Kafka's name of its state.
    pub state: String,
    /// `client id at host` of each member.
    pub members: Vec<String>,
    /// The topics with committed offsets of the group or assigned to its members, sorted and without duplicates.
    pub topics: Vec<String>,
    /// Kafka lists the name, but as no consumer group: nothing more is known about it.
    pub is_odd: bool,
}

/// How a group relates to the prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Belonging {
    /// Deleted together with the topics.
    Ours,
    /// It reads a topic of the prefix or has the name of one of its groups, but must not be deleted.
    Kept(Reason),
    /// Unrelated to the prefix.
    Foreign,
}

/// Why a group is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(clippy::enum_variant_names, reason = "the names in the document")]
pub enum Reason {
    /// It has offsets on other topics too, which a deletion would lose.
    OtherTopics,
    /// Without a prefix, only the two groups with the default names are deleted.
    OtherName,
    /// Not a consumer group, but a share group, or its name contains NUL.
    OtherKind,
}

/// How a group relates to the prefix of `names`, in a cluster with these topics.
///
/// A group belongs to the prefix if it has read topics of this prefix only, or if it has read nothing and its name
/// begins with the prefix but not with a longer prefix that is in use: `lab1.` is not `lab1.x`.
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

/// Whether a member of the group would lose topics that it reads.
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

/// Whether the name of a group that has read nothing begins with this prefix and with no longer one.
fn carries_prefix(names: &Names, cluster: &[(String, i32)], group: &str) -> bool {
    let prefix = names.prefix();
    let Some(rest) = group.strip_prefix(prefix).filter(|_| !prefix.is_empty()) else { return false };
    // A default group name behind a longer prefix, whose topics may not exist yet.
    let usual = Names::new("").groups().into_iter().any(|usual| rest.ends_with(&usual));
    let longer = |topic: &str| {
        let other = Names::prefix_of_orders(topic).filter(|other| other.len() > prefix.len());
        other.is_some_and(|other| group.starts_with(other))
    };
    !usual && !cluster.iter().any(|(topic, _)| longer(topic))
}

/// Schema `foodstream.clean/1`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CleanDocument {
    pub schema: &'static str,
    /// Empty for none.
    pub prefix: String,
    /// `false` after `--dry-run`.
    pub deleted: bool,
    /// Sorted by name.
    pub topics: Vec<TopicRow>,
    /// Sorted by name.
    pub groups: Vec<GroupRow>,
    /// Groups that read one of these topics or have the name of one of these groups, and are kept.
    pub kept: Vec<KeptRow>,
}

/// A topic of the prefix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TopicRow {
    pub name: String,
    pub partitions: i32,
    /// Offsets from the log start to the end, control records included.
    pub records: i64,
}

/// A group of the prefix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroupRow {
    pub name: String,
    /// Kafka's name of its state.
    pub state: String,
    /// `client id at host` of each member.
    pub members: Vec<String>,
}

/// A group that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeptRow {
    pub name: String,
    pub reason: Reason,
    /// The topics that it reads.
    pub topics: Vec<String>,
    /// `client id at host` of each member.
    pub members: Vec<String>,
}

impl CleanDocument {
    /// An empty document.
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

    fn classify(prefix: &str, name: &str, topics: &[&str]) -> Belonging {
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
    fn keeps_odd_groups_of_the_prefix() {
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
    fn a_group_belongs_to_the_prefix_of_its_topics() {
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
            assert_eq!(classify(prefix, name, topics), expected, "{prefix} {name} {topics:?}");
        }
    }

    #[test]
    fn leaves_groups_of_a_longer_prefix() {
        for (name, topics) in [
            ("lab1.xinventory-consumer-group", &["lab1.xorder-events"][..]),
            ("lab1.xinventory-consumer-group", &[]),
            // The topics of this prefix do not exist yet.
            ("lab1.yanalytics-consumer-group", &[]),
            ("lab1.xmine", &[]),
            ("lab10.inventory-consumer-group", &["lab10.order-events"]),
            ("lab10.inventory-consumer-group", &[]),
            ("inventory-consumer-group", &["order-events"]),
        ] {
            assert_eq!(classify("lab1.", name, topics), Belonging::Foreign, "{name} {topics:?}");
        }
    }

    #[test]
    fn without_a_prefix_takes_default_groups_only() {
        for (name, topics, expected) in [
            ("inventory-consumer-group", &["order-events"][..], Belonging::Ours),
            ("analytics-consumer-group", &[], Belonging::Ours),
            ("inventory-consumer-group", &["payments"], Belonging::Kept(Reason::OtherTopics)),
            ("mine", &["order-events"], Belonging::Kept(Reason::OtherName)),
            ("mine", &[], Belonging::Foreign),
            ("lab1.inventory-consumer-group", &["lab1.order-events"], Belonging::Foreign),
        ] {
            assert_eq!(classify("", name, topics), expected, "{name} {topics:?}");
        }
    }

    #[test]
    fn a_member_that_reads_a_topic_is_in_the_way() {
        let names = Names::new("");
        let live =
            |name: &str, topics: &[&str]| FoundGroup { members: vec!["a at /b".to_owned()], ..group(name, topics) };
        let in_the_way = |group: &FoundGroup| is_in_the_way(&names, belonging(&names, &[], group), group);
        assert!(in_the_way(&live("inventory-consumer-group", &[])));
        assert!(in_the_way(&live("mine", &["order-events"])));
        assert!(in_the_way(&live("mine", &["order-events", "payments"])));
        assert!(!in_the_way(&live("inventory-consumer-group", &["payments"])), "it reads no deleted topic");
        assert!(!in_the_way(&live("mine", &["payments"])));
        assert!(!in_the_way(&group("inventory-consumer-group", &["order-events"])));
    }
}
