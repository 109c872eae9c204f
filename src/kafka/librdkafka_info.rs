//! librdkafka's version and the features that it was built with.

use rdkafka::ClientConfig;

/// librdkafka's version, and its features as it lists them, for example `gzip,snappy,ssl`.
#[must_use]
pub fn librdkafka_info() -> (String, String) {
    #[allow(
        clippy::disallowed_methods,
        reason = "an empty configuration is asked for its defaults; no client is made of it"
    )]
    let config = ClientConfig::new();
    let features = config.create_native_config().and_then(|config| config.get("builtin.features"));
    (rdkafka::util::get_rdkafka_version().1, features.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::HAS_TLS;

    #[test]
    fn has_the_documented_features() {
        let (version, features) = librdkafka_info();
        assert!(version.starts_with("2."), "{version}");
        let has = |feature| features.split(',').any(|built| built == feature);
        for feature in ["gzip", "lz4", "snappy", "zstd", "sasl_plain"] {
            assert!(has(feature), "{feature} is not among {features}");
        }
        for feature in ["ssl", "sasl_scram", "sasl_oauthbearer"] {
            assert_eq!(has(feature), HAS_TLS, "{feature}: {features}");
        }
    }
}
