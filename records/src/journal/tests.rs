//! A chain of events under every kind of trouble: lost answers, other writers, changed files.

use std::fs;
use std::path::PathBuf;

use manifest_schema::Digest;
use manifest_schema::job::{Action, Asked, JobOutcome, LaunchRequest, TaskId};
use store::Location;
use tempfile::TempDir;

use super::*;
use crate::create;

/// A store with one job.
struct Desk {
    directory: TempDir,
    store: Store,
    ambient: Ambient,
    job: JobId,
}

impl Desk {
    async fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let store =
            Store::open_or_create(&Location::Directory(directory.path().join("production")), &store::Access::default())
                .await
                .unwrap();
        let ambient = Ambient::system();
        let job = JobId::new(ambient.now(), ambient.random());
        let asked = Asked {
            action: Action::Plan,
            environment: "production".parse().unwrap(),
            project: "hello".parse().unwrap(),
            manifest: Digest::of(b"m"),
            plan: None,
            change: None,
            approvals: Vec::new(),
            attempt: 1,
        };
        let request = LaunchRequest::new(asked, None);
        let request = JobRequest { schema: Default::default(), job, request, requested_at: ambient.now() };
        assert_eq!(create(&store, &Key::JobRequest(job), &request).await.unwrap(), Creation::Created);
        Self { directory, store, ambient, job }
    }

    /// With a job that was requested.
    async fn requested() -> Self {
        let desk = Self::new().await;
        desk.open(WriterKind::Gateway).await.append(Happening::Requested).await.unwrap();
        desk
    }

    async fn try_open(&self, kind: WriterKind) -> Result<Journal, RecordError> {
        Journal::open(&self.store, &self.ambient, kind, self.job).await.map(Option::unwrap)
    }

    async fn open(&self, kind: WriterKind) -> Journal {
        self.try_open(kind).await.unwrap()
    }

    fn file(&self, number: u32) -> PathBuf {
        self.directory.path().join("production").join(Key::JobEvent(self.job, number).to_string())
    }
}

fn began() -> Happening {
    let task = TaskId::Ecs { arn: "arn".to_owned() };
    Happening::Began { task, version: "1".to_owned() }
}

fn ended() -> Happening {
    Happening::Ended { outcome: JobOutcome::Failed, reasons: Vec::new() }
}

fn progress() -> Happening {
    Happening::Progress { lines: vec!["on it".to_owned()] }
}

#[tokio::test]
async fn a_job_without_a_request_is_no_job() {
    let desk = Desk::new().await;
    let other = JobId::new(desk.ambient.now(), [0; 10]);
    assert!(Journal::open(&desk.store, &desk.ambient, WriterKind::Gateway, other).await.unwrap().is_none());
    assert_eq!(desk.open(WriterKind::Gateway).await.job().number(), 0);
}

/// A request that was copied over another job's would have its worker do what nobody asked it to.
#[tokio::test]
async fn the_request_of_another_job_is_refused() {
    let desk = Desk::requested().await;
    let other = JobId::new(desk.ambient.now(), [7; 10]);
    let stored = load::<JobRequest>(&desk.store, &Key::JobRequest(desk.job)).await.unwrap().unwrap();
    assert_eq!(create(&desk.store, &Key::JobRequest(other), &stored).await.unwrap(), Creation::Created);
    let refused = Journal::open(&desk.store, &desk.ambient, WriterKind::Worker, other).await;
    assert!(matches!(refused, Err(RecordError::Altered(_))), "{refused:?}");
}

/// Threat model, row 41.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_64_that_append_at_once_every_event_lands_exactly_once() {
    let desk = Desk::requested().await;
    let mut appending = Vec::new();
    for _ in 0..64 {
        let mut journal = desk.open(WriterKind::Gateway).await;
        appending.push(tokio::spawn(async move { journal.append(Happening::CancelRequested).await.unwrap() }));
    }
    for one in appending {
        one.await.unwrap();
    }
    let journal = desk.open(WriterKind::Gateway).await;
    let mut writers: Vec<_> = journal.events().iter().map(|event| event.writer.nonce.clone()).collect();
    writers.sort_unstable();
    writers.dedup();
    assert_eq!((journal.events().len(), writers.len()), (65, 65));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_that_append_under_a_condition_one_does() {
    let desk = Desk::new().await;
    let mut appending = Vec::new();
    for _ in 0..32 {
        let mut journal = desk.open(WriterKind::Gateway).await;
        let appended = async move { journal.append_if(Happening::Requested, |job| job.number() == 0).await.unwrap() };
        appending.push(tokio::spawn(appended));
    }
    let mut won = 0;
    for one in appending {
        won += u32::from(one.await.unwrap());
    }
    assert_eq!((won, desk.open(WriterKind::Gateway).await.events().len()), (1, 1));
}

/// Threat model, row 30.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_workers_one_keeps_the_job() {
    let desk = Desk::requested().await;
    let mut taking = Vec::new();
    for _ in 0..16 {
        let mut journal = desk.open(WriterKind::Worker).await;
        taking.push(tokio::spawn(async move { (journal.append(began()).await, journal) }));
    }
    let mut keepers = Vec::new();
    for one in taking {
        match one.await.unwrap() {
            (Ok(()), journal) => keepers.push(journal),
            (Err(RecordError::Lost(_)), _) => {}
            (Err(error), _) => panic!("{error}"),
        }
    }
    assert_eq!(keepers.len(), 1);
    keepers[0].append(progress()).await.unwrap();
}

#[tokio::test]
async fn a_worker_that_comes_later_can_neither_take_the_job_nor_write_to_it() {
    let desk = Desk::requested().await;
    let mut early = desk.open(WriterKind::Worker).await;
    let mut first = desk.open(WriterKind::Worker).await;
    first.append(began()).await.unwrap();
    // One that had read the journal before, and one that reads it now.
    assert!(matches!(early.append(began()).await, Err(RecordError::Lost(_))));
    let mut late = desk.open(WriterKind::Worker).await;
    assert!(matches!(late.append(began()).await, Err(RecordError::Lost(_))));
    assert!(matches!(late.append(progress()).await, Err(RecordError::Lost(_))));
}

#[tokio::test]
async fn the_gateway_and_the_worker_write_past_each_other() {
    let desk = Desk::requested().await;
    let mut gateway = desk.open(WriterKind::Gateway).await;
    let mut worker = desk.open(WriterKind::Worker).await;
    worker.append(began()).await.unwrap();
    gateway.append(Happening::CancelRequested).await.unwrap();
    worker.append(progress()).await.unwrap();
    assert!(worker.job().is_cancelling(), "the worker took in what came between");
    gateway.refresh().await.unwrap();
    assert_eq!(gateway.job(), worker.job());
}

/// Threat model, row 41: the event was stored, but its writer never heard so and tries again.
#[tokio::test]
async fn a_writer_knows_its_own_event_when_the_response_was_lost() {
    for between in [false, true] {
        let desk = Desk::requested().await;
        let mut worker = desk.open(WriterKind::Worker).await;
        if between {
            desk.open(WriterKind::Gateway).await.append(Happening::CancelRequested).await.unwrap();
            worker.refresh().await.unwrap();
        }
        let stored = worker.next(began(), "nonce");
        let key = Key::JobEvent(desk.job, stored.number);
        assert_eq!(create(&desk.store, &key, &stored).await.unwrap(), Creation::Created);
        assert!(worker.append_as(began(), "nonce", |_| true).await.unwrap());
        assert_eq!(worker.events().last(), Some(&stored));
        worker.append(progress()).await.unwrap();
        assert_eq!(desk.open(WriterKind::Gateway).await.events().len(), worker.events().len());
    }
}

#[tokio::test]
async fn an_event_that_was_stored_although_the_store_failed_is_not_written_again() {
    let failed = || StoreError::Unsupported { store: "the disk".to_owned(), what: "went away".to_owned() };
    let desk = Desk::requested().await;
    let mut worker = desk.open(WriterKind::Worker).await;
    let stored = worker.next(began(), "nonce");
    // Not stored: the error stays an error, and the journal as it was.
    let error = worker.conclude(stored.clone(), Err(failed())).await.unwrap_err();
    assert!(matches!(error, RecordError::Store(_)) && worker.events().len() == 1, "{error}");
    // Stored by another: still an error.
    let mut other = desk.open(WriterKind::Gateway).await;
    other.append(Happening::CancelRequested).await.unwrap();
    assert!(worker.conclude(stored, Err(failed())).await.is_err());
    // Stored by this very writer.
    worker.refresh().await.unwrap();
    let stored = worker.next(began(), "nonce");
    let key = Key::JobEvent(desk.job, stored.number);
    assert_eq!(create(&desk.store, &key, &stored).await.unwrap(), Creation::Created);
    assert!(worker.conclude(stored, Err(failed())).await.unwrap());
    worker.append(progress()).await.unwrap();
}

#[tokio::test]
async fn an_event_with_our_nonce_by_another_writer_is_not_ours() {
    let desk = Desk::requested().await;
    let mut worker = desk.open(WriterKind::Worker).await;
    let mut stored = worker.next(began(), "nonce");
    stored.writer.id = "another".to_owned();
    let key = Key::JobEvent(desk.job, stored.number);
    assert_eq!(create(&desk.store, &key, &stored).await.unwrap(), Creation::Created);
    assert!(matches!(worker.append_as(began(), "nonce", |_| true).await, Err(RecordError::Lost(_))));
}

#[tokio::test]
async fn nothing_comes_after_the_end() {
    let desk = Desk::requested().await;
    let mut worker = desk.open(WriterKind::Worker).await;
    worker.append(began()).await.unwrap();
    desk.open(WriterKind::Gateway).await.append(ended()).await.unwrap();
    for _ in 0..2 {
        assert!(matches!(worker.append(progress()).await, Err(RecordError::Lost(job)) if job == desk.job));
    }
    let mut gateway = desk.open(WriterKind::Gateway).await;
    assert!(matches!(gateway.append(Happening::CancelRequested).await, Err(RecordError::Lost(_))));
    assert_eq!(gateway.events().len(), 3);
}

/// The message quotes what an attacker wrote; an event that can't be read again would leave the job open for good.
#[tokio::test]
async fn a_refusal_with_endless_reasons_can_be_read_again() {
    let desk = Desk::requested().await;
    let mut worker = desk.open(WriterKind::Worker).await;
    worker.append(began()).await.unwrap();
    // Each control character is six bytes of JSON.
    let reason = manifest_schema::Reason::new(manifest_schema::Code::ApprovalRejected, "\u{1}".repeat(100_000));
    worker.append(Happening::Progress { lines: vec!["x".repeat(10_000); 1_000] }).await.unwrap();
    worker.append(Happening::Ended { outcome: JobOutcome::Refused, reasons: vec![reason; 300] }).await.unwrap();
    let (_, reasons) = desk.open(WriterKind::Gateway).await.job().ended().map(|(o, r)| (o, r.to_vec())).unwrap();
    assert_eq!(reasons.len(), 51);
}

#[tokio::test]
async fn a_document_that_could_not_be_read_again_is_not_written() {
    let desk = Desk::new().await;
    let asked = desk.open(WriterKind::Gateway).await.request().clone();
    let other = JobId::new(desk.ambient.now(), [7; 10]);
    let mut stored = JobRequest { job: other, ..asked };
    stored.request.key = "x".repeat(200_000);
    let error = create(&desk.store, &Key::JobRequest(other), &stored).await.unwrap_err();
    assert!(matches!(error, RecordError::TooLarge { .. }) && error.to_string().contains("200"), "{error}");
    assert!(desk.store.get(&Key::JobRequest(other), 1 << 20).await.unwrap().is_none());
}

#[tokio::test]
async fn what_cannot_happen_is_refused_before_it_is_written() {
    let desk = Desk::requested().await;
    let mut worker = desk.open(WriterKind::Worker).await;
    worker.append(began()).await.unwrap();
    assert!(matches!(worker.append(Happening::Checked).await, Err(RecordError::Journal(_))));
    assert_eq!(desk.open(WriterKind::Worker).await.events().len(), 2);
}

#[tokio::test]
async fn a_chain_that_was_changed_is_an_error() {
    for (case, number, change) in [
        ("a changed time", 2, (|text: String| text.replacen("20", "19", 1)) as fn(String) -> String),
        ("a changed word", 3, |text| text.replace("on it", "off it")),
        ("another place in the chain", 2, |text| text.replace(r#""number": 2"#, r#""number": 3"#)),
        ("no JSON", 4, |text| text[..text.len() / 2].to_owned()),
        ("an unknown field", 4, |text| text.replacen('{', r#"{"extra": 1,"#, 1)),
    ] {
        let desk = Desk::requested().await;
        let mut worker = desk.open(WriterKind::Worker).await;
        for happening in [began(), progress(), progress()] {
            worker.append(happening).await.unwrap();
        }
        let text = fs::read_to_string(desk.file(number)).unwrap();
        let changed = change(text.clone());
        assert_ne!(changed, text, "{case}");
        fs::write(desk.file(number), changed).unwrap();
        let error = desk.try_open(WriterKind::Gateway).await.unwrap_err();
        assert!(matches!(error, RecordError::Journal(_) | RecordError::Document { .. }), "{case}: {error}");
        assert!(!error.is_temporary());
    }
}

#[tokio::test]
async fn a_chain_with_an_event_missing_is_an_error() {
    for number in 1..=3 {
        let desk = Desk::requested().await;
        let mut worker = desk.open(WriterKind::Worker).await;
        for happening in [began(), progress(), progress()] {
            worker.append(happening).await.unwrap();
        }
        fs::remove_file(desk.file(number)).unwrap();
        let error = desk.try_open(WriterKind::Gateway).await.unwrap_err();
        assert!(error.to_string().contains(&format!("event {number}: is missing")), "{error}");
    }
}
