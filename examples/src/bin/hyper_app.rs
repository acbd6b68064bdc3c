//! A server of hyper alone that answers the phone; see `voice_examples::hyper_app`.
//!
//! `PUBLIC_URL=https://… OPENAI_API_KEY=… TWILIO_AUTH_TOKEN=… cargo run -p voice-examples --bin hyper_app`

use std::error::Error;
use std::sync::Arc;

use tokio::net::TcpListener;
use voice_examples::{hyper_app, settings};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let desk = Arc::new(settings::desk()?);
    let listener = TcpListener::bind(("127.0.0.1", 8080)).await?;
    hyper_app::serve(listener, desk).await?;
    Ok(())
}
