//! What a build is deployed to beside the resources of Terraform: each kind of step has its own.

use manifest_schema::gates::Admission;
use manifest_schema::manifest::BuildManifest;
use manifest_schema::plan::{FilesChange, FunctionChange, PlanSummary, ScheduleChange, ServiceChange, TaskRun};
use policy::plan::{Effects, Owned};

use crate::cluster::Cluster;
use crate::ecs;
use crate::files::Files;
use crate::functions::{self, Functions};
use crate::schedules;
use crate::session::Session;
use crate::stop::{Refusals, Stop};
use crate::whose;

/// What deploying a build would do to its targets, each in the order of the steps.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    pub(crate) services: Vec<ServiceChange>,
    pub(crate) tasks: Vec<TaskRun>,
    pub(crate) files: Vec<FilesChange>,
    pub(crate) schedules: Vec<ScheduleChange>,
    pub(crate) functions: Vec<FunctionChange>,
}

impl Changes {
    /// What people agreed to.
    pub(crate) fn approved(PlanSummary { services, tasks, files, schedules, functions, .. }: &PlanSummary) -> Self {
        Self {
            services: services.clone(),
            tasks: tasks.clone(),
            files: files.clone(),
            schedules: schedules.clone(),
            functions: functions.clone(),
        }
    }

    /// What is judged of them.
    pub(crate) fn effects(&self) -> Effects<'_> {
        let Self { services, tasks, files, schedules, functions } = self;
        Effects { terraform: None, services, tasks, files, schedules, functions }
    }

    /// Leaves out what can't differ from what the build says: what runs once and is over.
    pub(crate) fn forget_what_is_over(&mut self) {
        self.tasks.clear();
    }

    /// What is another than in `planned`, in words.
    pub(crate) fn differ_in(&self, planned: &Self) -> Option<&'static str> {
        let Self { services, tasks, files, schedules, functions } = self;
        let same = [
            (*services == planned.services, "a service"),
            (*tasks == planned.tasks, "what a task runs like"),
            (*files == planned.files, "what is in a bucket"),
            (*schedules == planned.schedules, "what a schedule or a rule starts"),
            (*functions == planned.functions, "a function"),
        ];
        same.into_iter().find(|(same, _)| !same).map(|(_, what)| what)
    }

    /// Refuses what Terraform would change, too: each would undo the other.
    pub(crate) fn expect_owned_once(&self, owned: &Owned) -> Result<(), Stop> {
        let mut refused = Refusals::default();
        refused.add(ecs::owned_twice(&owned.services, &self.services));
        refused.add(schedules::owned_twice(&owned.triggers, &self.schedules));
        refused.add(functions::owned_twice(&owned.functions, &self.functions));
        refused.or(())
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        let services = self.services.iter().filter(|service| service.changes()).count();
        let functions = self.functions.iter().filter(|function| function.changes()).count();
        let places = self.files.iter().filter(|place| place.changes()).count();
        let schedules = self.schedules.iter().filter(|schedule| schedule.changes()).count();
        services + self.tasks.len() + places + schedules + functions
    }
}

/// Everything that steps are done to.
pub(crate) struct Targets<'a> {
    pub(crate) cluster: Cluster<'a>,
    pub(crate) files: Files<'a>,
    pub(crate) functions: Functions<'a>,
}

impl<'a> Targets<'a> {
    /// Asks nobody yet.
    ///
    /// # Errors
    /// When the build names something that isn't its project's.
    pub(crate) async fn open(session: &'a Session, admission: &Admission) -> Result<Self, Stop> {
        whose::expect_own(session, admission)?;
        Ok(Self {
            cluster: Cluster::open(session).await,
            files: Files::open(session, admission).await,
            functions: Functions::open(session),
        })
    }

    /// What deploying this build would do to them.
    ///
    /// # Errors
    /// When one can't be asked; with everything that isn't supported, of all of them.
    pub(crate) async fn changes(&self, manifest: &BuildManifest) -> Result<Changes, Stop> {
        let mut refused = Refusals::default();
        let in_cluster = refused.sort(self.cluster.changes(manifest).await)?;
        let functions = refused.sort(self.functions.changes(manifest).await)?;
        let files = refused.sort(self.files.changes(manifest).await)?;
        let schedules = refused.sort(schedules::changes(&self.cluster, manifest).await)?;
        let (services, tasks) = in_cluster.unwrap_or_default();
        refused.or(Changes {
            services,
            tasks,
            files: files.unwrap_or_default(),
            schedules: schedules.unwrap_or_default(),
            functions: functions.unwrap_or_default(),
        })
    }
}
