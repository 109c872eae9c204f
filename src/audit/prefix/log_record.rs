//! A record as the folds read it.

/// A record of `order-events` or of its outputs.
#[derive(Debug, Clone, Copy)]
pub struct LogRecord<'a> {
    /// Its offset.
    pub offset: i64,
    /// Milliseconds since the epoch.
    pub timestamp: Option<i64>,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value.
    pub value: Option<&'a [u8]>,
}
