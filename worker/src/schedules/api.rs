//! The calls of EventBridge and of EventBridge Scheduler that moving a scheduled task takes. Both replace everything that
//! they are told to change, so what they say and are told stays JSON.

use aws::{AwsError, Call, Connection, ErrorKind};
use manifest_schema::manifest::Trigger;
use serde_json::{Value, json};

use crate::verbatim::{Verbatim, verbatim};

/// How often a target is put again that EventBridge didn't take: it says so of too many changes at once, too
/// (EventBridge API reference, `PutTargets`).
const ATTEMPTS: u32 = 5;

/// Both services, as the worker itself.
#[derive(Debug, Clone)]
pub(super) struct Api {
    events: aws_sdk_eventbridge::Client,
    scheduler: aws_sdk_scheduler::Client,
}

/// A rule with its targets.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) rule: Value,
    pub(super) targets: Vec<Value>,
}

impl Api {
    /// Asks nothing over the network.
    pub(super) fn new(connection: &Connection) -> Self {
        let config = connection.config();
        let (events, scheduler) = (aws_sdk_eventbridge::Client::new(config), aws_sdk_scheduler::Client::new(config));
        Self { events, scheduler }
    }

    /// A schedule; `None` if there is none.
    pub(super) async fn schedule(&self, name: &str, group: &str) -> Result<Option<Value>, AwsError> {
        let call = || of_schedule("scheduler:GetSchedule", name, group);
        let request = self.scheduler.get_schedule().name(name).group_name(group);
        if_there(verbatim!(request, call(), Verbatim::asking()))
    }

    /// Makes a schedule like this in everything.
    pub(super) async fn update_schedule(&self, name: &str, group: &str, body: &Value) -> Result<(), AwsError> {
        let call = || of_schedule("scheduler:UpdateSchedule", name, group);
        let mut body = body.clone();
        body["GroupName"] = group.into();
        let request = self.scheduler.update_schedule().name(name);
        verbatim!(request, call(), Verbatim::sending(&body)).map(drop)
    }

    /// A rule; `None` if there is none.
    pub(super) async fn rule(&self, name: &str, bus: &str) -> Result<Option<Rule>, AwsError> {
        let body = json!({ "Name": name, "EventBusName": bus });
        let call = || of_rule("events:DescribeRule", name, bus);
        let Some(rule) = if_there(verbatim!(self.events, describe_rule, call(), &body))? else { return Ok(None) };
        let (mut targets, mut next) = (Vec::new(), Value::Null);
        loop {
            let mut body = json!({ "Rule": name, "EventBusName": bus });
            if !next.is_null() {
                body["NextToken"] = next;
            }
            let call = || of_rule("events:ListTargetsByRule", name, bus);
            let listed = if_there(verbatim!(self.events, list_targets_by_rule, call(), &body))?;
            let Some(mut listed) = listed else { return Ok(None) };
            let Value::Array(page) = listed["Targets"].take() else {
                return Err(AwsError::incomplete(call(), "it names no targets"));
            };
            targets.extend(page);
            next = listed["NextToken"].take();
            if next.is_null() {
                return Ok(Some(Rule { rule, targets }));
            }
        }
    }

    /// Makes the target of a rule that has this one's id like this in everything; why EventBridge didn't, if it says so.
    pub(super) async fn put_target(&self, name: &str, bus: &str, target: &Value) -> Result<Option<String>, AwsError> {
        let body = json!({ "Rule": name, "EventBusName": bus, "Targets": [target] });
        let call = || of_rule("events:PutTargets", name, bus);
        let mut attempt = 1;
        loop {
            let answer = verbatim!(self.events, put_targets, call(), &body)?;
            let Some(count) = answer["FailedEntryCount"].as_u64() else {
                return Err(AwsError::incomplete(call(), "it doesn't say whether the target was taken"));
            };
            if count == 0 {
                return Ok(None);
            }
            if attempt == ATTEMPTS {
                let said = |field: &str| answer["FailedEntries"][0][field].as_str().unwrap_or("(unsaid)").to_owned();
                return Ok(Some(format!("EventBridge says {}: {}", said("ErrorCode"), said("ErrorMessage"))));
            }
            aws::pause(attempt).await;
            attempt += 1;
        }
    }
}

/// What is called, in the words of an error.
fn of_schedule(action: &'static str, name: &str, group: &str) -> Call {
    Call { action, resource: format!("schedule/{group}/{name}") }
}

fn of_rule(action: &'static str, name: &str, bus: &str) -> Call {
    Call {
        action,
        resource: if bus == Trigger::DEFAULT { format!("rule/{name}") } else { format!("rule/{bus}/{name}") },
    }
}

fn if_there(answer: Result<Value, AwsError>) -> Result<Option<Value>, AwsError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.kind() == ErrorKind::Missing => Ok(None),
        Err(error) => Err(error),
    }
}
