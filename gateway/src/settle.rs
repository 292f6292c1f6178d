//! What the gateway does for a job that nobody else can: start it, end it if nobody took it, close it if its worker died.
//!
//! Every event here is appended only to exactly the chain that it was decided from: if anything else has been appended
//! meanwhile, the decision is made again.

use manifest_schema::job::{Action, Happening, Job, JobOutcome, StepState};
use manifest_schema::statement::Outcome;
use manifest_schema::{Code, Reason};
use records::task::Liveness;
use records::{Journal, plans};

use crate::{Gateway, GatewayError};

/// A job without a worker for this long is started again: whoever was to start it is given up.
const PATIENCE_SECONDS: u64 = 30;

impl Gateway {
    /// Leaves the job started, ended, or in its worker's hands.
    pub(crate) async fn settle(&self, journal: &mut Journal) -> Result<(), GatewayError> {
        if journal.append_if(Happening::Requested, |job| job.number() == 0).await? {
            return self.start(journal).await;
        }
        self.cancel_untaken(journal).await?;
        self.close_if_dead(journal).await?;
        let job = journal.job();
        let waiting = job.ended().is_none() && job.task().is_none();
        let since = journal.events().last().map(|event| event.at);
        if waiting && since.is_some_and(|at| self.ambient.now().seconds_since(at) >= PATIENCE_SECONDS) {
            self.start(journal).await?;
        }
        Ok(())
    }

    async fn start(&self, journal: &mut Journal) -> Result<(), GatewayError> {
        let (job, action) = (journal.job().id(), journal.job().action());
        let started = self.launcher.start(job, action).await;
        let task = started.map_err(|source| GatewayError::NotStarted { job, source })?;
        if let Some(task) = task {
            // The worker may have been quicker: then it has said itself which task it is, or is done.
            let unnamed = |job: &Job| job.ended().is_none() && job.task().is_none();
            journal.append_if(Happening::Started { task }, unnamed).await?;
        }
        Ok(())
    }

    /// Ends a job that is to be cancelled and that no worker has taken. One that tries to later finds it ended.
    async fn cancel_untaken(&self, journal: &mut Journal) -> Result<(), GatewayError> {
        let untaken = |job: &Job| job.is_cancelling() && job.worker().is_none() && job.ended().is_none();
        let reason = Reason::new(Code::JobCancelled, "cancelled before a worker took it: nothing was done");
        let ended = Happening::Ended { outcome: JobOutcome::Cancelled, reasons: vec![reason] };
        journal.append_if(ended, untaken).await?;
        Ok(())
    }

    /// Closes a job whose worker is provably dead: as what it has recorded, if it got that far, else as interrupted.
    pub(crate) async fn close_if_dead(&self, journal: &mut Journal) -> Result<(), GatewayError> {
        loop {
            let job = journal.job();
            let Some(task) = job.task().filter(|_| job.ended().is_none()) else { return Ok(()) };
            match self.launcher.liveness(task) {
                Liveness::Dead => {}
                Liveness::Alive | Liveness::Unknown => return Ok(()),
            }
            let seen = job.number();
            let (outcome, reasons) = self.closing(journal).await?;
            let ended = Happening::Ended { outcome, reasons };
            if journal.append_if(ended, |job| job.number() == seen).await? {
                tracing::warn!(job = %journal.job().id(), %outcome, "closed a job whose worker had died");
                return Ok(());
            }
        }
    }

    async fn closing(&self, journal: &Journal) -> Result<(JobOutcome, Vec<Reason>), GatewayError> {
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
        let reason = Reason::new(Code::WorkerDied, self.last_words(journal));
        Ok((JobOutcome::Interrupted, vec![reason]))
    }

    /// Where the worker was when it died, and what to do.
    fn last_words(&self, journal: &Journal) -> String {
        let job = journal.job();
        let who = job.task().map_or_else(|| "the worker".to_owned(), ToString::to_string);
        let log = self.launcher.log_of(job.id());
        if job.worker().is_none() {
            return format!("{who} ended before it took the job: see its log {log}, then launch again");
        }
        let place = match job.steps().last() {
            Some((step, StepState::Open)) => format!("in step {step}{}", name_of(journal, *step)),
            Some((step, StepState::Done)) => format!("after step {step}{}", name_of(journal, *step)),
            Some((step, StepState::Failed(_))) => format!("after step {step}{} failed", name_of(journal, *step)),
            None => format!("while {}", job.phase()),
        };
        let advice = match (job.action(), job.steps().is_empty()) {
            (Action::Apply, false) => "how far it came is not known: plan again, and the plan shows what is left to do",
            (Action::Apply, true) => "nothing was changed: launch again",
            (Action::Plan | Action::Drift, _) => "launch again",
        };
        format!("{who} ended {place}; {advice} (its log: {log})")
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
        StepState::Failed(reason) => Some(reason.clone()),
        StepState::Open | StepState::Done => None,
    }
}

/// A step's name as its intent gave it, for people.
fn name_of(journal: &Journal, wanted: u32) -> String {
    for event in journal.events() {
        if let Happening::Intent { step, name } = &event.event
            && *step == wanted
        {
            return format!(" ({name})");
        }
    }
    String::new()
}
