//! What the gateway does for a job that nobody else can: start it, end it if nobody took it or nobody could be started
//! for it, close it if its worker died.
//!
//! Every event here is appended only to exactly the chain that it was decided from: if anything else has been appended
//! meanwhile, the decision is made again.

use manifest_schema::job::{Happening, Job, JobOutcome};
use manifest_schema::{Code, Reason};
use records::Journal;

use crate::{Gateway, GatewayError, LauncherError};

/// A job for which no worker could be started for this long is given up: nobody should wait for it for ever.
const GIVE_UP_SECONDS: u64 = 15 * 60;

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
        if waiting && since.is_some_and(|at| self.ambient.now().seconds_since(at) >= self.launcher.patience()) {
            self.start(journal).await?;
        }
        Ok(())
    }

    async fn start(&self, journal: &mut Journal) -> Result<(), GatewayError> {
        let (job, action) = (journal.job().id(), journal.job().action());
        let task = match self.launcher.start(job, action).await {
            Ok(task) => task,
            Err(error) => return self.not_started(journal, error).await,
        };
        if let Some(task) = task {
            // The worker may have been quicker: then it has said itself which task it is, or is done.
            let unnamed = |job: &Job| job.ended().is_none() && job.task().is_none();
            journal.append_if(Happening::Started { task }, unnamed).await?;
        }
        Ok(())
    }

    /// It is tried again by whoever looks at the job next, for a while; then, or if that can't help, the job ends.
    async fn not_started(&self, journal: &mut Journal, source: LauncherError) -> Result<(), GatewayError> {
        let job = journal.job().id();
        let waited = self.ambient.now().seconds_since(journal.request().requested_at);
        if !source.ends_job() && waited < GIVE_UP_SECONDS {
            return Err(GatewayError::NotStarted { job, source });
        }
        tracing::warn!(%job, error = %source, "ended a job for which no worker could be started");
        let ended = Happening::Ended { outcome: JobOutcome::Failed, reasons: vec![source.reason()] };
        let untaken = |job: &Job| job.ended().is_none() && job.task().is_none();
        journal.append_if(ended, untaken).await?;
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

    /// Closes a job whose worker is provably dead.
    pub(crate) async fn close_if_dead(&self, journal: &mut Journal) -> Result<(), GatewayError> {
        loop {
            if journal.job().ended().is_some() {
                return Ok(());
            }
            let Some(death) = self.death(journal).await? else { return Ok(()) };
            let seen = journal.job().number();
            let (outcome, reasons) = self.closing(journal, &death).await?;
            let ended = Happening::Ended { outcome, reasons };
            if journal.append_if(ended, |job| job.number() == seen).await? {
                tracing::warn!(job = %journal.job().id(), %outcome, "closed a job whose worker had died");
                return Ok(());
            }
        }
    }
}
