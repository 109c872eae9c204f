//! Authorization failures (ACLs): which principal lacks which permission, and the `kafka-acls` command that grants it.

use rdkafka::error::RDKafkaErrorCode as Rd;

use crate::exit::{Code, Failure};
use crate::kafka::acl::{self, Permission};
use crate::kafka::connection::Connection;
use crate::printable::shell_word;

/// The principal that the broker sees, as an ACL names it.
fn principal(connection: &Connection) -> String {
    let protocol = connection.property("security.protocol").unwrap_or("plaintext").to_ascii_lowercase();
    if protocol.starts_with("sasl") {
        let name = ["sasl.username", "sasl.kerberos.principal"].iter().find_map(|name| connection.property(name));
        return name.map_or_else(|| "the principal of this login".to_owned(), |name| format!("User:{name}"));
    }
    #[cfg(feature = "tls")]
    if protocol == "ssl"
        && let Some(principal) = super::tls::principal(connection)
    {
        return principal;
    }
    "User:ANONYMOUS".to_owned()
}

pub(super) fn failure(code: Rd, message: &str, needs: &[Permission], connection: &Connection) -> Failure {
    let principal = principal(connection);
    let missing = acl::missing(code, message, needs);
    if missing.is_empty() {
        return Failure::new(Code::Denied, format!("the broker refused {principal}: {message}")).hint(format!(
            "list its ACLs: kafka-acls --bootstrap-server {} --command-config ADMIN.properties --list --principal {}",
            connection.bootstrap(),
            shell_word(&principal)
        ));
    }
    let rights: Vec<String> = missing.iter().map(ToString::to_string).collect();
    let rights = if rights.len() == 1 { rights.concat() } else { format!("one of: {}", rights.join("; ")) };
    let grants: Vec<String> = missing.iter().map(|right| right.grant(&principal, connection.bootstrap())).collect();
    Failure::new(Code::Denied, format!("{principal} lacks {rights} ({code})"))
        .hint(format!("an administrator can grant it: {}", grants.join(" ; ")))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::kafka::Operation;
    use crate::kafka::acl::applies_to;

    fn connection(properties: &[(&str, &str)]) -> Connection {
        let properties = properties.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Connection::new(properties, Duration::from_secs(1))
    }

    fn login() -> Connection {
        connection(&[("bootstrap.servers", "k:9093"), ("security.protocol", "SASL_SSL"), ("sasl.username", "ann")])
    }

    #[test]
    fn names_principal_permission_and_command() {
        let needs = [Permission::topic("order-events", &[Operation::Write])];
        let failure = failure(Rd::TopicAuthorizationFailed, "text", &needs, &login());
        assert_eq!(failure.code, Code::Denied);
        assert_eq!(
            failure.to_string(),
            "User:ann lacks Write on Topic order-events (TopicAuthorizationFailed (Broker: Topic authorization failed))\n  \
             hint: an administrator can grant it: kafka-acls --bootstrap-server k:9093 --command-config ADMIN.properties --add \
             --allow-principal User:ann --operation Write --topic order-events"
        );
    }

    #[test]
    fn picks_the_permission_that_fits_the_code() {
        let needs = [
            Permission::group("g x", Operation::Read),
            Permission::topic("t", &[Operation::Read, Operation::Write]),
            Permission::transactions("g-"),
        ];
        let text_of = |code| failure(code, "", &needs, &login()).to_string();
        let group = text_of(Rd::GroupAuthorizationFailed);
        assert!(
            group.contains("lacks Read on Group g x (") && group.contains("--operation Read --group 'g x'"),
            "{group}"
        );
        let topic = text_of(Rd::TopicAuthorizationFailed);
        assert!(
            topic.contains("lacks Read and Write on Topic t (")
                && topic.contains("--operation Read --operation Write --topic t")
        );
        let id = text_of(Rd::TransactionalIdAuthorizationFailed);
        assert!(id.contains("lacks Write on TransactionalId g-* ("), "{id}");
        assert!(id.ends_with("--operation Write --transactional-id g- --resource-pattern-type prefixed"), "{id}");
        // An idempotent producer that may not write to any topic.
        assert!(text_of(Rd::ClusterAuthorizationFailed).contains("Topic t"));
    }

    #[test]
    fn names_the_topic_that_the_broker_named() {
        let needs = ["order-events", "order-events-dlq"].map(|topic| Permission::topic(topic, &[Operation::Write]));
        let text_of = |text| failure(Rd::TopicAuthorizationFailed, text, &needs, &login()).message;
        let dead =
            "Failed to add partition \"order-events-dlq\" [0] to transaction: Broker: Topic authorization failed";
        assert!(text_of(dead).contains("lacks Write on Topic order-events-dlq ("), "{}", text_of(dead));
        assert!(text_of("nothing").contains("one of: Write on Topic order-events; Write on Topic order-events-dlq ("));
    }

    #[test]
    fn without_a_permission_shows_the_brokers_message() {
        let failure = failure(Rd::GroupAuthorizationFailed, "why", &[], &login());
        assert!(failure.to_string().contains("the broker refused User:ann: why"), "{failure}");
        assert!(applies_to(Rd::GroupAuthorizationFailed, &[Permission::group("g", Operation::Read)]));
        assert!(!applies_to(Rd::GroupAuthorizationFailed, &[Permission::topic("t", &[Operation::Read])]));
        assert!(applies_to(Rd::Authentication, &[]), "a login concerns every call");
    }

    #[test]
    fn without_a_login_the_principal_is_anonymous() {
        assert_eq!(principal(&connection(&[])), "User:ANONYMOUS");
        assert_eq!(principal(&connection(&[("security.protocol", "ssl")])), "User:ANONYMOUS");
    }

    #[cfg(feature = "tls")]
    #[test]
    fn with_tls_the_principal_is_the_subject_of_the_certificate() {
        let file = connection(&[("security.protocol", "ssl"), ("ssl.keystore.location", "/no/such.p12")]);
        assert_eq!(principal(&file), "the subject of /no/such.p12");
    }
}
