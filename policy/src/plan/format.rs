//! The parts of Terraform's "JSON Output Format", version 1, that are read. Fields we don't know are ignored, as the
//! format asks of its readers; those that would make a summary incomplete are known, and refused.

use std::collections::BTreeSet;

use manifest_schema::plan::ResourceAction;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::address::without_keys;
use crate::configuration::Problem;
use crate::json::{Entries, Fault, Node};
use crate::state::StateUnreadable;

/// A plan of which no summary can be made. Messages never quote the plan's values, nor keys within addresses: these can
/// be made of values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// Not JSON, or not of the shape of a plan.
    #[error("the plan can't be read: {what} (line {line}, column {column})")]
    Malformed {
        /// What is wrong.
        what: &'static str,
        /// Where, from 1.
        line: usize,
        /// Where, from 1.
        column: usize,
    },
    /// Written in another major version of the format.
    #[error("the plan has format version {0:?}; only versions 1.x are read")]
    Version(String),
    /// Terraform failed while planning.
    #[error("Terraform reported errors while planning; the plan is not whole")]
    Errored,
    /// Terraform left something for a later plan.
    #[error("the plan is incomplete: Terraform deferred a part of it")]
    Incomplete,
    /// It would run provider actions, which no summary shows.
    #[error("the plan would invoke provider actions, which can't be summarised")]
    Invokes,
    /// A resource would be treated in a way that has no name here.
    #[error("{address}: unknown actions {actions:?} for mode {mode:?}")]
    Action {
        /// The resource.
        address: String,
        /// `managed` or `data`.
        mode: String,
        /// What the plan says.
        actions: Vec<String>,
    },
    /// A resource's values can't be read.
    #[error("{address}: its values can't be read: {what}")]
    Values {
        /// The resource or output.
        address: String,
        /// What is wrong.
        what: &'static str,
    },
    /// Naming the resource or attribute would tell a sensitive value.
    #[error(
        "{place}: a key repeats a value that is sensitive elsewhere, so it can't be named; use another key, or don't \
         mark as sensitive what is no secret"
    )]
    SensitiveKey {
        /// The resource or attribute.
        place: String,
    },
    /// The state that it starts from can't be read.
    #[error(transparent)]
    State(#[from] StateUnreadable),
    /// The dependency lock file that it was made under can't be read.
    #[error("{0}")]
    Lock(Problem),
}

#[derive(Deserialize)]
struct Header {
    format_version: String,
}

#[derive(Deserialize)]
pub(super) struct Plan<'a> {
    pub(super) terraform_version: String,
    #[serde(default)]
    errored: bool,
    /// Absent in OpenTofu and in Terraform before 1.8, which can't defer.
    complete: Option<bool>,
    #[serde(borrow)]
    pub(super) resource_changes: Option<Vec<Resource<'a>>>,
    #[serde(borrow)]
    pub(super) resource_drift: Option<Vec<Resource<'a>>>,
    #[serde(borrow)]
    output_changes: Option<Entries<'a>>,
    #[serde(borrow)]
    variables: Option<Entries<'a>>,
    #[serde(borrow)]
    prior_state: Option<State<'a>>,
    #[serde(borrow)]
    planned_values: Option<Values<'a>>,
    #[serde(borrow)]
    configuration: Option<Configuration<'a>>,
    deferred_changes: Option<Vec<IgnoredAny>>,
    action_invocations: Option<Vec<IgnoredAny>>,
    deferred_action_invocations: Option<Vec<IgnoredAny>>,
}

#[derive(Deserialize)]
struct Configuration<'a> {
    #[serde(borrow)]
    root_module: Option<RootModule<'a>>,
}

#[derive(Deserialize)]
struct RootModule<'a> {
    #[serde(borrow)]
    variables: Option<Entries<'a>>,
}

/// What is in the state before the plan.
#[derive(Deserialize)]
struct State<'a> {
    #[serde(borrow)]
    values: Option<Values<'a>>,
}

#[derive(Deserialize)]
struct Values<'a> {
    #[serde(borrow)]
    outputs: Option<Entries<'a>>,
    #[serde(borrow)]
    root_module: Option<Module<'a>>,
}

#[derive(Deserialize)]
struct Module<'a> {
    #[serde(borrow)]
    resources: Option<Vec<StateResource<'a>>>,
    #[serde(borrow)]
    child_modules: Option<Vec<Module<'a>>>,
}

/// A resource as it is, or as it would be.
#[derive(Deserialize)]
pub(super) struct StateResource<'a> {
    pub(super) address: String,
    #[serde(borrow)]
    pub(super) values: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) sensitive_values: Option<&'a RawValue>,
}

/// An input variable or an output: declared in the configuration, given a value in the plan.
#[derive(Deserialize)]
struct Variable<'a> {
    #[serde(default)]
    sensitive: bool,
    #[serde(borrow)]
    value: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct Resource<'a> {
    pub(super) address: String,
    /// Where the state has it now, if a `moved` block or a refactoring gives it another address.
    pub(super) previous_address: Option<String>,
    pub(super) mode: String,
    #[serde(rename = "type")]
    pub(super) resource_type: String,
    /// Set for an object left over from a replacement that failed half-way.
    pub(super) deposed: Option<String>,
    #[serde(borrow)]
    pub(super) change: Change<'a>,
}

#[derive(Deserialize)]
pub(super) struct Change<'a> {
    actions: Vec<String>,
    /// Present for what an `import` block takes into the state. Its id is a value, so it isn't read.
    importing: Option<IgnoredAny>,
    #[serde(borrow)]
    pub(super) before: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) after: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) after_unknown: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) before_sensitive: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) after_sensitive: Option<&'a RawValue>,
}

impl<'a> Plan<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, PlanError> {
        let header: Header = serde_json::from_slice(bytes).map_err(|error| malformed(&error))?;
        if header.format_version.split_once('.').is_none_or(|(major, _)| major != "1") {
            return Err(PlanError::Version(header.format_version));
        }
        let plan: Self = serde_json::from_slice(bytes).map_err(|error| malformed(&error))?;
        let any = |list: &Option<Vec<IgnoredAny>>| list.as_ref().is_some_and(|list| !list.is_empty());
        if plan.errored {
            return Err(PlanError::Errored);
        }
        if plan.complete == Some(false) || any(&plan.deferred_changes) {
            return Err(PlanError::Incomplete);
        }
        if any(&plan.action_invocations) || any(&plan.deferred_action_invocations) {
            return Err(PlanError::Invokes);
        }
        Ok(plan)
    }

    /// Names of outputs that change. An output's actions are those of a resource without the replacements.
    pub(super) fn outputs(&self) -> Result<Vec<String>, PlanError> {
        let mut names = Vec::new();
        for (name, change) in self.output_changes()? {
            let actions: Vec<&str> = change.actions.iter().map(String::as_str).collect();
            match actions.as_slice() {
                ["no-op"] => {}
                ["create" | "update" | "delete"] => names.push(name.to_owned()),
                _ => {
                    let (address, mode) = (format!("output.{name}"), "output".to_owned());
                    return Err(PlanError::Action { address, mode, actions: change.actions });
                }
            }
        }
        names.sort();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(PlanError::Values { address: format!("output.{}", pair[0]), what: "it is listed twice" }),
            None => Ok(names),
        }
    }

    pub(super) fn output_changes(&self) -> Result<Vec<(&str, Change<'a>)>, PlanError> {
        members(self.output_changes.as_ref(), "output", "no change")
    }

    /// Every resource of the state, as it is and as it would be.
    pub(super) fn state_resources(&self) -> Vec<&StateResource<'a>> {
        let mut found = Vec::new();
        let mut modules: Vec<_> = self.values().filter_map(|values| values.root_module.as_ref()).collect();
        while let Some(module) = modules.pop() {
            found.extend(module.resources.iter().flatten());
            modules.extend(module.child_modules.iter().flatten());
        }
        found
    }

    /// Values of the root module's sensitive outputs, as they are and as they would be.
    pub(super) fn sensitive_outputs(&self) -> Result<Vec<Node<'a>>, PlanError> {
        let mut found = Vec::new();
        for values in self.values() {
            let outputs: Vec<(_, Variable<'a>)> = members(values.outputs.as_ref(), "output", "no output")?;
            for (name, output) in outputs.iter().filter(|(_, output)| output.sensitive) {
                found.extend(node(&format!("output.{name}"), output.value)?);
            }
        }
        Ok(found)
    }

    fn values(&self) -> impl Iterator<Item = &Values<'a>> {
        let prior = self.prior_state.as_ref().and_then(|state| state.values.as_ref());
        prior.into_iter().chain(&self.planned_values)
    }

    /// Values of the root module's sensitive variables.
    pub(super) fn sensitive_variables(&self) -> Result<Vec<Node<'a>>, PlanError> {
        let root = self.configuration.as_ref().and_then(|configuration| configuration.root_module.as_ref());
        let declared = variables(root.and_then(|root| root.variables.as_ref()))?;
        let names: BTreeSet<&str> =
            declared.iter().filter(|(_, variable)| variable.sensitive).map(|(name, _)| *name).collect();
        let given = variables(self.variables.as_ref())?.into_iter().filter(|(name, _)| names.contains(name));
        given.filter_map(|(name, variable)| node(&format!("var.{name}"), variable.value).transpose()).collect()
    }
}

fn variables<'p, 'a>(list: Option<&'p Entries<'a>>) -> Result<Vec<(&'p str, Variable<'a>)>, PlanError> {
    members(list, "var", "no variable")
}

/// Each member of an object as a `T`, or that it is `otherwise`.
fn members<'p, 'a, T: Deserialize<'a>>(
    list: Option<&'p Entries<'a>>,
    kind: &str,
    otherwise: &'static str,
) -> Result<Vec<(&'p str, T)>, PlanError> {
    let list = list.map(|Entries(list)| list.as_slice()).unwrap_or_default();
    let read = |(name, raw): &'p (String, &'a RawValue)| match serde_json::from_str(raw.get()) {
        Ok(member) => Ok((name.as_str(), member)),
        Err(_) => Err(PlanError::Values { address: format!("{kind}.{name}"), what: otherwise }),
    };
    list.iter().map(read).collect()
}

/// Serde's own message may quote the value it stumbled over, so only the place is kept.
fn malformed(error: &serde_json::Error) -> PlanError {
    let what = if error.is_data() { "it hasn't the shape of a plan" } else { "it isn't JSON" };
    PlanError::Malformed { what, line: error.line(), column: error.column() }
}

impl<'a> Resource<'a> {
    /// Everything that would happen; nothing when the resource stays as it is.
    ///
    /// An import or a move leaves no trace in Terraform's own actions: an attack could be a `no-op` to those.
    pub(super) fn actions(&self) -> Result<Vec<ResourceAction>, PlanError> {
        let import = self.change.importing.is_some().then_some(ResourceAction::Import);
        let moved = self.previous_address.is_some().then_some(ResourceAction::Move);
        Ok(self.action()?.into_iter().chain(import).chain(moved).collect())
    }

    fn action(&self) -> Result<Option<ResourceAction>, PlanError> {
        let actions: Vec<&str> = self.change.actions.iter().map(String::as_str).collect();
        Ok(Some(match (self.mode.as_str(), actions.as_slice()) {
            ("managed" | "data", ["no-op"]) => return Ok(None),
            ("data", ["read"]) => ResourceAction::Read,
            ("managed", ["create"]) => ResourceAction::Create,
            ("managed", ["update"]) => ResourceAction::Update,
            ("managed", ["delete"]) => ResourceAction::Delete,
            ("managed", ["delete", "create"]) => ResourceAction::DeleteCreate,
            ("managed", ["create", "delete"]) => ResourceAction::CreateDelete,
            ("managed", ["forget"]) => ResourceAction::Forget,
            _ => {
                let (mode, actions) = (self.mode.clone(), self.change.actions.clone());
                return Err(PlanError::Action { address: without_keys(&self.address), mode, actions });
            }
        }))
    }

    /// Reads one of its values.
    pub(super) fn node(&self, raw: Option<&'a RawValue>) -> Result<Option<Node<'a>>, PlanError> {
        node(&self.address, raw)
    }
}

/// Reads a value of what is at `address`.
pub(super) fn node<'a>(address: &str, raw: Option<&'a RawValue>) -> Result<Option<Node<'a>>, PlanError> {
    let unreadable = |fault: Fault| PlanError::Values { address: without_keys(address), what: fault.what };
    raw.map(|raw| Node::parse(raw.get()).map_err(unreadable)).transpose()
}
