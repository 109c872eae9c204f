//! Audit of a chain: any consumer that writes to another topic.

mod proof;
mod scan;
mod topics;
mod witnesses;

use self::proof::Proof;
use self::witnesses::Claim;
use crate::audit::{AuditDocument, ChainFinding, ChainJudge, ChainResult, Check, Subject, Unmatched, Violation};
use crate::commands::Context;
use crate::commands::audit::comparing::{NOT_COMPARED, each_entry};
use crate::commands::audit::watched_scan::Watch;
use crate::exit::Failure;
use crate::external_sort::merge;
use crate::kafka::Inspector;
use crate::settings::{AuditSettings, ChainSettings};

/// The name of the clients without `--group`. They join no group.
const CLIENT_GROUP: &str = "foodstream-audit";

/// Judges the outputs of a chain: reads the inputs, then the outputs, sorts both by the matched field, and compares.
///
/// A stop ends the reading and the comparison. The document then covers what was read, and claims only what the rest
/// cannot change.
pub(super) fn audit(
    context: &Context,
    settings: &AuditSettings,
    chain: &ChainSettings,
) -> Result<AuditDocument, Failure> {
    let connection = &context.common.connection;
    let group = chain.group.as_deref().unwrap_or(CLIENT_GROUP);
    let inspector = Inspector::open(connection, group, &context.shutdown)?.describe_only();
    let frozen = topics::freeze(context, &inspector, chain)?;
    let scan::ChainScan { sorters, inputs, outputs, is_stopped } =
        scan::read(context, settings, chain, &inspector, group, &frozen)?;
    Watch::new(context, &inspector, vec![frozen.inputs.watched(), frozen.outputs.watched()]).check()?;

    let mut proof = Proof::new(chain, &frozen, [&inputs, &outputs], is_stopped);
    let mut judge = ChainJudge::new(chain.fan_out, settings.witnesses);
    let all_compared = each_entry(&context.shutdown, merge(sorters)?, |entry| {
        judge.add(&entry);
        Ok(())
    })?;
    let result = if all_compared {
        judge.finish()
    } else {
        proof.reasons.push(NOT_COMPARED.to_owned());
        ChainResult::default()
    };
    let mut unmatched = inputs.unmatched.clone();
    unmatched.merge(&outputs.unmatched);

    let mut document = AuditDocument::new(Subject::Chain);
    document.orders = result.inputs + inputs.required_unmatched;
    document.decisions = result.outputs + outputs.unmatched.count();
    document.repeated_orders = result.repeated_inputs;
    document.group.clone_from(&chain.group);
    document.live = frozen.live;
    document.uncommitted = chain.group.as_ref().map_or(0, |_| frozen.inputs.uncommitted());
    document.covered = frozen.inputs.covered(&inputs.positions);
    document.covered.extend(frozen.outputs.covered(&outputs.positions));
    let claims = claims(result, &unmatched, inputs.records + outputs.records);
    let claims: Vec<Claim> = claims.into_iter().map(|claim| proof.admit(claim)).collect();
    document.unproved = proof.reasons;
    witnesses::add(context, settings, chain, group, claims, &mut document)?;
    document.judge();
    Ok(document)
}

/// The checks in numbers.
///
/// `every-input-has-outputs` counts outputs that must be there, and those that are missing; `every-output-has-an-input`
/// counts outputs, and those without an input; `nothing-twice` counts outputs with an input, and those that are too
/// many; `records-match` counts the records of both topics, and those without the field.
fn claims(result: ChainResult, unmatched: &Unmatched, records: u64) -> [Claim; 4] {
    let claim = |check, violation, [checked, violations]: [u64; 2], findings| Claim {
        check,
        violation,
        checked,
        violations,
        findings,
    };
    let without_field = unmatched.first().map(ChainFinding::of_one).collect();
    [
        claim(Check::EveryInputHasOutputs, Violation::Lost, [result.needed, result.missing], result.lost),
        claim(
            Check::EveryOutputHasAnInput,
            Violation::Invented,
            [result.outputs, result.invented],
            result.without_input,
        ),
        claim(Check::NothingTwice, Violation::Surplus, [result.caused, result.surplus], result.doubled),
        claim(Check::RecordsMatch, Violation::Unmatched, [records, unmatched.count()], without_field),
    ]
}
