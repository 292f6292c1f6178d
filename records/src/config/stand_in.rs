//! What a directory of this machine may stand in for: in a configuration a path, or an object with one key.

use std::fmt;
use std::marker::PhantomData;
use std::path::PathBuf;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// One of the two.
pub(super) enum StandIn<N> {
    /// The directory.
    Directory(PathBuf),
    /// The real thing, by its name.
    Real(N),
}

/// Reads either. `N` is an enum whose variants are the keys that there may be; `expected` and `only_one` are for messages.
///
/// # Errors
/// When it is neither. (An `untagged` enum's errors don't say what is wrong.)
pub(super) fn deserialize<'de, D: Deserializer<'de>, N: Deserialize<'de>>(
    deserializer: D,
    expected: &'static str,
    only_one: &'static str,
) -> Result<StandIn<N>, D::Error> {
    struct PathOrObject<N> {
        expected: &'static str,
        only_one: &'static str,
        named: PhantomData<N>,
    }

    impl<'de, N: Deserialize<'de>> Visitor<'de> for PathOrObject<N> {
        type Value = StandIn<N>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.expected)
        }

        fn visit_str<E: de::Error>(self, path: &str) -> Result<StandIn<N>, E> {
            Ok(StandIn::Directory(path.into()))
        }

        fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<StandIn<N>, A::Error> {
            let named = N::deserialize(MapAccessDeserializer::new(&mut object))?;
            match object.next_key::<IgnoredAny>()? {
                None => Ok(StandIn::Real(named)),
                Some(_) => Err(de::Error::custom(self.only_one)),
            }
        }
    }

    deserializer.deserialize_any(PathOrObject { expected, only_one, named: PhantomData })
}
