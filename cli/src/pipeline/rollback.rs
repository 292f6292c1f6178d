//! Which build to go back to.

use std::str::FromStr;

use manifest_schema::deployment::DeploymentRecord;
use manifest_schema::manifest::BuildNumber;
use manifest_schema::statement::Outcome;

use crate::build::named::{BuildName, NamedBuild, number};
use crate::config::EnvironmentArgs;
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::production::{self, Production};
use crate::purpose::Purpose;

/// What people may write for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RollbackTo {
    /// `previous`: the newest complete deployment of a lower build than what runs.
    Previous,
    /// `12`, of the highest epoch that has it, or `0.12`.
    Number {
        /// `0` in `0.12`.
        epoch: Option<u32>,
        /// `12`.
        number: u64,
    },
}

impl FromStr for RollbackTo {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "previous" {
            return Ok(Self::Previous);
        }
        let (epoch, number) = number(text).ok_or("expected previous, a build's number, or epoch.number")?;
        Ok(Self::Number { epoch, number })
    }
}

impl RollbackTo {
    /// The build, which is not above what runs.
    ///
    /// # Errors
    /// When nothing runs, nothing lower was deployed, or the build isn't in the store or is above what runs.
    pub(crate) fn find(&self, context: &Context, place: &EnvironmentArgs) -> Result<NamedBuild, Failure> {
        let refuse = |problem: String| Failure::new(Exit::Failed, anyhow::Error::msg(problem));
        let look = "`airlock deployed` says what runs, `airlock audit log` what was deployed before";
        let (environment, history) = context.block_on(async {
            let production = Production::open(context, place, &Purpose::default()).await?;
            let project = production::project(context, None)?;
            let history = production.client.deployments(&production.name, &project).await?;
            let history: Vec<_> = history.into_iter().map(|files| files.record).collect();
            Ok::<_, Failure>((production.name, history))
        })?;
        let Some(live) = history.last().and_then(DeploymentRecord::highest_live) else {
            return Err(refuse(format!("nothing runs in {environment} that could be rolled back")).hint(look));
        };
        let name = match self {
            Self::Number { epoch, number } => BuildName::Number { project: None, epoch: *epoch, number: *number },
            Self::Previous => {
                let Some(previous) = previous(&history, live) else {
                    let problem = format!("no build below {live} was ever deployed completely to {environment}");
                    return Err(refuse(problem).hint(look));
                };
                BuildName::Digest(previous.manifest)
            }
        };
        let build = NamedBuild::find(context, place, &name)?;
        let number = build.manifest.build.number();
        if number > live {
            let problem = format!("build {number} is above {live}, which runs in {environment}: that is no rollback");
            return Err(refuse(problem).hint("deploy it with --build"));
        }
        Ok(build)
    }
}

/// The newest complete deployment of a lower build than what is live.
fn previous(history: &[DeploymentRecord], live: BuildNumber) -> Option<&DeploymentRecord> {
    history.iter().rev().find(|record| record.outcome == Outcome::Succeeded && record.build < live)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn previous_or_a_number_is_named() {
        assert_eq!("previous".parse(), Ok(RollbackTo::Previous));
        assert_eq!("12".parse(), Ok(RollbackTo::Number { epoch: None, number: 12 }));
        assert_eq!("1.12".parse(), Ok(RollbackTo::Number { epoch: Some(1), number: 12 }));
        for text in ["", "last", "-1", "0.", "hello#12", "./build-manifest.json"] {
            assert!(text.parse::<RollbackTo>().is_err(), "{text}");
        }
    }
}
