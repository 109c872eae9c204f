//! Settings of `lag`: groups, topics, isolation, interval and condition.

use std::path::PathBuf;
use std::time::Duration;

use super::{check_group, usage};
use crate::cli::{self, LagIsolation};
use crate::exit::Failure;
use crate::kafka::TopicChoice;
use crate::lag::{Condition, Isolation};

/// Below this interval, sampling would mostly measure itself.
const SHORTEST_WATCH: Duration = Duration::from_millis(50);

#[derive(Debug, Clone)]
pub struct LagSettings {
    /// Full group names; empty for the groups of the prefix, or all groups.
    pub groups: Vec<String>,
    /// Every group of the cluster.
    pub all_groups: bool,
    /// Show all partitions of each group, and groups without lag.
    pub full: bool,
    /// Topics; empty for all with offsets of a group.
    pub topics: Vec<TopicChoice>,
    pub isolation: Isolation,
    /// Sampling interval.
    pub watch: Option<Duration>,
    /// `--fail-if`
    pub fail_if: Option<Condition>,
    /// Whether missing groups and offsets do not fail.
    pub allow_missing: bool,
    pub csv: Option<PathBuf>,
    pub html: Option<PathBuf>,
}

/// Fails with exit code 2 and a fix.
pub fn lag(arguments: &cli::Lag) -> Result<LagSettings, Failure> {
    let mut groups: Vec<String> = Vec::new();
    for group in &arguments.group {
        check_group(Some(group))?;
        if !groups.contains(group) {
            groups.push(group.clone());
        }
    }
    let topics = arguments.topic.iter().map(|text| choice(text)).collect::<Result<_, _>>()?;
    let watch = arguments.watch.map(Duration::from);
    if watch.is_some_and(|watch| watch < SHORTEST_WATCH) {
        return Err(usage("--watch: the interval must be at least 50 ms").hint("as in --watch 1s"));
    }
    let fail_if = arguments.fail_if.as_deref().map(|text| {
        text.parse::<Condition>()
            .map_err(|problem| usage(format!("--fail-if {text:?}: invalid condition")).hint(problem))
    });
    Ok(LagSettings {
        groups,
        all_groups: arguments.all_groups,
        full: arguments.full,
        topics,
        isolation: match arguments.isolation {
            LagIsolation::ReadCommitted => Isolation::ReadCommitted,
            LagIsolation::ReadUncommitted => Isolation::ReadUncommitted,
        },
        watch,
        fail_if: fail_if.transpose()?,
        allow_missing: arguments.allow_missing,
        csv: arguments.csv.clone(),
        html: arguments.html.clone(),
    })
}

/// `NAME` or `NAME:0,1`; topic names contain no colon.
fn choice(text: &str) -> Result<TopicChoice, Failure> {
    let refused =
        |what: &str| usage(format!("--topic {text:?}: {what}")).hint("as in --topic orders, or --topic orders:0,1");
    let (topic, partitions) = match text.split_once(':') {
        None => (text, None),
        Some((topic, list)) => {
            let number = |text: &str| text.trim().parse::<i32>().ok().filter(|number| *number >= 0);
            let partitions: Option<Vec<i32>> = list.split(',').map(number).collect();
            (topic, Some(partitions.ok_or_else(|| refused("expected partition numbers separated by commas"))?))
        }
    };
    if topic.is_empty() {
        return Err(refused("the topic name is missing"));
    }
    Ok(TopicChoice { topic: topic.to_owned(), partitions })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};
    use crate::exit::Code;

    fn resolve(args: &[&str]) -> Result<LagSettings, Failure> {
        let args = ["foodstream", "lag"].iter().chain(args);
        let Command::Lag(arguments) = Cli::try_parse_from(args).expect("parses").command else {
            unreachable!("only lag is arguments here")
        };
        lag(&arguments)
    }

    #[test]
    fn takes_full_names_of_groups_and_topics() {
        let settings = resolve(&["--group", "b", "--group", "a", "--group", "b", "--topic", "t", "--topic", "u:2,0"]);
        let settings = settings.expect("resolved");
        assert_eq!(settings.groups, ["b", "a"]);
        let choice = |topic: &str, partitions| TopicChoice { topic: topic.to_owned(), partitions };
        assert_eq!(settings.topics, [choice("t", None), choice("u", Some(vec![2, 0]))]);
        assert_eq!(settings.isolation, Isolation::ReadCommitted);
    }

    #[test]
    fn a_watch_has_an_interval() {
        let watch = |args: &[&str]| resolve(args).expect("resolved").watch;
        assert_eq!(watch(&[]), None);
        assert_eq!(watch(&["--watch", "2"]), Some(Duration::from_secs(2)));
        assert_eq!(watch(&["--watch", "0.5"]), Some(Duration::from_millis(500)));
        assert_eq!(watch(&["--watch=250ms"]), Some(Duration::from_millis(250)));
        // Without a value, the next option is not taken as one.
        for args in
            [&["--watch"][..], &["--watch", "--fail-if", ">5"], &["--watch", "-q"], &["--all-groups", "--watch"]]
        {
            assert_eq!(watch(args), Some(Duration::from_secs(1)), "{args:?}");
        }
        let refused = |args: &[&str]| {
            let args = ["foodstream", "lag"].iter().chain(args);
            Cli::try_parse_from(args).expect_err("refused").to_string()
        };
        assert!(refused(&["--watch", "-5"]).contains("'-5' for '--watch"), "{}", refused(&["--watch", "-5"]));
        assert!(refused(&["--all-groups", "--group", "x"]).contains("cannot be used with"));
        assert!(resolve(&["--full"]).expect("resolved").full);
    }

    #[test]
    fn a_mistake_reports_its_flag() {
        for (args, named) in [
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
            let failure = resolve(args).expect_err(named);
            assert_eq!(failure.code, Code::Usage, "{args:?}");
            assert!(failure.message.contains(named) && failure.hint.is_some(), "{args:?}: {failure}");
        }
    }
}
