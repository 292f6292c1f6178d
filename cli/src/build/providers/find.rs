//! Where a provider's archive comes from: a mirror that airlock.toml names, or what is on this machine already, or
//! Terraform itself.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::Context as _;
use artifacts::Progress as Advance;
use manifest_schema::manifest::{Platform, Provider};
use manifest_schema::plan::LockedProvider;

use super::unpacked;
use crate::build::bundle::Bundle;
use crate::config::{PackKind, Project};
use crate::context::Context;
use crate::env::TERRAFORM;
use crate::exit::{Failure, OrFail as _};
use crate::git::tracked_file;

/// What is made here is kept here: in the root module, where git and bundles leave it out.
const KEPT: &str = ".terraform/airlock-providers";

/// The archive of a provider, made or fetched if need be. It isn't compared with the lock file yet, unless it was made.
///
/// # Errors
/// When there is none, or it can't be made or fetched, or is a part of a commit.
pub(super) fn archive(
    context: &Context,
    bundle: &Bundle,
    provider: &Provider,
    locked: &LockedProvider,
    advance: Advance<'_>,
) -> Result<PathBuf, Failure> {
    let kept = bundle.root.join(KEPT);
    if let Some(mirror) = &bundle.settings.mirror {
        let missing = || {
            let (packed, unpacked) = (provider.packed_path(), provider.unpacked_path());
            anyhow::anyhow!("the mirror {} has no {provider}: neither {packed} nor {unpacked}/", mirror.display())
        };
        let found = in_mirror(mirror, &kept, provider, locked, advance)?.with_context(missing);
        return found
            .or_hint("terraform providers mirror -platform=PLATFORM DIR fills one; or leave `provider-mirror` out");
    }
    let installed = bundle.root.join(".terraform/providers");
    for mirror in [kept.clone(), plugin_cache().unwrap_or_default(), installed] {
        if let Some(found) = in_mirror(&mirror, &kept, provider, locked, advance)? {
            return Ok(found);
        }
    }
    mirror(context, &bundle.root, &kept, &provider.platform)?;
    let path = kept.join(provider.packed_path());
    let fetched = path.is_file().then_some(path);
    Ok(fetched.with_context(|| format!("terraform providers mirror fetched no {provider}"))?)
}

/// Where a provider's archive is kept if it is made or fetched here.
pub(super) fn kept(bundle: &Bundle, provider: &Provider) -> PathBuf {
    bundle.root.join(KEPT).join(provider.packed_path())
}

/// Where the bytes of a provider's archive are now; nothing is hashed or made.
pub(crate) fn located(project: &Project, provider: &Provider, size: u64) -> Option<PathBuf> {
    let mut places = Vec::new();
    for config in project.config.artifacts.values() {
        let PackKind::Terraform(settings) = &config.kind else { continue };
        let root = project.resolve(&config.path);
        places.extend(settings.mirror.iter().map(|mirror| project.resolve(mirror)));
        places.extend([root.join(KEPT), plugin_cache().unwrap_or_default(), root.join(".terraform/providers")]);
    }
    let archives = places.into_iter().map(|place| place.join(provider.packed_path()));
    archives.into_iter().find(|path| path.metadata().is_ok_and(|found| found.is_file() && found.len() == size))
}

fn plugin_cache() -> Option<PathBuf> {
    env::var_os("TF_PLUGIN_CACHE_DIR").filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// A mirror's archive as it is; or one made from what it holds unpacked.
fn in_mirror(
    mirror: &Path,
    kept: &Path,
    provider: &Provider,
    locked: &LockedProvider,
    advance: Advance<'_>,
) -> Result<Option<PathBuf>, Failure> {
    let packed = mirror.join(provider.packed_path());
    if packed.is_file() {
        refuse_tracked(&packed, provider)?;
        return Ok(Some(packed));
    }
    let unpacked = mirror.join(provider.unpacked_path());
    if !unpacked.is_dir() {
        return Ok(None);
    }
    refuse_tracked(&unpacked, provider)?;
    let made = kept.join(provider.packed_path());
    if !made.is_file() {
        unpacked::pack(&unpacked, &made, locked, provider, advance)?;
    }
    Ok(Some(made))
}

/// Who can commit decides what the lock file says, and so what is the provider that it names: that must come from
/// somewhere else, and nobody looks into an archive that a commit adds.
fn refuse_tracked(found: &Path, provider: &Provider) -> Result<(), Failure> {
    let Some(file) = tracked_file(found)? else { return Ok(()) };
    let problem = anyhow::anyhow!("{provider} is in git: {}", file.display());
    Err(problem).or_hint(
        "providers come from a registry, not from a commit: git rm it, and run terraform init, or name a \
         `provider-mirror` outside of git",
    )
}

/// Has Terraform fetch what the root module locks.
fn mirror(context: &Context, root: &Path, kept: &Path, platform: &Platform) -> Result<(), Failure> {
    let stated = env::var_os(TERRAFORM).filter(|program| !program.is_empty());
    let program = stated.unwrap_or_else(|| "terraform".into());
    let told = Path::new(&program).display().to_string();
    context.out.say(format!("fetching providers for {platform} with {told} providers mirror"));
    let absolute = std::path::absolute(kept).context("can't tell the current directory")?;
    // Terraform complains about a directory that isn't there after whatever else is wrong.
    fs::create_dir_all(&absolute).with_context(|| format!("can't make {}", kept.display()))?;
    let mut command = Command::new(&program);
    command.args(["providers", "mirror", "-no-color"]).arg(format!("-platform={platform}")).arg(&absolute);
    command.current_dir(root);
    let output = command.output().with_context(|| format!("can't run {told}"));
    let output = output.or_hint("install Terraform, or name a `provider-mirror` in airlock.toml")?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = said.lines().map(|line| line.trim_matches(['│', '╷', '╵', ' '])).collect();
    let said = lines.into_iter().filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
    let problem = anyhow::anyhow!("{told} providers mirror failed in {}: {said}", root.display());
    Err(problem).or_hint("name a `provider-mirror` in airlock.toml if this machine can't reach the registry")
}
