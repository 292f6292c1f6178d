//! Which providers a bundle would run: those that it locks, those that it requires, and those that Terraform infers
//! from the types in use when nothing is required.

use std::collections::{BTreeMap, BTreeSet};

use manifest_schema::trust::TerraformRules;

use super::files::{LOCK, directory};
use super::read::Entry;
use super::{Problem, Rule};

const BUILTIN: &str = "terraform.io/builtin/terraform";

struct Use {
    file: String,
    line: usize,
    /// The provider's name in its module.
    name: String,
}

/// What was seen of providers in all files.
pub(super) struct Providers<'a> {
    /// `None` where nobody knows.
    rules: Option<&'a TerraformRules>,
    locked: bool,
    /// Module directory and name → source, `None` if it isn't literal.
    required: BTreeMap<(String, String), (Option<String>, Use)>,
    used: Vec<Use>,
    locks: Vec<Use>,
}

impl<'a> Providers<'a> {
    pub(super) fn new(rules: Option<&'a TerraformRules>) -> Self {
        Self { rules, locked: false, required: BTreeMap::new(), used: Vec::new(), locks: Vec::new() }
    }

    pub(super) fn lock_seen(&mut self) {
        self.locked = true;
    }

    pub(super) fn note(&mut self, file: &str, entries: &[Entry]) {
        for entry in entries {
            let used = |name: &str| Use { file: file.to_owned(), line: entry.line, name: name.to_owned() };
            let key = |name: &str| (directory(file).to_owned(), name.to_owned());
            match entry.steps().as_slice() {
                ["provider", address] if file == LOCK => self.locks.push(used(address)),
                _ if file == LOCK => {}
                // Without a source, Terraform assumes its maker's.
                ["terraform", "required_providers", name] => {
                    self.required.entry(key(name)).or_insert((Some(format!("hashicorp/{name}")), used(name)));
                }
                ["terraform", "required_providers", name, "source"] => {
                    self.required.insert(key(name), (entry.text.clone(), used(name)));
                }
                ["provider", name] => self.used.push(used(name)),
                ["resource" | "data" | "ephemeral", kind] | ["resource" | "data" | "ephemeral", kind, _] => {
                    self.used.push(used(prefix(kind)));
                }
                ["check", _, "data", kind] | ["check", _, "data", kind, _] => self.used.push(used(prefix(kind))),
                _ => {}
            }
        }
    }

    pub(super) fn problems(&self) -> Vec<Problem> {
        let inferred = self.used.iter().filter_map(|used| {
            let known = self.required.contains_key(&(directory(&used.file).to_owned(), used.name.clone()));
            let source = if used.name == "terraform" { BUILTIN.to_owned() } else { format!("hashicorp/{}", used.name) };
            (!known).then_some((Some(source), used))
        });
        let required = self.required.values().map(|(source, used)| (source.clone(), used));
        let locked = self.locks.iter().map(|used| (Some(used.name.clone()), used));
        let mut problems = Vec::new();
        let mut reported = BTreeSet::new();
        for (source, used) in locked.chain(required).chain(inferred) {
            let Some((rule, message)) = self.judge(source.as_deref(), &used.name) else { continue };
            // One line for each file: a module may use a type a hundred times.
            if reported.insert((used.file.clone(), message.clone())) {
                let (file, line) = (used.file.clone(), Some(used.line));
                problems.push(Problem { file, line, rule, message });
            }
        }
        problems
    }

    fn judge(&self, source: Option<&str>, name: &str) -> Option<(Rule, String)> {
        let Some(source) = source else {
            return Some((Rule::Provider, format!("provider {name}: its source must be a literal address")));
        };
        let source = source.to_lowercase();
        // The default registry is another in OpenTofu; the lock file, judged as well, says which one it is.
        let candidates = match source.split('/').count() {
            1 => vec![
                format!("registry.terraform.io/hashicorp/{source}"),
                format!("registry.opentofu.org/hashicorp/{source}"),
            ],
            2 => vec![format!("registry.terraform.io/{source}"), format!("registry.opentofu.org/{source}")],
            _ => vec![source.clone()],
        };
        if candidates.iter().any(|address| address == BUILTIN) {
            None
        } else if self.rules.is_some_and(|rules| !candidates.iter().any(|address| rules.allows_provider(address))) {
            Some((Rule::Provider, format!("provider {source} isn't allowed by the trust policy")))
        } else if !self.locked {
            Some((Rule::Unlocked, format!("provider {source} isn't locked: the bundle needs {LOCK}")))
        } else {
            None
        }
    }
}

fn prefix(kind: &str) -> &str {
    kind.split('_').next().unwrap_or(kind)
}
