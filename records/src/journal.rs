//! A job's chain of events.

use manifest_schema::job::{Event, FoldError, Happening, Job, JobId, JobRequest, Writer, WriterKind};
use manifest_schema::storage::{Key, prefix};
use store::{Creation, Store, StoreError};

use crate::{Ambient, RecordError, bounded, load};

mod clip;

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
    /// When the store can't be read, the request is another job's, or the chain is broken.
    pub async fn open(
        store: &Store,
        ambient: &Ambient,
        kind: WriterKind,
        job: JobId,
    ) -> Result<Option<Self>, RecordError> {
        let key = Key::JobRequest(job);
        let Some(request) = load::<JobRequest>(store, &key).await? else { return Ok(None) };
        if request.job != job {
            return Err(RecordError::Altered(key.to_string()));
        }
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
    /// When the store can't be read or the chain is broken: a later event without this one is no end of the chain.
    pub async fn refresh(&mut self) -> Result<(), RecordError> {
        loop {
            let number = self.job.number() + 1;
            if let Some(event) = self.read(number).await? {
                self.take(event)?;
                continue;
            }
            let later = self.store.list(&prefix::job_events(self.job.id()), self.last_key().as_deref(), 1).await?;
            if later.is_empty() {
                return Ok(());
            }
            // It may have been appended since it was looked for; otherwise it was there once, and is no more.
            let event = self.read(number).await?.ok_or_else(|| FoldError {
                job: self.job.id(),
                number,
                problem: "is missing, although a later one is there".to_owned(),
            })?;
            self.take(event)?;
        }
    }

    fn last_key(&self) -> Option<String> {
        let last = self.events.last()?;
        Some(Key::JobEvent(last.job, last.number).to_string())
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
        let happening = clip::clipped(happening);
        loop {
            if !holds(&self.job) {
                return Ok(false);
            }
            if self.is_lost() {
                return Err(RecordError::Lost(self.job.id()));
            }
            let event = self.next(happening.clone(), nonce);
            // What can't happen is refused before it is written.
            self.job.clone().take(&event)?;
            let key = Key::JobEvent(event.job, event.number);
            let created = self.store.create(&key, &bounded(&key, &event)?).await;
            if self.conclude(event, created).await? {
                return Ok(true);
            }
        }
    }

    /// Takes in what is now where `event` should be, and tells whether that is `event`. After an error of the store it
    /// may be: an event that was stored must not be written a second time.
    async fn conclude(&mut self, event: Event, created: Result<Creation, StoreError>) -> Result<bool, RecordError> {
        let there = match created {
            Ok(Creation::Created) => return self.take(event).map(|()| true),
            Ok(Creation::Exists) => {
                let missing = || RecordError::Missing(Key::JobEvent(event.job, event.number).to_string());
                self.read(event.number).await?.ok_or_else(missing)?
            }
            Err(error) => {
                let there = self.read(event.number).await.ok().flatten();
                there.filter(|there| there.writer == event.writer).ok_or(error)?
            }
        };
        let ours = there.writer == event.writer;
        self.take(there)?;
        Ok(ours)
    }

    /// Whether the job is over, or another worker's than this one's.
    fn is_lost(&self) -> bool {
        let others = self.kind == WriterKind::Worker && self.job.worker().is_some_and(|worker| worker != self.writer);
        self.job.ended().is_some() || others
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
