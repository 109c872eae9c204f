//! `replay --undo`: restores the group's offsets and state from before the last switch.

use std::time::Duration;

use super::epoch::{EpochWriter, SwitchedPartition};
use super::group::{self, InputPartition};
use super::sole_member::SoleMember;
use super::topic_set::{self, TopicSet};
use super::{Context, topic_settings};
use crate::analytics::View;
use crate::exit::{Code, Failure, Outcome};
use crate::kafka::{Inspector, TopicPartition};
use crate::replay::RestoredPartition;
use crate::report::{self, Detail};
use crate::state::{Position, is_another_topic};

/// Restores offsets and state from before the last switch, in one transaction. Fails with exit code 7 without a switch
/// to undo, or if the group is live.
pub fn run(context: &Context, group: Option<&str>, wait_empty: Option<Duration>, full: bool) -> Outcome {
    let report = context.open_report()?;
    let names = &context.common.names;
    let group_name = names.analytics_group(group);
    let inspector = Inspector::open(&context.common.connection, &group_name, &context.shutdown)?;
    let topic_set = topic_set::require(context, &inspector, topic_set::SWITCHING)?;
    topic_settings::check_state(context, &inspector, &topic_set)?;
    group::wait_empty(context, &inspector, &group_name, wait_empty)?;
    let inputs = group::inputs(context, &topic_set);
    let nothing = || {
        Failure::new(Code::Refused, format!("group {group_name} has no replay to undo"))
            .hint("an undo reverts the last `replay` or `analytics --from-beginning`, if the group had state before it")
    };
    let state = group::read_positions(context, &inspector, &topic_set, &group_name)?;
    if !state.positions().any(|(_, _, position)| position.previous.is_some()) {
        return Err(nothing());
    }
    let writer = EpochWriter::open(context, &inspector, &group_name)?;
    let sole_member = SoleMember::join(context, &inspector, &group_name, &inputs)?;
    let restored = match restore(context, &inspector, &topic_set, &group_name, &inputs, &writer, &sole_member) {
        Ok(restored) => restored,
        Err(failure) => {
            sole_member.leave_at_once();
            return Err(failure);
        }
    };
    sole_member.leave();
    writer.wait_visible(&inspector, &topic_set, &inputs)?;
    let state = group::read_state(context, &inspector, &topic_set, &group_name)?;
    group::require_complete(&state)?;
    let document = state.metrics([&names.orders(), &names.decisions()], |_, _, _| View::Current).document();
    if context.common.json {
        // The document has the metrics only.
        context
            .console
            .note(&format!("group {group_name} has its offsets and state from before its last replay or first pass"));
    }
    context.print_metrics(document, full, report, |metrics| {
        report::undo_report(metrics, &restored, &group_name, Detail::of(full), &context.files(&[]))
    })?;
    Ok(Code::Done)
}

fn restore(
    context: &Context,
    inspector: &Inspector,
    topic_set: &TopicSet,
    group_name: &str,
    inputs: &[InputPartition],
    writer: &EpochWriter<'_>,
    sole_member: &SoleMember<'_>,
) -> Result<Vec<RestoredPartition>, Failure> {
    let state = group::read_state(context, inspector, topic_set, group_name)?;
    let ids = group::topic_ids(context, inspector, inputs)?;
    for (input, id) in inputs.iter().zip(&ids) {
        let TopicPartition { topic, partition } = &input.source;
        let Some(back) = state.position(topic, *partition).and_then(|now| now.previous.as_ref()) else { continue };
        if is_another_topic(back.topic_id.as_ref(), id.as_ref()) {
            return Err(Failure::new(
                Code::Refused,
                format!("topic {topic} was deleted and created again: the state before the last switch belongs to the old topic"),
            )
            .hint("the group is unchanged and continues from its committed offsets"));
        }
        if let Some(loss) = state.loss(topic, *partition, View::BeforeSwitch) {
            return Err(Failure::new(
                Code::Refused,
                format!("state_lost: the state of {topic}/{partition} before the last switch is incomplete: {loss}"),
            )
            .hint("the group is unchanged; keep cleanup.policy=compact on analytics-state"));
        }
    }
    let mut restored = Vec::new();
    let switched: Vec<SwitchedPartition> = inputs
        .iter()
        .filter_map(|input| {
            let now = state.position(&input.source.topic, input.source.partition)?;
            let back = now.previous.clone()?;
            restored.push(RestoredPartition {
                topic: input.source.topic.clone(),
                partition: input.source.partition,
                from: now.next_offset,
                to: back.next_offset,
            });
            let position = Position {
                next_offset: back.next_offset,
                log_start: back.log_start,
                topic_id: back.topic_id,
                group: group_name.to_owned(),
                epoch: Some(back.epoch),
                settings: None,
                counts: back.counts,
                holds: back.holds,
                digest: back.digest,
                until: None,
                started_over: false,
                previous: now.checkpoint(),
            };
            Some(SwitchedPartition { source: input.source.clone(), position })
        })
        .collect();
    sole_member.poll()?;
    writer.switch(sole_member, &[], &switched)?;
    Ok(restored)
}
