//! The functions of a gateway in AWS Lambda: what their errors mean, and who tries again.
//!
//! The SDK repeats calls that were throttled or lost, a few times; every function may be called twice, because what it does
//! is named by a job or an idempotency key. Credentials that have expired are looked for anew once per call, because
//! somebody may have logged in since.

use std::sync::Mutex;
use std::time::Duration;

use anyhow::anyhow;
use aws::{AwsError, Call, Connection, ErrorKind};
use aws_sdk_lambda::Client;
use aws_sdk_lambda::config::timeout::TimeoutConfig;
use aws_sdk_lambda::primitives::Blob;
use gateway::Function;
use manifest_schema::gateway::{FunctionError, Trouble};
use serde::Deserialize;

use crate::cloud;
use crate::config::{Environment, LambdaGateway};
use crate::exit::{Exit, Failure};
use crate::purpose::Purpose;

/// Until an answer begins: longer than the functions' own timeout, which says more.
const ANSWER: Duration = Duration::from_secs(90);

/// Three functions in one account and region.
pub(super) struct Lambda {
    gateway: LambdaGateway,
    environment: Environment,
    purpose: Purpose,
    reached: Mutex<Reached>,
}

/// The way there, as it was when credentials were last looked for.
#[derive(Clone)]
struct Reached {
    client: Client,
    region: Option<String>,
}

impl Lambda {
    /// Prepares everything; asks nothing over the network.
    pub(super) async fn new(gateway: LambdaGateway, environment: &Environment, purpose: &Purpose) -> Self {
        let environment = match gateway.region() {
            Some(region) => environment.in_region(region),
            None => environment.clone(),
        };
        let reached = Mutex::new(reach(&environment, purpose).await);
        Self { gateway, environment, purpose: purpose.clone(), reached }
    }

    /// One JSON document out, one back.
    pub(super) async fn call(&self, function: Function, request: Vec<u8>) -> Result<Vec<u8>, Failure> {
        let request = Blob::new(request);
        match self.invoke(function, &request).await {
            Err(Problem::Aws(error)) if error.kind() == ErrorKind::Expired => {
                let anew = reach(&self.environment, &self.purpose).await;
                if let Ok(mut reached) = self.reached.lock() {
                    *reached = anew;
                }
                self.invoke(function, &request).await.map_err(Problem::failure)
            }
            other => other.map_err(Problem::failure),
        }
    }

    async fn invoke(&self, function: Function, request: &Blob) -> Result<Vec<u8>, Problem> {
        let Reached { client, region } = match self.reached.lock() {
            Ok(reached) => reached.clone(),
            Err(poisoned) => poisoned.into_inner().clone(),
        };
        let arn = self.gateway.arn(function, region.as_deref().unwrap_or("*"));
        let call = Call { action: "lambda:InvokeFunction", resource: arn };
        if region.is_none() {
            return Err(Problem::Aws(AwsError::no_region(call)));
        }
        let asked = client.invoke().function_name(self.gateway.target(function)).payload(request.clone()).send().await;
        let answer = asked.map_err(|error| Problem::Aws(AwsError::new(call, error)))?;
        let payload = answer.payload.map(Blob::into_inner).unwrap_or_default();
        match answer.function_error {
            None => Ok(payload),
            Some(_) => Err(Problem::Function(function, self.gateway.name(function), payload)),
        }
    }
}

async fn reach(environment: &Environment, purpose: &Purpose) -> Reached {
    let connection: Connection = cloud::connect(environment, purpose).await;
    let config = aws_sdk_lambda::config::Builder::from(connection.config());
    let timeouts = TimeoutConfig::builder().read_timeout(ANSWER).build();
    let timeouts = match connection.config().timeout_config() {
        Some(general) => timeouts.to_builder().take_unset_from(general.to_builder()).build(),
        None => timeouts,
    };
    let client = Client::from_conf(config.timeout_config(timeouts).build());
    Reached { client, region: connection.region().map(str::to_owned) }
}

/// Why there is no answer.
enum Problem {
    /// The function was not reached.
    Aws(AwsError),
    /// It was, and failed; with its name, and what Lambda passes on of that.
    Function(Function, String, Vec<u8>),
}

/// An error of Lambda's own: the function ended before it could say anything itself.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct OwnError {
    error_type: String,
    error_message: String,
}

impl Problem {
    fn failure(self) -> Failure {
        match self {
            Self::Aws(error) => error.into(),
            Self::Function(function, name, payload) => match serde_json::from_slice::<FunctionError>(&payload) {
                Ok(error) => of_gateway(function, error),
                Err(_) => of_lambda(function, &name, &payload),
            },
        }
    }
}

/// What the function says itself, in its own words.
fn of_gateway(function: Function, FunctionError { kind, message }: FunctionError) -> Failure {
    let error = anyhow!("{message}").context(format!("{function} could not answer"));
    match kind {
        Trouble::Temporary => Failure::new(Exit::Unavailable, error),
        Trouble::Permanent => Failure::new(Exit::Failed, error),
        Trouble::BadRequest => Failure::new(Exit::Failed, error)
            .hint("production and this CLI don't understand each other: use a CLI of production's version"),
    }
}

fn of_lambda(function: Function, name: &str, payload: &[u8]) -> Failure {
    let OwnError { error_type, error_message } = serde_json::from_slice(payload).unwrap_or_default();
    let said = [error_type.as_str(), error_message.as_str()].into_iter().filter(|text| !text.is_empty());
    let said = said.collect::<Vec<_>>().join(": ");
    let said = if said.is_empty() { "Lambda doesn't say why".to_owned() } else { said };
    let error = anyhow!("{said}").context(format!("{function} ended without an answer"));
    let hint =
        format!("run again; if it stays so, look at the log group /aws/lambda/{name}, its memory and its timeout");
    // What it had begun, the same call finishes.
    Failure::new(Exit::Unavailable, error).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_functions_are_told_in_their_words_and_sorted_by_whether_trying_again_helps() {
        for (payload, exit, words) in [
            (
                r#"{"errorType":"Airlock.Temporary","errorMessage":"no capacity"}"#,
                Exit::Unavailable,
                &["launch-deploy-job could not answer", "no capacity"][..],
            ),
            (r#"{"errorType":"Airlock.Permanent","errorMessage":"no key"}"#, Exit::Failed, &["no key"]),
            (r#"{"errorType":"Airlock.BadRequest","errorMessage":"unknown field"}"#, Exit::Failed, &["unknown field"]),
            (
                r#"{"errorMessage":"2026-11-22T09:30:00Z r-1 Task timed out after 3.00 seconds"}"#,
                Exit::Unavailable,
                &["ended without an answer", "timed out after 3.00 seconds"],
            ),
            (
                r#"{"errorType":"Runtime.ExitError","errorMessage":"exit status 1"}"#,
                Exit::Unavailable,
                &["Runtime.ExitError"],
            ),
            ("<html>", Exit::Unavailable, &["Lambda doesn't say why"]),
        ] {
            let name = "airlock-launch-deploy-job".to_owned();
            let failure = Problem::Function(Function::LaunchDeployJob, name, payload.into()).failure();
            let said = failure.messages().join("\n");
            assert_eq!(failure.exit(), exit, "{payload}: {said}");
            assert!(words.iter().all(|word| said.contains(word)), "{payload}: {said}");
        }
    }
}
