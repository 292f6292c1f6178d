//! The providers that Terraform bundles lock, as artifacts of their own: an archive that doesn't change crosses the gap
//! once.
//!
//! Nothing gets into a manifest that its lock file doesn't vouch for.

mod check;
mod find;
mod unpacked;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use manifest_schema::manifest::{Artifact, Content, Provider, ProviderAddress, ProviderVersion};
use manifest_schema::names::ArtifactName;
use manifest_schema::plan::LockedProvider;
use policy::configuration::locked_providers;

use super::bundle::Bundle;
use crate::context::Context;
use crate::exit::{Failure, OrFail as _};
use crate::progress::Progress;

pub(crate) use find::located;

/// The media type of providers' archives.
const MEDIA_TYPE: &str = "application/zip";

/// Packs every provider that a bundle locks, for every platform that it wants, once.
///
/// # Errors
/// When one can't be found or isn't what the lock file says.
pub(crate) fn pack(context: &Context, bundles: &[Bundle]) -> Result<Vec<Artifact>, Failure> {
    let progress = Progress::bytes(&context.out, "packing providers", || None);
    let advance = |bytes| progress.advance(bytes);
    let mut packed: BTreeMap<Provider, Artifact> = BTreeMap::new();
    for bundle in bundles {
        for (provider, locked) in wanted(bundle)? {
            let path = find::archive(context, bundle, &provider, &locked, &advance)?;
            let checked = check::archive(&path, &find::kept(bundle, &provider), &locked, &provider, &advance)?;
            match packed.get(&provider) {
                Some(other) if other.digest != checked.digest => {
                    let problem = anyhow::anyhow!(
                        "two bundles find different archives of {provider}, and a build has one of each"
                    );
                    return Err(problem).or_hint("name one `provider-mirror` for both in airlock.toml");
                }
                Some(_) => {}
                None => drop(packed.insert(provider, checked)),
            }
        }
    }
    named(packed)
}

/// What a bundle locks, for each of its platforms.
fn wanted(bundle: &Bundle) -> Result<Vec<(Provider, LockedProvider)>, Failure> {
    let file = bundle.lock_path();
    let Some(lock) = &bundle.lock else { return Ok(Vec::new()) };
    let locked = locked_providers(lock).map_err(|problem| anyhow::anyhow!("{}: {problem}", file.display()))?;
    let mut wanted = Vec::new();
    for locked in locked {
        let place = || format!("{} locks what no mirror can hold", file.display());
        let address = ProviderAddress::new(&*locked.address).with_context(place)?;
        let version = ProviderVersion::new(&*locked.version).with_context(place)?;
        for platform in &bundle.settings.platforms {
            let provider = Provider { address: address.clone(), version: version.clone(), platform: platform.clone() };
            wanted.push((provider, locked.clone()));
        }
    }
    Ok(wanted)
}

/// Names that stay the same from version to version, so that builds can be compared; with the version only where a build
/// has several.
fn named(packed: BTreeMap<Provider, Artifact>) -> Result<Vec<Artifact>, Failure> {
    let mut seen = BTreeSet::new();
    let twice: BTreeSet<String> = packed.keys().map(short_name).filter(|name| !seen.insert(name.clone())).collect();
    let named = packed.into_iter().map(|(provider, artifact)| {
        let mut name = short_name(&provider);
        if twice.contains(&name) {
            name = format!("{name}-{}", provider.version);
        }
        let name = name.to_lowercase().replace('+', "-");
        let name = ArtifactName::new(name)
            .map_err(anyhow::Error::new)
            .or_hint("such a name can't be carried: mirror the provider in production")?;
        Ok(Artifact { name, ..artifact })
    });
    named.collect()
}

fn short_name(provider: &Provider) -> String {
    let address = provider.address.as_str();
    let (_, name) = address.split_once('/').unwrap_or(("", address));
    format!("provider-{}-{}", name.replace('/', "-"), provider.platform)
}

/// A provider's archive as an artifact; its name is still to be given.
fn artifact(provider: &Provider, archive: Artifact) -> Artifact {
    Artifact { media_type: MEDIA_TYPE.to_owned(), content: Content::Provider(provider.clone()), ..archive }
}
