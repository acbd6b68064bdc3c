//! Prints every message of simulated conversations with every service, one JSON object a line:
//! `{"service": "gemini", "from": "session", "event": …}`; for requests `"method"`, `"target"` and `"body"` in
//! place of `"event"`, for sound `"sound"` with its length. `scripts/check-sdks` compares them with the types
//! of the official SDKs.

mod services;
mod talk;
mod tap;

use std::io::{self, Write as _};

use tap::Log;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let log = Log::default();
    services::openai(&log)?;
    services::gemini(&log)?;
    services::agent(&log)?;
    services::pipeline(&log)?;
    let mut out = io::stdout().lock();
    for line in log.lines() {
        writeln!(out, "{line}")?;
    }
    Ok(())
}
