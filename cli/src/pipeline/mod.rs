//! What the pipeline's commands share: launching or re-attaching, following, keeping copies of what production signed.

pub(crate) mod busy;
pub(crate) mod changes;
pub(crate) mod copies;
pub(crate) mod drift;
pub(crate) mod events;
pub(crate) mod follow;
pub(crate) mod launch;
pub(crate) mod links;
pub(crate) mod live;
pub(crate) mod rollback;
pub(crate) mod story;
pub(crate) mod summary;
pub(crate) mod waiting;
