//! Which blobs of a store no kept build needs: decided first, as a value, and removed afterwards in an order that never
//! lets a build look whole that isn't.
//!
//! Build pointers, statements and trust policies are never touched. Whatever can't be read stops the decision: what
//! nobody could read may be what names a blob.

mod found;
mod rule;

use std::collections::{BTreeMap, BTreeSet};

use manifest_schema::names::{EnvironmentName, ProjectName};
use manifest_schema::{Digest, Timestamp};
use store::{Collection, Store, StoreError};

pub(crate) use found::Build;
pub(crate) use rule::{Keep, KeepRule};

use crate::build::tally::Tally;
use crate::exit::{Failure, OrFail as _};

/// What becomes of a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It stays, for these reasons.
    Kept(BTreeSet<String>),
    /// It loses its manifest, and the blobs that no kept build needs.
    Collected,
    /// It lost them before.
    Gone,
}

/// What is to be done, and what that leaves.
#[derive(Debug)]
pub(crate) struct Decision {
    /// Every build, by project and number.
    pub(crate) builds: Vec<(Build, Fate)>,
    /// What stays.
    pub(crate) kept: Tally,
    /// What builds lose, their manifests included.
    pub(crate) freed: Tally,
    /// What no build names, such as what an interrupted publish sent.
    pub(crate) orphans: Tally,
    manifests: Vec<Digest>,
    others: Vec<Digest>,
}

impl Decision {
    /// Removes what is to be removed: manifests first. A build whose manifest is there is whole, and one that is
    /// published again is given its manifest last.
    ///
    /// # Errors
    /// When something can't be removed. Deciding and removing again goes on from there.
    pub(crate) async fn carry_out(&self, collection: &Collection) -> Result<(), StoreError> {
        collection.remove(self.manifests.clone()).await?;
        collection.remove(self.others.clone()).await?;
        Ok(())
    }
}

/// What runs in an environment, by project.
pub(crate) type Live = BTreeMap<EnvironmentName, BTreeSet<Digest>>;

/// All builds and blobs of a store, read while nobody writes blobs.
pub(crate) struct Contents {
    pub(crate) builds: Vec<Build>,
    blobs: BTreeMap<Digest, u64>,
}

impl Contents {
    /// Reads them.
    ///
    /// # Errors
    /// When the store or a build pointer can't be read.
    pub(crate) async fn read(collection: &Collection, store: &Store) -> Result<Self, Failure> {
        let blobs = found::blobs(store).await?;
        let builds = found::builds(collection, store, &blobs).await?;
        Ok(Self { builds, blobs })
    }

    /// All projects.
    pub(crate) fn projects(&self) -> BTreeSet<&ProjectName> {
        self.builds.iter().map(|build| &build.project).collect()
    }

    /// Decides.
    ///
    /// # Errors
    /// When a rule names a build that isn't there, no build would be left, or something about a kept build can't be
    /// read.
    pub(crate) async fn decide(
        self,
        store: &Store,
        rules: &[KeepRule],
        live: &Live,
        now: Timestamp,
    ) -> Result<Decision, Failure> {
        let mut reasons = select(&self.builds, rules, live, now)?;
        if reasons.iter().all(BTreeSet::is_empty) && self.builds.iter().any(|build| build.present) {
            let problem = anyhow::anyhow!("the rules keep no build: every blob would go");
            return Err(problem).or_hint("add a rule such as --keep last:3");
        }
        let needed = self.needed(store, &mut reasons).await?;
        let mut lost = BTreeSet::new();
        let mut manifests = BTreeSet::new();
        for (build, reasons) in self.builds.iter().zip(&reasons) {
            if build.present && reasons.is_empty() {
                manifests.insert(build.manifest);
                // What a manifest names that can't be read is nobody's; it is removed all the same.
                if let Ok(manifest) = found::manifest(store, build).await {
                    lost.extend(manifest.blobs().into_iter().map(|blob| blob.digest));
                }
            }
        }
        let (mut kept, mut freed, mut orphans) = <(Tally, Tally, Tally)>::default();
        let mut others = Vec::new();
        for (digest, size) in self.blobs {
            let (tally, removed) = if needed.contains(&digest) {
                (&mut kept, false)
            } else if manifests.contains(&digest) {
                (&mut freed, false)
            } else if lost.contains(&digest) {
                (&mut freed, true)
            } else {
                (&mut orphans, true)
            };
            tally.add(size);
            if removed {
                others.push(digest);
            }
        }
        let fate = |(build, reasons): (Build, BTreeSet<String>)| {
            let fate = match (build.present, reasons.is_empty()) {
                (true, false) => Fate::Kept(reasons),
                (true, true) => Fate::Collected,
                (false, _) => Fate::Gone,
            };
            (build, fate)
        };
        let builds = self.builds.into_iter().zip(reasons).map(fate).collect();
        Ok(Decision { builds, kept, freed, orphans, manifests: manifests.into_iter().collect(), others })
    }

    /// Every blob that kept builds need. A build whose manifest is a file of a kept build is kept as well, because its
    /// manifest can't go.
    async fn needed(&self, store: &Store, reasons: &mut [BTreeSet<String>]) -> Result<BTreeSet<Digest>, Failure> {
        let (mut needed, mut named) = <(BTreeSet<Digest>, BTreeSet<Digest>)>::default();
        let mut done = BTreeSet::new();
        loop {
            let next = (0..self.builds.len()).find(|at| !reasons[*at].is_empty() && !done.contains(at));
            let Some(at) = next else { break };
            done.insert(at);
            let build = &self.builds[at];
            needed.insert(build.manifest);
            needed.extend(found::manifest(store, build).await?.blobs().into_iter().map(|blob| blob.digest));
            named.extend(found::named_by_statements(store, build.manifest).await?);
            for (other, reasons) in self.builds.iter().zip(reasons.iter_mut()) {
                if reasons.is_empty() && other.present && needed.contains(&other.manifest) {
                    reasons.insert(format!("its manifest is a file of {}", build.name()));
                }
            }
        }
        // A plan names the build that ran before it. To be named like that keeps no build, and so not its manifest.
        for (build, reasons) in self.builds.iter().zip(reasons.iter()) {
            if reasons.is_empty() {
                named.remove(&build.manifest);
            }
        }
        needed.append(&mut named);
        Ok(needed)
    }
}

/// For each build, the rules that keep it. What was collected before is kept by none.
fn select(builds: &[Build], rules: &[KeepRule], live: &Live, now: Timestamp) -> Result<Vec<BTreeSet<String>>, Failure> {
    let mut reasons = vec![BTreeSet::new(); builds.len()];
    for rule in rules {
        let chosen: Vec<usize> = match &rule.keep {
            Keep::Last(count) => newest(builds, count.get()),
            Keep::Newer(age) => {
                let fresh = |build: &Build| build.present && now.seconds_since(build.published_at) < *age;
                (0..builds.len()).filter(|at| fresh(&builds[*at])).collect()
            }
            Keep::Number { project, epoch, number } => {
                let fits = |build: &Build| {
                    build.project == *project
                        && build.number.number == *number
                        && epoch.is_none_or(|epoch| epoch == build.number.epoch)
                };
                vec![whole(builds, rule, fits)?]
            }
            Keep::Manifest(digest) => vec![whole(builds, rule, |build| build.manifest == *digest)?],
            Keep::Deployed(environment) => {
                let running = live.get(environment).into_iter().flatten();
                running
                    .map(|digest| whole(builds, rule, |build| build.manifest == *digest))
                    .collect::<Result<_, _>>()?
            }
        };
        for at in chosen {
            reasons[at].insert(rule.to_string());
        }
    }
    Ok(reasons)
}

/// The newest builds of each project that were not collected.
fn newest(builds: &[Build], count: usize) -> Vec<usize> {
    let mut counts: BTreeMap<&ProjectName, usize> = BTreeMap::new();
    let mut chosen = Vec::new();
    for (at, build) in builds.iter().enumerate().rev().filter(|(_, build)| build.present) {
        let counted = counts.entry(&build.project).or_default();
        if *counted < count {
            *counted += 1;
            chosen.push(at);
        }
    }
    chosen
}

/// The highest build that a rule means and that has to be there.
fn whole(builds: &[Build], rule: &KeepRule, fits: impl Fn(&Build) -> bool) -> Result<usize, Failure> {
    let found = builds.iter().enumerate().rfind(|(_, build)| fits(build));
    match found {
        Some((at, build)) if build.present => Ok(at),
        Some((_, build)) => {
            let problem =
                format!("the manifest of {}, which --keep {rule} names, is gone from the store", build.name());
            Err(anyhow::Error::msg(problem)).or_hint("publish that build again, or leave the rule out")
        }
        None => {
            let problem = format!("--keep {rule} names a build that was not published there");
            Err(anyhow::Error::msg(problem)).or_hint("correct the rule, or name another store")
        }
    }
}

#[cfg(test)]
mod tests;
