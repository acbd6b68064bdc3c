//! Telephone carriers: verified webhooks, one-time tickets, answers, and media sessions.
//!
//! Everything here is a value. Nothing opens a socket, reads a clock or draws a random number: time
//! and random bytes are arguments, messages go in and come out. The same code therefore runs under
//! any server, in virtual time, and in a fuzzer.
//!
//! # How an inbound call arrives
//!
//! ```text
//!  carrier                         your server                          this crate
//!  ───────                         ───────────                          ──────────
//!  POST webhook ─────────────────► the address ───────────────────────► door::Door
//!                                  body, headers, public URL ─────────► webhook::verify → Verified<…>, door::Replays
//!               ◄───────────────── TwiML with a ticket ◄─────────────── Tickets::issue, Twiml
//!  WebSocket upgrade ────────────► signature of the upgrade ──────────► twilio::verify_upgrade
//!  connected, start ─────────────► message by message ────────────────► twilio::Opening → Opened
//!                                  ticket → grant ────────────────────► Tickets::redeem
//!  media, dtmf, mark, stop ──────► bridge of voice-core ──────────────► twilio::TwilioSession
//!  POST status ──────────────────► body, headers ─────────────────────► webhook::verify, StatusTracker
//! ```
//!
//! That is Twilio, which asks what to do. Telnyx is told: its webhooks are answered with an empty success
//! and fed to a [`telnyx::CallControl`], which says what to send to its REST API.
//!
//! A webhook is either [`webhook::Verified`] or refused; a media socket has a one-time ticket or is
//! closed. There is no switch that turns this off.
//!
//! # How a call is placed
//!
//! [`outbound::OutboundCall`] decides, and a carrier's [`outbound::PlaceCalls`] says it in requests. Send
//! them yourself, or with the feature `rest` let `rest::Desk` do it.
//!
//! # How a caller is led to somebody else
//!
//! [`transfer::Transfer`] decides, and a carrier's [`transfer::LeadCalls`] says it in requests; with the feature
//! `rest`, `rest::TransferDesk` does both.
//!
//! # How a carrier records a call
//!
//! [`recording::Asking`] decides what to do with each answer, and a carrier's [`recording::RecordCalls`] says the steps
//! in requests; with the feature `rest`, `rest::record` does both.
//!
//! # Adding a carrier
//!
//! A folder beside [`twilio`] and [`telnyx`], and its line below. What carriers share stands in [`door`], [`webhook`],
//! [`ticket`], [`status`] and [`opening`], and none of these knows a carrier by name.

#![forbid(unsafe_code)]

pub mod ask;
pub mod carrier_error;
pub mod door;
mod keys;
pub mod legs;
pub mod limits;
mod marks;
pub mod number;
pub mod opening;
pub mod outbound;
pub mod recording;
#[cfg(feature = "rest")]
pub mod rest;
#[cfg(feature = "sim")]
pub mod sim;
pub mod status;
pub mod telnyx;
pub mod ticket;
pub mod transfer;
pub mod twilio;
pub mod webhook;
mod wire;
