//! A plan job: what would applying this build do? Nothing is changed; the answer is signed. A drift job asks the same of
//! the build that runs, and its answer can't be applied: the saved plan is not kept, and nothing points to it.

use manifest_schema::gates::Admission;
use manifest_schema::job::{Action, Happening};
use manifest_schema::plan::{PlanSummary, ServiceChange, TerraformChanges};
use manifest_schema::pointer::PlanPointer;
use manifest_schema::statement::{Plan, PlanBase, Statement, Subject, subject};
use manifest_schema::storage::{Key, PlanFile};
use manifest_schema::{Digest, Document};
use records::plans;
use store::{Creation, Store};

use crate::cluster::LocalCluster;
use crate::fetch::{self, Images};
use crate::references;
use crate::session::Session;
use crate::stop::Stop;
use crate::terraform::{Terraform, Variables, errored};
use crate::work::WorkDir;

/// Verifies, fetches, plans, signs.
pub(crate) async fn run(session: &Session) -> Result<(), Stop> {
    let admission = session.decide().await?;
    let (policy, warnings) = (admission.policy().policy().version, admission.warnings().to_vec());
    session.say(Happening::Verified { policy, warnings }).await?;
    let manifest = admission.manifest().manifest();
    references::expect_aws(session, manifest)?;

    let work = WorkDir::take(session).await?;
    // Read before Terraform looks at the state: if something is deployed in between, the plan is stale, not wrong.
    let request = session.request();
    let production = &session.sides().production;
    let (environment, project) = (&request.environment, &request.project);
    let base = records::deployments::base(production, session.ambient(), environment, project).await?;
    let fetched = fetch::run(session, &admission, &work, Images::Present).await?;

    let mut saved = None;
    let mut changes = None;
    if let Some(root) = fetched.bundle {
        let rules = &admission.environment().terraform;
        let mut terraform = Terraform::init(session, &work, root, rules).await?;
        let variables = Variables::write(&work, manifest, &references::read(session, manifest).await?)?;
        let (plan, bytes) = terraform.plan(&variables).await?;
        drop(variables);
        let planned = terraform.show(&plan).await?;
        errored::expect_settled(session, &planned).await?;
        changes = Some(planned.changes(&rules.shown)?);
        saved = Some(bytes);
    }
    let cluster = LocalCluster::open(&session.config().cluster, &request.environment);
    let summary = summary(&admission, changes, cluster.changes(manifest)?);
    session.may_go_on()?;
    finish(session, &admission, base, &summary, saved.as_deref()).await?;
    empty_expired(session, &admission).await;
    Ok(())
}

/// Plans that nobody applied in time still hold secrets. What can't be emptied now is by the next plan job.
async fn empty_expired(session: &Session, admission: &Admission) {
    let environments = admission.policy().policy().environments.values();
    let longest = environments.map(|rules| rules.approval.validity_seconds).max().unwrap_or_default();
    if let Err(error) = plans::empty_expired(&session.sides().production, session.ambient().now(), longest).await {
        tracing::warn!(%error, "expired saved plans could not be emptied");
    }
}

/// The whole summary, with every finding.
pub(crate) fn summary(
    admission: &Admission,
    terraform: Option<TerraformChanges>,
    services: Vec<ServiceChange>,
) -> PlanSummary {
    let request = admission.request();
    let findings = policy::plan::findings(terraform.as_ref(), &services);
    PlanSummary {
        schema: Default::default(),
        project: request.project.clone(),
        environment: request.environment.clone(),
        manifest: request.manifest,
        build: admission.manifest().manifest().build.number(),
        rules: policy::plan::RULES.to_owned(),
        terraform,
        services,
        findings,
    }
}

/// Signs the plan and stores it: the pointer that makes it a plan that can be applied comes last.
async fn finish(
    session: &Session,
    admission: &Admission,
    base: PlanBase,
    summary: &PlanSummary,
    saved: Option<&[u8]>,
) -> Result<(), Stop> {
    let bytes = summary.to_bytes();
    // Of a drift job only the summary is worth anything.
    let saved = saved.filter(|_| admission.request().action == Action::Plan);
    let mut subjects = vec![
        Subject::new(subject::MANIFEST, admission.manifest().digest()),
        Subject::new(subject::SUMMARY, Digest::of(&bytes)),
    ];
    subjects.extend(saved.map(|saved| Subject::new(subject::SAVED_PLAN, Digest::of(saved))));
    let planned_at = session.ambient().now().whole_seconds();
    let plan = Plan {
        project: summary.project.clone(),
        environment: summary.environment.clone(),
        job: session.job(),
        base,
        planned_at,
        expires_at: planned_at.plus_seconds(admission.environment().approval.validity_seconds),
    };
    let signed = session.sign(&Statement::new(subjects, plan)).await?;

    let production = &session.sides().production;
    if let Some(saved) = saved {
        expect_new(plans::keep_saved(production, session.job(), saved).await?, "the saved plan")?;
    }
    keep(production, Key::JobPlan(session.job(), PlanFile::Summary), &bytes).await?;
    keep(production, Key::JobPlan(session.job(), PlanFile::Envelope), &signed.envelope).await?;
    if admission.request().action == Action::Plan {
        let pointer = PlanPointer { schema: Default::default(), job: session.job() };
        keep(production, Key::PlanJob(signed.statement), &pointer.to_bytes()).await?;
    }

    let resources = summary.terraform.as_ref().map_or(0, |terraform| terraform.changes.len());
    let services = summary.services.iter().filter(|service| service.changes()).count();
    let changes = (resources + services) as u64;
    let findings = summary.findings.len() as u64;
    session.say(Happening::Planned { plan: signed.statement, changes, findings }).await
}

/// Creates an object that only this job can have created.
async fn keep(production: &Store, key: Key, bytes: &[u8]) -> Result<(), Stop> {
    expect_new(production.create(&key, bytes).await?, &key.to_string())
}

fn expect_new(creation: Creation, what: &str) -> Result<(), Stop> {
    match creation {
        Creation::Created => Ok(()),
        Creation::Exists => Err(Stop::failed(format!("{what} is there already: somebody else writes for this job"))),
    }
}
