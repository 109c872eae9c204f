//! The two topics of a chain: which offsets of them are read, and which inputs must have outputs.

use crate::commands::Context;
use crate::commands::audit::frozen_topic::FrozenTopic;
use crate::exit::{Code, Failure};
use crate::kafka::{EndOffset, Inspector};
use crate::lag::Isolation;
use crate::settings::ChainSettings;

/// The most topics that an error lists.
const MAX_LISTED: usize = 10;

/// Both topics as they are read.
#[derive(Debug)]
pub(super) struct Frozen {
    pub inputs: FrozenTopic,
    pub outputs: FrozenTopic,
    /// Whether the group had members.
    pub live: bool,
}

/// Finds the topics and decides what is read of them.
///
/// Inputs that must have outputs come first: those below the group's committed offsets, or without a group all that are
/// there. Then the ends of the outputs are read, and then those of the inputs. So each of these inputs has its outputs
/// below the ends, if it has them, and each output its input.
pub(super) fn freeze(context: &Context, inspector: &Inspector, chain: &ChainSettings) -> Result<Frozen, Failure> {
    let find = |topic| FrozenTopic::find(context, inspector, topic)?.ok_or_else(|| missing(inspector, topic));
    let (mut inputs, mut outputs) = (find(&chain.input)?, find(&chain.output)?);
    let mut live = false;
    inputs.required = match &chain.group {
        Some(group) => {
            live = !inspector.group_members(group)?.members.is_empty();
            inspector.committed(&inputs.partitions, &mut |text| context.console.note(text))?
        }
        None => inspector.ends(&inputs.partitions, EndOffset::LastStable)?.into_iter().map(Some).collect(),
    };
    outputs.end_now(context, inspector, chain.isolation)?;
    outputs.required = vec![Some(i64::MAX); outputs.partitions.len()];
    // A consumer may read uncommitted inputs, but what it makes of them is not judged as an output of an input.
    inputs.end_now(context, inspector, Isolation::ReadCommitted)?;
    Ok(Frozen { inputs, outputs, live })
}

fn missing(inspector: &Inspector, topic: &str) -> Failure {
    let failure = Failure::new(Code::Refused, format!("topic {topic} does not exist"));
    // Without an answer, the hint has no names.
    let topics = inspector.topics().unwrap_or_default();
    let names = topics.iter().map(|(name, _)| name.as_str()).filter(|name| !name.starts_with("__"));
    let mut names: Vec<&str> = names.collect();
    names.sort_by_cached_key(|name| (strsim::damerau_levenshtein(topic, name), (*name).to_owned()));
    let more = names.len().saturating_sub(MAX_LISTED);
    names.truncate(MAX_LISTED);
    failure.hint(match (names.is_empty(), more) {
        (true, _) => "--in and --out take full names of topics; the broker has no topic that you may see".to_owned(),
        (false, 0) => format!("--in and --out take full names of topics; there are {}", names.join(", ")),
        (false, more) => {
            format!("--in and --out take full names of topics, such as {}, or {more} more", names.join(", "))
        }
    })
}
