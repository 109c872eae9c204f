//! Groups of command lines, and the processes that change a group's lag: its members and the producers.

use super::command_line::split;
use super::{RunEvent, StepOutcome};
use crate::topics::Names;

impl StepOutcome {
    /// Whether the process produces, or is a member of the group with this name on the cluster, where names have this
    /// prefix. Unknown commands count as both.
    #[must_use]
    pub fn affects_lag_of(&self, group: &str, prefix: &str) -> bool {
        let words = self.words();
        match group_of(&words, prefix) {
            Some(own) => own == group,
            None => words.first().is_none_or(|command| !matches!(command.as_str(), "lag" | "audit")),
        }
    }

    /// The rate limit of the process as its command line has it: `250/s`.
    #[must_use]
    pub fn rate_limit(&self) -> Option<String> {
        let words = self.words();
        ["--throttle", "--rate"].iter().find_map(|option| value_of(&words, option)).map(str::to_owned)
    }

    /// Whether the process runs this command.
    #[must_use]
    pub fn runs(&self, command: &str) -> bool {
        self.words().first().is_some_and(|first| first == command)
    }

    fn words(&self) -> Vec<String> {
        split(&self.run).unwrap_or_default().into_iter().map(|word| word.text).collect()
    }
}

/// The group whose member a command is, with the prefix; `None` for other commands.
pub(super) fn group_of(words: &[String], prefix: &str) -> Option<String> {
    let names = Names::new(prefix);
    let other = value_of(words, "--group");
    match words.first().map(String::as_str) {
        Some("inventory") => Some(names.inventory_group(other)),
        Some("analytics" | "replay") => Some(names.analytics_group(other)),
        _ => None,
    }
}

/// The value of an option, as `--rate 5/s` or `--rate=5/s`.
pub(super) fn value_of<'w>(words: &'w [String], option: &str) -> Option<&'w str> {
    words.iter().enumerate().find_map(|(at, word)| match word.strip_prefix(option)? {
        "" => words.get(at + 1).map(String::as_str),
        rest => rest.strip_prefix('='),
    })
}

/// The moments at which the rate of a group's lag may change: a producer or a member of the group is started, stopped,
/// killed, paused or resumed, or it ends.
#[must_use]
pub fn rate_changes(group: &str, prefix: &str, steps: &[StepOutcome], events: &[RunEvent]) -> Vec<f64> {
    let affects = |event: &&RunEvent| {
        let Some(step) = &event.step else { return false };
        steps.iter().find(|outcome| outcome.name == *step).is_none_or(|outcome| outcome.affects_lag_of(group, prefix))
    };
    events.iter().filter(affects).map(|event| event.at_seconds).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::EventKind;

    fn step(name: &str, run: &str) -> StepOutcome {
        StepOutcome {
            name: name.to_owned(),
            run: run.to_owned(),
            command: String::new(),
            background: false,
            started_seconds: 0.0,
            ended_seconds: None,
            ended_by: None,
            exit_code: None,
            document: None,
            stderr: Vec::new(),
            uncommitted: None,
        }
    }

    #[test]
    fn members_and_producers_affect_lag() {
        let affects = |run: &str, group: &str| {
            let prefix = if group.starts_with("lab.") { "lab." } else { "" };
            step("x", run).affects_lag_of(group, prefix)
        };
        assert!(affects("produce --rate 5/s", "inventory-consumer-group"));
        assert!(affects("inventory --throttle 5/s", "lab.inventory-consumer-group"));
        assert!(affects("inventory --group=tills", "lab.tills"));
        assert!(!affects("inventory --group tills", "lab.inventory-consumer-group"));
        assert!(!affects("inventory --group tills", "other-tills2"));
        assert!(!affects("inventory --group tills", "lab.other-tills"), "the end of another name");
        assert!(!affects("analytics --until-end", "inventory-consumer-group"));
        assert!(affects("replay", "analytics-consumer-group"));
        assert!(!affects("lag", "analytics-consumer-group"));
        assert!(!affects("audit --group tills", "inventory-consumer-group"));
    }

    #[test]
    fn first_word_is_the_command() {
        assert!(step("x", " 'produce' --count 5").runs("produce") && !step("x", "produce").runs("prod"));
        assert!(!step("x", "inventory --group produce").runs("produce") && !step("x", "").runs("produce"));
    }

    #[test]
    fn rate_limits_are_found() {
        assert_eq!(step("x", "produce --count 5 --rate 750/s").rate_limit().as_deref(), Some("750/s"));
        assert_eq!(step("x", "inventory --throttle=5/s").rate_limit().as_deref(), Some("5/s"));
        assert_eq!(step("x", "inventory --throttle").rate_limit(), None);
        assert_eq!(step("x", "inventory '").rate_limit(), None, "a line that cannot be split");
    }

    #[test]
    fn waits_and_other_groups_change_no_rate() {
        let event = |at_seconds, step: Option<&str>| RunEvent {
            at_seconds,
            kind: EventKind::Started,
            step: step.map(str::to_owned),
            text: String::new(),
        };
        let steps = [step("orders", "produce"), step("metrics", "analytics"), step("slow", "inventory")];
        let events =
            [event(1.0, Some("orders")), event(2.0, Some("metrics")), event(3.0, None), event(4.0, Some("slow"))];
        assert_eq!(rate_changes("inventory-consumer-group", "", &steps, &events), [1.0, 4.0]);
    }
}
