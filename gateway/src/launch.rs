//! launch-deploy-job.
//!
//! What a launch stores, in this order; a launch that dies leaves a beginning of it, which the next launch with the same
//! key continues:
//!
//! 1. the launch pointer, create-only: from here on the key means this job. Dying before it leaves nothing. It is
//!    written only after the gates passed, so a refusal leaves nothing either;
//! 2. the job's request, create-only: whoever comes second finds the same one;
//! 3. the event `requested`, create-only: of all that reach this point exactly one appends it, and that one starts the
//!    worker. If it dies before it has, the job is started by whoever looks at it after a while (see `settle`);
//! 4. the worker, and the event `started` that names it. Dying in between loses only the name, which the worker's own
//!    first event carries as well.
//!
//! A second worker for one job does no harm: only one can append `began`, and the other ends.

use manifest_schema::gates;
use manifest_schema::gateway::{LaunchResponse, Launched};
use manifest_schema::job::{Action, JobId, JobRequest, LaunchRequest, WriterKind};
use manifest_schema::pointer::LaunchPointer;
use manifest_schema::storage::Key;
use manifest_schema::{Code, Digest, Document, Reason};
use records::{Journal, RecordError, case, create, lease, load, trust};
use store::Creation;

use crate::{Gateway, GatewayError};

impl Gateway {
    /// launch-deploy-job: the job for this request, made now or by an earlier launch with the same key, or every reason
    /// why there is none.
    ///
    /// # Errors
    /// When a store can't be read or written, or no worker can be started. The same launch may be tried again.
    pub async fn launch(&self, request: &[u8]) -> Result<LaunchResponse, GatewayError> {
        let result = match LaunchRequest::from_bytes(request) {
            Ok(request) => self.launch_parsed(&request).await?,
            Err(error) => refused(vec![Reason::new(Code::RequestMalformed, error.to_string())]),
        };
        Ok(LaunchResponse { schema: Default::default(), result })
    }

    async fn launch_parsed(&self, request: &LaunchRequest) -> Result<Launched, GatewayError> {
        let sides = &self.sides;
        trust::take_over(&sides.artifacts, &sides.production, &self.standpoint.roots, self.ambient.now()).await?;
        let key = Key::Launch(Digest::of(request.key.as_bytes()));
        if let Some(pointer) = load::<LaunchPointer>(&sides.production, &key).await? {
            return self.again(&pointer, request).await;
        }

        let now = self.ambient.now();
        let case = case::gather(sides, &self.standpoint, request, now).await?;
        if let Err(reasons) = gates::decide(&case) {
            return Ok(refused(reasons));
        }
        if let Some(reason) = self.other_apply(request).await? {
            return Ok(refused(vec![reason]));
        }
        self.launcher.ready()?;

        let job = JobId::new(now, self.ambient.random());
        let pointer = LaunchPointer { schema: Default::default(), job, request: request.fingerprint() };
        match create(&sides.production, &key, &pointer).await? {
            Creation::Created => {
                self.finish(job, request).await?;
                Ok(Launched::Accepted { job, existing: false })
            }
            // Somebody with the same key was quicker.
            Creation::Exists => {
                let pointer = load::<LaunchPointer>(&sides.production, &key).await?;
                self.again(&pointer.ok_or_else(|| RecordError::Missing(key.to_string()))?, request).await
            }
        }
    }

    /// The key was used before.
    async fn again(&self, pointer: &LaunchPointer, request: &LaunchRequest) -> Result<Launched, GatewayError> {
        if pointer.request != request.fingerprint() {
            let message = format!("the key {:?} launched job {}, for another request", request.key, pointer.job);
            return Ok(refused(vec![Reason::new(Code::RequestKeyReused, message)]));
        }
        self.finish(pointer.job, request).await?;
        Ok(Launched::Accepted { job: pointer.job, existing: true })
    }

    /// Does whatever of a launch is not done yet.
    async fn finish(&self, job: JobId, request: &LaunchRequest) -> Result<(), GatewayError> {
        let production = &self.sides.production;
        let (schema, requested_at) = (Default::default(), self.ambient.now());
        let stored = JobRequest { schema, job, request: request.clone(), requested_at };
        crate::log_job(job);
        let key = Key::JobRequest(job);
        let (Creation::Created | Creation::Exists) = create(production, &key, &stored).await?;
        let journal = Journal::open(production, &self.ambient, WriterKind::Gateway, job).await?;
        let mut journal = journal.ok_or_else(|| RecordError::Missing(key.to_string()))?;
        self.settle(&mut journal).await
    }

    /// Gate 15, as far as it can be decided before the worker takes the lease: another job that is applying. If its
    /// worker died it is closed here, for whatever is launched: a plan must know that its record will come first.
    async fn other_apply(&self, request: &LaunchRequest) -> Result<Option<Reason>, GatewayError> {
        let (environment, project) = (&request.environment, &request.project);
        let Some(holder) = lease::holder(&self.sides.production, environment, project).await? else { return Ok(None) };
        let journal = Journal::open(&self.sides.production, &self.ambient, WriterKind::Gateway, holder).await?;
        let mut phase = String::new();
        if let Some(mut journal) = journal {
            self.close_if_dead(&mut journal).await?;
            if journal.job().ended().is_some() {
                return Ok(None);
            }
            phase = format!(" ({})", journal.job().phase());
        }
        match request.action {
            Action::Plan | Action::Drift => Ok(None),
            Action::Apply => {
                let held = format!("job {holder} is applying {project} in {environment}{phase}");
                Ok(Some(Reason::new(Code::LeaseHeld, held)))
            }
        }
    }
}

fn refused(reasons: Vec<Reason>) -> Launched {
    Launched::Refused { reasons }
}
