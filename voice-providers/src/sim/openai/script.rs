//! The dialogue: what is answered to what.

use voice_core::sim::speech::{self, Clip};

/// What the voice does in one response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// Says this.
    Say(&'static str),
    /// Says the first, and calls the tool.
    Look { say: &'static str, tool: &'static str, arguments: &'static str },
}

/// What is answered to this sentence of the caller. Without the tool, as if it had been called.
pub(super) fn answer(caller: Option<&Clip>, has_tool: impl Fn(&str) -> bool) -> Act {
    match caller.map(|clip| clip.name) {
        Some("hello") => Act::Say("hear"),
        Some("order") if has_tool(LOOKUP) => {
            Act::Look { say: "check", tool: LOOKUP, arguments: r#"{"number":"427"}"# }
        }
        Some("thanks") => Act::Say("welcome"),
        Some(name @ ("hours" | "order" | "delivery" | "price" | "person" | "goodbye")) => Act::Say(name),
        _ => Act::Say("sorry"),
    }
}

/// The tool that knows where an order is.
const LOOKUP: &str = "lookup_order";

/// The voice's recording of that name.
pub(super) fn clip(name: &str) -> &'static Clip {
    speech::voice(name).unwrap_or(&speech::VOICE[0])
}

/// The caller's recording with these words.
pub(super) fn caller_clip(text: &str) -> Option<&'static Clip> {
    speech::CALLER.iter().find(|clip| clip.text == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sentence_has_an_answer_that_is_recorded() {
        for caller in speech::CALLER {
            for has_tool in [false, true] {
                let (Act::Say(say) | Act::Look { say, .. }) = answer(Some(caller), |_| has_tool);
                assert!(speech::voice(say).is_some(), "{say}");
                assert_ne!(say, "sorry");
            }
        }
        assert_eq!(answer(None, |_| true), Act::Say("sorry"));
    }
}
