//! A bucket of production behind IAM, and the way past it.

use std::collections::BTreeMap;

use aws_double::PRODUCTION;
use emulators::SeaweedFs;

use crate::Cloud;

/// A bucket of production's account.
#[derive(Debug)]
pub struct Bucket {
    s3: SeaweedFs,
    /// Its name.
    pub name: String,
}

impl Bucket {
    /// An empty one; from now on it is what S3 has.
    pub fn in_production(cloud: &Cloud) -> Self {
        let s3 = SeaweedFs::start_open();
        let name = s3.bucket();
        cloud.double.s3(&s3.endpoint());
        cloud.double.account(PRODUCTION).bucket(&name, None);
        Self { s3, name }
    }

    /// Where an object is, past IAM.
    fn address(&self, key: &str) -> String {
        format!("{}/{}/{key}", self.s3.endpoint(), self.name)
    }

    /// An object's bytes, read past IAM; `None` if there is none.
    pub fn object(&self, cloud: &Cloud, key: &str) -> Option<String> {
        let ran = cloud.run("curl", &["--silent", "--fail", &self.address(key)]);
        (ran.code == 0).then_some(ran.stdout)
    }

    /// The headers that an object is served with, by name in small letters.
    pub fn headers(&self, cloud: &Cloud, key: &str) -> BTreeMap<String, String> {
        let ran = cloud.run("curl", &["--silent", "--fail", "--head", &self.address(key)]).exits(0);
        let named = ran.stdout.lines().filter_map(|line| line.split_once(": "));
        named.map(|(name, value)| (name.to_lowercase(), value.trim_end().to_owned())).collect()
    }

    /// Writes an object, past IAM, with these more headers.
    pub fn put(&self, cloud: &Cloud, key: &str, content: &str, headers: &[&str]) {
        let address = self.address(key);
        let headers = headers.iter().flat_map(|header| ["--header", *header]);
        let call = ["--silent", "--fail", "--request", "PUT", "--data-binary", content, &address];
        cloud.run("curl", &call.into_iter().chain(headers).collect::<Vec<_>>()).exits(0);
    }
}
