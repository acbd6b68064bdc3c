//! Recorded speech for simulations: short clips of real (synthetic, free) voices in mu-law at 8 kHz.
//!
//! A caller and a voice who really speak let the fakes listen as the real services do: detect speech
//! by its energy, tell by its envelope which clip it was, and answer with speech.

mod listen;

pub use listen::{Hearing, Listener, recognise};

/// A sentence somebody says.
#[derive(Clone, Copy)]
pub struct Clip {
    /// A short name, unique within its speaker.
    pub name: &'static str,
    /// The words.
    pub text: &'static str,
    /// Mu-law, 8 kHz, no silence at either end.
    pub mulaw: &'static [u8],
}

impl std::fmt::Debug for Clip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Clip({})", self.name)
    }
}

impl Clip {
    /// How long it lasts.
    pub fn duration(&self) -> std::time::Duration {
        crate::audio::AudioFormat::MULAW_8K.duration_of(self.mulaw.len())
    }
}

/// What the caller may say (a male voice).
pub const CALLER: &[Clip] = &[
    Clip { name: "hello", text: "Hello, can you hear me?", mulaw: include_bytes!("clips/caller-hello.ul") },
    Clip {
        name: "hours",
        text: "What are your opening hours?",
        mulaw: include_bytes!("clips/caller-hours.ul"),
    },
    Clip {
        name: "order",
        text: "Where is my order, number four two seven?",
        mulaw: include_bytes!("clips/caller-order.ul"),
    },
    Clip {
        name: "delivery",
        text: "Please tell me about your delivery service.",
        mulaw: include_bytes!("clips/caller-delivery.ul"),
    },
    Clip {
        name: "price",
        text: "Sorry, stop. How much does it cost?",
        mulaw: include_bytes!("clips/caller-price.ul"),
    },
    Clip {
        name: "person",
        text: "Can I speak to a person, please?",
        mulaw: include_bytes!("clips/caller-person.ul"),
    },
    Clip { name: "thanks", text: "Thank you very much.", mulaw: include_bytes!("clips/caller-thanks.ul") },
    Clip { name: "goodbye", text: "That is all. Goodbye.", mulaw: include_bytes!("clips/caller-goodbye.ul") },
];

/// What the voice may say (a female voice).
pub const VOICE: &[Clip] = &[
    Clip {
        name: "greeting",
        text: "Good morning, this is Ada from the book shop. How can I help you?",
        mulaw: include_bytes!("clips/voice-greeting.ul"),
    },
    Clip {
        name: "hear",
        text: "Yes, I can hear you well. What can I do for you?",
        mulaw: include_bytes!("clips/voice-hear.ul"),
    },
    Clip {
        name: "hours",
        text: "We are open from nine to six, Monday to Saturday.",
        mulaw: include_bytes!("clips/voice-hours.ul"),
    },
    Clip {
        name: "check",
        text: "One moment, let me look that up.",
        mulaw: include_bytes!("clips/voice-check.ul"),
    },
    Clip {
        name: "order",
        text: "Your order left our house this morning and will reach you on Friday.",
        mulaw: include_bytes!("clips/voice-order.ul"),
    },
    Clip {
        name: "delivery",
        text: "We deliver to every town in the country. Books that we have in stock leave the house on the same day, and all others within one week. You can follow the parcel on our page, and if you are not at home, a neighbour or the nearest post office will take it for you.",
        mulaw: include_bytes!("clips/voice-delivery.ul"),
    },
    Clip {
        name: "price",
        text: "A delivery costs three euros. Above thirty euros it is free.",
        mulaw: include_bytes!("clips/voice-price.ul"),
    },
    Clip {
        name: "person",
        text: "I will ask a colleague to call you back today.",
        mulaw: include_bytes!("clips/voice-person.ul"),
    },
    Clip {
        name: "welcome",
        text: "You are welcome. Is there anything else?",
        mulaw: include_bytes!("clips/voice-welcome.ul"),
    },
    Clip {
        name: "goodbye",
        text: "Thank you for calling. Goodbye.",
        mulaw: include_bytes!("clips/voice-goodbye.ul"),
    },
    Clip {
        name: "sorry",
        text: "I am sorry, I did not understand that.",
        mulaw: include_bytes!("clips/voice-sorry.ul"),
    },
];

/// The caller's clip of that name.
pub fn caller(name: &str) -> Option<&'static Clip> {
    CALLER.iter().find(|clip| clip.name == name)
}

/// The voice's clip of that name.
pub fn voice(name: &str) -> Option<&'static Clip> {
    VOICE.iter().find(|clip| clip.name == name)
}
