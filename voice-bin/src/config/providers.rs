//! Which AI services are used, and in which order.

use super::check::Check;
use super::settings;
use crate::providers::{Configured, KINDS, Kind};

impl Check {
    /// As `VOICE_PROVIDERS` orders them, or else all that have what they need.
    pub(super) fn providers(&mut self) -> Vec<Configured> {
        let Some(wanted) = self.raw(&settings::VOICE_PROVIDERS) else {
            let ready = KINDS.iter().filter(|kind| (kind.missing)(self).is_none());
            let ready: Vec<&Kind> = ready.copied().collect();
            return ready.into_iter().filter_map(|kind| kind.set_up(self)).collect();
        };
        let mut order: Vec<&Kind> = Vec::new();
        for name in wanted.text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            match Kind::named(name) {
                None => {
                    let fix = format!("the names are {}, separated by commas", Kind::names());
                    self.error(&settings::VOICE_PROVIDERS, format!("there is no {name:?}"), &fix);
                }
                Some(kind) if order.iter().any(|there| there.name == kind.name) => {
                    self.error(&settings::VOICE_PROVIDERS, format!("{name} is named twice"), "name it once");
                }
                Some(kind) => order.push(kind),
            }
        }
        self.tell_of_the_rest(&order);
        order.into_iter().filter_map(|kind| self.wanted(kind)).collect()
    }

    fn wanted(&mut self, kind: &Kind) -> Option<Configured> {
        if let Some(missing) = (kind.missing)(self) {
            let fix = format!("set {missing}, or take {} out of the list", kind.name);
            self.error(&settings::VOICE_PROVIDERS, format!("{} has no {missing}", kind.name), &fix);
            return None;
        }
        kind.set_up(self)
    }

    fn tell_of_the_rest(&mut self, order: &[&Kind]) {
        let is_used = |kind: &&&Kind| order.iter().any(|used| used.name == kind.name);
        let left_out: Vec<&str> = KINDS
            .iter()
            .filter(|kind| !is_used(kind) && (kind.missing)(self).is_none())
            .map(|kind| kind.name)
            .collect();
        if !left_out.is_empty() {
            let text = format!("leaves out {}, which could be used", left_out.join(", "));
            self.notice(&settings::VOICE_PROVIDERS, &text);
        }
    }
}
