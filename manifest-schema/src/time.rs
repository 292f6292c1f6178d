//! Points in time. The clock itself is read in `main` and passed in.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A point in time in UTC, to the millisecond, written as RFC 3339 with `Z` (`2026-11-22T09:30:00Z`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp(jiff::Timestamp);

/// Text that is no point in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a time: expected RFC 3339 in UTC such as 2026-11-22T09:30:00Z")]
pub struct TimestampError(String);

impl Timestamp {
    /// From milliseconds since 1970-01-01T00:00:00Z.
    ///
    /// # Errors
    /// Outside the years -9999 to 9999.
    pub fn from_millis(millis: i64) -> Result<Self, TimestampError> {
        jiff::Timestamp::from_millisecond(millis).map(Self).map_err(|_| TimestampError(millis.to_string()))
    }

    /// The system's clock, to be read in `main` or at the edge of a long-running loop only.
    pub fn from_system(time: std::time::SystemTime) -> Result<Self, TimestampError> {
        let exact = jiff::Timestamp::try_from(time).map_err(|_| TimestampError(format!("{time:?}")))?;
        Self::from_millis(exact.as_millisecond())
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub fn as_millis(self) -> i64 {
        self.0.as_millisecond()
    }

    /// This time plus `seconds`; at the end of time, the end of time.
    pub fn plus_seconds(self, seconds: u64) -> Self {
        let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
        let millis = self.as_millis().saturating_add(seconds.saturating_mul(1000));
        // The end of time in whole seconds: with its fraction it could not be read back.
        Self::from_millis(millis.min(jiff::Timestamp::MAX.as_second() * 1000)).unwrap_or(self)
    }

    /// This time minus `seconds`; before 1970, 1970.
    pub fn minus_seconds(self, seconds: u64) -> Self {
        let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
        Self::from_millis(self.as_millis().saturating_sub(seconds.saturating_mul(1000)).max(0)).unwrap_or(self)
    }

    /// Whole seconds from `earlier` to this time; 0 when `earlier` is later.
    pub fn seconds_since(self, earlier: Self) -> u64 {
        u64::try_from((self.as_millis() - earlier.as_millis()) / 1000).unwrap_or(0)
    }

    /// This time without its milliseconds, as signed documents carry it.
    pub fn whole_seconds(self) -> Self {
        Self::from_millis(self.as_millis().div_euclid(1000) * 1000).unwrap_or(self)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, TimestampError> {
        let refuse = || TimestampError(text.to_owned());
        if !text.ends_with('Z') {
            return Err(refuse());
        }
        let exact: jiff::Timestamp = text.parse().map_err(|_| refuse())?;
        Self::from_millis(exact.as_millisecond())
    }
}

impl TryFrom<String> for Timestamp {
    type Error = TimestampError;

    fn try_from(text: String) -> Result<Self, TimestampError> {
        text.parse()
    }
}

impl From<Timestamp> for String {
    fn from(time: Timestamp) -> Self {
        time.to_string()
    }
}

impl schemars::JsonSchema for Timestamp {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Timestamp".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "date-time", "description": "RFC 3339, in UTC with Z." })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc_and_round_trip() {
        let time: Timestamp = "2026-11-22T09:30:00.250Z".parse().unwrap();
        assert_eq!(time.to_string(), "2026-11-22T09:30:00.25Z");
        assert_eq!(time.whole_seconds().to_string(), "2026-11-22T09:30:00Z");
        assert_eq!(time.plus_seconds(60).seconds_since(time), 60);
        assert_eq!(time.plus_seconds(60).minus_seconds(60), time);
        assert_eq!(time.minus_seconds(u64::MAX).as_millis(), 0);
        assert_eq!(time.seconds_since(time.plus_seconds(60)), 0);
        for bad in ["", "2026-11-22", "2026-11-22T09:30:00", "2026-11-22T09:30:00+01:00", "now"] {
            assert!(bad.parse::<Timestamp>().is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn adding_never_overflows() {
        let time: Timestamp = "2026-11-22T09:30:00Z".parse().unwrap();
        let end = time.plus_seconds(u64::MAX);
        assert!(end > time);
        assert_eq!(end.to_string().parse(), Ok(end), "the end of time reads back");
    }
}
