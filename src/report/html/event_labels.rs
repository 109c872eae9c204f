//! Names of events on a chart, in rows above it: each at a line that leads to its moment.

use super::{
    format,
    scale::Scale,
    svg::{Anchor, Mark, Point, fitting, width_of},
};
use crate::report::printable;
use crate::scenario::{EventKind, RunEvent, StepOutcome};

/// The height of a row of names.
pub(super) const ROW: f64 = 17.0;
/// The most rows of names: on a wide chart, on a narrow one.
const ROWS: [usize; 2] = [4, 6];
/// Events that are closer than this share a line.
const TOGETHER: f64 = 14.0;
/// The distance between a line and its name, and between two names.
const GAP: f64 = 4.0;
/// With more lines than this the names are all on the right if possible, or all on the left: many on both sides are hard
/// to read.
const SPLITS: usize = 6;
/// The most characters of a step's name.
const NAME: usize = 22;

/// An event that changes what a group or a producer does.
#[derive(Debug, Clone)]
pub(super) struct ChartEvent {
    pub(super) at: f64,
    pub(super) kind: EventKind,
    /// The step.
    pub(super) name: String,
    /// The rate limit of a process that starts: `250/s`.
    pub(super) rate: Option<String>,
}

/// The events that may change the lag of a group, whose name has this prefix. The table of events has all.
pub(super) fn of_group(events: &[RunEvent], steps: &[StepOutcome], group: &str, prefix: &str) -> Vec<ChartEvent> {
    let chart_event = |event: &RunEvent| {
        verb(event.kind)?;
        let name = event.step.as_deref()?;
        let step = steps.iter().find(|step| step.name == name);
        if step.is_some_and(|step| !step.affects_lag_of(group, prefix)) {
            return None;
        }
        let starts = matches!(event.kind, EventKind::Started | EventKind::Throttled);
        let rate = step.filter(|_| starts).and_then(StepOutcome::rate_limit);
        let short = |text: &str| format::cut_to(&printable(text), NAME);
        Some(ChartEvent { at: event.at_seconds, kind: event.kind, name: short(name), rate: rate.as_deref().map(short) })
    };
    events.iter().filter_map(chart_event).collect()
}

/// What happened to the process; `None` for events without one.
const fn verb(kind: EventKind) -> Option<&'static str> {
    match kind {
        EventKind::Started | EventKind::Throttled => Some("starts"),
        EventKind::Ended => Some("ends"),
        EventKind::Stopped => Some("stopped"),
        EventKind::Killed => Some("killed"),
        EventKind::Paused => Some("paused"),
        EventKind::Resumed => Some("resumed"),
        EventKind::Waiting | EventKind::Held => None,
    }
}

/// How much an event matters if not every name fits.
const fn weight(kind: EventKind) -> u8 {
    match kind {
        EventKind::Killed => 5,
        EventKind::Paused => 4,
        EventKind::Stopped | EventKind::Resumed => 3,
        EventKind::Started | EventKind::Throttled => 2,
        EventKind::Ended => 1,
        EventKind::Waiting | EventKind::Held => 0,
    }
}

/// How much the names say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Detail {
    /// Every event, with rate limits.
    All,
    /// The same, without processes that end where another one starts.
    Rates,
    /// Every event.
    Names,
    /// Of the events on a line the one that matters most.
    First,
    /// The same, of a repeated step only its number: `#3 killed`.
    Short,
}

/// A line with its name.
#[derive(Debug, Clone)]
struct Flag {
    place: f64,
    text: String,
    width: f64,
    is_left: bool,
    /// The row, counted from the chart; `None` if its name does not fit.
    row: Option<usize>,
    has_kill: bool,
    weight: u8,
}

impl Flag {
    /// The horizontal extent of its name.
    fn extent(&self) -> (f64, f64) {
        if self.is_left {
            (self.place - GAP - self.width, self.place - GAP)
        } else {
            (self.place + GAP, self.place + GAP + self.width)
        }
    }

    /// Whether its name is within a chart of this width, in the widest font.
    fn is_within(&self, chart_width: f64) -> bool {
        let width = width_of(&self.text);
        if self.is_left { self.place - GAP >= width } else { self.place + GAP + width <= chart_width - 1.0 }
    }

    /// Whether these two cannot have these rows: the names overlap, or a line crosses the name of the other. A line
    /// covers its row and all rows below.
    fn is_in_the_way(&self, row: usize, other: &Self, other_row: usize) -> bool {
        let (left, right) = self.extent();
        let (other_left, other_right) = other.extent();
        let overlap = row == other_row && left < other_right + 2.0 * GAP && other_left < right + 2.0 * GAP;
        let crosses = |place: f64, from: f64, to: f64| place > from - 1.0 && place < to + 1.0;
        overlap
            || other_row >= row && crosses(other.place, left, right)
            || row >= other_row && crosses(self.place, other_left, other_right)
    }
}

/// The layout of the events of a chart.
#[derive(Debug)]
pub(super) struct EventLabels {
    flags: Vec<Flag>,
    /// Whether every event has its name on the chart.
    pub(super) is_complete: bool,
}

impl EventLabels {
    /// Lays out the names on a chart of this width.
    pub(super) fn new(events: &[ChartEvent], x: &Scale, width: f64) -> Self {
        let clusters = clusters(events, x);
        let has_room = |flag: &Flag| flag.row.is_some();
        let is_enough = |detail: Detail, flag: &Flag| {
            has_room(flag) || detail == Detail::First && flag.weight < weight(EventKind::Stopped)
        };
        let details = [Detail::All, Detail::Rates, Detail::Names, Detail::First].into_iter();
        let (detail, flags) = details
            .map(|detail| (detail, arranged(&clusters, detail, width)))
            .find(|(detail, flags)| flags.iter().all(|flag| is_enough(*detail, flag)))
            .unwrap_or_else(|| (Detail::Short, arranged(&clusters, Detail::Short, width)));
        let is_named = |(_, events): &(f64, Vec<&ChartEvent>)| named(events, detail).len() == events.len();
        let is_complete = flags.iter().all(has_room) && clusters.iter().all(is_named);
        Self { flags, is_complete }
    }

    /// The height of the rows.
    pub(super) fn height(&self) -> f64 {
        let rows = self.flags.iter().filter_map(|flag| flag.row).max().map_or(0, |row| row + 1);
        #[allow(clippy::cast_precision_loss, reason = "a few rows")]
        let rows = rows as f64;
        rows * ROW
    }

    /// Draws the lines down to `bottom`. The lowest row ends at `rows_end`.
    pub(super) fn draw_lines(&self, marks: &mut Vec<Mark>, rows_end: f64, bottom: f64) {
        for flag in &self.flags {
            let class = if flag.has_kill { "event kill" } else { "event" };
            let top = flag.row.map_or(rows_end + 7.0, |row| baseline(row, rows_end) - 10.0);
            marks.push(Mark::line(class, Point(flag.place, top), Point(flag.place, bottom)));
        }
    }

    /// Draws the names.
    pub(super) fn draw_names(&self, marks: &mut Vec<Mark>, rows_end: f64) {
        for flag in &self.flags {
            let Some(row) = flag.row else { continue };
            let (anchor, place) =
                if flag.is_left { (Anchor::End, flag.place - GAP) } else { (Anchor::Start, flag.place + GAP) };
            let class = if flag.has_kill { "event-name kill" } else { "event-name" };
            let at = Point(place, baseline(row, rows_end));
            marks.push(Mark::Text { class, at, anchor, text: flag.text.clone() });
        }
    }
}

fn baseline(row: usize, rows_end: f64) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "a few rows")]
    let row = row as f64;
    rows_end - row * ROW - 5.0
}

/// Events on the same line, from left to right, each in the order of time.
fn clusters<'e>(events: &'e [ChartEvent], x: &Scale) -> Vec<(f64, Vec<&'e ChartEvent>)> {
    let mut placed: Vec<_> = events.iter().map(|event| (x.at(event.at), event)).collect();
    placed.sort_by(|left, right| left.0.total_cmp(&right.0));
    let mut clusters: Vec<(f64, Vec<&ChartEvent>)> = Vec::new();
    for (place, event) in placed {
        match clusters.last_mut() {
            Some((first, events)) if place - *first < TOGETHER => events.push(event),
            _ => clusters.push((place, vec![event])),
        }
    }
    clusters
}

/// A flag for each cluster, with as many as possible of the names that matter most. Up to some line the names are on the
/// right if possible, placed from right to left, and after it on the left, placed from left to right: their lines then
/// do not cross the names that are already there. Each such line is tried.
fn arranged(clusters: &[(f64, Vec<&ChartEvent>)], detail: Detail, width: f64) -> Vec<Flag> {
    let flag = |(place, events): &(f64, Vec<&ChartEvent>)| {
        let text = fitting(&text(events, detail), width * 0.8);
        let has_kill = events.iter().any(|event| event.kind == EventKind::Killed);
        // Only the bold names of kills are as wide as the widest font.
        let name_width = if has_kill { width_of(&text) } else { width_of(&text) * 0.9 };
        Flag {
            place: *place,
            is_left: false,
            width: name_width,
            text,
            row: None,
            has_kill,
            weight: events.iter().map(|event| weight(event.kind)).max().unwrap_or_default(),
        }
    };
    let flags: Vec<Flag> = clusters.iter().map(flag).collect();
    // A name that matters more counts more than all that matter less.
    let value = |flags: &[Flag]| {
        let named = flags.iter().filter(|flag| flag.row.is_some());
        named.map(|flag| 1_u64 << (8 * flag.weight)).fold(0, u64::saturating_add)
    };
    let (mut best, all) = (flags.clone(), flags.len());
    // Only a layout without some of the names has a choice.
    let may_lack_names = matches!(detail, Detail::First | Detail::Short);
    for by_weight in if may_lack_names { &[true, false][..] } else { &[false] } {
        let between = 1..if all <= SPLITS { all } else { 0 };
        for split in [all, 0].into_iter().chain(between.rev()) {
            let mut order: Vec<usize> = (0..split).rev().chain(split..all).collect();
            if *by_weight {
                // A stable sort: those of the same weight stay in order.
                order.sort_by_key(|index| u8::MAX - flags[*index].weight);
            }
            let found = placed(flags.clone(), order, split, width);
            if found.iter().all(|flag| flag.row.is_some()) {
                return found;
            }
            if value(&found) > value(&best) {
                best = found;
            }
        }
    }
    best
}

/// Flags in this order, each in the lowest row in which it fits; those before the split if possible on the right of their
/// lines, the others on the left.
fn placed(mut flags: Vec<Flag>, order: Vec<usize>, split: usize, width: f64) -> Vec<Flag> {
    for index in order {
        for is_left in [index >= split, index < split] {
            let flag = Flag { is_left, ..flags[index].clone() };
            if !flag.is_within(width) {
                continue;
            }
            let fits = |row: &usize| {
                let placed = flags.iter().filter_map(|other| Some((other, other.row?)));
                !placed.clone().any(|(other, other_row)| flag.is_in_the_way(*row, other, other_row))
            };
            let rows = ROWS[usize::from(width < 600.0)];
            if let Some(row) = (0..rows).find(fits) {
                flags[index] = Flag { row: Some(row), ..flag };
                break;
            }
        }
    }
    flags
}

/// The events that the name of a line has.
fn named<'e>(events: &[&'e ChartEvent], detail: Detail) -> Vec<&'e ChartEvent> {
    let heaviest = events.iter().rev().max_by_key(|event| weight(event.kind));
    let is_shown = |event: &&&ChartEvent| match (detail, heaviest) {
        (Detail::All | Detail::Names, _) | (_, None) => true,
        (Detail::Rates, Some(heaviest)) => event.kind != EventKind::Ended || heaviest.kind == EventKind::Ended,
        (Detail::First | Detail::Short, Some(heaviest)) => std::ptr::eq(**event, *heaviest),
    };
    events.iter().filter(is_shown).copied().collect()
}

/// The name of a line: `slow stopped · fast starts, 1000/s`.
fn text(events: &[&ChartEvent], detail: Detail) -> String {
    let one = |event: &ChartEvent| {
        let verb = verb(event.kind).unwrap_or_default();
        let number = event.name.find('#').filter(|_| detail == Detail::Short);
        let name = &event.name[number.unwrap_or_default()..];
        match &event.rate {
            Some(rate) if matches!(detail, Detail::All | Detail::Rates) => format!("{name} {verb}, {rate}"),
            _ => format!("{name} {verb}"),
        }
    };
    named(events, detail).into_iter().map(one).collect::<Vec<_>>().join(" · ")
}

/// The sentence about names that are missing on a chart.
pub(super) fn note(layouts: &[EventLabels]) -> &'static str {
    if layouts.iter().all(|layout| layout.is_complete) { "" } else { " All events are in the table below." }
}
