//! What about the steps of a plan beside Terraform a person must see.

use std::collections::BTreeMap;

use manifest_schema::names::ServiceName;
use manifest_schema::plan::{
    FilesChange, Finding, FunctionChange, ImageChange, ScheduleChange, ServiceChange, Severity, TaskRun,
};

use super::findings::finding;

/// The risks of a service: nobody has seen it run, or it is another's.
pub(super) fn of_service(change: &ServiceChange) -> Vec<Finding> {
    let service = change.service.as_str();
    let mut found = Vec::new();
    if change.task_definition.is_none() {
        let what = "doesn't exist yet; this deploy is the first to run it";
        found.push(finding("service.created", Severity::Medium, service, what));
    }
    found.extend(foreign_images(&change.containers).map(|(container, place)| {
        let what = format!("runs {place} in its container {container}, which is from no repository of this build");
        finding("service.other-images", Severity::High, service, &what)
    }));
    found
}

/// The risks of a one-off task: it does with the service's roles and secrets whatever its command says.
pub(super) fn of_task(run: &TaskRun) -> Vec<Finding> {
    let TaskRun { task, service, .. } = run;
    let high = |rule, what: String| finding(rule, Severity::High, task.as_str(), &what);
    let mut found = Vec::new();
    if run.task_definition.is_none() {
        let what = format!("would run like the service {service}, which isn't there yet, with what nobody has seen");
        found.push(high("task.new", what));
    } else if !run.repeats {
        let what = format!(
            "would run a command with the roles and secrets of the service {service} that wasn't run in this way by the last \
             complete deployment"
        );
        found.push(high("task.new", what));
    }
    found.extend(foreign_images(&run.containers).map(|(container, place)| {
        let what = format!(
            "would run with the roles and secrets of the service {service}, which runs {place} in its container \
             {container}: that is from no repository of this build"
        );
        high("task.other-images", what)
    }));
    found
}

/// The risks of putting files somewhere: what was there is gone, and maybe it was another's.
pub(super) fn of_files(change: &FilesChange) -> Vec<Finding> {
    let place = change.place();
    let FilesChange { missing, deleted, foreign, .. } = change;
    let rules = [
        (
            *missing,
            "files.created",
            Severity::Medium,
            "isn't there yet; this deploy is the first to put files into it".to_owned(),
        ),
        (deleted.count > 0, "files.deleted", Severity::Medium, format!("would lose {}", objects(deleted.count))),
        (
            foreign.count > 0,
            "files.foreign",
            Severity::High,
            format!("has {} that would go and that no deploy of this project put there", objects(foreign.count)),
        ),
    ];
    let applying = rules.into_iter().filter(|(applies, ..)| *applies);
    applying.map(|(_, rule, severity, what)| finding(rule, severity, &place, &what)).collect()
}

fn objects(count: u64) -> String {
    if count == 1 { "1 object".to_owned() } else { format!("{count} objects") }
}

/// The risks of a scheduled task: nobody has seen it run, or it is another's.
pub(super) fn of_schedule(change: &ScheduleChange) -> Vec<Finding> {
    let trigger = change.trigger.to_string();
    let mut found = Vec::new();
    if change.task_definition.is_none() {
        let what = "doesn't start a task yet; this deploy is the first to say which";
        found.push(finding("schedule.created", Severity::Medium, &trigger, what));
    }
    found.extend(foreign_images(&change.containers).map(|(container, place)| {
        let what = format!("starts {place} in the container {container}, which is from no repository of this build");
        finding("schedule.other-images", Severity::High, &trigger, &what)
    }));
    found
}

/// The risks of a function: nobody has seen it run, or it is another's.
pub(super) fn of_function(change: &FunctionChange) -> Vec<Finding> {
    let FunctionChange { function, alias, .. } = change;
    let mut found = Vec::new();
    match &change.version {
        None => {
            let what = format!("has no alias {alias} yet; this deploy is the first to run it");
            found.push(finding("function.created", Severity::Medium, function.as_str(), &what));
            if change.code.before.is_some() || change.code.elsewhere.is_some() {
                let what =
                    "is there and has code of its own, which would be replaced for all who call it without an alias";
                found.push(finding("function.not-ours", Severity::High, function.as_str(), what));
            }
        }
        Some(version) if !change.ours || change.code.elsewhere.is_some() => {
            let place = change.code.elsewhere.iter().map(|place| format!(" of {place}")).collect::<String>();
            let what = format!(
                "runs as version {version}{place} for its alias {alias}, which no deploy of this project published"
            );
            found.push(finding("function.not-ours", Severity::High, function.as_str(), &what));
        }
        Some(_) => {}
    }
    found
}

/// The containers that run an image from somewhere else, and where it is from.
fn foreign_images(containers: &BTreeMap<ServiceName, ImageChange>) -> impl Iterator<Item = (&ServiceName, &String)> {
    containers.iter().filter_map(|(container, image)| Some((container, image.elsewhere.as_ref()?)))
}
