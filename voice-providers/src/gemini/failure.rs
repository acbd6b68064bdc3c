//! What the service's close codes, close reasons and HTTP answers mean.
//!
//! Codes are few and reasons are prose, so the prose has to be read (protocol notes, Gemini Live §1, §12).

use voice_core::failure::Failure;
use voice_core::wire::LineEnd;

/// How far a connection had come when something happened to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The first setup was not accepted yet.
    Opening,
    /// A setup that resumes was not accepted yet.
    Resuming,
    /// It talked.
    Talking,
}

/// What the end of a line means.
pub(super) fn of_line_end(end: &LineEnd, stage: Stage) -> Failure {
    if let LineEnd::Closed { code, reason } = end {
        of_close(*code, reason, stage)
    } else if let LineEnd::Refused { status: 400 | 404, body, .. } = end {
        of_bad_request(&String::from_utf8_lossy(body), stage)
    } else {
        Failure::from_line_end(end)
    }
}

/// What an error in a message means; the service uses these in place of a close now and then.
pub(super) fn of_error(code: Option<i64>, status: &str, message: &str, stage: Stage) -> Failure {
    let text = message.to_ascii_lowercase();
    match (code.unwrap_or_default(), status) {
        (401 | 403, _) | (_, "UNAUTHENTICATED" | "PERMISSION_DENIED") => Failure::Credentials,
        (429, _) | (_, "RESOURCE_EXHAUSTED") => of_quota(&text),
        (400 | 404, _) | (_, "INVALID_ARGUMENT" | "NOT_FOUND" | "FAILED_PRECONDITION") => {
            of_bad_request(message, stage)
        }
        _ if status.is_empty() => Failure::Service { code: Failure::clean_code("error") },
        _ => Failure::Service { code: Failure::clean_code(status) },
    }
}

/// Whether the same session may be resumed after this.
pub(super) fn is_resumable(failure: &Failure) -> bool {
    matches!(
        failure,
        Failure::Cut
            | Failure::Closed { .. }
            | Failure::Service { .. }
            | Failure::Unreachable(_)
            | Failure::Refused { .. }
    )
}

fn of_close(code: u16, reason: &str, stage: Stage) -> Failure {
    let text = reason.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    match code {
        1007 | 1008 if says(CREDENTIALS) => Failure::Credentials,
        1007 => refused(stage, "invalid_argument"),
        1008 if says(&["aborted"]) => Failure::Service { code: "aborted".to_owned() },
        1008 if says(&["is not found", "not supported for"]) => refused(stage, "model"),
        1008 => match stage {
            Stage::Opening if says(&["not implemented"]) => refused(stage, "unsupported"),
            Stage::Opening | Stage::Resuming => refused(stage, "policy"),
            // The setup was fine; something within the conversation was not, and may not be next time.
            Stage::Talking => Failure::Closed { code },
        },
        1011 if says(&["quota", "resource has been exhausted", "resource_exhausted"]) => of_quota(&text),
        1011 if says(&["deadline expired"]) && stage == Stage::Talking => Failure::SessionLimit,
        1011 if says(&["deadline expired"]) => Failure::Service { code: "deadline".to_owned() },
        1011 if says(&["unavailable"]) => Failure::Service { code: "unavailable".to_owned() },
        1011 => Failure::Service { code: "internal".to_owned() },
        _ => Failure::Closed { code },
    }
}

/// A setup that was taken once cannot be wrong: what is refused when it resumes is the session.
fn refused(stage: Stage, code: &str) -> Failure {
    match stage {
        Stage::Resuming => Failure::SessionLimit,
        Stage::Opening | Stage::Talking => Failure::Settings { code: code.to_owned() },
    }
}

fn of_bad_request(text: &str, stage: Stage) -> Failure {
    let text = text.to_ascii_lowercase();
    if CREDENTIALS.iter().any(|word| text.contains(word)) {
        return Failure::Credentials;
    }
    refused(stage, "bad_request")
}

/// The same sentence is used for too much in a minute and too much in a month; the former passes.
fn of_quota(text: &str) -> Failure {
    if text.contains("billing account") || text.contains("prepay") || text.contains("disabled") {
        Failure::Quota
    } else {
        Failure::Throttled { retry_after: None }
    }
}

/// Words of which refused credentials are told.
const CREDENTIALS: &[&str] = &[
    "api key",
    "api_key",
    "apikey",
    "credential",
    "unauthenticated",
    "unauthorized",
    "unregistered caller",
    "permission",
    "access token",
    "auth token",
    "auth_token",
    "token expired",
    "expired token",
    "token has expired",
];

#[cfg(test)]
mod tests {
    use voice_core::failure::{Blame, Verdict};

    use super::*;

    fn closed(code: u16, reason: &str, stage: Stage) -> Failure {
        of_line_end(&LineEnd::Closed { code, reason: reason.to_owned() }, stage)
    }

    #[test]
    fn every_close_the_notes_know() {
        use Stage::{Opening, Resuming, Talking};
        use Verdict::{NeverAgain, SwitchNow};
        let later = Verdict::SwitchAndRetryAfter(std::time::Duration::from_secs(10));
        for (code, reason, stage, kind, verdict) in [
            (1000, "", Talking, "closed", SwitchNow),
            (1001, "", Talking, "closed", SwitchNow),
            (1007, "Request contains an invalid argument.", Opening, "settings", NeverAgain),
            (1007, "Request contains an invalid argument.", Talking, "settings", NeverAgain),
            (1007, "Request contains an invalid argument.", Resuming, "session_limit", SwitchNow),
            (1007, "API key not valid. Please pass a valid API key.", Opening, "credentials", NeverAgain),
            (1008, "models/x is not found for API version v1beta", Opening, "settings", NeverAgain),
            (1008, "or is not supported for bidiGenerateContent", Opening, "settings", NeverAgain),
            (
                1008,
                "Operation is not implemented, or supported, or enabled.",
                Opening,
                "settings",
                NeverAgain,
            ),
            (1008, "Operation is not implemented, or supported, or enabled.", Talking, "closed", SwitchNow),
            (1008, "Method doesn't allow unregistered callers", Opening, "credentials", NeverAgain),
            (1008, "auth token expired", Resuming, "credentials", NeverAgain),
            (1008, "The operation was aborted.", Talking, "service", SwitchNow),
            (1008, "BidiGenerateContent session not found", Resuming, "session_limit", SwitchNow),
            (1011, "Internal error occurred.", Talking, "service", SwitchNow),
            (1011, "The service is currently unavailable.", Opening, "service", SwitchNow),
            (1011, "You exceeded your current quota, please check…", Opening, "throttled", later),
            (1011, "Deadline expired before operation could complete.", Talking, "session_limit", SwitchNow),
            (1011, "Deadline expired before operation could complete.", Opening, "service", SwitchNow),
        ] {
            let failure = closed(code, reason, stage);
            assert_eq!((failure.kind(), failure.verdict()), (kind, verdict), "{code} {reason} {stage:?}");
        }
    }

    #[test]
    fn a_refused_upgrade_is_our_fault() {
        let refused = |status, body: &'static str| {
            let body = bytes::Bytes::from_static(body.as_bytes());
            of_line_end(&LineEnd::Refused { status, retry_after: None, body }, Stage::Opening)
        };
        assert_eq!(refused(400, "API key not valid"), Failure::Credentials);
        assert_eq!(refused(403, ""), Failure::Credentials);
        assert_eq!(refused(400, "what?").blame(), Blame::Us);
        assert_eq!(refused(429, "").kind(), "throttled");
        assert_eq!(refused(503, "").blame(), Blame::Provider);
    }

    #[test]
    fn errors_in_messages_are_read_by_their_status() {
        let of = |code, status| of_error(code, status, "", Stage::Talking);
        assert_eq!(of(Some(401), ""), Failure::Credentials);
        assert_eq!(of(None, "RESOURCE_EXHAUSTED").kind(), "throttled");
        assert_eq!(of(Some(400), "INVALID_ARGUMENT").kind(), "settings");
        assert_eq!(of(Some(500), "INTERNAL"), Failure::Service { code: "INTERNAL".to_owned() });
    }
}
