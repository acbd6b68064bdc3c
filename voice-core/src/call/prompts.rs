//! What the caller hears when nobody has anything to say: prompts that cover a gap, and music on hold.

use bytes::Bytes;

use crate::audio::AudioFormat;
use crate::audio::convert::Converter;
use crate::audio::framer::Framer;
use crate::record::CoverKind;

/// Recorded clips, all of them mu-law at 8 kHz. An empty one is never played.
///
/// They are converted where the caller's line speaks something else. Those that come with the library
/// are described in `prompts/LICENSE-prompts`.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Prompts {
    /// "One moment, please": the first time that the caller would hear nothing. Short, because the voice
    /// lets it be finished.
    pub moment: Bytes,
    /// "I am still here": if it takes longer. Then both in turn.
    pub still: Bytes,
    /// "Sorry, please call later": before a call is given up.
    pub unavailable: Bytes,
    /// Played over and over to a caller on hold.
    pub music: Bytes,
}

/// One language of the clips that come with the library.
macro_rules! bundled {
    ($language:literal) => {
        Prompts {
            moment: Bytes::from_static(include_bytes!(concat!("prompts/clips/", $language, "-moment.ul"))),
            still: Bytes::from_static(include_bytes!(concat!("prompts/clips/", $language, "-still.ul"))),
            unavailable: Bytes::from_static(include_bytes!(concat!(
                "prompts/clips/",
                $language,
                "-sorry.ul"
            ))),
            music: Bytes::from_static(include_bytes!("prompts/clips/music.ul")),
        }
    };
}

impl Prompts {
    /// No prompts: the caller hears silence.
    pub fn none() -> Self {
        Self::default()
    }

    /// Those that come with the library, in the caller's language (BCP 47): Czech, English, German and
    /// Spanish. English for any other, because a strange language still says that the line is alive.
    ///
    /// ```
    /// use voice_core::call::Prompts;
    /// assert!(Prompts::bundled(Some("de-AT")) == Prompts::bundled(Some("de")));
    /// assert!(Prompts::bundled(None) == Prompts::bundled(Some("en-GB")));
    /// ```
    pub fn bundled(language: Option<&str>) -> Self {
        let primary = language.unwrap_or("en").split(['-', '_']).next().unwrap_or_default();
        match primary.to_ascii_lowercase().as_str() {
            "cs" => bundled!("cs"),
            "de" => bundled!("de"),
            "es" => bundled!("es"),
            _ => bundled!("en"),
        }
    }

    /// Whether there is anything to cover a gap with.
    pub(crate) fn can_cover(&self) -> bool {
        !self.moment.is_empty() || !self.still.is_empty()
    }

    pub(crate) fn clip(&self, kind: CoverKind) -> &Bytes {
        match kind {
            // Either may stand for the other.
            CoverKind::Moment if self.moment.is_empty() => &self.still,
            CoverKind::Still if self.still.is_empty() => &self.moment,
            CoverKind::Moment => &self.moment,
            CoverKind::Still => &self.still,
            CoverKind::Unavailable => &self.unavailable,
            CoverKind::Music => &self.music,
        }
    }
}

impl std::fmt::Debug for Prompts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bytes = [&self.moment, &self.still, &self.unavailable, &self.music].map(Bytes::len);
        write!(f, "Prompts({bytes:?} bytes)")
    }
}

/// A clip as frames of 20 ms in the format of a line. On a mu-law line they are slices of the clip.
pub(crate) fn frames(clip: &Bytes, format: AudioFormat) -> Vec<Bytes> {
    let mut framer = Framer::new(format);
    framer.push(Converter::new(AudioFormat::MULAW_8K, format).convert(clip.clone()));
    let mut frames: Vec<Bytes> = framer.by_ref().collect();
    frames.extend(framer.flush());
    frames
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::speech;
    use std::time::Duration;

    #[test]
    fn every_clip_is_speech_of_a_sensible_length() {
        let line = AudioFormat::MULAW_8K;
        for language in ["cs", "de", "en", "es"] {
            let prompts = Prompts::bundled(Some(language));
            for (kind, most) in [
                (CoverKind::Moment, 2),
                (CoverKind::Still, 4),
                (CoverKind::Unavailable, 7),
                (CoverKind::Music, 8),
            ] {
                let clip = prompts.clip(kind);
                let length = line.duration_of(clip.len());
                assert!(length > Duration::from_secs(1) && length < Duration::from_secs(most), "{length:?}");
                let frames = frames(clip, line);
                let voiced = frames.iter().filter(|frame| speech::is_voiced(line.encoding, frame)).count();
                assert!(voiced * 2 > frames.len(), "{language} {kind:?}: {voiced} of {}", frames.len());
            }
        }
    }

    #[test]
    fn a_clip_reaches_every_line() {
        let clip = Bytes::from_static(&[0x21; 400]);
        for format in [AudioFormat::MULAW_8K, AudioFormat::ALAW_8K, AudioFormat::PCM16_16K] {
            let frames = frames(&clip, format);
            assert_eq!(frames.len(), 3, "{format:?}");
            assert!(frames.iter().all(|frame| frame.len() == format.frame_bytes()));
        }
        assert!(frames(&Bytes::new(), AudioFormat::MULAW_8K).is_empty());
    }

    #[test]
    fn one_clip_stands_for_another() {
        let only = Prompts { still: Bytes::from_static(&[1]), ..Prompts::none() };
        assert!(only.can_cover() && only.clip(CoverKind::Moment) == &only.still);
        assert!(!Prompts::none().can_cover());
    }
}
