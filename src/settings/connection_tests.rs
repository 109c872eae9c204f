//! Owns the tests of what is meant about a connection: precedence, Java's spelling, refusals and warnings, and secrets.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use clap::Parser;

use super::*;
use crate::cli::Cli;
use crate::exit::Code;

const CANARY: &str = "Canary-7f3a9c";

/// A folder with a properties file of mode 600, or another.
struct Folder(tempfile::TempDir);

impl Folder {
    fn with(content: &str) -> Self {
        let folder = Self(tempfile::tempdir().expect("a folder"));
        std::fs::write(folder.file(), content).expect("written");
        folder.mode(0o600)
    }

    fn mode(self, mode: u32) -> Self {
        std::fs::set_permissions(self.file(), std::fs::Permissions::from_mode(mode)).expect("permitted");
        self
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("client.properties")
    }

    /// With its file, and words after it.
    fn meant(&self, words: &[&str]) -> Result<ResolvedConnection, Failure> {
        let file = self.file();
        meant(&[&["-F", file.to_str().expect("a path")], words].concat(), None)
    }
}

fn meant(words: &[&str], environment: Option<&str>) -> Result<ResolvedConnection, Failure> {
    let typed = Cli::try_parse_from([&["foodstream", "replay"], words].concat()).expect("parses");
    connection(&typed.global, environment.map(str::to_owned), None, LogSink(Arc::new(|_| {})))
}

fn of_file(content: &str) -> Result<ResolvedConnection, Failure> {
    Folder::with(content).meant(&[])
}

fn property<'a>(meant: &'a ResolvedConnection, name: &str) -> Option<&'a str> {
    meant.connection.property(name)
}

/// The failure of a file's content, told without the folder.
fn refusal(content: &str) -> String {
    let folder = Folder::with(content);
    let failure = folder.meant(&[]).err().unwrap_or_else(|| panic!("taken: {content}"));
    assert_eq!(failure.code, Code::Usage, "{failure}");
    failure.to_string().replace(&format!("{}/", folder.0.path().display()), "")
}

#[test]
fn every_value_is_told_with_its_origin_and_what_it_was_said_over() {
    let folder =
        Folder::with("bootstrap.servers: file:1\nlinger.ms 5\nsasl.password=hush-hush\nqueue.buffering.max.ms=6\n");
    let file = folder.file().display().to_string();
    let words = ["-F", &file, "-X", "bootstrap.servers=x:3", "-X", "linger.ms=7", "-b", "flag:4"];
    let meant = meant(&words, Some("env:2")).expect("meant");
    let told: Vec<String> = meant.details.iter().map(|line| line.replace(&file, "FILE")).collect();
    for line in [
        "bootstrap.servers=flag:4 (-b), over x:3 (-X), over env:2 (FOODSTREAM_BOOTSTRAP_SERVERS), over file:1 (FILE:1)",
        "linger.ms=7 (-X), over 6 (FILE:4, queue.buffering.max.ms), over 5 (FILE:2)",
        "sasl.password=[redacted] (FILE:3)",
        "client.id=foodstream (default)",
    ] {
        assert!(told.iter().any(|told| told == line), "{line}: {told:#?}");
    }
    assert_eq!(meant.connection.bootstrap(), "flag:4");
    assert_eq!(property(&meant, "linger.ms"), Some("7"));
}

#[test]
fn a_second_name_does_not_get_past_what_the_program_owns() {
    for words in ["-X request.required.acks=1", "-X topic.acks=1", "-X auto.commit.enable=true"] {
        let words: Vec<&str> = words.split_whitespace().collect();
        let failure = meant(&words, None).err().expect("refused");
        assert!(failure.message.contains("the program owns this property"), "{failure}");
    }
    assert!(refusal("linger.ms=7\nacks=1\n").starts_with("client.properties:2: the program owns this property"));
    // A file may serve others too; what is typed for this program is meant for it.
    assert!(
        of_file("acks=all\nenable.idempotence=true\nisolation.level=read_committed\nauto.offset.reset=none\n").is_ok()
    );
    assert!(meant(&["-X", "acks=all"], None).is_err());
}

#[test]
fn a_misspelt_name_is_told_with_its_line_and_the_nearest_name() {
    let told = refusal("linger.ms=7\n\nsasl.pasword=hush-hush\n");
    let words =
        "client.properties:3: No such configuration property: \"sasl.pasword\"\n  hint: did you mean sasl.password?";
    assert!(told.starts_with(words) && !told.contains("hush-hush"), "{told}");
    assert!(refusal("lingerms=7").contains("did you mean linger.ms?"));
    assert!(refusal("ssl.trustore.location=x").contains("did you mean ssl.truststore.location?"));
    assert!(!refusal("no.such.thing.at.all=1").contains("did you mean"));
    let folder = Folder::with("linger.mss=1");
    let failure = folder.meant(&["-X", "linger.mss=2"]).err().expect("a name stays wrong when another value wins");
    assert!(failure.message.contains("linger.mss"));
    assert!(refusal("linger.ms=soon").starts_with("client.properties:1: "));
}

#[test]
fn what_is_no_line_is_told_without_a_word_of_it() {
    for content in [
        format!("linger.ms=7\n{CANARY}\n"),
        format!("linger.ms=7\nsasl.password\\u00zz={CANARY}\n"),
        format!("linger.ms=7\n{CANARY}{CANARY}=\n"),
        format!("linger.ms=7\n={CANARY}\n"),
        format!(
            "linger.ms=7\nsasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required password=\"{CANARY}\"\n"
        ),
        format!("linger.ms=7\nsasl.jaas.config=x.Module required password={CANARY};\n"),
        format!("linger.ms=7\nssl.endpoint.identification.algorithm={CANARY}\nssl.key.pem={CANARY}\n"),
    ] {
        let told = refusal(&content);
        let known = content.contains("identification");
        assert!(told.starts_with("client.properties:2: ") && (known || !told.contains(CANARY)), "{content}: {told}");
    }
    let typed = meant(&["-X", CANARY], None).err().expect("refused").to_string();
    assert!(!typed.contains(CANARY), "{typed}");
}

#[test]
fn credentials_in_an_address_are_refused_and_not_told() {
    let address = format!("sasl_ssl://alice:{CANARY}@kafka:9093");
    let typed = format!("bootstrap.servers={address}");
    for (words, environment) in [(vec!["-b", &address], None), (vec!["-X", &typed], None), (vec![], Some(&*address))] {
        let failure = meant(&words, environment).err().expect("refused");
        assert!(failure.message.contains("a user or a password in it"), "{failure}");
        assert!(!failure.to_string().contains(CANARY), "{failure}");
    }
}

#[test]
fn a_malformed_address_is_told_with_its_source_and_its_fix() {
    let message = |words: &[&str], environment: Option<&str>| {
        let failure = meant(words, environment).err().expect("refused");
        assert_eq!(failure.code, Code::Usage);
        failure.to_string()
    };
    let port = "the port is not a number from 1 to 65535\n  hint: as in b:9092";
    assert_eq!(message(&["-b", "a:1,b:99999"], None), format!("-b b:99999: {port}"));
    assert_eq!(message(&[], Some("b:x")), format!("FOODSTREAM_BOOTSTRAP_SERVERS=b:x: {port}"));
    for name in ["bootstrap.servers", "metadata.broker.list"] {
        let typed = format!("{name}=b:0");
        assert_eq!(message(&["-X", &typed], None), format!("-X {name}=b:0: {port}"));
        assert_eq!(refusal(&format!("linger.ms=7\n{typed}\n")), format!("client.properties:2: {name}=b:0: {port}"));
    }
    let scheme = message(&["-b", "SASL_SSL://h:1"], None);
    assert!(
        scheme.starts_with("-b SASL_SSL://h:1: the scheme is sasl_ssl, and security.protocol is plaintext"),
        "{scheme}"
    );
    assert!(message(&["-b", " , "], None).starts_with("-b: there is no address in it"));
    // What another value wins over is not looked at, and what is no address at all is not one of these.
    assert_eq!(meant(&["-b", "a:1"], Some("b:x")).expect("meant").connection.bootstrap(), "a:1");
    assert_eq!(meant(&["-b", "embedded:a b"], None).expect("meant").connection.bootstrap(), "embedded:a b");
}

#[test]
fn addresses_go_to_the_library_without_blanks_and_schemes() {
    let bootstrap = |content: &str| of_file(content).expect("meant").connection.bootstrap().to_owned();
    assert_eq!(bootstrap("bootstrap.servers=a:1, b:2,"), "a:1,b:2");
    let tls = "bootstrap.servers=SSL://a:1,[::1]:9093\nsecurity.protocol=SSL\n";
    assert_eq!(bootstrap(tls), "a:1,[::1]:9093");
}

#[test]
fn a_timeout_that_was_typed_is_known_as_such() {
    let timeout = |words: &[&str]| {
        let connection = meant(words, None).expect("meant").connection;
        (connection.timeout.as_secs(), connection.timeout_is_explicit)
    };
    assert_eq!(timeout(&[]), (30, false));
    assert_eq!(timeout(&["--timeout", "30s"]), (30, true));
    assert_eq!(timeout(&["--timeout=5s"]), (5, true));
}

#[test]
fn a_secret_that_others_can_read_is_warned_about() {
    let content = "linger.ms=7\nsasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \\\n  \
                   username=\"alice\" password=\"hush-hush\";\nsasl.mechanism=PLAIN\nsecurity.protocol=SASL_SSL\n";
    let warnings = |mode| Folder::with(content).mode(mode).meant(&[]).expect("meant").warnings;
    let told = warnings(0o644).join("\n");
    assert!(told.contains("client.properties:2: sasl.jaas.config stands in a file that every user"), "{told}");
    assert!(told.contains("(mode 644): chmod 600 ") && !told.contains("hush-hush"), "{told}");
    assert_eq!(warnings(0o600), [""; 0]);
    // A group is somebody's decision.
    assert_eq!(warnings(0o640), [""; 0]);
    assert_eq!(
        Folder::with("sasl.username=alice\nssl.ca.location=x\n").mode(0o644).meant(&[]).expect("meant").warnings,
        [""; 0]
    );
    let typed = meant(&["-X", "ssl.key.password=hush-hush"], None).expect("meant").warnings.join("\n");
    assert!(typed.contains("-X ssl.key.password: every user") && typed.contains("-F"), "{typed}");
    assert!(!typed.contains("hush-hush"), "{typed}");
}

#[test]
fn what_would_go_unused_or_unchecked_is_warned_about() {
    let warned = |content: &str| of_file(content).expect("meant").warnings.join("\n");
    assert!(
        warned("sasl.mechanism=PLAIN\nsasl.username=a\nsasl.password=b").contains("is not used: security.protocol")
    );
    assert!(warned("security.protocol=ssl\nenable.ssl.certificate.verification=false").contains("whoever answers"));
    assert!(warned("sasl.username=C:\\dir").contains("a backslash stands before a letter"));
    assert!(warned("ssl.provider=SunJSSE").contains("ssl.provider is ignored"));
    let quiet = of_file("key.serializer=x\nmax.block.ms=1\nschema.registry.url=y").expect("meant");
    assert_eq!(quiet.warnings, [""; 0]);
    assert_eq!(quiet.details.iter().filter(|line| line.contains("is Java's and not needed")).count(), 3);
}

#[test]
fn sasl_says_what_it_lacks_before_a_broker_is_asked() {
    let sasl = |rest: &str| refusal(&format!("security.protocol=SASL_SSL\n{rest}"));
    assert!(sasl("").contains("client.properties:1: SASL without sasl.mechanism"));
    assert!(sasl("sasl.mechanism=GSSAPI").contains("client.properties:2: GSSAPI is Kerberos"));
    assert!(sasl("sasl.mechanism=OAUTHBEARER").contains("without a source of tokens"));
    let claims = |claims: &str| {
        format!(
            "sasl.mechanism=OAUTHBEARER\nenable.sasl.oauthbearer.unsecure.jwt=true\nsasl.oauthbearer.config={claims}"
        )
    };
    for wrong in ["", "principal", "principal= scope=x", "scope=x", "principal=a hush-hush", "principal=a hush-hush=1"]
    {
        let told = sasl(&claims(wrong));
        assert!(told.contains("client.properties:4: the claims") && !told.contains("hush"), "{told}");
    }
    assert!(of_file(&format!("security.protocol=SASL_SSL\n{}", claims("principal=a extension_b=c scope=d"))).is_ok());
    let scram =
        "sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required username=a password=b;";
    let told = sasl(&format!("sasl.mechanism=PLAIN\n{scram}"));
    assert!(told.contains("sasl.mechanism=PLAIN does not go with ScramLoginModule"), "{told}");
    assert!(told.contains("client.properties:3"), "{told}");
}

#[cfg(not(feature = "oidc"))]
#[test]
fn tokens_of_an_identity_provider_are_refused_by_the_name_of_the_feature_that_brings_them() {
    let method = "security.protocol=SASL_SSL\nsasl.mechanism=OAUTHBEARER\nsasl.oauthbearer.method=oidc\n";
    let endpoint = format!("{method}sasl.oauthbearer.token.endpoint.url=https://id.example.org\n");
    for content in [method, &endpoint, "https.ca.location=x", "sasl.oauthbearer.client.secret=x"] {
        let told = refusal(content);
        assert!(told.contains("not built in") && told.contains("--features oidc"), "{told}");
    }
    // Another source may say otherwise.
    assert!(Folder::with("sasl.oauthbearer.method=oidc").meant(&["-X", "sasl.oauthbearer.method=default"]).is_ok());
}

#[test]
fn the_way_up_is_chosen_as_a_whole() {
    let folder = Folder::with("ssl.ca.pem=-----BEGIN\nssl.key.pem=hush-hush\n");
    let meant = folder.meant(&["-X", "ssl.ca.location=other.pem"]).expect("meant");
    assert_eq!((property(&meant, "ssl.ca.pem"), property(&meant, "ssl.ca.location")), (None, Some("other.pem")));
    assert_eq!(property(&meant, "ssl.key.pem"), Some("hush-hush"));
}

#[test]
fn what_is_told_of_the_library_holds_no_secret() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&heard);
    let log = LogSink(Arc::new(move |line| sink.lock().expect("lock").push(line.to_owned())));
    let typed = ["foodstream", "replay", "-v", "-X", "sasl.oauthbearer.config=principal=x Canary-7f3a9c scope=y"];
    let typed = Cli::try_parse_from(typed).expect("parses");
    let meant = connection(&typed.global, None, None, log).expect("meant");
    (meant.connection.log.expect("verbose").0)("Unrecognized beginning at: Canary-7f3a9c scope=y");
    assert_eq!(*heard.lock().expect("lock"), ["Unrecognized beginning at: [redacted] scope=y"]);
    let same = of_file("sasl.username=admin-name\nsasl.password=admin-name\n").expect("meant").secrets;
    assert_eq!(same.redact("User:admin-name"), "User:admin-name", "what stands in the open is no secret");
}

/// The examples of docs/REFERENCE.md, which stand there letter by letter.
#[test]
fn the_examples_of_the_reference_are_read_as_they_are_meant() {
    let reference = include_str!("../../docs/REFERENCE.md");
    let folder = tempfile::tempdir().expect("a folder");
    let pem = folder.path().join("some.pem");
    std::fs::write(&pem, "-----BEGIN CERTIFICATE-----\n").expect("written");
    let pem = pem.display().to_string();
    let read = |name: &str, shown: bool| {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/connections").join(name);
        let text = std::fs::read_to_string(path).expect(name);
        if shown {
            let block = format!("    {}\n", text.trim_end().replace('\n', "\n    "));
            assert!(reference.contains(&block), "{name} is not what docs/REFERENCE.md shows");
        }
        let text = ["ca.pem", "client.pem", "client.key"]
            .iter()
            .fold(text, |text, file| text.replace(&format!("={file}\n"), &format!("={pem}\n")));
        of_file(&text).map(|meant| {
            assert_eq!(meant.warnings, [""; 0], "{name}");
            meant.connection
        })
    };
    let check = |name: &str, wanted: &[(&str, &str)]| {
        let connection = read(name, !name.contains("-test")).unwrap_or_else(|failure| panic!("{name}: {failure}"));
        for (key, value) in wanted {
            assert_eq!(connection.property(key), Some(*value), "{name}: {key}");
        }
    };
    check(
        "scram.properties",
        &[
            ("security.protocol", "SASL_SSL"),
            ("sasl.mechanisms", "SCRAM-SHA-512"),
            ("sasl.username", "alice"),
            ("sasl.password", "change-me"),
            ("ssl.ca.location", &pem),
        ],
    );
    check(
        "cloud.properties",
        &[
            ("sasl.mechanisms", "PLAIN"),
            ("sasl.username", "API-KEY"),
            ("sasl.password", "API-SECRET"),
            ("session.timeout.ms", "45000"),
        ],
    );
    check("mutual-tls.properties", &[("ssl.key.location", &pem), ("ssl.key.password", "change-me")]);
    check(
        "oauthbearer-test.properties",
        &[("enable.sasl.oauthbearer.unsecure.jwt", "true"), ("sasl.oauthbearer.config", "principal=alice")],
    );
    let tokens = read("oauthbearer.properties", true);
    if cfg!(feature = "oidc") {
        assert_eq!(tokens.expect("taken").property("sasl.oauthbearer.client.id"), Some("foodstream"));
    } else {
        assert!(tokens.expect_err("refused").to_string().contains("--features oidc"));
    }
}

#[test]
fn what_is_handed_to_a_step_counts_as_a_file_and_is_as_secret() {
    let typed = Cli::try_parse_from(["foodstream", "lag", "-X", "linger.ms=9"]).expect("parses");
    let lines = "bootstrap.servers=there:1\nlinger.ms=7\nsasl.password=a\\nb\\\\c\n";
    let meant = connection(&typed.global, None, Some(lines), LogSink(Arc::new(|_| {}))).expect("meant");
    assert_eq!(meant.connection.bootstrap(), "there:1");
    assert_eq!(meant.connection.property("linger.ms"), Some("9"));
    assert_eq!(meant.connection.property("sasl.password"), Some("a\nb\\c"));
    assert!(!meant.details.iter().any(|line| line.contains("a\n")), "{:?}", meant.details);
    assert!(!meant.warnings.iter().any(|line| line.contains("every user")), "{:?}", meant.warnings);
}
