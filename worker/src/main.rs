//! The ephemeral task.

fn main() {}
