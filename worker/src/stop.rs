//! Why a job stops before its end, and who may ask for it.

use std::fmt;
use std::time::Duration;

use manifest_schema::{Code, Reason};
use records::{RecordError, with_causes};
use registry::RegistryError;
use store::StoreError;
use tokio::sync::watch;
use tokio::time::Instant;

/// Why a job stops before its end.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Gates refused it.
    Refused(Vec<Reason>),
    /// Something went wrong.
    Failed(Reason),
    /// What it did in a step failed, and what was live before is live again.
    RolledBack(Reason),
    /// It was asked to stop.
    Cancelled(Reason),
    /// The job is another's: nothing more may be written.
    Lost(String),
}

impl Stop {
    /// The worker can't go on.
    pub(crate) fn failed(message: impl fmt::Display) -> Self {
        Self::Failed(Reason::new(Code::WorkerFailed, message.to_string()))
    }

    /// One gate refused it.
    pub(crate) fn refused(code: Code, message: impl fmt::Display) -> Self {
        Self::Refused(vec![Reason::new(code, message.to_string())])
    }

    /// Why, in one.
    pub(crate) fn reason(&self) -> Reason {
        match self {
            Self::Refused(reasons) => {
                let code = reasons.first().map_or(Code::WorkerFailed.into(), |reason| reason.code.clone());
                Reason { code, message: self.to_string() }
            }
            Self::Failed(reason) | Self::RolledBack(reason) | Self::Cancelled(reason) => reason.clone(),
            Self::Lost(why) => Reason::new(Code::WorkerDied, why),
        }
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(reasons) => {
                let texts: Vec<_> = reasons.iter().map(ToString::to_string).collect();
                f.write_str(&texts.join("; "))
            }
            Self::Failed(reason) | Self::RolledBack(reason) | Self::Cancelled(reason) => reason.fmt(f),
            Self::Lost(why) => f.write_str(why),
        }
    }
}

/// Reasons against several things, so that all of them are told at once.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Vec<Reason>);

impl Refusals {
    /// Some more.
    pub(crate) fn add(&mut self, reasons: impl IntoIterator<Item = Reason>) {
        self.0.extend(reasons);
    }

    /// What came of one thing, unless it was refused.
    ///
    /// # Errors
    /// When it ended otherwise.
    pub(crate) fn sort<T>(&mut self, answer: Result<T, Stop>) -> Result<Option<T>, Stop> {
        match answer {
            Ok(answer) => Ok(Some(answer)),
            Err(Stop::Refused(reasons)) => {
                self.add(reasons);
                Ok(None)
            }
            Err(stop @ (Stop::Failed(_) | Stop::RolledBack(_) | Stop::Cancelled(_) | Stop::Lost(_))) => Err(stop),
        }
    }

    /// This, if nothing was refused.
    ///
    /// # Errors
    /// With all reasons, if there are any.
    pub(crate) fn or<T>(self, value: T) -> Result<T, Stop> {
        if self.0.is_empty() { Ok(value) } else { Err(Stop::Refused(self.0)) }
    }
}

impl From<RecordError> for Stop {
    fn from(error: RecordError) -> Self {
        match error {
            RecordError::Lost(_) => Self::Lost(error.to_string()),
            RecordError::Store(error) => error.into(),
            RecordError::Document { .. }
            | RecordError::Journal(_)
            | RecordError::Missing(_)
            | RecordError::Envelope(_)
            | RecordError::VersionTaken(_)
            | RecordError::TooMany { .. }
            | RecordError::TooLarge { .. }
            | RecordError::OutOfOrder { .. }
            | RecordError::Altered(_) => Self::failed(error),
        }
    }
}

impl From<StoreError> for Stop {
    /// Gate 11's refusals are the store's errors about blobs; everything else is a failure.
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::BlobMissing { .. } => Self::refused(Code::BlobMissing, error),
            StoreError::BlobMismatch { .. } => Self::refused(Code::BlobMismatch, error),
            StoreError::NotFound { .. }
            | StoreError::NotAStore { .. }
            | StoreError::AccessDenied { .. }
            | StoreError::NoSpace { .. }
            | StoreError::TooLarge { .. }
            | StoreError::SourceChanged { .. }
            | StoreError::SourceUnreadable { .. }
            | StoreError::SinkFailed { .. }
            | StoreError::Irregular { .. }
            | StoreError::Aws(_)
            | StoreError::WrongAnswer { .. }
            | StoreError::Unsupported { .. }
            | StoreError::Io { .. } => Self::failed(with_causes(&error)),
        }
    }
}

impl From<RegistryError> for Stop {
    /// What the store has wrong is gate 11's; a tag that somebody else's image has is refused as well.
    fn from(error: RegistryError) -> Self {
        match error {
            RegistryError::Store(error) => error.into(),
            RegistryError::TagTaken { .. } => Self::refused(Code::ImageTagTaken, error),
            RegistryError::Unreachable { .. }
            | RegistryError::Unavailable { .. }
            | RegistryError::Denied { .. }
            | RegistryError::NoRepository { .. }
            | RegistryError::Refused { .. }
            | RegistryError::WrongAnswer { .. }
            | RegistryError::Document { .. }
            | RegistryError::WrongList { .. }
            | RegistryError::NotEcr { .. }
            | RegistryError::Aws(_) => Self::Failed(Reason::new(Code::ImageNotPushed, with_causes(&error))),
        }
    }
}

/// Who asked the job to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// The system, with SIGTERM: the task is about to be killed.
    Terminated,
    /// cancel-deploy-job.
    Cancelled,
    /// The job took too long.
    Deadline,
    /// The job is no longer this worker's.
    Lost,
    /// What it does can't be written down.
    Unheard,
}

impl Asked {
    /// As the end of the job.
    pub(crate) fn stop(self) -> Stop {
        let cancelled = |message: &str| Stop::Cancelled(Reason::new(Code::JobCancelled, message));
        match self {
            Self::Terminated => cancelled("the worker's task was told to end (SIGTERM)"),
            Self::Cancelled => cancelled("somebody asked for it"),
            Self::Deadline => Stop::Failed(Reason::new(Code::JobDeadline, "the job ran past its deadline")),
            Self::Unheard => Stop::failed("the job's events could not be written"),
            Self::Lost => Stop::Lost("the job was closed, or another worker has it".to_owned()),
        }
    }
}

impl Asked {
    /// Why something is taken back before `this` came.
    ///
    /// # Errors
    /// When nothing may be done any more.
    pub(crate) fn before(self, this: &str) -> Result<(Code, String), Stop> {
        match self {
            Self::Deadline => Ok((Code::JobDeadline, format!("the job ran past its deadline before {this}"))),
            Self::Cancelled => Ok((Code::JobCancelled, format!("the job was cancelled before {this}"))),
            Self::Terminated => Ok((Code::JobCancelled, format!("the worker's task was told to end before {this}"))),
            Self::Lost | Self::Unheard => Err(self.stop()),
        }
    }
}

/// A wish to stop: the first one stands, and so does the first date.
#[derive(Debug, Clone, Copy, Default)]
struct Wish {
    asked: Option<Asked>,
    until: Option<Instant>,
}

/// Where a wish to stop is made. Dropping it makes none.
#[derive(Debug)]
pub(crate) struct StopWish(watch::Sender<Wish>);

impl StopWish {
    /// Wishes the job to stop.
    pub(crate) fn ask(&self, asked: Asked) {
        self.0.send_if_modified(|wish| {
            let first = wish.asked.is_none();
            wish.asked.get_or_insert(asked);
            first
        });
    }

    /// Wishes it to stop before this worker is killed.
    pub(crate) fn ask_until(&self, asked: Asked, until: Instant) {
        self.ask(asked);
        self.0.send_modify(|wish| wish.until = wish.until.or(Some(until)));
    }
}

/// Where the wish to stop is seen. It never goes away again.
#[derive(Debug, Clone)]
pub(crate) struct StopSignal(watch::Receiver<Wish>);

impl StopSignal {
    /// The wish's two ends.
    pub(crate) fn channel() -> (StopWish, Self) {
        let (sender, receiver) = watch::channel(Wish::default());
        (StopWish(sender), Self(receiver))
    }

    /// Whether somebody wishes the job to stop.
    pub(crate) fn asked(&self) -> Option<Asked> {
        self.0.borrow().asked
    }

    /// Returns when somebody does.
    pub(crate) async fn wait(&mut self) -> Asked {
        self.wait_for(|wish| wish.asked).await
    }

    /// Returns `before` the time at which this worker will be killed, if it comes to that.
    pub(crate) async fn wait_until(&mut self, before: Duration) {
        let until = self.wait_for(|wish| wish.until).await;
        tokio::time::sleep_until(until.checked_sub(before).unwrap_or(until)).await;
    }

    async fn wait_for<T>(&mut self, found: impl Fn(&Wish) -> Option<T>) -> T {
        loop {
            if let Some(found) = found(&self.0.borrow_and_update()) {
                return found;
            }
            if self.0.changed().await.is_err() {
                // Nobody is left who could ask.
                std::future::pending::<()>().await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_wish_stands_and_a_date_is_kept() {
        let (wish, mut signal) = StopSignal::channel();
        assert_eq!(signal.asked(), None);
        wish.ask(Asked::Cancelled);
        let begun = Instant::now();
        wish.ask_until(Asked::Terminated, begun + Duration::from_secs(100));
        wish.ask_until(Asked::Terminated, begun + Duration::from_secs(900));
        assert_eq!(signal.wait().await, Asked::Cancelled);
        signal.wait_until(Duration::from_secs(20)).await;
        assert_eq!(begun.elapsed().as_secs(), 80);
        signal.wait_until(Duration::from_secs(500)).await;
        assert_eq!(begun.elapsed().as_secs(), 80, "a time that has gone by is not waited for");
    }
}
