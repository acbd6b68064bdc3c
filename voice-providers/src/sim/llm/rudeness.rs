//! Servers that a fake language model can be like, and the ways in which it can misbehave.

use serde_json::{Value, json};
use voice_core::sim::rudeness;

/// Whose habits the fake has (protocol notes, chat completions §A3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LlmProfile {
    /// By the book.
    #[default]
    OpenAi,
    /// Whole calls in one chunk, index always 0, `stop` although a call was made, a thought signature.
    Gemini,
    /// Whole calls in one chunk without index, `stop`, arguments as an object.
    Ollama,
    /// Role in every chunk, the last word and the reason share a chunk; sides must alternate.
    Vllm,
    /// Consumption in `x_groq`; refuses `stream_options`.
    Groq,
    /// Comment lines.
    OpenRouter,
}

rudeness! {
    /// One way to misbehave. Any number of them can be combined.
    #[non_exhaustive]
    pub enum LlmRudeness {
        /// 400, the conversation is too long.
        ContextLength = "context-length",
        /// 400, the model wrote a call that cannot be read.
        ToolUseFailed = "tool-use-failed",
        /// 401.
        Refuse401 = "refuse-401",
        /// 404, there is no such model.
        NoModel = "no-model",
        /// 422.
        Refuse422 = "refuse-422",
        /// 429 with a time to stay away.
        Throttle = "throttle",
        /// 429, no money.
        NoQuota = "no-quota",
        /// 500.
        Refuse500 = "refuse-500",
        /// 529.
        Overloaded = "overloaded",
        /// Never answers.
        NoAnswer = "no-answer",
        /// A status, and then nothing.
        NoFirstWord = "no-first-word",
        /// The first word after ten seconds.
        SlowFirstWord = "slow-first-word",
        /// Falls silent in the middle.
        StallMidway = "stall-midway",
        /// The connection is cut in the middle.
        CutMidway = "cut-midway",
        /// The body ends in the middle.
        EndMidway = "end-midway",
        /// An error event in the middle.
        ErrorMidway = "error-midway",
        /// An error event before the first word.
        ErrorFirst = "error-first",
        /// One event is no JSON.
        Malformed = "malformed",
        /// A web page instead of an answer.
        Html = "html",
        /// A compressed body that nobody asked for.
        Gzip = "gzip",
        /// Every byte comes by itself; legal.
        SplitBytes = "split-bytes",
        /// Lines end with `\r\n`; legal.
        CarriageReturns = "carriage-returns",
        /// Comments between events; legal.
        Comments = "comments",
        /// No `[DONE]`.
        NoDone = "no-done",
        /// No reason to finish.
        NoReason = "no-reason",
        /// Chunks without choices, fields that nobody knows, nulls; legal.
        OddFields = "odd-fields",
        /// Thoughts before the words; legal.
        Thoughts = "thoughts",
        /// The arguments of its calls are no JSON.
        BadArguments = "bad-arguments",
        /// Two calls at once; legal.
        TwoCalls = "two-calls",
        /// Calls tools whatever it is told.
        AlwaysCalls = "always-calls",
        /// Answers with nothing.
        Nothing = "nothing",
        /// 100 kB in one chunk.
        Huge = "huge",
    }
}

impl LlmRudeness {
    /// Status and body, where it refuses.
    pub(super) fn refusal(self) -> Option<(u16, Value)> {
        const REFUSALS: &[(LlmRudeness, u16, &str)] = &[
            (LlmRudeness::ContextLength, 400, "context_length_exceeded"),
            (LlmRudeness::ToolUseFailed, 400, "tool_use_failed"),
            (LlmRudeness::Refuse401, 401, "invalid_api_key"),
            (LlmRudeness::NoModel, 404, "model_not_found"),
            (LlmRudeness::Refuse422, 422, "unprocessable"),
            (LlmRudeness::Throttle, 429, "rate_limit_exceeded"),
            (LlmRudeness::NoQuota, 429, "insufficient_quota"),
            (LlmRudeness::Refuse500, 500, "server_error"),
            (LlmRudeness::Overloaded, 529, "overloaded_error"),
        ];
        let (_, status, code) = *REFUSALS.iter().find(|(rudeness, ..)| *rudeness == self)?;
        Some((status, json!({"error": {"message": "no", "type": "error", "param": null, "code": code}})))
    }
}
