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
use tokio::time::sleep;

use super::TaskFailure;
use super::task::{Order, Task, TaskStatus};
use crate::process::{Process, Program};
use crate::{Core, REGION};

/// What ECS says when the program has ended by itself.
const EXITED: &str = "Essential container in task exited";
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
        Some(Ok((process, home))) => {
            attend(&core, &arn, &process, orders, failure).await;
            // Its files are there as long as it is.
            drop(home);
            for status in [TaskStatus::Deactivating, TaskStatus::Stopping] {
                reach(&core, &arn, status).await;
            }
        }
        Some(Err(NotStarted(reason))) => with(&core, &arn, |task| {
            task.reason = Some(reason.clone());
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
async fn start(core: &Core, arn: &str, failure: Option<&TaskFailure>) -> Result<(Process, TempDir), NotStarted> {
    reach(core, arn, TaskStatus::Provisioning).await;
    if let Some(TaskFailure::SlowStart(time)) = failure {
        sleep(*time).await;
    }
    reach(core, arn, TaskStatus::Pending).await;
    let home = TempDir::new().map_err(|error| NotStarted(format!("ResourceInitializationError: {error}")))?;
    let launch = Launch::new(core, arn, &home, failure)?;
    reach(core, arn, TaskStatus::Activating).await;
    let program = Program {
        path: &launch.program,
        name: &launch.name,
        arguments: &launch.arguments,
        environment: &launch.environment,
        directory: home.path(),
    };
    let mut state = core.state();
    let Some(task) = state.ecs.tasks.get_mut(arn) else { return Err(NotStarted("forgotten".to_owned())) };
    let process = Process::start(&program, &core.leash, &task.log)
        .map_err(|error| NotStarted(format!("CannotStartContainerError: failed to create containerd task: {error}")))?;
    task.process = Some(process.clone());
    task.reach(TaskStatus::Running);
    Ok((process, home))
}

/// What is started.
struct Launch {
    program: PathBuf,
    name: String,
    arguments: Vec<String>,
    environment: BTreeMap<String, String>,
}

impl Launch {
    /// Finds the image's program and puts its environment together.
    fn new(core: &Core, arn: &str, home: &TempDir, failure: Option<&TaskFailure>) -> Result<Self, NotStarted> {
        let state = core.state();
        let Some(task) = state.ecs.tasks.get(arn) else { return Err(NotStarted("forgotten".to_owned())) };
        let container = &task.container;
        let image = state.ecs.images.get(&container.image).filter(|_| failure != Some(&TaskFailure::Image));
        let image = image.ok_or_else(|| {
            let image = &container.image;
            NotStarted(format!(
                "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref {image}: \
                 {image}: not found"
            ))
        })?;
        let name = container.entry_point.iter().chain(&container.command).next().cloned().unwrap_or_default();
        let program = image.programs.get(&name).cloned().ok_or_else(|| {
            NotStarted(format!(
                "CannotStartContainerError: failed to create containerd task: failed to create shim task: OCI runtime \
                 create failed: exec: \"{name}\": stat {name}: no such file or directory: unknown"
            ))
        })?;
        let environment = environment(task, &core.url(), home);
        if failure == Some(&TaskFailure::Killed(Duration::ZERO)) {
            // No signal is faster than a program's first steps.
            let arguments = ["-c", "kill -9 $$"].map(str::to_owned).into();
            return Ok(Self { program: "/bin/sh".into(), name, arguments, environment });
        }
        Ok(Self { program, name, arguments: task.arguments(), environment })
    }
}

/// What the image and Fargate set, what the task definition and the overrides say, and what the agent puts over it all.
fn environment(task: &Task, url: &str, home: &TempDir) -> BTreeMap<String, String> {
    let before = [
        ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()),
        ("HOME", home.path().display().to_string()),
        ("HOSTNAME", "ip-10-0-0-1.eu-central-1.compute.internal".to_owned()),
        ("AWS_REGION", REGION.to_owned()),
        ("AWS_DEFAULT_REGION", REGION.to_owned()),
    ];
    let mut declared = task.container.environment.clone();
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

/// Waits for the end of a task's program, and brings it about if so ordered.
async fn attend(
    core: &Core,
    arn: &str,
    process: &Process,
    mut orders: watch::Receiver<Order>,
    failure: Option<TaskFailure>,
) {
    let fate = async {
        match failure {
            Some(TaskFailure::Killed(after)) => {
                sleep(after).await;
                process.kill();
            }
            Some(TaskFailure::OutOfMemory(after)) => {
                sleep(after).await;
                with(core, arn, |task| task.reason = Some(OUT_OF_MEMORY.to_owned()));
                process.kill();
            }
            Some(TaskFailure::Capacity | TaskFailure::SlowStart(_) | TaskFailure::Image) | None => {}
        }
        std::future::pending::<()>().await;
    };
    let ordered = async {
        let _ = orders.wait_for(|order| *order != Order::Live).await;
        if *orders.borrow() == Order::Stop {
            process.signal(Signal::TERM);
            let mut timeout = Duration::ZERO;
            with(core, arn, |task| timeout = task.container.stop_timeout);
            let _ = tokio::time::timeout(timeout, orders.wait_for(|order| *order == Order::Die)).await;
        }
        process.kill();
        std::future::pending::<()>().await;
    };
    let status = tokio::select! {
        status = process.ended() => status,
        () = fate => return,
        () = ordered => return,
    };
    with(core, arn, |task| {
        task.exit_code = Some(exit_code(status));
        task.process = None;
        task.ends("EssentialContainerExited", EXITED);
    });
}

/// As a shell or a container tells it.
fn exit_code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}
