//! Work in tasks and threads of its own.

use tokio::task::JoinHandle;

use crate::error::StoreError;

/// Runs what blocks, such as file systems and hashing, in a thread of its own.
pub(crate) async fn blocking<T: Send + 'static>(
    store: String,
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    joined(store, tokio::task::spawn_blocking(work)).await
}

/// What came of a task; a panic there goes on here.
pub(crate) async fn joined<T>(store: String, task: JoinHandle<Result<T, StoreError>>) -> Result<T, StoreError> {
    match task.await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(stopped) => {
                let source = std::io::Error::other(stopped);
                Err(StoreError::Io { store, action: "finish work on", key: "objects".to_owned(), source })
            }
        },
    }
}
