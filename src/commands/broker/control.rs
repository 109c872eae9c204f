//! `broker --status` and `broker --stop`.

use std::io;
use std::path::Path;

use crate::commands::Context;
use crate::exit::{Code, Failure, Outcome};
use crate::local_broker::{self, AddressFile, BrokerDocument, StopResult, broker_report};
use crate::report::Detail;
use crate::{printable, units};

/// Shows the broker that uses the data directory. Exit code 3 if none is running, 7 if the directory is not trusted, 8
/// if it cannot be read.
pub fn status(context: &Context, folder: &Path, full: bool) -> Outcome {
    let report = context.open_report()?;
    let running = match running_broker(folder)? {
        Some(broker) => response(folder, local_broker::status(&broker, context.common.connection.timeout))?,
        None => None,
    };
    let code = if running.is_some() { Code::Done } else { Code::Different };
    let document = running.unwrap_or_else(|| not_running(folder));
    context.print_document(&document, &broker_report(&document, Detail::of(full)), report)?;
    Ok(code)
}

/// Stops the broker that uses the data directory and waits until its process has ended. Fails with exit code 4 if it
/// does not end in time.
pub fn stop(context: &Context, folder: &Path) -> Outcome {
    let report = context.open_report()?;
    let timeout = context.common.connection.timeout;
    let broker = running_broker(folder)?;
    let (last, stopped) = match &broker {
        Some(broker) => {
            let last = response(folder, local_broker::status(broker, timeout))?;
            (last, response(folder, local_broker::stop(broker, timeout))?)
        }
        None => (None, StopResult::NotRunning),
    };
    let document = BrokerDocument { running: false, ..last.unwrap_or_else(|| not_running(folder)) };
    let text = match (stopped, &broker) {
        (StopResult::StillRunning, Some(broker)) => {
            return Err(Failure::new(
                Code::Unreachable,
                format!(
                    "the broker of {}, process {}, was asked to stop and did not within {}",
                    folder.display(),
                    broker.pid,
                    units::duration(timeout)
                ),
            )
            .hint(format!("wait longer with --timeout; kill -9 {} does not lose acknowledged records", broker.pid)));
        }
        (StopResult::Exited, Some(broker)) => match document.clients {
            Some(clients) if clients > 0 => {
                format!(
                    "stopped the broker at {}, which {} used\n",
                    broker.address,
                    units::counted(clients as u64, "foodstream command")
                )
            }
            _ => format!("stopped the broker at {}; its data remains in {}\n", broker.address, printable::path(folder)),
        },
        _ => broker_report(&document, Detail::Summary),
    };
    context.print_document(&document, &text, report)?;
    Ok(Code::Done)
}

/// The broker that the address file in the data directory names.
fn running_broker(folder: &Path) -> Result<Option<AddressFile>, Failure> {
    match local_broker::open_existing(folder)? {
        Some(directory) => response(folder, AddressFile::read(&directory)),
        None => Ok(None),
    }
}

fn response<T>(folder: &Path, response: io::Result<T>) -> Result<T, Failure> {
    response.map_err(|error| local_broker::unreadable(folder, &error))
}

fn not_running(folder: &Path) -> BrokerDocument {
    BrokerDocument { data: Some(folder.display().to_string()), ..BrokerDocument::default() }
}
