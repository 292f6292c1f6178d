//! Which target is meant, and what is put in its place.

use serde_json::json;

use super::*;

const NIGHTLY: &str = "arn:aws:ecs:eu-central-1:222222222222:task-definition/nightly";

/// As EventBridge has a target that starts a task, with fields that nobody here has ever heard of.
fn task(id: &str, definition: &str) -> Value {
    json!({
        "Id": id, "Arn": "arn:aws:ecs:eu-central-1:222222222222:cluster/apps", "unheardOf": {"deeply": [null, 1.5]},
        "RoleArn": "arn:aws:iam::222222222222:role/events", "Input": "{\"containerOverrides\": []}",
        "EcsParameters": {"TaskDefinitionArn": definition, "TaskCount": 2, "newer": ["than", "this"]},
    })
}

/// As Scheduler has a schedule.
fn schedule(target: Value) -> Value {
    json!({
        "Arn": "arn:aws:scheduler:eu-central-1:222222222222:schedule/jobs/nightly", "Name": "nightly", "GroupName": "jobs",
        "CreationDate": 1.7e9, "LastModificationDate": 1.7e9, "ScheduleExpression": "rate(1 day)", "StartDate": 1.8e9,
        "State": "DISABLED", "FlexibleTimeWindow": {"Mode": "OFF"}, "unheardOf": [{"a": 1}], "Target": target,
    })
}

fn rule(targets: Vec<Value>) -> Rule {
    Rule { rule: json!({"Name": "nightly"}), targets }
}

#[test]
fn the_target_of_a_rule_is_named_or_its_only_task() {
    let queue = json!({"Id": "queue", "Arn": "arn:aws:sqs:eu-central-1:222222222222:jobs"});
    // What is started by Scheduler's or EventBridge's own call of RunTask has its parameters in a text.
    let call = json!({"Id": "call", "Arn": "arn:aws:scheduler:::aws-sdk:ecs:runTask", "Input": "{}"});
    let (one, other) = (task("one", NIGHTLY), task("other", NIGHTLY));
    for (case, targets, id, expected) in [
        ("its only one", vec![one.clone()], None, Ok(Some("one"))),
        ("its only task", vec![queue.clone(), one.clone()], None, Ok(Some("one"))),
        ("the named one", vec![one.clone(), other.clone()], Some("other"), Ok(Some("other"))),
        ("none yet", vec![], None, Ok(None)),
        ("none of this name yet", vec![one.clone()], Some("third"), Ok(None)),
        ("several", vec![one.clone(), queue.clone(), other], None, Err("(one, other): say which is meant (target)")),
        ("another kind", vec![queue.clone(), call.clone()], None, Err("none of its targets is a task of ECS")),
        ("a named one of another kind", vec![queue, one], Some("queue"), Err("its target arn:aws:sqs:")),
        ("a call of RunTask", vec![call], Some("call"), Err("its target arn:aws:scheduler:::aws-sdk:ecs:runTask")),
    ] {
        let id = id.map(|id| id.parse().unwrap());
        match (Target::of_rule(rule(targets), id.as_ref()), expected) {
            (Ok(found), Ok(expected)) => {
                let found = found.map(|target| target.whole["Id"].as_str().unwrap().to_owned());
                assert_eq!(found.as_deref(), expected, "{case}");
            }
            (Err(problem), Err(words)) => assert!(problem.contains(words), "{case}: {problem}"),
            (found, _) => panic!("{case}: {found:?}"),
        }
    }
    let managed = Rule { rule: json!({"ManagedBy": "ssm.amazonaws.com"}), targets: vec![task("one", NIGHTLY)] };
    assert_eq!(
        Target::of_rule(managed, None).unwrap_err(),
        "ssm.amazonaws.com manages it, and would undo what is changed"
    );
}

#[test]
fn only_the_task_definition_of_what_is_put_is_another() {
    let (old, new) = (format!("{NIGHTLY}:1"), format!("{NIGHTLY}:2"));
    let target = Target::of_rule(rule(vec![task("one", &old)]), None).unwrap().unwrap();
    assert_eq!(target.with(&new).whole, task("one", &new));
    assert_eq!((target.definition(), target.cluster_name()), (Some(old.as_str()), "apps".parse().ok()));

    let target = Target::of_schedule(schedule(task("", &old))).unwrap();
    let put = target.with(&new).whole;
    let mut expected = schedule(task("", &new));
    for field in SAID {
        expected.as_object_mut().unwrap().remove(field);
    }
    assert_eq!(put, expected);
    assert_eq!(target.definition(), Some(old.as_str()));
    let queue = schedule(json!({"Arn": "arn:aws:sqs:eu-central-1:222222222222:jobs"}));
    assert!(Target::of_schedule(queue).unwrap_err().contains("its target arn:aws:sqs:"));
}

#[test]
fn a_family_is_told_from_a_revision() {
    for (named, revision) in [(NIGHTLY, false), ("nightly", false)] {
        assert_eq!((has_revision(named), family(named)), (revision, named));
        let with = format!("{named}:12");
        assert_eq!((has_revision(&with), family(&with)), (true, named));
    }
}
