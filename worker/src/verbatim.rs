//! Calls of AWS whose requests and answers are JSON as it is.
//!
//! The SDK's types have only the fields that its version knows. A task definition that went through them would lose what
//! is newer, and "nothing else changes" would be untrue. So the SDK signs, sends, retries and sorts errors, but the body
//! that goes out is ours, and the body that comes back is read before anything is left out.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_ecs::config::interceptors::{
    AfterDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextMut,
};
use aws_sdk_ecs::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_ecs::error::BoxError;
use aws_smithy_types::body::SdkBody;
use serde_json::Value;

/// Has the SDK send this body and gives the answer's, both as they are. What of the request isn't its body, such as names
/// in its path, is said to the operation's builder, which then stands for the operation.
macro_rules! verbatim {
    ($client:expr, $operation:ident, $call:expr, $body:expr) => {
        $crate::verbatim::verbatim!($client.$operation(), $call, $crate::verbatim::Verbatim::sending($body))
    };
    ($request:expr, $call:expr, $verbatim:expr) => {{
        let verbatim = $verbatim;
        match $request.customize().interceptor(verbatim.clone()).send().await {
            Ok(_) => verbatim.answer().ok_or_else(|| aws::AwsError::incomplete($call, "the answer is no JSON")),
            Err(error) => Err(aws::AwsError::new($call, error)),
        }
    }};
}
pub(crate) use verbatim;

/// Replaces one request's body, if it has one, and keeps the answer's.
#[derive(Clone)]
pub(crate) struct Verbatim {
    body: Option<Arc<[u8]>>,
    answer: Arc<Mutex<Option<Vec<u8>>>>,
}

impl Verbatim {
    pub(crate) fn sending(body: &Value) -> Self {
        Self { body: Some(body.to_string().into_bytes().into()), answer: Arc::default() }
    }

    /// Of a request without a body.
    pub(crate) fn asking() -> Self {
        Self { body: None, answer: Arc::default() }
    }

    /// The answer, once there is one.
    pub(crate) fn answer(&self) -> Option<Value> {
        let answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        serde_json::from_slice(answer.as_deref()?).ok()
    }
}

/// Task definitions may hold secrets in plain text; the SDK may print what intercepts its calls.
impl fmt::Debug for Verbatim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verbatim")
    }
}

impl Intercept for Verbatim {
    fn name(&self) -> &'static str {
        "Verbatim"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(body) = &self.body {
            let request = context.request_mut();
            request.headers_mut().insert("content-length", body.len().to_string());
            *request.body_mut() = SdkBody::from(&**body);
        }
        Ok(())
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let answer = context.response().body().bytes().map(<[u8]>::to_vec);
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = answer;
        Ok(())
    }
}
