//! The edge of carriers' recordings: asks for one step, until it is known what came of it.

use std::time::Duration;

use voice_core::driver::Clock;
use voice_core::recording::{RecordNews, RecordingRefusal};

use super::HttpSend;
use crate::ask::Ask;
use crate::carrier_error::CarrierError;
use crate::recording::{Asking, Next, RecordCalls, RecordOrder};

/// Asks the carrier for one step of its recording of a call, again where that helps. What the call should be
/// told (`RecordCommand::Ordered`), if anything. Let the next step of the same call begin only after this.
///
/// ```no_run
/// use voice_core::call::Control;
/// use voice_core::driver::{CallHandle, Clock};
/// use voice_core::recording::RecordCommand;
/// use voice_telephony::recording::RecordOrder;
/// use voice_telephony::rest::{Rest, record};
/// use voice_telephony::twilio::recording::TwilioRecord;
///
/// async fn carry_out(call: &CallHandle, http: &Rest, twilio: &TwilioRecord, order: RecordOrder) {
///     if let Some(news) = record(http, Clock::start(), twilio, &order).await {
///         call.control(Control::Record(RecordCommand::Ordered { order: order.order, news }));
///     }
/// }
/// ```
pub async fn record(
    http: &dyn HttpSend,
    clock: Clock,
    port: &dyn RecordCalls,
    order: &RecordOrder,
) -> Option<RecordNews> {
    let unsupported = || Some(RecordNews::Refused(order.step, RecordingRefusal::Unsupported));
    let look = port.look(order);
    let mut asking = Asking::new(order.step, look.is_some());
    let mut next = Next::Ask(Duration::ZERO);
    loop {
        next = match (next, &look) {
            (Next::Over(news), _) => return news,
            (Next::Look(pause), Some(look)) => {
                wait(clock, pause).await;
                asking.looked(send(http, look).await)
            }
            (Next::Ask(pause) | Next::Look(pause), _) => {
                wait(clock, pause).await;
                let Some(ask) = port.ask(order, asking.recording()) else { return unsupported() };
                asking.answered(send(http, &ask).await)
            }
        };
    }
}

async fn wait(clock: Clock, pause: Duration) {
    if !pause.is_zero() {
        tokio::time::sleep_until(clock.instant(clock.now() + pause)).await;
    }
}

async fn send<T>(http: &dyn HttpSend, ask: &Ask<T>) -> Result<T, CarrierError> {
    ask.read(&http.send(ask.request().clone()).await?)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use bytes::Bytes;
    use http::{Method, Request, Response};
    use voice_core::id::CallId;
    use voice_core::recording::RecordStep;
    use voice_core::sensitive::Secret;

    use super::*;
    use crate::carrier_error::Reach;
    use crate::rest::{RestError, Why};
    use crate::twilio::recording::TwilioRecord;
    use crate::twilio::rest::{Credentials, TwilioApi};

    /// Begins to record, and its answer is lost once.
    #[derive(Default)]
    struct Forgetful(Mutex<Vec<Method>>);

    #[async_trait::async_trait]
    impl HttpSend for Forgetful {
        async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, RestError> {
            self.0.lock().unwrap().push(request.method().clone());
            if request.method() == Method::POST {
                return Err(RestError { reach: Reach::Unknown, why: Why::Broken });
            }
            let page =
                r#"{"recordings":[{"sid":"RE0","status":"completed"},{"sid":"RE7","status":"in-progress"}]}"#;
            Ok(Response::new(Bytes::from_static(page.as_bytes())))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_answer_makes_no_second_recording() {
        let credentials = Credentials::AuthToken(Secret::new("token".to_owned()));
        let api = TwilioApi::new("AC00112233445566778899aabbccddeeff".parse().unwrap(), credentials);
        let port = TwilioRecord::new(api, "https://voice.example/hooks/twilio");
        let carrier_call = "CA00112233445566778899aabbccddeeff".to_owned();
        let order =
            RecordOrder { call: CallId::from_u128(7), carrier_call, order: 5, step: RecordStep::Start };
        let http = Forgetful::default();
        let news = record(&http, Clock::start(), &port, &order).await;
        assert_eq!(news, Some(RecordNews::Begun(Some("RE7".to_owned()))));
        assert_eq!(*http.0.lock().unwrap(), [Method::POST, Method::GET]);
        let nowhere = RecordOrder { carrier_call: "../..".to_owned(), ..order };
        let news = record(&http, Clock::start(), &port, &nowhere).await;
        assert_eq!(news, Some(RecordNews::Refused(RecordStep::Start, RecordingRefusal::Unsupported)));
    }
}
