//! What a Terraform bundle may not do while it is planned: Terraform alone does what the attack wants, the pipeline
//! refuses it.
//!
//! Not here, because the Terraform of today does nothing with them: blocks that it doesn't know, OpenTofu's own files and
//! settings, and functions in what `templatestring` renders. `policy` tests those by themselves.
#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

use std::fs;

use flows::{Attack, Harm, Scratch, World};

/// Threat model, row 22.
#[test]
fn threat_22_variables_of_the_environment_reach_no_terraform() {
    let mut scratch = Scratch::new();
    scratch.replace(&scratch.path("infra/main.tf"), "type        = string", "type = string\n  default = \"fine\"");
    scratch.replace(&scratch.path("airlock.toml"), "greeting = \"hello\", ", "");
    scratch.commit("Greet by default");
    let mark = scratch.outside("mark");
    scratch.set("TF_VAR_greeting", "evil");
    scratch.set("TF_CLI_ARGS_plan", "-destroy");
    scratch.set("TF_LOG", "info");
    scratch.set("TF_LOG_PATH", &mark);

    let image = format!("-var=image=sha256:{}", "0".repeat(64));
    scratch.terraform(&["-chdir=infra", "init", "-input=false"]).exits(0);
    scratch.terraform(&["-chdir=infra", "apply", "-input=false", "-auto-approve", &image]).exits(0);
    let plan = scratch.terraform(&["-chdir=infra", "plan", "-input=false", "-no-color", &image]).exits(0);
    assert!(plan.stdout.contains("will be destroyed") && plan.stdout.contains("evil") && mark.exists());
    fs::remove_file(&mark).unwrap();

    scratch.deploy().exits(0);
    let state = scratch.state();
    assert_eq!(state["outputs"]["greeting"]["value"], "fine");
    assert!(!mark.exists(), "Terraform logged where it was told to");
}

/// Threat model, row 23. The providers `external` and `http` can't be had here: programs stand in for them that show that
/// whoever names such a provider runs it while planning.
#[test]
fn threat_23_data_sources_that_run_programs_or_call_out() {
    World::new().stops_all(&[
        Attack {
            files: &[(
                "main.tf",
                r#"data "external" "run" {
  program = ["sh", "-c", "touch @HOST@/mark"]
}
"#,
            )],
            harm: Harm::Mark,
            refused: &[("main.tf:1", "configuration.data-source")],
            ..Attack::USUAL
        },
        Attack {
            files: &[(
                "main.tf",
                r#"
check "up" {
  data "http" "call" {
    url = "http://127.0.0.1:@PORT@/"
  }
  assert {
    condition = data.http.call.status_code == 200
    error_message = "It is down."
  }
}
"#,
            )],
            harm: Harm::Mark,
            refused: &[("main.tf:3", "configuration.data-source")],
            ..Attack::USUAL
        },
        Attack {
            files: &[(
                "main.tf",
                r#"data "terraform_remote_state" "host" {
  backend = "local"
  config = {
    path = "@HOST@/terraform.tfstate"
  }
}
output "found" {
  value = data.terraform_remote_state.host.outputs.found
}
"#,
            )],
            refused: &[("main.tf:2", "configuration.data-source"), ("main.tf:4", "configuration.data-source")],
            ..Attack::USUAL
        },
        Attack {
            files: &[
                (
                    "main.tf",
                    r#"data "terraform_remote_state" "host" {
  backend = "s3"
  config = {
    bucket  = "b"
    key     = "k"
    region  = "eu-central-1"
    profile = "p"
    shared_config_files = ["profiles.ini"]
  }
}
"#,
                ),
                ("profiles.ini", "[profile p]\ncredential_process = touch @HOST@/mark\n"),
            ],
            harm: Harm::Mark,
            refused: &[("main.tf:7", "configuration.data-source"), ("main.tf:8", "configuration.data-source")],
            ..Attack::USUAL
        },
        Attack {
            files: &[(
                "main.tf.json",
                r#"{"data": {"terraform_remote_state": {"host": {
  "backend": "http",
  "config": {"address": "http://127.0.0.1:@PORT@/"}}}}}"#,
            )],
            harm: Harm::Call,
            refused: &[
                ("main.tf.json:2", "configuration.data-source"),
                ("main.tf.json:3", "configuration.data-source"),
            ],
            ..Attack::USUAL
        },
    ]);
}

/// Threat model, row 23.
#[test]
fn threat_23_provisioners_and_their_connections() {
    World::new().stops_all(&[
        Attack {
            files: &[(
                "run.tf",
                r#"resource "terraform_data" "run" {
  provisioner "local-exec" {
    command = "touch @HOST@/mark"
  }
}
"#,
            )],
            harm: Harm::Mark,
            refused: &[("run.tf:2", "configuration.provisioner")],
            ..Attack::USUAL
        },
        Attack {
            files: &[(
                "run.tf.json",
                "{\"resource\": {\"terraform_data\": {\"run\": {\n  \"provisioner\": {\"local-exec\": {\"command\": \"touch @HOST@/mark\"}}}}}}",
            )],
            harm: Harm::Mark,
            refused: &[("run.tf.json:2", "configuration.provisioner")],
            ..Attack::USUAL
        },
        Attack {
            files: &[(
                "run.tf",
                r#"resource "terraform_data" "run" {
  connection {
    host = "127.0.0.1"
    port = @PORT@
    timeout = "1s"
  }
  provisioner "remote-exec" {
    inline = ["true"]
  }
}
"#,
            )],
            harm: Harm::Call,
            refused: &[("run.tf:2", "configuration.provisioner"), ("run.tf:7", "configuration.provisioner")],
            ..Attack::USUAL
        },
        Attack {
            before: Some("resource \"terraform_data\" \"gone\" {}\n"),
            files: &[(
                "run.tf",
                r#"removed {
  from = terraform_data.gone
  lifecycle {
    destroy = true
  }
  provisioner "local-exec" {
    when = destroy
    command = "touch @HOST@/mark"
  }
}
"#,
            )],
            harm: Harm::Mark,
            refused: &[("run.tf:6", "configuration.provisioner")],
            ..Attack::USUAL
        },
    ]);
}

/// Threat model, row 23.
#[test]
fn threat_23_functions_that_read_files_of_the_host() {
    let reads = |files, refused| Attack { files, refused, ..Attack::USUAL };
    World::new().stops_all(&[
        reads(
            &[(
                "main.tf",
                r#"output "found" {
  value = file("@HOST@/secret")
}
"#,
            )],
            &[("main.tf:2", "configuration.file-path")],
        ),
        reads(
            &[(
                "main.tf",
                r#"output "found" {
  value = file("${path.module}/../../host/secret")
}
"#,
            )],
            &[("main.tf:2", "configuration.file-path")],
        ),
        reads(
            &[(
                "main.tf",
                r#"output "found" {
  value = file(join("/", ["@HOST@", "secret"]))
}
"#,
            )],
            &[("main.tf:2", "configuration.file-path")],
        ),
        reads(
            &[(
                "main.tf",
                r#"output "found" {
  value = base64decode(filebase64("@HOST@/secret"))
}
"#,
            )],
            &[("main.tf:2", "configuration.file-path")],
        ),
        reads(
            &[("main.tf.json", "{\"output\": {\"found\": {\n  \"value\": \"${file(\\\"@HOST@/secret\\\")}\"}}}")],
            &[("main.tf.json:2", "configuration.file-path")],
        ),
        reads(
            &[(
                "main.tf",
                r#"output "found" {
  value = templatefile("@HOST@/secret", {})
}
"#,
            )],
            &[("main.tf:2", "configuration.file-path")],
        ),
        reads(
            &[
                (
                    "main.tf",
                    r#"output "found" {
  value = templatefile("${path.module}/page.txt", {})
}
"#,
                ),
                (
                    "page.txt",
                    r#"Found:
${file("@HOST@/secret")}
"#,
                ),
            ],
            &[("page.txt:2", "configuration.file-path")],
        ),
        // Which files there are is told, too.
        Attack {
            harm: Harm::Told("terraform.tfstate"),
            ..reads(
                &[(
                    "main.tf",
                    r#"output "found" {
  value = fileset("@HOST@", "*")
}
"#,
                )],
                &[("main.tf:2", "configuration.file-path")],
            )
        },
        Attack {
            harm: Harm::Told("/home"),
            ..reads(
                &[(
                    "main.tf",
                    r#"output "found" {
  value = pathexpand("~")
}
"#,
                )],
                &[("main.tf:2", "configuration.file-path")],
            )
        },
    ]);
}

/// Threat model, row 37: in an address it would leave with the plan's summary.
#[test]
fn threat_37_functions_that_uncover_what_is_sensitive() {
    World::new().stops_all(&[Attack {
        files: &[(
            "main.tf",
            r#"variable "password" {
  sensitive = true
  default = "uncovered-password"
}
resource "terraform_data" "each" {
  for_each = toset([nonsensitive(var.password)])
}
"#,
        )],
        harm: Harm::Told("terraform_data.each[\"uncovered-password\"]"),
        refused: &[("main.tf:6", "configuration.nonsensitive")],
        ..Attack::USUAL
    }]);
}
