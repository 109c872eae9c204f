//! Test support of the cases: a connection to a broker, unique names on it, and the transcript of requests and
//! responses.

use std::fmt::{Debug, Write as _};
use std::time::{Duration, Instant};

use kafka_protocol::ResponseError;
use kafka_protocol::messages::ApiKey;
use kafka_protocol::protocol::{Request, StrBytes};
use uuid::Uuid;

use super::client::Client;
use super::normalizer::{HOUR, Normalizer};
use super::requests::{self, Target};
use super::response_tree::Tree;

/// Timeout of every condition.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Errors of a coordinator that is not ready. Clients retry them, and how often does not matter.
const RETRIED: &[ResponseError] = &[
    ResponseError::CoordinatorLoadInProgress,
    ResponseError::CoordinatorNotAvailable,
    ResponseError::NotCoordinator,
    ResponseError::ConcurrentTransactions,
];

/// Sends the requests of one case to a broker and records the responses in a transcript.
pub struct Recorder {
    pub address: String,
    prefix: String,
    /// An hour ago: the timestamps of the case's records are relative to it.
    pub zero: i64,
    client: Client,
    normalizer: Normalizer,
    transcript: String,
}

impl Recorder {
    pub fn new(address: &str) -> Self {
        let prefix = format!("c{}.", Uuid::new_v4().simple());
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_millis();
        let zero = i64::try_from(now).expect("a timestamp") - HOUR;
        let mut recorder = Self {
            address: address.to_owned(),
            client: Client::connect(address),
            normalizer: Normalizer::new(prefix.clone(), zero),
            prefix,
            zero,
            transcript: String::new(),
        };
        // Kafka creates its coordinator topics at the first request.
        for kind in [0, 1] {
            recorder.request(4, &requests::find_coordinator(4, kind, &recorder.name("coordinator")));
        }
        recorder
    }

    pub fn transcript(self) -> String {
        self.transcript
    }

    /// A name that is unique to the case and the run.
    pub fn name(&self, name: &str) -> StrBytes {
        StrBytes::from_string(format!("{}{name}", self.prefix))
    }

    pub fn is_own_name(&self, name: &str) -> bool {
        name.starts_with(&self.prefix)
    }

    pub fn connect(&self) -> Client {
        Client::connect(&self.address)
    }

    /// Adds a comment to the transcript.
    pub fn note(&mut self, text: &str) {
        let gap = if self.transcript.is_empty() { "" } else { "\n" };
        writeln!(self.transcript, "{gap}# {text}").expect("writing to a string succeeds");
    }

    /// Records a response, or a part of it, under a heading.
    pub fn record_value(&mut self, heading: &str, response: &impl Debug) {
        let tree = self.normalizer.normalize("", Tree::of(response)).expect("a response");
        self.transcript += &tree.layout(&format!("{heading}: "));
    }

    /// Records a response.
    pub fn record_response<R: Request>(&mut self, version: i16, response: &R::Response)
    where
        R::Response: Debug,
    {
        self.record_value(&heading::<R>(version), response);
    }

    /// Sends a request and records the response.
    pub fn record<R: Request>(&mut self, version: i16, request: &R) -> R::Response
    where
        R::Response: Debug,
    {
        let response = self.request(version, request);
        self.record_response::<R>(version, &response);
        response
    }

    /// Sends a request without recording the response; retries until the coordinator is ready.
    pub fn request<R: Request>(&mut self, version: i16, request: &R) -> R::Response
    where
        R::Response: Debug,
    {
        self.request_until(version, request, |_| true)
    }

    /// Sends a request until the response is the expected one, and records that one.
    pub fn record_until<R: Request>(
        &mut self,
        version: i16,
        request: &R,
        is_expected: impl Fn(&R::Response) -> bool,
    ) -> R::Response
    where
        R::Response: Debug,
    {
        let response = self.request_until(version, request, is_expected);
        self.record_response::<R>(version, &response);
        response
    }

    /// Sends a request until the response is the expected one.
    pub fn request_until<R: Request>(
        &mut self,
        version: i16,
        request: &R,
        is_expected: impl Fn(&R::Response) -> bool,
    ) -> R::Response
    where
        R::Response: Debug,
    {
        let start = Instant::now();
        loop {
            let response = self.client.request(version, request);
            if !must_retry(&Tree::of(&response)) && is_expected(&response) {
                return response;
            }
            assert!(start.elapsed() < TIMEOUT, "unexpected response to {}: {response:?}", heading::<R>(version));
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn topic_with(&mut self, name: &str, partitions: i32, configs: &[(&str, &str)]) -> Uuid {
        let name = self.name(name);
        let created = self.client.request(7, &requests::create_topic(&name, partitions, configs));
        assert_eq!(created.topics[0].error_code, 0, "{:?}", created.topics[0].error_message);
        self.await_topic(&name);
        created.topics[0].topic_id
    }

    /// A topic of the case, by name and id.
    pub fn target_with(&mut self, name: &str, partitions: i32, configs: &[(&str, &str)]) -> Target {
        let id = self.topic_with(name, partitions, configs);
        Target { name: self.name(name), id }
    }

    pub fn target(&mut self, name: &str, partitions: i32) -> Target {
        self.target_with(name, partitions, &[])
    }

    /// Deletes a topic of the case and waits until the broker's metadata does not have it any more.
    pub fn delete_topic(&mut self, name: &str) {
        let name = self.name(name);
        let deleted = self.client.request(5, &requests::delete_topic(&name));
        assert_eq!(deleted.responses[0].error_code, 0, "the topic is deleted");
        let deleted = ResponseError::UnknownTopicOrPartition.code();
        self.request_until(12, &requests::metadata(&[&name]), |response| response.topics[0].error_code == deleted);
    }

    /// Waits until the broker leads every partition; in Kafka that is some time after the topic was created.
    pub fn await_topic(&mut self, name: &StrBytes) {
        let partitions =
            self.request_until(12, &requests::metadata(&[name]), |response| response.topics[0].error_code == 0);
        let count = i32::try_from(partitions.topics[0].partitions.len()).expect("a count");
        let ends: Vec<(i32, i64)> = (0..count).map(|partition| (partition, -1)).collect();
        self.request_until(7, &requests::list_offsets(name, &ends, 0), |response| {
            response.topics[0].partitions.iter().all(|partition| partition.error_code == 0)
        });
    }
}

/// The heading of a response in the transcript.
pub fn heading<R: Request>(version: i16) -> String {
    format!("{:?} v{version}", ApiKey::try_from(R::KEY).expect("a known API"))
}

fn must_retry(response: &Tree) -> bool {
    response.any(&|name, value| {
        name.ends_with("error_code")
            && matches!(value, Tree::Atom(code) if RETRIED.iter().any(|error| error.code().to_string() == *code))
    })
}
