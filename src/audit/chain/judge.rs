//! Judge of a chain: counts inputs and outputs with the same field, and keeps the places of the first violations.

use super::super::entry::{Entry, Place, Side};
use super::super::matching::FanOut;

/// The most inputs, and the most outputs, of a finding.
const INPUTS: usize = 4;
const OUTPUTS: usize = 8;

/// What must be there of an input's outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand {
    /// The input must have its outputs.
    Required,
    /// The input may have outputs, and needs none: it may not be processed yet.
    Optional,
}

impl Demand {
    /// The demand as [`Entry::detail`].
    #[must_use]
    pub const fn detail(self) -> u64 {
        match self {
            Self::Required => 0,
            Self::Optional => 1,
        }
    }

    const fn of(detail: u64) -> Self {
        if detail == 0 { Self::Required } else { Self::Optional }
    }
}

/// How a field breaks a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Violation {
    /// Outputs are missing.
    Lost,
    /// There are more outputs than there may be.
    Surplus,
    /// There are outputs and no input.
    Invented,
    /// A record has no field.
    Unmatched,
}

/// The inputs and outputs with one field that breaks a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainFinding {
    /// The first inputs, at most 4.
    pub inputs: Vec<Place>,
    /// The first outputs, at most 8.
    pub outputs: Vec<Place>,
    /// The number of inputs.
    pub inputs_read: u64,
    /// The number of outputs.
    pub outputs_read: u64,
    /// The fewest and the most outputs that there may be.
    pub allowed: (u64, u64),
}

impl ChainFinding {
    /// A single record.
    #[must_use]
    pub fn of_one(place: Place) -> Self {
        let (inputs, outputs) = match place.side() {
            Side::Cause => (vec![place], Vec::new()),
            Side::Effect => (Vec::new(), vec![place]),
        };
        let [inputs_read, outputs_read] = [&inputs, &outputs].map(|places| places.len() as u64);
        Self { inputs, outputs, inputs_read, outputs_read, allowed: (0, 0) }
    }
}

/// Counts and findings of a chain. All outputs are counted, of inputs only those that must have outputs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChainResult {
    /// Inputs that must have their outputs.
    pub inputs: u64,
    /// Inputs among them with a field that another one before them has.
    pub repeated_inputs: u64,
    /// Outputs.
    pub outputs: u64,
    /// Outputs that must be there.
    pub needed: u64,
    /// Outputs among them that are missing.
    pub missing: u64,
    /// Outputs that have an input.
    pub caused: u64,
    /// Outputs among them that are too many.
    pub surplus: u64,
    /// Outputs without an input.
    pub invented: u64,
    /// Where outputs are missing, by the place of the first input.
    pub lost: Vec<ChainFinding>,
    /// Where outputs are too many, by the place of the first input.
    pub doubled: Vec<ChainFinding>,
    /// Outputs without an input, by the place of the first output.
    pub without_input: Vec<ChainFinding>,
}

/// Judges entries in their order.
#[derive(Debug)]
pub struct ChainJudge {
    fan_out: FanOut,
    /// The most findings of each kind.
    most: usize,
    group: Group,
    result: ChainResult,
}

/// The entries with one key.
#[derive(Debug, Default)]
struct Group {
    key: u128,
    required: u64,
    optional: u64,
    outputs: u64,
    /// The first places, cleared with the group so that their memory is used again.
    first_inputs: Vec<Place>,
    first_outputs: Vec<Place>,
}

impl ChainJudge {
    /// A judge that keeps at most this many findings of each kind.
    #[must_use]
    pub fn new(fan_out: FanOut, most: usize) -> Self {
        Self { fan_out, most, group: Group::default(), result: ChainResult::default() }
    }

    /// Takes the next entry. Entries must be sorted.
    pub fn add(&mut self, entry: &Entry) {
        if entry.key != self.group.key {
            self.close();
            self.group.key = entry.key;
        }
        let group = &mut self.group;
        match entry.place.side() {
            Side::Cause => {
                match Demand::of(entry.detail) {
                    Demand::Required => group.required += 1,
                    Demand::Optional => group.optional += 1,
                }
                if group.first_inputs.len() < INPUTS {
                    group.first_inputs.push(entry.place);
                }
            }
            Side::Effect => {
                group.outputs += 1;
                if group.first_outputs.len() < OUTPUTS {
                    group.first_outputs.push(entry.place);
                }
            }
        }
    }

    /// The result after the last entry.
    #[must_use]
    pub fn finish(mut self) -> ChainResult {
        self.close();
        self.result
    }

    /// Judges the entries with one key.
    fn close(&mut self) {
        let Self { fan_out, most, group, result } = self;
        let (inputs, outputs) = (group.required + group.optional, group.outputs);
        let needed = *fan_out.outputs(group.required).start();
        let allowed = (needed, *fan_out.outputs(inputs).end());
        result.inputs += group.required;
        result.repeated_inputs += group.required.saturating_sub(1);
        result.outputs += outputs;
        result.needed = result.needed.saturating_add(needed);
        if inputs == 0 {
            result.invented += outputs;
            if outputs > 0 {
                keep(&mut result.without_input, *most, group, allowed);
            }
        } else {
            result.caused += outputs;
            if outputs < needed {
                result.missing = result.missing.saturating_add(needed - outputs);
                keep(&mut result.lost, *most, group, allowed);
            }
            if outputs > allowed.1 {
                result.surplus += outputs - allowed.1;
                keep(&mut result.doubled, *most, group, allowed);
            }
        }
        (group.required, group.optional, group.outputs) = (0, 0, 0);
        group.first_inputs.clear();
        group.first_outputs.clear();
    }
}

/// The place that findings are ordered by.
fn first(inputs: &[Place], outputs: &[Place]) -> Option<Place> {
    inputs.first().or(outputs.first()).copied()
}

/// Adds a finding if it is among the first ones.
fn keep(findings: &mut Vec<ChainFinding>, most: usize, group: &Group, allowed: (u64, u64)) {
    let place = first(&group.first_inputs, &group.first_outputs);
    let at = findings.partition_point(|found| first(&found.inputs, &found.outputs) < place);
    if at >= most {
        return;
    }
    let finding = ChainFinding {
        inputs: group.first_inputs.clone(),
        outputs: group.first_outputs.clone(),
        inputs_read: group.required + group.optional,
        outputs_read: group.outputs,
        allowed,
    };
    findings.insert(at, finding);
    findings.truncate(most);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn entry(key: u128, side: Side, offset: i64, demand: Demand) -> Entry {
        Entry { key, place: Place::new(side, 0, offset), detail: demand.detail() }
    }

    fn judged(fan_out: &str, most: usize, entries: &[Entry]) -> ChainResult {
        let mut sorted = entries.to_vec();
        sorted.sort_unstable();
        let mut judge = ChainJudge::new(fan_out.parse().expect("a fan-out"), most);
        for entry in &sorted {
            judge.add(entry);
        }
        judge.finish()
    }

    /// Inputs and outputs of keys, with the key as the offset of the first one.
    fn chain(counts: &[(u128, u64, u64)]) -> Vec<Entry> {
        let mut entries = Vec::new();
        for (key, inputs, outputs) in counts {
            let base = i64::try_from(*key).expect("small") * 100;
            for (side, count) in [(Side::Cause, *inputs), (Side::Effect, *outputs)] {
                entries.extend(
                    (0..)
                        .take(usize::try_from(count).expect("small"))
                        .map(|number: i64| entry(*key, side, base + number, Demand::Required)),
                );
            }
        }
        entries
    }

    #[test]
    fn lost_surplus_and_invented_outputs_are_counted() {
        let result = judged("one", 2, &chain(&[(0, 1, 1), (1, 1, 0), (2, 1, 3), (3, 0, 2), (4, 2, 2), (5, 2, 1)]));
        assert_eq!((result.inputs, result.repeated_inputs, result.outputs), (7, 2, 9));
        assert_eq!((result.needed, result.missing), (7, 2));
        assert_eq!((result.caused, result.surplus, result.invented), (7, 2, 2));
        let offsets = |findings: &[ChainFinding]| -> Vec<Vec<i64>> {
            findings
                .iter()
                .map(|finding| finding.inputs.iter().chain(&finding.outputs).map(|place| place.offset()).collect())
                .collect()
        };
        assert_eq!(offsets(&result.lost), [vec![100], vec![500, 501, 500]]);
        assert_eq!(offsets(&result.doubled), [vec![200, 200, 201, 202]]);
        assert_eq!(offsets(&result.without_input), [vec![300, 301]]);
        assert_eq!(result.doubled[0].allowed, (1, 1));
    }

    #[test]
    fn the_key_zero_is_a_key() {
        let result = judged("one", 1, &chain(&[(0, 1, 0)]));
        assert_eq!((result.inputs, result.missing), (1, 1));
        assert_eq!(judged("one", 1, &[]), ChainResult::default());
    }

    #[test]
    fn fan_outs_have_their_own_limits() {
        let counts = |fan_out, inputs, outputs| {
            let result = judged(fan_out, 1, &chain(&[(1, inputs, outputs)]));
            (result.missing, result.surplus)
        };
        assert_eq!([counts("3", 1, 2), counts("3", 1, 3), counts("3", 2, 7)], [(1, 0), (0, 0), (0, 1)]);
        assert_eq!([counts("at-least-one", 1, 0), counts("at-least-one", 1, 9)], [(1, 0), (0, 0)]);
        assert_eq!([counts("at-most-one", 1, 0), counts("at-most-one", 1, 2)], [(0, 0), (0, 1)]);
    }

    #[test]
    fn an_optional_input_may_have_outputs_and_needs_none() {
        let optional = |outputs: i64| {
            let mut entries = vec![entry(1, Side::Cause, 0, Demand::Optional)];
            entries.extend((0..outputs).map(|offset| entry(1, Side::Effect, offset, Demand::Required)));
            let result = judged("one", 1, &entries);
            (result.inputs, result.missing, result.surplus, result.invented)
        };
        assert_eq!([optional(0), optional(1), optional(2)], [(0, 0, 0, 0), (0, 0, 0, 0), (0, 0, 1, 0)]);
    }

    proptest! {
        #[test]
        fn agrees_with_a_count_by_key(
            records in prop::collection::vec((0_u128..12, any::<bool>(), any::<bool>()), 0..80),
            fan_out in prop::sample::select(vec!["one", "2", "at-least-one", "at-most-one"]),
            most in 1_usize..4,
        ) {
            let entries: Vec<Entry> = records.iter().zip(0..).map(|((key, is_output, optional), offset)| {
                let side = if *is_output { Side::Effect } else { Side::Cause };
                let demand = if *optional && !is_output { Demand::Optional } else { Demand::Required };
                entry(*key, side, offset, demand)
            }).collect();
            let mut counts: BTreeMap<u128, [u64; 3]> = BTreeMap::new();
            for (key, is_output, optional) in &records {
                counts.entry(*key).or_default()[if *is_output { 2 } else { usize::from(*optional) }] += 1;
            }
            let (mut missing, mut surplus, mut invented, mut lost_keys) = (0, 0, 0, 0);
            for [required, optional, outputs] in counts.values().copied() {
                if required + optional == 0 {
                    invented += outputs;
                    continue;
                }
                let (least, greatest) = match fan_out {
                    "one" => (required, required + optional),
                    "2" => (2 * required, 2 * (required + optional)),
                    "at-least-one" => (required, u64::MAX),
                    _ => (0, required + optional),
                };
                lost_keys += usize::from(outputs < least);
                missing += least.saturating_sub(outputs);
                surplus += outputs.saturating_sub(greatest);
            }
            let result = judged(fan_out, most, &entries);
            prop_assert_eq!((result.missing, result.surplus, result.invented), (missing, surplus, invented));
            prop_assert_eq!(result.outputs, result.caused + result.invented);
            prop_assert_eq!(result.outputs, records.iter().filter(|(_, is_output, _)| *is_output).count() as u64);
            prop_assert_eq!(result.lost.len(), most.min(lost_keys));
            // The findings are the first ones of all.
            let all = judged(fan_out, 100, &entries);
            prop_assert_eq!(&result.lost[..], &all.lost[..result.lost.len()]);
            prop_assert_eq!(&result.without_input[..], &all.without_input[..result.without_input.len()]);
            prop_assert!(all.lost.is_sorted_by_key(|finding| finding.inputs[0]));
        }
    }
}
