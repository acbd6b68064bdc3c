//! What the voice may do with its call by itself: tools that need no code of anybody's.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::de::DeserializeOwned;
use voice_core::call::Control;
use voice_core::carrier::Digits;
use voice_core::conversation::{ToolCall, ToolDefinition, ToolResult};
use voice_core::driver::{CallHandle, Clock, RunTool};
use voice_core::id::CallId;
use voice_core::transfer::{TransferKind, TransferOrder};

use crate::config::Targets;
use crate::server::Calls;

/// A tool that comes with the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuiltIn {
    /// Ends the call once the goodbye has been heard.
    HangUp,
    /// Leads the caller to somebody by name.
    TransferCall,
    /// Presses keys.
    SendDigits,
    /// Puts the caller on hold for a while.
    Hold,
}

/// The longest hold that a voice may order: nobody hears the caller meanwhile.
const HOLD_SECONDS_MAX: u64 = 120;

/// What a model may say to whom it leads a caller: a minute of speech.
const SUMMARY_CHARACTERS_MAX: usize = 1_000;

impl BuiltIn {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::HangUp, Self::TransferCall, Self::SendDigits, Self::Hold];

    /// Its name, in settings and for the model.
    pub const fn name(self) -> &'static str {
        match self {
            Self::HangUp => "hang_up",
            Self::TransferCall => "transfer_call",
            Self::SendDigits => "send_digits",
            Self::Hold => "hold",
        }
    }

    /// What the model is told of it. It sees names of targets, and no numbers.
    pub(crate) fn definition(self, targets: &Targets) -> ToolDefinition {
        let (description, parameters) = match self {
            Self::HangUp => (
                "Ends the call. Say goodbye first: the call ends once the caller has heard it.",
                r#"{"type":"object","properties":{}}"#.to_owned(),
            ),
            Self::TransferCall => {
                let names: Vec<String> = targets.names().map(|name| format!("{name:?}")).collect();
                let names = names.join(",");
                (
                    "Connects the caller with a person. Tell the caller first. They hear music until somebody \
                     answers; if nobody does, they come back to you and you are told why.",
                    format!(
                        r#"{{"type":"object","properties":{{"to":{{"type":"string","enum":[{names}]}},"summary":{{"type":"string","description":"What the person should know before they talk with the caller, in one or two sentences."}}}},"required":["to"]}}"#
                    ),
                )
            }
            Self::SendDigits => (
                "Presses keys of the telephone, for a menu or an extension.",
                r#"{"type":"object","properties":{"digits":{"type":"string","description":"0-9, *, #, and w for a pause of half a second"}},"required":["digits"]}"#.to_owned(),
            ),
            Self::Hold => (
                "Puts the caller on hold with music for some seconds. Neither of you hears the other meanwhile.",
                r#"{"type":"object","properties":{"seconds":{"type":"integer","minimum":1,"maximum":120}},"required":["seconds"]}"#.to_owned(),
            ),
        };
        ToolDefinition { name: self.name().to_owned(), description: description.to_owned(), parameters }
    }
}

/// Runs what comes with the server, and leaves the rest to others.
pub(crate) struct BuiltIns {
    enabled: Vec<BuiltIn>,
    targets: Targets,
    calls: Calls,
    clock: Clock,
    others: Arc<dyn RunTool>,
}

impl BuiltIns {
    pub(crate) fn new(
        (enabled, targets): (Vec<BuiltIn>, Targets),
        calls: Calls,
        clock: Clock,
        others: Arc<dyn RunTool>,
    ) -> Self {
        Self { enabled, targets, calls, clock, others }
    }

    fn carry_out(&self, which: BuiltIn, call: &CallHandle, tool: &ToolCall) -> Result<&'static str, String> {
        let (control, told) = match which {
            BuiltIn::HangUp => (Control::HangUpAfterReply, "the call ends once you have said goodbye"),
            BuiltIn::TransferCall => {
                (self.transfer(tool)?, "somebody is being called; the caller hears music meanwhile")
            }
            BuiltIn::SendDigits => {
                let wish: BTreeMap<String, String> = arguments(tool)?;
                let keys = wish.get("digits").ok_or("digits is missing")?;
                let digits = Digits::new(keys).map_err(|error| error.to_string())?;
                (Control::SendDigits(digits), "the keys are being pressed")
            }
            BuiltIn::Hold => {
                let wish: BTreeMap<String, u64> = arguments(tool)?;
                let seconds = wish.get("seconds").copied().unwrap_or_default();
                if !(1..=HOLD_SECONDS_MAX).contains(&seconds) {
                    return Err(format!("seconds must be 1 to {HOLD_SECONDS_MAX}"));
                }
                self.resume_after(call.clone(), Duration::from_secs(seconds));
                (Control::Hold { music: true }, "the caller is on hold, and comes back to you by themselves")
            }
        };
        if call.control(control) { Ok(told) } else { Err("the call is over".to_owned()) }
    }

    fn transfer(&self, tool: &ToolCall) -> Result<Control, String> {
        let mut wish: BTreeMap<String, String> = arguments(tool)?;
        let name = wish.remove("to").unwrap_or_default();
        let Some(to) = self.targets.find(&name) else {
            let names: Vec<&str> = self.targets.names().collect();
            return Err(format!("there is nobody of this name; there are {}", names.join(", ")));
        };
        let mut order = TransferOrder::new(TransferKind::Warm, name, to.clone());
        order.summary = wish
            .remove("summary")
            .filter(|summary| !summary.trim().is_empty())
            .map(|summary| summary.chars().take(SUMMARY_CHARACTERS_MAX).collect::<String>().into());
        Ok(Control::Transfer(order))
    }

    fn resume_after(&self, call: CallHandle, length: Duration) {
        let until = self.clock.instant(self.clock.now() + length);
        // The hold outlives the tool, whose answer the voice waits for.
        tokio::spawn(async move {
            tokio::time::sleep_until(until).await;
            call.control(Control::Resume);
        });
    }
}

#[async_trait]
impl RunTool for BuiltIns {
    async fn run(&self, call: CallId, tool: ToolCall) -> ToolResult {
        let Some(which) = self.enabled.iter().find(|which| which.name() == tool.name) else {
            return self.others.run(call, tool).await;
        };
        let Some(handle) = self.calls.find(call) else {
            return ToolResult { output: "the call is over".into(), failed: true };
        };
        match self.carry_out(*which, &handle, &tool) {
            Ok(told) => ToolResult { output: told.into(), failed: false },
            Err(why) => ToolResult { output: why.into(), failed: true },
        }
    }
}

/// Arguments as the model wrote them, or what is wrong with them, for the model.
fn arguments<T: DeserializeOwned>(tool: &ToolCall) -> Result<T, String> {
    serde_json::from_str(tool.arguments.expose()).map_err(|error| format!("the arguments are wrong: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_definition_is_json_and_shows_no_number() {
        let targets = Targets::of(&[("support", "+15005550006"), ("sales", "sip:sales@a.example")]);
        for tool in BuiltIn::ALL {
            let definition = tool.definition(&targets);
            let schema: serde_json::Value = serde_json::from_str(&definition.parameters).expect("JSON");
            assert_eq!(schema["type"], "object", "{}", tool.name());
            let shown = format!("{} {}", definition.description, definition.parameters);
            assert!(!shown.contains("5550006") && !shown.contains("sip:"), "{shown}");
        }
        let definition = BuiltIn::TransferCall.definition(&targets);
        let schema: serde_json::Value = serde_json::from_str(&definition.parameters).expect("JSON");
        assert_eq!(schema["properties"]["to"]["enum"], serde_json::json!(["support", "sales"]));
    }
}
