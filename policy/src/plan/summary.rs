//! From a plan to its summary.

use std::collections::{BTreeMap, BTreeSet};

use manifest_schema::plan::{ResourceAction, ResourceChange, TerraformChanges};

use super::address::{keys, with_keys, without_keys};
use super::attributes::{Sides, changed};
use super::format::{Plan, PlanError, Resource};
use super::secrets::Secrets;
use super::written::Written;
use crate::configuration::locked_providers;
use crate::state;

/// The parts of a saved plan that say what it would do, and from what on.
#[derive(Debug, Clone, Copy)]
pub struct PlanParts<'a> {
    /// What `terraform show -json PLANFILE` prints.
    pub json: &'a [u8],
    /// The state that it starts from: the file `tfstate` in it.
    pub state: &'a [u8],
    /// The dependency lock file that it was made under: `.terraform.lock.hcl` in it.
    pub lock: &'a [u8],
    /// What the authors of this build, and of the builds that may be live, wrote.
    pub written: &'a Written,
}

/// What stands in place of a key that is withheld, before its number.
pub(super) const WITHHELD: &str = "withheld";

/// Summarises a saved plan.
///
/// `shown` names attributes whose values may be shown, as `type.attribute` (`aws_ecs_service.desired_count`) or a path
/// within one (`aws_instance.tags.Name`). An attribute that Terraform calls sensitive, wholly or in part, is not shown
/// even then, nor is a value that repeats such text. A resource that goes away lists no attributes; it loses all of them.
///
/// A key that the authors didn't write is withheld: production's own data may be in it. Instances are told apart by
/// numbers, `x.y["(withheld 1)"]`; of attributes it is told only that something below the path changes.
///
/// A plan in which the key of an instance or an attribute repeats sensitive text is refused. Hiding the key would let
/// an author choose what approvers don't see, and would tell for each of thousands of keys whether it guessed a secret.
///
/// # Errors
/// When the plan isn't one, is of another major format version, reports errors or deferred parts, or says anything
/// about a resource that the summary couldn't express.
pub fn summarise(saved: PlanParts<'_>, shown: &[String]) -> Result<TerraformChanges, PlanError> {
    let plan = Plan::parse(saved.json)?;
    let shown: BTreeSet<&str> = shown.iter().map(String::as_str).collect();
    let mut telling =
        Telling { shown: &shown, secrets: Secrets::of(&plan)?, written: saved.written, withheld: BTreeMap::new() };
    Ok(TerraformChanges {
        changes: changes(plan.resource_changes.as_deref(), &mut telling)?,
        drift: changes(plan.resource_drift.as_deref(), &mut telling)?,
        outputs: plan.outputs()?,
        version: plan.terraform_version,
        providers: locked_providers(saved.lock).map_err(PlanError::Lock)?,
        state: state::version(saved.state)?,
        shown: shown.into_iter().map(str::to_owned).collect(),
    })
}

/// What may be told of a plan.
struct Telling<'a> {
    shown: &'a BTreeSet<&'a str>,
    secrets: Secrets,
    written: &'a Written,
    /// Keys of instances that are not told, numbered as they came.
    withheld: BTreeMap<String, usize>,
}

impl Telling<'_> {
    /// An address as it may be told.
    fn address(&mut self, address: &str) -> String {
        with_keys(address, |key| {
            if self.written.has(key) {
                return None;
            }
            let next = self.withheld.len() + 1;
            let number = *self.withheld.entry(key.to_owned()).or_insert(next);
            Some(format!("({WITHHELD} {number})"))
        })
    }
}

fn changes(resources: Option<&[Resource<'_>]>, telling: &mut Telling<'_>) -> Result<Vec<ResourceChange>, PlanError> {
    let mut changes = Vec::new();
    for resource in resources.unwrap_or_default() {
        let actions = resource.actions()?;
        if !actions.is_empty() {
            nameable(resource, &telling.secrets)?;
        }
        for action in actions {
            changes.push(change(resource, action, telling)?);
        }
    }
    changes.sort_by(|a, b| (&a.address, a.action, &a.attributes).cmp(&(&b.address, b.action, &b.attributes)));
    Ok(changes)
}

/// That no key in its addresses tells anything sensitive.
fn nameable(resource: &Resource<'_>, secrets: &Secrets) -> Result<(), PlanError> {
    let mut keys =
        [Some(&resource.address), resource.previous_address.as_ref()].into_iter().flatten().flat_map(|a| keys(a));
    match keys.any(|key| secrets.in_key(&key)) {
        true => Err(PlanError::SensitiveKey { place: without_keys(&resource.address) }),
        false => Ok(()),
    }
}

fn address(resource: &Resource<'_>, action: ResourceAction, telling: &mut Telling<'_>) -> String {
    let mut address = telling.address(&resource.address);
    if let Some(key) = &resource.deposed {
        address.push_str(&format!(" (deposed object {key})"));
    }
    if let Some(previous) = resource.previous_address.as_ref().filter(|_| action == ResourceAction::Move) {
        address.push_str(&format!(" (moved from {})", telling.address(previous)));
    }
    address
}

fn change(
    resource: &Resource<'_>,
    action: ResourceAction,
    telling: &mut Telling<'_>,
) -> Result<ResourceChange, PlanError> {
    let mut change = ResourceChange {
        address: address(resource, action, telling),
        resource_type: resource.resource_type.clone(),
        action,
        attributes: Vec::new(),
        values: BTreeMap::new(),
    };
    // What a data source reads is production's own data; an import or a move has no values of its own.
    if matches!(action, ResourceAction::Read | ResourceAction::Import | ResourceAction::Move) {
        return Ok(change);
    }
    let raw = &resource.change;
    let (before, after, unknown) =
        (resource.node(raw.before)?, resource.node(raw.after)?, resource.node(raw.after_unknown)?);
    let (before_sensitive, after_sensitive) =
        (resource.node(raw.before_sensitive)?, resource.node(raw.after_sensitive)?);
    let sides = Sides {
        before: before.as_ref(),
        after: after.as_ref(),
        unknown: unknown.as_ref(),
        before_sensitive: before_sensitive.as_ref(),
        after_sensitive: after_sensitive.as_ref(),
    };
    let own = telling.shown.iter().filter_map(|name| name.strip_prefix(resource.resource_type.as_str()));
    let shown: BTreeSet<&str> = own.filter_map(|name| name.strip_prefix('.')).collect();
    let secrets = &telling.secrets;
    let leaves = changed(sides, &shown, telling.written);
    let gone = matches!(action, ResourceAction::Delete | ResourceAction::Forget);
    for leaf in &leaves {
        let secret = |side: &Option<String>| side.as_ref().is_some_and(|value| secrets.within(value));
        if let Some(values) = leaf.values().filter(|values| !secret(&values.before) && !secret(&values.after)) {
            change.values.insert(leaf.path.clone(), values);
        }
        let named = !gone || change.values.contains_key(&leaf.path);
        if named && leaf.keys.iter().any(|key| secrets.in_key(key)) {
            let attribute = leaf.path.split(['.', '[']).next().unwrap_or_default();
            return Err(PlanError::SensitiveKey {
                place: format!("{} in {attribute}", without_keys(&resource.address)),
            });
        }
    }
    if !gone {
        change.attributes = leaves.into_iter().map(|leaf| leaf.path).collect();
        change.attributes.sort();
        change.attributes.dedup();
    }
    Ok(change)
}
