//! What about a plan a person must see. One table; a new rule is a new row and a new [`RULES`].

use std::cmp::Reverse;
use std::collections::BTreeMap;

use manifest_schema::names::ServiceName;
use manifest_schema::plan::{
    Finding, ImageChange, ResourceAction, ResourceChange, ServiceChange, Severity, TaskRun, TerraformChanges,
};
use serde::Serialize;

use super::summary::WITHHELD;

/// Version of the rules. Another version makes a plan stale, so change it with any change of what is found.
pub const RULES: &str = "2026-11-7";

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

/// Every risk in these changes, the worst first, whatever the trust policy suppresses.
pub fn findings(terraform: Option<&TerraformChanges>, services: &[ServiceChange], tasks: &[TaskRun]) -> Vec<Finding> {
    let mut found = Vec::new();
    for change in terraform.iter().flat_map(|terraform| &terraform.changes) {
        found.extend(by_rules(change));
    }
    for change in terraform.iter().flat_map(|terraform| &terraform.drift) {
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
    let all = terraform.iter().flat_map(|terraform| terraform.changes.iter().chain(&terraform.drift));
    for change in all.filter(|change| change.address.contains(&format!("[\"({WITHHELD} "))) {
        let what = "has a key that isn't in the build's text; what production knows may be in it, so it isn't told";
        found.push(finding("key.withheld", Severity::Medium, &change.address, what));
    }
    for service in services.iter().filter(|service| service.task_definition.is_none()) {
        let what = "doesn't exist yet; this deploy is the first to run it";
        found.push(finding("service.created", Severity::Medium, service.service.as_str(), what));
    }
    for service in services {
        found.extend(foreign_images(&service.containers).map(|(container, place)| {
            let what = format!("runs {place} in its container {container}, which is from no repository of this build");
            finding("service.other-images", Severity::High, service.service.as_str(), &what)
        }));
    }
    for task in tasks {
        found.extend(of_task(task));
    }
    found.sort_by(|a, b| (Reverse(a.severity), a).cmp(&(Reverse(b.severity), b)));
    found.dedup();
    found
}

/// The risks of a one-off task: it does with the service's roles and secrets whatever its command says.
fn of_task(run: &TaskRun) -> Vec<Finding> {
    let TaskRun { task, service, .. } = run;
    let high = |rule, what: String| finding(rule, Severity::High, task.as_str(), &what);
    let mut found = Vec::new();
    if run.task_definition.is_none() {
        let what = format!("would run like the service {service}, which isn't there yet, with what nobody has seen");
        found.push(high("task.new", what));
    } else if !run.repeats {
        let what = format!(
            "would run a command with the roles and secrets of the service {service} that wasn't run in this way by the last \
             complete deployment"
        );
        found.push(high("task.new", what));
    }
    found.extend(foreign_images(&run.containers).map(|(container, place)| {
        let what = format!(
            "would run with the roles and secrets of the service {service}, which runs {place} in its container \
             {container}: that is from no repository of this build"
        );
        high("task.other-images", what)
    }));
    found
}

/// The containers that run an image from somewhere else, and where it is from.
fn foreign_images(containers: &BTreeMap<ServiceName, ImageChange>) -> impl Iterator<Item = (&ServiceName, &String)> {
    containers.iter().filter_map(|(container, image)| Some((container, image.elsewhere.as_ref()?)))
}

fn by_rules(change: &ResourceChange) -> impl Iterator<Item = Finding> {
    let applying = RESOURCE_RULES.iter().filter_map(|rule| Some((rule, (rule.applies)(change)?)));
    applying.map(|(rule, what)| finding(rule.name, rule.severity, &change.address, &what))
}

fn finding(rule: &str, severity: Severity, address: &str, what: &str) -> Finding {
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
