//! Giving a function its code, and publishing a version of it. Who calls its alias sees nothing of either.

use std::time::Duration;

use aws::ErrorKind;
use manifest_schema::manifest::{BlobRef, BuildManifest, FunctionCode, FunctionStep};
use tokio::time::Instant;

use super::api::{Code, Seen};
use super::look::{Looked, Progress, Wanted, description, differences, progress};
use super::{Functions, failed, of_aws};
use crate::patience::insistently;
use crate::stop::Stop;

/// How often Lambda is asked how far it is, and CloudWatch how alarms are.
pub(super) const POLL: Duration = Duration::from_secs(2);
/// How long Lambda may take to take on code, or to make a version ready.
const READY: Duration = Duration::from_secs(900);
/// How often a version is published of what somebody else may have changed meanwhile.
const TRIES: u32 = 3;

impl Functions<'_> {
    /// Publishes a version with the code that is asked for, and waits until it can be called; its number.
    pub(super) async fn publish(&self, manifest: &BuildManifest, looked: &Looked<'_>) -> Result<String, Stop> {
        let wanted = &looked.wanted;
        let (step, api) = (wanted.step, &self.aws().await.api);
        let description = description(wanted.project, &manifest.build.number().to_string());
        let mut latest = self.with_code(manifest, looked).await?;
        let mut tries = 1;
        let version = loop {
            match insistently(|| api.publish(step, &latest, &description)).await {
                Ok(version) => break version,
                // It changed since: published, if only the answer was lost, or by somebody else.
                Err(error) if error.kind() == ErrorKind::ConditionFailed && tries < TRIES => tries += 1,
                Err(error) => return Err(of_aws(step, &error)),
            }
            let now = self.settled(wanted, None).await?.0;
            self.expect_only_code(wanted, &latest, &now)?;
            latest = now;
        };
        let (seen, progress) = self.settled(wanted, Some(&version)).await?;
        if let Progress::Failed(why) = progress {
            return Err(failed(step, &format!("version {version} was published, and can't be called: {why}")));
        }
        // Its settings are those of the revision that was named.
        self.expect_code(wanted, &seen)?;
        self.tell(step, &format!("version {version} has the code of this build")).await?;
        Ok(version)
    }

    /// The function, once it has the code and is otherwise as it was looked at.
    async fn with_code(&self, manifest: &BuildManifest, looked: &Looked<'_>) -> Result<Seen, Stop> {
        let wanted = &looked.wanted;
        let (step, api) = (wanted.step, &self.aws().await.api);
        let (latest, progress) = self.settled(wanted, None).await?;
        let was = looked.latest.as_ref().and_then(|seen| seen.config.revision_id.as_ref());
        if was != latest.config.revision_id.as_ref() {
            return Err(failed(step, "somebody changes it at the same time; it is left as it is"));
        }
        if wanted.is_run_by(&latest) && progress == Progress::Ready {
            return Ok(latest);
        }
        let code = self.code(manifest, wanted).await?;
        let revision = latest.config.revision_id.as_deref();
        match insistently(|| api.update(step, &code, revision)).await {
            Ok(()) => self.tell(step, &format!("it was given {}", wanted.digest)).await?,
            // It changed since: it has the code, if only the answer was lost.
            Err(error) if error.kind() == ErrorKind::ConditionFailed => {
                let (seen, _) = self.settled(wanted, None).await?;
                if !wanted.is_run_by(&seen) {
                    return Err(failed(step, "somebody else changes it at the same time; it is left as it is"));
                }
            }
            Err(error) => return Err(of_aws(step, &error)),
        }
        drop(code);
        let (seen, progress) = self.settled(wanted, None).await?;
        if let Progress::Failed(why) = progress {
            return Err(failed(step, &format!("Lambda doesn't take its code: {why}")));
        }
        self.expect_only_code(wanted, &latest, &seen)?;
        Ok(seen)
    }

    /// What is given to Lambda. Gate 11 again: an archive's bytes are verified while they stream.
    async fn code(&self, manifest: &BuildManifest, wanted: &Wanted<'_>) -> Result<Code, Stop> {
        match (&wanted.step.code, &wanted.place) {
            (FunctionCode::Image(_), Some(place)) => Ok(Code::Image(format!("{place}@{}", wanted.digest))),
            (FunctionCode::Image(_), None) => Err(failed(wanted.step, "its image has nowhere to be")),
            (FunctionCode::Zip(name), _) => {
                let size = manifest.artifact(name).map_or(0, |artifact| artifact.size);
                let blob = BlobRef { digest: wanted.digest, size };
                let bytes = self.session.sides().artifacts.read_blob(&blob, Vec::new()).await?;
                Ok(Code::Zip(bytes.into()))
            }
        }
    }

    fn expect_code(&self, wanted: &Wanted<'_>, seen: &Seen) -> Result<(), Stop> {
        match wanted.is_run_by(seen) {
            true => Ok(()),
            false => Err(failed(wanted.step, "somebody else gave it other code meanwhile; it is left as it is")),
        }
    }

    /// Refuses what isn't the build's code, or has other settings than before.
    fn expect_only_code(&self, wanted: &Wanted<'_>, before: &Seen, now: &Seen) -> Result<(), Stop> {
        self.expect_code(wanted, now)?;
        match differences(&before.config, &now.config) {
            none if none.is_empty() => Ok(()),
            some => {
                let what = format!("somebody else changed its {} meanwhile; it is left as it is", some.join(", "));
                Err(failed(wanted.step, &what))
            }
        }
    }

    /// A function as it is, once Lambda no longer works at what it was told before: until then its `RevisionId` changes by
    /// itself. One that never gets there is told as it is.
    pub(super) async fn at_rest(&self, step: &FunctionStep) -> Result<Option<Seen>, Stop> {
        let (begun, api) = (Instant::now(), &self.aws().await.api);
        loop {
            let seen = self.ask(step, || api.function(step, None)).await?;
            let is_busy = seen.as_ref().is_some_and(|seen| progress(&seen.config) == Progress::UnderWay);
            if !is_busy || begun.elapsed() > READY {
                return Ok(seen);
            }
            self.session.may_go_on()?;
            tokio::time::sleep(POLL).await;
        }
    }

    /// A function or a version of it, once Lambda has done with it what it was told.
    async fn settled(&self, wanted: &Wanted<'_>, version: Option<&str>) -> Result<(Seen, Progress), Stop> {
        let (step, api) = (wanted.step, &self.aws().await.api);
        let (begun, mut stop) = (Instant::now(), self.session.stop_signal());
        loop {
            let seen = insistently(|| api.function(step, version)).await.map_err(|error| of_aws(step, &error))?;
            let Some(seen) = seen else { return Err(failed(step, "is gone: somebody deleted it")) };
            match progress(&seen.config) {
                Progress::UnderWay if begun.elapsed() < READY => {}
                Progress::UnderWay => return Err(failed(step, "Lambda is not ready with it in time")),
                done @ (Progress::Ready | Progress::Failed(_)) => return Ok((seen, done)),
            }
            tokio::select! {
                // Nobody who calls the alias sees anything of it yet.
                asked = stop.wait() => return Err(asked.stop()),
                () = tokio::time::sleep(POLL) => {}
            }
        }
    }
}
