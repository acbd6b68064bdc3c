//! What the two servers are started with: three variables of the environment.

use std::error::Error;
use std::sync::Arc;

use voice_core::driver::{Clock, Dial, InOrder, NoTools, World};
use voice_core::id::ProviderId;
use voice_core::sensitive::Secret;
use voice_providers::dial::Dialer;
use voice_providers::openai::{OpenAi, OpenAiSettings};
use voice_telephony::twilio::Tokens;

use crate::book_shop;
use crate::desk::Desk;

/// A desk of the book shop, where OpenAI answers: `OPENAI_API_KEY`, `TWILIO_AUTH_TOKEN`, and `PUBLIC_URL`, the
/// `https://` address that Twilio calls.
///
/// # Errors
/// If one of them is missing or wrong.
pub fn desk() -> Result<Desk, Box<dyn Error>> {
    let secret = |name| std::env::var(name).map(Secret::new).map_err(|_| format!("{name} is not set"));
    let openai = OpenAi::new(OpenAiSettings::new(secret("OPENAI_API_KEY")?).build()?);
    let tokens = Tokens::new(secret("TWILIO_AUTH_TOKEN")?);
    let public_url = std::env::var("PUBLIC_URL").map_err(|_| "PUBLIC_URL is not set")?;
    Ok(Desk::new(public_url, tokens, book_shop()?, world(openai, Arc::new(Dialer::new()?)))?)
}

/// Everything a call needs of the world, with this one voice.
pub fn world(openai: OpenAi, dial: Arc<dyn Dial>) -> World {
    World {
        dial,
        fleet: Arc::new(InOrder::new(vec![(ProviderId::from_static("openai"), Arc::new(openai))])),
        tools: Arc::new(NoTools),
        readers: Arc::new([]),
        clock: Clock::start(),
    }
}
