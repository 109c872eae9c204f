//! Connections that fail: each ends within seconds with exit code 4 or 5 and a message that names the cause.

use std::time::Duration;

use libtest_mimic::{Failed, Trial};

use super::secure_kafka::SecureKafka;
use super::time_limit::trial;

/// Name, client file, arguments, exit code, and parts of the message and its hint. `{name}` is the address of that
/// listener.
type ConnectionCase = (&'static str, &'static str, &'static str, i32, &'static [&'static str]);

const CASES: &[ConnectionCase] = &[
    (
        "wrong_password",
        "foodstream.properties",
        "-X sasl.password=wrong",
        5,
        &[
            "{sasl_ssl} refused the password of user foodstream (SCRAM-SHA-512)",
            "check sasl.username and sasl.password",
        ],
    ),
    (
        "wrong_password_with_plain",
        "plain.properties",
        "-X sasl.password=wrong",
        5,
        &["{sasl_ssl} refused the password of user foodstream (PLAIN)"],
    ),
    (
        "unknown_user",
        "foodstream.properties",
        "-X sasl.username=unknown",
        5,
        &["{sasl_ssl} refused the password of user unknown"],
    ),
    (
        "disabled_mechanism",
        "foodstream.properties",
        "-X sasl.mechanism=SCRAM-SHA-256",
        5,
        &["does not support SASL mechanism SCRAM-SHA-256, only ", "SCRAM-SHA-512", "-X sasl.mechanism="],
    ),
    (
        "certificate_of_another_host",
        "wrong-host.properties",
        "",
        5,
        &["the certificate of {wrong_host} is for elsewhere.example, not for localhost"],
    ),
    (
        "certificate_of_an_unknown_authority",
        "foodstream.properties",
        "-X ssl.ca.location=",
        5,
        &[
            "the certificate of {sasl_ssl} is signed by CN=foodstream authority, which is not trusted here",
            "-X ssl.ca.location=FILE",
        ],
    ),
    (
        "tls_to_plaintext_listener",
        "foodstream.properties",
        "-b {plaintext}",
        4,
        &[
            "{plaintext} does not speak TLS, but security.protocol=sasl_ssl requires it",
            "-X security.protocol=sasl_plaintext",
        ],
    ),
    (
        "plaintext_to_tls_listener",
        "foodstream.properties",
        "-X security.protocol=plaintext",
        4,
        &[
            "{sasl_ssl} closed the connection: it may require TLS, but security.protocol=plaintext does not use it",
            "-X security.protocol=ssl, or sasl_ssl",
        ],
    ),
    (
        "sasl_plaintext_to_tls_listener",
        "foodstream.properties",
        "-X security.protocol=sasl_plaintext",
        4,
        &["{sasl_ssl} closed the connection: it may require TLS", "-X security.protocol=sasl_ssl"],
    ),
    (
        "login_to_listener_without_sasl",
        "foodstream.properties",
        "-b {plaintext} -X security.protocol=sasl_plaintext",
        4,
        &["{plaintext} does not accept logins", "-X security.protocol=plaintext"],
    ),
    (
        "missing_login",
        "foodstream.properties",
        "-X security.protocol=ssl --timeout 3s",
        4,
        &[
            "{sasl_ssl} closed the connection at the first request: it may require a login",
            "-X security.protocol=sasl_ssl",
        ],
    ),
    (
        "missing_client_certificate",
        "mutual-client.properties",
        "-X ssl.certificate.location= -X ssl.key.location=",
        5,
        &["{ssl} requires a client certificate, and none is set", "-X ssl.certificate.location=FILE"],
    ),
    (
        "expired_client_certificate",
        "mutual-expired.properties",
        "",
        5,
        &["{ssl} refused the client certificate of CN=foodstream-expired", "expired.pem, valid until 20"],
    ),
    (
        "client_certificate_without_permission",
        "mutual-client.properties",
        "",
        5,
        &["User:CN=foodstream-client lacks Write on Topic ", "--allow-principal User:CN=foodstream-client "],
    ),
    (
        "anonymous_without_permission",
        "foodstream.properties",
        "-b {plaintext} -X security.protocol=plaintext",
        5,
        &["User:ANONYMOUS lacks Write on Topic "],
    ),
];

pub fn trials(kafka: &'static SecureKafka) -> Vec<Trial> {
    CASES
        .iter()
        .map(|(name, file, args, code, texts)| {
            trial(format!("connection_errors::{name}"), move || {
                let address = |text: &str| {
                    ["plaintext", "sasl_ssl", "ssl", "wrong_host"]
                        .iter()
                        .fold(text.to_owned(), |text, name| text.replace(&format!("{{{name}}}"), &kafka.listener(name)))
                };
                let env = kafka.env(name);
                let (run, took) = env.run_with(&kafka.file(file), &format!("produce --count 10 {}", address(args)));
                assert_eq!(run.code(), *code, "{}", run.stderr);
                for part in *texts {
                    assert!(run.stderr.contains(&address(part)), "{part} is not in:\n{}", run.stderr);
                }
                assert!(!run.stderr.contains("correct horse"), "{}", run.stderr);
                assert!(took < Duration::from_secs(10), "after {took:?}: {}", run.stderr);
                Ok::<(), Failed>(())
            })
        })
        .collect()
}
