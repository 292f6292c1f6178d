//! CloudWatch: `DescribeAlarms`, whose states tests set. True to AWS: the call's shape (awsJson 1.0), that metric alarms
//! alone are told unless others are asked for, and that composite ones need a permission for everything. Not doubled:
//! metrics, history, pages, everything else of the service.

use serde_json::{Value, json};

use crate::http::{self, Refusal, Request, Response};
use crate::iam::Guard;
use crate::people::Caller;
use crate::{REGION, State};

/// What DescribeAlarms may say.
const FIELDS: [&str; 3] = ["AlarmNames", "AlarmTypes", "MaxRecords"];

/// An alarm.
#[derive(Debug)]
pub(crate) struct Alarm {
    account: String,
    name: String,
    is_composite: bool,
    state: &'static str,
    reason: String,
}

impl State {
    /// An alarm, or another in its place.
    pub(crate) fn set_alarm(
        &mut self,
        account: &str,
        name: &str,
        is_composite: bool,
        (state, reason): (&'static str, &str),
    ) {
        self.remove_alarm(account, name);
        let [account, name, reason] = [account, name, reason].map(str::to_owned);
        self.alarms.push(Alarm { account, name, is_composite, state, reason });
    }

    pub(crate) fn remove_alarm(&mut self, account: &str, name: &str) {
        self.alarms.retain(|alarm| (alarm.account.as_str(), alarm.name.as_str()) != (account, name));
    }

    /// A call of CloudWatch.
    pub(crate) fn cloudwatch(&self, operation: &str, request: &Request, caller: &Caller) -> Result<Response, Refusal> {
        if operation != "DescribeAlarms" {
            return Err(Refusal::not_doubled(format!("cloudwatch:{operation}")));
        }
        let (asked, account) = (request.json(), caller.account());
        crate::ecs::only(&asked, "cloudwatch:DescribeAlarms", &FIELDS)?;
        let kinds = strings(&asked["AlarmTypes"]);
        let composite = kinds.contains(&"CompositeAlarm");
        let arn = |name: &str| format!("arn:aws:cloudwatch:{REGION}:{account}:alarm:{name}");
        let everything = if composite { "*".to_owned() } else { arn("*") };
        caller
            .may(("cloudwatch:DescribeAlarms", &everything, account), &caller.context([]), Guard::None)
            .map_err(|message| Refusal::new(403, "AccessDenied", message))?;
        let here = request.scope().is_some_and(|scope| scope.region == REGION);
        let names = strings(&asked["AlarmNames"]);
        let told = |of_composite: bool| -> Vec<Value> {
            let wanted = |alarm: &&Alarm| {
                here && alarm.account == account
                    && alarm.is_composite == of_composite
                    && names.contains(&alarm.name.as_str())
            };
            let told = |alarm: &Alarm| {
                json!({
                    "AlarmName": alarm.name, "AlarmArn": arn(&alarm.name), "ActionsEnabled": true,
                    "StateValue": alarm.state, "StateReason": alarm.reason, "StateUpdatedTimestamp": 1_700_000_000.25,
                })
            };
            self.alarms.iter().filter(wanted).map(told).collect()
        };
        let metric = kinds.is_empty() || kinds.contains(&"MetricAlarm");
        Ok(http::json(&json!({
            "MetricAlarms": if metric { told(false) } else { Vec::new() },
            "CompositeAlarms": if composite { told(true) } else { Vec::new() },
        })))
    }
}

fn strings(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}
