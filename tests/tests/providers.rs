//! Terraform providers cross the gap once, and only those that the lock file and the trust policy name run.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed helper is a failed test")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use flows::Scratch;
use serde_json::Value;

const ADDRESS: &str = "example.com/test/fake";
const IN_MIRROR: &str = "mirror/example.com/test/fake/1.0.0/linux_amd64/terraform-provider-fake_v1.0.0";

/// The service, locked to a provider that only leaves a mark where it is run. Terraform installed it from a mirror
/// beside the repository.
fn with_provider() -> (Scratch, PathBuf) {
    let mut scratch = Scratch::new();
    let mark = scratch.outside("provider-ran");
    let program = scratch.outside(IN_MIRROR);
    fs::create_dir_all(program.parent().unwrap()).unwrap();
    fs::write(&program, format!("#!/bin/sh\n: >'{}'\n", mark.display())).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let settings = scratch.outside("terraform.rc");
    let mirror = scratch.outside("mirror");
    fs::write(
        &settings,
        format!("provider_installation {{\n  filesystem_mirror {{\n    path = \"{}\"\n  }}\n}}\n", mirror.display()),
    )
    .unwrap();
    scratch.write(".gitignore", "build/\n*.pem\n*.json\n.terraform/\n");
    scratch.write(
        "infra/providers.tf",
        format!("terraform {{\n  required_providers {{\n    fake = {{ source = \"{ADDRESS}\" }}\n  }}\n}}\n"),
    );
    scratch.set("TF_CLI_CONFIG_FILE", &settings);
    scratch.terraform(&["-chdir=infra", "init", "-input=false"]).exits(0);
    scratch.unset("TF_CLI_CONFIG_FILE");
    scratch.commit("Use a provider");
    (scratch, mark)
}

fn allow(scratch: &Scratch, provider: &str) {
    scratch.next_policy(|policy| {
        policy["environments"]["production"]["terraform"]["providers"] = Value::from(vec![provider]);
    });
}

fn provider_in(manifest: &Value) -> Value {
    let artifacts = manifest["artifacts"].as_array().unwrap();
    artifacts.iter().find(|artifact| artifact["kind"] == "provider").expect("a provider").clone()
}

#[test]
fn a_locked_provider_is_an_artifact_that_crosses_once() {
    let (scratch, _) = with_provider();
    scratch.publish();
    let first = provider_in(&scratch.read(&scratch.path("build-manifest.json")));
    assert_eq!(first["name"], "provider-test-fake-linux_amd64");
    assert_eq!(first["provider"]["address"], ADDRESS);
    assert_eq!(
        (&first["provider"]["version"], &first["provider"]["platform"]),
        (&"1.0.0".into(), &"linux_amd64".into())
    );

    // Made again from the same files on a machine that has neither archive nor note, it is the same.
    fs::remove_dir_all(scratch.path("infra/.terraform/airlock-providers")).unwrap();
    scratch.write("public/index.html", "other\n");
    scratch.commit("Change the page");
    scratch.build();
    assert_eq!(provider_in(&scratch.read(&scratch.path("build-manifest.json"))), first);
    scratch.ok(&["publish", "build-manifest.json", "--envelope", "build.dsse.json"]);
    let shown = scratch.ok(&["manifest", "show", "hello#2"]).stdout;
    assert!(shown.contains("example.com/test/fake 1.0.0 for linux_amd64"), "{shown}");
    scratch.ok(&["manifest", "verify", "hello#2", "--artifacts", "."]);
}

#[test]
fn what_the_lock_file_does_not_name_gets_into_no_manifest() {
    let (scratch, _) = with_provider();
    let build = || scratch.airlock(&["manifest", "build", "--allow-dirty"]);
    let lock = scratch.path("infra/.terraform.lock.hcl");
    let text = fs::read_to_string(&lock).unwrap();

    fs::write(&lock, text.replacen("h1:", "h1:x", 1)).unwrap();
    build().exits(1).explains(&["is not the example.com/test/fake 1.0.0 for linux_amd64 that the lock file names"]);
    fs::remove_file(&lock).unwrap();
    build().exits(1).explains(&[
        "infra/providers.tf:3: provider example.com/test/fake isn't locked",
        "run terraform init in infra, and commit .terraform.lock.hcl",
    ]);
    fs::write(&lock, &text).unwrap();
    let config = scratch.path("airlock.toml");
    scratch.replace(&config, "path = \"infra\"", "path = \"infra\"\nprovider-mirror = \"elsewhere\"");
    build().exits(1).explains(&["the mirror elsewhere has no example.com/test/fake 1.0.0 for linux_amd64"]);
    scratch.replace(&config, "\"elsewhere\"", "\"../mirror\"\nplatforms = [\"linux_amd64\"]");
    build().exits(0);
}

#[test]
fn only_providers_that_the_trust_policy_allows_reach_terraform() {
    let (scratch, mark) = with_provider();
    let manifest = scratch.publish();
    fs::remove_dir_all(scratch.outside("mirror")).unwrap();
    fs::remove_dir_all(scratch.path("infra/.terraform")).unwrap();
    let plan = |attempt: &str| {
        scratch.json(&["launch-deploy-job", &manifest, "--action", "plan", "--follow", "--attempt", attempt])
    };

    let refused = plan("1").exits(3);
    assert!(refused.all().contains("terraform.forbidden"), "{}", refused.all());
    assert!(refused.all().contains("provider example.com/test/fake isn't allowed"), "{}", refused.all());
    assert!(!mark.exists(), "a provider ran that nobody allowed");

    allow(&scratch, ADDRESS);
    // It is no provider that Terraform could talk to, but it is the one that was built, and Terraform ran it.
    plan("2").exits(5);
    assert!(mark.exists(), "the provider that crossed the gap was run");
}

/// Threat model, row 24: who commits chooses lock file and provider alike, and an address is only a claim.
#[test]
fn only_providers_that_the_trust_policy_pins_reach_terraform() {
    let (scratch, mark) = with_provider();
    let manifest = scratch.publish();
    let lock = fs::read_to_string(scratch.path("infra/.terraform.lock.hcl")).unwrap();
    let locked = lock.split('"').find(|word| word.starts_with("h1:")).unwrap();
    let pin = |hash: &str| {
        scratch.next_policy(|policy| {
            let rules = &mut policy["environments"]["production"]["terraform"];
            rules["providers"] = Value::from(vec![ADDRESS]);
            rules["providerHashes"] = serde_json::json!({ ADDRESS: [hash] });
        });
    };
    let plan = |attempt: &str| {
        scratch.json(&["launch-deploy-job", &manifest, "--action", "plan", "--follow", "--attempt", attempt])
    };

    pin("h1:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    let refused = plan("1").exits(3).all();
    let place = format!(".terraform.lock.hcl:7: provider {ADDRESS}: {locked} is not among the hashes");
    assert!(refused.contains("terraform.forbidden") && refused.contains(&place), "{refused}");
    assert!(refused.contains("[configuration.provider]"), "{refused}");
    assert!(!mark.exists(), "a provider ran whose hash nobody allowed");

    pin(locked);
    plan("2").exits(5);
    assert!(mark.exists(), "the provider that is pinned was run");
}

/// Threat model, row 24: nobody sees in a change what an archive does.
#[test]
fn a_provider_that_git_tracks_gets_into_no_manifest() {
    let (scratch, _) = with_provider();
    let build = || scratch.airlock(&["manifest", "build"]);
    let config = scratch.path("airlock.toml");
    let refused = |file: &str| {
        build().exits(1).explains(&[
            &format!("example.com/test/fake 1.0.0 for linux_amd64 is in git: {}", scratch.path(file).display()),
            "providers come from a registry, not from a commit",
        ]);
    };
    let program = IN_MIRROR.strip_prefix("mirror/").unwrap();
    build().exits(0);

    scratch.git(&["add", "--force", "infra/.terraform/airlock-providers"]);
    scratch.commit("Bring a provider along");
    refused(&format!("infra/.terraform/airlock-providers/{ADDRESS}/terraform-provider-fake_1.0.0_linux_amd64.zip"));
    fs::remove_dir_all(scratch.path("infra/.terraform/airlock-providers")).unwrap();

    // Unpacked, in a mirror; and the same through a link that git doesn't know.
    scratch.write(&format!("tools/{program}"), "#!/bin/sh\n");
    scratch.commit("Bring a mirror along");
    scratch.replace(&config, "path = \"infra\"", "path = \"infra\"\nprovider-mirror = \"tools\"");
    scratch.commit("Use it");
    refused(&format!("tools/{program}"));
    std::os::unix::fs::symlink(scratch.path("tools"), scratch.outside("linked")).unwrap();
    scratch.replace(&config, "\"tools\"", "\"../linked\"");
    scratch.commit("Hide it");
    refused(&format!("tools/{program}"));

    // In the repository's directory, but in no commit: somebody put it there while the build ran.
    scratch.git(&["rm", "-r", "--quiet", "tools"]);
    scratch.commit("Bring no mirror along");
    fs::rename(scratch.outside("mirror"), scratch.path("tools")).unwrap();
    build().exits(0);
}

/// Terraform installs by `zh:`, and then refuses to plan: of what it unpacked it knows only `h1:`.
#[test]
fn a_lock_file_that_terraform_could_not_plan_with_gets_into_no_manifest() {
    let (scratch, _) = with_provider();
    let build = || scratch.airlock(&["manifest", "build", "--allow-dirty"]);
    let lock = scratch.path("infra/.terraform.lock.hcl");
    let text = fs::read_to_string(&lock).unwrap();
    build().exits(0);
    let artifact = provider_in(&scratch.read(&scratch.path("build-manifest.json")));
    let archive = artifact["digest"].as_str().unwrap().replace("sha256:", "zh:");
    let inside = text.split('"').find(|word| word.starts_with("h1:")).unwrap();

    let kept = scratch.path("infra/.terraform/airlock-providers");
    let note = kept.join(format!("{ADDRESS}/terraform-provider-fake_1.0.0_linux_amd64.zip.json"));
    for noted in [true, false] {
        fs::write(&lock, text.replace(inside, &archive)).unwrap();
        build().exits(1).explains(&[
            "the lock file names the archive of example.com/test/fake 1.0.0 for linux_amd64 (zh:), but not what is in it (h1:)",
            "run terraform providers lock -platform=linux_amd64 where the lock file is, and commit it",
        ]);
        fs::write(&lock, text.replace(inside, &format!("{archive}\",\n    \"{inside}"))).unwrap();
        build().exits(0);
        assert!(note.exists(), "what is in the archive is hashed once");
        if noted {
            fs::remove_file(&note).unwrap();
        }
    }
}
