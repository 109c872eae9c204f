//! What a chain's records prove: which claims hold although records may be gone or were not read.

use super::scan::SideScan;
use super::topics::Frozen;
use super::witnesses::Claim;
use crate::audit::Violation;
use crate::commands::audit::frozen_topic::{FrozenTopic, offsets_between};
use crate::settings::ChainSettings;
use crate::units::{counted, grouped};

/// Which of the topics are whole, and why something is not proved.
#[derive(Debug)]
pub(super) struct Proof {
    /// Whether all inputs that ever were there are known. Otherwise an output may have one that is gone.
    inputs_are_whole: bool,
    /// The same for outputs.
    outputs_are_whole: bool,
    is_stopped: bool,
    /// Sentences without a full stop.
    pub reasons: Vec<String>,
}

impl Proof {
    pub fn new(chain: &ChainSettings, frozen: &Frozen, [inputs, outputs]: [&SideScan; 2], is_stopped: bool) -> Self {
        let mut proof = Self { inputs_are_whole: true, outputs_are_whole: true, is_stopped, reasons: Vec::new() };
        if is_stopped {
            let read =
                |side: &FrozenTopic, read: &SideScan| counted(offsets_between(&side.starts, &read.positions), "offset");
            let [of_inputs, of_outputs] = [read(&frozen.inputs, inputs), read(&frozen.outputs, outputs)];
            let totals = [frozen.inputs.offsets(), frozen.outputs.offsets()].map(grouped);
            proof.reasons.push(format!(
                "stopped after {of_inputs} of {} in {}, and {of_outputs} of {} in {}",
                totals[0], chain.input, totals[1], chain.output
            ));
        } else if inputs.records == 0 && outputs.records == 0 {
            proof.reasons.push("no record was read, which proves nothing".to_owned());
        }
        let mut ahead = None;
        if let Some(group) = &chain.group {
            if frozen.inputs.required.iter().all(Option::is_none) {
                proof.reasons.push(format!(
                    "group {group} has no committed offset on {}, so no input must have outputs",
                    chain.input
                ));
            }
            ahead = frozen.inputs.ahead(group);
            proof.reasons.extend(ahead.clone());
        }
        proof.inputs_are_whole = proof.side(&frozen.inputs, inputs, "inputs") && ahead.is_none();
        proof.outputs_are_whole = proof.side(&frozen.outputs, outputs, "outputs");
        proof
    }

    /// Whether a topic is whole; otherwise adds the reasons.
    fn side(&mut self, side: &FrozenTopic, read: &SideScan, noun: &str) -> bool {
        let gaps = side.gaps(noun);
        let is_whole = gaps.is_empty() && side.is_read(&read.positions);
        self.reasons.extend(gaps);
        is_whole
    }

    /// Withdraws a claim that records may contradict that are gone or were not read, and says so. What it is about then
    /// counts as not checked.
    pub fn admit(&mut self, mut claim: Claim) -> Claim {
        let (holds, missing) = match claim.violation {
            Violation::Lost => (self.outputs_are_whole, "outputs"),
            Violation::Surplus | Violation::Invented => (self.inputs_are_whole, "inputs"),
            Violation::Unmatched => (true, ""),
        };
        if holds || claim.violations == 0 {
            return claim;
        }
        // Of a stopped audit, their number says nothing.
        if !self.is_stopped {
            self.reasons.push(withdrawn(&claim, missing));
        }
        claim.checked = claim.checked.saturating_sub(claim.violations);
        claim.violations = 0;
        claim.findings.clear();
        claim
    }
}

/// What cannot be claimed because inputs or outputs are `missing`.
fn withdrawn(claim: &Claim, missing: &str) -> String {
    let outputs = counted(claim.violations, "output");
    let (is, has) = if claim.violations == 1 { ("is", "has") } else { ("are", "have") };
    match claim.violation {
        Violation::Lost => format!("{outputs} {is} missing among those that were read; {missing} are not complete"),
        Violation::Surplus => {
            format!("{outputs} {is} too many for the inputs that were read; {missing} are not complete")
        }
        Violation::Invented | Violation::Unmatched => {
            format!("{outputs} {has} no input among those that were read; {missing} are not complete")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{Check, FanOut, MatchField, Unmatched};
    use crate::kafka::TopicPartition;
    use crate::lag::Isolation;

    fn chain(group: Option<&str>) -> ChainSettings {
        ChainSettings {
            input: "in".to_owned(),
            output: "out".to_owned(),
            match_in: MatchField::Key,
            match_out: MatchField::Key,
            fan_out: FanOut::Exactly(1),
            isolation: Isolation::ReadCommitted,
            group: group.map(str::to_owned),
        }
    }

    fn frozen(inputs: FrozenTopic, outputs: FrozenTopic) -> Frozen {
        Frozen { inputs, outputs, live: false }
    }

    fn side(topic: &str, bounds: &[(i64, i64)]) -> FrozenTopic {
        FrozenTopic::of(topic, bounds, false)
    }

    /// A scan that found a record at each offset up to these positions.
    fn scan(side: &FrozenTopic, positions: &[i64]) -> SideScan {
        let read = positions.iter().zip(&side.starts).map(|(position, start)| position - start);
        SideScan {
            positions: positions.to_vec(),
            records: u64::try_from(read.sum::<i64>()).expect("not negative"),
            unmatched: Unmatched::new(1),
            required_unmatched: 0,
        }
    }

    fn proof(group: Option<&str>, frozen: &Frozen, is_stopped: bool) -> Proof {
        let [inputs, outputs] = [&frozen.inputs, &frozen.outputs].map(|side| scan(side, &side.ends));
        Proof::new(&chain(group), frozen, [&inputs, &outputs], is_stopped)
    }

    fn admitted(proof: &mut Proof) -> [u64; 4] {
        [Violation::Lost, Violation::Surplus, Violation::Invented, Violation::Unmatched].map(|violation| {
            let claim =
                Claim { check: Check::RecordsMatch, violation, checked: 9, violations: 2, findings: Vec::new() };
            let claim = proof.admit(claim);
            assert_eq!(claim.checked, 7 + claim.violations, "what is not claimed is not checked");
            claim.violations
        })
    }

    #[test]
    fn everything_is_claimed_of_whole_topics() {
        let mut proof = proof(None, &frozen(side("in", &[(0, 5), (0, 0)]), side("out", &[(0, 4)])), false);
        assert_eq!((admitted(&mut proof), &*proof.reasons), ([2, 2, 2, 2], &[][..]));
    }

    #[test]
    fn records_that_are_gone_withdraw_what_they_may_explain() {
        let mut outputs_gone =
            proof(None, &frozen(side("in", &[(0, 5)]), side("out", &[(0, 1), (3, 4), (2, 2)])), false);
        assert_eq!(admitted(&mut outputs_gone), [0, 2, 2, 2]);
        assert_eq!(
            outputs_gone.reasons,
            [
                "outputs are gone: out/1 begins at offset 3, and 1 partition more",
                "2 outputs are missing among those that were read; outputs are not complete",
            ]
        );
        let inputs = FrozenTopic::of("in", &[(0, 5)], true);
        let mut inputs_gone = proof(None, &frozen(inputs, side("out", &[(0, 1)])), false);
        assert_eq!(admitted(&mut inputs_gone), [2, 0, 0, 2]);
        assert_eq!(inputs_gone.reasons[0], "inputs may be gone: topic in is compacted");
    }

    #[test]
    fn a_stop_withdraws_what_the_rest_may_explain() {
        let frozen = frozen(side("in", &[(0, 5)]), side("out", &[(0, 5)]));
        let claims = |positions: [i64; 2]| {
            let [inputs, outputs] = [scan(&frozen.inputs, &positions[..1]), scan(&frozen.outputs, &positions[1..])];
            let mut proof = Proof::new(&chain(None), &frozen, [&inputs, &outputs], true);
            let admitted = admitted(&mut proof);
            assert_eq!(proof.reasons.len(), 1, "{:?}", proof.reasons);
            (admitted, proof.reasons.remove(0))
        };
        let (admitted, reason) = claims([5, 3]);
        assert_eq!(admitted, [0, 2, 2, 2]);
        assert_eq!(reason, "stopped after 5 offsets of 5 in in, and 3 offsets of 5 in out");
        assert_eq!(claims([4, 0]).0, [0, 0, 0, 2]);
    }

    #[test]
    fn nothing_and_offsets_of_other_records_prove_nothing() {
        let nothing = proof(None, &frozen(side("in", &[(0, 0)]), side("out", &[(0, 0)])), false);
        assert_eq!(nothing.reasons, ["no record was read, which proves nothing"]);
        let mut uncommitted = frozen(side("in", &[(0, 5)]), side("out", &[(0, 5)]));
        uncommitted.inputs.required = vec![None];
        let reasons = proof(Some("g"), &uncommitted, false).reasons;
        assert_eq!(reasons, ["group g has no committed offset on in, so no input must have outputs"]);
        uncommitted.inputs.required = vec![Some(9)];
        assert!(proof(Some("g"), &uncommitted, false).reasons[0].contains("on in/0 is above its end"));
    }

    #[test]
    fn an_open_transaction_hides_records() {
        let mut open = frozen(side("in", &[(0, 5)]), side("out", &[(0, 5)]));
        open.outputs.open = vec![TopicPartition::new("out", 0)];
        let mut open = proof(None, &open, false);
        assert_eq!(admitted(&mut open), [0, 2, 2, 2]);
        assert_eq!(open.reasons[0], "outputs were not read after the start of an open transaction on out/0");
    }
}
