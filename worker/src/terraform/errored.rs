//! States that Terraform could not save where they belong.
//!
//! It leaves them in `errored.tfstate`, in its working directory, and what it did before is in no other place. So they go
//! to the production store, and until somebody has put them where they belong nothing is planned on the older state.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use manifest_schema::job::{Action, Happening, JobId, WriterKind};
use manifest_schema::plan::{PlanSummary, StateVersion};
use manifest_schema::statement::Outcome;
use manifest_schema::storage::Key;
use manifest_schema::{Code, Document, Reason};
use records::{Journal, plans, states};
use rustix::fs::{Mode, OFlags};
use zeroize::Zeroizing;

use super::saved::Planned;
use super::state::StatePlace;
use crate::session::Session;
use crate::stop::Stop;

/// What Terraform calls the file.
const FILE: &str = "errored.tfstate";
/// Most bytes of one that are kept.
const MOST: u64 = 256 << 20;

/// Whether there is one in a root module.
pub(crate) fn is_in(root: &Path) -> bool {
    root.join(FILE).symlink_metadata().is_ok()
}

/// After an apply that came to `applied`: keeps the state that it could not save, and says so instead.
pub(super) async fn keep(session: &Session, root: &Path, applied: Result<(), Stop>) -> Result<(), Stop> {
    let kept = match move_to_store(session, root, session.job()).await {
        Ok(None) => return applied,
        Ok(Some(place)) => format!("it is kept as {place}: put it there before the next deploy"),
        Err(error) => format!("nor could it be kept ({error}): it is only in {}", root.join(FILE).display()),
    };
    if matches!(applied, Err(Stop::Lost(_))) {
        return applied;
    }
    let first = applied.err().map(|stop| format!("; before: {stop}")).unwrap_or_default();
    let message = format!("Terraform could not save its state in {}; {kept}{first}", StatePlace::of(session));
    Err(Stop::Failed(Reason::new(Code::StateNotSaved, message)))
}

/// Before a work directory is emptied that another job had, whose worker did not live to keep the state. Only applies
/// change anything: what another job left can only have been put there by a provider.
pub(crate) async fn rescue(session: &Session, root: &Path, owner: Option<JobId>) -> Result<(), Stop> {
    if !is_in(root) {
        return Ok(());
    }
    if let Some(job) = owner
        && let Some(journal) =
            Journal::open(&session.sides().production, session.ambient(), WriterKind::Worker, job).await?
        && journal.request().request.action != Action::Apply
    {
        return session.tell(format!("job {job} left a {FILE} though it applied nothing: it is removed")).await;
    }
    let job = owner.unwrap_or_else(|| session.job());
    match move_to_store(session, root, job).await? {
        None => Ok(()),
        Some(place) => session.tell(format!("job {job} left a state that it could not save: kept as {place}")).await,
    }
}

/// Where the file is kept from now on, if there is one.
async fn move_to_store(session: &Session, root: &Path, job: JobId) -> Result<Option<String>, Stop> {
    let file = root.join(FILE);
    let failed = |error: io::Error| Stop::failed(format!("can't move {}: {error}", file.display()));
    let state = match read(&file) {
        Ok(state) => state,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let (key, production) = (key(session, job), &session.sides().production);
    states::keep_errored(production, &key, &state).await?;
    std::fs::remove_file(&file).map_err(failed)?;
    Ok(Some(format!("{key} in {}", production.location())))
}

/// Reads a regular file. Providers run in that directory, as the same user, and may leave there what they like.
fn read(file: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(file, OFlags::RDONLY | flags, Mode::empty())?);
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.len() > MOST {
        return Err(io::Error::other(format!("it is no file of at most {MOST} bytes")));
    }
    let mut state = Zeroizing::new(Vec::new());
    file.take(MOST).read_to_end(&mut state)?;
    Ok(state)
}

fn key(session: &Session, job: JobId) -> Key {
    let request = session.request();
    Key::ErroredState(request.environment.clone(), request.project.clone(), job)
}

/// Refuses a plan that was made on a state which lacks what an earlier job did. What is where it belongs is no longer kept.
pub(crate) async fn expect_settled(session: &Session, planned: &Planned) -> Result<(), Stop> {
    let (request, production) = (session.request(), &session.sides().production);
    let place = format!("the state in {}", StatePlace::of(session));
    let mut reasons: Vec<_> = lost(session, &place).await?.into_iter().collect();
    for (job, kept) in states::errored(production, &request.environment, &request.project).await? {
        let (kept, key) = (Zeroizing::new(kept), key(session, job));
        if is_settled(session, job, &kept, planned.state()).await? {
            states::empty_errored(production, &key).await?;
            continue;
        }
        let store = production.location();
        let message = format!("{place} lacks what job {job} did: put {key} of {store} there, then plan again");
        reasons.push(Reason::new(Code::StateNotSaved, message));
    }
    if reasons.is_empty() { Ok(()) } else { Err(Stop::Refused(reasons)) }
}

/// The reason not to plan after a deployment whose state could neither be saved nor kept. An object in the kept state's
/// place, an empty one too, says that somebody has brought things in order.
async fn lost(session: &Session, place: &str) -> Result<Option<Reason>, Stop> {
    let (request, production) = (session.request(), &session.sides().production);
    let latest = records::deployments::latest(production, &request.environment, &request.project).await?;
    let Some(job) = latest.filter(|record| record.outcome != Outcome::Succeeded).map(|record| record.job) else {
        return Ok(None);
    };
    let Some(journal) = Journal::open(production, session.ambient(), WriterKind::Worker, job).await? else {
        return Ok(None);
    };
    let not_saved = journal.events().iter().any(
        |event| matches!(&event.event, Happening::StepFailed { reason, .. } if reason.code == Code::StateNotSaved),
    );
    let key = key(session, job);
    if !not_saved || production.size_of(&key).await?.is_some() {
        return Ok(None);
    }
    let store = production.location();
    let message = format!(
        "{place} lacks what job {job} did, and that state is lost: import what the job made into it, then put an empty \
         object at {key} of {store}"
    );
    Ok(Some(Reason::new(Code::StateNotSaved, message)))
}

/// Whether a kept state is where it belongs, or a later one is, and knows of all its resources.
async fn is_settled(session: &Session, job: JobId, kept: &[u8], current: &[u8]) -> Result<bool, Stop> {
    let (Ok(of_kept), Ok(of_current)) = (policy::state::resources(kept), policy::state::resources(current)) else {
        return Ok(false);
    };
    let version = |state| policy::state::version(state).ok().flatten();
    let follows = match relation(version(kept).as_ref(), version(current).as_ref()) {
        Relation::Follows => true,
        Relation::Precedes => false,
        Relation::Foreign => was_first(session, job).await?,
    };
    Ok(follows && of_kept.is_subset(&of_current))
}

/// Whether there was no state at all when a job's plan was made. Then whatever state there is was put there since, and it
/// may have another lineage: Terraform makes up a new one when it pushes onto nothing.
async fn was_first(session: &Session, job: JobId) -> Result<bool, Stop> {
    let production = &session.sides().production;
    let Some(journal) = Journal::open(production, session.ambient(), WriterKind::Worker, job).await? else {
        return Ok(false);
    };
    let Some(plan) = journal.request().request.plan else { return Ok(false) };
    let Some(planner) = plans::job_of(production, plan).await? else { return Ok(false) };
    let Some(stored) = plans::read(production, planner).await? else { return Ok(false) };
    let summary = PlanSummary::from_bytes(&stored.summary).map_err(Stop::failed)?;
    Ok(summary.terraform.is_some_and(|terraform| terraform.state.is_none()))
}

/// What the current state is to a kept one.
#[derive(Debug, PartialEq, Eq)]
enum Relation {
    /// It is the kept one, or a later one.
    Follows,
    /// It is an earlier one, or there is none, or nobody can tell.
    Precedes,
    /// It comes from somewhere else.
    Foreign,
}

fn relation(kept: Option<&StateVersion>, current: Option<&StateVersion>) -> Relation {
    match (kept, current) {
        (Some(kept), Some(current)) if kept.lineage != current.lineage => Relation::Foreign,
        (Some(kept), Some(current)) if kept.serial <= current.serial => Relation::Follows,
        (Some(_) | None, Some(_) | None) => Relation::Precedes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Threat model, row 36: the worker can read what a provider can't.
    #[test]
    fn only_a_file_is_read_and_no_link_is_followed() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        std::fs::write(path("state"), "{}").unwrap();
        assert_eq!(*read(&path("state")).unwrap(), b"{}");
        std::os::unix::fs::symlink("/proc/self/environ", path("link")).unwrap();
        std::os::unix::fs::symlink("nowhere", path("dangling")).unwrap();
        std::fs::create_dir(path("directory")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, path("pipe"), Mode::from_raw_mode(0o600)).unwrap();
        for name in ["link", "dangling", "directory", "pipe"] {
            let error = read(&path(name)).unwrap_err();
            assert_ne!(error.kind(), io::ErrorKind::NotFound, "{name}");
        }
    }

    #[test]
    fn a_state_is_where_it_belongs_once_it_or_a_later_one_is_there() {
        let state = |lineage: &str, serial: u64| Some(StateVersion { lineage: lineage.to_owned(), serial });
        for (kept, current, expected) in [
            (state("a", 3), state("a", 3), Relation::Follows),
            (state("a", 3), state("a", 4), Relation::Follows),
            (state("a", 3), state("a", 2), Relation::Precedes),
            (state("a", 3), None, Relation::Precedes),
            (None, state("a", 3), Relation::Precedes),
            (None, None, Relation::Precedes),
            (state("a", 3), state("b", 4), Relation::Foreign),
        ] {
            assert_eq!(relation(kept.as_ref(), current.as_ref()), expected, "{kept:?} {current:?}");
        }
    }
}
