//! Lambda: functions that are the real program on this machine, asked over the Lambda Runtime API.
//!
//! True to AWS: the call's shape and errors, what a function's environment holds, one invocation at a time for each
//! instance, warm instances used again, more of them when calls come together, the limits on payloads, and what is
//! answered when a function fails, takes too long or ends. Not doubled: versions and aliases of these functions (`published` has
//! functions with both, which are never run), asynchronous invocation,
//! streamed answers, the log in the answer, freezing between invocations, a second try of an initialisation that failed.

mod instance;
mod published;
mod runtime;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::http::{Refusal, Request, Response, response};
use crate::iam::{Guard, Policy};
use crate::people::{Caller, policy};
use crate::process::Log;
use crate::{Core, REGION, State};
use instance::{Instance, Outcome};
pub(crate) use published::Functions;

/// The longest payload of a synchronous invocation, in bytes.
const LONGEST_REQUEST: usize = 6_291_456;
/// The longest answer, in bytes.
const LONGEST_RESPONSE: usize = LONGEST_REQUEST + 100;
/// Variables that a function's configuration can't set.
const RESERVED: [&str; 12] = [
    "_HANDLER",
    "_X_AMZN_TRACE_ID",
    "AWS_DEFAULT_REGION",
    "AWS_REGION",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_LAMBDA_RUNTIME_API",
];

/// A function.
#[derive(Debug, Clone)]
pub struct Function {
    /// What it is called; its ARN follows.
    pub name: String,
    /// What its program finds in `_HANDLER`.
    pub handler: String,
    /// The ARN of its role, which must trust `lambda.amazonaws.com`.
    pub role: String,
    /// What its configuration adds to its environment.
    pub environment: Vec<(String, String)>,
    /// Its program, the `bootstrap` of a custom runtime.
    pub program: PathBuf,
    /// How long an invocation may take; at most 900 s.
    pub timeout: Duration,
    /// In MiB; only told, not enforced.
    pub memory: u32,
    /// How many instances there may be at once.
    pub concurrency: usize,
    /// Whom it lets in besides those whose own policies do.
    pub policy: Option<Value>,
}

impl Function {
    /// A function with 3 seconds, 128 MiB, up to 1000 instances and nothing in its configuration, as AWS makes one.
    pub fn new(name: &str, handler: &str, role: &str, program: impl Into<PathBuf>) -> Self {
        Self {
            name: name.to_owned(),
            handler: handler.to_owned(),
            role: role.to_owned(),
            environment: Vec::new(),
            program: program.into(),
            timeout: Duration::from_secs(3),
            memory: 128,
            concurrency: 1000,
            policy: None,
        }
    }
}

/// A function that was registered.
#[derive(Debug)]
struct Known {
    function: Function,
    policy: Option<Policy>,
    /// Instances that wait for work.
    idle: Vec<Arc<Instance>>,
    /// Instances that work.
    busy: usize,
    log: Log,
}

/// All of Lambda.
#[derive(Debug, Default)]
pub(crate) struct Lambda {
    /// By ARN.
    functions: BTreeMap<String, Known>,
    started: usize,
    requests: usize,
}

impl State {
    pub(crate) fn add_function(&mut self, account: &str, function: Function) -> String {
        let arn = format!("arn:aws:lambda:{REGION}:{account}:function:{}", function.name);
        let role = self.people.role(&function.role);
        let trusted = role.is_some_and(|role| self.people.trusts_service(role, "lambda.amazonaws.com", &arn));
        assert!(trusted, "{arn}: the role {} is not there, or doesn't trust lambda.amazonaws.com", function.role);
        let reserved = function.environment.iter().find(|(name, _)| RESERVED.contains(&name.as_str()));
        assert!(reserved.is_none(), "{arn}: its environment has a name that Lambda reserves: {reserved:?}");
        let policy = function.policy.as_ref().map(|document| policy(&arn, document));
        let known = Known { function, policy, idle: Vec::new(), busy: 0, log: Log::default() };
        self.lambda.functions.insert(arn.clone(), known);
        arn
    }

    /// Everything that the instances of a function wrote.
    pub(crate) fn function_log(&self, arn: &str) -> Option<String> {
        self.lambda.functions.get(arn).map(|known| known.log.text())
    }

    /// Ends every idle instance of a function: the next invocation is a cold start.
    pub(crate) fn cool_down(&mut self, arn: &str) {
        if let Some(known) = self.lambda.functions.get_mut(arn) {
            known.idle.drain(..).for_each(|instance| instance.kill());
        }
    }

    /// The function that somebody may invoke.
    fn function(&self, request: &Request, caller: &Caller) -> Result<String, Refusal> {
        let named = name(request.path()).unwrap_or_default();
        let arn = match named.split(':').count() {
            1 => format!("arn:aws:lambda:{REGION}:{}:function:{named}", caller.account()),
            7 => named,
            _ => return Err(Refusal::not_doubled(format!("lambda:Invoke of {named}"))),
        };
        let here = request.scope().is_some_and(|scope| scope.region == REGION);
        let known = self.lambda.functions.get(&arn).filter(|_| here);
        let owner = arn.split(':').nth(4).unwrap_or_default();
        let guard = known.and_then(|known| known.policy.as_ref()).map_or(Guard::None, Guard::Adds);
        let context = caller.context([("lambda:FunctionArn", arn.clone())]);
        caller
            .may(("lambda:InvokeFunction", &arn, owner), &context, guard)
            .map_err(|message| Refusal::new(403, "AccessDeniedException", message))?;
        if known.is_none() {
            return Err(Refusal::new(404, "ResourceNotFoundException", format!("Function not found: {arn}")));
        }
        Ok(arn)
    }
}

/// The function that a path of `Invoke` names.
pub(crate) fn name(path: &str) -> Option<String> {
    let name = path.strip_prefix("/2015-03-31/functions/")?.strip_suffix("/invocations")?;
    Some(crate::http::decode(name))
}

/// What a request asks for, such as `lambda:Invoke`.
pub(crate) fn action(request: &Request) -> Option<String> {
    let invokes = request.head.method == "POST" && name(request.path()).is_some();
    let operation = if invokes { "Invoke" } else { published::Wanted::of(request)?.operation };
    Some(format!("lambda:{operation}"))
}

/// What it was called with.
pub(crate) fn parameters(request: &Request) -> BTreeMap<String, String> {
    let of_published = || {
        let wanted = published::Wanted::of(request)?;
        let named = ("FunctionName".to_owned(), wanted.function);
        Some(request.parameters().into_iter().chain(request.query()).chain([named]).collect())
    };
    let invoked = name(request.path()).map(|name| [("FunctionName".to_owned(), name)].into());
    invoked.or_else(of_published).unwrap_or_default()
}

/// A call of Lambda.
pub(crate) async fn answer_call(core: &Arc<Core>, request: &Request, caller: &Caller) -> Result<Response, Refusal> {
    match published::Wanted::of(request) {
        Some(wanted) => core.state().published(&wanted, request, caller),
        None => invoke(core, request, caller).await,
    }
}

/// `Invoke`.
async fn invoke(core: &Arc<Core>, request: &Request, caller: &Caller) -> Result<Response, Refusal> {
    if let Some(kind) = request.header("x-amz-invocation-type").filter(|kind| *kind != "RequestResponse") {
        return Err(Refusal::not_doubled(format!("lambda:Invoke of the type {kind}")));
    }
    if let Some(field) = ["x-amz-log-type", "x-amz-client-context"]
        .into_iter()
        .find(|name| request.header(name).is_some_and(|value| value != "None"))
    {
        return Err(Refusal::not_doubled(format!("lambda:Invoke with {field}")));
    }
    if !request.query().is_empty() {
        return Err(Refusal::not_doubled("lambda:Invoke with a qualifier"));
    }
    let arn = core.state().function(request, caller)?;
    let payload = if request.body.is_empty() { Bytes::from_static(b"{}") } else { request.body.clone() };
    if payload.len() > LONGEST_REQUEST {
        let message = format!("Request must be smaller than {LONGEST_REQUEST} bytes for the InvokeFunction operation");
        return Err(Refusal::new(413, "RequestEntityTooLargeException", message));
    }
    if let Err(error) = serde_json::from_slice::<serde::de::IgnoredAny>(&payload) {
        let message = format!("Could not parse request body into json: {error}");
        return Err(Refusal::new(400, "InvalidRequestContentException", message));
    }
    let (instance, id, timeout) = take(core, &arn).await?;
    let outcome = instance.invoke(&id, payload, timeout).await;
    give_back(core, &arn, instance, &outcome);
    Ok(answer(&id, outcome))
}

/// An idle instance, or a new one; and the id of the request.
async fn take(core: &Arc<Core>, arn: &str) -> Result<(Arc<Instance>, String, Duration), Refusal> {
    let (idle, id, function, log, number) = {
        let mut state = core.state();
        state.lambda.requests += 1;
        let id = format!("d0b1e000-0000-4000-8000-{:012x}", state.lambda.requests);
        let number = state.lambda.started;
        let Some(known) = state.lambda.functions.get_mut(arn) else {
            return Err(Refusal::new(404, "ResourceNotFoundException", format!("Function not found: {arn}")));
        };
        if known.busy >= known.function.concurrency {
            let refusal = Refusal::new(429, "TooManyRequestsException", "Rate Exceeded.");
            return Err(refusal.with("Reason", "ReservedFunctionConcurrentInvocationLimitExceeded".into()));
        }
        known.busy += 1;
        known.idle.retain(|instance| !instance.has_ended());
        let idle = known.idle.pop();
        let (function, log) = (known.function.clone(), known.log.clone());
        state.lambda.started += usize::from(idle.is_none());
        (idle, id, function, log, number)
    };
    let instance = match idle {
        Some(instance) => instance,
        None => match Instance::start(core, arn, &function, &log, number).await {
            Ok(instance) => Arc::new(instance),
            Err(error) => {
                release(core, arn);
                return Err(Refusal::new(502, "InvalidRuntimeException", format!("{arn}: {error}")));
            }
        },
    };
    Ok((instance, id, function.timeout))
}

fn release(core: &Core, arn: &str) {
    if let Some(known) = core.state().lambda.functions.get_mut(arn) {
        known.busy -= 1;
    }
}

/// An instance that ended or took too long isn't used again.
fn give_back(core: &Core, arn: &str, instance: Arc<Instance>, outcome: &Outcome) {
    release(core, arn);
    match outcome {
        Outcome::Response(_) | Outcome::Error { .. } => {
            if let Some(known) = core.state().lambda.functions.get_mut(arn) {
                known.idle.push(instance);
            }
        }
        Outcome::Init(_) | Outcome::TimedOut(_) | Outcome::Exited(_) => instance.kill(),
    }
}

/// What the caller gets; a function's failure is a success of Lambda's.
fn answer(id: &str, outcome: Outcome) -> Response {
    let failed = |kind: &str, message: String| {
        json!({ "errorType": kind, "errorMessage": format!("RequestId: {id} Error: {message}") }).to_string().into()
    };
    let (failure, body): (bool, Bytes) = match outcome {
        Outcome::Response(body) if body.len() > LONGEST_RESPONSE => {
            let message =
                format!("Response payload size exceeded maximum allowed payload size ({LONGEST_RESPONSE} bytes).");
            let body = json!({ "errorType": "Function.ResponseSizeTooLarge", "errorMessage": message });
            (true, body.to_string().into())
        }
        Outcome::Response(body) => (false, body),
        Outcome::Error { body } | Outcome::Init(body) => (true, body),
        Outcome::TimedOut(after) => {
            (true, failed("Sandbox.Timedout", format!("Task timed out after {:.2} seconds", after.as_secs_f64())))
        }
        Outcome::Exited(how) => (true, failed("Runtime.ExitError", how)),
    };
    let mut response = response(200, "application/json", body);
    let headers = response.headers_mut();
    headers.insert("x-amz-executed-version", hyper::header::HeaderValue::from_static("$LATEST"));
    if let Ok(id) = id.parse() {
        headers.insert("x-amzn-requestid", id);
    }
    if failure {
        headers.insert("x-amz-function-error", hyper::header::HeaderValue::from_static("Unhandled"));
    }
    response
}
