//! Variables whose values only production knows: from its Parameter Store and its Secrets Manager, which moto plays, into
//! the real Terraform, and nowhere else.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed helper is a failed test")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use aws_double::{PRODUCTION, REGION};
use emulators::Moto;
use flows::cloud::{allow, statements};
use flows::{Cloud, Run, Scratch};
use serde_json::{Value, json};

/// With everything that one notation or another escapes.
const PASSWORD: &str = "hunter2/\"${x}\\%{y}<ü>";
/// As people keep it in Secrets Manager.
const LOGIN: &str = r#"{"user": "airlock-user", "token": "tok\"en-7f3a"}"#;
/// What must be nowhere: both values, and what is told of them in other notations.
const TELLTALES: [&str; 4] = ["hunter2", "en-7f3a", "airlock-user", "aHVudGVyMi"];

const DECLARED: &str = "variable \"password\" {\n  type      = string\n  sensitive = true\n}\n\
                        variable \"login\" {\n  type      = string\n  sensitive = true\n}\n";

/// A repository whose planner has AWS. Its deployer has none.
struct World {
    scratch: Scratch,
    moto: Moto,
}

impl World {
    /// With variables that refer to a parameter and a secret, which are there.
    fn new() -> Self {
        let (moto, mut scratch) = (Moto::start(), Scratch::new());
        for (name, value) in emulators::credentials() {
            scratch.set(name, value);
        }
        // What a worker may say at most.
        scratch.set("AIRLOCK_LOG", "trace");
        configure(&scratch, "planner", |config| {
            config["aws"] = json!({ "region": emulators::REGION, "endpoint": moto.endpoint() });
        });
        moto.parameter("/airlock/production/hello/db/password", PASSWORD);
        moto.secret("airlock/production/hello/login", LOGIN);
        scratch.replace(&scratch.path("airlock.toml"), "greeting = \"hello\",", &variables("db/password", "login"));
        let world = Self { scratch, moto };
        world.configuration(&format!(
            "{DECLARED}resource \"terraform_data\" \"database\" {{\n  input = var.password\n}}\n\
             resource \"terraform_data\" \"service\" {{\n  input = jsondecode(var.login).user\n}}\n"
        ));
        world
    }

    /// Has this beside the example's configuration from now on.
    fn configuration(&self, text: &str) {
        self.scratch.write("infra/secrets.tf", text);
        self.scratch.commit("Use secrets");
    }

    /// Relaxes a rule about configuration.
    fn relax(&self, rule: &str) {
        self.scratch.next_policy(|policy| {
            policy["environments"]["production"]["terraform"]["relaxed"] = json!([rule]);
        });
    }

    /// Has what looks like Terraform look around before it plans.
    fn spy(&mut self) -> PathBuf {
        let (wrapper, report) = (self.scratch.outside("spy"), self.scratch.outside("spied"));
        let script = format!(
            "#!/bin/sh\nif [ \"$1\" = plan ]; then\n  {{\n    grep -rlF -e hunter2 -e en-7f3a \"$PWD/..\"\n    \
             env | grep -F -e hunter2 -e en-7f3a\n    printf '%s\\n' \"$@\" | grep -F -e hunter2 -e en-7f3a\n    \
             grep -lF hunter2 \"$PWD/../variables.tfvars.json\" && readlink \"$PWD/../variables.tfvars.json\"\n    \
             echo x 2>/dev/null >>\"$PWD/../variables.tfvars.json\" && echo written\n  }} >'{}'\nfi\nexec '{}' \"$@\"\n",
            report.display(),
            flows::terraform().display()
        );
        fs::write(&wrapper, script).unwrap();
        fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).unwrap();
        self.scratch.set("AIRLOCK_TERRAFORM", wrapper);
        report
    }

    /// Expects that no file tells a value, but for Terraform's state and what `but` is.
    #[track_caller]
    fn is_silent(&self, ran: &Run, but: &[&Path]) {
        let told = |text: &[u8]| TELLTALES.iter().any(|tell| contains(text, tell.as_bytes()));
        assert!(!told(ran.all().as_bytes()), "{}", ran.all());
        let state = self.scratch.production("state");
        let mut open = vec![self.scratch.outside("")];
        let mut files = 0;
        while let Some(path) = open.pop() {
            if path == state || but.contains(&path.as_path()) {
                continue;
            }
            let metadata = fs::symlink_metadata(&path).unwrap();
            if metadata.is_dir() {
                open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            } else if metadata.is_file() {
                files += 1;
                assert!(!told(&fs::read(&path).unwrap()), "{} tells a secret", path.display());
            }
        }
        assert!(files > 100, "both stores, the log and the repository are among them: {files}");
    }
}

fn contains(text: &[u8], wanted: &[u8]) -> bool {
    text.windows(wanted.len()).any(|window| window == wanted)
}

fn variables(parameter: &str, secret: &str) -> String {
    format!("greeting = \"hello\", password = {{ parameter = \"{parameter}\" }}, login = {{ secret = \"{secret}\" }},")
}

fn configure(scratch: &Scratch, worker: &str, change: impl FnOnce(&mut Value)) {
    let path = scratch.production(&format!("config/{worker}.json"));
    let mut config = scratch.read(&path);
    change(&mut config);
    fs::write(path, config.to_string()).unwrap();
}

#[track_caller]
fn input(scratch: &Scratch, resource: &str) -> Value {
    let state = scratch.state();
    let of = |found: &&Value| found["name"] == resource;
    let found = state["resources"].as_array().unwrap().iter().find(of).unwrap();
    found["instances"][0]["attributes"]["input"]["value"].clone()
}

/// Threat model, rows 32 and 37.
#[test]
fn threat_32_values_reach_terraform_and_nothing_else() {
    let mut world = World::new();
    let spied = world.spy();
    let ran = world.scratch.deploy().exits(0);
    let scratch = &world.scratch;
    assert_eq!((input(scratch, "database"), input(scratch, "service")), (PASSWORD.into(), "airlock-user".into()));
    let spied = fs::read_to_string(spied).unwrap();
    let lines: Vec<&str> = spied.lines().collect();
    let [held, place] = lines.as_slice() else { panic!("{spied}") };
    assert!(held.ends_with("/variables.tfvars.json") && place.starts_with("/proc/self/fd/"), "{spied}");
    world.is_silent(&ran, &[&scratch.outside("spy")]);

    let job = scratch.job("plan", 1);
    let saved = scratch.production(&format!("saved-plans/{job}.tfplan"));
    assert_eq!(fs::metadata(&saved).unwrap().len(), 0, "it is emptied once it is used");
    let shown = scratch.ok(&["manifest", "show", "hello#1"]);
    assert!(shown.stdout.contains("password = parameter db/password"), "{}", shown.all());
    scratch.audit();
}

/// The deployer knows the values only from the plan, and hides what it is told of them, too.
#[test]
fn what_terraform_says_of_a_value_stays_in_production() {
    let number = "resource \"terraform_data\" \"number\" {\n  input = parseint(";
    let seed = "resource \"terraform_data\" \"seed\" {\n  input = \"x\"\n}\n";
    for (when, jobs, text) in [
        ("plan", 0, format!("{number}nonsensitive(var.password), 10)\n}}\n")),
        ("plan", 0, format!("{number}nonsensitive(jsondecode(var.login).token), 10)\n}}\n")),
        (
            "apply",
            1,
            format!("{seed}{number}\"${{nonsensitive(var.password)}}${{terraform_data.seed.output}}\", 10)\n}}\n"),
        ),
    ] {
        let world = World::new();
        world.relax("configuration.nonsensitive");
        world.configuration(&format!("{DECLARED}{text}"));
        let ran = world.scratch.deploy().exits(5).explains(&["terraform.failed", "Invalid function argument"]);
        let (_, _, why) = world.scratch.end_of(&world.scratch.job(when, 1));
        assert!(why.contains("the message may hold values") && why.contains("secrets.tf:"), "{why}");
        assert_eq!(world.scratch.jobs("apply").len(), jobs, "{}", ran.all());
        world.is_silent(&ran, &[]);
    }
}

#[test]
fn a_condition_that_tells_a_value_is_not_told() {
    let world = World::new();
    world.relax("configuration.nonsensitive");
    world.configuration(&format!(
        "{DECLARED}resource \"terraform_data\" \"checked\" {{\n  lifecycle {{\n    precondition {{\n      \
         condition     = length(var.password) > 99\n      error_message = \"too short: ${{nonsensitive(var.password)}}\"\n    \
         }}\n  }}\n}}\n"
    ));
    let ran = world.scratch.deploy().exits(5).explains(&["Resource precondition failed"]);
    world.is_silent(&ran, &[]);
}

/// Once it is uncovered, an attribute whose value may be shown has it, and so may the key of an instance.
#[test]
fn the_summary_of_a_plan_tells_no_value() {
    let world = World::new();
    world.relax("configuration.nonsensitive");
    let resource = |text: &str| {
        world.configuration(&format!("{DECLARED}resource \"terraform_data\" \"uncovered\" {{\n  {text}\n}}\n"));
        world.scratch.deploy()
    };
    let ran = resource("input = nonsensitive(var.password)").exits(0);
    assert!(ran.stderr.contains("create   terraform_data.uncovered"), "{}", ran.all());
    world.is_silent(&ran, &[]);
    let ran = resource("for_each = toset([nonsensitive(var.password)])").exits(3).explains(&["plan.unsupported"]);
    assert!(ran.all().contains("a key repeats a value that is sensitive elsewhere"), "{}", ran.all());
    world.is_silent(&ran, &[]);
}

#[test]
fn everything_that_cannot_be_read_is_named_with_what_to_do() {
    let world = World::new();
    let toml = world.scratch.path("airlock.toml");
    world.scratch.replace(&toml, &variables("db/password", "login"), &variables("gone", "missing"));
    world.scratch.commit("Refer to nothing");
    let ran = world.scratch.deploy().exits(3).explains(&["terraform.variable"]);
    for told in [
        "variable login: the secret airlock/production/hello/missing isn't there: make it",
        "variable password: the parameter /airlock/production/hello/gone isn't there: make it",
    ] {
        assert!(ran.all().contains(told), "{told:?} is missing: {}", ran.all());
    }
}

/// What docs/operations.md says that the planner's role needs, and no other role; with less, the action that lacks is named.
#[test]
fn the_planner_alone_reads_with_the_permissions_that_are_documented() {
    let (cloud, login) = (Cloud::new(), "airlock/production/hello/login");
    let account = cloud.double.account(PRODUCTION);
    account.parameter("/airlock/production/hello/db/password", PASSWORD);
    account.secret(login, LOGIN);
    cloud.replace(&cloud.path("airlock.toml"), "greeting = \"hello\",", &variables("db/password", "login"));
    cloud.write("infra/secrets.tf", DECLARED);
    cloud.commit("Use secrets");
    let arn = |service: &str, inside: &str| format!("arn:aws:{service}:{REGION}:{PRODUCTION}:{inside}/production/*");
    let parameters =
        json!([arn("ssm", "parameter/airlock"), arn("ssm", "parameter/aws/reference/secretsmanager/airlock"),]);
    let ssm = allow(&["ssm:GetParameter"], parameters);
    let secrets = allow(&["secretsmanager:GetSecretValue"], arn("secretsmanager", "secret:airlock"));
    for (policy, lacks) in [
        (json!([]), "allow ssm:GetParameter on /airlock/production/hello/db/password"),
        (json!([ssm]), "secretsmanager:GetSecretValue on the secret airlock/production/hello/login"),
    ] {
        cloud.reconfigure(&[statements(&policy)], |_, _| {});
        let ran = cloud.deploys().exits(3).explains(&["terraform.variable"]);
        assert!(ran.all().contains(lacks), "{lacks:?} is missing: {}", ran.all());
    }
    cloud.reconfigure(&[statements(&json!([ssm, secrets]))], |_, _| {});
    account.secret(login, "");
    cloud.deploys().exits(3).explains(&["terraform.variable", "holds no text: give it a value"]);
    account.secret(login, LOGIN);
    cloud.deploys().exits(0);
    let planner = format!("arn:aws:sts::{PRODUCTION}:assumed-role/planner/");
    let callers = cloud.double.calls_of("ssm:GetParameter").into_iter().filter_map(|call| call.caller);
    assert!(callers.into_iter().all(|caller| caller.starts_with(&planner)), "somebody else asked");
    for task in cloud.double.tasks() {
        assert!(!contains(task.log.as_bytes(), b"hunter2"), "{}", task.log);
    }
}

/// Another project's parameters, another environment's, and a build's own idea of a name.
#[test]
fn a_build_names_nothing_outside_of_its_own_prefix() {
    let world = World::new();
    let toml = world.scratch.path("airlock.toml");
    world.moto.parameter("/airlock/production/other/password", PASSWORD);
    let mut before = variables("db/password", "login");
    for name in ["../other/password", "/airlock/production/other/password", "a//b", "password:1", ""] {
        let next = variables(name, "login");
        world.scratch.replace(&toml, &before, &next);
        before = next;
        let ran = world.scratch.airlock(&["manifest", "build", "--allow-dirty", "--output", "build-manifest.json"]);
        assert_eq!(ran.code, 1, "{name}: {}", ran.all());
        assert!(ran.all().contains("is not a parameter's name"), "{name}: {}", ran.all());
    }
}

#[test]
fn a_variable_that_would_show_its_value_is_refused_where_it_is_declared() {
    for (text, place) in [
        ("variable \"password\" {}\nvariable \"login\" {\n  sensitive = true\n}\n", "secrets.tf:1: variable password"),
        ("variable \"password\" {\n  sensitive = true\n}\n", "main.tf: variable login"),
    ] {
        let world = World::new();
        world.configuration(text);
        let ran = world.scratch.deploy().exits(3).explains(&["terraform.forbidden", place]);
        assert!(ran.all().contains("[configuration.reference]"), "{}", ran.all());
        assert!(ran.stderr.contains(&format!("production would refuse infra/{place}")), "CI is warned: {}", ran.all());
    }
}

#[test]
fn without_aws_a_reference_is_refused_before_anything_is_done() {
    let world = World::new();
    configure(&world.scratch, "planner", |config| drop(config.as_object_mut().unwrap().remove("aws")));
    let ran = world.scratch.deploy().exits(3).explains(&["terraform.variable", "this worker has no AWS"]);
    assert!(ran.all().contains("/airlock/production/hello/db/password"), "{}", ran.all());
    let story = world.scratch.story(&world.scratch.job("plan", 1));
    assert!(!story.contains(&"fetched".to_owned()), "{story:?}");
}

#[test]
fn a_value_that_changed_since_is_drift() {
    let world = World::new();
    world.scratch.deploy().exits(0);
    world.scratch.ok(&["drift", "production"]);
    world.moto.parameter("/airlock/production/hello/db/password", "hunter2-rotated");
    let ran = world.scratch.airlock(&["drift", "production"]).exits(4);
    assert!(ran.stdout.contains("terraform_data.database"), "{}", ran.all());
    world.is_silent(&ran, &[]);
}
