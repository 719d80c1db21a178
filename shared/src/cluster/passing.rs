//! Which refusals pass: by cause, because asking again helps against some and harms with others.

use super::ApiError;

/// Why the same request may succeed later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Passing {
    /// The server has too much to do. It did nothing.
    Busy,
    /// There was no answer, or one of what stands before or behind the API server. What was asked for may have been done.
    Outage,
    /// The server could not decide: a webhook did not answer, a version could not be converted. It did nothing.
    Undecided,
}

/// What admission says when it refuses: webhooks and policies. A webhook may say so with any status it likes.
const DENIALS: [&str; 2] = ["denied the request", "denied request"];

impl ApiError {
    /// Why the same request may succeed later; nothing where it will not.
    pub fn passing(&self) -> Option<Passing> {
        match self {
            Self::Refused { message, .. } if DENIALS.iter().any(|denial| message.contains(denial)) => None,
            Self::Refused { status: 429, .. } => Some(Passing::Busy),
            Self::Refused { status: 408 | 502..=504, .. } | Self::Unreachable { .. } | Self::Stalled { .. } => Some(Passing::Outage),
            // Its storage has an election, or is slow: a write may yet be done.
            Self::Refused { status: 500, message, .. } if message.contains("etcdserver") || message.contains("leader changed") => {
                Some(Passing::Outage)
            }
            Self::Refused { status: 500, .. } => Some(Passing::Undecided),
            Self::Refused { .. } | Self::Malformed { .. } => None,
        }
    }

    /// Whether a read is worth repeating at once: not where the server decides the same again, and not where a deadline has passed already.
    pub fn is_passing(&self) -> bool {
        matches!(self.passing(), Some(Passing::Busy | Passing::Outage)) && !matches!(self, Self::Stalled { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_tried_again() {
        let refused = |status: u16, message: &str| ApiError::Refused { status, reason: String::new(), message: message.into(), retry_after: None };
        for (error, passing, repeated) in [
            (refused(429, ""), Some(Passing::Busy), true),
            (refused(503, ""), Some(Passing::Outage), true),
            (refused(504, "request did not complete within the allotted timeout"), Some(Passing::Outage), true),
            (refused(500, "etcdserver: request timed out"), Some(Passing::Outage), true),
            (refused(500, "Internal error occurred: failed calling webhook \"a\": connection refused"), Some(Passing::Undecided), false),
            (refused(403, ""), None, false),
            (refused(409, ""), None, false),
            (refused(422, ""), None, false),
            // Whatever status a webhook denies with.
            (refused(403, "admission webhook \"a\" denied the request: no"), None, false),
            (refused(500, "admission webhook \"a\" denied the request: no"), None, false),
            (refused(503, "admission webhook \"a\" denied the request: no"), None, false),
            (refused(422, "ValidatingAdmissionPolicy 'a' with binding 'b' denied request: no"), None, false),
            (ApiError::Unreachable { reason: String::new() }, Some(Passing::Outage), true),
            (ApiError::Stalled { seconds: 1 }, Some(Passing::Outage), false),
            (ApiError::Malformed { reason: String::new() }, None, false),
        ] {
            assert_eq!((error.passing(), error.is_passing()), (passing, repeated), "{error:?}");
        }
    }
}
