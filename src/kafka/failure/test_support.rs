//! Test support: messages of librdkafka, and the failures that they become.

use std::time::Duration;

use crate::exit::Failure;
use crate::kafka::connection::Connection;
use crate::kafka::connection_fault::{ConnectionFault, parse};

/// A message of librdkafka 2.12 about an Apache Kafka 4.1, the properties, and the exit code and text of the failure.
pub type Message = (&'static str, &'static str, &'static str);

/// A connection with properties such as `a=1 b=2`.
pub fn connection(properties: &str) -> Connection {
    let properties = properties.split_whitespace().filter_map(|word| word.split_once('='));
    let properties = properties.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    Connection::new(properties, Duration::from_secs(1))
}

/// Requires that each message becomes a failure that begins as expected.
pub fn assert_failures(messages: &[Message], failure: impl Fn(&ConnectionFault, &Connection) -> Failure) {
    for (message, properties, expected) in messages {
        let fault = parse(message).expect(message);
        let failure = failure(&fault, &connection(properties));
        let text = format!("{} {failure}", failure.code.number());
        assert!(text.starts_with(expected), "{message}\nbecame\n{text}\nand not\n{expected}");
        // Error events have no thread name.
        let event = message.split_once("]: ").map(|(_, event)| event).filter(|event| event.contains("://k"));
        assert!(event.is_none_or(|event| parse(event) == Some(fault)), "{message}");
    }
}
