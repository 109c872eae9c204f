//! Owns rights that are granted: topics made with `Create`, a whole prefix given away, the printed command taken by Kafka's tool.

use libtest_mimic::{Failed, Trial};

use super::bounded::trial;
use super::grants::Grant;
use super::least_rights::check;
use super::site::{Place, Site};
use super::table::{Kind, Need};

pub fn trials(site: &'static Site) -> Vec<Trial> {
    let case = |name: &str, case: fn(&'static Site)| {
        trial(format!("granting::{name}"), move || {
            case(site);
            Ok::<(), Failed>(())
        })
    };
    vec![
        case("a_topic_that_is_not_there_wants_create_and_is_made_with_it", create),
        case("a_whole_prefix_is_given_by_prefixed_acls_and_nothing_beside_it", whole_prefix),
        case("kafkas_own_tool_takes_the_command_that_a_refusal_prints", printed_command),
    ]
}

fn create(site: &'static Site) {
    let place = site.place("create");
    let (without, with) = (place.user("without"), place.user("with"));
    let [write, create] = ["Write", "Create"].map(|operation| Need::new(Kind::Topic, "order-events", operation));
    let grants = [(&without, &write), (&with, &write), (&with, &create)]
        .map(|(user, need)| Grant::of(user, &place.prefix, need));
    site.people(&[without.clone(), with.clone()], &grants);
    let words = "produce --count 20 --seed 1";
    check(&place.run_as(&without, words).0, &place, &without, &create, words);
    place.run_as(&with, words).0.expect(0);
}

fn whole_prefix(site: &'static Site) {
    let place = site.place("whole");
    let user = place.user("owner");
    let grant = |kind, operation: &str| Grant {
        user: user.clone(),
        kind,
        name: place.prefix.clone(),
        prefixed: true,
        operation: operation.to_owned(),
    };
    let mut grants: Vec<Grant> =
        ["Read", "Write", "Create", "DescribeConfigs"].map(|operation| grant(Kind::Topic, operation)).to_vec();
    grants.extend([grant(Kind::Group, "Read"), grant(Kind::TransactionalId, "Write")]);
    site.people(std::slice::from_ref(&user), &grants);
    for words in [
        "produce --count 60 --seed 1 --poison-rate 5%",
        "inventory --until-end --instance-id one",
        "analytics --from-beginning",
        "replay",
        "replay --undo",
    ] {
        place.run_as(&user, words).0.expect(0);
    }
    // Another prefix is another's.
    let elsewhere = site.place("elsewhere");
    let lacking = Need::new(Kind::Topic, "order-events", "Write");
    let words = "produce --count 20 --seed 1";
    check(&elsewhere.run_as(&user, words).0, &elsewhere, &user, &lacking, words);
}

fn printed_command(site: &'static Site) {
    let place = site.place("printed");
    let user = place.user("learner");
    let needs = ["order-events", "inventory-events", "analytics-state"]
        .into_iter()
        .flat_map(|topic| ["Read", "Write", "Create"].map(|operation| Need::new(Kind::Topic, topic, operation)))
        .chain([
            Need::new(Kind::Topic, "analytics-state", "DescribeConfigs"),
            Need::new(Kind::Group, "analytics-consumer-group", "Read"),
        ]);
    let grants: Vec<Grant> = needs.map(|need| Grant::of(&user, &place.prefix, &need)).collect();
    site.people(std::slice::from_ref(&user), &grants);
    place.run_as(&user, "produce --count 20 --seed 1").0.expect(0);
    let lacking = Need::new(Kind::TransactionalId, "analytics-consumer-group-", "Write");
    let words = "analytics --until-end";
    let refused = place.run_as(&user, words).0;
    check(&refused, &place, &user, &lacking, words);
    let (_, command) = refused.stderr.split_once("kafka-acls ").expect("a command");
    let admin = site.file("admin.java.properties").display().to_string();
    let words_of_it = command.split_whitespace().map(|word| word.replace("ADMIN.properties", &admin));
    Place::tool(&std::iter::once("kafka-acls".to_owned()).chain(words_of_it).collect::<Vec<_>>());
    place.run_as(&user, words).0.expect(0);
}
