//! Text that the plan calls sensitive in one place must not be shown from another.
//!
//! Terraform forgets marks on the way: `terraform_data.output` repeats a sensitive `input` unmarked, as an attribute
//! does that a provider derives from another one.

use std::collections::BTreeSet;

use super::attributes::{covered, item, member};
use super::format::{Plan, PlanError};
use crate::json::{Kind, Node, quoted};

/// Shorter text occurs by chance: hiding it would hide nearly everything, and showing it tells nearly nothing.
const SHORTEST: usize = 4;

/// Every sensitive text of a plan, as it would appear within JSON.
pub(super) struct Secrets(BTreeSet<String>);

impl Secrets {
    pub(super) fn of(plan: &Plan<'_>) -> Result<Self, PlanError> {
        let mut secrets = Self(BTreeSet::new());
        for resource in plan.resource_changes.iter().chain(&plan.resource_drift).flatten() {
            let change = &resource.change;
            for (value, mark) in [(change.before, change.before_sensitive), (change.after, change.after_sensitive)] {
                // Nearly every mark is empty, and values can be large.
                if mark.is_some_and(|mark| mark.get().contains("true")) {
                    secrets.add(resource.node(value)?.as_ref(), resource.node(mark)?.as_ref());
                }
            }
        }
        for value in plan.sensitive_variables()? {
            secrets.add_all(&value);
        }
        Ok(secrets)
    }

    /// Whether a value, as compact JSON, holds any of them.
    pub(super) fn within(&self, value: &str) -> bool {
        self.0.iter().any(|secret| value.contains(secret.as_str()))
    }

    fn add<'n>(&mut self, value: Option<&'n Node<'n>>, mark: Option<&'n Node<'n>>) {
        let Some(value) = value else { return };
        if covered(mark) {
            return self.add_all(value);
        }
        match &value.kind {
            Kind::Object(map) => {
                map.iter().for_each(|(key, within)| self.add(Some(within), mark.and_then(|mark| member(mark, key))));
            }
            Kind::Array(items) => {
                let items = items.iter().enumerate();
                items.for_each(|(index, within)| self.add(Some(within), mark.and_then(|mark| item(mark, index))));
            }
            Kind::Null | Kind::Bool(_) | Kind::Number(_) | Kind::String(_) => {}
        }
    }

    fn add_all(&mut self, value: &Node<'_>) {
        match &value.kind {
            Kind::String(text) => self.add_text(text),
            Kind::Number(digits) => self.add_text(digits),
            Kind::Array(items) => items.iter().for_each(|within| self.add_all(within)),
            // Keys are nearly always names from a schema; hiding `name` everywhere would hide everything.
            Kind::Object(map) => map.values().for_each(|within| self.add_all(within)),
            Kind::Null | Kind::Bool(_) => {}
        }
    }

    fn add_text(&mut self, text: &str) {
        if text.len() >= SHORTEST {
            let quoted = quoted(text);
            let inner = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(&quoted);
            self.0.insert(inner.to_owned());
        }
    }
}
