//! Telnyx as its users see it; one module a behaviour.

mod commands;
mod control;
mod signatures;
mod streams;
mod webhooks;
