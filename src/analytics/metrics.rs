//! Sum of the counts of source partitions, in any order, and the metrics document made from it.

use std::collections::BTreeMap;

use super::{
    CountsStore, Decimal, InventoryMetrics, MetricsDocument, MetricsSchema, MinuteRow, OrderCounts, RangeRow,
    RestaurantRow, Totals,
};
use crate::{
    domain::{Minute, Reason},
    state::Digest,
};

/// The counts of any number of source partitions, and their offset ranges.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Metrics {
    minutes: BTreeMap<Minute, OrderCounts>,
    restaurants: BTreeMap<Box<str>, OrderCounts>,
    totals: Totals,
    ranges: BTreeMap<(String, i32), CountedRange>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct CountedRange {
    start: i64,
    end: i64,
    digest: Digest,
}

impl Metrics {
    /// Adds the counts of a source partition.
    pub fn add(&mut self, partition: &CountsStore) {
        for (minute, counts) in partition.minutes() {
            self.minutes.entry(minute).or_default().add(counts);
        }
        for (name, counts) in partition.restaurants() {
            self.add_restaurant(name, counts);
        }
        self.totals.add(&partition.totals());
    }

    fn add_restaurant(&mut self, name: &str, counts: &OrderCounts) {
        if let Some(sum) = self.restaurants.get_mut(name) {
            sum.add(counts);
        } else {
            self.restaurants.insert(name.into(), *counts);
        }
    }

    /// Adds the counted range of a source partition, from `start` to before `end`.
    ///
    /// Two ranges of one partition become one that spans both; they must not have a common record.
    pub fn add_range(&mut self, topic: &str, partition: i32, start: i64, end: i64, digest: Digest) {
        let range = CountedRange { start, end, digest };
        self.ranges
            .entry((topic.to_owned(), partition))
            .and_modify(|known| {
                *known = CountedRange {
                    start: known.start.min(start),
                    end: known.end.max(end),
                    digest: known.digest.plus(digest),
                };
            })
            .or_insert(range);
    }

    /// Adds the metrics of other records.
    pub fn merge(&mut self, other: &Self) {
        for (minute, counts) in &other.minutes {
            self.minutes.entry(*minute).or_default().add(counts);
        }
        for (name, counts) in &other.restaurants {
            self.add_restaurant(name, counts);
        }
        self.totals.add(&other.totals);
        for ((topic, partition), range) in &other.ranges {
            self.add_range(topic, *partition, range.start, range.end, range.digest);
        }
    }

    /// The metrics document.
    #[must_use]
    pub fn document(&self) -> MetricsDocument {
        let Totals { orders: counts, skipped, bad, out_of_stock, order_incomplete } = self.totals;
        // A minute may have decisions whose orders were not read yet.
        let with_orders = || self.minutes.iter().filter(|(_, counts)| counts.total > 0);
        MetricsDocument {
            schema: MetricsSchema::Version1,
            total_orders: counts.total,
            failed_orders: counts.failed,
            failure_rate_percent: Decimal::percent(counts.failed.into(), counts.total.into()),
            average_orders_per_minute: Decimal::average(counts.total.into(), with_orders().count() as u128),
            current_orders_per_minute: with_orders().next_back().map_or(0, |(_, counts)| counts.total),
            orders_by_minute: with_orders().map(|(minute, counts)| (minute.to_string(), counts.total)).collect(),
            inventory: InventoryMetrics {
                reserved_orders: counts.reserved,
                rejected_orders: counts.rejected,
                released_orders: counts.released,
                pending_orders: pending(&counts),
                rejection_rate_percent: rate(&[counts.rejected], &[counts.reserved]),
                unfulfilled_rate_percent: rate(&[counts.failed, counts.rejected], &[counts.reserved]),
                reserved_revenue: counts.revenue,
                rejected_by_reason: [(Reason::OrderIncomplete, order_incomplete), (Reason::OutOfStock, out_of_stock)]
                    .map(|(reason, lines)| (reason.as_str().to_owned(), lines))
                    .into(),
            },
            by_minute: counted(&self.minutes).map(|(minute, counts)| minute_row(minute.to_string(), counts)).collect(),
            by_restaurant: counted(&self.restaurants).map(|(name, counts)| restaurant_row(name, counts)).collect(),
            left_out: None,
            skipped_records: skipped,
            bad_records: bad,
            range: self
                .ranges
                .iter()
                .map(|((topic, partition), range)| RangeRow {
                    topic: topic.clone(),
                    partition: *partition,
                    start: range.start,
                    end: range.end,
                    digest: range.digest,
                })
                .collect(),
        }
    }
}

/// The rows that are not zero. A reserved line with price 0 leaves a row of zeros.
fn counted<K>(rows: &BTreeMap<K, OrderCounts>) -> impl Iterator<Item = (&K, &OrderCounts)> {
    rows.iter().filter(|(_, counts)| !counts.is_zero())
}

/// Placed orders without a decision; negative when decisions were read before their orders.
fn pending(counts: &OrderCounts) -> i64 {
    let [total, failed, reserved, rejected] =
        [counts.total, counts.failed, counts.reserved, counts.rejected].map(i128::from);
    let pending = total - failed - reserved - rejected;
    i64::try_from(pending).unwrap_or(if pending < 0 { i64::MIN } else { i64::MAX })
}

/// `part` as a percentage of `part` plus `rest`.
fn rate(part: &[u64], rest: &[u64]) -> Decimal {
    let sum = |counts: &[u64]| counts.iter().copied().map(u128::from).sum::<u128>();
    Decimal::percent(sum(part), sum(part) + sum(rest))
}

const fn minute_row(minute: String, counts: &OrderCounts) -> MinuteRow {
    let OrderCounts { total, failed, reserved, rejected, released, revenue } = *counts;
    MinuteRow { minute, total, failed, reserved, rejected, released, reserved_revenue: revenue }
}

fn restaurant_row(restaurant: &str, counts: &OrderCounts) -> RestaurantRow {
    let OrderCounts { total, failed, reserved, rejected, released, revenue } = *counts;
    let restaurant = restaurant.to_owned();
    RestaurantRow { restaurant, total, failed, reserved, rejected, released, reserved_revenue: revenue }
}
