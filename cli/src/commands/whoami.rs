//! `airlock whoami`: who calls AWS from here, and which environments that fits.

use aws::{Connection, Identity};
use manifest_schema::Timestamp;
use manifest_schema::names::EnvironmentName;
use manifest_schema::trust::TrustPolicy;
use serde::Serialize;
use store::Store;

use crate::cloud;
use crate::config::{Environment, EnvironmentArgs};
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::output::plain;
use crate::purpose::Purpose;
use crate::trusted::{self, RootArgs};

/// Whose settings to use.
#[derive(clap::Args)]
#[command(
    after_help = "Asks AWS STS, which needs no permission. A CI job's account is not the one that it deploys into, \
                        so fitting no environment is no error."
)]
pub(crate) struct Args {
    #[command(flatten)]
    environment: EnvironmentArgs,
    #[command(flatten)]
    roots: RootArgs,
}

/// The answer for programs (docs/formats.md).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    account: String,
    arn: String,
    user_id: String,
    region: String,
    credentials: &'static str,
    role: Option<String>,
    /// The environment's gateway, as airlock.toml names it.
    gateway: Option<String>,
    expires_at: Option<Timestamp>,
    trust_policy: Option<Fit>,
}

/// How it compares with the trust policy.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Fit {
    version: u64,
    /// Every environment of this account and region.
    environments: Vec<EnvironmentName>,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result<Exit, Failure> {
        let environment = context.environment(&self.environment)?;
        let answer = context.block_on(async {
            let connection = cloud::connect(&environment, &Purpose::default()).await;
            let identity = connection.identity().await?;
            let region = connection.region().unwrap_or_default();
            let fit = match self.policy(&environment).await {
                Ok(policy) => Some(fit(&policy, &identity.account, region)),
                Err(why) => {
                    context.out.say(format!("not compared with a trust policy: {}", why.messages().join(": ")));
                    None
                }
            };
            let gateway = environment.gateway_if_any();
            Ok(Answer { gateway: gateway.map(str::to_owned), ..Answer::new(identity, &connection, fit) })
        })?;
        if context.out.is_json() {
            context.out.json(&answer)?;
        } else {
            context.out.data(answer.text())?;
        }
        Ok(Exit::Done)
    }

    async fn policy(&self, environment: &Environment) -> Result<TrustPolicy, Failure> {
        let roots = self.roots.pinned(environment)?;
        let artifacts = Store::open(environment.artifacts()?, &environment.access(&Purpose::default())).await?;
        Ok(trusted::newest(&artifacts, &roots).await?.policy().clone())
    }
}

fn fit(policy: &TrustPolicy, account: &str, region: &str) -> Fit {
    let here =
        policy.environments.iter().filter(|(_, it)| (it.account.as_str(), it.region.as_str()) == (account, region));
    Fit { version: policy.version, environments: here.map(|(name, _)| name.clone()).collect() }
}

impl Answer {
    fn new(identity: Identity, connection: &Connection, trust_policy: Option<Fit>) -> Self {
        let Identity { account, arn, user_id, source, expires } = identity;
        Self {
            account,
            arn,
            user_id,
            region: connection.region().unwrap_or_default().to_owned(),
            credentials: source,
            role: connection.role().map(|role| role.arn.clone()),
            gateway: None,
            expires_at: expires.and_then(|at| Timestamp::from_system(at).ok()).map(Timestamp::whole_seconds),
            trust_policy,
        }
    }

    fn text(&self) -> String {
        let fits = self.trust_policy.as_ref().map(|fit| match &fit.environments[..] {
            [] => format!("no environment of trust policy version {}", fit.version),
            names => {
                let names: Vec<_> = names.iter().map(ToString::to_string).collect();
                format!("{} (trust policy version {})", names.join(", "), fit.version)
            }
        });
        let lines = [
            ("account", Some(self.account.clone())),
            ("identity", Some(self.arn.clone())),
            ("user id", Some(self.user_id.clone())),
            ("region", Some(self.region.clone())),
            ("credentials", Some(self.credentials.to_owned())),
            ("role", self.role.clone()),
            ("gateway", self.gateway.clone()),
            ("expires", self.expires_at.map(|at| at.to_string())),
            ("fits", fits),
        ];
        let told = lines.into_iter().filter_map(|(name, value)| Some((name, value?)));
        told.map(|(name, value)| format!("{name:<12} {}\n", plain(&value))).collect()
    }
}
