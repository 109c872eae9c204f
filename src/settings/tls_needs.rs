//! Properties that need TLS, and their refusal in a build without it.

use super::precedence::{Properties, PropertyValue};
use super::usage;
use crate::exit::Failure;

const TLS: &str = "TLS is not built in";
const LOGIN: &str = "this login needs OpenSSL, and TLS is not built in";

/// Refuses the first property that needs TLS, if TLS is not built in. `for_tokens` says which properties concern tokens of
/// an identity provider, which need another feature that includes TLS.
pub(super) fn check(properties: &Properties, built_in: bool, for_tokens: fn(&str) -> bool) -> Result<(), Failure> {
    if built_in {
        return Ok(());
    }
    let Some((setting, reason, has_value)) = needing(properties) else { return Ok(()) };
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
    let feature = if properties.iter().any(tokens) { "oidc" } else { "tls" };
    Err(usage(format!("{what}: {reason}"))
        .hint(format!("build with the cargo feature `{feature}`: cargo install --path . --features {feature}")))
}

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
    properties.iter().find_map(|setting| match setting.key.as_str() {
        "enable.ssl.certificate.verification" => Some((setting, TLS, false)),
        key if key.starts_with("ssl.") => Some((setting, TLS, false)),
        CLAIMS | "enable.sasl.oauthbearer.unsecure.jwt" => Some((setting, LOGIN, false)),
        _ => None,
    })
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

    fn checked(settings: &[(&str, &str)], built_in: bool) -> Result<(), Failure> {
        let mut properties = Properties::default();
        for (line, (key, text)) in (1..).zip(settings) {
            properties.add(value(key, text, PropertySource::File { name: "client.properties".into(), line }));
        }
        check(&properties, built_in, |key| key.starts_with("sasl.oauthbearer."))
    }

    #[test]
    fn a_property_that_needs_tls_is_refused_with_the_command() {
        let plain = [("security.protocol", "SASL_PLAINTEXT"), ("sasl.mechanisms", "PLAIN")];
        assert_eq!(checked(&plain, false), Ok(()));
        // Not used without a login; a warning says so.
        assert_eq!(checked(&[("sasl.mechanisms", "SCRAM-SHA-512")], false), Ok(()));
        let login = ("security.protocol", "sasl_plaintext");
        let tls = "build with the cargo feature `tls`: cargo install --path . --features tls";
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
            assert_eq!(checked(settings, true), Ok(()));
            let refused = checked(settings, false).expect_err(message);
            assert_eq!(refused.code, Code::Usage);
            assert!(refused.message.starts_with(&format!("client.properties:{message}")), "{refused}");
            assert!(refused.to_string().ends_with(tls) && !refused.to_string().contains("hush"), "{refused}");
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
        let refused = check(&properties, false, |_| false).expect_err("refused").message;
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
