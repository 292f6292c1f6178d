//! Words, sizes and durations as people read them.

use std::fmt::Write as _;

use unicode_width::UnicodeWidthStr as _;

/// `text` with control characters made visible, so that no document can steer a terminal. Line breaks stay.
pub(crate) fn plain(text: &str) -> String {
    // Bidirectional overrides are no control characters, but reorder what follows as well as hide it.
    let steers = |c: char| {
        c.is_control() && c != '\n'
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let mut clean = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '\t' {
            clean.push(' ');
        } else if steers(c) {
            let _ = write!(clean, "\\u{{{:x}}}", u32::from(c));
        } else {
            clean.push(c);
        }
    }
    clean
}

/// Breaks lines between words so that they fit `width` columns; the first is indented by `first`, others by `rest`.
///
/// A word that is longer than a line gets a line of its own and stays whole, so that digests and paths can be copied.
pub(crate) fn wrap(text: &str, width: Option<usize>, first: usize, rest: usize) -> String {
    let mut wrapped = String::new();
    for (number, line) in text.split('\n').enumerate() {
        let indent = if number == 0 { first } else { rest };
        if number > 0 {
            wrapped.push('\n');
        }
        wrap_line(&mut wrapped, line, width.unwrap_or(usize::MAX), indent, rest);
    }
    wrapped
}

fn wrap_line(wrapped: &mut String, line: &str, width: usize, indent: usize, rest: usize) {
    // What the line itself is indented by, its continuation is, too.
    let words = line.trim_start_matches(' ');
    let own = line.len() - words.len();
    let (indent, rest) = (indent + own, rest + own);
    let mut column = 0;
    for (number, word) in words.split(' ').enumerate() {
        let length = word.width();
        if number == 0 {
            wrapped.push_str(&" ".repeat(if word.is_empty() { 0 } else { indent }));
            column = indent;
        } else if column + 1 + length > width {
            wrapped.push('\n');
            wrapped.push_str(&" ".repeat(rest));
            column = rest;
        } else {
            wrapped.push(' ');
            column += 1;
        }
        wrapped.push_str(word);
        column += length;
    }
}

/// How many of something: `1 file`, `2 files`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

/// Bytes: `512 B`, `1.2 MiB`.
pub(crate) fn size(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    // Tenths, in integers: rounding down never shows more than there is.
    let (mut tenths, mut unit) = (u128::from(bytes) * 10 / 1024, 0);
    while tenths >= 10_240 && unit + 1 < units.len() {
        tenths /= 1024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, units[unit])
}

/// Seconds: `45 s`, `2 min 5 s`, `3 h 10 min`, `2 d 4 h`.
pub(crate) fn duration(seconds: u64) -> String {
    let two = |large: u64, large_unit: &str, small: u64, small_unit: &str| match small {
        0 => format!("{large} {large_unit}"),
        _ => format!("{large} {large_unit} {small} {small_unit}"),
    };
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => two(seconds / 60, "min", seconds % 60, "s"),
        3600..86_400 => two(seconds / 3600, "h", seconds % 3600 / 60, "min"),
        86_400.. => two(seconds / 86_400, "d", seconds % 86_400 / 3600, "h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations_read_well() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1_258_291, "1.1 MiB"),
            ((1 << 20) - 1, "1023.9 KiB"),
            (u64::MAX, "15.9 EiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
        for (seconds, text) in
            [(0, "0 s"), (59, "59 s"), (60, "1 min"), (125, "2 min 5 s"), (11_400, "3 h 10 min"), (187_200, "2 d 4 h")]
        {
            assert_eq!(duration(seconds), text);
        }
    }

    #[test]
    fn one_is_not_many() {
        assert_eq!([count(0, "file"), count(1, "file"), count(2, "file")], ["0 files", "1 file", "2 files"]);
    }

    #[test]
    fn lines_break_between_words_and_long_words_stay_whole() {
        let wrapped = wrap("a digest sha256:0123456789abcdef is long", Some(20), 0, 2);
        assert_eq!(wrapped, "a digest\n  sha256:0123456789abcdef\n  is long");
        assert_eq!(wrap("one two", None, 2, 4), "  one two");
        assert_eq!(wrap("  one two", Some(6), 0, 2), "  one\n    two");
        assert_eq!(wrap("one\n\ntwo", None, 0, 2), "one\n\n  two");
        assert_eq!(wrap("one\ntwo", Some(40), 0, 2), "one\n  two");
        assert_eq!(wrap("日本 日本 日本", Some(10), 0, 0), "日本 日本\n日本");
    }

    #[test]
    fn documents_cannot_steer_a_terminal() {
        assert_eq!(plain("a\x1b[31mb\r\u{202e}c\td\ne"), "a\\u{1b}[31mb\\u{d}\\u{202e}c d\ne");
    }
}
