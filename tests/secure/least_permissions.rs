//! The table of least permissions in docs/reference/permissions.md: each command works with its row, and names each permission that
//! is missing.

use libtest_mimic::{Failed, Trial};

use super::grants::Grant;
use super::permission_table::{self, CommandPermissions, RequiredPermission, ResourceType};
use super::process::Run;
use super::secure_kafka::{SecureKafka, TIMEOUT, TestEnv};
use super::time_limit::trial;

/// A test for each row.
pub fn trials(kafka: &'static SecureKafka) -> Vec<Trial> {
    permission_table::read()
        .into_iter()
        .map(|row| {
            let name = format!("least_permissions::{}", row.command);
            trial(name.replace(' ', "_"), move || {
                check_command(kafka, &row);
                Ok::<(), Failed>(())
            })
        })
        .collect()
}

/// The arguments for a row.
fn args(command: &str, prefix: &str) -> String {
    match command {
        "clean" => "clean --yes".to_owned(),
        // This option takes full topic names.
        "lag --topic order-events" => format!("lag --topic {prefix}order-events"),
        chain_or_service if chain_or_service.starts_with("audit --") => {
            // These options take full names, too.
            let full = |word: &str| match word {
                "order-events" | "inventory-events" | "inventory-consumer-group" => format!("{prefix}{word}"),
                other => other.to_owned(),
            };
            chain_or_service.split(' ').map(full).collect::<Vec<_>>().join(" ")
        }
        "produce" => "produce --count 40 --seed 3".to_owned(),
        "inventory" | "analytics" => format!("{command} --until-end"),
        other => other.to_owned(),
    }
}

/// Topics with work for the command of a row: waiting orders, some of them bad, a group with state, a switch to undo.
fn prepare(env: &TestEnv, command: &str) {
    // A chain has no output for a bad record.
    let poison = if command.starts_with("audit --in") { "0%" } else { "10%" };
    let produce = |count, seed| {
        env.run_as_admin(&format!("produce --count {count} --seed {seed} --poison-rate {poison} --partitions 2"));
    };
    produce(60, 1);
    if command == "produce" {
        return;
    }
    env.run_as_admin("inventory --until-end");
    env.run_as_admin("analytics --until-end");
    if command == "replay --undo" {
        env.run_as_admin("replay");
    }
    if matches!(command, "inventory" | "analytics") {
        produce(60, 2);
    }
}

/// The permissions without the missing one. If nothing else lets the user describe the resource, a second variant adds
/// `Describe`, so that the operation itself is refused and not the first lookup.
fn without(permissions: &[RequiredPermission], missing: &RequiredPermission) -> Vec<Vec<RequiredPermission>> {
    let rest: Vec<RequiredPermission> =
        permissions.iter().filter(|permission| *permission != missing).cloned().collect();
    let sees = |permission: &&RequiredPermission| {
        permission.kind == missing.kind && permission.name == missing.name && permission.operation != "DescribeConfigs"
    };
    let mut variants = vec![rest.clone()];
    if missing.operation != "Describe"
        && missing.operation != "DescribeConfigs"
        && !rest.iter().any(|permission| sees(&permission))
    {
        let mut seeing = rest;
        seeing.push(RequiredPermission { operation: "Describe".to_owned(), ..missing.clone() });
        variants.push(seeing);
    }
    variants
}

fn check_command(kafka: &'static SecureKafka, row: &CommandPermissions) {
    let env = kafka.env(&row.command);
    let args = args(&row.command, &env.prefix);
    let mut cases: Vec<(String, &RequiredPermission, usize)> = Vec::new();
    let mut grants: Vec<Grant> = Vec::new();
    for (index, missing) in row.permissions.iter().enumerate() {
        // A deletion that is refused late has already deleted something, so only the variant without `Describe` is
        // tried.
        let variants = if row.command == "clean" { 1 } else { 2 };
        for (variant, rest) in without(&row.permissions, missing).into_iter().take(variants).enumerate() {
            let user = env.user(&format!("{index}-{variant}"));
            grants.extend(rest.iter().map(|permission| Grant::of(&user, &env.prefix, permission)));
            cases.push((user, missing, variant));
        }
    }
    let whole = env.user("whole");
    grants.extend(row.permissions.iter().map(|permission| Grant::of(&whole, &env.prefix, permission)));
    let users: Vec<String> = cases.iter().map(|(user, ..)| user.clone()).chain([whole.clone()]).collect();
    kafka.create_users(&users, &grants);
    prepare(&env, &row.command);
    for (user, missing, variant) in cases {
        let (run, took) = env.run_as(&user, &args);
        let case = format!("{args}, without {missing} ({variant}), after {took:?}");
        check(&run, &env, &user, missing, &case);
        assert!(took < TIMEOUT, "{case}: it waited for the whole --timeout");
    }
    let (run, _) = env.run_as(&whole, &args);
    assert_eq!(run.code(), 0, "{args} with its least permissions:\n{}", run.stderr);
}

/// Requires that a run without a permission names the principal, operation and resource, and the command that grants
/// it.
pub fn check(run: &Run, env: &TestEnv, user: &str, missing: &RequiredPermission, case: &str) {
    let context = format!("{case}:\nstdout:\n{}\nstderr:\n{}", run.stdout, run.stderr);
    assert_eq!(run.code(), 5, "{context}");
    let (message, hint) = run.stderr.split_once("hint: ").unwrap_or_else(|| panic!("no hint: {context}"));
    assert!(message.contains(&format!("User:{user} lacks ")), "the principal: {context}");
    let star = if missing.kind == ResourceType::TransactionalId { "*" } else { "" };
    let resource = format!(" on {:?} {}{}{star}", missing.kind, env.prefix, missing.name);
    let named = message
        .split(&resource)
        .next()
        .filter(|before| *before != message)
        .unwrap_or_else(|| panic!("{resource}: {context}"));
    let operations = named.rsplit([':', ';']).next().expect("the last part");
    assert!(operations.split_whitespace().any(|word| word == missing.operation), "{}: {context}", missing.operation);
    let granted = hint.split(" ; ").any(|command| {
        command.contains(&format!("--allow-principal User:{user} "))
            && command.contains(&format!("--operation {} ", missing.operation))
            && command
                .trim_end()
                .replace(" --resource-pattern-type prefixed", "")
                .ends_with(&missing.argument(&env.prefix))
    });
    assert!(granted, "the command that grants it: {context}");
}
