//! The JSON of answers to REST commands (protocol notes, Telnyx §3).

use serde::Deserialize;

use super::webhook::Word;

#[derive(Deserialize)]
pub(in crate::telnyx) struct Success {
    pub(in crate::telnyx) data: SuccessData,
}

/// Which parts are there depends on the command.
#[derive(Deserialize)]
pub(in crate::telnyx) struct SuccessData {
    #[serde(default)]
    pub(in crate::telnyx) call_control_id: Word,
    #[serde(default)]
    pub(in crate::telnyx) call_leg_id: Word,
    #[serde(default)]
    pub(in crate::telnyx) call_session_id: Word,
    #[serde(default)]
    pub(in crate::telnyx) recording_id: Word,
    #[serde(default)]
    pub(in crate::telnyx) record_type: Word,
    #[serde(default)]
    pub(in crate::telnyx) id: Word,
    #[serde(default)]
    pub(in crate::telnyx) is_alive: Option<bool>,
}

/// A list of calls that are alive.
#[derive(Deserialize)]
pub(in crate::telnyx) struct ActiveCalls {
    pub(in crate::telnyx) data: Vec<ActiveCall>,
}

#[derive(Deserialize)]
pub(in crate::telnyx) struct ActiveCall {
    #[serde(default)]
    pub(in crate::telnyx) call_control_id: Word,
    #[serde(default)]
    pub(in crate::telnyx) client_state: Word,
}

/// A list of conferences.
#[derive(Deserialize)]
pub(in crate::telnyx) struct Conferences {
    pub(in crate::telnyx) data: Vec<Conference>,
}

#[derive(Deserialize)]
pub(in crate::telnyx) struct Conference {
    #[serde(default)]
    pub(in crate::telnyx) id: Word,
    #[serde(default)]
    pub(in crate::telnyx) name: Word,
    #[serde(default)]
    pub(in crate::telnyx) status: Word,
}

#[derive(Deserialize)]
pub(in crate::telnyx) struct Failure {
    #[serde(default)]
    pub(in crate::telnyx) errors: Vec<OneError>,
}

#[derive(Deserialize)]
pub(in crate::telnyx) struct OneError {
    /// A number, written as text.
    #[serde(default)]
    pub(in crate::telnyx) code: Word,
}
