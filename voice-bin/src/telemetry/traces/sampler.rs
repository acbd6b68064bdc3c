//! Which traces are kept, by the standard's settings `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG`.

use super::ids::TraceId;

/// A rule. It decides by the trace, so that all who apply it to one trace agree.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampler {
    /// Of all traces, this part: 0 to 1.
    share: f64,
    /// Whoever began the trace has decided.
    heeds_parent: bool,
}

impl Default for Sampler {
    fn default() -> Self {
        Self { share: 1.0, heeds_parent: true }
    }
}

impl Sampler {
    /// From the two settings; `None` if there is no such sampler, or the share is none.
    pub fn new(name: Option<&str>, share: Option<&str>) -> Option<Self> {
        let part = || {
            share.map_or(Some(1.0), |text| text.trim().parse().ok()).filter(|part| (0.0..=1.0).contains(part))
        };
        let (heeds_parent, share) = match name.unwrap_or("parentbased_always_on") {
            "always_on" => (false, 1.0),
            "always_off" => (false, 0.0),
            "traceidratio" => (false, part()?),
            "parentbased_always_on" => (true, 1.0),
            "parentbased_always_off" => (true, 0.0),
            "parentbased_traceidratio" => (true, part()?),
            _ => return None,
        };
        Some(Self { share, heeds_parent })
    }

    /// Whether this trace is kept, of which somebody else may have said so.
    pub fn keeps(self, trace: TraceId, parent: Option<bool>) -> bool {
        if let Some(kept) = parent.filter(|_| self.heeds_parent) {
            return kept;
        }
        // The last 56 bits are random in ids of the standard's second level, and in UUIDs of version 7.
        let place = (trace.as_u128() & ((1 << 56) - 1)) as f64;
        place < self.share * (1_u64 << 56) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_kept_and_the_word_of_who_began_counts() {
        let trace = |n: u32| TraceId::of(&format!("c-{n}").parse().unwrap());
        let kept = |sampler: Sampler| (0..4_000).filter(|n| sampler.keeps(trace(*n), None)).count();
        let quarter = Sampler::new(Some("traceidratio"), Some("0.25")).unwrap();
        assert!((800..1_200).contains(&kept(quarter)), "{}", kept(quarter));
        assert_eq!(kept(Sampler::default()), 4_000);
        assert_eq!(kept(Sampler::new(Some("always_off"), None).unwrap()), 0);
        let off = Sampler::new(Some("parentbased_always_off"), None).unwrap();
        assert!(off.keeps(trace(1), Some(true)) && !Sampler::default().keeps(trace(1), Some(false)));
        assert!(Sampler::new(Some("always_on"), None).unwrap().keeps(trace(1), Some(false)));
        for (name, share) in
            [("sometimes", None), ("traceidratio", Some("2")), ("traceidratio", Some("half"))]
        {
            assert_eq!(Sampler::new(Some(name), share), None, "{name}");
        }
    }
}
