//! Files of a build in a bucket, or in the directory that stands in for it: what the build has is there, and nothing is
//! overwritten or deleted that nobody agreed to.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed helper is a failed test")]

use std::fs;
use std::time::Duration;

use aws_double::Failure;
use flows::{Bucket, Cloud, Scratch, Services, allow, statements, wait_until};
use serde_json::{Value, json};

/// How the example's pages and assets are served.
const HEADERS: &str = "[[deploy.headers]]\npath = \"*\"\ncache-control = \"no-cache\"\n\
                       [[deploy.headers]]\npath = \"*.css\"\ncache-control = \"max-age=60, immutable\"\n";

/// Has the example put its site into a bucket, too.
fn add_step(scratch: &Scratch, bucket: &str, settings: &str) {
    let toml = scratch.path("airlock.toml");
    let step = format!("[[deploy]]\nfiles = \"site\"\nbucket = \"{bucket}\"\n{settings}\n{HEADERS}\n[environments.");
    let text = fs::read_to_string(&toml).unwrap();
    fs::write(&toml, text.replacen("[environments.", &step, 1)).unwrap();
    scratch.commit("Put the site into a bucket");
}

/// What makes a place the project's.
fn own(place: &str) -> Value {
    json!({"projects": {"hello": {"files": [place]}}})
}

/// The example in AWS, whose site goes below `v1` of a bucket; the workers may do there what docs/operations.md says.
struct Site {
    cloud: Cloud,
    bucket: Bucket,
}

impl std::ops::Deref for Site {
    type Target = Cloud;

    fn deref(&self) -> &Cloud {
        &self.cloud
    }
}

impl Site {
    fn new(settings: &str) -> Self {
        let cloud = Cloud::new();
        let bucket = Bucket::in_production(&cloud);
        let site = Self { cloud, bucket };
        site.configure(|config| config["targets"] = own(&site.bucket.name));
        add_step(&site, &site.bucket.name, &format!("prefix = \"v1\"\n{settings}"));
        site
    }

    fn configure(&self, change: impl Fn(&mut Value)) {
        self.configure_if(&Value::Null, change);
    }

    /// The workers may write only under this condition.
    fn configure_if(&self, condition: &Value, change: impl Fn(&mut Value)) {
        let bucket = "arn:aws:s3:::bucket-*";
        let objects = "arn:aws:s3:::bucket-*/*";
        let mut write = allow(&["s3:PutObject"], objects);
        if !condition.is_null() {
            write["Condition"] = condition.clone();
        }
        let may =
            json!([allow(&["s3:ListBucket"], bucket), allow(&["s3:GetObject", "s3:DeleteObject"], objects), write,]);
        self.cloud.reconfigure(&[statements(&may)], |_, config| {
            config["files"] = json!({"s3": {"pathStyle": true}});
            change(config);
        });
    }

    fn object(&self, key: &str) -> Option<String> {
        self.bucket.object(&self.cloud, key)
    }

    /// The keys that were written since the last time.
    fn written(&self) -> Vec<String> {
        let key = |call: &aws_double::Call| call.parameters["Key"].clone();
        self.double.calls_of("s3:PutObject").iter().map(key).collect()
    }

    /// The summary of the newest plan.
    fn planned_change(&self) -> Value {
        let job = self.jobs("plan").pop().unwrap();
        self.read(&self.production(&format!("jobs/{job}/plan/summary.json")))
    }

    /// What it found about files.
    fn rules(&self) -> Vec<String> {
        let summary = self.planned_change();
        let findings = summary["findings"].as_array().unwrap().iter();
        let rules = findings.map(|finding| finding["rule"].as_str().unwrap().to_owned());
        rules.filter(|rule| rule.starts_with("files.")).collect()
    }
}

#[test]
fn a_directory_stands_in_for_a_bucket() {
    let scratch = Scratch::new();
    add_step(&scratch, "hello-site", "delete = true");
    let place = scratch.production("files/production/hello-site");
    let ran = scratch.deploy().exits(0);
    assert!(ran.stderr.contains("update   files hello-site: 2 added\n             add index.html\n"), "{}", ran.all());
    let page = fs::read_to_string(scratch.path("public/index.html")).unwrap();
    assert_eq!(fs::read_to_string(place.join("index.html")).unwrap(), page);
    assert!(scratch.progress(&scratch.job("apply", 1)).contains(&"files hello-site: 2 sent, 0 deleted".to_owned()));
    scratch.json(&["drift", "production"]).exits(0);

    // Somebody else's file, and one that was changed by hand.
    fs::create_dir_all(place.join("a/b")).unwrap();
    fs::write(place.join("a/b/c.txt"), "x").unwrap();
    fs::write(place.join("index.html"), "defaced").unwrap();
    let found = scratch.json(&["drift", "production"]).exits(4).json();
    let place_found = &found["summary"]["files"][0];
    assert_eq!(place_found["changed"]["first"], json!(["index.html"]));
    assert_eq!(place_found["deleted"]["first"], json!(["a/b/c.txt"]));
    scratch.change_page("the second build");
    let ran = scratch.deploy().exits(0);
    for words in ["files hello-site: 1 changed, 1 deleted", "delete a/b/c.txt", "files.deleted"] {
        assert!(ran.stderr.contains(words), "{words}: {}", ran.all());
    }
    assert!(fs::read_to_string(place.join("index.html")).unwrap().contains("the second build"));
    assert!(!place.join("a").exists() && place.join("style.css").exists());
    scratch.audit();

    // Back to the first build: its files are there again.
    scratch.airlock(&["deploy", "--rollback-to", "previous", "--approve-with", flows::APPROVER]).exits(0);
    assert_eq!(fs::read_to_string(place.join("index.html")).unwrap(), page);
}

#[test]
fn a_file_of_a_directory_may_have_the_name_of_one_that_goes() {
    let scratch = Scratch::new();
    add_step(&scratch, "hello-site", "delete = true");
    let (docs, there) = (scratch.path("public/docs"), scratch.production("files/production/hello-site/docs"));
    let become_file = || {
        drop(fs::remove_dir_all(&docs));
        fs::write(&docs, "a file").unwrap();
        scratch.commit("A file");
    };
    let become_directory = || {
        fs::remove_file(&docs).unwrap();
        scratch.write("public/docs/a/index.html", "in a directory");
        scratch.commit("A directory");
    };
    become_file();
    scratch.deploy().exits(0);
    become_directory();
    scratch.deploy().exits(0);
    assert_eq!(fs::read_to_string(there.join("a/index.html")).unwrap(), "in a directory");
    become_file();
    scratch.deploy().exits(0);
    assert_eq!(fs::read_to_string(&there).unwrap(), "a file");
    // What stays is in the way, which it wouldn't be in a bucket.
    scratch.replace(&scratch.path("airlock.toml"), "delete = true", "");
    become_directory();
    let ran = scratch.deploy().exits(5);
    assert!(ran.stderr.contains("can't write docs/a/index.html: a file has the name of a directory"), "{}", ran.all());
}

#[test]
fn objects_are_served_as_the_step_says_and_only_what_differs_is_sent() {
    let site = Site::new("");
    fs::write(site.path("public/big.bin"), vec![7; 3 << 20]).unwrap();
    site.commit("Something large");
    site.cloud.deploys().exits(0);
    let written = site.written();
    assert_eq!((written.len(), written.last().map(String::as_str)), (3, Some("v1/index.html")), "pages come last");
    let page = site.bucket.headers(&site.cloud, "v1/index.html");
    let told = |name: &str| page.get(name).map(String::as_str);
    assert_eq!((told("content-type"), told("cache-control")), (Some("text/html; charset=utf-8"), Some("no-cache")));
    assert_eq!((told("x-amz-meta-airlock-project"), told("x-amz-meta-airlock-build")), (Some("hello"), Some("0.1")));
    let style = site.bucket.headers(&site.cloud, "v1/style.css");
    assert_eq!(style["cache-control"], "max-age=60, immutable");
    assert_eq!(site.bucket.headers(&site.cloud, "v1/big.bin")["content-length"], (3 << 20).to_string());
    assert_eq!(site.object("v1/index.html").unwrap(), fs::read_to_string(site.path("public/index.html")).unwrap());
    assert_eq!(site.rules(), Vec::<String>::new(), "an empty place is nobody's");

    // What is there and isn't the build's stays, without `delete`.
    site.bucket.put(&site.cloud, "v1/other.txt", "x", &[]);
    site.bucket.put(&site.cloud, "elsewhere.txt", "x", &[]);
    site.change_page("the second build");
    site.cloud.deploys().exits(0);
    assert_eq!(site.written().len(), 4, "{:?}", site.written());
    assert!(site.object("v1/index.html").unwrap().contains("the second build"));
    assert!(site.object("v1/other.txt").is_some() && site.double.calls_of("s3:DeleteObject").is_empty());

    // Another header is another object; what was there before goes back with a rollback.
    site.replace(&site.path("airlock.toml"), "max-age=60", "max-age=90");
    site.commit("Other headers");
    site.cloud.deploys().exits(0);
    assert_eq!(site.planned_change()["files"][0]["changed"]["first"], json!(["v1/style.css"]));
    assert_eq!(site.bucket.headers(&site.cloud, "v1/style.css")["cache-control"], "max-age=90, immutable");
    site.cloud.airlock(&["deploy", "--rollback-to", "previous", "--approve-with", flows::APPROVER]).exits(0);
    assert_eq!(site.bucket.headers(&site.cloud, "v1/style.css")["cache-control"], "max-age=60, immutable");
    let sent = site.written().len();
    site.cloud.airlock(&["drift", "production"]).exits(0);
    assert_eq!(site.written().len(), sent, "who looks writes nothing");
    site.audit();
}

#[test]
fn a_person_sees_what_goes_and_whose_it_is() {
    let site = Site::new("delete = true");
    site.bucket.put(&site.cloud, "v1/theirs.txt", "x", &[]);
    site.bucket.put(&site.cloud, "v1/style.css", "x", &["x-amz-meta-airlock-project: other"]);
    site.bucket.put(&site.cloud, "elsewhere.txt", "x", &[]);
    let ran = site.cloud.deploys().exits(0);
    for words in [
        "/v1: 1 added, 1 changed, 1 deleted",
        "delete v1/theirs.txt (not put there by this project)",
        "change v1/style.css (not put there by this project)",
        "has 2 objects that would go and that no deploy of this project put there.",
    ] {
        assert!(ran.stderr.contains(words), "{words}: {}", ran.all());
    }
    assert_eq!(site.rules(), ["files.foreign", "files.deleted"]);
    assert_eq!((site.object("v1/theirs.txt"), site.object("elsewhere.txt").as_deref()), (None, Some("x")));

    // What this project put there, and hasn't any more, is told, too.
    fs::remove_file(site.path("public/style.css")).unwrap();
    site.change_page("no style");
    site.cloud.deploys().exits(0);
    assert_eq!((site.rules(), site.object("v1/style.css")), (vec!["files.deleted".to_owned()], None));
}

#[test]
fn what_changed_after_the_plan_makes_it_stale() {
    let site = Site::new("");
    let planned = site.planned();
    let yes = site.approve(&planned);
    site.bucket.put(&site.cloud, "v1/index.html", "theirs", &[]);
    let applied = site.apply(&planned, &[&yes]);
    applied.run.because(&["plan.stale"]);
    assert_eq!((site.object("v1/index.html").as_deref(), site.written()), (Some("theirs"), vec![]));
}

#[test]
fn the_bytes_that_would_go_are_agreed_to_and_not_only_their_names() {
    let site = Site::new("");
    site.cloud.deploys().exits(0);
    site.change_page("the second build");
    let planned = site.planned();
    let yes = site.approve(&planned);
    site.bucket.put(&site.cloud, "v1/index.html", "a hot fix", &["x-amz-meta-airlock-project: hello"]);
    site.apply(&planned, &[&yes]).run.because(&["plan.stale"]);
    // And once a job is about to send: what it replaces isn't what it saw.
    fs::write(site.path("public/style.css"), "other {}").unwrap();
    site.commit("Another style");
    site.double.fail("s3:PutObject", Failure::Slow(Duration::from_secs(3)));
    let sent = site.written().len();
    let deploy = site.start_deploy();
    wait_until("the style to be on its way", || (site.written().len() > sent).then_some(()));
    site.bucket.put(&site.cloud, "v1/index.html", "another hot fix", &[]);
    deploy.end().exits(5).explains(&["files.failed", "somebody else changed v1/index.html at the same time"]);
    assert_eq!(site.object("v1/index.html").as_deref(), Some("another hot fix"));
}

#[test]
fn a_conflict_that_nobody_caused_is_tried_again_until_the_headers_are_right() {
    let site = Site::new("");
    let conflict = || Failure::Error { status: 409, code: "ConditionalRequestConflict", message: "Try again." };
    site.double.fail("s3:PutObject", conflict());
    site.cloud.deploys().exits(0);
    site.replace(&site.path("airlock.toml"), "max-age=60", "max-age=90");
    site.commit("Other headers");
    site.double.fail("s3:PutObject", conflict());
    site.cloud.deploys().exits(0);
    assert_eq!(site.bucket.headers(&site.cloud, "v1/style.css")["cache-control"], "max-age=90, immutable");
    site.cloud.airlock(&["drift", "production"]).exits(0);
}

#[test]
fn a_header_that_no_step_sets_is_a_change_of_the_object() {
    let site = Site::new("");
    site.cloud.deploys().exits(0);
    let style = site.path("public/style.css");
    let checksum = format!("openssl dgst -sha256 -binary '{}' | openssl base64 -A", style.display());
    let checksum = format!("x-amz-checksum-sha256: {}", site.cloud.run("sh", &["-c", &checksum]).exits(0).stdout);
    let as_sent = [
        "content-type: text/css; charset=utf-8",
        "cache-control: max-age=60, immutable",
        "x-amz-meta-airlock-project: hello",
        &checksum,
    ];
    let text = fs::read_to_string(&style).unwrap();
    site.bucket.put(&site.cloud, "v1/style.css", &text, &as_sent);
    site.cloud.airlock(&["drift", "production"]).exits(0);
    let theirs = "expires: Thu, 01 Jan 2037 00:00:00 GMT";
    site.bucket.put(&site.cloud, "v1/style.css", &text, &[&as_sent[..], &[theirs]].concat());
    let found = site.cloud.airlock(&["drift", "production", "--format", "json"]).exits(4).json();
    assert_eq!(found["summary"]["files"][0]["changed"]["first"], json!(["v1/style.css"]));
    site.commit("The same again");
    site.cloud.deploys().exits(0);
    site.cloud.airlock(&["drift", "production"]).exits(0);
}

#[test]
fn objects_are_encrypted_with_the_key_that_the_configuration_names() {
    let key = "arn:aws:kms:eu-central-1:222222222222:key/1";
    let only = json!({"StringEquals": {
        "s3:x-amz-server-side-encryption": "aws:kms", "s3:x-amz-server-side-encryption-aws-kms-key-id": key,
    }});
    let site = Site::new("");
    site.configure_if(&only, |config| config["targets"] = own(&site.bucket.name));
    site.cloud.deploys().exits(5).explains(&["files.failed", "s3:PutObject"]);
    site.configure_if(&only, |config| {
        config["targets"] = own(&site.bucket.name);
        config["files"]["s3"]["kmsKey"] = key.into();
    });
    site.cloud.deploys().exits(0);
}

#[test]
fn what_a_cancelled_job_has_sent_stays_and_the_next_sends_the_rest() {
    let site = Site::new("");
    site.double.fail("s3:PutObject", Failure::None);
    site.double.fail("s3:PutObject", Failure::Slow(Duration::from_secs(60)));
    let deploy = site.start_deploy();
    wait_until("the page to be on its way", || (site.written().len() == 2).then_some(()));
    site.ok(&["cancel-deploy-job", &site.job("apply", 1)]);
    deploy.end().exits(5).explains(&["job.cancelled"]);
    assert_eq!((site.end_of(&site.job("apply", 1)).0.as_str(), site.records().len()), ("cancelled", 1));
    assert!(site.object("v1/style.css").is_some());
    site.cloud.deploys().exits(0);
    assert!(site.object("v1/index.html").is_some());
    site.audit();
}

#[test]
fn what_somebody_else_does_at_the_same_time_is_left_as_it_is() {
    let site = Site::new("");
    // Pages wait for assets.
    site.double.fail("s3:PutObject", Failure::Slow(Duration::from_secs(3)));
    let deploy = site.start_deploy();
    wait_until("the first object to be on its way", || (!site.written().is_empty()).then_some(()));
    site.bucket.put(&site.cloud, "v1/index.html", "theirs", &[]);
    deploy.end().exits(5).explains(&["files.failed", "somebody else changed v1/index.html at the same time"]);
    assert_eq!(site.object("v1/index.html").as_deref(), Some("theirs"));
    let record = &site.records()[0];
    assert_eq!((&record["outcome"], &record["steps"][2]["outcome"]), (&"failed".into(), &"failed".into()));
    // It is a person's to say whose page it is.
    site.cloud.deploys().exits(0);
    assert_eq!(site.rules(), ["files.foreign"]);
    assert!(site.object("v1/index.html").unwrap().contains("<"), "the build's page");
}

#[test]
fn a_lost_answer_or_a_busy_bucket_is_no_failure() {
    let site = Site::new("delete = true");
    for failure in [Failure::Lost, Failure::Throttled, Failure::Broken] {
        site.double.fail("s3:PutObject", failure);
    }
    site.double.fail("s3:ListBucket", Failure::Throttled);
    site.cloud.deploys().exits(0);
    fs::remove_file(site.path("public/style.css")).unwrap();
    site.commit("No style");
    site.double.fail("s3:DeleteObject", Failure::Lost);
    site.cloud.deploys().exits(0);
    assert_eq!(site.object("v1/style.css"), None);
    site.audit();
}

#[test]
fn after_a_worker_died_the_next_job_sends_the_rest() {
    let site = Site::new("");
    site.double.fail("s3:PutObject", Failure::None);
    site.double.fail("s3:PutObject", Failure::Slow(Duration::from_secs(60)));
    let deploy = site.start_deploy();
    wait_until("the page to be on its way", || (site.written().len() == 2).then_some(()));
    site.double.kill(&site.task_of(&site.job("apply", 1)));
    deploy.end().exits(5);
    assert!(site.object("v1/style.css").is_some());
    site.cloud.deploys().exits(0);
    let planned = site.planned_change()["files"][0].clone();
    assert!(planned["added"]["count"].as_u64().unwrap() <= 1, "{planned}");
    assert_eq!(site.records()[0]["steps"][2]["outcome"], "unknown");
    assert!(site.object("v1/index.html").is_some());
    site.audit();
}

#[test]
fn bytes_that_are_not_the_builds_are_never_sent() {
    let site = Site::new("");
    let planned = site.planned();
    let yes = site.approve(&planned);
    let page = manifest_schema::Digest::of(&fs::read(site.path("public/index.html")).unwrap()).hex();
    let blob = site.artifacts(&format!("blobs/sha256/{page}"));
    let size = fs::metadata(&blob).unwrap().len();
    fs::remove_file(&blob).unwrap();
    fs::write(&blob, vec![b'x'; usize::try_from(size).unwrap()]).unwrap();
    let applied = site.apply(&planned, &[&yes]);
    assert!(applied.run.all().contains("blob.mismatch"), "{}", applied.run.all());
    assert_eq!((site.object("v1/index.html"), site.written()), (None, vec!["v1/style.css".to_owned()]));
    fs::remove_file(&blob).unwrap();
    site.plans(&planned.manifest).exits(3).explains(&["blob.missing"]);
}

#[test]
fn files_go_only_where_the_workers_configuration_says() {
    let site = Site::new("");
    let bucket = site.bucket.name.clone();
    let refused = |change: &dyn Fn(&mut Value), code: &str, words: &str| {
        site.configure(change);
        site.cloud.deploys().exits(3).explains(&[code, words]);
    };
    refused(&|config| config["files"] = Value::Null, "files.unsupported", "name `files` in the workers' configuration");
    refused(&|_| (), "target.forbidden", "under `files` for hello");
    refused(
        &|config| config["targets"]["projects"] = json!({"other": {"files": [bucket]}}),
        "target.forbidden",
        "says that it is other's",
    );
    refused(
        &|config| {
            config["targets"] = own(&bucket);
            config["state"] = format!("s3://{bucket}/states").into();
        },
        "files.unsupported",
        "one of Airlock's own stores",
    );
    // One of another account isn't looked into, whatever its name is.
    site.configure(|config| {
        config["targets"] = own(&bucket);
        config["files"]["s3"]["owner"] = "333333333333".into();
    });
    site.cloud.deploys().exits(5).explains(&["files.failed", "s3:ListBucket"]);
    site.replace(&site.path("airlock.toml"), &bucket, "bucket-9");
    site.commit("Another bucket");
    site.configure(|config| config["targets"] = own("bucket-9"));
    // This build's Terraform could make it; it doesn't.
    let ran = site.cloud.deploys().exits(5);
    assert!(ran.stderr.contains("there is still no such bucket"), "{}", ran.all());
    assert_eq!((site.rules(), site.written()), (vec!["files.created".to_owned()], vec![]));
}

#[test]
fn what_a_bucket_cannot_hold_is_refused_when_it_is_built() {
    let scratch = Scratch::new();
    add_step(&scratch, "hello-site", "");
    std::os::unix::fs::symlink("index.html", scratch.path("public/start.html")).unwrap();
    scratch.commit("A link");
    let ran = scratch.airlock(&["manifest", "build"]).exits(1);
    assert!(ran.stderr.contains("start.html is a symbolic link, which a bucket can't hold"), "{}", ran.all());
}

#[test]
fn services_and_files_go_together() {
    let world = Services::new();
    add_step(&world, "hello-site", "");
    world.configure(|_, config| config["files"] = world.production("files").display().to_string().into());
    world.cloud.deploys().exits(0);
    assert_eq!(world.newest().rollout, "COMPLETED");
    assert!(world.production("files/production/hello-site/index.html").is_file());
}
