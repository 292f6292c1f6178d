//! A registry that lets in who has a token, as the plan of a [`crate::faults::FaultProxy`] before one that lets in anybody
//! (distribution, token authentication specification).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::faults::{Fault, Seen};

/// Who gets tokens.
pub const USER: &str = "ci";
/// Its password.
pub const PASSWORD: &str = "open";
/// Both, as a header says them.
pub const BASIC: &str = "Basic Y2k6b3Blbg==";

/// A refusal that asks for something.
pub fn refused(challenge: String) -> Fault {
    let body = r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#;
    Fault::Answer(401, vec![("www-authenticate", challenge)], body.to_owned())
}

/// A registry at this address whose tokens are good for so many requests each; and what was asked of its token server.
pub fn token_server(
    address: String,
    good_for: usize,
) -> (impl Fn(&Seen) -> Fault + Send + 'static, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (queries, used) = (asked.clone(), AtomicUsize::new(0));
    let plan = move |seen: &Seen| {
        let mut queries = queries.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.path == "/token" {
            if seen.authorization.as_deref() != Some(BASIC) {
                return Fault::Answer(401, Vec::new(), String::new());
            }
            queries.push(seen.query.clone());
            used.store(0, Ordering::Relaxed);
            let token = format!(r#"{{"token":"token-{}","expires_in":300}}"#, queries.len());
            return Fault::Answer(200, Vec::new(), token);
        }
        let current = format!("Bearer token-{}", queries.len());
        if seen.authorization.as_ref() == Some(&current) && used.fetch_add(1, Ordering::Relaxed) < good_for {
            return Fault::None;
        }
        refused(format!(r#"Bearer realm="http://{address}/token",service="tests",scope="repository:app:pull""#))
    };
    (plan, asked)
}
