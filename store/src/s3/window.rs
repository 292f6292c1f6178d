//! How much of a store's blobs is in memory at one time.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// One part of an upload, and one range of a download, in bytes. S3 takes parts from 5 MiB, and 10,000 of them.
pub(super) const PART: u64 = 8 << 20;
/// Larger blobs are uploaded in parts.
pub(super) const WHOLE: u64 = 16 << 20;
/// All bytes on their way up or down, together.
const MOST: u64 = 24 << 20;
/// Permits are counted in these, because there are at most 2³² of them.
const UNIT: u64 = 1 << 10;

/// A bound on bytes; who wants to hold some waits for room.
#[derive(Debug)]
pub(super) struct Window(Arc<Semaphore>);

/// Room for bytes, until it is dropped.
#[derive(Debug)]
pub(super) struct Room(#[expect(dead_code, reason = "it is held, not used")] Option<OwnedSemaphorePermit>);

impl Window {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(units(MOST) as usize)))
    }

    /// Waits for room for `bytes`; one thing that is larger than the window gets all of it.
    pub(super) async fn room(&self, bytes: u64) -> Room {
        // Closed is what this semaphore never is.
        Room(Arc::clone(&self.0).acquire_many_owned(units(bytes.min(MOST))).await.ok())
    }

    /// Room for `bytes` if there is some now.
    pub(super) fn room_now(&self, bytes: u64) -> Option<Room> {
        Arc::clone(&self.0).try_acquire_many_owned(units(bytes.min(MOST))).ok().map(|permit| Room(Some(permit)))
    }
}

fn units(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX)
}

/// The size of each part of a blob but the last.
pub(super) fn part_size(blob: u64) -> u64 {
    PART.max(blob.div_ceil(10_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_blob_has_more_parts_than_s3_takes() {
        for size in [WHOLE + 1, 80 << 30, (80 << 30) + 1, 5 << 40] {
            assert!(size.div_ceil(part_size(size)) <= 10_000, "{size}");
        }
        assert_eq!(part_size(1 << 30), PART);
    }

    #[tokio::test]
    async fn whoever_finds_no_room_waits() {
        let window = Window::new();
        let all = window.room(u64::MAX).await;
        let waiting = window.room(1);
        tokio::pin!(waiting);
        assert!(tokio::time::timeout(std::time::Duration::from_millis(10), &mut waiting).await.is_err());
        assert!(window.room_now(1).is_none());
        drop(all);
        let _room = waiting.await;
        assert!(window.room_now(1).is_some());
    }
}
