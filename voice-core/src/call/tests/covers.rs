//! What the caller hears when nobody has anything to say.

use super::*;
use crate::transfer::{TransferFailure, TransferId, TransferNews};

/// Short clips, of which the first tells the rig to keep them.
pub(super) fn prompts() -> Prompts {
    let clip = |byte: u8, frames: usize| Bytes::from(vec![byte; 160 * frames]);
    let mut prompts = Prompts::none();
    (prompts.moment, prompts.still) = (clip(0x33, 20), clip(0x34, 30));
    (prompts.unavailable, prompts.music) = (clip(0x35, 50), clip(0x36, 40));
    prompts
}

fn covered() -> CallConfigBuilder {
    CallConfig::builder("be kind").greeting(Greeting::Caller).prompts(prompts())
}

fn talking() -> Rig {
    let mut rig = Rig::with(covered());
    rig.assign(A1, "openai").provider(A1, ProviderEvent::Ready { session: None, expires: None });
    rig.now = at(60_000);
    rig.said.clear();
    rig
}

/// The caller has asked something.
fn asked(rig: &mut Rig) {
    rig.provider(A1, ProviderEvent::CallerSpoke(utterance(1)));
    rig.provider(A1, ProviderEvent::CallerPaused(utterance(1))).said.clear();
}

#[test]
fn who_waits_for_an_answer_is_told_within_300_ms_of_a_failure() {
    let mut rig = talking();
    asked(&mut rig);
    rig.provider(A1, ProviderEvent::Failed(Failure::Cut)).said.clear();
    rig.pass(ms(280));
    assert_eq!(rig.wanted(), [""; 0]);
    rig.pass(ms(20));
    assert_eq!(rig.wanted(), ["· covered Moment"]);
    // The prompt lasts 400 ms; eight seconds later comes another.
    rig.assign(A2, "gemini").said.clear();
    rig.pass(ms(8_000));
    assert!(!rig.wanted().contains(&"· covered Still".to_owned()));
    rig.pass(ms(420));
    assert!(rig.wanted().contains(&"· covered Still".to_owned()));
}

#[test]
fn a_silence_after_the_voice_is_a_new_one() {
    let mut rig = talking();
    asked(&mut rig);
    // A slow thinker is covered; then it speaks, and fails in the middle of its sentence.
    rig.pass(ms(3_500)).speech(reply(A1, 1), 50).pass(ms(600));
    rig.provider(A1, ProviderEvent::Failed(Failure::Cut)).said.clear();
    rig.pass(ms(1_200));
    assert!(rig.wanted().contains(&"· covered Moment".to_owned()), "not only after eight seconds");
}

#[test]
fn a_gap_in_which_nobody_waits_is_covered_later() {
    let mut rig = talking();
    rig.provider(A1, ProviderEvent::Failed(Failure::Cut)).said.clear();
    rig.pass(ms(1_980));
    assert_eq!(rig.wanted(), [""; 0]);
    rig.pass(ms(20));
    assert_eq!(rig.wanted(), ["· covered Moment"]);
}

#[test]
fn what_is_still_being_said_comes_first() {
    let mut rig = talking();
    rig.speech(reply(A1, 1), 50).provider(A1, ProviderEvent::Failed(Failure::Cut)).said.clear();
    rig.pass(ms(1_280));
    assert!(!rig.wanted().iter().any(|word| word.starts_with("· covered")));
    rig.pass(ms(40));
    assert_eq!(rig.wanted(), ["· covered Moment"]);
}

#[test]
fn a_caller_who_speaks_is_not_talked_over_at_once() {
    let mut rig = talking();
    asked(&mut rig);
    rig.provider(A1, ProviderEvent::Failed(Failure::Cut)).said.clear();
    for _ in 0..60 {
        rig.frame(0x10).pass(FRAME);
    }
    assert_eq!(rig.wanted(), [""; 0]);
    rig.pass(ms(300));
    assert_eq!(rig.wanted(), ["· covered Moment"], "they paused");
}

#[test]
fn a_caller_who_never_pauses_is_told_in_the_end() {
    let mut rig = talking();
    rig.provider(A1, ProviderEvent::Failed(Failure::Cut)).said.clear();
    for _ in 0..116 {
        rig.frame(0x10).pass(FRAME);
    }
    assert_eq!(rig.wanted(), ["· covered Moment"]);
}

#[test]
fn a_slow_thinker_is_covered_and_a_reply_waits_for_the_end_of_the_prompt() {
    let mut rig = talking();
    asked(&mut rig);
    rig.pass(ms(2_980));
    assert_eq!(rig.wanted(), [""; 0]);
    rig.pass(ms(20));
    assert_eq!(rig.wanted(), ["· covered Moment"]);
    rig.speech(reply(A1, 1), 5)
        .provider(A1, ProviderEvent::ReplyDone { reply: reply(A1, 1), end: ReplyEnd::Completed });
    rig.pass(ms(520));
    assert_eq!(rig.wanted(), ["· starts r1.1 after None", "· heard r1.1 \"\" 100+0"]);
    rig.pass(ms(20_000));
    assert_eq!(rig.wanted(), [""; 0], "nobody waits any more");
}

#[test]
fn the_next_silence_begins_anew() {
    let mut rig = talking();
    asked(&mut rig);
    rig.pass(ms(3_000)).speech(reply(A1, 1), 1);
    rig.provider(A1, ProviderEvent::ReplyDone { reply: reply(A1, 1), end: ReplyEnd::Completed });
    rig.pass(ms(2_000));
    asked(&mut rig);
    rig.pass(ms(3_000));
    assert_eq!(rig.wanted(), ["· covered Moment"]);
}

#[test]
fn a_prompt_can_be_interrupted_and_no_provider_hears_of_it() {
    let mut rig = talking();
    asked(&mut rig);
    rig.pass(ms(3_000)).said.clear();
    rig.provider(A1, ProviderEvent::CallerSpoke(utterance(2)));
    assert_eq!(rig.wanted(), ["· callerspoke", "carrier Clear"]);
    // And what the provider says next is heard.
    rig.speech(reply(A1, 1), 5);
    assert_eq!(rig.wanted(), ["· starts r1.1 after None"]);
    assert!(rig.call.transcript.all().0.is_empty(), "a prompt is no turn of the conversation");
}

#[test]
fn an_opening_that_takes_long_is_covered() {
    let mut rig = Rig::with(covered());
    rig.assign(A1, "openai").said.clear();
    rig.pass(ms(2_000));
    assert_eq!(rig.wanted(), ["· covered Moment"]);
}

#[test]
fn who_is_left_alone_is_told_so_before_the_line_goes_dead() {
    let mut rig = talking();
    rig.provider(A1, ProviderEvent::Failed(Failure::Quota)).said.clear();
    rig.nobody(2).frame(7);
    assert_eq!(rig.wanted(), ["· covered Unavailable"]);
    rig.give(Input::Control(Control::Switch(None)));
    assert_eq!(rig.wanted(), ["· refused NotTalking"]);
    rig.pass(ms(980));
    assert_eq!(rig.finished, None);
    rig.pass(ms(20));
    assert_eq!(rig.wanted(), ["· lost Held 20", "carrier HangUp", "· ended no_provider"]);
}

#[test]
fn who_is_left_alone_may_be_led_elsewhere() {
    let mut rig = Rig::with(covered().when_nobody(WhenNobody::Transfer("+15550177".into())));
    rig.assign(A1, "openai").provider(A1, ProviderEvent::Failed(Failure::Credentials));
    rig.nobody(2).said.clear();
    rig.pass(ms(1_000));
    assert_eq!(rig.wanted(), ["· transferring", "operate 1 blind -"]);
    assert_eq!(rig.finished, None, "the carrier is asked first");
    let nobody = TransferNews::Failed(TransferFailure::Unsupported);
    rig.give(Input::Control(Control::Transferred(TransferId(1), nobody)));
    assert_eq!(
        rig.wanted(),
        ["· transfer 1 failed Unsupported", "· ended transfer"],
        "whoever runs the call leads them elsewhere: the carrier's leg stands"
    );
    assert_eq!(rig.finished, Some(EndReason::Transfer { to: "+15550177".into() }));
}

#[test]
fn a_prompt_reaches_a_line_of_another_format() {
    let start = CallStart {
        carrier: CarrierId::from_static("telnyx"),
        carrier_call: "v3:1".into(),
        format: AudioFormat::PCM16_16K,
        from: "+15550100".into(),
        to: "+15550101".into(),
        correlation: CorrelationId::from_static("c-1"),
    };
    let mut call = Call::new(at(0), Arc::new(covered().build().expect("settings fit")), start);
    call.handle(at(2_000), Input::Tick);
    let frames = std::iter::from_fn(|| match call.poll() {
        Output::WaitUntil(_) => None,
        output => Some(output),
    })
    .filter_map(|output| match output {
        Output::Carrier(CarrierCommand::Play(frame)) => Some(frame.data.len()),
        _ => None,
    });
    assert_eq!(frames.collect::<Vec<_>>(), [640; 15]);
}

/// A prompt is playing, and behind it waits a whole answer.
fn answer_behind_a_prompt(config: CallConfigBuilder) -> Rig {
    let mut rig = Rig::with(config);
    rig.assign(A1, "openai").provider(A1, ProviderEvent::Ready { session: None, expires: None });
    rig.now = at(60_000);
    asked(&mut rig);
    rig.pass(ms(3_000));
    rig.provider(A1, ProviderEvent::Words { reply: reply(A1, 1), text: "it costs four euros".into() });
    rig.speech(reply(A1, 1), 50);
    rig.provider(A1, ProviderEvent::ReplyDone { reply: reply(A1, 1), end: ReplyEnd::Completed });
    rig
}

#[test]
fn an_answer_that_waits_behind_a_prompt_is_known_to_whoever_is_next() {
    let mut rig = answer_behind_a_prompt(covered());
    rig.provider(A1, ProviderEvent::Failed(Failure::Cut)).said.clear();
    rig.assign(A2, "gemini");
    assert_eq!(rig.wanted(), ["· assigned", "open a2 with 1 turns"]);

    let mut rig = answer_behind_a_prompt(covered().standby(Standby::Ready));
    rig.assign(A2, "gemini").provider(A2, ProviderEvent::Ready { session: None, expires: None });
    rig.said.clear();
    rig.provider(A1, ProviderEvent::Failed(Failure::Cut));
    assert!(rig.wanted().contains(&"catch up a2 1".to_owned()));
}
