//! Domain events: orders and inventory decisions with their JSON, money and event time. See `docs/reference/events.md`.
//!
//! Layer 0: uses no other module of this crate. No clock, no randomness, no Kafka.

mod decision;
mod decode;
mod decode_error;
mod encode;
mod money;
mod order;
mod time;

pub use decision::{Action, Decision, DecisionRecord, DecisionSource, Reason};
pub use decode::{decode_decision, decode_order};
pub use decode_error::{BadReason, BadRecord};
pub use encode::{encode_decision, encode_order};
pub use money::Cents;
pub use order::{Lines, Order, OrderLine, OrderRecord, OrderStatus};
pub use time::{EventTime, Minute, TimeError};
