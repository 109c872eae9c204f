//! Owns what can be typed: commands, flags and their help. No input or output, no environment; `settings` says what it means.

mod analytics;
mod broker;
mod clean;
mod help;
mod inventory;
mod kafka_options;
mod lag;
mod produce;
mod replay;
mod scenario;
mod shell;
mod value_parsers;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use humantime::Duration;

use value_parsers::timeout;

pub use analytics::Analytics;
pub use broker::Broker;
pub use clean::Clean;
pub use help::{command, examples, manual, parse};
pub use inventory::Inventory;
pub use kafka_options::explain_kafka_option;
pub use lag::{Lag, LagIsolation};
pub use produce::Produce;
pub use replay::Replay;
pub use scenario::{Scenario, ScenarioCommand, ScenarioFiles, ScenarioList, ScenarioRun};
pub use shell::{Completions, Help, Man};
pub use value_parsers::Property;

/// Learn, demonstrate and test event streaming on Kafka with a food-ordering workload that proves what it claims.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "foodstream",
    version,
    disable_help_subcommand = true,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "Examples:
  foodstream produce --count 10000 --seed 7   place orders; starts a broker where there is none
  foodstream inventory --until-end            reserve stock for each of them, exactly once
  foodstream analytics --from-beginning       compute the metrics
  foodstream replay                           compute them again from the same records, and compare"
)]
pub struct Cli {
    /// What every command takes.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Publish a seeded, reproducible workload of orders on `order-events`
    #[command(after_help = "Examples:
  foodstream produce --count 10000 --seed 7      the same records every time, at full speed
  foodstream produce --rate 500/s --duration 1m  open loop: event i is due at start + i/500 s
  foodstream produce --poison-rate 1%            one record in a hundred is malformed on purpose")]
    Produce(Produce),
    /// Reserve stock for each order and emit `inventory-events`, exactly once
    #[command(after_help = "Examples:
  foodstream inventory                     until stopped; start more of them to share the partitions
  foodstream inventory --until-end         up to the orders that stand there now
  foodstream inventory --throttle 500/s    fall behind on purpose")]
    Inventory(Inventory),
    /// Compute orders per minute, failure and rejection rates
    #[command(after_help = "Examples:
  foodstream analytics                     live, going on where the group stood
  foodstream analytics --from-beginning    one fast pass over the whole log; its result becomes the group's
  foodstream analytics --until-end --output json    one JSON document on stdout")]
    Analytics(Analytics),
    /// Rewind the analytics group, recompute its metrics and prove them equal, or say why not
    #[command(after_help = "Examples:
  foodstream replay --dry-run      show what would be read again
  foodstream replay                rewind to the log's start, read again, compare every metric
  foodstream replay --shadow       recompute beside a live group, and leave it alone
  foodstream replay --undo         go back to where the group stood before the last replay
  foodstream replay --to-offset 40                       every partition from this offset on
  foodstream replay --to-datetime 2026-11-22T12:00:00Z   from the first record at or after this time
  foodstream replay --by-duration 90m                    the last hour and a half; PT90M is the same
  foodstream replay --shift-by -20                       the last 20 offsets of every partition
  foodstream replay --topic order-events:0,1 --topic inventory-events   these partitions; all others stay as they are
  foodstream replay --dry-run --shift-by -20 --export plan.csv   as kafka-consumer-groups reads it
  foodstream replay --from-file plan.csv                 what it or Kafka's own tool has exported")]
    Replay(Replay),
    /// Show how far behind a consumer group is: any group, any topic of the cluster
    #[command(after_help = "Examples:
  foodstream lag                              the groups of this prefix
  foodstream lag --group payments --watch 1s  any group, until stopped
  foodstream lag --fail-if '>1000'            exit 3 when more messages wait
  foodstream lag --fail-if '>30s' --output json   exit 3 when the next one has waited longer
  foodstream lag --watch 5s --csv lag.csv")]
    Lag(Lag),
    /// Play scripts of command lines, and hold what they measured against what they expect
    #[command(after_help = "Examples:
  foodstream scenario list                              the scripts of scenarios/ and what they show
  foodstream scenario run scenarios/ten-thousand.toml
  foodstream scenario check scenarios                   every mistake, with its line")]
    Scenario(Scenario),
    /// Delete the topics and groups of this prefix, after listing them
    #[command(after_help = "Examples:
  foodstream clean --prefix lab1. --dry-run   what would be deleted
  foodstream clean --prefix lab1.             asks first
  foodstream clean --prefix lab1. --yes       does not ask")]
    Clean(Clean),
    /// Be a Kafka for this machine, or look after the one that runs in the background
    #[command(
        long_about = "Be a Kafka for this machine: a broker of one node, for a machine without Kafka.

Commands start one in the background by themselves where no Kafka answers at localhost:9092. Its data is in .foodstream/ of \
the working directory, and it leaves 30 s after its last client (FOODSTREAM_BROKER_IDLE sets another time).

This command runs one in the foreground, for any Kafka client, until it is stopped; --status and --stop look after the one \
of a folder, whoever started it. What was acknowledged survives the end of the process, also by kill -9; a loss of power \
only with --fsync.",
        after_help = "Examples:
  foodstream broker                       at 127.0.0.1:9092, data in .foodstream/
  foodstream broker --memory --listen 127.0.0.1:0   gone with the process, on any free port
  foodstream broker --data /var/tmp/lab   the broker that `-b embedded:/var/tmp/lab` names
  foodstream broker --status              what runs over .foodstream/; exit 3 when nothing does
  foodstream broker --stop                end it; its data stays"
    )]
    Broker(Broker),
    /// Print a shell's completions of this command line
    #[command(
        alias = "completion",
        override_usage = "foodstream completions <SHELL>",
        after_help = "Examples:
  foodstream completions bash   for ~/.local/share/bash-completion/completions/foodstream
  foodstream completions zsh    for a file _foodstream in a folder of fpath
  foodstream completions fish   for ~/.config/fish/completions/foodstream.fish"
    )]
    Completions(Completions),
    /// Write the manual, a page for each command
    #[command(
        override_usage = "foodstream man <DIR>",
        after_help = "Examples:
  foodstream man .   foodstream.1 and its companions here; `man -l foodstream.1` shows one"
    )]
    Man(Man),
    /// Tell about a command, as its --help
    #[command(
        override_usage = "foodstream help [COMMAND]...",
        after_help = "Examples:
  foodstream help          what there is
  foodstream help replay   all of one command"
    )]
    Help(Help),
}

/// What every command takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Kafka's address, `host:port` and more after commas; or `embedded`
    ///
    /// `embedded` is the broker of .foodstream/, `embedded:DIR` that of DIR. [env: `FOODSTREAM_BOOTSTRAP_SERVERS`]
    /// [default: `localhost:9092` if a Kafka answers there, else `embedded`]
    #[arg(short = 'b', long, global = true, value_name = "HOST:PORT", visible_aliases = ["bootstrap-server", "brokers"],
        alias = "broker-list")]
    pub bootstrap_servers: Option<String>,
    /// A property of librdkafka, as in `-X linger.ms=20`; may be repeated
    #[arg(short = 'X', global = true, value_name = "KEY=VALUE", hide_short_help = true)]
    pub properties: Vec<Property>,
    /// A file of properties in librdkafka's or Java's spelling, one `key=value` a line; the place for secrets
    #[arg(short = 'F', long, global = true, value_name = "FILE", hide_short_help = true, visible_alias = "command-config",
        aliases = ["consumer.config", "producer.config"])]
    pub config: Option<PathBuf>,
    /// Put this before every topic, group and transactional id, so that several runs share a cluster
    #[arg(long, global = true, value_name = "PREFIX")]
    pub prefix: Option<String>,
    /// Bound of every single wait for the broker
    ///
    /// [default: 30s]
    #[arg(long, global = true, value_name = "DURATION", hide_short_help = true, allow_hyphen_values = true, value_parser = timeout)]
    pub timeout: Option<Duration>,
    /// Form of the answer on stdout
    #[arg(long, global = true, value_enum, default_value = "text")]
    pub output: Output,
    /// Also write the answer's JSON document to this file
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    pub report: Option<PathBuf>,
    /// How progress is shown on stderr
    #[arg(long, global = true, value_enum, default_value = "auto", hide_short_help = true)]
    pub progress: Progress,
    /// Whether words are coloured; by itself not where the environment has `NO_COLOR`
    #[arg(long, global = true, value_enum, default_value = "auto", hide_short_help = true)]
    pub color: Color,
    /// Only the answer, warnings and errors
    #[arg(short = 'q', long, global = true, hide_short_help = true)]
    pub quiet: bool,
    /// More of what is going on, librdkafka's messages included
    #[arg(short = 'v', long, global = true, hide_short_help = true, conflicts_with = "quiet")]
    pub verbose: bool,
    /// Read the connection's properties from stdin, up to a zero byte, and stop, as by SIGTERM, when stdin is closed: whoever
    /// started this process is gone
    #[arg(long, global = true, hide = true)]
    pub leash: bool,
}

/// Form of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// One JSON document.
    Json,
}

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Progress {
    /// A bar on a terminal, a line every ten seconds elsewhere.
    Auto,
    /// Lines.
    Plain,
    /// Nothing.
    None,
}

/// Whether words are coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        command().debug_assert();
    }
}
