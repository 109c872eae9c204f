//! Owns the sum: the counts of all source partitions, merged in any order, and the document made of it.

use std::collections::BTreeMap;

use super::{
    Hundredths, InventoryMetrics, MetricsDocument, MetricsSchema, MinuteRow, RangeRow, RestaurantRow, Tallies, Tally,
    Totals,
};
use crate::{
    domain::{Minute, Reason},
    state::Digest,
};

/// The counts of any number of source partitions and the ranges they stand for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Metrics {
    minutes: BTreeMap<Minute, Tally>,
    restaurants: BTreeMap<Box<str>, Tally>,
    totals: Totals,
    ranges: BTreeMap<(String, i32), Range>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    start: i64,
    end: i64,
    digest: Digest,
}

impl Metrics {
    /// Adds what a source partition has counted.
    pub fn add(&mut self, tallies: &Tallies) {
        for (minute, tally) in tallies.minutes() {
            self.minutes.entry(minute).or_default().add(tally);
        }
        for (name, tally) in tallies.restaurants() {
            self.add_restaurant(name, tally);
        }
        self.totals.add(&tallies.totals());
    }

    fn add_restaurant(&mut self, name: &str, tally: &Tally) {
        if let Some(sum) = self.restaurants.get_mut(name) {
            sum.add(tally);
        } else {
            self.restaurants.insert(name.into(), *tally);
        }
    }

    /// Adds the range of a source partition that was counted: from `start` to before `end`, both positions.
    ///
    /// Two ranges of one partition become the one that spans both; they must share no record.
    pub fn add_range(&mut self, topic: &str, partition: i32, start: i64, end: i64, digest: Digest) {
        let range = Range { start, end, digest };
        self.ranges
            .entry((topic.to_owned(), partition))
            .and_modify(|known| {
                *known =
                    Range { start: known.start.min(start), end: known.end.max(end), digest: known.digest.plus(digest) };
            })
            .or_insert(range);
    }

    /// Adds other metrics, of records that are in none of these.
    pub fn merge(&mut self, other: &Self) {
        for (minute, tally) in &other.minutes {
            self.minutes.entry(*minute).or_default().add(tally);
        }
        for (name, tally) in &other.restaurants {
            self.add_restaurant(name, tally);
        }
        self.totals.add(&other.totals);
        for ((topic, partition), range) in &other.ranges {
            self.add_range(topic, *partition, range.start, range.end, range.digest);
        }
    }

    /// The document.
    #[must_use]
    pub fn document(&self) -> MetricsDocument {
        let Totals { tally, skipped, bad, out_of_stock, order_incomplete } = self.totals;
        // Decisions may be counted in minutes of which no order was read yet: those have none.
        let with_orders = || self.minutes.iter().filter(|(_, tally)| tally.total > 0);
        MetricsDocument {
            schema: MetricsSchema::Version1,
            total_orders: tally.total,
            failed_orders: tally.failed,
            failure_rate_percent: Hundredths::percent(tally.failed.into(), tally.total.into()),
            average_orders_per_minute: Hundredths::average(tally.total.into(), with_orders().count() as u128),
            current_orders_per_minute: with_orders().next_back().map_or(0, |(_, tally)| tally.total),
            orders_by_minute: with_orders().map(|(minute, tally)| (minute.to_string(), tally.total)).collect(),
            inventory: InventoryMetrics {
                reserved_orders: tally.reserved,
                rejected_orders: tally.rejected,
                released_orders: tally.released,
                pending_orders: pending(&tally),
                rejection_rate_percent: rate(&[tally.rejected], &[tally.reserved]),
                unfulfilled_rate_percent: rate(&[tally.failed, tally.rejected], &[tally.reserved]),
                reserved_revenue: tally.revenue,
                rejected_by_reason: [(Reason::OrderIncomplete, order_incomplete), (Reason::OutOfStock, out_of_stock)]
                    .map(|(reason, lines)| (reason.as_str().to_owned(), lines))
                    .into(),
            },
            by_minute: counted(&self.minutes).map(|(minute, tally)| minute_row(minute.to_string(), tally)).collect(),
            by_restaurant: counted(&self.restaurants).map(|(name, tally)| restaurant_row(name, tally)).collect(),
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

/// The rows in which something was counted: a line that was given away for nothing leaves a tally of zeros.
fn counted<K>(rows: &BTreeMap<K, Tally>) -> impl Iterator<Item = (&K, &Tally)> {
    rows.iter().filter(|(_, tally)| !tally.is_zero())
}

/// Orders placed that no decision was counted for; negative when decisions were read ahead of their orders.
fn pending(tally: &Tally) -> i64 {
    let [total, failed, reserved, rejected] =
        [tally.total, tally.failed, tally.reserved, tally.rejected].map(i128::from);
    let pending = total - failed - reserved - rejected;
    i64::try_from(pending).unwrap_or(if pending < 0 { i64::MIN } else { i64::MAX })
}

/// `part` of `part` and `rest` together, in percent.
fn rate(part: &[u64], rest: &[u64]) -> Hundredths {
    let sum = |counts: &[u64]| counts.iter().copied().map(u128::from).sum::<u128>();
    Hundredths::percent(sum(part), sum(part) + sum(rest))
}

const fn minute_row(minute: String, tally: &Tally) -> MinuteRow {
    let Tally { total, failed, reserved, rejected, released, revenue } = *tally;
    MinuteRow { minute, total, failed, reserved, rejected, released, reserved_revenue: revenue }
}

fn restaurant_row(restaurant: &str, tally: &Tally) -> RestaurantRow {
    let Tally { total, failed, reserved, rejected, released, revenue } = *tally;
    let restaurant = restaurant.to_owned();
    RestaurantRow { restaurant, total, failed, reserved, rejected, released, reserved_revenue: revenue }
}
