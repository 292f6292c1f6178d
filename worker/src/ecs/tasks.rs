//! One-off tasks, as they are planned: whether each can be run, and what a person is to see of it.

use std::collections::BTreeSet;

use manifest_schema::manifest::{BuildManifest, TaskStep};
use manifest_schema::names::TaskName;
use manifest_schema::plan::{ServiceChange, TaskRun};
use manifest_schema::{Code, Document as _, Reason};
use serde_json::Value;
use store::StoreError;

use super::api::Named;
use super::{Ecs, Now};
use crate::stop::Stop;

/// Longest name of a task definition's family (ECS API reference, `RegisterTaskDefinition`, "family").
const LONGEST_FAMILY: usize = 255;

impl Ecs<'_> {
    /// The tasks of a build whose step is also in the last one that was deployed completely, word for word.
    pub(super) async fn repeated<'s>(&self, manifest: &'s BuildManifest) -> Result<BTreeSet<&'s TaskName>, Stop> {
        let none = BTreeSet::new();
        if manifest.tasks().next().is_none() {
            return Ok(none);
        }
        let (request, sides) = (self.session.request(), self.session.sides());
        let (environment, project) = (&request.environment, &request.project);
        let base = records::deployments::base(&sides.production, self.session.ambient(), environment, project).await?;
        let Some(digest) = base.manifest else { return Ok(none) };
        // It was verified when it was deployed. One that can't be read any more repeats nothing.
        let bytes = match sides.artifacts.fetch(&digest, BuildManifest::LIMIT).await {
            Ok(bytes) => bytes,
            Err(missing @ StoreError::BlobMissing { .. }) => {
                tracing::warn!(%missing, "tasks of the build that is live can't be told");
                return Ok(none);
            }
            Err(error) => return Err(error.into()),
        };
        let Ok(live) = BuildManifest::from_bytes(&bytes) else { return Ok(none) };
        Ok(manifest.tasks().filter(|step| live.tasks().any(|other| other == *step)).map(|step| &step.task).collect())
    }

    /// What a task's step comes to.
    ///
    /// # Errors
    /// When ECS can't be asked; with everything that isn't supported.
    pub(super) async fn task_run(
        &self,
        manifest: &BuildManifest,
        step: &TaskStep,
        repeats: bool,
    ) -> Result<TaskRun, Stop> {
        let place = Named::new(&self.default, &step.service, step.cluster.as_ref());
        let (looked, mut problems) = self.look_at(manifest, place, step.revision()).await?;
        problems.extend(looked.now.iter().flat_map(|now| unsupported(now, step)));
        let Some(container) = step.runs_in().filter(|_| problems.is_empty()) else {
            let reason = |problem| Reason::new(Code::TaskUnsupported, format!("task {}: {problem}", step.task));
            return Err(Stop::Refused(problems.into_iter().map(reason).collect()));
        };
        let ServiceChange { service, containers, settings, .. } = looked.change(&step.service, None);
        let arn = |now: &Now| now.definition["taskDefinitionArn"].as_str().map(str::to_owned);
        Ok(TaskRun {
            task: step.task.clone(),
            service,
            cluster: looked.named.cluster.clone(),
            task_definition: looked.now.as_ref().and_then(arn),
            container: container.clone(),
            command: step.command.clone(),
            repeats,
            containers,
            settings,
        })
    }
}

/// The family of a task's revisions: its own. The newest revision of the service's family stays one that the service ran
/// or runs, for everybody who names a family only; and the deployer may be let run nothing but such families.
pub(super) fn family(definition: &Value, task: &TaskName) -> String {
    format!("{}-airlock-{task}", definition["family"].as_str().unwrap_or_default())
}

/// Why a task can't be run like this service, each the end of a sentence that starts with the task's name.
pub(super) fn unsupported(now: &Now, step: &TaskStep) -> Vec<String> {
    let (service, definition) = (&step.service, &now.definition);
    let mut problems = Vec::new();
    if !now.view.is_active() {
        problems.push(format!("the service {service} is {}: wait until it is gone, and make it anew", now.view.status));
    }
    if definition.is_null() {
        problems.push(format!("the service {service} has no task definition to run it with"));
        return problems;
    }
    let family = family(definition, &step.task);
    if family.len() > LONGEST_FAMILY {
        problems.push(format!(
            "its task definitions would be of the family {family}, which is longer than {LONGEST_FAMILY} characters"
        ));
    }
    let containers = definition["containerDefinitions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let runs_in = step.runs_in().map(|name| name.as_str());
    let container = containers.iter().find(|container| container["name"].as_str() == runs_in);
    if container.is_some_and(|container| container["essential"] == false) {
        problems.push(format!(
            "its container {} is not essential, so the task would not end with it",
            runs_in.unwrap_or_default()
        ));
    }
    problems
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn step() -> TaskStep {
        let step = json!({"task": "migrate", "service": "web", "containers": {"app": "web"}, "command": ["up"]});
        serde_json::from_value(step).unwrap()
    }

    #[test]
    fn what_has_no_end_of_its_own_or_no_definition_is_refused() {
        let definition = |family: &str, essential: Value| json!({"family": family, "containerDefinitions": [{"name": "app", "essential": essential}]});
        for (case, status, definition, expected) in [
            ("the usual", "ACTIVE", definition("web", json!(true)), &[][..]),
            ("essential unless said otherwise", "ACTIVE", definition("web", Value::Null), &[]),
            ("not essential", "ACTIVE", definition("web", json!(false)), &["its container app is not essential"]),
            ("another's, without a task set", "ACTIVE", Value::Null, &["has no task definition"]),
            ("being deleted", "DRAINING", Value::Null, &["is DRAINING", "has no task definition"]),
            ("a long family", "ACTIVE", definition(&"x".repeat(240), json!(true)), &["longer than 255 characters"]),
            ("the longest family", "ACTIVE", definition(&"x".repeat(239), json!(true)), &[]),
        ] {
            let service = json!({ "status": status });
            let view = serde_json::from_value(service.clone()).unwrap();
            let found = unsupported(&Now { service, view, definition }, &step());
            assert_eq!(found.len(), expected.len(), "{case}: {found:?}");
            assert!(found.iter().zip(expected).all(|(problem, words)| problem.contains(words)), "{case}: {found:?}");
        }
    }
}
