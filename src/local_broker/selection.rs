//! Broker selection: the broker that the user named, or else a Kafka on this machine, or else the embedded one; with
//! the messages about it.

use std::net::SocketAddr;
use std::path::Path;

use super::address_file::AddressFile;
use super::background::{FoundBroker, Starter, find_or_start};
use super::control_connection::Lease;
use super::data_directory::open_existing;
use super::{BrokerTarget, DEFAULT_DIRECTORY, KAFKA, background, kafka_probe, name_of};
use crate::broker::Directory;
use crate::exit::Failure;

/// The file in the default data directory that has the last choice.
const CHOICE_FILE: &str = "chosen";

/// The broker of a command.
#[derive(Debug)]
pub struct SelectedBroker {
    pub address: String,
    /// Its name in messages, where the address alone says too little.
    pub name: Option<String>,
    /// Keeps the embedded broker running.
    pub lease: Option<Lease>,
    /// Messages for the user, in this order.
    pub messages: Vec<SelectionMessage>,
}

/// A message about the selection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SelectionMessage {
    Note(String),
    Warning(String),
}

/// What was chosen by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BrokerKind {
    Kafka,
    Embedded,
}

impl BrokerKind {
    const fn name(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::Embedded => "embedded",
        }
    }
}

/// Selects the broker, and starts the embedded one if it is selected and not running. `None` when the user named an
/// address.
///
/// `home` is the working directory.
///
/// # Errors
///
/// When the embedded broker is selected and cannot be used: exit code 4, 7 or 8, with a hint.
pub fn select_broker(wanted: &BrokerTarget, home: &Path, starter: &Starter) -> Result<Option<SelectedBroker>, Failure> {
    match wanted {
        BrokerTarget::Address => Ok(None),
        BrokerTarget::Embedded(folder) => {
            let found = find_or_start(&home.join(folder), starter)?;
            let line = describe(None, &found, folder);
            Ok(Some(embedded(found, folder, SelectionMessage::Note(line))))
        }
        BrokerTarget::Auto => {
            let kafka: Vec<SocketAddr> =
                kafka_probe::LOCALHOST.iter().filter_map(|address| address.parse().ok()).collect();
            select_default(home, starter, &kafka).map(Some)
        }
    }
}

fn select_default(home: &Path, starter: &Starter, kafka: &[SocketAddr]) -> Result<SelectedBroker, Failure> {
    let (folder, shown) = (home.join(DEFAULT_DIRECTORY), Path::new(DEFAULT_DIRECTORY));
    let known = open_existing(&folder);
    let before = known.as_ref().ok().and_then(Option::as_ref).and_then(read_choice);
    if kafka_probe::any_answers(kafka, kafka_probe::BOUND) {
        // An untrusted data directory is not needed here, so it is only a warning.
        let (directory, warning) = known.map_or_else(|failure| (None, Some(failure.message)), |known| (known, None));
        // The broker at localhost:9092 may be that of this data directory: `foodstream broker` in another terminal.
        let own = directory.as_ref().and_then(|directory| AddressFile::read(directory).ok().flatten());
        let own = own.filter(|own| kafka.iter().any(|address| own.address.port() == address.port()));
        if own.is_none() || background::find(&folder, starter.timeout)?.is_none() {
            if let Some(directory) = &directory {
                write_choice(directory, BrokerKind::Kafka);
            }
            let message = if before == Some(BrokerKind::Embedded) {
                SelectionMessage::Warning(format!(
                    "using Kafka at {KAFKA}; the last command in this directory used {}: -b embedded selects it",
                    name_of(shown)
                ))
            } else {
                SelectionMessage::Note(format!("using Kafka at {KAFKA}"))
            };
            let messages = std::iter::once(message).chain(warning.map(SelectionMessage::Warning)).collect();
            return Ok(SelectedBroker { address: KAFKA.to_owned(), name: None, lease: None, messages });
        }
    }
    let found = find_or_start(&folder, starter)?;
    if let Some(directory) = open_existing(&folder)? {
        write_choice(&directory, BrokerKind::Embedded);
    }
    let line = describe(before, &found, shown);
    let message =
        if before == Some(BrokerKind::Kafka) { SelectionMessage::Warning(line) } else { SelectionMessage::Note(line) };
    Ok(embedded(found, shown, message))
}

fn embedded(found: FoundBroker, folder: &Path, message: SelectionMessage) -> SelectedBroker {
    let FoundBroker { broker, lease, notes, .. } = found;
    let address = broker.address.to_string();
    let name = format!("{} ({address})", name_of(folder));
    let messages = std::iter::once(message).chain(notes.into_iter().map(SelectionMessage::Warning)).collect();
    SelectedBroker { address, name: Some(name), lease: Some(lease), messages }
}

fn describe(before: Option<BrokerKind>, found: &FoundBroker, folder: &Path) -> String {
    let how = if found.started { "started" } else { "using" };
    let why = match before {
        Some(BrokerKind::Kafka) => {
            format!("; the last command in this directory used Kafka at {KAFKA}, which does not answer")
        }
        _ => String::new(),
    };
    format!("{how} {} ({}){why}", name_of(folder), found.broker.address)
}

fn read_choice(folder: &Directory) -> Option<BrokerKind> {
    let text = folder.read(CHOICE_FILE).ok()?;
    [BrokerKind::Kafka, BrokerKind::Embedded].into_iter().find(|kind| kind.name() == text.trim())
}

/// Writes the choice if the data directory exists. A command without an embedded broker does not create one, and the
/// first embedded broker is reported as started.
fn write_choice(folder: &Directory, kind: BrokerKind) {
    if read_choice(folder) != Some(kind) {
        // If that fails, the next command does not report a change of the choice.
        drop(folder.replace(CHOICE_FILE, format!("{}\n", kind.name()).as_bytes()));
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::path::PathBuf;
    use std::time::Duration;

    use super::super::control_connection::tests::{Broker, broker};
    use super::*;
    use crate::shutdown::Shutdown;

    /// A program that does nothing instead of starting a broker.
    fn starter() -> Starter {
        let program = PathBuf::from("/bin/true");
        Starter { program, idle: Duration::MAX, timeout: Duration::from_secs(30), shutdown: Shutdown::default() }
    }

    /// A server that answers every request with the beginning of a Kafka response.
    fn kafka() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let address = listener.local_addr().expect("an address");
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.expect("asked");
                let mut asked = [0; 12];
                stream.read_exact(&mut asked).expect("a request");
                let reply = [&[0, 0, 0, 10][..], &asked[8..12], &[0; 6]].concat();
                drop(stream.write_all(&reply));
            }
        });
        address
    }

    fn unused_port() -> SocketAddr {
        TcpListener::bind("127.0.0.1:0").expect("bound").local_addr().expect("an address")
    }

    /// A working directory in which an embedded broker runs.
    fn home() -> (tempfile::TempDir, Broker) {
        let home = tempfile::tempdir().expect("a folder");
        let folder = Directory::for_test(&home.path().join(DEFAULT_DIRECTORY));
        let broker = broker(&folder, "one");
        broker.file.write(&folder).expect("written");
        (home, broker)
    }

    #[test]
    fn uses_a_kafka_without_creating_a_directory() {
        let home = tempfile::tempdir().expect("a folder");
        let chosen = select_default(home.path(), &starter(), &[kafka()]).expect("chosen");
        assert_eq!(chosen.address, "localhost:9092");
        assert_eq!(chosen.messages, [SelectionMessage::Note("using Kafka at localhost:9092".into())]);
        assert!(chosen.lease.is_none());
        assert_eq!(fs::read_dir(home.path()).expect("listed").count(), 0);
    }

    #[test]
    fn uses_the_embedded_broker_without_a_kafka() {
        let (home, broker) = home();
        let chosen = select_default(home.path(), &starter(), &[unused_port()]).expect("chosen");
        assert_eq!(chosen.address, broker.file.address.to_string());
        assert_eq!(broker.leases.count(), 1);
        let name = "the embedded broker over .foodstream (127.0.0.1:9092)";
        assert_eq!(chosen.name.as_deref(), Some(name));
        assert_eq!(chosen.messages, [SelectionMessage::Note(format!("using {name}"))]);
    }

    #[test]
    fn a_changed_choice_is_a_warning() {
        let (home, _broker) = home();
        let choose = |kafka| select_default(home.path(), &starter(), &[kafka]).expect("chosen").messages;
        let names_both = |messages: &[SelectionMessage]| match messages {
            [SelectionMessage::Warning(text)] => text.contains("localhost:9092") && text.contains("over .foodstream"),
            _ => false,
        };
        assert!(matches!(choose(unused_port())[..], [SelectionMessage::Note(_)]), "the first choice is not a change");
        assert!(names_both(&choose(kafka())));
        assert!(matches!(choose(kafka())[..], [SelectionMessage::Note(_)]), "the change is reported once");
        assert!(names_both(&choose(unused_port())));
        assert!(matches!(choose(unused_port())[..], [SelectionMessage::Note(_)]));
    }

    #[test]
    fn recognises_the_directorys_own_broker_on_9092() {
        let (home, broker) = home();
        let kafka = kafka();
        AddressFile { address: kafka, ..broker.file.clone() }
            .write(&Directory::open(&home.path().join(DEFAULT_DIRECTORY)).expect("opens"))
            .expect("written");
        let chosen = select_default(home.path(), &starter(), &[kafka]).expect("chosen");
        assert_eq!(chosen.address, kafka.to_string());
        assert!(chosen.lease.is_some());
    }

    #[test]
    fn an_untrusted_directory_matters_only_if_needed() {
        let (home, broker) = home();
        let data = home.path().join(DEFAULT_DIRECTORY);
        let allow =
            |mode| fs::set_permissions(&data, std::os::unix::fs::PermissionsExt::from_mode(mode)).expect("permitted");
        allow(0o777);
        let chosen = select_default(home.path(), &starter(), &[kafka()]).expect("chosen");
        assert_eq!(chosen.address, KAFKA);
        let [SelectionMessage::Note(_), SelectionMessage::Warning(warning)] = &chosen.messages[..] else {
            panic!("{:?}", chosen.messages)
        };
        assert!(warning.contains("may be written by every user (mode 777)"), "{warning}");
        assert!(!data.join(CHOICE_FILE).exists());
        let failure = select_default(home.path(), &starter(), &[unused_port()]).expect_err("refused");
        assert_eq!(failure.code, crate::exit::Code::Refused);
        assert!(failure.hint.expect("a hint").contains("chmod -R go-w"));
        assert_eq!(broker.leases.count(), 0, "the broker was not asked");
    }

    #[test]
    fn a_named_broker_overrides_the_default() {
        let (home, broker) = home();
        let chosen =
            select_broker(&BrokerTarget::Embedded(DEFAULT_DIRECTORY.into()), home.path(), &starter()).expect("chosen");
        assert_eq!(chosen.expect("a broker").address, broker.file.address.to_string());
        assert!(!home.path().join(DEFAULT_DIRECTORY).join(CHOICE_FILE).exists(), "only a default is remembered");
        assert!(select_broker(&BrokerTarget::Address, home.path(), &starter()).expect("nothing to do").is_none());
    }
}
