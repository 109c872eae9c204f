//! Owns reading events: which bytes are an order or a decision, which are another event, and which are bad.

use super::{BadRecord, DecisionRecord, OrderRecord};

/// Reads a record of `order-events`.
///
/// # Errors
///
/// When the record is bad by the contract's list.
pub fn decode_order(_value: Option<&[u8]>) -> Result<OrderRecord<'_>, BadRecord> {
    todo!("domain helper")
}

/// Reads a record of `inventory-events`.
///
/// # Errors
///
/// When the record is bad by the contract's list.
pub fn decode_decision(_value: Option<&[u8]>) -> Result<DecisionRecord<'_>, BadRecord> {
    todo!("domain helper")
}
