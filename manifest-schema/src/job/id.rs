use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::time::Timestamp;

/// A deploy job's id: a UUIDv7 (RFC 9562 §5.7), so ids sort by the time of launch.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct JobId(Uuid);

/// Text that is no job id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a job id: expected a UUIDv7 such as 01939c7e-5d2f-7c3a-9b1e-0123456789ab")]
pub struct JobIdError(String);

impl JobId {
    /// A new id for a job launched at `now`, made unique by `random`.
    pub fn new(now: Timestamp, random: [u8; 10]) -> Self {
        let millis = u64::try_from(now.as_millis()).unwrap_or(0);
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0.hyphenated(), f)
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for JobId {
    type Err = JobIdError;

    fn from_str(text: &str) -> Result<Self, JobIdError> {
        let refuse = || JobIdError(text.to_owned());
        let id = Self(Uuid::parse_str(text).map_err(|_| refuse())?);
        if id.0.get_version_num() == 7 && id.to_string() == text { Ok(id) } else { Err(refuse()) }
    }
}

impl TryFrom<String> for JobId {
    type Error = JobIdError;

    fn try_from(text: String) -> Result<Self, JobIdError> {
        text.parse()
    }
}

impl From<JobId> for String {
    fn from(id: JobId) -> Self {
        id.to_string()
    }
}

crate::names::string_schema!(
    JobId,
    "JobId",
    "^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$",
    "A deploy job: a UUIDv7."
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_time_and_have_one_spelling() {
        let early = JobId::new("2026-11-22T09:30:00Z".parse().unwrap(), [9; 10]);
        let late = JobId::new("2026-11-22T09:30:01Z".parse().unwrap(), [0; 10]);
        assert!(early < late && early.to_string() < late.to_string());
        assert_eq!(early.to_string().parse::<JobId>(), Ok(early));
        for bad in [early.to_string().to_uppercase(), early.to_string().replace('-', ""), "../../etc".to_owned()] {
            assert!(bad.parse::<JobId>().is_err(), "{bad:?} was taken");
        }
        assert!("6ba7b810-9dad-41d1-80b4-00c04fd430c8".parse::<JobId>().is_err(), "a version 4 id was taken");
    }
}
