//! Lambda, with boto3 as the client and a function in Python.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed helper is a failed test")]

mod common;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_double::{Double, Failure, Function, PRODUCTION, USER};
use common::{Boto, allow, policy, program, service_role};
use serde_json::{Value, json};

/// A function of production that lets in the user of the CI account.
fn function(double: &Double, handler: &str) -> Function {
    let role = service_role(double, "gateway", "lambda.amazonaws.com", allow(json!("sts:*"), json!("*")));
    let policy = policy(json!({ "Effect": "Allow", "Principal": { "AWS": USER }, "Action": "lambda:InvokeFunction" }));
    Function {
        environment: vec![("OWN".to_owned(), "value".to_owned())],
        policy: Some(policy),
        ..Function::new("airlock-launch", handler, &role, program("function.py"))
    }
}

fn payload(answer: &Value) -> Value {
    serde_json::from_str(answer["Payload"].as_str().unwrap_or_else(|| panic!("{answer}"))).unwrap()
}

fn invoke(boto: &mut Boto, arn: &str, event: &Value) -> Value {
    boto.call("lambda", "invoke", json!({ "FunctionName": arn, "Payload": event.to_string() }))
}

#[test]
fn a_function_gets_its_configuration_and_what_lambda_sets_and_nothing_else() {
    let double = Double::start();
    let arn = double.account(PRODUCTION).function(function(&double, "launch-deploy-job"));
    assert_eq!(arn, "arn:aws:lambda:eu-central-1:222222222222:function:airlock-launch");
    let answer = invoke(&mut Boto::new(double.environment()), &arn, &json!({ "a": "ü" }));
    assert_eq!((&answer["StatusCode"], &answer["FunctionError"]), (&200.into(), &Value::Null), "{answer}");
    assert_eq!(answer["ExecutedVersion"], "$LATEST");
    let told = payload(&answer);
    assert_eq!(told["event"], json!({ "a": "ü" }));
    let environment: BTreeMap<String, String> = serde_json::from_value(told["environment"].clone()).unwrap();
    let names: Vec<_> = environment.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "AWS_ACCESS_KEY_ID",
            "AWS_DEFAULT_REGION",
            "AWS_ENDPOINT_URL",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
            "AWS_LAMBDA_FUNCTION_NAME",
            "AWS_LAMBDA_FUNCTION_VERSION",
            "AWS_LAMBDA_INITIALIZATION_TYPE",
            "AWS_LAMBDA_LOG_GROUP_NAME",
            "AWS_LAMBDA_LOG_STREAM_NAME",
            "AWS_LAMBDA_RUNTIME_API",
            "AWS_REGION",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
            "LAMBDA_RUNTIME_DIR",
            "LAMBDA_TASK_ROOT",
            "LANG",
            "OWN",
            "PATH",
            "TZ",
            "_HANDLER",
        ]
    );
    assert_eq!((environment["_HANDLER"].as_str(), environment["OWN"].as_str()), ("launch-deploy-job", "value"));
    assert_eq!(environment["AWS_REGION"], "eu-central-1");
    let headers = &told["headers"];
    assert_eq!(headers["lambda-runtime-invoked-function-arn"], arn);
    let deadline: i64 = headers["lambda-runtime-deadline-ms"].as_str().unwrap().parse().unwrap();
    let left = deadline - told["now"].as_i64().unwrap();
    assert!((0..=3000).contains(&left), "3 seconds, less what was used: {left}");

    let keys = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_ENDPOINT_URL"];
    let mut own = Boto::new(keys.map(|name| (name, &environment[name])));
    let identity = own.call("sts", "get_caller_identity", json!({}));
    assert_eq!(identity["Arn"], "arn:aws:sts::222222222222:assumed-role/gateway/airlock-launch");
}

#[test]
fn instances_stay_warm_and_there_are_more_when_calls_come_together() {
    let double = Double::start();
    let arn = double.account(PRODUCTION).function(function(&double, "any"));
    let mut boto = Boto::new(double.environment());
    let count = |boto: &mut Boto| payload(&invoke(boto, &arn, &json!({})))["count"].clone();
    assert_eq!([count(&mut boto), count(&mut boto), count(&mut boto)], [1, 2, 3], "one instance");
    double.cool_down(&arn);
    assert_eq!(count(&mut boto), 1, "a cold start");

    let sleep = json!({ "FunctionName": arn, "Payload": json!({ "do": "sleep", "seconds": 0.5 }).to_string() });
    let answers = boto.calls(4, "lambda", "invoke", sleep.clone());
    let mut instances: Vec<_> = answers.iter().map(|answer| payload(answer)["pid"].as_u64().unwrap()).collect();
    instances.sort_unstable();
    instances.dedup();
    assert_eq!(instances.len(), 4, "one invocation at a time for each: {answers:?}");

    double.account(PRODUCTION).function(Function { concurrency: 2, ..function(&double, "any") });
    let answers = boto.calls(4, "lambda", "invoke", sleep);
    let refused: Vec<_> = answers.iter().filter(|answer| !answer["error"].is_null()).collect();
    assert_eq!(refused.len(), 2, "{answers:?}");
    for answer in refused {
        assert_eq!((&answer["error"], &answer["status"]), (&"TooManyRequestsException".into(), &429.into()));
        assert_eq!(answer["more"]["Reason"], "ReservedFunctionConcurrentInvocationLimitExceeded");
    }
}

#[test]
fn failures_of_a_function_are_answered_as_lambda_does() {
    let double = Double::start();
    let arn =
        double.account(PRODUCTION).function(Function { timeout: Duration::from_secs(1), ..function(&double, "any") });
    let mut boto = Boto::new(double.environment());
    for (event, kind, message) in [
        (json!({ "do": "fail" }), "Permanent", "as told"),
        (json!({ "do": "exit", "code": 3 }), "Runtime.ExitError", "Error: Runtime exited with error: exit status 3"),
        (json!({ "do": "exit", "code": 0 }), "Runtime.ExitError", "Error: Runtime exited without providing a reason"),
        (json!({ "do": "die" }), "Runtime.ExitError", "Error: Runtime exited with error: signal: killed"),
        (json!({ "do": "sleep", "seconds": 9 }), "Sandbox.Timedout", "Error: Task timed out after 1.00 seconds"),
        (
            json!({ "do": "large", "bytes": 6_300_000 }),
            "Function.ResponseSizeTooLarge",
            "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
        ),
    ] {
        let answer = invoke(&mut boto, &arn, &event);
        assert_eq!((&answer["StatusCode"], &answer["FunctionError"]), (&200.into(), &"Unhandled".into()), "{answer}");
        let told = payload(&answer);
        assert_eq!(told["errorType"], kind);
        assert!(told["errorMessage"].as_str().unwrap().ends_with(message), "{told}");
        assert_eq!(invoke(&mut boto, &arn, &json!({}))["FunctionError"], Value::Null, "it works again");
    }
    for (handler, kind, message) in [
        ("broken-init", "Extension.Config", "no configuration"),
        ("exits-at-once", "Runtime.ExitError", "Error: Runtime exited with error: exit status 4"),
    ] {
        double.account(PRODUCTION).function(function(&double, handler));
        let told = payload(&invoke(&mut boto, &arn, &json!({})));
        assert_eq!(told["errorType"], kind);
        assert!(told["errorMessage"].as_str().unwrap().ends_with(message), "{told}");
    }
}

#[test]
fn what_lambda_refuses_never_reaches_the_function() {
    let double = Double::start();
    let arn = double.account(PRODUCTION).function(function(&double, "any"));
    let nobody = double.account(PRODUCTION).user("nobody", &[]);
    let mut boto = Boto::new(double.environment());
    let refused = |boto: &mut Boto, name: &str, payload: String| {
        let answer = boto.call("lambda", "invoke", json!({ "FunctionName": name, "Payload": payload }));
        (answer["error"].as_str().unwrap_or_default().to_owned(), answer["status"].as_u64().unwrap_or_default())
    };
    let too_long = format!("\"{}\"", "x".repeat(6_291_456));
    for (name, payload, code, status) in [
        // The user may do everything, but this function lets nobody else in, and of another account there is none here.
        ("airlock-launch", "{}".to_owned(), "ResourceNotFoundException", 404),
        (&arn, "no json".to_owned(), "InvalidRequestContentException", 400),
        (&arn, too_long, "RequestEntityTooLargeException", 413),
        ("arn:aws:lambda:eu-central-1:222222222222:function:other", "{}".to_owned(), "AccessDeniedException", 403),
    ] {
        assert_eq!(refused(&mut boto, name, payload), (code.to_owned(), status), "{name}");
    }
    let mut stranger = Boto::new(double.environment_of(&nobody));
    assert_eq!(refused(&mut stranger, &arn, "{}".to_owned()), ("AccessDeniedException".to_owned(), 403));
    assert_eq!(double.function_log(&arn), "");

    let role = double.account(PRODUCTION).role(aws_double::Role::open("caller"));
    let late = double.session(&role, Duration::ZERO);
    let mut late = Boto::new(double.environment_of(&late));
    assert_eq!(refused(&mut late, &arn, "{}".to_owned()), ("ExpiredTokenException".to_owned(), 403));
}

#[test]
fn failures_on_the_way_are_ordered_by_the_test() {
    let double = Double::start();
    let arn = double.account(PRODUCTION).function(function(&double, "any"));
    let mut boto = Boto::new(double.environment());
    for (failure, error, reached) in [
        (Failure::Throttled, "TooManyRequestsException", false),
        (Failure::Broken, "ServiceException", false),
        (Failure::Cut, "ConnectionClosedError", false),
        (Failure::Lost, "ConnectionClosedError", true),
    ] {
        let before = double.function_log(&arn).len();
        double.fail("lambda:Invoke", failure);
        let answer = invoke(&mut boto, &arn, &json!({}));
        assert_eq!(answer["error"], error, "{answer}");
        assert_eq!(double.function_log(&arn).len() > before, reached, "{error}");
    }
    let begun = SystemTime::now();
    double.fail("lambda:Invoke", Failure::Late(Duration::from_millis(400)));
    assert_eq!(invoke(&mut boto, &arn, &json!({}))["StatusCode"], 200);
    assert!(begun.elapsed().unwrap() >= Duration::from_millis(400));
    assert!(begun > UNIX_EPOCH);
}
