//! Doing the steps of an approved plan: in order, those of a group at the same time, until one fails.

use futures_util::future::join_all;
use manifest_schema::Timestamp;
use manifest_schema::deployment::StepOutcome;
use manifest_schema::gates::Admission;
use manifest_schema::job::Happening;
use manifest_schema::manifest::Step;
use manifest_schema::plan::{FilesChange, ResourceAction, ResourceChange};
use manifest_schema::statement::Outcome;

use crate::apply::{Prepared, planned};
use crate::group::Group;
use crate::schedules;
use crate::session::Session;
use crate::stop::Stop;

/// What the steps came to.
pub(crate) struct Done {
    pub(crate) outcome: Outcome,
    pub(crate) steps: Vec<StepOutcome>,
    /// Why it ended early.
    pub(crate) stop: Option<Stop>,
    pub(crate) started_at: Timestamp,
}

impl Done {
    /// Whether anything was, or may have been, done.
    pub(crate) fn any_begun(&self) -> bool {
        any_begun(&self.steps)
    }
}

/// Does the steps, each announced before it begins, until one fails or somebody wishes to stop. Images whose repository
/// only Terraform makes are pushed after it.
pub(crate) async fn run(session: &Session, admission: &Admission, prepared: &mut Prepared<'_>) -> Result<Done, Stop> {
    let started_at = session.ambient().now();
    let manifest = admission.manifest().manifest();
    let mut outcomes = vec![StepOutcome::NotBegun; manifest.deploy.len()];
    for stage in manifest.stages() {
        for (_, step) in &stage {
            if let Err(stop) = ready(session, prepared, step).await {
                return ended(outcomes, stop, started_at);
            }
        }
        for (number, step) in &stage {
            let (name, group) = (step.to_string(), step.group().cloned());
            session.say(Happening::Intent { step: *number, name, group }).await?;
        }
        let group = Group::of(stage.len());
        let all = join_all(stage.iter().map(|(_, step)| one(session, admission, prepared, step, &group))).await;
        let mut worst = None;
        for ((number, _), done) in stage.iter().zip(all) {
            let (outcome, happening) = told(*number, done.as_ref().err());
            if let Some(known) = usize::try_from(number - 1).ok().and_then(|index| outcomes.get_mut(index)) {
                *known = outcome;
            }
            if let Err(stop) = done {
                worst = Some(worse(worst, stop)?);
            }
            session.say(happening).await?;
        }
        if let Some(stop) = worst {
            return ended(outcomes, stop, started_at);
        }
    }
    Ok(Done { outcome: Outcome::Succeeded, steps: outcomes, stop: None, started_at })
}

fn any_begun(steps: &[StepOutcome]) -> bool {
    steps.iter().any(|outcome| *outcome != StepOutcome::NotBegun)
}

/// What is said of a step at its end.
fn told(step: u32, stop: Option<&Stop>) -> (StepOutcome, Happening) {
    match stop {
        None => (StepOutcome::Done, Happening::Done { step }),
        Some(stop @ Stop::RolledBack(_)) => {
            (StepOutcome::RolledBack, Happening::StepRolledBack { step, reason: stop.reason() })
        }
        Some(stop @ (Stop::Refused(_) | Stop::Failed(_) | Stop::Cancelled(_) | Stop::Lost(_))) => {
            (StepOutcome::Failed, Happening::StepFailed { step, reason: stop.reason() })
        }
    }
}

/// Of what ended the steps of a group: that everything is as it was is the mildest, and the first says it.
///
/// # Errors
/// When the job is another's.
fn worse(one: Option<Stop>, other: Stop) -> Result<Stop, Stop> {
    match (one, other) {
        (_, lost @ Stop::Lost(_)) => Err(lost),
        (None | Some(Stop::RolledBack(_)), worse @ (Stop::Refused(_) | Stop::Failed(_) | Stop::Cancelled(_))) => {
            Ok(worse)
        }
        (None, other @ Stop::RolledBack(_)) => Ok(other),
        (Some(one), Stop::Refused(_) | Stop::Failed(_) | Stop::RolledBack(_) | Stop::Cancelled(_)) => Ok(one),
    }
}

/// Returns when a step may begin.
async fn ready(session: &Session, prepared: &mut Prepared<'_>, step: &Step) -> Result<(), Stop> {
    session.may_go_on()?;
    match step {
        Step::Terraform { .. } | Step::Files(_) => Ok(()),
        Step::Service(_) | Step::Task(_) | Step::Function(_) | Step::Schedule(_) => prepared.images.push_rest().await,
    }
}

/// Once a step was begun, this is no refusal any more, whatever stopped it.
fn ended(steps: Vec<StepOutcome>, stop: Stop, started_at: Timestamp) -> Result<Done, Stop> {
    let (outcome, stop) = match stop {
        Stop::Lost(_) => return Err(stop),
        Stop::Cancelled(_) => (Outcome::Cancelled, stop),
        Stop::RolledBack(_) => (Outcome::RolledBack, stop),
        Stop::Refused(_) if any_begun(&steps) => (Outcome::Failed, Stop::Failed(stop.reason())),
        Stop::Refused(_) | Stop::Failed(_) => (Outcome::Failed, stop),
    };
    Ok(Done { outcome, steps, stop: Some(stop), started_at })
}

/// Does one step.
async fn one(
    session: &Session,
    admission: &Admission,
    prepared: &Prepared<'_>,
    step: &Step,
    group: &Group,
) -> Result<(), Stop> {
    let plan = planned(admission)?;
    let summary = plan.summary();
    match step {
        Step::Terraform { .. } => match &prepared.terraform {
            Some((terraform, saved)) => {
                // Again, right before use: since it was checked, providers ran as the same user.
                saved.expect(plan.saved_plan())?;
                terraform.apply(saved).await
            }
            None => Err(Stop::failed("the Terraform step has no checked plan")),
        },
        Step::Service(service) => {
            let approved = approved(&summary.services, step, |change| change.service == service.service)?;
            prepared.targets.cluster.deploy(session, admission, (service, approved), group).await
        }
        Step::Files(files) => {
            let same = |change: &FilesChange| (&change.bucket, &change.prefix) == (&files.bucket, &files.prefix);
            let approved = approved(&summary.files, step, same)?;
            prepared.targets.files.put(admission, files, approved, &prepared.scratch).await
        }
        Step::Task(task) => {
            let approved = approved(&summary.tasks, step, |run| run.task == task.task)?;
            prepared.targets.cluster.run(admission, task, approved).await
        }
        Step::Schedule(schedule) => {
            let approved = approved(&summary.schedules, step, |change| change.trigger == schedule.trigger)?;
            schedules::deploy(&prepared.targets.cluster, admission, schedule, approved).await
        }
        Step::Function(function) => {
            let approved = approved(&summary.functions, step, |change| change.function == function.function)?;
            let of_terraform = summary.terraform.as_ref().map_or(&[][..], |terraform| &terraform.changes);
            let approved = (approved, of_terraform.iter().any(changes_functions));
            prepared.targets.functions.deploy(admission.manifest().manifest(), function, approved).await
        }
    }
}

/// Whether a change of Terraform's is one of something of Lambda. What else it changes may be a function, too, in a way that
/// no plan says.
fn changes_functions(change: &ResourceChange) -> bool {
    let of_lambda = |beginning: &&str| change.resource_type.starts_with(*beginning);
    ["aws_lambda_", "awscc_lambda_"].iter().any(of_lambda)
        && match change.action {
            ResourceAction::Create | ResourceAction::Update | ResourceAction::Delete => true,
            ResourceAction::DeleteCreate | ResourceAction::CreateDelete => true,
            ResourceAction::Read | ResourceAction::Forget | ResourceAction::Import | ResourceAction::Move => false,
        }
}

/// What people agreed to of a step.
fn approved<'a, T>(changes: &'a [T], step: &Step, is: impl Fn(&T) -> bool) -> Result<&'a T, Stop> {
    let found = changes.iter().find(|change| is(change));
    found.ok_or_else(|| Stop::failed(format!("the approved plan has no {step}")))
}

#[cfg(test)]
mod tests {
    use manifest_schema::{Code, Reason};

    use super::*;

    #[test]
    fn what_terraform_only_looks_at_or_moves_is_not_changed() {
        for (kind, action, expected) in [
            ("aws_lambda_function", ResourceAction::Update, true),
            ("awscc_lambda_alias", ResourceAction::Create, true),
            ("aws_lambda_function", ResourceAction::Read, false),
            ("aws_lambda_function", ResourceAction::Move, false),
            ("aws_s3_bucket", ResourceAction::Update, false),
        ] {
            let change = ResourceChange {
                address: format!("{kind}.a"),
                resource_type: kind.to_owned(),
                action,
                attributes: Vec::new(),
                values: Default::default(),
            };
            assert_eq!(changes_functions(&change), expected, "{kind} {action:?}");
        }
    }

    #[test]
    fn what_is_worst_ends_the_job() {
        let because = |message: &str| Reason::new(Code::ServiceFailed, message);
        let back = |message: &str| Stop::RolledBack(because(message));
        let failed = |message: &str| Stop::Failed(because(message));
        for (stops, expected) in [
            (vec![back("a"), back("b")], "rolled back: a"),
            (vec![back("a"), failed("b"), failed("c")], "failed: b"),
            (vec![failed("a"), back("b")], "failed: a"),
            (vec![failed("a"), Stop::Lost("b".to_owned())], "lost: b"),
        ] {
            let mut worst = None;
            let mut told = String::new();
            for stop in stops {
                match worse(worst.take(), stop) {
                    Ok(stop) => worst = Some(stop),
                    Err(lost) => told = format!("lost: {lost}"),
                }
            }
            match worst {
                Some(Stop::RolledBack(reason)) => told = format!("rolled back: {}", reason.message),
                Some(Stop::Failed(reason)) => told = format!("failed: {}", reason.message),
                Some(other) => told = format!("{other:?}"),
                None => {}
            }
            assert_eq!(told, expected);
        }
    }
}
