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

/// What runs containers and code in AWS, each for the first time.
const TARGETS: &str = r#"
resource "aws_iam_role" "any" {
  name               = "any"
  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = "sts:AssumeRole", Principal = { Service = "lambda.amazonaws.com" } }]
  })
}

data "aws_subnets" "any" {}

resource "aws_ecs_cluster" "apps" {
  name = "apps"
}

resource "aws_ecs_task_definition" "web" {
  family                = "web"
  container_definitions = jsonencode([{ name = "web", image = "hello/web:1", memory = 128, essential = true }])
}

resource "aws_ecs_service" "hello" {
  name            = "hello"
  cluster         = aws_ecs_cluster.apps.id
  task_definition = aws_ecs_task_definition.web.arn
  network_configuration {
    subnets = [data.aws_subnets.any.ids[0]]
  }
  # service
}

resource "aws_scheduler_schedule" "nightly" {
  name                = "nightly"
  schedule_expression = "rate(1 day)"
  flexible_time_window {
    mode = "OFF"
  }
  target {
    arn      = aws_ecs_cluster.apps.arn
    role_arn = aws_iam_role.any.arn
    ecs_parameters {
      task_definition_arn = aws_ecs_task_definition.web.arn
    }
  }
  # schedule
}

resource "aws_cloudwatch_event_rule" "placed" {
  name          = "placed"
  event_pattern = jsonencode({ source = ["shop"] })
}

resource "aws_cloudwatch_event_target" "report" {
  rule     = aws_cloudwatch_event_rule.placed.name
  arn      = aws_ecs_cluster.apps.arn
  role_arn = aws_iam_role.any.arn
  ecs_target {
    task_definition_arn = aws_ecs_task_definition.web.arn
  }
  # target
}

resource "aws_lambda_function" "resize" {
  function_name = "resize"
  role          = aws_iam_role.any.arn
  package_type  = "Image"
  image_uri     = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/hello/web:1"
  publish       = true
  # function
}

resource "aws_lambda_alias" "live" {
  name             = "live"
  function_name    = aws_lambda_function.resize.function_name
  function_version = aws_lambda_function.resize.version
  # alias
}
"#;

/// The steps of the same.
const STEPS: &str = r#"
[[deploy]]
service = "hello"
containers = { web = "web" }

[[deploy]]
schedule = "nightly"
containers = { web = "web" }

[[deploy]]
rule = "placed"
containers = { web = "web" }

[[deploy]]
function = "resize"
image = "web"
alias = "live"

"#;

/// The project with a module, and production in moto.
fn world(moto: &Moto, module: &str) -> Scratch {
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
    scratch.write("infra/aws.tf", module.replace("VERSION", &provider.version));
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
    let scratch = world(&moto, MODULE);
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

#[test]
fn what_terraform_and_a_step_would_both_change_is_seen_in_the_plans_of_the_real_provider() {
    let moto = Moto::start();
    let head = &MODULE[..MODULE.find("resource").unwrap()];
    let scratch = world(&moto, &format!("{head}{TARGETS}"));
    let toml = scratch.path("airlock.toml");
    let text = fs::read_to_string(&toml).unwrap();
    let (artifacts, environments) = (text.find("[[deploy]]").unwrap(), text.find("[environments").unwrap());
    let deploy = |steps: &str| {
        let terraform = &text[artifacts..][..text[artifacts..].find("\n\n").unwrap()];
        fs::write(&toml, format!("{}{terraform}\n{steps}\n{}", &text[..artifacts], &text[environments..])).unwrap();
        scratch.commit("Other steps");
    };
    deploy("");
    apply(&scratch, &scratch.planned());

    for name in ["planner", "deployer"] {
        let path = scratch.production(&format!("config/{name}.json"));
        let mut config = scratch.read(&path);
        config["cluster"] = json!({"ecs": {"cluster": "apps"}});
        config["registry"] = json!({"address": "123456789012.dkr.ecr.eu-central-1.amazonaws.com"});
        config["targets"] = json!({"projects": {"hello": {
            "services": ["hello"], "schedules": ["nightly"], "rules": ["placed"], "functions": ["resize"],
        }}});
        fs::write(path, config.to_string()).unwrap();
    }
    deploy(STEPS);
    let module = scratch.path("infra/aws.tf");
    let text = fs::read_to_string(&module).unwrap();
    fs::write(&module, text.replace("hello/web:1", "hello/web:2")).unwrap();
    scratch.commit("Terraform would change what they run, too");
    let refused = scratch.plans(&scratch.publish()).exits(3);
    let twice = |code: &str, what: &str| {
        let line = refused.stderr.lines().find(|line| line.contains(&format!("{code}: ")) && line.contains(what));
        assert!(line.is_some(), "{code} of {what}: {}", refused.all());
    };
    twice("service.owned-twice", "aws_ecs_service.hello");
    twice("schedule.owned-twice", "aws_scheduler_schedule.nightly");
    twice("schedule.owned-twice", "aws_cloudwatch_event_target.report");
    twice("function.owned-twice", "aws_lambda_function.resize");
    twice("function.owned-twice", "aws_lambda_alias.live");

    // As docs/operations.md has it.
    for (resource, ignored) in [
        ("service", "task_definition, desired_count"),
        ("schedule", "target[0].ecs_parameters[0].task_definition_arn"),
        ("target", "ecs_target[0].task_definition_arn"),
        ("function", "image_uri, filename, s3_key, source_code_hash"),
        ("alias", "function_version"),
    ] {
        let lifecycle = format!("  lifecycle {{\n    ignore_changes = [{ignored}]\n  }}\n");
        scratch.replace(&module, &format!("  # {resource}\n"), &lifecycle);
    }
    scratch.commit("Terraform leaves that to the steps");
    let planned = scratch.planned();
    // Of others, moto doesn't keep all that the provider sets.
    let changes = said(&scratch, &planned).changes;
    assert!(changes.contains(&("delete-create".to_owned(), "aws_ecs_task_definition.web".to_owned())), "{changes:?}");
}
