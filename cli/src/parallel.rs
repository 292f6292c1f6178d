//! Several things at once, but not too many.

use std::future::Future;

use anyhow::Context as _;
use tokio::task::JoinSet;

use crate::exit::Failure;

/// Does `work` for each item, at most `most` at once; the results come in any order. After a failure nothing new is
/// begun, what was begun is waited for, and the first failure is returned.
///
/// # Errors
/// When `work` fails.
pub(crate) async fn each<T, R, F>(items: Vec<T>, most: usize, work: impl Fn(T) -> F) -> Result<Vec<R>, Failure>
where
    R: Send + 'static,
    F: Future<Output = Result<R, Failure>> + Send + 'static,
{
    let mut waiting = items.into_iter();
    let mut running = JoinSet::new();
    let mut results = Vec::new();
    let mut failed = None;
    loop {
        while failed.is_none() && running.len() < most.max(1) {
            let Some(item) = waiting.next() else { break };
            running.spawn(work(item));
        }
        let Some(ended) = running.join_next().await else { break };
        match ended.context("a task panicked").map_err(Failure::from).flatten() {
            Ok(result) => results.push(result),
            Err(failure) => failed = failed.or(Some(failure)),
        }
    }
    failed.map_or(Ok(results), Err)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn no_more_than_allowed_run_at_once_and_none_after_a_failure() {
        let (running, most, begun) = <(Arc<AtomicUsize>, Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
        let ended = each((0..100).collect(), 3, |item: usize| {
            let (running, most, begun) = (running.clone(), most.clone(), begun.clone());
            async move {
                begun.fetch_add(1, Ordering::SeqCst);
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                running.fetch_sub(1, Ordering::SeqCst);
                if item == 20 { Err(anyhow::anyhow!("item {item}").into()) } else { Ok(item) }
            }
        });
        assert_eq!(ended.await.unwrap_err().message(), "item 20");
        assert!(most.load(Ordering::SeqCst) <= 3);
        assert!(begun.load(Ordering::SeqCst) < 30);
    }
}
