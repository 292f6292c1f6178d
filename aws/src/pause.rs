//! Time between one attempt and the next, for what the SDK doesn't repeat by itself.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Waits after the `attempt`th attempt, counted from 1: longer each time, up to 6.4 seconds, and hardly ever as long as
/// somebody else who failed with us.
pub async fn pause(attempt: u32) {
    let bound = 100_u64 << attempt.min(6);
    let jitter = u64::from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().subsec_nanos());
    tokio::time::sleep(Duration::from_millis(bound / 2 + jitter % (bound / 2))).await;
}
