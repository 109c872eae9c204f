//! Resolved and cross-checked settings, from the arguments, the environment and a properties file.

mod addresses;
mod audit;
mod broker;
mod clean;
mod connection;
mod consumers;
mod jaas;
mod java_names;
mod java_properties;
mod lag;
mod login_module;
mod mapping;
mod next_command;
mod outputs;
mod precedence;
mod produce;
mod replay;
mod tls_needs;
mod tls_stores;

use std::path::PathBuf;
use std::time::Duration;

use crate::cli;
use crate::exit::{Code, Failure};
use crate::kafka::{Connection, LogSink};
use crate::local_broker::BrokerTarget;
use crate::secrets::Secrets;
use crate::topics::{Names, is_legal};

pub use audit::{AuditSettings, AuditSubject, ChainSettings, ServiceSettings, audit};
pub use broker::{BrokerSettings, IDLE_VARIABLE, broker};
pub use clean::{Consent, clean};
pub use consumers::{ConsumerSettings, analytics, inventory};
pub use lag::{LagSettings, lag};
pub use next_command::NextCommand;
pub use outputs::{is_same_file, outputs};
pub use produce::{ProduceSettings, produce};
pub use replay::{ReplaySettings, replay};

pub const BOOTSTRAP_VARIABLE: &str = "FOODSTREAM_BOOTSTRAP_SERVERS";

/// Settings from outside of the command line.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    pub bootstrap: Option<String>,
    pub broker_idle: Option<String>,
    /// Lines of a properties file, from the parent process (`--leash`).
    pub from_parent: Option<String>,
}

/// Settings of all commands.
#[derive(Debug, Clone)]
pub struct Common {
    /// Which broker the settings ask for.
    pub wanted: BrokerTarget,
    /// How long a background broker keeps running after its last client.
    pub broker_idle: Duration,
    /// The connection; if no address is set, one is chosen later.
    pub connection: Connection,
    /// Values to redact from all output.
    pub secrets: Secrets,
    /// Warnings about the connection settings.
    pub warnings: Vec<String>,
    /// For `-v`: each connection property with its value and source, without secrets.
    pub details: Vec<String>,
    pub names: Names,
    /// Whether to print a JSON document.
    pub json: bool,
    /// The file for the JSON document.
    pub report: Option<PathBuf>,
}

fn usage(message: impl Into<String>) -> Failure {
    Failure::new(Code::Usage, message)
}

/// The settings of all commands. Precedence: option, `-X`, environment, file, default. Fails with exit code 2 and a
/// fix.
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

/// Whether a command runs until it is stopped, so that a stop is a success.
#[must_use]
pub fn is_live(command: &cli::Command) -> bool {
    match command {
        cli::Command::Inventory(arguments) => !arguments.until_end,
        cli::Command::Analytics(arguments) => !arguments.until_end && !arguments.from_beginning,
        cli::Command::Lag(arguments) => arguments.watch.is_some(),
        _ => false,
    }
}

/// Kafka's rule for topic names. It also applies to groups, which have the same prefix.
fn check_name(flag: &str, name: &str, longest: usize) -> Result<(), Failure> {
    if name.len() > longest || !is_legal(name) {
        return Err(usage(format!("{flag} {name:?} cannot be used in topic names"))
            .hint(format!("use at most {longest} letters, digits, '.', '_' and '-'")));
    }
    Ok(())
}

fn check_group(group: Option<&str>) -> Result<(), Failure> {
    match group {
        Some("") => Err(usage("--group is empty").hint("omit it to use the default group")),
        Some(name) if name.contains('\0') => Err(usage("--group: a group name cannot contain NUL")),
        Some(name) if name.len() > 249 => Err(usage("--group is longer than 249 bytes")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};
    use crate::workload::Shape;

    fn arguments(args: &str) -> Cli {
        Cli::try_parse_from(args.split_whitespace()).expect("parses")
    }

    fn resolve(args: &str, environment: Option<&str>) -> Result<Common, Failure> {
        let environment =
            Environment { bootstrap: environment.map(str::to_owned), broker_idle: None, from_parent: None };
        common(&arguments(args).global, environment, LogSink(std::sync::Arc::new(|_| {})))
    }

    fn produce_settings(args: &str) -> Result<ProduceSettings, Failure> {
        let Command::Produce(produce) = arguments(args).command else { unreachable!("only produce is arguments here") };
        super::produce(&produce, 1_800_000_000_000, 1)
    }

    #[test]
    fn applies_the_precedence_of_sources() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("client.properties");
        std::fs::write(&file, "# a comment\nbootstrap.servers=file:1\nlinger.ms = 7\n").expect("written");
        let file = file.display();
        let bootstrap = |args: String, environment| {
            resolve(&args, environment).expect("resolved").connection.bootstrap().to_owned()
        };
        assert_eq!(bootstrap("foodstream replay".into(), None), "localhost:9092");
        assert_eq!(bootstrap(format!("foodstream replay -F {file}"), None), "file:1");
        assert_eq!(bootstrap(format!("foodstream replay -F {file}"), Some("env:2")), "env:2");
        assert_eq!(bootstrap(format!("foodstream replay -F {file} -X bootstrap.servers=x:3"), Some("env:2")), "x:3");
        assert_eq!(
            bootstrap(format!("foodstream replay -F {file} -X bootstrap.servers=x:3 -b flag:4"), Some("env:2")),
            "flag:4"
        );
        assert_eq!(
            resolve(&format!("foodstream replay -F {file}"), None).expect("resolved").connection.property("linger.ms"),
            Some("7")
        );
    }

    #[test]
    fn a_mistake_reports_its_place() {
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
        for (args, named) in cases {
            let failure = resolve(&args, None).expect_err(&args);
            assert_eq!(failure.code, Code::Usage, "{args}");
            assert!(failure.message.contains(named), "{args}: {failure}");
        }
    }

    #[test]
    fn other_settings_decide_about_the_broker() {
        let wanted = |args: &str, environment| resolve(args, environment).map(|common| common.wanted);
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
        let reason = if crate::kafka::HAS_TLS { "plaintext" } else { "TLS is not built in" };
        assert!(refused.expect_err("refused").message.contains(reason));
    }

    #[test]
    fn a_rate_sets_the_event_time() {
        let paced = produce_settings("foodstream produce --rate 500/s --duration 2s").expect("resolved");
        assert!(paced.follows_the_clock);
        assert_eq!(paced.count, Some(1000));
        let fixed =
            produce_settings("foodstream produce --rate 500/s --start-time 2026-11-22T12:00:00Z").expect("resolved");
        let free = produce_settings("foodstream produce --start-time 2026-11-22T12:00:00Z").expect("resolved");
        assert_eq!(fixed.workload, free.workload, "the rate must not change a record whose start is given");
        assert_eq!([paced.workload.shape, fixed.workload.shape], [Shape::Flat, Shape::Lunch]);
        for refused in ["--orders-per-minute 10", "--shape lunch"] {
            assert!(produce_settings(&format!("foodstream produce --rate 500/s {refused}")).is_err(), "{refused}");
        }
        assert!(produce_settings("foodstream produce --rate 500/s --shape flat").is_ok());
    }

    #[test]
    fn the_default_event_time_ends_before_now() {
        let run = produce_settings("foodstream produce").expect("resolved");
        assert_eq!(run.workload.start.millis() % 3_600_000, 0);
        let end = run.workload.event_time(9_999).expect("in range").millis();
        assert!(end < 1_800_000_000_000 && end > 1_800_000_000_000 - 2 * 3_600_000, "{end}");
    }
}
