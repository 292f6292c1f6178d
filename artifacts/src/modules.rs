//! Modules that a Terraform bundle needs and that aren't below its root module: what `terraform init` or `terraform
//! get` fetched, and local modules beside or above the root.
//!
//! Each is copied to [`DIRECTORY`], under the address of the module that first calls it, and `source` in the bundle's
//! copy of whoever calls it becomes a path: a worker has no `.terraform` and fetches nothing. What was fetched is taken
//! as it is on disk, if Terraform's own record says that it is what the configuration asks for. Nothing is fetched here.

mod calls;
mod installed;
mod package;
mod source;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use manifest_schema::manifest::{FileMode, VendoredModule};
use manifest_schema::names::RelativePath;

use crate::error::{ModuleProblem, PackError};
use crate::walk::Tree;

/// Where modules from elsewhere are in a bundle.
pub(crate) const DIRECTORY: &str = "airlock-modules";

/// What a bundle holds beside the root module's own files.
#[derive(Default)]
pub(crate) struct Gathered {
    /// More files, by their paths in the bundle.
    pub(crate) files: Vec<(RelativePath, PathBuf)>,
    /// Files that the bundle has in another form, the root module's among them.
    pub(crate) rewritten: BTreeMap<RelativePath, Rewritten>,
    /// Where the modules came from; sorted by path.
    pub(crate) modules: Vec<VendoredModule>,
    /// What was listed.
    pub(crate) trees: Vec<Tree>,
}

/// A file that calls modules by other names in the bundle.
pub(crate) struct Rewritten {
    pub(crate) mode: FileMode,
    pub(crate) bytes: Vec<u8>,
}

/// Follows all calls from the root module in `root`.
pub(crate) fn gather(root: &Path) -> Result<Gathered, PackError> {
    let calls::Followed { packages, rewritten } = calls::follow(root)?;
    let mut gathered = Gathered { rewritten, ..Gathered::default() };
    // The first is the root module.
    for package in packages.into_iter().skip(1) {
        gathered.modules.push(package.vendored(root)?);
        let (tree, files) = package.files()?;
        gathered.trees.push(tree);
        gathered.files.extend(files);
    }
    gathered.modules.sort();
    if !gathered.modules.is_empty() && root.join(DIRECTORY).exists() {
        return Err(problem(root, ModuleProblem::Taken));
    }
    Ok(gathered)
}

fn problem(root: &Path, source: ModuleProblem) -> PackError {
    PackError::Module { path: root.to_owned(), source }
}

/// Parts of a path in a bundle, those that are empty left out.
fn join(parts: &[&str]) -> String {
    parts.iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join("/")
}
