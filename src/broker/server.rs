//! Owns the broker as its host sees it: started over a storage, listening, and stopped.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use uuid::Uuid;

use super::clock::Clock;
use super::connection;
use super::connection_limits::ConnectionLimits;
use super::connection_registry::ConnectionRegistry;
use super::core::{Core, NodeSettings, Storage};
use super::corruption::OpenError;
use super::data_dir::{DataDir, DataDirError};
use super::directory::Directory;
use super::events::BrokerEvent;
use super::faults::Faults;
use super::shared_core::{NoticeListener, SharedCore};
use super::storage_error::describe_io_error;

/// How soon a place is looked for again, or a descriptor.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);

/// How many connections are served: no more than half of the files that the process may have open, so that the data can be opened too.
fn max_connections(limits: &ConnectionLimits) -> usize {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(limit / 2).map_or(limits.max_connections, |half| half.min(limits.max_connections))
}

/// How long a stop waits for replies that are on their way; then the connections are cut. A client that reads has its own
/// within milliseconds.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// What a broker is started with.
#[derive(Clone)]
pub struct BrokerConfig {
    /// Where to listen; port 0 lets the system choose one.
    pub listen: SocketAddr,
    /// Host and port that clients are told, where that is another one.
    pub advertise: Option<(String, u16)>,
    /// The folder in which everything is kept; without one it is kept in memory.
    pub data_directory: Option<PathBuf>,
    /// What the node is configured with; its advertised address is filled in.
    pub settings: NodeSettings,
    /// Its time.
    pub clock: Clock,
    /// What is done to which request.
    pub faults: Faults,
    /// Hears what there is to tell beside the answers.
    pub listener: NoticeListener,
    /// What connections may ask of it.
    pub limits: ConnectionLimits,
}

impl BrokerConfig {
    /// A broker in memory, on a port of loopback that the system chooses.
    #[must_use]
    pub fn in_memory() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            advertise: None,
            data_directory: None,
            settings: NodeSettings::default(),
            clock: Clock::default(),
            faults: Faults::default(),
            listener: Arc::new(|_| {}),
            limits: ConnectionLimits::default(),
        }
    }

    /// The same over a folder, which is made if it is missing.
    #[must_use]
    pub fn in_directory(path: impl Into<PathBuf>) -> Self {
        Self { data_directory: Some(path.into()), ..Self::in_memory() }
    }
}

/// Why a broker did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// It cannot listen there.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The data folder cannot be had.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// What it holds cannot be used.
    #[error(transparent)]
    Data(#[from] OpenError),
}

/// What a broker is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BrokerStatus {
    /// Where it listens.
    pub address: SocketAddr,
    /// The cluster's id.
    pub cluster_id: Uuid,
    /// Connections that are open.
    pub connections: usize,
    /// Topics, by name.
    pub topics: Vec<TopicStatus>,
    /// Consumer groups, by name.
    pub groups: Vec<GroupStatus>,
}

/// A topic in a [`BrokerStatus`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TopicStatus {
    /// Its name.
    pub name: String,
    /// How many partitions it has.
    pub partitions: usize,
    /// Offsets from the start to the end of its logs, control records included.
    pub records: i64,
}

/// A consumer group in a [`BrokerStatus`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroupStatus {
    /// Its name.
    pub name: String,
    /// Kafka's name of its state.
    pub state: &'static str,
    /// How many members it has.
    pub members: usize,
}

/// A broker at work. Dropped, it stops as if it had been killed; `stop` ends it cleanly.
pub struct Server {
    shared: Arc<SharedCore>,
    address: SocketAddr,
    cluster_id: Uuid,
    connections: watch::Receiver<usize>,
    quit: watch::Sender<bool>,
    accepting: JoinHandle<()>,
    timer: JoinHandle<()>,
    folder: Option<DataDir>,
}

impl Server {
    /// Starts a broker on the runtime of the caller.
    ///
    /// # Errors
    ///
    /// When its address or its folder cannot be had, or what the folder holds cannot be used.
    pub async fn start(mut config: BrokerConfig) -> Result<Self, StartError> {
        // The folder comes first: who loses the race for it must not have taken a port.
        let folder = match &config.data_directory {
            None => None,
            Some(path) => Some(DataDir::open(path, std::process::id())?),
        };
        let storage = folder.as_ref().map_or(Storage::Memory, |folder| Storage::Directory(folder.directory.clone()));
        #[allow(clippy::disallowed_methods, reason = "a cluster in memory gets a random id, as one in a folder does")]
        let cluster_id = folder.as_ref().map_or_else(Uuid::new_v4, |folder| folder.cluster_id);
        let bind = |source| StartError::Bind { address: config.listen, source };
        let listener = TcpListener::bind(config.listen).await.map_err(bind)?;
        let address = listener.local_addr().map_err(bind)?;
        config.settings.advertised = config.advertise.unwrap_or_else(|| (advertised_host(address), address.port()));
        let core = Core::open(storage, config.settings, cluster_id, config.clock.now())?;
        if let Some(folder) = &folder {
            folder.upgrade()?;
        }
        let shared = Arc::new(SharedCore::new(core, config.clock, config.faults, config.listener, config.limits));
        let (count, connections) = watch::channel(0);
        let (quit, quitting) = watch::channel(false);
        let accepting = tokio::spawn(accept(Arc::clone(&shared), listener, count, quitting));
        let timer = tokio::spawn(Arc::clone(&shared).run_timer());
        Ok(Self { shared, address, cluster_id, connections, quit, accepting, timer, folder })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The folder that it works on; none for memory.
    #[must_use]
    pub fn directory(&self) -> Option<&Directory> {
        self.folder.as_ref().map(|folder| &folder.directory)
    }

    /// Connections that are open.
    #[must_use]
    pub fn connections(&self) -> usize {
        *self.connections.borrow()
    }

    /// Returns once nobody has been connected for this long.
    pub async fn wait_until_idle(&self, for_how_long: Duration) {
        let mut connections = self.connections.clone();
        loop {
            let empty = *connections.borrow_and_update() == 0;
            tokio::select! {
                () = tokio::time::sleep(for_how_long), if empty => return,
                changed = connections.changed() => if changed.is_err() { return },
            }
        }
    }

    /// What it is doing.
    #[must_use]
    pub fn status(&self) -> BrokerStatus {
        let (topics, groups) = self.shared.call(|core, _| {
            let topics = core.topics.iter().map(|topic| TopicStatus {
                name: topic.name.clone(),
                partitions: topic.logs.len(),
                records: topic.logs.iter().map(|log| log.high_watermark() - log.start_offset()).sum(),
            });
            let groups = core.groups.summary();
            let groups = groups.map(|(name, state, members)| GroupStatus { name: name.to_owned(), state, members });
            (topics.collect(), groups.collect())
        });
        BrokerStatus {
            address: self.address,
            cluster_id: self.cluster_id,
            connections: self.connections(),
            topics,
            groups,
        }
    }

    /// Stops in order, as Kafka's controlled shutdown does: requests that wait are answered, no connection is accepted, and
    /// those that are open end between two frames. Leaves the data so that the next start need not check it.
    ///
    /// # Errors
    ///
    /// When the data cannot be written.
    pub async fn stop(mut self) -> io::Result<()> {
        // First, and for good: see `Core::end_waiting_requests`. Ended or panicked, it does not run.
        self.timer.abort();
        (&mut self.timer).await.ok();
        self.shared.call(Core::end_waiting_requests);
        self.quit.send_replace(true);
        if tokio::time::timeout(STOP_TIMEOUT, &mut self.accepting).await.is_err() {
            self.accepting.abort();
            (&mut self.accepting).await.ok();
        }
        let closed = self.shared.call(|core, _| core.close());
        drop(self.folder.take());
        closed
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
        self.timer.abort();
    }
}

/// An address that a client can connect to, for one that means all interfaces.
fn advertised_host(address: SocketAddr) -> String {
    if address.ip().is_unspecified() { "localhost".to_owned() } else { address.ip().to_string() }
}

async fn accept(
    shared: Arc<SharedCore>,
    listener: TcpListener,
    count: watch::Sender<usize>,
    mut quitting: watch::Receiver<bool>,
) {
    let stopping = quitting.clone();
    let registry = ConnectionRegistry::default();
    // Dropped with this task, and with it every connection.
    let mut connections = JoinSet::new();
    // One that came when there was no place left.
    let mut newcomer = None;
    let (mut number, most, mut waits) = (0, max_connections(&shared.limits), false);
    loop {
        let is_full = connections.len() >= most;
        if let Some((stream, peer)) = newcomer.take_if(|_| !is_full || registry.evict_idle(&shared.limits)) {
            number += 1;
            let served =
                connection::serve(Arc::clone(&shared), stream, peer, registry.register(number), stopping.clone());
            connections.spawn(served);
            count.send_replace(connections.len());
        }
        tokio::select! {
            accepted = listener.accept(), if newcomer.is_none() => match accepted {
                Ok((stream, peer)) => {
                    waits = false;
                    // An answer is one write; waiting for more to come would only delay it.
                    newcomer = stream.set_nodelay(true).is_ok().then_some((stream, peer));
                }
                Err(error) => {
                    // Out of file descriptors, most likely: what is connected goes on, and who says nothing has to end.
                    if matches!(Errno::from_io_error(&error), Some(Errno::MFILE | Errno::NFILE)) {
                        let _nobody_is_quiet = !registry.evict_idle(&shared.limits);
                    }
                    if !std::mem::replace(&mut waits, true) {
                        let what = format!("a client that connects has to wait: {}", describe_io_error(&error));
                        shared.notify(&BrokerEvent::BackgroundError { what });
                    }
                    tokio::time::sleep(RETRY_INTERVAL).await;
                }
            },
            Some(_) = connections.join_next() => {}
            // Somebody may have become quiet.
            () = tokio::time::sleep(RETRY_INTERVAL), if newcomer.is_some() => {}
            _ = quitting.changed() => break,
        }
        count.send_replace(connections.len());
    }
    // Who connects now is refused.
    drop((listener, newcomer));
    while connections.join_next().await.is_some() {
        count.send_replace(connections.len());
    }
}

#[cfg(test)]
#[path = "connection_limits_tests.rs"]
mod connection_limits_tests;
#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
