//! Leases: one apply at a time for a project in an environment.

use manifest_schema::Document;
use manifest_schema::deployment::{Lease, LeaseHolder};
use manifest_schema::job::{JobId, WriterKind};
use manifest_schema::names::{EnvironmentName, ProjectName};
use manifest_schema::storage::Key;
use store::{Replacement, Store, Version};

use crate::{Ambient, Journal, RecordError};

/// A lease that this process holds.
#[derive(Debug)]
pub struct Held {
    key: Key,
    lease: Lease,
    version: Version,
}

/// What came of asking for a lease.
#[derive(Debug)]
pub enum Taking {
    /// It is ours. What [`Held::unrecorded`] names comes before anything else.
    Taken(Box<Held>),
    /// Another job has it, and is not provably over.
    HeldBy(JobId),
}

/// Takes the lease if it is free, or if its holder's job is over: only a closing event in its journal proves that. Whoever
/// held it last and didn't give it back is noted in the same write, so that what it may have done can't be forgotten,
/// whatever becomes of the new holder.
///
/// # Errors
/// When the store can't be read or written.
pub async fn take(
    production: &Store,
    ambient: &Ambient,
    environment: &EnvironmentName,
    project: &ProjectName,
    holder: LeaseHolder,
) -> Result<Taking, RecordError> {
    let key = Key::Lease(environment.clone(), project.clone());
    loop {
        let current = read(production, &key).await?;
        let (fence, mut unrecorded) = match &current {
            Some((lease, _)) => (lease.fence, lease.unrecorded.clone()),
            None => (0, Vec::new()),
        };
        if let Some(held) = current.as_ref().and_then(|(lease, _)| lease.holder.as_ref()) {
            let journal = Journal::open(production, ambient, WriterKind::Worker, held.job).await?;
            if journal.is_none_or(|journal| journal.job().ended().is_none()) {
                return Ok(Taking::HeldBy(held.job));
            }
            unrecorded.push(held.job);
        }
        let lease = Lease { schema: Default::default(), fence: fence + 1, holder: Some(holder.clone()), unrecorded };
        let expected = current.as_ref().map(|(_, version)| version);
        match production.replace(&key, &lease.to_bytes(), expected).await? {
            Replacement::Replaced(version) => return Ok(Taking::Taken(Box::new(Held { key, lease, version }))),
            // Somebody was quicker: look again who.
            Replacement::Conflict => {}
        }
    }
}

/// The job that holds the lease, if any does.
///
/// # Errors
/// When the store can't be read.
pub async fn holder(
    production: &Store,
    environment: &EnvironmentName,
    project: &ProjectName,
) -> Result<Option<JobId>, RecordError> {
    let current = read(production, &Key::Lease(environment.clone(), project.clone())).await?;
    Ok(current.and_then(|(lease, _)| lease.holder).map(|holder| holder.job))
}

/// The jobs whose records may be unwritten if they are over, oldest first: those noted, and the holder.
///
/// # Errors
/// When the store can't be read.
pub async fn unrecorded(
    production: &Store,
    environment: &EnvironmentName,
    project: &ProjectName,
) -> Result<Vec<JobId>, RecordError> {
    let current = read(production, &Key::Lease(environment.clone(), project.clone())).await?;
    let Some((Lease { mut unrecorded, holder, .. }, _)) = current else { return Ok(Vec::new()) };
    unrecorded.extend(holder.map(|holder| holder.job));
    Ok(unrecorded)
}

async fn read(production: &Store, key: &Key) -> Result<Option<(Lease, Version)>, RecordError> {
    let Some(object) = production.get(key, Lease::LIMIT).await? else { return Ok(None) };
    let lease =
        Lease::from_bytes(&object.bytes).map_err(|source| RecordError::Document { key: key.to_string(), source })?;
    Ok(Some((lease, object.version)))
}

impl Held {
    /// The oldest job whose record may be unwritten.
    pub fn unrecorded(&self) -> Option<JobId> {
        self.lease.unrecorded.first().copied()
    }

    /// Takes a job off, once its record is written or it needs none.
    ///
    /// # Errors
    /// When the store can't be written, or the lease was taken over.
    pub async fn recorded(&mut self, production: &Store, job: JobId) -> Result<(), RecordError> {
        let mut lease = self.lease.clone();
        lease.unrecorded.retain(|unrecorded| *unrecorded != job);
        match production.replace(&self.key, &lease.to_bytes(), Some(&self.version)).await? {
            Replacement::Replaced(version) => {
                self.lease = lease;
                self.version = version;
                Ok(())
            }
            Replacement::Conflict => match &self.lease.holder {
                Some(holder) => Err(RecordError::Lost(holder.job)),
                None => Err(RecordError::Missing(self.key.to_string())),
            },
        }
    }

    /// Gives the lease back, with the jobs whose records are still unwritten. If another has taken it over, it is theirs,
    /// and stays so.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn release(self, production: &Store) -> Result<(), RecordError> {
        let free = Lease { holder: None, ..self.lease };
        match production.replace(&self.key, &free.to_bytes(), Some(&self.version)).await? {
            Replacement::Replaced(_) => {}
            Replacement::Conflict => tracing::warn!(key = %self.key, "the lease had been taken over"),
        }
        Ok(())
    }
}
