//! Configuration files behind the gap.

use std::fs;
use std::path::Path;

use records::config::{ClusterConfig, ConfigError, GatewayConfig, LauncherConfig, WorkerConfig, WorkerRole};

const ROOTS: &str =
    r#"{"threshold": 1, "keys": ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICRMQpEH1XuZ5m2FPpgSiWXGmwXLUN8AMgGYcMSKRUmr"]}"#;
const PLACE: &str = r#"{"account": "local", "region": "local"}"#;

fn gateway(artifacts: &str, extra: &str) -> String {
    format!(
        r#"{{"artifacts": "{artifacts}", "production": "..", "roots": {ROOTS}, "place": {PLACE}{extra},
            "launcher": {{"local": {{"planner": "planner.json", "deployer": "/etc/deployer.json", "logs": "../logs"}}}}}}"#
    )
}

fn worker(extra: &str) -> String {
    format!(
        r#"{{"role": "planner", "artifacts": "s3://bucket/prefix", "production": "/srv/production", "roots": {ROOTS},
            "place": {PLACE}, "key": "planner.pem", "work": "work", "state": "/srv/state", "cluster": "cluster",
            "deadlineSeconds": 3600{extra}}}"#
    )
}

fn write(directory: &Path, text: &str) -> std::path::PathBuf {
    let folder = directory.join("config");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("file.json"), text).unwrap();
    folder.join("file.json")
}

#[test]
fn paths_are_relative_to_the_file_that_names_them() {
    let directory = tempfile::tempdir().unwrap();
    let base = fs::canonicalize(directory.path()).unwrap().join("config");
    let config = GatewayConfig::read(&write(directory.path(), &gateway("artifacts", ""))).unwrap();
    assert_eq!(config.artifacts, base.join("artifacts").display().to_string());
    assert_eq!(config.production, base.parent().unwrap().display().to_string());
    let LauncherConfig::Local { planner, deployer, logs } = config.launcher else { panic!("not local") };
    assert_eq!((planner, deployer), (base.join("planner.json"), "/etc/deployer.json".into()));
    assert_eq!(logs, base.parent().unwrap().join("logs"));

    let more =
        r#", "providerMirror": "mirror", "registry": {"address": "a", "login": {"user": "u", "passwordFile": "p"}}"#;
    let config = WorkerConfig::read(&write(directory.path(), &worker(more))).unwrap();
    assert_eq!(config.role, WorkerRole::Planner);
    assert_eq!((config.artifacts.as_str(), config.production.as_str()), ("s3://bucket/prefix", "/srv/production"));
    assert_eq!((config.key, config.work), (base.join("planner.pem").display().to_string(), base.join("work")));
    assert_eq!(
        (config.state.to_string().as_str(), config.cluster),
        ("/srv/state", ClusterConfig::Local(base.join("cluster")))
    );
    assert_eq!(config.provider_mirror, Some(base.join("mirror")));
    assert_eq!(config.registry.unwrap().login.unwrap().password_file, base.join("p"));
}

#[test]
fn a_file_found_through_a_link_has_its_paths_where_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let file = write(directory.path(), &worker(""));
    let link = directory.path().join("link.json");
    std::os::unix::fs::symlink(&file, &link).unwrap();
    assert_eq!(WorkerConfig::read(&link).unwrap(), WorkerConfig::read(&file).unwrap());
}

#[test]
fn a_location_with_a_scheme_is_no_path() {
    let directory = tempfile::tempdir().unwrap();
    for location in ["s3://bucket/prefix", "file:///srv/store"] {
        let config = GatewayConfig::read(&write(directory.path(), &gateway(location, ""))).unwrap();
        assert_eq!(config.artifacts, location);
    }
}

#[test]
fn what_is_no_configuration_is_refused_with_its_path() {
    let directory = tempfile::tempdir().unwrap();
    for (case, text) in [
        ("an unknown field", gateway("artifacts", r#", "danger": true"#)),
        ("a repeated field", gateway("artifacts", r#", "artifacts": "other""#)),
        ("a missing field", gateway("artifacts", "").replace(r#""production": "..","#, "")),
        ("an unknown launcher", gateway("artifacts", "").replace("local\": {\"planner", "remote\": {\"planner")),
        ("a worker's", worker("")),
        ("no JSON", "{".to_owned()),
    ] {
        let error = GatewayConfig::read(&write(directory.path(), &text)).unwrap_err();
        assert!(
            matches!(error, ConfigError::Malformed { .. }) && error.to_string().contains("file.json"),
            "{case}: {error}"
        );
    }
    for (case, text) in [
        ("an unknown field", worker(r#", "danger": true"#)),
        ("a role", worker("").replace("planner\", \"artifacts", "root\", \"artifacts")),
        (
            "a password for ECR",
            worker(
                r#", "registry": {"address": "222222222222.dkr.ecr.eu-central-1.amazonaws.com",
                                  "login": {"user": "AWS", "passwordFile": "p"}}"#,
            ),
        ),
        (
            "one tag for several images",
            worker(r#", "registry": {"address": "a", "repository": "{project}", "tag": true}"#),
        ),
    ] {
        let error = WorkerConfig::read(&write(directory.path(), &text)).unwrap_err();
        assert!(matches!(error, ConfigError::Malformed { .. }), "{case}: {error}");
    }
    let error = GatewayConfig::read(&directory.path().join("missing.json")).unwrap_err();
    assert!(matches!(error, ConfigError::Unreadable { .. }) && error.to_string().contains("missing.json"), "{error}");
}
