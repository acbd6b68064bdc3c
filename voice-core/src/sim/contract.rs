//! What every provider must pass, whoever wrote it: conversations with its own fake, and mischief on its lines.
//!
//! Whoever writes a provider says in a [`Subject`] how to open it and who answers its lines, and then has
//! one test more than they wrote:
//!
//! ```no_run
//! use voice_core::sim::contract::{self, Subject};
//!
//! fn my_provider_keeps_the_contract(subject: &dyn Subject) {
//!     for seed in 0..20 {
//!         contract::run(subject, seed);
//!     }
//! }
//! ```
//!
//! Each check is a whole conversation in virtual time. With every output the [`harness`](super::harness)
//! looks after what always holds: ids rise; nothing follows the end of a reply, a fatal failure or a close;
//! ready comes at most once; a line is dialled before something is sent on it, and nothing is sent on one
//! that is down; nobody waits for the past; what is sent at once fits a line. A check that fails panics, and
//! says at which seed.

mod chaos;
mod conversation;
mod endings;
mod garbage;
mod history;
mod talk;
mod tools;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::harness::Answerer;
use crate::provider::Provider;

pub use conversation::{Conversation, Reply, Tools};

/// A provider, and the fake of its service.
pub trait Subject {
    /// The provider; what it says of itself decides which checks mean anything.
    fn provider(&self) -> Arc<dyn Provider>;

    /// Who answers the lines of one session, for all that varies drawn from the seed. `None` if the service
    /// does not do such things, or the fake cannot: checks that need it are passed over.
    fn service(&self, seed: u64, scene: Scene) -> Option<Answerer>;

    /// The sentence of [`speech::CALLER`](super::speech::CALLER) that makes the fake do this.
    fn sentence(&self, wish: Wish) -> &'static str {
        match wish {
            Wish::Answer => "hello",
            Wish::LongAnswer => "delivery",
            Wish::Stop => "price",
            Wish::Tool => "order",
        }
    }
}

/// What a fake does on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scene {
    /// What a service should.
    Polite,
    /// Goes on sending pieces of a reply that was cut. A fake that needs no order to do so may be polite.
    LateTail,
    /// Calls several tools at once, where it calls any.
    ParallelTools,
    /// Calls a tool with arguments that are not JSON.
    BadArguments,
    /// Calls a tool, and takes the call back.
    CancelledTool,
    /// Ends the session because it has lasted long enough.
    SessionEnds,
}

/// What the caller wants to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wish {
    /// An answer of a few words.
    Answer,
    /// An answer that lasts many seconds.
    LongAnswer,
    /// Something said into an answer, which is to be answered, too.
    Stop,
    /// A tool that is offered in the setup is to be called.
    Tool,
}

/// One thing every provider must do.
pub type Check = fn(&dyn Subject, u64);

/// All of them, by name.
pub const CHECKS: &[(&str, Check)] = &[
    ("becomes ready", talk::becomes_ready),
    ("hears and speaks", talk::hears_and_speaks),
    ("speaks when asked to", talk::speaks_when_asked),
    ("stops when interrupted", talk::stops_when_interrupted),
    ("drops the late tail of a cut reply", talk::late_tail),
    ("says goodbye at any moment", endings::close_at_any_moment),
    ("calls a tool", tools::round_trip),
    ("calls several tools", tools::parallel),
    ("passes arguments on that are not JSON", tools::bad_arguments),
    ("takes a call of a tool back", tools::cancelled),
    ("survives a tool that never answers", tools::never_answered),
    ("knows what was said before", history::every_kind_at_the_beginning),
    ("knows what was said meanwhile", history::every_kind_later),
    ("says nothing to a note", history::a_note_is_not_answered),
    ("knows the end of a long conversation", history::too_long),
    ("ends when the session is over", endings::session_limit),
    ("survives or tells every close code", endings::every_close_code),
    ("tells that a line never came up", endings::never_up),
    ("survives or tells a line that is cut", endings::cut_at_any_moment),
    ("survives garbage", garbage::survives),
    ("gives up on nothing but garbage", garbage::nothing_else),
    ("survives what it was told, cut to pieces", garbage::mutilated),
    ("survives anything", chaos::anything),
];

/// Runs all checks that apply.
///
/// # Panics
/// With the names of the checks that failed, the seed and what each said, if the provider breaks the
/// contract.
pub fn run(subject: &dyn Subject, seed: u64) {
    let failed: Vec<String> =
        CHECKS.iter().filter_map(|(name, _)| run_one(subject, seed, name).err()).collect();
    assert!(failed.is_empty(), "with seed {seed}, {} checks failed:\n{}", failed.len(), failed.join("\n"));
}

/// Runs the check of this name.
///
/// # Errors
/// The name of the check and what it said, if the provider breaks the contract, or if there is no such
/// check.
pub fn run_one(subject: &dyn Subject, seed: u64, name: &str) -> Result<(), String> {
    let Some((_, check)) = CHECKS.iter().find(|(known, _)| *known == name) else {
        return Err(format!("{name}: there is no such check"));
    };
    // Nothing that was broken by the panic is looked at again.
    catch_unwind(AssertUnwindSafe(|| check(subject, seed))).map_err(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str);
        let said = said.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or_default();
        format!("{name}: {said}")
    })
}
