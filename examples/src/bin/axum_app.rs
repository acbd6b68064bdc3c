//! An axum app that answers the phone; see `voice_examples::axum_app`.
//!
//! `PUBLIC_URL=https://… OPENAI_API_KEY=… TWILIO_AUTH_TOKEN=… cargo run -p voice-examples --bin axum_app`

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use voice_examples::{axum_app, settings};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let app = axum_app::router(Arc::new(settings::desk()?));
    let listener = TcpListener::bind(("127.0.0.1", 8080)).await?;
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await?;
    Ok(())
}
