//! How a worker's process is started, and found.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use gateway::Surroundings;
use gateway::{Gateway, GatewayError};
use manifest_schema::job::{TaskId, WriterKind};
use records::Ambient;
use rustix::process::{Pid, getpgid};

use crate::world::{World, roots};

fn program(path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, "#!/bin/sh\n").unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn the_worker_is_named_beside_this_program_or_on_the_path() {
    let directory = tempfile::tempdir().unwrap();
    let [named, beside, on_path] = ["named", "beside", "path"].map(|name| directory.path().join(name));
    let mut here = Surroundings { program: Some(beside.join("airlock")), ..Surroundings::default() };
    here.variables.insert("PATH".to_owned(), on_path.clone().into());
    // Where it would be, for the message.
    assert_eq!(here.find_worker(), beside.join("airlock-worker"));
    program(&on_path.join("airlock-worker"));
    assert_eq!(here.find_worker(), on_path.join("airlock-worker"));
    program(&beside.join("airlock-worker"));
    assert_eq!(here.find_worker(), beside.join("airlock-worker"));
    // What is named is taken even if it isn't there: a typing error must not start another worker.
    here.variables.insert("AIRLOCK_WORKER".to_owned(), named.clone().into());
    assert_eq!(here.find_worker(), named);
}

#[tokio::test]
async fn a_worker_has_its_own_group_its_own_log_and_only_the_environment_it_needs() {
    let world = World::new().await;
    let (job, _) = world.accepted(&world.request(1)).await;
    world.wait_for_starts(1).await;
    let task = world.journal(WriterKind::Gateway, job).await.job().task().unwrap().clone();
    let TaskId::Process { pid, .. } = task else { panic!("not a process") };
    let pid = Pid::from_raw(pid.try_into().unwrap()).unwrap();
    assert_eq!(getpgid(Some(pid)).unwrap(), pid, "Ctrl-C would reach it");

    let log = world.path().join(format!("logs/{job}.log"));
    assert_eq!(fs::metadata(&log).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(log.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);

    let environment = fs::read_to_string(world.path().join("environment")).unwrap();
    let names: Vec<_> = environment.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
    assert!(names.contains(&"PATH") && !names.contains(&"SECRET"), "{names:?}");
}

#[tokio::test]
async fn what_a_worker_says_is_in_its_log() {
    let world = World::new().await;
    let script = world.path().join("talker");
    program(&script);
    fs::write(&script, "#!/bin/sh\necho out; echo err >&2; cat\n").unwrap();
    let gateway = world.with_worker(script);
    let answer = gateway.launch(&manifest_schema::Document::to_bytes(&world.request(1))).await.unwrap();
    let manifest_schema::gateway::Launched::Accepted { job, .. } = answer.result else { panic!("refused") };
    let log = world.path().join(format!("logs/{job}.log"));
    while fs::read_to_string(&log).unwrap() != "out\nerr\n" {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_gateway_opens_from_its_configuration() {
    let world = World::new().await;
    let path = world.path().join("gateway.json");
    let config = |production: &str| {
        format!(
            r#"{{"artifacts": "artifacts", "production": "{production}", "roots": {},
                "place": {{"account": "local", "region": "local"}},
                "launcher": {{"local": {{"planner": "p.json", "deployer": "d.json", "logs": "logs"}}}}}}"#,
            serde_json::to_string(&roots()).unwrap()
        )
    };
    fs::write(&path, config("production")).unwrap();
    Gateway::open(&path, Ambient::system()).await.unwrap();
    fs::write(&path, config("nowhere")).unwrap();
    let error = Gateway::open(&path, Ambient::system()).await.unwrap_err();
    assert!(matches!(error, GatewayError::Record(_)), "{error}");
    fs::write(&path, config("ftp://x/y")).unwrap();
    let error = Gateway::open(&path, Ambient::system()).await.unwrap_err();
    assert!(matches!(error, GatewayError::Location(_) | GatewayError::Record(_)), "{error}");
    let error = Gateway::open(&world.path().join("missing.json"), Ambient::system()).await.unwrap_err();
    assert!(matches!(error, GatewayError::Config(_)) && error.to_string().contains("missing.json"), "{error}");
}
