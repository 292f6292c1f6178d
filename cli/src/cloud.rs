//! The way to AWS, as an environment's settings mean it. Nothing here is done before a command needs AWS.

use aws::Connection;

use crate::config::{Environment, EnvironmentArgs};
use crate::context::Context;
use crate::env;
use crate::exit::Failure;
use crate::purpose::Purpose;

/// The way to AWS of an environment.
pub(crate) async fn connect(environment: &Environment, purpose: &Purpose) -> Connection {
    Connection::new(environment.aws(), &purpose.tags(environment.project())).await
}

/// The environment of a command that has no `--environment`: the one that AIRLOCK_ENVIRONMENT names, or the only one.
/// Where there are several, AWS is reached as if there were none: by what every AWS tool reads.
pub(crate) fn environment(context: &Context) -> Result<Environment, Failure> {
    let named = env::get(env::ENVIRONMENT)?.map(|name| name.parse()).transpose()?;
    let project = context.project_if_any()?;
    if named.is_none() && project.as_ref().is_some_and(|project| project.config.environments.len() > 1) {
        return Ok(Environment::without_settings(project.as_ref()));
    }
    Environment::resolve(project.as_ref(), &EnvironmentArgs { environment: named, store: None })
}
