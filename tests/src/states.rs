//! Production whose Terraform states are in a bucket, behind IAM.

use std::fs;
use std::ops::Deref;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use aws_double::{PRODUCTION, REGION, Role};
use serde_json::{Value, json};

use crate::cloud::{allow, statements};
use crate::{Bucket, Cloud, programs};

/// Where the state of the example is.
pub const STATE: &str = "states/production/hello/terraform.tfstate";
/// Where Terraform's lock on it is.
pub const LOCK: &str = "states/production/hello/terraform.tfstate.tflock";

/// Production with its states in a bucket. The planner's Terraform may read them, the deployer's change them, if they are
/// encrypted, and both lock them; the workers themselves may do neither.
#[derive(Debug)]
pub struct States {
    /// Everything but the bucket.
    pub cloud: Cloud,
    /// The bucket.
    pub bucket: Bucket,
}

impl States {
    /// With an empty bucket.
    pub fn new() -> Self {
        let cloud = Cloud::new();
        let bucket = Bucket::in_production(&cloud);
        let states = Self { cloud, bucket };
        states.terraform_may("planner", &["s3:GetObject"]);
        states.terraform_may("deployer", &["s3:GetObject", "s3:PutObject"]);
        let take_on =
            allow(&["sts:AssumeRole", "sts:TagSession"], format!("arn:aws:iam::{PRODUCTION}:role/terraform-*"));
        states.cloud.reconfigure(&[statements(&take_on)], |name, config| {
            config["state"] = format!("s3://{}/states", states.bucket.name).into();
            config["stateBucket"] = json!({ "path-style": true });
            config["terraformRole"] = format!("arn:aws:iam::{PRODUCTION}:role/terraform-{name}").into();
        });
        states
    }

    /// Lets a worker's Terraform do that to its state, besides what it does to the state's lock.
    pub fn terraform_may(&self, worker: &str, actions: &[&str]) {
        let (bucket, state) =
            (format!("arn:aws:s3:::{}", self.bucket.name), format!("arn:aws:s3:::{}/{STATE}", self.bucket.name));
        let encrypted = |mut statement: Value| {
            statement["Condition"] = json!({ "StringEquals": { "s3:x-amz-server-side-encryption": "AES256" } });
            statement
        };
        let (put, other): (Vec<&str>, Vec<&str>) = actions.iter().partition(|action| **action == "s3:PutObject");
        let lock = format!("arn:aws:s3:::{}/{LOCK}", self.bucket.name);
        let mut may = vec![allow(&["s3:ListBucket"], bucket), allow(&other, state.clone())];
        may.extend((!put.is_empty()).then(|| encrypted(allow(&put, state))));
        may.push(encrypted(allow(&["s3:PutObject"], lock.clone())));
        may.push(allow(&["s3:GetObject", "s3:DeleteObject"], lock));
        let trusted = json!({ "AWS": format!("arn:aws:iam::{PRODUCTION}:role/{worker}") });
        let account = self.cloud.double.account(PRODUCTION);
        account.role(Role::new(&format!("terraform-{worker}"), &trusted, vec![statements(&json!(may))]));
    }

    /// Puts a state where it belongs, as docs/operations.md says.
    ///
    /// # Panics
    /// When Terraform refuses it.
    pub fn push(&self, state: &Path) {
        let directory = self.cloud.outside("push");
        let place = json!({
            "bucket": self.bucket.name, "key": STATE, "region": REGION, "encrypt": true, "use_lockfile": true,
            // What the server of the tests asks for besides.
            "use_path_style": true,
        });
        let backend = json!({ "terraform": { "backend": { "s3": place } } }).to_string();
        let written = fs::create_dir(&directory).and_then(|()| fs::write(directory.join("backend.tf.json"), backend));
        written.expect("the directory can be written");
        let double = &self.cloud.double;
        let deployer = format!("arn:aws:iam::{PRODUCTION}:role/terraform-deployer");
        let session = double.session(&deployer, Duration::from_secs(600));
        let chdir = format!("-chdir={}", directory.display());
        let state = state.display().to_string();
        for arguments in [&["init", "-input=false"][..], &["state", "push", &state]] {
            let mut terraform = Command::new(programs::terraform());
            let ran = terraform.arg(&chdir).args(arguments).envs(double.environment_of(&session)).output();
            let ran = ran.expect("Terraform runs");
            assert!(ran.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&ran.stderr));
        }
    }

    /// An object, read past IAM.
    pub fn object(&self, key: &str) -> Option<Value> {
        self.bucket.object(&self.cloud, key).map(|text| serde_json::from_str(&text).unwrap())
    }

    /// Terraform's lock on the state, if there is one.
    pub fn lock(&self) -> Option<Value> {
        self.object(LOCK)
    }

    /// The names of the resources in the state.
    pub fn resources(&self) -> Vec<String> {
        let state = self.object(STATE).unwrap_or_default();
        let resources = state["resources"].as_array().cloned().unwrap_or_default();
        resources.iter().map(|resource| resource["name"].as_str().unwrap().to_owned()).collect()
    }
}

impl Deref for States {
    type Target = Cloud;

    fn deref(&self) -> &Cloud {
        &self.cloud
    }
}

impl Default for States {
    fn default() -> Self {
        Self::new()
    }
}
