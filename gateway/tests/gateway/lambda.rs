//! The real program over the runtime API of AWS Lambda.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use manifest_schema::gateway::{Answer, Query, StatusRequest, StatusResponse};
use manifest_schema::{Document as _, schema};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::world::{World, roots};

/// The runtime API, as the program sees it.
struct Api {
    listener: TcpListener,
    program: Option<Child>,
    connection: Option<BufReader<TcpStream>>,
}

struct Call {
    line: String,
    error_type: Option<String>,
    body: Vec<u8>,
}

impl Api {
    fn start(config: &str, handler: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let program = Command::new(env!("CARGO_BIN_EXE_airlock-gateway"))
            .env_clear()
            .env("AIRLOCK_GATEWAY_CONFIG", config)
            .env("_HANDLER", handler)
            .env("AWS_LAMBDA_RUNTIME_API", listener.local_addr().unwrap().to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self { listener, program: Some(program), connection: None }
    }

    /// The next call of the program, unanswered.
    fn call(&mut self) -> Call {
        loop {
            if self.connection.is_none() {
                self.connection = Some(BufReader::new(self.listener.accept().unwrap().0));
            }
            match self.connection.as_mut().and_then(read) {
                Some(call) => return call,
                None => self.connection = None,
            }
        }
    }

    fn answer(&mut self, status: u16, headers: &str, body: &[u8]) {
        let stream = self.connection.as_mut().unwrap().get_mut();
        let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n{headers}\r\n", body.len());
        stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
    }

    /// Passes a request on, and gives what the program says to it.
    fn request(&mut self, payload: &[u8]) -> Call {
        let call = self.call();
        assert_eq!(call.line, "GET /2018-06-01/runtime/invocation/next HTTP/1.1");
        self.answer(200, "lambda-runtime-aws-request-id: r-1\r\n", payload);
        let call = self.call();
        self.answer(202, "", b"{}");
        call
    }

    fn process(&self) -> Pid {
        Pid::from_raw(self.program.as_ref().unwrap().id().try_into().unwrap()).unwrap()
    }

    fn end(mut self) -> Output {
        self.program.take().unwrap().wait_with_output().unwrap()
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        if let Some(mut program) = self.program.take() {
            let _ = program.kill();
            let _ = program.wait();
        }
    }
}

fn read(stream: &mut BufReader<TcpStream>) -> Option<Call> {
    let mut line = String::new();
    stream.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let (mut length, mut error_type) = (0, None);
    loop {
        let mut header = String::new();
        stream.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim_end().split_once(": ") else { break };
        match name.to_lowercase().as_str() {
            "content-length" => length = value.parse().unwrap(),
            "lambda-runtime-function-error-type" => error_type = Some(value.to_owned()),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    Some(Call { line: line.trim_end().to_owned(), error_type, body })
}

fn config(world: &World, production: &str) -> String {
    let path = |name: &str| world.path().join(name);
    json!({
        "artifacts": path("artifacts"), "production": path(production), "roots": roots(),
        "place": {"account": "local", "region": "local"},
        "launcher": {"local": {"planner": path("p.json"), "deployer": path("d.json"), "logs": path("logs")}},
    })
    .to_string()
}

fn jobs() -> Vec<u8> {
    StatusRequest { schema: Default::default(), query: Query::Jobs { after: None } }.to_bytes()
}

fn lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn one_process_answers_one_request_after_another() {
    let world = World::new().await;
    let mut api = Api::start(&config(&world, "production"), "get-deploy-job-status");
    for _ in 0..3 {
        let call = api.request(&jobs());
        assert_eq!(call.line, "POST /2018-06-01/runtime/invocation/r-1/response HTTP/1.1");
        let response = StatusResponse::from_bytes(&call.body).unwrap();
        assert_eq!(response.answer, Answer::Jobs { jobs: Vec::new(), more: false });
        assert_eq!(response.reads, schema::READS);
    }
}

#[tokio::test]
async fn what_is_no_request_is_told_in_plain_words_and_the_next_is_answered() {
    let world = World::new().await;
    let mut api = Api::start(&config(&world, "production"), "get-deploy-job-status");
    for payload in
        [&b"{}"[..], b"null", b"{\"schema\":\"airlock/status-request/v1\",\"query\":{},\"extra\":1}", b"\xff"]
    {
        let call = api.request(payload);
        assert_eq!(call.line, "POST /2018-06-01/runtime/invocation/r-1/error HTTP/1.1");
        assert_eq!(call.error_type.as_deref(), Some("Airlock.BadRequest"));
        let said: Value = serde_json::from_slice(&call.body).unwrap();
        assert_eq!(said["errorType"], "Airlock.BadRequest");
        assert!(said["errorMessage"].as_str().unwrap().starts_with("the request can't be read: "), "{said}");
    }
    assert!(api.request(&jobs()).line.ends_with("/response HTTP/1.1"));
}

#[tokio::test]
async fn a_function_that_can_not_begin_says_why() {
    let world = World::new().await;
    let sound = config(&world, "production");
    for (config, handler, words) in [
        (sound.as_str(), "main", "\"main\" is no function of the gateway"),
        ("{", "cancel-deploy-job", "the configuration AIRLOCK_GATEWAY_CONFIG can't be used"),
        (&config(&world, "nowhere"), "cancel-deploy-job", "nowhere"),
    ] {
        let mut api = Api::start(config, handler);
        let call = api.call();
        api.answer(202, "", b"");
        assert_eq!(call.line, "POST /2018-06-01/runtime/init/error HTTP/1.1");
        assert_eq!(call.error_type.as_deref(), Some("Airlock.Permanent"));
        assert!(String::from_utf8_lossy(&call.body).contains(words) || handler == "main", "{words}");
        let output = api.end();
        assert!(!output.status.success());
        let lines = lines(&output);
        let said = lines.last().unwrap()["message"].as_str().unwrap();
        assert!(said.contains(words), "{said}");
    }
}

#[tokio::test]
async fn its_log_names_the_job() {
    let world = World::new().await;
    let (job, _) = world.accepted(&world.request(1)).await;
    let mut api = Api::start(&config(&world, "production"), "get-deploy-job-status");
    let query = StatusRequest { schema: Default::default(), query: Query::Job { job, after: 0 } };
    assert!(api.request(&query.to_bytes()).line.ends_with("/response HTTP/1.1"));
    api.call();
    kill_process(api.process(), Signal::TERM).unwrap();
    let output = api.end();
    let line = lines(&output).into_iter().find(|line| line["message"] == "answered").unwrap();
    assert_eq!((&line["span"]["job"], &line["span"]["request"]), (&json!(job.to_string()), &json!("r-1")));
    assert_eq!(line["span"]["function"], "get-deploy-job-status");
}

#[tokio::test]
async fn sigterm_ends_it_when_it_has_answered() {
    let world = World::new().await;
    let mut api = Api::start(&config(&world, "production"), "get-deploy-job-status");
    api.request(&jobs());
    api.call();
    kill_process(api.process(), Signal::TERM).unwrap();
    let begun = Instant::now();
    let status: ExitStatus = api.end().status;
    assert!(status.success() && begun.elapsed() < Duration::from_secs(10), "{status}");
}
