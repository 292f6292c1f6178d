//! STS over two accounts, with boto3 as the client.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed helper is a failed test")]

mod common;

use std::time::Duration;

use aws_double::{ACCOUNT, Double, KeyState, PRODUCTION, Role, USER};
use common::{Boto, allow, policy};
use serde_json::{Value, json};

const DEPLOY: &str = "arn:aws:iam::222222222222:role/deploy";

/// A role of production that the CI account may take on with an external id, and without tags.
fn deploy() -> Role {
    let trust = policy(json!({
        "Effect": "Allow", "Principal": { "AWS": "arn:aws:iam::111111111111:root" }, "Action": "sts:AssumeRole",
        "Condition": { "StringEquals": { "sts:ExternalId": "x-1" } },
    }));
    Role { trust, policies: vec![policy(allow(json!("kms:Sign"), json!("*")))], ..Role::open("deploy") }
}

fn assume(more: &Value) -> Value {
    let mut asked = json!({ "RoleArn": DEPLOY, "RoleSessionName": "job-1" });
    asked.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    asked
}

#[test]
fn a_role_of_another_account_is_taken_on_when_both_sides_agree() {
    let double = Double::start();
    double.account(PRODUCTION).role(deploy());
    let assumes = policy(allow(json!("sts:AssumeRole"), json!(DEPLOY)));
    let mut allowed = Boto::new(double.environment_of(&double.account(ACCOUNT).user("allowed", &[assumes])));
    let mut not_allowed = Boto::new(double.environment_of(&double.account(ACCOUNT).user("not-allowed", &[])));
    let named = json!({ "ExternalId": "x-1" });
    for (may, more, expected) in [
        (false, named.clone(), "AccessDenied"),
        (true, json!({}), "AccessDenied"),
        (true, json!({ "ExternalId": "x-2" }), "AccessDenied"),
        (true, json!({ "ExternalId": "x-1", "Tags": [{ "Key": "a", "Value": "b" }] }), "AccessDenied"),
        (true, json!({ "ExternalId": "x-1", "DurationSeconds": 900_000 }), "ValidationError"),
        (true, named, "OK"),
    ] {
        let boto = if may { &mut allowed } else { &mut not_allowed };
        let answer = boto.call("sts", "assume_role", assume(&more));
        assert_eq!(answer["error"].as_str().unwrap_or("OK"), expected, "{more}: {answer}");
    }
}

#[test]
fn a_session_is_its_role_for_as_long_as_it_lasts() {
    let double = Double::start();
    double.account(PRODUCTION).role(deploy());
    let key = double.account(PRODUCTION).key("deployer", 1, KeyState::Enabled);
    let foreign = double.key("builder", 2, KeyState::Enabled);
    let answer = Boto::new(double.environment()).call("sts", "assume_role", assume(&json!({ "ExternalId": "x-1" })));
    let given = |name: &str| answer["Credentials"][name].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
    let keys = aws_double::Keys {
        access_key: given("AccessKeyId"),
        secret_key: given("SecretAccessKey"),
        session_token: Some(given("SessionToken")),
    };
    let mut boto = Boto::new(double.environment_of(&keys));
    let identity = boto.call("sts", "get_caller_identity", json!({}));
    assert_eq!(identity["Arn"], "arn:aws:sts::222222222222:assumed-role/deploy/job-1");
    assert_eq!(identity["Account"], PRODUCTION);
    let message = |key: &str| json!({ "KeyId": key, "Message": "text", "MessageType": "RAW", "SigningAlgorithm": "ED25519_SHA_512" });
    for (operation, parameters, expected) in [
        ("sign", message(&key), "OK"),
        ("sign", message("alias/deployer"), "OK"),
        ("sign", message("alias/builder"), "NotFoundException"),
        ("sign", message(&foreign), "AccessDeniedException"),
        ("get_public_key", json!({ "KeyId": key }), "AccessDeniedException"),
    ] {
        let answer = boto.call("kms", operation, parameters.clone());
        assert_eq!(answer["error"].as_str().unwrap_or("OK"), expected, "{operation} {parameters}: {answer}");
    }
    let denied = boto.call("kms", "get_public_key", json!({ "KeyId": key }));
    let said =
        "User: arn:aws:sts::222222222222:assumed-role/deploy/job-1 is not authorized to perform: kms:GetPublicKey on";
    assert!(denied["message"].as_str().unwrap().starts_with(said), "{denied}");

    let late = double.session(DEPLOY, Duration::ZERO);
    let mut late = Boto::new(double.environment_of(&late));
    assert_eq!(late.call("sts", "get_caller_identity", json!({}))["error"], "ExpiredToken");
    assert_eq!(late.call("kms", "sign", message(&key))["error"], "ExpiredTokenException");
    let wrong = aws_double::Keys { session_token: Some("other".to_owned()), ..keys };
    let mut wrong = Boto::new(double.environment_of(&wrong));
    assert_eq!(wrong.call("sts", "get_caller_identity", json!({}))["error"], "InvalidClientTokenId");
}

#[test]
fn tags_of_a_session_are_what_policies_can_ask_for() {
    let double = Double::start();
    let mut sign = allow(json!("kms:Sign"), json!("*"));
    sign["Condition"] = json!({ "StringEquals": { "aws:PrincipalTag/project": "hello" } });
    let role = Role::new("tagged", &json!({ "AWS": USER }), vec![policy(sign)]);
    let arn = double.account(ACCOUNT).role(role);
    double.key("builder", 2, KeyState::Enabled);
    let mut ci = Boto::new(double.environment());
    for (project, expected) in [("hello", "OK"), ("other", "AccessDeniedException")] {
        let tags = json!([{ "Key": "project", "Value": project }]);
        let asked = json!({ "RoleArn": arn, "RoleSessionName": "job-1", "Tags": tags });
        let given = ci.call("sts", "assume_role", asked)["Credentials"].clone();
        let text = |name: &str| given[name].as_str().unwrap().to_owned();
        let session_token = Some(text("SessionToken"));
        let keys =
            aws_double::Keys { access_key: text("AccessKeyId"), secret_key: text("SecretAccessKey"), session_token };
        let sign = json!({
            "KeyId": "alias/builder", "Message": "text", "MessageType": "RAW", "SigningAlgorithm": "ED25519_SHA_512",
        });
        let answer = Boto::new(double.environment_of(&keys)).call("kms", "sign", sign);
        assert_eq!(answer["error"].as_str().unwrap_or("OK"), expected, "{project}: {answer}");
    }
}
