//! Running a task once: a revision in a family of its own, one task of it, followed to its end. It succeeds if its
//! command does, and nothing else ended it.

use std::time::Duration;

use aws::AwsError;
use manifest_schema::gates::Admission;
use manifest_schema::manifest::{BuildManifest, TaskStep};
use manifest_schema::names::ClusterName;
use manifest_schema::plan::TaskRun;
use manifest_schema::{Code, Reason};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::api::{Named, Started};
use super::follow::{GRACE, LAST_WORDS, POLL};
use super::logs::Logs;
use super::running::foreign_images;
use super::told::why;
use super::view::TaskView;
use super::{Ecs, Looked, placed, revise, tasks};
use crate::patience::{PATIENCE, insistently};
use crate::stop::{Asked, Stop};

/// Whose tasks these are, for people who look at the cluster. A job's id follows.
const STARTED_BY: &str = "airlock";
/// As ECS calls the end of a task whose program ended by itself (ECS API reference, `Task`, "stopCode").
const ENDED_BY_ITSELF: &str = "EssentialContainerExited";
/// How long a task may take to stop: its containers have up to two minutes, the rest is ECS's.
const STOPPING: Duration = Duration::from_secs(600);

/// A task that was started.
struct Begun<'a> {
    step: &'a TaskStep,
    cluster: &'a ClusterName,
    arn: String,
}

/// Why a task is not waited for any longer.
enum Wished {
    /// It took too long.
    Timeout,
    /// The job is wished to stop.
    Asked(Asked),
}

impl Ecs<'_> {
    /// Runs a task to its end. `approved` is what people agreed to: the task definition that it names is the one that is
    /// revised, whatever its service runs by now.
    ///
    /// # Errors
    /// When it doesn't succeed, or nobody knows whether it does. What it did is done.
    pub(crate) async fn run(&self, admission: &Admission, step: &TaskStep, approved: &TaskRun) -> Result<(), Stop> {
        let manifest = admission.manifest().manifest();
        let place = Named::new(&self.default, &step.service, step.cluster.as_ref());
        let (looked, mut problems) = self.look_at(manifest, place, step.revision()).await?;
        let Some(now) = &looked.now else {
            let what =
                format!("the service {} isn't there: Terraform was to make it, or somebody deleted it", step.service);
            return Err(failed(step, &what));
        };
        problems.extend(tasks::unsupported(now, step));
        let approved = match &approved.task_definition {
            Some(arn) => &insistently(|| self.api.definition(arn)).await.map_err(|error| of_aws(step, &error))?,
            None if problems.is_empty() => &now.definition,
            None => return Err(failed(step, &problems.join("; "))),
        };
        let mut definition =
            revise::revise(approved, &looked.wanted).map_err(|obstacles| failed(step, &obstacles.join("; ")))?;
        definition["family"] = tasks::family(approved, &step.task).into();
        let begun = self.begin_task(manifest, &looked, &now.service, step, &definition).await?;
        let logs = Logs::new(&self.connection, admission.environment().application_logs, &definition);
        let (ended, stopped) = match self.follow_task(&begun).await? {
            Ok(ended) => (ended, None),
            Err(wished) => {
                let stop = self.stop_task(&begun, wished).await?;
                let Some(ended) = self.wait_until_stopped(&begun).await? else {
                    return Err(and_then(stop, "ECS was told to stop it, and that was not done in time"));
                };
                (ended, Some(stop))
            }
        };
        self.tell_end(&begun, &ended, logs).await?;
        match (judge(&ended, step, manifest), stopped) {
            // What is done is done, whatever was wished meanwhile.
            (Ok(()), _) => Ok(()),
            (Err(_), Some(stop)) => Err(and_then(stop, "it was stopped, and what it did before is done")),
            (Err(what), None) => Err(failed(step, &what)),
        }
    }

    /// Registers the revision and runs a task of it, once: who asks again with the same token gets the same task.
    async fn begin_task<'s>(
        &self,
        manifest: &BuildManifest,
        looked: &'s Looked<'_>,
        service: &Value,
        step: &'s TaskStep,
        definition: &Value,
    ) -> Result<Begun<'s>, Stop> {
        let (job, cluster) = (self.session.job(), &looked.named.cluster);
        let registered = insistently(|| self.api.register(definition)).await;
        let revision = registered.map_err(|error| of_aws(step, &error))?;
        let number = manifest.tasks().take_while(|other| other.task != step.task).count() + 1;
        let mut request = request(placed(service), step);
        request["cluster"] = cluster.as_str().into();
        request["taskDefinition"] = revision.as_str().into();
        request["clientToken"] = format!("{job}-task-{number}").into();
        request["startedBy"] = format!("{STARTED_BY}/{job}").into();
        let arn = self.start(step, &request).await?;
        let begun = Begun { step, cluster, arn };
        self.tell(&begun, &format!("runs {revision} as {}", begun.arn)).await?;
        Ok(begun)
    }

    /// Has ECS start a task, and waits for a while for room.
    async fn start(&self, step: &TaskStep, request: &Value) -> Result<String, Stop> {
        let mut stop = self.session.stop_signal();
        let asked_first = Instant::now();
        let mut told = String::new();
        loop {
            // Not given up halfway for a wish to stop: a task that was begun has to be followed.
            let started = insistently(|| self.api.run(request)).await.map_err(|error| of_aws(step, &error))?;
            let why = match started {
                Started::Task(arn) => return Ok(arn),
                Started::Nothing(why) => why,
            };
            if asked_first.elapsed() >= PATIENCE {
                return Err(failed(step, &format!("ECS starts no task: {why}")));
            }
            if told != why {
                self.session.tell(format!("task {}: ECS starts none yet: {why}", step.task)).await?;
                told = why;
            }
            tokio::select! {
                asked = stop.wait() => return Err(asked.stop()),
                () = tokio::time::sleep(POLL) => {}
            }
        }
    }

    /// Follows a task to its end, or until it isn't to be waited for any longer.
    async fn follow_task(&self, begun: &Begun<'_>) -> Result<Result<TaskView, Wished>, Stop> {
        let mut stop = self.session.stop_signal();
        let timeout = Duration::from_secs(begun.step.timeout_seconds().into());
        let until = async {
            tokio::select! {
                asked = stop.wait() => Wished::Asked(asked),
                () = tokio::time::sleep(timeout) => Wished::Timeout,
            }
        };
        self.end_of_task(begun, until).await
    }

    /// Has a task stopped; why.
    ///
    /// # Errors
    /// When it is not this job's any more, or can't be stopped.
    async fn stop_task(&self, begun: &Begun<'_>, wished: Wished) -> Result<Stop, Stop> {
        let (stop, why) = match wished {
            // Another worker of this job follows the same task.
            Wished::Asked(asked @ Asked::Lost) => return Err(asked.stop()),
            Wished::Asked(asked) => (asked.stop(), "the job that runs it was wished to stop".to_owned()),
            Wished::Timeout => {
                let why = format!("it took longer than {} seconds", begun.step.timeout_seconds());
                (failed(begun.step, &why), why)
            }
        };
        let stopped = insistently(|| self.api.stop(begun.cluster, &begun.arn, &why)).await;
        if let Err(error) = stopped {
            return Err(and_then(stop, &format!("it may still run: {error}: {}", error.advice())));
        }
        self.tell(begun, &format!("{why}: ECS was told to stop it")).await?;
        Ok(stop)
    }

    /// The end of a task that was told to stop; `None` when there is no time left.
    async fn wait_until_stopped(&self, begun: &Begun<'_>) -> Result<Option<TaskView>, Stop> {
        let mut stop = self.session.stop_signal();
        let too_late = async {
            tokio::select! {
                () = stop.wait_until(LAST_WORDS) => {}
                () = tokio::time::sleep(STOPPING) => {}
            }
        };
        Ok(self.end_of_task(begun, too_late).await?.ok())
    }

    /// The end, or what `until` comes to. What ECS says about the task meanwhile is told.
    async fn end_of_task<T>(
        &self,
        begun: &Begun<'_>,
        until: impl Future<Output = T>,
    ) -> Result<Result<TaskView, T>, Stop> {
        let mut until = std::pin::pin!(until);
        let (mut told, mut known) = (String::new(), Instant::now());
        loop {
            match self.api.task(begun.cluster, &begun.arn).await {
                Ok(Some(task)) if task.last_status == "STOPPED" => return Ok(Ok(task)),
                Ok(Some(task)) => {
                    known = Instant::now();
                    if told != task.last_status {
                        self.tell(begun, &task.last_status).await?;
                        told = task.last_status;
                    }
                }
                // What was started a moment ago, not everybody at ECS knows.
                Ok(None) if known.elapsed() < GRACE => {}
                Ok(None) => {
                    return Err(failed(begun.step, "ECS doesn't know the task any more; how it ended, nobody knows"));
                }
                Err(error) if error.is_temporary() => tracing::warn!(%error, "the task can't be asked after"),
                Err(error) => {
                    let what = format!("it may still run, but it can't be followed: {error}: {}", error.advice());
                    return Err(failed(begun.step, &what));
                }
            }
            tokio::select! {
                wished = &mut until => return Ok(Err(wished)),
                () = tokio::time::sleep(POLL) => {}
            }
        }
    }

    async fn tell_end(&self, begun: &Begun<'_>, ended: &TaskView, mut logs: Logs<'_>) -> Result<(), Stop> {
        let mut lines = vec![format!("task {}: {}", begun.step.task, why(ended))];
        lines.extend(logs.last_lines(ended).await);
        self.session.tell_all(lines).await
    }

    async fn tell(&self, begun: &Begun<'_>, what: &str) -> Result<(), Stop> {
        self.session.tell(format!("task {}: {what}", begun.step.task)).await
    }
}

/// What `RunTask` is asked for: one task, placed as this service's or task set's are, with another command.
fn request(like: &Value, step: &TaskStep) -> Value {
    let overrides = json!([{ "name": step.runs_in(), "command": step.command }]);
    let mut request = json!({ "count": 1, "overrides": { "containerOverrides": overrides } });
    let places =
        ["launchType", "capacityProviderStrategy", "networkConfiguration", "placementConstraints", "platformVersion"];
    for field in places {
        let said = &like[field];
        if !said.is_null() && said.as_array().is_none_or(|list| !list.is_empty()) {
            request[field] = said.clone();
        }
    }
    request
}

/// Whether a task that has ended did what it was for.
///
/// # Errors
/// With the reason for which it didn't.
fn judge(ended: &TaskView, step: &TaskStep, manifest: &BuildManifest) -> Result<(), String> {
    let name = step.runs_in().map(|name| name.as_str());
    let code = ended.containers.iter().find(|one| Some(one.name.as_str()) == name).and_then(|one| one.exit_code);
    // Who is stopped from outside may well exit with 0.
    if code != Some(0) || ended.stop_code.as_deref() != Some(ENDED_BY_ITSELF) {
        return Err(why(ended));
    }
    let foreign = foreign_images(ended, step.revision(), manifest);
    if foreign.is_empty() { Ok(()) } else { Err(foreign.join("; ")) }
}

/// A call that failed for good.
fn of_aws(step: &TaskStep, error: &AwsError) -> Stop {
    failed(step, &format!("{error}: {}", error.advice()))
}

fn failed(step: &TaskStep, what: &str) -> Stop {
    Stop::Failed(Reason::new(Code::TaskFailed, format!("task {}: {what}", step.task)))
}

/// The same end, of which more is to be said.
fn and_then(stop: Stop, what: &str) -> Stop {
    let more = |reason: Reason| Reason { message: format!("{}; {what}", reason.message), ..reason };
    match stop {
        Stop::Failed(reason) => Stop::Failed(more(reason)),
        Stop::Cancelled(reason) => Stop::Cancelled(more(reason)),
        Stop::Refused(_) | Stop::RolledBack(_) | Stop::Lost(_) => stop,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step() -> TaskStep {
        let step =
            json!({"task": "migrate", "service": "web", "containers": {"app": "web"}, "command": ["up", "--all"]});
        serde_json::from_value(step).unwrap()
    }

    /// A build without artifacts: of these, nothing is known to be foreign.
    fn manifest() -> BuildManifest {
        let manifest = json!({
            "schema": "airlock/build-manifest/v1", "project": "hello", "build": {"epoch": 0, "number": 1, "builder": "local"},
            "sources": [], "artifacts": [], "deploy": [], "evidence": [],
        });
        serde_json::from_value(manifest).unwrap()
    }

    #[test]
    fn only_a_command_that_ends_well_by_itself_succeeds() {
        let stopped = |code: &str, exit: Value| {
            let proxy = json!({"name": "proxy", "exitCode": 143});
            json!({"stopCode": code, "stoppedReason": "Why", "containers": [proxy, {"name": "app", "exitCode": exit}]})
        };
        for (case, ended, expected) in [
            ("well", stopped(ENDED_BY_ITSELF, json!(0)), None),
            ("badly", stopped(ENDED_BY_ITSELF, json!(3)), Some("app exited with 3")),
            ("not at all", stopped("TaskFailedToStart", Value::Null), Some("TaskFailedToStart: Why")),
            ("politely, when told to", stopped("UserInitiated", json!(0)), Some("UserInitiated: Why")),
            ("when its machine went", stopped("SpotInterruption", json!(0)), Some("SpotInterruption")),
            ("without its container", json!({"stopCode": ENDED_BY_ITSELF}), Some(ENDED_BY_ITSELF)),
        ] {
            let ended = serde_json::from_value(ended).unwrap();
            let judged = judge(&ended, &step(), &manifest());
            match (&judged, expected) {
                (Ok(()), None) => {}
                (Err(why), Some(words)) => assert!(why.contains(words), "{case}: {why}"),
                _ => panic!("{case}: {judged:?}"),
            }
        }
    }

    #[test]
    fn a_task_is_placed_as_its_service_is() {
        let asked = |like: Value| request(&like, &step());
        let bare =
            json!({"count": 1, "overrides": {"containerOverrides": [{"name": "app", "command": ["up", "--all"]}]}});
        let unsaid =
            json!({"serviceName": "web", "desiredCount": 3, "capacityProviderStrategy": [], "launchType": null});
        assert_eq!(asked(unsaid), bare);
        let places = json!({
            "capacityProviderStrategy": [{"capacityProvider": "FARGATE_SPOT", "weight": 1}], "platformVersion": "1.4.0",
            "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-1"], "newer": true}},
            "placementConstraints": [{"type": "memberOf", "expression": "x"}],
        });
        let found = asked(places.clone());
        for (field, said) in places.as_object().unwrap() {
            assert_eq!(&found[field], said);
        }
        let by_another = json!({"launchType": "EC2", "taskSets": [
            {"status": "ACTIVE", "launchType": "EC2"}, {"status": "PRIMARY", "launchType": "FARGATE"},
        ]});
        assert_eq!(asked(placed(&by_another).clone())["launchType"], "FARGATE");
    }
}
