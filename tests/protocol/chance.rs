//! Owns the cases that nobody thought of: long scripts by chance, the same for every seed, of transactions and of a log.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{ProduceRequest, TxnOffsetCommitRequest};

use super::Case;
use super::batch::Batch;
use super::lab::Lab;
use super::offsets;
use super::requests::{self, Target};
use super::transactional::{self, Producer};

pub const CASES: &[Case] = &[
    ("transactions_by_chance_1", transactions::<1>),
    ("transactions_by_chance_2", transactions::<2>),
    ("transactions_by_chance_3", transactions::<3>),
    ("transactions_by_chance_4", transactions::<4>),
    ("a_log_by_chance_1", log::<1>),
    ("a_log_by_chance_2", log::<2>),
    ("a_log_by_chance_3", log::<3>),
];

const STEPS: usize = 120;

/// Numbers that look random and depend on a seed alone (xorshift).
struct Dice(u64);

impl Dice {
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
        let place = self.below(i64::try_from(from.len()).expect("a count"));
        from[usize::try_from(place).expect("a place")].clone()
    }

    /// True once in so many times.
    fn rarely(&mut self, times: i64) -> bool {
        self.below(times) == 0
    }
}

/// Two transactional ids with every incarnation that they have had.
struct Players {
    target: Target,
    /// Incarnations of one id after those of the other; the last ones are alive.
    incarnations: [Vec<Producer>; 2],
    /// How far each incarnation is in each partition.
    next: std::collections::BTreeMap<(i64, i16, i32), i32>,
}

fn transactions<const SEED: u64>(lab: &mut Lab) {
    let mut dice = Dice::new(SEED);
    let target = lab.target("topic", 2);
    let group = lab.name("group");
    let incarnations = ["a", "b"].map(|name| vec![Producer::init(lab, name)]);
    let mut players = Players { target, incarnations, next: std::collections::BTreeMap::new() };
    for step in 0..STEPS {
        let who = usize::try_from(dice.below(2)).expect("a place");
        let alive = players.incarnations[who].last().expect("one lives").clone();
        let producer = if dice.rarely(6) { dice.pick(&players.incarnations[who]) } else { alive };
        let name = format!("{step}: {} epoch {}", ["a", "b"][who], producer.epoch);
        // The first is a Java client and the second librdkafka: one that is now this and now that confuses Kafka.
        let newer = who == 0;
        match dice.below(10) {
            4 if !newer => {
                let version = dice.pick(&[0, 3]);
                let partitions = dice.pick(&[vec![0], vec![1], vec![0, 1], vec![5]]);
                let answer = lab.put(version, &producer.add(&players.target.name, &partitions));
                lab.tell(&format!("{name} AddPartitionsToTxn v{version} {partitions:?}"), &answer);
            }
            5 if !newer => {
                let answer = lab.put(0, &producer.add_offsets(&group));
                lab.tell(&format!("{name} AddOffsetsToTxn v0"), &answer);
            }
            6 => {
                let version = if newer { 5 } else { 3 };
                let request = producer.commit_offset(&group, &players.target.name, dice.below(100));
                let mut answer = lab.put(version, &request);
                for partition in answer.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
                    partition.error_code = in_one_word(partition.error_code);
                }
                lab.tell(&format!("{name} {}", super::lab::heading::<TxnOffsetCommitRequest>(version)), &answer);
            }
            7..9 => {
                let (version, committed) = (if newer { 5 } else { dice.pick(&[1, 4]) }, !dice.rarely(3));
                let answer = lab.put(version, &producer.end(committed));
                lab.tell(&format!("{name} EndTxn v{version} committed {committed}"), &answer);
                if version == 5 && answer.error_code == 0 {
                    players.incarnations[who].push(again(&producer, *answer.producer_id, answer.producer_epoch));
                }
                settle(lab, &producer);
            }
            9 => {
                let request =
                    if dice.rarely(2) { producer.init_again() } else { requests::init_producer_id(Some(&producer.id)) };
                let answer = lab.put(4, &request);
                lab.tell(&format!("{name} InitProducerId v4 with {}", request.producer_epoch), &answer);
                if answer.error_code == 0 {
                    players.incarnations[who].push(again(&producer, *answer.producer_id, answer.producer_epoch));
                }
                settle(lab, &producer);
            }
            _ => {
                let versions: &[i16] = if newer { &[12, 13] } else { &[7, 9] };
                produce(lab, &mut dice, &mut players, &producer, versions, &name);
            }
        }
    }
    lab.note("what is left");
    for partition in [0, 1] {
        let request = requests::fetch(12, &players.target, &[(partition, 0)]);
        lab.ask(12, &requests::read_committed(request));
        transactional::tell_ends(lab, &players.target, partition);
    }
    for producer in players.incarnations.iter().filter_map(|incarnations| incarnations.last()) {
        let mut answer = lab.put(0, &producer.describe());
        // Where a broker keeps offsets is its own business.
        answer.transaction_states[0].topics.retain(|topic| !topic.topic.starts_with("__"));
        lab.tell("what the coordinator knows", &answer);
    }
    lab.ask(8, &offsets::fetch(8, &group, None));
    lab.ask(8, &offsets::fetch(8, &group, None).with_require_stable(true));
}

fn again(producer: &Producer, number: i64, epoch: i16) -> Producer {
    Producer { number, epoch, ..producer.clone() }
}

/// One record to one partition, most often with the sequence that is due.
fn produce(lab: &mut Lab, dice: &mut Dice, players: &mut Players, producer: &Producer, versions: &[i16], name: &str) {
    let (version, partition) = (dice.pick(versions), dice.pick(&[0, 0, 1]));
    let next = players.next.entry((producer.number, producer.epoch, partition)).or_default();
    // No duplicates: one that is the first of its transaction confuses Kafka about the next.
    let sequence = if dice.rarely(6) { *next + dice.pick(&[1, 2]) } else { *next };
    let mut answer = lab.put(version, &producer.produce(version, (&players.target, partition), sequence, &["x"]));
    let told = &mut answer.responses[0].partition_responses[0];
    if told.error_code == 0 && sequence >= *next {
        *next = sequence + 1;
    }
    told.error_code = in_one_word(told.error_code);
    let heading = super::lab::heading::<ProduceRequest>(version);
    lab.tell(&format!("{name} {heading} partition {partition} sequence {sequence}"), &answer);
}

/// Kafka has two words for what is not in a transaction, and mixes them up when it is busy.
fn in_one_word(code: i16) -> i16 {
    if code == ResponseError::TransactionAbortable.code() { ResponseError::InvalidTxnState.code() } else { code }
}

/// Waits until no transaction of the id is between its end and its markers.
fn settle(lab: &mut Lab, producer: &Producer) {
    lab.put_until(0, &producer.describe(), |answer| {
        !answer.transaction_states[0].transaction_state.starts_with("Prepare")
    });
}

fn log<const SEED: u64>(lab: &mut Lab) {
    let mut dice = Dice::new(SEED);
    let target = lab.target("topic", 1);
    let answer = lab.put(4, &requests::init_producer_id(None));
    let me = (*answer.producer_id, answer.producer_epoch);
    let (mut end, mut sequence) = (0, 0);
    for step in 0..STEPS {
        match dice.below(10) {
            0..3 => {
                let times: Vec<i64> = (0..=dice.below(4)).map(|_| lab.zero + dice.below(100)).collect();
                let values: Vec<&str> = times.iter().map(|_| dice.pick(&["a", "bb", "", "a longer value"])).collect();
                let mut batch = Batch::timed(&times, &values);
                if dice.rarely(2) {
                    batch = batch.by(me, sequence);
                }
                let answer = lab.put(9, &requests::produce(9, &target, &[(0, batch.bytes())]));
                let count = i64::try_from(times.len()).expect("a count");
                end = answer.responses[0].partition_responses[0].base_offset + count;
                if batch.producer_id >= 0 {
                    sequence += i32::try_from(count).expect("a count");
                }
                lab.tell(&format!("{step}: Produce v9 of {count}"), &answer);
            }
            3 if dice.rarely(2) => {
                let before = dice.below(end + 3) - 1;
                let answer = lab.put(2, &requests::delete_records(&target.name, &[(0, before)]));
                lab.tell(&format!("{step}: DeleteRecords v2 before {before}"), &answer);
            }
            3..7 => {
                let after = dice.below(130) - 15;
                let at = dice.pick(&[-1, -2, -3, lab.zero + after, lab.zero + after, lab.zero + after]);
                let answer = lab.put(7, &requests::list_offsets(&target.name, &[(0, at)], 0));
                let place = if at < 0 { at.to_string() } else { format!("t{after:+}") };
                lab.tell(&format!("{step}: ListOffsets v7 {place}"), &answer);
            }
            _ => {
                let (from, limit) = (dice.below(end + 2), dice.below(400));
                let mut request = requests::fetch(12, &target, &[(0, from)]);
                request.topics[0].partitions[0].partition_max_bytes = i32::try_from(limit).expect("a limit");
                let answer = lab.put(12, &request);
                lab.tell(&format!("{step}: Fetch v12 from {from}, at most {limit} bytes"), &answer);
            }
        }
    }
}
