//! Shapes of a workload in event time: waves with a lunch peak and a quiet afternoon, or a steady rate.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Rate;
use super::random::below;

/// How orders are spread over event time. The mean rate is that of the settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    /// Waves of 10,000 orders, which begin calmly, rise to a peak, and end with a quiet afternoon.
    ///
    /// Each wave takes as long as 10,000 orders at the mean rate. Its details depend on the seed.
    #[default]
    Lunch,
    /// A steady rate: the time between two orders is always the same.
    Flat,
}

/// Orders of a wave.
const WAVE: u64 = 10_000;

/// Orders of each fortieth of a wave: of each minute, at the default rate of 250 per minute.
const MINUTES: [u64; 40] = [
    118, 120, 124, 128, 134, 142, 154, 172, // a calm late morning
    200, 245, 310, 385, 460, 520, 565, 585, 590, 590, 576, 530, // lunch
    485, 430, 370, 305, 245, 195, 158, 130, // it ends
    112, 96, 88, 84, 82, 80, 80, 80, 80, 82, 84, 86, // a quiet afternoon
];

/// Steps of a minute. The rate is constant within a step.
const QUARTERS: usize = 4;
/// Steps of a wave, which all take equally long.
const STEPS: usize = MINUTES.len() * QUARTERS;

/// The mean number of orders of a wave before each step, and before the end.
const ORDERS_BEFORE: [u64; STEPS + 1] = {
    let mut before = [0; STEPS + 1];
    let mut step = 0;
    while step < STEPS {
        let minute = MINUTES[step / QUARTERS];
        let quarter = (step % QUARTERS) as u64;
        // Rounded down before the difference is taken, so that the four quarters add up to the minute.
        before[step + 1] = before[step] + minute * (quarter + 1) / 4 - minute * quarter / 4;
        step += 1;
    }
    assert!(before[STEPS] == WAVE, "the minutes add up to a wave");
    before
};

/// How many orders more or fewer than in the mean may come before each step.
///
/// The numbers vary about as much as those of independent customers, for whom the standard deviation is a square root.
/// A step keeps a tenth of its mean number, and before a wave and after it the number is exact.
const SPREAD: [u64; STEPS + 1] = {
    const fn smaller(left: u64, right: u64) -> u64 {
        if left < right { left } else { right }
    }
    let mut spread = [0; STEPS + 1];
    let mut step = 1;
    while step < STEPS {
        let orders =
            smaller(ORDERS_BEFORE[step] - ORDERS_BEFORE[step - 1], ORDERS_BEFORE[step + 1] - ORDERS_BEFORE[step]);
        spread[step] = smaller(orders * 9 / 20, orders.isqrt() * 5 / 2);
        step += 1;
    }
    spread
};

impl Shape {
    /// The time of an order after the first one, in event time. Times do not decrease with the index.
    ///
    /// Computed in integers from the arguments alone, so that it is the same on every machine. `step` is the step of an
    /// earlier call, of any order and seed: it saves time for the next order of the same step, and changes no result.
    pub(super) fn due(self, rate: Rate, seed: u64, index: u64, step: &mut Option<Step>) -> Duration {
        match self {
            Self::Flat => rate.due(index),
            Self::Lunch => {
                let step = match *step {
                    Some(step) if step.has(seed, index) => step,
                    _ => *step.insert(Step::of(seed, index)),
                };
                // A step takes as long as WAVE / STEPS orders at the mean rate.
                let orders = step.number * step.orders + (index - step.first);
                let within = rate.due_fraction(orders * WAVE, STEPS as u64 * step.orders);
                rate.due(step.wave).saturating_add(within)
            }
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lunch => "lunch",
            Self::Flat => "flat",
        })
    }
}

/// A step of a wave with its orders, of which there is at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step {
    seed: u64,
    /// The index of the first order of the wave.
    wave: u64,
    /// The number of the step in the wave.
    number: u64,
    /// The index of the first order of the step.
    first: u64,
    /// The number of its orders.
    orders: u64,
}

impl Step {
    /// The step of an order.
    fn of(seed: u64, index: u64) -> Self {
        let (wave, order) = (index / WAVE, index % WAVE);
        // The step in the mean. A seed moves its bounds by less than half of a step.
        let mut step = ORDERS_BEFORE[1..STEPS].partition_point(|before| *before <= order);
        let (mut first, mut end) = (orders_before(seed, wave, step), orders_before(seed, wave, step + 1));
        if order < first {
            step -= 1;
            (first, end) = (orders_before(seed, wave, step), first);
        } else if order >= end {
            step += 1;
            (first, end) = (end, orders_before(seed, wave, step + 1));
        }
        let wave = wave * WAVE;
        Self { seed, wave, number: step as u64, first: wave + first, orders: end - first }
    }

    /// Whether an order is in this step.
    const fn has(&self, seed: u64, index: u64) -> bool {
        // The index of the end can exceed 64 bits.
        self.seed == seed && index >= self.first && index - self.first < self.orders
    }
}

/// The orders of a wave before a step.
fn orders_before(seed: u64, wave: u64, step: usize) -> u64 {
    let (mean, spread) = (ORDERS_BEFORE[step], SPREAD[step]);
    mean - spread + below(seed, wave * STEPS as u64 + step as u64, 2 * spread + 1)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use proptest::prelude::*;

    use super::*;

    fn per_minute(orders: u64) -> Rate {
        Rate::per_minute(NonZeroU64::new(orders).expect("not zero"))
    }

    /// The time of an order, without the step of another.
    fn due(shape: Shape, rate: Rate, seed: u64, index: u64) -> Duration {
        shape.due(rate, seed, index, &mut None)
    }

    /// The orders of each minute of a wave, at the default rate.
    fn minutes(seed: u64, wave: u64) -> [u64; 40] {
        let mut minutes = [0; 40];
        for order in 0..WAVE {
            let due = due(Shape::Lunch, per_minute(250), seed, wave * WAVE + order);
            let minute = due.as_secs() / 60 - wave * 40;
            minutes[usize::try_from(minute).expect("small")] += 1;
        }
        minutes
    }

    #[test]
    fn a_wave_has_a_lunch_peak_and_a_quiet_afternoon() {
        for seed in 0..40 {
            let minutes = minutes(seed, seed % 3);
            assert_eq!(minutes.iter().sum::<u64>(), WAVE);
            let (peak, orders) = (0..).zip(minutes).max_by_key(|(_, orders)| *orders).expect("a minute");
            assert!((12..20).contains(&peak) && (560..=650).contains(&orders), "seed {seed}: {minutes:?}");
            let calm = &minutes[..8];
            assert!(calm.iter().all(|orders| (80..220).contains(orders)), "seed {seed}: {minutes:?}");
            let afternoon = &minutes[30..];
            assert!(afternoon.iter().all(|orders| (50..=120).contains(orders)), "seed {seed}: {minutes:?}");
            assert!((780..880).contains(&afternoon.iter().sum::<u64>()), "seed {seed}: {minutes:?}");
        }
    }

    #[test]
    fn minutes_vary_with_seed_and_wave() {
        let one = minutes(7, 0);
        for other in [minutes(8, 0), minutes(7, 1)] {
            let differ = one.iter().zip(&other).filter(|(one, other)| one != other).count();
            assert!(differ > 30, "{one:?}\n{other:?}");
        }
    }

    #[test]
    fn a_wave_begins_where_the_one_before_ends() {
        for (wave, rate) in [(1, per_minute(250)), (7, per_minute(25)), (1_000_000, per_minute(7))] {
            assert_eq!(due(Shape::Lunch, rate, 1, wave * WAVE), rate.due(wave * WAVE));
        }
        let last = due(Shape::Lunch, per_minute(250), 1, WAVE - 1);
        assert!((2_397..2_400).contains(&last.as_secs()), "{last:?}");
    }

    /// A seed in a bug report or a scenario determines these times: they must not change.
    #[test]
    fn the_times_of_a_seed_are_fixed() {
        let due = [1, 2_500, 5_000, 7_500, 9_999, 12_345].map(|index| due(Shape::Lunch, per_minute(250), 42, index));
        insta::assert_snapshot!(format!("{due:?}"), @"[394.736842ms, 757.155963302s, 1026.655629139s, 1310.113636363s, 2399.4s, 3136.538461538s]");
        insta::assert_snapshot!(format!("{:?}", minutes(7, 0)), @"[125, 121, 112, 125, 150, 147, 128, 189, 193, 240, 335, 385, 424, 565, 538, 557, 648, 590, 547, 555, 437, 465, 350, 320, 226, 209, 165, 118, 108, 111, 84, 79, 84, 71, 82, 85, 81, 86, 70, 95]");
    }

    /// Orders after each other, often of the same steps as those of other runs: one of two seeds, one of two rates, the
    /// first index and the length.
    fn any_run() -> impl Strategy<Value = (usize, usize, u64, u64)> {
        let first = prop_oneof![0..100u64, 0..3 * WAVE, u64::MAX - 2 * WAVE.., any::<u64>()];
        (0..2usize, 0..2usize, first, 1..200u64)
    }

    proptest! {
        #[test]
        fn times_do_not_decrease(
            events in 1u64.., nanos in 1u64..1_000_000_000_000, seed in any::<u64>(), index in any::<u64>(),
        ) {
            let rate: Rate = format!("{events}/{nanos}ns").parse().expect("a rate");
            for shape in [Shape::Lunch, Shape::Flat] {
                for index in [index, index % WAVE, index - index % WAVE] {
                    prop_assert!(due(shape, rate, seed, index) <= due(shape, rate, seed, index.saturating_add(1)));
                }
            }
        }

        /// So no step is empty, and each order is in one.
        #[test]
        fn every_step_has_orders(seed in any::<u64>(), wave in 0..u64::MAX / WAVE) {
            for step in 0..STEPS {
                let (first, end) = (orders_before(seed, wave, step), orders_before(seed, wave, step + 1));
                prop_assert!(first < end);
                let wave = wave * WAVE;
                let expected = Step { seed, wave, number: step as u64, first: wave + first, orders: end - first };
                for order in [first, end - 1] {
                    prop_assert_eq!(Step::of(seed, wave + order), expected);
                    prop_assert!(expected.has(seed, wave + order) && !expected.has(seed ^ 1, wave + order));
                }
                prop_assert!(!expected.has(seed, (wave + first).wrapping_sub(1)) && !expected.has(seed, wave + end));
            }
        }

        #[test]
        fn the_step_of_another_order_does_not_change_a_time(
            seeds in any::<[u64; 2]>(), rates in any::<[u32; 2]>(), runs in prop::collection::vec(any_run(), 1..20),
        ) {
            let rates = rates.map(|rate| per_minute(u64::from(rate).saturating_add(1)));
            let mut step = None;
            for (seed, rate, first, length) in runs {
                let (seed, rate) = (seeds[seed], rates[rate]);
                for index in (0..length).map_while(|number| first.checked_add(number)) {
                    let time = Shape::Lunch.due(rate, seed, index, &mut step);
                    prop_assert_eq!(time, due(Shape::Lunch, rate, seed, index));
                }
            }
        }
    }
}
