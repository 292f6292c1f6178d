//! EventBridge's rules and their targets, as state only: nothing ever starts. True to AWS: that putting a target replaces
//! the one of its id whole, whatever fields it has, that its role must be one that the caller may pass, answers in pages,
//! errors, and failed entries. Not doubled: events, event buses (any is there), everything else.

use serde_json::{Value, json};

use crate::http::{self, Refusal, Request, Response};
use crate::iam::Guard;
use crate::people::Caller;
use crate::{REGION, State};

/// The event bus, if none is named.
const DEFAULT: &str = "default";
/// Most targets in one answer: real ones are longer, but may be as short.
const PAGE: usize = 2;
/// What of a rule only AWS says.
const SAID: [&str; 4] = ["Name", "EventBusName", "Arn", "CreatedBy"];

/// All rules.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    rules: Vec<Rule>,
    /// Why the next targets that are put aren't taken: codes and messages.
    refused: Vec<(String, String)>,
}

#[derive(Debug)]
struct Rule {
    account: String,
    bus: String,
    name: String,
    /// As it was put.
    fields: Value,
    targets: Vec<Value>,
}

impl Rule {
    fn arn(&self) -> String {
        let bus = if self.bus == DEFAULT { String::new() } else { format!("{}/", self.bus) };
        format!("arn:aws:events:{REGION}:{}:rule/{bus}{}", self.account, self.name)
    }
}

fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    value[field].as_str().unwrap_or_default()
}

fn bus(value: &Value) -> &str {
    value["EventBusName"].as_str().unwrap_or(DEFAULT)
}

impl Rules {
    /// Makes a rule, or another in its place, which keeps its targets; its ARN.
    pub(crate) fn put_rule(&mut self, account: &str, rule: &Value) -> String {
        let (bus, name) = (bus(rule).to_owned(), text(rule, "Name").to_owned());
        let mut fields = rule.clone();
        SAID.iter().for_each(|field| drop(fields.as_object_mut().and_then(|fields| fields.remove(*field))));
        let known = self
            .rules
            .iter_mut()
            .find(|known| (known.account.as_str(), &known.bus, &known.name) == (account, &bus, &name));
        if let Some(known) = known {
            known.fields = fields;
            return known.arn();
        }
        let rule = Rule { account: account.to_owned(), bus, name, fields, targets: Vec::new() };
        let arn = rule.arn();
        self.rules.push(rule);
        arn
    }

    /// Puts targets without asking anybody.
    pub(crate) fn put_targets(&mut self, account: &str, asked: &Value) -> Result<(), Refusal> {
        let rule = self.rule(account, text(asked, "Rule"), bus(asked))?;
        for target in asked["Targets"].as_array().into_iter().flatten() {
            match rule.targets.iter_mut().find(|known| known["Id"] == target["Id"]) {
                Some(known) => *known = target.clone(),
                None => rule.targets.push(target.clone()),
            }
        }
        Ok(())
    }

    pub(crate) fn targets(&mut self, account: &str, rule: &str) -> Option<Vec<Value>> {
        self.rule(account, rule, DEFAULT).ok().map(|rule| rule.targets.clone())
    }

    pub(crate) fn delete(&mut self, account: &str, name: &str) {
        self.rules.retain(|rule| (rule.account.as_str(), rule.name.as_str()) != (account, name));
    }

    pub(crate) fn refuse_target(&mut self, code: &str, message: &str) {
        self.refused.push((code.to_owned(), message.to_owned()));
    }

    fn rule(&mut self, account: &str, name: &str, bus: &str) -> Result<&mut Rule, Refusal> {
        let found = self
            .rules
            .iter_mut()
            .find(|rule| (rule.account.as_str(), rule.name.as_str(), rule.bus.as_str()) == (account, name, bus));
        let message = || format!("Rule {name} does not exist on EventBus {bus}.");
        found.ok_or_else(|| Refusal::new(400, "ResourceNotFoundException", message()))
    }
}

impl State {
    /// A call of EventBridge.
    pub(crate) fn events(&mut self, operation: &str, request: &Request, caller: &Caller) -> Result<Response, Refusal> {
        let asked = request.json();
        let account = caller.account();
        let name = ["Rule", "Name"].into_iter().map(|field| text(&asked, field)).find(|name| !name.is_empty());
        let (name, bus) = (name.unwrap_or_default(), bus(&asked));
        let may = |action: &str, resource: &str, more: Option<(&str, String)>| {
            let may = caller.may((action, resource, account), &caller.context(more), Guard::None);
            may.map_err(|message| Refusal::new(400, "AccessDeniedException", message))
        };
        let wanted = Rule {
            account: account.to_owned(),
            bus: bus.to_owned(),
            name: name.to_owned(),
            fields: Value::Null,
            targets: Vec::new(),
        };
        may(&format!("events:{operation}"), &wanted.arn(), None)?;
        let answer = match operation {
            "PutRule" => json!({ "RuleArn": self.rules.put_rule(account, &asked) }),
            "DescribeRule" => {
                let rule = self.rules.rule(account, name, bus)?;
                let mut said = json!({ "Name": name, "EventBusName": bus, "Arn": rule.arn(), "CreatedBy": account, "State": "ENABLED" });
                for (field, value) in rule.fields.as_object().into_iter().flatten() {
                    said[field] = value.clone();
                }
                said
            }
            "ListTargetsByRule" => {
                let targets = &self.rules.rule(account, name, bus)?.targets;
                let from: usize = asked["NextToken"].as_str().and_then(|token| token.parse().ok()).unwrap_or(0);
                let page: Vec<&Value> = targets.iter().skip(from).take(PAGE).collect();
                let mut said = json!({ "Targets": page });
                if from + PAGE < targets.len() {
                    said["NextToken"] = (from + PAGE).to_string().into();
                }
                said
            }
            "PutTargets" => {
                let targets = asked["Targets"].as_array().map(Vec::as_slice).unwrap_or_default();
                for role in targets.iter().filter_map(|target| target["RoleArn"].as_str()) {
                    may("iam:PassRole", role, Some(("iam:PassedToService", "events.amazonaws.com".to_owned())))?;
                }
                let rule = self.rules.rule(account, name, bus)?;
                if !rule.fields["ManagedBy"].is_null() {
                    let message = "Rule is managed by an AWS service can only be modified if force is True.";
                    return Err(Refusal::new(400, "ManagedRuleException", message));
                }
                if self.rules.refused.is_empty() {
                    self.rules.put_targets(account, &asked)?;
                    json!({ "FailedEntryCount": 0, "FailedEntries": [] })
                } else {
                    let (code, message) = self.rules.refused.remove(0);
                    let entry = json!({ "TargetId": targets[0]["Id"], "ErrorCode": code, "ErrorMessage": message });
                    json!({ "FailedEntryCount": 1, "FailedEntries": [entry] })
                }
            }
            _ => return Err(Refusal::not_doubled(format!("events:{operation}"))),
        };
        Ok(http::json(&answer))
    }
}
