//! Witnesses of the audit of another service: the records of each finding, read again, and what they show.

use crate::audit::service::{ClaimedField, Description, Evidence, EvidenceRecords, Fault, Finding};
use crate::audit::{AuditDocument, Check, Place, Subject, Witness};
use crate::commands::Context;
use crate::commands::audit::witness_records::{self, RecordPlace};
use crate::exit::Failure;
use crate::kafka::TopicPartition;
use crate::lag::Isolation;
use crate::settings::ServiceSettings;

/// Adds the evidence to the checks of the document, at most `most` for each.
pub(super) fn add(
    context: &Context,
    service: &ServiceSettings,
    field: Option<ClaimedField>,
    document: &mut AuditDocument,
    evidence: &Evidence,
    most: usize,
) -> Result<(), Failure> {
    let orders = context.common.names.orders();
    let findings: Vec<(Check, &Finding)> = Check::of(Subject::Service)
        .flat_map(|check| evidence.findings(check).map(move |finding| (check, finding)))
        .collect();
    let order = |place: Place| record("order", &orders, place);
    let event = |role: &'static str, place: Place| record(role, &service.decisions, place);
    // In the order of cause and effect.
    let of = |finding: &Finding| {
        [
            finding.order.map(order),
            finding.other_order.map(order),
            finding.other_event.map(|place| event("event", place)),
            finding.event.map(|place| event(role(finding.fault), place)),
        ]
    };
    let mut places: Vec<RecordPlace> = Vec::new();
    for place in findings.iter().flat_map(|(_, finding)| of(finding)).flatten() {
        if !places.contains(&place) {
            places.push(place);
        }
    }
    let records = witness_records::read_whole(context, &service.group, Isolation::ReadCommitted, &places)?;
    let find = |place: &RecordPlace| places.iter().position(|known| known == place).map(|index| &records[index]);
    for (check, finding) in findings {
        let all = of(finding);
        let [order, _, _, event] = all.each_ref().map(|place| place.as_ref().and_then(find));
        let read = EvidenceRecords {
            order: order.and_then(|(_, found)| found.value.as_deref()),
            event_key: event.and_then(|(_, found)| found.key.as_deref()),
            event: event.and_then(|(_, found)| found.value.as_deref()),
        };
        let Description { summary, expected, seen } = Description::new(finding, read, field);
        let witness = Witness {
            anomaly: finding.fault.anomaly(),
            summary,
            expected,
            seen,
            records: all.iter().flatten().filter_map(find).map(|(record, _)| record.clone()).collect(),
        };
        if let Some(result) = document.check(check) {
            result.witness(witness, most);
        }
    }
    Ok(())
}

const fn role(fault: Fault) -> &'static str {
    match fault {
        Fault::Doubled => "further event",
        _ => "event",
    }
}

fn record(role: &'static str, topic: &str, place: Place) -> RecordPlace {
    RecordPlace { role, topic_partition: TopicPartition::new(topic, place.partition()), offset: place.offset() }
}
