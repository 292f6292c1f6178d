//! Scheduled tasks: what schedules and rules of EventBridge start, and making them start the build.
//!
//! What is started gets a revision of its *current* task definition, as services do, and the schedule or the rule's
//! target is put again as it is, but for the definition that it names. When and with what it starts tasks stays, down to
//! fields that nobody here has heard of, and none of it leaves production. It is looked at again right before it is
//! changed, for neither service can be told to change something only if it is as it was.

mod api;
mod owned;
mod shift;
mod target;

use aws::AwsError;
use manifest_schema::manifest::{BuildManifest, ScheduleStep, Trigger};
use manifest_schema::plan::ScheduleChange;
use manifest_schema::{Code, Reason};
use serde_json::Value;

use crate::cluster::Cluster;
use crate::ecs::Ecs;
use crate::ecs::revise::{self, Wanted};
use crate::patience::patiently;
use crate::stop::{Refusals, Stop};
use api::Api;
use target::{Target, about};

pub(crate) use owned::owned_twice;
pub(crate) use shift::deploy;

/// Both services of EventBridge, and the task definitions.
struct Schedules<'a> {
    ecs: &'a Ecs<'a>,
    api: Api,
}

/// What a step's trigger starts, and what the step asks for.
struct Looked<'a> {
    /// `None` if it isn't there yet.
    now: Option<Now>,
    wanted: Wanted<'a>,
}

/// What is started.
struct Now {
    target: Target,
    /// The task definition that would be started now.
    definition: Value,
}

/// What deploying this build would change in each scheduled task, in the order of the steps.
///
/// # Errors
/// When AWS can't be asked; with everything that isn't supported.
pub(crate) async fn changes(cluster: &Cluster<'_>, manifest: &BuildManifest) -> Result<Vec<ScheduleChange>, Stop> {
    let (mut changes, mut refused) = (Vec::new(), Refusals::default());
    match Schedules::of(cluster) {
        None => refused.add(manifest.schedules().map(nothing_starts)),
        Some(schedules) => {
            for step in manifest.schedules() {
                let looked = refused.sort(schedules.look(manifest, step).await)?;
                changes.extend(looked.map(|looked| looked.change(step)));
            }
        }
    }
    refused.or(changes)
}

impl<'a> Schedules<'a> {
    /// `None` where a directory stands in for the cluster.
    fn of(cluster: &'a Cluster<'_>) -> Option<Self> {
        match cluster {
            Cluster::Local(_) => None,
            Cluster::Ecs(ecs) => Some(Self { ecs, api: Api::new(&ecs.connection) }),
        }
    }

    /// Looks at what a step's trigger starts, and refuses what isn't supported.
    async fn look<'s>(&self, manifest: &BuildManifest, step: &'s ScheduleStep) -> Result<Looked<'s>, Stop> {
        let (mut wanted, mut problems) = self.ecs.wanted(manifest, step.revision());
        let refused = |problems: Vec<String>| {
            let reason = |problem: String| Reason::new(Code::ScheduleUnsupported, about(&step.trigger, &problem));
            Stop::Refused(problems.into_iter().map(reason).collect())
        };
        let found = match self.patiently(step, || self.target(&step.trigger)).await? {
            Ok(found) => found,
            Err(problem) => {
                problems.push(problem);
                return Err(refused(problems));
            }
        };
        let mut now = None;
        if let Some(target) = found {
            let named = target.definition().unwrap_or_default();
            let definition = self.patiently(step, || self.ecs.api.definition(named)).await?;
            wanted.secrets = target.cluster().and_then(|cluster| self.ecs.secret_place(cluster));
            problems.extend(revise::revise(&definition, &wanted).err().into_iter().flatten());
            now = Some(Now { target, definition });
        }
        if problems.is_empty() { Ok(Looked { now, wanted }) } else { Err(refused(problems)) }
    }

    /// What a trigger starts: `None` if it isn't there yet, or the reason for which it can't be moved.
    async fn target(&self, trigger: &Trigger) -> Result<Result<Option<Target>, String>, AwsError> {
        let place = trigger.place();
        Ok(match trigger {
            Trigger::Schedule { name, .. } => {
                self.api.schedule(name.as_str(), place).await?.map(Target::of_schedule).transpose()
            }
            Trigger::Rule { name, target, .. } => match self.api.rule(name.as_str(), place).await? {
                Some(rule) => Target::of_rule(rule, target.as_ref()),
                None => Ok(None),
            },
        })
    }

    async fn patiently<T>(&self, step: &ScheduleStep, ask: impl AsyncFn() -> Result<T, AwsError>) -> Result<T, Stop> {
        patiently(self.ecs.session, ask).await?.map_err(|error| of_aws(step, &error))
    }
}

impl Looked<'_> {
    fn change(&self, step: &ScheduleStep) -> ScheduleChange {
        let now = self.now.as_ref();
        let (containers, settings) = revise::differences(now.map(|now| &now.definition), &self.wanted);
        ScheduleChange {
            trigger: step.trigger.clone(),
            cluster: now.and_then(|now| now.target.cluster_name()),
            task_definition: now.and_then(|now| now.arn()).map(str::to_owned),
            containers,
            settings,
        }
    }
}

impl Now {
    /// The task definition's, with its revision.
    fn arn(&self) -> Option<&str> {
        self.definition["taskDefinitionArn"].as_str()
    }
}

/// A directory starts nothing, and has nothing that could be moved.
fn nothing_starts(step: &ScheduleStep) -> Reason {
    let what = "a directory stands in for the cluster, and nothing starts there: leave the step out of what is deployed \
                locally, or name an ECS cluster in the worker's configuration";
    Reason::new(Code::ScheduleUnsupported, about(&step.trigger, what))
}

/// A call that failed for good.
fn of_aws(step: &ScheduleStep, error: &AwsError) -> Stop {
    failed(step, &format!("{error}: {}", error.advice()))
}

fn failed(step: &ScheduleStep, what: &str) -> Stop {
    Stop::Failed(Reason::new(Code::ScheduleFailed, about(&step.trigger, what)))
}
