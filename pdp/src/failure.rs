//! Why a call isn't answered, once for both front doors.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use meshguard_engine::store::StoreError;
use serde_json::json;
use tonic::{Code, Status};

/// Why a call isn't answered: what kind of reason, a stable code, and words that say what to do next. Nothing in it ever
/// holds any of a credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    kind: Kind,
    code: &'static str,
    message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    BadInput,
    Unauthenticated,
    Denied,
    NotFound,
    TooLarge,
    Busy,
    Unavailable,
    Internal,
}

impl Failure {
    pub(crate) fn bad_input(message: impl Into<String>) -> Self {
        Self::new(Kind::BadInput, "bad_input", message)
    }

    /// No credential, or one that isn't acceptable.
    pub(crate) fn unauthenticated(message: impl Into<String>) -> Self {
        Self::new(Kind::Unauthenticated, "bad_token", message)
    }

    /// The credential is good, and this isn't for it.
    pub(crate) fn denied(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Kind::Denied, code, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(Kind::NotFound, "not_found", message)
    }

    pub(crate) fn too_large(message: impl Into<String>) -> Self {
        Self::new(Kind::TooLarge, "too_large", message)
    }

    pub(crate) fn busy(message: impl Into<String>) -> Self {
        Self::new(Kind::Busy, "busy", message)
    }

    pub(crate) fn unavailable(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Kind::Unavailable, code, message)
    }

    /// Our own fault, or the disk's. What it was is for the log; the caller is told that it was.
    pub(crate) fn internal(error: &dyn std::fmt::Display) -> Self {
        tracing::error!(%error, "a call failed");
        Self::new(Kind::Internal, "internal", "the server can't do this at the moment; its log says why")
    }

    pub(crate) fn code(&self) -> &'static str {
        self.code
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Whether the same call may succeed later, unchanged.
    pub(crate) fn is_retryable(&self) -> bool {
        matches!(self.kind, Kind::Busy | Kind::Unavailable | Kind::Internal)
    }

    fn new(kind: Kind, code: &'static str, message: impl Into<String>) -> Self {
        Self { kind, code, message: message.into() }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::internal(&error)
    }
}

impl From<meshguard_engine::Error> for Failure {
    fn from(error: meshguard_engine::Error) -> Self {
        Self::internal(&error)
    }
}

impl From<Failure> for Status {
    fn from(failure: Failure) -> Self {
        let code = match failure.kind {
            Kind::BadInput => Code::InvalidArgument,
            Kind::Unauthenticated => Code::Unauthenticated,
            Kind::Denied => Code::PermissionDenied,
            Kind::NotFound => Code::NotFound,
            Kind::TooLarge | Kind::Busy => Code::ResourceExhausted,
            Kind::Unavailable => Code::Unavailable,
            // Neither a judgement nor an absence: the client keeps what it has, asks again, and must not fail open.
            Kind::Internal => Code::Internal,
        };
        Self::new(code, format!("{}: {}", failure.code, failure.message))
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = match self.kind {
            Kind::BadInput => StatusCode::BAD_REQUEST,
            Kind::Unauthenticated => StatusCode::UNAUTHORIZED,
            Kind::Denied => StatusCode::FORBIDDEN,
            Kind::NotFound => StatusCode::NOT_FOUND,
            Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Kind::Busy => StatusCode::TOO_MANY_REQUESTS,
            Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let body = json!({"error": {"code": self.code, "message": self.message, "retryable": self.is_retryable()}});
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        match self.kind {
            Kind::Unauthenticated => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Kind::Busy | Kind::Unavailable => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn judged_and_not_ready_never_mix() {
        let code = |failure: Failure| Status::from(failure).code();
        assert_eq!(code(Failure::unauthenticated("x")), Code::Unauthenticated);
        assert_eq!(code(Failure::denied("tenant", "x")), Code::PermissionDenied);
        assert_eq!(code(Failure::unavailable("stopping", "x")), Code::Unavailable);
        assert_eq!(code(Failure::internal(&"disk")), Code::Internal);
        assert_eq!(code(Failure::busy("x")), Code::ResourceExhausted);
    }

    #[test]
    fn internals_stay_in_the_log() {
        assert!(!Failure::internal(&"/secret/path").message().contains("secret"));
    }
}
