//! What Deepgram's refusals, close codes and error messages mean.

use voice_core::failure::Failure;
use voice_core::wire::LineEnd;

use super::wire;

/// What the end of a speech line means (protocol notes, Deepgram §1, §2.3, §4).
pub(super) fn of_line(end: &LineEnd) -> Failure {
    match end {
        LineEnd::Refused { status, retry_after, body } => {
            let code = || Failure::clean_code(wire::refusal_code(body).as_deref().unwrap_or("unspecified"));
            match *status {
                400 | 404 | 405 | 413 | 422 => Failure::Settings { code: code() },
                401 | 403 => Failure::Credentials,
                402 => Failure::Quota,
                429 => Failure::Throttled { retry_after: *retry_after },
                status => Failure::Refused { status },
            }
        }
        LineEnd::Closed { code, reason } => of_close(*code, reason),
        LineEnd::Unreachable(_) | LineEnd::Ended | LineEnd::Cut | LineEnd::Broken | LineEnd::Clogged | _ => {
            Failure::from_line_end(end)
        }
    }
}

fn of_close(code: u16, reason: &str) -> Failure {
    let named = ["DATA-0001", "NET-0003"].into_iter().find(|name| reason.contains(name));
    let own = || Failure::clean_code(reason.split([' ', ':']).next().unwrap_or_default());
    match (code, named) {
        // The longest time that a socket may stand.
        (_, Some("NET-0003")) => Failure::SessionLimit,
        // Too many characters a minute.
        (_, Some("DATA-0001")) => Failure::Throttled { retry_after: None },
        // A message of the wrong kind, that cannot be read, or too large: we sent it.
        (1003 | 1008 | 1009, _) => Failure::Settings { code: own() },
        (1011, _) if !reason.is_empty() => Failure::Service { code: own() },
        (code, _) => Failure::Closed { code },
    }
}

/// What an error message means; the services close the socket after it.
pub(super) fn of_message(code: &str) -> Failure {
    let clean = Failure::clean_code(code);
    match code {
        "SchemaError" | "INVALID_QUERY_PARAMETER" | "UNPARSABLE_CLIENT_MESSAGE" => {
            Failure::Settings { code: clean }
        }
        "INVALID_AUTH" | "INSUFFICIENT_PERMISSIONS" => Failure::Credentials,
        "ASR_PAYMENT_REQUIRED" => Failure::Quota,
        "TOO_MANY_REQUESTS" | "DATA-0001" => Failure::Throttled { retry_after: None },
        "NET-0003" => Failure::SessionLimit,
        code if ["DATA-", "MESSAGE-", "BIG-"].iter().any(|ours| code.starts_with(ours)) => {
            Failure::Settings { code: clean }
        }
        _ => Failure::Service { code: clean },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use voice_core::failure::{Blame, Verdict};

    #[test]
    fn every_documented_end_has_its_meaning() {
        let refused = |status, body: &'static str| LineEnd::Refused {
            status,
            retry_after: None,
            body: Bytes::from_static(body.as_bytes()),
        };
        let closed = |code, reason: &str| LineEnd::Closed { code, reason: reason.to_owned() };
        for (end, kind, blame) in [
            (refused(400, r#"{"err_code":"INVALID_QUERY_PARAMETER"}"#), "settings", Blame::Us),
            (refused(401, r#"{"category":"INVALID_AUTH"}"#), "credentials", Blame::Us),
            (refused(402, ""), "quota", Blame::Us),
            (refused(403, ""), "credentials", Blame::Us),
            (refused(429, "<html>"), "throttled", Blame::Provider),
            (refused(503, ""), "refused", Blame::Provider),
            (closed(1000, ""), "closed", Blame::Provider),
            (closed(1003, "MESSAGE-0000"), "settings", Blame::Us),
            (closed(1005, ""), "closed", Blame::Provider),
            (closed(1008, "DATA-0000"), "settings", Blame::Us),
            (closed(1008, "DATA-0001: rate"), "throttled", Blame::Provider),
            (closed(1009, "BIG-0001"), "settings", Blame::Us),
            (closed(1011, "NET-0000"), "service", Blame::Provider),
            (closed(1011, "NET-0001 did not receive audio data"), "service", Blame::Provider),
            (closed(1011, "NET-0003"), "session_limit", Blame::Nobody),
            (closed(1011, ""), "closed", Blame::Provider),
            (LineEnd::Cut, "cut", Blame::Provider),
            (LineEnd::Broken, "unreadable", Blame::Provider),
            (LineEnd::Clogged, "clogged", Blame::Provider),
        ] {
            let failure = of_line(&end);
            assert_eq!((failure.kind(), failure.blame()), (kind, blame), "{end:?}");
        }
        let code = of_line(&refused(400, r#"{"err_code":"INVALID_QUERY_PARAMETER"}"#));
        assert_eq!(code, Failure::Settings { code: "INVALID_QUERY_PARAMETER".into() });
    }

    #[test]
    fn error_messages_have_verdicts() {
        for (code, verdict) in [
            ("INTERNAL_SERVER_ERROR", Verdict::SwitchNow),
            ("SchemaError", Verdict::NeverAgain),
            ("INVALID_AUTH", Verdict::NeverAgain),
            ("ASR_PAYMENT_REQUIRED", Verdict::NeverAgain),
            ("DATA-0000", Verdict::NeverAgain),
            ("NET-0000", Verdict::SwitchNow),
            ("NET-0003", Verdict::SwitchNow),
            ("something new", Verdict::SwitchNow),
        ] {
            assert_eq!(of_message(code).verdict(), verdict, "{code}");
        }
        assert_eq!(of_message("TOO_MANY_REQUESTS").kind(), "throttled");
    }
}
