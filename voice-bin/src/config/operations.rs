//! What can be done with a call while it runs: to whom callers can be led, and what the voice may do itself.

use voice_core::call::WhenRecorded;
use voice_core::sensitive::Pii;
use voice_telephony::number::Callee;

use super::check::{Check, Wrong};
use super::settings;
use crate::tools::BuiltIn;

/// What can be done with a call while it runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OperationsConfig {
    /// To whom callers can be led, by name.
    pub targets: Targets,
    /// What the voice may do itself.
    pub tools: Vec<BuiltIn>,
    /// Where a caller is led for whom nobody can be found.
    pub when_nobody: Option<Pii<String>>,
    /// What becomes of a transfer while the carrier goes on recording.
    pub when_recorded: WhenRecorded,
}

/// Names, and the number or SIP address behind each. The voice sees the names only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Targets(Vec<(String, Pii<String>)>);

/// So many are enough for a telephone menu, and for a model to choose among.
const TARGETS_MAX: usize = 50;

impl Targets {
    /// The number or address behind a name.
    pub fn find(&self, name: &str) -> Option<&Pii<String>> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, to)| to)
    }

    /// All names, in their order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    #[cfg(test)]
    pub(crate) fn of(pairs: &[(&str, &str)]) -> Self {
        Self(pairs.iter().map(|(name, to)| ((*name).to_owned(), Pii::from(*to))).collect())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Check {
    pub(super) fn operations(&mut self) -> Option<OperationsConfig> {
        let targets = self.parse(&settings::TRANSFER_TARGETS, targets).unwrap_or_default();
        let tools = self.parse(&settings::VOICE_TOOLS, tools)?;
        if targets.is_empty() && tools.contains(&BuiltIn::TransferCall) {
            let fix = "name whom callers can be led to, like support=+15005550006";
            self.error(&settings::TRANSFER_TARGETS, "VOICE_TOOLS has transfer_call", fix);
        }
        let when_nobody = match self.parse(&settings::WHEN_NOBODY, name)?.as_str() {
            "hang_up" => None,
            name => {
                let to = targets.find(name).cloned();
                if to.is_none() {
                    let fix = "use hang_up, or a name of TRANSFER_TARGETS";
                    self.error(&settings::WHEN_NOBODY, "there is no such target", fix);
                }
                to
            }
        };
        let when_recorded = self.parse(&settings::TRANSFER_RECORDED, when_recorded)?;
        Some(OperationsConfig { targets, tools, when_nobody, when_recorded })
    }
}

fn targets(text: &str) -> Result<Targets, Wrong> {
    const FIX: &str =
        "write name=number or name=sip:user@host, separated by commas, like support=+15005550006";
    let mut targets = Vec::new();
    for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let Some((given, to)) = pair.split_once('=') else {
            return Err(Wrong(format!("{pair:?} is no pair of name and number"), FIX));
        };
        let given = name(given)?;
        let to: Callee = to.parse().map_err(|error| Wrong(format!("{given}: {error}"), FIX))?;
        if targets.iter().any(|(other, _)| *other == given) {
            return Err(Wrong(format!("{given} is there twice"), FIX));
        }
        targets.push((given, Pii::from(to.expose())));
    }
    if targets.len() > TARGETS_MAX {
        return Err(Wrong(format!("there are more than {TARGETS_MAX}"), FIX));
    }
    Ok(Targets(targets))
}

fn when_recorded(text: &str) -> Result<WhenRecorded, Wrong> {
    match text {
        "put_through" => Ok(WhenRecorded::PutThrough),
        "give_back" => Ok(WhenRecorded::GiveBack),
        other => Err(Wrong(
            format!("{other:?} is nothing that could become of a transfer"),
            "use put_through (they talk, although the carrier did not end its recording) or give_back (they do not)",
        )),
    }
}

fn name(text: &str) -> Result<String, Wrong> {
    let text = text.trim();
    let is_fine = (1..=40).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    if is_fine {
        Ok(text.to_owned())
    } else {
        Err(Wrong(format!("{text:?} is no name"), "use 1 to 40 letters, digits, _ and -"))
    }
}

fn tools(text: &str) -> Result<Vec<BuiltIn>, Wrong> {
    const FIX: &str = "use off, or some of hang_up, transfer_call, send_digits, hold, separated by commas";
    if text == "off" {
        return Ok(Vec::new());
    }
    let mut tools = Vec::new();
    for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        let tool = BuiltIn::ALL.into_iter().find(|tool| tool.name() == word);
        let tool = tool.ok_or_else(|| Wrong(format!("{word:?} is no tool"), FIX))?;
        if !tools.contains(&tool) {
            tools.push(tool);
        }
    }
    Ok(tools)
}
