//! Owns the choice of the broker: what was named, else a Kafka on this machine, else the embedded one; and the sentence
//! that tells it.

use std::net::SocketAddr;
use std::path::Path;

use super::address_file::AddressFile;
use super::background::{FoundBroker, Starter, find_or_start};
use super::control_connection::Lease;
use super::data_directory::open_existing;
use super::{BrokerTarget, DEFAULT_DIRECTORY, KAFKA, background, kafka_probe, name_of};
use crate::broker::Directory;
use crate::exit::Failure;

/// Where the choice is read_choice, in the default folder.
const CHOICE_FILE: &str = "chosen";

/// A broker that was chosen for a command.
#[derive(Debug)]
pub struct SelectedBroker {
    /// Its address.
    pub address: String,
    /// How messages name it, where an address alone says too little.
    pub name: Option<String>,
    /// Keeps the embedded broker for as long as this process works.
    pub lease: Option<Lease>,
    /// What the user is told, in this order.
    pub messages: Vec<SelectionMessage>,
}

/// A sentence for the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SelectionMessage {
    /// Good to know.
    Note(String),
    /// Not to be missed.
    Warning(String),
}

/// What a choice without a name came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BrokerKind {
    Kafka,
    Embedded,
}

impl BrokerKind {
    const fn word(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::Embedded => "embedded",
        }
    }
}

/// Chooses, and starts the embedded broker where it is chosen and does not run. `None` where an address was named.
///
/// `home` is the working directory.
///
/// # Errors
///
/// When the embedded broker is chosen and cannot be had: exit code 4, 7 or 8, each with the way on.
pub fn select_broker(wanted: &BrokerTarget, home: &Path, starter: &Starter) -> Result<Option<SelectedBroker>, Failure> {
    match wanted {
        BrokerTarget::Address => Ok(None),
        BrokerTarget::Embedded(folder) => {
            let found = find_or_start(&home.join(folder), starter)?;
            let line = line(None, &found, folder);
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
        // A folder that is not trusted is not needed, and says nothing.
        let (directory, distrust) = known.map_or_else(|failure| (None, Some(failure.message)), |known| (known, None));
        // The broker of this very folder may be the one that answers there: `foodstream broker` in another terminal.
        let own = directory.as_ref().and_then(|directory| AddressFile::read(directory).ok().flatten());
        let own = own.filter(|own| kafka.iter().any(|address| own.address.port() == address.port()));
        if own.is_none() || background::find(&folder, starter.timeout)?.is_none() {
            if let Some(directory) = &directory {
                write_choice(directory, BrokerKind::Kafka);
            }
            let word = if before == Some(BrokerKind::Embedded) {
                SelectionMessage::Warning(format!(
                    "using Kafka at {KAFKA}; the last command here used {}, which -b embedded names",
                    name_of(shown)
                ))
            } else {
                SelectionMessage::Note(format!("using Kafka at {KAFKA}"))
            };
            let messages = std::iter::once(word).chain(distrust.map(SelectionMessage::Warning)).collect();
            return Ok(SelectedBroker { address: KAFKA.to_owned(), name: None, lease: None, messages });
        }
    }
    let found = find_or_start(&folder, starter)?;
    if let Some(directory) = open_existing(&folder)? {
        write_choice(&directory, BrokerKind::Embedded);
    }
    let line = line(before, &found, shown);
    let word =
        if before == Some(BrokerKind::Kafka) { SelectionMessage::Warning(line) } else { SelectionMessage::Note(line) };
    Ok(embedded(found, shown, word))
}

fn embedded(found: FoundBroker, folder: &Path, word: SelectionMessage) -> SelectedBroker {
    let FoundBroker { broker, lease, notes, .. } = found;
    let address = broker.address.to_string();
    let name = format!("{} ({address})", name_of(folder));
    let messages = std::iter::once(word).chain(notes.into_iter().map(SelectionMessage::Warning)).collect();
    SelectedBroker { address, name: Some(name), lease: Some(lease), messages }
}

fn line(before: Option<BrokerKind>, found: &FoundBroker, folder: &Path) -> String {
    let how = if found.started { "started" } else { "using" };
    let why = match before {
        Some(BrokerKind::Kafka) => format!("; the last command here used Kafka at {KAFKA}, which does not answer"),
        _ => String::new(),
    };
    format!("{how} {} ({}){why}", name_of(folder), found.broker.address)
}

fn read_choice(folder: &Directory) -> Option<BrokerKind> {
    let word = folder.read(CHOICE_FILE).ok()?;
    [BrokerKind::Kafka, BrokerKind::Embedded].into_iter().find(|kind| kind.word() == word.trim())
}

/// Remembers the choice where there is a folder to write_choice it in: a command that needs none leaves none behind, and a
/// first embedded broker is told by the line that says it was started.
fn write_choice(folder: &Directory, kind: BrokerKind) {
    if read_choice(folder) != Some(kind) {
        // Where nothing can be written the choice is told every time as if it were the first.
        drop(folder.replace(CHOICE_FILE, format!("{}\n", kind.word()).as_bytes()));
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

    /// A program that starts nothing: what is not there is missed at once.
    fn starter() -> Starter {
        let program = PathBuf::from("/bin/true");
        Starter { program, idle: Duration::MAX, timeout: Duration::from_secs(30), shutdown: Shutdown::default() }
    }

    /// One that answers every request as a Kafka would begin to.
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

    fn nobody() -> SocketAddr {
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
    fn a_kafka_that_answers_is_taken_and_leaves_no_folder_behind() {
        let home = tempfile::tempdir().expect("a folder");
        let chosen = select_default(home.path(), &starter(), &[kafka()]).expect("chosen");
        assert_eq!(chosen.address, "localhost:9092");
        assert_eq!(chosen.messages, [SelectionMessage::Note("using Kafka at localhost:9092".into())]);
        assert!(chosen.lease.is_none());
        assert_eq!(fs::read_dir(home.path()).expect("listed").count(), 0);
    }

    #[test]
    fn the_embedded_broker_is_taken_where_no_kafka_answers_and_is_held() {
        let (home, broker) = home();
        let chosen = select_default(home.path(), &starter(), &[nobody()]).expect("chosen");
        assert_eq!(chosen.address, broker.file.address.to_string());
        assert_eq!(broker.leases.count(), 1);
        let name = "the embedded broker over .foodstream (127.0.0.1:9092)";
        assert_eq!(chosen.name.as_deref(), Some(name));
        assert_eq!(chosen.messages, [SelectionMessage::Note(format!("using {name}"))]);
    }

    #[test]
    fn a_choice_that_changed_is_a_warning_that_names_both() {
        let (home, _broker) = home();
        let choose = |kafka| select_default(home.path(), &starter(), &[kafka]).expect("chosen").messages;
        let names_both = |messages: &[SelectionMessage]| match messages {
            [SelectionMessage::Warning(text)] => text.contains("localhost:9092") && text.contains("over .foodstream"),
            _ => false,
        };
        assert!(matches!(choose(nobody())[..], [SelectionMessage::Note(_)]), "a first choice is no change");
        assert!(names_both(&choose(kafka())));
        assert!(matches!(choose(kafka())[..], [SelectionMessage::Note(_)]), "it is told once");
        assert!(names_both(&choose(nobody())));
        assert!(matches!(choose(nobody())[..], [SelectionMessage::Note(_)]));
    }

    #[test]
    fn a_kafka_that_is_this_folders_own_broker_is_told_as_such() {
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
    fn a_folder_that_is_not_trusted_is_not_asked_and_refuses_only_who_needs_it() {
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
        let failure = select_default(home.path(), &starter(), &[nobody()]).expect_err("refused");
        assert_eq!(failure.code, crate::exit::Code::Refused);
        assert!(failure.hint.expect("a hint").contains("chmod -R go-w"));
        assert_eq!(broker.leases.count(), 0, "nobody was asked");
    }

    #[test]
    fn a_named_folder_is_used_whatever_else_answers_and_a_named_address_alone() {
        let (home, broker) = home();
        let chosen =
            select_broker(&BrokerTarget::Embedded(DEFAULT_DIRECTORY.into()), home.path(), &starter()).expect("chosen");
        assert_eq!(chosen.expect("a broker").address, broker.file.address.to_string());
        assert!(!home.path().join(DEFAULT_DIRECTORY).join(CHOICE_FILE).exists(), "what was named was not chosen");
        assert!(select_broker(&BrokerTarget::Address, home.path(), &starter()).expect("nothing to do").is_none());
    }
}
