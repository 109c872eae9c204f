//! Tests of the control connection, and a test broker's side of it, which other tests use.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::broker::Directory;
use crate::local_broker::address_file::tests::claim;

const LONG: Duration = Duration::from_secs(30);

pub struct Broker {
    pub file: AddressFile,
    pub leases: Leases,
    stop: Arc<AtomicBool>,
    runtime: tokio::runtime::Runtime,
}

/// The control connection of a broker with this data directory.
pub fn broker(folder: &Directory, id: &str) -> Broker {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("built");
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("bound");
    let file = claim(folder, id, listener.local_addr().expect("an address"));
    let (leases, stop) = (Leases::default(), Arc::new(AtomicBool::new(false)));
    let (held, asked) = (leases.clone(), Arc::clone(&stop));
    let (sender, mut requests) = mpsc::channel(1);
    runtime.spawn(serve(listener, id.to_owned(), leases.clone(), sender));
    runtime.spawn(async move {
        while let Some(request) = requests.recv().await {
            match request {
                ControlRequest::Stop => asked.store(true, Ordering::SeqCst),
                ControlRequest::Status(reply) => {
                    let document = BrokerDocument { clients: Some(held.count()), ..BrokerDocument::default() };
                    reply.send(document).expect("awaited");
                }
            }
        }
    });
    Broker { file, leases, stop, runtime }
}

fn somewhere(id: &str) -> Broker {
    let home = tempfile::tempdir().expect("a folder");
    broker(&Directory::for_test(home.path()), id)
}

#[test]
fn a_lease_keeps_the_broker_until_it_is_dropped() {
    let broker = somewhere("one");
    let lease = Lease::acquire(&broker.file, LONG).expect("asked").expect("granted");
    let second = Lease::acquire(&broker.file, LONG).expect("asked").expect("granted");
    assert_eq!(status(&broker.file, LONG).expect("asked").and_then(|document| document.clients), Some(2));
    assert!(!broker.leases.close_if_none());
    drop((lease, second));
    broker.runtime.block_on(broker.leases.wait_none());
    assert!(broker.leases.close_if_none());
    assert!(Lease::acquire(&broker.file, LONG).expect("asked").is_none(), "a closed broker grants none");
}

#[test]
fn a_lease_holder_gets_each_write_error_once() {
    let broker = somewhere("one");
    let lease = Lease::acquire(&broker.file, LONG).expect("asked").expect("granted");
    let (sender, heard) = std::sync::mpsc::channel();
    lease.listen(move |message| sender.send(message.to_owned()).expect("heard")).expect("listens");
    let hear = || heard.recv_timeout(LONG).expect("said");
    broker.leases.send_write_error("the disk is full");
    assert_eq!(hear(), "the disk is full");
    broker.leases.send_write_error("the disk is full");
    broker.leases.send_write_error("a quota");
    assert_eq!(hear(), "a quota", "the same error is not repeated");
    assert_eq!(broker.leases.count(), 1);
    drop(lease);
    let none = async { tokio::time::timeout(LONG, broker.leases.wait_none()).await };
    broker.runtime.block_on(none).expect("the lease is returned, also by the listening thread");
}

#[test]
fn a_client_without_the_id_gets_no_answer() {
    let broker = somewhere("one");
    let stranger = AddressFile { id: "two".to_owned(), ..broker.file.clone() };
    assert!(Lease::acquire(&stranger, LONG).expect("asked").is_none());
    assert!(status(&stranger, LONG).expect("asked").is_none());
    assert_eq!(stop(&stranger, LONG).expect("asked"), StopResult::NotRunning);
    assert!(!broker.stop.load(Ordering::SeqCst));
    assert_eq!(broker.leases.count(), 0);
    // Long and empty requests do no harm.
    for request in ["x".repeat(100_000), String::new(), "\n".to_owned()] {
        let mut line = TcpStream::connect(broker.file.control).expect("connected");
        drop(line.write_all(request.as_bytes()));
        drop(line.shutdown(std::net::Shutdown::Write));
        drop(line.read(&mut [0; 8]));
    }
    assert!(Lease::acquire(&broker.file, LONG).expect("asked").is_some());
}

#[test]
fn a_stop_lasts_until_the_process_ends() {
    let broker = somewhere("one");
    assert_eq!(stop(&broker.file, Duration::from_millis(50)).expect("asked"), StopResult::StillRunning);
    assert!(broker.stop.load(Ordering::SeqCst));
    // A broker that does not listen is not running.
    let file = broker.file.clone();
    broker.runtime.shutdown_timeout(LONG);
    assert_eq!(stop(&file, LONG).expect("asked"), StopResult::NotRunning);
}
