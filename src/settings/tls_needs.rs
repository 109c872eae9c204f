//! Properties that need TLS, and their refusal in a build without it.

use super::precedence::{Properties, PropertyValue};
use super::usage;
use crate::exit::Failure;
use crate::kafka::BUILD_WITH_TLS;

const TLS: &str = "TLS is not built in";
const LOGIN: &str = "this login needs OpenSSL, and TLS is not built in";

/// Refuses the first property that needs TLS, if TLS is not built in. `for_tokens` says which properties concern tokens of
/// an identity provider, which need another feature that includes TLS.
///
/// With a protocol without TLS, the properties of TLS have no effect. librdkafka would refuse them without OpenSSL, so
/// they are removed; returns a line for `-v` about each.
pub(super) fn settle(
    properties: &mut Properties,
    built_in: bool,
    for_tokens: fn(&str) -> bool,
) -> Result<Vec<String>, Failure> {
    if built_in {
        return Ok(Vec::new());
    }
    let Some((setting, reason, has_value)) = needing(properties) else { return Ok(unused(properties)) };
    let (name, place) = (setting.alias.as_ref().unwrap_or(&setting.key), setting.place());
    let what = if has_value {
        setting.with_value(setting.value.trim())
    } else if place.ends_with(name.as_str()) {
        place
    } else {
        format!("{place}: {name}")
    };
    // The claims of unsigned tokens need no identity provider.
    let tokens = |setting: &PropertyValue| for_tokens(&setting.key) && setting.key != CLAIMS;
    let hint = if properties.iter().any(tokens) { BUILD_WITH_OIDC } else { BUILD_WITH_TLS };
    Err(usage(format!("{what}: {reason}")).hint(hint))
}

/// Removes the properties that need TLS, and says so for each.
fn unused(properties: &mut Properties) -> Vec<String> {
    let Some(protocol) = properties.get("security.protocol").map(PropertyValue::place) else { return Vec::new() };
    let keys: Vec<(String, &str)> =
        properties.iter().filter_map(|setting| Some((setting.key.clone(), of_tls(&setting.key)?))).collect();
    let removed = keys.iter().filter_map(|(key, reason)| Some((properties.take(key)?, *reason)));
    removed
        .map(|(setting, reason)| match reason {
            LOGIN => format!("{} is not used: the login is not OAUTHBEARER", setting.named()),
            _ => format!("{} is not used: security.protocol ({protocol}) is without TLS", setting.named()),
        })
        .collect()
}

/// What to do first for tokens of an identity provider.
pub(super) const BUILD_WITH_OIDC: &str = "build with the cargo feature `oidc`: cargo install --path . --features oidc";

const CLAIMS: &str = "sasl.oauthbearer.config";

/// The first property that needs TLS, why, and whether its value is the reason.
fn needing(properties: &Properties) -> Option<(&PropertyValue, &'static str, bool)> {
    let valued = |key: &str, needs: fn(&str) -> bool| {
        properties.get(key).filter(|setting| needs(&setting.value.trim().to_ascii_lowercase()))
    };
    if let Some(protocol) = valued("security.protocol", |value| matches!(value, "ssl" | "sasl_ssl")) {
        return Some((protocol, TLS, true));
    }
    let logs_in = valued("security.protocol", |value| value == "sasl_plaintext").is_some();
    let mechanism = |value: &str| matches!(value, "scram-sha-256" | "scram-sha-512" | "oauthbearer");
    if let Some(mechanism) = valued("sasl.mechanisms", mechanism).filter(|_| logs_in) {
        return Some((mechanism, LOGIN, true));
    }
    // With an explicit protocol, the others are not needed. Without one, they say what the user wants.
    if valued("security.protocol", |value| matches!(value, "plaintext" | "sasl_plaintext")).is_some() {
        return None;
    }
    properties.iter().find_map(|setting| of_tls(&setting.key).map(|reason| (setting, reason, false)))
}

/// Why a property needs TLS, whatever its value.
fn of_tls(key: &str) -> Option<&'static str> {
    match key {
        "enable.ssl.certificate.verification" => Some(TLS),
        key if key.starts_with("ssl.") => Some(TLS),
        CLAIMS | "enable.sasl.oauthbearer.unsecure.jwt" => Some(LOGIN),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::java_names;
    use super::super::precedence::PropertySource;
    use super::*;
    use crate::exit::Code;
    use crate::kafka::{HAS_TLS, PropertyError, check_property, property_names};

    fn value(key: &str, value: &str, source: PropertySource) -> PropertyValue {
        PropertyValue { key: key.to_owned(), value: value.to_owned(), source, alias: None }
    }

    fn checked(settings: &[(&str, &str)], built_in: bool) -> Result<Vec<String>, Failure> {
        let mut properties = Properties::default();
        for (line, (key, text)) in (1..).zip(settings) {
            properties.add(value(key, text, PropertySource::File { name: "client.properties".into(), line }));
        }
        settle(&mut properties, built_in, |key| key.starts_with("sasl.oauthbearer."))
    }

    #[test]
    fn a_property_that_needs_tls_is_refused_with_the_command() {
        let plain = [("security.protocol", "SASL_PLAINTEXT"), ("sasl.mechanisms", "PLAIN")];
        assert_eq!(checked(&plain, false), Ok(Vec::new()));
        // Not used without a login; a warning says so.
        assert_eq!(checked(&[("sasl.mechanisms", "SCRAM-SHA-512")], false), Ok(Vec::new()));
        let login = ("security.protocol", "sasl_plaintext");
        for (settings, message) in [
            (&[("security.protocol", " SSL ")][..], "1: security.protocol=SSL: TLS is not built in"),
            (&[("linger.ms", "5"), ("security.protocol", "sasl_ssl")], "2: security.protocol=sasl_ssl: TLS is not"),
            (&[login, ("sasl.mechanisms", "SCRAM-SHA-256")], "2: sasl.mechanisms=SCRAM-SHA-256: this login needs"),
            (&[login, ("sasl.mechanisms", "OAUTHBEARER")], "2: sasl.mechanisms=OAUTHBEARER: this login needs OpenSSL"),
            (&[("ssl.key.password", "hush")], "1: ssl.key.password: TLS is not built in"),
            (&[("ssl.truststore.location", "/x.jks")], "1: ssl.truststore.location: TLS is not built in"),
            (&[("enable.ssl.certificate.verification", "false")], "1: enable.ssl.certificate.verification: TLS is"),
            (&[(CLAIMS, "principal=hush")], "1: sasl.oauthbearer.config: this login needs OpenSSL"),
        ] {
            assert_eq!(checked(settings, true), Ok(Vec::new()));
            let refused = checked(settings, false).expect_err(message);
            assert_eq!(refused.code, Code::Usage);
            assert!(refused.message.starts_with(&format!("client.properties:{message}")), "{refused}");
            assert!(
                refused.to_string().ends_with(BUILD_WITH_TLS) && !refused.to_string().contains("hush"),
                "{refused}"
            );
        }
    }

    /// A file for both kinds of listeners.
    #[test]
    fn properties_of_tls_are_not_used_by_a_protocol_without_it() {
        let settings = [("ssl.ca.location", "/x"), ("ssl.key.password", "hush"), ("linger.ms", "5")];
        for protocol in ["PLAINTEXT", "SASL_PLAINTEXT"] {
            let lines = checked(&[&settings[..], &[("security.protocol", protocol)]].concat(), false).expect("settled");
            assert_eq!(
                lines,
                [
                    "client.properties:1: ssl.ca.location is not used: security.protocol (client.properties:4) is without TLS",
                    "client.properties:2: ssl.key.password is not used: security.protocol (client.properties:4) is without TLS",
                ]
            );
        }
        for protocol in ["SSL", "tls"] {
            checked(&[&settings[..], &[("security.protocol", protocol)]].concat(), false).expect_err("refused");
        }
    }

    #[test]
    fn tokens_of_an_identity_provider_need_one_build_only() {
        let settings = [("security.protocol", "SASL_SSL"), ("sasl.oauthbearer.method", "oidc")];
        let refused = checked(&settings, false).expect_err("refused").to_string();
        assert!(refused.ends_with("cargo install --path . --features oidc"), "{refused}");
    }

    #[test]
    fn the_name_in_the_source_is_shown_once() {
        let mut properties = Properties::default();
        let alias = Some("ssl.keystore.key".to_owned());
        properties.add(PropertyValue { alias, ..value("ssl.key.pem", "hush", PropertySource::Property) });
        let refused = settle(&mut properties, false, |_| false).expect_err("refused").message;
        assert_eq!(refused, "-X ssl.keystore.key: TLS is not built in");
    }

    /// What librdkafka itself cannot do without OpenSSL, by its own list of properties.
    #[test]
    fn every_property_that_librdkafka_lacks_is_refused() {
        let needs = |name: &str| checked(&[(name, "x")], false).is_err();
        for name in property_names().iter().filter(|name| !name.contains("kerberos")) {
            let lacks = matches!(check_property(name, ""), Err(PropertyError::NotBuiltIn(_)));
            let tokens = name.starts_with("https.") || name.starts_with("sasl.oauthbearer.");
            assert!(HAS_TLS || tokens || lacks == needs(name), "{name}: librdkafka lacks it: {lacks}");
        }
        assert!(java_names::STORES.iter().all(|name| needs(name)));
    }
}
