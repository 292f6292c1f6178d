//! Two texts, line by line.

use manifest_schema::diff::{Hunk, Line, LinesDiff};
use similar::{ChangeTag, DiffOp, TextDiff};

/// Longest file that is compared, in bytes.
pub(super) const FILE_LIMIT: u64 = 1 << 20;

/// Most lines of a file that is compared: the time that two files take grows faster than their lines do.
const MOST_LINES: usize = 20_000;

/// Lines around a change.
const CONTEXT: usize = 3;

/// Longest line that is told whole, in characters.
const LINE_LIMIT: usize = 1_000;

/// Compares two files, of which one may not be there; the hunks have at most `most` lines altogether.
pub(super) fn compare(old: Option<&[u8]>, new: Option<&[u8]>, most: usize) -> LinesDiff {
    let (old, new) = (old.unwrap_or_default(), new.unwrap_or_default());
    if [old, new].iter().any(|bytes| bytes.len() as u64 > FILE_LIMIT) {
        return LinesDiff::TooLarge;
    }
    let (Some(old), Some(new)) = (text(old), text(new)) else { return LinesDiff::Binary };
    if [old, new].iter().any(|text| text.lines().count() > MOST_LINES) {
        return LinesDiff::TooLarge;
    }
    let diff = TextDiff::from_lines(old, new);
    let count = |range: fn(&DiffOp) -> usize| diff.ops().iter().map(|op| range(op) as u64).sum();
    let changed = |op: &DiffOp| !matches!(op, DiffOp::Equal { .. });
    let added = count(|op| if matches!(op, DiffOp::Equal { .. }) { 0 } else { op.new_range().len() });
    let removed = count(|op| if matches!(op, DiffOp::Equal { .. }) { 0 } else { op.old_range().len() });
    let (mut hunks, mut left, mut omitted) = (Vec::new(), most, 0);
    for ops in diff.grouped_ops(CONTEXT).iter().filter(|ops| ops.iter().any(changed)) {
        let mut lines = Vec::new();
        for change in ops.iter().flat_map(|op| diff.iter_changes(op)) {
            if left == 0 {
                omitted += 1;
                continue;
            }
            left -= 1;
            let text = shown(change.value());
            lines.push(match change.tag() {
                ChangeTag::Equal => Line::Same(text),
                ChangeTag::Delete => Line::Removed(text),
                ChangeTag::Insert => Line::Added(text),
            });
            if change.missing_newline() {
                lines.push(Line::NoNewline);
            }
        }
        if let Some(first) = ops.first().filter(|_| !lines.is_empty()) {
            let start = |range: std::ops::Range<usize>, all: usize| if all == 0 { 0 } else { range.start as u64 + 1 };
            let old_start = start(first.old_range(), diff.old_len());
            hunks.push(Hunk { old_start, new_start: start(first.new_range(), diff.new_len()), lines });
        }
    }
    LinesDiff::Text { added, removed, hunks, omitted }
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok().filter(|text| !text.contains('\0'))
}

/// A line without its line break, and not too long. A carriage return stays: that it is there may be the difference.
fn shown(line: &str) -> String {
    clip(line.strip_suffix('\n').unwrap_or(line), LINE_LIMIT)
}

/// The first `most` characters of a text, and how many are left out.
pub(super) fn clip(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        // A longer text is only worth cutting if the mark is shorter than what it stands for.
        Some((end, _)) if text.len() - end > 32 => {
            let more = text[end..].chars().count();
            format!("{}… ({more} more characters)", &text[..end])
        }
        Some(_) | None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A comparison as `diff -u` writes it.
    fn unified(old: &str, new: &str) -> String {
        let LinesDiff::Text { hunks, .. } = compare(Some(old.as_bytes()), Some(new.as_bytes()), usize::MAX) else {
            panic!("no text")
        };
        let mut text = String::new();
        for hunk in hunks {
            let (old, new) = hunk.lengths();
            text += &format!("@{},{old} {},{new}", hunk.old_start, hunk.new_start);
            for line in hunk.lines {
                text += &match line {
                    Line::Same(line) => format!(" ={line}"),
                    Line::Removed(line) => format!(" -{line}"),
                    Line::Added(line) => format!(" +{line}"),
                    Line::NoNewline => " \\".to_owned(),
                };
            }
        }
        text
    }

    #[test]
    fn hunks_are_those_of_a_unified_diff() {
        for (old, new, expected) in [
            ("a\n", "a\n", ""),
            ("", "a\n", "@0,0 1,1 +a"),
            ("a\n", "", "@1,1 0,0 -a"),
            ("a\nb\n", "a\nc\n", "@1,2 1,2 =a -b +c"),
            ("a", "a\n", "@1,1 1,1 -a \\ +a"),
            ("a\r\n", "a\n", "@1,1 1,1 -a\r +a"),
            ("1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\n3\n4\n5\n6\n7\n8\nx\n", "@6,4 6,4 =6 =7 =8 -9 +x"),
        ] {
            assert_eq!(unified(old, new), expected, "{old:?} → {new:?}");
        }
    }

    #[test]
    fn changes_far_apart_are_hunks_of_their_own() {
        let old: String = (1..=40).map(|number| format!("{number}\n")).collect();
        let new = old.replace("5\n6\n", "5\nsix\n").replace("35\n36\n", "35\n");
        assert_eq!(unified(&old, &new), "@3,7 3,7 =3 =4 =5 -6 +six =7 =8 =9@33,7 33,6 =33 =34 =35 -36 =37 =38 =39");
    }

    #[test]
    fn what_is_no_text_or_too_long_is_not_compared() {
        let long = vec![b'a'; usize::try_from(FILE_LIMIT).unwrap() + 1];
        for (old, new, expected) in [
            (&b"a\0b"[..], &b"a"[..], LinesDiff::Binary),
            (b"a", b"\xff", LinesDiff::Binary),
            (b"a", &long, LinesDiff::TooLarge),
        ] {
            assert_eq!(compare(Some(old), Some(new), 10), expected);
        }
        let nothing = LinesDiff::Text { added: 0, removed: 0, hunks: Vec::new(), omitted: 0 };
        assert_eq!(compare(None, Some(b""), 10), nothing);
    }

    #[test]
    fn what_is_left_out_is_counted() {
        let new = "line\n".repeat(100);
        let LinesDiff::Text { added, hunks, omitted, .. } = compare(None, Some(new.as_bytes()), 30) else { panic!() };
        assert_eq!((added, hunks[0].lines.len(), omitted), (100, 30, 70));
        let long = "x".repeat(5_000);
        let LinesDiff::Text { hunks, .. } = compare(None, Some(long.as_bytes()), 30) else { panic!() };
        let Line::Added(line) = &hunks[0].lines[0] else { panic!() };
        assert_eq!(*line, format!("{}… (4000 more characters)", "x".repeat(1_000)));
        assert_eq!(clip("日本語", 3), "日本語");
    }

    /// The worst that two files of the longest length can be: all lines different, or nearly all alike.
    #[test]
    fn hostile_files_are_compared_in_bounded_time() {
        let numbered = |step: usize| -> String { (0..MOST_LINES).map(|n| format!("{}\n", n * step)).collect() };
        let alike = |odd: usize| -> String {
            (0..MOST_LINES).map(|n| if (n * n) % odd == 1 { "a\n" } else { "b\n" }).collect()
        };
        let begun = std::time::Instant::now();
        for (old, new) in [(numbered(1), numbered(2)), (alike(3), alike(7)), (alike(2), alike(3))] {
            assert!(matches!(compare(Some(old.as_bytes()), Some(new.as_bytes()), 10), LinesDiff::Text { .. }));
        }
        assert!(begun.elapsed().as_secs() < 30, "{:?}", begun.elapsed());
        let more = "\n".repeat(MOST_LINES + 1);
        assert_eq!(compare(None, Some(more.as_bytes()), 10), LinesDiff::TooLarge);
    }
}
