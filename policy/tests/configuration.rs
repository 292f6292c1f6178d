//! The attack list of gate 13: threats 22 to 27 of the threat model and their variations.

use manifest_schema::trust::TerraformRules;
use policy::configuration::{ConfigFile, Problem, check};

const ALLOWED: &str = "registry.terraform.io/hashicorp/aws";
const LOCK: (&str, &str) = (
    ".terraform.lock.hcl",
    "provider \"registry.terraform.io/hashicorp/aws\" {\n  version = \"5.100.0\"\n  hashes  = [\"h1:aws=\"]\n}\n",
);

fn problems(files: &[(&str, &str)]) -> Vec<Problem> {
    let files: Vec<ConfigFile<'_>> =
        files.iter().map(|(path, text)| ConfigFile { path, bytes: text.as_bytes() }).collect();
    let rules = TerraformRules { providers: vec![ALLOWED.to_owned()], ..TerraformRules::default() };
    check(&files, Some(&rules))
}

fn codes(files: &[(&str, &str)]) -> Vec<&'static str> {
    problems(files).iter().map(|problem| problem.rule.code()).collect()
}

#[test]
fn an_ordinary_bundle_passes() {
    let main = r#"
terraform {
  required_version = ">= 1.9"
  required_providers {
    aws = { source = "hashicorp/aws", version = "~> 5.0" }
  }
}
provider "aws" { region = var.region }
variable "region" { type = string }
locals {
  policies = { for f in fileset("${path.module}/policies", "**/*.json") : f => file("${path.module}/policies/${f}") }
  text     = <<-EOT
    hello $${name} ${var.region}
    EOT
}
module "web" { source = "./modules/web" }
resource "aws_s3_object" "page" {
  for_each = fileset(path.module, "site/*")
  key      = each.value
  content  = templatefile("${path.module}/page.tftpl", { name = each.key })
  etag     = filemd5("${path.module}/${each.value}")
  lifecycle { ignore_changes = [tags] }
}
data "aws_iam_policy_document" "d" {}
data "terraform_remote_state" "net" {
  backend = "s3"
  config  = { bucket = "state" }
}
resource "terraform_data" "x" { input = file("static.txt") }
check "health" {
  data "aws_caller_identity" "me" {}
  assert {
    condition     = true
    error_message = "no"
  }
}
"#;
    let files = [
        ("main.tf", main),
        (
            "modules/web/main.tf",
            "resource \"aws_sqs_queue\" \"q\" { policy = file(\"${path.module}/../../site/x\") }\n",
        ),
        (
            "more.tf.json",
            r#"{"//": "made", "resource": {"terraform_data": {"y": {"input": "${file(\"static.txt\")}"}}}}"#,
        ),
        ("page.tftpl", "%{ for n in [1, 2] ~}\n${name} ${upper(name)}\n%{ endfor ~}\n"),
        ("site/x", "\u{0}binary"),
        LOCK,
    ];
    assert_eq!(problems(&files), []);
}

#[test]
fn file_names_that_take_effect_silently_are_refused() {
    for (path, code) in [
        (".terraform/providers/x", "cli-settings"),
        ("modules/web/.Terraform/providers/x", "cli-settings"),
        (".terraformrc", "hidden-file"),
        ("modules/a/.terraform.lock.hcl", "hidden-file"),
        ("a/.git/config", "hidden-file"),
        ("override.tf", "override"),
        ("x_override.tf", "override"),
        ("override.tf.json", "override"),
        ("m/x_override.tf.json", "override"),
        ("main.tofu", "override"),
        ("main.tofu.json", "override"),
        ("terraform.tfvars", "variables-file"),
        ("terraform.tfvars.json", "variables-file"),
        ("x.auto.tfvars", "variables-file"),
        ("x.auto.tfvars.json", "variables-file"),
        ("terraform.tfstate", "state-file"),
        ("terraform.tfstate.backup", "state-file"),
        ("terraform.d/plugins/x", "cli-settings"),
        ("cli.tfrc", "cli-settings"),
    ] {
        let text = if path.ends_with(".json") { "{}" } else { "" };
        assert_eq!(codes(&[(path, text)]), [format!("configuration.{code}")], "{path}");
    }
    assert_eq!(codes(&[("prod.tfvars", "a = 1"), ("README.md", "x")]), [] as [&str; 0]);
}

/// A trust policy may relax the rule about the name, and no policy those about escapes.
#[test]
fn what_only_opentofu_reads_is_judged_like_the_rest() {
    for (path, text) in [
        ("main.tofu", "locals {\n  x = file(\"/etc/passwd\")\n}\n"),
        ("main.tofu.json", r#"{"locals": {"x": "${file(\"/etc/passwd\")}"}}"#),
    ] {
        assert_eq!(codes(&[(path, text)]), ["configuration.override", "configuration.file-path"], "{path}");
    }
}

/// Configuration, the rule it breaks and the line.
const STRUCTURE: &[(&str, &str, usize)] = &[
    ("terraform {\n  backend \"local\" { path = \"/tmp/x\" }\n}", "backend", 2),
    ("terraform {\n  cloud {}\n}", "backend", 2),
    ("terraform {\n  encryption {}\n}", "unknown-block", 2),
    ("terraform {\n  experiments = [x]\n}", "unknown-block", 2),
    ("\naction \"a\" \"b\" {\n  config {}\n}", "unknown-block", 2),
    ("x = 1", "unknown-block", 1),
    (
        "resource \"terraform_data\" \"x\" {\n  provisioner \"local-exec\" {\n    command = \"id\"\n  }\n}",
        "provisioner",
        2,
    ),
    ("resource terraform_data x {\n  connection {}\n}", "provisioner", 2),
    ("removed {\n  from = terraform_data.x\n  provisioner \"local-exec\" {}\n}", "provisioner", 3),
    ("data \"terraform_remote_state\" \"x\" {\n  backend = \"http\"\n}", "data-source", 2),
    ("data \"terraform_remote_state\" \"x\" {\n  backend = var.b\n}", "data-source", 2),
    (
        "data \"terraform_remote_state\" \"x\" {\n  backend = \"s3\"\n  config = {\n    profile = \"p\"\n  }\n}",
        "data-source",
        4,
    ),
    (
        "data \"terraform_remote_state\" \"x\" {\n  backend = \"s3\"\n  config = { \"shared_config_files\" = [\"p\"] }\n}",
        "data-source",
        3,
    ),
    (
        "data \"terraform_remote_state\" \"x\" {\n  backend = \"s3\"\n  config = { endpoints = { s3 = \"http://x\" } }\n}",
        "data-source",
        3,
    ),
    (
        "data \"terraform_remote_state\" \"x\" {\n  backend = \"s3\"\n  config = { (var.k) = \"p\" }\n}",
        "data-source",
        3,
    ),
    ("data \"terraform_remote_state\" \"x\" {\n  backend = \"s3\"\n  config = merge({}, var.c)\n}", "data-source", 3),
    (
        "data \"terraform_remote_state\" \"x\" {\n  config = true ? { key = \"k\" } : {}\n  backend = \"s3\"\n}",
        "data-source",
        2,
    ),
    ("ephemeral \"aws_lambda_invocation\" \"x\" {}", "ephemeral", 1),
    ("provider \"aws\" {\n  profile = \"p\"\n}", "provider-settings", 2),
    ("provider \"aws\" {\n  region = \"x\"\n  endpoints {\n    s3 = \"http://x\"\n  }\n}", "provider-settings", 3),
    ("provider \"aws\" {\n  dynamic \"endpoints\" {\n    for_each = []\n  }\n}", "provider-settings", 2),
    (
        "provider \"aws\" {\n  assume_role_with_web_identity {\n    web_identity_token_file = \"t\"\n  }\n}",
        "provider-settings",
        3,
    ),
    ("module \"m\" {\n  source = \"git::https://example.com/x\"\n}", "module-source", 2),
    ("module \"m\" {\n  source = \"terraform-aws-modules/vpc/aws\"\n}", "module-source", 2),
    ("module \"m\" {\n  source = \"../x\"\n}", "module-source", 2),
    ("module \"m\" {\n  source = \"./a/../../x\"\n}", "module-source", 2),
    ("module \"m\" {\n  source = \"/etc\"\n}", "module-source", 2),
    ("module \"m\" {\n  source = var.where\n}", "module-source", 2),
    ("module \"m\" {\n  source = \"./${var.where}\"\n}", "module-source", 2),
    ("terraform {\n  required_providers {\n    evil = { source = \"evil/evil\" }\n  }\n}", "provider", 3),
    ("terraform {\n  required_providers {\n    evil = \"~> 1.0\"\n  }\n}", "provider", 3),
    ("resource \"evil_thing\" \"x\" {}", "provider", 1),
    ("provider \"evil\" {}", "provider", 1),
    ("resource \"a\" {", "unreadable", 1),
    ("a = 1\r\nb = 2\rc = 3", "unreadable", 2),
    ("locals {\n  x = \"$$${y}\"\n}", "unreadable", 2),
    ("locals {\n  x = [<<A\nt\nA, <<B\nA\n]\ny = [<<B\nB\n]\n}", "unreadable", 2),
];

#[test]
fn blocks_that_run_or_reach_are_refused_with_their_line() {
    for (text, code, line) in STRUCTURE {
        let found = problems(&[("main.tf", text), LOCK]);
        let places: Vec<_> = found.iter().map(|p| (p.rule.code(), p.file.as_str(), p.line)).collect();
        assert!(places.contains(&(&format!("configuration.{code}"), "main.tf", Some(*line))), "{text}\n{found:#?}");
    }
    for kind in ["external", "http"] {
        for text in [format!("data \"{kind}\" \"x\" {{}}"), format!("check \"c\" {{\n  data {kind} \"x\" {{}}\n}}")] {
            assert!(codes(&[("a.tf", &text)]).contains(&"configuration.data-source"), "{text}");
        }
    }
}

#[test]
fn the_json_syntax_hides_nothing() {
    for (text, code) in [
        (r#"{"terraform": {"backend": {"local": {}}}}"#, "backend"),
        (r#"[{"terraform": [{"cloud": {}}]}]"#, "backend"),
        (
            r#"{"resource": [{"terraform_data": [{"x": [{"provisioner": [{"local-exec": {"command": "id"}}]}]}]}]}"#,
            "provisioner",
        ),
        (r#"{"data": {"external": {"x": {}}}}"#, "data-source"),
        (r#"{"d\u0061ta": {"http": {"x": {}}}}"#, "data-source"),
        (r#"{"check": {"c": {"data": {"http": {"x": {}}}}}}"#, "data-source"),
        (
            r#"{"data": {"terraform_remote_state": {"x": {"backend": "s3", "config": {"profile": "p"}}}}}"#,
            "data-source",
        ),
        (r#"{"data": {"terraform_remote_state": {"x": {"backend": "s3", "config": "${var.c}"}}}}"#, "data-source"),
        (r#"{"data": {"terraform_remote_state": {"x": {"backend": "s3", "config": {"${var.k}": 1}}}}}"#, "data-source"),
        (r#"{"ephemeral": {"aws_lambda_invocation": {"x": {}}}}"#, "ephemeral"),
        (r#"{"provider": {"aws": [{"shared_config_files": ["p"]}]}}"#, "provider-settings"),
        (r#"{"module": {"m": {"source": "git::https://example.com"}}}"#, "module-source"),
        (r#"{"module": {"m": [{"source": "../x"}]}}"#, "module-source"),
        (r#"{"locals": {"x": "${file(\"/etc/passwd\")}"}}"#, "file-path"),
        (r#"{"locals": {"x": {"${file(\"/etc/passwd\")}": 1}}}"#, "file-path"),
        (r#"{"locals": {"//": "${file(\"/etc/passwd\")}"}}"#, "file-path"),
        (r#"{"action": {}}"#, "unknown-block"),
        (r#"{"resource": {"evil_thing": {"x": {}}}}"#, "provider"),
        (r#"{"terraform": {"required_providers": {"aws": {"source": "evil/aws"}}}}"#, "provider"),
        (r#"{"resource": {"terraform_data": {}}, "resource": {}}"#, "unreadable"),
        (r#"{"locals": {"x": "${"}}"#, "unreadable"),
        ("{", "unreadable"),
    ] {
        let found = codes(&[("a.tf.json", text), LOCK]);
        assert!(found.contains(&format!("configuration.{code}").as_str()), "{text} gave {found:?}");
    }
    let found = problems(&[("a.tf.json", "{\n\"data\": {\n\"http\": {\"x\": {}}}}")]);
    assert!(found.iter().any(|p| p.rule.code() == "configuration.data-source" && p.line == Some(3)), "{found:?}");
}

#[test]
fn files_are_read_only_inside_the_bundle() {
    for expression in [
        "file(\"/etc/passwd\")",
        "file(\"~/.aws/credentials\")",
        "file(\"../x\")",
        "file(\"a/../../x\")",
        "filebase64(\"${path.module}/../../x\")",
        "file(\"${path.module}./x\")",
        "file(\"${path.root}/../x\")",
        "file(var.path)",
        "file(join(\"/\", [\"\", \"etc\", \"passwd\"]))",
        "file(\"${var.up}etc/passwd\")",
        "file(\"${path.module}/${local.up}\")",
        "file([\"/etc/passwd\"]...)",
        "file(true ? \"/etc/passwd\" : \"x\")",
        "core::file(\"/etc/passwd\")",
        "core :: file (\"/etc/passwd\")",
        "filemd5(\"/etc/passwd\")",
        "filesha1(\"/x\")",
        "filesha256(\"/x\")",
        "filesha512(\"/x\")",
        "filebase64sha256(\"/x\")",
        "filebase64sha512(\"/x\")",
        "fileexists(\"/x\")",
        "fileset(\"/etc\", \"*\")",
        "fileset(path.module, \"../**\")",
        "fileset(path.module, \"{..,x}/*\")",
        "fileset(path.module, var.pattern)",
        "templatefile(\"/etc/passwd\", {})",
        "templatefile(\"missing.tftpl\", {})",
        "templatestring(local.t, {})",
        "pathexpand(\"~/x\")",
        "file(pathexpand(\"x\"))",
        "\"%{ for x in [file(\"/etc/passwd\")] }${x}%{ endfor }\"",
        "\"%{ if file(\"/etc/passwd\") == \"\" }x%{ endif }\"",
        "[for path in [{ module = \"/etc\" }] : file(\"${path.module}/passwd\")]",
        "[for f in fileset(path.module, \"*\") : [for f in [\"/etc/passwd\"] : file(f)]]",
        "{ (file(\"/etc/passwd\")) = 1 }",
        "<<EOT\n${file(\"/etc/passwd\")}\nEOT\n",
        "each.value == \"\" ? 1 : file(each.value)",
    ] {
        let text = format!("locals {{\n  x = {expression}\n}}\n");
        let found = problems(&[("main.tf", &text)]);
        assert!(found.iter().any(|p| p.rule.code() == "configuration.file-path"), "{expression}\n{found:?}");
    }
}

#[test]
fn an_iterator_cannot_pose_as_each() {
    let text = "resource \"terraform_data\" \"x\" {\n  for_each = fileset(path.module, \"*\")\n  dynamic \"a\" {\n    for_each = [\"/etc/passwd\"]\n    iterator = each\n    content { b = file(each.value) }\n  }\n}\n";
    assert_eq!(codes(&[("main.tf", text)]), ["configuration.file-path"]);
}

#[test]
fn templates_are_judged_like_configuration() {
    let main = ("main.tf", "locals {\n  x = templatefile(\"a.tftpl\", { path = { module = \"/etc\" } })\n}\n");
    for (template, code) in [
        ("${file(\"/etc/passwd\")}", "file-path"),
        ("\n${file(\"${path.module}/passwd\")}", "file-path"),
        ("%{ for f in [\"/x\"] }${file(f)}%{ endfor }", "file-path"),
        ("${templatefile(\"b.tftpl\", {})}", "file-path"),
        ("${", "unreadable"),
    ] {
        let files = [main, ("a.tftpl", template), ("b.tftpl", "${pathexpand(\"~\")}")];
        assert_eq!(codes(&files), [format!("configuration.{code}")], "{template}");
    }
    assert_eq!(codes(&[main, ("a.tftpl", "${templatefile(\"a.tftpl\", {})}")]), [] as [&str; 0]);
}

#[test]
fn providers_are_allowed_and_locked() {
    let aws = ("main.tf", "resource \"aws_sqs_queue\" \"q\" {}\n");
    assert_eq!(codes(&[aws]), ["configuration.unlocked"], "no lock file");
    assert_eq!(codes(&[aws, LOCK]), [] as [&str; 0]);
    assert_eq!(codes(&[("main.tf", "resource \"terraform_data\" \"q\" {}\n")]), [] as [&str; 0], "built in");
    let evil = (
        ".terraform.lock.hcl",
        "provider \"registry.terraform.io/evil/aws\" {\n  version = \"5.100.0\"\n  hashes  = [\"h1:evil=\"]\n}\n",
    );
    assert_eq!(codes(&[aws, evil]), ["configuration.provider"]);
    let renamed = (
        "main.tf",
        "terraform {\n  required_providers {\n    terraform = { source = \"evil/terraform\" }\n  }\n}\nresource \"terraform_data\" \"x\" {}\n",
    );
    assert_eq!(codes(&[renamed, LOCK]), ["configuration.provider"]);
    assert_eq!(codes(&[(".terraform.lock.hcl", "x \"y\" {}\n")]), ["configuration.unknown-block"]);
    let without = LOCK.1.replace("\"h1:aws=\"", "");
    assert_eq!(codes(&[aws, (LOCK.0, &without)]), ["configuration.unlocked"]);
}

#[test]
fn bytes_that_are_not_text_are_refused() {
    let check_bytes =
        |bytes: &[u8]| check(&[ConfigFile { path: "a.tf", bytes }], Some(&TerraformRules::default())).len();
    assert_eq!(check_bytes(b"\xff\xfe"), 1);
    assert_eq!(check_bytes("\u{feff}locals {}".as_bytes()), 1);
    assert_eq!(check_bytes(b"locals {}\0"), 1);
    assert_eq!(check_bytes(&vec![b' '; 5 << 20]), 1);
    let deep = format!("locals {{\n x = {}1{}\n}}", "[".repeat(10_000), "]".repeat(10_000));
    assert_eq!(check_bytes(deep.as_bytes()), 1);
}
