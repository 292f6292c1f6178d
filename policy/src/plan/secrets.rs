//! Text that the plan calls sensitive in one place must not be shown from another.
//!
//! Terraform forgets marks on the way: `terraform_data.output` repeats a sensitive `input` unmarked, as an attribute
//! does that a provider derives from another one. What such text reaches, such as the key of an instance, isn't marked.

use std::collections::BTreeSet;

use serde_json::value::RawValue;

use super::attributes::{covered, item, member};
use super::format::{Plan, PlanError, node};
use crate::json::{Kind, Node, quoted};

/// Shorter text occurs by chance: hiding it would hide nearly everything, and showing it tells nearly nothing.
const SHORTEST: usize = 4;

/// Text from this length on is also looked for within keys. Shorter text must be all of a key: `user` is in many.
const WITHIN_KEYS: usize = 8;

/// Every sensitive text of a plan.
#[derive(Default)]
pub(super) struct Secrets {
    texts: BTreeSet<String>,
    /// As they would appear within JSON.
    quoted: BTreeSet<String>,
}

impl Secrets {
    pub(super) fn of(plan: &Plan<'_>) -> Result<Self, PlanError> {
        let mut secrets = Self::default();
        for resource in plan.resource_changes.iter().chain(&plan.resource_drift).flatten() {
            let change = &resource.change;
            secrets.read(&resource.address, change.before, change.before_sensitive)?;
            secrets.read(&resource.address, change.after, change.after_sensitive)?;
        }
        for (name, change) in plan.output_changes()? {
            secrets.read(name, change.before, change.before_sensitive)?;
            secrets.read(name, change.after, change.after_sensitive)?;
        }
        for resource in plan.state_resources() {
            secrets.read(&resource.address, resource.values, resource.sensitive_values)?;
        }
        for value in plan.sensitive_variables()?.into_iter().chain(plan.sensitive_outputs()?) {
            secrets.add_all(&value);
        }
        Ok(secrets)
    }

    /// Whether a value, as compact JSON, holds any of them.
    pub(super) fn within(&self, value: &str) -> bool {
        self.quoted.iter().any(|secret| value.contains(secret.as_str()))
    }

    /// Whether a key, as it is, tells any of them.
    pub(super) fn in_key(&self, key: &str) -> bool {
        let told = |secret: &String| secret == key || (secret.len() >= WITHIN_KEYS && key.contains(secret.as_str()));
        self.texts.iter().any(told)
    }

    fn read(&mut self, address: &str, value: Option<&RawValue>, mark: Option<&RawValue>) -> Result<(), PlanError> {
        // Nearly every mark is empty, and values can be large.
        if mark.is_some_and(|mark| mark.get().contains("true")) {
            self.add(node(address, value)?.as_ref(), node(address, mark)?.as_ref());
        }
        Ok(())
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
            self.quoted.insert(inner.to_owned());
            self.texts.insert(text.to_owned());
        }
    }
}
