//! AWS as people meet it: `airlock whoami`, and keys in KMS.

use std::time::Duration;

use aws_double::{ACCESS_KEY, ACCOUNT, Double, Failure, GITHUB_BEARER, KeyState, Role, SECRET_KEY, USER};
use serde_json::Value;

use crate::world::World;

/// Nobody yet: the double's region and address, but no credentials.
fn nobody(double: &Double) -> World {
    let without = |name: &str| !name.contains("KEY");
    let variables = double.environment().into_iter().filter(|(name, _)| without(name));
    variables.fold(World::empty(), |world, (name, value)| world.with(name, &value))
}

fn settings(world: &World, role: &str) {
    let text = format!("project = \"hello\"\n[environments.production]\naws = {{ role = {{ {role} }} }}\n");
    world.write("airlock.toml", text);
}

/// A job of GitHub Actions that may ask for tokens, and takes on the role `github` with one.
fn in_actions(double: &Double) -> World {
    let world = nobody(double);
    settings(&world, "arn = \"arn:aws:iam::111111111111:role/github\", web-identity = \"github\"");
    let address = format!("{}/github/token?api-version=2.0", double.url());
    world.with("ACTIONS_ID_TOKEN_REQUEST_URL", &address).with("ACTIONS_ID_TOKEN_REQUEST_TOKEN", GITHUB_BEARER)
}

fn whoami(world: &World) -> Value {
    serde_json::from_str(&world.ok(&["whoami", "--format", "json"]).stdout).unwrap()
}

#[test]
fn whoami_tells_account_identity_region_and_source() {
    let double = Double::start();
    let world = World::empty().in_cloud(&double);
    let answer = whoami(&world);
    assert_eq!((&answer["account"], &answer["arn"]), (&ACCOUNT.into(), &USER.into()));
    assert_eq!((&answer["region"], &answer["credentials"]), (&"eu-central-1".into(), &"environment variables".into()));
    assert_eq!(
        (&answer["role"], &answer["expiresAt"], &answer["trustPolicy"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
    let ran = world.ok(&["whoami"]);
    assert!(ran.stdout.starts_with("account      111111111111\nidentity     arn:aws:iam::111111111111:user/ci\n"));
    assert!(ran.stderr.contains("not compared with a trust policy"), "{}", ran.stderr);
}

#[test]
fn whoami_without_credentials_says_where_they_can_come_from() {
    let ran = nobody(&Double::start()).run(&["whoami"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("error: sts:GetCallerIdentity on * failed:"), "{}", ran.stderr);
    assert!(ran.stderr.contains("no AWS credentials were found"), "{}", ran.stderr);
    for command in [&["whoami"][..], &["key", "public", "awskms:///alias/builder"]] {
        let ran = World::empty().run(command);
        assert_eq!(ran.code, 1);
        assert!(ran.stderr.contains("nothing names a region") && ran.stderr.contains("AWS_REGION"), "{}", ran.stderr);
    }
}

/// Where a role's source credentials come from: variables, a profile, a token in a file, GitHub.
#[test]
fn a_role_is_taken_on_with_what_there_is() {
    let double = Double::start();
    double.role(Role { external_id: Some("x-1".to_owned()), ..Role::open("deploy") });
    double.role(Role { token: Some("double.jenkins.token-never-printed".to_owned()), ..Role::open("jenkins") });
    double.role(Role { token: Some("GITHUB".to_owned()), ..Role::open("github") });
    let deploy = "arn = \"arn:aws:iam::111111111111:role/deploy\", external-id = \"x-1\"";

    let variables = World::empty().in_cloud(&double);
    settings(&variables, deploy);

    let profile = nobody(&double);
    let file = profile.path("credentials").display().to_string();
    let text = format!("[ci]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n");
    profile.write("credentials", text);
    settings(&profile, deploy);
    let profile = profile.with("AWS_SHARED_CREDENTIALS_FILE", &file).with("AWS_PROFILE", "ci");

    let jenkins = nobody(&double);
    let file = jenkins.path("token").display().to_string();
    jenkins.write("token", "double.jenkins.token-never-printed");
    let jenkins = jenkins
        .with("AWS_WEB_IDENTITY_TOKEN_FILE", &file)
        .with("AWS_ROLE_ARN", "arn:aws:iam::111111111111:role/jenkins");

    let actions = in_actions(&double);

    for (world, role, source) in [
        (variables, "deploy", "a role that was taken on"),
        (profile, "deploy", "a role that was taken on"),
        (jenkins, "jenkins", "a role that was taken on with a web identity"),
        (actions, "github", "a role that was taken on with a web identity"),
    ] {
        let answer = whoami(&world);
        let arn = answer["arn"].as_str().unwrap();
        assert!(arn.starts_with(&format!("arn:aws:sts::111111111111:assumed-role/{role}/")), "{answer}");
        assert_eq!(answer["credentials"], source, "{role}");
        assert!(answer["expiresAt"].is_string(), "{answer}");
        // Whatever is logged, what opens doors is not.
        let world = world.with("AIRLOCK_LOG", "trace").with("RUST_LOG", "trace");
        let ran = world.ok(&["whoami"]);
        for secret in double.secrets() {
            let leaks = ran.stderr.contains(&secret) || ran.stdout.contains(&secret);
            assert!(!leaks, "{role}: {secret} was printed");
        }
        // What the SDK leaves out of its finer lines today is nothing to rely on: there are none.
        assert!(!ran.stderr.contains("aws_smithy"), "{role}: {}", ran.stderr);
    }
}

/// GitHub's own clients ask again, and so does a job that would otherwise fail for a moment's sake.
#[test]
fn githubs_token_is_asked_for_again_when_that_may_help() {
    let error = |status| Failure::Error { status, code: "Error", message: "planned" };
    for (name, failures, asked, code) in [
        ("survived", vec![error(503), Failure::Cut, error(429)], 4, 0),
        ("too long out of order", vec![error(500); 5], 5, 1),
        ("refused", vec![error(403)], 1, 1),
    ] {
        let double = Double::start();
        double.role(Role { token: Some("GITHUB".to_owned()), ..Role::open("github") });
        failures.into_iter().for_each(|failure| double.fail("github:Token", failure));
        let ran = in_actions(&double).run(&["whoami"]);
        assert_eq!((ran.code, double.calls_of("github:Token").len()), (code, asked), "{name}: {}", ran.stderr);
    }
}

type Tags<'a> = &'a [(&'a str, &'a str)];

/// Commands that open the artifacts store, as far as they know what for. No store is there: it ends with the opening.
#[test]
fn the_session_that_opens_a_store_says_what_for() {
    let double = Double::start();
    double.role(Role::open("ci"));
    let world = World::signed().in_cloud(&double).with("AIRLOCK_ENVIRONMENT", "production");
    let toml = "project = \"hello\"\n[environments.production]\nartifacts = \"s3://builds/airlock\"\n\
                aws = { role = { arn = \"arn:aws:iam::111111111111:role/ci\" } }\n";
    world.write("airlock.toml", toml);
    let (project, build, change) =
        (("airlock-project", "hello"), ("airlock-build", "0.1"), ("airlock-change", "CHG-1"));
    let plan = format!("sha256:{}", "0".repeat(64));
    let manifest = "build-manifest.json";
    let cases: [(&[&str], Tags<'_>); 8] = [
        (&["publish", manifest, "--envelope", "build.dsse.json"], &[project, build]),
        (&["manifest", "show", manifest, "--store", "s3://builds/airlock"], &[project, build]),
        (&["deploy", "--build", manifest], &[project, build]),
        (&["launch-deploy-job", manifest, "--action", "plan"], &[project, build]),
        (
            &["launch-deploy-job", manifest, "--action", "apply", "--plan", &plan, "--change", "CHG-1"],
            &[project, build, change],
        ),
        (&["change", "open", manifest, "--plan", &plan], &[project, build]),
        (&["change", "show", "CHG-1"], &[project, change]),
        (&["deployed"], &[project]),
    ];
    for (arguments, expected) in cases {
        let before = double.calls_of("sts:AssumeRole").len();
        let ran = world.run(arguments);
        assert!(
            ran.stderr.contains("s3:GetObject on arn:aws:s3:::builds failed: NoSuchBucket"),
            "{arguments:?}: {}",
            ran.stderr
        );
        let calls = double.calls_of("sts:AssumeRole");
        assert!(calls.len() > before, "{arguments:?} took on no role");
        for call in &calls[before..] {
            let said = |number: usize, what| call.parameters.get(&format!("Tags.member.{number}.{what}")).cloned();
            let tags: Vec<_> = (1..).map_while(|number| said(number, "Key").zip(said(number, "Value"))).collect();
            let tags: Vec<_> = tags.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
            assert_eq!(tags, expected, "{arguments:?}");
        }
    }
}

#[test]
fn a_role_that_cannot_be_taken_on_is_told_with_what_to_check() {
    let double = Double::start();
    double.role(Role { external_id: Some("x-1".to_owned()), ..Role::open("deploy") });
    let world = World::empty().in_cloud(&double);
    settings(&world, "arn = \"arn:aws:iam::111111111111:role/deploy\", external-id = \"wrong\"");
    let ran = world.run(&["whoami"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("sts:AssumeRole: AccessDenied"), "{}", ran.stderr);
    assert!(ran.stderr.contains("external id"), "{}", ran.stderr);

    let world = nobody(&double);
    settings(&world, "arn = \"arn:aws:iam::111111111111:role/github\", web-identity = \"github\"");
    let ran = world.run(&["whoami"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("id-token: write"), "{}", ran.stderr);
}

#[test]
fn sts_that_is_out_of_order_is_temporary() {
    let double = Double::start();
    for _ in 0..5 {
        let failure = Failure::Error { status: 503, code: "ServiceUnavailable", message: "try later" };
        double.fail("sts:GetCallerIdentity", failure);
    }
    let ran = World::empty().in_cloud(&double).run(&["whoami"]);
    assert_eq!(ran.code, 7, "{}", ran.stderr);
}

#[test]
fn a_key_in_kms_is_named_wherever_a_key_is() {
    let double = Double::start();
    double.key("builder", 1, KeyState::Enabled);
    double.role(Role { lasts: Duration::from_secs(900), ..Role::open("builder") });
    let key = "awskms:///alias/builder";
    let world = World::signed().in_cloud(&double);
    assert_eq!(double.calls(), [], "what needs no AWS asks none");
    world.write("kms.pub.pem", world.ok(&["key", "public", key]).stdout);
    assert!(world.read("kms.pub.pem").starts_with(b"-----BEGIN PUBLIC KEY-----\n"));
    assert_eq!(world.ok(&["key", "id", key]).stdout, world.ok(&["key", "id", "kms.pub.pem"]).stdout);

    let sign = ["manifest", "sign", "build-manifest.json", "--output", "kms.dsse.json"];
    let verify = ["manifest", "verify", "build-manifest.json", "--envelope", "kms.dsse.json", "--key", "kms.pub.pem"];
    world.ok(&[&sign[..], &["--key", key]].concat());
    world.ok(&verify);

    // With a role of the environment, whose session says what it is for.
    let toml = String::from_utf8(world.read("airlock.toml")).unwrap();
    let role = "[environments.production.aws]\nrole = { arn = \"arn:aws:iam::111111111111:role/builder\" }\n";
    world.write("airlock.toml", format!("{toml}\n{role}"));
    let world = world.with("AIRLOCK_KEY", key).with("AIRLOCK_ENVIRONMENT", "production");
    world.ok(&sign);
    let calls = double.calls_of("sts:AssumeRole");
    let said: Vec<_> = calls[0].parameters.iter().filter(|(name, _)| name.starts_with("Tags.")).collect();
    assert_eq!(said.len(), 4, "{said:?}");
    assert_eq!(calls[0].parameters["Tags.member.1.Value"], "hello");
    assert_eq!(calls[0].parameters["Tags.member.2.Key"], "airlock-build");

    double.fail("kms:Sign", Failure::OtherKey);
    let ran = world.run(&sign);
    assert_eq!(ran.code, 3, "a wrong signature is a refused verification: {}", ran.stderr);
    assert!(ran.stderr.contains("returned something else than its signature"), "{}", ran.stderr);
    double.set_key("builder", KeyState::Disabled);
    let ran = world.run(&sign);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("DisabledException") && ran.stderr.contains("enable it"), "{}", ran.stderr);
}

#[test]
fn who_misnames_a_key_or_wants_one_made_in_kms_is_told_how() {
    let world = World::empty();
    let ran = world.run(&["key", "generate", "awskms:///alias/builder"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("aws kms create-key --key-spec ECC_NIST_EDWARDS25519"), "{}", ran.stderr);
    let ran = world.run(&["key", "public", "awskms://alias/builder"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("awskms:///alias/NAME"), "{}", ran.stderr);
}
