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

/// [`production`] where a plan runs a thief before Terraform.
fn with_thief(trusted: &str, lasts: Duration, actions: &[&str]) -> Cloud {
    production(trusted, lasts, actions, |cloud| hire_thief(cloud, lasts))
}

/// Production whose planner's Terraform acts as a role that trusts `trusted` and may do `actions`, for so long at a time,
/// and where what `terraform` gives runs as Terraform. The planner's key is in KMS; its role may use that key, write to the
/// bucket `production`, and take Terraform's role on.
fn production(trusted: &str, lasts: Duration, actions: &[&str], terraform: impl FnOnce(&Cloud) -> PathBuf) -> Cloud {
    let mut cloud = Cloud::new();
    let terraform = terraform(&cloud);
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
            config["terraform"] = terraform.display().to_string().into();
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
    let pause = if lasts < LONG { lasts.as_secs() + 1 } else { 0 };
    let wrapper = cloud.outside("terraform-with-a-thief");
    let (thief, terraform) = (thief(cloud, "\"$PPID\"", pause), flows::terraform());
    let script =
        format!("if [ \"$1\" = plan ]; then\n  {thief} || exit 1\nfi\nexec '{}' \"$@\"\n", terraform.display());
    program(&wrapper, &script);
    wrapper
}

/// Makes the thief a provider that the bundle locks and the trust policy allows, and which Terraform itself runs.
fn hire_thief_as_provider(cloud: &Cloud) -> PathBuf {
    let script = format!("read -r _ _ _ worker _ <\"/proc/$PPID/stat\"\n{}\n", thief(cloud, "\"$worker\"", 0));
    let inside = "mirror/example.com/test/thief/1.0.0/linux_amd64/terraform-provider-thief_v1.0.0";
    let provider = cloud.outside(inside);
    fs::create_dir_all(provider.parent().unwrap()).unwrap();
    program(&provider, &script);
    let mirror = cloud.outside("mirror").display().to_string();
    let settings = format!("provider_installation {{\n  filesystem_mirror {{\n    path = \"{mirror}\"\n  }}\n}}\n");
    let rc = cloud.outside("terraform.rc");
    fs::write(&rc, settings).unwrap();
    let required = "terraform {\n  required_providers {\n    thief = {\n      source = \"example.com/test/thief\"\n    }\n  }\n}\n\n\
                    resource \"thief_loot\" \"all\" {}\n";
    cloud.write("infra/thief.tf", required);
    let rc = format!("TF_CLI_CONFIG_FILE={}", rc.display());
    let terraform = flows::terraform();
    cloud.run("env", &[&rc, &terraform.display().to_string(), "-chdir=infra", "init", "-input=false"]).exits(0);
    let settings = "path = \"infra\"\nprovider-mirror = \"../mirror\"\nplatforms = [\"linux_amd64\"]";
    cloud.replace(&cloud.path("airlock.toml"), "path = \"infra\"", settings);
    cloud.commit("Use a provider");
    cloud.next_policy(|policy| {
        policy["environments"]["production"]["terraform"]["providers"] = json!(["example.com/test/thief"]);
    });
    terraform
}

/// A line of a script that runs the thief.
fn thief(cloud: &Cloud, worker: &str, pause: u64) -> String {
    let thief = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs/thief.py");
    let [python, thief, report] =
        [emulators::tool("python3"), thief, report(cloud)].map(|path| path.display().to_string());
    format!("'{python}' '{thief}' {worker} '{report}' {pause}")
}

fn program(path: &Path, script: &str) {
    fs::write(path, format!("#!/bin/sh\n{script}")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
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
    stole_nothing(&cloud);
    let signed = cloud.double.calls_of("kms:Sign").into_iter().filter_map(|call| call.caller);
    assert!(signed.into_iter().any(|by| by.contains(":assumed-role/planner/")), "the worker itself may sign");
}

/// Threat model, row 36: below Terraform it is no different. What isn't a provider ends the plan.
#[test]
fn threat_36_nor_does_a_provider_that_terraform_itself_runs() {
    let cloud = production(PLANNER, LONG, &["ec2:Describe*"], hire_thief_as_provider);
    let manifest = cloud.publish();
    plan(&cloud, &manifest).exits(5).explains(&["terraform.failed"]);
    stole_nothing(&cloud);
}

#[track_caller]
fn stole_nothing(cloud: &Cloud) {
    let found = cloud.read(&report(cloud));
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
