//! Single calls of services that have no client here, over HTTP.
#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

use aws::{Call, Connection, ErrorKind, JsonService, Settings};
use aws_credential_types::Credentials;
use aws_double::{ACCESS_KEY, ACCOUNT, Double, Failure, REGION, SECRET_KEY};
use emulators::Moto;
use serde_json::{Value, json};

const CLOUDWATCH: JsonService = JsonService { name: "monitoring", target: "GraniteServiceVersion20100801" };

async fn connect(endpoint: String, region: &str) -> Connection {
    let settings = Settings { region: Some(region.to_owned()), endpoint: Some(endpoint), role: None };
    Connection::with_credentials(&settings, &[], Credentials::new(ACCESS_KEY, SECRET_KEY, None, None, "test")).await
}

fn call() -> Call {
    Call { action: "cloudwatch:DescribeAlarms", resource: "alarm:errors".to_owned() }
}

fn both() -> Value {
    json!({ "AlarmNames": ["errors", "gone"], "AlarmTypes": ["MetricAlarm", "CompositeAlarm"], "MaxRecords": 100 })
}

/// The names and the states of what is told.
fn told(answer: &Value) -> Vec<[&str; 2]> {
    let alarms = answer["MetricAlarms"].as_array().unwrap().iter();
    alarms.map(|alarm| ["AlarmName", "StateValue"].map(|field| alarm[field].as_str().unwrap())).collect()
}

#[tokio::test]
async fn the_double_and_moto_tell_the_same_of_alarms() {
    let (double, moto) = (Double::start(), Moto::start());
    double.account(ACCOUNT).alarm("errors");
    moto.alarm("errors");
    for (endpoint, region) in [(double.url(), REGION), (moto.endpoint(), emulators::REGION)] {
        let connection = connect(endpoint, region).await;
        let answer = connection.json(CLOUDWATCH, "DescribeAlarms", call(), &both()).await.unwrap();
        assert_eq!(told(&answer), [["errors", "OK"]], "{answer}");
    }
}

#[tokio::test]
async fn a_call_is_tried_again_and_its_errors_are_sorted() {
    let double = Double::start();
    double.account(ACCOUNT).alarm("errors");
    let connection = connect(double.url(), REGION).await;
    let ask = async || connection.json(CLOUDWATCH, "DescribeAlarms", call(), &both()).await;
    for failure in [Failure::Throttled, Failure::Broken, Failure::Cut, Failure::Lost] {
        double.fail("cloudwatch:DescribeAlarms", failure);
    }
    assert_eq!(told(&ask().await.unwrap()), [["errors", "OK"]]);
    assert_eq!(double.calls_of("cloudwatch:DescribeAlarms").len(), 5);
    (0..5).for_each(|_| double.fail("cloudwatch:DescribeAlarms", Failure::Throttled));
    let error = ask().await.unwrap_err();
    assert_eq!((error.kind(), error.is_temporary()), (ErrorKind::Throttled, true));
    let said = "cloudwatch:DescribeAlarms on alarm:errors failed: Throttling, Rate exceeded, request double-1";
    assert_eq!(error.to_string(), said);
    let refused = Failure::Error { status: 403, code: "AccessDenied", message: "User: x is not authorized" };
    double.fail("cloudwatch:DescribeAlarms", refused);
    assert_eq!(ask().await.unwrap_err().kind(), ErrorKind::Denied);
}
