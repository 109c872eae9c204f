//! Granted permissions: topics created with `Create`, prefixed ACLs, and the printed `kafka-acls` command.

use libtest_mimic::{Failed, Trial};

use super::grants::Grant;
use super::least_permissions::check;
use super::permission_table::{RequiredPermission, ResourceType};
use super::secure_kafka::{SecureKafka, TestEnv};
use super::time_limit::trial;

pub fn trials(kafka: &'static SecureKafka) -> Vec<Trial> {
    let case = |name: &str, case: fn(&'static SecureKafka)| {
        trial(format!("granting::{name}"), move || {
            case(kafka);
            Ok::<(), Failed>(())
        })
    };
    vec![
        case("missing_topic_needs_create", create),
        case("prefixed_acls_cover_the_prefix_only", whole_prefix),
        case("printed_acl_command_works", printed_command),
        case("all_groups_are_those_that_may_be_described", described_groups),
    ]
}

fn described_groups(kafka: &'static SecureKafka) {
    let env = kafka.env("described");
    let user = env.user("reader");
    let grants = [(ResourceType::Group, "inventory-consumer-group"), (ResourceType::Topic, "order-events")]
        .map(|(kind, name)| Grant::of(&user, &env.prefix, &RequiredPermission::new(kind, name, "Describe")));
    kafka.create_users(std::slice::from_ref(&user), &grants);
    for args in ["produce --count 20 --seed 1", "inventory --until-end", "analytics --until-end"] {
        env.run_as_admin(args);
    }
    let [inventory, analytics] =
        ["inventory-consumer-group", "analytics-consumer-group"].map(|name| format!("{}{name}", env.prefix));
    let sampled = |args: &str| {
        let run = env.run_as(&user, &format!("lag --all-groups --output json {args}")).0;
        let document: serde_json::Value =
            serde_json::from_str(&run.stdout).unwrap_or_else(|_| panic!("no document: {}", run.stderr));
        let groups = document["groups"].as_array().expect("groups").iter();
        let groups: Vec<String> = groups.map(|group| group["group"].as_str().expect("a name").to_owned()).collect();
        assert_eq!(groups, [inventory.as_str()], "{document}");
        (run, document)
    };
    let (run, document) = sampled("--fail-if >1000");
    assert_eq!(run.code(), 0, "{}", run.stderr);
    assert!(document.get("not_authorized").is_none(), "the broker hides the other group: {document}");
    let admin = kafka.file("admin.java.properties").display().to_string();
    let command = format!(
        "kafka-acls --bootstrap-server {} --command-config {admin} --add --allow-principal User:{user} --operation Describe \
         --cluster",
        kafka.listener("sasl_ssl")
    );
    TestEnv::tool(&command.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    // With Describe on the cluster, the broker lists it. The broker may learn of the ACL a moment later.
    let document = std::iter::repeat_with(|| sampled("").1)
        .take(50)
        .find(|document| document.get("not_authorized").is_some())
        .expect("the whole list");
    let hidden = document["not_authorized"].as_array().expect("names");
    assert!(hidden.iter().any(|name| *name == analytics.as_str()), "{document}");
    let run = sampled("--fail-if >1000").0;
    assert_eq!(run.code(), 3, "{}", run.stderr);
    assert!(run.stderr.contains("no permission to describe"), "{}", run.stderr);
}

fn create(kafka: &'static SecureKafka) {
    let env = kafka.env("create");
    let (without, with) = (env.user("without"), env.user("with"));
    let [write, create] =
        ["Write", "Create"].map(|operation| RequiredPermission::new(ResourceType::Topic, "order-events", operation));
    let grants = [(&without, &write), (&with, &write), (&with, &create)]
        .map(|(user, permission)| Grant::of(user, &env.prefix, permission));
    kafka.create_users(&[without.clone(), with.clone()], &grants);
    let args = "produce --count 20 --seed 1";
    check(&env.run_as(&without, args).0, &env, &without, &create, args);
    env.run_as(&with, args).0.expect(0);
}

fn whole_prefix(kafka: &'static SecureKafka) {
    let env = kafka.env("whole");
    let user = env.user("owner");
    let grant = |kind, operation: &str| Grant {
        user: user.clone(),
        kind,
        name: env.prefix.clone(),
        prefixed: true,
        operation: operation.to_owned(),
    };
    let mut grants: Vec<Grant> =
        ["Read", "Write", "Create", "DescribeConfigs"].map(|operation| grant(ResourceType::Topic, operation)).to_vec();
    grants.extend([grant(ResourceType::Group, "Read"), grant(ResourceType::TransactionalId, "Write")]);
    kafka.create_users(std::slice::from_ref(&user), &grants);
    for args in [
        "produce --count 60 --seed 1 --poison-rate 5%",
        "inventory --until-end --instance-id one",
        "analytics --from-beginning",
        "replay",
        "replay --undo",
        "audit",
    ] {
        env.run_as(&user, args).0.expect(0);
    }
    // The ACLs do not cover another prefix.
    let elsewhere = kafka.env("elsewhere");
    let missing = RequiredPermission::new(ResourceType::Topic, "order-events", "Write");
    let args = "produce --count 20 --seed 1";
    check(&elsewhere.run_as(&user, args).0, &elsewhere, &user, &missing, args);
}

fn printed_command(kafka: &'static SecureKafka) {
    let env = kafka.env("printed");
    let user = env.user("learner");
    let permissions = ["order-events", "inventory-events", "analytics-state"]
        .into_iter()
        .flat_map(|topic| {
            ["Read", "Write", "Create"].map(|operation| RequiredPermission::new(ResourceType::Topic, topic, operation))
        })
        .chain([
            RequiredPermission::new(ResourceType::Topic, "analytics-state", "DescribeConfigs"),
            RequiredPermission::new(ResourceType::Group, "analytics-consumer-group", "Read"),
        ]);
    let grants: Vec<Grant> = permissions.map(|permission| Grant::of(&user, &env.prefix, &permission)).collect();
    kafka.create_users(std::slice::from_ref(&user), &grants);
    env.run_as(&user, "produce --count 20 --seed 1").0.expect(0);
    let missing = RequiredPermission::new(ResourceType::TransactionalId, "analytics-consumer-group-", "Write");
    let args = "analytics --until-end";
    let refused = env.run_as(&user, args).0;
    check(&refused, &env, &user, &missing, args);
    let (_, command) = refused.stderr.split_once("kafka-acls ").expect("a command");
    let admin = kafka.file("admin.java.properties").display().to_string();
    let tool_args = command.split_whitespace().map(|word| word.replace("ADMIN.properties", &admin));
    TestEnv::tool(&std::iter::once("kafka-acls".to_owned()).chain(tool_args).collect::<Vec<_>>());
    env.run_as(&user, args).0.expect(0);
}
