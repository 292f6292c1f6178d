//! Where the AWS provider is on this machine: it is too large to keep in the repository, and tests download nothing.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// A filesystem mirror of Terraform providers, and the version of the AWS provider in it.
#[derive(Debug, Clone)]
pub struct AwsProvider {
    /// The mirror's root.
    pub mirror: PathBuf,
    /// The newest version in it.
    pub version: String,
}

/// Below which directories Terraform's users keep providers; mirrors are looked for a few levels down.
const ROOTS: &[&str] =
    &["/usr/share/terraform", "/usr/local/share", "/usr/lib/terraform", "/opt", "/srv", "/var/lib/terraform"];

/// How far below.
const DEPTH: usize = 3;

const ADDRESS: &str = "registry.terraform.io/hashicorp/aws";

const HINT: &str = "the AWS provider for Terraform was not found. Where the registry can be reached, \
    `terraform providers mirror /usr/local/share/terraform/plugins` in a module that requires hashicorp/aws gets it; \
    a mirror elsewhere is found when TF_CLI_CONFIG_FILE has a filesystem_mirror there, or TF_PLUGIN_CACHE_DIR names it. \
    To go without this test: make test SKIP_TESTS=aws_provider";

impl AwsProvider {
    /// The first that is found: in what `TF_CLI_CONFIG_FILE` and `TF_PLUGIN_CACHE_DIR` name, then where it usually is.
    ///
    /// # Panics
    /// With advice, when there is none.
    pub fn find() -> Self {
        let home = env::var_os("HOME").map(|home| PathBuf::from(home).join(".terraform.d"));
        let usual = ROOTS.iter().map(PathBuf::from).chain(home);
        let mirrors = named().into_iter().chain(usual.flat_map(|root| below(&root, DEPTH)));
        mirrors.into_iter().find_map(Self::in_mirror).expect(HINT)
    }

    fn in_mirror(mirror: PathBuf) -> Option<Self> {
        let versions = fs::read_dir(mirror.join(ADDRESS)).ok()?;
        let names = versions.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let newest = names.filter_map(|name| version(&name)).max()?;
        let version = newest.map(|part| part.to_string()).join(".");
        Some(Self { mirror, version })
    }
}

/// Of an unpacked provider's directory, `5.100.0`, or an archive, `terraform-provider-aws_5.100.0_linux_amd64.zip`.
fn version(name: &str) -> Option<[u32; 3]> {
    let name = name.strip_prefix("terraform-provider-aws_").unwrap_or(name);
    let parts: Option<Vec<u32>> = name.split('_').next()?.split('.').map(|part| part.parse().ok()).collect();
    parts?.try_into().ok()
}

/// What the environment names.
fn named() -> Vec<PathBuf> {
    let settings = env::var_os("TF_CLI_CONFIG_FILE").and_then(|file| fs::read_to_string(file).ok()).unwrap_or_default();
    let quoted = settings.split('"').skip(1).step_by(2).map(PathBuf::from);
    quoted.filter(|path| path.is_absolute()).chain(env::var_os("TF_PLUGIN_CACHE_DIR").map(PathBuf::from)).collect()
}

/// Every mirror at most `depth` directories below `root`.
fn below(root: &Path, depth: usize) -> Vec<PathBuf> {
    if root.join(ADDRESS).is_dir() {
        return vec![root.to_owned()];
    }
    let Some((depth, entries)) = depth.checked_sub(1).zip(fs::read_dir(root).ok()) else { return Vec::new() };
    let directories =
        entries.filter_map(|entry| entry.ok().filter(|entry| entry.file_type().is_ok_and(|t| t.is_dir())));
    directories.flat_map(|entry| below(&entry.path(), depth)).collect()
}
