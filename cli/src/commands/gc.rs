//! `airlock gc`

use std::collections::{BTreeMap, BTreeSet};

use manifest_schema::Digest;
use manifest_schema::names::{EnvironmentName, ProjectName};
use serde_json::{Value, json};
use store::{Access, Location, Store};

use crate::collect::{Build, Contents, Decision, Fate, Keep, KeepRule, Live};
use crate::config::EnvironmentArgs;
use crate::context::Context;
use crate::exit::{Exit, Failure, OrFail as _};
use crate::gateway_client::GatewayClient;
use crate::output::{Table, count, wrap};
use crate::purpose::Purpose;
use crate::stores;

/// Where, and what to keep.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The artifacts store: a directory.
    #[arg(value_name = "STORE")]
    store: Location,
    /// Builds to keep: last:N, PROJECT#NUMBER, sha256:…, deployed:ENVIRONMENT or newer:AGE; may be given several times.
    #[arg(long, required = true, value_name = "RULE")]
    keep: Vec<KeepRule>,
    /// Remove the blobs, instead of only saying what would be removed.
    #[arg(long)]
    delete: bool,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result<Exit, Failure> {
        context.block_on(async {
            let store = match &self.store {
                Location::Directory(_) => Store::open(&self.store, &Access::default()).await?,
                Location::S3(_) => return Err(bucket(&self.store)),
            };
            let Store::Directory(directory) = &store else { return Err(bucket(&self.store)) };
            let collection = stores::collection(&context.out, directory).await?;
            let decision = async {
                let contents = Contents::read(&collection, &store).await?;
                let live = self.live(context, &contents).await?;
                contents.decide(&store, &self.keep, &live, context.ambient.now()).await
            };
            let decision = decision.await.map_err(|failure| {
                failure.context(format!("can't tell what to keep in {}, so nothing was removed", self.store))
            })?;
            let mut cleared = 0;
            if self.delete {
                let again = "run the same command again: it goes on from there";
                decision.carry_out(&collection).await.or_hint(again)?;
                cleared = collection.clear_temporaries().await.or_hint(again)?;
            }
            if context.out.is_json() {
                context.out.json(&self.json(&decision, cleared))?;
            } else {
                context.out.data(self.text(context, &decision, cleared))?;
            }
            Ok(Exit::Done)
        })
    }

    /// What runs, or is being applied, in every environment that a rule names.
    async fn live(&self, context: &Context, contents: &Contents) -> Result<Live, Failure> {
        let mut live = Live::new();
        for rule in &self.keep {
            let Keep::Deployed(environment) = &rule.keep else { continue };
            let place = EnvironmentArgs { environment: Some(environment.clone()), store: None };
            let client = GatewayClient::open(context, &context.environment(&place)?, &Purpose::default()).await?;
            let mut running = BTreeSet::new();
            for project in contents.projects() {
                running.extend(runs(&client, environment, project).await?);
            }
            live.insert(environment.clone(), running);
        }
        Ok(live)
    }

    fn text(&self, context: &Context, decision: &Decision, cleared: usize) -> String {
        let width = context.out.width();
        let mut table = Table::new(["project", "builds kept", "losing blobs", "collected before"]);
        for (project, fates) in by_project(decision) {
            let numbers = [fates.kept, fates.collected, fates.gone].map(|number| number.to_string());
            table.row([project.to_string()].into_iter().chain(numbers));
        }
        let Decision { kept, freed, orphans, .. } = decision;
        let (verb, last) = match (self.delete, cleared) {
            (false, _) => ("would free", "nothing was removed: --delete does it".to_owned()),
            (true, 0) => ("freed", String::new()),
            (true, _) => ("freed", format!("removed {} of killed writers", count(cleared, "old temporary file"))),
        };
        let lines = [
            format!("{verb}: {} of builds that lose them", freed),
            format!("{verb}: {} that no build names", orphans),
            format!("kept: {}", kept),
            last,
        ];
        let filled = lines.iter().filter(|line| !line.is_empty());
        let lines: String = filled.map(|line| wrap(line, width, 0, 2) + "\n").collect();
        if decision.builds.is_empty() { lines } else { format!("{}\n{lines}", table.render(width)) }
    }

    fn json(&self, decision: &Decision, cleared: usize) -> Value {
        let projects: Vec<Value> = by_project(decision)
            .into_iter()
            .map(|(project, Fates { kept, collected, gone })| {
                json!({ "project": project, "kept": kept, "collected": collected, "collectedBefore": gone })
            })
            .collect();
        let builds: Vec<Value> = decision.builds.iter().map(build_json).collect();
        json!({ "store": self.store, "deleted": self.delete, "projects": projects, "builds": builds,
            "kept": decision.kept, "freed": decision.freed, "orphans": decision.orphans,
            "temporaries": cleared })
    }
}

fn bucket(location: &Location) -> Failure {
    let problem = format!("{location} is a bucket: gc removes blobs from directories only");
    Failure::usage(problem).hint("give the bucket lifecycle rules that expire old blobs")
}

fn build_json((build, fate): &(Build, Fate)) -> Value {
    let (fate, rules) = match fate {
        Fate::Kept(rules) => ("kept", rules.iter().collect()),
        Fate::Collected => ("collected", Vec::new()),
        Fate::Gone => ("collected-before", Vec::new()),
    };
    json!({ "project": build.project, "build": build.number, "manifest": build.manifest, "fate": fate, "keptBy": rules })
}

/// How many builds of a project have which fate.
#[derive(Debug, Default)]
struct Fates {
    kept: usize,
    collected: usize,
    gone: usize,
}

fn by_project(decision: &Decision) -> BTreeMap<&ProjectName, Fates> {
    let mut projects: BTreeMap<&ProjectName, Fates> = BTreeMap::new();
    for (build, fate) in &decision.builds {
        let fates = projects.entry(&build.project).or_default();
        match fate {
            Fate::Kept(_) => fates.kept += 1,
            Fate::Collected => fates.collected += 1,
            Fate::Gone => fates.gone += 1,
        }
    }
    projects
}

/// Every manifest of a project that is, or may be, live in any step, and that of an apply which goes on.
async fn runs(
    client: &GatewayClient,
    environment: &EnvironmentName,
    project: &ProjectName,
) -> Result<BTreeSet<Digest>, Failure> {
    let mut running = BTreeSet::new();
    // Asked first: if it ends meanwhile, the record tells.
    if let Some(job) = client.applying(environment, project).await? {
        running.insert(client.job(job, u32::MAX).await?.request.manifest);
    }
    if let Some(record) = client.latest(environment, project).await? {
        let steps = record.steps.iter().flat_map(|step| &step.live);
        running.extend(steps.chain(&record.complete).map(|live| live.manifest));
    }
    Ok(running)
}
