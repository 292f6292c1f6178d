//! A job's events as lines for people.

use manifest_schema::job::{Event, Happening};
use manifest_schema::statement::Outcome;

use crate::output::size;

/// The event's time of day and what it says, a line each.
pub(crate) fn lines(event: &Event) -> Vec<String> {
    let time = event.at.to_string();
    let time = time.get(11..19).unwrap_or(&time);
    texts(&event.event).into_iter().map(|text| format!("{time}  {text}")).collect()
}

fn texts(happening: &Happening) -> Vec<String> {
    let one = |text: String| vec![text];
    match happening {
        Happening::Requested => one("requested".to_owned()),
        Happening::Started { task } => one(format!("worker started ({task})")),
        Happening::Began { version, .. } => one(format!("worker {version} began: verifying")),
        Happening::Verified { policy, warnings } => {
            let mut lines = one(format!("verified under trust policy version {policy}"));
            lines.extend(warnings.iter().map(|warning| format!("warning: {warning}")));
            lines
        }
        Happening::Fetched { blobs, bytes } => {
            one(format!("fetched and checked {blobs} blob{} ({})", plural(*blobs), size(*bytes)))
        }
        Happening::Planned { plan, changes, findings } => one(format!(
            "planned: {changes} change{}, {findings} finding{}; signed as plan {}",
            plural(*changes),
            plural(*findings),
            plan.short()
        )),
        Happening::Checked => one("the plan is the approved one and starts from what runs".to_owned()),
        Happening::Claimed { .. } => one("claimed: this job, and no other, applies this plan".to_owned()),
        Happening::Intent { step, name, .. } => one(format!("step {step}, {name}: begins")),
        Happening::Done { step } => one(format!("step {step}: done")),
        Happening::StepFailed { step, reason } => one(format!("step {step} failed: {reason}")),
        Happening::StepRolledBack { step, reason } => one(format!("step {step} was rolled back: {reason}")),
        Happening::Recorded { sequence, outcome } => {
            one(format!("recorded as deployment {sequence}: {}", outcome_text(*outcome)))
        }
        Happening::Progress { lines } => lines.iter().map(|line| format!("  {line}")).collect(),
        Happening::CancelRequested => one("cancellation requested".to_owned()),
        Happening::Ended { outcome, reasons } => {
            let mut lines = one(format!("ended: {outcome}"));
            lines.extend(reasons.iter().map(|reason| format!("  {reason}")));
            lines
        }
    }
}

/// An outcome as a word.
pub(crate) fn outcome_text(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Succeeded => "succeeded",
        Outcome::Failed => "failed",
        Outcome::RolledBack => "rolled back",
        Outcome::Cancelled => "cancelled",
        Outcome::Interrupted => "interrupted",
    }
}

/// The ending of a plural.
pub(crate) fn plural(count: u64) -> &'static str {
    if count == 1 { "" } else { "s" }
}
