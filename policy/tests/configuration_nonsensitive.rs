//! A stolen builder key must not read state secrets through a plan job: a value without its mark leaves in keys of
//! `for_each`, in attribute paths and in messages that the configuration's author writes.

use manifest_schema::trust::TerraformRules;
use policy::configuration::{ConfigFile, check};

fn places(files: &[(&str, &str)]) -> Vec<(&'static str, String, Option<usize>)> {
    let files: Vec<_> = files.iter().map(|(path, text)| ConfigFile { path, bytes: text.as_bytes() }).collect();
    check(&files, Some(&TerraformRules::default()))
        .into_iter()
        .map(|problem| (problem.rule.code(), problem.file, problem.line))
        .collect()
}

fn refused_at(file: &str, line: usize) -> Vec<(&'static str, String, Option<usize>)> {
    vec![("configuration.nonsensitive", file.to_owned(), Some(line))]
}

#[test]
fn a_state_secret_cannot_be_uncovered_in_hcl() {
    for (attack, line) in [
        ("resource \"terraform_data\" \"x\" {\n  for_each = toset([nonsensitive(terraform_data.db.input)])\n}", 2),
        ("module \"m\" {\n  source = \"./m\"\n  for_each = { (nonsensitive(var.token)) = 1 }\n}", 3),
        ("resource \"terraform_data\" \"x\" {\n  input = { \"x-${nonsensitive(var.token)}\" = 1 }\n}", 2),
        (
            "resource \"terraform_data\" \"x\" {\n  lifecycle {\n    precondition {\n      condition = false\n      error_message = \"it is ${nonsensitive(var.token)}\"\n    }\n  }\n}",
            5,
        ),
        ("check \"c\" {\n  assert {\n    condition = false\n    error_message = nonsensitive(var.token)\n  }\n}", 4),
        (
            "variable \"x\" {\n  validation {\n    condition = nonsensitive(var.x) == 1\n    error_message = \"no\"\n  }\n}",
            3,
        ),
        ("output \"x\" {\n  value = core::nonsensitive(var.token)\n}", 2),
        ("locals {\n  x = core :: nonsensitive /* */ (var.token)\n}", 2),
        ("locals {\n  x = [for k in nonsensitive(var.keys) : upper(k)]\n}", 2),
        ("locals {\n  x = \"%{ for k in nonsensitive(var.keys) }${k}%{ endfor }\"\n}", 2),
        ("locals {\n  x = <<-EOT\n    ${nonsensitive(var.token)}\n    EOT\n}", 3),
        ("locals {\n  x = upper(sensitive(nonsensitive(var.token)))\n}", 2),
        ("locals {\n  x = nonsensitive([var.token]...)\n}", 2),
        ("import {\n  to = terraform_data.x\n  id = nonsensitive(var.token)\n}", 3),
        ("moved {\n  from = terraform_data.a[nonsensitive(var.token)]\n  to = terraform_data.x\n}", 2),
    ] {
        assert_eq!(places(&[("main.tf", attack)]), refused_at("main.tf", line), "{attack}");
    }
}

#[test]
fn a_state_secret_cannot_be_uncovered_in_json() {
    for (attack, line) in [
        ("{\"locals\":\n{\"x\": \"${nonsensitive(var.token)}\"}}", 2),
        ("{\"locals\":\n{\"x\": {\"${nonsensitive(var.token)}\": 1}}}", 2),
        ("{\"locals\":\n{\"x\": [\"a\",\n \"${core::nonsensitive(var.token)}\"]}}", 3),
        ("{\"locals\":\n{\"x\": \"\\u0024{non\\u0073ensitive(var.token)}\"}}", 2),
        (
            "{\"check\": {\"c\": {\"assert\": {\"condition\": false,\n\"error_message\": \"${nonsensitive(var.x)}\"}}}}",
            2,
        ),
        ("{\"resource\": {\"terraform_data\": {\"x\":\n{\"for_each\": \"${toset([nonsensitive(var.x)])}\"}}}}", 2),
    ] {
        assert_eq!(places(&[("main.tf.json", attack)]), refused_at("main.tf.json", line), "{attack}");
    }
}

#[test]
fn a_state_secret_cannot_be_uncovered_in_a_template() {
    let main = ("main.tf", "locals {\n  x = templatefile(\"a.tftpl\", { token = var.token })\n}");
    assert_eq!(places(&[main, ("a.tftpl", "\n${nonsensitive(token)}")]), refused_at("a.tftpl", 2));
}

#[test]
fn words_alone_and_other_functions_pass() {
    let text = "locals {\n  nonsensitive = \"nonsensitive(var.x) $${nonsensitive(var.x)}\"\n  b = sensitive(local.nonsensitive)\n  c = issensitive(local.b)\n}";
    assert_eq!(places(&[("main.tf", text)]), []);
}
