//! SHA-256 digests: the only names that bytes have here.

use std::fmt;
use std::str::FromStr;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

/// A SHA-256 digest, written `sha256:<64 lower-case hex>` (OCI image spec, descriptor digests).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

/// Text that is no digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a digest: expected sha256: and 64 lower-case hex digits")]
pub struct DigestError(String);

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// A digest from its 32 bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// 64 lower-case hex digits, without the algorithm.
    pub fn hex(&self) -> String {
        hex(&self.0)
    }

    /// [`Digest::hex`] without a text of its own.
    pub(crate) fn digits(&self) -> [u8; 64] {
        let mut digits = [0; 64];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(self.0) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        digits
    }

    /// Reads 64 lower-case hex digits, as in-toto's `digest.sha256` writes them.
    ///
    /// # Errors
    /// When `text` is anything else.
    pub fn from_hex(text: &str) -> Result<Self, DigestError> {
        let refuse = || DigestError(text.to_owned());
        let digits: &[u8; 64] = text.as_bytes().try_into().map_err(|_| refuse())?;
        let (mut bytes, mut seen) = ([0; 32], 0);
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let (high, low) = (VALUES[usize::from(pair[0])], VALUES[usize::from(pair[1])]);
            seen |= high | low;
            *byte = high << 4 | low & 15;
        }
        if seen & NO_DIGIT == 0 { Ok(Self(bytes)) } else { Err(refuse()) }
    }

    /// The first 12 hex digits, for people; never for comparing.
    pub fn short(&self) -> String {
        hex(&self.0[..6])
    }
}

/// Hashes while bytes stream past.
#[derive(Clone, Default)]
pub struct Hasher {
    state: Sha256,
    length: u64,
}

impl Hasher {
    /// Takes in the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.state.update(bytes);
        self.length += bytes.len() as u64;
    }

    /// The digest of all bytes taken in, and how many they were.
    pub fn finish(self) -> (Digest, u64) {
        (Digest(self.state.finalize().into()), self.length)
    }
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Lower-case hex of any bytes.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

/// Of a byte that is no hex digit.
const NO_DIGIT: u8 = 0x80;

/// What each byte is worth as a hex digit. A table, because a manifest may hold a hundred thousand digests, and no
/// processor foresees whether a digit of one is a letter.
const VALUES: [u8; 256] = {
    let mut values = [NO_DIGIT; 256];
    let mut value = 0;
    while value < 16 {
        values[DIGITS[value as usize] as usize] = value;
        value += 1;
    }
    values
};

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        f.write_str(std::str::from_utf8(&self.digits()).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let hex = text.strip_prefix("sha256:").ok_or_else(|| DigestError(text.to_owned()))?;
        Self::from_hex(hex).map_err(|_| DigestError(text.to_owned()))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// By hand, because a manifest may hold a hundred thousand: none needs a text of its own.
impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = Digest;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Digest, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Text)
    }
}

crate::names::string_schema!(Digest, "Digest", "^sha256:[0-9a-f]{64}$", "A SHA-256 digest.");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_input_has_the_digest_of_fips_180_4() {
        let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Digest::of(b"").to_string(), empty);
        assert_eq!(Hasher::default().finish(), (empty.parse().unwrap(), 0));
    }

    #[test]
    fn streaming_gives_the_same_digest_as_one_piece() {
        let mut hasher = Hasher::default();
        hasher.update(b"air");
        hasher.update(b"lock");
        assert_eq!(hasher.finish(), (Digest::of(b"airlock"), 7));
    }

    #[test]
    fn only_one_spelling_is_a_digest() {
        let good = Digest::of(b"x").to_string();
        assert!(good.parse::<Digest>().is_ok());
        for bad in [
            String::new(),
            "sha256:".to_owned(),
            good.to_uppercase(),
            good.replace("sha256", "sha512"),
            good[..good.len() - 1].to_owned(),
            format!("{good}0"),
            format!(" {good}"),
            good["sha256:".len()..].to_owned(),
        ] {
            assert!(bad.parse::<Digest>().is_err(), "{bad:?} was taken");
        }
    }
}
