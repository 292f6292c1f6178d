//! Production whose Terraform states are in a bucket, behind IAM.

use std::ops::Deref;

use aws_double::{PRODUCTION, Role};
use emulators::SeaweedFs;
use serde_json::{Value, json};

use crate::Cloud;
use crate::cloud::{allow, statements};

/// Where the state of the example is.
pub const STATE: &str = "states/production/hello/terraform.tfstate";
/// Where Terraform's lock on it is.
pub const LOCK: &str = "states/production/hello/terraform.tfstate.tflock";

/// Production with its states in a bucket. The planner's Terraform may read them, the deployer's change them, if they are
/// encrypted; the workers themselves may do neither.
#[derive(Debug)]
pub struct States {
    /// Everything but the bucket.
    pub cloud: Cloud,
    s3: SeaweedFs,
    /// The bucket.
    pub bucket: String,
}

impl States {
    /// With an empty bucket.
    pub fn new() -> Self {
        let (cloud, s3) = (Cloud::new(), SeaweedFs::start_open());
        let bucket = s3.bucket();
        cloud.double.s3(&s3.endpoint());
        let account = cloud.double.account(PRODUCTION);
        account.bucket(&bucket, None);
        let state = format!("arn:aws:s3:::{bucket}/{STATE}");
        let lock = format!("{state}.tflock");
        let mut put = allow(&["s3:PutObject"], json!([state, lock]));
        put["Condition"] = json!({ "StringEquals": { "s3:x-amz-server-side-encryption": "AES256" } });
        let list = allow(&["s3:ListBucket"], format!("arn:aws:s3:::{bucket}"));
        let read = allow(&["s3:GetObject"], json!([state, lock]));
        let unlock = allow(&["s3:DeleteObject"], lock);
        for (name, may) in [("planner", json!([list, read])), ("deployer", json!([list, read, put, unlock]))] {
            let trusted = json!({ "AWS": format!("arn:aws:iam::{PRODUCTION}:role/{name}") });
            account.role(Role::new(&format!("terraform-{name}"), &trusted, vec![statements(&may)]));
        }
        let states = Self { cloud, s3, bucket };
        let take_on =
            allow(&["sts:AssumeRole", "sts:TagSession"], format!("arn:aws:iam::{PRODUCTION}:role/terraform-*"));
        states.cloud.reconfigure(&[statements(&take_on)], |name, config| {
            config["state"] = format!("s3://{}/states", states.bucket).into();
            config["stateBucket"] = json!({ "path-style": true });
            config["terraformRole"] = format!("arn:aws:iam::{PRODUCTION}:role/terraform-{name}").into();
        });
        states
    }

    /// An object, read past IAM.
    pub fn object(&self, key: &str) -> Option<Value> {
        let ran = self.cloud.run("curl", &["--silent", "--fail", &self.address(key)]);
        (!ran.stdout.is_empty()).then(|| serde_json::from_str(&ran.stdout).unwrap())
    }

    /// Where an object is, past IAM.
    pub fn address(&self, key: &str) -> String {
        format!("{}/{}/{key}", self.s3.endpoint(), self.bucket)
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

    /// Writes an object, past IAM.
    pub fn put(&self, key: &str, content: &Value) {
        let (content, address) = (content.to_string(), self.address(key));
        self.cloud.run("curl", &["--silent", "--fail", "--request", "PUT", "--data", &content, &address]).exits(0);
    }

    /// Deletes an object, past IAM.
    pub fn delete(&self, key: &str) {
        self.cloud.run("curl", &["--silent", "--fail", "--request", "DELETE", &self.address(key)]).exits(0);
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
