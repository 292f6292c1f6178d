//! What other crates may write into a log.

use tracing::{Level, Metadata};

/// Our own crates, as their log lines are labelled.
const OURS: [&str; 13] = [
    "airlock",
    "airlock_gateway",
    "airlock_worker",
    "artifacts",
    "aws",
    "change",
    "gateway",
    "manifest_schema",
    "policy",
    "records",
    "signing",
    "store",
    "worker",
];

/// Whether a line may be logged, whatever was asked for: everything of ours, which holds no secret; of other crates only
/// what is at least `info`. The AWS SDK's finer lines are about requests and answers that hold session tokens; that it
/// leaves these out is nothing to rely on.
pub fn may_be_logged(metadata: &Metadata<'_>) -> bool {
    let ours = metadata.target().split("::").next().is_some_and(|name| OURS.contains(&name));
    ours || *metadata.level() <= Level::INFO
}
