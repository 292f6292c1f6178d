//! Where a change stands, judged with what the CI side can see. Production decides again.

use std::collections::BTreeMap;
use std::time::Duration;

use change::standing::{Lifts, Voter};
use change::{ChangeRecord, Standing};
use manifest_schema::deployment::DeploymentRecord;
use manifest_schema::gates::{Authors, Circumstances, Needs};
use manifest_schema::plan::PlanSummary;
use manifest_schema::statement::ReviewVerdict;
use manifest_schema::storage::{AttestationKind, Key};
use manifest_schema::trust::{EnvironmentPolicy, TrustPolicy};
use manifest_schema::{Digest, Document, Timestamp};
use records::attestations;
use store::Store;

use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::production::Production;

/// How often approvals are looked for.
const LOOK: Duration = Duration::from_secs(1);
/// People hear this often what is waited for.
const STILL: Duration = Duration::from_secs(30);

/// What is known about a change at one moment.
pub(crate) struct View {
    /// Every statement about it.
    pub(crate) standing: Standing,
    /// How many people must say yes, and why.
    pub(crate) needs: Needs,
    /// What the launch needs lifted.
    pub(crate) lifts: Lifts,
}

/// What a view is made from.
pub(crate) struct Question<'a> {
    /// The artifacts store.
    pub(crate) artifacts: &'a Store,
    /// The change.
    pub(crate) change: &'a ChangeRecord,
    /// The trust policy in force.
    pub(crate) policy: &'a TrustPolicy,
    /// The newest deployment record.
    pub(crate) deployed: Option<&'a DeploymentRecord>,
}

impl Question<'_> {
    /// Reads all statements about the change.
    ///
    /// # Errors
    /// When the artifacts store can't be read, or the policy doesn't know the environment.
    pub(crate) async fn look(&self, now: Timestamp) -> Result<View, Failure> {
        let about = self.change.about();
        let reviews = attestations::list(self.artifacts, about.manifest, AttestationKind::Review).await?;
        let envelopes = attestations::list(self.artifacts, about.manifest, AttestationKind::Approval).await?;
        let authors = change::authors::of(self.policy, &about, &reviews, &self.author_lists(&reviews).await?)?;
        let standing = Standing::of(self.policy, &about, &authors, &envelopes, now)?;
        let environment = self.environment()?;
        let summary = PlanSummary::from_bytes(&self.artifacts.fetch(&about.summary, PlanSummary::LIMIT).await?)?;
        let live = self.deployed.and_then(DeploymentRecord::highest_live);
        let rollback = live.is_some_and(|live| summary.build < live);
        let emergency = environment.freezes.iter().any(|freeze| freeze.from <= now && now < freeze.until);
        let bot_approved =
            standing.approvals().any(|voice| matches!(voice.voter, Voter::Bot(_))) && self.review_is_clear(&reviews);
        let circumstances =
            Circumstances { summary: &summary, deployed: self.deployed, rollback, emergency, bot_approved, now };
        let needs = Needs::of(environment, &circumstances);
        Ok(View { standing, needs, lifts: Lifts { rollback, emergency } })
    }

    fn environment(&self) -> Result<&EnvironmentPolicy, Failure> {
        let name = &self.change.request.environment;
        let found = self.policy.environments.get(name);
        found.ok_or_else(|| Failure::from(anyhow::anyhow!("the trust policy knows no environment {name}")))
    }

    fn review_is_clear(&self, reviews: &[Vec<u8>]) -> bool {
        let keys = self.policy.bot_keys();
        let about = self.change.about();
        let opened = reviews.iter().filter_map(|envelope| {
            manifest_schema::statement::Verified::<manifest_schema::statement::Review>::open(envelope, &keys).ok()
        });
        let ours: Vec<_> = opened.filter(|review| review.predicate().plan == about.plan).collect();
        !ours.is_empty() && ours.iter().all(|review| review.predicate().verdict == ReviewVerdict::Approve)
    }

    /// The lists of authors that reviews name, as far as they are there.
    async fn author_lists(&self, reviews: &[Vec<u8>]) -> Result<BTreeMap<Digest, Vec<u8>>, Failure> {
        let keys = self.policy.bot_keys();
        let mut lists = BTreeMap::new();
        for envelope in reviews {
            let opened =
                manifest_schema::statement::Verified::<manifest_schema::statement::Review>::open(envelope, &keys);
            if let Ok(review) = opened
                && let Some(object) = self.artifacts.get(&Key::Blob(review.predicate().authors), Authors::LIMIT).await?
            {
                lists.insert(review.predicate().authors, object.bytes);
            }
        }
        Ok(lists)
    }

    /// Waits until enough approvals are signed; gives the statements that a launch should name.
    ///
    /// # Errors
    /// When a person said no, the time is up, or the stores can't be read.
    pub(crate) async fn wait(&self, context: &Context, timeout: Option<Duration>) -> Result<Vec<Digest>, Failure> {
        let id = &self.change.id;
        let begun = tokio::time::Instant::now();
        let mut told: Option<tokio::time::Instant> = None;
        loop {
            let view = self.look(context.ambient.now()).await?;
            view.refuse_if_rejected(id.as_str())?;
            let named = view.standing.to_name(view.lifts);
            if view.is_enough() {
                return Ok(named);
            }
            let waiting = view.waiting_for();
            if timeout.is_some_and(|timeout| begun.elapsed() >= timeout) {
                let failure =
                    Failure::new(Exit::TimedOut, anyhow::anyhow!("change {id} is not approved yet: {waiting}"));
                return Err(failure.hint(format!("`airlock change wait {id}` goes on waiting")));
            }
            if told.is_none_or(|told| told.elapsed() >= STILL) {
                context.out.say(format!("waiting for change {id}: {waiting}"));
                told = Some(tokio::time::Instant::now());
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                _ = tokio::signal::ctrl_c() => {
                    let failure = Failure::new(Exit::TimedOut, anyhow::anyhow!("stopped waiting for change {id}"));
                    return Err(failure.hint(format!("run the same command again, or `airlock change wait {id}`")));
                }
            }
        }
    }
}

impl View {
    /// Whether a launch that names what counts has enough people.
    pub(crate) fn is_enough(&self) -> bool {
        let carries = |voice: &&change::standing::Voice| {
            (voice.rollback || !self.lifts.rollback) && (voice.emergency || !self.lifts.emergency)
        };
        let people: std::collections::BTreeSet<_> =
            self.standing.approvals().filter(carries).filter_map(|voice| voice.voter.person()).collect();
        people.len() >= self.needs.people as usize
    }

    /// What is missing, for people.
    pub(crate) fn waiting_for(&self) -> String {
        let Needs { people, demands } = &self.needs;
        let have: Vec<_> = self.standing.people().into_iter().map(ToString::to_string).collect();
        let have = if have.is_empty() { "nobody".to_owned() } else { have.join(", ") };
        let why = if demands.is_empty() { String::new() } else { format!(", because of {}", demands.join(", ")) };
        let lifts = match (self.lifts.rollback, self.lifts.emergency) {
            (false, false) => "",
            (true, false) => "; they must approve with --rollback",
            (false, true) => "; they must approve with --emergency",
            (true, true) => "; they must approve with --rollback --emergency",
        };
        let noun = if *people == 1 { "person" } else { "people" };
        format!("{people} {noun} must approve{why}; so far {have}{lifts}")
    }

    /// Fails if a person's no stands.
    ///
    /// # Errors
    /// With who said no.
    pub(crate) fn refuse_if_rejected(&self, change: &str) -> Result<(), Failure> {
        let noes: Vec<_> = self.standing.rejections().map(|voice| voice.voter.to_string()).collect();
        if noes.is_empty() {
            return Ok(());
        }
        let message = anyhow::anyhow!("change {change} was rejected by {}", noes.join(", "));
        let hint = "talk to them; they can take their no back with `airlock change revoke`";
        Err(Failure::new(Exit::NotApproved, message).hint(hint))
    }
}

/// Where a change stands now.
///
/// # Errors
/// When a store can't be read, or the trust policy's chain is broken.
pub(crate) async fn view(context: &Context, production: &Production, change: &ChangeRecord) -> Result<View, Failure> {
    let policy = production.policy().await?;
    let request = &change.request;
    let deployed = production.client.latest(&request.environment, &request.project).await?;
    let question =
        Question { artifacts: &production.artifacts, change, policy: policy.policy(), deployed: deployed.as_ref() };
    question.look(context.ambient.now()).await
}
