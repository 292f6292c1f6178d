//! The commits between two builds, from the repositories that are checked out here.

use std::path::Path;

use manifest_schema::diff::{Change, CommitsDiff, SourceState};
use manifest_schema::manifest::Commit;

use crate::config::Project;
use crate::git::Repository;

/// The repositories at hand.
pub(super) struct Repositories {
    found: Vec<Repository>,
    /// Why the first one isn't among them, and what helps.
    problem: Option<String>,
}

impl Repositories {
    /// The one that holds airlock.toml, or the current directory without one, and those that `[[sources]]` names. One
    /// that isn't there is not at hand.
    pub(super) fn near(project: Option<&Project>) -> Self {
        let own = project.map(|project| project.directory.as_path()).filter(|path| !path.as_os_str().is_empty());
        let own = Repository::discover(own.unwrap_or(Path::new(".")));
        let sources = project.iter().flat_map(|project| {
            project.config.sources.iter().map(|source| Repository::discover(&project.resolve(&source.path)))
        });
        let problem = own.as_ref().err().map(|error| format!("{error}; {}", error.hint("run in a clone of it")));
        Self { found: [own].into_iter().chain(sources).flatten().collect(), problem }
    }

    /// The commits between two states of a source, at most `most` in each direction; `Ok(None)` when both are of one
    /// commit, or only one build has it.
    ///
    /// # Errors
    /// With one line of why they can't be told.
    pub(super) fn between(&self, change: &Change<SourceState>, most: usize) -> Result<Option<CommitsDiff>, String> {
        let (old, new) = match change {
            Change::Changed { old, new } if old.commit != new.commit => (&old.commit, &new.commit),
            Change::Changed { .. } | Change::Added(_) | Change::Removed(_) => return Ok(None),
        };
        // A commit's id says all about it, so whichever repository has both will do.
        let has =
            |repository: &&Repository| [old, new].iter().all(|commit| repository.has(commit).is_ok_and(|has| has));
        let Some(repository) = self.found.iter().find(has) else { return Err(self.lacking(old, new)) };
        let told = || -> anyhow::Result<_> {
            Ok(CommitsDiff {
                added: repository.commits(new, old, most)?,
                removed: repository.commits(old, new, most)?,
                shallow: repository.is_shallow()?,
            })
        };
        told().map(Some).map_err(|error| format!("{error:#}"))
    }

    /// Why no repository can tell: which commit is where not, and what helps.
    fn lacking(&self, old: &Commit, new: &Commit) -> String {
        let short = |commit: &Commit| commit.as_str().get(..12).unwrap_or_default().to_owned();
        let holds = |repository: &Repository, commit| repository.has(commit).is_ok_and(|has| has);
        let closest = self.found.iter().find(|repository| [old, new].iter().any(|commit| holds(repository, commit)));
        if let Some(repository) = closest {
            let missing = if holds(repository, old) { new } else { old };
            let (place, missing) = (repository.toplevel.display(), short(missing));
            return match repository.is_shallow() {
                Ok(true) => {
                    format!("{place} is a shallow clone without {missing}: `git fetch --unshallow` there gets it")
                }
                Ok(false) | Err(_) => format!("{place} has no commit {missing}: `git fetch` there may get it"),
            };
        }
        if let Some(problem) = self.problem.as_ref().filter(|_| self.found.is_empty()) {
            return problem.clone();
        }
        format!(
            "no repository at hand has {} or {}: [[sources]] in airlock.toml can name a clone",
            short(old),
            short(new)
        )
    }
}
