//! SSM's Parameter Store, and Secrets Manager as far as that answers for it: `GetParameter` with decryption. True to AWS:
//! names, regions, errors, and that a secret needs an action of each service. Not doubled: versions, labels, the keys that
//! they are encrypted with, everything else of both services.

use serde_json::json;

use crate::http::{self, Refusal, Request, Response};
use crate::iam::Guard;
use crate::people::Caller;
use crate::{REGION, State};

/// Where Parameter Store has what Secrets Manager has.
const SECRETS: &str = "/aws/reference/secretsmanager/";

/// The end of a secret's ARN, which Secrets Manager draws for each.
const DRAWN: &str = "-a1B2c3";

/// A parameter, or a secret under the name that it has here.
#[derive(Debug)]
pub(crate) struct Parameter {
    account: String,
    name: String,
    value: String,
}

fn parameter_arn(account: &str, name: &str) -> String {
    format!("arn:aws:ssm:{REGION}:{account}:parameter/{}", name.trim_start_matches('/'))
}

fn secret_arn(account: &str, name: &str) -> String {
    format!("arn:aws:secretsmanager:{REGION}:{account}:secret:{name}{DRAWN}")
}

impl State {
    pub(crate) fn set_parameter(&mut self, account: &str, name: &str, value: &str) {
        let [account, name, value] = [account, name, value].map(str::to_owned);
        self.parameters.retain(|known| (&known.account, &known.name) != (&account, &name));
        self.parameters.push(Parameter { account, name, value });
    }

    pub(crate) fn set_secret(&mut self, account: &str, name: &str, value: &str) {
        self.set_parameter(account, &format!("{SECRETS}{name}"), value);
    }

    /// What ECS gives a container as a secret, `from` an ARN of either service or the name of a parameter, with a role's
    /// permissions; or why not.
    pub(crate) fn secret_for(&self, role: &str, from: &str) -> Result<String, String> {
        let caller = self.people.with_role(role, "ecs").ok_or("the execution role is missing")?;
        let account = caller.account().to_owned();
        let parameter = |name: &str| ("ssm:GetParameters", parameter_arn(&account, name), name.to_owned());
        let (action, arn, name) = match from.split(':').collect::<Vec<_>>()[..] {
            ["arn", "aws", "ssm", REGION, _, resource] => {
                parameter(resource.strip_prefix("parameter").ok_or("it is no parameter")?)
            }
            ["arn", "aws", "secretsmanager", REGION, _, "secret", secret] => {
                // With the end that Secrets Manager draws, or without.
                let secret = secret.strip_suffix(DRAWN).unwrap_or(secret);
                ("secretsmanager:GetSecretValue", secret_arn(&account, secret), format!("{SECRETS}{secret}"))
            }
            [name] => parameter(name),
            _ => return Err(format!("{from} is nothing that the double of ECS can read")),
        };
        caller.may((action, &arn, &account), &caller.context([]), Guard::None)?;
        let names = [name.as_str(), name.trim_start_matches('/')];
        let known = |known: &&Parameter| known.account == account && names.contains(&known.name.as_str());
        let found = self.parameters.iter().find(known);
        found.map(|parameter| parameter.value.clone()).ok_or_else(|| format!("{from} is not there"))
    }

    /// A call of SSM.
    pub(crate) fn ssm(&self, operation: &str, request: &Request, caller: &Caller) -> Result<Response, Refusal> {
        let asked = request.parameters();
        if operation != "GetParameter" || asked.get("WithDecryption").is_none_or(|with| with != "true") {
            return Err(Refusal::not_doubled(format!("ssm:{operation} without decryption")));
        }
        let name = asked.get("Name").map(String::as_str).unwrap_or_default();
        let account = caller.account();
        let may = |action: &str, arn: &str| {
            let may = caller.may((action, arn, account), &caller.context([]), Guard::None);
            may.map_err(|message| Refusal::new(400, "AccessDeniedException", message))
        };
        let arn = parameter_arn(account, name);
        may("ssm:GetParameter", &arn)?;
        let secret = name.strip_prefix(SECRETS);
        if let Some(secret) = secret {
            may("secretsmanager:GetSecretValue", &secret_arn(account, secret))?;
        }
        let here = request.scope().is_some_and(|scope| scope.region == REGION);
        let known = |known: &&Parameter| here && (known.account.as_str(), known.name.as_str()) == (account, name);
        let Some(found) = self.parameters.iter().find(known) else {
            let message = secret.map(|_| {
                format!(
                    "An error occurred (ParameterNotFound) when referencing Secrets Manager: Secret {name} not found."
                )
            });
            return Err(Refusal::new(400, "ParameterNotFound", message.unwrap_or_default()));
        };
        Ok(http::json(&json!({ "Parameter": {
            "Name": secret.unwrap_or(name), "Type": "SecureString", "Value": found.value,
            "Version": i32::from(secret.is_none()), "LastModifiedDate": 1_700_000_000,
            "ARN": parameter_arn(account, secret.unwrap_or(name)), "DataType": "text",
        } })))
    }
}
