//! What one worker knows and holds while it does its job: stores, journal, clock, and the wish to stop.

use std::time::Duration;

use manifest_schema::Document;
use manifest_schema::deployment::Heartbeat;
use manifest_schema::dsse::Signed;
use manifest_schema::gates::{self, Admission};
use manifest_schema::job::{Happening, JobId, JobOutcome, LaunchRequest, StepState, TaskId};
use manifest_schema::keys::SecretKey;
use manifest_schema::statement::{Predicate, Statement};
use manifest_schema::storage::Key;
use manifest_schema::trust::TrustPolicy;
use records::case::{self, Standpoint};
use records::config::{WorkerConfig, WorkerRole};
use records::{Ambient, Journal, Sides};
use signing::{KeySource, KmsKey, Signer, SigningError};
use tokio::signal::unix::Signal;
use tokio::sync::{Mutex, OnceCell};
use tokio::time::Instant;

use crate::stop::{Asked, Stop, StopSignal, StopWish};

/// How often a worker says that it is alive.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// How long before it is killed a worker that was told to end (SIGTERM) writes the job's last words.
const LAST_WORDS: Duration = Duration::from_secs(10);
/// How often a worker looks whether it was cancelled.
const LOOK: Duration = Duration::from_secs(1);

/// One worker at one job.
pub(crate) struct Session {
    config: WorkerConfig,
    sides: Sides,
    ambient: Ambient,
    journal: Mutex<Journal>,
    request: LaunchRequest,
    job: JobId,
    task: TaskId,
    signer: OnceCell<Signer>,
    stop: StopSignal,
    wish: StopWish,
}

/// Opens both stores of a configuration.
pub(crate) async fn open_stores(config: &WorkerConfig) -> anyhow::Result<Sides> {
    Ok(config.open_stores().await?)
}

/// The private key that the worker's own configuration names; never printed.
async fn open_key(config: &WorkerConfig) -> Result<Signer, Stop> {
    match config.key.parse().map_err(Stop::failed)? {
        KeySource::File(path) => {
            let pem = std::fs::read_to_string(&path).map(zeroize::Zeroizing::new);
            let pem = pem.map_err(|error| Stop::failed(format!("can't read the key {}: {error}", path.display())))?;
            let key = SecretKey::from_pem(&pem, None);
            Ok(Signer::File(key.map_err(|error| Stop::failed(format!("{}: {error}", path.display())))?))
        }
        KeySource::Kms(name) => {
            let connection = aws::Connection::new(&config.aws, &[]).await;
            Ok(Signer::Kms(KmsKey::open(&connection, &name).await.map_err(no_signature)?))
        }
    }
}

fn no_signature(error: SigningError) -> Stop {
    match &error {
        SigningError::Aws(refused) => Stop::failed(format!("{refused}: {}", refused.advice())),
        SigningError::TooLong(_) | SigningError::WrongKind { .. } | SigningError::WrongSignature { .. } => {
            Stop::failed(error)
        }
    }
}

impl Session {
    pub(crate) fn new(config: WorkerConfig, sides: Sides, ambient: Ambient, journal: Journal, task: TaskId) -> Self {
        let (wish, stop) = StopSignal::channel();
        let request = journal.request().request.clone();
        let job = journal.request().job;
        Self {
            config,
            sides,
            ambient,
            journal: Mutex::new(journal),
            request,
            job,
            task,
            signer: OnceCell::new(),
            stop,
            wish,
        }
    }

    pub(crate) fn config(&self) -> &WorkerConfig {
        &self.config
    }

    pub(crate) fn sides(&self) -> &Sides {
        &self.sides
    }

    pub(crate) fn ambient(&self) -> &Ambient {
        &self.ambient
    }

    pub(crate) fn request(&self) -> &LaunchRequest {
        &self.request
    }

    pub(crate) fn job(&self) -> JobId {
        self.job
    }

    pub(crate) fn task(&self) -> &TaskId {
        &self.task
    }

    pub(crate) fn stop_signal(&self) -> StopSignal {
        self.stop.clone()
    }

    /// Appends an event to the job's journal. What it announces may be done once this returns.
    pub(crate) async fn say(&self, happening: Happening) -> Result<(), Stop> {
        let mut journal = self.journal.lock().await;
        journal.append(happening).await?;
        log(&journal);
        Ok(())
    }

    /// Tells people what is going on.
    pub(crate) async fn tell(&self, line: impl Into<String>) -> Result<(), Stop> {
        self.tell_all(vec![line.into()]).await
    }

    /// The same in several lines.
    pub(crate) async fn tell_all(&self, lines: Vec<String>) -> Result<(), Stop> {
        self.say(Happening::Progress { lines }).await
    }

    /// Stops here if somebody wishes it. Called between steps, never within one.
    pub(crate) fn may_go_on(&self) -> Result<(), Stop> {
        self.stop.asked().map_or(Ok(()), |asked| Err(asked.stop()))
    }

    /// Does what may break off anywhere when somebody wishes it. What is done before the wish is heard counts.
    pub(crate) async fn unless_stopped<T, E>(&self, doing: impl Future<Output = Result<T, E>>) -> Result<T, Stop>
    where
        Stop: From<E>,
    {
        let mut stop = self.stop_signal();
        tokio::select! {
            biased;
            done = doing => Ok(done?),
            asked = stop.wait() => Err(asked.stop()),
        }
    }

    /// Reads everything afresh and decides gates 1 to 10, with the clock as it is now. In AWS, the place is what STS says
    /// now. Then looks whether this worker's key is good for what it would sign in the end.
    pub(crate) async fn decide(&self) -> Result<Admission, Stop> {
        let place =
            self.config.place.find(&self.config.aws).await.map_err(|error| Stop::failed(error.with_advice()))?;
        let standpoint = Standpoint { place, roots: self.config.roots.clone() };
        let case = case::gather(&self.sides, &standpoint, &self.request, self.ambient.now()).await?;
        let admission = gates::decide(&case).map_err(Stop::Refused)?;
        self.check_key(admission.policy().policy()).await?;
        Ok(admission)
    }

    /// Nothing is begun whose end nobody would believe.
    async fn check_key(&self, policy: &TrustPolicy) -> Result<(), Stop> {
        let public = self.signer().await?.public();
        let (role, keys) = match self.config.role {
            WorkerRole::Planner => ("planner", policy.keys_of(&policy.roles.planner)),
            WorkerRole::Deployer => ("deployer", policy.keys_of(&policy.roles.deployer)),
        };
        if keys.contains(&public) {
            return Ok(());
        }
        Err(Stop::failed(format!(
            "this worker signs with {} ({}), which is no {role} of trust policy version {}: correct `key` in its \
             configuration, or name the key in the next version",
            public.id(),
            self.config.key,
            policy.version
        )))
    }

    /// Signs what this worker says.
    pub(crate) async fn sign<P: Predicate>(&self, statement: &Statement<P>) -> Result<Signed, Stop> {
        self.signer().await?.sign(statement).await.map_err(no_signature)
    }

    /// Its key, asked for once.
    async fn signer(&self) -> Result<&Signer, Stop> {
        self.signer.get_or_try_init(|| open_key(&self.config)).await
    }

    /// Does `work` while heartbeats go out and the wish to stop is looked for.
    pub(crate) async fn watching(
        &mut self,
        terminate: Signal,
        work: impl AsyncFn(&Self) -> Result<JobOutcome, Stop>,
    ) -> Result<JobOutcome, Stop> {
        let this = &*self;
        tokio::select! {
            // What was done comes before the wish to stop, if both are there.
            biased;
            done = work(this) => done,
            stop = this.out_of_time() => Err(stop),
            never = this.heartbeats() => match never {},
            never = this.look_for_cancellation() => match never {},
            never = this.look_for_signals(terminate) => match never {},
        }
    }

    /// Before this worker is killed, the job ends in its own words, whatever is still going on; but not within a step,
    /// whose end is worth every second.
    async fn out_of_time(&self) -> Stop {
        self.stop.clone().wait_until(LAST_WORDS).await;
        let in_step = self.journal.lock().await.job().steps().iter().any(|(_, state)| *state == StepState::Open);
        match self.stop.asked() {
            Some(asked) if !in_step => asked.stop(),
            Some(_) | None => std::future::pending().await,
        }
    }

    async fn heartbeats(&self) -> std::convert::Infallible {
        let mut beat = tokio::time::interval(HEARTBEAT);
        loop {
            beat.tick().await;
            let heartbeat = Heartbeat {
                schema: Default::default(),
                task: self.task.clone(),
                at: self.ambient.now().whole_seconds(),
            };
            let written = self.sides.production.put(&Key::JobHeartbeat(self.job), &heartbeat.to_bytes()).await;
            if let Err(error) = written {
                tracing::warn!(%error, "the heartbeat could not be written");
            }
        }
    }

    async fn look_for_cancellation(&self) -> std::convert::Infallible {
        let mut look = tokio::time::interval(LOOK);
        loop {
            look.tick().await;
            let mut journal = self.journal.lock().await;
            match journal.refresh().await {
                Ok(()) if journal.job().ended().is_some() => self.ask(Asked::Lost),
                Ok(()) if journal.job().is_cancelling() => self.ask(Asked::Cancelled),
                Ok(()) => {}
                Err(error) => tracing::warn!(%error, "the journal could not be read"),
            }
        }
    }

    async fn look_for_signals(&self, mut terminate: Signal) -> std::convert::Infallible {
        let deadline = tokio::time::sleep(Duration::from_secs(self.config.deadline_seconds));
        let stop_timeout = Duration::from_secs(self.config.stop_timeout_seconds);
        let deadline = async {
            deadline.await;
            self.ask(Asked::Deadline);
        };
        let terminated = async {
            while terminate.recv().await.is_some() {
                self.wish.ask_until(Asked::Terminated, Instant::now() + stop_timeout);
            }
        };
        tokio::join!(deadline, terminated);
        std::future::pending().await
    }

    /// Wishes the job to stop. The first wish stands.
    pub(crate) fn ask(&self, asked: Asked) {
        self.wish.ask(asked);
    }
}

/// The journal's newest event, into this worker's own log. What may be in an event may be in a log.
fn log(journal: &Journal) {
    tracing::Span::current().record("phase", tracing::field::display(journal.job().phase()));
    let Some(event) = journal.events().last() else { return };
    if let Happening::Progress { lines } = &event.event {
        return lines.iter().for_each(|line| tracing::info!("{line}"));
    }
    match serde_json::to_string(&event.event) {
        Ok(told) => tracing::info!(event = event.number, "{told}"),
        Err(error) => tracing::warn!(event = event.number, %error, "an event can't be logged"),
    }
}
