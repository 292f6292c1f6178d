//! A CLI and a production of different versions. Threat model, row 42.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::world::World;

const JOB: &str = "019abcde-f012-7345-8abc-123456789abc";
const STATUS: [&str; 2] = ["get-deploy-job-status", JOB];

/// Lambda, with functions of another version: whatever is invoked gives the answer that was set last.
struct Production {
    address: String,
    answer: Arc<Mutex<Value>>,
}

impl Production {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let answer = Arc::new(Mutex::new(Value::Null));
        let given = Arc::clone(&answer);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let (mut line, mut length) = (String::new(), 0);
                while reader.read_line(&mut line).unwrap_or(0) > 2 {
                    if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                        length = value.trim().parse().unwrap();
                    }
                    line.clear();
                }
                reader.read_exact(&mut vec![0; length]).unwrap();
                let body = given.lock().unwrap().to_string();
                let error = if body.contains("errorType") { "X-Amz-Function-Error: Unhandled\r\n" } else { "" };
                let head =
                    format!("HTTP/1.1 200 OK\r\nConnection: close\r\n{error}Content-Length: {}\r\n\r\n", body.len());
                let _ = stream.write_all(&[head, body].concat().into_bytes());
            }
        });
        Self { address, answer }
    }

    fn answers(&self, answer: Value) {
        *self.answer.lock().unwrap() = answer;
    }

    /// A repository whose production this is.
    fn world(&self) -> World {
        let world = World::signed();
        let settings = "\n[environments.production]\nartifacts = \"store\"\ngateway = \"lambda:airlock\"\n";
        let project = String::from_utf8(world.read("airlock.toml")).unwrap();
        world.write("airlock.toml", project + settings);
        assert_eq!(world.publish().code, 0);
        world
            .with("AWS_ENDPOINT_URL", &self.address)
            .with("AWS_REGION", "eu-central-1")
            .with("AWS_ACCESS_KEY_ID", "AKIA")
            .with("AWS_SECRET_ACCESS_KEY", "secret")
    }
}

/// A job that ended like this, in the words of status-response/v1.
fn ended(outcome: &str, codes: &[&str]) -> Value {
    let reasons: Vec<_> =
        codes.iter().map(|code| json!({"code": code, "message": "it is the way of things"})).collect();
    let digest = format!("sha256:{}", "0".repeat(64));
    json!({
        "schema": "airlock/status-response/v1",
        "reads": ["airlock/build-manifest/v2", "airlock/status-request/v1"],
        "answer": {"job": {
            "job": JOB,
            "request": {"schema": "airlock/launch-request/v1", "action": "plan", "environment": "production",
                "project": "hello", "manifest": digest, "approvals": [], "attempt": 1, "key": "k"},
            "requestedAt": "2026-11-22T09:30:00Z", "phase": "ended", "since": "2026-11-22T09:30:01Z",
            "cancelling": false, "outcome": outcome, "reasons": reasons,
            "events": [{"schema": "airlock/job-event/v1", "job": JOB, "number": 1, "at": "2026-11-22T09:30:01Z",
                "writer": {"kind": "gateway", "id": "g", "nonce": "n"},
                "event": {"type": "ended", "outcome": outcome, "reasons": reasons}}],
            "more": false,
        }},
    })
}

#[test]
fn a_reason_code_that_only_production_knows_is_told_and_counts_by_its_family() {
    let production = Production::start();
    let world = production.world();
    for (outcome, codes, exit) in [
        ("refused", &["approval.outvoted"][..], 4),
        ("refused", &["approval.missing", "review.stale"], 4),
        ("refused", &["moon.full"], 3),
        ("refused", &["approval.outvoted", "moon.full"], 3),
        ("refused", &["lease.broken"], 3),
        ("failed", &["moon.full"], 5),
    ] {
        production.answers(ended(outcome, codes));
        for follow in [&[][..], &["--follow"]] {
            let ran = world.run(&[&STATUS[..], follow].concat());
            assert_eq!(ran.code, exit, "{codes:?}: {}", ran.stderr);
            for code in codes {
                assert!(ran.stderr.contains(&format!("reason: {code}: it is the way of things")), "{}", ran.stderr);
            }
        }
        let ran = world.run(&[&STATUS[..], &["--format", "json"]].concat());
        assert!(ran.stdout.contains(&format!("\"code\": \"{}\"", codes[0])), "{}", ran.stdout);
    }
    assert!(world.run(&STATUS).stderr.contains("airlock explain moon.full"));
}

#[test]
fn an_answer_of_another_schema_is_told_at_once() {
    let production = Production::start();
    let world = production.world();
    let mut answer = ended("failed", &["moon.full"]);
    answer["schema"] = "airlock/status-response/v2".into();
    let mut event = ended("failed", &["moon.full"]);
    event["answer"]["job"]["events"][0]["event"]["type"] = "eclipsed".into();
    for (answer, words) in [
        (answer, "schema \"airlock/status-response/v2\"; this version reads \"airlock/status-response/v1\""),
        (event, "unknown variant `eclipsed`"),
        (json!("2"), "the answer of get-deploy-job-status can't be read"),
    ] {
        production.answers(answer);
        for follow in [&[][..], &["--follow"]] {
            let ran = world.run(&[&STATUS[..], follow].concat());
            assert_eq!(ran.code, 1, "{}", ran.stderr);
            assert!(ran.stderr.contains(words), "{}", ran.stderr);
            assert!(ran.stderr.contains("hint: use a CLI of production's version"), "{}", ran.stderr);
        }
    }
}

#[test]
fn a_production_that_does_not_know_the_request_says_which_it_knows() {
    let production = Production::start();
    let world = production.world();
    let message = "the request can't be read: the status request has schema \"airlock/status-request/v1\"; \
                   this version reads \"airlock/status-request/v0\": upgrade the older side";
    production.answers(json!({"errorType": "Airlock.BadRequest", "errorMessage": message}));
    let ran = world.run(&STATUS);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("status-request/v0") && ran.stderr.contains("production's version"), "{}", ran.stderr);
}

#[test]
fn a_build_is_not_launched_into_a_production_that_does_not_read_it() {
    let production = Production::start();
    let world = production.world();
    let mut answer = ended("failed", &["moon.full"]);
    answer["answer"] = json!({"deployed": {"deployments": [], "more": false}});
    production.answers(answer);
    let ran = world.run(&["launch-deploy-job", "build-manifest.json", "--action", "plan"]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("doesn't read airlock/build-manifest/v1, airlock/launch-request/v1"), "{}", ran.stderr);
}

#[test]
fn a_code_that_this_version_does_not_know_may_be_a_newer_ones() {
    let world = World::empty();
    let ran = world.run(&["explain", "moon.full"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""));
    assert!(ran.stderr.contains("doesn't know the reason code moon.full"), "{}", ran.stderr);
    assert!(ran.stderr.contains("a newer version may"), "{}", ran.stderr);
    for nonsense in ["moon", "Moon.full", "moon.full\u{1b}[2J"] {
        assert_eq!(world.run(&["explain", nonsense]).code, 2);
    }
}
