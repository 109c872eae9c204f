//! Owns the table of least rights held against the program: each row works, and names each right that is taken away.

use libtest_mimic::{Failed, Trial};

use super::bounded::trial;
use super::grants::Grant;
use super::process::Run;
use super::site::{Place, Site, TIMEOUT};
use super::table::{self, Kind, Need, Row};

/// One test a row.
pub fn trials(site: &'static Site) -> Vec<Trial> {
    table::read()
        .into_iter()
        .map(|row| {
            let name =
                format!("least_rights::{}_works_with_its_least_rights_and_names_each_that_is_taken_away", row.command);
            trial(name.replace(' ', "_"), move || {
                hold(site, &row);
                Ok::<(), Failed>(())
            })
        })
        .collect()
}

/// What is typed for a row.
fn words(command: &str, prefix: &str) -> String {
    match command {
        "clean" => "clean --yes".to_owned(),
        // This command takes names as the cluster knows them.
        "lag --topic order-events" => format!("lag --topic {prefix}order-events"),
        "produce" => "produce --count 40 --seed 3".to_owned(),
        "inventory" | "analytics" => format!("{command} --until-end"),
        other => other.to_owned(),
    }
}

/// Topics with everything that a row's command has to do something about: orders that wait, bad ones among them, a group
/// with state, a switch to undo.
fn prepare(place: &Place, command: &str) {
    let produce = |count, seed| {
        place.run_as_admin(&format!("produce --count {count} --seed {seed} --poison-rate 10% --partitions 2"));
    };
    produce(60, 1);
    if command == "produce" {
        return;
    }
    place.run_as_admin("inventory --until-end");
    place.run_as_admin("analytics --until-end");
    if command == "replay --undo" {
        place.run_as_admin("replay");
    }
    if matches!(command, "inventory" | "analytics") {
        produce(60, 2);
    }
}

/// What somebody has who lacks one right: the others; and, where nothing of them shows the resource any more, once also
/// the right to see it. Then the call itself is refused, and not the first look.
fn without(needs: &[Need], lacking: &Need) -> Vec<Vec<Need>> {
    let rest: Vec<Need> = needs.iter().filter(|need| *need != lacking).cloned().collect();
    let sees =
        |need: &&Need| need.kind == lacking.kind && need.name == lacking.name && need.operation != "DescribeConfigs";
    let mut variants = vec![rest.clone()];
    if lacking.operation != "Describe" && lacking.operation != "DescribeConfigs" && !rest.iter().any(|need| sees(&need))
    {
        let mut seeing = rest;
        seeing.push(Need { operation: "Describe".to_owned(), ..lacking.clone() });
        variants.push(seeing);
    }
    variants
}

fn hold(site: &'static Site, row: &Row) {
    let place = site.place(&row.command);
    let words = words(&row.command, &place.prefix);
    let mut cases: Vec<(String, &Need, usize)> = Vec::new();
    let mut grants: Vec<Grant> = Vec::new();
    for (index, lacking) in row.needs.iter().enumerate() {
        // A deletion that is refused late has deleted something; what is hidden is noticed before.
        let variants = if row.command == "clean" { 1 } else { 2 };
        for (variant, rest) in without(&row.needs, lacking).into_iter().take(variants).enumerate() {
            let user = place.user(&format!("{index}-{variant}"));
            grants.extend(rest.iter().map(|need| Grant::of(&user, &place.prefix, need)));
            cases.push((user, lacking, variant));
        }
    }
    let whole = place.user("whole");
    grants.extend(row.needs.iter().map(|need| Grant::of(&whole, &place.prefix, need)));
    let users: Vec<String> = cases.iter().map(|(user, ..)| user.clone()).chain([whole.clone()]).collect();
    site.people(&users, &grants);
    prepare(&place, &row.command);
    for (user, lacking, variant) in cases {
        let (run, took) = place.run_as(&user, &words);
        let case = format!("{words}, without {lacking} ({variant}), after {took:?}");
        check(&run, &place, &user, lacking, &case);
        assert!(took < TIMEOUT, "{case}: it waited for the whole --timeout");
    }
    let (run, _) = place.run_as(&whole, &words);
    assert_eq!(run.code(), 0, "{words} with its least rights:\n{}", run.stderr);
}

/// The end of a run that lacked a right: it names principal, operation and resource, and the command that grants it.
pub fn check(run: &Run, place: &Place, user: &str, lacking: &Need, case: &str) {
    let told = format!("{case}:\nstdout:\n{}\nstderr:\n{}", run.stdout, run.stderr);
    assert_eq!(run.code(), 5, "{told}");
    let (message, hint) = run.stderr.split_once("hint: ").unwrap_or_else(|| panic!("no hint: {told}"));
    assert!(message.contains(&format!("User:{user} lacks ")), "the principal: {told}");
    let star = if lacking.kind == Kind::TransactionalId { "*" } else { "" };
    let resource = format!(" on {:?} {}{}{star}", lacking.kind, place.prefix, lacking.name);
    let named = message
        .split(&resource)
        .next()
        .filter(|before| *before != message)
        .unwrap_or_else(|| panic!("{resource}: {told}"));
    let operations = named.rsplit([':', ';']).next().expect("the last part");
    assert!(operations.split_whitespace().any(|word| word == lacking.operation), "{}: {told}", lacking.operation);
    let granted = hint.split(" ; ").any(|command| {
        command.contains(&format!("--allow-principal User:{user} "))
            && command.contains(&format!("--operation {} ", lacking.operation))
            && command
                .trim_end()
                .replace(" --resource-pattern-type prefixed", "")
                .ends_with(&lacking.argument(&place.prefix))
    });
    assert!(granted, "the command that grants it: {told}");
}
