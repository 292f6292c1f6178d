//! Scheduled tasks: what schedules and rules of EventBridge start is moved to the build, and nothing else of them changes.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed helper is a failed test")]

use aws_double::{Failure, PRODUCTION, Role};
use flows::cloud::{allow, statements};
use flows::{Scratch, Services, wait_until};
use serde_json::{Value, json};

/// What a target is started with. It is nobody's business outside of production.
const INPUT: &str = r#"{"containerOverrides": [{"name": "web", "command": ["report", "hunter2"]}]}"#;
const CLUSTER: &str = "arn:aws:ecs:eu-central-1:222222222222:cluster/apps";

/// The project, what it has scheduled, and the definition of that.
struct World {
    services: Services,
    /// The schedule's ARN.
    schedule: String,
    /// The ARN of the definition that all of it starts.
    first: String,
}

impl std::ops::Deref for World {
    type Target = Services;

    fn deref(&self) -> &Services {
        &self.services
    }
}

impl World {
    /// With this step beside those of the example, and a schedule and a rule, both called `nightly`.
    fn new(step: &str) -> Self {
        let services = Services::new();
        let production = services.double.account(PRODUCTION);
        for service in ["events", "scheduler"] {
            let trusted = json!({"Service": format!("{service}.amazonaws.com")});
            production.role(Role::new(service, &trusted, Vec::new()));
        }
        let mut definition = services.double.definition(&services.first);
        definition["family"] = "nightly".into();
        let first = production.task_definition(&definition);
        let schedule = production.schedule(&schedule(&first));
        production.rule(&rule(), &[queue(), target("report", &first)]);
        let world = Self { services, schedule, first };
        let also = [may()];
        world.services.configure_with(&also, |_, _| {});
        world.schedules(step);
        world
    }

    /// Has this step in `airlock.toml`, in the place of an earlier one of this kind.
    fn schedules(&self, step: &str) {
        let toml = self.path("airlock.toml");
        let text = std::fs::read_to_string(&toml).unwrap();
        let (others, _) = text.split_once("\n# scheduled\n").unwrap_or((&text, ""));
        std::fs::write(&toml, format!("{others}\n# scheduled\n[[deploy]]\n{step}\ncontainers = {{ web = \"web\" }}\n"))
            .unwrap();
        self.commit("Schedule something");
    }

    /// The schedule, without when it was changed.
    fn scheduled(&self) -> Value {
        let mut schedule = self.double.schedule(&self.schedule);
        drop(schedule.as_object_mut().unwrap().remove("LastModificationDate"));
        schedule
    }

    fn targets(&self) -> Vec<Value> {
        self.double.account(PRODUCTION).targets("nightly")
    }

    /// The definition that the rule starts.
    fn started(&self) -> String {
        self.targets()[1]["EcsParameters"]["TaskDefinitionArn"].as_str().unwrap().to_owned()
    }

    /// Calls that would have changed something.
    fn changes(&self) -> usize {
        let changing = ["events:PutTargets", "scheduler:UpdateSchedule", "ecs:RegisterTaskDefinition"];
        changing.iter().map(|action| self.double.calls_of(action).len()).sum()
    }

    fn expect_untouched(&self) {
        assert_eq!((self.started(), self.changes()), (self.first.clone(), 0));
    }
}

/// With what nobody has heard of yet.
fn schedule(definition: &str) -> Value {
    json!({
        "Name": "nightly", "GroupName": "jobs", "ScheduleExpression": "cron(0 3 * * ? *)", "StartDate": 1.7e9,
        "ScheduleExpressionTimezone": "Europe/Berlin", "State": "DISABLED", "Description": "Every night",
        "FlexibleTimeWindow": {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 5}, "unheardOf": {"deeply": [null, 1.5]},
        "Target": {
            "Arn": CLUSTER, "RoleArn": "arn:aws:iam::222222222222:role/scheduler", "Input": INPUT,
            "DeadLetterConfig": {"Arn": "arn:aws:sqs:eu-central-1:222222222222:dead"}, "unheardOf": [1],
            "EcsParameters": {
                "TaskDefinitionArn": definition, "TaskCount": 1, "LaunchType": "FARGATE", "unheardOf": "x",
                "NetworkConfiguration": {"awsvpcConfiguration": {"Subnets": ["subnet-1"]}},
            },
        },
    })
}

fn rule() -> Value {
    json!({"Name": "nightly", "EventPattern": "{\"source\": [\"orders\"]}"})
}

fn queue() -> Value {
    json!({"Id": "queue", "Arn": "arn:aws:sqs:eu-central-1:222222222222:jobs"})
}

fn target(id: &str, definition: &str) -> Value {
    json!({
        "Id": id, "Arn": CLUSTER, "RoleArn": "arn:aws:iam::222222222222:role/events", "Input": INPUT,
        "RetryPolicy": {"MaximumRetryAttempts": 3}, "unheardOf": {"deeply": [{"nested": null}, 1.5]},
        "EcsParameters": {"TaskDefinitionArn": definition, "TaskCount": 2, "LaunchType": "FARGATE", "unheardOf": ["x"]},
    })
}

/// What docs/operations.md lets a worker do to scheduled tasks.
fn may() -> Value {
    let roles = json!(["arn:aws:iam::222222222222:role/events", "arn:aws:iam::222222222222:role/scheduler"]);
    statements(&json!([
        allow(&["events:DescribeRule", "events:ListTargetsByRule"], "arn:aws:events:eu-central-1:222222222222:rule/*"),
        allow(&["scheduler:GetSchedule"], "arn:aws:scheduler:eu-central-1:222222222222:schedule/*"),
        allow(&["events:PutTargets"], "arn:aws:events:eu-central-1:222222222222:rule/*"),
        allow(&["scheduler:UpdateSchedule"], "arn:aws:scheduler:eu-central-1:222222222222:schedule/*"),
        {"Effect": "Allow", "Action": "iam:PassRole", "Resource": roles, "Condition": {"StringEquals": {
            "iam:PassedToService": ["events.amazonaws.com", "scheduler.amazonaws.com"]}}},
    ]))
}

const SCHEDULE: &str = "schedule = \"nightly\"\nschedule-group = \"jobs\"";
const RULE: &str = "rule = \"nightly\"";

#[test]
fn a_schedule_starts_the_build_and_nothing_else_of_it_changes() {
    let world = World::new(&format!("{SCHEDULE}\ncpu = 512\nenvironment = {{ web = {{ DAYS = \"7\" }} }}"));
    let (before, definition) = (world.scheduled(), world.double.definition(&world.first));
    let ran = world.cloud.deploys().exits(0);
    for words in [
        "update   schedule jobs/nightly in apps: web 111111111111 → ",
        "cpu: 256 → 512",
        "containers.web.environment.DAYS: → \"7\"",
    ] {
        assert!(ran.stderr.contains(words), "{}", ran.all());
    }
    let mut expected = before;
    let second = world.first.replace(":1", ":2");
    expected["Target"]["EcsParameters"]["TaskDefinitionArn"] = second.as_str().into();
    assert_eq!(world.scheduled(), expected);
    let mut revised = definition;
    let web = &mut revised["containerDefinitions"][0];
    web["image"] = format!("{}/hello/web@{}", world.registry.address(), world.image_digest()).into();
    web["environment"] = json!([{"name": "PASSWORD", "value": "hunter2"}, {"name": "DAYS", "value": "7"}]);
    revised["cpu"] = "512".into();
    assert_eq!(world.double.definition(&second), revised);
    let told = world.progress(&world.job("apply", 1)).join("\n");
    assert!(told.contains(&format!("schedule jobs/nightly: it starts {second} from now on")), "{told}");
    assert!(!told.contains("hunter2") && !ran.all().contains("hunter2"), "{}", ran.all());
    let change = world.planned_change();
    assert_eq!(change["schedules"][0]["taskDefinition"], world.first);
    assert!(!change.to_string().contains("hunter2"), "{change}");
    let record = &world.records()[0]["steps"][2];
    assert_eq!((&record["name"], &record["outcome"]), (&"schedule jobs/nightly".into(), &"done".into()));

    // The same build again: there is nothing to do. Then another one.
    let calls = world.changes();
    world.commit("Nothing");
    world.cloud.deploys().exits(0);
    assert_eq!(world.changes(), calls);
    assert!(world.progress(&world.job("apply", 2)).join("\n").contains("it starts this build already"));
    world.change_page("the second build");
    world.cloud.deploys().exits(0);
    assert_eq!(world.scheduled()["Target"]["EcsParameters"]["TaskDefinitionArn"], world.first.replace(":1", ":3"));
    world.audit();
}

#[test]
fn the_target_of_a_rule_starts_the_build_and_nothing_else_of_the_rule_changes() {
    let world = World::new(RULE);
    let ran = world.cloud.deploys().exits(0);
    assert!(ran.stderr.contains("update   rule nightly in apps: web 111111111111 → "), "{}", ran.all());
    assert!(!ran.all().contains("hunter2"), "{}", ran.all());
    assert_eq!(world.targets(), [queue(), target("report", &world.first.replace(":1", ":2"))]);
    world.commit("Nothing");
    let calls = world.changes();
    world.cloud.deploys().exits(0);
    assert_eq!(world.changes(), calls);

    // Somebody moves it back by hand.
    world.airlock(&["deployed", "--check"]).exits(0);
    world.double.account(PRODUCTION).rule(&rule(), &[target("report", &world.first)]);
    let ran = world.airlock(&["deployed", "--check"]).exits(4);
    assert!(ran.stdout.contains("update   rule nightly in apps: web 111111111111 → "), "{}", ran.all());
    world.audit();
}

#[test]
fn a_target_that_names_a_family_goes_on_with_what_it_started_until_it_is_moved() {
    let world = World::new(RULE);
    let family = world.first.trim_end_matches(":1").to_owned();
    world.double.account(PRODUCTION).rule(&rule(), &[target("report", &family)]);
    world.cloud.deploys().exits(0);
    let put: Vec<_> =
        world.double.calls_of("events:PutTargets").iter().map(|call| call.parameters["Targets"].clone()).collect();
    assert_eq!(put.len(), 2);
    assert!(put[0].contains(&world.first) && put[1].contains(&world.first.replace(":1", ":2")), "{put:?}");
    assert_eq!(world.started(), world.first.replace(":1", ":2"));
    let calls = world.double.calls();
    let at = |action: &str| {
        calls.iter().position(|call| call.action == action && call.parameters.values().any(|v| v.contains("nightly")))
    };
    assert!(
        at("events:PutTargets") < at("ecs:RegisterTaskDefinition"),
        "otherwise it would start what is not moved yet"
    );
}

#[test]
fn a_target_that_names_a_family_stays_as_it_is_if_nothing_would_change() {
    let world = World::new(RULE);
    world.cloud.deploys().exits(0);
    let family = world.first.trim_end_matches(":1").to_owned();
    world.double.account(PRODUCTION).rule(&rule(), &[queue(), target("report", &family)]);
    world.commit("Nothing");
    let calls = world.changes();
    world.cloud.deploys().exits(0);
    assert_eq!((world.started(), world.changes()), (family, calls));
    assert!(world.progress(&world.job("apply", 2)).join("\n").contains("it starts this build already"));
}

#[test]
fn what_somebody_else_changes_during_the_step_stays_and_only_the_definition_goes_back() {
    let world = World::new(RULE);
    world.double.fail("events:PutTargets", Failure::Late(std::time::Duration::from_secs(3)));
    let deploy = world.start_deploy();
    wait_until("the target to be put", || (!world.double.calls_of("events:PutTargets").is_empty()).then_some(()));
    let mut theirs = target("report", &world.first.replace(":1", ":2"));
    theirs["Input"] = "{}".into();
    world.double.account(PRODUCTION).rule(&rule(), &[queue(), theirs.clone()]);
    deploy.end().exits(5).explains(&["schedule.failed", "another of its fields isn't what was put"]);
    theirs["EcsParameters"]["TaskDefinitionArn"] = world.first.as_str().into();
    assert_eq!(world.targets(), [queue(), theirs]);
    assert_eq!(world.end_of(&world.job("apply", 1)).0, "rolled back");
}

#[test]
fn what_somebody_else_changed_since_the_plan_makes_it_stale() {
    let world = World::new(RULE);
    let planned = world.planned();
    let yes = world.approve(&planned);
    let other = world.double.definition(&world.first);
    let other = world.double.account(PRODUCTION).task_definition(&other);
    world.double.account(PRODUCTION).rule(&rule(), &[target("report", &other)]);
    world.apply(&planned, &[&yes]).run.exits(3).because(&["plan.stale"]);
    assert_eq!(world.changes(), 0);
}

#[test]
fn a_target_that_is_not_taken_stays_as_it_was() {
    let world = World::new(RULE);
    for _ in 0..5 {
        world.double.refuse_target("LimitExceededException", "There is no room");
    }
    world.cloud.deploys().exits(5).explains(&[
        "schedule.failed",
        "it starts what it started before: EventBridge says LimitExceededException: There is no room",
    ]);
    assert_eq!(world.started(), world.first);
    let record = world.records().remove(0);
    let outcomes: Vec<_> = (0..3).map(|step| record["steps"][step]["outcome"].clone()).collect();
    assert_eq!((&record["outcome"], outcomes), (&"failed".into(), vec!["done".into(), "done".into(), "failed".into()]));
    assert_eq!(world.newest().rollout, "COMPLETED", "what an earlier step did stays");
    world.audit();
}

#[test]
fn a_busy_aws_is_waited_for() {
    for (step, actions) in [
        (RULE, &["events:DescribeRule", "events:ListTargetsByRule", "events:PutTargets"][..]),
        (SCHEDULE, &["scheduler:GetSchedule", "scheduler:UpdateSchedule"]),
    ] {
        let world = World::new(step);
        for action in actions {
            for failure in [Failure::Throttled, Failure::Broken, Failure::Lost] {
                world.double.fail(action, failure);
            }
        }
        world.double.refuse_target("ConcurrentModificationException", "Too many at once");
        world.cloud.deploys().exits(0);
        assert_eq!(world.records()[0]["outcome"], "succeeded");
    }
}

/// Calls before the one after the write: of the planner, gate 14, under the lease, the step's own, right before the write.
#[test]
fn what_can_not_be_looked_at_after_it_was_moved_goes_back() {
    let world = World::new(SCHEDULE);
    let before = world.scheduled();
    for _ in 0..5 {
        world.double.fail("scheduler:GetSchedule", Failure::None);
    }
    let (status, code, message) = (403, "AccessDeniedException", "no more");
    world.double.fail("scheduler:GetSchedule", Failure::Error { status, code, message });
    world.cloud.deploys().exits(5).explains(&["schedule.failed", "it can't be looked at", "it starts", "again"]);
    assert_eq!(world.scheduled(), before);
    assert_eq!(world.double.calls_of("scheduler:UpdateSchedule").len(), 2);
    assert_eq!(world.records()[0]["steps"][2]["outcome"], "rolled-back");
    assert_eq!(world.end_of(&world.job("apply", 1)).0, "rolled back");
}

#[test]
fn what_is_deleted_meanwhile_is_told() {
    let world = World::new(SCHEDULE);
    world.double.fail("ecs:UpdateService", Failure::Slow(std::time::Duration::from_secs(3)));
    let deploy = world.start_deploy();
    let job = world.job("apply", 1);
    world.wait_for(&job, "intent 2");
    world.double.delete_schedule(&world.schedule);
    deploy.end().exits(5).explains(&["schedule.failed", "it isn't there"]);
    assert_eq!(world.end_of(&job).0, "failed");
}

#[test]
fn what_can_not_be_moved_is_refused_while_planning_with_every_reason() {
    let world = World::new(RULE);
    let production = world.double.account(PRODUCTION);
    let of = |step: &str, words: &[&str]| {
        world.schedules(step);
        world.cloud.plans(&world.publish()).exits(3).explains(&[&["schedule.unsupported"], words].concat());
    };
    production.rule(&json!({"Name": "queues"}), &[queue()]);
    of("rule = \"queues\"", &["rule queues: none of its targets is a task of ECS"]);
    of("rule = \"nightly\"\ntarget = \"queue\"", &["rule nightly (target queue): its target arn:aws:sqs:"]);
    production.rule(&json!({"Name": "managed", "ManagedBy": "ssm.amazonaws.com"}), &[target("a", &world.first)]);
    of("rule = \"managed\"", &["ssm.amazonaws.com manages it"]);
    production.rule(&rule(), &[target("other", &world.first)]);
    of(RULE, &["several of its targets are tasks of ECS (report, other): say which is meant (target)"]);
    of(
        "rule = \"nightly\"\ntarget = \"other\"\nenvironment = { gone = { A = \"1\" }, lost = { A = \"1\" } }",
        &["has no container gone", "has no container lost"],
    );
    let mut other = schedule(&world.first);
    other["Target"] = json!({"Arn": "arn:aws:lambda:eu-central-1:222222222222:function:x", "RoleArn": "x"});
    production.schedule(&other);
    of(SCHEDULE, &["schedule jobs/nightly: its target arn:aws:lambda:"]);
    world.services.configure_with(&[may()], |_, config| config["targets"]["projects"]["hello"]["rules"] = json!([]));
    world.schedules(RULE);
    world.cloud.plans(&world.publish()).exits(3).explains(&["target.forbidden", "list `nightly` under `rules`"]);
    world.services.configure_with(&[may()], |_, _| {});
    world.expect_untouched();
    // The one that is meant, though there are others.
    world.schedules("rule = \"nightly\"\ntarget = \"other\"");
    world.cloud.deploys().exits(0);
    let moved = world.first.replace(":1", ":2");
    assert_eq!(world.targets(), [queue(), target("report", &world.first), target("other", &moved)]);
}

#[test]
fn what_is_not_there_yet_needs_a_person_and_must_be_there_in_the_end() {
    let world = World::new("schedule = \"weekly\"");
    let planned = world.planned();
    let summary = world.planned_change();
    assert_eq!(
        (&summary["schedules"][0]["taskDefinition"], &summary["schedules"][0]["cluster"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(summary["findings"][0]["rule"], "schedule.created");
    let yes = world.approve(&planned);
    // Terraform was to make it, and didn't.
    world.apply(&planned, &[&yes]).run.exits(5).because(&["schedule.failed"]);
}

#[test]
fn what_another_project_starts_needs_a_person() {
    let world = World::new(RULE);
    let mut other = world.double.definition(&world.first);
    other["containerDefinitions"][0]["image"] = "registry.example/billing:7".into();
    let other = world.double.account(PRODUCTION).task_definition(&other);
    world.double.account(PRODUCTION).rule(&rule(), &[target("report", &other)]);
    world.planned();
    let finding = &world.planned_change()["findings"][0];
    assert_eq!((&finding["rule"], &finding["address"]), (&"schedule.other-images".into(), &"rule nightly".into()));
}

/// Killed after the write: the next job finds it moved. Killed before: it moves it.
#[test]
fn the_job_after_a_worker_that_died_finds_out_and_finishes() {
    let never = std::time::Duration::from_secs(600);
    for failure in [Failure::Slow(never), Failure::Late(never)] {
        let world = World::new(SCHEDULE);
        world.double.fail("scheduler:UpdateSchedule", failure);
        let deploy = world.start_deploy();
        let job = world.job("apply", 1);
        flows::wait_until("the schedule to be put", || world.double.calls_of("scheduler:UpdateSchedule").pop());
        world.double.kill(&world.task_of(&job));
        deploy.end().exits(5).explains(&["worker.died"]);
        world.cloud.deploys().exits(0);
        let named = world.scheduled()["Target"]["EcsParameters"]["TaskDefinitionArn"].clone();
        assert_ne!(named, world.first);
        let revision = world.double.definition(named.as_str().unwrap());
        let image = revision["containerDefinitions"][0]["image"].as_str().unwrap();
        assert!(image.ends_with(&world.image_digest()), "{image}");
        let outcomes: Vec<_> = world.records().iter().map(|record| record["outcome"].clone()).collect();
        assert_eq!(outcomes, ["interrupted", "succeeded"]);
        assert_eq!(world.records()[0]["steps"][2]["outcome"], "unknown");
        world.audit();
    }
}

#[test]
fn nothing_is_said_to_start_where_a_directory_is_the_cluster() {
    let scratch = Scratch::new();
    let toml = scratch.path("airlock.toml");
    let text = std::fs::read_to_string(&toml).unwrap();
    std::fs::write(&toml, format!("{text}\n[[deploy]]\n{RULE}\ncontainers = {{ web = \"web\" }}\n")).unwrap();
    scratch.commit("Schedule something");
    scratch.deploy().exits(3).explains(&["schedule.unsupported", "a directory stands in for the cluster"]);
}
