//! Restaurants and their menus: ids, popularity and prices of the items.

use xxhash_rust::xxh3::xxh3_64;

use super::WorkloadSettings;
use super::random::Draws;
use crate::domain::Cents;

/// Restaurants and their menus: the same for every seed, so that items sell out alike with any seed.
#[derive(Debug)]
pub(super) struct Menu {
    restaurants: Vec<Restaurant>,
    items: Vec<Box<str>>,
    restaurant_ranks: Popularity,
    item_ranks: Popularity,
}

#[derive(Debug)]
struct Restaurant {
    id: Box<str>,
    /// The most popular item; popularity falls with each next item of the menu, which wraps around.
    favourite: usize,
}

/// A distribution over ranks, with weights 1 / (rank + `flatness`), in integers: floating point could differ between
/// machines and versions.
#[derive(Debug)]
struct Popularity {
    /// The sum of the weights up to each rank.
    cumulative: Vec<u64>,
}

impl Popularity {
    const ONE: u64 = 1 << 32;

    fn new(ranks: u32, flatness: u64) -> Self {
        let mut sum = 0;
        let weights = (0..u64::from(ranks)).map(|rank| Self::ONE / (rank + flatness));
        let cumulative = weights.map(|weight| {
            sum += weight;
            sum
        });
        Self { cumulative: cumulative.collect() }
    }

    /// Draws a rank, from 0.
    fn draw(&self, draws: &mut Draws) -> usize {
        let sum = self.cumulative.last().copied().unwrap_or_default();
        let point = draws.below(sum);
        self.cumulative.partition_point(|&up_to| up_to <= point)
    }
}

impl Menu {
    /// Of the default 20 restaurants, the busiest has about three times the orders of the last.
    const RESTAURANT_FLATNESS: u64 = 8;
    /// Of the default 40 items, the most popular is ordered about seven times as often as the last.
    const ITEM_FLATNESS: u64 = 6;

    pub fn new(settings: &WorkloadSettings) -> Self {
        let (restaurants, items) = (settings.restaurants.get(), settings.items.get());
        let width = restaurants.to_string().len().max(2);
        let restaurant = |number: u32| Restaurant {
            id: format!("restaurant_{number:0width$}").into(),
            favourite: usize::try_from(xxh3_64(&number.to_le_bytes()) % u64::from(items)).unwrap_or_default(),
        };
        Self {
            restaurants: (1..=restaurants).map(restaurant).collect(),
            items: (1..=items).map(|number| format!("item_{number}").into()).collect(),
            restaurant_ranks: Popularity::new(restaurants, Self::RESTAURANT_FLATNESS),
            item_ranks: Popularity::new(items, Self::ITEM_FLATNESS),
        }
    }

    /// Draws a restaurant; the first is the busiest.
    pub fn draw_restaurant(&self, draws: &mut Draws) -> usize {
        self.restaurant_ranks.draw(draws)
    }

    /// Draws an item of the restaurant's menu.
    pub fn draw_item(&self, restaurant: usize, draws: &mut Draws) -> usize {
        (self.restaurants[restaurant].favourite + self.item_ranks.draw(draws)) % self.items.len()
    }

    /// The next item of the menu; the first after the last.
    pub fn next_item(&self, item: usize) -> usize {
        (item + 1) % self.items.len()
    }

    pub fn restaurant_id(&self, restaurant: usize) -> &str {
        &self.restaurants[restaurant].id
    }

    pub fn item_id(&self, item: usize) -> &str {
        &self.items[item]
    }

    /// Number of restaurants.
    pub fn restaurants(&self) -> usize {
        self.restaurants.len()
    }

    /// Number of items on each menu.
    pub fn items(&self) -> usize {
        self.items.len()
    }

    /// The price of an item: 1.50 to 19.45 in steps of 0.05, the same in every run.
    pub fn price(restaurant: usize, item: usize) -> Cents {
        let mut name = [0; 16];
        name[..8].copy_from_slice(&(restaurant as u64).to_le_bytes());
        name[8..].copy_from_slice(&(item as u64).to_le_bytes());
        Cents(150 + 5 * (xxh3_64(&name) % 360).cast_signed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::EventTime;

    fn menu(restaurants: u32, items: u32) -> Menu {
        let count = |count: u32| count.try_into().expect("not zero");
        let defaults = WorkloadSettings::with_defaults(1, EventTime::default());
        Menu::new(&WorkloadSettings { restaurants: count(restaurants), items: count(items), ..defaults })
    }

    #[test]
    fn restaurant_ids_have_equal_lengths() {
        assert_eq!(menu(1, 1).restaurant_id(0), "restaurant_01");
        assert_eq!(menu(99, 1).restaurant_id(98), "restaurant_99");
        assert_eq!(menu(100, 1).restaurant_id(6), "restaurant_007");
        assert_eq!(menu(1, 12).item_id(11), "item_12");
    }

    #[test]
    fn popularity_falls_with_the_rank() {
        let popularity = Popularity::new(50, 6);
        let mut counts = [0u32; 50];
        for index in 0..100_000 {
            counts[popularity.draw(&mut Draws::of(9, index))] += 1;
        }
        assert!(counts[0] > 5 * counts[49] && counts[49] > 0, "{counts:?}");
        assert!(counts[0] > counts[10] && counts[10] > counts[30], "{counts:?}");
        assert_eq!(Popularity::new(1, 6).draw(&mut Draws::of(9, 0)), 0);
    }

    #[test]
    fn the_largest_menu_can_be_drawn() {
        let popularity = Popularity::new(super::super::MAX_NAMES, 1);
        let highest = (0..10_000).map(|index| popularity.draw(&mut Draws::of(9, index))).max();
        assert!(highest.is_some_and(|rank| (900_000..1_000_000).contains(&rank)), "{highest:?}");
    }

    #[test]
    fn prices_are_steps_of_five_cents() {
        let prices: std::collections::BTreeSet<_> =
            (0..20).flat_map(|restaurant| (0..40).map(move |item| Menu::price(restaurant, item).0)).collect();
        assert!(prices.iter().all(|cents| (150..=1_945).contains(cents) && cents % 5 == 0));
        assert!(prices.len() > 200, "{}", prices.len());
    }
}
