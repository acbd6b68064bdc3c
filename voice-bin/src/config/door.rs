//! Who may ask this server, and how often: the part of the configuration that the door reads.

use std::num::NonZeroU32;

use voice_telephony::door::{DoorSettings, Rate, TrustedProxies};

/// Who may ask, and how often.
#[derive(Clone, Debug)]
pub struct DoorConfig {
    /// Proxies of ours, whose word on who asks is believed.
    pub proxies: TrustedProxies,
    /// For webhooks.
    pub webhooks: DoorSettings,
    /// For media sockets.
    pub sockets: DoorSettings,
    /// Calls that one client may order in a minute; without a number, as many as they like.
    pub orders_per_minute: Option<NonZeroU32>,
    /// HTTP connections at once.
    pub connections_max: usize,
    /// The same from one address that is no proxy of ours.
    pub connections_from_one_max: usize,
}

/// As without any setting.
impl Default for DoorConfig {
    fn default() -> Self {
        let sockets = DoorSettings {
            address: Some(Rate { per_minute: 300, burst: 100 }),
            // How many calls there may be is what limits a carrier's sockets.
            carrier: None,
            lists: None,
        };
        Self {
            proxies: TrustedProxies::default(),
            webhooks: DoorSettings::default(),
            sockets,
            orders_per_minute: NonZeroU32::new(20),
            connections_max: 2_048,
            connections_from_one_max: 512,
        }
    }
}

impl DoorConfig {
    /// For simulated calls, which all come from one machine at once: nobody asks too often.
    #[must_use]
    pub fn without_rates(mut self) -> Self {
        for door in [&mut self.webhooks, &mut self.sockets] {
            (door.address, door.carrier) = (None, None);
        }
        self.orders_per_minute = None;
        (self.connections_max, self.connections_from_one_max) = (usize::MAX, usize::MAX);
        self
    }
}
