//! What Terraform and its providers can do in AWS: what their role may, and nothing as the worker.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed helper is a failed test")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_double::{KeyState, PRODUCTION, Role};
use flows::cloud::{allow, statements};
use flows::{Cloud, Run};
use serde_json::json;

/// The role of the planner's Terraform.
const TERRAFORM: &str = "arn:aws:iam::222222222222:role/terraform-planner";
/// The planner's own.
const PLANNER: &str = "arn:aws:iam::222222222222:role/planner";

/// Longer than any test.
const LONG: Duration = Duration::from_secs(3600);

fn plan(cloud: &Cloud, manifest: &str) -> Run {
    cloud.airlock(&["launch-deploy-job", manifest, "--action", "plan", "--follow"])
}

/// Production whose planner's Terraform acts as a role that trusts `trusted` and may do `actions`, for so long at a time,
/// and where a plan runs a thief before Terraform. The planner's key is in KMS; its role may use that key, write to the bucket `production`, and
/// take Terraform's role on.
fn with_thief(trusted: &str, lasts: Duration, actions: &[&str]) -> Cloud {
    let mut cloud = Cloud::new();
    let thief = hire_thief(&cloud, lasts);
    let account = cloud.double.account(PRODUCTION);
    account.key("planner", 2, KeyState::Enabled);
    account.bucket("production", None);
    let trust = statements(&json!({
        "Effect": "Allow", "Principal": { "AWS": trusted }, "Action": ["sts:AssumeRole", "sts:TagSession"],
        "Condition": { "StringEquals": {
            "aws:RequestTag/airlock-environment": "production", "aws:RequestTag/airlock-project": "hello",
        } },
    }));
    let policies = vec![statements(&allow(actions, "*"))];
    account.role(Role { trust, policies, lasts, ..Role::open("terraform-planner") });
    let reader = account.user("reader", &[statements(&allow(&["kms:GetPublicKey"], "*"))]);
    cloud.reconfigure(
        &[statements(&json!([
            allow(&["kms:GetPublicKey", "kms:Sign"], "*"),
            allow(&["s3:PutObject"], "arn:aws:s3:::production/*"),
            allow(&["sts:AssumeRole", "sts:TagSession"], TERRAFORM),
        ]))],
        |name, config| {
            if name == "planner" {
                config["key"] = "awskms:///alias/planner".into();
                config["terraformRole"] = TERRAFORM.into();
            }
            config["terraform"] = thief.display().to_string().into();
        },
    );
    let public = |cloud: &Cloud, key: &str| cloud.ok(&["key", "public", "--ssh", key]).stdout.trim().to_owned();
    let old = public(&cloud, ".airlock/keys/planner.pem");
    cloud.become_user(&reader);
    let new = public(&cloud, "awskms:///alias/planner");
    cloud.become_ci();
    cloud.next_policy(|policy| *policy = serde_json::from_str(&policy.to_string().replace(&old, &new)).unwrap());
    cloud
}

/// What runs as Terraform: on `plan` first the thief, in the place of a provider, which asks again once its session is
/// over.
fn hire_thief(cloud: &Cloud, lasts: Duration) -> PathBuf {
    let thief = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs/thief.py");
    let pause = if lasts < LONG { lasts.as_secs() + 1 } else { 0 };
    let [python, thief, report, terraform] =
        [emulators::tool("python3"), thief, report(cloud), flows::terraform()].map(|path| path.display().to_string());
    let wrapper = cloud.outside("terraform-with-a-thief");
    let script = format!(
        "#!/bin/sh\nif [ \"$1\" = plan ]; then\n  '{python}' '{thief}' \"$PPID\" '{report}' {pause} || exit 1\nfi\n\
         exec '{terraform}' \"$@\"\n"
    );
    fs::write(&wrapper, script).unwrap();
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).unwrap();
    wrapper
}

fn report(cloud: &Cloud) -> PathBuf {
    cloud.outside("stolen.json")
}

/// Threat model, row 36.
#[test]
fn threat_36_a_provider_gets_a_session_that_can_neither_sign_nor_write_the_store() {
    let cloud = with_thief(PLANNER, LONG, &["ec2:Describe*"]);
    let manifest = cloud.publish();
    plan(&cloud, &manifest).exits(0);
    let found = cloud.read(&report(&cloud));
    for (what, came) in found["looked"].as_object().unwrap() {
        let refused = ["Permission denied", "Operation not permitted"].contains(&came.as_str().unwrap_or_default());
        assert!(refused, "{what} of the worker: {came}");
    }
    let asked = json!([[401, ""], [401, ""], [404, ""], [405, ""]]);
    assert_eq!((&found["asked"], &found["status"]), (&asked, &200.into()));
    assert_eq!(found["fields"], json!(["AccessKeyId", "Expiration", "SecretAccessKey", "Token"]));
    let known = [
        "AWS_CONTAINER_AUTHORIZATION_TOKEN",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_EC2_METADATA_DISABLED",
        "AWS_ENDPOINT_URL",
        "AWS_REGION",
    ];
    assert_eq!(found["environment"], json!(known));

    let job = cloud.job("plan", 1);
    let session = format!("arn:aws:sts::222222222222:assumed-role/terraform-planner/{job}");
    assert_eq!(found["called"]["sts:GetCallerIdentity"], session.as_str());
    for call in ["kms:Sign", "s3:PutObject", "sts:AssumeRole"] {
        let came = found["called"][call].as_str().unwrap();
        assert!(came.starts_with("AccessDenied"), "{call} as Terraform: {came}");
        let by: Vec<_> = cloud.double.calls_of(call).into_iter().filter_map(|call| call.caller).collect();
        assert!(by.contains(&session), "{call} was called by {by:?}");
    }
    let signed = cloud.double.calls_of("kms:Sign").into_iter().filter_map(|call| call.caller);
    assert!(signed.into_iter().any(|by| by.contains(":assumed-role/planner/")), "the worker itself may sign");

    let log = cloud.double.task(&cloud.task_of(&job)).log;
    assert!(log.contains("asked for Terraform's credentials in a wrong way"), "{log}");
    let told = format!("{log}{:?}", cloud.events(&job));
    for secret in cloud.double.secrets() {
        assert!(!told.contains(&secret), "{secret} was told: {told}");
    }
}

/// Threat model, row 37.
#[test]
fn threat_37_while_it_plans_terraform_can_only_look_whatever_its_role_may() {
    let cloud = with_thief(PLANNER, LONG, &["*"]);
    let manifest = cloud.publish();
    plan(&cloud, &manifest).exits(0);
    let called = &cloud.read(&report(&cloud))["called"];
    for call in ["kms:Sign", "s3:PutObject", "s3:GetObject", "sts:AssumeRole"] {
        let came = called[call].as_str().unwrap();
        assert!(came.starts_with("AccessDenied"), "{call} as Terraform: {came}");
    }
    assert_eq!(called["kms:GetPublicKey"], "done", "how things are set up can be looked at");
}

#[test]
fn a_session_that_ends_is_followed_by_another() {
    let cloud = with_thief(PLANNER, Duration::from_secs(2), &["ec2:Describe*"]);
    let manifest = cloud.publish();
    plan(&cloud, &manifest).exits(0);
    let later = &cloud.read(&report(&cloud))["later"];
    let session = format!("arn:aws:sts::222222222222:assumed-role/terraform-planner/{}", cloud.job("plan", 1));
    assert_eq!(*later, json!(["ExpiredToken", session]));
}

#[test]
fn a_role_that_does_not_trust_the_worker_ends_the_job_before_terraform() {
    let cloud = with_thief("arn:aws:iam::222222222222:role/somebody-else", LONG, &["ec2:Describe*"]);
    let manifest = cloud.publish();
    let ran = plan(&cloud, &manifest).exits(5).explains(&["terraform.role"]);
    assert!(ran.all().contains(&format!("sts:AssumeRole on {TERRAFORM} failed")), "{}", ran.all());
    assert!(!report(&cloud).exists(), "Terraform ran");
}
