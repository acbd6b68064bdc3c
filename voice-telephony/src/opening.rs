//! The first seconds of a media socket: who is there, for which call, or why it is closed.

use crate::ticket::TicketError;
use crate::webhook::Rejection;

/// What became of a message that arrived while a media socket is opening.
#[derive(Debug)]
pub enum Step<Opening, Opened> {
    /// More is needed; go on with this.
    Wait(Opening),
    /// The carrier has said which call it is. Redeem the ticket before anything else is done with it.
    Opened(Box<Opened>),
    /// Close the socket with the code and reason of this.
    Refused(Refusal),
}

/// Why a media socket was closed before it became a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The carrier did not say in time which call it is.
    #[error("no start in time")]
    NoStart,
    /// It said so much else first that it cannot be a carrier.
    #[error("too many messages before start")]
    Flood,
    /// A binary message where the protocol has none.
    #[error("binary messages are not part of the protocol")]
    Binary,
    /// Not the JSON that the protocol prescribes.
    #[error("a message cannot be read")]
    Unreadable,
    /// Audio, keys or an end before `start`.
    #[error("a message came before start")]
    OutOfPlace,
    /// The line itself broke: a message beyond the size limit, or not WebSocket at all. It has been closed
    /// with the code of the rule (1009, 1002).
    #[error("a message is too large, or the websocket protocol was broken")]
    Broken,
    /// Audio in a format other than the carrier's own.
    #[error("the audio format is not supported")]
    WrongFormat,
    /// The stream has no ticket.
    #[error("the ticket is missing")]
    NoTicket,
    /// It has one that does not open it.
    #[error(transparent)]
    Ticket(#[from] TicketError),
    /// The upgrade was not signed by the carrier. Better answered with the HTTP status of it, before
    /// the upgrade; the close code is for servers that find out later.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The server shuts down.
    #[error("shutting down")]
    ShuttingDown,
    /// The server has as many calls as it can take.
    #[error("too many calls")]
    Full,
}

impl Refusal {
    /// The WebSocket close code (RFC 6455 §7.4).
    pub const fn close_code(&self) -> u16 {
        match self {
            Self::ShuttingDown => 1001,
            Self::Broken => 1002,
            Self::Binary | Self::WrongFormat => 1003,
            Self::Unreadable => 1007,
            Self::NoStart
            | Self::Flood
            | Self::OutOfPlace
            | Self::NoTicket
            | Self::Ticket(_)
            | Self::Rejected(_) => 1008,
            Self::Full => 1013,
        }
    }

    /// The reason that goes with the close code: a stable name, far below the 123 bytes allowed.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::NoStart => "no_start",
            Self::Flood => "flood",
            Self::Binary => "binary",
            Self::Unreadable => "unreadable",
            Self::OutOfPlace => "before_start",
            Self::Broken => "broken",
            Self::WrongFormat => "wrong_format",
            Self::NoTicket => "ticket_missing",
            Self::Ticket(error) => error.name(),
            Self::Rejected(rejection) => rejection.name(),
            Self::ShuttingDown => "shutting_down",
            Self::Full => "full",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_fit_into_a_close_frame() {
        for refusal in [
            Refusal::NoStart,
            Refusal::Flood,
            Refusal::Binary,
            Refusal::Unreadable,
            Refusal::OutOfPlace,
            Refusal::Broken,
            Refusal::WrongFormat,
            Refusal::NoTicket,
            Refusal::Ticket(TicketError::WrongCall),
            Refusal::Rejected(Rejection::MissingSignature),
            Refusal::ShuttingDown,
            Refusal::Full,
        ] {
            assert!(refusal.name().len() <= 123 && (1001..1015).contains(&refusal.close_code()), "{refusal}");
        }
    }
}
