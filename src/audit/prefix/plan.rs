//! Plan of an audit: what can be claimed about each partition, from its offsets and its position record.

use std::ops::Range;

use super::decision_fold::DecisionBounds;
use super::findings::{Finding, Findings, PrefixTopic};
use super::ledger_fold::LedgerFold;
use super::order_fold::OrderBounds;
use crate::audit::check::{Anomaly, Check};
use crate::inventory::StockSettings;
use crate::state::{TopicId, is_another_topic};

/// What is known about a partition before its orders are read.
#[derive(Debug, Clone)]
pub struct PartitionFacts<'a> {
    /// Its number.
    pub partition: i32,
    /// The topic of the orders.
    pub topic: &'a str,
    /// The name of the group.
    pub group: &'a str,
    /// The group's committed offset before the outputs were read.
    pub committed: Option<i64>,
    /// Start and end of the orders.
    pub orders: Range<i64>,
    /// The log start of the decisions.
    pub decisions_start: i64,
    /// Whether compaction may have removed records of the orders or of an output that keeps every record.
    pub is_compacted: bool,
    /// Whether an output has a transaction that does not end.
    pub is_stuck: bool,
    /// The id of the topic with the orders.
    pub topic_id: Option<TopicId>,
    /// The ledger.
    pub ledger: &'a LedgerFold,
    /// The settings that most partitions' position records have.
    pub settings: Option<StockSettings>,
}

/// What is read and claimed of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionPlan {
    /// The fold over the orders.
    pub orders: OrderBounds,
    /// The fold over the decisions.
    pub decisions: DecisionBounds,
    /// Whether the orders are those that were decided. Otherwise nothing is claimed about their decisions.
    pub has_sources: bool,
    /// Whether the first required order is the first that was ever read.
    pub begins_at_start: bool,
    /// What cannot be proved, as sentences without a full stop.
    pub unproved: Vec<String>,
}

impl PartitionPlan {
    /// Plans a partition.
    #[must_use]
    pub fn of(facts: &PartitionFacts<'_>) -> Self {
        let PartitionFacts { partition, topic, orders, committed, .. } = facts;
        let position = facts.ledger.position();
        let mut unproved = Vec::new();
        let mut settings = facts.settings;
        let mut has_sources = true;
        let end = committed.unwrap_or(orders.start);
        let kept_id = position.and_then(|position| position.topic_id.as_ref());
        if facts.is_compacted {
            // The topics are named once, not for each partition.
            (has_sources, settings) = (false, None);
        } else if position.is_some_and(|position| position.started_over) {
            has_sources = false;
            unproved.push(format!(
                "{topic}/{partition} was started over: its outputs include those about a topic that was deleted"
            ));
        } else if facts.is_stuck {
            has_sources = false;
            unproved.push(format!("an output of partition {partition} has a transaction that does not end"));
        } else if is_another_topic(kept_id, facts.topic_id.as_ref()) {
            has_sources = false;
            unproved.push(format!(
                "{topic} was deleted and created again: the orders of {topic}/{partition} that were decided are gone"
            ));
        } else if end > orders.end {
            has_sources = false;
            unproved.push(format!(
                "{topic}/{partition} ends at {}, but the group's offset is {end}: orders are gone",
                orders.end
            ));
        } else if settings.is_none() && end > orders.start {
            unproved.push(format!(
                "the ledger has no readable position for {topic}/{partition}: without the settings of the stock its decisions cannot be recomputed"
            ));
        }
        let mut start = orders.start;
        let mut begins_at_start = position.is_some() || start == 0;
        if let Some(position) = position.filter(|_| has_sources) {
            if position.next_offset > orders.end {
                unproved.push(format!(
                    "{topic}/{partition} ends at {}, but the ledger's position is {}: the ledger cannot be compared",
                    orders.end, position.next_offset
                ));
            }
            if position.log_start < start {
                settings = None;
                begins_at_start = false;
                unproved.push(format!(
                    "orders {} to {start} of {topic}/{partition} are gone: the stock after them cannot be recomputed",
                    position.log_start
                ));
            }
            start = start.max(position.log_start.min(end));
        }
        let required = if has_sources { start..end.max(start) } else { start..start };
        let is_complete = facts.decisions_start == 0;
        if !is_complete && has_sources {
            unproved.push(format!(
                "decisions of partition {partition} below offset {} are gone: orders before them cannot be judged",
                facts.decisions_start
            ));
        }
        let next = position.filter(|_| has_sources && settings.is_some()).map(|position| position.next_offset);
        let ledger_position = next.filter(|next| (start..=orders.end).contains(next));
        Self {
            decisions: DecisionBounds { partition: *partition, required: required.clone(), settings, is_complete },
            orders: OrderBounds {
                partition: *partition,
                fold_end: required.end.max(ledger_position.unwrap_or(start)),
                required,
                ledger_position,
                settings,
            },
            has_sources,
            begins_at_start,
            unproved,
        }
    }
}

/// Checks the position record of a partition against the group's offsets before and after the outputs were read.
pub fn check_position(facts: &PartitionFacts<'_>, later: Option<i64>, findings: &mut Findings) {
    let PartitionFacts { partition, topic, group, committed, ledger, .. } = facts;
    let check = Check::PositionEqualsOffset;
    findings.checked(check, 1);
    let record = ledger.position_record();
    let finding = |anomaly: Anomaly, summary: String| {
        let offset = record.map(|record| record.offset);
        let finding = Finding::new(anomaly, summary).record("position", PrefixTopic::Ledger, *partition, offset);
        // Perhaps it is what became of a later position.
        finding.record("unknown record", PrefixTopic::Ledger, *partition, ledger.first_unknown())
    };
    if let Some(problem) = record.and_then(|record| record.problem()) {
        findings.violated(check, || {
            let summary = format!("the position record of {topic}/{partition} {problem}");
            finding(Anomaly::WrongValue, summary).expects("a position record as this version writes it")
        });
        return;
    }
    let inconsistent = |summary: String| finding(Anomaly::InconsistentOffset, summary);
    let (position, committed, later) = match (ledger.position(), *committed, later) {
        (None, None, _) => {
            if let Some(offset) = ledger.first_item() {
                findings.violated(check, || {
                    let summary = format!("the ledger of {topic}/{partition} has stock, but no position");
                    inconsistent(summary).record("ledger", PrefixTopic::Ledger, *partition, offset)
                });
            }
            return;
        }
        (None, Some(committed), _) => {
            findings.violated(check, || {
                inconsistent(format!(
                    "the group's offset of {topic}/{partition} is {committed}, but the ledger has no position"
                ))
                .values(format!("next_offset {committed}"), None)
            });
            return;
        }
        (Some(position), None, None) => {
            findings.violated(check, || {
                inconsistent(format!("the ledger has a position for {topic}/{partition}, but the group has no offset"))
                    .values(None, format!("next_offset {}", position.next_offset))
            });
            return;
        }
        // The first commit came in between.
        (Some(position), None, Some(later)) => (position, position.next_offset.min(later), later),
        (Some(position), Some(committed), later) => (position, committed, later.unwrap_or(committed)),
    };
    let next = position.next_offset;
    if !(committed..=later.max(committed)).contains(&next) {
        findings.violated(check, || {
            inconsistent(format!("the ledger's position of {topic}/{partition} is not the group's offset"))
                .values(format!("next_offset {committed}"), format!("next_offset {next}"))
        });
        return;
    }
    if position.group != *group {
        findings.violated(check, || {
            finding(Anomaly::WrongValue, format!("the ledger of {topic}/{partition} belongs to another group"))
                .values((*group).to_owned(), position.group.clone())
        });
        return;
    }
    let settings = position.settings.as_ref().and_then(|kept| StockSettings::from_value(kept).ok());
    if settings.is_none() || settings != facts.settings {
        findings.violated(check, || {
            let shown = |settings: Option<StockSettings>| settings.map(|settings| settings.to_string());
            let summary = format!("the settings of {topic}/{partition} are not those of the other partitions");
            finding(Anomaly::WrongValue, summary).values(shown(facts.settings), shown(settings))
        });
        return;
    }
    if position.log_start > facts.orders.start {
        findings.violated(check, || {
            finding(
                Anomaly::WrongValue,
                format!("the ledger of {topic}/{partition} begins after the log's first offset"),
            )
            .values(format!("log_start {}", facts.orders.start), format!("log_start {}", position.log_start))
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::LogRecord;

    fn facts(ledger: &LedgerFold, committed: Option<i64>) -> PartitionFacts<'_> {
        PartitionFacts {
            partition: 0,
            topic: "order-events",
            group: "g",
            committed,
            orders: 0..9,
            decisions_start: 0,
            is_compacted: false,
            is_stuck: false,
            topic_id: None,
            ledger,
            settings: Some(StockSettings::default()),
        }
    }

    #[test]
    fn stock_without_a_position_is_inconsistent() {
        let mut ledger = LedgerFold::default();
        for (has_item, violations) in [(false, 0), (true, 1)] {
            if has_item {
                let (key, value) = (Some(&b"[\"r\",\"i\"]"[..]), Some(&b"{}"[..]));
                ledger.record(LogRecord { offset: 3, timestamp: None, key, value });
            }
            let mut findings = Findings::new(1);
            check_position(&facts(&ledger, None), None, &mut findings);
            let (check, found) = findings.by_check().next().expect("checked");
            assert_eq!((check, found.checked, found.violations), (Check::PositionEqualsOffset, 1, violations as u64));
            let places = found.first.iter().flat_map(|finding| &finding.records).map(|(.., offset)| *offset);
            assert_eq!(places.collect::<Vec<_>>(), vec![3; violations]);
        }
    }

    #[test]
    fn a_ledger_beyond_the_end_of_the_orders_is_not_silently_left_out() {
        let settings = StockSettings::default().to_value();
        let mut position = serde_json::json!({ "next_offset": 9, "log_start": 0, "group": "g", "settings": settings });
        let mut plan = |next_offset: i64| {
            position["next_offset"] = next_offset.into();
            let value = position.to_string();
            let mut ledger = LedgerFold::default();
            let key = Some(&b"[\"@position\"]"[..]);
            ledger.record(LogRecord { offset: 5, timestamp: None, key, value: Some(value.as_bytes()) });
            PartitionPlan::of(&facts(&ledger, Some(4)))
        };
        let at_the_end = plan(9);
        assert_eq!((at_the_end.unproved, at_the_end.orders.ledger_position), (vec![], Some(9)));
        let beyond = plan(10);
        assert_eq!(
            (beyond.unproved, beyond.orders.ledger_position),
            (
                vec![
                    "order-events/0 ends at 9, but the ledger's position is 10: the ledger cannot be compared"
                        .to_owned()
                ],
                None
            )
        );
    }
}
