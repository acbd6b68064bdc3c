//! What servers tell each other over Redis.

use serde::{Deserialize, Serialize};

/// One message, to the channel of one server.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "message", rename_all = "snake_case")]
pub(super) enum Message {
    /// Do this with a call of yours.
    Order {
        /// Which order; the answer has the same.
        id: String,
        /// Whose channel the answer goes to.
        from: String,
        call: String,
        order: String,
    },
    /// What came of it; `None` if the call is not there.
    Answer { id: String, answer: Option<String> },
    /// Something a later version says.
    #[serde(other)]
    Unknown,
}
