//! The way into production, as `gateway` of an environment names it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use gateway::Function;

/// The way into production.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Gateway {
    /// On this machine.
    Local {
        /// The directory that stands in for the production account; `config/` in it has the configuration.
        production: PathBuf,
    },
    /// Functions of AWS Lambda.
    Lambda(LambdaGateway),
}

/// Three functions whose names begin alike: `PREFIX-launch-deploy-job` and so on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LambdaGateway {
    /// `arn:PARTITION:lambda:REGION:ACCOUNT:function:`, if it was stated.
    place: Option<Place>,
    prefix: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    partition: String,
    region: String,
    account: String,
}

/// How a gateway of this kind is written, before its name.
pub(crate) const LAMBDA: &str = "lambda:";
/// Lambda takes names up to this long ("Lambda API reference", `CreateFunction`).
const LONGEST_NAME: usize = 64;

/// Text that names no functions.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0:?} names no functions: expected what their names begin with (lambda:airlock), or the beginning of their ARNs \
     (lambda:arn:aws:lambda:eu-central-1:111122223333:function:airlock)"
)]
pub(crate) struct LambdaGatewayError(String);

impl FromStr for LambdaGateway {
    type Err = LambdaGatewayError;

    fn from_str(text: &str) -> Result<Self, LambdaGatewayError> {
        let refused = || LambdaGatewayError(text.to_owned());
        let parts: Vec<&str> = text.split(':').collect();
        let (place, prefix) = match parts.as_slice() {
            [prefix] => (None, *prefix),
            ["arn", partition, "lambda", region, account, "function", prefix] => {
                let is_word = |word: &str| {
                    !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
                };
                let is_account = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
                if !(partition.starts_with("aws") && is_word(partition) && is_word(region) && is_account) {
                    return Err(refused());
                }
                let [partition, region, account] = [partition, region, account].map(|part| (*part).to_owned());
                (Some(Place { partition, region, account }), *prefix)
            }
            _ => return Err(refused()),
        };
        let is_name = prefix.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        let gateway = Self { place, prefix: prefix.to_owned() };
        let fits = Function::ALL.into_iter().all(|function| gateway.name(function).len() <= LONGEST_NAME);
        if prefix.is_empty() || !is_name || !fits { Err(refused()) } else { Ok(gateway) }
    }
}

impl fmt::Display for LambdaGateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(LAMBDA)?;
        if let Some(Place { partition, region, account }) = &self.place {
            write!(f, "arn:{partition}:lambda:{region}:{account}:function:")?;
        }
        f.write_str(&self.prefix)
    }
}

impl LambdaGateway {
    /// The region that the ARN names.
    pub(crate) fn region(&self) -> Option<&str> {
        self.place.as_ref().map(|place| place.region.as_str())
    }

    /// The function's name.
    pub(crate) fn name(&self, function: Function) -> String {
        format!("{}-{function}", self.prefix)
    }

    /// What Lambda is told which function is meant: the name alone is looked for in the caller's own account.
    pub(crate) fn target(&self, function: Function) -> String {
        match &self.place {
            Some(_) => self.arn(function, ""),
            None => self.name(function),
        }
    }

    /// The function's ARN, for messages; without an account if none was stated.
    pub(crate) fn arn(&self, function: Function, region: &str) -> String {
        let name = self.name(function);
        match &self.place {
            Some(Place { partition, region, account }) => {
                format!("arn:{partition}:lambda:{region}:{account}:function:{name}")
            }
            None => format!("arn:aws:lambda:{region}:*:function:{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_named_by_what_they_begin_with() {
        let gateway: LambdaGateway = "airlock".parse().unwrap();
        assert_eq!(gateway.target(Function::LaunchDeployJob), "airlock-launch-deploy-job");
        assert_eq!(gateway.region(), None);
        assert_eq!(
            gateway.arn(Function::CancelDeployJob, "eu-central-1"),
            "arn:aws:lambda:eu-central-1:*:function:airlock-cancel-deploy-job"
        );
        let arn = "arn:aws-us-gov:lambda:us-gov-west-1:222222222222:function:airlock";
        let gateway: LambdaGateway = arn.parse().unwrap();
        assert_eq!(gateway.region(), Some("us-gov-west-1"));
        assert_eq!(gateway.target(Function::GetDeployJobStatus), format!("{arn}-get-deploy-job-status"));
        assert_eq!(gateway.to_string(), format!("lambda:{arn}"));
    }

    #[test]
    fn what_names_no_functions_is_refused() {
        for text in [
            "",
            "air lock",
            "airlock:live",
            "https://airlock",
            "arn:aws:lambda:eu-central-1:222222222222:function:",
            "arn:aws:lambda:eu-central-1:222222222222:function:airlock:live",
            "arn:aws:lambda:eu-central-1:2222:function:airlock",
            "arn:aws:lambda::222222222222:function:airlock",
            "arn:aws:s3:eu-central-1:222222222222:function:airlock",
            "a-name-with-which-the-longest-of-the-three-is-too-long",
        ] {
            assert!(text.parse::<LambdaGateway>().is_err(), "{text}");
        }
    }
}
