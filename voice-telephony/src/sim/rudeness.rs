//! The ways in which a fake carrier can misbehave.

use voice_core::sim::rudeness;

rudeness! {
    /// One way to misbehave. Any number of them can be combined in a call.
    #[non_exhaustive]
    pub enum Rudeness {
        /// Webhooks without a signature.
        Unsigned = "unsigned",
        /// Webhooks with the signature of another request.
        WrongSignature = "wrong-signature",
        /// The signature's header in lower case; legal.
        LowerCaseHeader = "lower-case-header",
        /// A webhook body far larger than any true one.
        OversizedWebhook = "oversized-webhook",
        /// The voice webhook twice at once, as a retry would; legal.
        DuplicateWebhook = "duplicate-webhook",
        /// Parameters that nobody knows, some empty, some not ASCII; legal.
        ExtraParameters = "extra-parameters",
        /// The media socket's upgrade without a signature.
        UnsignedUpgrade = "unsigned-upgrade",
        /// The media socket's upgrade with a wrong signature.
        WrongUpgradeSignature = "wrong-upgrade-signature",
        /// A ticket that nobody issued.
        UnknownTicket = "unknown-ticket",
        /// A second socket that shows the ticket of the first.
        UsedTicket = "used-ticket",
        /// No ticket.
        MissingTicket = "missing-ticket",
        /// `connected`, and then nothing.
        NoStart = "no-start",
        /// Audio before `start`.
        EarlyMedia = "early-media",
        /// `start` promises another audio format.
        WrongFormat = "wrong-format",
        /// `start` that is not JSON.
        MalformedStart = "malformed-start",
        /// Binary messages between the others.
        BinaryMedia = "binary-media",
        /// Messages that are not JSON between the others.
        MalformedJson = "malformed-json",
        /// Audio of another stream between our own.
        WrongStreamSid = "wrong-stream-sid",
        /// Audio that is not base64 between the other.
        BadBase64 = "bad-base64",
        /// Two seconds of audio in one message, now and then.
        OversizedMedia = "oversized-media",
        /// Events that nobody knows, and unknown fields; legal.
        UnknownEvents = "unknown-events",
        /// Echoes of marks that were never sent.
        StrayMarks = "stray-marks",
        /// Frames late and in bunches of up to 80 ms.
        Jitter = "jitter",
        /// The carrier drops 60 ms of the caller every two seconds, and says so by its counters.
        Gaps = "gaps",
        /// 40 ms in each message; legal.
        BigFrames = "big-frames",
        /// Every third mark is never echoed.
        LostMarks = "lost-marks",
        /// Marks come back a second and a half late.
        LateMarks = "late-marks",
        /// The TCP connection is cut in the middle of the call, without `stop`.
        Cut = "cut",
        /// The carrier falls silent in the middle of the call and leaves the socket open.
        HalfOpen = "half-open",
        /// The socket is closed at the end without `stop`.
        NoStop = "no-stop",
        /// Two thousand senseless messages at once.
        Flood = "flood",
        /// Status callbacks after the last one, in the wrong order, one of them twice.
        LateStatus = "late-status",
    }
}
