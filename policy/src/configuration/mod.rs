//! Terraform configuration that must not run, found before `terraform init` sees it (gate 13).
//!
//! `init` already fetches modules and providers, and `plan` already runs what the configuration says, so everything
//! that could run code or reach outside the bundle is refused here, by an allow-list wherever there is one to write:
//! what can't be parsed, or can't be judged without evaluating it, is a problem too. Every problem is reported, not
//! the first. This is no sandbox: an allowed provider still does what its own resources and data sources say.

mod calls;
mod explained;
mod files;
mod lock;
mod modules;
mod pins;
mod providers;
mod read;
mod relaxed;
mod structure;
mod variables;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::num::NonZero;
use std::panic::resume_unwind;
use std::thread;

use manifest_schema::trust::TerraformRules;

pub use files::{BACKEND as BACKEND_FILE, inside};
pub use lock::{LOCK_FILE, locked_providers};
pub use modules::{ModuleCall, module_calls, with_module_sources};
pub use pins::check_brought;
pub use variables::check_references;

use calls::Calls;
use providers::Providers;
use read::Read;

/// Fewest files that are worth a thread.
const FEWEST: usize = 16;

/// A file of the Terraform bundle.
#[derive(Debug, Clone, Copy)]
pub struct ConfigFile<'a> {
    /// Where it is in the bundle, whose root is the root module.
    pub path: &'a str,
    /// What it holds.
    pub bytes: &'a [u8],
}

/// Why configuration is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Rule {
    /// A file that can't be parsed, or that two parsers could read differently.
    Unreadable,
    /// A file or directory whose name starts with a dot, such as a smuggled `.terraform/`.
    HiddenFile,
    /// A file that silently replaces parts of others.
    Override,
    /// A file that silently sets variables; those come from the manifest.
    VariablesFile,
    /// State, which belongs in the worker's backend.
    StateFile,
    /// A command-line configuration or a plugin directory.
    CliSettings,
    /// A block or setting that isn't known to be harmless.
    UnknownBlock,
    /// A backend or cloud block; the worker writes its own.
    Backend,
    /// A provisioner or its connection, which run commands.
    Provisioner,
    /// A data source that runs programs or reaches outside.
    DataSource,
    /// A setting of a provider that runs a program, takes another identity or calls elsewhere.
    ProviderSettings,
    /// An ephemeral resource, which runs in the apply without any plan showing it.
    Ephemeral,
    /// A module from anywhere but this bundle.
    ModuleSource,
    /// A function that reads a file which isn't certain to be in the bundle.
    FilePath,
    /// A call of `nonsensitive`, which lets what is sensitive leave in addresses, attribute paths and messages.
    Nonsensitive,
    /// A variable whose value only production knows, and that the root module doesn't keep secret.
    Reference,
    /// A provider that the trust policy doesn't allow.
    Provider,
    /// A provider in use, and no lock file.
    Unlocked,
}

impl Rule {
    /// The stable name.
    pub fn code(self) -> &'static str {
        match self {
            Self::Unreadable => "configuration.unreadable",
            Self::HiddenFile => "configuration.hidden-file",
            Self::Override => "configuration.override",
            Self::VariablesFile => "configuration.variables-file",
            Self::StateFile => "configuration.state-file",
            Self::CliSettings => "configuration.cli-settings",
            Self::UnknownBlock => "configuration.unknown-block",
            Self::Backend => "configuration.backend",
            Self::Provisioner => "configuration.provisioner",
            Self::DataSource => "configuration.data-source",
            Self::ProviderSettings => "configuration.provider-settings",
            Self::Ephemeral => "configuration.ephemeral",
            Self::ModuleSource => "configuration.module-source",
            Self::FilePath => "configuration.file-path",
            Self::Nonsensitive => "configuration.nonsensitive",
            Self::Reference => "configuration.reference",
            Self::Provider => "configuration.provider",
            Self::Unlocked => "configuration.unlocked",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.code())
    }
}

/// One reason to refuse a bundle.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The file it is in.
    pub file: String,
    /// The line, from 1; `None` when it is about the file itself.
    pub line: Option<usize>,
    /// What it breaks.
    pub rule: Rule,
    /// What was found, in a sentence.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {} [{}]", self.file, self.message, self.rule),
            None => write!(f, "{}: {} [{}]", self.file, self.message, self.rule),
        }
    }
}

/// Every reason to refuse these files, sorted by place; none if they may be planned.
///
/// `files` must be all of the bundle: a template that isn't among them can't be judged. Of the `rules`, those about
/// providers are applied. Where nobody knows them, it is `None`, and any provider is taken that is locked.
pub fn check(files: &[ConfigFile<'_>], rules: Option<&TerraformRules>) -> Vec<Problem> {
    let mut problems: Vec<Problem> = files.iter().filter_map(|file| files::problem(file.path)).collect();
    let mut providers = Providers::new(rules);
    let mut templates = BTreeMap::new();
    for (file, read) in files.iter().zip(read_all(files)) {
        if files::Kind::of(file.path) == files::Kind::Lock {
            providers.lock_seen();
            problems.extend(locked_providers(file.bytes).err());
            problems.extend(rules.into_iter().flat_map(|rules| pins::in_lock(file, rules)));
        }
        match read {
            None => {}
            Some(Ok(read)) => {
                problems.extend(structure::problems(file.path, &read.entries));
                providers.note(file.path, &read.entries);
                problems.extend(read.calls.problems);
                templates.extend(read.calls.templates);
            }
            Some(Err(problem)) => problems.push(problem),
        }
    }
    problems.extend(providers.problems());
    problems.extend(template_problems(files, templates));
    problems.sort();
    problems.dedup();
    problems
}

/// What is in each file, or why it can't be read; `None` for what is no configuration. Parsing takes the time, and every
/// core takes its share of it.
fn read_all<'a>(files: &[ConfigFile<'a>]) -> Vec<Option<Result<Read<'a>, Problem>>> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let share = files.len().div_ceil(cores).max(FEWEST);
    let (mine, others) = files.split_at(share.min(files.len()));
    thread::scope(|scope| {
        let read_share = |share: &[ConfigFile<'a>]| share.iter().map(read::any).collect::<Vec<_>>();
        let others: Vec<_> = others.chunks(share).map(|share| scope.spawn(move || read_share(share))).collect();
        let mut read = read_share(mine);
        read.extend(others.into_iter().flat_map(|other| other.join().unwrap_or_else(|panic| resume_unwind(panic))));
        read
    })
}

/// Templates call functions too, so every template that configuration or another template renders is judged.
fn template_problems(files: &[ConfigFile<'_>], mut wanted: BTreeMap<String, calls::Place>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut seen = BTreeSet::new();
    while let Some((path, place)) = wanted.pop_first() {
        if !seen.insert(path.clone()) {
            continue;
        }
        let Some(file) = files.iter().find(|file| file.path == path) else {
            problems.push(place.problem(Rule::FilePath, format!("the template {path} isn't in the bundle")));
            continue;
        };
        match Calls::of_template_file(file) {
            Ok(calls) => {
                problems.extend(calls.problems);
                wanted.extend(calls.templates);
            }
            Err(problem) => problems.push(problem),
        }
    }
    problems
}
