//! Runs every example in `examples/` to its end. They assert what they show.

#[path = "../examples/judge_consumer.rs"]
mod judge_consumer;
#[path = "../examples/kafka_for_tests.rs"]
mod kafka_for_tests;
#[path = "../examples/workload.rs"]
mod workload;

#[test]
fn kafka_for_tests() {
    kafka_for_tests::main();
}

#[test]
fn workload() {
    workload::main();
}

#[test]
fn judge_consumer() {
    judge_consumer::main();
}

#[test]
fn every_example_is_run() {
    let examples = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/examples")).expect("a directory");
    let mut names: Vec<_> = examples.map(|entry| entry.expect("a file").file_name()).collect();
    names.sort();
    assert_eq!(names, ["judge_consumer.rs", "kafka_for_tests.rs", "workload.rs"]);
}
