//! What of AWS the tests need and no emulator has: KMS keys that sign with Ed25519, sessions of STS that expire, the
//! tokens that GitHub gives its jobs. HTTP on loopback, as the services speak it: awsJson 1.1 and awsQuery.
//!
//! It answers only calls by identities that it knows and whose credentials haven't expired, and takes a call for the
//! region and the service that the signature names. It doesn't check the signature itself: `moto` does neither, and the
//! SDK's signatures are AWS's business. A call that it doesn't know is an error of the test, not of the program: HTTP 501.

mod http;
mod kms;
mod people;
mod sts;

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

pub use kms::KeyState;
pub use people::{GITHUB_BEARER, Role};

use crate::http::{Request, Response};

/// The account of everything here.
pub const ACCOUNT: &str = "111111111111";
/// Its region.
pub const REGION: &str = "eu-central-1";
/// Whose credentials [`Double::environment`] holds.
pub const USER: &str = "arn:aws:iam::111111111111:user/ci";
/// Their access key id.
pub const ACCESS_KEY: &str = "AKIAAIRLOCKDOUBLE000";
/// Their secret; it is looked for in output, where it must not be.
pub const SECRET_KEY: &str = "double/SecretAccessKey/never/printed";

/// A call that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Such as `kms:Sign`.
    pub action: String,
    /// With which access key; none if it was not signed.
    pub access_key: Option<String>,
    /// For which region, by its signature.
    pub region: Option<String>,
    /// What it was called with.
    pub parameters: BTreeMap<String, String>,
}

/// What goes wrong with the next call of an action, once.
#[derive(Debug, Clone)]
pub enum Failure {
    /// Nothing: the failure after it is for the call after this one.
    None,
    /// AWS refuses it.
    Error {
        /// HTTP status.
        status: u16,
        /// Such as `AccessDeniedException`.
        code: &'static str,
        /// What AWS says.
        message: &'static str,
    },
    /// It is answered only after so long.
    Slow(Duration),
    /// The connection ends without an answer.
    Cut,
    /// KMS signs with another key than it was asked to.
    OtherKey,
    /// KMS returns bytes that are no signature.
    Garbage,
}

/// A running double. It ends with the process.
#[derive(Debug, Clone)]
pub struct Double {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) keys: Vec<kms::Key>,
    pub(crate) people: people::People,
    failures: Vec<(String, Failure)>,
    calls: Vec<Call>,
}

impl Double {
    /// Starts one on a free port of loopback.
    ///
    /// # Panics
    /// When loopback can't be listened on.
    #[expect(clippy::expect_used, reason = "a test can't go on without")]
    pub fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback can be listened on");
        let address = listener.local_addr().expect("a listener has an address");
        let double = Self { address, state: Arc::default() };
        let served = double.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let served = served.clone();
                thread::spawn(move || http::serve(stream, |request| served.answer(request)));
            }
        });
        double
    }

    /// Its address, for `AWS_ENDPOINT_URL`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The environment of a program that is to use it, as [`USER`] in [`REGION`], and nothing else of AWS.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ENDPOINT_URL", self.url()),
            ("AWS_REGION", REGION.to_owned()),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY.to_owned()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
            ("AWS_CONFIG_FILE", "/dev/null".to_owned()),
            ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null".to_owned()),
        ]
    }

    /// Makes a KMS key from a seed, in this state, with an alias; its ARN.
    pub fn key(&self, alias: &str, seed: u8, state: KeyState) -> String {
        self.state().new_key(alias, seed, state)
    }

    /// Changes the state of the key with an alias.
    pub fn set_key(&self, alias: &str, state: KeyState) {
        self.state().set_key(alias, state);
    }

    /// Lets a role be taken on.
    pub fn role(&self, role: Role) {
        self.state().people.roles.push(role);
    }

    /// The next call of an action, such as `kms:Sign`, fails like this. Several are used up in order.
    pub fn fail(&self, action: &str, failure: Failure) {
        self.state().failures.push((action.to_owned(), failure));
    }

    /// All calls so far.
    pub fn calls(&self) -> Vec<Call> {
        self.state().calls.clone()
    }

    /// The calls of one action so far.
    pub fn calls_of(&self, action: &str) -> Vec<Call> {
        self.calls().into_iter().filter(|call| call.action == action).collect()
    }

    /// Every secret that it has given out: they must be in no output.
    pub fn secrets(&self) -> Vec<String> {
        self.state().people.secrets()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, request: &Request) -> Option<Response> {
        let Some(action) = request.action() else { return Some(Response::new(501, "text/plain", "no such service")) };
        let failure = {
            let mut state = self.state();
            state.calls.push(request.call(&action));
            let position = state.failures.iter().position(|(of, _)| *of == action);
            position.map(|position| state.failures.remove(position).1)
        };
        match failure {
            Some(Failure::Error { status, code, message }) => return Some(request.error(status, code, message)),
            Some(Failure::Slow(pause)) => thread::sleep(pause),
            Some(Failure::Cut) => return None,
            Some(Failure::OtherKey) => return Some(self.state().sign(request, &kms::Lie::OtherKey)),
            Some(Failure::Garbage) => return Some(self.state().sign(request, &kms::Lie::Garbage)),
            Some(Failure::None) | None => {}
        }
        Some(self.state().answer(&action, request))
    }
}

impl State {
    fn answer(&mut self, action: &str, request: &Request) -> Response {
        match action {
            "github:Token" => self.people.github(request),
            "sts:AssumeRoleWithWebIdentity" => self.people.assume_with_token(request),
            _ => match self.people.who(request) {
                Err(refused) => refused,
                Ok(caller) => match action {
                    "sts:GetCallerIdentity" => sts::identity(&caller),
                    "sts:AssumeRole" => self.people.assume(request),
                    "kms:GetPublicKey" => self.public_key(request),
                    "kms:Sign" => self.sign(request, &kms::Lie::None),
                    _ => Response::new(501, "text/plain", "the double has no such action"),
                },
            },
        }
    }
}
