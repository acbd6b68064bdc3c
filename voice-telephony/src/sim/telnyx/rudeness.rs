//! The ways in which a fake Telnyx can misbehave.

use voice_core::sim::rudeness;

rudeness! {
    /// One way to misbehave. Any number of them can be combined in a call.
    #[non_exhaustive]
    pub enum TelnyxRudeness {
        /// Webhooks without a signature.
        Unsigned = "unsigned",
        /// Webhooks with the signature of another body.
        WrongSignature = "wrong-signature",
        /// Webhooks that were signed six minutes ago.
        StaleSignature = "stale-signature",
        /// A webhook body far larger than any true one.
        OversizedWebhook = "oversized-webhook",
        /// Headers in title case; legal.
        TitleCaseHeaders = "title-case-headers",
        /// Every webhook twice at once, under one event id; legal.
        DoubledWebhooks = "doubled-webhooks",
        /// Each webhook overtakes the one before it; legal.
        DisorderedWebhooks = "disordered-webhooks",
        /// Webhooks up to four seconds late; legal.
        LateWebhooks = "late-webhooks",
        /// Events that nobody asked for and fields that nobody knows; legal.
        UnknownEvents = "unknown-events",
        /// The answers to commands take a second; legal.
        SlowApi = "slow-api",
        /// Each command is carried out, and its first try answered with 500 all the same.
        ApiFails = "api-fails",
        /// Each command is carried out, and its first try not answered at all.
        ApiSilent = "api-silent",
        /// Each command's first try is throttled (429).
        ApiThrottles = "api-throttles",
        /// The API refuses the key.
        ApiRefuses = "api-refuses",
        /// No conference is begun or joined.
        NoConferences = "no-conferences",
        /// Recordings are refused.
        RecordsNothing = "records-nothing",
        /// Recordings are lost: `call.recording.error`.
        RecordingFails = "recording-fails",
        /// The ticket comes back as a bearer token only.
        BearerTicket = "bearer-ticket",
        /// The ticket comes back as a parameter of `start` only.
        ParameterTicket = "parameter-ticket",
        /// The media socket comes without its ticket.
        MissingTicket = "missing-ticket",
        /// A ticket that nobody issued.
        UnknownTicket = "unknown-ticket",
        /// A second socket that shows the ticket of the first.
        UsedTicket = "used-ticket",
        /// The first stream cannot be opened, and `streaming.failed` says so.
        StreamFails = "stream-fails",
        /// `connected`, and then nothing, on the first socket.
        NoStart = "no-start",
        /// Audio before `start`, on the first socket.
        EarlyMedia = "early-media",
        /// `start` promises a codec that nobody asked for, on the first socket.
        WrongFormat = "wrong-format",
        /// Chunks of the caller overtake each other, by one or two places.
        DisorderedChunks = "disordered-chunks",
        /// Some chunks come twice.
        DoubledChunks = "doubled-chunks",
        /// The carrier drops 60 ms of the caller every two seconds, and says so by its numbers.
        Gaps = "gaps",
        /// Our own voice comes back on the outbound track.
        BothTracks = "both-tracks",
        /// Keys twice on the socket, and out of order; they also come as webhooks, always.
        DoubledKeys = "doubled-keys",
        /// Binary messages between the others.
        BinaryMedia = "binary-media",
        /// Messages that are not JSON between the others.
        MalformedJson = "malformed-json",
        /// Audio of another stream between our own.
        WrongStreamId = "wrong-stream-id",
        /// Audio that is not base64 between the other.
        BadBase64 = "bad-base64",
        /// Two seconds of audio in one message, now and then.
        OversizedMedia = "oversized-media",
        /// Messages that nobody knows, and unknown fields; legal.
        UnknownMessages = "unknown-messages",
        /// Complaints about messages of ours that were right.
        Complaints = "complaints",
        /// Echoes of marks that were never sent.
        StrayMarks = "stray-marks",
        /// Every third mark is never echoed.
        LostMarks = "lost-marks",
        /// Marks come back a second and a half late.
        LateMarks = "late-marks",
        /// Two thousand senseless messages at once, on the first socket.
        Flood = "flood",
        /// The socket is cut in the middle of the call, which goes on: `streaming.failed`.
        Cut = "cut",
        /// The socket falls silent in the middle of the call and stays open.
        HalfOpen = "half-open",
        /// The socket is closed at the end without `stop`.
        NoStop = "no-stop",
        /// At the end `call.hangup` comes, and the socket stays open.
        LeftOpen = "left-open",
    }
}
