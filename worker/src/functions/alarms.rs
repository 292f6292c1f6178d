//! What CloudWatch says of alarms.

use aws::{AwsError, Call, Connection, JsonService};
use manifest_schema::names::AlarmName;
use serde::Deserialize;
use serde_json::json;

/// CloudWatch, which has no client here: that of the SDK would bring a second HTTP stack for one call.
const CLOUDWATCH: JsonService = JsonService { name: "monitoring", target: "GraniteServiceVersion20100801" };
/// The state of an alarm that goes off; the others are `OK` and `INSUFFICIENT_DATA`.
const ALARM: &str = "ALARM";

/// An alarm as CloudWatch tells it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Alarm {
    alarm_name: String,
    state_value: String,
    #[serde(default)]
    state_reason: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    #[serde(default)]
    metric_alarms: Vec<Alarm>,
    #[serde(default)]
    composite_alarms: Vec<Alarm>,
}

/// What is wrong with an alarm that is to be quiet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// There is none of this name.
    Missing(AlarmName),
    /// It goes off, and this is why.
    GoesOff(AlarmName, String),
}

/// The states of these alarms; of those that are there.
pub(super) async fn states(connection: &Connection, alarms: &[AlarmName]) -> Result<Vec<Alarm>, AwsError> {
    let names: Vec<_> = alarms.iter().map(AlarmName::as_str).collect();
    let call = || Call { action: "cloudwatch:DescribeAlarms", resource: format!("alarm:{}", names.join(", ")) };
    // Unless it is asked for both, it tells metric alarms only.
    let body = json!({ "AlarmNames": names, "AlarmTypes": ["MetricAlarm", "CompositeAlarm"], "MaxRecords": 100 });
    let answer = connection.json(CLOUDWATCH, "DescribeAlarms", call(), &body).await?;
    let answer: Answer =
        serde_json::from_value(answer).map_err(|_| AwsError::incomplete(call(), "it names no alarms"))?;
    Ok(answer.metric_alarms.into_iter().chain(answer.composite_alarms).collect())
}

/// What is wrong with the alarms, in their order.
pub(super) fn troubles(alarms: &[AlarmName], states: &[Alarm]) -> Vec<Trouble> {
    let trouble = |name: &AlarmName| match states.iter().find(|alarm| alarm.alarm_name == name.as_str()) {
        None => Some(Trouble::Missing(name.clone())),
        Some(alarm) if alarm.state_value == ALARM => Some(Trouble::GoesOff(name.clone(), alarm.state_reason.clone())),
        Some(_) => None,
    };
    alarms.iter().filter_map(trouble).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_is_quiet_unless_it_goes_off_or_is_gone() {
        let answer = json!({
            "MetricAlarms": [
                {"AlarmName": "fine", "StateValue": "OK", "StateReason": "none", "Threshold": 1.5},
                {"AlarmName": "new", "StateValue": "INSUFFICIENT_DATA"},
                {"AlarmName": "loud", "StateValue": "ALARM", "StateReason": "Threshold Crossed"},
                {"AlarmName": "other", "StateValue": "ALARM"},
            ],
            "CompositeAlarms": [{"AlarmName": "both", "StateValue": "ALARM", "StateReason": "loud is in ALARM"}],
        });
        let Answer { metric_alarms, composite_alarms } = serde_json::from_value(answer).unwrap();
        let states: Vec<_> = metric_alarms.into_iter().chain(composite_alarms).collect();
        let name = |name: &str| -> AlarmName { name.parse().unwrap() };
        let found = troubles(&["fine", "both", "new", "gone", "loud"].map(name), &states);
        let expected = [
            Trouble::GoesOff(name("both"), "loud is in ALARM".to_owned()),
            Trouble::Missing(name("gone")),
            Trouble::GoesOff(name("loud"), "Threshold Crossed".to_owned()),
        ];
        assert_eq!(found, expected);
        assert_eq!(troubles(&[], &states), []);
    }
}
