//! Production in AWS, as far as it is there: keys in KMS, and an account that only STS can name.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed helper is a failed test")]

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use aws_double::{Double, Failure, KeyState, Role};
use emulators::Moto;
use emulators::faults::{Fault, FaultProxy};
use flows::{Scratch, wait_until};
use serde_json::{Value, json};

/// A set-up whose programs find the double, and nothing else of AWS.
fn in_cloud(double: &Double) -> Scratch {
    let mut scratch = Scratch::new();
    for (name, value) in double.environment() {
        scratch.set(name, value);
    }
    scratch
}

fn set(scratch: &Scratch, path: &Path, field: &str, value: Value) {
    let mut config = scratch.read(path);
    config[field] = value;
    std::fs::write(path, config.to_string()).unwrap();
}

const EVERYBODY: [&str; 4] = ["builder", "planner", "deployer", "approver"];

/// Makes a key in KMS for each name, and lets the policy name it instead of the file.
fn move_keys(scratch: &Scratch, double: &Double, names: &[&'static str]) {
    let public = |key: &str| scratch.ok(&["key", "public", "--ssh", key]).stdout.trim().to_owned();
    let moved = (1..).zip(names).map(|(seed, &name)| {
        double.key(name, seed, KeyState::Enabled);
        (public(&format!(".airlock/keys/{name}.pem")), public(&format!("awskms:///alias/{name}")))
    });
    let moved: Vec<_> = moved.collect();
    scratch.next_policy(|policy| {
        let text = moved.iter().fold(policy.to_string(), |text, (old, new)| text.replace(old, new));
        *policy = serde_json::from_str(&text).unwrap();
    });
    for role in ["planner", "deployer"] {
        let path = scratch.production(&format!("config/{role}.json"));
        set(scratch, &path, "key", format!("awskms:///alias/{role}").into());
    }
}

const DEPLOY: [&str; 5] =
    ["deploy", "--builder-key", "awskms:///alias/builder", "--approve-with", "awskms:///alias/approver"];

#[test]
fn keys_in_kms_sign_the_whole_way() {
    let double = Double::start();
    let scratch = in_cloud(&double);
    move_keys(&scratch, &double, &EVERYBODY);
    scratch.ok(&DEPLOY);
    scratch.ok(&["audit", "verify"]);
    let signed: Vec<_> = double.calls_of("kms:Sign").into_iter().map(|call| call.parameters["KeyId"].clone()).collect();
    let numbers: Vec<_> = signed.iter().map(|arn| arn.chars().last().unwrap()).collect();
    assert_eq!(numbers, ['1', '2', '4', '3'], "builder, planner, approver, deployer, once each");
    scratch.ok(&["doctor"]);
}

/// Nothing is begun whose end nobody would believe.
#[test]
fn a_worker_whose_key_the_policy_does_not_name_does_nothing() {
    let double = Double::start();
    let scratch = in_cloud(&double);
    move_keys(&scratch, &double, &EVERYBODY);
    double.key("other", 9, KeyState::Enabled);
    set(&scratch, &scratch.production("config/planner.json"), "key", "awskms:///alias/other".into());
    let ran = scratch.airlock(&DEPLOY).exits(5);
    assert!(ran.all().contains("which is no planner of trust policy version 2"), "{}", ran.all());
    assert_eq!(double.calls_of("kms:Sign").len(), 1, "only the builder signed");
}

/// Threat 4, gate 3: the account is the one that STS names, and nothing is decided when it doesn't.
#[test]
fn threat_4_the_account_and_region_are_what_sts_says() {
    let double = Double::start();
    let mut scratch = in_cloud(&double);
    let manifest = scratch.publish();
    let stands_for = |scratch: &Scratch, account: &str| {
        scratch.next_policy(|policy| {
            policy["environments"]["production"]["account"] = account.into();
            policy["environments"]["production"]["region"] = "eu-central-1".into();
        });
    };
    let (gateway, planner) = (scratch.production("config/gateway.json"), scratch.production("config/planner.json"));
    for path in [&gateway, &planner] {
        set(&scratch, path, "place", "aws".into());
    }
    let launch = |attempt: &str, scratch: &Scratch| {
        scratch.airlock(&["launch-deploy-job", &manifest, "--action", "plan", "--follow", "--idempotency-key", attempt])
    };
    stands_for(&scratch, "222222222222");
    launch("a", &scratch).exits(3).explains(&["environment.mismatch"]);
    stands_for(&scratch, "111111111111");
    launch("b", &scratch).exits(0);

    scratch.set("AWS_REGION", "us-east-1");
    launch("c", &scratch).exits(3).explains(&["environment.mismatch"]);
    scratch.set("AWS_REGION", "eu-central-1");

    let jobs = scratch.jobs("plan").len();
    let denied = || Failure::Error { status: 403, code: "AccessDenied", message: "explicit deny" };
    double.fail("sts:GetCallerIdentity", denied());
    let ran = launch("d", &scratch).exits(1);
    assert!(ran.all().contains("sts:GetCallerIdentity on * failed: AccessDenied"), "{}", ran.all());
    assert_eq!(scratch.jobs("plan").len(), jobs, "nothing is stored when it can't be told where this is");

    // The gateway is answered, its worker isn't.
    double.fail("sts:GetCallerIdentity", Failure::None);
    double.fail("sts:GetCallerIdentity", denied());
    let ran = launch("e", &scratch).exits(5);
    assert!(ran.all().contains("can't tell which AWS account this is"), "{}", ran.all());

    // A worker that stands elsewhere than its gateway believes nobody but STS.
    set(&scratch, &planner, "place", json!({ "account": "local", "region": "local" }));
    launch("f", &scratch).exits(3).explains(&["environment.mismatch"]);
}

/// What is around a program is not what its configuration says.
#[test]
fn the_gateway_the_workers_and_doctor_reach_aws_as_their_configuration_says() {
    let double = Double::start();
    let mut scratch = in_cloud(&double);
    move_keys(&scratch, &double, &["planner", "deployer"]);
    let manifest = scratch.publish();
    scratch.next_policy(|policy| {
        policy["environments"]["production"]["account"] = "111111111111".into();
        policy["environments"]["production"]["region"] = "eu-central-1".into();
    });
    for name in ["gateway", "planner", "deployer"] {
        let path = scratch.production(&format!("config/{name}.json"));
        set(&scratch, &path, "place", "aws".into());
        set(&scratch, &path, "aws", json!({ "region": "eu-central-1", "endpoint": double.url() }));
    }
    scratch.set("AWS_ENDPOINT_URL", "http://127.0.0.1:1");
    scratch.set("AWS_REGION", "us-east-1");
    scratch.ok(&["launch-deploy-job", &manifest, "--action", "plan", "--follow"]);
    scratch.ok(&["doctor"]);
}

/// The same with moto, which is no work of ours: the double can't be wrong alone.
#[test]
fn moto_names_the_account_as_the_double_does() {
    let moto = Moto::start();
    let mut scratch = Scratch::new();
    for (name, value) in emulators::credentials() {
        scratch.set(name, value);
    }
    scratch.set("AWS_ENDPOINT_URL", moto.endpoint());
    let manifest = scratch.publish();
    for name in ["gateway", "planner"] {
        set(&scratch, &scratch.production(&format!("config/{name}.json")), "place", "aws".into());
    }
    let launch = ["launch-deploy-job", &manifest, "--action", "plan", "--follow"];
    scratch.airlock(&launch).exits(3).explains(&["environment.mismatch"]);
    scratch.next_policy(|policy| {
        policy["environments"]["production"]["account"] = "123456789012".into();
        policy["environments"]["production"]["region"] = emulators::REGION.into();
    });
    scratch.ok(&launch);
    let answer = scratch.json(&["whoami"]).exits(0).json();
    assert_eq!(answer["account"], "123456789012", "{answer}");
}

/// A person may take hours to approve: what waits reads the store with the session of now, not with its first.
#[test]
fn a_wait_outlasts_the_session_that_it_began_with() {
    let (double, moto) = (Double::start(), Moto::start());
    let proxy = FaultProxy::start(moto.port());
    // The SDK takes a session anew 10 seconds before its end.
    double.role(Role { lasts: Duration::from_secs(12), ..Role::open("ci") });
    let mut scratch = in_cloud(&double);
    scratch.set("AWS_ENDPOINT_URL_S3", proxy.endpoint());
    move_artifacts(&scratch, &format!("s3://{}/artifacts", moto.bucket()));
    // A worker gets only the variable that names the address of every service.
    for name in ["planner", "deployer"] {
        let path = scratch.production(&format!("config/{name}.json"));
        set(&scratch, &path, "aws", json!({ "endpoint": proxy.endpoint() }));
    }
    let toml = std::fs::read_to_string(scratch.path("airlock.toml")).unwrap();
    let role = "aws = { role = { arn = \"arn:aws:iam::111111111111:role/ci\" } }";
    scratch.write("airlock.toml", toml.replace("artifacts = \"s3:", &format!("{role}\nartifacts = \"s3:")));
    scratch.commit("Builds go to a bucket");
    let planned = scratch.planned();

    proxy.plan(|_| Fault::None);
    let waiting = scratch.start(&["change", "wait", &planned.change]);
    // The gateway here reads the store, too, without a role.
    let keys = || proxy.seen().into_iter().filter_map(|seen| seen.access_key).filter(|key| key.starts_with("ASIA"));
    let sessions = || keys().collect::<BTreeSet<_>>().len();
    wait_until("a second session", || (sessions() > 1).then_some(()));
    assert!(sessions() < keys().count(), "no session was used twice");
    scratch.approve(&planned);
    waiting.end().exits(0);
}

/// Lets everybody use another artifacts store, which gets the same trust policy.
fn move_artifacts(scratch: &Scratch, store: &str) {
    let policy = scratch.json(&["trust", "show"]).exits(0).json();
    scratch.write("trust-policy.json", policy.to_string());
    let root = ["--key", ".airlock/keys/root.pem", "--output", "trust.dsse.json"];
    scratch.ok(&[&["trust", "sign", "trust-policy.json"], &root[..]].concat());
    scratch.replace(&scratch.path("airlock.toml"), ".airlock/artifacts", store);
    scratch.ok(&["trust", "publish", "trust-policy.json", "--envelope", "trust.dsse.json"]);
    for name in ["gateway", "planner", "deployer"] {
        set(scratch, &scratch.production(&format!("config/{name}.json")), "artifacts", store.into());
    }
}

#[test]
fn a_configuration_cannot_claim_an_account() {
    let scratch = Scratch::new();
    let gateway = scratch.production("config/gateway.json");
    set(&scratch, &gateway, "place", json!({ "account": "111111111111", "region": "eu-central-1" }));
    let ran = scratch.airlock(&["deployed"]).exits(1);
    assert!(ran.all().contains("AWS says which account this is"), "{}", ran.all());
}
