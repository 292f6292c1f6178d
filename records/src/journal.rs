//! A job's chain of events.

use manifest_schema::Document;
use manifest_schema::job::{Event, Happening, Job, JobId, JobRequest, Writer, WriterKind};
use manifest_schema::storage::Key;
use store::{Creation, Store};

use crate::{Ambient, RecordError, load};

/// A job's request and its events so far, and the right to append as one writer.
#[derive(Debug, Clone)]
pub struct Journal {
    store: Store,
    ambient: Ambient,
    kind: WriterKind,
    writer: String,
    request: JobRequest,
    job: Job,
    events: Vec<Event>,
}

impl Journal {
    /// Reads a job's request and all its events; `None` if there is no such job.
    ///
    /// # Errors
    /// When the store can't be read or the chain is broken.
    pub async fn open(
        store: &Store,
        ambient: &Ambient,
        kind: WriterKind,
        job: JobId,
    ) -> Result<Option<Self>, RecordError> {
        let Some(request) = load::<JobRequest>(store, &Key::JobRequest(job)).await? else { return Ok(None) };
        let mut journal = Self {
            store: store.clone(),
            ambient: ambient.clone(),
            kind,
            writer: ambient.nonce(),
            job: Job::new(job, request.request.action),
            request,
            events: Vec::new(),
        };
        journal.refresh().await?;
        Ok(Some(journal))
    }

    /// Takes in what others have appended since.
    ///
    /// # Errors
    /// When the store can't be read or the chain is broken.
    pub async fn refresh(&mut self) -> Result<(), RecordError> {
        while let Some(event) = self.read(self.job.number() + 1).await? {
            self.take(event)?;
        }
        Ok(())
    }

    /// Appends an event. Returns once it is safely stored; a side effect that it announces may follow.
    ///
    /// When the next place is taken, the event there decides: ours (its response was lost): done. The gateway's: it is
    /// folded in, and the next place is tried. Another worker's, or the end: this writer has lost the job.
    ///
    /// # Errors
    /// [`RecordError::Lost`], or when the store can't be read or written, or the event can't happen now.
    pub async fn append(&mut self, happening: Happening) -> Result<(), RecordError> {
        let nonce = self.ambient.nonce();
        self.append_as(happening, &nonce, |_| true).await.map(|_| ())
    }

    /// Appends an event only if the job then still is as `holds` wants it: `false` if it isn't. Of any number of callers
    /// whose event makes the same condition false, one appends.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub async fn append_if(&mut self, happening: Happening, holds: impl Fn(&Job) -> bool) -> Result<bool, RecordError> {
        let nonce = self.ambient.nonce();
        self.append_as(happening, &nonce, holds).await
    }

    async fn append_as(
        &mut self,
        happening: Happening,
        nonce: &str,
        holds: impl Fn(&Job) -> bool,
    ) -> Result<bool, RecordError> {
        loop {
            if !holds(&self.job) {
                return Ok(false);
            }
            if self.job.ended().is_some() {
                return Err(RecordError::Lost(self.job.id()));
            }
            let event = self.next(happening.clone(), nonce);
            // What can't happen is refused before it is written.
            self.job.clone().take(&event)?;
            let key = Key::JobEvent(event.job, event.number);
            match self.store.create(&key, &event.to_bytes()).await? {
                Creation::Created => return self.take(event).map(|()| true),
                Creation::Exists => {
                    let there = self.read(event.number).await?.ok_or(RecordError::Missing(key.to_string()))?;
                    let (ours, kind) = (there.writer == event.writer, there.writer.kind);
                    let other_worker = kind == WriterKind::Worker && there.writer.id != self.writer;
                    self.take(there)?;
                    if ours {
                        return Ok(true);
                    }
                    if other_worker && self.kind == WriterKind::Worker {
                        return Err(RecordError::Lost(self.job.id()));
                    }
                }
            }
        }
    }

    fn next(&self, event: Happening, nonce: &str) -> Event {
        Event {
            schema: Default::default(),
            job: self.job.id(),
            number: self.job.number() + 1,
            previous: self.job.last(),
            at: self.ambient.now(),
            writer: Writer { kind: self.kind, id: self.writer.clone(), nonce: nonce.to_owned() },
            event,
        }
    }

    async fn read(&self, number: u32) -> Result<Option<Event>, RecordError> {
        load(&self.store, &Key::JobEvent(self.job.id(), number)).await
    }

    fn take(&mut self, event: Event) -> Result<(), RecordError> {
        self.job.take(&event)?;
        self.events.push(event);
        Ok(())
    }

    /// What the events add up to.
    pub fn job(&self) -> &Job {
        &self.job
    }

    /// What the job was asked to do.
    pub fn request(&self) -> &JobRequest {
        &self.request
    }

    /// All events, in order.
    pub fn events(&self) -> &[Event] {
        &self.events
    }
}

#[cfg(test)]
mod tests;
