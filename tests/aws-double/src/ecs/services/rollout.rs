//! The scheduler: with each tick it stops and starts tasks, within what the deployment configuration allows, and judges
//! deployments.

use serde_json::Value;

use super::task::Happening;
use super::{Deployment, Rollout, Service, Status};
use crate::ecs::Ecs;
use crate::ecs::script::HealthCheck;
use crate::ecs::task::{Task, TaskStatus};

/// The longest that a deployment starts nothing after a failure, in ticks; AWS lets it grow to 27 minutes.
const LONGEST_PAUSE: usize = 50;

const IMPAIRED: &str = "is unable to consistently start tasks successfully. For more information, see the Troubleshooting \
                        section of the Amazon ECS Developer Guide.";

impl Service {
    /// A percentage of the deployment configuration.
    fn percent(&self, name: &str, default: usize) -> usize {
        self.deployment_configuration[name].as_u64().and_then(|value| usize::try_from(value).ok()).unwrap_or(default)
    }

    /// How many tasks must always be healthy.
    fn least(&self) -> usize {
        (self.desired * self.percent("minimumHealthyPercent", 100)).div_ceil(100)
    }

    /// How many tasks there may be at once.
    fn most(&self) -> usize {
        self.desired * self.percent("maximumPercent", 200) / 100
    }

    fn breaker(&self, what: &str) -> bool {
        self.deployment_configuration["deploymentCircuitBreaker"][what].as_bool().unwrap_or(false)
    }

    /// After how many failures the circuit breaker opens: half of the tasks, but 3 to 200, unless it says otherwise.
    pub(super) fn threshold(&self) -> usize {
        let said = &self.deployment_configuration["deploymentCircuitBreaker"]["thresholdConfiguration"];
        let value = said["value"].as_u64().and_then(|value| usize::try_from(value).ok()).unwrap_or(50);
        let share = (self.desired * value).div_ceil(100);
        match said["type"].as_str().unwrap_or("BOUNDED_PERCENT") {
            "COUNT" => value.max(1),
            "UNBOUNDED_PERCENT" => share.max(1),
            _ => share.clamp(3, 200),
        }
    }

    fn balancer(&self) -> &str {
        let balancers = self.said.get("loadBalancers").and_then(Value::as_array);
        balancers.and_then(|all| all.first()?["targetGroupArn"].as_str()).unwrap_or("none")
    }

    fn port(&self) -> u64 {
        let balancers = self.said.get("loadBalancers").and_then(Value::as_array);
        balancers.and_then(|all| all.first()?["containerPort"].as_u64()).unwrap_or(80)
    }
}

/// `(task a) (task b)`.
fn named(ids: &[String]) -> String {
    ids.iter().map(|id| format!("(task {id})")).collect::<Vec<_>>().join(" ")
}

impl Ecs {
    /// Lets time pass for a service.
    pub(super) fn tick_service(&mut self, arn: &str) {
        let Some(mut service) = self.services.remove(arn) else { return };
        if service.rolls() && service.status != Status::Inactive {
            self.tick_tasks(&mut service);
            self.open_breaker(&mut service);
            self.complete(&mut service);
            self.stop_tasks(&mut service);
            self.start_tasks(&mut service);
            self.end(&mut service);
        }
        self.services.insert(arn.to_owned(), service);
    }

    fn tasks_of_service<'a>(&'a self, service: &'a Service) -> impl Iterator<Item = &'a Task> {
        self.tasks.values().filter(|task| task.serves.as_ref().is_some_and(|serves| serves.service == service.arn))
    }

    /// Lets its tasks go on, and says what happens to them.
    fn tick_tasks(&mut self, service: &mut Service) {
        let (mut up, mut down) = (Vec::new(), Vec::new());
        let balancer = service.balancer().to_owned();
        for task in self.tasks.values_mut() {
            if task.serves.as_ref().is_none_or(|serves| serves.service != service.arn) {
                continue;
            }
            let id = task.id().to_owned();
            match task.tick(&mut self.scripts, &service.name, &balancer) {
                None => continue,
                Some(Happening::Up) => up.push(id),
                Some(Happening::Down) => down.push(id),
                Some(Happening::Failed) => service.failed(task.started_by.as_deref()),
                Some(Happening::Unhealthy(HealthCheck::Container)) => {
                    service.says(&mut self.events, &format!("(task {id}) failed container health checks."));
                    service.failed(task.started_by.as_deref());
                }
                Some(Happening::Unhealthy(HealthCheck::LoadBalancer)) => {
                    let port = service.port();
                    let message = format!(
                        "(task {id}) (port {port}) is unhealthy in (target-group {balancer}) due to (reason Health checks \
                         failed with these codes: [502])."
                    );
                    service.says(&mut self.events, &message);
                    service.failed(task.started_by.as_deref());
                }
            }
            service.steady = false;
        }
        if !up.is_empty() && service.balanced() {
            let message = format!("registered {} targets in (target-group {balancer})", up.len());
            service.says(&mut self.events, &message);
        }
        if !down.is_empty() {
            let message = format!("has stopped {} running tasks: {}.", down.len(), named(&down));
            service.says(&mut self.events, &message);
        }
    }

    /// Lets the PRIMARY deployment fail after too many failures, and go back if that is wanted.
    fn open_breaker(&mut self, service: &mut Service) {
        let Some(primary) = service.deployments.first() else { return };
        let id = primary.id.clone();
        let healthy = self.tasks_of(&service.arn, &id).any(Task::is_healthy);
        let threshold = service.threshold();
        let keeps = service.deployment_configuration["deploymentCircuitBreaker"]["resetOnHealthyTask"] == false;
        let (enabled, rollback) = (service.breaker("enable"), service.breaker("rollback"));
        let Some(primary) = service.deployments.first_mut() else { return };
        if healthy && !keeps {
            primary.failed = 0;
        }
        if primary.rollout != Rollout::InProgress || primary.failed < threshold {
            return;
        }
        if !enabled {
            if !std::mem::replace(&mut primary.impaired, true) {
                service.says(&mut self.events, IMPAIRED);
            }
            return;
        }
        let goes_back = rollback && !primary.goes_back;
        primary.ends(Rollout::Failed, "ECS deployment circuit breaker: tasks failed to start.");
        service.says(&mut self.events, &format!("(deployment {id}) deployment failed: tasks failed to start."));
        if let Some((to, definition)) = service.completed.clone().filter(|_| goes_back) {
            let mut back = self.new_deployment(&definition);
            back.goes_back = true;
            back.reason = format!("ECS deployment circuit breaker: rolling back to deploymentId {to}.");
            service.deployments.insert(0, back);
            service.says(&mut self.events, &format!("rolling back to deployment {to}."));
        }
    }

    /// Lets the PRIMARY deployment be completed when its tasks are all there is.
    fn complete(&mut self, service: &mut Service) {
        let Some(primary) = service.deployments.first() else { return };
        let id = primary.id.clone();
        let healthy = self.tasks_of(&service.arn, &id).filter(|task| task.is_healthy()).count();
        let wanted = self.counts(&service.arn, &id).wanted;
        let others = service.deployments.iter().skip(1).map(|other| self.counts(&service.arn, &other.id));
        let left: usize = others.map(|counts| counts.pending + counts.running).sum();
        let done = (healthy, wanted, left) == (service.desired, service.desired, 0);
        if service.status != Status::Active || primary.rollout == Rollout::Failed || service.steady || !done {
            return;
        }
        if primary.rollout == Rollout::InProgress {
            service.deployments.truncate(1);
            service.says(&mut self.events, &format!("(deployment {id}) deployment completed."));
            if let Some(primary) = service.deployments.first_mut() {
                primary.ends(Rollout::Completed, &format!("ECS deployment {id} completed."));
                service.completed = Some((id, primary.definition.clone()));
            }
        }
        service.steady = true;
        service.says(&mut self.events, "has reached a steady state.");
    }

    /// Stops what is of older deployments as soon as there is enough without it, and what is too much.
    fn stop_tasks(&mut self, service: &mut Service) {
        let Some(primary) = service.deployments.first() else { return };
        if primary.rollout == Rollout::Failed && service.status == Status::Active {
            return;
        }
        let mut spare = self.tasks_of_service(service).filter(|task| task.is_healthy()).count();
        spare = spare.saturating_sub(service.least());
        let mut extra = self.counts(&service.arn, &primary.id).wanted.saturating_sub(service.desired);
        let mut stopped = Vec::new();
        for task in self.tasks_of_service(service).filter(|task| task.is_wanted()) {
            let takes = |left: &mut usize| std::mem::replace(left, left.saturating_sub(1)) > 0;
            let stops = match task.started_by.as_deref() == Some(&primary.id) {
                true => takes(&mut extra),
                false => !task.is_healthy() || takes(&mut spare),
            };
            if stops {
                stopped.push((task.arn.clone(), task.last == TaskStatus::Running));
            }
        }
        let running = stopped.iter().filter(|(_, running)| *running).count();
        for (arn, _) in &stopped {
            if let Some(task) = self.tasks.get_mut(arn) {
                task.scale_down(&primary.id);
            }
        }
        if running > 0 && service.balanced() {
            let message = format!("deregistered {running} targets in (target-group {})", service.balancer());
            service.says(&mut self.events, &message);
            service.says(&mut self.events, &format!("has begun draining connections on {running} tasks."));
        }
    }

    /// Starts as many tasks of the PRIMARY deployment as are missing and may be.
    fn start_tasks(&mut self, service: &mut Service) {
        let alive = self.tasks_of_service(service).filter(|task| task.is_wanted()).count();
        let (desired, most) = (service.desired, service.most());
        let Some(primary) = service.deployments.first_mut() else { return };
        if primary.rollout == Rollout::Failed || service.status != Status::Active {
            return;
        }
        if primary.pause > 0 {
            primary.pause -= 1;
            return;
        }
        let (id, named_definition) = (primary.id.clone(), primary.definition.clone());
        let missing = desired.saturating_sub(self.counts(&service.arn, &id).wanted).min(most.saturating_sub(alive));
        let account = service.arn.split(':').nth(4).unwrap_or_default();
        let Some(definition) = self.definition(&named_definition, account).cloned().filter(|_| missing > 0) else {
            return;
        };
        let started: Vec<_> = (0..missing).map(|_| self.start_task(service, &id, &definition)).collect();
        service.steady = false;
        service.says(&mut self.events, &format!("has started {missing} tasks: {}.", named(&started)));
    }

    /// Lets a service be gone whose last task has stopped.
    fn end(&mut self, service: &mut Service) {
        let over = self.tasks_of_service(service).all(|task| task.last == TaskStatus::Stopped);
        if service.status == Status::Draining && over {
            service.status = Status::Inactive;
            service.deployments.clear();
        }
    }
}

impl Service {
    /// Notes that a task of a deployment came to nothing.
    fn failed(&mut self, deployment: Option<&str>) {
        let of = |one: &&mut Deployment| Some(one.id.as_str()) == deployment;
        if let Some(one) = self.deployments.iter_mut().find(of) {
            if one.rollout == Rollout::InProgress {
                one.failed += 1;
            }
            one.pause = one.failed.min(LONGEST_PAUSE);
        }
    }
}

impl Deployment {
    fn ends(&mut self, rollout: Rollout, reason: &str) {
        self.rollout = rollout;
        self.reason = reason.to_owned();
        self.updated = std::time::SystemTime::now();
    }
}
