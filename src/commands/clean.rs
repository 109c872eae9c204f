//! `clean`: deletes the topics and groups of a prefix.

use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use super::Context;
use crate::clean::{self, Belonging, CleanDocument, FoundGroup, GroupRow, KeptRow, TopicRow};
use crate::console::Console;
use crate::exit::{Code, Failure, Outcome};
use crate::kafka::{Admin, EndOffset, GroupDeletion, Inspector, Operation, TopicPartition};
use crate::report::{self, Detail};
use crate::settings::Consent;

/// Lists what belongs to this prefix and deletes it after consent. Fails with exit code 7, without deleting anything,
/// while a group has members or if the user does not confirm.
pub fn run(context: &Context, consent: Consent, full: bool) -> Outcome {
    let report = context.open_report()?;
    let names = &context.common.names;
    let inspector = Inspector::open(&context.common.connection, &names.inventory_group(None), &context.shutdown)?;
    let admin = Admin::open(&context.common.connection, &context.runtime, &context.shutdown)?;
    let (mut document, in_the_way) = find(context, &inspector)?;
    let listing = report::clean_listing(&document, Detail::of(full));
    if document.is_empty() {
        let (topics, groups) = (inspector.topics()?, inspector.group_names()?);
        let existing = topics.iter().map(|(topic, _)| topic).chain(&groups).map(String::as_str);
        if let Some(options) = names.other_prefixes(existing) {
            context.console.note(&format!("topics or groups of this program exist with {options}"));
        }
    }
    if document.is_empty() || consent == Consent::DryRun {
        if let Some(group) = in_the_way.first() {
            context.console.note(&format!("the deletion would be refused now: {}", describe(group)));
        }
        context.print_document(&document, &format!("{listing}{}", report::clean_outcome(&document)), report)?;
        return Ok(Code::Done);
    }
    if !in_the_way.is_empty() {
        return Err(live(&in_the_way));
    }
    // Listed before the deletion. With JSON, stdout has only the document, so the list goes to stderr.
    if !context.common.json {
        context.console.print(&listing)?;
    } else if consent == Consent::Asked {
        listing.lines().for_each(|line| context.console.note(line));
    }
    if consent == Consent::Asked {
        ask(context, &report::clean_question(&document))?;
    }
    context.shutdown.check()?;
    delete(&inspector, &admin, &document)?;
    document.deleted = true;
    context.print_document(&document, &report::clean_outcome(&document), report)?;
    Ok(Code::Done)
}

/// What exists, and the groups with members that read topics to be deleted.
fn find(context: &Context, inspector: &Inspector) -> Result<(CleanDocument, Vec<FoundGroup>), Failure> {
    let names = &context.common.names;
    let mut cluster = inspector.topics()?;
    let mut document = CleanDocument::new(names.prefix());
    let ours = names.topics();
    // What an ACL hides would remain unnoticed.
    for name in &ours {
        if !cluster.iter().any(|(found, _)| found == name)
            && let Some(partitions) = inspector.partitions(name, &[Operation::Delete])?
        {
            cluster.push((name.clone(), partitions));
        }
    }
    inspector.require_visible(&names.groups(), Operation::Delete)?;
    for (name, partitions) in cluster.iter().filter(|(name, _)| ours.contains(name)) {
        let places = TopicPartition::all(name, *partitions);
        let starts = inspector.starts(&places)?;
        let ends = inspector.ends(&places, EndOffset::HighWatermark)?;
        let records = starts.iter().zip(&ends).map(|(start, end)| (end - start).max(0)).sum();
        document.topics.push(TopicRow { name: name.clone(), partitions: *partitions, records });
    }
    let mut in_the_way = Vec::new();
    for group in inspector.groups()? {
        let unseen = group.topics.is_none();
        let group = FoundGroup {
            name: group.name,
            state: group.state,
            members: group.members,
            topics: group.topics.into_iter().flatten().collect(),
            is_odd: group.is_not_consumer_group,
        };
        let belonging = clean::belonging(names, &cluster, &group);
        if unseen && belonging == Belonging::Ours {
            return Err(Failure::new(
                Code::Denied,
                format!("no permission to read the offsets of group {}, so its other topics are unknown", group.name),
            )
            .hint(format!("grant DESCRIBE on group {}", group.name)));
        }
        if clean::is_in_the_way(names, belonging, &group) {
            in_the_way.push(group.clone());
        }
        let FoundGroup { name, state, members, topics, .. } = group;
        match belonging {
            Belonging::Ours => document.groups.push(GroupRow { name, state, members }),
            Belonging::Kept(reason) => document.kept.push(KeptRow { name, reason, topics, members }),
            Belonging::Foreign => {}
        }
    }
    Ok((document, in_the_way))
}

fn describe(group: &FoundGroup) -> String {
    let name = report::printable(&group.name);
    format!("group {name} has members ({})", report::printable(&group.members.join(", ")))
}

fn live(groups: &[FoundGroup]) -> Failure {
    let groups: Vec<String> = groups.iter().map(describe).collect();
    Failure::new(Code::Refused, format!("{}; nothing was deleted", groups.join("; ")))
        .hint("stop them and run the command again; a killed member leaves when its session times out (12 s)")
}

/// Asks at the terminal. The end of the input means no.
fn ask(context: &Context, question: &str) -> Result<(), Failure> {
    let answer = Console::ask(question);
    let line = loop {
        match answer.recv_timeout(Duration::from_millis(20)) {
            Ok(line) => break line,
            Err(RecvTimeoutError::Timeout) => context.shutdown.check()?,
            Err(RecvTimeoutError::Disconnected) => break String::new(),
        }
    };
    if matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
        return Ok(());
    }
    Err(Failure::new(Code::Refused, "not confirmed; nothing was deleted").hint("answer yes, or give --yes"))
}

// Groups first: the broker does not delete a group that has members again, and then all topics still exist. After a
// kill in between, the next run finds the rest by name.
fn delete(inspector: &Inspector, admin: &Admin, document: &CleanDocument) -> Result<(), Failure> {
    let groups: Vec<String> = document.groups.iter().map(|group| group.name.clone()).collect();
    let ends = inspector.delete_groups(&groups)?;
    if let Some((group, _)) = groups.iter().zip(ends).find(|(_, end)| *end == GroupDeletion::HasMembers) {
        return Err(Failure::new(
            Code::Refused,
            format!("a member has joined group {} in the meantime; no topic was deleted", report::printable(group)),
        )
        .hint("stop it and run the command again; the groups without members are already deleted"));
    }
    let topics: Vec<String> = document.topics.iter().map(|topic| topic.name.clone()).collect();
    admin.delete_topics(&topics)?;
    Ok(inspector.wait_deleted(&topics)?)
}
