//! The embedded broker's server: start, listener, status and graceful stop.

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
use super::shared_core::{EventListener, SharedCore};
use super::storage_error::describe_io_error;

/// How soon `accept` tries again when there are too many connections or no file descriptors.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);

/// The most connections that are served. At most half of the process's file descriptors, so that the logs can be opened
/// too.
fn max_connections(limits: &ConnectionLimits) -> usize {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(limit / 2).map_or(limits.max_connections, |half| half.min(limits.max_connections))
}

/// How long a stop waits for responses that are being sent before it closes the connections. A client that reads gets
/// its response within milliseconds.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// The configuration of an embedded broker.
#[derive(Clone)]
pub struct BrokerConfig {
    /// The address to listen on. With port 0 the system chooses a port.
    pub listen: SocketAddr,
    /// The advertised host and port, if they differ from the address of the listener.
    pub advertise: Option<(String, u16)>,
    /// The data directory. Without one all data is kept in memory.
    pub data_directory: Option<PathBuf>,
    /// The node's settings. [`Server::start`] sets `advertised`.
    pub settings: NodeSettings,
    /// The broker's clock.
    pub clock: Clock,
    /// The faults to inject.
    pub faults: Faults,
    /// Receives the broker's events.
    pub listener: EventListener,
    /// The limits of connections.
    pub limits: ConnectionLimits,
}

impl BrokerConfig {
    /// A broker that keeps its data in memory and listens on a free loopback port.
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

    /// The same with a data directory, which is created if it does not exist.
    #[must_use]
    pub fn in_directory(path: impl Into<PathBuf>) -> Self {
        Self { data_directory: Some(path.into()), ..Self::in_memory() }
    }
}

/// Why a broker did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The listener cannot be bound.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The address to listen on.
        address: SocketAddr,
        /// The system's error.
        source: io::Error,
    },
    /// The data directory cannot be opened or locked.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The data cannot be read.
    #[error(transparent)]
    Data(#[from] OpenError),
}

/// A snapshot of a running broker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BrokerStatus {
    /// The address of the listener.
    pub address: SocketAddr,
    /// The cluster id.
    pub cluster_id: Uuid,
    /// The number of open connections.
    pub connections: usize,
    /// The topics, sorted by name.
    pub topics: Vec<TopicStatus>,
    /// The consumer groups, sorted by name.
    pub groups: Vec<GroupStatus>,
}

/// A topic of a [`BrokerStatus`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TopicStatus {
    /// The topic name.
    pub name: String,
    /// The number of partitions.
    pub partitions: usize,
    /// The sum of high watermark minus log start offset over the partitions. Control records count.
    pub records: i64,
}

/// A consumer group of a [`BrokerStatus`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroupStatus {
    /// The group id.
    pub name: String,
    /// Kafka's name of the group state.
    pub state: &'static str,
    /// The number of members.
    pub members: usize,
}

/// A running broker. [`Server::stop`] ends it cleanly; dropping it stops it as if the process had been killed.
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
    /// Starts a broker on the current tokio runtime.
    ///
    /// # Errors
    ///
    /// If the address is in use, or the data directory cannot be locked or read.
    pub async fn start(mut config: BrokerConfig) -> Result<Self, StartError> {
        // Lock the data directory first: a process that fails to get the lock must not have bound the port.
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

    /// The address of the listener.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The data directory; `None` in memory.
    #[must_use]
    pub fn directory(&self) -> Option<&Directory> {
        self.folder.as_ref().map(|folder| &folder.directory)
    }

    /// The number of open connections.
    #[must_use]
    pub fn connections(&self) -> usize {
        *self.connections.borrow()
    }

    /// Waits until no client has been connected for this long.
    pub async fn wait_until_idle(&self, idle: Duration) {
        let mut connections = self.connections.clone();
        loop {
            let empty = *connections.borrow_and_update() == 0;
            tokio::select! {
                () = tokio::time::sleep(idle), if empty => return,
                changed = connections.changed() => if changed.is_err() { return },
            }
        }
    }

    /// A snapshot of the broker's topics, groups and connections.
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

    /// Stops gracefully, as Kafka's controlled shutdown does: responds to the requests that wait, accepts no more
    /// connections, closes the open ones between two frames, and closes the data cleanly, so that the next start does
    /// not check it.
    ///
    /// # Errors
    ///
    /// If the data cannot be written.
    pub async fn stop(mut self) -> io::Result<()> {
        // `Core::end_waiting_requests` requires that the timer does not run any more. The result does not matter: it ended or
        // panicked.
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

/// The host to advertise for a listener. A wildcard address is not one that a client can connect to.
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
    // Dropping this task drops the set, which closes every connection.
    let mut connections = JoinSet::new();
    // An accepted connection that is not served yet.
    let mut accepted_next = None;
    let (mut number, max, mut accept_failed) = (0, max_connections(&shared.limits), false);
    loop {
        let is_full = connections.len() >= max;
        if let Some((stream, peer)) = accepted_next.take_if(|_| !is_full || registry.evict_idle(&shared.limits)) {
            number += 1;
            let served =
                connection::serve(Arc::clone(&shared), stream, peer, registry.register(number), stopping.clone());
            connections.spawn(served);
            count.send_replace(connections.len());
        }
        tokio::select! {
            accepted = listener.accept(), if accepted_next.is_none() => match accepted {
                Ok((stream, peer)) => {
                    accept_failed = false;
                    // A response is one write, which Nagle's algorithm would only delay.
                    accepted_next = stream.set_nodelay(true).is_ok().then_some((stream, peer));
                }
                Err(error) => {
                    // Out of file descriptors: close an idle connection. The others continue.
                    if matches!(Errno::from_io_error(&error), Some(Errno::MFILE | Errno::NFILE)) {
                        let _none_is_idle = !registry.evict_idle(&shared.limits);
                    }
                    if !std::mem::replace(&mut accept_failed, true) {
                        let what = format!("cannot accept a connection: {}", describe_io_error(&error));
                        shared.notify(&BrokerEvent::BackgroundError { what });
                    }
                    tokio::time::sleep(RETRY_INTERVAL).await;
                }
            },
            Some(_) = connections.join_next() => {}
            // A connection may have become idle.
            () = tokio::time::sleep(RETRY_INTERVAL), if accepted_next.is_some() => {}
            _ = quitting.changed() => break,
        }
        count.send_replace(connections.len());
    }
    // Closing the listener refuses new connections.
    drop((listener, accepted_next));
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
