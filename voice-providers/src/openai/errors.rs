//! What the service's errors and closings mean: one table.

use voice_core::failure::Failure;
use voice_core::wire::LineEnd;

use super::wire::{self, ErrorBody};

/// What an error was about, as far as that changes its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Occasion {
    /// The session is not configured yet, and the error answers our settings or nothing in particular.
    Setup,
    /// Anything later. Most errors do not end a session (protocol notes, OpenAI Realtime §13).
    Talk,
    /// A response failed.
    Response,
}

/// What an error event, or the error of a failed response, means.
pub(super) fn judge(error: &ErrorBody, occasion: Occasion) -> Failure {
    let code = error.code.as_deref().or(error.kind.as_deref()).unwrap_or_default();
    if let Some(failure) = known(code) {
        return failure;
    }
    let kind = error.kind.as_deref().unwrap_or_default();
    if code == "server_error" || kind == "server_error" {
        return Failure::Service { code: Failure::clean_code(code) };
    }
    match occasion {
        Occasion::Setup => {
            // The parameter says more than "unknown_parameter" does.
            let parameter = error.param.as_deref().filter(|param| !param.is_empty());
            Failure::Settings { code: Failure::clean_code(parameter.unwrap_or(code)) }
        }
        Occasion::Talk => Failure::Harmless { code: Failure::clean_code(code) },
        Occasion::Response => Failure::Service { code: Failure::clean_code(code) },
    }
}

/// What the end of the line means.
pub(super) fn judge_end(end: &LineEnd, was_due: bool) -> Failure {
    if let LineEnd::Refused { status, body, .. } = end {
        let named = wire::read_refusal(body).and_then(|error| {
            let code = error.code.or(error.kind)?;
            known(&code).filter(|failure| !matches!(failure, Failure::Throttled { .. }))
        });
        return match (named, status) {
            (Some(failure), _) => failure,
            // An unknown path or model, or a request it does not understand: both come from our settings.
            (None, 400 | 404) => Failure::Settings { code: format!("http_{status}") },
            (None, _) => Failure::from_line_end(end),
        };
    }
    if let LineEnd::Closed { code, reason } = end {
        // Reasons have been seen both as a bare code and as `invalid_request_error.code`.
        if let Some(failure) = reason.rsplit('.').find_map(known) {
            return failure;
        }
        if *code == 4000 {
            return Failure::Settings { code: "close_4000".to_owned() };
        }
        if *code == 1001 && (was_due || reason.contains("maximum duration")) {
            return Failure::SessionLimit;
        }
    }
    Failure::from_line_end(end)
}

/// Codes that mean the same whenever they come.
fn known(code: &str) -> Option<Failure> {
    Some(match code {
        "session_expired" => Failure::SessionLimit,
        "invalid_api_key" | "account_deactivated" | "invalid_authentication" => Failure::Credentials,
        "insufficient_quota" | "billing_hard_limit_reached" => Failure::Quota,
        "rate_limit_exceeded" | "inference_rate_limit_exceeded" => Failure::Throttled { retry_after: None },
        "invalid_model" | "model_not_found" | "beta_api_shape_disabled" => {
            Failure::Settings { code: code.to_owned() }
        }
        ALREADY_RESPONDING
        | "response_cancel_not_active"
        | "input_audio_buffer_commit_empty"
        | "item_retrieve_invalid_item_id"
        | "item_truncate_invalid_item_id"
        | "item_delete_invalid_item_id" => Failure::Harmless { code: code.to_owned() },
        _ => return None,
    })
}

/// We asked for a response while one was running. It is asked for again when that one is done.
pub(super) const ALREADY_RESPONDING: &str = "conversation_already_has_active_response";

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn service(code: &str) -> Failure {
        Failure::Service { code: code.into() }
    }

    fn settings(code: &str) -> Failure {
        Failure::Settings { code: code.into() }
    }

    fn harmless(code: &str) -> Failure {
        Failure::Harmless { code: code.into() }
    }

    #[test]
    fn the_table_of_errors() {
        let throttled = Failure::Throttled { retry_after: None };
        for (code, setup, talk, response) in [
            ("session_expired", Failure::SessionLimit, Failure::SessionLimit, Failure::SessionLimit),
            ("invalid_api_key", Failure::Credentials, Failure::Credentials, Failure::Credentials),
            ("account_deactivated", Failure::Credentials, Failure::Credentials, Failure::Credentials),
            ("insufficient_quota", Failure::Quota, Failure::Quota, Failure::Quota),
            ("billing_hard_limit_reached", Failure::Quota, Failure::Quota, Failure::Quota),
            ("rate_limit_exceeded", throttled.clone(), throttled.clone(), throttled.clone()),
            ("inference_rate_limit_exceeded", throttled.clone(), throttled.clone(), throttled.clone()),
            ("server_error", service("server_error"), service("server_error"), service("server_error")),
            (
                "invalid_model",
                settings("invalid_model"),
                settings("invalid_model"),
                settings("invalid_model"),
            ),
            (
                "beta_api_shape_disabled",
                settings("beta_api_shape_disabled"),
                settings("beta_api_shape_disabled"),
                settings("beta_api_shape_disabled"),
            ),
            ("unknown_parameter", settings("p"), harmless("unknown_parameter"), service("unknown_parameter")),
            ("invalid_value", settings("p"), harmless("invalid_value"), service("invalid_value")),
            ("invalid_event", settings("p"), harmless("invalid_event"), service("invalid_event")),
            ("new_next_year", settings("p"), harmless("new_next_year"), service("new_next_year")),
            (
                "response_cancel_not_active",
                harmless("response_cancel_not_active"),
                harmless("response_cancel_not_active"),
                harmless("response_cancel_not_active"),
            ),
            (
                ALREADY_RESPONDING,
                harmless(ALREADY_RESPONDING),
                harmless(ALREADY_RESPONDING),
                harmless(ALREADY_RESPONDING),
            ),
            (
                "input_audio_buffer_commit_empty",
                harmless("input_audio_buffer_commit_empty"),
                harmless("input_audio_buffer_commit_empty"),
                harmless("input_audio_buffer_commit_empty"),
            ),
            (
                "item_truncate_invalid_item_id",
                harmless("item_truncate_invalid_item_id"),
                harmless("item_truncate_invalid_item_id"),
                harmless("item_truncate_invalid_item_id"),
            ),
        ] {
            let error = ErrorBody {
                kind: Some("invalid_request_error".into()),
                code: Some(code.into()),
                param: Some("p".into()),
                event_id: None,
            };
            assert_eq!(judge(&error, Occasion::Setup), setup, "{code}");
            assert_eq!(judge(&error, Occasion::Talk), talk, "{code}");
            assert_eq!(judge(&error, Occasion::Response), response, "{code}");
        }
        let nameless = ErrorBody { kind: Some("server_error".into()), ..ErrorBody::default() };
        assert_eq!(judge(&nameless, Occasion::Talk), service("server_error"));
        assert_eq!(judge(&ErrorBody::default(), Occasion::Talk), harmless("unspecified"));
    }

    #[test]
    fn the_table_of_endings() {
        let closed = |code, reason: &str| LineEnd::Closed { code, reason: reason.into() };
        let refused = |status, body: &'static str| LineEnd::Refused {
            status,
            retry_after: None,
            body: Bytes::from_static(body.as_bytes()),
        };
        for (end, failure) in [
            (closed(1001, "Your session hit the maximum duration of 60 minutes."), Failure::SessionLimit),
            (closed(1001, "going away"), Failure::Closed { code: 1001 }),
            (closed(4000, "beta_api_shape_disabled"), settings("beta_api_shape_disabled")),
            (closed(3000, "invalid_request_error.invalid_model"), settings("invalid_model")),
            (closed(4000, "?"), settings("close_4000")),
            (closed(1011, ""), Failure::Closed { code: 1011 }),
            (refused(401, r#"{"error":{"code":"invalid_api_key"}}"#), Failure::Credentials),
            (refused(403, "<html>"), Failure::Credentials),
            (refused(404, r#"{"error":{"code":"model_not_found"}}"#), settings("model_not_found")),
            (refused(404, ""), settings("http_404")),
            (refused(429, r#"{"error":{"code":"insufficient_quota"}}"#), Failure::Quota),
            (
                refused(429, r#"{"error":{"type":"rate_limit_exceeded"}}"#),
                Failure::Throttled { retry_after: None },
            ),
            (refused(503, "{"), Failure::Refused { status: 503 }),
            (LineEnd::Cut, Failure::Cut),
        ] {
            assert_eq!(judge_end(&end, false), failure, "{end:?}");
        }
        assert_eq!(judge_end(&closed(1001, ""), true), Failure::SessionLimit);
    }
}
