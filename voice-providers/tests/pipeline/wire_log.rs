//! Everything that goes over the wires in a short call, word for word.

use std::time::Duration;

use expect_test::expect_file;
use voice_core::provider::ProviderCommand;

use crate::world::{World, eager, listen, polite, settings};

/// A greeting, a tool, an interruption, a goodbye.
fn call(model: voice_providers::deepgram::pipeline::EarsModel) -> String {
    let mut world = World::connected(settings().ears(model), polite());
    world.command(ProviderCommand::Speak { cue: Some("Greet the caller.".into()) });
    world.run(Duration::from_secs(6));
    world.exchange("order");
    world.say("delivery");
    world.run(Duration::from_secs(7));
    world.exchange("price");
    world.command(ProviderCommand::Close);
    let mut log = String::new();
    for kind in ["listen", "llm", "speak"] {
        log.push_str(&format!("== {kind}\n"));
        for entry in world.log(kind) {
            log.push_str(&entry);
            log.push('\n');
        }
    }
    log.push_str("== told\n");
    for (id, reply) in &world.replies {
        let heard = reply.cut.map_or(String::new(), |heard| format!(", cut after {} ms", heard.as_millis()));
        log.push_str(&format!("{id} {:?}{heard}: {}\n", reply.end, reply.words));
    }
    log
}

#[test]
fn a_call_with_listen() {
    expect_file!["fixtures/call_with_listen.txt"].assert_eq(&call(listen()));
}

#[test]
fn a_call_with_eager_flux() {
    expect_file!["fixtures/call_with_eager_flux.txt"].assert_eq(&call(eager()));
}
