//! Second legs of a server that died in the middle of a transfer: whoever was called hears nothing any more, and
//! nobody but us ends that.

use tracing::{info, warn};
use voice_core::record::EndReason;
use voice_telephony::ask::Ask;
use voice_telephony::carrier_error::{CarrierError, Reach};
use voice_telephony::transfer::TransferKey;

use crate::server::App;

/// Whether nobody leads a caller to the leg of this transfer any more, and nobody did. Of a call of which nothing
/// is known it is not said: two may be talking.
pub(crate) fn is_left_behind(app: &App, key: TransferKey) -> bool {
    app.pasts.look(key.call).is_some_and(|known| {
        let is_led = matches!(known.past.ended(), Some(EndReason::Transfer { .. }));
        !is_led && (known.is_awaited || known.past.transfer() != Some(key.transfer))
    })
}

/// Ends the leg of a transfer that was under way when its server died, if it is there.
pub(super) async fn end(app: &App, key: TransferKey) {
    let Some(lead) = app.transfers.telnyx() else { return };
    let ended = match ask(app, &lead.look(key)).await {
        Ok(None) => return,
        Ok(Some(leg)) => match lead.end(key, &leg) {
            Some(end) => ask(app, &end).await,
            None => return,
        },
        Err(error) => Err(error),
    };
    match ended {
        Ok(()) => info!(call = %key.call, "somebody to whom a caller was to be led is let go"),
        Err(error) => warn!(call = %key.call, %error, "the leg of a transfer of before cannot be ended"),
    }
}

async fn ask<T>(app: &App, ask: &Ask<T>) -> Result<T, CarrierError> {
    let http = app.parts.outbound.http.as_ref().ok_or(CarrierError::unanswered(Reach::NeverSent))?;
    match http.send(ask.request().clone()).await {
        Ok(answer) => ask.read(&answer),
        Err(error) => Err(CarrierError::unanswered(error.reach)),
    }
}
