//! Owns what was meant: typed and cross-checked settings from what was typed, the environment and a properties file.

mod addresses;
mod broker;
mod clean;
mod connection;
mod consumers;
mod jaas;
mod java_names;
mod java_properties;
mod lag;
mod outputs;
mod precedence;
mod produce;
mod replay;
mod tls_stores;

use std::path::PathBuf;
use std::time::Duration;

use crate::cli;
use crate::exit::{Code, Failure};
use crate::kafka::{Connection, LogSink};
use crate::local_broker::BrokerTarget;
use crate::secrets::Secrets;
use crate::topics::Names;

pub use broker::{BrokerSettings, IDLE_VARIABLE, broker};
pub use clean::{Consent, clean};
pub use consumers::{ConsumerSettings, analytics, inventory};
pub use lag::{LagSettings, lag};
pub use outputs::outputs;
pub use produce::{ProduceSettings, produce};
pub use replay::{ReplaySettings, replay};

/// The environment variable of the bootstrap servers.
pub const BOOTSTRAP_VARIABLE: &str = "FOODSTREAM_BOOTSTRAP_SERVERS";

/// What is said to the process beside its command line.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// `FOODSTREAM_BOOTSTRAP_SERVERS`
    pub bootstrap: Option<String>,
    /// `FOODSTREAM_BROKER_IDLE`
    pub broker_idle: Option<String>,
    /// The lines of a properties file, from the process that started this one and holds its leash.
    pub from_parent: Option<String>,
}

/// What every command needs.
#[derive(Debug, Clone)]
pub struct Common {
    /// What was said about which broker it is to be.
    pub wanted: BrokerTarget,
    /// How long a broker that is started in the background stays after its last client.
    pub broker_idle: Duration,
    /// The broker and how to talk to it; its address is chosen where none was named.
    pub connection: Connection,
    /// What no message may hold.
    pub secrets: Secrets,
    /// What the user must not miss about the connection's settings.
    pub warnings: Vec<String>,
    /// For the curious: each property of the connection, its value and where it was said; no secrets.
    pub details: Vec<String>,
    /// The names behind the prefix.
    pub names: Names,
    /// Whether the answer is a JSON document.
    pub json: bool,
    /// Where the JSON document also goes.
    pub report: Option<PathBuf>,
}

fn usage(message: impl Into<String>) -> Failure {
    Failure::new(Code::Usage, message)
}

/// The settings that all commands share: flag, `-X`, environment, file, default, the first that says something.
///
/// # Errors
///
/// With exit code 2 and the fix for whatever is wrong.
pub fn common(global: &cli::Global, environment: Environment, log: LogSink) -> Result<Common, Failure> {
    let connection::ResolvedConnection { connection, secrets, warnings, details } =
        connection::connection(global, environment.bootstrap, environment.from_parent.as_deref(), log)?;
    let prefix = global.prefix.clone().unwrap_or_default();
    check_name("--prefix", &prefix, 200)?;
    Ok(Common {
        wanted: broker::wanted(&connection)?,
        broker_idle: broker::idle(environment.broker_idle.as_deref())?,
        connection,
        secrets,
        warnings,
        details,
        names: Names::new(prefix),
        json: global.output == cli::Output::Json,
        report: global.report.clone(),
    })
}

/// Whether a command runs until it is stopped, so that a stop is its goal, whenever it comes.
#[must_use]
pub fn is_live(command: &cli::Command) -> bool {
    match command {
        cli::Command::Inventory(typed) => !typed.until_end,
        cli::Command::Analytics(typed) => !typed.until_end && !typed.from_beginning,
        cli::Command::Lag(typed) => typed.watch.is_some(),
        _ => false,
    }
}

/// Kafka's rule for topic names, which groups share here because they share the prefix.
fn check_name(flag: &str, name: &str, longest: usize) -> Result<(), Failure> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if name.len() > longest || !name.bytes().all(legal) {
        return Err(usage(format!("{flag} {name:?} cannot be part of a topic's name"))
            .hint(format!("letters, digits, '.', '_' and '-', at most {longest} of them")));
    }
    Ok(())
}

fn check_group(group: Option<&str>) -> Result<(), Failure> {
    match group {
        Some("") => Err(usage("--group is empty").hint("leave it out for the usual group")),
        Some(name) if name.contains('\0') => Err(usage("--group: a group's name holds no NUL")),
        Some(name) if name.len() > 249 => Err(usage("--group is longer than 249 bytes")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn typed(words: &str) -> Cli {
        Cli::try_parse_from(words.split_whitespace()).expect("parses")
    }

    fn meant(words: &str, environment: Option<&str>) -> Result<Common, Failure> {
        let environment =
            Environment { bootstrap: environment.map(str::to_owned), broker_idle: None, from_parent: None };
        common(&typed(words).global, environment, LogSink(std::sync::Arc::new(|_| {})))
    }

    fn produced(words: &str) -> Result<ProduceSettings, Failure> {
        let Command::Produce(produce) = typed(words).command else { unreachable!("only produce is typed here") };
        super::produce(&produce, 1_800_000_000_000, 1)
    }

    #[test]
    fn the_flag_wins_over_x_over_the_environment_over_the_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("client.properties");
        std::fs::write(&file, "# a comment\nbootstrap.servers=file:1\nlinger.ms = 7\n").expect("written");
        let file = file.display();
        let bootstrap =
            |words: String, environment| meant(&words, environment).expect("meant").connection.bootstrap().to_owned();
        assert_eq!(bootstrap("foodstream replay".into(), None), "localhost:9092");
        assert_eq!(bootstrap(format!("foodstream replay -F {file}"), None), "file:1");
        assert_eq!(bootstrap(format!("foodstream replay -F {file}"), Some("env:2")), "env:2");
        assert_eq!(bootstrap(format!("foodstream replay -F {file} -X bootstrap.servers=x:3"), Some("env:2")), "x:3");
        assert_eq!(
            bootstrap(format!("foodstream replay -F {file} -X bootstrap.servers=x:3 -b flag:4"), Some("env:2")),
            "flag:4"
        );
        assert_eq!(
            meant(&format!("foodstream replay -F {file}"), None).expect("meant").connection.property("linger.ms"),
            Some("7")
        );
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place_and_the_fix() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("client.properties");
        std::fs::write(&file, "linger.ms=7\nisolation.level=read_uncommitted\n").expect("written");
        let cases = [
            ("foodstream replay -X enable.idempotence=false".to_owned(), "enable.idempotence"),
            ("foodstream replay -X linger.ms=1 -X nothing".to_owned(), "-X number 2: no value"),
            ("foodstream replay -X linger.ms".to_owned(), "-X linger.ms: no value"),
            ("foodstream replay -X no.such.property=1".to_owned(), "no.such.property"),
            (format!("foodstream replay -F {}", file.display()), "client.properties:2"),
            (format!("foodstream replay -F {}", folder.path().join("missing").display()), "missing"),
            ("foodstream replay --prefix a/b".to_owned(), "--prefix"),
        ];
        for (words, named) in cases {
            let failure = meant(&words, None).expect_err(&words);
            assert_eq!(failure.code, Code::Usage, "{words}");
            assert!(failure.message.contains(named), "{words}: {failure}");
        }
    }

    #[test]
    fn the_broker_is_chosen_only_where_nothing_speaks_of_another() {
        let wanted = |words: &str, environment| meant(words, environment).map(|common| common.wanted);
        assert_eq!(wanted("foodstream replay", None), Ok(BrokerTarget::Auto));
        assert_eq!(wanted("foodstream replay", Some("embedded")), Ok(BrokerTarget::Embedded(".foodstream".into())));
        assert_eq!(
            wanted("foodstream replay -X bootstrap.servers=embedded:x", None),
            Ok(BrokerTarget::Embedded("x".into()))
        );
        assert_eq!(wanted("foodstream replay -b localhost:9092", Some("embedded")), Ok(BrokerTarget::Address));
        assert_eq!(
            wanted("foodstream replay -X security.protocol=sasl_plaintext -X sasl.mechanism=PLAIN", None),
            Ok(BrokerTarget::Address)
        );
        let refused = wanted("foodstream replay -b embedded -X security.protocol=ssl", None);
        assert!(refused.expect_err("refused").message.contains("plain text"));
    }

    #[test]
    fn a_rate_sets_event_time_unless_a_start_is_given() {
        let paced = produced("foodstream produce --rate 500/s --duration 2s").expect("meant");
        assert!(paced.follows_the_clock);
        assert_eq!(paced.count, Some(1000));
        let fixed = produced("foodstream produce --rate 500/s --start-time 2026-11-22T12:00:00Z").expect("meant");
        let free = produced("foodstream produce --start-time 2026-11-22T12:00:00Z").expect("meant");
        assert_eq!(fixed.workload, free.workload, "the rate must not change a record whose start is given");
        assert!(produced("foodstream produce --rate 500/s --orders-per-minute 10").is_err());
    }

    #[test]
    fn the_default_start_is_a_full_hour_that_lets_the_run_end_before_now() {
        let run = produced("foodstream produce").expect("meant");
        assert_eq!(run.workload.start.millis() % 3_600_000, 0);
        let end = run.workload.event_time(9_999).expect("in range").millis();
        assert!(end < 1_800_000_000_000 && end > 1_800_000_000_000 - 2 * 3_600_000, "{end}");
    }
}
