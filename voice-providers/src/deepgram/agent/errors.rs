//! What the service's error codes mean, and the ends of its lines (protocol notes, Deepgram §1, §5.6).

use voice_core::failure::Failure;
use voice_core::wire::LineEnd;

use super::wire;

/// What is behind an `Error`, after which the service closes. The session's age decides where the code
/// does not: the code that ends a session at its longest duration is not documented.
pub(super) fn of_error(code: &str, is_talking: bool, at_limit: bool) -> Failure {
    let clean = Failure::clean_code(code);
    // A message that it could not read in mid-call may be anybody's mistake, and one message is no reason
    // never to come back. The settings are another matter: they will be the same next time.
    if is_talking && code == "UNPARSABLE_CLIENT_MESSAGE" {
        return Failure::Service { code: clean };
    }
    known(code).unwrap_or(if at_limit { Failure::SessionLimit } else { Failure::Service { code: clean } })
}

/// What is behind the end of the line.
pub(super) fn of_line_end(end: &LineEnd, at_limit: bool) -> Failure {
    match end {
        LineEnd::Refused { status, body, .. } => of_refusal(end, *status, body),
        LineEnd::Closed { reason, .. } => {
            let named =
                reason.split(|c: char| !(c.is_ascii_alphanumeric() || "_-".contains(c))).find_map(known);
            match named {
                Some(failure) => failure,
                None if at_limit => Failure::SessionLimit,
                None => Failure::from_line_end(end),
            }
        }
        LineEnd::Ended | LineEnd::Cut if at_limit => Failure::SessionLimit,
        LineEnd::Unreachable(_) | LineEnd::Ended | LineEnd::Cut | LineEnd::Broken | LineEnd::Clogged | _ => {
            Failure::from_line_end(end)
        }
    }
}

/// The body says more than the status, where there is one.
fn of_refusal(end: &LineEnd, status: u16, body: &[u8]) -> Failure {
    let code = wire::refusal_code(body);
    let failure = code.as_deref().and_then(known);
    // For one who is throttled, the status comes with the time to stay away.
    if let Some(failure) = failure.filter(|failure| !matches!(failure, Failure::Throttled { .. })) {
        return failure;
    }
    match status {
        400 | 404 | 413 => {
            Failure::Settings { code: Failure::clean_code(code.as_deref().unwrap_or("bad_request")) }
        }
        402 => Failure::Quota,
        _ => Failure::from_line_end(end),
    }
}

/// The table of codes, of messages, close reasons and refused upgrades alike.
fn known(code: &str) -> Option<Failure> {
    let settings = || Some(Failure::Settings { code: code.to_owned() });
    let service = || Some(Failure::Service { code: code.to_owned() });
    match code {
        // Ours to mend: it will be the same next time.
        "UNPARSABLE_CLIENT_MESSAGE"
        | "NON_SETTINGS_MESSAGE_BEFORE_SETTINGS"
        | "SETTINGS_ALREADY_APPLIED"
        | "INVALID_SETTINGS"
        | "USER_AUDIO_FORMAT"
        | "AGENT_ID_NOT_SUPPORTED"
        | "INVALID_AGENT_ID"
        | "DATA-0000" => settings(),
        "INVALID_AUTH" | "INSUFFICIENT_PERMISSIONS" => Some(Failure::Credentials),
        "ASR_PAYMENT_REQUIRED" => Some(Failure::Quota),
        "TOO_MANY_REQUESTS" => Some(Failure::Throttled { retry_after: None }),
        // A model that invents a tool, silence in spite of our audio: neither is in our hands.
        "INTERNAL_SERVER_ERROR"
        | "CLIENT_MESSAGE_TIMEOUT"
        | "FAILED_TO_LISTEN"
        | "FAILED_TO_START_LISTENING"
        | "ASR_CONNECTION_CLOSED"
        | "ASR_DRIVER_TIMEOUT"
        | "FAILED_TO_THINK"
        | "FAILED_TO_SPEAK"
        | "SERVER_GOING_AWAY"
        | "NON_EXISTENT_FUNCTION_CALLED"
        | "NET-0000"
        | "NET-0001" => service(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use voice_core::failure::{Blame, Verdict};
    use voice_core::wire::Unreachable;

    use super::*;

    #[test]
    fn every_documented_error_has_its_place() {
        let ours = (Blame::Us, Verdict::NeverAgain);
        let theirs = (Blame::Provider, Verdict::SwitchNow);
        for (code, judged) in [
            ("INTERNAL_SERVER_ERROR", theirs),
            ("CLIENT_MESSAGE_TIMEOUT", theirs),
            ("UNPARSABLE_CLIENT_MESSAGE", ours),
            ("NON_SETTINGS_MESSAGE_BEFORE_SETTINGS", ours),
            ("SETTINGS_ALREADY_APPLIED", ours),
            ("INVALID_SETTINGS", ours),
            ("FAILED_TO_LISTEN", theirs),
            ("FAILED_TO_START_LISTENING", theirs),
            ("ASR_CONNECTION_CLOSED", theirs),
            ("ASR_DRIVER_TIMEOUT", theirs),
            ("USER_AUDIO_FORMAT", ours),
            ("FAILED_TO_THINK", theirs),
            ("FAILED_TO_SPEAK", theirs),
            ("SERVER_GOING_AWAY", theirs),
            ("NON_EXISTENT_FUNCTION_CALLED", theirs),
            ("AGENT_ID_NOT_SUPPORTED", ours),
            ("INVALID_AGENT_ID", ours),
            ("SOMETHING_NEW", theirs),
        ] {
            assert_eq!(of_error(code, false, false).judge(), judged, "{code}");
            assert!(of_error(code, false, false).to_string().contains(code), "{code} is told");
        }
        assert_eq!(of_error("a b\n+1555", false, false), Failure::Service { code: "ab1555".into() });
    }

    #[test]
    fn one_message_in_mid_call_is_no_reason_never_to_come_back() {
        let judged = |is_talking| of_error("UNPARSABLE_CLIENT_MESSAGE", is_talking, false).judge();
        assert_eq!(judged(true), (Blame::Provider, Verdict::SwitchNow));
        assert_eq!(judged(false), (Blame::Us, Verdict::NeverAgain));
    }

    #[test]
    fn an_unknown_end_at_the_longest_duration_is_that_limit() {
        let closed = LineEnd::Closed { code: 1000, reason: String::new() };
        assert_eq!(of_error("SOMETHING_NEW", true, true), Failure::SessionLimit);
        assert_eq!(
            of_error("FAILED_TO_THINK", true, true),
            Failure::Service { code: "FAILED_TO_THINK".into() }
        );
        assert_eq!(of_line_end(&closed, true), Failure::SessionLimit);
        assert_eq!(of_line_end(&LineEnd::Cut, true), Failure::SessionLimit);
        assert_eq!(of_line_end(&closed, false), Failure::Closed { code: 1000 });
        assert_eq!(of_line_end(&LineEnd::Cut, false), Failure::Cut);
        assert_eq!(of_line_end(&LineEnd::Clogged, true), Failure::Clogged);
    }

    #[test]
    fn close_reasons_are_read() {
        for (code, reason, failure) in [
            (1008, "DATA-0000: cannot decode", Failure::Settings { code: "DATA-0000".into() }),
            (1011, "NET-0001 did not receive audio", Failure::Service { code: "NET-0001".into() }),
            (1005, "SERVER_GOING_AWAY", Failure::Service { code: "SERVER_GOING_AWAY".into() }),
            (1011, "something else", Failure::Closed { code: 1011 }),
            (1009, "BIG-0000", Failure::Closed { code: 1009 }),
        ] {
            assert_eq!(
                of_line_end(&LineEnd::Closed { code, reason: reason.into() }, false),
                failure,
                "{reason}"
            );
        }
    }

    #[test]
    fn refused_upgrades_are_told_apart() {
        let refused = |status, body: &'static str| {
            let retry_after = Some(Duration::from_secs(4));
            of_line_end(
                &LineEnd::Refused { status, retry_after, body: Bytes::from_static(body.as_bytes()) },
                true,
            )
        };
        let settings = |code: &str| Failure::Settings { code: code.into() };
        let throttled = Failure::Throttled { retry_after: Some(Duration::from_secs(4)) };
        for (status, body, failure) in [
            (401, r#"{"err_code":"INVALID_AUTH","err_msg":"no","request_id":"r"}"#, Failure::Credentials),
            (401, "<html>", Failure::Credentials),
            (402, r#"{"err_code":"ASR_PAYMENT_REQUIRED"}"#, Failure::Quota),
            (402, "", Failure::Quota),
            (403, r#"{"category":"INSUFFICIENT_PERMISSIONS","message":"m"}"#, Failure::Credentials),
            (429, r#"{"err_code":"TOO_MANY_REQUESTS"}"#, throttled.clone()),
            (429, "", throttled),
            (400, r#"{"err_code":"Bad Request"}"#, settings("BadRequest")),
            (404, "", settings("bad_request")),
            (503, "", Failure::Refused { status: 503 }),
        ] {
            assert_eq!(refused(status, body), failure, "{status} {body}");
        }
        let never = LineEnd::Unreachable(Unreachable::Tcp);
        assert_eq!(of_line_end(&never, true), Failure::Unreachable(Unreachable::Tcp));
    }
}
