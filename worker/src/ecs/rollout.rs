//! Making a service run a build: a revision, an update, its rollout to the end, and back if it fails.

use manifest_schema::gates::Admission;
use manifest_schema::manifest::{BuildManifest, ServiceStep};
use manifest_schema::plan::ServiceChange;
use manifest_schema::{Code, Reason};
use serde_json::{Value, json};

use super::follow::Followed;
use super::judge::{End, Progress, Rollout};
use super::logs::Logs;
use super::running::Runs;
use super::told::Told;
use super::view::{RolloutState, ServiceView};
use super::{Ecs, Looked, Now, of_aws, revise};
use crate::group::{Group, goes_back_with_it};
use crate::patience::insistently;
use crate::stop::Stop;

/// A rollout that goes on.
struct Begun {
    rollout: Rollout,
    /// The task definition that it brings.
    definition: Value,
    /// How many tasks the service kept running before, if that was changed.
    count: Option<u32>,
}

/// A rollout that has to be taken back.
struct Fallen {
    /// Why.
    reason: Reason,
    /// With which deployment ECS does it; we have to if it doesn't.
    by_ecs: Option<Rollout>,
}

impl Ecs<'_> {
    /// Makes a service run this build, or what it ran before if that fails. `approved` is what people agreed to.
    ///
    /// # Errors
    /// [`Stop::RolledBack`] when the service runs what it ran before again; otherwise nothing is sure.
    pub(crate) async fn deploy(
        &self,
        admission: &Admission,
        step: &ServiceStep,
        approved: &ServiceChange,
        group: &Group,
    ) -> Result<(), Stop> {
        let manifest = admission.manifest().manifest();
        let looked = self.look(manifest, step).await?;
        let Some(now) = &looked.now else {
            return Err(failed(step, "isn't there: Terraform was to make it, or somebody deleted it"));
        };
        if approved.task_definition.as_ref().is_some_and(|approved| *approved != now.view.task_definition) {
            let message = format!(
                "service {}: somebody made it run {} since the plan was approved; it is left as it is",
                step.service, now.view.task_definition
            );
            return Err(Stop::Failed(Reason::new(Code::ServiceReplaced, message)));
        }
        if let Some(why) = group.has_fallen() {
            return Err(Stop::RolledBack(goes_back_with_it(&step.service, &why)));
        }
        let mut told = Told::starting_from(&now.view);
        let Some(begun) = self.begin((&looked, step), now).await? else {
            self.session.tell(format!("service {} runs this build already", step.service)).await?;
            let id = now.view.primary().map_or("", |primary| &primary.id);
            match self.what_runs(&looked, step, manifest, id).await? {
                Runs::TheBuild => {}
                Runs::Other(why) => return Err(Stop::Failed(because(step, Code::ServiceFailed, &why, &told))),
                // It was changed by nobody now: a task may just be replaced.
                Runs::Nothing(why) => self.session.tell(format!("service {}: {why}", step.service)).await?,
            }
            // Whatever becomes of the others, there is nothing to take back here.
            let _ = group.all_arrived().await;
            return Ok(());
        };
        let mut logs = Logs::new(&self.connection, admission.environment().application_logs, &begun.definition);
        let arrived = self.arrive((&looked, step, manifest), &begun.rollout, group, (&mut told, &mut logs)).await?;
        let Some(Fallen { reason, by_ecs }) = arrived else { return Ok(()) };
        group.fall(&reason);
        let back = match by_ecs {
            Some(back) => self.goes_back(&looked, &begun, &reason, back).await?,
            None => self.go_back(&looked, &begun, &reason).await?,
        };
        self.wait_until_back(&looked, &back, &mut told, &mut logs, &reason).await?;
        let message = format!("{}; it runs {} again", reason.message, back.definition);
        Err(Stop::RolledBack(Reason { message, ..reason }))
    }

    /// Follows a rollout to its end, and then its group to its own; says what is to be taken back, if anything is.
    async fn arrive(
        &self,
        (looked, step, manifest): (&Looked<'_>, &ServiceStep, &BuildManifest),
        rollout: &Rollout,
        group: &Group,
        (told, logs): (&mut Told, &mut Logs<'_>),
    ) -> Result<Option<Fallen>, Stop> {
        let followed = self.follow(&looked.named, rollout, group, (told, logs)).await?;
        if let Some(fallen) = fallen(followed, step, told)? {
            return Ok(Some(fallen));
        }
        let failing = |why: &str| because(step, Code::ServiceFailed, why, told);
        let reason = match self.what_runs(looked, step, manifest, &rollout.id).await? {
            Runs::TheBuild => match group.all_arrived().await {
                Ok(()) => return Ok(None),
                Err(why) => goes_back_with_it(&step.service, &why),
            },
            // With as many tasks as before it would be the same.
            Runs::Other(why) if rollout.scales => return Err(Stop::Failed(failing(&why))),
            Runs::Other(why) | Runs::Nothing(why) => failing(&why),
        };
        // That took time, in which somebody may have deployed something else.
        let with_it = Fallen { reason, by_ecs: None };
        match self.progress(&looked.named, rollout).await? {
            Progress::Over(end) => Ok(fallen(Followed::Ended(end), step, told)?.or(Some(with_it))),
            Progress::Rolling | Progress::GivenUp(_) => Ok(Some(with_it)),
        }
    }

    /// Registers the revision and updates the service; `None` if it is and runs all that already. An unfinished rollout of
    /// the same is taken up.
    async fn begin(&self, (looked, step): (&Looked<'_>, &ServiceStep), now: &Now) -> Result<Option<Begun>, Stop> {
        let next =
            revise::revise(&now.definition, &looked.wanted).map_err(|obstacles| failed(step, &obstacles.join("; ")))?;
        let definition_changes = next != revise::registrable(&now.definition);
        let count = step.desired_count.filter(|count| *count != now.view.desired_count);
        let previous = now.view.proven().to_owned();
        let (id, state) = now.view.primary().map_or(("", RolloutState::Unsaid), |one| (&one.id, one.rollout_state));
        let (goes_on, again) = (state == RolloutState::InProgress, state == RolloutState::Failed);
        if !definition_changes && !again && count.is_none() {
            if !goes_on {
                return Ok(None);
            }
            self.session.tell(format!("service {}: its rollout of this build goes on", step.service)).await?;
            let definition = now.view.task_definition.clone();
            let rollout = Rollout { id: id.to_owned(), definition, previous, scales: false };
            return Ok(Some(Begun { rollout, definition: next, count: None }));
        }
        let definition = match definition_changes {
            true => self.patiently(|| self.api.register(&next)).await?,
            false => now.view.task_definition.clone(),
        };
        let mut change = json!({});
        if definition_changes || again {
            change["taskDefinition"] = definition.as_str().into();
            change["deploymentConfiguration"] = guarded(&now.service["deploymentConfiguration"]);
        }
        if again && !definition_changes {
            change["forceNewDeployment"] = true.into();
        }
        if let Some(count) = count {
            change["desiredCount"] = count.into();
        }
        // Not given up halfway for a wish to stop: what was begun has to be followed, or taken back.
        let after = insistently(|| self.api.update(&looked.named, &change)).await.map_err(|error| of_aws(&error))?;
        let id = id_of(&after, &definition).ok_or_else(|| failed(step, "ECS names no deployment for the update"))?;
        self.session.tell(format!("service {}: {definition} rolls out as {id}", step.service)).await?;
        let scales = !definition_changes && !again && !goes_on;
        let rollout = Rollout { id, definition, previous, scales };
        Ok(Some(Begun { rollout, definition: next, count: count.map(|_| now.view.desired_count) }))
    }

    /// ECS goes back to the definition that ran before; to as many tasks as before, only we do.
    async fn goes_back(
        &self,
        looked: &Looked<'_>,
        begun: &Begun,
        reason: &Reason,
        back: Rollout,
    ) -> Result<Rollout, Stop> {
        self.session.tell(format!("{}: it goes back to {} as {}", reason.message, back.definition, back.id)).await?;
        if let Some(count) = begun.count {
            self.update_back(looked, &json!({ "desiredCount": count }), reason).await?;
        }
        // By now ECS may call it complete with as many tasks as were to be.
        Ok(Rollout { scales: begun.count.is_some(), ..back })
    }

    /// Goes back to what ran before, as ECS doesn't.
    async fn go_back(&self, looked: &Looked<'_>, begun: &Begun, reason: &Reason) -> Result<Rollout, Stop> {
        let Rollout { definition, previous, scales, .. } = &begun.rollout;
        if definition == previous && !scales {
            let message = format!("{}; nothing is known to have run before, so it is left as it is", reason.message);
            return Err(Stop::Failed(Reason { message, ..reason.clone() }));
        }
        self.session.tell(format!("{}: going back to {previous}", reason.message)).await?;
        let mut change = json!({});
        if !scales {
            change["taskDefinition"] = previous.as_str().into();
        }
        if let Some(count) = begun.count {
            change["desiredCount"] = count.into();
        }
        let after = self.update_back(looked, &change, reason).await?;
        let id = id_of(&after, previous).ok_or_else(|| and_then(reason, "ECS names no deployment for going back"))?;
        Ok(Rollout { id, definition: previous.clone(), previous: previous.clone(), scales: *scales })
    }

    /// Whatever is wished by now, this is to be done.
    async fn update_back(&self, looked: &Looked<'_>, change: &Value, reason: &Reason) -> Result<ServiceView, Stop> {
        let updated = insistently(|| self.api.update(&looked.named, change)).await;
        updated.map_err(|error| and_then(reason, &format!("it can't go back: {error}: {}", error.advice())))
    }

    async fn wait_until_back(
        &self,
        looked: &Looked<'_>,
        back: &Rollout,
        told: &mut Told,
        logs: &mut Logs<'_>,
        reason: &Reason,
    ) -> Result<(), Stop> {
        let what = match self.follow_back(&looked.named, back, told, logs).await? {
            Some(End::Completed) => return Ok(()),
            Some(End::Stuck(said)) => format!("going back to {} failed, too: {said}", back.definition),
            Some(End::GoingBack { definition, .. } | End::Replaced { definition }) => {
                format!("somebody else deployed {definition} while it went back; it is left as it is")
            }
            Some(End::Gone) => "somebody deleted it while it went back".to_owned(),
            None => format!("it goes back to {}, which was not done in time", back.definition),
        };
        Err(and_then(reason, &what))
    }
}

/// The newest deployment, if it brings this definition.
fn id_of(service: &ServiceView, definition: &str) -> Option<String> {
    service.primary().filter(|primary| primary.task_definition == definition).map(|primary| primary.id.clone())
}

/// How a service replaces its tasks, with the circuit breaker on: ECS gives up what doesn't come up, and goes back.
fn guarded(configuration: &Value) -> Value {
    let mut configuration = if configuration.is_object() { configuration.clone() } else { json!({}) };
    let breaker = &mut configuration["deploymentCircuitBreaker"];
    if !breaker.is_object() {
        *breaker = json!({});
    }
    (breaker["enable"], breaker["rollback"]) = (true.into(), true.into());
    configuration
}

/// What became of a rollout that is to be taken back; `None` if it is complete.
///
/// # Errors
/// When there is nothing left to take back, or it is somebody else's to say.
fn fallen(followed: Followed, step: &ServiceStep, told: &Told) -> Result<Option<Fallen>, Stop> {
    let failing = |said: &str| because(step, Code::ServiceFailed, said, told);
    match followed {
        Followed::Ended(End::Completed) => Ok(None),
        Followed::Ended(End::GoingBack { id, definition, said }) => {
            let back = Rollout { id, previous: definition.clone(), definition, scales: false };
            Ok(Some(Fallen { reason: failing(&said), by_ecs: Some(back) }))
        }
        Followed::Ended(End::Stuck(said)) => Ok(Some(Fallen { reason: failing(&said), by_ecs: None })),
        Followed::Asked(asked) => {
            let (code, why) = asked.before("the rollout's end")?;
            Ok(Some(Fallen { reason: because(step, code, &why, told), by_ecs: None }))
        }
        Followed::Fell(why) => Ok(Some(Fallen { reason: goes_back_with_it(&step.service, &why), by_ecs: None })),
        Followed::Ended(End::Replaced { definition }) => {
            let what = format!("somebody else deployed {definition} before the rollout's end; it is left as it is");
            let message = format!("service {}: {what}", step.service);
            Err(Stop::Failed(Reason::new(Code::ServiceReplaced, message)))
        }
        Followed::Ended(End::Gone) => Err(failed(step, "is gone: somebody deleted it before the rollout's end")),
    }
}

fn because(step: &ServiceStep, code: Code, why: &str, told: &Told) -> Reason {
    let ends = told.ends().map(|ends| format!("; {ends}")).unwrap_or_default();
    Reason::new(code, format!("service {}: {}{ends}", step.service, why.trim_end_matches('.')))
}

fn and_then(reason: &Reason, what: &str) -> Stop {
    Stop::Failed(Reason { message: format!("{}; {what}", reason.message), ..reason.clone() })
}

fn failed(step: &ServiceStep, what: &str) -> Stop {
    Stop::Failed(Reason::new(Code::ServiceFailed, format!("service {} {what}", step.service)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_circuit_breaker_is_on_and_the_rest_stays() {
        for (now, expected) in [
            (Value::Null, json!({"deploymentCircuitBreaker": {"enable": true, "rollback": true}})),
            (
                json!({"maximumPercent": 200, "newer": [1], "deploymentCircuitBreaker": {"enable": false, "rollback": false,
                       "threshold": 5}, "alarms": {"enable": true}}),
                json!({"maximumPercent": 200, "newer": [1], "deploymentCircuitBreaker": {"enable": true, "rollback": true,
                       "threshold": 5}, "alarms": {"enable": true}}),
            ),
        ] {
            assert_eq!(guarded(&now), expected);
        }
    }
}
