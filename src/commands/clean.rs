//! Owns `clean`: the end of a prefix, its topics and its groups.

use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use super::Context;
use crate::clean::{self, Belonging, CleanDocument, FoundGroup, GroupRow, KeptRow, TopicRow};
use crate::console::Console;
use crate::exit::{Code, Failure, Outcome};
use crate::kafka::{Admin, EndOffset, GroupDeletion, Inspector, Operation, TopicPartition};
use crate::report;
use crate::settings::Consent;

/// Lists what is of this prefix, and deletes it where that is agreed to.
///
/// # Errors
///
/// With exit code 7 while a group has members, or when whoever was asked says no; nothing is deleted then.
pub fn run(context: &Context, consent: Consent) -> Outcome {
    let report = context.open_report()?;
    let names = &context.common.names;
    let inspector = Inspector::open(&context.common.connection, &names.inventory_group(None), &context.shutdown)?;
    let admin = Admin::open(&context.common.connection, &context.runtime, &context.shutdown)?;
    let (mut document, in_the_way) = look(context, &inspector)?;
    let listing = report::clean_listing(&document);
    if document.is_empty() || consent == Consent::DryRun {
        if let Some(group) = in_the_way.first() {
            context.console.note(&format!("it would be refused now: {}", told(group)));
        }
        context.print_document(&document, &format!("{listing}{}", report::clean_outcome(&document)), report)?;
        return Ok(Code::Done);
    }
    if !in_the_way.is_empty() {
        return Err(live(&in_the_way));
    }
    // Listed before it is deleted. A JSON document stays the only answer: the list is told beside it.
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

/// What is there, and the groups whose members would have the topics taken from under them.
fn look(context: &Context, inspector: &Inspector) -> Result<(CleanDocument, Vec<FoundGroup>), Failure> {
    let names = &context.common.names;
    let mut cluster = inspector.topics()?;
    let mut document = CleanDocument::new(names.prefix());
    let ours = names.topics();
    // What an ACL hides would be left behind, and nobody told.
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
                format!("the offsets of the group {} may not be read, so what else it reads is not known", group.name),
            )
            .hint(format!("it needs the right to describe the group {}", group.name)));
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

fn told(group: &FoundGroup) -> String {
    let name = report::printable(&group.name);
    format!("the group {name} has members ({})", report::printable(&group.members.join(", ")))
}

fn live(groups: &[FoundGroup]) -> Failure {
    let groups: Vec<String> = groups.iter().map(told).collect();
    Failure::new(Code::Refused, format!("{}; nothing was deleted", groups.join("; ")))
        .hint("stop them and run it again; a member that was killed is gone when its session has expired (12 s)")
}

/// Asks whoever sits at the terminal; an end of the input is no.
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
    Err(Failure::new(Code::Refused, "nobody said yes; nothing was deleted").hint("answer yes, or give --yes"))
}

/// Groups first: the broker refuses the deletion of one that somebody has joined since, and then every topic is still
/// there. Whatever is left by a kill in between is found by its name again.
fn delete(inspector: &Inspector, admin: &Admin, document: &CleanDocument) -> Result<(), Failure> {
    let groups: Vec<String> = document.groups.iter().map(|group| group.name.clone()).collect();
    let ends = inspector.delete_groups(&groups)?;
    if let Some((group, _)) = groups.iter().zip(ends).find(|(_, end)| *end == GroupDeletion::HasMembers) {
        return Err(Failure::new(
            Code::Refused,
            format!("somebody has joined the group {} meanwhile; no topic was deleted", report::printable(group)),
        )
        .hint("stop whoever it is and run it again; groups without members are gone already"));
    }
    let topics: Vec<String> = document.topics.iter().map(|topic| topic.name.clone()).collect();
    admin.delete_topics(&topics)?;
    Ok(inspector.wait_deleted(&topics)?)
}
