//! Owns what can be typed: commands, flags and their help. No input or output, no environment; `settings` says what it means.

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroU64};
use std::ops::RangeInclusive;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use humantime::Duration;

use crate::domain::EventTime;
use crate::inventory::{DEFAULT_OPENING, Opening};
use crate::local_broker::DEFAULT_FOLDER;
use crate::workload::{
    DEFAULT_FAILURE_RATE, DEFAULT_ITEMS, DEFAULT_RESTAURANTS, DEFAULT_USERS, MOST_NAMES, Rate, Share,
};

/// Learn, demonstrate and test event streaming on Kafka with a food-ordering workload that proves what it claims.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "foodstream",
    version,
    propagate_version = true,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "Examples:
  foodstream produce --count 10000 --seed 7
  foodstream inventory --until-end
  foodstream analytics --from-beginning
  foodstream replay

Exit codes: 0 done, 2 usage, 3 verification failed, 4 broker unreachable, 5 refused by the broker,
6 fenced, 7 refused to protect data, 8 output not written, 130 and 143 stopped before the goal."
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
  foodstream produce --count 10000 --seed 7      the same records every time, as fast as the broker takes them
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
  foodstream analytics --until-end --output json")]
    Analytics(Analytics),
    /// Rewind the analytics group, recompute its metrics and prove them equal, or say why not
    #[command(after_help = "Examples:
  foodstream replay --dry-run      show what would be read again
  foodstream replay                rewind to the log's start, read again, compare every metric
  foodstream replay --shadow       recompute beside a live group, and leave it alone
  foodstream replay --undo         go back to where the group stood before the last replay")]
    Replay(Replay),
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
  foodstream broker --memory --listen 127.0.0.1:0
  foodstream broker --data /var/tmp/lab   the broker that `-b embedded:/var/tmp/lab` names
  foodstream broker --status              what runs over .foodstream/; exit 3 when nothing does
  foodstream broker --stop                end it; its data stays"
    )]
    Broker(Broker),
}

/// What every command takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Kafka's address, `host:port` and more after commas; or `embedded`, `embedded:DIR` for the broker of .foodstream/ or DIR
    /// [env: `FOODSTREAM_BOOTSTRAP_SERVERS`] [default: `localhost:9092` if a Kafka answers there, else `embedded`]
    #[arg(short = 'b', long, global = true, value_name = "HOST:PORT", visible_aliases = ["bootstrap-server", "brokers"])]
    pub bootstrap_servers: Option<String>,
    /// A property of librdkafka, as in `-X linger.ms=20`; may be repeated
    #[arg(short = 'X', global = true, value_name = "KEY=VALUE")]
    pub properties: Vec<String>,
    /// A file of librdkafka properties, one `key=value` a line
    #[arg(short = 'F', long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Put this before every topic, group and transactional id, so that several runs share a cluster
    #[arg(long, global = true, value_name = "PREFIX")]
    pub prefix: Option<String>,
    /// Bound of every single wait for the broker
    #[arg(long, global = true, value_name = "DURATION", default_value = "30s", allow_hyphen_values = true, value_parser = duration)]
    pub timeout: Duration,
    /// Form of the answer on stdout
    #[arg(long, global = true, value_enum, default_value = "text")]
    pub output: Output,
    /// Also write the answer's JSON document to this file
    #[arg(long, global = true, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// How progress is shown on stderr
    #[arg(long, global = true, value_enum, default_value = "auto")]
    pub progress: Progress,
    /// Whether words on stderr are coloured
    #[arg(long, global = true, value_enum, default_value = "auto")]
    pub color: Color,
    /// Only the answer, warnings and errors
    #[arg(short = 'q', long, global = true)]
    pub quiet: bool,
    /// More of what is going on, librdkafka's messages included
    #[arg(short = 'v', long, global = true, conflicts_with = "quiet")]
    pub verbose: bool,
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

/// `produce`
#[derive(Debug, Clone, Args)]
pub struct Produce {
    /// Number of records [default: 10000, or as many as fit with --duration]
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = count)]
    pub count: Option<NonZeroU64>,
    /// Stop after this time
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, value_parser = duration)]
    pub duration: Option<Duration>,
    /// Open loop: event i is due at start + i/RATE, and its event time is that instant
    #[arg(long, value_name = "RATE", allow_hyphen_values = true)]
    pub rate: Option<Rate>,
    /// Makes the records reproducible [default: chosen and told]
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = seed)]
    pub seed: Option<u64>,
    /// Event time of the first order [default: the last full hour that lets the run's event time end before now]
    #[arg(long, value_name = "TIME", value_parser = event_time)]
    pub start_time: Option<EventTime>,
    /// Orders in a minute of event time; not for a run whose event time follows --rate
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = count)]
    pub orders_per_minute: Option<NonZeroU64>,
    /// Share of orders whose payment failed, as in `5%` or `0.05`
    #[arg(long, value_name = "SHARE", default_value_t = DEFAULT_FAILURE_RATE, allow_hyphen_values = true)]
    pub failure_rate: Share,
    /// Number of restaurants
    #[arg(long, value_name = "N", default_value_t = DEFAULT_RESTAURANTS, allow_hyphen_values = true, value_parser = names)]
    pub restaurants: NonZeroU32,
    /// Number of items on each restaurant's menu
    #[arg(long, value_name = "N", default_value_t = DEFAULT_ITEMS, allow_hyphen_values = true, value_parser = names)]
    pub items: NonZeroU32,
    /// Number of users
    #[arg(long, value_name = "N", default_value_t = DEFAULT_USERS, allow_hyphen_values = true, value_parser = users)]
    pub users: NonZeroU32,
    /// Partitions of topics that are created [default: 6]
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = partitions)]
    pub partitions: Option<i32>,
    /// Share of records that are malformed on purpose
    #[arg(long, value_name = "SHARE", default_value_t = Share::NONE, allow_hyphen_values = true)]
    pub poison_rate: Share,
    /// Share of records that repeat an earlier one byte for byte
    #[arg(long, value_name = "SHARE", default_value_t = Share::NONE, allow_hyphen_values = true)]
    pub duplicate_rate: Share,
}

/// `inventory`
#[derive(Debug, Clone, Args)]
pub struct Inventory {
    /// Stop when the group has reached the ends that the partitions have now
    #[arg(long)]
    pub until_end: bool,
    /// Take no more than this many orders in a time
    #[arg(long, value_name = "RATE", allow_hyphen_values = true)]
    pub throttle: Option<Rate>,
    /// Units of an item when it is first ordered, or `unlimited`
    #[arg(long, value_name = "UNITS", default_value_t = DEFAULT_OPENING, allow_hyphen_values = true)]
    pub opening_stock: Opening,
    /// Event time after which an item is topped up again
    #[arg(long, value_name = "DURATION", default_value = "1h", allow_hyphen_values = true, value_parser = duration)]
    pub restock_every: Duration,
    /// How long orders are collected in a transaction
    #[arg(long, value_name = "DURATION", default_value = "100ms", allow_hyphen_values = true, value_parser = duration)]
    pub commit_interval: Duration,
    /// Name of this instance: a restart under it takes over at once, a second process under it fences the first
    #[arg(long, value_name = "NAME")]
    pub instance_id: Option<String>,
    /// Commit the ledger's position where the group's offset differs, and go on from there
    #[arg(long)]
    pub resume_from_ledger: bool,
    /// The consumer group [default: inventory-consumer-group]
    #[arg(long, value_name = "NAME")]
    pub group: Option<String>,
}

/// `analytics`
#[derive(Debug, Clone, Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag that can be typed")]
pub struct Analytics {
    /// One pass at scan speed over the whole log; the result becomes the group's state and offsets
    #[arg(long, conflicts_with_all = ["until_end", "throttle", "instance_id", "resume_from_state"])]
    pub from_beginning: bool,
    /// With --from-beginning: leave the group alone
    #[arg(long, requires = "from_beginning")]
    pub no_commit: bool,
    /// Stop when the group has reached the ends that the partitions have now
    #[arg(long)]
    pub until_end: bool,
    /// Take no more than this many records in a time
    #[arg(long, value_name = "RATE", allow_hyphen_values = true)]
    pub throttle: Option<Rate>,
    /// How often the live metrics are shown
    #[arg(long, value_name = "DURATION", default_value = "5s", allow_hyphen_values = true, value_parser = duration)]
    pub every: Duration,
    /// Where the report goes at the end
    #[arg(long, value_name = "FILE", default_value = "metrics_output.txt")]
    pub metrics_file: PathBuf,
    /// How long records are collected in a transaction
    #[arg(long, value_name = "DURATION", default_value = "100ms", allow_hyphen_values = true, value_parser = duration, hide = true)]
    pub commit_interval: Duration,
    /// Name of this instance: a restart under it takes over at once, a second process under it fences the first
    #[arg(long, value_name = "NAME")]
    pub instance_id: Option<String>,
    /// Commit the state's position where the group's offset differs, and go on from there
    #[arg(long)]
    pub resume_from_state: bool,
    /// The consumer group [default: analytics-consumer-group]
    #[arg(long, value_name = "NAME")]
    pub group: Option<String>,
}

/// `replay`
#[derive(Debug, Clone, Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag that can be typed")]
pub struct Replay {
    /// Rewind to the start of the log; this is the default
    #[arg(long, conflicts_with_all = ["to_offset", "undo"])]
    pub to_earliest: bool,
    /// Rewind every partition to this offset
    #[arg(long, value_name = "OFFSET", conflicts_with = "undo", allow_hyphen_values = true, value_parser = offset)]
    pub to_offset: Option<i64>,
    /// Show the plan and change nothing
    #[arg(long, conflicts_with_all = ["shadow", "undo"])]
    pub dry_run: bool,
    /// Recompute beside the group and leave it alone; also while it is live
    #[arg(long, conflicts_with = "undo")]
    pub shadow: bool,
    /// Go back to where the group stood before the last replay or --from-beginning: offsets and state
    #[arg(long)]
    pub undo: bool,
    /// Wait this long for the group's members to leave
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, value_parser = duration)]
    pub wait_empty: Option<Duration>,
    /// Where the report from before goes
    #[arg(long, value_name = "FILE", default_value = "metrics_initial.txt")]
    pub initial_file: PathBuf,
    /// Where the report from after goes
    #[arg(long, value_name = "FILE", default_value = "metrics_after_replay.txt")]
    pub after_file: PathBuf,
    /// The consumer group [default: analytics-consumer-group]
    #[arg(long, value_name = "NAME")]
    pub group: Option<String>,
}

/// `broker`
#[derive(Debug, Clone, Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag that can be typed")]
pub struct Broker {
    /// Where it listens; port 0 for any that is free
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9092", value_parser = listen)]
    pub listen: SocketAddr,
    /// Folder of its data
    #[arg(long, value_name = "DIR", default_value = DEFAULT_FOLDER)]
    pub data: PathBuf,
    /// Keep everything in memory, gone with the process
    #[arg(long, conflicts_with = "data")]
    pub memory: bool,
    /// What clients are told to connect to, where it differs from --listen
    #[arg(long, value_name = "HOST:PORT", value_parser = host_and_port)]
    pub advertise: Option<(String, u16)>,
    /// Flush to the disk before anything is acknowledged
    #[arg(long)]
    pub fsync: bool,
    /// Leave this long after the last client [default: never]
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, value_parser = duration)]
    pub idle: Option<Duration>,
    /// Tell what runs over the folder: exit 0 if a broker does, 3 if none
    #[arg(long, conflicts_with_all = ["stop", "memory", "listen", "advertise", "fsync", "idle"])]
    pub status: bool,
    /// End the broker over the folder and wait until it is gone; none running is no error
    #[arg(long, conflicts_with_all = ["memory", "listen", "advertise", "fsync", "idle"])]
    pub stop: bool,
    /// What commands start: the first line on stdout is for them
    #[arg(long, hide = true, conflicts_with_all = ["status", "stop", "memory"])]
    pub background: bool,
}

/// RFC 3339, or Kafka's spelling without a zone, which is UTC.
fn event_time(text: &str) -> Result<EventTime, String> {
    EventTime::parse(text).map_err(|error| format!("{error}; as in 2026-11-22T12:00:00Z"))
}

// Numbers and durations take a leading dash as part of the value, so that `--count -5` is told what a count is, and not
// that there is no flag `-5`.

fn whole<T: TryFrom<u64>>(text: &str, range: RangeInclusive<u64>) -> Result<T, String> {
    let number = text.parse::<u64>().ok().filter(|number| range.contains(number));
    let number = number.and_then(|number| T::try_from(number).ok());
    number.ok_or_else(|| format!("a whole number from {} to {} is wanted", range.start(), range.end()))
}

fn positive<T: TryFrom<NonZeroU64>>(text: &str, most: u64) -> Result<T, String> {
    let number = text.parse::<NonZeroU64>().ok().filter(|number| number.get() <= most);
    let number = number.and_then(|number| T::try_from(number).ok());
    number.ok_or_else(|| format!("a whole number from 1 to {most} is wanted"))
}

fn count(text: &str) -> Result<NonZeroU64, String> {
    positive(text, u64::MAX)
}

fn seed(text: &str) -> Result<u64, String> {
    whole(text, 0..=u64::MAX)
}

fn names(text: &str) -> Result<NonZeroU32, String> {
    positive(text, MOST_NAMES.into())
}

fn users(text: &str) -> Result<NonZeroU32, String> {
    positive(text, u32::MAX.into())
}

fn partitions(text: &str) -> Result<i32, String> {
    whole(text, 1..=100_000)
}

fn offset(text: &str) -> Result<i64, String> {
    whole(text, 0..=i64::MAX.unsigned_abs())
}

fn listen(text: &str) -> Result<SocketAddr, String> {
    let numeric = text.strip_prefix("localhost:").map_or_else(|| text.to_owned(), |port| format!("127.0.0.1:{port}"));
    numeric.parse().map_err(|_| "an address of this machine and a port, as in 127.0.0.1:9092 or [::1]:9092".to_owned())
}

fn host_and_port(text: &str) -> Result<(String, u16), String> {
    let split = text.rsplit_once(':').filter(|(host, _)| !host.is_empty());
    let port = split.and_then(|(_, port)| port.parse::<u16>().ok()).filter(|port| *port > 0);
    match (split, port) {
        (Some((host, _)), Some(port)) => Ok((host.trim_matches(['[', ']']).to_owned(), port)),
        _ => Err("a host and a port, as in my-machine:9092".to_owned()),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    match text.parse::<Duration>() {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err("a duration is a number above zero with its unit, as in 500ms, 30s, 5m or 1h30m".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
