//! Record headers: copied unchanged from a record that was read, or built for a record to write.

use rdkafka::message::{BorrowedHeaders, BorrowedMessage, Header, Message, OwnedHeaders};

use super::native_record;

/// The headers of a record that was read, parsed on demand.
#[derive(Debug, Clone, Copy, Default)]
pub struct RecordHeaders<'a>(Option<&'a BorrowedMessage<'a>>);

impl<'a> RecordHeaders<'a> {
    pub(super) const fn of(message: &'a BorrowedMessage<'a>) -> Self {
        Self(Some(message))
    }

    /// A copy in the same order, with repeated names, names that are not UTF-8 and null values.
    #[must_use]
    pub fn copy(self) -> Headers {
        let headers = self.0.and_then(Message::headers);
        Headers(headers.map_or_else(OwnedHeaders::new, BorrowedHeaders::detach))
    }
}

/// The headers of a record to write.
#[derive(Debug, Clone)]
pub struct Headers(OwnedHeaders);

impl Headers {
    #[must_use]
    pub fn none() -> Self {
        Self(OwnedHeaders::new())
    }

    /// Appends a header. A reader that looks a name up gets the last header of that name.
    #[must_use]
    pub fn with(self, name: &str, value: &[u8]) -> Self {
        Self(self.0.insert(Header { key: name, value: Some(value) }))
    }

    /// Total bytes of names and values.
    #[must_use]
    pub fn size(&self) -> usize {
        native_record::header_bytes(self.0.as_borrowed())
    }

    pub(super) fn into_native(self) -> OwnedHeaders {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_is_that_of_names_and_values() {
        let headers = Headers::none().with("one", b"1").with("one", b"22").with("\u{e9}", b"");
        assert_eq!(headers.size(), 3 + 1 + 3 + 2 + 2);
        let null = Headers(OwnedHeaders::new().insert(Header { key: "null", value: None::<&[u8]> }));
        assert_eq!(null.size(), 4);
        assert_eq!(Headers::none().size(), 0);
    }
}
