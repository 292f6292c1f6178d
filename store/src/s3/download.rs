//! Blobs on their way down: in ranges, several at once, in order through the hash into the sink.

use std::collections::VecDeque;
use std::io::{ErrorKind, Write};
use std::ops::Range;

use aws_sdk_s3::operation::get_object::GetObjectOutput;
use bytes::Bytes;
use manifest_schema::digest::Hasher;
use manifest_schema::manifest::BlobRef;
use manifest_schema::storage::Key;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::Bucket;
use super::call::{is_missing, is_refused};
use super::window::Room;
use crate::error::StoreError;
use crate::object::Version;
use crate::work::joined;

/// Bytes asked for in one request.
const RANGE: u64 = 8 << 20;
/// Ranges of one download on their way at once, if there is room in the store's window.
const AHEAD: usize = 3;
/// How often a range is asked for whose answer breaks off.
const READS: u32 = 5;

/// Which object the first answer was about; all others have to be about the same.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    version: Version,
    /// In a bucket with versions.
    id: Option<String>,
}

/// One answer's bytes, in the pieces in which they came.
type Pieces = Vec<Bytes>;

/// A range that is here, with the room that it takes until it is written.
type Held = (Pieces, Room);

impl Bucket {
    pub(crate) async fn read_blob<W>(&self, blob: BlobRef, sink: W) -> Result<W, StoreError>
    where
        W: Write + Send + 'static,
    {
        let first = 0..blob.size.min(RANGE);
        let room = self.0.window.room(first.end).await;
        let (seen, pieces) = self.clone().range(blob, first.clone(), None).await?;
        let (pass, passed) = mpsc::channel(1);
        let writing = tokio::task::spawn_blocking(self.checked(blob, sink, passed));
        let sent = self.pass_on(blob, &seen, first.end, (pieces, room), pass).await;
        // What the sink or the digest says comes first: it is why nothing more could be passed on.
        let written = joined(self.shown(), writing).await;
        match (sent, written) {
            (Ok(()), written) => written,
            (Err(_), Err(error @ StoreError::SinkFailed { .. })) => Err(error),
            (Err(error), _) => Err(error),
        }
    }

    /// Asks for the ranges from `next` on, some ahead, and passes them on in order.
    async fn pass_on(
        &self,
        blob: BlobRef,
        seen: &Seen,
        mut next: u64,
        first: Held,
        pass: mpsc::Sender<Held>,
    ) -> Result<(), StoreError> {
        let mut ahead = Ahead::default();
        let mut held = Some(first);
        loop {
            while ahead.0.len() < AHEAD && next < blob.size {
                let range = next..blob.size.min(next + RANGE);
                let size = range.end - range.start;
                // Nobody waits for room who could go on without: of the ranges that are on their way, none has to.
                let room = if ahead.0.is_empty() && held.is_none() {
                    self.0.window.room(size).await
                } else {
                    let Some(room) = self.0.window.room_now(size) else { break };
                    room
                };
                next = range.end;
                let arriving = self.clone().range(blob, range, Some(seen.clone()));
                ahead.0.push_back(tokio::spawn(async move { Ok((arriving.await?.1, room)) }));
            }
            if let Some(held) = held.take() {
                if pass.send(held).await.is_err() {
                    // The writer ended early; what it says tells why.
                    return Ok(());
                }
                continue;
            }
            let Some(front) = ahead.0.front_mut() else { return Ok(()) };
            let arrived = front.await;
            ahead.0.pop_front();
            held = Some(arrived.map_err(|error| self.broken(&Key::Blob(blob.digest).to_string(), error))??);
        }
    }

    /// What writes and hashes, in a thread of its own, until nothing more comes.
    fn checked<W: Write>(
        &self,
        blob: BlobRef,
        mut sink: W,
        mut passed: mpsc::Receiver<Held>,
    ) -> impl FnOnce() -> Result<W, StoreError> + use<W> {
        let this = self.clone();
        move || {
            let failed = |source| StoreError::SinkFailed { digest: blob.digest, source };
            let mut hasher = Hasher::default();
            while let Some((pieces, _room)) = passed.blocking_recv() {
                for piece in pieces {
                    hasher.update(&piece);
                    sink.write_all(&piece).map_err(failed)?;
                }
            }
            let (found, size) = hasher.finish();
            this.check_size(&blob, size)?;
            if found != blob.digest {
                return Err(this.mismatch(&blob, format!("its bytes have the digest {found}")));
            }
            sink.flush().map_err(failed)?;
            Ok(sink)
        }
    }

    /// All bytes of a range. What breaks off is asked for again from where it broke off.
    async fn range(self, blob: BlobRef, range: Range<u64>, seen: Option<Seen>) -> Result<(Seen, Pieces), StoreError> {
        let mut arriving = Arriving { seen, at: range.start, end: range.end, pieces: Vec::new() };
        let mut read = 1;
        loop {
            match self.arrive(&blob, &mut arriving).await {
                Ok(seen) => return Ok((seen, arriving.pieces)),
                Err(error) if read < READS && broke_off(&error) => {
                    aws::pause(read).await;
                    read += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// One request for what is left of a range.
    async fn arrive(&self, blob: &BlobRef, arriving: &mut Arriving) -> Result<Seen, StoreError> {
        let key = Key::Blob(blob.digest).to_string();
        let output = self.ask(blob, &key, arriving).await?;
        let seen = Seen { version: self.version(&key, output.e_tag())?, id: output.version_id().map(str::to_owned) };
        if arriving.seen.get_or_insert_with(|| seen.clone()).version != seen.version {
            return Err(self.mismatch(blob, "it was replaced while it was read"));
        }
        let mut body = output.body;
        while let Some(piece) = body.next().await {
            let piece = piece.map_err(|error| self.broken(&key, error))?;
            arriving.at += piece.len() as u64;
            if arriving.at > arriving.end {
                return Err(self.wrong(&key, "it sends more than it was asked for"));
            }
            arriving.pieces.push(piece);
        }
        if arriving.at < arriving.end {
            return Err(self.broken(&key, std::io::Error::from(ErrorKind::UnexpectedEof)));
        }
        Ok(seen)
    }

    async fn ask(&self, blob: &BlobRef, key: &str, arriving: &Arriving) -> Result<GetObjectOutput, StoreError> {
        let full = self.full(key);
        let whole = arriving.at == 0 && arriving.end == blob.size;
        // An empty object has no range, and one that is read whole needs none.
        let range = (!whole).then(|| format!("bytes={}-{}", arriving.at, arriving.end.saturating_sub(1)));
        let call = self.0.client.get_object().bucket(self.0.location.bucket()).key(&full).set_range(range.clone());
        let call = call.set_expected_bucket_owner(self.owner());
        let call = call.set_if_match(arriving.seen.as_ref().map(|seen| seen.version.as_str().to_owned()));
        let call = call.set_version_id(arriving.seen.as_ref().and_then(|seen| seen.id.clone()));
        let output = match call.send().await {
            Ok(output) => output,
            Err(error) if is_refused(&error) => {
                return Err(self.mismatch(blob, "it was replaced while it was read"));
            }
            Err(error) if is_missing(&error) => {
                return Err(StoreError::BlobMissing { store: self.shown(), digest: blob.digest });
            }
            Err(error) if error.raw_response().is_some_and(|response| response.status().as_u16() == 416) => {
                return Err(self.mismatch(blob, format!("it has no {} bytes", blob.size)));
            }
            Err(error) => return Err(self.failed("s3:GetObject", &full)(error).into()),
        };
        match (range, output.content_range()) {
            (Some(_), Some(told)) => {
                let (from, size) = parse(told).ok_or_else(|| self.wrong(key, format!("its range is {told:?}")))?;
                self.check_size(blob, size)?;
                if from != arriving.at {
                    return Err(self.wrong(key, format!("its range is {told:?}")));
                }
            }
            (Some(_), None) => return Err(self.wrong(key, "it sends everything instead of a range")),
            (None, _) => {
                let told = output.content_length().and_then(|length| u64::try_from(length).ok());
                self.check_size(blob, told.ok_or_else(|| self.wrong(key, "it has no size"))?)?;
            }
        }
        Ok(output)
    }
}

/// A range, as far as it is here.
struct Arriving {
    seen: Option<Seen>,
    at: u64,
    end: u64,
    pieces: Pieces,
}

/// Requests that end with whoever waits for them.
#[derive(Default)]
struct Ahead(VecDeque<JoinHandle<Result<Held, StoreError>>>);

impl Drop for Ahead {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

/// Where a range begins, and the size of the whole, from `bytes 0-9/100` (RFC 9110, `Content-Range`).
fn parse(range: &str) -> Option<(u64, u64)> {
    let (range, size) = range.strip_prefix("bytes ")?.split_once('/')?;
    Some((range.split_once('-')?.0.parse().ok()?, size.parse().ok()?))
}

/// Whether an answer ended before its end: what was never answered, the client has repeated already.
pub(super) fn broke_off(error: &StoreError) -> bool {
    matches!(error, StoreError::Io { source, .. } if source.kind() == ErrorKind::ConnectionReset)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn ranges_are_read_strictly() {
        assert_eq!(parse("bytes 0-9/100"), Some((0, 100)));
        for bad in ["", "bytes */100", "bytes 0-9/*", "bytes 0/100", "items 0-9/100"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
