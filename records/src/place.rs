//! Where a process is: what gate 3 compares with the trust policy.

use aws::{AwsError, Connection, Settings};
use manifest_schema::gates::Place;
use serde::{Deserialize, Serialize};

/// The account that means this machine, on which one user owns both sides.
const LOCAL: &str = "local";

/// Where a configuration says that a process is. Which AWS account it is, a configuration can't say: it could be wrong,
/// and the gate would compare one file with another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Stated", into = "Stated")]
pub enum StatedPlace {
    /// On this machine: the account is `local`.
    Fixed(Place),
    /// `"aws"`: the account that STS names, and the region in which it is asked.
    Aws,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Stated {
    Word(String),
    Place(Place),
}

impl TryFrom<Stated> for StatedPlace {
    type Error = String;

    fn try_from(stated: Stated) -> Result<Self, String> {
        match stated {
            Stated::Word(word) if word == "aws" => Ok(Self::Aws),
            Stated::Word(word) => Err(format!("{word:?} is no place: expected \"aws\", or the account \"local\"")),
            Stated::Place(place) if place.account == LOCAL => Ok(Self::Fixed(place)),
            Stated::Place(place) => Err(format!(
                "the account {:?} can't be stated: write \"place\": \"aws\", and AWS says which account this is",
                place.account
            )),
        }
    }
}

impl From<StatedPlace> for Stated {
    fn from(place: StatedPlace) -> Self {
        match place {
            StatedPlace::Fixed(place) => Self::Place(place),
            StatedPlace::Aws => Self::Word("aws".to_owned()),
        }
    }
}

/// It can't be told where a process is.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// STS can't be asked.
    #[error("can't tell which AWS account this is: {0}")]
    Aws(AwsError),
    /// Nothing names the region.
    #[error("can't tell which AWS region this is: nothing names one; set AWS_REGION")]
    NoRegion,
}

impl PlaceError {
    /// Whether the same question may be answered later without anybody doing anything.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Aws(error) => error.is_temporary(),
            Self::NoRegion => false,
        }
    }

    /// With what a person can do about it.
    pub fn with_advice(&self) -> String {
        match self {
            Self::Aws(error) => format!("{self}: {}", error.advice()),
            Self::NoRegion => self.to_string(),
        }
    }
}

impl StatedPlace {
    /// Where this is. In AWS it asks STS, every time: credentials can become others while a process runs. It is asked as
    /// who this process is, and never with a role of `aws` taken on, which could be another account's.
    ///
    /// # Errors
    /// When AWS doesn't say; then nothing may be decided.
    pub async fn find(&self, aws: &Settings) -> Result<Place, PlaceError> {
        match self {
            Self::Fixed(place) => Ok(place.clone()),
            Self::Aws => {
                let connection = Connection::new(&Settings { role: None, ..aws.clone() }, &[]).await;
                let region = connection.region().ok_or(PlaceError::NoRegion)?.to_owned();
                let identity = connection.identity().await.map_err(PlaceError::Aws)?;
                Ok(Place { account: identity.account, region })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_states_this_machine_or_leaves_it_to_aws() {
        let read = |text: &str| serde_json::from_str::<StatedPlace>(text).map_err(|error| error.to_string());
        let local = Place { account: "local".to_owned(), region: "local".to_owned() };
        assert_eq!(read(r#"{"account":"local","region":"local"}"#), Ok(StatedPlace::Fixed(local)));
        assert_eq!(read(r#""aws""#), Ok(StatedPlace::Aws));
        for place in [StatedPlace::Aws, read(r#"{"account":"local","region":"local"}"#).unwrap()] {
            assert_eq!(read(&serde_json::to_string(&place).unwrap()), Ok(place));
        }
        for (text, problem) in [
            (r#"{"account":"111111111111","region":"eu-west-1"}"#, "can't be stated"),
            (r#""local""#, "is no place"),
            (r#"{"account":"local"}"#, "did not match"),
        ] {
            assert!(read(text).unwrap_err().contains(problem), "{text}");
        }
    }
}
