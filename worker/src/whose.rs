//! Whether what a build's steps name is its project's to change, as the worker's own configuration says.

use manifest_schema::gates::Admission;
use manifest_schema::manifest::{FilesStep, Step};
use manifest_schema::{Code, Reason};
use records::config::{ClusterConfig, FilesConfig, Target, Whose, WorkerConfig};
use store::Location;

use crate::references::has_aws;
use crate::session::Session;
use crate::stop::{Refusals, Stop};

/// Refuses, before anything is looked at, a build that names what isn't its project's.
pub(crate) fn expect_own(session: &Session, admission: &Admission) -> Result<(), Stop> {
    let mut refused = Refusals::default();
    let steps = &admission.manifest().manifest().deploy;
    refused.add(steps.iter().filter_map(|step| problem(session, admission, step)));
    refused.or(())
}

/// Why a step may not be done.
fn problem(session: &Session, admission: &Admission, step: &Step) -> Option<Reason> {
    let config = session.config();
    if let Step::Files(files) = step
        && holds_our_own(config, files)
    {
        let what = format!("{step}: the bucket is one of Airlock's own stores");
        return Some(Reason::new(Code::FilesUnsupported, what));
    }
    let target = target(config, has_aws(session), step)?;
    let (place, policy) = (admission.environment(), admission.policy().policy());
    let here = policy
        .environments
        .iter()
        .filter(|(_, other)| (&other.account, &other.region) == (&place.account, &place.region));
    let all: Vec<_> = here.flat_map(|(of, rules)| rules.projects.keys().map(move |project| (of, project))).collect();
    let project = &session.request().project;
    let (entry, says) = (target.entry(), "the workers' configuration (`targets`)");
    let remedy = if let Step::Task(task) = step {
        format!("list its service, {entry}, for {project} there, or name another than {} in the step", task.service)
    } else {
        format!("list {entry} for {project} there, or name another in the step")
    };
    let environment = &session.request().environment;
    let what = match config.targets.whose(&target, (environment, project), &all) {
        Whose::Own => return None,
        Whose::Nobodys => format!("{says} doesn't say that it is {project}'s: {remedy}"),
        Whose::Others(other) => format!("{says} says that it is {other}'s: if {project} may change it, too, {remedy}"),
        Whose::Shared(of, other) if of == *environment => {
            format!("by {says} it is both {project}'s and {other}'s: {remedy}")
        }
        Whose::Shared(of, other) => format!(
            "by {says} it is {other}'s in {of}, too: name another in the step, or give each environment a configuration of its own"
        ),
    };
    let what = format!("{step}: {what}");
    Some(Reason::new(Code::TargetForbidden, what))
}

/// What a step changes in AWS, if it changes anything there.
fn target(config: &WorkerConfig, has_aws: bool, step: &Step) -> Option<Target> {
    let default = match &config.cluster {
        ClusterConfig::Local(_) => None,
        ClusterConfig::Ecs(ecs) => Some(&ecs.cluster),
    };
    match step {
        // What Terraform changes is its role's to say.
        Step::Terraform { .. } => None,
        Step::Service(step) => default.map(|default| Target::service(default, step.cluster.as_ref(), &step.service)),
        Step::Task(step) => default.map(|default| Target::service(default, step.cluster.as_ref(), &step.service)),
        Step::Schedule(step) => default.map(|_| Target::trigger(&step.trigger)),
        Step::Function(step) => has_aws.then(|| Target::function(&step.function)),
        Step::Files(step) => match &config.files {
            Some(FilesConfig::S3(_)) => Some(Target::files(step)),
            Some(FilesConfig::Local(_)) | None => None,
        },
    }
}

/// Whether files would be put into a bucket in which a worker keeps something.
fn holds_our_own(config: &WorkerConfig, step: &FilesStep) -> bool {
    let stores = [config.artifacts.parse().ok(), config.production.parse().ok(), Some(config.state.clone())];
    let is_here = |store: &Location| match store {
        Location::S3(place) => place.bucket() == step.bucket.as_str(),
        Location::Directory(_) => false,
    };
    matches!(config.files, Some(FilesConfig::S3(_))) && stores.iter().flatten().any(is_here)
}
