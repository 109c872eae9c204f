//! Witnesses of a chain: the records of its findings, read again.

use super::super::witness_records::{self, RecordPlace};
use crate::audit::{AuditDocument, ChainFinding, ChainTopics, Check, Place, Side, Violation, chain_witness};
use crate::commands::Context;
use crate::exit::Failure;
use crate::kafka::TopicPartition;
use crate::settings::{AuditSettings, ChainSettings};

/// What was found of a check.
#[derive(Debug)]
pub(super) struct Claim {
    pub check: Check,
    pub violation: Violation,
    pub checked: u64,
    pub violations: u64,
    pub findings: Vec<ChainFinding>,
}

/// Adds the claims to the document, each with its witnesses.
pub(super) fn add(
    context: &Context,
    settings: &AuditSettings,
    chain: &ChainSettings,
    group: &str,
    claims: Vec<Claim>,
    document: &mut AuditDocument,
) -> Result<(), Failure> {
    let topics = ChainTopics {
        input: chain.input.clone(),
        output: chain.output.clone(),
        match_in: chain.match_in.clone(),
        match_out: chain.match_out.clone(),
        fan_out: chain.fan_out,
    };
    let findings = claims.iter().flat_map(|claim| &claim.findings);
    let places: Vec<RecordPlace> = findings.flat_map(|finding| places(chain, finding)).collect();
    let mut records = witness_records::read(context, group, chain.isolation, &places)?.into_iter();
    for claim in claims {
        let Some(check) = document.check(claim.check) else { continue };
        (check.checked, check.violations) = (claim.checked, claim.violations);
        for finding in claim.findings {
            let count = finding.inputs.len() + finding.outputs.len();
            let own = records.by_ref().take(count).collect();
            check.witness(chain_witness(&topics, claim.violation, &finding, own), settings.witnesses);
        }
    }
    Ok(())
}

fn places(chain: &ChainSettings, finding: &ChainFinding) -> impl Iterator<Item = RecordPlace> {
    finding.inputs.iter().chain(&finding.outputs).map(|place: &Place| {
        let (role, topic) = match place.side() {
            Side::Cause => ("input", &chain.input),
            Side::Effect => ("output", &chain.output),
        };
        let topic_partition = TopicPartition::new(topic, place.partition());
        RecordPlace { role, topic_partition, offset: place.offset() }
    })
}
