//! Which blocks and settings may be there.

use super::files::{LOCK, directory, inside};
use super::read::Entry;
use super::{Problem, Rule};

/// Block types that Terraform has and that do nothing by themselves; `//` is a comment in JSON.
const BLOCKS: &[&str] = &[
    "//",
    "check",
    "data",
    "ephemeral",
    "import",
    "locals",
    "module",
    "moved",
    "output",
    "provider",
    "removed",
    "resource",
    "terraform",
    "variable",
];

/// Settings that neither choose where state goes nor run anything (OpenTofu's `encryption` can).
const SETTINGS: &[&str] = &["//", "provider_meta", "required_providers", "required_version"];

/// What is below a refused block is not reported again.
pub(super) fn problems(file: &str, entries: &[Entry]) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut above: &[String] = &[];
    for entry in entries {
        if !above.is_empty() && entry.path.len() > above.len() && entry.path.starts_with(above) {
            continue;
        }
        if let Some((rule, message)) = if file == LOCK { in_lock(entry) } else { in_module(file, entry) } {
            above = &entry.path;
            problems.push(Problem { file: file.to_owned(), line: Some(entry.line), rule, message });
        }
    }
    problems
}

fn in_lock(entry: &Entry) -> Option<(Rule, String)> {
    match entry.steps().as_slice() {
        ["provider", _, ..] => None,
        _ => Some((Rule::UnknownBlock, format!("a lock file holds provider blocks, not `{}`", entry.path.join(".")))),
    }
}

fn in_module(file: &str, entry: &Entry) -> Option<(Rule, String)> {
    let steps = entry.steps();
    match steps.as_slice() {
        [block, ..] if !BLOCKS.contains(block) => Some((Rule::UnknownBlock, format!("unknown block `{block}`"))),
        ["terraform", kind @ ("backend" | "cloud"), ..] => {
            Some((Rule::Backend, format!("a `{kind}` block: where state is kept is decided in production")))
        }
        ["terraform", setting, ..] if !SETTINGS.contains(setting) => {
            Some((Rule::UnknownBlock, format!("unknown setting `terraform.{setting}`")))
        }
        ["resource", _, _, kind @ ("provisioner" | "connection"), ..] => Some((
            Rule::Provisioner,
            format!("a `{kind}` block in {}: provisioners run commands", steps[1..3].join(".")),
        )),
        ["removed", "provisioner" | "connection", ..] => {
            Some((Rule::Provisioner, "a provisioner in a `removed` block runs commands".to_owned()))
        }
        ["data", rest @ ..] | ["check", _, "data", rest @ ..] => data(rest, entry),
        ["module", name] if entry.text.is_some() => Some((Rule::Unreadable, format!("module {name} isn't a block"))),
        ["module", name, "source"] => module(file, name, entry),
        _ => None,
    }
}

fn data(rest: &[&str], entry: &Entry) -> Option<(Rule, String)> {
    match rest {
        [kind @ ("external" | "http")] | [kind @ ("external" | "http"), _] => {
            Some((Rule::DataSource, format!("data source `{kind}` runs programs or calls out while planning")))
        }
        ["terraform_remote_state", _, "backend"] if entry.text.as_deref() != Some("s3") => {
            Some((Rule::DataSource, "remote state is only read from the backend \"s3\", named literally".to_owned()))
        }
        _ => None,
    }
}

fn module(file: &str, name: &str, entry: &Entry) -> Option<(Rule, String)> {
    let refuse = |why: &str| Some((Rule::ModuleSource, format!("module {name}: {why}; vendor it and use ./ or ../")));
    match entry.text.as_deref() {
        None => refuse("its source must be a literal path"),
        Some(source) if !source.starts_with("./") && !source.starts_with("../") => {
            refuse("its source isn't in this bundle")
        }
        Some(source) if source.contains("${") || inside(directory(file), source).is_none() => {
            refuse("its source leaves the bundle")
        }
        Some(_) => None,
    }
}
