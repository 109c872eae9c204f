//! Owns what was meant by `lag`: which groups and topics, to which end, how often, and what is too much.

use std::path::PathBuf;
use std::time::Duration;

use super::{check_group, usage};
use crate::cli::{self, LagIsolation};
use crate::exit::Failure;
use crate::kafka::TopicChoice;
use crate::lag::{Condition, Isolation};

/// Below it, looking is all that would be measured.
const SHORTEST_WATCH: Duration = Duration::from_millis(50);

/// What `lag` is to show.
#[derive(Debug, Clone)]
pub struct LagSettings {
    /// Groups as the cluster knows them; none for those of the prefix.
    pub groups: Vec<String>,
    /// Only these topics; none for all that a group has offsets for.
    pub topics: Vec<TopicChoice>,
    /// To which end lag is counted.
    pub isolation: Isolation,
    /// Look again this often.
    pub watch: Option<Duration>,
    /// What is too much.
    pub fail_if: Option<Condition>,
    /// Whether a group or offsets that are not there may pass.
    pub allow_missing: bool,
    /// Where the samples also go.
    pub csv: Option<PathBuf>,
    /// Where the page goes.
    pub html: Option<PathBuf>,
}

/// The settings of `lag`.
///
/// # Errors
///
/// With exit code 2 and the fix for whatever is wrong.
pub fn lag(typed: &cli::Lag) -> Result<LagSettings, Failure> {
    let mut groups: Vec<String> = Vec::new();
    for group in &typed.group {
        check_group(Some(group))?;
        if !groups.contains(group) {
            groups.push(group.clone());
        }
    }
    let topics = typed.topic.iter().map(|text| choice(text)).collect::<Result<_, _>>()?;
    let watch = typed.watch.map(Duration::from);
    if watch.is_some_and(|watch| watch < SHORTEST_WATCH) {
        return Err(usage("--watch: looking more often than every 50 ms shows the looking").hint("as in --watch 1s"));
    }
    let fail_if = typed.fail_if.as_deref().map(|text| {
        text.parse::<Condition>().map_err(|problem| usage(format!("--fail-if {text:?} is no condition")).hint(problem))
    });
    Ok(LagSettings {
        groups,
        topics,
        isolation: match typed.isolation {
            LagIsolation::ReadCommitted => Isolation::ReadCommitted,
            LagIsolation::ReadUncommitted => Isolation::ReadUncommitted,
        },
        watch,
        fail_if: fail_if.transpose()?,
        allow_missing: typed.allow_missing,
        csv: typed.csv.clone(),
        html: typed.html.clone(),
    })
}

/// `NAME`, or `NAME:0,1` for some partitions; no topic has a colon in its name.
fn choice(text: &str) -> Result<TopicChoice, Failure> {
    let refused =
        |what: &str| usage(format!("--topic {text:?}: {what}")).hint("as in --topic orders, or --topic orders:0,1");
    let (topic, partitions) = match text.split_once(':') {
        None => (text, None),
        Some((topic, list)) => {
            let number = |text: &str| text.trim().parse::<i32>().ok().filter(|number| *number >= 0);
            let partitions: Option<Vec<i32>> = list.split(',').map(number).collect();
            (topic, Some(partitions.ok_or_else(|| refused("partitions are numbers with commas between them"))?))
        }
    };
    if topic.is_empty() {
        return Err(refused("no topic is named"));
    }
    Ok(TopicChoice { topic: topic.to_owned(), partitions })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};
    use crate::exit::Code;

    fn meant(words: &[&str]) -> Result<LagSettings, Failure> {
        let words = ["foodstream", "lag"].iter().chain(words);
        let Command::Lag(typed) = Cli::try_parse_from(words).expect("parses").command else {
            unreachable!("only lag is typed here")
        };
        lag(&typed)
    }

    #[test]
    fn groups_and_topics_are_taken_as_the_cluster_knows_them() {
        let settings = meant(&["--group", "b", "--group", "a", "--group", "b", "--topic", "t", "--topic", "u:2,0"]);
        let settings = settings.expect("meant");
        assert_eq!(settings.groups, ["b", "a"]);
        let choice = |topic: &str, partitions| TopicChoice { topic: topic.to_owned(), partitions };
        assert_eq!(settings.topics, [choice("t", None), choice("u", Some(vec![2, 0]))]);
        assert_eq!(settings.isolation, Isolation::ReadCommitted);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_flag_and_the_fix() {
        for (words, named) in [
            (&["--group", ""][..], "--group"),
            (&["--topic", ""], "--topic"),
            (&["--topic", ":1"], "--topic"),
            (&["--topic", "t:"], "--topic"),
            (&["--topic", "t:1,x"], "--topic"),
            (&["--topic", "t:-1"], "--topic"),
            (&["--fail-if", "<5"], "--fail-if"),
            (&["--fail-if", "much"], "--fail-if"),
            (&["--watch", "1ms"], "--watch"),
        ] {
            let failure = meant(words).expect_err(named);
            assert_eq!(failure.code, Code::Usage, "{words:?}");
            assert!(failure.message.contains(named) && failure.hint.is_some(), "{words:?}: {failure}");
        }
    }
}
