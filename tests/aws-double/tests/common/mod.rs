//! boto3 as the client of the double's tests, and what most of them set up.
#![allow(dead_code, reason = "each test program uses some of it")]
#![allow(unreachable_pub, reason = "it is a module of several programs")]

pub mod ecs;
pub mod services;

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use aws_double::{Double, PRODUCTION, Role};
use serde_json::{Value, json};

/// A program of the tests.
pub fn program(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/programs").join(name)
}

/// boto3 in a process of its own, with one set of credentials.
pub struct Boto {
    child: Child,
    asked: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Boto {
    /// As who the environment says.
    pub fn new<N: AsRef<str>, V: AsRef<str>>(environment: impl IntoIterator<Item = (N, V)>) -> Self {
        let mut command = Command::new(emulators::tool("python3"));
        command.arg(program("boto.py")).env_clear().stdin(Stdio::piped()).stdout(Stdio::piped());
        for (name, value) in environment {
            command.env(name.as_ref(), value.as_ref());
        }
        if let Some(region) = command.get_envs().find(|(name, _)| *name == "AWS_REGION").and_then(|(_, value)| value) {
            let region = region.to_owned();
            command.env("AWS_DEFAULT_REGION", region);
        }
        let mut child = command.spawn().unwrap();
        let (asked, answers) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, asked, answers }
    }

    /// One call: what is answered, or `{"error", "message", "status"}`.
    pub fn call(&mut self, service: &str, operation: &str, parameters: Value) -> Value {
        self.calls(1, service, operation, parameters).remove(0)
    }

    /// The same call several times at once.
    pub fn calls(&mut self, times: usize, service: &str, operation: &str, parameters: Value) -> Vec<Value> {
        let asked = json!({ "service": service, "operation": operation, "parameters": parameters, "times": times });
        writeln!(self.asked, "{asked}").unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("boto.py ended: {error}: {asked}"))
    }
}

impl Drop for Boto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A policy of these statements.
pub fn policy(statements: Value) -> Value {
    json!({ "Version": "2012-10-17", "Statement": statements })
}

/// A statement that allows this.
pub fn allow(actions: Value, resources: Value) -> Value {
    json!({ "Effect": "Allow", "Action": actions, "Resource": resources })
}

/// A role of [`PRODUCTION`] that this service may take on, and that may do this; its ARN.
pub fn service_role(double: &Double, name: &str, service: &str, statements: Value) -> String {
    let role = Role::new(name, &json!({ "Service": service }), vec![policy(statements)]);
    double.account(PRODUCTION).role(role)
}
