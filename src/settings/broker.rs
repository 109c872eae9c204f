//! Owns what was meant about the embedded broker: which one a command wants, how long one stays, and what `broker` is to be.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::usage;
use crate::cli;
use crate::exit::Failure;
use crate::kafka::Connection;
use crate::local_broker::BrokerTarget;

/// The environment variable of the time that a background broker stays after its last client.
pub const IDLE_VARIABLE: &str = "FOODSTREAM_BROKER_IDLE";

/// How long a background broker stays after its last client where nobody says.
const DEFAULT_IDLE: Duration = Duration::from_secs(30);

/// Which broker it is to be, by what is set about one.
pub(super) fn wanted(connection: &Connection) -> Result<BrokerTarget, Failure> {
    let wanted = BrokerTarget::parse(connection.property("bootstrap.servers"))?;
    let protocol = connection.property("security.protocol").filter(|name| !name.eq_ignore_ascii_case("plaintext"));
    match (wanted, protocol) {
        (BrokerTarget::Embedded(_), Some(protocol)) => {
            Err(usage(format!("security.protocol={protocol}: the embedded broker speaks plain text only"))
                .hint("leave it out, or name the broker that it is for with -b HOST:PORT"))
        }
        // Whoever sets this has a Kafka of his own in mind, which does not answer a question in plain text.
        (BrokerTarget::Auto, Some(_)) => Ok(BrokerTarget::Address),
        (wanted, _) => Ok(wanted),
    }
}

/// The longest that it may stay: a year, as for every duration that is typed.
const LONGEST_IDLE: Duration = Duration::from_hours(8_766);

/// How long a background broker stays, by the environment.
pub(super) fn idle(typed: Option<&str>) -> Result<Duration, Failure> {
    let Some(typed) = typed.filter(|typed| !typed.is_empty()) else { return Ok(DEFAULT_IDLE) };
    let idle = typed
        .parse::<humantime::Duration>()
        .ok()
        .map(Duration::from)
        .filter(|idle| !idle.is_zero() && *idle <= LONGEST_IDLE);
    idle.ok_or_else(|| {
        usage(format!("{IDLE_VARIABLE}={typed}: no duration"))
            .hint("a number above zero with its unit, as in 500ms, 30s, 5m or 1h30m, and 1y at most")
    })
}

/// What `broker` is to be.
#[derive(Debug, Clone)]
pub struct BrokerSettings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// What clients are told to connect to, where it differs.
    pub advertise: Option<(String, u16)>,
    /// The folder of its data; `None` for memory.
    pub folder: Option<PathBuf>,
    /// Flush before anything is acknowledged.
    pub fsync: bool,
    /// How long it stays after its last client; `None` for ever.
    pub idle: Option<Duration>,
    /// Started by a command, which waits for its first line.
    pub background: bool,
}

/// The settings of `broker`.
///
/// # Errors
///
/// With exit code 2 and the fix for whatever is wrong.
pub fn broker(typed: &cli::Broker, global: &cli::Global) -> Result<BrokerSettings, Failure> {
    if global.bootstrap_servers.is_some() {
        return Err(usage("-b names a broker to talk to, and this command is one")
            .hint("--listen says where it listens, --data which folder it is about"));
    }
    if typed.listen.ip().is_unspecified() && typed.advertise.is_none() {
        return Err(usage(format!(
            "--listen {} is every address of this machine, and none that a client can be told",
            typed.listen
        ))
        .hint("add --advertise HOST:PORT with the name by which clients reach this machine"));
    }
    Ok(BrokerSettings {
        listen: typed.listen,
        advertise: typed.advertise.clone(),
        folder: (!typed.memory).then(|| typed.data.clone()),
        fsync: typed.fsync,
        idle: typed.idle.map(Duration::from),
        background: typed.background,
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    #[test]
    fn how_long_a_broker_stays_is_a_duration() {
        assert_eq!(idle(None), Ok(Duration::from_secs(30)));
        assert_eq!(idle(Some("5m")), Ok(Duration::from_mins(5)));
        for typed in ["30", "0s", "soon"] {
            assert!(idle(Some(typed)).expect_err(typed).message.contains("FOODSTREAM_BROKER_IDLE"));
        }
    }

    #[test]
    fn a_broker_that_listens_everywhere_must_say_how_it_is_reached() {
        let settings = |words: &str| {
            let typed = Cli::try_parse_from(words.split_whitespace()).expect("parses");
            let Command::Broker(broker) = &typed.command else { unreachable!("only broker is typed here") };
            super::broker(broker, &typed.global)
        };
        assert_eq!(settings("foodstream broker").expect("meant").folder, Some(".foodstream".into()));
        assert_eq!(settings("foodstream broker --memory").expect("meant").folder, None);
        let refused = settings("foodstream broker --listen 0.0.0.0:9092").expect_err("refused");
        assert!(refused.hint.expect("a hint").contains("--advertise"));
        let told = settings("foodstream broker --listen 0.0.0.0:9092 --advertise lab:9092").expect("meant");
        assert_eq!(told.advertise, Some(("lab".to_owned(), 9092)));
        assert!(settings("foodstream broker -b localhost:9092").is_err());
    }
}
