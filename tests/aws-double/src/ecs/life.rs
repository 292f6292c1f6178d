//! What happens to a task, from PROVISIONING to STOPPED.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::definition::Container;
use super::script::Fate;
use super::task::{Order, Task, TaskStatus};
use super::{Ecs, TaskFailure};
use crate::process::{Process, Program};
use crate::{Core, REGION, State};

/// What the container says when its memory is used up.
const OUT_OF_MEMORY: &str = "OutOfMemoryError: Container killed due to memory usage";

/// A task that comes to nothing: what its container says.
struct NotStarted(String);

/// Lives the life of a task that RunTask has just made.
pub(super) async fn live(core: Arc<Core>, arn: String, orders: watch::Receiver<Order>, failure: Option<TaskFailure>) {
    let mut told = orders.clone();
    let started = tokio::select! {
        started = start(&core, &arn, failure.as_ref()) => Some(started),
        _ = told.wait_for(|order| *order != Order::Live) => None,
    };
    match started {
        Some(Ok((processes, home))) => {
            attend(&core, &arn, &processes, orders, failure).await;
            // Its files are there as long as it is.
            drop(home);
            for status in [TaskStatus::Deactivating, TaskStatus::Stopping] {
                reach(&core, &arn, status).await;
            }
        }
        Some(Err(NotStarted(reason))) => with(&core, &arn, |task| {
            task.says(&reason);
            task.ends("TaskFailedToStart", &reason);
        }),
        None => with(&core, &arn, |task| task.ends("TaskFailedToStart", "Task was killed before it started")),
    }
    reach(&core, &arn, TaskStatus::Deprovisioning).await;
    with(&core, &arn, |task| task.reach(TaskStatus::Stopped));
}

/// Does something with a task, unless ECS has forgotten it.
fn with(core: &Core, arn: &str, change: impl FnOnce(&mut Task)) {
    if let Some(task) = core.state().ecs.tasks.get_mut(arn) {
        change(task);
    }
}

/// Reaches a state, and stays there for its time.
async fn reach(core: &Core, arn: &str, status: TaskStatus) {
    with(core, arn, |task| task.reach(status));
    let pace = core.state().ecs.pace;
    sleep(pace).await;
}

/// From PROVISIONING to RUNNING.
async fn start(core: &Core, arn: &str, failure: Option<&TaskFailure>) -> Result<(Vec<Process>, TempDir), NotStarted> {
    reach(core, arn, TaskStatus::Provisioning).await;
    if let Some(TaskFailure::SlowStart(time)) = failure {
        sleep(*time).await;
    }
    reach(core, arn, TaskStatus::Pending).await;
    while is_stuck(core, arn) {
        reach(core, arn, TaskStatus::Pending).await;
    }
    let home = TempDir::new().map_err(|error| NotStarted(format!("ResourceInitializationError: {error}")))?;
    let launches = Launch::all(core, arn, &home, failure)?;
    reach(core, arn, TaskStatus::Activating).await;
    let mut state = core.state();
    let Some(task) = state.ecs.tasks.get_mut(arn) else { return Err(NotStarted("forgotten".to_owned())) };
    let mut processes = Vec::new();
    for (launch, container) in launches.iter().zip(&mut task.containers) {
        let program = Program {
            path: &launch.program,
            name: &launch.name,
            arguments: &launch.arguments,
            environment: &launch.environment,
            directory: home.path(),
        };
        let process = Process::start(&program, &core.leash, &container.log).map_err(|error| {
            processes.iter().for_each(Process::kill);
            NotStarted(format!("CannotStartContainerError: failed to create containerd task: {error}"))
        })?;
        container.process = Some(process.clone());
        processes.push(process);
    }
    task.reach(TaskStatus::Running);
    Ok((processes, home))
}

/// Whether the script of one of a task's images lets it not start for now.
fn is_stuck(core: &Core, arn: &str) -> bool {
    let state = core.state();
    let containers = state.ecs.tasks.get(arn).map(|task| task.containers.as_slice()).unwrap_or_default();
    let mut scripts = containers.iter().filter_map(|one| state.ecs.scripts.of_image(&one.definition.image));
    scripts.any(|script| script.fate == Fate::Stuck)
}

/// What is started.
struct Launch {
    program: PathBuf,
    name: String,
    arguments: Vec<String>,
    environment: BTreeMap<String, String>,
}

impl Launch {
    /// What each of a task's containers starts, whose images are pulled with this.
    fn all(core: &Core, arn: &str, home: &TempDir, failure: Option<&TaskFailure>) -> Result<Vec<Self>, NotStarted> {
        let url = core.url();
        let state = &mut *core.state();
        let Some(task) = state.ecs.tasks.get(arn) else { return Err(NotStarted("forgotten".to_owned())) };
        let mut launches = Vec::new();
        for container in task.containers.iter().map(|one| &one.definition) {
            let mut environment = environment(task, container, &url, home);
            environment.extend(secrets(state, task, container)?);
            launches.push(Self::new(&state.ecs, task, container, environment, failure)?);
        }
        let Ecs { tasks, scripts, .. } = &mut state.ecs;
        for one in tasks.get_mut(arn).into_iter().flat_map(|task| &mut task.containers) {
            one.digest = Some(scripts.digest_of(&one.definition.image));
        }
        Ok(launches)
    }

    /// Finds the image's program, or what its script has it do.
    fn new(
        ecs: &Ecs,
        task: &Task,
        container: &Container,
        environment: BTreeMap<String, String>,
        failure: Option<&TaskFailure>,
    ) -> Result<Self, NotStarted> {
        let name = container.entry_point.iter().chain(&container.command).next().cloned().unwrap_or_default();
        let shell = |does: String| {
            let (program, arguments) = ("/bin/sh".into(), vec!["-c".to_owned(), does]);
            Ok(Self { program, name: name.clone(), arguments, environment: environment.clone() })
        };
        if !ecs.scripts.is_there(&container.image) {
            return Err(NotStarted(cannot_pull(&container.image)));
        }
        let script = ecs.scripts.of_image(&container.image);
        match script.map(|script| (&script.fate, &script.says)) {
            Some((Fate::ImageMissing, _)) => return Err(NotStarted(cannot_pull(&container.image))),
            Some((Fate::Crash(exit_code), says)) => return shell(crash(*exit_code, says)),
            Some((Fate::Healthy | Fate::Unhealthy(_) | Fate::Stuck, _)) | None => {}
        }
        let image = ecs.image(&container.image).filter(|_| failure != Some(&TaskFailure::Image));
        let image = image.ok_or_else(|| NotStarted(cannot_pull(&container.image)))?;
        let program = image.programs.get(&name).cloned().ok_or_else(|| {
            NotStarted(format!(
                "CannotStartContainerError: failed to create containerd task: failed to create shim task: OCI runtime \
                 create failed: exec: \"{name}\": stat {name}: no such file or directory: unknown"
            ))
        })?;
        let first = task.containers.first().is_some_and(|first| first.definition.name == container.name);
        if first && failure == Some(&TaskFailure::Killed(Duration::ZERO)) {
            // No signal is faster than a program's first steps.
            return shell("kill -9 $$".to_owned());
        }
        let arguments = container.entry_point.iter().chain(&container.command).skip(1).cloned().collect();
        Ok(Self { program, name, arguments, environment })
    }
}

/// The values of a container's secrets, if the task's execution role may read them.
fn secrets(state: &State, task: &Task, container: &Container) -> Result<Vec<(String, String)>, NotStarted> {
    let role = task.execution_role.as_deref().unwrap_or_default();
    let read = |(name, from): (&String, &String)| {
        let value = state.secret_for(role, from).map_err(|why| {
            NotStarted(format!(
                "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval \
                 failed: unable to retrieve secrets: {why}"
            ))
        });
        value.map(|value| (name.clone(), value))
    };
    container.secrets.iter().map(read).collect()
}

/// What ECS says of an image that isn't there.
pub(super) fn cannot_pull(image: &str) -> String {
    format!(
        "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref {image}: {image}: \
         not found"
    )
}

/// A shell's way to say these lines and to end so.
fn crash(exit_code: i32, says: &[String]) -> String {
    let quoted = |line: &String| format!("printf '%s\\n' '{}'; ", line.replace('\'', "'\\''"));
    let says: String = says.iter().map(quoted).collect();
    format!("{says}exit {exit_code}")
}

/// What the image and Fargate set, what the task definition and the overrides say, and what the agent puts over it all.
fn environment(task: &Task, container: &Container, url: &str, home: &TempDir) -> BTreeMap<String, String> {
    let before = [
        ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()),
        ("HOME", home.path().display().to_string()),
        ("HOSTNAME", "ip-10-0-0-1.eu-central-1.compute.internal".to_owned()),
        ("AWS_REGION", REGION.to_owned()),
        ("AWS_DEFAULT_REGION", REGION.to_owned()),
    ];
    let mut declared = container.environment.clone();
    let mut after = vec![
        ("AWS_EXECUTION_ENV", "AWS_ECS_FARGATE".to_owned()),
        ("ECS_CONTAINER_METADATA_URI_V4", format!("{url}/v4/{}", task.id())),
    ];
    if task.role.is_some() {
        // AWS puts the relative address over a declared one, which leads to 169.254.170.2: there no test can listen.
        declared.remove("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
        after.push(("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("{url}/v2/credentials/{}", task.secret)));
    }
    let owned = |(name, value): (&str, String)| (name.to_owned(), value);
    before.into_iter().map(owned).chain(declared).chain(after.into_iter().map(owned)).collect()
}

/// Waits for the end of a task's programs, and brings it about if so ordered. It comes with the first essential one's.
async fn attend(
    core: &Core,
    arn: &str,
    processes: &[Process],
    mut orders: watch::Receiver<Order>,
    failure: Option<TaskFailure>,
) {
    let fate = async {
        match failure {
            Some(TaskFailure::Killed(after)) => {
                sleep(after).await;
                processes.iter().for_each(Process::kill);
            }
            Some(TaskFailure::OutOfMemory(after)) => {
                sleep(after).await;
                with(core, arn, |task| task.says(OUT_OF_MEMORY));
                processes.iter().for_each(Process::kill);
            }
            Some(TaskFailure::Capacity | TaskFailure::SlowStart(_) | TaskFailure::Image) | None => {}
        }
        std::future::pending::<()>().await;
    };
    let ordered = async {
        let _ = orders.wait_for(|order| *order != Order::Live).await;
        if *orders.borrow() == Order::Stop {
            processes.iter().for_each(|process| process.signal(Signal::TERM));
            let timeout = stop_timeout(core, arn);
            let _ = tokio::time::timeout(timeout, orders.wait_for(|order| *order == Order::Die)).await;
        }
        processes.iter().for_each(Process::kill);
        std::future::pending::<()>().await;
    };
    let mut ends = JoinSet::new();
    for (number, process) in processes.iter().cloned().enumerate() {
        ends.spawn(async move { (number, exit_code(process.ended().await)) });
    }
    tokio::select! {
        () = the_end(core, arn, &mut ends, Wait::ForEssential) => {}
        () = fate => return,
        () = ordered => return,
    }
    processes.iter().for_each(|process| process.signal(Signal::TERM));
    let rest = the_end(core, arn, &mut ends, Wait::ForAll);
    if tokio::time::timeout(stop_timeout(core, arn), rest).await.is_err() {
        processes.iter().for_each(Process::kill);
        the_end(core, arn, &mut ends, Wait::ForAll).await;
    }
}

/// For which containers' end to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wait {
    ForEssential,
    ForAll,
}

/// Notes the ends of containers.
async fn the_end(core: &Core, arn: &str, ends: &mut JoinSet<(usize, i32)>, wait: Wait) {
    while let Some(ended) = ends.join_next().await {
        let Ok((number, exit_code)) = ended else { continue };
        let mut essential = false;
        with(core, arn, |task| essential = task.container_ended(number, exit_code));
        if essential && wait == Wait::ForEssential {
            return;
        }
    }
}

/// The longest of a task's containers.
fn stop_timeout(core: &Core, arn: &str) -> Duration {
    let mut longest = Duration::ZERO;
    with(core, arn, |task| {
        longest = task.containers.iter().map(|one| one.definition.stop_timeout).max().unwrap_or_default();
    });
    longest
}

/// As a shell or a container tells it.
fn exit_code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}
