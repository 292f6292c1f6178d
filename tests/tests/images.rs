//! Images into the production registry, as part of a deploy: what is sent, what is not sent twice, and what is refused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed helper is a failed test")]

use std::fs;
use std::time::Duration;

use emulators::faults::Fault;
use emulators::tokens::{PASSWORD, USER, token_server};
use flows::registry::is_large;
use flows::{APPROVER, Harbour, wait_until};
use manifest_schema::Digest;
use serde_json::{Value, json};

/// What a job goes through that stops while it pushes: nothing was begun.
fn expect_nothing_begun(harbour: &Harbour, job: &str, end: &str) {
    let story: Vec<_> = harbour.story(job).into_iter().filter(|word| word != "cancel-requested").collect();
    assert_eq!(story[story.len() - 2..], ["checked".to_owned(), format!("ended {end}")], "{story:?}");
    assert_eq!(harbour.records().len(), 0);
    // Of the dead, the lease is taken over.
    assert_eq!(harbour.lease_holder().is_some(), end == "interrupted");
}

/// The digest of the large layer: the first of the image.
fn large_layer(harbour: &Harbour) -> String {
    let index = harbour.read(&harbour.path("build/image/index.json"));
    let blob = |digest: &str| harbour.path("build/image/blobs/sha256").join(digest.trim_start_matches("sha256:"));
    let manifest = harbour.read(&blob(index["manifests"][0]["digest"].as_str().unwrap()));
    manifest["layers"][0]["digest"].as_str().unwrap().to_owned()
}

/// Changes a byte of a blob in the artifacts store, or back.
fn flip(harbour: &Harbour, digest: &str) {
    let path = harbour.artifacts("blobs/sha256").join(digest.trim_start_matches("sha256:"));
    let mut bytes = fs::read(&path).unwrap();
    bytes[1000] ^= 1;
    fs::remove_file(&path).unwrap();
    fs::write(path, bytes).unwrap();
}

#[test]
fn the_first_deploy_sends_all_the_next_one_what_changed_and_the_same_again_nothing() {
    let harbour = Harbour::new();
    harbour.deploy().exits(0).says("image web in ");
    assert!(harbour.told("web").starts_with("4 sent ("), "{}", harbour.told("web"));
    assert!(harbour.told("web").ends_with(" 0 mounted, 0 there"));
    harbour.build();
    let first = harbour.digest_of("web");
    harbour.expect_arrived("hello/web", &first);

    harbour.change_page("something new");
    harbour.watch();
    harbour.deploy().exits(0);
    assert!(harbour.told("web").starts_with("3 sent (") && harbour.told("web").ends_with(" 0 mounted, 1 there"));
    assert!(!harbour.proxy.seen().iter().any(is_large), "the base layer is there");
    harbour.build();
    harbour.expect_arrived("hello/web", &harbour.digest_of("web"));
    harbour.expect_arrived("hello/web", &first);

    harbour.watch();
    harbour.airlock(&["deploy", "--approve-with", APPROVER, "--again"]).exits(0);
    assert_eq!(harbour.told("web"), "0 sent (0 bytes), 0 mounted, 4 there");
    assert_eq!(harbour.writes(), [""; 0]);
    harbour.audit();
}

#[test]
fn bytes_that_are_not_their_digest_are_refused_and_never_become_a_blob() {
    let harbour = Harbour::new();
    let planned = harbour.planned();
    let yes = harbour.approve(&planned);
    let (layer, image) = (large_layer(&harbour), harbour.digest_of("web"));
    flip(&harbour, &layer);
    let applied = harbour.apply(&planned, &[&yes]);
    applied.run.exits(3).because(&["blob.mismatch"]);
    expect_nothing_begun(&harbour, &applied.job.unwrap(), "refused");
    assert!(!harbour.has_blob(&layer) && !harbour.has_blob(&image));
    harbour.skopeo(&["inspect", "--raw", "--tls-verify=false", &harbour.source("hello/web", &image)]).exits(1);

    // Nothing was begun, so the same plan is as good as it was.
    flip(&harbour, &layer);
    harbour.apply(&planned, &[&yes]).run.exits(0);
    harbour.expect_arrived("hello/web", &image);
}

#[test]
fn a_registry_that_is_out_of_order_for_a_while_is_waited_for_and_otherwise_the_job_fails() {
    let harbour = Harbour::new();
    let planned = harbour.planned();
    let yes = harbour.approve(&planned);
    harbour.proxy.plan(|_| Fault::Status(503, "Busy"));
    let applied = harbour.apply(&planned, &[&yes]);
    applied.run.exits(5).because(&["image.not-pushed"]).says("HTTP 503");
    expect_nothing_begun(&harbour, &applied.job.unwrap(), "failed");

    harbour.proxy.first(8, Fault::Status(503, "Busy"), |seen| seen.path.contains("/blobs/"));
    harbour.apply(&planned, &[&yes]).run.exits(0);
    harbour.expect_arrived("hello/web", &harbour.digest_of("web"));
    assert_eq!(harbour.records().len(), 1);
}

#[test]
fn a_token_that_ends_in_the_middle_is_asked_for_again_and_the_password_is_told_nobody() {
    let harbour = Harbour::new();
    fs::write(harbour.production("config/password"), format!("{PASSWORD}-but-longer\n")).unwrap();
    harbour.configure(|registry| {
        registry["login"] = json!({"user": USER, "passwordFile": "password"});
    });
    let planned = harbour.planned();
    let yes = harbour.approve(&planned);
    let (plan, _) = token_server(harbour.address(), 6);
    harbour.proxy.plan(plan);
    let refused = harbour.apply(&planned, &[&yes]);
    let run = refused.run.exits(5).because(&["image.not-pushed"]).says("check its name and password");
    let job = refused.job.unwrap();
    expect_nothing_begun(&harbour, &job, "failed");
    let told = format!("{}{:?}", run.all(), harbour.events(&job));
    assert!(!told.contains(&format!("{PASSWORD}-but-longer")), "{told}");

    fs::write(harbour.production("config/password"), format!("{PASSWORD}\n")).unwrap();
    let (plan, asked) = token_server(harbour.address(), 6);
    harbour.proxy.plan(plan);
    harbour.apply(&planned, &[&yes]).run.exits(0);
    assert!(asked.lock().unwrap().len() > 2);
    harbour.expect_arrived("hello/web", &harbour.digest_of("web"));
}

#[test]
fn a_tag_is_the_builds_number_and_never_moved() {
    let harbour = Harbour::new();
    harbour.configure(|registry| registry["tag"] = true.into());
    harbour.deploy().exits(0);
    harbour.build();
    let first = harbour.digest_of("web");
    let tagged = |tag: &str| harbour.source("hello/web", "").replace('@', &format!(":{tag}"));
    let raw = harbour.skopeo(&["inspect", "--raw", "--tls-verify=false", &tagged("0.1")]).exits(0);
    assert_eq!(Digest::of(raw.stdout.as_bytes()).to_string(), first);
    harbour.airlock(&["deploy", "--approve-with", APPROVER, "--again"]).exits(0);

    // Somebody was there before: another image has the next build's tag.
    let plain = ["--src-tls-verify=false", "--dest-tls-verify=false"];
    harbour.skopeo(&["copy", plain[0], plain[1], &tagged("0.1"), &tagged("0.2")]).exits(0);
    harbour.change_page("something new");
    let planned = harbour.planned();
    let yes = harbour.approve(&planned);
    harbour.watch();
    let applied = harbour.apply(&planned, &[&yes]);
    applied.run.exits(3).because(&["image.tag-taken"]).says("choose another tag");
    assert_eq!(harbour.writes(), [""; 0]);
    assert_eq!(harbour.records().len(), 2);

    harbour.configure(|_| {});
    harbour.apply(&planned, &[&yes]).run.exits(0);
}

#[test]
fn a_worker_killed_while_it_pushes_leaves_what_arrived_for_the_next_one() {
    let harbour = Harbour::new();
    harbour.proxy.plan(|seen| if is_large(seen) { Fault::Delay(Duration::from_secs(600)) } else { Fault::None });
    let deploy = harbour.start_deploy();
    let job = harbour.job("apply", 1);
    // Configuration and small layer are in by the time that only the large one is waited for.
    let finished = |seen: &emulators::faults::Seen| seen.method == "PUT" && seen.query.contains("digest=");
    wait_until("the large layer's upload", || {
        let seen = harbour.proxy.seen();
        (seen.iter().any(is_large) && seen.iter().filter(|seen| finished(seen)).count() == 2).then_some(())
    });
    harbour.kill_worker(&job);
    deploy.end().exits(5).explains(&["worker.died", "launch again"]);
    expect_nothing_begun(&harbour, &job, "interrupted");

    harbour.watch();
    harbour.deploy().exits(0);
    assert!(harbour.told("web").starts_with("2 sent (") && harbour.told("web").ends_with(" 0 mounted, 2 there"));
    assert_eq!(harbour.jobs("plan").len(), 1, "the plan is as good as it was");
    harbour.build();
    harbour.expect_arrived("hello/web", &harbour.digest_of("web"));
}

#[test]
fn a_job_that_is_cancelled_while_it_pushes_begins_nothing() {
    let harbour = Harbour::new();
    harbour.proxy.plan(|seen| if is_large(seen) { Fault::Delay(Duration::from_secs(600)) } else { Fault::None });
    let deploy = harbour.start_deploy();
    let job = harbour.job("apply", 1);
    wait_until("the large layer's upload", || harbour.proxy.seen().iter().any(is_large).then_some(()));
    // Nothing moves, and that is told once.
    wait_until("progress", || {
        harbour.progress(&job).iter().any(|line| line.ends_with(" blobs there, 3 MiB sent")).then_some(())
    });
    harbour.ok(&["cancel-deploy-job", &job]);
    deploy.end().exits(5).explains(&["job.cancelled"]);
    expect_nothing_begun(&harbour, &job, "cancelled");
}

/// Pushing can take long, and the gates are decided once more after it.
#[test]
fn a_no_that_is_said_while_a_job_pushes_is_heard() {
    let harbour = Harbour::new();
    let planned = harbour.planned();
    let yes = harbour.approve(&planned);
    harbour.proxy.plan(|seen| if is_large(seen) { Fault::Delay(Duration::from_secs(5)) } else { Fault::None });
    let apply = harbour.start(&harbour.apply_arguments(&planned, &[&yes]));
    wait_until("the large layer's upload", || harbour.proxy.seen().iter().any(is_large).then_some(()));
    harbour.ok(&["change", "reject", &planned.change, "--key", APPROVER]);
    apply.end().exits(4).explains(&["approval.rejected"]);
    expect_nothing_begun(&harbour, &harbour.job("apply", 1), "refused");
}

#[test]
fn an_image_whose_repository_terraform_makes_is_pushed_after_it_and_before_its_service() {
    let harbour = Harbour::new();
    let state = harbour.production("state/production/hello/terraform.tfstate");
    harbour.proxy.plan(move |_| {
        let unknown = r#"{"errors":[{"code":"NAME_UNKNOWN","message":"repository name not known to registry"}]}"#;
        if state.exists() { Fault::None } else { Fault::Answer(404, Vec::new(), unknown.to_owned()) }
    });
    harbour.deploy().exits(0).says("there is no repository hello/web in ");
    let job = harbour.job("apply", 1);
    let text: Vec<String> = harbour.events(&job).iter().map(|event| format!("{:?}", event.event)).collect();
    let at = |wanted: &str| text.iter().position(|event| event.contains(wanted)).unwrap_or_else(|| panic!("{wanted}"));
    let pushed = at(" 4 sent (");
    assert!(at("image web waits: ") < at("Intent { step: 1"), "{text:#?}");
    assert!(at("Done { step: 1") < pushed && pushed < at("Intent { step: 2"), "{text:#?}");

    // Of what failed after Terraform, Terraform's part is recorded.
    harbour.change_page("something new");
    harbour.proxy.plan(|seen| match seen.method.as_str() {
        "PATCH" => Fault::Status(403, "Denied"),
        _ if seen.path.contains("/manifests/") && seen.method == "GET" => {
            let unknown = r#"{"errors":[{"code":"NAME_UNKNOWN","message":"gone"}]}"#;
            Fault::Answer(404, Vec::new(), unknown.to_owned())
        }
        _ => Fault::None,
    });
    harbour.deploy().exits(5).explains(&["image.not-pushed", "push to "]);
    let record = &harbour.records()[1];
    let outcomes: Vec<_> =
        record["steps"].as_array().unwrap().iter().map(|step| step["outcome"].as_str().unwrap()).collect();
    assert_eq!((&record["outcome"], outcomes), (&"failed".into(), vec!["done", "not-begun"]));
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Puts a blob into the image's layout; gives its descriptor.
fn blob(harbour: &Harbour, media_type: &str, bytes: &[u8]) -> Value {
    let digest = Digest::of(bytes);
    harbour.write(&format!("build/image/blobs/sha256/{}", digest.hex()), bytes);
    json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
}

/// Puts a manifest into it, with spaces of its own: whoever writes it anew changes its digest.
fn document(harbour: &Harbour, media_type: &str, mut fields: Value) -> Value {
    (fields["schemaVersion"], fields["mediaType"]) = (json!(2), json!(media_type));
    blob(harbour, media_type, format!("{fields:#}\n").as_bytes())
}

#[test]
fn an_index_travels_whole_with_its_attestations_and_what_refers_to_it() {
    let harbour = Harbour::new();
    let image = harbour.read(&harbour.path("build/image/index.json"))["manifests"][0].clone();
    let config =
        blob(&harbour, "application/vnd.oci.image.config.v1+json", br#"{"os":"unknown","architecture":"unknown"}"#);
    let statement = blob(&harbour, "application/vnd.in-toto+json", format!("{{\"subject\":{image}}}").as_bytes());
    let mut attestation = document(&harbour, MANIFEST, json!({"config": config, "layers": [statement]}));
    attestation["platform"] = json!({"os": "unknown", "architecture": "unknown"});
    attestation["annotations"] = json!({"vnd.docker.reference.digest": image["digest"]});
    let index = document(&harbour, INDEX, json!({"manifests": [image, attestation]}));
    let empty = blob(&harbour, "application/vnd.oci.empty.v1+json", b"{}");
    let sbom = blob(&harbour, "application/spdx+json", b"{\"spdxVersion\":\"SPDX-2.3\"}");
    let about = json!({"artifactType": "application/spdx+json", "config": empty, "layers": [sbom], "subject": index});
    let referrer = document(&harbour, MANIFEST, about);
    harbour.write("build/image/index.json", json!({"schemaVersion": 2, "manifests": [referrer, index]}).to_string());

    harbour.deploy().exits(0);
    // Index, image with configuration and two layers, attestation with two, referrer with two.
    assert!(harbour.told("web").starts_with("11 sent ("), "{}", harbour.told("web"));
    harbour.build();
    assert_eq!(index["digest"], harbour.digest_of("web"));
    harbour.expect_arrived("hello/web", &harbour.digest_of("web"));
    harbour.expect_arrived("hello/web", referrer["digest"].as_str().unwrap());
    let seen = harbour.proxy.seen();
    let puts = seen.iter().filter(|seen| seen.method == "PUT" && seen.path.contains("/manifests/"));
    let last = puts.map(|seen| seen.path.rsplit('/').next().unwrap()).next_back();
    assert_eq!(last, referrer["digest"].as_str(), "what refers to the image comes after it");
}

#[test]
fn images_of_one_build_share_what_they_have_in_common() {
    let harbour = Harbour::new();
    let copied = harbour.run("cp", &["-r", "build/image", "build/side"]);
    copied.exits(0);
    harbour.change_page("the other image is another");
    let toml = harbour.path("airlock.toml");
    harbour.replace(
        &toml,
        "[artifacts.site]",
        "[artifacts.side]\nkind = \"image\"\npath = \"build/side\"\n\n[artifacts.site]",
    );
    harbour.replace(&toml, "containers = { web = \"web\" }", "containers = { web = \"web\", side = \"side\" }");
    harbour.commit("Two images");
    harbour.deploy().exits(0);
    // In the order of their names.
    assert!(harbour.told("side").starts_with("4 sent ("), "{}", harbour.told("side"));
    assert!(harbour.told("web").starts_with("3 sent (") && harbour.told("web").ends_with(" 1 mounted, 0 there"));
    assert_eq!(harbour.proxy.seen().iter().filter(|seen| is_large(seen)).count(), 1);
    harbour.build();
    harbour.expect_arrived("hello/web", &harbour.digest_of("web"));
    harbour.expect_arrived("hello/side", &harbour.digest_of("side"));
}
