//! The repositories that a build is made from.
//!
//! The ref of each is the first of these that is known:
//!
//! 1. what the CI says, if it also says the commit and that is the one checked out here: a local branch may have any
//!    name, and what the CI says of another commit is nothing about this one;
//! 2. the branch that is checked out;
//! 3. what a CI says that names no commit (Jenkins' scripted pipelines), about the project's own repository;
//! 4. a tag on the commit;
//! 5. the branch of the remote that is at the commit, as last fetched or pushed, if only one is;
//! 6. `HEAD`, which no rule of a trust policy takes for a branch.
//!
//! All of them are the builder's word; the trust policy says which refs it wants, and the change bot asks the forge.

use std::path::{Path, PathBuf};

use manifest_schema::manifest::Source;

use super::ci::{Checkout, Lookup};
use crate::config::Project;
use crate::exit::Failure;
use crate::git::{Head, Remote, Repository, without_credentials};

/// The ref of what is on no branch and no tag.
const UNKNOWN: &str = "HEAD";

/// A source, and which of its tracked files differ from the commit.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CheckedOut {
    /// What the manifest says.
    pub(crate) source: Source,
    /// Where it is checked out.
    pub(crate) directory: PathBuf,
    /// The files, in the repository.
    pub(crate) changed: Vec<PathBuf>,
}

/// All sources, sorted by their uri.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Sources {
    /// Each of them.
    pub(crate) list: Vec<CheckedOut>,
    /// What a person should know, because it may be refused later.
    pub(crate) warnings: Vec<String>,
}

/// A repository before the CI was asked.
struct Found {
    repository: Repository,
    is_own: bool,
    uri: Option<String>,
    head: Head,
    remote: Option<Remote>,
}

/// The project's own repository and those that airlock.toml adds.
///
/// # Errors
/// When one is no repository, has no commit, or has no name of its own.
pub(crate) fn collect(project: &Project, variable: Lookup<'_>) -> Result<Sources, Failure> {
    let found = find(project)?;
    let ci = Checkout::detect(variable);
    let told = ci.commit.as_ref().map(|(_, commit)| {
        let own_first = found.iter().position(|found| found.is_own && found.head.commit.as_str() == commit);
        own_first.or_else(|| found.iter().position(|found| found.head.commit.as_str() == commit))
    });
    let mut warnings = Vec::new();
    if let (Some(None), Some((name, commit))) = (told, &ci.commit) {
        warnings.push(elsewhere(name, commit, &found));
    }
    let mut list = Vec::new();
    for (index, found) in found.into_iter().enumerate() {
        let speaks = match told {
            Some(Some(meant)) if meant == index => Speaks::OfThisCommit,
            None if found.is_own => Speaks::OfNoCommit,
            Some(_) | None => Speaks::NotOfThis,
        };
        list.push(check_out(project, found, &ci, speaks)?);
    }
    list.sort_by(|a, b| a.source.uri.cmp(&b.source.uri));
    for CheckedOut { source, .. } in list.iter().filter(|checked_out| checked_out.source.reference == UNKNOWN) {
        warnings.push(format!(
            "{} is on no branch and no tag, and no CI names its ref: a trust policy that wants a ref of it will refuse \
             the build (source.ref); check out a branch",
            source.uri
        ));
    }
    match list.windows(2).find(|pair| pair[0].source.uri == pair[1].source.uri) {
        None => Ok(Sources { list, warnings }),
        Some(pair) => {
            let (first, second) = (pair[0].directory.display(), pair[1].directory.display());
            let problem = anyhow::anyhow!("{first} and {second} are both called {}", pair[0].source.uri);
            Err(Failure::from(problem).hint("give one of them another `uri` in [[sources]]"))
        }
    }
}

/// The CI means a commit that is nowhere here: a pipeline that commits by itself, or one that checks out something else
/// than what started it. Building is fine; calling it what the CI calls another commit is not.
fn elsewhere(name: &str, commit: &str, found: &[Found]) -> String {
    let short = |commit: &str| commit.get(..12).unwrap_or(commit).to_owned();
    let own = found.iter().find(|found| found.is_own).map(|found| short(found.head.commit.as_str()));
    format!(
        "{name} is {}, which is not what is checked out ({}): what the CI says about its ref and address is left out; a \
         pipeline that makes commits should check out the branch first",
        short(commit),
        own.unwrap_or_default()
    )
}

fn find(project: &Project) -> Result<Vec<Found>, Failure> {
    let here = if project.directory.as_os_str().is_empty() { Path::new(".") } else { &project.directory };
    let repository =
        discover(here, "a build names the commit it was made from: run in a git repository, or `git init` and commit")?;
    let main = repository.toplevel.clone();
    let mut named = vec![(repository, None)];
    for extra in &project.config.sources {
        let path = project.resolve(&extra.path);
        let none = format!("[[sources]] in {} names it: check it out there, or correct `path`", project.path.display());
        let repository = discover(&path, &none)?;
        // Named again, the project's own repository only gets another uri.
        if repository.toplevel == main {
            named[0].1.clone_from(&extra.uri);
        } else {
            named.push((repository, extra.uri.clone()));
        }
    }
    let found = named.into_iter().map(|(repository, uri)| {
        let (head, remote) = (repository.head()?, repository.remote()?);
        Ok(Found { is_own: repository.toplevel == main, repository, uri, head, remote })
    });
    found.collect()
}

fn discover(directory: &Path, none: &str) -> Result<Repository, Failure> {
    Repository::discover(directory).map_err(|problem| {
        let hint = problem.hint(none);
        Failure::from(problem).hint(hint)
    })
}

/// What the CI's words are about, seen from one repository.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Speaks {
    OfThisCommit,
    OfNoCommit,
    NotOfThis,
}

fn check_out(project: &Project, found: Found, ci: &Checkout, speaks: Speaks) -> Result<CheckedOut, Failure> {
    let Found { repository, is_own, uri, head, remote } = found;
    let changed = repository.changed_files()?;
    let heard = |when: Speaks| Some(ci).filter(|_| speaks == when);
    let reference = |ci: &Checkout| {
        let remote = remote.as_ref().map(|remote| remote.name.as_str());
        ci.reference.as_ref().map(|reference| reference.full(remote, head.is_merge))
    };
    let tracked = remote.as_ref().map(|remote| repository.tracked(remote)).transpose()?.flatten();
    let reference = heard(Speaks::OfThisCommit)
        .and_then(reference)
        .or(head.branch.clone())
        .or_else(|| heard(Speaks::OfNoCommit).and_then(reference))
        .or(head.tag.clone())
        .or(tracked)
        .unwrap_or_else(|| UNKNOWN.to_owned());
    let address = (speaks != Speaks::NotOfThis).then(|| ci.address.clone()).flatten();
    let cloned_from = remote.map(|remote| remote.address).or(address);
    let uri = match uri.map(|uri| without_credentials(&uri)).or(cloned_from) {
        Some(uri) => uri,
        // Nothing to fetch it from: only this project can mean it.
        None if is_own => format!("local:{}", project.config.project),
        None => {
            let problem = anyhow::anyhow!("the repository {} has no remote", repository.toplevel.display());
            return Err(Failure::from(problem).hint("give it a `uri` in [[sources]]"));
        }
    };
    let (commit, committed_at, dirty) = (head.commit, head.committed_at, !changed.is_empty());
    let source = Source { uri, commit, committed_at, reference, dirty };
    Ok(CheckedOut { source, directory: repository.toplevel, changed })
}
