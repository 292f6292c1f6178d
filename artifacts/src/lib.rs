//! Turns files into artifacts and back: hash, pack, extract, safely.
