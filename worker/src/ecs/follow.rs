//! Following a rollout to its end.

use std::time::Duration;

use manifest_schema::Reason;
use serde_json::Value;
use tokio::time::Instant;

use super::api::Named;
use super::judge::{End, Progress, Rollout, judge};
use super::logs::Logs;
use super::told::Told;
use super::view::ServiceView;
use super::{Ecs, of_aws};
use crate::group::Group;
use crate::patience::insistently;
use crate::stop::{Asked, Stop};

/// How often ECS is asked: its end is noticed this late at most.
pub(super) const POLL: Duration = Duration::from_secs(2);
/// How long ECS may take from giving a deployment up to going back, or until it tells everybody of a deployment.
pub(super) const GRACE: Duration = Duration::from_secs(10);
/// How long going back may take.
const BACK: Duration = Duration::from_secs(3600);
/// How long before this worker is killed it stops to watch.
pub(super) const LAST_WORDS: Duration = Duration::from_secs(15);

/// Why a rollout isn't followed any longer.
pub(super) enum Followed {
    Ended(End),
    /// The job is wished to stop.
    Asked(Asked),
    /// Another service of its group failed, for this reason.
    Fell(Reason),
}

impl Ecs<'_> {
    /// Follows a rollout to its end, or until the job is wished to stop or its group goes back.
    pub(super) async fn follow(
        &self,
        named: &Named,
        rollout: &Rollout,
        group: &Group,
        (told, logs): (&mut Told, &mut Logs<'_>),
    ) -> Result<Followed, Stop> {
        let mut stop = self.session.stop_signal();
        let given_up = async {
            tokio::select! {
                // That the job is another's comes before anything that this one would do for its group.
                biased;
                asked = stop.wait() => Followed::Asked(asked),
                why = group.fell() => Followed::Fell(why),
            }
        };
        let ended = self.end_of(named, rollout, (told, logs), given_up).await?;
        Ok(ended.map_or_else(|given_up| given_up, Followed::Ended))
    }

    /// Follows going back to its end, whatever is wished by now; `None` when there is no time left.
    pub(super) async fn follow_back(
        &self,
        named: &Named,
        back: &Rollout,
        told: &mut Told,
        logs: &mut Logs<'_>,
    ) -> Result<Option<End>, Stop> {
        let mut stop = self.session.stop_signal();
        let too_late = async {
            tokio::select! {
                () = stop.wait_until(LAST_WORDS) => {}
                () = tokio::time::sleep(BACK) => {}
            }
        };
        Ok(self.end_of(named, back, (told, logs), too_late).await?.ok())
    }

    /// How a rollout that ECS has told of goes now.
    pub(super) async fn progress(&self, named: &Named, rollout: &Rollout) -> Result<Progress, Stop> {
        let answer = insistently(|| self.api.service(named)).await.map_err(|error| of_aws(&error))?;
        Ok(judge(rollout, &in_whatever_state(named, answer.as_ref())?))
    }

    /// The end, or what `until` comes to, for which nothing is interrupted but waiting.
    async fn end_of<T>(
        &self,
        named: &Named,
        rollout: &Rollout,
        (told, logs): (&mut Told, &mut Logs<'_>),
        until: impl Future<Output = T>,
    ) -> Result<Result<End, T>, Stop> {
        let mut until = std::pin::pin!(until);
        let begun = Instant::now();
        let mut given_up: Option<Instant> = None;
        let mut was_there = false;
        loop {
            if let Some(seen) = self.seen(named).await? {
                self.tell_news(named, rollout, &seen, (told, logs)).await?;
                let is_there = seen.deployment(&rollout.id).is_some();
                was_there |= is_there;
                match judge(rollout, &seen) {
                    Progress::Rolling => given_up = None,
                    Progress::GivenUp(said) => {
                        if given_up.get_or_insert_with(Instant::now).elapsed() > GRACE {
                            return Ok(Ok(End::Stuck(said)));
                        }
                    }
                    // What was updated a moment ago may be told as it was before.
                    Progress::Over(_) if !was_there && begun.elapsed() < GRACE => {}
                    Progress::Over(end) => return Ok(Ok(end)),
                }
            }
            tokio::select! {
                wished = &mut until => return Ok(Err(wished)),
                () = tokio::time::sleep(POLL) => {}
            }
        }
    }

    /// The service; `None` if AWS doesn't say now, and `INACTIVE` if it is no more.
    async fn seen(&self, named: &Named) -> Result<Option<ServiceView>, Stop> {
        match self.api.service(named).await {
            Ok(answer) => in_whatever_state(named, answer.as_ref()).map(Some),
            Err(error) if error.is_temporary() => {
                tracing::warn!(%error, "the service can't be asked after");
                Ok(None)
            }
            Err(error) => Err(of_aws(&error)),
        }
    }

    /// Tells people what is new.
    async fn tell_news(
        &self,
        named: &Named,
        rollout: &Rollout,
        seen: &ServiceView,
        (told, logs): (&mut Told, &mut Logs<'_>),
    ) -> Result<(), Stop> {
        let mut lines = told.news(&named.service, &rollout.id, seen);
        // Every task that stops is told by the service, or counted.
        if !lines.is_empty() {
            match self.api.tasks(named, "STOPPED").await {
                Ok(tasks) => {
                    for (line, task) in told.ended(&rollout.id, &tasks) {
                        lines.push(line);
                        lines.extend(logs.last_lines(task).await);
                    }
                }
                Err(error) => tracing::warn!(%error, "stopped tasks can't be asked after"),
            }
        }
        if lines.is_empty() { Ok(()) } else { self.session.tell_all(lines).await }
    }
}

/// A service, or one that is no more.
pub(super) fn in_whatever_state(named: &Named, service: Option<&Value>) -> Result<ServiceView, Stop> {
    match service {
        Some(service) => named.view(service).map_err(|error| of_aws(&error)),
        None => Ok(ServiceView { status: "INACTIVE".to_owned(), ..ServiceView::default() }),
    }
}
