//! TLS trust and key stores: Java's settings as librdkafka's, and a check of the files.

use std::fs::File;
use std::io::{self, Read};

use super::precedence::{Properties, PropertyValue};
use super::usage;
use crate::exit::Failure;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StoreFormat {
    Pem,
    Pkcs12,
    /// Java's format.
    Jks,
    Unknown,
}

/// Bytes of a file in which a certificate is looked for, because text may precede it.
const SEARCHED_BYTES: u64 = 1 << 16;

/// The format by the first bytes. Java's `ssl.keystore.type` is not reliable: it defaults to JKS, while keytool writes
/// PKCS12.
fn store_format(path: &str) -> io::Result<StoreFormat> {
    let mut begin = Vec::new();
    File::open(path)?.take(SEARCHED_BYTES).read_to_end(&mut begin)?;
    Ok(match begin.as_slice() {
        [0xfe, 0xed, 0xfe, 0xed, ..] | [0xce, 0xce, 0xce, 0xce, ..] => StoreFormat::Jks,
        // A DER sequence longer than 127 bytes.
        [0x30, 0x80..=0x84, ..] => StoreFormat::Pkcs12,
        text if text.windows(11).any(|window| window == b"-----BEGIN ") => StoreFormat::Pem,
        _ => StoreFormat::Unknown,
    })
}

fn unreadable(setting: &PropertyValue, error: &io::Error) -> Failure {
    let what = setting.alias.as_ref().unwrap_or(&setting.key);
    usage(format!("{}: cannot read the file of {what}: {error}", setting.place()))
        .hint("check the path, which is relative to the working directory, and the file's permissions")
}

/// The setting under another name, with its original source.
fn renamed(setting: PropertyValue, key: &str) -> PropertyValue {
    let alias = setting.alias.unwrap_or(setting.key);
    PropertyValue { key: key.to_owned(), alias: Some(alias), ..setting }
}

/// Replaces Java's properties by librdkafka's. Fails with exit code 2 for a store that librdkafka cannot read, with the
/// command that converts it, and for a missing file.
pub(super) fn settle(properties: &mut Properties, encrypted: bool) -> Result<(), Failure> {
    trust(properties)?;
    keys(properties)?;
    properties.keep_highest(&["ssl.ca.location", "ssl.ca.pem"]);
    properties.keep_highest(&["ssl.certificate.location", "ssl.certificate.pem", "ssl.keystore.location"]);
    properties.keep_highest(&["ssl.key.location", "ssl.key.pem", "ssl.keystore.location"]);
    for key in ["ssl.ca.location", "ssl.certificate.location", "ssl.key.location", "ssl.keystore.location"] {
        // An empty value overrides that of a file.
        let names_a_file = |setting: &&PropertyValue| encrypted && !matches!(setting.value.as_str(), "" | "probe");
        let Some(setting) = properties.get(key).filter(names_a_file) else {
            continue;
        };
        std::fs::metadata(&setting.value).map_err(|error| unreadable(setting, &error))?;
    }
    Ok(())
}

fn trust(properties: &mut Properties) -> Result<(), Failure> {
    // Java also ignores a wrong password or type of a PEM store.
    properties.take("ssl.truststore.password");
    properties.take("ssl.truststore.type");
    if let Some(certificates) = properties.take("ssl.truststore.certificates") {
        properties.add(renamed(certificates, "ssl.ca.pem"));
    }
    let Some(store) = properties.take("ssl.truststore.location") else { return Ok(()) };
    match store_format(&store.value).map_err(|error| unreadable(&store, &error))? {
        StoreFormat::Pem => properties.add(renamed(store, "ssl.ca.location")),
        StoreFormat::Jks | StoreFormat::Pkcs12 | StoreFormat::Unknown => {
            return Err(usage(format!("{}: librdkafka reads trusted certificates only in PEM format", store.place()))
                .hint(format!(
                    "keytool -list -rfc -keystore {} > ca.pem converts it; then set ssl.truststore.type=PEM and \
                 ssl.truststore.location=ca.pem, which Java can read too",
                    store.value
                )));
        }
    }
    Ok(())
}

fn keys(properties: &mut Properties) -> Result<(), Failure> {
    properties.take("ssl.keystore.type");
    if let Some(key) = properties.take("ssl.keystore.key") {
        properties.add(renamed(key, "ssl.key.pem"));
    }
    if let Some(chain) = properties.take("ssl.keystore.certificate.chain") {
        properties.add(renamed(chain, "ssl.certificate.pem"));
    }
    let Some(store) = properties.get("ssl.keystore.location") else { return Ok(()) };
    match store_format(&store.value).map_err(|error| unreadable(store, &error))? {
        StoreFormat::Pem => {
            // One file with key and certificates, as in Java. librdkafka reads each from its own property.
            properties.take("ssl.keystore.password");
            if let Some(store) = properties.take("ssl.keystore.location") {
                properties.add(renamed(store.clone(), "ssl.key.location"));
                properties.add(renamed(store, "ssl.certificate.location"));
            }
        }
        StoreFormat::Jks => {
            return Err(usage(format!(
                "{}: librdkafka does not read Java's own key stores (JKS, JCEKS)",
                store.place()
            ))
            .hint(format!(
                "keytool -importkeystore -srckeystore {} -destkeystore keystore.p12 -deststoretype PKCS12 \
                 converts it to a format that Java can read too",
                store.value
            )));
        }
        StoreFormat::Pkcs12 | StoreFormat::Unknown => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::precedence::PropertySource;
    use super::*;

    fn settled(settings: &[(&str, &str)]) -> Result<Vec<(String, String)>, Failure> {
        let mut properties = Properties::default();
        for (key, value) in settings {
            properties.add(PropertyValue {
                key: (*key).to_owned(),
                value: (*value).to_owned(),
                source: PropertySource::File { name: "client.properties".into(), line: 3 },
                alias: None,
            });
        }
        settle(&mut properties, true)?;
        Ok(properties.iter().map(|setting| (setting.key.clone(), setting.value.clone())).collect())
    }

    fn file(content: &[u8]) -> (tempfile::TempDir, String) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("store");
        std::fs::write(&path, content).expect("written");
        let path = path.display().to_string();
        (folder, path)
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn pem_stores_become_librdkafkas_files() {
        let (_folder, pem) = file(b"some words\n-----BEGIN CERTIFICATE-----\n");
        let settings = [("ssl.truststore.type", "PEM"), ("ssl.truststore.location", pem.as_str())];
        assert_eq!(settled(&settings), Ok(pairs(&[("ssl.ca.location", &pem)])));
        let settings =
            [("ssl.keystore.type", "PEM"), ("ssl.keystore.location", pem.as_str()), ("ssl.key.password", "hush")];
        let wanted =
            [("ssl.certificate.location", pem.as_str()), ("ssl.key.location", &pem), ("ssl.key.password", "hush")];
        assert_eq!(settled(&settings), Ok(pairs(&wanted)));
        let settings =
            [("ssl.keystore.key", "k"), ("ssl.keystore.certificate.chain", "c"), ("ssl.truststore.certificates", "t")];
        let wanted = [("ssl.ca.pem", "t"), ("ssl.certificate.pem", "c"), ("ssl.key.pem", "k")];
        assert_eq!(settled(&settings), Ok(pairs(&wanted)));
    }

    #[test]
    fn an_unreadable_store_comes_with_a_conversion() {
        let (_folder, p12) = file(&[0x30, 0x82, 1, 2, 3]);
        let (_other, jks) = file(&[0xfe, 0xed, 0xfe, 0xed, 0]);
        let keys = |path: &str| settled(&[("ssl.keystore.location", path), ("ssl.keystore.password", "hush")]);
        assert!(keys(&p12).is_ok());
        let refused = keys(&jks).expect_err("refused");
        assert!(refused.message.starts_with("client.properties:3: "), "{refused}");
        assert!(refused.to_string().contains("keytool -importkeystore"), "{refused}");
        for path in [&p12, &jks] {
            let refused = settled(&[("ssl.truststore.location", path)]).expect_err("refused").to_string();
            assert!(refused.contains("keytool -list -rfc -keystore"), "{refused}");
        }
        let refused = settled(&[("ssl.truststore.location", "/no/such/file")]).expect_err("refused");
        assert!(refused.message.contains("cannot read the file of ssl.truststore.location"), "{refused}");
        assert!(settled(&[("ssl.ca.location", "")]).is_ok(), "an empty value names no file");
    }
}
