//! The scheduler, tick by tick.

use std::time::Duration;

use serde_json::{Value, json};

use super::Rollout;
use crate::ecs::task::TaskStatus;
use crate::ecs::{Ecs, Fate, Script};
use crate::{ACCOUNT, USER};

/// A service that has been there for long; its ARN.
fn service(ecs: &mut Ecs, desired: usize, configuration: &Value) -> String {
    ecs.add_cluster(ACCOUNT, "airlock");
    define(ecs, "web:1");
    let body = json!({
        "serviceName": "web", "taskDefinition": "web", "desiredCount": desired, "deploymentConfiguration": configuration,
    });
    ecs.add_steady_service(ACCOUNT, "airlock", &body).unwrap_or_else(|refusal| panic!("{refusal:?}"))
}

/// The next definition, with this image; its ARN.
fn define(ecs: &mut Ecs, image: &str) -> String {
    let definition = json!({ "family": "web", "containerDefinitions": [{ "name": "app", "image": image }] });
    let added = ecs.add_definition(ACCOUNT, &definition, USER).unwrap_or_else(|refusal| panic!("{refusal:?}"));
    added["taskDefinition"]["taskDefinitionArn"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_rollout_keeps_within_its_percentages() {
    let cases = [
        // desired, minimumHealthyPercent, maximumPercent; then the fewest healthy and the most wanted tasks
        (4, 100, 200, 4, 8),
        (4, 50, 100, 2, 4),
        (4, 100, 125, 4, 5),
        (3, 50, 150, 2, 4),
        (1, 0, 100, 0, 1),
        (0, 100, 200, 0, 0),
    ];
    for (desired, minimum, maximum, fewest, most) in cases {
        let mut ecs = Ecs::default();
        let configuration = json!({ "minimumHealthyPercent": minimum, "maximumPercent": maximum });
        let arn = service(&mut ecs, desired, &configuration);
        let definition = define(&mut ecs, "web:2");
        ecs.update_service(&arn, Some(&definition), &json!({})).unwrap_or_else(|refusal| panic!("{refusal:?}"));
        let (mut healthy, mut wanted, mut ticks) = (usize::MAX, 0, 0);
        while ecs.services[&arn].deployments[0].rollout == Rollout::InProgress {
            ecs.tick_service(&arn);
            healthy = healthy.min(ecs.tasks.values().filter(|task| task.is_healthy()).count());
            wanted = wanted.max(ecs.tasks.values().filter(|task| task.is_wanted()).count());
            ticks += 1;
            assert!(ticks < 1000, "{desired} {minimum} {maximum}: it gets nowhere");
        }
        assert_eq!((healthy, wanted), (fewest, most), "{desired} {minimum} {maximum}");
        let runs = |of: &str| ecs.tasks.values().filter(|task| task.is_wanted() && task.definition == of).count();
        assert_eq!(runs(&definition), desired);
    }
}

#[test]
fn the_circuit_breaker_opens_at_its_threshold() {
    let with = |more: Value| {
        let mut breaker = json!({ "enable": true, "rollback": false });
        more.as_object().into_iter().flatten().for_each(|(name, value)| breaker[name] = value.clone());
        json!({ "deploymentCircuitBreaker": breaker, "maximumPercent": 101 })
    };
    let threshold = |kind: &str, value: usize| json!({ "thresholdConfiguration": { "type": kind, "value": value } });
    let cases = [
        (1, json!({}), 3),
        (6, json!({}), 3),
        (7, json!({}), 4),
        (100, json!({}), 50),
        (500, json!({}), 200),
        (4, threshold("BOUNDED_PERCENT", 100), 4),
        (4, threshold("UNBOUNDED_PERCENT", 25), 1),
        (4, threshold("COUNT", 12), 12),
    ];
    for (desired, more, expected) in cases {
        let mut ecs = Ecs::default();
        let arn = service(&mut ecs, desired, &with(more.clone()));
        assert_eq!(ecs.services[&arn].threshold(), expected, "{desired} {more}");
    }
    // And it is that number of failures in a row that opens it.
    let mut ecs = Ecs::default();
    let mut one_by_one = with(threshold("COUNT", 5));
    one_by_one["maximumPercent"] = 200.into();
    let arn = service(&mut ecs, 1, &one_by_one);
    ecs.script_image("web:2", Script::new(Fate::Crash(1)));
    let definition = define(&mut ecs, "web:2");
    ecs.update_service(&arn, Some(&definition), &json!({})).unwrap_or_else(|refusal| panic!("{refusal:?}"));
    for failed in 0..=5 {
        let mut ticks = 0;
        while ecs.services[&arn].deployments[0].failed < failed {
            assert_eq!(ecs.services[&arn].deployments[0].rollout, Rollout::InProgress);
            ecs.tick_service(&arn);
            ticks += 1;
            assert!(ticks < 1000, "it fails no {failed} times");
        }
    }
    assert_eq!(ecs.services[&arn].deployments[0].rollout, Rollout::Failed);
    assert_eq!(ecs.tasks.values().filter(|task| task.is_healthy()).count(), 1, "the old task goes on");
}

#[test]
fn a_failed_way_back_is_no_reason_for_another() {
    let mut ecs = Ecs::default();
    let breaker = json!({ "deploymentCircuitBreaker": { "enable": true, "rollback": true } });
    let arn = service(&mut ecs, 2, &breaker);
    ecs.script_service("web", Script::new(Fate::Crash(1)));
    let definition = define(&mut ecs, "web:2");
    ecs.update_service(&arn, Some(&definition), &json!({})).unwrap_or_else(|refusal| panic!("{refusal:?}"));
    (0..500).for_each(|_| ecs.tick_service(&arn));
    let rollouts: Vec<_> = ecs.services[&arn].deployments.iter().map(|deployment| deployment.rollout).collect();
    assert_eq!(rollouts, [Rollout::Failed, Rollout::Failed, Rollout::Completed]);
}

#[test]
fn a_build_that_crashes_late_has_been_deployed() {
    let mut ecs = Ecs::default();
    let arn = service(&mut ecs, 1, &json!({ "deploymentCircuitBreaker": { "enable": true, "rollback": true } }));
    let late = Duration::from_millis(500);
    ecs.script_image("web:2", Script::new(Fate::Crash(1)).after(late));
    let definition = define(&mut ecs, "web:2");
    ecs.update_service(&arn, Some(&definition), &json!({})).unwrap_or_else(|refusal| panic!("{refusal:?}"));
    (0..50).for_each(|_| ecs.tick_service(&arn));
    let crashed = |ecs: &Ecs| ecs.tasks.values().filter(|task| task.containers[0].exit_code == Some(1)).count();
    assert_eq!((ecs.services[&arn].deployments[0].rollout, crashed(&ecs)), (Rollout::Completed, 0));
    std::thread::sleep(late);
    (0..50).for_each(|_| ecs.tick_service(&arn));
    let deployment = &ecs.services[&arn].deployments[0];
    assert_eq!((deployment.rollout, deployment.failed, crashed(&ecs)), (Rollout::Completed, 0, 1));
    assert!(ecs.services[&arn].steady, "another task is there instead");
}

#[test]
fn what_a_service_stops_goes_through_every_state() {
    let mut ecs = Ecs::default();
    let arn = service(&mut ecs, 1, &json!({}));
    let task = ecs.tasks.keys().next().cloned().unwrap_or_default();
    ecs.update_service(&arn, None, &json!({ "desiredCount": 0 })).unwrap_or_else(|refusal| panic!("{refusal:?}"));
    let mut seen = vec![ecs.tasks[&task].last];
    for _ in 0..10 {
        ecs.tick_service(&arn);
        seen.extend(Some(ecs.tasks[&task].last).filter(|last| seen.last() != Some(last)));
    }
    let names: Vec<_> = seen.into_iter().map(TaskStatus::name).collect();
    assert_eq!(names, ["RUNNING", "DEACTIVATING", "STOPPING", "DEPROVISIONING", "STOPPED"]);
}
