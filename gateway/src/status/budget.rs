use manifest_schema::gateway::MAX_ANSWER;
use manifest_schema::json::to_bytes;
use serde::Serialize;

/// For the outermost fields of an answer and the names that production reads.
const FRAME: usize = 16 << 10;
/// An item is indented by at most this many bytes per line inside an answer.
const INDENT: usize = 16;

/// How much more fits an answer.
#[derive(Debug)]
pub(super) struct Budget {
    left: usize,
}

impl Budget {
    /// That of an answer in which nothing is yet.
    pub(super) fn new() -> Self {
        Self { left: MAX_ANSWER - FRAME }
    }

    /// Takes room for an item, if there is enough.
    pub(super) fn take<T: Serialize>(&mut self, item: &T) -> bool {
        let bytes = to_bytes(item);
        let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
        let size = bytes.len() + (lines + 1) * INDENT;
        let fits = size <= self.left;
        if fits {
            self.left -= size;
        }
        fits
    }
}
