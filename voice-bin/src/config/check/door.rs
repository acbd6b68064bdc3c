//! Settings of the door.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use voice_telephony::door::{DoorSettings, ForwardedBy, Networks, Rate, TrustedProxies};

use super::{Check, Wrong, in_range, parse};
use crate::config::door::DoorConfig;
use crate::config::settings::{self, Setting};

/// Requests a minute beyond which a limit is none.
const RATE_MAX: u64 = 1_000_000;

/// Each is a file handle and some kilobytes.
const CONNECTIONS_MAX: u64 = 1_000_000;

impl Check {
    /// What is wrong is noted, and then nobody looks at what stands in its place.
    pub(super) fn door(&mut self) -> DoorConfig {
        let preset = DoorConfig::default();
        let header = self.parse(&settings::FORWARDED_HEADER, forwarded_header).unwrap_or_default();
        let proxies = self.parse(&settings::TRUSTED_PROXIES, networks).unwrap_or_default();
        let lists = self.lists();
        let webhooks = DoorSettings {
            address: self.rate(&settings::WEBHOOK_PER_MINUTE, &settings::WEBHOOK_BURST),
            carrier: self
                .parse(&settings::CARRIER_PER_MINUTE, limit)
                .flatten()
                .map(|per_minute| Rate { per_minute, burst: per_minute }),
            lists: lists.clone(),
        };
        let sockets = DoorSettings {
            address: self.rate(&settings::MEDIA_PER_MINUTE, &settings::MEDIA_BURST),
            lists,
            ..preset.sockets
        };
        let orders = self.parse(&settings::OUTBOUND_PER_MINUTE, limit).flatten();
        let in_all = self.parse(&settings::MAX_CONNECTIONS, connections);
        let from_one = self.parse(&settings::MAX_CONNECTIONS_PER_ADDRESS, connections);
        DoorConfig {
            proxies: TrustedProxies::new(proxies, header),
            webhooks,
            sockets,
            orders_per_minute: orders.and_then(NonZeroU32::new),
            connections_max: in_all.unwrap_or(preset.connections_max),
            connections_from_one_max: from_one.unwrap_or(preset.connections_from_one_max),
        }
    }

    fn rate(&mut self, per_minute: &'static Setting, burst: &'static Setting) -> Option<Rate> {
        let (per_minute, burst) =
            (self.parse(per_minute, limit).flatten(), self.parse(burst, limit).flatten());
        if per_minute.is_none() && burst.is_none() {
            return None;
        }
        Some(Rate { per_minute: per_minute.unwrap_or(u32::MAX), burst: burst.unwrap_or(u32::MAX) })
    }

    fn lists(&mut self) -> Option<BTreeMap<&'static str, Networks>> {
        let is_on = self.parse(&settings::ENABLE_WEBHOOK_IP_WHITELIST, parse::on_or_off).unwrap_or_default();
        let mut lists = BTreeMap::new();
        for (carrier, setting) in
            [("twilio", &settings::TWILIO_WEBHOOK_IPS), ("telnyx", &settings::TELNYX_WEBHOOK_IPS)]
        {
            let list = self.parse(setting, networks).unwrap_or_default();
            if is_on && list.is_empty() && carrier == "twilio" {
                self.notice(
                    setting,
                    "empty while ENABLE_WEBHOOK_IP_WHITELIST is on, so every request of this carrier is refused",
                );
            }
            let named = self.raw(setting).map(|raw| raw.text).unwrap_or_default();
            let only_telephony = |name: &str| matches!(name, "twilio-sip" | "twilio-rtp" | "telnyx-sip");
            if is_on
                && !list.is_empty()
                && named.split([',', ' ']).filter(|n| !n.is_empty()).all(only_telephony)
            {
                self.notice(setting, "lists addresses of SIP and RTP alone, from which no webhook comes");
            }
            if !is_on && !list.is_empty() {
                self.notice(setting, "has no effect: ENABLE_WEBHOOK_IP_WHITELIST is off");
            }
            lists.insert(carrier, list);
        }
        is_on.then_some(lists)
    }
}

fn networks(text: &str) -> Result<Networks, Wrong> {
    text.parse().map_err(|error: voice_telephony::door::NetworkError| {
        Wrong(error.to_string(), "list networks like 192.0.2.0/24 or 2001:db8::/32, separated by commas")
    })
}

fn forwarded_header(text: &str) -> Result<ForwardedBy, Wrong> {
    match text.to_ascii_lowercase().as_str() {
        "x-forwarded-for" => Ok(ForwardedBy::XForwardedFor),
        "forwarded" => Ok(ForwardedBy::Forwarded),
        _ => Err(Wrong(format!("{text:?} is no header for that"), "use x-forwarded-for or forwarded")),
    }
}

/// So many, or no limit.
fn limit(text: &str) -> Result<Option<u32>, Wrong> {
    if text.eq_ignore_ascii_case("off") {
        return Ok(None);
    }
    let number = in_range(text, 1, RATE_MAX, "use a number from 1 to 1000000, or off")?;
    Ok(u32::try_from(number).ok())
}

fn connections(text: &str) -> Result<usize, Wrong> {
    let number = in_range(text, 1, CONNECTIONS_MAX, "use a number from 1 to 1000000")?;
    usize::try_from(number).map_err(|_| Wrong(format!("{number} is too large"), "use a smaller number"))
}
