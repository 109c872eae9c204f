//! Audit of another inventory service: its events are compared with the lines of the orders that it must have decided.
//!
//! Orders and events become [`Entry`](super::Entry)s by order id. They are sorted outside of this module, matched by
//! [`Matcher`], and the matched pairs are sorted again for [`OrderCheck`].

mod content;
mod describe;
mod evidence;
mod matching;
mod order;
mod records;

#[cfg(test)]
mod tests;

pub use content::ClaimedField;
pub use describe::{Description, EvidenceRecords};
pub use evidence::{Evidence, Fault, Finding};
pub use matching::{MOST_OF_AN_ID, Matcher, Totals, Whole};
pub use order::OrderCheck;
pub use records::{EventRead, event_entries, order_entries};
