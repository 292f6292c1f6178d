//! The tasks of services: no processes, only states, that go on with each tick as their script says.

use std::time::Instant;

use super::Service;
use crate::ecs::Ecs;
use crate::ecs::definition::Definition;
use crate::ecs::life::cannot_pull;
use crate::ecs::script::{Fate, HealthCheck, Script, Scripts};
use crate::ecs::task::{Task, TaskStatus};

/// After how many ticks a task that runs is taken for a healthy one.
const SETTLED: usize = 3;
/// After how many ticks a task that isn't well is noticed.
const NOTICED: usize = 2;
/// Who stops the tasks that a service has no use for.
const SCHEDULER: &str = "ServiceSchedulerInitiated";

/// What a task is to its service.
#[derive(Debug)]
pub(in crate::ecs) struct Serves {
    /// The ARN of the service.
    pub(in crate::ecs) service: String,
    script: Script,
    /// The container that the script is about.
    container: usize,
    /// How long it has been in its state.
    ticks: usize,
    since: Instant,
}

/// What a service hears of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Happening {
    /// It runs.
    Up,
    /// It came to nothing by itself.
    Failed,
    /// It must go because of its health.
    Unhealthy(HealthCheck),
    /// It runs no more, as it was told.
    Down,
}

impl Task {
    fn images(&self) -> Vec<&str> {
        self.containers.iter().map(|one| one.definition.image.as_str()).collect()
    }

    /// Whether it has run for a while and is to go on.
    pub(super) fn is_healthy(&self) -> bool {
        let settled = self.serves.as_ref().is_some_and(|serves| serves.ticks >= SETTLED);
        self.is_wanted() && self.last == TaskStatus::Running && settled
    }

    /// Whether nothing of it has ended.
    pub(super) fn serves_on(&self) -> bool {
        self.containers.iter().all(|one| one.exit_code.is_none() || !one.definition.essential)
    }

    /// Tells it to stop, for its service's reason.
    pub(super) fn scale_down(&mut self, deployment: &str) {
        self.ends(SCHEDULER, &format!("Scaling activity initiated by (deployment {deployment})"));
    }

    fn go_to(&mut self, status: TaskStatus) {
        self.reach(status);
        if let Some(serves) = &mut self.serves {
            (serves.ticks, serves.since) = (0, Instant::now());
        }
    }

    /// Goes on by one tick; `service` is the name of its service, `balancer` the target group that asks for its health.
    pub(super) fn tick(&mut self, scripts: &mut Scripts, service: &str, balancer: &str) -> Option<Happening> {
        let serves = self.serves.as_mut()?;
        serves.ticks += 1;
        let (fate, lingers) = (serves.script.fate, serves.since.elapsed() < serves.script.lingers);
        let stops = self.desired == TaskStatus::Stopped;
        match self.last {
            TaskStatus::Provisioning | TaskStatus::Pending | TaskStatus::Activating if stops => {
                self.go_to(TaskStatus::Deprovisioning);
            }
            TaskStatus::Provisioning => self.go_to(TaskStatus::Pending),
            TaskStatus::Pending => return self.pull(scripts, service, fate),
            TaskStatus::Activating => {
                self.go_to(TaskStatus::Running);
                self.speak();
                return Some(Happening::Up);
            }
            TaskStatus::Running if stops => self.go_to(TaskStatus::Deactivating),
            TaskStatus::Running => return self.meet(fate, balancer),
            TaskStatus::Deactivating if lingers => {}
            TaskStatus::Deactivating => {
                self.go_to(TaskStatus::Stopping);
                let told = self.stop.as_ref().is_some_and(|stop| stop.code == SCHEDULER);
                return told.then_some(Happening::Down);
            }
            TaskStatus::Stopping => {
                // Those that nothing else has ended end well when they are told to.
                self.containers.iter_mut().for_each(|one| one.exit_code = one.exit_code.or(Some(0)));
                self.go_to(TaskStatus::Deprovisioning);
            }
            TaskStatus::Deprovisioning => self.go_to(TaskStatus::Stopped),
            TaskStatus::Stopped => {}
        }
        None
    }

    /// Pulls its images.
    fn pull(&mut self, scripts: &mut Scripts, service: &str, fate: Fate) -> Option<Happening> {
        let missing = self.images().iter().position(|image| !scripts.is_there(image));
        match fate {
            Fate::Stuck => {
                let (script, container) = scripts.cast(service, &self.images());
                let serves = self.serves.as_mut()?;
                (serves.script, serves.container) = (script, container);
                None
            }
            Fate::ImageMissing => self.fail_to_pull(self.serves.as_ref()?.container),
            Fate::Healthy | Fate::Crash(_) | Fate::Unhealthy(_) => {
                if let Some(missing) = missing {
                    return self.fail_to_pull(missing);
                }
                for one in &mut self.containers {
                    one.digest = Some(scripts.digest_of(&one.definition.image));
                }
                self.go_to(TaskStatus::Activating);
                None
            }
        }
    }

    fn fail_to_pull(&mut self, number: usize) -> Option<Happening> {
        let container = self.containers.get_mut(number)?;
        let reason = cannot_pull(&container.definition.image);
        container.reason = Some(reason.clone());
        self.ends("TaskFailedToStart", &reason);
        self.go_to(TaskStatus::Deprovisioning);
        Some(Happening::Failed)
    }

    /// Writes what its script says.
    fn speak(&mut self) {
        let Some(serves) = &self.serves else { return };
        let Some(container) = self.containers.get(serves.container) else { return };
        serves.script.says.iter().for_each(|line| container.log.write(line));
    }

    /// Lets it fare as its script says, once its time has come.
    fn meet(&mut self, fate: Fate, balancer: &str) -> Option<Happening> {
        let serves = self.serves.as_ref()?;
        let (ticks, number) = (serves.ticks, serves.container);
        let due = serves.since.elapsed() >= serves.script.after;
        let well = |one: &mut crate::ecs::task::TaskContainer, healthy| {
            one.healthy = one.definition.health_check.then_some(healthy);
        };
        match fate {
            Fate::Crash(exit_code) if due => {
                self.serves.as_mut()?.script.fate = Fate::Healthy;
                if !self.container_ended(number, exit_code) {
                    return None;
                }
                self.go_to(TaskStatus::Deactivating);
                Some(Happening::Failed)
            }
            Fate::Unhealthy(check) if due && ticks >= NOTICED => {
                if check == HealthCheck::Container {
                    well(self.containers.get_mut(number)?, false);
                }
                let reason = match check {
                    HealthCheck::Container => "Task failed container health checks".to_owned(),
                    HealthCheck::LoadBalancer => format!("Task failed ELB health checks in (target-group {balancer})"),
                };
                self.ends(SCHEDULER, &reason);
                Some(Happening::Unhealthy(check))
            }
            Fate::Healthy | Fate::Crash(_) | Fate::Unhealthy(_) | Fate::ImageMissing | Fate::Stuck => {
                if ticks == SETTLED {
                    self.containers.iter_mut().for_each(|one| well(one, true));
                }
                None
            }
        }
    }
}

impl Ecs {
    /// Starts a task of a service's deployment; its id.
    pub(super) fn start_task(&mut self, service: &Service, deployment: &str, definition: &Definition) -> String {
        let mut task = self.new_task(&service.cluster, definition);
        let (script, container) = self.scripts.cast(&service.name, &task.images());
        task.group = format!("service:{}", service.name);
        task.started_by = Some(deployment.to_owned());
        task.serves = Some(Serves { service: service.arn.clone(), script, container, ticks: 0, since: Instant::now() });
        let id = task.id().to_owned();
        self.tasks.insert(task.arn.clone(), task);
        id
    }
}
