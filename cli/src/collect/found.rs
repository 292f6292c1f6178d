//! What is in the store: builds, blobs, and what statements name. Anything that can't be read fails.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use anyhow::Context as _;
use manifest_schema::manifest::{BuildManifest, BuildNumber};
use manifest_schema::names::ProjectName;
use manifest_schema::pointer::BuildPointer;
use manifest_schema::storage::{AttestationKind, Key, prefix};
use manifest_schema::{Digest, Document as _, Timestamp, dsse};
use records::{RecordError, attestations};
use store::{Collection, Store};

use crate::exit::Failure;

/// A page of a listing. Each page of a folder costs a look at all its names, so it is large.
const PAGE: usize = 100_000;

/// A build that was published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Build {
    pub(crate) project: ProjectName,
    pub(crate) number: BuildNumber,
    pub(crate) manifest: Digest,
    /// When its number was taken.
    pub(crate) published_at: Timestamp,
    /// Whether its manifest is there. If it isn't, the build was collected before.
    pub(crate) present: bool,
}

impl Build {
    /// `hello#0.12`.
    pub(crate) fn name(&self) -> String {
        format!("{}#{}", self.project, self.number)
    }
}

/// Everything under a prefix, with its size.
async fn list(store: &Store, prefix: &str) -> Result<Vec<store::Listed>, Failure> {
    let mut all: Vec<store::Listed> = Vec::new();
    loop {
        let after = all.last().map(|listed| listed.key.clone());
        let page = store.list(prefix, after.as_deref(), PAGE).await?;
        let last = page.len() < PAGE;
        all.extend(page);
        if last {
            return Ok(all);
        }
    }
}

/// All blobs with their sizes in bytes. What has no digest for a name is none of ours and stays.
///
/// # Errors
/// When the store can't be read.
pub(super) async fn blobs(store: &Store) -> Result<BTreeMap<Digest, u64>, Failure> {
    let listed = list(store, prefix::BLOBS).await?;
    let blob = |listed: store::Listed| {
        let digest = Digest::from_hex(listed.key.strip_prefix(prefix::BLOBS)?).ok()?;
        Some((digest, listed.size))
    };
    Ok(listed.into_iter().filter_map(blob).collect())
}

/// All builds of all projects, from the lowest of the first to the highest of the last.
///
/// # Errors
/// When anything that is stored as a build can't be read as one.
pub(super) async fn builds(
    collection: &Collection,
    store: &Store,
    blobs: &BTreeMap<Digest, u64>,
) -> Result<Vec<Build>, Failure> {
    let mut builds = Vec::new();
    for listed in list(store, prefix::BUILDS).await? {
        let altered = || RecordError::Altered(listed.key.clone());
        let (project, number) = named_by(&listed.key).ok_or_else(altered)?;
        let key = Key::Build(project.clone(), number);
        let pointer: BuildPointer = records::load(store, &key).await?.ok_or_else(altered)?;
        if (&pointer.project, pointer.build) != (&project, number) {
            return Err(altered().into());
        }
        let written = collection.written_at(&key).await?.ok_or_else(altered)?;
        let published_at = Timestamp::from_system(written).with_context(|| format!("{key} has no usable time"))?;
        let present = blobs.contains_key(&pointer.manifest);
        builds.push(Build { project, number, manifest: pointer.manifest, published_at, present });
    }
    builds.sort_by(|a, b| (&a.project, a.number).cmp(&(&b.project, b.number)));
    Ok(builds)
}

/// Reads `builds/<project>/<epoch>.<number>.json` back.
fn named_by(key: &str) -> Option<(ProjectName, BuildNumber)> {
    let (project, number) = key.strip_prefix(prefix::BUILDS)?.split_once('/')?;
    Some((project.parse().ok()?, number.strip_suffix(".json")?.parse().ok()?))
}

/// The manifest of a build.
///
/// # Errors
/// When it can't be read.
pub(super) async fn manifest(store: &Store, build: &Build) -> Result<BuildManifest, Failure> {
    let bytes = store.fetch(&build.manifest, BuildManifest::LIMIT).await?;
    let read = BuildManifest::from_bytes(&bytes);
    Ok(read.with_context(|| format!("can't use the manifest of {}, {}", build.name(), build.manifest))?)
}

/// Every digest that a statement about a manifest names. Facts, plan summaries and lists of people travel as blobs, and
/// a statement of a later version may name more: so all of them count, whatever they stand for.
///
/// # Errors
/// When there is something that this version can't read.
pub(super) async fn named_by_statements(store: &Store, manifest: Digest) -> Result<BTreeSet<Digest>, Failure> {
    let stored = list(store, &prefix::attestations_of(manifest)).await?.len();
    let (mut read, mut named) = (0, BTreeSet::new());
    for kind in AttestationKind::ALL {
        for envelope in attestations::list(store, manifest, kind).await? {
            let payload = dsse::inspect(&envelope).map_err(RecordError::Envelope)?.payload;
            let place = || format!("a {} statement about {manifest} can't be read", kind.as_str());
            let statement: serde_json::Value = serde_json::from_slice(&payload).with_context(place)?;
            collect(&statement, &mut named);
            read += 1;
        }
    }
    if read < stored {
        let prefix = prefix::attestations_of(manifest);
        let problem = format!("{prefix} holds something that this version doesn't know: upgrade airlock");
        return Err(anyhow::Error::msg(problem).into());
    }
    Ok(named)
}

/// All digests in all texts of a document, whatever is around them.
fn collect(value: &serde_json::Value, found: &mut BTreeSet<Digest>) {
    match value {
        serde_json::Value::String(text) => {
            let digits = text.split(|c: char| !c.is_ascii_hexdigit());
            found.extend(digits.filter_map(|digits| Digest::from_hex(&digits.to_ascii_lowercase()).ok()));
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        serde_json::Value::Object(fields) => {
            for (name, value) in fields {
                collect(&serde_json::Value::String(name.clone()), found);
                collect(value, found);
            }
        }
        serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_digest_in_a_statement_counts_wherever_it_is() {
        let digests = [b"a", b"b", b"c", b"d"].map(|bytes: &[u8; 1]| Digest::of(bytes));
        let [a, b, c, d] = digests;
        let statement = json!({
            "subject": [{ "name": "manifest", "digest": { "sha256": a.hex() } }],
            "predicate": { "facts": b.to_string(), c.hex(): 1, "uri": format!("oci://x@{d}?x={}", "0".repeat(63)) },
        });
        let mut found = BTreeSet::new();
        collect(&statement, &mut found);
        assert_eq!(found, digests.into_iter().collect());
    }

    #[test]
    fn a_pointer_is_known_by_its_key() {
        for (key, known) in [
            ("builds/hello/0.12.json", true),
            ("builds/hello/0.012.json", false),
            ("builds/hello/0.12", false),
            ("builds/hello/more/0.12.json", false),
            ("builds/Not A Name/0.12.json", false),
        ] {
            assert_eq!(named_by(key).is_some(), known, "{key}");
        }
    }
}
