//! Evidence of a chain: a finding in words, with its records.

use super::super::check::Anomaly;
use super::super::document::{RecordState, Witness, WitnessRecord};
use super::super::entry::{Place, Side};
use super::super::matching::{FanOut, MatchField};
use super::judge::{ChainFinding, Violation};
use crate::units::counted;

/// What the words of a chain name.
#[derive(Debug, Clone)]
pub struct ChainTopics {
    /// The topic with the inputs.
    pub input: String,
    /// The topic with the outputs.
    pub output: String,
    /// The field of the inputs.
    pub match_in: MatchField,
    /// The field of the outputs.
    pub match_out: MatchField,
    /// How many outputs an input has.
    pub fan_out: FanOut,
}

impl ChainTopics {
    /// `topic/partition offset 7`
    fn place(&self, place: Place) -> String {
        let topic = match place.side() {
            Side::Cause => &self.input,
            Side::Effect => &self.output,
        };
        format!("{topic}/{} offset {}", place.partition(), place.offset())
    }

    fn field(&self, side: Side) -> &MatchField {
        match side {
            Side::Cause => &self.match_in,
            Side::Effect => &self.match_out,
        }
    }

    fn expected(&self, violation: Violation, finding: &ChainFinding) -> Option<String> {
        let outputs = |count: u64| counted(count, "output");
        let (least, greatest) = finding.allowed;
        match violation {
            Violation::Lost => Some(match self.fan_out {
                FanOut::AtLeastOne => format!("{} or more", outputs(least)),
                FanOut::Exactly(_) | FanOut::AtMostOne => outputs(least),
            }),
            Violation::Surplus if least == greatest => Some(outputs(greatest)),
            Violation::Surplus => Some(format!("at most {}", outputs(greatest))),
            Violation::Invented => None,
            Violation::Unmatched => {
                let side = finding.inputs.first().map_or(Side::Effect, |_| Side::Cause);
                Some(format!("a record with {}", self.field(side)))
            }
        }
    }

    fn summary(&self, violation: Violation, finding: &ChainFinding) -> String {
        let first = finding.inputs.first().or(finding.outputs.first());
        let place = first.map_or_else(String::new, |place| self.place(*place));
        let inputs = match finding.inputs_read {
            0 | 1 => format!("the input at {place} has"),
            several => format!("{} with one {}, first at {place}, have", counted(several, "input"), self.match_in),
        };
        let seen = match finding.outputs_read {
            0 => "no output".to_owned(),
            some => counted(some, "output"),
        };
        match violation {
            Violation::Lost if finding.outputs_read == 0 => format!("{inputs} no output in {}", self.output),
            Violation::Lost => format!("{inputs} {seen} in {}: too few", self.output),
            Violation::Surplus => format!("{inputs} {seen} in {}: too many", self.output),
            Violation::Invented if finding.outputs_read > 1 => {
                format!("{seen} with one {}, first at {place}, have no input in {}", self.match_out, self.input)
            }
            Violation::Invented => format!("the output at {place} has no input in {}", self.input),
            Violation::Unmatched => {
                let side = first.map_or(Side::Cause, |place| place.side());
                let noun = if side == Side::Cause { "input" } else { "output" };
                format!("the {noun} at {place} has no {}", self.field(side))
            }
        }
    }
}

/// A finding with its records, which were read again.
///
/// An output of an aborted or open transaction, which only `read_uncommitted` finds, is named in the anomaly.
#[must_use]
pub fn chain_witness(
    topics: &ChainTopics,
    violation: Violation,
    finding: &ChainFinding,
    records: Vec<WitnessRecord>,
) -> Witness {
    let is_uncommitted = records.iter().any(|record| matches!(record.state, RecordState::Aborted | RecordState::Open));
    let anomaly = match violation {
        Violation::Lost => Anomaly::LostWrite,
        Violation::Surplus | Violation::Invented if is_uncommitted => Anomaly::AbortedRead,
        Violation::Surplus => Anomaly::Duplicate,
        Violation::Invented => Anomaly::InventedWrite,
        Violation::Unmatched => Anomaly::WrongValue,
    };
    let seen = match (violation, finding.outputs_read) {
        (Violation::Unmatched, _) => {
            let side = finding.inputs.first().map_or(Side::Effect, |_| Side::Cause);
            Some(format!("a record without {}", topics.field(side)))
        }
        (_, 0) => None,
        (_, read) if read > finding.outputs.len() as u64 => {
            Some(format!("{}, of which the first {} are shown", counted(read, "output"), finding.outputs.len()))
        }
        (_, read) => Some(counted(read, "output")),
    };
    Witness {
        anomaly,
        summary: topics.summary(violation, finding),
        expected: topics.expected(violation, finding),
        seen,
        records,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topics(fan_out: FanOut) -> ChainTopics {
        ChainTopics {
            input: "in".to_owned(),
            output: "out".to_owned(),
            match_in: MatchField::Key,
            match_out: MatchField::Pointer("/id".to_owned()),
            fan_out,
        }
    }

    fn finding(inputs: u64, outputs: u64, allowed: (u64, u64)) -> ChainFinding {
        let places = |side, count: u64, most: usize| {
            (5..)
                .take(usize::try_from(count).expect("small").min(most))
                .map(|offset| Place::new(side, 1, offset))
                .collect()
        };
        ChainFinding {
            inputs: places(Side::Cause, inputs, 4),
            outputs: places(Side::Effect, outputs, 8),
            inputs_read: inputs,
            outputs_read: outputs,
            allowed,
        }
    }

    fn words(
        fan_out: FanOut,
        violation: Violation,
        finding: &ChainFinding,
    ) -> (Anomaly, String, Option<String>, Option<String>) {
        let Witness { anomaly, summary, expected, seen, .. } =
            chain_witness(&topics(fan_out), violation, finding, Vec::new());
        (anomaly, summary, expected, seen)
    }

    #[test]
    fn each_violation_has_its_words() {
        let owned = |text: &str| Some(text.to_owned());
        assert_eq!(
            words(FanOut::Exactly(1), Violation::Lost, &finding(1, 0, (1, 1))),
            (Anomaly::LostWrite, "the input at in/1 offset 5 has no output in out".to_owned(), owned("1 output"), None)
        );
        assert_eq!(
            words(FanOut::AtLeastOne, Violation::Lost, &finding(2, 1, (2, u64::MAX))),
            (
                Anomaly::LostWrite,
                "2 inputs with one key, first at in/1 offset 5, have 1 output in out: too few".to_owned(),
                owned("2 outputs or more"),
                owned("1 output")
            )
        );
        assert_eq!(
            words(FanOut::Exactly(1), Violation::Surplus, &finding(1, 9, (1, 1))),
            (
                Anomaly::Duplicate,
                "the input at in/1 offset 5 has 9 outputs in out: too many".to_owned(),
                owned("1 output"),
                owned("9 outputs, of which the first 8 are shown")
            )
        );
        assert_eq!(words(FanOut::AtMostOne, Violation::Surplus, &finding(1, 2, (0, 1))).2, owned("at most 1 output"));
        assert_eq!(
            words(FanOut::Exactly(1), Violation::Invented, &finding(0, 1, (0, 0))),
            (
                Anomaly::InventedWrite,
                "the output at out/1 offset 5 has no input in in".to_owned(),
                None,
                owned("1 output")
            )
        );
        assert_eq!(
            words(FanOut::Exactly(1), Violation::Invented, &finding(0, 2, (0, 0))).1,
            "2 outputs with one /id, first at out/1 offset 5, have no input in in"
        );
        assert_eq!(
            words(FanOut::Exactly(1), Violation::Unmatched, &finding(0, 1, (0, 0))),
            (
                Anomaly::WrongValue,
                "the output at out/1 offset 5 has no /id".to_owned(),
                owned("a record with /id"),
                owned("a record without /id")
            )
        );
    }

    #[test]
    fn an_aborted_output_is_named() {
        let record = |state| WitnessRecord {
            role: "output".to_owned(),
            topic: "out".to_owned(),
            partition: 1,
            offset: 5,
            timestamp: None,
            state,
            key: None,
            value: None,
        };
        let anomaly = |violation, state| {
            let finding = finding(1, 2, (1, 1));
            chain_witness(&topics(FanOut::Exactly(1)), violation, &finding, vec![record(state)]).anomaly
        };
        assert_eq!(anomaly(Violation::Surplus, RecordState::Aborted), Anomaly::AbortedRead);
        assert_eq!(anomaly(Violation::Surplus, RecordState::Unknown), Anomaly::Duplicate);
        assert_eq!(anomaly(Violation::Invented, RecordState::Open), Anomaly::AbortedRead);
        assert_eq!(anomaly(Violation::Lost, RecordState::Aborted), Anomaly::LostWrite);
    }
}
