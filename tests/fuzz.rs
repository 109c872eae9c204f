//! Fuzzing with malformed requests: validation, decoders and a running broker survive them in bounded memory.
//!
//! Runs with the same seed try the same cases. A longer run with other cases: `FOODSTREAM_FUZZ_SEED=7
//! FOODSTREAM_FUZZ_CASES=20000000 cargo test --release --test fuzz`.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Once;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use foodstream::broker::wire::{Frames, InvalidRequest, Limits, read_header, validate};
use foodstream::broker::{BrokerConfig, Server};
use kafka_protocol::messages::ApiKey;
use rand_xoshiro::Xoshiro256StarStar;
use rand_xoshiro::rand_core::{Rng, SeedableRng};
use rustix::process::{Resource, Rlimit, setrlimit};

#[path = "../src/broker/wire/request_schemas.rs"]
mod request_schemas;
#[path = "../src/broker/wire/samples.rs"]
#[expect(dead_code, reason = "the tests of the validation use the rest")]
mod samples;
#[path = "../src/broker/wire/schema.rs"]
#[expect(dead_code, reason = "only the validation uses field names")]
mod schema;

/// Limit of additional address space. Most of it is reserved by the allocator for its threads. A trusted array length
/// would need a hundred times as much.
const ADDRESS_SPACE: u64 = 2 << 30;
/// Limit of additional resident memory, in KiB.
const MEMORY: u64 = 256 << 10;

/// Small enough that a request of some hundred bytes exceeds it.
const LIMITS: Limits = Limits { elements: 100 };

#[expect(clippy::disallowed_methods, reason = "the environment selects the cases")]
fn setting(name: &str, otherwise: u64) -> u64 {
    let value = std::env::var(name).ok();
    value.map_or(otherwise, |value| value.parse().unwrap_or_else(|_| panic!("{name} is not a number: {value}")))
}

/// A line of `/proc/self/status`, in KiB.
fn memory(figure: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix(figure)).expect("a line of /proc/self/status");
    line.trim_matches([':', '\t', ' ', 'k', 'B']).parse().expect("KiB")
}

/// An allocation beyond the limit ends the process, as it would end a broker.
fn limit_memory() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let limit = Some(memory("VmSize") * 1024 + ADDRESS_SPACE);
        setrlimit(Resource::As, Rlimit { current: limit, maximum: limit }).expect("lowered");
    });
}

/// Generates requests and mutates them.
struct Mutator {
    random: Xoshiro256StarStar,
    versions: Vec<(ApiKey, i16)>,
}

impl Mutator {
    fn new(salt: u64) -> Self {
        let seed = setting("FOODSTREAM_FUZZ_SEED", 1).wrapping_add(salt << 32);
        Self { random: Xoshiro256StarStar::seed_from_u64(seed), versions: samples::versions().collect() }
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.random.next_u64() % bound.max(1) as u64).expect("below a usize")
    }

    fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }

    fn choices(&mut self) -> Vec<u8> {
        let mut choices = vec![0; self.below(150)];
        self.random.fill_bytes(&mut choices);
        choices
    }

    /// The bytes of a connection: several frames, some of them mutated.
    fn stream(&mut self) -> Vec<u8> {
        let mut stream = Vec::new();
        for _ in 0..=self.below(3) {
            let mut frame = self.request();
            if self.one_in(16) {
                let glued = self.request();
                frame.extend(glued);
            }
            let length = self.length(frame.len());
            stream.extend(length.to_be_bytes());
            stream.extend(frame);
        }
        if self.one_in(16) {
            stream.truncate(self.below(stream.len()));
        }
        stream
    }

    /// The length prefix of a frame, mostly correct.
    fn length(&mut self, length: usize) -> i32 {
        let length = i32::try_from(length).expect("short");
        match self.below(64) {
            0 => length - 1,
            1 => length + 1,
            2 => self.random.next_u32().cast_signed(),
            3 => length | 1 << 24,
            _ => length,
        }
    }

    fn request(&mut self) -> Vec<u8> {
        let chosen = self.below(self.versions.len());
        let (api, version) = self.versions[chosen];
        let choices = self.choices();
        let sample = samples::sample(api, version, &choices, self.one_in(2));
        let mut body = sample.bytes.clone();
        if self.one_in(4) && !sample.lengths.is_empty() {
            body = sample.blown_up(sample.lengths[self.below(sample.lengths.len())]);
        }
        if self.one_in(2) {
            for _ in 0..=self.below(3) {
                self.mutate(&mut body);
            }
        }
        let mut frame = Vec::new();
        frame.extend((api as i16).to_be_bytes());
        frame.extend(version.to_be_bytes());
        frame.extend(self.random.next_u32().to_be_bytes());
        frame.extend([0, 4, b'f', b'u', b'z', b'z']);
        if api.request_header_version(version) >= 2 {
            frame.push(0);
        }
        if self.one_in(8) {
            self.mutate(&mut frame);
        }
        frame.extend(body);
        frame
    }

    /// Mutates one position.
    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        let at = self.below(bytes.len() + 1);
        let rest = bytes.len() - at;
        let some = 1 + self.below(8);
        match self.below(7) {
            0 if rest > 0 => bytes[at] ^= 1 << self.below(8),
            1 if rest > 0 => bytes[at] = [0, 1, 2, 0x7f, 0x80, 0xfe, 0xff][self.below(7)],
            2 if rest >= some => drop(bytes.drain(at..at + some)),
            3 => bytes.truncate(at),
            4 => {
                let inserted = self.choices();
                bytes.splice(at..at, inserted.into_iter().take(some));
            }
            5 if rest > 0 => {
                // Repeats a part of the request.
                let piece = bytes[at..bytes.len().min(at + 40)].to_vec();
                bytes.splice(at..at, piece.repeat(some * some));
            }
            _ => {
                let other = self.choices();
                let end = bytes.len().min(at + some);
                bytes.splice(at..end, other.into_iter().take(some));
            }
        }
    }
}

/// Number of cases by outcome.
#[derive(Debug, Default)]
struct Outcomes(BTreeMap<&'static str, u64>);

impl Outcomes {
    fn count(&mut self, outcome: &'static str) {
        *self.0.entry(outcome).or_default() += 1;
    }

    /// Reads the stream in pieces, like a connection; the first invalid request ends it.
    fn read_stream(&mut self, stream: &[u8], piece: usize) -> Option<()> {
        let mut buffer = BytesMut::new();
        for piece in stream.chunks(piece) {
            buffer.extend_from_slice(piece);
            while let Some(frame) =
                Frames::default().next(&mut buffer).inspect_err(|_| self.count("frame refused")).ok()?
            {
                self.serve(frame)?;
            }
        }
        Some(())
    }

    fn serve(&mut self, mut frame: Bytes) -> Option<()> {
        let (api, header) = read_header(&mut frame).inspect_err(|_| self.count("header refused")).ok()?;
        let version = header.request_api_version;
        match validate(api, version, &frame, LIMITS) {
            Ok(()) => {
                let decoded = samples::is_decoded(api, version, &mut frame.clone());
                assert!(decoded || !frame.is_ascii(), "{api:?} {version}: valid but not decoded: {frame:02x?}");
                self.count(if decoded { "decoded" } else { "not UTF-8" });
                Some(())
            }
            Err(rubbish) => {
                self.refused(api, version, &frame, rubbish);
                None
            }
        }
    }

    /// A request that validation refuses must also be refused by the crate, or would be misread by it.
    fn refused(&mut self, api: ApiKey, version: i16, body: &Bytes, rubbish: InvalidRequest) {
        let is_decoded = || samples::is_decoded(api, version, &mut body.clone());
        let (outcome, decoded) = match rubbish {
            InvalidRequest::UnknownVersion { .. } => ("version refused", is_decoded()),
            InvalidRequest::PastEnd { .. } => ("cut off", is_decoded()),
            // The crate would reserve memory for the array before it fails.
            InvalidRequest::CountTooLarge { .. } => ("count too large", false),
            InvalidRequest::TagNotInVersion { .. } => ("tag refused", is_decoded()),
            // The crate accepts null in versions that do not allow it, and misreads the bytes after a number of more
            // than five bytes.
            InvalidRequest::NullOrNegative { .. } => ("null refused", false),
            InvalidRequest::InvalidNullMarker { .. } => ("marker refused", false),
            InvalidRequest::VarintTooLong { .. } => ("number refused", false),
            InvalidRequest::TooManyElements { .. } => ("too many elements", false),
            other => panic!("{api:?} {version}: {other}"),
        };
        assert!(!decoded, "{api:?} {version}: refused ({rubbish}) but decoded: {body:02x?}");
        self.count(outcome);
    }
}

#[test]
fn malformed_requests_take_bounded_memory() {
    limit_memory();
    let mut mutator = Mutator::new(0);
    let mut outcomes = Outcomes::default();
    let before = memory("VmHWM");
    for _ in 0..setting("FOODSTREAM_FUZZ_CASES", 60_000) {
        let stream = mutator.stream();
        let piece = 1 + mutator.below(stream.len());
        outcomes.read_stream(&stream, piece);
    }
    println!("{outcomes:#?}");
    for outcome in [
        "frame refused",
        "header refused",
        "version refused",
        "cut off",
        "count too large",
        "null refused",
        "number refused",
        "tag refused",
        "too many elements",
        "not UTF-8",
        "decoded",
    ] {
        assert!(outcomes.0.contains_key(outcome), "no case was {outcome}: {outcomes:?}");
    }
    let taken = memory("VmHWM") - before;
    assert!(taken < MEMORY, "{taken} KiB");
}

/// Sends the bytes and reads the response until the broker closes the connection or is silent for a moment.
fn exchange(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).expect("a broker that accepts");
    stream.set_read_timeout(Some(Duration::from_millis(50))).expect("a time-out");
    let mut response = Vec::new();
    // The broker may close the connection before everything is written.
    if stream.write_all(bytes).and_then(|()| stream.shutdown(Shutdown::Write)).is_ok() {
        match stream.read_to_end(&mut response) {
            Ok(_) => {}
            Err(error) => {
                let is_expected =
                    matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::WouldBlock | ErrorKind::TimedOut);
                assert!(is_expected, "{error}");
            }
        }
    }
    response
}

/// Whether the broker responds to an `ApiVersions` request.
fn is_alive(address: SocketAddr) -> bool {
    let request = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 42, 0, 0];
    let mut stream = TcpStream::connect(address).expect("a broker that accepts");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a time-out");
    stream.write_all(&request).expect("a broker that reads");
    let mut answer = [0; 10];
    stream.read_exact(&mut answer).is_ok() && answer[4..] == [0, 0, 0, 42, 0, 0]
}

#[test]
fn broker_survives_malformed_requests() {
    limit_memory();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let server = runtime.block_on(Server::start(BrokerConfig::in_memory())).unwrap();
    let mut mutator = Mutator::new(1);
    let before = memory("VmHWM");
    let (mut answered, mut silent) = (0, 0);
    for case in 0..setting("FOODSTREAM_FUZZ_CASES", 60_000) / 20 {
        let response = exchange(server.address(), &mutator.stream());
        *if response.is_empty() { &mut silent } else { &mut answered } += 1;
        if case % 100 == 0 {
            assert!(is_alive(server.address()), "after {case} cases");
        }
    }
    println!("{answered} connections with a response, {silent} without");
    assert!(is_alive(server.address()) && answered > 0 && silent > 0);
    runtime.block_on(server.stop()).unwrap();
    let taken = memory("VmHWM") - before;
    assert!(taken < MEMORY, "{taken} KiB");
}
