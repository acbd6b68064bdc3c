//! Names of traces and spans, as W3C Trace Context has them.
//!
//! Nobody hands them around. The trace follows from the correlation id, and a span from what it is about, so
//! that whoever knows a call knows its trace too: a tool, a request to a carrier, another server that takes
//! the call over.

use std::fmt;
use std::str::FromStr;

use voice_core::id::{CallId, CorrelationId};

/// A trace; never zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraceId(u128);

/// A span; never zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpanId(u64);

/// The header `traceparent`: where in which trace a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    /// The trace.
    pub trace: TraceId,
    /// The span from which the request comes.
    pub span: SpanId,
    /// Whether whoever began the trace keeps it.
    pub sampled: bool,
}

/// A header that is no `traceparent` of a version that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a traceparent")]
pub struct NoTraceParent;

impl TraceId {
    /// The trace of everything with this id: the id itself where it is as long as a trace's, as those are that
    /// we make, else a hash of it.
    pub fn of(correlation: &CorrelationId) -> Self {
        let text = correlation.as_str();
        let hex: String = text.chars().filter(|c| *c != '-').collect();
        let own = (hex.len() == 32).then(|| u128::from_str_radix(&hex, 16).ok()).flatten();
        Self(own.filter(|id| *id != 0).unwrap_or_else(|| hash([text.as_bytes()])))
    }

    /// As a number, of which the last eight bytes are the most random.
    pub const fn as_u128(self) -> u128 {
        self.0
    }
}

impl SpanId {
    /// The span of a call as a whole.
    pub fn of_call(call: CallId) -> Self {
        Self::of_part(call, "call", 0)
    }

    /// The span of one part of it: the `number`th of its kind.
    pub fn of_part(call: CallId, kind: &str, number: u64) -> Self {
        let hash = hash([&call.as_u128().to_be_bytes()[..], kind.as_bytes(), &number.to_be_bytes()]);
        // Each half is as good as the whole; zero is not allowed.
        Self(((hash >> 64) as u64 ^ hash as u64).max(1))
    }

    /// As a number.
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

/// FNV-1a of 128 bits, each half of which is then mixed so that short words spread over all bits: fast, and
/// the same on every machine. Nobody gains by finding a collision.
fn hash<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> u128 {
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    let bytes = parts.into_iter().flatten();
    let hash = bytes.fold(OFFSET, |hash, byte| (hash ^ u128::from(*byte)).wrapping_mul(PRIME));
    let (high, low) = ((hash >> 64) as u64, hash as u64);
    let (high, low) = (mix(high.rotate_left(32) ^ low), mix(low));
    (u128::from(high) << 64 | u128::from(low)).max(1)
}

/// The finish of SplitMix64: every bit of the result hangs on every bit of the input.
fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

impl FromStr for TraceParent {
    type Err = NoTraceParent;

    fn from_str(text: &str) -> Result<Self, NoTraceParent> {
        let mut parts = text.trim().split('-');
        let mut field = |digits: usize| -> Option<u128> {
            let part = parts.next()?;
            let is_hex = part.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
            (part.len() == digits && is_hex).then(|| u128::from_str_radix(part, 16).ok()).flatten()
        };
        let mut read = || {
            let (version, trace, span, flags) = (field(2)?, field(32)?, field(16)?, field(2)?);
            // Later versions may add fields behind those of the first; ff is forbidden.
            (version != 0xff && trace != 0 && span != 0).then_some((version, trace, span, flags))
        };
        let (version, trace, span, flags) = read().ok_or(NoTraceParent)?;
        if version == 0 && parts.next().is_some() {
            return Err(NoTraceParent);
        }
        let span = u64::try_from(span).map_err(|_| NoTraceParent)?;
        Ok(Self { trace: TraceId(trace), span: SpanId(span), sampled: flags & 1 == 1 })
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", self.trace, self.span, u8::from(self.sampled))
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_read_as_the_standard_has_it() {
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let parent: TraceParent = text.parse().unwrap();
        assert_eq!(parent.to_string(), text);
        assert!(parent.sampled && parent.span.as_u64() == 0x00f0_67aa_0ba9_02b7);
        let later = "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00-what-comes";
        assert!(!later.parse::<TraceParent>().unwrap().sampled);
        for wrong in [
            "",
            "00",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(wrong.parse::<TraceParent>(), Err(NoTraceParent), "{wrong}");
        }
    }

    #[test]
    fn a_trace_follows_from_the_correlation_id() {
        let of = |text: &str| TraceId::of(&text.parse().unwrap()).to_string();
        assert_eq!(of("01939e1c-0000-7000-8000-00000000abcd"), "01939e1c00007000800000000000abcd");
        assert_eq!(of("c-1"), of("c-1"));
        assert_ne!(of("c-1"), of("c-2"));
        assert_eq!(of("00000000000000000000000000000000").len(), 32);
    }

    #[test]
    fn spans_of_a_call_differ_by_kind_and_number() {
        let call = CallId::from_u128(7);
        let mut all: Vec<SpanId> = (0..1_000)
            .flat_map(|n| ["turn", "tool"].map(|kind| SpanId::of_part(call, kind, n)))
            .chain([SpanId::of_call(call), SpanId::of_call(CallId::from_u128(8))])
            .collect();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 2_002);
    }
}
