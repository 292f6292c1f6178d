//! What the authors of a build wrote, as opposed to what production knows.
//!
//! Keys of instances and of maps are computed: `toset([base64encode(x.secret)])` makes a key of a secret, and of a data
//! source's results just as well. So a key leaves production only if the build says it itself: its own text, or words of
//! it put together (`subnet-2` of `subnet`). Whoever writes the configuration can still spell out a secret in words of
//! their own; that is for reviewers to see, and `docs/threat-model.md` says so.

use std::collections::HashSet;
use std::io;

/// Longer words and phrases are nobody's key.
const LONGEST: usize = 128;

/// Bytes of text that are remembered; what comes after is not, and keys with it are withheld.
const MOST: usize = 32 << 20;

/// What separates the words of a key that was put together. Others, such as `%` or `!`, are usual in generated secrets.
const SEPARATORS: &[char] = &['-', '_', '.', '/', ':', '@', ',', ' '];

/// An instance's number within a key, at most.
const DIGITS: usize = 3;

/// Text of a build: files in any number, one after the other, as they are. It is a sink, so that files can be streamed
/// into it while they are fetched.
#[derive(Debug, Default)]
pub struct Written {
    /// Runs of letters and digits, in lower case.
    words: HashSet<Box<str>>,
    /// What is between two quotation marks on a line, or between blanks without the punctuation around it.
    phrases: HashSet<Box<str>>,
    bytes: usize,
    word: Run,
    quoted: Run,
    chunk: Run,
}

impl Written {
    /// Adds a text that is complete in itself, such as the value of a variable.
    pub fn add(&mut self, text: &str) {
        self.end();
        remember(&mut self.phrases, &mut self.bytes, text.as_bytes());
        text.bytes().for_each(|byte| self.byte(byte));
        self.end();
    }

    /// Adds what another has.
    pub fn join(&mut self, mut other: Self) {
        self.end();
        other.end();
        for (into, from) in [(&mut self.words, other.words), (&mut self.phrases, other.phrases)] {
            from.iter().for_each(|text| remember(into, &mut self.bytes, text.as_bytes()));
        }
    }

    /// Whether the authors wrote this key, or all the words that it is made of.
    pub(super) fn has(&self, key: &str) -> bool {
        self.phrases.contains(key) || self.composed(key)
    }

    /// At least one real word, all of them written, and at most one number that isn't.
    fn composed(&self, key: &str) -> bool {
        let written = |word: &str| self.words.contains(word.to_ascii_lowercase().as_str());
        let is_number = |word: &str| word.len() <= DIGITS && word.bytes().all(|byte| byte.is_ascii_digit());
        let (mut named, mut numbers) = (false, 0);
        for word in key.split(SEPARATORS).filter(|word| !word.is_empty()) {
            let stem = word.trim_end_matches(|c: char| c.is_ascii_digit());
            let number = &word[stem.len()..];
            if written(word) {
                named |= word.len() >= DIGITS && !stem.is_empty();
            } else if is_number(number) && (stem.is_empty() || (stem.len() >= DIGITS && written(stem))) {
                named |= !stem.is_empty();
                numbers += 1;
            } else {
                return false;
            }
        }
        named && numbers <= 1
    }

    fn byte(&mut self, byte: u8) {
        if is_word(byte) {
            self.word.push(byte.to_ascii_lowercase());
        } else {
            self.end_word();
        }
        if matches!(byte, b'"' | b'\n' | b'\r' | 0) {
            self.quoted.end(&mut self.phrases, &mut self.bytes);
        } else {
            self.quoted.push(byte);
        }
        if byte.is_ascii_whitespace() || byte == 0 {
            self.end_chunk();
        } else {
            self.chunk.push(byte);
        }
    }

    fn end_word(&mut self) {
        self.word.end(&mut self.words, &mut self.bytes);
    }

    fn end_chunk(&mut self) {
        let punctuation = |byte: &u8| !is_word(*byte);
        let around = |bytes: &mut dyn Iterator<Item = &u8>| bytes.take_while(|byte| punctuation(byte)).count();
        let text = &self.chunk.text;
        let start = around(&mut text.iter());
        let end = text.len() - around(&mut text.iter().rev());
        if !self.chunk.too_long && start < end {
            remember(&mut self.phrases, &mut self.bytes, &text[start..end]);
        }
        self.chunk.clear();
    }

    fn end(&mut self) {
        self.end_word();
        self.quoted.end(&mut self.phrases, &mut self.bytes);
        self.end_chunk();
    }
}

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        bytes.iter().for_each(|byte| self.byte(*byte));
        Ok(bytes.len())
    }

    /// Ends the file: what follows doesn't continue its last word.
    fn flush(&mut self) -> io::Result<()> {
        self.end();
        Ok(())
    }
}

/// A run of bytes that is being read.
#[derive(Debug, Default)]
struct Run {
    text: Vec<u8>,
    too_long: bool,
}

impl Run {
    fn push(&mut self, byte: u8) {
        match self.text.len() < LONGEST {
            true => self.text.push(byte),
            false => self.too_long = true,
        }
    }

    fn end(&mut self, into: &mut HashSet<Box<str>>, bytes: &mut usize) {
        if !self.too_long {
            remember(into, bytes, &self.text);
        }
        self.clear();
    }

    fn clear(&mut self) {
        self.text.clear();
        self.too_long = false;
    }
}

fn remember(set: &mut HashSet<Box<str>>, bytes: &mut usize, text: &[u8]) {
    let Ok(text) = str::from_utf8(text) else { return };
    if !text.is_empty() && text.len() <= LONGEST && *bytes + text.len() <= MOST && !set.contains(text) {
        *bytes += text.len();
        set.insert(text.into());
    }
}

/// Letters and digits; beyond ASCII everything counts as a letter.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || !byte.is_ascii()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    const FILE: &str = r#"
        variable "tier" { default = "Web" }
        locals {
          zones   = ["a", "b1"]
          subnets = toset(["10.0.0.0/24", "*.example.com", "GET /users/{id}"])
        }
        resource "aws_subnet" "public" {}
        - plain.yaml/key: 7
    "#;

    fn written() -> Written {
        let mut written = Written::default();
        written.write_all(FILE.as_bytes()).unwrap();
        written.flush().unwrap();
        written.add("eu-central-1");
        written
    }

    #[test]
    fn a_key_is_written_as_it_is_or_in_its_words() {
        let written = written();
        for key in [
            "a",
            "b1",
            "Web",
            "10.0.0.0/24",
            "*.example.com",
            "GET /users/{id}",
            "plain.yaml/key",
            "eu-central-1",
            "web-a",
            "public-subnet-12",
            "subnet2",
            "tier_web",
            "aws_subnet.public",
            "central/web",
        ] {
            assert!(written.has(key), "{key}");
        }
    }

    #[test]
    fn what_is_computed_from_anything_else_is_not() {
        let written = written();
        for key in [
            "",
            "hunter2",
            "aHVudGVyMg==",
            "f52fbd32b2b3b86ff88ef6c490628285f482af15ddcb29541f94bcf526a3f6c7",
            "10.0.1.17",
            "10.0.0.7",
            "192.168.0.1",
            "c",
            "web-hunter2",
            "web-2-3",
            "web1234",
            "42",
            "a-b1-a",
            "we%b",
            "Web!a$b1",
            "0b3b9f4e-5b0e-4a53-8d0c-1d3a5b1c7f21",
            "a1",
            "toset\u{0}",
        ] {
            assert!(!written.has(key), "{key}");
        }
    }

    #[test]
    fn files_are_apart_and_pieces_of_one_are_not() {
        let mut written = Written::default();
        for piece in ["half", "way \"on", "e two\"", "end"] {
            written.write_all(piece.as_bytes()).unwrap();
        }
        written.flush().unwrap();
        written.write_all(b"less").unwrap();
        written.flush().unwrap();
        let told: Vec<_> = ["halfway", "one two", "end", "less"].iter().map(|key| written.has(key)).collect();
        assert_eq!((told, written.has("endless"), written.has("half")), (vec![true; 4], false, false));
    }

    #[test]
    fn memory_is_bounded() {
        let mut written = Written::default();
        for number in 0..150_000_u32 {
            write!(written, "{number:0>120} ").unwrap();
        }
        assert!(written.bytes <= MOST);
        assert!(!written.has(&format!("{:0>120}", 149_999)));
        written.write_all(&[b'x'; 10 * LONGEST]).unwrap();
        assert!(written.quoted.text.len() <= LONGEST && written.word.text.len() <= LONGEST);
    }
}
