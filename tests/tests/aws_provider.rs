//! A real module with the real AWS provider, against moto: made, looked at again, changed, destroyed. The provider
//! crosses the gap with the build; Terraform acts as a role of its own, and its state is in S3.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed helper is a failed test")]

use std::fs;

use emulators::Moto;
use flows::{AwsProvider, Planned, Scratch};
use serde_json::{Value, json};

const ADDRESS: &str = "registry.terraform.io/hashicorp/aws";
/// moto's own account.
const ROLE: &str = "arn:aws:iam::123456789012:role/terraform";

const MODULE: &str = r#"
terraform {
  required_providers {
    aws = { source = "hashicorp/aws", version = "VERSION" }
  }
}

provider "aws" {
  s3_use_path_style = true
}

resource "aws_s3_bucket" "pages" {
  bucket = "pages"
}

resource "aws_s3_bucket_versioning" "pages" {
  bucket = aws_s3_bucket.pages.id
  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_sqs_queue" "jobs" {
  name                       = "jobs"
  visibility_timeout_seconds = 30
}

resource "aws_iam_role" "reader" {
  name = "reader"
  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = "sts:AssumeRole", Principal = { Service = "ecs-tasks.amazonaws.com" } }]
  })
}

resource "aws_iam_role_policy" "reader" {
  role = aws_iam_role.reader.id
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = ["s3:GetObject"], Resource = "${aws_s3_bucket.pages.arn}/*" }]
  })
}
"#;

/// The service with that module, and production in moto.
fn world(moto: &Moto) -> Scratch {
    let provider = AwsProvider::find();
    let mut scratch = Scratch::new();
    let bucket = moto.bucket();
    for name in ["planner", "deployer"] {
        let path = scratch.production(&format!("config/{name}.json"));
        let mut config = scratch.read(&path);
        config["aws"] = json!({ "region": "eu-central-1", "endpoint": moto.endpoint() });
        config["terraformRole"] = ROLE.into();
        config["state"] = format!("s3://{bucket}/states").into();
        config["stateBucket"] = json!({ "path-style": true });
        fs::write(path, config.to_string()).unwrap();
    }
    for (name, value) in emulators::credentials() {
        scratch.set(name, value);
    }
    scratch.next_policy(|policy| policy["environments"]["production"]["terraform"]["providers"] = json!([ADDRESS]));
    let settings = scratch.outside("terraform.rc");
    let mirror = provider.mirror.display();
    let text = format!("provider_installation {{\n  filesystem_mirror {{\n    path = \"{mirror}\"\n  }}\n}}\n");
    fs::write(&settings, text).unwrap();
    scratch.write(".gitignore", "build/\n*.pem\n*.json\n.terraform/\n");
    scratch.write("infra/aws.tf", MODULE.replace("VERSION", &provider.version));
    scratch.set("TF_CLI_CONFIG_FILE", &settings);
    scratch.terraform(&["-chdir=infra", "init", "-input=false"]).exits(0);
    scratch.unset("TF_CLI_CONFIG_FILE");
    scratch.commit("Keep pages in AWS");
    scratch
}

/// What a plan would do, and what a person must look at in it: action or rule, and address.
struct Said {
    changes: Vec<(String, String)>,
    findings: Vec<(String, String)>,
}

fn said(scratch: &Scratch, planned: &Planned) -> Said {
    let summary = scratch.read(&scratch.production(&format!("jobs/{}/plan/summary.json", planned.job)));
    let pairs = |list: &Value, one: &str| {
        let text = |item: &Value, name: &str| item[name].as_str().unwrap().to_owned();
        list.as_array().unwrap().iter().map(|item| (text(item, one), text(item, "address"))).collect()
    };
    Said { changes: pairs(&summary["terraform"]["changes"], "action"), findings: pairs(&summary["findings"], "rule") }
}

impl Said {
    #[track_caller]
    fn changes(&self, expected: &[(&str, &str)]) -> &Self {
        let found: Vec<_> = self.changes.iter().map(|(action, address)| (action.as_str(), address.as_str())).collect();
        assert_eq!(found, expected);
        self
    }

    /// There may be more: what AWS fills in of a resource is drift at the next look.
    #[track_caller]
    fn finds(&self, expected: &[(&str, &str)]) {
        for (rule, address) in expected {
            assert!(self.findings.contains(&((*rule).to_owned(), (*address).to_owned())), "{:#?}", self.findings);
        }
    }
}

fn apply(scratch: &Scratch, planned: &Planned) {
    let approval = scratch.approve(planned);
    scratch.apply(planned, &[&approval]).run.exits(0);
}

#[test]
fn a_module_of_aws_is_made_changed_and_destroyed() {
    let moto = Moto::start();
    let scratch = world(&moto);
    let ask =
        |address: &str| scratch.run("curl", &["--silent", &format!("{}{address}", moto.endpoint())]).exits(0).stdout;

    let first = scratch.planned();
    let all = [
        "aws_iam_role.reader",
        "aws_iam_role_policy.reader",
        "aws_s3_bucket.pages",
        "aws_s3_bucket_versioning.pages",
        "aws_sqs_queue.jobs",
    ];
    let mut made = all.map(|address| ("create", address)).to_vec();
    made.push(("create", "terraform_data.release"));
    said(&scratch, &first).changes(&made).finds(&[
        ("iam.changed", "aws_iam_role.reader"),
        ("iam.changed", "aws_iam_role_policy.reader"),
        ("policy.changed", "aws_iam_role.reader"),
        ("policy.changed", "aws_iam_role_policy.reader"),
    ]);
    apply(&scratch, &first);
    assert!(ask("/pages?versioning").contains("<Status>Enabled</Status>"));

    // Nothing but what it had approved was done, and nothing is left to do.
    let again = scratch.plan_of(&first.manifest);
    said(&scratch, &again).changes(&[]);

    let module = scratch.path("infra/aws.tf");
    scratch.replace(&module, "visibility_timeout_seconds = 30", "visibility_timeout_seconds = 60");
    scratch.replace(&module, "\"s3:GetObject\"", "\"s3:GetObject\", \"s3:PutObject\"");
    scratch.commit("Be patient, and write");
    let change = scratch.planned();
    said(&scratch, &change)
        .changes(&[("update", "aws_iam_role_policy.reader"), ("update", "aws_sqs_queue.jobs")])
        .finds(&[("iam.changed", "aws_iam_role_policy.reader"), ("policy.changed", "aws_iam_role_policy.reader")]);
    apply(&scratch, &change);

    let text = fs::read_to_string(&module).unwrap();
    fs::write(&module, &text[..text.find("resource").unwrap()]).unwrap();
    scratch.commit("Need no pages");
    let end = scratch.planned();
    let deleted = all.map(|address| ("resource.deleted", address));
    said(&scratch, &end).changes(&all.map(|address| ("delete", address))).finds(&deleted);
    apply(&scratch, &end);
    assert!(ask("/pages?versioning").contains("NoSuchBucket"));
    scratch.audit();
}
