//! Owns the trust and key stores of TLS: Java's settings of them as librdkafka's, and whether their files are there.

use std::fs::File;
use std::io::{self, Read};

use super::precedence::{Properties, PropertyValue};
use super::usage;
use crate::exit::Failure;

/// What a file of certificates or keys is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StoreFormat {
    Pem,
    Pkcs12,
    /// Java's own.
    Jks,
    Unknown,
}

/// How far into a file a certificate's first line is looked for: text may stand before it.
const LOOK: u64 = 1 << 16;

/// What a file is, by its first bytes: Java's default type is JKS, and its keytool writes PKCS12.
fn store_format(path: &str) -> io::Result<StoreFormat> {
    let mut begin = Vec::new();
    File::open(path)?.take(LOOK).read_to_end(&mut begin)?;
    Ok(match begin.as_slice() {
        [0xfe, 0xed, 0xfe, 0xed, ..] | [0xce, 0xce, 0xce, 0xce, ..] => StoreFormat::Jks,
        // A sequence in DER that is longer than 127 bytes.
        [0x30, 0x80..=0x84, ..] => StoreFormat::Pkcs12,
        text if text.windows(11).any(|window| window == b"-----BEGIN ") => StoreFormat::Pem,
        _ => StoreFormat::Unknown,
    })
}

fn unreadable(setting: &PropertyValue, error: &io::Error) -> Failure {
    let what = setting.spelled.as_ref().unwrap_or(&setting.key);
    usage(format!("{}: the file of {what} cannot be read: {error}", setting.place()))
        .hint("check the path, which is taken from the working directory, and the file's permissions")
}

/// Where one of several settings came from is where what it comes to came from.
fn renamed(setting: PropertyValue, key: &str) -> PropertyValue {
    let spelled = setting.spelled.unwrap_or(setting.key);
    PropertyValue { key: key.to_owned(), spelled: Some(spelled), ..setting }
}

/// Puts librdkafka's properties in the place of Java's.
///
/// # Errors
///
/// With exit code 2 for a store that librdkafka cannot read, with the command that converts it, and for a file that is not there.
pub(super) fn settle(effective: &mut Properties, encrypted: bool) -> Result<(), Failure> {
    trust(effective)?;
    keys(effective)?;
    effective.keep_highest(&["ssl.ca.location", "ssl.ca.pem"]);
    effective.keep_highest(&["ssl.certificate.location", "ssl.certificate.pem", "ssl.keystore.location"]);
    effective.keep_highest(&["ssl.key.location", "ssl.key.pem", "ssl.keystore.location"]);
    for key in ["ssl.ca.location", "ssl.certificate.location", "ssl.key.location", "ssl.keystore.location"] {
        // Empty takes back what a file says.
        let names_a_file = |setting: &&PropertyValue| encrypted && !matches!(setting.value.as_str(), "" | "probe");
        let Some(setting) = effective.get(key).filter(names_a_file) else {
            continue;
        };
        std::fs::metadata(&setting.value).map_err(|error| unreadable(setting, &error))?;
    }
    Ok(())
}

fn trust(effective: &mut Properties) -> Result<(), Failure> {
    // Java needs neither a password nor a type to be right for what is read here.
    effective.take("ssl.truststore.password");
    effective.take("ssl.truststore.type");
    if let Some(certificates) = effective.take("ssl.truststore.certificates") {
        effective.say(renamed(certificates, "ssl.ca.pem"));
    }
    let Some(store) = effective.take("ssl.truststore.location") else { return Ok(()) };
    match store_format(&store.value).map_err(|error| unreadable(&store, &error))? {
        StoreFormat::Pem => effective.say(renamed(store, "ssl.ca.location")),
        StoreFormat::Jks | StoreFormat::Pkcs12 | StoreFormat::Unknown => {
            return Err(usage(format!("{}: librdkafka reads trusted certificates as PEM only", store.place())).hint(
                format!(
                    "keytool -list -rfc -keystore {} > ca.pem  writes them all; then ssl.truststore.type=PEM and \
                 ssl.truststore.location=ca.pem, which Java reads too",
                    store.value
                ),
            ));
        }
    }
    Ok(())
}

fn keys(effective: &mut Properties) -> Result<(), Failure> {
    effective.take("ssl.keystore.type");
    if let Some(key) = effective.take("ssl.keystore.key") {
        effective.say(renamed(key, "ssl.key.pem"));
    }
    if let Some(chain) = effective.take("ssl.keystore.certificate.chain") {
        effective.say(renamed(chain, "ssl.certificate.pem"));
    }
    let Some(store) = effective.get("ssl.keystore.location") else { return Ok(()) };
    match store_format(&store.value).map_err(|error| unreadable(store, &error))? {
        StoreFormat::Pem => {
            // One file with the key and the certificates, as Java wants it; librdkafka looks for each in its own.
            effective.take("ssl.keystore.password");
            if let Some(store) = effective.take("ssl.keystore.location") {
                effective.say(renamed(store.clone(), "ssl.key.location"));
                effective.say(renamed(store, "ssl.certificate.location"));
            }
        }
        StoreFormat::Jks => {
            return Err(usage(format!("{}: librdkafka does not read Java's own key stores", store.place())).hint(
                format!(
                    "keytool -importkeystore -srckeystore {} -destkeystore keystore.p12 -deststoretype PKCS12  \
                 makes one that it and Java read",
                    store.value
                ),
            ));
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
        let mut effective = Properties::default();
        for (key, value) in settings {
            effective.say(PropertyValue {
                key: (*key).to_owned(),
                value: (*value).to_owned(),
                source: PropertySource::File { name: "client.properties".into(), line: 3 },
                spelled: None,
            });
        }
        settle(&mut effective, true)?;
        Ok(effective.iter().map(|setting| (setting.key.clone(), setting.value.clone())).collect())
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
    fn stores_of_pem_become_the_files_that_librdkafka_reads() {
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
    fn a_store_is_known_by_its_first_bytes_and_what_cannot_be_read_comes_with_its_command() {
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
        assert!(refused.message.contains("ssl.truststore.location cannot be read"), "{refused}");
        assert!(settled(&[("ssl.ca.location", "")]).is_ok(), "empty takes back what a file says, and names no file");
    }
}
