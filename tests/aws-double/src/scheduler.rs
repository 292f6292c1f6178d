//! EventBridge Scheduler's schedules, as state only: nothing ever starts. True to AWS: that an update replaces everything,
//! whatever fields there are, what it fills in where nothing is said, that the target's role must be one that the caller
//! may pass, and errors. Not doubled: groups (any is there), client tokens, everything else.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::http::{self, Refusal, Request, Response, decode};
use crate::iam::Guard;
use crate::people::Caller;
use crate::{REGION, State};

/// The group, if none is named.
const DEFAULT: &str = "default";
/// What of a schedule isn't kept as it was said.
const SAID: [&str; 6] = ["Name", "GroupName", "Arn", "CreationDate", "LastModificationDate", "ClientToken"];

/// A schedule.
#[derive(Debug)]
pub(crate) struct Schedule {
    account: String,
    group: String,
    name: String,
    created: f64,
    changed: f64,
    /// As it was put, and what AWS fills in.
    fields: Value,
}

impl Schedule {
    fn new(account: &str, group: &str, name: &str, said: &Value) -> Result<Self, Refusal> {
        for field in ["ScheduleExpression", "Target", "FlexibleTimeWindow"] {
            if said[field].is_null() {
                let message = format!(
                    "1 validation error detected: Value at '{field}' failed to satisfy constraint: Member must not be null"
                );
                return Err(Refusal::new(400, "ValidationException", message));
            }
        }
        let mut fields =
            json!({ "State": "ENABLED", "ScheduleExpressionTimezone": "UTC", "ActionAfterCompletion": "NONE" });
        for (field, value) in
            said.as_object().into_iter().flatten().filter(|(field, _)| !SAID.contains(&field.as_str()))
        {
            fields[field] = value.clone();
        }
        if fields["Target"]["RetryPolicy"].is_null() {
            fields["Target"]["RetryPolicy"] = json!({ "MaximumEventAgeInSeconds": 86400, "MaximumRetryAttempts": 185 });
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let [account, group, name] = [account, group, name].map(str::to_owned);
        Ok(Self { account, group, name, created: now, changed: now, fields })
    }

    fn arn(&self) -> String {
        arn(&self.account, &self.group, &self.name)
    }

    /// As `GetSchedule` says it.
    fn described(&self) -> Value {
        let mut said = self.fields.clone();
        said["Arn"] = self.arn().into();
        said["Name"] = self.name.as_str().into();
        said["GroupName"] = self.group.as_str().into();
        (said["CreationDate"], said["LastModificationDate"]) = (self.created.into(), self.changed.into());
        said
    }

    fn is(&self, account: &str, group: &str, name: &str) -> bool {
        (self.account.as_str(), self.group.as_str(), self.name.as_str()) == (account, group, name)
    }
}

fn arn(account: &str, group: &str, name: &str) -> String {
    format!("arn:aws:scheduler:{REGION}:{account}:schedule/{group}/{name}")
}

/// What a request is for, such as `scheduler:GetSchedule`.
pub(crate) fn action(request: &Request) -> Option<&'static str> {
    let name = request.path().strip_prefix("/schedules/")?;
    match request.head.method.as_str() {
        _ if name.is_empty() || name.contains('/') => None,
        "POST" => Some("scheduler:CreateSchedule"),
        "GET" => Some("scheduler:GetSchedule"),
        "PUT" => Some("scheduler:UpdateSchedule"),
        _ => None,
    }
}

/// What it was called with: its body, the name, and the group.
pub(crate) fn parameters(request: &Request) -> BTreeMap<String, String> {
    let mut parameters = if request.body.is_empty() { BTreeMap::new() } else { request.parameters() };
    let name = decode(request.path().strip_prefix("/schedules/").unwrap_or_default());
    let group = request.query().remove("groupName").or_else(|| parameters.remove("GroupName"));
    parameters.insert("Name".to_owned(), name);
    parameters.insert("GroupName".to_owned(), group.unwrap_or_else(|| DEFAULT.to_owned()));
    parameters
}

impl State {
    /// Makes a schedule, or another in its place, without asking anybody; its ARN.
    pub(crate) fn put_schedule(&mut self, account: &str, schedule: &Value) -> Result<String, Refusal> {
        let group = schedule["GroupName"].as_str().unwrap_or(DEFAULT);
        let schedule = Schedule::new(account, group, schedule["Name"].as_str().unwrap_or_default(), schedule)?;
        let arn = schedule.arn();
        self.schedules.retain(|known| known.arn() != arn);
        self.schedules.push(schedule);
        Ok(arn)
    }

    /// As `GetSchedule` says it.
    pub(crate) fn described_schedule(&self, arn: &str) -> Option<Value> {
        self.schedules.iter().find(|schedule| schedule.arn() == arn).map(Schedule::described)
    }

    pub(crate) fn delete_schedule(&mut self, arn: &str) {
        self.schedules.retain(|schedule| schedule.arn() != arn);
    }

    /// A call of Scheduler.
    pub(crate) fn scheduler(
        &mut self,
        operation: &str,
        request: &Request,
        caller: &Caller,
    ) -> Result<Response, Refusal> {
        let (asked, parameters) = (request.json(), parameters(request));
        let account = caller.account();
        let (name, group) = (parameters["Name"].as_str(), parameters["GroupName"].as_str());
        let may = |action: &str, resource: &str, more: Option<(&str, String)>| {
            let may = caller.may((action, resource, account), &caller.context(more), Guard::None);
            may.map_err(|message| Refusal::new(403, "AccessDeniedException", message))
        };
        let arn = arn(account, group, name);
        may(&format!("scheduler:{operation}"), &arn, None)?;
        let at = self.schedules.iter().position(|schedule| schedule.is(account, group, name));
        let missing = || Refusal::new(404, "ResourceNotFoundException", format!("Schedule {name} does not exist."));
        if operation == "GetSchedule" {
            let found = at.map(|at| self.schedules[at].described()).ok_or_else(missing)?;
            return Ok(http::response(200, "application/json", found.to_string()));
        }
        if let Some(role) = asked["Target"]["RoleArn"].as_str() {
            may("iam:PassRole", role, Some(("iam:PassedToService", "scheduler.amazonaws.com".to_owned())))?;
        }
        let mut schedule = Schedule::new(account, group, name, &asked)?;
        match (operation, at) {
            ("CreateSchedule", None) => self.schedules.push(schedule),
            ("CreateSchedule", Some(_)) => {
                return Err(Refusal::new(409, "ConflictException", format!("Schedule {name} already exists.")));
            }
            ("UpdateSchedule", Some(at)) => {
                schedule.created = self.schedules[at].created;
                self.schedules[at] = schedule;
            }
            ("UpdateSchedule", None) => return Err(missing()),
            _ => return Err(Refusal::not_doubled(format!("scheduler:{operation}"))),
        }
        Ok(http::response(200, "application/json", json!({ "ScheduleArn": arn }).to_string()))
    }
}
