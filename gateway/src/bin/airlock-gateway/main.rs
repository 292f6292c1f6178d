//! launch-deploy-job, get-deploy-job-status and cancel-deploy-job as functions of AWS Lambda.
//!
//! One program for all three: the function's handler (`_HANDLER`) says which of them a process is. Everything that it
//! knows of itself is in `AIRLOCK_GATEWAY_CONFIG`, which who calls a function can't set. It opens its stores once, at
//! init, and then takes one request after another. It holds nothing in memory that matters, so it may be ended at any
//! time; on SIGTERM it finishes the request that it has.

mod runtime;

use std::process::ExitCode;
use std::time::Instant;

use gateway::{Function, Gateway, GatewayError};
use manifest_schema::gateway::{FunctionError, Trouble};
use records::config::GatewayConfig;
use records::{Ambient, with_causes};
use tokio::signal::unix::{SignalKind, signal};
use tracing::Instrument as _;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::runtime::{Invocation, Runtime};

/// Holds the configuration, as JSON.
const CONFIG: &str = "AIRLOCK_GATEWAY_CONFIG";
/// Lambda: which function this is ("Defined runtime environment variables").
const HANDLER: &str = "_HANDLER";
/// Lambda: where the runtime API is.
const RUNTIME_API: &str = "AWS_LAMBDA_RUNTIME_API";
/// Says how much is logged.
const LOG: &str = "AIRLOCK_LOG";

fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_env(LOG).unwrap_or_else(|_| "info".into());
    let lines = tracing_subscriber::fmt::layer().json().flatten_event(true).with_span_list(false);
    tracing_subscriber::registry().with(lines.with_filter(filter_fn(aws::may_be_logged))).with(filter).init();
    let started = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = started.map_err(|error| error.to_string()).and_then(|started| started.block_on(run()));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Init, then one request after another until the process is told to end.
async fn run() -> Result<(), String> {
    let mut runtime = Runtime::new(&variable(RUNTIME_API)?);
    let (function, gateway) = match init().await {
        Ok(ready) => ready,
        Err(error) => {
            runtime.refuse_init(&error).await?;
            return Err(error.message);
        }
    };
    let mut terminate =
        signal(SignalKind::terminate()).map_err(|error| format!("can't listen for SIGTERM: {error}"))?;
    loop {
        let invocation = tokio::select! {
            invocation = runtime.next() => invocation?,
            _ = terminate.recv() => return Ok(()),
        };
        let span = tracing::info_span!("request", request = %invocation.id, %function, job = tracing::field::Empty);
        let answer = answer(&gateway, function, &invocation).instrument(span).await;
        match answer {
            Ok(answer) => runtime.respond(&invocation, answer).await?,
            Err(error) => runtime.fail(&invocation, &error).await?,
        }
    }
}

/// Which function this is, and everything that it needs.
async fn init() -> Result<(Function, Gateway), FunctionError> {
    let wrong = |message: String| FunctionError { kind: Trouble::Permanent, message };
    let function: Function = variable(HANDLER).map_err(wrong)?.parse().map_err(|error| wrong(format!("{error}")))?;
    let config = GatewayConfig::parse(&variable(CONFIG).map_err(wrong)?, CONFIG);
    let opened = Gateway::from_config(config.map_err(GatewayError::from).map_err(told)?, Ambient::system()).await;
    Ok((function, opened.map_err(told)?))
}

fn variable(name: &str) -> Result<String, String> {
    std::env::var(name).map_err(|error| format!("the environment variable {name} can't be used: {error}"))
}

async fn answer(gateway: &Gateway, function: Function, invocation: &Invocation) -> Result<Vec<u8>, FunctionError> {
    let begun = Instant::now();
    let answer = gateway.handle(function, &invocation.payload).await;
    let milliseconds = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    match answer {
        Ok(answer) => {
            tracing::info!(milliseconds, bytes = answer.len(), "answered");
            Ok(answer)
        }
        Err(error) => {
            let error = told(error);
            tracing::error!(milliseconds, kind = error.kind.as_str(), "{}", error.message);
            Err(error)
        }
    }
}

/// Everything about an error that whoever called needs to know, in plain words.
fn told(error: GatewayError) -> FunctionError {
    let kind = if matches!(error, GatewayError::Request(_)) {
        Trouble::BadRequest
    } else if error.is_temporary() {
        Trouble::Temporary
    } else {
        Trouble::Permanent
    };
    let mut message = with_causes(&error);
    if let Some(advice) = error.advice() {
        message = format!("{message}; {advice}");
    }
    FunctionError { kind, message }
}
