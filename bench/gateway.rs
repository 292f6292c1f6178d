//! What `bench/gateway.sh` times of the gateway, one measurement a line, in microseconds:
//!
//!     bench-gateway cold CONFIG JOB PROGRAM RUNS    first requests to fresh instances of the function PROGRAM, each less
//!                                                   the same request to a function that does nothing
//!     bench-gateway launches CONFIG MANIFEST COUNT  launches at once, each of a job of its own; then all of them together
//!     bench-gateway status CONFIG JOB SECONDS       status requests, one after another on every core, for so long
//!
//! CONFIG is the configuration of a gateway on this machine, whose stores are directories. The handlers are called in this
//! process; only `cold` has Lambda in between, played by the tests' double, which times itself as the function that does
//! nothing: this program, when the double starts it as one.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws::{Connection, Settings};
use aws_credential_types::Credentials;
use aws_double::{ACCOUNT, Double, Function, REGION, Role};
use aws_sdk_lambda::Client;
use aws_sdk_lambda::primitives::Blob;
use gateway::Gateway;
use manifest_schema::gateway::{Answer, LaunchResponse, Launched, Query, StatusRequest, StatusResponse};
use manifest_schema::job::{Action, Asked, LaunchRequest};
use manifest_schema::manifest::BuildManifest;
use manifest_schema::{Digest, Document as _};
use records::Ambient;
use serde_json::{Value, json};
use tokio::task::JoinSet;

type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

/// The handler of the function that does nothing.
const NOTHING: &str = "nothing";

fn main() -> Outcome {
    if std::env::var("_HANDLER").is_ok_and(|handler| handler == NOTHING) {
        return do_nothing();
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match arguments.as_slice() {
        ["cold", config, job, program, runs] => runtime.block_on(cold(config, job, program, runs.parse()?)),
        ["launches", config, manifest, count] => runtime.block_on(launches(config, manifest, count.parse()?)),
        ["status", config, job, seconds] => {
            runtime.block_on(status(config, job, Duration::from_secs(seconds.parse()?)))
        }
        _ => Err("usage: bench-gateway cold|launches|status CONFIG …".into()),
    }
}

#[expect(clippy::print_stdout, reason = "the script reads it")]
fn report(took: Duration) {
    println!("{}", took.as_micros());
}

fn question(job: &str) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> {
    Ok(StatusRequest { schema: Default::default(), query: Query::Job { job: job.parse()?, after: 0 } }.to_bytes())
}

/// Fails unless it is what production says of a job that it knows.
fn expect_job(answer: StatusResponse) -> Outcome {
    match answer.answer {
        Answer::Job(_) => Ok(()),
        other @ (Answer::UnknownJob | Answer::Deployed { .. } | Answer::Jobs { .. }) => {
            Err(format!("no answer about the job: {other:?}").into())
        }
    }
}

async fn cold(config: &str, job: &str, program: &str, runs: usize) -> Outcome {
    let double = Double::start();
    let account = double.account(ACCOUNT);
    let role = account.role(Role::new("gateway", &json!({"Service": "lambda.amazonaws.com"}), Vec::new()));
    let made = |name: &str, handler: &str, program: &Path, config: String| {
        let environment = vec![("AIRLOCK_GATEWAY_CONFIG".to_owned(), config)];
        let timeout = Duration::from_secs(30);
        account.function(Function { environment, timeout, ..Function::new(name, handler, &role, program) })
    };
    let gateway = made("gateway", "get-deploy-job-status", &fs::canonicalize(program)?, in_aws(config)?);
    let nothing = made(NOTHING, NOTHING, &std::env::current_exe()?, String::new());

    let keys = Credentials::new(aws_double::ACCESS_KEY, aws_double::SECRET_KEY, None, None, "bench");
    let settings = Settings { region: Some(REGION.to_owned()), endpoint: Some(double.url()), ..Settings::default() };
    let client = Client::new(Connection::with_credentials(&settings, &[], keys).await.config());
    let question = question(job)?;
    for _ in 0..runs {
        let mut times = BTreeMap::new();
        for arn in [&nothing, &gateway] {
            double.cool_down(arn);
            let begun = Instant::now();
            let answer = client.invoke().function_name(arn).payload(Blob::new(question.clone())).send().await?;
            times.insert(arn, begun.elapsed());
            let payload = answer.payload.unwrap_or_else(|| Blob::new([]));
            if let Some(kind) = answer.function_error {
                return Err(format!("{arn}: {kind}: {}", String::from_utf8_lossy(payload.as_ref())).into());
            }
            if arn == &gateway {
                expect_job(StatusResponse::from_bytes(payload.as_ref())?)?;
            }
        }
        report(times[&gateway].saturating_sub(times[&nothing]));
    }
    Ok(())
}

/// The same gateway as a function in AWS: it asks STS where it is, and would run tasks of ECS.
fn in_aws(config: &str) -> Result<String, Box<dyn Error + Send + Sync>> {
    let base = fs::canonicalize(config)?.parent().map(Path::to_owned).unwrap_or_default();
    let mut config: Value = serde_json::from_slice(&fs::read(config)?)?;
    for store in ["artifacts", "production"] {
        config[store] = base.join(config[store].as_str().unwrap_or_default()).display().to_string().into();
    }
    config["place"] = "aws".into();
    let arn = |resource: &str| format!("arn:aws:ecs:{REGION}:{ACCOUNT}:{resource}");
    let task_definition = |name: &str| arn(&format!("task-definition/airlock-{name}:1"));
    config["launcher"] = json!({"ecs": {
        "cluster": arn("cluster/airlock"), "container": "worker",
        "planner": task_definition("planner"), "deployer": task_definition("deployer"),
        "subnets": ["subnet-1"], "securityGroups": ["sg-1"],
    }});
    Ok(config.to_string())
}

/// A function that answers `{}` to one request after another, by the runtime API.
fn do_nothing() -> Outcome {
    let address = std::env::var("AWS_LAMBDA_RUNTIME_API")?;
    let stream = TcpStream::connect(&address)?;
    stream.set_nodelay(true)?;
    let mut connection = BufReader::new(stream);
    let mut call = |head: &str, body: &str| -> Result<Option<String>, Box<dyn Error + Send + Sync>> {
        let length = body.len();
        let request = format!("{head} HTTP/1.1\r\nhost: {address}\r\ncontent-length: {length}\r\n\r\n{body}");
        connection.get_mut().write_all(request.as_bytes())?;
        let (mut id, mut length) = (None, 0);
        loop {
            let mut line = String::new();
            connection.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(": ") else {
                if line.trim_end().is_empty() {
                    break;
                }
                continue;
            };
            match name.to_ascii_lowercase().as_str() {
                "lambda-runtime-aws-request-id" => id = Some(value.to_owned()),
                "content-length" => length = value.parse()?,
                _ => {}
            }
        }
        connection.read_exact(&mut vec![0; length])?;
        Ok(id)
    };
    while let Some(id) = call("GET /2018-06-01/runtime/invocation/next", "")? {
        call(&format!("POST /2018-06-01/runtime/invocation/{id}/response"), "{}")?;
    }
    Ok(())
}

async fn open(config: &str) -> Result<Arc<Gateway>, Box<dyn Error + Send + Sync>> {
    Ok(Arc::new(Gateway::open(Path::new(config), Ambient::system()).await?))
}

async fn launches(config: &str, manifest: &str, count: usize) -> Outcome {
    let gateway = open(config).await?;
    let bytes = fs::read(manifest)?;
    let project = BuildManifest::from_bytes(&bytes)?.project;
    let mut launching = JoinSet::new();
    let begun = Instant::now();
    for number in 0..count {
        let asked = Asked {
            action: Action::Plan,
            environment: "production".parse()?,
            project: project.clone(),
            manifest: Digest::of(&bytes),
            plan: None,
            change: None,
            approvals: Vec::new(),
            attempt: 1,
        };
        let request = LaunchRequest::new(asked, Some(format!("bench-{}-{number}", std::process::id())));
        let (gateway, request) = (Arc::clone(&gateway), request.to_bytes());
        launching.spawn(async move {
            let LaunchResponse { result, .. } = gateway.launch(&request).await?;
            match result {
                Launched::Accepted { existing: false, .. } => Ok(begun.elapsed()),
                other @ (Launched::Accepted { .. } | Launched::Refused { .. }) => {
                    Err::<_, Box<dyn Error + Send + Sync>>(format!("no new job: {other:?}").into())
                }
            }
        });
    }
    while let Some(launched) = launching.join_next().await {
        report(launched??);
    }
    report(begun.elapsed());
    Ok(())
}

async fn status(config: &str, job: &str, lasting: Duration) -> Outcome {
    let (gateway, question) = (open(config).await?, question(job)?);
    let mut asking = JoinSet::new();
    let end = Instant::now() + lasting;
    for _ in 0..std::thread::available_parallelism()?.get() {
        let (gateway, question) = (Arc::clone(&gateway), question.clone());
        asking.spawn(async move {
            let mut times = Vec::new();
            while Instant::now() < end {
                let begun = Instant::now();
                expect_job(gateway.status(&question).await?)?;
                times.push(begun.elapsed());
            }
            Ok::<_, Box<dyn Error + Send + Sync>>(times)
        });
    }
    while let Some(asked) = asking.join_next().await {
        asked??.into_iter().for_each(report);
    }
    Ok(())
}
