//! Workers as ECS tasks: what is asked of ECS, and what is made of its answers. Over HTTP, with answers as the API
//! reference has them.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use aws_credential_types::Credentials;
use gateway::{EcsLauncher, Gateway, Launcher};
use manifest_schema::Code;
use manifest_schema::gateway::{Cancelled, Launched, Query, StatusRequest};
use manifest_schema::job::{Happening, JobId, JobOutcome, TaskId, WriterKind};
use manifest_schema::{Document as _, deployment::Heartbeat, storage::Key};
use serde_json::{Value, json};

use crate::work::fetched;
use crate::world::{World, codes};

const TASK: &str = "arn:aws:ecs:eu-central-1:222222222222:task/airlock/0123456789abcdef";
const PLANNER: &str = "arn:aws:ecs:eu-central-1:222222222222:task-definition/planner:3";

/// What ECS answers to a call.
#[derive(Debug, Clone)]
enum Says {
    This(u16, Value),
    /// It does what it is asked, and nobody hears of it.
    Nothing,
}

#[derive(Clone, Default)]
struct Ecs {
    answers: Arc<Mutex<VecDeque<Says>>>,
    /// Each operation with what it was asked.
    calls: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Ecs {
    /// Answers in this order, the last one for ever.
    async fn gateway(&self, world: &World) -> Gateway {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let settings = aws::Settings {
            region: Some("eu-central-1".to_owned()),
            endpoint: Some(format!("http://{}", listener.local_addr().unwrap())),
            role: None,
        };
        let this = self.clone();
        std::thread::spawn(move || listener.incoming().flatten().for_each(|stream| this.serve(stream)));
        let credentials = Credentials::new("AKIA", "secret", None, None, "test");
        let connection = aws::Connection::with_credentials(&settings, &[], credentials).await;
        let config = serde_json::from_value(json!({
            "cluster": "airlock", "planner": PLANNER,
            "deployer": "arn:aws:ecs:eu-central-1:222222222222:task-definition/deployer:9",
            "container": "worker", "subnets": ["subnet-1", "subnet-2"], "securityGroups": ["sg-1"],
        }));
        world.with_launcher(Launcher::Ecs(Box::new(EcsLauncher::new(&connection, config.unwrap()))))
    }

    fn says(&self, answers: &[Says]) -> &Self {
        *self.answers.lock().unwrap() = answers.to_vec().into();
        self
    }

    fn calls(&self, operation: &str) -> Vec<Value> {
        let calls = self.calls.lock().unwrap();
        calls.iter().filter(|(name, _)| name == operation).map(|(_, body)| body.clone()).collect()
    }

    fn serve(&self, stream: TcpStream) {
        let mut reader = BufReader::new(stream);
        let (mut length, mut operation) = (0, String::new());
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            let line = line.trim_end().to_lowercase();
            if line.is_empty() {
                break;
            } else if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.parse().unwrap();
            } else if let Some(value) = line.strip_prefix("x-amz-target: amazonec2containerservicev20141113.") {
                operation = value.to_owned();
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        self.calls.lock().unwrap().push((operation, serde_json::from_slice(&body).unwrap()));
        let mut answers = self.answers.lock().unwrap();
        let answer = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
        let Some(Says::This(status, body)) = answer else { return };
        let body = body.to_string();
        let head = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: application/x-amz-json-1.1\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        );
        let _ = reader.get_mut().write_all(&[head.as_bytes(), body.as_bytes()].concat());
    }
}

fn ran() -> Says {
    Says::This(200, json!({"tasks": [{"taskArn": TASK, "lastStatus": "PROVISIONING"}], "failures": []}))
}

fn refused(kind: &str, message: &str) -> Says {
    Says::This(400, json!({"__type": kind, "message": message}))
}

fn task(status: &str, more: Value) -> Says {
    let mut task = json!({"taskArn": TASK, "lastStatus": status});
    task.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Says::This(200, json!({"tasks": [task], "failures": []}))
}

fn unknown() -> Says {
    Says::This(200, json!({"tasks": [], "failures": [{"arn": TASK, "reason": "MISSING"}]}))
}

async fn launch(gateway: &Gateway, world: &World) -> Result<JobId, String> {
    let answer = gateway.launch(&world.request(1).to_bytes()).await.map_err(|error| {
        assert!(error.is_temporary(), "{error}");
        error.to_string()
    })?;
    match answer.result {
        Launched::Accepted { job, .. } => Ok(job),
        Launched::Refused { reasons } => panic!("refused: {reasons:?}"),
    }
}

async fn look(gateway: &Gateway, job: JobId) -> Result<manifest_schema::gateway::JobStatus, gateway::GatewayError> {
    let request = StatusRequest { schema: Default::default(), query: Query::Job { job, after: 0 } };
    let answer = gateway.status(&request.to_bytes()).await?.answer;
    let manifest_schema::gateway::Answer::Job(status) = answer else { panic!("{answer:?}") };
    Ok(*status)
}

/// Threat model, row 20: a job id, and nothing else.
#[tokio::test]
async fn a_task_is_run_with_the_job_id_and_nothing_else_of_a_requests_choosing() {
    let (world, ecs) = (World::new().await, Ecs::default());
    let gateway = ecs.says(&[ran()]).gateway(&world).await;
    let job = launch(&gateway, &world).await.unwrap();
    let [asked] = &ecs.calls("runtask")[..] else { panic!("{:?}", ecs.calls.lock()) };
    let network =
        json!({"subnets": ["subnet-1", "subnet-2"], "securityGroups": ["sg-1"], "assignPublicIp": "DISABLED"});
    let expected = json!({
        "cluster": "airlock", "taskDefinition": PLANNER, "launchType": "FARGATE", "count": 1,
        "clientToken": job.to_string(), "startedBy": "airlock", "enableExecuteCommand": false,
        "networkConfiguration": {"awsvpcConfiguration": network},
        "overrides": {"containerOverrides": [{"name": "worker", "command": [job.to_string()]}]},
    });
    assert_eq!(*asked, expected);
    assert_eq!(look(&gateway, job).await.unwrap().task.as_deref(), Some(TASK));
}

#[tokio::test]
async fn an_answer_that_was_lost_is_asked_for_again_under_the_same_token() {
    let (world, ecs) = (World::new().await, Ecs::default());
    let gateway = ecs.says(&[Says::Nothing, ran()]).gateway(&world).await;
    let job = launch(&gateway, &world).await.unwrap();
    let tokens: Vec<_> = ecs.calls("runtask").iter().map(|asked| asked["clientToken"].clone()).collect();
    assert_eq!(tokens, [json!(job.to_string()), json!(job.to_string())]);
}

#[tokio::test]
async fn a_launch_that_died_after_its_task_was_run_finds_that_task() {
    let conflict = json!({"__type": "ConflictException", "message": "in use", "resourceIds": [TASK]});
    for second in [ran(), Says::This(400, conflict)] {
        let (world, ecs) = (World::new().await, Ecs::default());
        let full = refused("ClientException", "Capacity is unavailable at this time.");
        let gateway = ecs.says(&[full, second]).gateway(&world).await;
        launch(&gateway, &world).await.unwrap_err();
        // As if the first had been cut off: the job is there, and nothing says which task it has.
        let job = launch(&gateway, &world).await.unwrap();
        assert_eq!(ecs.calls("runtask").len(), 1);
        world.pass(5);
        assert_eq!(look(&gateway, job).await.unwrap().task.as_deref(), Some(TASK));
    }
}

#[tokio::test]
async fn no_capacity_is_tried_again_and_given_up_in_the_end_with_what_ecs_says() {
    let (world, ecs) = (World::new().await, Ecs::default());
    let full = json!({"tasks": [], "failures": [{"reason": "RESOURCE:ENI", "detail": "none left"}]});
    let gateway = ecs.says(&[Says::This(200, full)]).gateway(&world).await;
    let error = launch(&gateway, &world).await.unwrap_err();
    assert!(error.contains("no capacity") && error.contains("RESOURCE:ENI, none left"), "{error}");
    let job = launch(&gateway, &world).await.unwrap();
    world.pass(600);
    assert!(look(&gateway, job).await.unwrap_err().is_temporary());
    world.pass(300);
    let status = look(&gateway, job).await.unwrap();
    assert_eq!((status.outcome, codes(&status.reasons)), (Some(JobOutcome::Failed), vec![Code::TaskCapacity]));
    assert!(status.reasons[0].message.contains("RESOURCE:ENI"), "{}", status.reasons[0]);
}

#[tokio::test]
async fn a_task_that_can_never_be_run_ends_the_job_with_what_to_change() {
    for (answer, words) in [
        (
            refused("AccessDeniedException", "User: x is not authorized to perform: iam:PassRole on resource: r"),
            &["allow ecs:RunTask on arn:aws:ecs:eu-central-1:222222222222:task-definition/planner:3", "iam:PassRole"][..],
        ),
        (refused("InvalidParameterException", "No subnets found"), &["No subnets found", "subnets, security groups"]),
        (refused("ClusterNotFoundException", "Cluster not found."), &["Cluster not found", "check the name"]),
        (
            Says::This(200, json!({"tasks": [], "failures": [{"reason": "INACTIVE"}]})),
            &["did not start", "INACTIVE", "is active"],
        ),
    ] {
        let (world, ecs) = (World::new().await, Ecs::default());
        let gateway = ecs.says(&[answer]).gateway(&world).await;
        let job = launch(&gateway, &world).await.unwrap();
        let status = look(&gateway, job).await.unwrap();
        assert_eq!((status.outcome, codes(&status.reasons)), (Some(JobOutcome::Failed), vec![Code::TaskNotStarted]));
        let message = &status.reasons[0].message;
        assert!(words.iter().all(|word| message.contains(word)), "{message}");
    }
}

#[tokio::test]
async fn a_task_that_ecs_stopped_before_its_first_event_ends_the_job_with_the_reason() {
    let stopped = |code: &str, reason: &str| task("STOPPED", json!({"stopCode": code, "stoppedReason": reason}));
    for (says, code, words) in [
        (
            stopped("TaskFailedToStart", "CannotPullContainerError: not found"),
            Code::TaskImage,
            "CannotPullContainerError",
        ),
        (stopped("TaskFailedToStart", "Capacity is unavailable at this time."), Code::TaskCapacity, "Capacity"),
        (stopped("UserInitiated", "maintenance"), Code::TaskStopped, "maintenance"),
    ] {
        let (world, ecs) = (World::new().await, Ecs::default());
        let gateway = ecs.says(&[ran(), says]).gateway(&world).await;
        let job = launch(&gateway, &world).await.unwrap();
        world.pass(14);
        assert_eq!(look(&gateway, job).await.unwrap().outcome, None);
        assert_eq!(ecs.calls("describetasks").len(), 0, "asked before anything stalled");
        world.pass(1);
        let status = look(&gateway, job).await.unwrap();
        assert_eq!((status.outcome, codes(&status.reasons)), (Some(JobOutcome::Interrupted), vec![code]));
        let message = &status.reasons[0].message;
        assert!(message.contains(words) && message.contains("before it took the job"), "{message}");
    }
}

#[tokio::test]
async fn ecs_is_not_asked_while_the_worker_is_heard_of() {
    let (world, ecs) = (World::new().await, Ecs::default());
    let gateway = ecs.says(&[ran(), task("RUNNING", json!({}))]).gateway(&world).await;
    let job = launch(&gateway, &world).await.unwrap();
    world.work(job, fetched()).await;
    for (pass, asked) in [(14, 0), (100, 0), (15, 1)] {
        world.pass(pass);
        if pass == 100 {
            let beat = Heartbeat {
                schema: Default::default(),
                task: TaskId::Ecs { arn: TASK.to_owned() },
                at: world.ambient.now(),
            };
            world.sides.production.put(&Key::JobHeartbeat(job), &beat.to_bytes()).await.unwrap();
        }
        assert_eq!(look(&gateway, job).await.unwrap().outcome, None);
        assert_eq!(ecs.calls("describetasks").len(), asked, "after {pass} s more");
    }
}

#[tokio::test]
async fn a_task_that_ecs_has_forgotten_is_dead_after_two_hours_of_silence() {
    let (world, ecs) = (World::new().await, Ecs::default());
    let gateway = ecs.says(&[ran(), unknown()]).gateway(&world).await;
    let job = launch(&gateway, &world).await.unwrap();
    world.pass(7199);
    assert_eq!(look(&gateway, job).await.unwrap().outcome, None);
    world.pass(1);
    let status = look(&gateway, job).await.unwrap();
    assert_eq!((status.outcome, codes(&status.reasons)), (Some(JobOutcome::Interrupted), vec![Code::WorkerDied]));
}

#[tokio::test]
async fn a_gateway_that_may_not_ask_says_so_instead_of_waiting_for_ever() {
    let (world, ecs) = (World::new().await, Ecs::default());
    let gateway = ecs.says(&[ran(), refused("AccessDeniedException", "no")]).gateway(&world).await;
    let job = launch(&gateway, &world).await.unwrap();
    world.pass(15);
    let error = look(&gateway, job).await.unwrap_err();
    assert!(!error.is_temporary() && error.advice().unwrap().contains("ecs:DescribeTasks"), "{error}");
}

async fn cancel(gateway: &Gateway, job: JobId) -> Cancelled {
    let request = manifest_schema::gateway::CancelRequest { schema: Default::default(), job };
    gateway.cancel(&request.to_bytes()).await.unwrap().result
}

#[tokio::test]
async fn cancelling_stops_the_task_only_if_nobody_in_it_would_end_it() {
    let began = |happenings: Vec<Happening>| Some(happenings);
    let claimed = || [fetched(), vec![Happening::Checked, Happening::Claimed { claim: 1 }]].concat();
    let within =
        || [claimed(), vec![Happening::Intent { step: 1, name: "terraform infra".to_owned(), group: None }]].concat();
    for (name, happenings, silence, stops) in [
        ("not begun", None, 0, true),
        ("at work", began(fetched()), 0, false),
        ("at work, a little silent", began(fetched()), 30, false),
        ("not heard of", began(fetched()), 60, true),
        ("not heard of, between steps", began(claimed()), 60, true),
        ("not heard of, in a step", began(within()), 3600, false),
    ] {
        let (world, ecs) = (World::new().await, Ecs::default());
        let gateway = ecs.says(&[ran(), task("RUNNING", json!({}))]).gateway(&world).await;
        let (_, request) = world.planned(1).await;
        let Launched::Accepted { job, .. } = gateway.launch(&request.to_bytes()).await.unwrap().result else {
            panic!("refused")
        };
        if let Some(happenings) = happenings {
            world.work(job, happenings).await;
        }
        world.pass(silence);
        // The wish itself is an event: what counts is how long the worker has been silent before it.
        assert_eq!(cancel(&gateway, job).await, Cancelled::Requested, "{name}");
        let stopped = ecs.calls("stoptask");
        assert_eq!(stopped.len(), usize::from(stops), "{name}");
        if let Some(stopped) = stopped.first() {
            assert_eq!((&stopped["task"], &stopped["reason"]), (&json!(TASK), &json!("cancel-deploy-job")), "{name}");
        }
        let story = world.journal(WriterKind::Gateway, job).await;
        assert!(story.job().is_cancelling(), "{name}");
    }
}

#[tokio::test]
async fn a_task_that_was_stopped_because_of_it_is_a_cancelled_job() {
    let (world, ecs) = (World::new().await, Ecs::default());
    let over = task("STOPPED", json!({"stopCode": "UserInitiated", "stoppedReason": "cancel-deploy-job"}));
    let gateway =
        ecs.says(&[ran(), task("RUNNING", json!({})), task("RUNNING", json!({})), over]).gateway(&world).await;
    let job = launch(&gateway, &world).await.unwrap();
    world.work(job, fetched()).await;
    world.pass(60);
    cancel(&gateway, job).await;
    world.pass(15);
    let status = look(&gateway, job).await.unwrap();
    assert_eq!((status.outcome, codes(&status.reasons)), (Some(JobOutcome::Cancelled), vec![Code::JobCancelled]));
}
