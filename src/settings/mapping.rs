//! What a property of the Java clients becomes for librdkafka.

#[derive(Clone, PartialEq, Eq)]
pub(super) enum Mapping {
    /// These librdkafka properties.
    As(Vec<(&'static str, String)>),
    /// Not needed, with the reason.
    Unneeded(&'static str),
    /// Ignored, with a warning.
    Ignored(&'static str),
}

/// A setting that cannot be supported. Neither text quotes the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MappingError {
    /// One lower-case line.
    pub message: String,
    /// What to do.
    pub hint: String,
}

impl MappingError {
    pub fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: hint.into() }
    }
}
