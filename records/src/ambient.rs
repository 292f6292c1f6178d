//! The clock and the random source, read nowhere else.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use manifest_schema::Timestamp;

/// The clock and the random source that a process was given in `main`.
#[derive(Clone)]
pub struct Ambient {
    clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

impl Ambient {
    /// The system's.
    pub fn system() -> Self {
        #[expect(clippy::expect_used, reason = "with a clock that is off by millennia nothing here may go on")]
        Self::with_clock(|| Timestamp::from_system(SystemTime::now()).expect("the clock is within 9999 years"))
    }

    /// The system's random source and another clock, for tests and rehearsals.
    pub fn with_clock(clock: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self { clock: Arc::new(clock) }
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// Random bytes.
    pub fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        #[expect(clippy::expect_used, reason = "without random numbers nothing here may go on")]
        getrandom::fill(&mut bytes).expect("the system gives random numbers");
        bytes
    }

    /// A name that nothing else has: 32 hex digits.
    pub fn nonce(&self) -> String {
        self.random::<16>().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Debug for Ambient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ambient")
    }
}
