//! Why an ECS task stopped: what ECS says about it, sorted, and in words for people.
//!
//! ECS says it in a code, a sentence, and a code and a sentence for each container (Amazon ECS developer guide, "Viewing
//! Amazon ECS stopped task errors"). The sentences' first words are documented names of errors.

use aws_sdk_ecs::types::{Container, Task, TaskStopCode};
use manifest_schema::Code;
use records::task::exit;

use super::Death;

/// Most characters of what ECS says that are passed on.
const LONGEST: usize = 600;

/// Why a task that is STOPPED is.
pub(super) fn judge(task: &Task, worker: &str) -> Death {
    let reason = task.stopped_reason().unwrap_or_default();
    let containers = task.containers();
    let about = |text: &str| {
        reason.contains(text)
            || containers.iter().any(|container| container.reason().is_some_and(|it| it.contains(text)))
    };
    // By its name: a sidecar's end is not the worker's.
    let exit_code = containers.iter().find(|it| it.name() == Some(worker)).and_then(Container::exit_code);
    let never_ran = exit_code.is_none();
    let code = if about("CannotPull") || (never_ran && about("pull image")) {
        Code::TaskImage
    } else if about("OutOfMemory") {
        Code::TaskOutOfMemory
    } else if never_ran && (about("apacity is unavailable") || about("limit on the number")) {
        Code::TaskCapacity
    } else {
        match task.stop_code() {
            Some(TaskStopCode::TaskFailedToStart) => Code::TaskNotStarted,
            Some(
                TaskStopCode::UserInitiated
                | TaskStopCode::SpotInterruption
                | TaskStopCode::TerminationNotice
                | TaskStopCode::ServiceSchedulerInitiated,
            ) => Code::TaskStopped,
            // The enum is open; what is left is that the worker itself ended.
            Some(TaskStopCode::EssentialContainerExited | _) | None => Code::WorkerDied,
        }
    };
    Death { code, said: Some(words(task, reason, worker)) }
}

/// Everything that ECS says, as one sentence.
fn words(task: &Task, reason: &str, worker: &str) -> String {
    let stop_code = task.stop_code().map_or("STOPPED", TaskStopCode::as_str);
    let mut text = format!("ECS says {stop_code}");
    if !reason.is_empty() {
        text = format!("{text}: {}", one_line(reason));
    }
    for container in task.containers() {
        let name = container.name().unwrap_or("a container");
        if let Some(code) = container.exit_code() {
            let meaning = if container.name() == Some(worker) { exit::meaning(code) } else { None };
            let meaning = meaning.map(|meaning| format!(" ({meaning})")).unwrap_or_default();
            text.push_str(&format!("; {name} exited with {code}{meaning}"));
        }
        if let Some(reason) = container.reason().filter(|reason| !reason.is_empty()) {
            text.push_str(&format!("; {name}: {}", one_line(reason)));
        }
    }
    clip(text)
}

/// Repeated white space, new lines too, as one blank.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn clip(text: String) -> String {
    if text.chars().count() <= LONGEST { text } else { text.chars().take(LONGEST - 1).chain(['…']).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(stop_code: TaskStopCode, reason: &str, exit_code: Option<i32>, said: &str) -> Task {
        let said = Some(said).filter(|said| !said.is_empty()).map(str::to_owned);
        let container = Container::builder().name("worker").set_exit_code(exit_code).set_reason(said).build();
        Task::builder().stop_code(stop_code).stopped_reason(reason).containers(container).build()
    }

    /// Sentences as the developer guide has them.
    #[test]
    fn what_ecs_says_is_sorted_and_told() {
        use TaskStopCode::{EssentialContainerExited, SpotInterruption, TaskFailedToStart, UserInitiated};
        let ended = "Essential container in task exited";
        let no_room =
            "Capacity is unavailable at this time. Please try again later or in a different availability zone";
        for (task, code, words) in [
            (
                task(
                    TaskFailedToStart,
                    "CannotPullContainerError: pull image manifest has been retried 1 time(s)",
                    None,
                    "",
                ),
                Code::TaskImage,
                "ECS says TaskFailedToStart: CannotPullContainerError: pull image",
            ),
            (
                task(
                    EssentialContainerExited,
                    ended,
                    Some(137),
                    "OutOfMemoryError: Container killed due to memory usage",
                ),
                Code::TaskOutOfMemory,
                "worker exited with 137 (killed); worker: OutOfMemoryError",
            ),
            (task(TaskFailedToStart, no_room, None, ""), Code::TaskCapacity, "Capacity is unavailable"),
            (
                task(
                    TaskFailedToStart,
                    "ResourceInitializationError: unable to pull secrets or registry auth",
                    None,
                    "",
                ),
                Code::TaskNotStarted,
                "ResourceInitializationError",
            ),
            (task(UserInitiated, "Task stopped by user", Some(143), ""), Code::TaskStopped, "Task stopped by user"),
            (
                task(SpotInterruption, "Your Spot Task was interrupted.", Some(143), ""),
                Code::TaskStopped,
                "interrupted",
            ),
            (task(EssentialContainerExited, ended, Some(1), ""), Code::WorkerDied, "worker exited with 1"),
            (
                task(EssentialContainerExited, ended, Some(i32::from(exit::CONFIG)), ""),
                Code::WorkerDied,
                "its configuration can't be used",
            ),
        ] {
            let death = judge(&task, "worker");
            assert_eq!(death.code, code, "{death:?}");
            assert!(death.said.as_deref().is_some_and(|said| said.contains(words)), "{death:?}: {words}");
        }
    }

    #[test]
    fn a_sidecars_end_is_not_taken_for_the_workers_and_nothing_is_endless() {
        let sidecar = Container::builder().name("logs").exit_code(i32::from(exit::CONFIG)).build();
        let long = "x ".repeat(5000);
        let task = Task::builder().stopped_reason(long).containers(sidecar).build();
        let said = judge(&task, "worker").said.unwrap_or_default();
        assert!(said.chars().count() == LONGEST && said.ends_with('…') && !said.contains("configuration"), "{said}");
    }
}
