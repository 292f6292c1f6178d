//! Moving what a schedule or a rule starts: a revision, and the same target again that names it. What fails after that goes
//! back.

use std::time::Duration;

use manifest_schema::gates::Admission;
use manifest_schema::manifest::{BuildManifest, ScheduleStep, Trigger};
use manifest_schema::plan::ScheduleChange;
use manifest_schema::{Code, Reason};
use serde_json::Value;
use tokio::time::Instant;

use super::target::{Target, about, family, has_revision};
use super::{Now, Schedules, failed, nothing_starts, of_aws};
use crate::cluster::Cluster;
use crate::ecs::revise;
use crate::patience::insistently;
use crate::stop::Stop;

/// How long what was just put may still be told as it was: not everybody at AWS knows at once.
const GRACE: Duration = Duration::from_secs(10);
/// How often it is looked at meanwhile.
const POLL: Duration = Duration::from_secs(1);

/// Makes what a step's trigger starts run this build. `approved` is what people agreed to.
///
/// # Errors
/// [`Stop::RolledBack`] when it starts what it started before again. Otherwise it was never changed, somebody else changed
/// it, or nobody knows what it is like.
pub(crate) async fn deploy(
    cluster: &Cluster<'_>,
    admission: &Admission,
    step: &ScheduleStep,
    approved: &ScheduleChange,
) -> Result<(), Stop> {
    match Schedules::of(cluster) {
        Some(schedules) => schedules.shift(admission.manifest().manifest(), step, approved).await,
        None => Err(Stop::Refused(vec![nothing_starts(step)])),
    }
}

impl Schedules<'_> {
    async fn shift(
        &self,
        manifest: &BuildManifest,
        step: &ScheduleStep,
        approved: &ScheduleChange,
    ) -> Result<(), Stop> {
        let looked = self.look(manifest, step).await?;
        let Some(now) = &looked.now else {
            return Err(failed(step, "it isn't there: Terraform was to make it, or somebody deleted it"));
        };
        let base = self.base(step, now, approved).await?;
        let next = revise::revise(&base, &looked.wanted).map_err(|obstacles| failed(step, &obstacles.join("; ")))?;
        if next == revise::registrable(&base) {
            // A step before this one may have made a revision that a family's name stands for by now.
            if now.arn() != base["taskDefinitionArn"].as_str() {
                self.pinned(step, &now.target, &base).await?;
            }
            return self.tell(step, "it starts this build already").await;
        }
        let former = self.pinned(step, &now.target, &base).await?;
        let registered = insistently(|| self.ecs.api.register(&next)).await;
        let revision = registered.map_err(|error| of_aws(step, &error))?;
        self.replace(step, &former, &former.with(&revision)).await?;
        self.tell(step, &format!("it starts {revision} from now on")).await
    }

    /// The task definition that is revised, which is the approved one.
    async fn base(&self, step: &ScheduleStep, now: &Now, approved: &ScheduleChange) -> Result<Value, Stop> {
        let Some(approved) = &approved.task_definition else { return Ok(now.definition.clone()) };
        let arn = now.arn().unwrap_or_default();
        if arn == approved {
            return Ok(now.definition.clone());
        }
        // Of a family, the newest revision is started: a step before this one may have made one.
        let named = now.target.definition().unwrap_or_default();
        if has_revision(named) || family(arn) != family(approved) {
            let what = format!("somebody made it start {arn} since the plan was approved; it is left as it is");
            return Err(failed(step, &what));
        }
        insistently(|| self.ecs.api.definition(approved)).await.map_err(|error| of_aws(step, &error))
    }

    /// What is put back if something fails. If it names only a family, it is made to name what it started when the plan was
    /// made: otherwise it would start a revision as soon as there is one.
    async fn pinned(&self, step: &ScheduleStep, target: &Target, base: &Value) -> Result<Target, Stop> {
        if target.definition().is_some_and(has_revision) {
            return Ok(target.clone());
        }
        let arn = base["taskDefinitionArn"].as_str().unwrap_or_default();
        let pinned = target.with(arn);
        self.replace(step, target, &pinned).await?;
        self.tell(step, &format!("it named a family, and now names what it starts: {arn}")).await?;
        Ok(pinned)
    }

    /// Puts a target in the place of another, which must still be there, and sees to it that it is.
    async fn replace(&self, step: &ScheduleStep, from: &Target, to: &Target) -> Result<(), Stop> {
        let now = insistently(|| self.target(&step.trigger)).await.map_err(|error| of_aws(step, &error))?;
        if now.ok().flatten().as_ref() != Some(from) {
            return Err(failed(step, "somebody changed it just now; it is left as it is"));
        }
        match insistently(|| self.put(&step.trigger, to)).await {
            Ok(None) => {}
            Ok(Some(why)) => return Err(failed(step, &format!("it starts what it started before: {why}"))),
            // Whether it was carried out is seen in a moment.
            Err(error) if error.is_temporary() => tracing::warn!(%error, "what was put may not have arrived"),
            Err(error) => return Err(of_aws(step, &error)),
        }
        match self.arrival(step, from, to).await? {
            None => Ok(()),
            Some((why, back)) => Err(self.go_back(step, &back, &why).await),
        }
    }

    /// Waits until what was put is there; why it has to go back, if it has to, and what is put then.
    ///
    /// # Errors
    /// When there is nothing to put back, or what is there is somebody else's.
    async fn arrival(&self, step: &ScheduleStep, from: &Target, to: &Target) -> Result<Option<(String, Target)>, Stop> {
        let begun = Instant::now();
        loop {
            let now = match insistently(|| self.target(&step.trigger)).await {
                Ok(Ok(Some(now))) => now,
                Ok(Ok(None)) => return Err(failed(step, "somebody deleted it just now")),
                Ok(Err(problem)) => return Err(failed(step, &format!("somebody changed it just now: {problem}"))),
                Err(error) => {
                    let why = format!("it can't be looked at: {error}: {}", error.advice());
                    return Ok(Some((why, from.clone())));
                }
            };
            if now == *to {
                return Ok(None);
            }
            let named = now.definition().unwrap_or_default();
            if now != *from {
                return match to.definition() == Some(named) {
                    // Somebody may have changed that just now: it stays.
                    true => {
                        let back = now.with(from.definition().unwrap_or_default());
                        Ok(Some(("another of its fields isn't what was put".to_owned(), back)))
                    }
                    false => Err(failed(step, &format!("somebody made it start {named}; it is left as it is"))),
                };
            }
            if begun.elapsed() > GRACE {
                return Err(failed(step, &format!("it was changed, but still starts {named}")));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Puts back what was there; how the step ends then.
    async fn go_back(&self, step: &ScheduleStep, former: &Target, why: &str) -> Stop {
        match insistently(|| self.put(&step.trigger, former)).await {
            Ok(None) => {
                let what = format!("{why}; it starts {} again", former.definition().unwrap_or_default());
                Stop::RolledBack(Reason::new(Code::ScheduleFailed, about(&step.trigger, &what)))
            }
            Ok(Some(refused)) => failed(step, &format!("{why}; what it was before can't be put back: {refused}")),
            Err(error) => {
                failed(step, &format!("{why}; what it was before can't be put back: {error}: {}", error.advice()))
            }
        }
    }

    /// Makes it like this; why it wasn't, if AWS says so in its answer.
    async fn put(&self, trigger: &Trigger, target: &Target) -> Result<Option<String>, aws::AwsError> {
        let place = trigger.place();
        match trigger {
            Trigger::Schedule { name, .. } => {
                self.api.update_schedule(name.as_str(), place, &target.whole).await.map(|()| None)
            }
            Trigger::Rule { name, .. } => self.api.put_target(name.as_str(), place, &target.whole).await,
        }
    }

    async fn tell(&self, step: &ScheduleStep, what: &str) -> Result<(), Stop> {
        self.ecs.session.tell(about(&step.trigger, what)).await
    }
}
