//! Owns `broker --status` and `broker --stop`: what runs over a folder, and its end.

use std::io;
use std::path::Path;

use crate::commands::Context;
use crate::exit::{Code, Failure, Outcome};
use crate::local_broker::{self, AddressFile, BrokerDocument, StopResult, broker_report};
use crate::printable;

/// Tells what runs over the folder: done when a broker does, 3 when none.
///
/// # Errors
///
/// With exit code 7 when the folder is not trusted, 8 when it cannot be read or the answer cannot be written.
pub fn status(context: &Context, folder: &Path) -> Outcome {
    let report = context.open_report()?;
    let running = match claim(folder)? {
        Some(broker) => ask(folder, local_broker::status(&broker, context.common.connection.timeout))?,
        None => None,
    };
    let code = if running.is_some() { Code::Done } else { Code::Different };
    let document = running.unwrap_or_else(|| nothing(folder));
    context.print_document(&document, &broker_report(&document), report)?;
    Ok(code)
}

/// Ends the broker over the folder and waits until its process is gone.
///
/// # Errors
///
/// With exit code 4 when it hears and does not end in time, 7 when the folder is not trusted, 8 when it cannot be read.
pub fn stop(context: &Context, folder: &Path) -> Outcome {
    let report = context.open_report()?;
    let timeout = context.common.connection.timeout;
    let broker = claim(folder)?;
    let (last, stopped) = match &broker {
        Some(broker) => {
            let last = ask(folder, local_broker::status(broker, timeout))?;
            (last, ask(folder, local_broker::stop(broker, timeout))?)
        }
        None => (None, StopResult::NotRunning),
    };
    let document = BrokerDocument { running: false, ..last.unwrap_or_else(|| nothing(folder)) };
    let text = match (stopped, &broker) {
        (StopResult::StillRunning, Some(broker)) => {
            return Err(Failure::new(
                Code::Unreachable,
                format!(
                    "the broker over {}, process {}, was asked to end and has not within {timeout:?}",
                    folder.display(),
                    broker.pid
                ),
            )
            .hint(format!(
                "--timeout sets how long to wait; kill -9 {} loses nothing that was acknowledged",
                broker.pid
            )));
        }
        (StopResult::Exited, Some(broker)) => match document.clients {
            Some(clients) if clients > 0 => {
                format!(
                    "stopped the broker at {}; foodstream processes that were using it: {clients}\n",
                    broker.address
                )
            }
            _ => format!("stopped the broker at {}; its data stays in {}\n", broker.address, printable::path(folder)),
        },
        _ => broker_report(&document),
    };
    context.print_document(&document, &text, report)?;
    Ok(Code::Done)
}

/// The broker that the folder claims, if there is a folder and it claims one.
fn claim(folder: &Path) -> Result<Option<AddressFile>, Failure> {
    match local_broker::open_existing(folder)? {
        Some(directory) => ask(folder, AddressFile::read(&directory)),
        None => Ok(None),
    }
}

/// An answer, or why it is not known.
fn ask<T>(folder: &Path, answer: io::Result<T>) -> Result<T, Failure> {
    answer.map_err(|error| local_broker::unreadable(folder, &error))
}

fn nothing(folder: &Path) -> BrokerDocument {
    BrokerDocument { data: Some(folder.display().to_string()), ..BrokerDocument::default() }
}
