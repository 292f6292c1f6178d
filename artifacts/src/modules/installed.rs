//! `.terraform/modules/modules.json`: what `terraform init` or `terraform get` fetched, and where it put it.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use manifest_schema::manifest::Commit;
use serde::Deserialize;

use crate::error::{ModuleProblem, PackError};

/// Where Terraform keeps modules, from the root module.
const MODULES: &str = ".terraform/modules";

/// One module as Terraform recorded it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Record {
    key: String,
    /// Its source, in Terraform's own spelling.
    #[serde(default)]
    pub(super) source: String,
    /// Its version, if it came from a registry.
    pub(super) version: Option<String>,
    /// Where its files are, from the root module.
    dir: PathBuf,
}

impl Record {
    /// What was fetched whole, and where in it the module is.
    pub(super) fn package(&self, root: &Path) -> (PathBuf, String) {
        let whole = Path::new(MODULES).join(&self.key);
        match self.dir.strip_prefix(&whole).ok().and_then(Path::to_str) {
            Some(inside) => (root.join(whole), inside.to_owned()),
            None => (root.join(&self.dir), String::new()),
        }
    }
}

/// Everything that was fetched, by the module's address without `module.`: `network.subnets`.
pub(super) fn read(root: &Path) -> Result<BTreeMap<String, Record>, PackError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Index {
        modules: Vec<Record>,
    }
    let path = root.join(MODULES).join("modules.json");
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(PackError::read(&path)(error)),
    };
    let index: Index = serde_json::from_slice(&bytes)
        .map_err(|error| PackError::Module { path: root.to_owned(), source: ModuleProblem::Index(error) })?;
    Ok(index.modules.into_iter().map(|record| (record.key.clone(), record)).collect())
}

/// The commit that is checked out in `directory`, if that is a git repository of the usual kind.
pub(super) fn commit(directory: &Path) -> Option<Commit> {
    let git = directory.join(".git");
    let read = |path: &Path| Some(fs::read_to_string(path).ok()?.trim().to_owned());
    let head = read(&git.join("HEAD"))?;
    let commit = match head.strip_prefix("ref: ") {
        Some(reference) => read(&git.join(reference))?,
        None => head,
    };
    Commit::try_from(commit).ok()
}
