//! One key is one job; a refusal stores nothing.

use gateway::{Function, GatewayError};
use manifest_schema::dsse::Unsigned;
use manifest_schema::gateway::{LaunchResponse, Launched};
use manifest_schema::job::{Action, Asked, JobOutcome, LaunchRequest, Phase};
use manifest_schema::statement::Outcome;
use manifest_schema::storage::AttestationKind;
use manifest_schema::{Code, Digest, Document};

use crate::world::{ALICE, World, codes, key};

#[tokio::test]
async fn a_launch_starts_one_worker_with_the_configuration_of_its_action() {
    let world = World::new().await;
    let (plan, existing) = world.accepted(&world.request(1)).await;
    assert!(!existing);
    assert_eq!(world.story(plan).await, ["requested", "started"]);
    let starts = world.wait_for_starts(1).await;
    assert_eq!(starts, [format!("--config {} {plan}", world.path().join("planner.json").display())]);

    // There is drift only from what runs.
    let drift = LaunchRequest::new(world.asked(Action::Drift), None);
    assert_eq!(codes(&world.refused(&drift).await), [Code::DriftNotDeployed]);
    world.record(plan, 1, Outcome::Succeeded).await;
    let (drift, _) = world.accepted(&drift).await;
    let starts = world.wait_for_starts(2).await;
    assert!(starts[1].contains("planner.json") && starts[1].ends_with(&drift.to_string()), "{starts:?}");

    let (_, apply) = world.planned(2).await;
    let (apply, _) = world.accepted(&apply).await;
    let starts = world.wait_for_starts(4).await;
    assert!(starts[3].contains("deployer.json") && starts[3].ends_with(&apply.to_string()), "{starts:?}");
}

#[tokio::test]
async fn the_same_key_and_request_is_the_same_job_even_after_its_end() {
    let world = World::new().await;
    let request = world.request(1);
    let (job, _) = world.accepted(&request).await;
    assert_eq!(world.accepted(&request).await, (job, true));
    world.cancel(job).await;
    assert_eq!(world.accepted(&request).await, (job, true));
    assert_eq!(world.status(job).await.outcome, Some(JobOutcome::Cancelled));
    world.wait_for_starts(1).await;
}

#[tokio::test]
async fn the_same_key_for_another_request_is_refused() {
    let world = World::new().await;
    let with_key = |action| LaunchRequest::new(world.asked(action), Some("nightly".to_owned()));
    let (job, _) = world.accepted(&with_key(Action::Plan)).await;
    let reasons = world.refused(&with_key(Action::Drift)).await;
    assert_eq!(codes(&reasons), [Code::RequestKeyReused]);
    assert!(reasons[0].message.contains(&job.to_string()), "{}", reasons[0]);
    assert_eq!(world.keys("launches/").await.len(), 1);
}

#[tokio::test]
async fn another_attempt_is_another_job() {
    let world = World::new().await;
    let (first, _) = world.accepted(&world.request(1)).await;
    let (second, existing) = world.accepted(&world.request(2)).await;
    assert!(first != second && !existing);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_identical_launches_at_once_are_one_job_with_one_worker() {
    let world = World::new().await;
    let request = world.request(1).to_bytes();
    let launches: Vec<_> = (0..50)
        .map(|_| {
            let (gateway, request) = (world.gateway.clone(), request.clone());
            tokio::spawn(async move { gateway.launch(&request).await.unwrap().result })
        })
        .collect();
    let mut jobs = Vec::new();
    let mut new = 0;
    for launch in launches {
        match launch.await.unwrap() {
            Launched::Accepted { job, existing } => {
                jobs.push(job);
                new += u32::from(!existing);
            }
            Launched::Refused { reasons } => panic!("refused: {reasons:?}"),
        }
    }
    jobs.dedup();
    assert_eq!((jobs.len(), new), (1, 1));
    assert_eq!(world.story(jobs[0]).await, ["requested", "started"]);
    world.wait_for_starts(1).await;
}

#[tokio::test]
async fn a_refusal_lists_every_reason_and_stores_nothing() {
    let world = World::new().await;
    let asked = Asked {
        environment: "moon".parse().unwrap(),
        manifest: Digest::of(b"nothing"),
        plan: Some(Digest::of(b"plan")),
        change: Some("CHG-1".parse().unwrap()),
        ..world.asked(Action::Apply)
    };
    let reasons = world.refused(&LaunchRequest::new(asked, None)).await;
    assert_eq!(codes(&reasons), [Code::EnvironmentUnknown, Code::ManifestMissing]);
    world.expect_untouched().await;

    let asked =
        Asked { plan: Some(Digest::of(b"plan")), change: Some("CHG-1".parse().unwrap()), ..world.asked(Action::Apply) };
    assert_eq!(codes(&world.refused(&LaunchRequest::new(asked, None)).await), [Code::PlanMissing]);
    world.expect_untouched().await;
}

#[tokio::test]
async fn an_apply_without_an_approval_is_refused_until_there_is_one() {
    let world = World::new().await;
    let (_, mut approved) = world.planned(1).await;
    let named = std::mem::take(&mut approved.approvals);
    let without = LaunchRequest { key: "without".to_owned(), ..approved.clone() };
    assert_eq!(codes(&world.refused(&without).await), [Code::ApprovalMissing]);
    // A refusal used no key up: the same one may ask again.
    let with = LaunchRequest { approvals: named, ..without };
    assert!(!world.accepted(&with).await.1);
}

/// A no could be hidden among those that were not read.
#[tokio::test]
async fn approvals_that_cannot_all_be_read_refuse() {
    let world = World::new().await;
    let (_, request) = world.planned(1).await;
    for number in 0..256 {
        let envelope = Unsigned::new(number.to_string().into()).unwrap().sign(&key(ALICE)).envelope;
        world.attest(AttestationKind::Approval, &envelope).await;
    }
    assert_eq!(codes(&world.refused(&request).await), [Code::ApprovalUnreadable]);
}

#[tokio::test]
async fn what_is_no_launch_request_is_refused() {
    let world = World::new().await;
    let good = String::from_utf8(world.request(1).to_bytes()).unwrap();
    for (case, request) in [
        ("no JSON", "{".to_owned()),
        ("an unknown field", good.replacen('{', r#"{"force": true,"#, 1)),
        ("another schema", good.replace("launch-request/v1", "launch-request/v9")),
        ("a key that is a path", good.replace(&world.request(1).key, "../../x")),
        ("too large", format!("{good}{}", " ".repeat(70_000))),
    ] {
        let Launched::Refused { reasons } = world.gateway.launch(request.as_bytes()).await.unwrap().result else {
            panic!("{case} was taken");
        };
        assert_eq!(codes(&reasons), [Code::RequestMalformed], "{case}");
        // Who is older, and who newer, must show.
        let versions = ["launch-request/v9", "launch-request/v1"].map(|name| reasons[0].message.contains(name));
        assert_eq!(versions, [case == "another schema"; 2], "{}", reasons[0]);
    }
    // Not even the trust policy was looked at.
    assert_eq!(world.keys("").await, [""; 0]);
}

#[tokio::test]
async fn without_a_worker_nothing_is_recorded() {
    let world = World::new().await;
    let gateway = world.with_worker(world.path().join("nowhere/airlock-worker"));
    let request = world.request(1).to_bytes();
    let error = gateway.launch(&request).await.unwrap_err();
    assert!(matches!(error, GatewayError::Launcher(_)) && !error.is_temporary(), "{error}");
    assert!(error.to_string().contains("AIRLOCK_WORKER"), "{error}");
    world.expect_untouched().await;
}

#[tokio::test]
async fn every_function_takes_one_document_and_gives_one() {
    let world = World::new().await;
    for function in Function::ALL {
        assert_eq!(function.as_str().parse(), Ok(function));
    }
    assert!("launch".parse::<Function>().is_err());

    let answer = world.gateway.handle(Function::LaunchDeployJob, &world.request(1).to_bytes()).await.unwrap();
    let Launched::Accepted { job, .. } = LaunchResponse::from_bytes(&answer).unwrap().result else {
        panic!("refused");
    };
    assert_eq!(world.status(job).await.phase, Phase::Requested);

    let status = |extra: &str| {
        format!(r#"{{"schema":"airlock/status-request/v1","query":{{"job":{{"job":"{job}","after":0{extra}}}}}}}"#)
    };
    let cancel = |extra: &str| format!(r#"{{"schema":"airlock/cancel-request/v1","job":"{job}"{extra}}}"#);
    for (function, text) in [
        (Function::GetDeployJobStatus, status(r#","before":1"#)),
        (Function::GetDeployJobStatus, "[]".to_owned()),
        (Function::CancelDeployJob, cancel(r#","force":true"#)),
        (Function::CancelDeployJob, "{".to_owned()),
    ] {
        let error = world.gateway.handle(function, text.as_bytes()).await.unwrap_err();
        assert!(matches!(error, GatewayError::Request(_)) && !error.is_temporary(), "{text}: {error}");
    }
    for (function, text) in [(Function::GetDeployJobStatus, status("")), (Function::CancelDeployJob, cancel(""))] {
        let newer = text.replace("/v1", "/v9");
        let error = world.gateway.handle(function, newer.as_bytes()).await.unwrap_err();
        assert!(matches!(error, GatewayError::Request(_)) && !error.is_temporary(), "{text}: {error}");
        assert!(["request/v9", "request/v1"].iter().all(|name| error.to_string().contains(name)), "{error}");
        assert!(world.gateway.handle(function, text.as_bytes()).await.is_ok(), "{text}");
    }
}
