//! Owns writing events: the exact bytes that `produce` and `inventory` put on the topics.

use super::{Decision, Order};

/// Appends the order's JSON.
pub fn encode_order(_order: &Order<'_>, _out: &mut Vec<u8>) {
    todo!("domain helper")
}

/// Appends the decision's JSON.
pub fn encode_decision(_decision: &Decision<'_>, _out: &mut Vec<u8>) {
    todo!("domain helper")
}
