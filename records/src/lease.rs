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
    /// It is ours.
    Taken {
        /// To give it back.
        held: Box<Held>,
        /// The job whose lease this was, when it ended without giving it back. Its missing deployment record must be
        /// written before anything else.
        from: Option<Box<Journal>>,
    },
    /// Another job has it, and is not provably over.
    HeldBy(JobId),
}

/// Takes the lease if it is free, or if its holder's job is over: only a closing event in its journal proves that.
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
        let mut from = None;
        if let Some(held) = current.as_ref().and_then(|(lease, _)| lease.holder.as_ref()) {
            let journal = Journal::open(production, ambient, WriterKind::Worker, held.job).await?;
            match journal {
                Some(journal) if journal.job().ended().is_some() => from = Some(Box::new(journal)),
                Some(_) | None => return Ok(Taking::HeldBy(held.job)),
            }
        }
        let fence = current.as_ref().map_or(0, |(lease, _)| lease.fence) + 1;
        let lease = Lease { schema: Default::default(), fence, holder: Some(holder.clone()) };
        let expected = current.as_ref().map(|(_, version)| version);
        match production.replace(&key, &lease.to_bytes(), expected).await? {
            Replacement::Replaced(version) => {
                return Ok(Taking::Taken { held: Box::new(Held { key, lease, version }), from });
            }
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

async fn read(production: &Store, key: &Key) -> Result<Option<(Lease, Version)>, RecordError> {
    let Some(object) = production.get(key, Lease::LIMIT).await? else { return Ok(None) };
    let lease =
        Lease::from_bytes(&object.bytes).map_err(|source| RecordError::Document { key: key.to_string(), source })?;
    Ok(Some((lease, object.version)))
}

impl Held {
    /// Gives the lease back. If another has taken it over, it is theirs, and stays so.
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
