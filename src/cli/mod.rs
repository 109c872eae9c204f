//! Command-line arguments and their help. No I/O and no environment: `settings` resolves them.

mod analytics;
mod audit;
mod broker;
mod clean;
mod completions;
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
pub use audit::{Audit, OrderField};
pub use broker::Broker;
pub use clean::Clean;
pub use completions::completions;
pub use help::{command, examples, exit_codes, manual, parse};
pub use inventory::Inventory;
pub use kafka_options::explain_kafka_option;
pub use lag::{Lag, LagIsolation};
pub use produce::{Produce, Shape};
pub use replay::Replay;
pub use scenario::{Scenario, ScenarioCommand, ScenarioList, ScenarioRun, ScenarioScripts, ScenarioShow};
pub use shell::{Completions, Help, Man};
pub use value_parsers::Property;

/// Learn, demonstrate and test event streaming on Kafka with a food-ordering workload that verifies its own results.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "foodstream",
    version,
    disable_help_subcommand = true,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "Examples:
  foodstream produce --count 10000 --seed 7   publish orders; starts a broker if none is running
  foodstream inventory --until-end            reserve stock for each order, exactly once
  foodstream analytics --from-beginning       compute the metrics
  foodstream replay                           recompute them from the same records and compare"
)]
pub struct Cli {
    /// Options of all commands.
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Publish a reproducible workload of orders to `order-events`
    #[command(after_help = "Examples:
  foodstream produce --count 10000 --seed 7      the same records every time, at full speed
  foodstream produce --rate 500/s --duration 1m  open loop: event i is due at start + i/500 s
  foodstream produce --poison-rate 1%            makes one record in a hundred invalid")]
    Produce(Produce),
    /// Reserve stock for each order and write decisions to `inventory-events`, exactly once
    #[command(after_help = "Examples:
  foodstream inventory                     run until stopped; several instances share the partitions
  foodstream inventory --until-end         stop at the current end of order-events
  foodstream inventory --throttle 500/s    process slowly, to build up lag")]
    Inventory(Inventory),
    /// Compute orders per minute, failure rates and rejection rates
    #[command(after_help = "Examples:
  foodstream analytics                     live, from the group's committed offsets
  foodstream analytics --from-beginning    count the whole log once, and make the result the group's state
  foodstream analytics --until-end --output json    one JSON document on stdout")]
    Analytics(Analytics),
    /// Rewind the analytics group, recompute its metrics and compare them with the old ones
    #[command(after_help = "Examples:
  foodstream replay --dry-run      show the plan and change nothing
  foodstream replay                rewind to the log start, recompute, compare every metric
  foodstream replay --shadow       recompute without changing the group, which may be running
  foodstream replay --undo         restore offsets and state from before the last replay
  foodstream replay --to-offset 40                       every partition from this offset
  foodstream replay --to-datetime 2026-11-22T12:00:00Z   from the first record at or after this time
  foodstream replay --by-duration 90m                    the last hour and a half; PT90M is the same
  foodstream replay --shift-by -20                       the last 20 offsets of every partition
  foodstream replay --topic order-events:0,1 --topic inventory-events   only these partitions
  foodstream replay --dry-run --shift-by -20 --export plan.csv   for kafka-consumer-groups --from-file
  foodstream replay --from-file plan.csv                 offsets exported by foodstream or by kafka-consumer-groups")]
    Replay(Replay),
    /// Show the lag of consumer groups: any group and any topic of the cluster
    #[command(after_help = "Examples:
  foodstream lag                              the groups of this prefix
  foodstream lag --group payments --watch 1s  any group, until stopped
  foodstream lag --all-groups                 every group of the cluster, those with the most lag first
  foodstream lag --fail-if '>1000'            exit code 3 if the lag is more than 1000 messages
  foodstream lag --fail-if '>30s' --output json   exit code 3 if the next message is older than 30 s
  foodstream lag --watch 5s --csv lag.csv")]
    Lag(Lag),
    /// Prove that nothing was lost and nothing done twice, or show what was
    #[command(
        long_about = "Prove that nothing was lost and nothing done twice, or show what was.

Without --decisions and --in it recomputes every decision of `foodstream inventory` from the orders of this prefix, and compares \
it with the topics. With --decisions it judges another inventory service, with --in and --out any consumer that writes to another \
topic. It joins no group, commits nothing and creates nothing. Exit code 3 means that a check is violated, or that something \
could not be proved.",
        after_help = "Examples:
  foodstream audit                         the topics of this prefix, live or finished
  foodstream audit --html audit.html --witnesses 5    a page with more evidence
  foodstream audit --decisions stock --group alice --junit alice.xml   grade another inventory service
  foodstream audit --decisions stock --group alice --ordered-by restaurant_id   and its keys and its order
  foodstream audit --in payments --out receipts --match /payment_id    every input has one output, and none two
  foodstream audit --in clicks --out sessions --match-in key --match-out /user --fan-out at-most-one"
    )]
    Audit(Box<Audit>),
    /// Run scripts of foodstream commands, and check their results against expectations
    #[command(after_help = "Examples:
  foodstream scenario list                    list the embedded scripts
  foodstream scenario run crash               run one of them
  foodstream scenario show crash > mine.toml  print it, to be changed and run
  foodstream scenario check mine.toml         report all its mistakes, with their lines")]
    Scenario(Scenario),
    /// Delete the topics and groups of this prefix, after listing them
    #[command(after_help = "Examples:
  foodstream clean --prefix lab1. --dry-run   list what would be deleted
  foodstream clean --prefix lab1.             list, then ask
  foodstream clean --prefix lab1. --yes       delete without asking")]
    Clean(Clean),
    /// Run a single-node Kafka-compatible broker, or check or stop the one in the background
    #[command(
        long_about = "Run a single-node Kafka-compatible broker, or check or stop the one in the background.

Other commands start such a broker in the background if no Kafka answers at localhost:9092. Its data directory is .foodstream/ in \
the working directory, and it stops 30 s after its last client (set FOODSTREAM_BROKER_IDLE to change this).

This command runs a broker in the foreground until it is stopped. Any Kafka client can use it. --status and --stop apply to the \
broker of a data directory, whether it runs in the foreground or in the background. Acknowledged records survive the end of the \
process, even kill -9; they survive a power failure only with --fsync.",
        after_help = "Examples:
  foodstream broker                       listen on 127.0.0.1:9092, data in .foodstream/
  foodstream broker --memory --listen 127.0.0.1:0   data in memory, any free port
  foodstream broker --data /var/tmp/lab   the broker that -b embedded:/var/tmp/lab uses
  foodstream broker --status              show the broker of .foodstream/; exit code 3 if none is running
  foodstream broker --stop                stop it and keep its data"
    )]
    Broker(Broker),
    /// Print or install shell completions
    #[command(
        alias = "completion",
        override_usage = "foodstream completions [--install] <SHELL>",
        after_help = "Examples:
  foodstream completions --install bash   write the file that bash reads; also for zsh and fish
  foodstream completions zsh              print it, for example to save it in another directory of $fpath"
    )]
    Completions(Completions),
    /// Write manual pages, one for each command
    #[command(
        override_usage = "foodstream man <DIR>",
        after_help = "Examples:
  foodstream man ~/.local/share/man/man1   where man finds pages of programs in ~/.local/bin
  foodstream man .                         write foodstream.1 and others here; read one with `man -l foodstream.1`"
    )]
    Man(Man),
    /// Show help for a command
    #[command(
        override_usage = "foodstream help [COMMAND]...",
        after_help = "Examples:
  foodstream help          list all commands
  foodstream help replay   show the help of one command"
    )]
    Help(Help),
}

/// Options of all commands.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Kafka's address, `host:port`, several separated by commas; or `embedded`
    ///
    /// `embedded` is the broker with data in .foodstream/, `embedded:DIR` the one with data in DIR. [env:
    /// `FOODSTREAM_BOOTSTRAP_SERVERS`] [default: `localhost:9092` if a Kafka answers there, else `embedded`]
    #[arg(short = 'b', long, global = true, value_name = "HOST:PORT", visible_aliases = ["bootstrap-server", "brokers"],
        alias = "broker-list")]
    pub bootstrap_servers: Option<String>,
    /// Set a librdkafka property, as in `-X linger.ms=20`; repeatable
    #[arg(short = 'X', global = true, value_name = "KEY=VALUE", hide_short_help = true)]
    pub properties: Vec<Property>,
    /// Read properties from a file, one `key=value` per line, with librdkafka's or Java's names; put secrets here
    #[arg(short = 'F', long, global = true, value_name = "FILE", hide_short_help = true, visible_alias = "command-config",
        aliases = ["consumer.config", "producer.config"])]
    pub config: Option<PathBuf>,
    /// Prefix of all topics, groups and transactional ids, so that several runs can share a cluster
    #[arg(long, global = true, value_name = "PREFIX")]
    pub prefix: Option<String>,
    /// Longest wait for a response of the broker
    ///
    /// [default: 30s]
    #[arg(long, global = true, value_name = "DURATION", hide_short_help = true, allow_hyphen_values = true, value_parser = timeout)]
    pub timeout: Option<Duration>,
    /// Output format
    #[arg(long, global = true, value_enum, default_value = "text")]
    pub output: Output,
    /// Also write the JSON document to this file
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    pub report: Option<PathBuf>,
    /// How to show progress on stderr
    #[arg(long, global = true, value_enum, default_value = "auto", hide_short_help = true)]
    pub progress: Progress,
    /// When to use colours; auto respects the environment variable `NO_COLOR`
    #[arg(long, global = true, value_enum, default_value = "auto", hide_short_help = true)]
    pub color: Color,
    /// Print only the result, warnings and errors
    #[arg(short = 'q', long, global = true, hide_short_help = true)]
    pub quiet: bool,
    /// Print more details, including librdkafka's log
    #[arg(short = 'v', long, global = true, hide_short_help = true, conflicts_with = "quiet")]
    pub verbose: bool,
    /// Read connection properties from stdin up to a zero byte, and stop as by SIGTERM when stdin is closed, because
    /// the parent process has ended
    #[arg(long, global = true, hide = true)]
    pub leash: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Text for people
    Text,
    /// One JSON document
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Progress {
    /// A bar on a terminal, a line every ten seconds elsewhere
    Auto,
    /// Lines
    Plain,
    /// No progress
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// Only on a terminal
    Auto,
    /// Always
    Always,
    /// Never
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
