//! Fakes of the carriers, and callers who speak. Pure, like everything else: the same call runs in
//! virtual time and on real sockets.
//!
//! The fakes are written from the carriers' documentation and share no code with the sessions they
//! test: no wire types, no signatures, no XML.

mod caller;
mod keypad;
mod playout;
mod report;
mod rudeness;
mod script;
mod telnyx;
mod twilio;
mod wav;
pub mod world;

pub use report::{BargeIn, CallReport, Heard, Traffic};
pub use rudeness::Rudeness;
pub use script::{Script, Step, Utterance};
pub use telnyx::{ApiAnswer, FakeTelnyxCall, TelnyxCallPlan, TelnyxRooms, TelnyxRudeness};
pub use twilio::{
    ApiEffect, ApiRudeness, FakeTwilioApi, FakeTwilioCall, Rooms, TwilioApiPlan, TwilioCallPlan,
    UnknownApiRudeness,
};
pub use wav::{WavError, read_wav};
