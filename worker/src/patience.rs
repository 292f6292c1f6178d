//! Asking AWS again: for as long as it may be busy or out of order, and nobody waits for longer.

use std::time::Duration;

use aws::AwsError;
use tokio::time::Instant;

use crate::session::Session;
use crate::stop::Stop;

/// How long a call is tried again that AWS refuses for now.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Asks AWS again for some time if it is busy or out of order, unless the job is wished to stop.
///
/// # Errors
/// When it is; what AWS says is within.
pub(crate) async fn patiently<T>(
    session: &Session,
    ask: impl AsyncFn() -> Result<T, AwsError>,
) -> Result<Result<T, AwsError>, Stop> {
    let mut stop = session.stop_signal();
    tokio::select! {
        // An answer comes before the wish to stop, if both are there.
        biased;
        answer = insistently(ask) => Ok(answer),
        asked = stop.wait() => Err(asked.stop()),
    }
}

/// The same, whatever is wished.
pub(crate) async fn insistently<T>(ask: impl AsyncFn() -> Result<T, AwsError>) -> Result<T, AwsError> {
    let begun = Instant::now();
    let mut attempt = 1;
    loop {
        match ask().await {
            Err(error) if error.is_temporary() && begun.elapsed() < PATIENCE => {
                tracing::warn!(%error, "AWS is asked again");
                aws::pause(attempt).await;
                attempt += 1;
            }
            answer => return answer,
        }
    }
}
