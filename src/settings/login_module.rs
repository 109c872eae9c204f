//! Kafka's login modules of `sasl.jaas.config`, as librdkafka properties.

use super::jaas::{self, LoginModule};
use super::mapping::{Mapping, MappingError};

/// Also used internally as the property that holds the name of the login module, for later checks.
pub(super) const MODULE: &str = "sasl.jaas.config";

/// Maps the login modules of Kafka.
pub(super) fn mapping(text: &str) -> Result<Mapping, MappingError> {
    let module = jaas::login_module(text).map_err(|problem| {
        MappingError::new(
            format!("cannot read the login module: {problem}"),
            "as in org.apache.kafka.common.security.plain.PlainLoginModule required username=\"…\" password=\"…\"; \
             in a file, `\\` at the end of a line continues it, and a backslash is written \\\\",
        )
    })?;
    match module.class.rsplit('.').next().unwrap_or_default() {
        "PlainLoginModule" if is_kafkas(&module) => password(&module, "PlainLoginModule"),
        "ScramLoginModule" if is_kafkas(&module) => password(&module, "ScramLoginModule"),
        "OAuthBearerLoginModule" if is_kafkas(&module) => bearer(&module),
        "Krb5LoginModule" => Err(MappingError::new(
            "it uses Kerberos, which is not built in",
            "use PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER",
        )),
        _ => Err(MappingError::new(
            "its login module is a Java class that is not supported",
            "use PlainLoginModule, ScramLoginModule or OAuthBearerLoginModule of org.apache.kafka.common.security",
        )),
    }
}

/// Some services include copies of Kafka's classes with a longer package name.
fn is_kafkas(module: &LoginModule) -> bool {
    module.class.contains("org.apache.kafka.common.security.")
}

fn password(module: &LoginModule, name: &'static str) -> Result<Mapping, MappingError> {
    if module.option("tokenauth").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Err(MappingError::new(
            "it uses delegation tokens (tokenauth), which librdkafka does not support",
            "use a user name and password",
        ));
    }
    let wanted = |option: &str| {
        module.option(option).map(str::to_owned).ok_or_else(|| {
            MappingError::new(
                format!("its login module has no {option}"),
                format!("add {option}=\"…\" before the semicolon"),
            )
        })
    };
    let (username, password) = (wanted("username")?, wanted("password")?);
    Ok(Mapping::As(vec![("sasl.username", username), ("sasl.password", password), (MODULE, name.to_owned())]))
}

/// Maps Kafka's unsecured test token to librdkafka's, or takes the client id and secret for an identity provider.
fn bearer(module: &LoginModule) -> Result<Mapping, MappingError> {
    let mut resolved = vec![(MODULE, "OAuthBearerLoginModule".to_owned())];
    if module.option("clientId").is_some() || module.option("clientSecret").is_some() {
        let names = [
            ("clientId", "sasl.oauthbearer.client.id"),
            ("clientSecret", "sasl.oauthbearer.client.secret"),
            ("scope", "sasl.oauthbearer.scope"),
        ];
        resolved.extend(names.into_iter().filter_map(|(java, own)| Some((own, module.option(java)?.to_owned()))));
        resolved.push(("sasl.oauthbearer.method", "oidc".to_owned()));
        return Ok(Mapping::As(resolved));
    }
    if !module.options.iter().any(|(name, _)| name.starts_with("unsecuredLogin")) {
        // The client id may be set in another property.
        return Ok(Mapping::As(resolved));
    }
    let claim = module.option("unsecuredLoginPrincipalClaimName").unwrap_or("sub");
    let mut parts = Vec::new();
    for (name, value) in &module.options {
        let Some(name) = name.strip_prefix("unsecuredLogin") else { continue };
        let part = match name {
            "PrincipalClaimName" => format!("principalClaimName={value}"),
            "ScopeClaimName" => format!("scopeClaimName={value}"),
            "LifetimeSeconds" => format!("lifeSeconds={value}"),
            "StringClaim_scope" => format!("scope={value}"),
            "ListClaim_scope" => {
                let mut characters = value.chars();
                let separator = characters.next().unwrap_or(',');
                format!("scope={}", characters.as_str().replace(separator, ","))
            }
            _ => match (name.strip_prefix("StringClaim_"), name.strip_prefix("Extension_")) {
                (Some(own), _) if own == claim => format!("principal={value}"),
                (_, Some(extension)) => format!("extension_{extension}={value}"),
                _ => {
                    return Err(MappingError::new(
                        format!("librdkafka's unsecured token does not support unsecuredLogin{}", sort(name)),
                        "use a principal, a scope, a lifetime and extensions",
                    ));
                }
            },
        };
        if value.contains(' ') {
            return Err(MappingError::new(
                "a claim of its unsecured token contains a space, which librdkafka does not support",
                "remove the space",
            ));
        }
        parts.push(part);
    }
    if !parts.iter().any(|part| part.starts_with("principal=")) {
        return Err(MappingError::new(
            "its unsecured token has no principal",
            format!("add unsecuredLoginStringClaim_{claim}=\"…\""),
        ));
    }
    resolved.push(("enable.sasl.oauthbearer.unsecure.jwt", "true".to_owned()));
    resolved.push(("sasl.oauthbearer.config", parts.join(" ")));
    Ok(Mapping::As(resolved))
}

/// The kind of a claim, without the user's name for it.
fn sort(name: &str) -> &str {
    name.split_inclusive('_').next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(class: &str, options: &str) -> String {
        format!("org.apache.kafka.common.security.{class} required {options};")
    }

    fn properties(text: &str) -> Vec<(&'static str, String)> {
        match mapping(text) {
            Ok(Mapping::As(list)) => list.into_iter().filter(|(key, _)| *key != MODULE).collect(),
            _ => panic!("refused"),
        }
    }

    #[test]
    fn a_login_module_becomes_credentials() {
        let plain = module("plain.PlainLoginModule", "username=\"a\" password=\"b c\"");
        let pair = [("sasl.username", "a".to_owned()), ("sasl.password", "b c".to_owned())];
        assert_eq!(properties(&plain), pair);
        let shaded = format!("kafkashaded.{}", module("scram.ScramLoginModule", "username=\"a\" password=\"b c\""));
        assert_eq!(properties(&shaded), pair);
        let bearer = |options: &str| properties(&module("oauthbearer.OAuthBearerLoginModule", options));
        let claims = "unsecuredLoginStringClaim_sub=\"alice\" unsecuredLoginListClaim_scope=\"|r|w\" \
                      unsecuredLoginLifetimeSeconds=\"60\" unsecuredLoginExtension_trace=\"7\"";
        assert_eq!(bearer(claims)[1].1, "principal=alice scope=r,w lifeSeconds=60 extension_trace=7");
        let client = bearer("clientId=\"i\" clientSecret=\"s\" scope=\"k\"");
        assert_eq!(client.len(), 4);
        assert_eq!(client[1], ("sasl.oauthbearer.client.secret", "s".to_owned()));
    }

    #[test]
    fn an_unsupported_module_is_refused_without_values() {
        let kerberos = "com.sun.security.auth.module.Krb5LoginModule required password=\"hush\";".to_owned();
        let iam = "software.amazon.msk.auth.iam.IAMLoginModule required x=\"hush\";".to_owned();
        let bearer = |options: &str| module("oauthbearer.OAuthBearerLoginModule", options);
        for (text, expected) in [
            (kerberos, "Kerberos"),
            (iam, "Java class"),
            (module("plain.PlainLoginModule", "username=\"a\""), "no password"),
            (module("scram.ScramLoginModule", "username=a password=hush tokenauth=true"), "delegation"),
            (bearer("unsecuredLoginNumberClaim_hush=\"4\""), "NumberClaim_"),
            (bearer("unsecuredLoginLifetimeSeconds=\"4\""), "no principal"),
            ("x.Module required password=\"hush\"".to_owned(), "semicolon"),
        ] {
            let error = mapping(&text).err().unwrap_or_else(|| panic!("{expected}: accepted"));
            assert!(error.message.contains(expected), "{error:?}");
            assert!(!error.message.contains("hush") && !error.hint.contains("hush"), "{error:?}");
        }
    }
}
