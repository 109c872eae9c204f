//! Findings as sentences, with the text of the records that show them.

use super::content::{CONTENT, ClaimedField, LineAction, pack, wanted_action};
use super::evidence::{Fault, Finding};
use super::records::{Event, read_event};
use crate::domain::{Order, OrderLine, OrderRecord, decode_order};
use crate::printable::excerpt;

/// The most bytes of an id that a sentence shows: those at its start, and those at its end.
const ID_BYTES: [usize; 2] = [80, 20];

/// The records of a finding, as far as they could be read again.
#[derive(Debug, Clone, Copy, Default)]
pub struct EvidenceRecords<'a> {
    /// The value of the order.
    pub order: Option<&'a [u8]>,
    /// The key of the event.
    pub event_key: Option<&'a [u8]>,
    /// The value of the event.
    pub event: Option<&'a [u8]>,
}

/// A finding in words, as in a [`Witness`](crate::audit::Witness).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// What happened, in one sentence without a full stop.
    pub summary: String,
    /// What must be there.
    pub expected: Option<String>,
    /// What is there.
    pub seen: Option<String>,
}

impl Description {
    /// Describes a finding. `field` is what the service claims.
    #[must_use]
    pub fn new(finding: &Finding, records: EvidenceRecords<'_>, field: Option<ClaimedField>) -> Self {
        let order = match decode_order(records.order) {
            Ok(OrderRecord::Order(order)) => Some(order),
            _ => None,
        };
        let read = read_event(records.event);
        let event = read.as_ref().ok().and_then(Option::as_ref);
        let name =
            order.as_ref().map_or_else(|| "the order".to_owned(), |order| format!("order {}", id(&order.order_id)));
        let line = order.as_ref().and_then(|order| line_of(order, finding.content));
        let seen = event.map(event_text);
        match finding.fault {
            Fault::Lost { with_event: 0, .. } => {
                Self { summary: format!("{name} has no event"), expected: line, seen: None }
            }
            Fault::Lost { with_event, lines } => Self {
                summary: format!("{name} has events for {with_event} of its {lines} lines"),
                expected: line,
                seen: None,
            },
            Fault::Doubled => Self {
                summary: format!("a line of {name} has a further event"),
                expected: line.map(|line| format!("{line}, once")),
                seen: seen.map(|seen| format!("{seen}, again")),
            },
            Fault::Invented => Self {
                summary: match event {
                    Some(event) => format!("the event is about order {}, which does not exist", id(&event.order_id)),
                    None => "the event is about an order that does not exist".to_owned(),
                },
                expected: None,
                seen,
            },
            Fault::Altered => {
                Self { summary: format!("the event differs from the line of {name}"), expected: line, seen }
            }
            Fault::Foreign => {
                let expected = order.as_ref().map(lines_text);
                Self { summary: format!("{name} has no such line, or not so often"), expected, seen }
            }
            Fault::Unreadable => Self {
                summary: "the record is not an event".to_owned(),
                expected: Some("a JSON object with event_type, order_id and item_id".to_owned()),
                seen: read.err().map(str::to_owned),
            },
            Fault::OtherKey => {
                let field = field.unwrap_or(ClaimedField::RestaurantId);
                Self {
                    summary: format!("the key of the event is not the {} of {name}", field.name()),
                    expected: order.as_ref().map(|order| id(field.of(order))),
                    seen: Some(records.event_key.map_or_else(|| "no key".to_owned(), |key| excerpt(key, ID_BYTES))),
                }
            }
            Fault::OtherPartition => Self {
                summary: format!("{} has events in several partitions", claimed(order.as_ref(), field)),
                expected: finding.other_event.map(|place| format!("partition {}, as most of them", place.partition())),
                seen: finding.event.map(|place| format!("partition {}", place.partition())),
            },
            Fault::Overtaken => {
                let offset = |place: Option<crate::audit::Place>| place.map_or(-1, crate::audit::Place::offset);
                Self {
                    summary: format!(
                        "an event of {} comes after that of a later order",
                        claimed(order.as_ref(), field)
                    ),
                    expected: Some("events in the order of their orders".to_owned()),
                    seen: Some(format!(
                        "the order at offset {} after the one at offset {}",
                        offset(finding.order),
                        offset(finding.other_order)
                    )),
                }
            }
        }
    }
}

fn id(text: &str) -> String {
    excerpt(text.as_bytes(), ID_BYTES)
}

fn claimed(order: Option<&Order<'_>>, field: Option<ClaimedField>) -> String {
    match (order, field) {
        (Some(order), Some(field)) => format!("{} {}", field.name(), id(field.of(order))),
        (_, field) => format!("one {}", field.unwrap_or(ClaimedField::RestaurantId).name()),
    }
}

/// The line of an order with this content.
fn line_of(order: &Order<'_>, content: u64) -> Option<String> {
    let action = wanted_action(order.status);
    let found = order.lines.iter().find(|line| pack(&line.item_id, line.quantity, action) == content & CONTENT)?;
    Some(line_text(found, action))
}

fn line_text(line: &OrderLine<'_>, action: LineAction) -> String {
    let action = if action == LineAction::Release { "release" } else { "reserve" };
    format!("{action} {} × {}", line.quantity, id(&line.item_id))
}

/// The first lines of an order.
fn lines_text(order: &Order<'_>) -> String {
    const SHOWN: usize = 4;
    let action = wanted_action(order.status);
    let shown: Vec<String> = order.lines.iter().take(SHOWN).map(|line| line_text(line, action)).collect();
    let more = order.lines.len().saturating_sub(SHOWN);
    let more = if more > 0 { format!(", and {more} more") } else { String::new() };
    format!("{}{more}", shown.join(", "))
}

fn event_text(event: &Event<'_>) -> String {
    let action = if event.action_name.is_empty() { "no action for".to_owned() } else { id(&event.action_name) };
    let quantity = event.quantity.map_or_else(|| "an invalid quantity".to_owned(), |quantity| quantity.to_string());
    format!("{action} {quantity} × {}", id(&event.item_id))
}
