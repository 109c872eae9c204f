//! Owns the choice of the broker: what was named, else a Kafka on this machine, else the embedded one; and the sentence
//! that tells it.

use std::net::SocketAddr;
use std::path::Path;

use super::address_file::AddressFile;
use super::background::{Found, Starter, obtain};
use super::control::Lease;
use super::folder::look;
use super::{DEFAULT_FOLDER, KAFKA, Wanted, background, name_of, probe};
use crate::broker::Directory;
use crate::exit::Failure;

/// Where the choice is remembered, in the default folder.
const MEMORY: &str = "chosen";

/// A broker that was chosen for a command.
#[derive(Debug)]
pub struct Chosen {
    /// Its address.
    pub address: String,
    /// How messages name it, where an address alone says too little.
    pub name: Option<String>,
    /// Keeps the embedded broker for as long as this process works.
    pub lease: Option<Lease>,
    /// What the user is told, in this order.
    pub words: Vec<Word>,
}

/// A sentence for the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// Good to know.
    Note(String),
    /// Not to be missed.
    Warning(String),
}

/// What a choice without a name came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Kafka,
    Embedded,
}

impl Kind {
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
pub fn choose(wanted: &Wanted, home: &Path, starter: &Starter) -> Result<Option<Chosen>, Failure> {
    match wanted {
        Wanted::Named => Ok(None),
        Wanted::Embedded(folder) => {
            let found = obtain(&home.join(folder), starter)?;
            let line = line(None, &found, folder);
            Ok(Some(embedded(found, folder, Word::Note(line))))
        }
        Wanted::Nearest => {
            let kafka: Vec<SocketAddr> = probe::LOCALHOST.iter().filter_map(|address| address.parse().ok()).collect();
            nearest(home, starter, &kafka).map(Some)
        }
    }
}

fn nearest(home: &Path, starter: &Starter, kafka: &[SocketAddr]) -> Result<Chosen, Failure> {
    let (folder, shown) = (home.join(DEFAULT_FOLDER), Path::new(DEFAULT_FOLDER));
    let known = look(&folder);
    let before = known.as_ref().ok().and_then(Option::as_ref).and_then(remembered);
    if probe::answers(kafka, probe::BOUND) {
        // A folder that is not trusted is not needed, and says nothing.
        let (directory, distrust) = known.map_or_else(|failure| (None, Some(failure.message)), |known| (known, None));
        // The broker of this very folder may be the one that answers there: `foodstream broker` in another terminal.
        let own = directory.as_ref().and_then(|directory| AddressFile::read(directory).ok().flatten());
        let own = own.filter(|own| kafka.iter().any(|address| own.address.port() == address.port()));
        if own.is_none() || background::find(&folder, starter.timeout)?.is_none() {
            if let Some(directory) = &directory {
                remember(directory, Kind::Kafka);
            }
            let word = if before == Some(Kind::Embedded) {
                Word::Warning(format!(
                    "using Kafka at {KAFKA}; the last command here used {}, which -b embedded names",
                    name_of(shown)
                ))
            } else {
                Word::Note(format!("using Kafka at {KAFKA}"))
            };
            let words = std::iter::once(word).chain(distrust.map(Word::Warning)).collect();
            return Ok(Chosen { address: KAFKA.to_owned(), name: None, lease: None, words });
        }
    }
    let found = obtain(&folder, starter)?;
    if let Some(directory) = look(&folder)? {
        remember(&directory, Kind::Embedded);
    }
    let line = line(before, &found, shown);
    let word = if before == Some(Kind::Kafka) { Word::Warning(line) } else { Word::Note(line) };
    Ok(embedded(found, shown, word))
}

fn embedded(found: Found, folder: &Path, word: Word) -> Chosen {
    let Found { broker, lease, notes, .. } = found;
    let address = broker.address.to_string();
    let name = format!("{} ({address})", name_of(folder));
    let words = std::iter::once(word).chain(notes.into_iter().map(Word::Warning)).collect();
    Chosen { address, name: Some(name), lease: Some(lease), words }
}

fn line(before: Option<Kind>, found: &Found, folder: &Path) -> String {
    let how = if found.started { "started" } else { "using" };
    let why = match before {
        Some(Kind::Kafka) => format!("; the last command here used Kafka at {KAFKA}, which does not answer"),
        _ => String::new(),
    };
    format!("{how} {} ({}){why}", name_of(folder), found.broker.address)
}

fn remembered(folder: &Directory) -> Option<Kind> {
    let word = folder.read(MEMORY).ok()?;
    [Kind::Kafka, Kind::Embedded].into_iter().find(|kind| kind.word() == word.trim())
}

/// Remembers the choice where there is a folder to remember it in: a command that needs none leaves none behind, and a
/// first embedded broker is told by the line that says it was started.
fn remember(folder: &Directory, kind: Kind) {
    if remembered(folder) != Some(kind) {
        // Where nothing can be written the choice is told every time as if it were the first.
        drop(folder.replace(MEMORY, format!("{}\n", kind.word()).as_bytes()));
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::path::PathBuf;
    use std::time::Duration;

    use super::super::control::tests::{Broker, broker};
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
        let folder = Directory::for_test(&home.path().join(DEFAULT_FOLDER));
        let broker = broker(&folder, "one");
        broker.file.write(&folder).expect("written");
        (home, broker)
    }

    #[test]
    fn a_kafka_that_answers_is_taken_and_leaves_no_folder_behind() {
        let home = tempfile::tempdir().expect("a folder");
        let chosen = nearest(home.path(), &starter(), &[kafka()]).expect("chosen");
        assert_eq!(chosen.address, "localhost:9092");
        assert_eq!(chosen.words, [Word::Note("using Kafka at localhost:9092".into())]);
        assert!(chosen.lease.is_none());
        assert_eq!(fs::read_dir(home.path()).expect("listed").count(), 0);
    }

    #[test]
    fn the_embedded_broker_is_taken_where_no_kafka_answers_and_is_held() {
        let (home, broker) = home();
        let chosen = nearest(home.path(), &starter(), &[nobody()]).expect("chosen");
        assert_eq!(chosen.address, broker.file.address.to_string());
        assert_eq!(broker.leases.count(), 1);
        let name = "the embedded broker over .foodstream (127.0.0.1:9092)";
        assert_eq!(chosen.name.as_deref(), Some(name));
        assert_eq!(chosen.words, [Word::Note(format!("using {name}"))]);
    }

    #[test]
    fn a_choice_that_changed_is_a_warning_that_names_both() {
        let (home, _broker) = home();
        let choose = |kafka| nearest(home.path(), &starter(), &[kafka]).expect("chosen").words;
        let names_both = |words: &[Word]| match words {
            [Word::Warning(text)] => text.contains("localhost:9092") && text.contains("over .foodstream"),
            _ => false,
        };
        assert!(matches!(choose(nobody())[..], [Word::Note(_)]), "a first choice is no change");
        assert!(names_both(&choose(kafka())));
        assert!(matches!(choose(kafka())[..], [Word::Note(_)]), "it is told once");
        assert!(names_both(&choose(nobody())));
        assert!(matches!(choose(nobody())[..], [Word::Note(_)]));
    }

    #[test]
    fn a_kafka_that_is_this_folders_own_broker_is_told_as_such() {
        let (home, broker) = home();
        let kafka = kafka();
        AddressFile { address: kafka, ..broker.file.clone() }
            .write(&Directory::open(&home.path().join(DEFAULT_FOLDER)).expect("opens"))
            .expect("written");
        let chosen = nearest(home.path(), &starter(), &[kafka]).expect("chosen");
        assert_eq!(chosen.address, kafka.to_string());
        assert!(chosen.lease.is_some());
    }

    #[test]
    fn a_folder_that_is_not_trusted_is_not_asked_and_refuses_only_who_needs_it() {
        let (home, broker) = home();
        let data = home.path().join(DEFAULT_FOLDER);
        let allow =
            |mode| fs::set_permissions(&data, std::os::unix::fs::PermissionsExt::from_mode(mode)).expect("permitted");
        allow(0o777);
        let chosen = nearest(home.path(), &starter(), &[kafka()]).expect("chosen");
        assert_eq!(chosen.address, KAFKA);
        let [Word::Note(_), Word::Warning(warning)] = &chosen.words[..] else { panic!("{:?}", chosen.words) };
        assert!(warning.contains("may be written by every user (mode 777)"), "{warning}");
        assert!(!data.join(MEMORY).exists());
        let failure = nearest(home.path(), &starter(), &[nobody()]).expect_err("refused");
        assert_eq!(failure.code, crate::exit::Code::Refused);
        assert!(failure.hint.expect("a hint").contains("chmod -R go-w"));
        assert_eq!(broker.leases.count(), 0, "nobody was asked");
    }

    #[test]
    fn a_named_folder_is_used_whatever_else_answers_and_a_named_address_alone() {
        let (home, broker) = home();
        let chosen = choose(&Wanted::Embedded(DEFAULT_FOLDER.into()), home.path(), &starter()).expect("chosen");
        assert_eq!(chosen.expect("a broker").address, broker.file.address.to_string());
        assert!(!home.path().join(DEFAULT_FOLDER).join(MEMORY).exists(), "what was named was not chosen");
        assert!(choose(&Wanted::Named, home.path(), &starter()).expect("nothing to do").is_none());
    }
}
