//! A whole phone call without a phone, a network, a key, a runtime or any waiting.
//!
//! `cargo run -p voice-examples --bin virtual_call [SEED]`

#![allow(clippy::print_stdout, reason = "it tells what happened")]
#![allow(clippy::wildcard_enum_match_arm, reason = "it tells what people want to know")]

use voice_core::record::CallEvent;
use voice_examples::call;

fn main() {
    let seed = std::env::args().nth(1).and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let played = call(seed, |plan| plan, &[]);
    for entry in &played.entries {
        let at = entry.at;
        match &entry.event {
            CallEvent::CallerSaid { text, .. } => println!("{at}  caller  {}", text.expose()),
            CallEvent::ReplyHeard { text, cut: false, .. } => println!("{at}  voice   {}", text.expose()),
            CallEvent::ReplyHeard { text, heard, unheard, .. } => println!(
                "{at}  voice   {} …  (interrupted: {:.1} s heard, {:.1} s not)",
                text.expose(),
                heard.as_secs_f32(),
                unheard.as_secs_f32()
            ),
            CallEvent::ReplyStarted { latency: Some(latency), .. } => {
                println!("{at}          (answer after {} ms)", latency.as_millis());
            }
            CallEvent::ToolCalled(tool) => {
                println!("{at}  tool    {} {}", tool.name, tool.arguments.expose())
            }
            CallEvent::ToolAnswered { output, .. } => println!("{at}  tool    → {}", output.expose()),
            CallEvent::Ended { reason, .. } => println!("{at}  ended: {}", reason.kind()),
            _ => {}
        }
    }
    let traffic = played.caller.report().traffic;
    println!(
        "{} frames out, {} in, {} gaps",
        traffic.frames_sent, traffic.frames_received, traffic.gap_ticks
    );
}
