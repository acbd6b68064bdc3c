//! How well the caller's sound arrives: jitter as RFC 3550 has it, loss, and what a listener would make of it
//! by the E-model of ITU-T G.107.
//!
//! What is assumed, because nobody on a telephone line tells it:
//!
//! * everything but delay and loss is as G.107's defaults have it, so an undisturbed line rates 93.2;
//! * the line speaks G.711 without concealment of losses (G.113 appendix I: Ie 0, Bpl 4.3), because nothing is
//!   put in the place of what is lost;
//! * the delay from mouth to ear is half of the way there and back, as the carrier's marks show it, one frame,
//!   and twice the jitter, which is what a buffer against it would take. What lies between the carrier and the
//!   telephone is not known and not counted.

use std::time::Duration;

use crate::time::MonoTime;

use super::FRAME;

/// G.107's R of a line on which nothing is wrong.
const R_BEST: f64 = 93.2;

/// How badly G.711 without concealment takes a loss (G.113 appendix I): the less, the worse.
const LOSS_ROBUSTNESS: f64 = 4.3;

/// From this delay on, people begin to talk at the same time (G.107's simplified delay impairment).
const DELAY_KNEE_MS: f64 = 177.3;

/// Measures what arrives. A pause that the carrier does not make up for counts as jitter.
#[derive(Clone, Debug, Default)]
pub struct Meter {
    /// When the last packet arrived, and how much sound there has been from its beginning on.
    last: Option<(MonoTime, Duration)>,
    /// RFC 3550's estimate, sixteenfold, in microseconds.
    jitter_16: u64,
    heard: Heard,
    /// Nothing has arrived since something was lost.
    in_gap: bool,
}

/// Counted since the last reading.
#[derive(Clone, Copy, Debug, Default)]
struct Heard {
    received: Duration,
    lost: Duration,
    gaps: u32,
}

/// What a meter shows of a stretch of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Sound that arrived.
    pub received: Duration,
    /// Sound that was lost on the way, by the carrier's own word or the gaps in its count.
    pub lost: Duration,
    /// In how many pieces.
    pub gaps: u32,
    /// Smoothed difference between when packets should have come and when they came (RFC 3550 §6.4.1).
    pub jitter: Duration,
}

/// What a listener would make of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rating {
    r_tenths: u16,
    mos_hundredths: u16,
}

impl Meter {
    /// A piece of sound of this length arrived. Pieces at the very same time are one packet.
    pub fn arrived(&mut self, now: MonoTime, length: Duration) {
        self.heard.received += length;
        self.in_gap = false;
        match &mut self.last {
            Some((at, since)) if *at == now => *since += length,
            last => {
                if let Some((at, since)) = last.replace((now, length)) {
                    let off = now.since(at).abs_diff(since);
                    let off = u64::try_from(off.as_micros()).unwrap_or(u64::MAX);
                    self.jitter_16 = (self.jitter_16 - ((self.jitter_16 + 8) >> 4).min(self.jitter_16))
                        .saturating_add(off);
                }
            }
        }
    }

    /// This much was lost after what arrived last.
    pub fn lost(&mut self, length: Duration) {
        self.heard.lost += length;
        if !std::mem::replace(&mut self.in_gap, true) {
            self.heard.gaps += 1;
        }
        if let Some((_, since)) = &mut self.last {
            *since += length;
        }
    }

    /// What has been measured since the last reading.
    pub fn read(&mut self) -> Reading {
        let Heard { received, lost, gaps } = std::mem::take(&mut self.heard);
        Reading { received, lost, gaps, jitter: Duration::from_micros(self.jitter_16 >> 4) }
    }
}

impl Reading {
    /// Of everything that was sent, the part that was lost: 0 to 1.
    pub fn loss(&self) -> f64 {
        let all = (self.received + self.lost).as_secs_f64();
        if all > 0.0 { self.lost.as_secs_f64() / all } else { 0.0 }
    }

    /// How much more losses come together than chance would have it, G.107's BurstR; 1 for chance.
    fn burst_ratio(&self) -> f64 {
        if self.gaps == 0 {
            return 1.0;
        }
        let run = self.lost.as_secs_f64() / FRAME.as_secs_f64() / f64::from(self.gaps);
        (run * (1.0 - self.loss())).max(1.0)
    }

    /// What a listener would make of it, where sound takes `way` there and back.
    pub fn rating(&self, way: Duration) -> Rating {
        let delay = way / 2 + FRAME + self.jitter * 2;
        Rating::of(self.loss(), self.burst_ratio(), delay)
    }
}

impl Rating {
    /// By the part that is lost (0 to 1), how much losses come together (1: by chance) and the delay from mouth
    /// to ear.
    ///
    /// ```
    /// use std::time::Duration;
    /// use voice_core::audio::quality::Rating;
    ///
    /// let best = Rating::of(0.0, 1.0, Duration::ZERO);
    /// assert_eq!((best.r(), best.mos()), (93.2, 4.41));
    /// ```
    pub fn of(loss: f64, burst_ratio: f64, delay: Duration) -> Self {
        let percent = loss.clamp(0.0, 1.0) * 100.0;
        let by_loss = 95.0 * percent / (percent / burst_ratio.max(1.0) + LOSS_ROBUSTNESS);
        let delay_ms = delay.as_secs_f64() * 1_000.0;
        let by_delay = 0.024 * delay_ms + 0.11 * (delay_ms - DELAY_KNEE_MS).max(0.0);
        let r = (R_BEST - by_loss - by_delay).clamp(0.0, 100.0);
        let mos = (1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7e-6).clamp(1.0, 4.5);
        Self { r_tenths: (r * 10.0).round() as u16, mos_hundredths: (mos * 100.0).round() as u16 }
    }

    /// From what [`Self::stored`] says.
    pub const fn from_stored((r_tenths, mos_hundredths): (u16, u16)) -> Self {
        Self { r_tenths, mos_hundredths }
    }

    /// Tenths of R, hundredths of MOS: whole numbers for a journal.
    pub const fn stored(&self) -> (u16, u16) {
        (self.r_tenths, self.mos_hundredths)
    }

    /// The E-model's R: 0 to 100, over 80 is what people call good.
    pub fn r(&self) -> f64 {
        f64::from(self.r_tenths) / 10.0
    }

    /// The mean opinion score that goes with it: 1 to 4.5.
    pub fn mos(&self) -> f64 {
        f64::from(self.mos_hundredths) / 100.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    /// Loss in percent, BurstR, delay in ms; R and MOS, worked out by hand from the formulas of G.107.
    #[test]
    fn worked_numbers_come_out() {
        for (loss, burst, delay, r, mos) in [
            (0.0, 1.0, 0, 93.2, 4.41),
            (0.0, 1.0, 100, 90.8, 4.36),
            (0.0, 1.0, 250, 79.2, 3.99),
            (1.0, 1.0, 150, 71.7, 3.67),
            (2.0, 1.0, 0, 63.0, 3.26),
            (2.0, 2.0, 0, 57.4, 2.96),
            (30.0, 1.0, 0, 10.1, 1.04),
            (100.0, 1.0, 900, 0.0, 1.0),
        ] {
            let rating = Rating::of(loss / 100.0, burst, MS(delay));
            assert_eq!((rating.r(), rating.mos()), (r, mos), "{loss} % {burst} {delay} ms");
        }
    }

    #[test]
    fn an_even_stream_has_no_jitter_however_it_is_packed() {
        let mut meter = Meter::default();
        for packet in 0..50 {
            // Three frames in each packet, told one by one at the same time.
            (0..3).for_each(|_| meter.arrived(MonoTime::from_millis(packet * 60), FRAME));
        }
        assert_eq!(meter.read(), Reading { received: FRAME * 150, ..Reading::default() });
    }

    #[test]
    fn jitter_is_the_one_of_rfc_3550() {
        let (mut meter, mut expected, mut at) = (Meter::default(), 0.0_f64, 0);
        for (i, late) in [0_u64, 5, 0, 12, 3, 0, 8, 1].into_iter().cycle().take(200).enumerate() {
            let now = i as u64 * 20 + late;
            if i > 0 {
                expected += ((now as f64 - at as f64 - 20.0).abs() - expected) / 16.0;
            }
            at = now;
            meter.arrived(MonoTime::from_millis(now), FRAME);
        }
        let jitter = meter.read().jitter.as_secs_f64() * 1_000.0;
        assert!((jitter - expected).abs() < 0.01, "{jitter} instead of {expected}");
    }

    #[test]
    fn what_is_lost_is_no_jitter_and_is_told_once() {
        let mut meter = Meter::default();
        meter.arrived(MonoTime::from_millis(0), FRAME);
        meter.lost(FRAME);
        meter.lost(FRAME);
        meter.arrived(MonoTime::from_millis(60), FRAME);
        let reading = meter.read();
        assert_eq!((reading.lost, reading.gaps, reading.jitter), (FRAME * 2, 1, Duration::ZERO));
        assert!((reading.loss() - 0.5).abs() < 1e-9 && (reading.burst_ratio() - 1.0).abs() < 1e-9);
        assert!(reading.rating(Duration::ZERO).mos() < 1.1);
        assert_eq!(meter.read(), Reading::default());
    }

    #[test]
    fn a_rude_peer_breaks_nothing() {
        let mut meter = Meter::default();
        for at in [7, 3, u64::MAX / 2_000, 5, 0] {
            meter.arrived(MonoTime::from_millis(at), Duration::from_secs(1 << 40));
            meter.lost(Duration::from_secs(1 << 40));
        }
        let rating = meter.read().rating(Duration::from_secs(1 << 40));
        assert_eq!((rating.r(), rating.mos()), (0.0, 1.0));
    }
}
