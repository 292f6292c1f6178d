//! The repositories that a build is made from.

use std::path::{Path, PathBuf};

use manifest_schema::manifest::Source;

use super::ci::{self, Lookup};
use crate::config::Project;
use crate::exit::{Failure, OrFail as _};
use crate::git::Repository;

/// A source, and which of its tracked files differ from the commit.
pub(crate) struct CheckedOut {
    /// What the manifest says.
    pub(crate) source: Source,
    /// Where it is checked out.
    pub(crate) directory: PathBuf,
    /// The files, in the repository.
    pub(crate) changed: Vec<String>,
}

/// The project's own repository and those that airlock.toml adds, sorted by their uri.
///
/// # Errors
/// When one is no repository, has no commit, or has no name of its own.
pub(crate) fn collect(project: &Project, variable: Lookup<'_>) -> Result<Vec<CheckedOut>, Failure> {
    let here = if project.directory.as_os_str().is_empty() { Path::new(".") } else { &project.directory };
    let repository = Repository::discover(here)
        .or_hint("a build names the commit it was made from: run in a git repository, or `git init` and commit")?;
    let main = repository.toplevel.clone();
    let mut named = vec![(repository, None)];
    for extra in &project.config.sources {
        let path = project.resolve(&extra.path);
        let repository = Repository::discover(&path).or_hint(format!(
            "[[sources]] in {} names it: check it out there, or correct `path`",
            project.path.display()
        ))?;
        // Named again, the project's own repository only gets another uri.
        if repository.toplevel == main {
            named[0].1.clone_from(&extra.uri);
        } else {
            named.push((repository, extra.uri.clone()));
        }
    }
    let own = |repository: &Repository| repository.toplevel == main;
    let mut sources = Vec::new();
    for (repository, uri) in named {
        let is_own = own(&repository);
        sources.push(check_out(project, repository, uri, is_own.then_some(variable))?);
    }
    sources.sort_by(|a, b| a.source.uri.cmp(&b.source.uri));
    if let Some(pair) = sources.windows(2).find(|pair| pair[0].source.uri == pair[1].source.uri) {
        let (first, second) = (pair[0].directory.display(), pair[1].directory.display());
        let problem = anyhow::anyhow!("{first} and {second} are both called {}", pair[0].source.uri);
        return Err(Failure::from(problem).hint("give one of them another `uri` in [[sources]]"));
    }
    Ok(sources)
}

/// What is checked out in one repository; `ci` only where the CI's variables speak of it.
fn check_out(
    project: &Project,
    repository: Repository,
    uri: Option<String>,
    ci: Option<Lookup<'_>>,
) -> Result<CheckedOut, Failure> {
    let head = repository.head()?;
    let changed = repository.changed_files()?;
    let uri = match (uri, repository.remote()?, ci) {
        (Some(uri), ..) | (None, Some(uri), _) => uri,
        // Nothing to fetch it from: only this project can mean it.
        (None, None, Some(_)) => format!("local:{}", project.config.project),
        (None, None, None) => {
            let problem = anyhow::anyhow!("the repository {} has no remote", repository.toplevel.display());
            return Err(Failure::from(problem).hint("give it a `uri` in [[sources]]"));
        }
    };
    let checked_out = ci.and_then(ci::reference);
    // On no branch and no tag, HEAD is the truth, and no rule of a trust policy takes it for a branch.
    let reference = head.branch.or(checked_out).or(head.tag).unwrap_or_else(|| "HEAD".to_owned());
    let (commit, committed_at, dirty) = (head.commit, head.committed_at, !changed.is_empty());
    let source = Source { uri, commit, committed_at, reference, dirty };
    Ok(CheckedOut { source, directory: repository.toplevel, changed })
}
