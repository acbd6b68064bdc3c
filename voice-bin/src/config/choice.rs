//! How a provider is chosen for a call.

use voice_core::roster::{Sticky, Strategy};

use super::check::Wrong;

pub(super) fn strategy(text: &str) -> Result<Strategy, Wrong> {
    Strategy::named(text).ok_or_else(|| {
        let fix =
            "use priority, round_robin, weighted, least_latency, least_loaded, cheapest or most_reliable";
        Wrong(format!("{text:?} is no strategy"), fix)
    })
}

pub(super) fn sticky(text: &str) -> Result<Sticky, Wrong> {
    match text {
        "no" => Ok(Sticky::No),
        "caller" => Ok(Sticky::Caller),
        "agent" => Ok(Sticky::Agent),
        other => Err(Wrong(format!("{other:?} is not known"), "use no, caller or agent")),
    }
}
