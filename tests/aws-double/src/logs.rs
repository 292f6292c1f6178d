//! CloudWatch Logs: `GetLogEvents` of the streams that tasks write to (`awslogs`), which are there once their container
//! runs. True to AWS: names of streams, order, tokens, limits, errors, IAM by stream. Not doubled: groups and streams
//! that somebody makes, retention, the delay before a line can be read, everything else of the service.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::http::{self, Refusal, Request, Response};
use crate::iam::Guard;
use crate::people::Caller;
use crate::{REGION, State};

/// What GetLogEvents may say.
const FIELDS: [&str; 9] = [
    "logGroupName",
    "logGroupIdentifier",
    "logStreamName",
    "startTime",
    "endTime",
    "nextToken",
    "limit",
    "startFromHead",
    "unmask",
];

/// A line, and when it was written.
pub(crate) type Line = (SystemTime, String);

fn milliseconds(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    u64::try_from(since).unwrap_or(u64::MAX)
}

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::new(400, "InvalidParameterException", message)
}

impl State {
    /// A call of CloudWatch Logs.
    pub(crate) fn logs(&self, operation: &str, request: &Request, caller: &Caller) -> Result<Response, Refusal> {
        let asked = request.json();
        let here = request.scope().is_some_and(|scope| scope.region == REGION);
        match operation {
            "GetLogEvents" if here => Ok(http::json(&self.log_events(&asked, caller)?)),
            _ => Err(Refusal::not_doubled(format!("logs:{operation}"))),
        }
    }

    fn log_events(&self, asked: &Value, caller: &Caller) -> Result<Value, Refusal> {
        crate::ecs::only(asked, "logs:GetLogEvents", &FIELDS)?;
        let account = caller.account();
        let group = asked["logGroupName"].as_str().or_else(|| asked["logGroupIdentifier"].as_str()).unwrap_or_default();
        let group = group.rsplit(":log-group:").next().unwrap_or_default();
        let stream = asked["logStreamName"].as_str().unwrap_or_default();
        let arn = format!("arn:aws:logs:{REGION}:{account}:log-group:{group}:log-stream:{stream}");
        caller
            .may(("logs:GetLogEvents", &arn, account), &caller.context([]), Guard::None)
            .map_err(|message| Refusal::new(400, "AccessDeniedException", message))?;
        let gone = |what: &str| {
            Refusal::new(400, "ResourceNotFoundException", format!("The specified log {what} does not exist."))
        };
        let streams = self.ecs.log_streams(account);
        if !streams.iter().any(|(of, _, _)| *of == group) {
            return Err(gone("group"));
        }
        let found = streams.into_iter().find(|(of, name, _)| *of == group && name == stream);
        let (_, _, lines) = found.ok_or_else(|| gone("stream"))?;
        page(asked, &lines)
    }
}

/// The lines that are asked for, by time and position.
fn page(asked: &Value, lines: &[Line]) -> Result<Value, Refusal> {
    let time = |name: &str, without: u64| asked[name].as_u64().unwrap_or(without);
    let (start, end) = (time("startTime", 0), time("endTime", u64::MAX));
    let limit = match asked["limit"].as_u64() {
        Some(limit @ 1..=10_000) => usize::try_from(limit).unwrap_or(10_000),
        None => 10_000,
        Some(_) => return Err(invalid("limit must be between 1 and 10000.")),
    };
    let lines: Vec<_> = lines.iter().filter(|(at, _)| (start..end).contains(&milliseconds(*at))).collect();
    let position = |token: &str| token.get(2..)?.trim_end_matches("/s").parse::<usize>().ok();
    let from_head = asked["startFromHead"].as_bool().unwrap_or(false);
    let (from, to) = match asked["nextToken"].as_str() {
        None if from_head => (0, limit),
        None => (lines.len().saturating_sub(limit), lines.len()),
        Some(token) => {
            let position = position(token).ok_or_else(|| invalid("The specified nextToken is invalid."))?;
            match token.starts_with("f/") {
                true => (position, position + limit),
                false => (position.saturating_sub(limit), position),
            }
        }
    };
    let (to, from) = (to.min(lines.len()), from.min(lines.len()));
    let event = |(at, line): &&Line| {
        let at = milliseconds(*at);
        json!({ "timestamp": at, "message": line, "ingestionTime": at })
    };
    let events: Vec<_> = lines[from..to].iter().map(event).collect();
    Ok(json!({
        "events": events, "nextForwardToken": format!("f/{to:056}/s"), "nextBackwardToken": format!("b/{from:056}/s"),
    }))
}
