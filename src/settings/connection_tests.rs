//! Tests of connection settings: precedence, Java's names, errors, warnings and secrets.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use clap::Parser;

use super::*;
use crate::cli::Cli;
use crate::exit::Code;

const CANARY: &str = "Canary-7f3a9c";

/// A directory with a properties file.
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

    /// Resolves the file together with further arguments.
    fn resolve(&self, args: &[&str]) -> Result<ResolvedConnection, Failure> {
        let file = self.file();
        resolve(&[&["-F", file.to_str().expect("a path")], args].concat(), None)
    }
}

fn resolve(args: &[&str], environment: Option<&str>) -> Result<ResolvedConnection, Failure> {
    let arguments = Cli::try_parse_from([&["foodstream", "replay"], args].concat()).expect("parses");
    connection(&arguments.global, environment.map(str::to_owned), None, LogSink(Arc::new(|_| {})))
}

fn of_file(content: &str) -> Result<ResolvedConnection, Failure> {
    Folder::with(content).resolve(&[])
}

fn property<'a>(resolved: &'a ResolvedConnection, name: &str) -> Option<&'a str> {
    resolved.connection.property(name)
}

/// The error for the content of a file, without the directory name.
fn refusal(content: &str) -> String {
    let folder = Folder::with(content);
    let failure = folder.resolve(&[]).err().unwrap_or_else(|| panic!("taken: {content}"));
    assert_eq!(failure.code, Code::Usage, "{failure}");
    failure.to_string().replace(&format!("{}/", folder.0.path().display()), "")
}

#[test]
fn every_value_is_shown_with_its_source() {
    let folder =
        Folder::with("bootstrap.servers: file:1\nlinger.ms 5\nsasl.password=hush-hush\nqueue.buffering.max.ms=6\n");
    let file = folder.file().display().to_string();
    let args = ["-F", &file, "-X", "bootstrap.servers=x:3", "-X", "linger.ms=7", "-b", "flag:4"];
    let resolved = resolve(&args, Some("env:2")).expect("resolved");
    let text: Vec<String> = resolved.details.iter().map(|line| line.replace(&file, "FILE")).collect();
    for line in [
        "bootstrap.servers=flag:4 (-b), overrides x:3 (-X), overrides env:2 (FOODSTREAM_BOOTSTRAP_SERVERS), overrides file:1 (FILE:1)",
        "linger.ms=7 (-X), overrides 6 (FILE:4, queue.buffering.max.ms), overrides 5 (FILE:2)",
        "sasl.password=[redacted] (FILE:3)",
        "client.id=foodstream (default)",
    ] {
        assert!(text.iter().any(|text| text == line), "{line}: {text:#?}");
    }
    assert_eq!(resolved.connection.bootstrap(), "flag:4");
    assert_eq!(property(&resolved, "linger.ms"), Some("7"));
}

#[test]
fn an_alias_of_an_owned_property_is_refused() {
    let failure = |args: &[&str]| resolve(args, None).err().expect("refused").to_string();
    for name in ["acks", "request.required.acks", "topic.acks"] {
        let wanted = format!(
            "-X {name}: the program sets this property itself, to all: every producer of this program waits for all in-sync \
             replicas\n  hint: omit -X {name}"
        );
        assert_eq!(failure(&["-X", &format!("{name}=0")]), wanted);
    }
    let wanted = "-X group.id: the program sets this property itself: each command has its own group\n  hint: omit -X \
                  group.id, and use --group of inventory, analytics, replay and lag";
    assert_eq!(failure(&["-X", "group.id=x"]), wanted);
    assert!(failure(&["-X", "auto.commit.enable=true"]).starts_with("-X auto.commit.enable: the program sets"));
    let wanted = "client.properties:2: acks: the program sets this property itself, to all: every producer of this \
                  program waits for all in-sync replicas\n  hint: remove this line, or write acks=all";
    assert_eq!(refusal("linger.ms=7\nacks=1\n"), wanted);
    assert!(refusal("group.id=x").contains("hint: remove this line, and use --group"));
    let java = "client.properties:1: partitioner.class: the program sets the partitioner itself";
    assert!(refusal("partitioner.class=x").starts_with(java));
    assert!(
        failure(&["-X", "partitioner.class=x"]).starts_with("-X partitioner.class: the program sets the partitioner")
    );
    // A file may also serve other programs; -X is for this one.
    assert!(
        of_file("acks=all\nenable.idempotence=true\nisolation.level=read_committed\nauto.offset.reset=none\n").is_ok()
    );
    assert!(resolve(&["-X", "acks=all"], None).is_err());
}

#[test]
fn a_misspelt_name_gets_a_suggestion() {
    let text = refusal("linger.ms=7\n\nsasl.pasword=hush-hush\n");
    let args = "client.properties:3: sasl.pasword: unknown property\n  hint: did you mean sasl.password? see the list";
    assert!(text.starts_with(args) && !text.contains("hush-hush"), "{text}");
    assert!(refusal("lingerms=7").contains("did you mean linger.ms?"));
    assert!(refusal("ssl.trustore.location=x").contains("did you mean ssl.truststore.location?"));
    assert!(!refusal("no.such.thing.at.all=1").contains("did you mean"));
    for name in ["acsk", "ACKS"] {
        let failure = resolve(&["-X", &format!("{name}=0")], None).err().expect("refused").to_string();
        let wanted = "unknown property\n  hint: did you mean acks? only the program sets that property: omit it";
        assert_eq!(failure, format!("-X {name}: {wanted}"));
    }
    let failure = resolve(&["-X", "debug=foo"], None).err().expect("refused").to_string();
    assert!(failure.starts_with("-X debug=foo: "), "{failure}");
    let failure = resolve(&["-X", "retry.backoff.ms=0"], None).err().expect("refused");
    assert!(failure.message.ends_with("outside allowed range 1..300000"), "{failure}");
    let folder = Folder::with("linger.mss=1");
    let failure = folder.resolve(&["-X", "linger.mss=2"]).err().expect("a name stays wrong when another value wins");
    assert!(failure.message.contains("linger.mss"));
    assert!(refusal("linger.ms=soon").starts_with("client.properties:1: "));
}

#[test]
fn an_invalid_line_is_not_quoted() {
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
        let text = refusal(&content);
        let known = content.contains("identification");
        assert!(text.starts_with("client.properties:2: ") && (known || !text.contains(CANARY)), "{content}: {text}");
    }
    let arguments = resolve(&["-X", CANARY], None).err().expect("refused").to_string();
    assert!(!arguments.contains(CANARY), "{arguments}");
}

#[test]
fn credentials_in_an_address_are_refused() {
    let address = format!("sasl_ssl://alice:{CANARY}@kafka:9093");
    let arguments = format!("bootstrap.servers={address}");
    for (args, environment) in [(vec!["-b", &address], None), (vec!["-X", &arguments], None), (vec![], Some(&*address))]
    {
        let failure = resolve(&args, environment).err().expect("refused");
        assert!(failure.message.contains("must not contain a user or a password"), "{failure}");
        assert!(!failure.to_string().contains(CANARY), "{failure}");
    }
}

#[test]
fn a_malformed_address_reports_its_source() {
    let message = |args: &[&str], environment: Option<&str>| {
        let failure = resolve(args, environment).err().expect("refused");
        assert_eq!(failure.code, Code::Usage);
        failure.to_string()
    };
    let port = "the port is not a number from 1 to 65535\n  hint: as in b:9092";
    assert_eq!(message(&["-b", "a:1,b:99999"], None), format!("-b b:99999: {port}"));
    assert_eq!(message(&[], Some("b:x")), format!("FOODSTREAM_BOOTSTRAP_SERVERS=b:x: {port}"));
    for name in ["bootstrap.servers", "metadata.broker.list"] {
        let arguments = format!("{name}=b:0");
        assert_eq!(message(&["-X", &arguments], None), format!("-X {name}=b:0: {port}"));
        assert_eq!(refusal(&format!("linger.ms=7\n{arguments}\n")), format!("client.properties:2: {name}=b:0: {port}"));
    }
    let scheme = message(&["-b", "SASL_SSL://h:1"], None);
    assert!(
        scheme.starts_with("-b SASL_SSL://h:1: the scheme is sasl_ssl, but security.protocol is plaintext"),
        "{scheme}"
    );
    assert!(message(&["-b", " , "], None).starts_with("-b: it contains no address"));
    // Overridden addresses are not checked.
    assert_eq!(resolve(&["-b", "a:1"], Some("b:x")).expect("resolved").connection.bootstrap(), "a:1");
    assert_eq!(resolve(&["-b", "embedded:a b"], None).expect("resolved").connection.bootstrap(), "embedded:a b");
}

#[test]
fn addresses_lose_spaces_and_schemes() {
    let bootstrap = |content: &str| of_file(content).expect("resolved").connection.bootstrap().to_owned();
    assert_eq!(bootstrap("bootstrap.servers=a:1, b:2,"), "a:1,b:2");
    assert_eq!(bootstrap("bootstrap.servers=PLAINTEXT://a:1,[::1]:9093"), "a:1,[::1]:9093");
    let login = "sasl.mechanism=PLAIN\nsecurity.protocol=SASL_PLAINTEXT\n";
    assert_eq!(bootstrap(&format!("bootstrap.servers=SASL_PLAINTEXT://a:1\n{login}")), "a:1");
    if HAS_TLS {
        assert_eq!(bootstrap("bootstrap.servers=SSL://a:1,[::1]:9093\nsecurity.protocol=SSL\n"), "a:1,[::1]:9093");
    }
}

#[test]
fn knows_an_explicit_timeout() {
    let timeout = |args: &[&str]| {
        let connection = resolve(args, None).expect("resolved").connection;
        (connection.timeout.as_secs(), connection.timeout_is_explicit)
    };
    assert_eq!(timeout(&[]), (30, false));
    assert_eq!(timeout(&["--timeout", "30s"]), (30, true));
    assert_eq!(timeout(&["--timeout=5s"]), (5, true));
}

#[test]
fn warns_about_readable_secrets() {
    let content = "linger.ms=7\nsasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \\\n  \
                   username=\"alice\" password=\"hush-hush\";\nsasl.mechanism=PLAIN\nsecurity.protocol=SASL_PLAINTEXT\n";
    let warnings = |mode| Folder::with(content).mode(mode).resolve(&[]).expect("resolved").warnings;
    let text = warnings(0o644).join("\n");
    assert!(text.contains("client.properties:2: every user of this machine can read sasl.jaas.config"), "{text}");
    assert!(text.contains("(mode 644): run chmod 600 ") && !text.contains("hush-hush"), "{text}");
    assert_eq!(warnings(0o600), [""; 0]);
    // Group permissions are deliberate.
    assert_eq!(warnings(0o640), [""; 0]);
    assert_eq!(
        Folder::with("sasl.username=alice\nlinger.ms=7\n").mode(0o644).resolve(&[]).expect("resolved").warnings,
        [""; 0]
    );
    for name in if HAS_TLS { &["sasl.password", "ssl.key.password"][..] } else { &["sasl.password"] } {
        let argument = format!("{name}=hush-hush");
        let arguments = resolve(&["-X", &argument], None).expect("resolved").warnings.join("\n");
        assert!(arguments.contains(&format!("-X {name}: every user")) && arguments.contains("-F"), "{arguments}");
        assert!(!arguments.contains("hush-hush"), "{arguments}");
    }
}

#[test]
fn warns_about_unused_and_insecure_settings() {
    let warned = |content: &str| of_file(content).expect("resolved").warnings.join("\n");
    assert!(
        warned("sasl.mechanism=PLAIN\nsasl.username=a\nsasl.password=b")
            .contains("is not used, because security.protocol")
    );
    assert!(warned("sasl.username=C:\\dir").contains("a backslash before a letter"));
    assert!(warned("ssl.provider=SunJSSE").contains("ssl.provider is ignored"));
    let quiet = of_file("key.serializer=x\nmax.block.ms=1\nschema.registry.url=y").expect("resolved");
    assert_eq!(quiet.warnings, [""; 0]);
    assert_eq!(quiet.details.iter().filter(|line| line.contains("is a Java setting that is not needed")).count(), 3);
}

#[cfg(feature = "tls")]
#[test]
fn warns_about_certificates_that_are_not_verified() {
    let resolved = of_file("security.protocol=ssl\nenable.ssl.certificate.verification=false").expect("resolved");
    assert!(resolved.warnings.join("\n").contains("certificates are not verified"), "{:?}", resolved.warnings);
}

#[test]
fn incomplete_sasl_settings_are_refused() {
    let sasl = |rest: &str| refusal(&format!("security.protocol=SASL_PLAINTEXT\n{rest}"));
    assert!(sasl("").contains("client.properties:1: sasl.mechanism is missing"));
    assert!(sasl("sasl.mechanism=GSSAPI").contains("client.properties:2: GSSAPI is Kerberos"));
    let scram =
        "sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required username=a password=b;";
    let text = sasl(&format!("sasl.mechanism=PLAIN\n{scram}"));
    assert!(text.contains("sasl.mechanism=PLAIN does not match ScramLoginModule"), "{text}");
    assert!(text.contains("client.properties:3"), "{text}");
}

#[cfg(feature = "tls")]
#[test]
fn incomplete_tokens_are_refused() {
    let sasl = |rest: &str| refusal(&format!("security.protocol=SASL_SSL\n{rest}"));
    assert!(sasl("sasl.mechanism=OAUTHBEARER").contains("needs a source of tokens"));
    let claims = |claims: &str| {
        format!(
            "sasl.mechanism=OAUTHBEARER\nenable.sasl.oauthbearer.unsecure.jwt=true\nsasl.oauthbearer.config={claims}"
        )
    };
    for wrong in ["", "principal", "principal= scope=x", "scope=x", "principal=a hush-hush", "principal=a hush-hush=1"]
    {
        let text = sasl(&claims(wrong));
        assert!(text.contains("client.properties:4: cannot read the claims") && !text.contains("hush"), "{text}");
    }
    assert!(of_file(&format!("security.protocol=SASL_SSL\n{}", claims("principal=a extension_b=c scope=d"))).is_ok());
}

/// The refusal comes before files are read and before anything about the login is checked.
#[cfg(not(feature = "tls"))]
#[test]
fn tls_needs_its_cargo_feature() {
    let store = "ssl.truststore.location=/no/such/file";
    for (content, what) in [
        ("security.protocol=SASL_SSL\n", "1: security.protocol=SASL_SSL: TLS is not built in"),
        (&format!("bootstrap.servers=SSL://a:1\nsecurity.protocol=SSL\n{store}"), "2: security.protocol=SSL: TLS is"),
        (
            "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=SCRAM-SHA-512\nsasl.username=a\nsasl.password=b\n",
            "2: sasl.mechanism=SCRAM-SHA-512: this login needs OpenSSL, and TLS is not built in",
        ),
        (store, "1: ssl.truststore.location: TLS is not built in"),
    ] {
        let text = refusal(content);
        assert!(text.starts_with(&format!("client.properties:{what}")), "{text}");
        assert!(text.ends_with("cargo install --path . --features tls"), "{text}");
    }
    let failure = resolve(&["-X", "ssl.ca.location="], None).err().expect("refused");
    assert_eq!((failure.code, failure.message.as_str()), (Code::Usage, "-X ssl.ca.location: TLS is not built in"));
    // Another source may override it, as for every property.
    let folder = Folder::with("security.protocol=SSL");
    assert!(folder.resolve(&["-X", "security.protocol=plaintext"]).is_ok());
    // Then nothing needs the properties of TLS, and librdkafka does not get them.
    let folder =
        Folder::with("security.protocol=SSL\nssl.truststore.location=/no/such/file\nssl.ca.location=/ca.pem\n");
    let resolved = folder.resolve(&["-X", "security.protocol=plaintext"]).expect("resolved");
    assert_eq!((property(&resolved, "ssl.ca.location"), &*resolved.warnings), (None, &[][..]));
    let unused =
        resolved.details.iter().filter(|line| line.contains("is not used: security.protocol (-X security.protocol)"));
    assert_eq!(unused.count(), 2, "{:?}", resolved.details);
    let folder = Folder::with("security.protocol=SASL_PLAINTEXT\nsasl.mechanisms=PLAIN\nsasl.oauthbearer.config=a=b\n");
    let resolved = folder.resolve(&["-X", "sasl.username=ann", "-X", "sasl.password=secret"]).expect("resolved");
    let is_named = |line: &String| line.ends_with("sasl.oauthbearer.config is not used: the login is not OAUTHBEARER");
    assert!(resolved.details.iter().any(is_named), "{:?}", resolved.details);
}

#[cfg(not(feature = "oidc"))]
#[test]
fn oidc_needs_its_cargo_feature() {
    let method = "security.protocol=SASL_SSL\nsasl.mechanism=OAUTHBEARER\nsasl.oauthbearer.method=oidc\n";
    let endpoint = format!("{method}sasl.oauthbearer.token.endpoint.url=https://id.example.org\n");
    for content in [method, &endpoint, "https.ca.location=x", "sasl.oauthbearer.client.secret=x"] {
        let text = refusal(content);
        assert!(text.contains("not built in") && text.contains("--features oidc"), "{text}");
    }
    // Another source may override it.
    assert!(Folder::with("sasl.oauthbearer.method=oidc").resolve(&["-X", "sasl.oauthbearer.method=default"]).is_ok());
}

#[cfg(feature = "tls")]
#[test]
fn alternatives_are_chosen_together() {
    let folder = Folder::with("ssl.ca.pem=-----BEGIN\nssl.key.pem=hush-hush\n");
    let resolved = folder.resolve(&["-X", "ssl.ca.location=other.pem"]).expect("resolved");
    assert_eq!((property(&resolved, "ssl.ca.pem"), property(&resolved, "ssl.ca.location")), (None, Some("other.pem")));
    assert_eq!(property(&resolved, "ssl.key.pem"), Some("hush-hush"));
}

#[test]
fn library_logs_are_redacted() {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&lines);
    let log = LogSink(Arc::new(move |line| sink.lock().expect("lock").push(line.to_owned())));
    let secret = if HAS_TLS {
        "sasl.oauthbearer.config=principal=x Canary-7f3a9c scope=y"
    } else {
        "sasl.password=Canary-7f3a9c"
    };
    let arguments = Cli::try_parse_from(["foodstream", "replay", "-v", "-X", secret]).expect("parses");
    let resolved = connection(&arguments.global, None, None, log).expect("resolved");
    (resolved.connection.log.expect("verbose").0)("Unrecognized beginning at: Canary-7f3a9c scope=y");
    assert_eq!(*lines.lock().expect("lock"), ["Unrecognized beginning at: [redacted] scope=y"]);
    let same = of_file("sasl.username=admin-name\nsasl.password=admin-name\n").expect("resolved").secrets;
    assert_eq!(same.redact("User:admin-name"), "User:admin-name", "a public value is not redacted");
}

/// The examples of docs/reference/connections.md, byte for byte.
#[test]
fn the_examples_of_the_reference_work() {
    let reference = include_str!("../../docs/reference/connections.md");
    let folder = tempfile::tempdir().expect("a folder");
    let pem = folder.path().join("some.pem");
    std::fs::write(&pem, "-----BEGIN CERTIFICATE-----\n").expect("written");
    let pem = pem.display().to_string();
    let read = |name: &str, shown: bool| {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/connections").join(name);
        let text = std::fs::read_to_string(path).expect(name);
        if shown {
            let block = format!("    {}\n", text.trim_end().replace('\n', "\n    "));
            assert!(reference.contains(&block), "{name} is not what docs/reference/connections.md shows");
        }
        let text = ["ca.pem", "client.pem", "client.key"]
            .iter()
            .fold(text, |text, file| text.replace(&format!("={file}\n"), &format!("={pem}\n")));
        of_file(&text).map(|resolved| {
            assert_eq!(resolved.warnings, [""; 0], "{name}");
            resolved.connection
        })
    };
    let check = |name: &str, wanted: &[(&str, &str)]| {
        let connection = read(name, !name.contains("-test"));
        if !HAS_TLS {
            let refused = connection.expect_err(name).to_string();
            assert!(refused.ends_with("cargo install --path . --features tls"), "{name}: {refused}");
            return;
        }
        let connection = connection.unwrap_or_else(|failure| panic!("{name}: {failure}"));
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
fn settings_from_the_parent_count_as_a_file() {
    let arguments = Cli::try_parse_from(["foodstream", "lag", "-X", "linger.ms=9"]).expect("parses");
    let lines = "bootstrap.servers=there:1\nlinger.ms=7\nsasl.password=a\\nb\\\\c\n";
    let resolved = connection(&arguments.global, None, Some(lines), LogSink(Arc::new(|_| {}))).expect("resolved");
    assert_eq!(resolved.connection.bootstrap(), "there:1");
    assert_eq!(resolved.connection.property("linger.ms"), Some("9"));
    assert_eq!(resolved.connection.property("sasl.password"), Some("a\nb\\c"));
    assert!(!resolved.details.iter().any(|line| line.contains("a\n")), "{:?}", resolved.details);
    assert!(!resolved.warnings.iter().any(|line| line.contains("every user")), "{:?}", resolved.warnings);
}
