//! Change management around policy: the local tracker.
