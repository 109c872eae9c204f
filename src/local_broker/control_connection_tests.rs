//! Owns the tests of the control line, and a broker's end of it for the tests beside.

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

/// The control line of a broker, as if it had this folder.
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
fn a_lease_holds_the_broker_until_its_connection_ends() {
    let broker = somewhere("one");
    let lease = Lease::acquire(&broker.file, LONG).expect("asked").expect("granted");
    let second = Lease::acquire(&broker.file, LONG).expect("asked").expect("granted");
    assert_eq!(status(&broker.file, LONG).expect("asked").and_then(|document| document.clients), Some(2));
    assert!(!broker.leases.close_if_none());
    drop((lease, second));
    broker.runtime.block_on(broker.leases.wait_none());
    assert!(broker.leases.close_if_none());
    assert!(Lease::acquire(&broker.file, LONG).expect("asked").is_none(), "one that leaves grants nothing");
}

#[test]
fn who_holds_a_lease_hears_why_nothing_can_be_written_once_and_again_when_it_is_another_reason() {
    let broker = somewhere("one");
    let lease = Lease::acquire(&broker.file, LONG).expect("asked").expect("granted");
    let (sender, heard) = std::sync::mpsc::channel();
    lease.listen(move |words| sender.send(words.to_owned()).expect("heard")).expect("listens");
    let hear = || heard.recv_timeout(LONG).expect("said");
    broker.leases.send_write_error("the disk is full");
    assert_eq!(hear(), "the disk is full");
    broker.leases.send_write_error("the disk is full");
    broker.leases.send_write_error("a quota");
    assert_eq!(hear(), "a quota", "what was just said is not said again");
    assert_eq!(broker.leases.count(), 1);
    drop(lease);
    let none = async { tokio::time::timeout(LONG, broker.leases.wait_none()).await };
    broker.runtime.block_on(none).expect("it is given back, also by the thread that listens");
}

#[test]
fn who_does_not_know_the_id_gets_no_answer_and_stops_nothing() {
    let broker = somewhere("one");
    let stranger = AddressFile { id: "two".to_owned(), ..broker.file.clone() };
    assert!(Lease::acquire(&stranger, LONG).expect("asked").is_none());
    assert!(status(&stranger, LONG).expect("asked").is_none());
    assert_eq!(stop(&stranger, LONG).expect("asked"), StopResult::NotRunning);
    assert!(!broker.stop.load(Ordering::SeqCst));
    assert_eq!(broker.leases.count(), 0);
    // Nor does a long or an empty request hurt it.
    for request in ["x".repeat(100_000), String::new(), "\n".to_owned()] {
        let mut line = TcpStream::connect(broker.file.control).expect("connected");
        drop(line.write_all(request.as_bytes()));
        drop(line.shutdown(std::net::Shutdown::Write));
        drop(line.read(&mut [0; 8]));
    }
    assert!(Lease::acquire(&broker.file, LONG).expect("asked").is_some());
}

#[test]
fn a_stop_is_heard_and_not_over_before_the_process_is() {
    let broker = somewhere("one");
    assert_eq!(stop(&broker.file, Duration::from_millis(50)).expect("asked"), StopResult::StillRunning);
    assert!(broker.stop.load(Ordering::SeqCst));
    // And where nobody listens any more there is nothing to stop.
    let file = broker.file.clone();
    broker.runtime.shutdown_timeout(LONG);
    assert_eq!(stop(&file, LONG).expect("asked"), StopResult::NotRunning);
}
