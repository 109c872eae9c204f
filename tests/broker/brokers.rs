//! The broker under test: an embedded one in this process, or the Kafka that `FOODSTREAM_TEST_BROKER` names.

use std::sync::OnceLock;

use foodstream::broker::{BrokerConfig, Server};

const VARIABLE: &str = "FOODSTREAM_TEST_BROKER";

/// The address in `FOODSTREAM_TEST_BROKER`.
pub fn named() -> Option<String> {
    std::env::var(VARIABLE).ok().filter(|broker| !broker.is_empty())
}

/// The broker that all cases share.
pub fn shared() -> &'static str {
    static ADDRESS: OnceLock<String> = OnceLock::new();
    ADDRESS.get_or_init(|| {
        named().unwrap_or_else(|| {
            // Leaked, because it runs until the process ends.
            Box::leak(Box::new(Embedded::start(BrokerConfig::in_memory()))).address()
        })
    })
}

/// An embedded broker in this process, with its own runtime.
pub struct Embedded {
    server: Option<Server>,
    runtime: tokio::runtime::Runtime,
}

impl Embedded {
    pub fn start(config: BrokerConfig) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("broker")
            .enable_all()
            .build()
            .expect("a runtime");
        let server = runtime.block_on(Server::start(config)).expect("a broker");
        Self { server: Some(server), runtime }
    }

    pub fn address(&self) -> String {
        self.server.as_ref().expect("running").address().to_string()
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            self.runtime.block_on(server.stop()).expect("stopped");
        }
    }
}
