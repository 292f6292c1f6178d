//! A directory that modules are called in, and what of it belongs in a bundle.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use manifest_schema::manifest::VendoredModule;
use manifest_schema::names::RelativePath;

use super::source::without_credentials;
use super::{installed, join};
use crate::bundle::is_left_out;
use crate::error::PackError;
use crate::walk::Tree;

/// Where a package came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    /// The root module with everything below it.
    Root,
    /// A local module that isn't below the root module.
    Local,
    /// A registry, a repository or an archive.
    Fetched {
        /// As Terraform recorded it.
        source: String,
        /// From a registry.
        version: Option<String>,
    },
}

/// A directory of modules that stay where they are relative to each other.
#[derive(Debug)]
pub(super) struct Package {
    /// Where it is on disk, without links.
    pub(super) base: PathBuf,
    /// Where it goes in the bundle.
    pub(super) at: String,
    pub(super) origin: Origin,
    /// Directories in it that are called.
    pub(super) called: BTreeSet<String>,
}

impl Package {
    /// What the manifest says of it.
    pub(super) fn vendored(&self, root: &Path) -> Result<VendoredModule, PackError> {
        let path = RelativePath::new(self.at.clone()).map_err(PackError::name(&self.base))?;
        let (source, version, commit) = match &self.origin {
            Origin::Fetched { source, version } => {
                (without_credentials(source), version.clone(), installed::commit(&self.base))
            }
            Origin::Root | Origin::Local => {
                let root = root.canonicalize().map_err(PackError::read(root))?;
                (relative(&root, &self.base), None, None)
            }
        };
        Ok(VendoredModule { path, source, version, commit })
    }

    /// Its files, by their paths in the bundle. Left out are names with a dot in front and state; variables and tests,
    /// which Terraform reads in a root module only; and, in directories that nothing calls, such as a repository's
    /// examples, configuration and its documentation.
    pub(super) fn files(&self) -> Result<(Tree, Vec<(RelativePath, PathBuf)>), PackError> {
        let tree = Tree::list(&self.base, |name| name.starts_with('.') || is_left_out(name))?;
        let all = tree.files.iter().map(|(inside, _)| split(inside));
        let configured: BTreeSet<&str> =
            all.filter(|(_, name)| is_configuration(name)).map(|(directory, _)| directory).collect();
        let is_example = |directory: &str| configured.contains(directory) && !self.called.contains(directory);
        if let Some(link) = tree.links.iter().find(|link| !is_example(split(&link.path).0)) {
            let path = self.base.join(link.path.as_str());
            return Err(PackError::Kind { path, found: "a symbolic link", expected: "a file or a directory" });
        }
        let mut files = Vec::new();
        for (inside, path) in &tree.files {
            let (directory, name) = split(inside);
            let unread = is_variables_or_test(name);
            if unread || is_example(directory) && (is_configuration(name) || name.ends_with(".md")) {
                continue;
            }
            let inside = RelativePath::new(join(&[&self.at, inside.as_str()])).map_err(PackError::name(path))?;
            files.push((inside, path.clone()));
        }
        Ok((tree, files))
    }
}

fn split(path: &RelativePath) -> (&str, &str) {
    path.as_str().rsplit_once('/').unwrap_or(("", path.as_str()))
}

fn is_configuration(name: &str) -> bool {
    let name = name.strip_suffix(".json").unwrap_or(name);
    name.ends_with(".tf") || name.ends_with(".tofu")
}

fn is_variables_or_test(name: &str) -> bool {
    let stem = name.strip_suffix(".json").unwrap_or(name);
    stem.ends_with(".tfvars") || [".tftest.hcl", ".tftest.json", ".tfmock.hcl"].iter().any(|end| name.ends_with(end))
}

/// `to` as seen from `from`; both are absolute and without links.
fn relative(from: &Path, to: &Path) -> String {
    let common = from.components().zip(to.components()).take_while(|(a, b)| a == b).count();
    let up = from.components().skip(common).map(|_| "..".to_owned());
    let down = to.components().skip(common).map(|part: Component<'_>| part.as_os_str().to_string_lossy().into_owned());
    up.chain(down).collect::<Vec<_>>().join("/")
}
