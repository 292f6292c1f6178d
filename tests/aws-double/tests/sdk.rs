//! Services with AWS's own SDK for Rust as the client, which reads answers by their types.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed helper is a failed test")]

mod common;

use std::time::Duration;

use aws::{Connection, Settings};
use aws_credential_types::Credentials;
use aws_double::{Failure, Fate, PRODUCTION, REGION, Role, Script};
use aws_sdk_ecs::Client;
use aws_sdk_ecs::error::ProvideErrorMetadata as _;
use aws_sdk_ecs::types::{
    DeploymentCircuitBreaker, DeploymentConfiguration, DeploymentRolloutState, DesiredStatus, TaskStopCode,
};
use common::services::{NEXT, World, definition};

async fn client(world: &World) -> Client {
    let role = world.double.account(PRODUCTION).role(Role::open("sdk"));
    let keys = world.double.session(&role, Duration::from_secs(900));
    let credentials = Credentials::new(keys.access_key, keys.secret_key, keys.session_token, None, "test");
    let settings = Settings { region: Some(REGION.to_owned()), endpoint: Some(world.double.url()), role: None };
    Client::new(Connection::with_credentials(&settings, &[], credentials).await.config())
}

#[tokio::test]
async fn the_sdk_reads_what_services_deployments_and_tasks_say() {
    let world = World::new();
    let client = client(&world).await;
    let bad = definition(&format!("registry.example/web@{NEXT}"));
    let bad = world.double.account(PRODUCTION).task_definition(&bad);
    world.double.script_image(NEXT, Script::new(Fate::Crash(9)));
    let breaker = DeploymentCircuitBreaker::builder().enable(true).rollback(false).build();
    let configuration = DeploymentConfiguration::builder().deployment_circuit_breaker(breaker).build();
    let update = client.update_service().cluster("airlock").service("web").task_definition(&bad);
    // The SDK tries again by itself.
    world.double.fail("ecs:UpdateService", Failure::Throttled);
    let updated = update.deployment_configuration(configuration).send().await.unwrap();
    let ours = updated.service().unwrap().deployments()[0].clone();
    assert_eq!(ours.rollout_state(), Some(&DeploymentRolloutState::InProgress));
    world.over();
    let described = client.describe_services().cluster("airlock").services("web").send().await.unwrap();
    let service = &described.services()[0];
    assert_eq!((service.desired_count(), service.running_count()), (2, 2));
    let configuration = service.deployment_configuration().unwrap();
    assert_eq!((configuration.maximum_percent(), configuration.minimum_healthy_percent()), (Some(200), Some(100)));
    let [failed, old] = service.deployments() else { panic!("{service:#?}") };
    assert_eq!((failed.id(), failed.rollout_state()), (ours.id(), Some(&DeploymentRolloutState::Failed)));
    assert_eq!((failed.status(), old.status()), (Some("PRIMARY"), Some("ACTIVE")));
    assert!(failed.failed_tasks() >= 3 && failed.created_at() < failed.updated_at());
    let newest = &service.events()[0];
    assert!(newest.message().unwrap().ends_with("deployment failed: tasks failed to start."), "{newest:?}");
    assert!(newest.id().is_some() && newest.created_at().is_some());

    let listed = client.list_tasks().cluster("airlock").started_by(ours.id().unwrap());
    let listed = listed.desired_status(DesiredStatus::Stopped).send().await.unwrap();
    let asked = client.describe_tasks().cluster("airlock").set_tasks(listed.task_arns);
    let tasks = asked.send().await.unwrap();
    let app = &tasks.tasks()[0].containers()[0];
    assert_eq!(tasks.tasks()[0].stop_code(), Some(&TaskStopCode::EssentialContainerExited));
    assert_eq!(
        (app.exit_code(), app.image_digest(), app.health_status().map(|health| health.as_str())),
        (Some(9), Some(NEXT), Some("UNKNOWN"))
    );
    let gone = client.update_service().cluster("airlock").service("none").send().await.unwrap_err();
    assert_eq!(gone.code(), Some("ServiceNotFoundException"));
}
