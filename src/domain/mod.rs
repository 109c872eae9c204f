//! Owns what the business is made of: money, event time, orders, inventory decisions and their JSON; stops at bytes.
//!
//! Rank 0: uses nothing else of this crate. No clock, no randomness, no Kafka.

mod bad_record;
mod decision;
mod decode;
mod decode_error;
mod encode;
mod money;
mod order;
mod time;

pub use bad_record::{BadReason, BadRecord};
pub use decision::{Action, Decision, DecisionRecord, DecisionSource, Reason};
pub use decode::{decode_decision, decode_order};
pub use encode::{encode_decision, encode_order};
pub use money::Cents;
pub use order::{Lines, Order, OrderLine, OrderRecord, OrderStatus};
pub use time::{EventTime, Minute, TimeError};
