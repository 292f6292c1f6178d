//! What is no manifest at all.

use super::*;

/// Threat model, rows 11 and 18, in the manifest's own words.
#[test]
fn malformed_manifests_are_refused() {
    let text = String::from_utf8(build(7).to_bytes()).unwrap();
    for (case, from, to) in [
        ("unknown kind", r#""kind": "file""#, r#""kind": "script""#),
        ("file with files", r#""kind": "file","#, r#""kind": "file", "files": [],"#),
        ("file with blobs", r#""kind": "file","#, r#""kind": "file", "blobs": [],"#),
        ("provider with files", r#""kind": "file","#, r#""kind": "provider", "files": [],"#),
        ("image without blobs", r#""kind": "file""#, r#""kind": "image""#),
        ("image with files too", r#""kind": "image","#, r#""kind": "image", "files": [],"#),
        ("directory without files", r#""kind": "file""#, r#""kind": "directory""#),
        ("terraform with blobs too", r#""kind": "terraform","#, r#""kind": "terraform", "blobs": [],"#),
        ("variable twice", r#""release": {"#, r#""release": {"value": "1"}, "release": {"#),
        ("setting of a container twice", r#""LOG_LEVEL": "debug""#, r#""LOG_LEVEL": "debug", "LOG_LEVEL": "info""#),
        ("container with settings twice", r#""environment": {"#, r#""environment": {"app": {}, "#),
        ("secret of two kinds", r#""parameter": "db/url""#, r#""parameter": "db/url", "secret": "x""#),
        ("secret in plain text", r#""parameter": "db/url""#, r#""value": "postgres://""#),
        ("cluster by its ARN", r#""cluster": "main""#, r#""cluster": "arn:aws:ecs:eu-central-1:1:cluster/main""#),
        ("task whose name is no family's", r#""task": "migrate""#, r#""task": "mi.grate""#),
        ("function by its ARN", r#""function": "resize""#, r#""function": "arn:aws:lambda:x:1:function:resize""#),
        ("function of two codes", r#""zip": "config""#, r#""zip": "config", "image": "web""#),
        ("alias that is a version", r#""alias": "live""#, r#""alias": "7""#),
        ("task with a command for a shell", r#""command": ["#, r#""command": "migrate", "_": ["#),
        ("schedule by its ARN", r#""name": "nightly""#, r#""name": "arn:aws:scheduler:x:1:schedule/jobs/nightly""#),
        ("schedule in another", r#""name": "nightly""#, r#""name": "..""#),
        ("what is a schedule and a rule", r#""schedule": {"#, r#""rule": {"name": "x"}, "schedule": {"#),
        ("unknown field of a schedule", r#""group": "jobs""#, r#""group": "jobs", "eventBus": "x""#),
        ("a fraction of a CPU", r#""cpu": 512"#, r#""cpu": 0.5"#),
        ("container twice", r#""app": "web""#, r#""app": "web", "app": "web""#),
        ("setuid", r#""mode": "0644""#, r#""mode": "4755""#),
        ("link", r#""mode": "0644""#, r#""mode": "120000""#),
        ("path that leaves", r#""path": "a.html""#, r#""path": "../a.html""#),
        ("absolute path", r#""path": "a.html""#, r#""path": "/a.html""#),
        ("build number as text", r#""number": 7"#, r#""number": "7""#),
        ("build number with a fraction", r#""number": 7"#, r#""number": 7.0"#),
        ("short commit", &"1".repeat(40), &"1".repeat(39)),
        ("upper-case digest", "sha256:", "SHA256:"),
        ("another schema", "build-manifest/v1", "build-manifest/v2"),
        ("unknown step", r#""kind": "service""#, r#""kind": "shell""#),
        ("unknown field of a step", r#""service": "web""#, r#""service": "web", "command": "x""#),
        ("variable of two kinds", r#""value": "r7""#, r#""value": "r7", "digestOf": "site""#),
        ("local time", "2026-11-22T08:00:00Z", "2026-11-22T08:00:00+01:00"),
    ] {
        assert!(text.contains(from), "{case}: nothing to replace");
        let broken = text.replacen(from, to, 1);
        assert!(BuildManifest::from_bytes(broken.as_bytes()).is_err(), "{case} was taken");
    }
    assert!(BuildManifest::from_bytes(text.as_bytes()).is_ok());
}

#[test]
fn sizes_beyond_the_limits_are_refused() {
    let padded = |size: usize| {
        let mut bytes = build(7).to_bytes();
        bytes.resize(size, b' ');
        BuildManifest::from_bytes(&bytes)
    };
    assert!(padded(BuildManifest::LIMIT).is_ok());
    assert!(matches!(padded(BuildManifest::LIMIT + 1), Err(DocumentError::TooLarge { .. })));
    // In memory, where no limit of bytes holds: every list counts, those of bundles too.
    let directory: fn(_) -> _ = |files| Content::Directory { files, links: Vec::new() };
    let bundle: fn(_) -> _ = |files| Content::Terraform { files, modules: Vec::new() };
    for content in [directory, bundle] {
        let mut manifest = build(7);
        manifest.artifacts[1].content = content(vec![file("a", "a"); MOST_ENTRIES]);
        let problem = manifest.check().unwrap_err();
        assert!(problem.contains("at most 1000000 are read"), "{problem}");
    }
}
