//! Readings of an audit of a prefix: the folds of the first reading, and what they allow to claim.

use std::ops::Range;

use super::Frozen;
use super::folds::PrefixFold;
use crate::audit::{Claims, DecisionFold, LetterFold, OrderFold, PartitionPlan};

/// The folds of the first reading, by partition.
pub(super) struct Readings {
    pub orders: Vec<OrderFold>,
    pub decisions: Vec<DecisionFold>,
    pub dead_letters: Vec<LetterFold>,
}

impl Readings {
    pub fn of(folds: Vec<PrefixFold>) -> Self {
        let mut readings = Self { orders: Vec::new(), decisions: Vec::new(), dead_letters: Vec::new() };
        for fold in folds {
            match fold {
                PrefixFold::Orders(fold, _) => readings.orders.push(*fold),
                PrefixFold::Decisions(fold, _) => readings.decisions.push(*fold),
                PrefixFold::DeadLetters(fold, _) => readings.dead_letters.push(*fold),
            }
        }
        readings
    }

    /// What is claimed about the outputs of a partition. After a stop it is what was read of all three topics.
    pub fn claims(
        &self,
        frozen: &Frozen<'_>,
        plan: &PartitionPlan,
        partition: usize,
        later: Option<i64>,
        was_stopped: bool,
    ) -> Option<Claims> {
        if !plan.has_sources {
            return None;
        }
        let (orders, decisions, letters) =
            (&self.orders[partition], &self.decisions[partition], &self.dead_letters[partition]);
        let Range { start, mut end } = plan.orders.required.clone();
        end = end.min(orders.position);
        // After the first that is left of a topic, all of them are left.
        let after_first = |log_start: i64, first: Option<i64>| match (log_start, first) {
            (0, _) => start,
            (_, Some(first)) => start.max(first.saturating_add(1)),
            (_, None) => end,
        };
        let from = after_first(frozen.decisions.starts[partition], decisions.first.map(|(source, _)| source));
        let letters_from = after_first(frozen.dead_letters.starts[partition], letters.first);
        let mut decided = from..end;
        let mut dead_letters = letters_from..end;
        if was_stopped {
            // The outputs of an order are complete once those of a later order were read.
            if decisions.position < frozen.decisions.ends[partition] {
                decided.end = decided.end.min(decisions.last().map_or(start, |(source, _)| source));
            }
            if letters.position < frozen.dead_letters.ends[partition] {
                dead_letters.end = dead_letters.end.min(letters.sources.map_or(start, |(_, highest)| highest));
            }
        }
        // Only whole chunks are compared.
        decided = orders.decisions.whole_chunks(&decided);
        dead_letters = orders.dead_letters.whole_chunks(&dead_letters);
        let has_offsets = later.is_some() || frozen.committed.iter().any(Option::is_some);
        Some(Claims {
            decided: decided.start..decided.end.max(decided.start),
            dead_letters: dead_letters.start..dead_letters.end.max(dead_letters.start),
            begins_at_start: plan.begins_at_start,
            undecided_from: if was_stopped || !has_offsets {
                i64::MAX
            } else {
                later.unwrap_or(plan.orders.required.end)
            },
            orders_end: if was_stopped { i64::MAX } else { frozen.orders.ends[partition] },
        })
    }
}
