//! Runs foodstream: the one place that ends the process.

fn main() {}
