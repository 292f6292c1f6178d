//! One blob into the registry (distribution-spec v1.1, "Pushing blobs"): found there, mounted, or sent.
//!
//! A blob is sent in one request, `PATCH`, and made one by another, `PUT`, whose digest the registry checks again.
//! Smaller parts would let an upload go on after less, but ECR loses all parts after the first
//! (github.com/aws/containers-roadmap/issues/2831). Where a request breaks off, the registry is asked how much it has
//! (end-13); if it doesn't know, or what it ends up with isn't the blob, everything is sent again.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use aws_smithy_types::body::SdkBody;
use manifest_schema::manifest::BlobRef;
use manifest_schema::registry::Repository;
use store::{Store, StoreError};

use crate::authorization::encoded;
use crate::client::{ATTEMPTS, Answer, Ask, Client, NoAnswer, given_up};
use crate::error::{Permission, RegistryError};
use crate::pipe;
use crate::push::{Happening, Listener};

/// For how long an upload may stand still.
const STILL: Duration = Duration::from_secs(60);

/// How often everything is sent that the registry then doesn't take for the blob.
const LOSSES: u32 = 2;

/// How a blob got there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Way {
    Present,
    Mounted,
    Sent,
}

/// A blob on its way, with all that is needed for it.
pub(crate) struct Upload {
    pub(crate) client: Arc<Client>,
    pub(crate) store: Store,
    pub(crate) blob: BlobRef,
    pub(crate) mount_from: Arc<[Repository]>,
    pub(crate) listener: Listener,
}

/// An upload that the registry knows.
#[derive(Debug)]
struct Begun {
    /// Where its next bytes go.
    location: String,
    /// How many bytes the registry has.
    offset: u64,
}

/// Why an attempt is not the last.
enum Setback {
    /// The registry may have some of it.
    Interrupted(Result<Answer, NoAnswer>),
    /// The registry has something else, or nothing.
    Lost(Result<Answer, NoAnswer>),
}

impl Upload {
    /// Sees to it that the registry has the blob.
    pub(crate) async fn run(self) -> Result<Way, RegistryError> {
        if self.is_there().await? {
            return Ok(Way::Present);
        }
        let mut begun = None;
        for from in self.mount_from.iter() {
            match self.mount(from).await? {
                Mount::Done => return Ok(Way::Mounted),
                Mount::Begun(upload) => {
                    // The next one begins another upload; this one expires.
                    begun = Some(upload);
                }
                Mount::No => {}
            }
        }
        self.send(begun).await?;
        Ok(Way::Sent)
    }

    fn name(&self) -> String {
        format!("the blob {}", self.blob.digest)
    }

    async fn is_there(&self) -> Result<bool, RegistryError> {
        let doing = self.client.doing(format!("look for {}", self.name()), Permission::BatchCheckLayerAvailability);
        let url = self.client.url(&format!("blobs/{}", self.blob.digest));
        let answer = self.client.ask(&Ask::new("HEAD", url), &doing).await?;
        match answer.status {
            200 => {}
            // It is somewhere else, where whoever pulls is sent: there, that is.
            302 | 303 | 307 | 308 => return Ok(true),
            404 => return Ok(false),
            _ => return Err(RegistryError::Refused { doing, said: answer.said() }),
        }
        let size = answer.header("content-length").and_then(|size| size.parse::<u64>().ok());
        match size.filter(|size| *size != self.blob.size) {
            Some(size) => {
                let problem = format!("{} has {size} bytes there, not {}", self.blob.digest, self.blob.size);
                Err(RegistryError::WrongAnswer { doing, problem })
            }
            None => Ok(true),
        }
    }

    /// Only a shortcut: whatever keeps the registry from it, the blob can be sent.
    async fn mount(&self, from: &Repository) -> Result<Mount, RegistryError> {
        let doing = self.client.doing(format!("mount {}", self.name()), Permission::InitiateLayerUpload);
        let query = format!("mount={}&from={}", self.blob.digest, encoded(&from.to_string()));
        let ask = Ask::new("POST", self.client.url(&format!("blobs/uploads/?{query}"))).header("content-length", "0");
        let Ok(answer) = self.client.ask_once(&ask, &doing).await? else { return Ok(Mount::No) };
        match answer.status {
            201 => Ok(Mount::Done),
            202 => Ok(Mount::Begun(Begun { location: self.client.located(&answer, &doing)?, offset: 0 })),
            _ => Ok(Mount::No),
        }
    }

    async fn begin(&self) -> Result<Begun, RegistryError> {
        let doing = self.client.doing(format!("begin to upload {}", self.name()), Permission::InitiateLayerUpload);
        let ask = Ask::new("POST", self.client.url("blobs/uploads/")).header("content-length", "0");
        let answer = self.client.ask(&ask, &doing).await?;
        if answer.status != 202 {
            return Err(RegistryError::Refused { doing, said: answer.said() });
        }
        Ok(Begun { location: self.client.located(&answer, &doing)?, offset: 0 })
    }

    /// Sends it, as often as it takes; an attempt that got further than all before doesn't count.
    async fn send(&self, mut begun: Option<Begun>) -> Result<(), RegistryError> {
        let doing = self.client.doing(format!("upload {}", self.name()), Permission::UploadLayerPart);
        let (mut failures, mut furthest, mut losses, mut may_resume) = (0, 0, 0, true);
        loop {
            let mut upload = match begun.take() {
                Some(upload) => upload,
                None => self.begin().await?,
            };
            let resumed = upload.offset > 0;
            let setback = match self.attempt(&mut upload).await? {
                Ok(()) => return Ok(()),
                Err(setback) => setback,
            };
            let (answer, interrupted) = match setback {
                Setback::Interrupted(answer) => (answer, true),
                Setback::Lost(answer) => (answer, false),
            };
            let why = answer.as_ref().map_or_else(|none| none.problem.clone(), Answer::said);
            failures += 1;
            if !interrupted {
                // Of what a resumed upload ends up with that isn't the blob, nothing shows where it went wrong. What was
                // sent whole went wrong on its way once, but not twice.
                may_resume &= !resumed;
                losses += u32::from(!resumed);
            }
            if failures >= ATTEMPTS || losses >= LOSSES {
                return Err(given_up(answer, &doing));
            }
            aws::pause(failures).await;
            // An answer that was lost may have been that all went well.
            if self.is_there().await? {
                return Ok(());
            }
            if interrupted && may_resume {
                begun = self.found(&upload).await;
            }
            let offset = begun.as_ref().map_or(0, |upload| upload.offset);
            if offset > furthest {
                (furthest, failures) = (offset, 0);
            }
            (self.listener)(Happening::Again { blob: self.blob, offset, why });
        }
    }

    /// How much the registry has of an upload that broke off (end-13), if it can say.
    async fn found(&self, upload: &Begun) -> Option<Begun> {
        let doing = self.client.doing(format!("resume {}", self.name()), Permission::UploadLayerPart);
        let answer = self.client.ask_once(&Ask::new("GET", &upload.location), &doing).await.ok()?.ok()?;
        if !matches!(answer.status, 200 | 202 | 204) {
            return None;
        }
        let offset = received(&answer)?;
        let location = self.client.located(&answer, &doing).ok()?;
        (offset <= self.blob.size).then_some(Begun { location, offset })
    }

    async fn attempt(&self, upload: &mut Begun) -> Result<Result<(), Setback>, RegistryError> {
        if upload.offset < self.blob.size
            && let Err(setback) = self.send_rest(upload).await?
        {
            return Ok(Err(setback));
        }
        let doing = self.client.doing(format!("finish the upload of {}", self.name()), Permission::CompleteLayerUpload);
        let next = if upload.location.contains('?') { '&' } else { '?' };
        let url = format!("{}{next}digest={}", upload.location, encoded(&self.blob.digest.to_string()));
        let answer = self.client.ask_once(&Ask::new("PUT", url).header("content-length", "0"), &doing).await?;
        match answer {
            Ok(answer) if matches!(answer.status, 200 | 201 | 204) => Ok(Ok(())),
            Ok(answer) if answer.passes() => Ok(Err(Setback::Interrupted(Ok(answer)))),
            Ok(answer) => {
                let answer = self.client.let_in(answer, &doing)?;
                Ok(Err(Setback::Lost(Ok(answer))))
            }
            Err(none) => Ok(Err(Setback::Interrupted(Err(none)))),
        }
    }

    /// Everything from the offset on, in one request.
    async fn send_rest(&self, upload: &mut Begun) -> Result<Result<(), Setback>, RegistryError> {
        let doing = self.client.doing(format!("upload {}", self.name()), Permission::UploadLayerPart);
        let (blob, listener) = (self.blob, self.listener.clone());
        let count = Box::new(move |bytes| listener(Happening::Moving { blob, bytes }));
        let (body, taken, reading) = pipe::open(&self.store, blob, upload.offset, count);
        let mut ask = Ask::new("PATCH", &upload.location)
            .header("content-type", "application/octet-stream")
            .header("content-length", (blob.size - upload.offset).to_string());
        if upload.offset > 0 {
            ask = ask.header("content-range", format!("{}-{}", upload.offset, blob.size - 1));
        }
        let sending = self.client.stream(&ask, SdkBody::from_body_1_x(body), &doing);
        let answer = while_moving(sending, || taken.load(Ordering::Relaxed)).await?;
        // By now the body is gone, and with it whatever the store waits for.
        match reading.await {
            Ok(Ok(()) | Err(StoreError::SinkFailed { .. })) => {}
            Ok(Err(error)) => {
                self.cancel(upload).await;
                return Err(error.into());
            }
            Err(stopped) => match stopped.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => return Ok(Err(Setback::Interrupted(answer))),
            },
        }
        let answer = match answer {
            Ok(answer) => answer,
            Err(none) => return Ok(Err(Setback::Interrupted(Err(none)))),
        };
        match answer.status {
            // ECR says 201.
            201 | 202 | 204 => {}
            // Who we are was shown anew by now.
            401 => return Ok(Err(Setback::Interrupted(Ok(answer)))),
            // The upload is not where we think it is, or not there at all.
            404 | 416 => return Ok(Err(Setback::Lost(Ok(self.client.let_in(answer, &doing)?)))),
            _ if answer.passes() => return Ok(Err(Setback::Interrupted(Ok(answer)))),
            _ => {
                let answer = self.client.let_in(answer, &doing)?;
                return Err(RegistryError::Refused { doing, said: answer.said() });
            }
        }
        if let Some(received) = received(&answer).filter(|received| *received != blob.size) {
            let problem = format!("all was sent, and the registry says that it has {received} of {} bytes", blob.size);
            return Ok(Err(Setback::Lost(Err(NoAnswer { problem, passes: true }))));
        }
        (upload.location, upload.offset) = (self.client.located(&answer, &doing)?, blob.size);
        Ok(Ok(()))
    }

    /// So that the registry needn't keep what will never be a blob; it would forget it by itself.
    async fn cancel(&self, upload: &Begun) {
        let doing = self.client.doing(format!("cancel the upload of {}", self.name()), Permission::UploadLayerPart);
        if let Err(error) = self.client.ask_once(&Ask::new("DELETE", &upload.location), &doing).await {
            tracing::debug!(%error, "an upload is left to expire");
        }
    }
}

/// What came of asking for a mount.
enum Mount {
    Done,
    /// The registry doesn't mount it, and has begun an upload instead.
    Begun(Begun),
    No,
}

/// How many bytes a registry says it has: `Range: 0-<the last one>`. One byte can't be told from none, so neither is.
fn received(answer: &Answer) -> Option<u64> {
    let range = answer.header("range")?;
    let range = range.strip_prefix("bytes=").unwrap_or(range);
    let last = range.strip_prefix("0-")?.parse::<u64>().ok()?;
    last.checked_add(1).filter(|received| *received > 1)
}

/// The answer, unless nothing moves for too long.
async fn while_moving(
    sending: impl Future<Output = Result<Result<Answer, NoAnswer>, RegistryError>>,
    taken: impl Fn() -> u64,
) -> Result<Result<Answer, NoAnswer>, RegistryError> {
    let mut sending = std::pin::pin!(sending);
    let mut seen = taken();
    loop {
        tokio::select! {
            answer = &mut sending => return answer,
            () = tokio::time::sleep(STILL) => {
                if taken() == seen {
                    let problem = format!("nothing has moved for {} s", STILL.as_secs());
                    return Ok(Err(NoAnswer { problem, passes: true }));
                }
                seen = taken();
            }
        }
    }
}
