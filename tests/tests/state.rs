//! Terraform's state in S3, which only Terraform's roles reach.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed helper is a failed test")]

use aws_double::{PRODUCTION, REGION, Role};
use emulators::SeaweedFs;
use flows::cloud::{allow, statements};
use flows::{Cloud, wait_until};
use serde_json::{Value, json};

const STATE: &str = "states/production/hello/terraform.tfstate";

/// Production with its states in a bucket. The planner's Terraform may read them, the deployer's change them, if they are
/// encrypted; the workers themselves may do neither.
struct World {
    cloud: Cloud,
    s3: SeaweedFs,
    bucket: String,
}

impl World {
    fn new() -> Self {
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
        let world = Self { cloud, s3, bucket };
        let take_on =
            allow(&["sts:AssumeRole", "sts:TagSession"], format!("arn:aws:iam::{PRODUCTION}:role/terraform-*"));
        world.cloud.reconfigure(&[statements(&take_on)], |name, config| {
            config["state"] = format!("s3://{}/states", world.bucket).into();
            config["stateBucket"] = json!({ "path-style": true });
            config["terraformRole"] = format!("arn:aws:iam::{PRODUCTION}:role/terraform-{name}").into();
        });
        world
    }

    /// An object, asked of the server behind IAM.
    fn object(&self, key: &str) -> Option<Value> {
        let ran = self.cloud.run("curl", &["--silent", "--fail", &self.address(key)]);
        (!ran.stdout.is_empty()).then(|| serde_json::from_str(&ran.stdout).unwrap())
    }

    fn address(&self, key: &str) -> String {
        format!("{}/{}/{key}", self.s3.endpoint(), self.bucket)
    }

    fn lock(&self) -> Option<Value> {
        self.object(&format!("{STATE}.tflock"))
    }

    fn resources(&self) -> Vec<String> {
        let state = self.object(STATE).unwrap_or_default();
        let resources = state["resources"].as_array().cloned().unwrap_or_default();
        resources.iter().map(|resource| resource["name"].as_str().unwrap().to_owned()).collect()
    }

    /// Kills the task of an apply between two of its resources.
    fn dies_in_the_middle_of_an_apply(&self) {
        self.cloud.slow_infrastructure();
        let deploy = self.cloud.start_deploy();
        let job = self.cloud.job("apply", 1);
        wait_until("the first resource", || {
            self.cloud.progress(&job).iter().any(|line| line.contains("first: create done")).then_some(())
        });
        self.cloud.double.kill(&self.cloud.task_of(&job));
        deploy.end().exits(5).explains(&["worker.died"]);
        assert!(self.lock().is_some(), "a Terraform that is killed leaves its lock");
    }
}

#[test]
fn a_first_deploy_makes_the_state_and_the_next_goes_on_from_it() {
    let world = World::new();
    let cloud = &world.cloud;
    assert_eq!(world.object(STATE), None);
    cloud.deploys().exits(0);
    let first = world.object(STATE).unwrap();
    assert_eq!((world.resources(), world.lock()), (vec!["release".to_owned()], None));

    cloud.change_page("again");
    cloud.deploys().exits(0);
    let second = world.object(STATE).unwrap();
    assert_eq!(second["lineage"], first["lineage"]);
    assert!(second["serial"].as_u64() > first["serial"].as_u64(), "{second:#}");
    cloud.audit();
    assert!(!cloud.production("state").exists(), "nothing is on the machine");
    let writers = cloud.double.calls_of("s3:PutObject").into_iter().filter_map(|call| call.caller);
    let deployer = format!("arn:aws:sts::{PRODUCTION}:assumed-role/terraform-deployer/");
    assert!(writers.into_iter().all(|by| by.starts_with(&deployer)));
    let regions: Vec<_> = cloud.double.calls_of("s3:GetObject").into_iter().filter_map(|call| call.region).collect();
    assert!(regions.iter().all(|region| region == REGION), "{regions:?}");
}

/// Threat model, row 29.
#[test]
fn threat_29_the_lock_of_a_killed_apply_goes_with_its_lease() {
    let world = World::new();
    let cloud = &world.cloud;
    world.dies_in_the_middle_of_an_apply();
    cloud.deploys().exits(0);
    let told = cloud.progress(&cloud.job("apply", 2)).join("\n");
    assert!(told.contains("removing its lock") && told.contains(&format!("s3://{}/{STATE}", world.bucket)), "{told}");
    assert_eq!(world.lock(), None);
    let resources = world.resources();
    assert!(resources.contains(&"last".to_owned()), "{resources:?}");
    assert_eq!(cloud.records().len(), 2);
    cloud.audit();
}

#[test]
fn a_lock_that_somebody_else_made_stays() {
    let world = World::new();
    world.dies_in_the_middle_of_an_apply();
    let address = world.address(&format!("{STATE}.tflock"));
    let lock = json!({ "ID": "6b2f", "Operation": "OperationTypeApply", "Who": "ada@laptop" }).to_string();
    world.cloud.run("curl", &["--silent", "--fail", "--request", "PUT", "--data", &lock, &address]).exits(0);
    world.cloud.deploys().exits(5).explains(&["terraform.failed", "lock"]);
    let told = world.cloud.progress(&world.cloud.job("apply", 2)).join("\n");
    assert!(told.contains("lock 6b2f of ada@laptop (OperationTypeApply)") && told.contains("it stays"), "{told}");
    assert!(world.lock().is_some());
}
