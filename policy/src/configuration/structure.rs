//! Which blocks and settings may be there.

use super::files::{LOCK, directory, inside};
use super::read::Entry;
use super::{Problem, Rule};

/// Block types that Terraform has; `//` is a comment in JSON.
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

/// What says in which bucket another state is. All else in a remote state's `config` chooses who asks, where, or by which
/// program's help: a profile may name a command to get credentials from.
const REMOTE_STATE: &[&str] = &[
    "//",
    "bucket",
    "encrypt",
    "key",
    "kms_key_id",
    "region",
    "use_lockfile",
    "use_path_style",
    "workspace_key_prefix",
];

/// Settings of providers that run a program (`exec`, a profile's `credential_process`), take another identity than the
/// one that the worker gives, or send what is asked elsewhere.
const PROVIDER_SETTINGS: &[&str] = &[
    "access_key",
    "config_path",
    "config_paths",
    "custom_ca_bundle",
    "endpoints",
    "exec",
    "http_proxy",
    "https_proxy",
    "profile",
    "secret_key",
    "shared_config_files",
    "shared_credentials_file",
    "shared_credentials_files",
    "web_identity_token",
    "web_identity_token_file",
];

/// What is below a refused block is not reported again.
pub(super) fn problems(file: &str, entries: &[Entry]) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut above: &[String] = &[];
    for entry in entries {
        if !above.is_empty() && entry.path.len() > above.len() && entry.path.starts_with(above) {
            continue;
        }
        if let Some((rule, message)) = if file == LOCK { in_lock(entry) } else { in_module(file, entry, entries) } {
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

fn in_module(file: &str, entry: &Entry, entries: &[Entry]) -> Option<(Rule, String)> {
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
        ["data", rest @ ..] | ["check", _, "data", rest @ ..] => data(rest, entry, entries),
        ["ephemeral", kind] | ["ephemeral", kind, _] => Some((
            Rule::Ephemeral,
            format!("ephemeral `{kind}`: it would run again in the apply, and no plan shows it"),
        )),
        ["provider", name, inside @ ..] => {
            let setting = inside.iter().find(|step| PROVIDER_SETTINGS.contains(step))?;
            let why = "it runs a program, takes another identity, or sends requests elsewhere";
            Some((Rule::ProviderSettings, format!("`{setting}` of provider {name}: {why}")))
        }
        ["module", name] if entry.text.is_some() => Some((Rule::Unreadable, format!("module {name} isn't a block"))),
        ["module", name, "source"] => module(file, name, entry),
        _ => None,
    }
}

fn data(rest: &[&str], entry: &Entry, entries: &[Entry]) -> Option<(Rule, String)> {
    let refuse = |why: String| Some((Rule::DataSource, why));
    match rest {
        [kind @ ("external" | "http")] | [kind @ ("external" | "http"), _] => {
            refuse(format!("data source `{kind}` runs programs or calls out while planning"))
        }
        ["terraform_remote_state", _, "backend"] if entry.text.as_deref() != Some("s3") => {
            refuse("remote state is only read from the backend \"s3\", named literally".to_owned())
        }
        ["terraform_remote_state", _, "config"] if !is_written_out(entry, entries) => {
            refuse("the config of a remote state must be written out, so that it can be judged".to_owned())
        }
        ["terraform_remote_state", _, "config", setting, ..] if !REMOTE_STATE.contains(setting) => {
            refuse(format!("remote state with `{setting}`: only where the state is may be said"))
        }
        _ => None,
    }
}

/// Whether something is an object whose keys are known.
fn is_written_out(object: &Entry, entries: &[Entry]) -> bool {
    entries.iter().any(|entry| entry.path.len() == object.path.len() + 1 && entry.path.starts_with(&object.path))
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
