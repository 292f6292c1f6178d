//! What about a plan a person must see. One table; a new rule is a new row and a new [`RULES`].

use std::cmp::Reverse;

use manifest_schema::plan::{
    FilesChange, Finding, FunctionChange, ResourceAction, ResourceChange, ScheduleChange, ServiceChange, Severity,
    TaskRun, TerraformChanges,
};
use serde::Serialize;

use super::steps;
use super::summary::WITHHELD;

/// Version of the rules. Another version makes a plan stale, so change it with any change of what is found.
pub const RULES: &str = "2026-11-10";

/// Whether a person must approve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Nothing was found.
    Clear,
    /// Something was found that a person must look at.
    Person,
}

/// The verdict on these findings: any finding needs a person. Remove suppressed ones before asking.
pub fn verdict(findings: &[Finding]) -> Verdict {
    if findings.is_empty() { Verdict::Clear } else { Verdict::Person }
}

/// A rule about one resource that the plan would change.
pub(super) struct Rule {
    pub(super) name: &'static str,
    severity: Severity,
    /// What is wrong, as the end of a sentence that starts with the address; `None` when nothing is.
    applies: fn(&ResourceChange) -> Option<String>,
}

pub(super) const RESOURCE_RULES: &[Rule] = &[
    Rule { name: "resource.deleted", severity: Severity::High, applies: deleted },
    Rule { name: "resource.replaced", severity: Severity::High, applies: replaced },
    Rule { name: "resource.forgotten", severity: Severity::High, applies: forgotten },
    Rule { name: "resource.imported", severity: Severity::High, applies: imported },
    Rule { name: "resource.moved", severity: Severity::High, applies: moved },
    Rule { name: "data.deferred", severity: Severity::Medium, applies: deferred },
    Rule { name: "policy.changed", severity: Severity::High, applies: policy },
    Rule { name: "iam.changed", severity: Severity::Critical, applies: iam },
    Rule { name: "security-group.changed", severity: Severity::High, applies: security_group },
];

/// What a plan would do, as it is judged.
#[derive(Debug, Clone, Copy, Default)]
pub struct Effects<'a> {
    /// In Terraform.
    pub terraform: Option<&'a TerraformChanges>,
    /// In services.
    pub services: &'a [ServiceChange],
    /// What would be run once.
    pub tasks: &'a [TaskRun],
    /// In places of S3.
    pub files: &'a [FilesChange],
    /// In scheduled tasks.
    pub schedules: &'a [ScheduleChange],
    /// In Lambda functions.
    pub functions: &'a [FunctionChange],
}

/// Every risk in these effects, the worst first, whatever the trust policy suppresses.
pub fn findings(effects: Effects<'_>) -> Vec<Finding> {
    let Effects { terraform, services, tasks, files, schedules, functions } = effects;
    let mut found: Vec<_> = terraform.into_iter().flat_map(of_terraform).collect();
    found.extend(services.iter().flat_map(steps::of_service));
    found.extend(tasks.iter().flat_map(steps::of_task));
    found.extend(files.iter().flat_map(steps::of_files));
    found.extend(schedules.iter().flat_map(steps::of_schedule));
    found.extend(functions.iter().flat_map(steps::of_function));
    found.sort_by(|a, b| (Reverse(a.severity), a).cmp(&(Reverse(b.severity), b)));
    found.dedup();
    found
}

fn of_terraform(terraform: &TerraformChanges) -> Vec<Finding> {
    let mut found: Vec<_> = terraform.changes.iter().flat_map(by_rules).collect();
    for change in &terraform.drift {
        let what = match change.action {
            ResourceAction::Delete => "was deleted outside of Terraform since the last apply",
            ResourceAction::Create
            | ResourceAction::Read
            | ResourceAction::Update
            | ResourceAction::DeleteCreate
            | ResourceAction::CreateDelete
            | ResourceAction::Forget => "was changed outside of Terraform since the last apply",
            // No drift: the apply would do it.
            ResourceAction::Import | ResourceAction::Move => {
                found.extend(by_rules(change));
                continue;
            }
        };
        found.push(finding("drift.found", Severity::Medium, &change.address, &with_paths(what, &change.attributes)));
    }
    let all = terraform.changes.iter().chain(&terraform.drift);
    for change in all.filter(|change| change.address.contains(&format!("[\"({WITHHELD} "))) {
        let what = "has a key that isn't in the build's text; what production knows may be in it, so it isn't told";
        found.push(finding("key.withheld", Severity::Medium, &change.address, what));
    }
    found
}

fn by_rules(change: &ResourceChange) -> impl Iterator<Item = Finding> {
    let applying = RESOURCE_RULES.iter().filter_map(|rule| Some((rule, (rule.applies)(change)?)));
    applying.map(|(rule, what)| finding(rule.name, rule.severity, &change.address, &what))
}

pub(super) fn finding(rule: &str, severity: Severity, address: &str, what: &str) -> Finding {
    let message = format!("{address} {what}.");
    Finding { rule: rule.to_owned(), severity, address: address.to_owned(), message }
}

fn with_paths<T: AsRef<str>>(what: &str, paths: &[T]) -> String {
    /// More than this makes a sentence unreadable, and the summary lists all of them.
    const MOST: usize = 4;
    let named: Vec<&str> = paths.iter().take(MOST).map(AsRef::as_ref).collect();
    match (named.is_empty(), paths.len().saturating_sub(MOST)) {
        (true, _) => what.to_owned(),
        (false, 0) => format!("{what} ({})", named.join(", ")),
        (false, more) => format!("{what} ({} and {more} more)", named.join(", ")),
    }
}

/// A plan lists a data source only if it can't be read yet.
fn deferred(change: &ResourceChange) -> Option<String> {
    let what = "would be read while the plan is applied, by what nobody has seen yet";
    (change.action == ResourceAction::Read).then(|| what.to_owned())
}

fn deleted(change: &ResourceChange) -> Option<String> {
    (change.action == ResourceAction::Delete).then(|| "would be deleted".to_owned())
}

fn replaced(change: &ResourceChange) -> Option<String> {
    match change.action {
        ResourceAction::DeleteCreate => Some("would be destroyed and made anew".to_owned()),
        ResourceAction::CreateDelete => Some("would be made anew and the old one destroyed".to_owned()),
        ResourceAction::Create
        | ResourceAction::Read
        | ResourceAction::Update
        | ResourceAction::Delete
        | ResourceAction::Forget
        | ResourceAction::Import
        | ResourceAction::Move => None,
    }
}

fn forgotten(change: &ResourceChange) -> Option<String> {
    (change.action == ResourceAction::Forget)
        .then(|| "would be dropped from the state and left running unmanaged".to_owned())
}

fn imported(change: &ResourceChange) -> Option<String> {
    (change.action == ResourceAction::Import)
        .then(|| "would take something that exists into the state; a later build could change or destroy it".to_owned())
}

fn moved(change: &ResourceChange) -> Option<String> {
    (change.action == ResourceAction::Move)
        .then(|| "would take over what the state has at the other address".to_owned())
}

/// Top-level attributes that hold a document saying who may do what.
const POLICY_ATTRIBUTES: &[&str] = &[
    "access_policies",
    "access_policy",
    "assume_role_policy",
    "inline_policy",
    "key_policy",
    "policy",
    "policy_document",
    "policy_text",
    "repository_policy",
    "resource_policy",
];

fn policy(change: &ResourceChange) -> Option<String> {
    let is_policy = |path: &&String| {
        let top = path.split(['.', '[']).next().unwrap_or_default();
        POLICY_ATTRIBUTES.contains(&top)
    };
    let paths: Vec<&String> = change.attributes.iter().filter(is_policy).collect();
    if !paths.is_empty() {
        return Some(with_paths("would get another policy", &paths));
    }
    // A resource that goes away lists no attributes; for these it is the policy that goes away.
    (change.action.destroys() && change.resource_type.ends_with("_policy")).then(|| "would lose its policy".to_owned())
}

fn iam(change: &ResourceChange) -> Option<String> {
    let verb = match change.action {
        ResourceAction::Read | ResourceAction::Import | ResourceAction::Move => return None,
        ResourceAction::Create => "created",
        ResourceAction::Update => "changed",
        ResourceAction::Delete => "deleted",
        ResourceAction::DeleteCreate | ResourceAction::CreateDelete => "replaced",
        ResourceAction::Forget => "dropped from the state",
    };
    change.resource_type.starts_with("aws_iam_").then(|| {
        let kind = change.resource_type.trim_start_matches("aws_iam_").replace('_', " ");
        format!("would be {verb}: an IAM {kind} decides who may do what")
    })
}

/// Groups themselves: a new one guards nothing yet.
const SECURITY_GROUPS: &[&str] = &["aws_default_security_group", "aws_security_group"];

/// Rules of a group: making one changes the group it belongs to.
const SECURITY_GROUP_RULES: &[&str] =
    &["aws_security_group_rule", "aws_vpc_security_group_egress_rule", "aws_vpc_security_group_ingress_rule"];

fn security_group(change: &ResourceChange) -> Option<String> {
    let kind = change.resource_type.as_str();
    let counts = match change.action {
        ResourceAction::Read | ResourceAction::Import | ResourceAction::Move => false,
        ResourceAction::Create => SECURITY_GROUP_RULES.contains(&kind),
        ResourceAction::Update
        | ResourceAction::Delete
        | ResourceAction::DeleteCreate
        | ResourceAction::CreateDelete
        | ResourceAction::Forget => SECURITY_GROUPS.contains(&kind) || SECURITY_GROUP_RULES.contains(&kind),
    };
    counts.then(|| with_paths("would change which network traffic is let through", &change.attributes))
}
