//! Adds to a comparison what only the artifacts store and the local repositories know.
//!
//! Nothing here fails the comparison: what is not at hand is named in `unseen`, with why, a line each.

use manifest_schema::diff::{ManifestDiff, Side};
use store::Store;

use super::Limits;
use super::commits::Repositories;
use super::inside::{self, Inside};
use crate::build::named::NamedBuild;
use crate::config::EnvironmentArgs;
use crate::context::Context;
use crate::exit::Failure;
use crate::purpose::Purpose;

/// Compares two builds, with everything about them that is at hand, as far as `limits` reach.
pub(crate) fn collect(
    context: &Context,
    place: &EnvironmentArgs,
    old: &NamedBuild,
    new: &NamedBuild,
    limits: Limits,
) -> ManifestDiff {
    let mut diff = ManifestDiff::between(side(old), side(new));
    diff.old.deployed.clone_from(&old.deployed);
    diff.new.deployed.clone_from(&new.deployed);
    add_commits(context, &mut diff, limits);
    if diff.artifacts.iter().any(inside::has_more) {
        let mut inside = Inside::new(&old.manifest, &new.manifest, limits);
        let filled = context.block_on(async {
            let environment = context.environment(place)?;
            let store = Store::open(environment.artifacts()?, &environment.access(&Purpose::default())).await?;
            inside.fill(&store, &mut diff.artifacts).await;
            Ok(inside.unseen(&store))
        });
        diff.unseen.extend(filled.unwrap_or_else(|failure| vec![no_store(&failure)]));
    }
    diff
}

fn side(build: &NamedBuild) -> Side<'_> {
    Side { digest: build.digest, manifest: &build.manifest }
}

fn no_store(failure: &Failure) -> String {
    let why = failure.messages().join(": ");
    let hint = failure.own_hint().map_or_else(String::new, |hint| format!("; {hint}"));
    format!("lines of files and settings of images are compared only with the artifacts store at hand: {why}{hint}")
}

fn add_commits(context: &Context, diff: &mut ManifestDiff, limits: Limits) {
    if diff.sources.is_empty() {
        return;
    }
    // An airlock.toml that can't be read stops what depends on it, and this doesn't.
    let project = context.project_if_any().ok().flatten();
    let repositories = Repositories::near(project.as_ref());
    for source in &mut diff.sources {
        match repositories.between(&source.change, limits.commits) {
            Ok(commits) => source.commits = commits,
            Err(why) => diff.unseen.push(format!("the commits of {} are not told: {why}", source.uri)),
        }
    }
}
