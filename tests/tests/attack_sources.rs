//! What a Terraform bundle may not bring, or fetch: Terraform alone takes it, the pipeline refuses it.
#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

use std::fs;

use flows::{Attack, Build, Harm, World};

/// Threat model, row 24.
#[test]
fn threat_24_providers_that_nobody_locked_or_allowed() {
    World::new().stops_all(&[
        Attack {
            files: &[(
                "main.tf",
                r#"terraform {
  required_providers {
    fake = { source = "example.com/test/fake" }
  }
}
provider "fake" {}
resource "fake_thing" "x" {}
"#,
            )],
            harm: Harm::Mark,
            build: Build::Refuses("infra/main.tf:3: provider example.com/test/fake isn't locked"),
            refused: &[("main.tf:3", "configuration.unlocked")],
            ..Attack::USUAL
        },
        // Production knows which are allowed, CI doesn't.
        Attack {
            files: &[(
                "main.tf",
                r#"terraform {
  required_providers {
    fake = { source = "example.com/test/foreign" }
  }
}
resource "fake_thing" "x" {}
"#,
            )],
            harm: Harm::Mark,
            build: Build::Silent,
            refused: &[
                (".terraform.lock.hcl:4", "configuration.provider"),
                ("main.tf:3", "configuration.provider"),
                ("artifact provider-test-foreign-linux_amd64", "configuration.provider"),
            ],
            ..Attack::USUAL
        },
    ]);
}

/// Threat model, row 25.
#[test]
fn threat_25_a_provider_smuggled_into_a_bundle() {
    let world = World::new();
    let main = r#"terraform {
  required_providers {
    fake = { source = "example.com/test/smuggled" }
  }
}
resource "fake_thing" "x" {}
"#;
    // Where the attacker sits there is a mirror that has it; where the victim sits there is none.
    let program = "example.com/test/smuggled/1.0.0/linux_amd64/terraform-provider-smuggled_v1.0.0";
    let (fake, mirror) = (world.outside("mirror/example.com/test/fake"), world.outside("attacker/mirror"));
    let fake = fake.join("1.0.0/linux_amd64/terraform-provider-fake_v1.0.0");
    fs::create_dir_all(mirror.join(program).parent().unwrap()).unwrap();
    fs::copy(fake, mirror.join(program)).unwrap();
    fs::remove_dir_all(world.path("infra")).unwrap();
    world.write("infra/main.tf", main);
    let plugins = format!("-plugin-dir={}", mirror.display());
    world.terraform(&["-chdir=infra", "init", "-input=false", &plugins]).exits(0);
    let installed = world.path("infra/.terraform/providers").join(program);
    fs::remove_dir_all(world.path("infra/.terraform")).unwrap();
    fs::create_dir_all(installed.parent().unwrap()).unwrap();
    fs::rename(mirror.join(program), installed).unwrap();
    world.stops_what_is_there(&Attack {
        harm: Harm::Mark,
        build: Build::Refuses("the mirror ../mirror has no example.com/test/smuggled"),
        refused: &[
            (".terraform.lock.hcl:4", "configuration.provider"),
            (
                ".terraform/providers/example.com/test/smuggled/1.0.0/linux_amd64/terraform-provider-smuggled_v1.0.0",
                "configuration.cli-settings",
            ),
            ("main.tf:3", "configuration.provider"),
        ],
        ..Attack::USUAL
    });
}

/// Threat model, row 25.
#[test]
fn threat_25_files_that_terraform_reads_because_of_their_names() {
    const VARIABLE: (&str, &str) = (
        "main.tf",
        r#"variable "role" {
  default = "reader"
}
output "role" {
  value = var.role
}
"#,
    );
    let named = |files, refused| Attack { files, refused, harm: Harm::Told("evil-writer"), ..Attack::USUAL };
    World::new().stops_all(&[
        named(
            &[
                VARIABLE,
                (
                    "main_override.tf",
                    r#"output "role" {
  value = "evil-writer"
}
"#,
                ),
            ],
            &[("main_override.tf", "configuration.override")],
        ),
        named(
            &[VARIABLE, ("override.tf.json", "{\"output\": {\"role\": {\"value\": \"evil-writer\"}}}")],
            &[("override.tf.json", "configuration.override")],
        ),
        named(
            &[VARIABLE, ("x.auto.tfvars", "role = \"evil-writer\"\n")],
            &[("x.auto.tfvars", "configuration.variables-file")],
        ),
        named(
            &[VARIABLE, ("terraform.tfvars.json", "{\"role\": \"evil-writer\"}")],
            &[("terraform.tfvars.json", "configuration.variables-file")],
        ),
        named(
            &[
                (
                    "main.tf",
                    r#"module "m" {
  source = "./.m"
}
output "role" {
  value = module.m.role
}
"#,
                ),
                (
                    ".m/main.tf",
                    r#"output "role" {
  value = "evil-writer"
}
"#,
                ),
            ],
            &[(".m/main.tf", "configuration.hidden-file")],
        ),
        // Where this is the state, what the production's own state has is created again.
        Attack {
            build: Build::Mends,
            ..named(
                &[
                    ("main.tf", ""),
                    (
                        "terraform.tfstate",
                        "{\"version\": 4, \"terraform_version\": \"1.4.0\", \"serial\": 1, \"lineage\": \"evil\", \"outputs\": {\"role\": {\"value\": \"evil-writer\", \"type\": \"string\"}}, \"resources\": []}",
                    ),
                ],
                &[("terraform.tfstate", "configuration.state-file")],
            )
        },
    ]);
}

/// Threat model, row 26.
#[test]
fn threat_26_modules_from_outside_the_bundle() {
    let build = Build::Refuses("module found");
    World::new().stops_all(&[
        Attack {
            files: &[(
                "main.tf",
                r#"module "found" {
  source = "../../host/module"
}
output "found" {
  value = module.found.found
}
"#,
            )],
            build: Build::Mends,
            refused: &[("main.tf:2", "configuration.module-source")],
            ..Attack::USUAL
        },
        Attack {
            files: &[(
                "main.tf",
                r#"module "found" {
  source = "git::file://@HOST@/module"
}
output "found" {
  value = module.found.found
}
"#,
            )],
            build,
            refused: &[("main.tf:2", "configuration.module-source")],
            ..Attack::USUAL
        },
        Attack {
            files: &[(
                "main.tf",
                r#"module "found" {
  source = "http://127.0.0.1:@PORT@/module.zip"
}
"#,
            )],
            harm: Harm::Call,
            build,
            refused: &[("main.tf:2", "configuration.module-source")],
            ..Attack::USUAL
        },
    ]);
}

/// Threat model, row 27.
#[test]
fn threat_27_backends_of_the_bundles_own() {
    World::new().stops_all(&[
        Attack {
            files: &[(
                "main.tf",
                r#"terraform {
  backend "local" {
    path = "@HOST@/mark"
  }
}
resource "terraform_data" "x" {}
"#,
            )],
            harm: Harm::Mark,
            refused: &[("main.tf:2", "configuration.backend")],
            ..Attack::USUAL
        },
        Attack {
            files: &[(
                "main.tf.json",
                "{\"terraform\": {\n  \"backend\": {\"http\": {\"address\": \"http://127.0.0.1:@PORT@/\"}}}}",
            )],
            harm: Harm::Call,
            refused: &[("main.tf.json:2", "configuration.backend")],
            ..Attack::USUAL
        },
        Attack {
            files: &[(
                "main.tf",
                r#"terraform {

  cloud {
    hostname = "127.0.0.1:@PORT@"
    organization = "x"
    workspaces {
      name = "x"
    }
  }
}
"#,
            )],
            harm: Harm::Call,
            refused: &[("main.tf:3", "configuration.backend")],
            ..Attack::USUAL
        },
    ]);
}

/// Text to one parser, code to another.
#[test]
fn files_that_two_parsers_read_differently() {
    let hides = |files, refused| Attack { files, refused, ..Attack::USUAL };
    World::new().stops_all(&[
        // Our parser would end the first heredoc at `A,`: the call would be text in the second.
        hides(
            &[(
                "main.tf",
                r#"locals {
  all = [<<A
text
A, <<B
A
  , file("@HOST@/secret"), <<B
B
  ]
}
output "found" {
  value = local.all[1]
}
"#,
            )],
            &[("main.tf:2", "configuration.unreadable")],
        ),
        // A parser that keeps the last of two would see nothing.
        hides(
            &[(
                "main.tf.json",
                "{\"output\": {\"found\": {\"value\": \"${file(\\\"@HOST@/secret\\\")}\"}},\n  \"output\": {\"other\": {\"value\": \"\"}}}",
            )],
            &[("main.tf.json:2", "configuration.unreadable")],
        ),
    ]);
}
