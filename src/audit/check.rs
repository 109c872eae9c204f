//! The checks of an audit by name, what each of them claims, and the names of what breaks them.

use serde::{Deserialize, Serialize};

/// What an audit is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// The topics of a prefix, written by `foodstream inventory`.
    Prefix,
    /// The decisions of another inventory service about orders of a prefix.
    Service,
    /// The output records of any consumer that writes to another topic.
    Chain,
}

/// Defines [`Check`]: each name and claim is written only here. The reference and the test of the reference use them.
macro_rules! checks {
    ($($variant:ident, $name:literal, [$($subject:ident),+], $claim:literal;)*) => {
        /// A named check.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Check {
            $(#[doc = $claim] $variant,)*
        }

        impl Check {
            /// All checks, in the order of a report.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The name, as in a document.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What must hold, as a sentence without a full stop.
            #[must_use]
            pub const fn claim(self) -> &'static str {
                match self { $(Self::$variant => $claim,)* }
            }

            /// The subjects that it belongs to.
            #[must_use]
            pub const fn subjects(self) -> &'static [Subject] {
                match self { $(Self::$variant => &[$(Subject::$subject),+],)* }
            }
        }
    };
}

checks! {
    OneDecisionPerLine, "one-decision-per-line", [Prefix],
        "each line of each order below the committed offset has exactly one decision, and no line above it has one";
    DecisionsHaveASource, "decisions-have-a-source", [Prefix],
        "each decision names an order line that exists, and has its order id, item and quantity";
    DecisionsRecompute, "decisions-recompute", [Prefix],
        "each decision is byte for byte the one that follows from the orders before it";
    OrderIsKept, "order-is-kept", [Prefix, Service],
        "decisions are in the order of the orders that caused them";
    StockNeverNegative, "stock-never-negative", [Prefix],
        "no decision reserves more units than are on hand";
    StockBalances, "stock-balances", [Prefix],
        "units on hand and reserved add up to opening stock and restocks, at every decision and in the ledger";
    LedgerAgrees, "ledger-agrees", [Prefix],
        "the ledger holds the stock that follows from the orders below its position";
    PositionEqualsOffset, "position-equals-offset", [Prefix],
        "the position record of each partition is the group's committed offset";
    CountsAgree, "counts-agree", [Prefix],
        "the counts in the position records are those of the orders below them";
    RecordsUnchanged, "records-unchanged", [Prefix],
        "the orders are those that were decided: their digest is that of the position record";
    DeadLettersOnce, "dead-letters-once", [Prefix],
        "each bad record below the committed offset is in the dead letters exactly once, with the same key and value";
    CommittedReadersAgree, "committed-readers-agree", [Prefix],
        "what analytics groups read during the run is what a reader of committed records reads now";
    NoHangingTransaction, "no-hanging-transaction", [Prefix],
        "no output has an open transaction once its writers are gone";
    NoLineLost, "no-line-lost", [Service],
        "each line of each order below the committed offset has an event";
    NoLineDoubled, "no-line-doubled", [Service],
        "no line has more than one event";
    NoLineInvented, "no-line-invented", [Service],
        "each event is about an order that exists";
    LinesAsOrdered, "lines-as-ordered", [Service],
        "each event has an item and a quantity of its order, and reserves placed orders and releases failed ones";
    KeysAreKept, "keys-are-kept", [Service],
        "each event has the key that the service claims";
    EveryInputHasOutputs, "every-input-has-outputs", [Chain],
        "each input record has as many outputs as it must have";
    EveryOutputHasAnInput, "every-output-has-an-input", [Chain],
        "each output record has an input";
    NothingTwice, "nothing-twice", [Chain],
        "no input record has more outputs than it may have";
    RecordsMatch, "records-match", [Chain],
        "each record has the field by which inputs and outputs are matched";
}

impl Check {
    /// The checks of a subject, in the order of a report.
    pub fn of(subject: Subject) -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(move |check| check.subjects().contains(&subject))
    }
}

/// What broke a check, in the words of Jepsen's reports where they have one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Anomaly {
    /// A record that must be there is missing.
    LostWrite,
    /// A record is there more often than it may be.
    Duplicate,
    /// A record of an aborted transaction was used or is shown.
    AbortedRead,
    /// Only a part of what one transaction must have written is there.
    TornTransaction,
    /// An offset disagrees with what was processed.
    InconsistentOffset,
    /// Records are in another order than what caused them.
    NonMonotonic,
    /// A record without a cause.
    InventedWrite,
    /// A record has other content than it must have.
    WrongValue,
    /// A transaction whose writer is gone.
    HangingTransaction,
}

impl Anomaly {
    /// The name in text.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::LostWrite => "lost write",
            Self::Duplicate => "duplicate",
            Self::AbortedRead => "aborted read",
            Self::TornTransaction => "torn transaction",
            Self::InconsistentOffset => "inconsistent offset",
            Self::NonMonotonic => "non-monotonic",
            Self::InventedWrite => "invented write",
            Self::WrongValue => "wrong value",
            Self::HangingTransaction => "hanging transaction",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_every_subject_has_checks() {
        let mut names: Vec<&str> = Check::ALL.iter().map(|check| check.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Check::ALL.len());
        for subject in [Subject::Prefix, Subject::Service, Subject::Chain] {
            assert!(Check::of(subject).count() >= 4, "{subject:?}");
        }
    }
}
