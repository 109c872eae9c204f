//! Summary of a scenario run: what it is about, what happened in a sentence or two, and the key figures.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;

use super::{
    format,
    lag::{LagView, drained, peak, rise},
    page::Tile,
    replay,
};
use crate::analytics::MetricsDocument;
use crate::audit::AuditDocument;
use crate::inventory::{DeadLetterRow, InventoryDocument};
use crate::replay::{ReplayDocument, ReplayVerdict};
use crate::scenario::{EndedBy, EventKind, LagSeries, ScenarioDocument, ScenarioVerdict, StepOutcome};
use crate::units::counted;

/// The most tiles.
const TILES: usize = 6;

/// What a run is about, which decides about the picture at the top of its page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject {
    /// The lag of a group, by its index.
    Lag(usize),
    /// Bad records.
    DeadLetters,
    /// Replays.
    Replays,
    /// Orders by minute.
    Orders,
    /// None of these.
    Other,
}

/// The results of a run, from the documents of its steps.
#[derive(Debug)]
pub(super) struct Summary<'a> {
    pub(super) document: &'a ScenarioDocument,
    pub(super) subject: Subject,
    /// The last metrics, and the step that printed them.
    pub(super) metrics: Option<(MetricsDocument, &'a str)>,
    /// Every replay with the name of its step.
    pub(super) replays: Vec<(&'a str, ReplayDocument)>,
    /// Every audit with the name of its step.
    pub(super) audits: Vec<(&'a str, AuditDocument)>,
    /// The bad records by reason, of all processes that wrote a document.
    pub(super) dead_letters: Vec<DeadLetterRow>,
    /// Records that the broker acknowledged; `None` without a producer.
    acknowledged: Option<u64>,
    /// Orders that the processes decided; `None` if one wrote no document.
    decided: Option<u64>,
    /// Whether every process that decides orders wrote a document. A killed one writes none.
    pub(super) is_complete: bool,
    busiest: Option<&'a LagSeries>,
}

impl<'a> Summary<'a> {
    pub(super) fn of(document: &'a ScenarioDocument, view: &LagView<'a>) -> Self {
        let inventories: Vec<InventoryDocument> =
            documents(document, InventoryDocument::SCHEMA).map(|(_, it)| it).collect();
        let replays: Vec<(&str, ReplayDocument)> = documents(document, "foodstream.replay/1").collect();
        let metrics = last_metrics(document, &replays);
        let produced: Vec<Option<u64>> =
            runs_of(document, "produce").map(|step| step.document.as_ref()?.get("acknowledged")?.as_u64()).collect();
        let complete = runs_of(document, "inventory").all(|step| step.document.is_some());
        let dead_letters = merged(&inventories);
        let orders = inventories.iter().map(|inventory| inventory.orders).fold(0, u64::saturating_add);
        let busiest = view.busiest();
        let is_lag = is_about_lag(document);
        let subject = match busiest {
            Some(group) if is_lag => Subject::Lag(group),
            _ if !dead_letters.is_empty() => Subject::DeadLetters,
            _ if !replays.is_empty() => Subject::Replays,
            _ if metrics.as_ref().is_some_and(|(metrics, _)| !metrics.by_minute.is_empty()) => Subject::Orders,
            Some(group) => Subject::Lag(group),
            None => Subject::Other,
        };
        Self {
            document,
            subject,
            metrics,
            replays,
            audits: documents(document, AuditDocument::SCHEMA).collect(),
            dead_letters,
            acknowledged: (!produced.is_empty())
                .then(|| produced.into_iter().try_fold(0, |sum: u64, one| sum.checked_add(one?)))
                .flatten(),
            decided: (complete && !inventories.is_empty()).then_some(orders),
            is_complete: complete,
            busiest: busiest.map(|group| &view.groups[group]),
        }
    }

    /// What happened, in a sentence or two; empty if that is not known.
    pub(super) fn story(&self) -> String {
        match self.subject {
            // The results of an interrupted run are partial.
            _ if self.document.verdict == ScenarioVerdict::Interrupted => String::new(),
            Subject::Lag(_) if self.kills() > 0 => self.story_of_kills(),
            Subject::Lag(_) => self.busiest.map(rise).unwrap_or_default(),
            Subject::DeadLetters => self.story_of_dead_letters(),
            Subject::Replays => self.story_of_replays(),
            Subject::Orders => self.story_of_orders(),
            Subject::Other => String::new(),
        }
    }

    fn story_of_kills(&self) -> String {
        let kills = match self.kills() {
            1 => "A process was killed with kill -9".to_owned(),
            2 => "Processes were killed twice with kill -9".to_owned(),
            kills => format!("Processes were killed {} times with kill -9", format::grouped(kills)),
        };
        let open = match (self.uncommitted(), self.kills()) {
            (0, _) => String::new(),
            (offsets, 1) => format!(", with {} in open transactions", counted(offsets, "offset")),
            (offsets, _) => format!(", with up to {} in open transactions at a kill", counted(offsets, "offset")),
        };
        let orders = self.story_of_orders();
        format!("{kills}{open}.{}{orders}", if orders.is_empty() { "" } else { " " })
    }

    fn story_of_dead_letters(&self) -> String {
        let Some(bad) = self.bad_records() else {
            return "Each bad record became a dead letter with its reason.".to_owned();
        };
        let orders = match &self.metrics {
            Some((metrics, _)) => (metrics.inventory.pending_orders == 0).then_some(metrics.total_orders),
            None => self.decided,
        };
        match (self.acknowledged, orders) {
            (Some(all), Some(orders)) if bad.checked_add(orders) == Some(all) => format!(
                "{} of {} records were bad. Each became a dead letter with its reason, and the other {} were decided as orders.",
                format::grouped(bad),
                format::grouped(all),
                format::grouped(orders),
            ),
            _ => {
                let verb = if bad == 1 { "was" } else { "were" };
                format!("{} {verb} bad. Each became a dead letter with its reason.", counted(bad, "record"))
            }
        }
    }

    fn story_of_replays(&self) -> String {
        if let [(_, only)] = self.replays.as_slice() {
            return replay::sentence(only);
        }
        let all = self.replays.len();
        // Different is also a replay that proves nothing, without a difference.
        match all - self.identical() {
            0 => {}
            1 => return format!("1 of {} was not identical.", counted(all as u64, "replay")),
            others => return format!("{others} of {} were not identical.", counted(all as u64, "replay")),
        }
        format!(
            "{} read {} again. Every metric and every digest was the same each time.",
            counted(all as u64, "replay"),
            counted(self.read_again(), "record")
        )
    }

    fn story_of_orders(&self) -> String {
        let Some((metrics, _)) = &self.metrics else { return String::new() };
        let inventory = &metrics.inventory;
        let outcomes = format!(
            "{} reserved, {} rejected, {} released",
            format::grouped(inventory.reserved_orders),
            format::grouped(inventory.rejected_orders),
            format::grouped(inventory.released_orders),
        );
        let orders = counted(metrics.total_orders, "order");
        match inventory.pending_orders {
            0 if self.is_decided_once(metrics) => format!("Each of the {orders} was decided exactly once: {outcomes}."),
            0 => format!("Decisions about {orders}: {outcomes}."),
            pending => format!("Decisions about {orders}: {outcomes}, {} pending.", format::grouped(pending)),
        }
    }

    /// The key figures that fit the subject.
    pub(super) fn tiles(&self) -> Vec<Tile> {
        let mut tiles = Vec::new();
        let mut tile = |number: String, what: &str| tiles.push(Tile { number, what: what.to_owned() });
        if self.kills() > 0 {
            let survived = self.document.verdict == ScenarioVerdict::Passed;
            tile(format::grouped(self.kills()), if survived { "kills survived" } else { "processes killed" });
        }
        if self.uncommitted() > 0 {
            let what = match self.kills() {
                1 => "offsets in open transactions at the kill",
                _ => "offsets in open transactions at a kill, at most",
            };
            tile(format::grouped(self.uncommitted()), what);
        }
        if let (Subject::Lag(_), Some(group)) = (self.subject, self.busiest) {
            let highest = peak(group).map_or(0, |(_, messages)| messages);
            tile(format::grouped(highest), "messages of lag at the peak");
            if let Some(at) = drained(group).filter(|_| self.kills() == 0) {
                let start = peak(group).map_or(0.0, |(start, _)| start);
                tile(format::seconds(at - start), "from the peak until the lag was 0");
            }
        }
        if !self.replays.is_empty() {
            tile(format!("{} of {}", self.identical(), self.replays.len()), "replays identical");
            tile(format::grouped(self.read_again()), "records read again");
        }
        if !self.dead_letters.is_empty() {
            if let Some(bad) = self.bad_records() {
                tile(format::grouped(bad), "dead letters");
            }
            if self.is_complete {
                tile(format::grouped(self.dead_letters.len() as u64), "reasons");
            }
        }
        if let Some((metrics, _)) = &self.metrics {
            tile(format::grouped(metrics.total_orders), "orders");
            if self.subject == Subject::Orders {
                tile(format::grouped(metrics.inventory.reserved_orders), "reserved");
                tile(format::grouped(metrics.inventory.rejected_orders), "rejected");
            }
            match metrics.inventory.pending_orders {
                0 if self.is_decided_once(metrics) => tile("0".to_owned(), "orders lost or decided twice"),
                0 => {}
                pending => tile(format::grouped(pending), "orders pending"),
            }
        } else {
            if let Some(acknowledged) = self.acknowledged {
                tile(format::grouped(acknowledged), "orders produced");
            }
            if let Some(decided) = self.decided {
                tile(format::grouped(decided), "orders decided");
            }
        }
        tiles.truncate(TILES - 1);
        let expectations = &self.document.expectations;
        if !expectations.is_empty() {
            let held = expectations.iter().filter(|expectation| expectation.held).count();
            let number = format!("{} of {}", format::grouped(held as u64), format::grouped(expectations.len() as u64));
            tiles.push(Tile { number, what: "expectations held".to_owned() });
        }
        tiles
    }

    fn kills(&self) -> u64 {
        self.document.steps.iter().filter(|step| step.ended_by == Some(EndedBy::Kill)).count() as u64
    }

    /// The most offsets in open transactions at a kill. They cannot be added up: a transaction of an earlier process may
    /// still be open at the next kill.
    fn uncommitted(&self) -> i64 {
        self.document.steps.iter().filter_map(|step| step.uncommitted).max().unwrap_or_default()
    }

    /// The number of dead letters; `None` if neither the documents of all processes nor the metrics have it.
    fn bad_records(&self) -> Option<u64> {
        let found = self.dead_letters.iter().map(|row| row.records).fold(0, u64::saturating_add);
        if self.is_complete {
            return Some(found);
        }
        // Metrics that were printed before the end may have fewer.
        self.metrics.as_ref().map(|(metrics, _)| metrics.bad_records).filter(|counted| *counted >= found)
    }

    /// Whether each order that a producer got acknowledged has one decision. Unknown, and so not shown, if a producer
    /// wrote no document.
    fn is_decided_once(&self, metrics: &MetricsDocument) -> bool {
        let read = metrics.total_orders.checked_add(metrics.bad_records);
        self.acknowledged.is_some() && self.acknowledged == read && has_one_decision_each(metrics)
    }

    fn identical(&self) -> usize {
        self.replays.iter().filter(|(_, replay)| replay.verdict == ReplayVerdict::Identical).count()
    }

    fn read_again(&self) -> u64 {
        self.replays.iter().map(|(_, replay)| replay.records).fold(0, u64::saturating_add)
    }
}

/// Whether the script is about lag: it has expectations about more than the lag at the end, or it disturbs a process.
fn is_about_lag(document: &ScenarioDocument) -> bool {
    let is_lag = |value: &str| value.starts_with("lag.") && value != "lag.final";
    document.expectations.iter().any(|expectation| is_lag(&expectation.value))
        || document.events.iter().any(|event| matches!(event.kind, EventKind::Killed | EventKind::Paused))
}

/// Whether in each minute and at each restaurant every order has one decision, no fewer and no more.
fn has_one_decision_each(metrics: &MetricsDocument) -> bool {
    let is_one = |total: u64, decisions: [u64; 3]| {
        decisions.into_iter().try_fold(0, |sum: u64, one| sum.checked_add(one)) == Some(total)
    };
    let inventory = &metrics.inventory;
    metrics.left_out.is_none()
        && metrics.total_orders > 0
        && is_one(
            metrics.total_orders,
            [inventory.reserved_orders, inventory.rejected_orders, inventory.released_orders],
        )
        && metrics.by_minute.iter().all(|row| is_one(row.total, [row.reserved, row.rejected, row.released]))
        && metrics.by_restaurant.iter().all(|row| is_one(row.total, [row.reserved, row.rejected, row.released]))
}

/// The steps that run a command.
fn runs_of<'a>(document: &'a ScenarioDocument, command: &'a str) -> impl Iterator<Item = &'a StepOutcome> + 'a {
    document.steps.iter().filter(move |step| step.runs(command))
}

/// The documents with this schema, and the steps that printed them.
fn documents<'a, T: DeserializeOwned>(
    document: &'a ScenarioDocument,
    schema: &'a str,
) -> impl Iterator<Item = (&'a str, T)> + 'a {
    document.steps.iter().filter_map(move |step| {
        let found = step.document.as_ref().filter(|found| found.get("schema").is_some_and(|name| *name == schema))?;
        Some((step.name.as_str(), serde_json::from_value(found.clone()).ok()?))
    })
}

/// The last metrics of a run, from a metrics document or a replay, and the step that printed them.
fn last_metrics<'a>(
    document: &'a ScenarioDocument,
    replays: &[(&'a str, ReplayDocument)],
) -> Option<(MetricsDocument, &'a str)> {
    let place = |name: &str| document.steps.iter().rposition(|step| step.name == name);
    let printed = documents(document, "foodstream.metrics/1").last().map(|(name, metrics)| (metrics, name));
    let replayed = replays.last().map(|(name, replay)| (&replay.after, *name));
    match (printed, replayed) {
        (Some(printed), Some(replayed)) if place(printed.1) < place(replayed.1) => {
            Some((replayed.0.clone(), replayed.1))
        }
        (Some(printed), _) => Some(printed),
        (None, replayed) => replayed.map(|(metrics, name)| (metrics.clone(), name)),
    }
}

/// The dead letters of several processes, by reason: the most frequent first.
fn merged(inventories: &[InventoryDocument]) -> Vec<DeadLetterRow> {
    let mut by_reason: BTreeMap<&str, DeadLetterRow> = BTreeMap::new();
    for row in inventories.iter().flat_map(|inventory| &inventory.dead_letters_by_reason) {
        let known = by_reason.entry(&row.reason).or_insert_with(|| DeadLetterRow { records: 0, ..row.clone() });
        known.records = known.records.saturating_add(row.records);
    }
    let mut rows: Vec<_> = by_reason.into_values().collect();
    rows.sort_by(|left, right| right.records.cmp(&left.records).then_with(|| left.reason.cmp(&right.reason)));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analytics::test_support::example;

    #[test]
    fn one_decision_for_each_order_of_each_minute_and_restaurant() {
        let mut metrics = example();
        let mut total = 0;
        for row in &mut metrics.by_minute {
            (row.reserved, row.rejected, row.released) = (row.total, 0, 0);
            total += row.total;
        }
        for row in &mut metrics.by_restaurant {
            (row.reserved, row.rejected, row.released) = (row.total, 0, 0);
        }
        metrics.total_orders = total;
        metrics.left_out = None;
        let inventory = &mut metrics.inventory;
        (inventory.reserved_orders, inventory.rejected_orders, inventory.released_orders) = (total, 0, 0);
        assert!(total > 0 && has_one_decision_each(&metrics));
        let mut twice = metrics.clone();
        // One order is decided twice, and another not at all.
        twice.by_minute[0].rejected += 1;
        twice.by_minute[1].reserved -= 1;
        assert!(!has_one_decision_each(&twice), "by minute");
        let mut twice = metrics.clone();
        twice.by_restaurant[0].released += 1;
        assert!(!has_one_decision_each(&twice), "by restaurant");
        metrics.inventory.rejected_orders += 1;
        assert!(!has_one_decision_each(&metrics), "in total");
    }
}
