//! Settings of the embedded broker: which one a command uses, how long it runs idle, and the `broker` command.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::usage;
use crate::cli;
use crate::exit::Failure;
use crate::kafka::Connection;
use crate::local_broker::BrokerTarget;
use crate::units::parse_duration;

pub const IDLE_VARIABLE: &str = "FOODSTREAM_BROKER_IDLE";

const DEFAULT_IDLE: Duration = Duration::from_secs(30);

/// Which broker the connection settings ask for.
pub(super) fn wanted(connection: &Connection) -> Result<BrokerTarget, Failure> {
    let wanted = BrokerTarget::parse(connection.property("bootstrap.servers"))?;
    let protocol = connection.property("security.protocol").filter(|name| !name.eq_ignore_ascii_case("plaintext"));
    match (wanted, protocol) {
        (BrokerTarget::Embedded(_), Some(protocol)) => {
            Err(usage(format!("security.protocol={protocol}: the embedded broker only supports plaintext"))
                .hint("omit it, or choose another broker with -b HOST:PORT"))
        }
        // Such a Kafka does not respond to the plaintext probe.
        (BrokerTarget::Auto, Some(_)) => Ok(BrokerTarget::Address),
        (wanted, _) => Ok(wanted),
    }
}

/// A year, as for duration options.
const LONGEST_IDLE: Duration = Duration::from_hours(8_766);

/// The idle time of a background broker, from the environment.
pub(super) fn idle(arguments: Option<&str>) -> Result<Duration, Failure> {
    let Some(arguments) = arguments.filter(|arguments| !arguments.is_empty()) else { return Ok(DEFAULT_IDLE) };
    let idle = parse_duration(arguments).filter(|idle| !idle.is_zero() && *idle <= LONGEST_IDLE);
    idle.ok_or_else(|| {
        usage(format!("{IDLE_VARIABLE}={arguments}: invalid duration"))
            .hint("use a positive number of seconds, or with a unit as in 500ms, 30s or 1h30m, at most 1y")
    })
}

/// Settings of `broker`.
#[derive(Debug, Clone)]
pub struct BrokerSettings {
    pub listen: SocketAddr,
    /// The address for clients, if it differs.
    pub advertise: Option<(String, u16)>,
    /// The data directory; `None` in memory.
    pub folder: Option<PathBuf>,
    /// Flush before acknowledging.
    pub fsync: bool,
    /// Stop this long after the last client; `None` for never.
    pub idle: Option<Duration>,
    /// Started by another command, which reads the first line.
    pub background: bool,
}

/// Fails with exit code 2 and a fix.
pub fn broker(arguments: &cli::Broker, global: &cli::Global) -> Result<BrokerSettings, Failure> {
    if global.bootstrap_servers.is_some() {
        return Err(usage("-b is the address of a broker to connect to, but this command runs one")
            .hint("use --listen for its address and --data for its data directory"));
    }
    if arguments.listen.ip().is_unspecified() && arguments.advertise.is_none() {
        return Err(usage(format!(
            "--listen {} means all addresses of this machine, but clients need a specific one",
            arguments.listen
        ))
        .hint("add --advertise HOST:PORT with the address that clients should use"));
    }
    Ok(BrokerSettings {
        listen: arguments.listen,
        advertise: arguments.advertise.clone(),
        folder: (!arguments.memory).then(|| arguments.data.clone()),
        fsync: arguments.fsync,
        idle: arguments.idle.map(Duration::from),
        background: arguments.background,
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    #[test]
    fn the_idle_time_is_a_duration() {
        assert_eq!(idle(None), Ok(Duration::from_secs(30)));
        assert_eq!(idle(Some("5m")), Ok(Duration::from_mins(5)));
        assert_eq!(idle(Some("30")), Ok(Duration::from_secs(30)));
        for arguments in ["0", "0s", "soon"] {
            assert!(idle(Some(arguments)).expect_err(arguments).message.contains("FOODSTREAM_BROKER_IDLE"));
        }
    }

    #[test]
    fn listening_everywhere_needs_an_advertised_address() {
        let settings = |args: &str| {
            let arguments = Cli::try_parse_from(args.split_whitespace()).expect("parses");
            let Command::Broker(broker) = &arguments.command else { unreachable!("only broker is arguments here") };
            super::broker(broker, &arguments.global)
        };
        assert_eq!(settings("foodstream broker").expect("resolved").folder, Some(".foodstream".into()));
        assert_eq!(settings("foodstream broker --memory").expect("resolved").folder, None);
        let refused = settings("foodstream broker --listen 0.0.0.0:9092").expect_err("refused");
        assert!(refused.hint.expect("a hint").contains("--advertise"));
        let text = settings("foodstream broker --listen 0.0.0.0:9092 --advertise lab:9092").expect("resolved");
        assert_eq!(text.advertise, Some(("lab".to_owned(), 9092)));
        assert!(settings("foodstream broker -b localhost:9092").is_err());
    }
}
