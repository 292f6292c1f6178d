//! What a file's name alone says.

use super::{Problem, Rule};

/// The one dot-entry that belongs in a bundle, at its root.
pub const LOCK: &str = ".terraform.lock.hcl";

/// The file in which a worker says where state is, at the root of a bundle.
pub const BACKEND: &str = "airlock-backend.tf.json";

/// How a file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Hcl,
    Json,
    Lock,
    Other,
}

impl Kind {
    pub(super) fn of(path: &str) -> Self {
        if path == LOCK {
            Self::Lock
        } else if path.ends_with(".tf") || path.ends_with(".tofu") {
            Self::Hcl
        } else if path.ends_with(".tf.json") || path.ends_with(".tofu.json") {
            Self::Json
        } else {
            Self::Other
        }
    }
}

/// The directory that a file is in; the root is empty.
pub(super) fn directory(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(directory, _)| directory)
}

/// `path`, taken from the directory `base` of a bundle, without `.` and `..`; `None` when it leaves the bundle or isn't
/// relative. The bundle's root is the empty path.
pub fn inside(base: &str, path: &str) -> Option<String> {
    if path.starts_with(['/', '~']) || path.contains(['\\', '\0']) {
        return None;
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in base.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            _ => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

pub(super) fn problem(path: &str) -> Option<Problem> {
    let lower = path.to_lowercase();
    let name = lower.rsplit('/').next().unwrap_or_default();
    let (rule, message) = if lower.split('/').any(|part| part == ".terraform") {
        // Never relaxed: a provider in it would run.
        (Rule::CliSettings, ".terraform is what Terraform itself makes: modules and providers in it would be used")
    } else if path != LOCK && path.split('/').any(|part| part.starts_with('.')) {
        (Rule::HiddenFile, "names that start with a dot are refused, but for .terraform.lock.hcl at the root")
    } else if name.ends_with(".tofu") || name.ends_with(".tofu.json") {
        (Rule::Override, "OpenTofu reads this file instead of a .tf file of the same name")
    } else if is_override(name) {
        (Rule::Override, "override files silently replace parts of other files")
    } else if is_variables(name) {
        (Rule::VariablesFile, "variables come from the manifest; this file would set them silently")
    } else if name.ends_with(".tfstate") || name.ends_with(".tfstate.backup") {
        (Rule::StateFile, "state doesn't belong in a bundle")
    } else if lower == BACKEND {
        (Rule::Backend, "this name is kept for where production says that state is")
    } else if name == "terraform.rc" || name.ends_with(".tfrc") || lower.split('/').any(|part| part == "terraform.d") {
        (Rule::CliSettings, "settings and plugins of the command line don't belong in a bundle")
    } else {
        return None;
    };
    Some(Problem { file: path.to_owned(), line: None, rule, message: message.to_owned() })
}

fn is_override(name: &str) -> bool {
    let stem = name.strip_suffix(".tf").or_else(|| name.strip_suffix(".tf.json"));
    stem.is_some_and(|stem| stem == "override" || stem.ends_with("_override"))
}

fn is_variables(name: &str) -> bool {
    let name = name.strip_suffix(".json").unwrap_or(name);
    name == "terraform.tfvars" || name.ends_with(".auto.tfvars")
}
