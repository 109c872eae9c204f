//! Settings of `audit`: what is judged, how much evidence is shown, and how much memory is used.

use std::path::PathBuf;

use clap::ValueEnum;

use super::{check_group, usage};
use crate::audit::{FanOut, MatchField};
use crate::cli::{self, LagIsolation, OrderField};
use crate::exit::Failure;
use crate::lag::Isolation;

#[derive(Debug, Clone)]
pub struct AuditSettings {
    pub subject: AuditSubject,
    /// The most evidence of each check, at least 1.
    pub witnesses: usize,
    /// Bytes for records to compare.
    pub memory: u64,
    pub html: Option<PathBuf>,
    pub junit: Option<PathBuf>,
    /// Show all rows and whole values.
    pub full: bool,
}

/// What is judged.
#[derive(Debug, Clone)]
pub enum AuditSubject {
    /// The topics of the prefix.
    Prefix {
        /// `--group`
        group: Option<String>,
    },
    /// Another inventory service.
    Service(ServiceSettings),
    /// Inputs and outputs of any consumer.
    Chain(ChainSettings),
}

impl AuditSubject {
    /// The options that select it and say what is compared, each with its value, also those with their default value.
    pub fn options(&self) -> Vec<(&'static str, String)> {
        let (mut options, group) = match self {
            Self::Prefix { group } => (Vec::new(), group.clone()),
            Self::Service(ServiceSettings { decisions, group, ordered_by }) => {
                let field = ordered_by.and_then(|field| Some(field.to_possible_value()?.get_name().to_owned()));
                let options = [("decisions", Some(decisions.clone())), ("ordered-by", field)];
                let given = options.into_iter().filter_map(|(name, value)| Some((name, value?)));
                (given.collect(), Some(group.clone()))
            }
            Self::Chain(ChainSettings { input, output, match_in, match_out, fan_out, isolation, group }) => {
                let options = [
                    ("in", input.clone()),
                    ("out", output.clone()),
                    ("match-in", match_in.to_string()),
                    ("match-out", match_out.to_string()),
                    ("fan-out", fan_out.to_string()),
                    ("isolation", isolation.name().to_owned()),
                ];
                (options.to_vec(), group.clone())
            }
        };
        options.extend(group.map(|group| ("group", group)));
        options
    }
}

#[derive(Debug, Clone)]
pub struct ServiceSettings {
    /// The full name of the topic with its decisions.
    pub decisions: String,
    /// The full name of its group.
    pub group: String,
    /// The field of an order that it claims as key and order.
    pub ordered_by: Option<OrderField>,
}

#[derive(Debug, Clone)]
pub struct ChainSettings {
    /// The full name of the topic with the inputs.
    pub input: String,
    /// The full name of the topic with the outputs.
    pub output: String,
    pub match_in: MatchField,
    pub match_out: MatchField,
    pub fan_out: FanOut,
    pub isolation: Isolation,
    /// The full name of the group whose offsets limit the inputs.
    pub group: Option<String>,
}

/// Fails with exit code 2 and a fix.
pub fn audit(arguments: &cli::Audit) -> Result<AuditSettings, Failure> {
    check_group(arguments.group.as_deref())?;
    let topic = |flag: &str, name: &str| {
        if name.is_empty() {
            return Err(usage(format!("{flag}: the topic name is missing")).hint("as in --decisions stock-events"));
        }
        Ok(name.to_owned())
    };
    let group = arguments.group.clone();
    let subject = match (&arguments.decisions, &arguments.input, &arguments.output_topic, group) {
        (Some(decisions), _, _, Some(group)) => AuditSubject::Service(ServiceSettings {
            decisions: topic("--decisions", decisions)?,
            group,
            ordered_by: arguments.ordered_by,
        }),
        (_, Some(input), Some(output), group) => {
            let (input, output) = (topic("--in", input)?, topic("--out", output)?);
            if input == output {
                return Err(usage("--in and --out name the same topic").hint("a chain writes to another topic"));
            }
            let field = |own: &Option<MatchField>, flag: &str| {
                own.clone().or_else(|| arguments.matched.clone()).ok_or_else(|| {
                    usage(format!("{flag} is missing: which field do an input and its outputs have in common?"))
                        .hint("as in --match key, --match header:trace-id, or --match /order_id")
                })
            };
            AuditSubject::Chain(ChainSettings {
                input,
                output,
                match_in: field(&arguments.match_in, "--match or --match-in")?,
                match_out: field(&arguments.match_out, "--match or --match-out")?,
                fan_out: arguments.fan_out,
                isolation: match arguments.isolation {
                    LagIsolation::ReadCommitted => Isolation::ReadCommitted,
                    LagIsolation::ReadUncommitted => Isolation::ReadUncommitted,
                },
                group,
            })
        }
        (_, _, _, group) => AuditSubject::Prefix { group },
    };
    Ok(AuditSettings {
        subject,
        witnesses: arguments.witnesses,
        memory: arguments.memory.get(),
        html: arguments.html.clone(),
        junit: arguments.junit.clone(),
        full: arguments.full,
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};
    use crate::exit::Code;

    fn resolve(args: &[&str]) -> Result<AuditSettings, String> {
        let args = ["foodstream", "audit"].iter().chain(args);
        let parsed = Cli::try_parse_from(args).map_err(|error| error.to_string())?;
        let Command::Audit(arguments) = parsed.command else { unreachable!("only audit is called here") };
        audit(&arguments).map_err(|failure| {
            assert_eq!(failure.code, Code::Usage);
            failure.to_string()
        })
    }

    #[test]
    fn options_select_the_subject() {
        let subject = |args: &[&str]| resolve(args).expect("resolved").subject;
        assert!(matches!(subject(&[]), AuditSubject::Prefix { group: None }));
        let AuditSubject::Service(service) = subject(&["--decisions", "stock", "--group", "alice"]) else {
            panic!("a service")
        };
        assert_eq!((&*service.decisions, &*service.group, service.ordered_by), ("stock", "alice", None));
        let AuditSubject::Chain(chain) = subject(&["--in", "a", "--out", "b", "--match", "key", "--match-out", "/id"])
        else {
            panic!("a chain")
        };
        assert_eq!(
            (chain.match_in, chain.match_out, chain.fan_out),
            (MatchField::Key, MatchField::Pointer("/id".to_owned()), FanOut::Exactly(1))
        );
        assert_eq!(resolve(&["--memory", "1GiB"]).expect("resolved").memory, 1 << 30);
    }

    #[test]
    fn the_options_of_a_subject_select_it() {
        let options = |args: &[&str]| resolve(args).expect("resolved").subject.options();
        for (given, expected) in [
            (&[][..], ""),
            (&["--group", "g"], "group g"),
            (&["--decisions", "stock", "--group", "alice"], "decisions stock, group alice"),
            (
                &["--decisions", "stock", "--group", "a", "--ordered-by", "user_id"],
                "decisions stock, ordered-by user_id, group a",
            ),
            (
                &["--in", "a", "--out", "b", "--match", "/id of it", "--group", "g"],
                "in a, out b, match-in /id of it, match-out /id of it, fan-out one, isolation read_committed, group g",
            ),
            (
                &[
                    "--in",
                    "a",
                    "--out",
                    "b",
                    "--match-in",
                    "key",
                    "--match-out",
                    "header:x",
                    "--fan-out",
                    "at-least-one",
                ],
                "in a, out b, match-in key, match-out header:x, fan-out at-least-one, isolation read_committed",
            ),
            (
                &["--in", "a", "--out", "b", "--match", "key", "--fan-out", "7", "--isolation", "read_uncommitted"],
                "in a, out b, match-in key, match-out key, fan-out 7, isolation read_uncommitted",
            ),
        ] {
            let found = options(given);
            let words: Vec<String> = found.iter().map(|(name, value)| format!("{name} {value}")).collect();
            assert_eq!(words.join(", "), expected);
            let again: Vec<String> =
                found.iter().flat_map(|(name, value)| [format!("--{name}"), value.clone()]).collect();
            assert_eq!(options(&again.iter().map(String::as_str).collect::<Vec<_>>()), found);
        }
    }

    #[test]
    fn a_mistake_reports_its_flag() {
        for (args, named) in [
            (&["--decisions", "stock"][..], "--group"),
            (&["--decisions", "", "--group", "g"], "--decisions"),
            (&["--in", "a"], "--out"),
            (&["--in", "a", "--out", "b"], "--match"),
            (&["--in", "a", "--out", "b", "--match-in", "key"], "--match-out"),
            (&["--in", "a", "--out", "a", "--match", "key"], "--in"),
            (&["--in", "a", "--out", "b", "--match", "order_id"], "--match"),
            (&["--in", "a", "--out", "b", "--match", "key", "--fan-out", "0"], "--fan-out"),
            (&["--match", "key"], "--in"),
            (&["--isolation", "read_uncommitted"], "--in"),
            (&["--ordered-by", "restaurant_id"], "--decisions"),
            (&["--decisions", "a", "--group", "g", "--in", "b", "--out", "c"], "--in"),
            (&["--group", ""], "--group"),
            (&["--witnesses", "0"], "--witnesses"),
            (&["--memory", "1"], "--memory"),
        ] {
            let message = resolve(args).expect_err(named);
            assert!(message.contains(named), "{args:?}: {message}");
        }
    }
}
