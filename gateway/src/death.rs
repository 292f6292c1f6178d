//! Proof that a job's worker is dead, and what the job is closed with then.

use std::fmt::Write as _;

use manifest_schema::deployment::Heartbeat;
use manifest_schema::job::{Action, Event, Happening, Job, JobOutcome, StepState};
use manifest_schema::statement::Outcome;
use manifest_schema::storage::Key;
use manifest_schema::{Code, Reason};
use records::{Journal, load, plans};

use crate::launcher::{Death, Fate};
use crate::{Gateway, GatewayError};

/// A task that nobody knows any more counts as dead once its job has been silent for this long.
const FORGOTTEN_SECONDS: u64 = 2 * 3600;

impl Gateway {
    /// How the worker came to its end; `None` while it isn't proven that it did. Who runs it is asked only once the job's
    /// events and heartbeat have stalled.
    ///
    /// # Errors
    /// When the store can't be read, or the task may not be asked after.
    pub(crate) async fn death(&self, journal: &Journal) -> Result<Option<Death>, GatewayError> {
        let Some(task) = journal.job().task() else { return Ok(None) };
        let patience = self.launcher.silence();
        // A young event needs no look at the heartbeat.
        if patience > 0 && (self.since_last_event(journal) < patience || self.silence(journal).await? < patience) {
            return Ok(None);
        }
        match self.launcher.fate(task).await? {
            Fate::Over(death) => Ok(Some(death)),
            Fate::Forgotten if self.silence(journal).await? >= FORGOTTEN_SECONDS => {
                let said = Some("ECS doesn't know it any more, and it was not heard of for two hours".to_owned());
                Ok(Some(Death { code: Code::WorkerDied, said }))
            }
            Fate::Running | Fate::Forgotten | Fate::Unknown => Ok(None),
        }
    }

    /// For how many seconds nothing was heard of a job: no event, no heartbeat. The wish to cancel it is no sign of life.
    pub(crate) async fn silence(&self, journal: &Journal) -> Result<u64, GatewayError> {
        let heartbeat: Option<Heartbeat> = load(&self.sides.production, &Key::JobHeartbeat(journal.job().id())).await?;
        let since_beat = heartbeat.map(|heartbeat| self.ambient.now().seconds_since(heartbeat.at));
        let since_event = self.since_last_event(journal);
        Ok(since_beat.map_or(since_event, |since| since.min(since_event)))
    }

    fn since_last_event(&self, journal: &Journal) -> u64 {
        let tells = |event: &&Event| event.event != Happening::CancelRequested;
        let last = journal.events().iter().rev().find(tells).map_or(journal.request().requested_at, |event| event.at);
        self.ambient.now().seconds_since(last)
    }

    /// How a job ends whose worker is dead: as what it has recorded, if it got that far; as cancelled, if its task was
    /// stopped because it was to be, and nothing was begun; else as interrupted.
    pub(crate) async fn closing(
        &self,
        journal: &Journal,
        death: &Death,
    ) -> Result<(JobOutcome, Vec<Reason>), GatewayError> {
        let job = journal.job();
        if let Some((_, recorded)) = job.recorded() {
            return Ok(as_recorded(job, recorded));
        }
        if let Some(plan) = job.plan()
            && plans::job_of(&self.sides.production, plan).await? == Some(job.id())
        {
            // The plan's pointer is written last: the whole plan is there, and only the last word is missing.
            return Ok((JobOutcome::Succeeded, Vec::new()));
        }
        let words = self.last_words(journal, death);
        if job.is_cancelling() && job.steps().is_empty() && death.code == Code::TaskStopped {
            return Ok((JobOutcome::Cancelled, vec![Reason::new(Code::JobCancelled, words)]));
        }
        Ok((JobOutcome::Interrupted, vec![Reason::new(death.code, words)]))
    }

    /// Where the worker was when it died, what is known of its death, and what to do.
    fn last_words(&self, journal: &Journal, death: &Death) -> String {
        let job = journal.job();
        let mut words = job.task().map_or_else(|| "the worker".to_owned(), ToString::to_string);
        words.push_str(" ended");
        let advice = if job.worker().is_none() {
            words.push_str(" before it took the job");
            if death.said.is_some() { "repair that, then launch again" } else { "see its log, then launch again" }
        } else {
            let _ = write!(words, " {}", place(journal));
            match (job.action(), job.steps().is_empty()) {
                (Action::Apply, false) => {
                    "how far it came is not known: plan again, and the plan shows what is left to do"
                }
                (Action::Apply, true) | (Action::Plan | Action::Drift, _) => "nothing was changed: launch again",
            }
        };
        if let Some(said) = &death.said {
            let _ = write!(words, ": {said}");
        }
        let _ = write!(words, "; {advice}");
        if let Some(log) = self.launcher.log_of(job.id()) {
            let _ = write!(words, " (its log: {log})");
        }
        words
    }
}

/// How far the worker had come.
fn place(journal: &Journal) -> String {
    let job = journal.job();
    let open = job.steps().iter().filter(|(_, state)| *state == StepState::Open);
    let open: Vec<_> = open.map(|(step, _)| format!("step {step}{}", name_of(journal, *step))).collect();
    match job.steps().last() {
        Some(_) if !open.is_empty() => format!("in {}", open.join(" and ")),
        Some((step, StepState::Done)) => format!("after step {step}{}", name_of(journal, *step)),
        Some((step, StepState::Failed(_))) => format!("after step {step}{} failed", name_of(journal, *step)),
        Some((step, StepState::RolledBack(_))) => {
            format!("after step {step}{} was rolled back", name_of(journal, *step))
        }
        Some((_, StepState::Open)) | None => format!("while {}", job.phase()),
    }
}

/// The work was done and recorded; only the last event is missing.
fn as_recorded(job: &Job, recorded: Outcome) -> (JobOutcome, Vec<Reason>) {
    let outcome = match recorded {
        Outcome::Succeeded => return (JobOutcome::Succeeded, Vec::new()),
        Outcome::Failed => JobOutcome::Failed,
        Outcome::RolledBack => JobOutcome::RolledBack,
        Outcome::Cancelled => JobOutcome::Cancelled,
        Outcome::Interrupted => JobOutcome::Interrupted,
    };
    let mut reasons: Vec<Reason> = job.steps().iter().filter_map(|(_, state)| failure(state)).collect();
    if reasons.is_empty() {
        let code = if recorded == Outcome::Cancelled { Code::JobCancelled } else { Code::WorkerDied };
        reasons.push(Reason::new(code, format!("recorded as {outcome}; the worker ended before it could say why")));
    }
    (outcome, reasons)
}

fn failure(state: &StepState) -> Option<Reason> {
    match state {
        StepState::Failed(reason) | StepState::RolledBack(reason) => Some(reason.clone()),
        StepState::Open | StepState::Done => None,
    }
}

/// A step's name as its intent gave it, for people.
fn name_of(journal: &Journal, wanted: u32) -> String {
    for event in journal.events() {
        if let Happening::Intent { step, name, .. } = &event.event
            && *step == wanted
        {
            return format!(" ({name})");
        }
    }
    String::new()
}
