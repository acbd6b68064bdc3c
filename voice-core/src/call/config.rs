//! What every call of an agent has in common.

use std::sync::Arc;
use std::time::Duration;

use crate::audio::FRAME;
use crate::audio::resample::Phase;
use crate::conversation::ToolDefinition;
use crate::limits;
use crate::sensitive::Pii;

use super::prompts::Prompts;

/// Settings of a call. Made by [`CallConfig::builder`], immutable afterwards, shared by all calls.
#[derive(Clone, Debug)]
pub struct CallConfig {
    pub(crate) instructions: Arc<str>,
    pub(crate) greeting: Greeting,
    pub(crate) language: Option<String>,
    pub(crate) tools: Arc<[ToolDefinition]>,
    pub(crate) limits: CallLimits,
    pub(crate) patience: Patience,
    pub(crate) prompts: Prompts,
    pub(crate) when_nobody: WhenNobody,
    pub(crate) when_recorded: WhenRecorded,
    pub(crate) standby: Standby,
    pub(crate) context_bytes: usize,
    pub(crate) phase: Phase,
}

/// Who speaks first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Greeting {
    /// The voice, as soon as somebody is attached; with these words for the model, if any.
    Voice(Option<String>),
    /// The caller.
    Caller,
}

/// What is done with a caller for whom nobody can be found, after they were told so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WhenNobody {
    /// Hang up.
    HangUp,
    /// Lead them to this number or address, in the carrier's form. The call ends with
    /// [`crate::record::EndReason::Transfer`] and leaves the carrier's leg standing; the telephony side
    /// redirects it.
    Transfer(Pii<String>),
}

/// Whether somebody else is connected early, in case the one who talks fails.
///
/// Then a failure costs one message instead of a connection. A second session costs what the service
/// asks for an open one (most ask nothing while no audio flows, but count it as one of those allowed at
/// once), and ends by its own limits; the call replaces it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standby {
    /// Nobody stands by.
    Off,
    /// Connected, with the conversation up to then. The rest is told when it is needed: nothing is paid
    /// for it before, but the first answer may take longer.
    Ready,
    /// Connected, and told every turn as soon as nothing about it can change any more. It never hears
    /// the caller: no service can be made to listen without answering, and two must never answer.
    Fed,
}

/// What becomes of a transfer when the carrier does not end its recording of the call before (within
/// [`limits::TRANSFER_WAY`]). Whoever the caller is led to has agreed to nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenRecorded {
    /// The caller is put through; the record says what the carrier refused, and it is asked again.
    #[default]
    PutThrough,
    /// The caller is given back to the voice: nobody is recorded who did not agree.
    GiveBack,
}

/// How long the caller may hear nothing before a prompt covers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// The one who talked has failed, and the caller is owed an answer or has spoken since.
    pub gap: Duration,
    /// The one who talked has failed, but nobody waits for an answer.
    pub idle: Duration,
    /// The call begins and nobody is there yet.
    pub opening: Duration,
    /// Somebody is there and owes an answer: a slow thinker, or a slow tool.
    pub thinking: Duration,
    /// After a prompt, until the next.
    pub again: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            gap: Duration::from_millis(300),
            idle: Duration::from_secs(2),
            opening: Duration::from_secs(2),
            thinking: Duration::from_secs(3),
            again: Duration::from_secs(8),
        }
    }
}

/// How long things may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallLimits {
    /// From the choice of a provider until it is ready.
    pub attach: Duration,
    /// How long a call for which nobody can be found goes on asking (after 1, 2, 4, 8 and 16 s, each
    /// up to a quarter less). Zero: it is given up at once.
    pub gap: Duration,
    /// While an answer is due, or a reply is under way, how long the provider may show no sign of life.
    /// It is reminded once if it has not begun; then it counts as stalled.
    pub stall: Duration,
    /// How long nothing may come from the carrier, or from a provider from whom something is due, before
    /// the record tells it. A slow thinker is not cut off for it; see `stall`.
    pub silence: Duration,
    /// How long a caller may be on hold.
    pub hold: Duration,
    /// A tool call.
    pub tool: Duration,
    /// Waiting for a goodbye to be heard before hanging up.
    pub goodbye: Duration,
    /// Waiting for a pause in which a ready successor can take over.
    pub cut_over: Duration,
    /// How long before the end of a provider's session another one is sought.
    pub rollover: Duration,
    /// The whole call.
    pub call: Duration,
    /// How far ahead of the caller's ear we send. What is sent ahead is what a barge-in throws away,
    /// and what makes "heard" a guess.
    pub lead: Duration,
}

impl Default for CallLimits {
    fn default() -> Self {
        Self {
            attach: Duration::from_secs(8),
            gap: Duration::from_secs(30),
            stall: Duration::from_secs(10),
            silence: Duration::from_millis(1_500),
            hold: Duration::from_secs(10 * 60),
            tool: Duration::from_secs(20),
            goodbye: Duration::from_secs(15),
            cut_over: Duration::from_secs(30),
            rollover: Duration::from_secs(60),
            call: Duration::from_secs(2 * 60 * 60),
            lead: Duration::from_millis(300),
        }
    }
}

impl CallConfig {
    /// What every call needs; all else has a default that is documented on its setter.
    pub fn builder(instructions: impl Into<Arc<str>>) -> CallConfigBuilder {
        CallConfigBuilder {
            config: Self {
                instructions: instructions.into(),
                greeting: Greeting::Voice(None),
                language: None,
                tools: Arc::from([]),
                limits: CallLimits::default(),
                patience: Patience::default(),
                prompts: Prompts::none(),
                when_nobody: WhenNobody::HangUp,
                when_recorded: WhenRecorded::PutThrough,
                standby: Standby::Off,
                context_bytes: limits::CONTEXT_BYTES,
                phase: Phase::default(),
            },
            prompts: None,
        }
    }

    /// The instructions given to every provider.
    pub fn instructions(&self) -> &Arc<str> {
        &self.instructions
    }

    /// The tools offered to every provider.
    pub fn tools(&self) -> &Arc<[ToolDefinition]> {
        &self.tools
    }

    /// How long things may take.
    pub fn limits(&self) -> &CallLimits {
        &self.limits
    }

    /// The caller's language, where it is known beforehand.
    pub fn language(&self) -> Option<&str> {
        self.language.as_deref()
    }
}

/// Collects settings.
#[derive(Clone, Debug)]
#[must_use]
pub struct CallConfigBuilder {
    config: CallConfig,
    prompts: Option<Prompts>,
}

impl CallConfigBuilder {
    /// Who speaks first. Default: the voice, as its instructions say.
    pub fn greeting(mut self, greeting: Greeting) -> Self {
        self.config.greeting = greeting;
        self
    }

    /// The caller's language (BCP 47). Default: left to the provider.
    pub fn language(mut self, language: impl Into<String>) -> Self {
        self.config.language = Some(language.into());
        self
    }

    /// Tools the voice may call. Default: none.
    pub fn tools(mut self, tools: impl Into<Arc<[ToolDefinition]>>) -> Self {
        self.config.tools = tools.into();
        self
    }

    /// How long things may take. Default: [`CallLimits::default`].
    pub fn limits(mut self, limits: CallLimits) -> Self {
        self.config.limits = limits;
        self
    }

    /// How long the caller may hear nothing. Default: [`Patience::default`].
    pub fn patience(mut self, patience: Patience) -> Self {
        self.config.patience = patience;
        self
    }

    /// What covers a gap. Default: [`Prompts::bundled`] in the caller's language.
    pub fn prompts(mut self, prompts: Prompts) -> Self {
        self.prompts = Some(prompts);
        self
    }

    /// What is done with a caller for whom nobody can be found. Default: hang up, once they were told.
    pub fn when_nobody(mut self, when_nobody: WhenNobody) -> Self {
        self.config.when_nobody = when_nobody;
        self
    }

    /// What becomes of a transfer while the carrier goes on recording. Default: the caller is put through.
    pub fn when_recorded(mut self, when_recorded: WhenRecorded) -> Self {
        self.config.when_recorded = when_recorded;
        self
    }

    /// Whether somebody stands by. Default: [`Standby::Off`], because it doubles the sessions.
    pub fn standby(mut self, standby: Standby) -> Self {
        self.config.standby = standby;
        self
    }

    /// Bytes of text of the conversation that are given to whoever takes over (see
    /// [`crate::conversation::fit`]). Default: [`limits::CONTEXT_BYTES`].
    pub fn context_bytes(mut self, bytes: usize) -> Self {
        self.config.context_bytes = bytes;
        self
    }

    /// What resampling does to the phases of a voice, where the two sides speak at different rates. Default:
    /// [`Phase::Linear`]; [`Phase::Minimum`] takes 1.3 ms off the delay each way.
    pub fn phase(mut self, phase: Phase) -> Self {
        self.config.phase = phase;
        self
    }

    /// Checks what must fit together.
    pub fn build(mut self) -> Result<CallConfig, ConfigError> {
        let language = self.config.language.as_deref();
        self.config.prompts = self.prompts.unwrap_or_else(|| Prompts::bundled(language));
        let limits = &self.config.limits;
        if limits.lead < FRAME * 3 || limits.lead > Duration::from_secs(2) {
            return Err(ConfigError::Lead);
        }
        if limits.attach.is_zero() || limits.stall.is_zero() || limits.call.is_zero() || limits.tool.is_zero()
        {
            return Err(ConfigError::Zero);
        }
        if self.config.context_bytes < limits::CONTEXT_BYTES_MIN {
            return Err(ConfigError::Context);
        }
        for tool in self.config.tools.iter() {
            let name_is_fine = !tool.name.is_empty()
                && tool.name.len() <= 64
                && tool.name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
            if !name_is_fine {
                return Err(ConfigError::ToolName(tool.name.clone()));
            }
            if self.config.tools.iter().filter(|other| other.name == tool.name).count() > 1 {
                return Err(ConfigError::ToolTwice(tool.name.clone()));
            }
        }
        Ok(self.config)
    }
}

/// Settings that do not fit together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Too short, and network jitter makes gaps; too long, and a barge-in is no longer one.
    #[error("the lead must lie between 60 ms and 2 s")]
    Lead,
    /// A limit of no time at all would end every call at once.
    #[error("attach, stall, tool and call limits must be longer than zero")]
    Zero,
    /// Whoever takes over would know nothing.
    #[error("the context must be at least {} bytes", limits::CONTEXT_BYTES_MIN)]
    Context,
    /// Services accept letters, digits, `_` and `-`, at most 64.
    #[error("tool name {0:?} must be 1 to 64 letters, digits, '_' or '-'")]
    ToolName(String),
    /// Two tools of the same name.
    #[error("tool {0:?} is defined twice")]
    ToolTwice(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tool(name: &str) -> ToolDefinition {
        ToolDefinition { name: name.into(), description: String::new(), parameters: "{}".into() }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let built = |tools: Vec<ToolDefinition>, limits| {
            CallConfig::builder("x").tools(tools).limits(limits).build().err()
        };
        let fine = CallLimits::default();
        assert_eq!(built(vec![tool("a"), tool("b")], fine), None);
        assert_eq!(built(vec![tool("a b")], fine), Some(ConfigError::ToolName("a b".into())));
        assert_eq!(built(vec![tool("a"), tool("a")], fine), Some(ConfigError::ToolTwice("a".into())));
        assert_eq!(built(vec![], CallLimits { lead: FRAME, ..fine }), Some(ConfigError::Lead));
        let small = CallConfig::builder("x").context_bytes(limits::CONTEXT_BYTES_MIN - 1);
        assert_eq!(small.build().err(), Some(ConfigError::Context));
        assert_eq!(built(vec![], CallLimits { stall: Duration::ZERO, ..fine }), Some(ConfigError::Zero));
    }
}
