use manifest_schema::manifest::BuildNumber;

use super::*;

fn build(project: &str, number: &str, published_at: &str) -> Build {
    Build {
        project: project.parse().unwrap(),
        number: number.parse::<BuildNumber>().unwrap(),
        manifest: Digest::of(format!("{project} {number}").as_bytes()),
        published_at: published_at.parse().unwrap(),
        present: true,
    }
}

/// In the order in which they are read: by project, then by number.
fn builds() -> Vec<Build> {
    let mut builds = vec![
        build("hello", "0.1", "2026-11-01T00:00:00Z"),
        build("hello", "0.2", "2026-11-10T00:00:00Z"),
        build("hello", "0.3", "2026-11-21T00:00:00Z"),
        build("hello", "1.1", "2026-11-05T00:00:00Z"),
        build("world", "0.7", "2026-10-01T00:00:00Z"),
        build("world", "0.8", "2026-10-02T00:00:00Z"),
    ];
    builds[2].present = false;
    builds
}

fn kept_by(rules: &[&str], live: &[Digest]) -> Result<Vec<String>, Failure> {
    let rules: Vec<KeepRule> = rules.iter().map(|rule| rule.parse().unwrap()).collect();
    let live = Live::from([("production".parse().unwrap(), live.iter().copied().collect())]);
    let builds = builds();
    let reasons = select(&builds, &rules, &live, "2026-11-22T00:00:00Z".parse().unwrap())?;
    Ok(builds.iter().zip(reasons).filter(|(_, rules)| !rules.is_empty()).map(|(build, _)| build.name()).collect())
}

#[test]
fn a_build_is_kept_if_any_rule_names_it() {
    let (first, seventh) = (Digest::of(b"hello 0.1"), Digest::of(b"world 0.7"));
    let by_digest = seventh.to_string();
    for (rules, live, kept) in [
        (&["last:1"][..], &[][..], &["hello#1.1", "world#0.8"][..]),
        // What was collected before does not count.
        (&["last:2"], &[], &["hello#0.2", "hello#1.1", "world#0.7", "world#0.8"]),
        (&["last:99"], &[], &["hello#0.1", "hello#0.2", "hello#1.1", "world#0.7", "world#0.8"]),
        (&["newer:2w"], &[], &["hello#0.2"]),
        (&["newer:12d"], &[], &[]),
        (&["hello#2"], &[], &["hello#0.2"]),
        (&["hello#1"], &[], &["hello#1.1"]),
        (&["hello#0.1"], &[], &["hello#0.1"]),
        (&[&by_digest], &[], &["world#0.7"]),
        (&["deployed:production"], &[first, seventh], &["hello#0.1", "world#0.7"]),
        (&["deployed:production"], &[], &[]),
        (&["hello#2", "last:1", "last:1"], &[], &["hello#0.2", "hello#1.1", "world#0.8"]),
    ] {
        assert_eq!(kept_by(rules, live).unwrap(), kept, "{rules:?}");
    }
}

#[test]
fn a_rule_that_names_what_is_not_there_stops_everything() {
    let nobody = Digest::of(b"nobody's");
    let collected = Digest::of(b"hello 0.3");
    for (rule, live, problem) in [
        ("hello#99", None, "--keep hello#99 names a build that was not published there"),
        ("nobody#1", None, "--keep nobody#1 names a build that was not published there"),
        (&nobody.to_string(), None, "names a build that was not published there"),
        ("hello#3", None, "the manifest of hello#0.3, which --keep hello#3 names, is gone from the store"),
        (&collected.to_string(), None, "the manifest of hello#0.3, which --keep sha256:"),
        ("deployed:production", Some(nobody), "names a build that was not published there"),
        ("deployed:production", Some(collected), "the manifest of hello#0.3, which --keep deployed:production names"),
    ] {
        let failure = kept_by(&["last:9", rule], live.as_slice()).unwrap_err();
        assert!(failure.message().contains(problem), "{rule}: {}", failure.message());
    }
}
