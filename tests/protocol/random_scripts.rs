//! Cases with random scripts of transactions and of a log; a seed always gives the same script.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{ProduceRequest, TxnOffsetCommitRequest};

use super::Case;
use super::batch::Batch;
use super::offsets;
use super::requests::{self, Target};
use super::test_support::Recorder;
use super::transactional::{self, Producer};

pub const CASES: &[Case] = &[
    ("random_transactions_1", transactions::<1>),
    ("random_transactions_2", transactions::<2>),
    ("random_transactions_3", transactions::<3>),
    ("random_transactions_4", transactions::<4>),
    ("random_log_1", log::<1>),
    ("random_log_2", log::<2>),
    ("random_log_3", log::<3>),
];

const STEPS: usize = 120;

/// Pseudo-random numbers from a seed (xorshift).
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn below(&mut self, limit: i64) -> i64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        i64::try_from(self.0 >> 33).expect("31 bits") % limit
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        let index = self.below(i64::try_from(from.len()).expect("a count"));
        from[usize::try_from(index).expect("an index")].clone()
    }

    /// True with a probability of one in `times`.
    fn one_in(&mut self, times: i64) -> bool {
        self.below(times) == 0
    }
}

/// Two transactional ids with all of their incarnations.
struct Producers {
    target: Target,
    /// The incarnations of each id; the last one is current.
    incarnations: [Vec<Producer>; 2],
    /// The next sequence by producer id, epoch and partition.
    next: std::collections::BTreeMap<(i64, i16, i32), i32>,
}

fn transactions<const SEED: u64>(recorder: &mut Recorder) {
    let mut random = Random::new(SEED);
    let target = recorder.target("topic", 2);
    let group = recorder.name("group");
    let incarnations = ["a", "b"].map(|name| vec![Producer::init(recorder, name)]);
    let mut producers = Producers { target, incarnations, next: std::collections::BTreeMap::new() };
    for step in 0..STEPS {
        let who = usize::try_from(random.below(2)).expect("an index");
        let current = producers.incarnations[who].last().expect("a current incarnation").clone();
        let producer = if random.one_in(6) { random.pick(&producers.incarnations[who]) } else { current };
        let name = format!("{step}: {} epoch {}", ["a", "b"][who], producer.epoch);
        // The first id behaves like Java and the second like librdkafka: Kafka does not expect one id to do both.
        let is_v2 = who == 0;
        match random.below(10) {
            4 if !is_v2 => {
                let version = random.pick(&[0, 3]);
                let partitions = random.pick(&[vec![0], vec![1], vec![0, 1], vec![5]]);
                let response = recorder.request(version, &producer.add(&producers.target.name, &partitions));
                recorder.record_value(&format!("{name} AddPartitionsToTxn v{version} {partitions:?}"), &response);
            }
            5 if !is_v2 => {
                let response = recorder.request(0, &producer.add_offsets(&group));
                recorder.record_value(&format!("{name} AddOffsetsToTxn v0"), &response);
            }
            6 => {
                let version = if is_v2 { 5 } else { 3 };
                let request = producer.commit_offset(&group, &producers.target.name, random.below(100));
                let mut response = recorder.request(version, &request);
                for partition in response.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
                    partition.error_code = unify_error(partition.error_code);
                }
                recorder.record_value(
                    &format!("{name} {}", super::test_support::heading::<TxnOffsetCommitRequest>(version)),
                    &response,
                );
            }
            7..9 => {
                let (version, committed) = (if is_v2 { 5 } else { random.pick(&[1, 4]) }, !random.one_in(3));
                let response = recorder.request(version, &producer.end(committed));
                recorder.record_value(&format!("{name} EndTxn v{version} committed {committed}"), &response);
                if version == 5 && response.error_code == 0 {
                    producers.incarnations[who].push(with_epoch(
                        &producer,
                        *response.producer_id,
                        response.producer_epoch,
                    ));
                }
                await_markers(recorder, &producer);
            }
            9 => {
                let request = if random.one_in(2) {
                    producer.init_again()
                } else {
                    requests::init_producer_id(Some(&producer.id))
                };
                let response = recorder.request(4, &request);
                recorder.record_value(&format!("{name} InitProducerId v4 with {}", request.producer_epoch), &response);
                if response.error_code == 0 {
                    producers.incarnations[who].push(with_epoch(
                        &producer,
                        *response.producer_id,
                        response.producer_epoch,
                    ));
                }
                await_markers(recorder, &producer);
            }
            _ => {
                let versions: &[i16] = if is_v2 { &[12, 13] } else { &[7, 9] };
                produce(recorder, &mut random, &mut producers, &producer, versions, &name);
            }
        }
    }
    recorder.note("what is left");
    for partition in [0, 1] {
        let request = requests::fetch(12, &producers.target, &[(partition, 0)]);
        recorder.record(12, &requests::read_committed(request));
        transactional::record_ends(recorder, &producers.target, partition);
    }
    for producer in producers.incarnations.iter().filter_map(|incarnations| incarnations.last()) {
        let mut response = recorder.request(0, &producer.describe());
        // The partition of the offsets topic depends on the broker.
        response.transaction_states[0].topics.retain(|topic| !topic.topic.starts_with("__"));
        recorder.record_value("what the coordinator knows", &response);
    }
    recorder.record(8, &offsets::fetch(8, &group, None));
    recorder.record(8, &offsets::fetch(8, &group, None).with_require_stable(true));
}

fn with_epoch(producer: &Producer, number: i64, epoch: i16) -> Producer {
    Producer { number, epoch, ..producer.clone() }
}

/// Produces one record to one partition, usually with the next sequence.
fn produce(
    recorder: &mut Recorder,
    random: &mut Random,
    producers: &mut Producers,
    producer: &Producer,
    versions: &[i16],
    name: &str,
) {
    let (version, partition) = (random.pick(versions), random.pick(&[0, 0, 1]));
    let next = producers.next.entry((producer.number, producer.epoch, partition)).or_default();
    // No duplicates: a duplicate as the first record of a transaction confuses Kafka's state.
    let sequence = if random.one_in(6) { *next + random.pick(&[1, 2]) } else { *next };
    let mut response =
        recorder.request(version, &producer.produce(version, (&producers.target, partition), sequence, &["x"]));
    let result = &mut response.responses[0].partition_responses[0];
    if result.error_code == 0 && sequence >= *next {
        *next = sequence + 1;
    }
    result.error_code = unify_error(result.error_code);
    let heading = super::test_support::heading::<ProduceRequest>(version);
    recorder.record_value(&format!("{name} {heading} partition {partition} sequence {sequence}"), &response);
}

/// Kafka returns one of two errors for a partition outside of a transaction, depending on its load.
fn unify_error(code: i16) -> i16 {
    if code == ResponseError::TransactionAbortable.code() { ResponseError::InvalidTxnState.code() } else { code }
}

/// Waits until the markers of the producer's last transaction are written.
fn await_markers(recorder: &mut Recorder, producer: &Producer) {
    recorder.request_until(0, &producer.describe(), |response| {
        !response.transaction_states[0].transaction_state.starts_with("Prepare")
    });
}

fn log<const SEED: u64>(recorder: &mut Recorder) {
    let mut random = Random::new(SEED);
    let target = recorder.target("topic", 1);
    let response = recorder.request(4, &requests::init_producer_id(None));
    let me = (*response.producer_id, response.producer_epoch);
    let (mut end, mut sequence) = (0, 0);
    for step in 0..STEPS {
        match random.below(10) {
            0..3 => {
                let times: Vec<i64> = (0..=random.below(4)).map(|_| recorder.zero + random.below(100)).collect();
                let values: Vec<&str> = times.iter().map(|_| random.pick(&["a", "bb", "", "a longer value"])).collect();
                let mut batch = Batch::timed(&times, &values);
                if random.one_in(2) {
                    batch = batch.by(me, sequence);
                }
                let response = recorder.request(9, &requests::produce(9, &target, &[(0, batch.bytes())]));
                let count = i64::try_from(times.len()).expect("a count");
                end = response.responses[0].partition_responses[0].base_offset + count;
                if batch.producer_id >= 0 {
                    sequence += i32::try_from(count).expect("a count");
                }
                recorder.record_value(&format!("{step}: Produce v9 of {count}"), &response);
            }
            3 if random.one_in(2) => {
                let before = random.below(end + 3) - 1;
                let response = recorder.request(2, &requests::delete_records(&target.name, &[(0, before)]));
                recorder.record_value(&format!("{step}: DeleteRecords v2 before {before}"), &response);
            }
            3..7 => {
                let after = random.below(130) - 15;
                let at =
                    random.pick(&[-1, -2, -3, recorder.zero + after, recorder.zero + after, recorder.zero + after]);
                let response = recorder.request(7, &requests::list_offsets(&target.name, &[(0, at)], 0));
                let timestamp = if at < 0 { at.to_string() } else { format!("t{after:+}") };
                recorder.record_value(&format!("{step}: ListOffsets v7 {timestamp}"), &response);
            }
            _ => {
                let (from, limit) = (random.below(end + 2), random.below(400));
                let mut request = requests::fetch(12, &target, &[(0, from)]);
                request.topics[0].partitions[0].partition_max_bytes = i32::try_from(limit).expect("a limit");
                let response = recorder.request(12, &request);
                recorder.record_value(&format!("{step}: Fetch v12 from {from}, at most {limit} bytes"), &response);
            }
        }
    }
}
