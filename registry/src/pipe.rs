//! A blob's way from the store, which pushes bytes from a thread of its own, into a request's body, which is asked for
//! them: a few pieces at a time, and the last one only once the whole blob is verified.

use std::io::{self, ErrorKind, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use hyper::body::{Body, Frame, SizeHint};
use manifest_schema::manifest::BlobRef;
use store::{Store, StoreError};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Bytes passed on at once.
const PIECE: usize = 256 << 10;
/// Pieces on their way.
const PIECES: usize = 4;

/// How many bytes of the blob the connection has taken.
pub(crate) type Taken = Arc<AtomicU64>;

/// Called with the number of bytes that go out.
pub(crate) type Count = Box<dyn Fn(u64) + Send + Sync>;

/// Begins to read a blob. The body has its bytes from `from` on; what comes of reading, the task says.
pub(crate) fn open(
    store: &Store,
    blob: BlobRef,
    from: u64,
    count: Count,
) -> (Outgoing, Taken, JoinHandle<Result<(), StoreError>>) {
    let (pass, passed) = mpsc::channel(PIECES);
    let taken = Taken::default();
    let body = Outgoing { passed, left: blob.size.saturating_sub(from), taken: taken.clone(), count };
    let (store, inlet) = (store.clone(), Inlet { skip: from, held: BytesMut::new(), pass });
    let reading = tokio::spawn(async move {
        let inlet = store.read_blob(&blob, inlet).await?;
        inlet.finish().await.map_err(|source| StoreError::SinkFailed { digest: blob.digest, source })
    });
    (body, taken, reading)
}

/// Where the store writes.
struct Inlet {
    /// How many bytes are there already.
    skip: u64,
    held: BytesMut,
    pass: mpsc::Sender<Bytes>,
}

fn gone() -> io::Error {
    io::Error::new(ErrorKind::BrokenPipe, "the upload has ended")
}

impl Inlet {
    /// The rest, of verified bytes.
    async fn finish(self) -> io::Result<()> {
        if self.held.is_empty() {
            return Ok(());
        }
        self.pass.send(self.held.freeze()).await.map_err(|_| gone())
    }
}

impl Write for Inlet {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let skipped = usize::try_from(self.skip).map_or(bytes.len(), |skip| skip.min(bytes.len()));
        self.skip -= skipped as u64;
        self.held.extend_from_slice(&bytes[skipped..]);
        // Something is always held back until everything is verified.
        while self.held.len() > PIECE {
            let piece = self.held.split_to(PIECE).freeze();
            self.pass.blocking_send(piece).map_err(|_| gone())?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A request's body. It breaks off if the store doesn't give the whole blob.
pub(crate) struct Outgoing {
    passed: mpsc::Receiver<Bytes>,
    left: u64,
    taken: Taken,
    count: Count,
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match std::task::ready!(self.passed.poll_recv(context)) {
            Some(piece) => {
                let size = piece.len() as u64;
                self.left = self.left.saturating_sub(size);
                self.taken.fetch_add(size, Ordering::Relaxed);
                (self.count)(size);
                Poll::Ready(Some(Ok(Frame::data(piece))))
            }
            None if self.left == 0 => Poll::Ready(None),
            None => Poll::Ready(Some(Err(ErrorKind::UnexpectedEof.into()))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
