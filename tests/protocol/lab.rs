//! Owns one case's place: a broker, names of its own on it, connections, and the transcript of what was asked and answered.

use std::fmt::{Debug, Write as _};
use std::time::{Duration, Instant};

use kafka_protocol::ResponseError;
use kafka_protocol::messages::ApiKey;
use kafka_protocol::protocol::{Request, StrBytes};
use uuid::Uuid;

use super::client::Client;
use super::names::{HOUR, Names};
use super::requests::{self, Target};
use super::telling::Told;

/// No condition is waited for longer.
const BOUND: Duration = Duration::from_secs(30);

/// What a coordinator says while it is not ready: every client asks again, and how often is not the point.
const AGAIN: &[ResponseError] = &[
    ResponseError::CoordinatorLoadInProgress,
    ResponseError::CoordinatorNotAvailable,
    ResponseError::NotCoordinator,
    ResponseError::ConcurrentTransactions,
];

/// One case's place on a broker.
pub struct Lab {
    pub address: String,
    prefix: String,
    /// A timestamp of an hour ago: the case's records are made around it.
    pub zero: i64,
    client: Client,
    names: Names,
    transcript: String,
}

impl Lab {
    pub fn new(address: &str) -> Self {
        let prefix = format!("c{}.", Uuid::new_v4().simple());
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_millis();
        let zero = i64::try_from(now).expect("a timestamp") - HOUR;
        let mut lab = Self {
            address: address.to_owned(),
            client: Client::connect(address),
            names: Names::new(prefix.clone(), zero),
            prefix,
            zero,
            transcript: String::new(),
        };
        // Who coordinates is decided when somebody asks for the first time.
        for kind in [0, 1] {
            lab.put(4, &requests::find_coordinator(4, kind, &lab.name("coordinator")));
        }
        lab
    }

    pub fn transcript(self) -> String {
        self.transcript
    }

    /// A name that no other case and no other run has.
    pub fn name(&self, name: &str) -> StrBytes {
        StrBytes::from_string(format!("{}{name}", self.prefix))
    }

    pub fn is_mine(&self, name: &str) -> bool {
        name.starts_with(&self.prefix)
    }

    pub fn connect(&self) -> Client {
        Client::connect(&self.address)
    }

    /// Says in the transcript what comes next.
    pub fn note(&mut self, text: &str) {
        let gap = if self.transcript.is_empty() { "" } else { "\n" };
        writeln!(self.transcript, "{gap}# {text}").expect("a string takes all");
    }

    /// Tells an answer, or what was left of it.
    pub fn tell(&mut self, heading: &str, answer: &impl Debug) {
        let told = self.names.tell("", Told::of(answer)).expect("an answer");
        self.transcript += &told.layout(&format!("{heading}: "));
    }

    pub fn tell_answer<R: Request>(&mut self, version: i16, answer: &R::Response)
    where
        R::Response: Debug,
    {
        self.tell(&heading::<R>(version), answer);
    }

    /// Asks and tells the answer.
    pub fn ask<R: Request>(&mut self, version: i16, request: &R) -> R::Response
    where
        R::Response: Debug,
    {
        let answer = self.put(version, request);
        self.tell_answer::<R>(version, &answer);
        answer
    }

    /// Asks and tells nothing; waits until a coordinator is ready to answer.
    pub fn put<R: Request>(&mut self, version: i16, request: &R) -> R::Response
    where
        R::Response: Debug,
    {
        self.put_until(version, request, |_| true)
    }

    /// Asks until the answer is the awaited one, and tells that.
    pub fn ask_until<R: Request>(
        &mut self,
        version: i16,
        request: &R,
        is_awaited: impl Fn(&R::Response) -> bool,
    ) -> R::Response
    where
        R::Response: Debug,
    {
        let answer = self.put_until(version, request, is_awaited);
        self.tell_answer::<R>(version, &answer);
        answer
    }

    /// Asks until the answer is the awaited one.
    pub fn put_until<R: Request>(
        &mut self,
        version: i16,
        request: &R,
        is_awaited: impl Fn(&R::Response) -> bool,
    ) -> R::Response
    where
        R::Response: Debug,
    {
        let start = Instant::now();
        loop {
            let answer = self.client.request(version, request);
            if !must_ask_again(&Told::of(&answer)) && is_awaited(&answer) {
                return answer;
            }
            assert!(start.elapsed() < BOUND, "{} is not answered as awaited: {answer:?}", heading::<R>(version));
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

    /// Deletes a topic of the case, and waits until the broker has heard of it.
    pub fn delete_topic(&mut self, name: &str) {
        let name = self.name(name);
        let deleted = self.client.request(5, &requests::delete_topic(&name));
        assert_eq!(deleted.responses[0].error_code, 0, "the topic is deleted");
        let gone = ResponseError::UnknownTopicOrPartition.code();
        self.put_until(12, &requests::metadata(&[&name]), |answer| answer.topics[0].error_code == gone);
    }

    /// Waits until the broker leads every partition: it hears of a topic after the one who made it does.
    pub fn await_topic(&mut self, name: &StrBytes) {
        let partitions = self.put_until(12, &requests::metadata(&[name]), |answer| answer.topics[0].error_code == 0);
        let count = i32::try_from(partitions.topics[0].partitions.len()).expect("a count");
        let ends: Vec<(i32, i64)> = (0..count).map(|partition| (partition, -1)).collect();
        self.put_until(7, &requests::list_offsets(name, &ends, 0), |answer| {
            answer.topics[0].partitions.iter().all(|partition| partition.error_code == 0)
        });
    }
}

/// How a line of the transcript begins.
pub fn heading<R: Request>(version: i16) -> String {
    format!("{:?} v{version}", ApiKey::try_from(R::KEY).expect("a known API"))
}

fn must_ask_again(answer: &Told) -> bool {
    answer.any(&|name, value| {
        name.ends_with("error_code")
            && matches!(value, Told::Word(code) if AGAIN.iter().any(|again| again.code().to_string() == *code))
    })
}
