//! A plan summary for people.

mod steps;

use std::fmt::Write as _;

use manifest_schema::plan::{PlanSummary, ResourceAction, ResourceChange};

use super::events::plural;
use crate::output::{Paint, plain};

/// Most resources shown one by one; the rest is counted.
const MOST_SHOWN: usize = 100;

/// What the plan would do: resources, services, findings.
pub(crate) fn text(summary: &PlanSummary, paint: Paint) -> String {
    let mut text = format!("plan for {} {} in {}\n", summary.project, summary.build, summary.environment);
    if let Some(terraform) = &summary.terraform {
        if terraform.changes.is_empty() {
            text.push_str("  terraform: nothing would change\n");
        }
        for change in terraform.changes.iter().take(MOST_SHOWN) {
            resource(&mut text, change, paint);
        }
        if let Some(more) = terraform.changes.len().checked_sub(MOST_SHOWN).filter(|more| *more > 0) {
            let _ = writeln!(text, "  and {more} resources more (--format json lists all)");
        }
        changed_outside(&mut text, &terraform.drift, paint);
        if !terraform.outputs.is_empty() {
            let _ = writeln!(text, "  outputs that would change: {}", plain(&terraform.outputs.join(", ")));
        }
    }
    for service in &summary.services {
        steps::service_lines(&mut text, service, paint);
    }
    for task in &summary.tasks {
        steps::task_lines(&mut text, task, paint);
    }
    for place in &summary.files {
        steps::files_lines(&mut text, place, paint);
    }
    for schedule in &summary.schedules {
        steps::schedule_lines(&mut text, schedule, paint);
    }
    for function in &summary.functions {
        steps::function_lines(&mut text, function, paint);
    }
    findings(&mut text, summary, paint);
    text
}

fn resource(text: &mut String, change: &ResourceChange, paint: Paint) {
    let line = format!("{:8} {}", change.action.to_string(), plain(&change.address));
    let painted = match change.action {
        ResourceAction::Create => paint.green(&line),
        ResourceAction::Update | ResourceAction::Read | ResourceAction::Import | ResourceAction::Move => {
            paint.yellow(&line)
        }
        ResourceAction::Delete
        | ResourceAction::DeleteCreate
        | ResourceAction::CreateDelete
        | ResourceAction::Forget => paint.red(&line),
    };
    let _ = writeln!(text, "  {painted}");
    for attribute in &change.attributes {
        match change.values.get(attribute) {
            Some(value) => {
                let side = |side: &Option<String>| side.as_deref().map_or_else(|| "-".to_owned(), short);
                let _ = writeln!(
                    text,
                    "             {}: {} → {}",
                    plain(attribute),
                    side(&value.before),
                    side(&value.after)
                );
            }
            None if change.action == ResourceAction::Update => {
                let _ = writeln!(text, "             {}", plain(attribute));
            }
            None => {}
        }
    }
}

/// What somebody else did to resources since the last deployment; the changes above say what would be done about it.
fn changed_outside(text: &mut String, drift: &[ResourceChange], paint: Paint) {
    for change in drift.iter().take(MOST_SHOWN) {
        let attributes = plain(&change.attributes.join(", "));
        let what = if change.action.destroys() {
            "is gone".to_owned()
        } else if attributes.is_empty() {
            "was changed".to_owned()
        } else {
            format!("was changed: {attributes}")
        };
        let _ = writeln!(text, "  {}", paint.yellow(&format!("outside  {} {what}", plain(&change.address))));
    }
    if let Some(more) = drift.len().checked_sub(MOST_SHOWN).filter(|more| *more > 0) {
        let _ = writeln!(text, "  and {more} more that were changed outside");
    }
}

/// A value of bounded length.
fn short(value: &str) -> String {
    let clean = plain(value).replace('\n', " ");
    if clean.chars().count() <= 80 { clean } else { clean.chars().take(79).chain(['…']).collect() }
}

fn findings(text: &mut String, summary: &PlanSummary, paint: Paint) {
    let count = summary.findings.len();
    if count == 0 {
        text.push_str("  no risk found\n");
        return;
    }
    let _ = writeln!(text, "  {}", paint.bold(&format!("{count} finding{}", plural(count as u64))));
    for finding in &summary.findings {
        let severity = paint.red(&finding.severity.to_string());
        let _ = writeln!(
            text,
            "    {severity} {}: {} ({})",
            finding.rule,
            plain(&finding.address),
            plain(&finding.message)
        );
    }
}
