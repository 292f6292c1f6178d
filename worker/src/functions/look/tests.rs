//! Functions as Lambda tells them, and what would change in them.

use aws_sdk_lambda::types::{EnvironmentResponse, Layer};
use serde_json::json;

use super::*;

fn step(code: &str) -> FunctionStep {
    let step = json!({"function": "resize", "code": {code: "web"}, "alias": "live", "alarms": ["errors"]});
    serde_json::from_value(step).unwrap()
}

/// A version of an image.
fn of_image(image: &str, description: &str) -> Seen {
    let config = FunctionConfiguration::builder().package_type(PackageType::Image).description(description).build();
    Seen { config, image: Some(image.to_owned()) }
}

fn of_zip(code: &str) -> Seen {
    let config = FunctionConfiguration::builder().package_type(PackageType::Zip).code_sha256(code).build();
    Seen { config, image: None }
}

fn names(version: &str) -> Option<Alias> {
    Some(Alias { version: version.to_owned(), is_split: false, revision: None })
}

fn project() -> ProjectName {
    "hello".parse().unwrap()
}

fn looked<'a>(step: &'a FunctionStep, project: &'a ProjectName) -> Looked<'a> {
    let own = vec!["registry.example:5000/hello/web".to_owned()];
    let wanted = Wanted { step, project, digest: Digest::of(b"new"), place: None, own };
    Looked { wanted, latest: None, alias: None, version: None }
}

#[test]
fn what_can_not_be_deployed_to_is_refused_with_every_reason() {
    let (image, zip, project) = (step("image"), step("zip"), project());
    let failed = || {
        let mut seen = of_zip("x");
        (seen.config.state, seen.config.state_reason) = (Some(State::Failed), Some("no such role".to_owned()));
        seen
    };
    let split = Some(Alias { version: "7".to_owned(), is_split: true, revision: None });
    for (case, step, latest, alias, expected) in [
        ("not there yet", &image, None, None, &[][..]),
        ("the usual", &zip, Some(of_zip("x")), names("7"), &[]),
        ("an image", &image, Some(of_image("x", "")), names("7"), &[]),
        ("of the other kind", &image, Some(of_zip("x")), names("7"), &["it takes zip archives, and no image"]),
        ("of the other kind, too", &zip, Some(of_image("x", "")), None, &["it takes images, and no zip archive"]),
        ("weights", &zip, Some(of_zip("x")), split, &["its alias live sends some calls to another version"]),
        ("names what changes", &zip, Some(of_zip("x")), names("$LATEST"), &["its alias live names $LATEST"]),
        (
            "several",
            &image,
            Some(failed()),
            names("$LATEST"),
            &["no image", "could not be made, and has to be made anew: no such role", "$LATEST"],
        ),
    ] {
        let found = Looked { latest, alias, ..looked(step, &project) }.problems();
        assert_eq!(found.len(), expected.len(), "{case}: {found:?}");
        assert!(found.iter().zip(expected).all(|(problem, words)| problem.contains(words)), "{case}: {found:?}");
    }
}

#[test]
fn what_would_change_is_what_the_alias_names_and_never_what_is_secret() {
    let (image, zip, project) = (step("image"), step("zip"), project());
    let (new, old) = (Digest::of(b"new"), Digest::of(b"old"));
    let change = |step, version: Option<Seen>| {
        let alias = version.as_ref().and_then(|_| names("7"));
        Looked { latest: version.clone(), alias, version, ..looked(step, &project) }.change()
    };
    let fresh = change(&image, None);
    assert_eq!((fresh.version.clone(), fresh.ours, fresh.changes()), (None, false, true));
    assert_eq!(change(&image, Some(of_image(&format!("registry.example:5000/hello/web@{new}"), ""))).revision, None);
    let ours = "registry.example:5000/hello/web";
    for (image_now, described, ours, before, elsewhere, changes) in [
        (format!("{ours}@{old}"), "airlock hello 0.12", true, Some(old), None, true),
        (format!("{ours}@{new}"), "airlock hello 0.12", true, Some(new), None, false),
        (format!("{ours}:latest"), "airlock hello 0.12 and more", false, None, None, true),
        (format!("{ours}:latest@{old}"), "airlock hello-2 0.12", false, Some(old), None, true),
        (format!("r.example/x@{new}"), "", false, Some(new), Some("r.example/x"), true),
    ] {
        let found = change(&image, Some(of_image(&image_now, described)));
        assert_eq!(
            (found.ours, found.code.before, found.code.elsewhere.as_deref()),
            (ours, before, elsewhere),
            "{image_now}"
        );
        assert_eq!((found.changes(), found.version.as_deref()), (changes, Some("7")), "{image_now}");
    }
    // Lambda tells archives' digests in base64.
    let bytes: Vec<u8> = (0..32).map(|at| u8::from_str_radix(&new.hex()[2 * at..2 * at + 2], 16).unwrap()).collect();
    let archive = of_zip(&aws_smithy_types::base64::encode(bytes));
    assert_eq!(
        (change(&zip, Some(archive.clone())).code.before, change(&zip, Some(of_zip("x"))).code.before),
        (Some(new), None)
    );

    let environment = EnvironmentResponse::builder().variables("PASSWORD", "hunter2").build();
    let mut latest = archive.clone();
    latest.config.memory_size = Some(256);
    latest.config.revision_id = Some("r1".to_owned());
    latest.config.environment = Some(environment);
    latest.config.layers = Some(vec![Layer::builder().arn("a:1").build()]);
    let found =
        Looked { latest: Some(latest), alias: names("7"), version: Some(archive), ..looked(&zip, &project) }.change();
    assert_eq!(found.settings, ["environment", "layers", "memorySize"]);
    assert_eq!(found.revision.as_deref(), Some("r1"));
    assert!(found.changes() && !serde_json::to_string(&found).unwrap().contains("hunter2"));
}

#[test]
fn a_function_is_ready_once_lambda_says_so() {
    let failed = |why: &str| Progress::Failed(why.to_owned());
    for (state, update, why, expected) in [
        (Some(State::Active), Some(LastUpdateStatus::Successful), None, Progress::Ready),
        (Some(State::Inactive), None, None, Progress::Ready),
        (None, None, None, Progress::Ready),
        (Some(State::Pending), None, None, Progress::UnderWay),
        (Some(State::Active), Some(LastUpdateStatus::InProgress), None, Progress::UnderWay),
        (Some(State::Active), Some(LastUpdateStatus::Failed), Some("denied"), failed("denied")),
        (Some(State::Active), Some(LastUpdateStatus::Failed), None, failed("Lambda doesn't say why")),
        (Some(State::Failed), Some(LastUpdateStatus::Successful), None, failed("Lambda doesn't say why")),
    ] {
        let said = FunctionConfiguration::builder().set_state(state).set_last_update_status(update);
        let config = said.set_last_update_status_reason(why.map(str::to_owned)).build();
        assert_eq!(progress(&config), expected);
    }
}
