//! Owns `broker --status` and `broker --stop`: what runs over a folder, and its end.

use std::path::Path;

use super::Context;
use crate::exit::{Code, Failure, Outcome};
use crate::local_broker::{self, AddressFile, BrokerDocument, Stopped, broker_report};

/// Tells what runs over the folder: done when a broker does, 3 when none.
///
/// # Errors
///
/// When the answer cannot be written.
pub fn status(context: &Context, folder: &Path) -> Outcome {
    let report = context.open_report()?;
    let running =
        AddressFile::read(folder).and_then(|broker| local_broker::status(&broker, context.common.connection.timeout));
    let code = if running.is_some() { Code::Done } else { Code::Different };
    let document = running.unwrap_or_else(|| nothing(folder));
    context.answer(&document, &broker_report(&document), report)?;
    Ok(code)
}

/// Ends the broker over the folder and waits until its process is gone.
///
/// # Errors
///
/// With exit code 4 when it hears and does not end in time.
pub fn stop(context: &Context, folder: &Path) -> Outcome {
    let report = context.open_report()?;
    let timeout = context.common.connection.timeout;
    let broker = AddressFile::read(folder);
    let last = broker.as_ref().and_then(|broker| local_broker::status(broker, timeout));
    let stopped = broker.as_ref().map_or(Stopped::NotThere, |broker| local_broker::stop(broker, timeout));
    let document = BrokerDocument { running: false, ..last.unwrap_or_else(|| nothing(folder)) };
    let text = match (stopped, &broker) {
        (Stopped::Lingers, Some(broker)) => {
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
        (Stopped::Gone, Some(broker)) => match document.clients {
            Some(clients) if clients > 0 => {
                format!(
                    "stopped the broker at {}; foodstream processes that were using it: {clients}\n",
                    broker.address
                )
            }
            _ => format!("stopped the broker at {}; its data stays in {}\n", broker.address, folder.display()),
        },
        _ => broker_report(&document),
    };
    context.answer(&document, &text, report)?;
    Ok(Code::Done)
}

fn nothing(folder: &Path) -> BrokerDocument {
    BrokerDocument { data: Some(folder.display().to_string()), ..BrokerDocument::default() }
}
