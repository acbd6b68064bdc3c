//! Switches by order: there and back, at once, away from somebody; and what is carried over.

use super::*;

const A3: AttachmentId = AttachmentId(3);

fn named(name: &'static str) -> ProviderId {
    ProviderId::from_static(name)
}

fn ready() -> ProviderEvent {
    ProviderEvent::Ready { session: None, expires: None }
}

fn order(rig: &mut Rig, control: Control) -> Vec<String> {
    rig.said.clear();
    rig.give(Input::Control(control)).wanted()
}

#[test]
fn a_switch_can_be_taken_back() {
    let mut rig = Rig::talking();
    assert_eq!(order(&mut rig, Control::SwitchBack), ["· refused NoneBefore"]);
    rig.give(Input::Control(Control::Switch(None))).assign(A2, "gemini").provider(A2, ready());
    assert_eq!(
        order(&mut rig, Control::SwitchBack),
        ["· attaching", "attach a3 wish=Some(openai) tried=[] last=None"]
    );
    rig.assign(A3, "openai").provider(A3, ready());
    assert_eq!(rig.wanted().pop().as_deref(), Some("· switched gemini openai Wish 0-0 0"));
    let switches = rig.call.status().switches;
    let to = |attempt: &Attempt| {
        if let Attempt::Done(switch) = attempt { switch.to.to_string() } else { "".into() }
    };
    assert_eq!(switches.kept.iter().map(to).collect::<Vec<_>>(), ["gemini", "openai"]);
    assert_eq!((switches.done, switches.failed), (2, 0));
}

#[test]
fn a_switch_under_way_is_given_up() {
    let mut rig = Rig::talking();
    rig.give(Input::Control(Control::Switch(None))).assign(A2, "gemini");
    assert_eq!(
        order(&mut rig, Control::SwitchBack),
        ["outcome a2 Unproven", "detach a2", "· detached", "· refused Withdrawn"]
    );
    rig.provider(A2, ready()).pass(ms(10_000));
    assert_eq!(rig.call.live(), Some(A1));
    assert_eq!(rig.wanted(), [""; 0], "and its deadline with it");
}

#[test]
fn a_switch_that_was_given_up_before_anybody_was_chosen_hears_no_late_answer() {
    let mut rig = Rig::talking();
    rig.give(Input::Control(Control::Switch(None)));
    assert_eq!(order(&mut rig, Control::SwitchBack), ["· refused Withdrawn"]);
    rig.said.clear();
    rig.assign(A2, "gemini");
    assert_eq!(rig.wanted(), ["outcome a2 Unproven"]);
}

#[test]
fn who_talks_already_is_not_switched_to() {
    let mut rig = Rig::talking();
    assert_eq!(order(&mut rig, Control::Switch(Some(named("openai")))), ["· refused Same"]);
}

#[test]
fn a_voice_that_talks_nonsense_is_silenced_at_once() {
    let mut rig = Rig::talking();
    rig.pass(ms(10_000)).speech(reply(A1, 1), 5);
    assert_eq!(
        order(&mut rig, Control::FailOver { force: true }),
        [
            "outcome a1 Success",
            "detach a1",
            "· detached",
            "· attaching",
            "attach a2 wish=None tried=[] last=Some(openai)",
        ]
    );
    rig.frame(1).assign(A2, "gemini").said.clear();
    rig.provider(A2, ready());
    let wanted = rig.wanted();
    assert_eq!(
        wanted[2..],
        ["· switched openai gemini Wish 0-0 0", "hear a2 1", "tell a2 Speak { cue: None }"]
    );
}

#[test]
fn without_force_a_pause_is_awaited() {
    let mut rig = Rig::talking();
    assert_eq!(
        order(&mut rig, Control::FailOver { force: false }),
        ["· attaching", "attach a2 wish=None tried=[openai] last=None"]
    );
    assert_eq!(rig.call.live(), Some(A1));
    assert_eq!(order(&mut rig, Control::FailOver { force: false }), ["· refused UnderWay"]);
}

#[test]
fn a_provider_is_left_wherever_it_is() {
    let mut rig = Rig::talking();
    assert_eq!(order(&mut rig, Control::LeaveProvider(named("gemini"))), [""; 0]);
    assert_eq!(
        order(&mut rig, Control::LeaveProvider(named("openai"))),
        ["· attaching", "attach a2 wish=None tried=[openai] last=None"]
    );
    rig.assign(A2, "gemini");
    assert_eq!(
        order(&mut rig, Control::LeaveProvider(named("gemini"))),
        [
            "outcome a2 Unproven",
            "detach a2",
            "· detached",
            "· refused Withdrawn",
            "· attaching",
            "attach a3 wish=None tried=[openai] last=None",
        ],
        "the other one is still to be left"
    );
    let mut rig = Rig::new();
    rig.assign(A1, "openai");
    assert_eq!(
        order(&mut rig, Control::LeaveProvider(named("openai"))),
        [
            "outcome a1 Unproven",
            "detach a1",
            "· detached",
            "· attaching",
            "attach a2 wish=None tried=[openai] last=None",
        ]
    );
}

#[test]
fn how_a_call_stands_can_be_asked() {
    let mut rig = Rig::new();
    assert_eq!(rig.call.status().standing, Standing::Attaching);
    rig.assign(A1, "openai").provider(A1, ready());
    rig.give(Input::Control(Control::Switch(None))).assign(A2, "gemini");
    let status = rig.call.status();
    let attached = |id, name, ready| Some(Attached { id, provider: Some(named(name)), ready });
    assert_eq!(status.standing, Standing::Talking);
    assert_eq!(status.live, attached(A1, "openai", true));
    assert_eq!((status.successor, status.standby), (attached(A2, "gemini", false), None));
    rig.give(Input::Control(Control::HangUp));
    assert_eq!(rig.call.status().standing, Standing::Ended);
}

#[test]
fn a_long_conversation_is_carried_over_in_short() {
    let mut rig = Rig::with(CallConfig::builder("x").greeting(Greeting::Caller).context_bytes(1 << 10));
    rig.assign(A1, "openai").provider(A1, ready());
    for n in 0..20 {
        rig.give(Input::Control(Control::Note(format!("{n:0100}").into())));
    }
    rig.give(Input::Control(Control::Summary("they like numbers".into()))).said.clear();
    rig.give(Input::Control(Control::Switch(None))).assign(A2, "gemini");
    assert_eq!(rig.wanted().pop().as_deref(), Some("open a2 with 10 turns"));
    rig.provider(A2, ready());
    assert_eq!(rig.wanted().pop().as_deref(), Some("· switched openai gemini Wish 0-0 10"));
}

#[test]
fn notes_and_summaries_stand_in_the_record() {
    let mut rig = Rig::talking();
    assert_eq!(order(&mut rig, Control::Note("vip".into())), ["· noted", "tell a1 Note([private])"]);
    assert_eq!(order(&mut rig, Control::Summary("all is well".into())), ["· summarised"]);
}

/// Sessions of services that end after an hour, ten minutes and two hours.
#[test]
fn no_session_limit_is_ever_reached() {
    for limit in [3_600, 600, 7_200].map(Duration::from_secs) {
        let limits = CallLimits { call: limit * 4, ..CallLimits::default() };
        let mut rig = Rig::with(CallConfig::builder("x").greeting(Greeting::Caller).limits(limits));
        let (mut since, mut id) = (rig.now, A1);
        for _ in 0..3 {
            rig.assign(id, "openai");
            let expires = Some(since + limit);
            rig.provider(id, ProviderEvent::Ready { session: None, expires }).said.clear();
            assert_eq!(rig.call.live(), Some(id), "there is no gap");
            rig.now = since + (limit - Duration::from_secs(60));
            rig.give(Input::Tick);
            id = AttachmentId(id.0 + 1);
            assert_eq!(
                rig.wanted(),
                ["· attaching".to_owned(), format!("attach {id} wish=None tried=[] last=None")]
            );
            since = rig.now;
        }
    }
}

#[test]
fn nobody_takes_over_from_somebody_who_may_just_have_begun_to_speak() {
    let mut rig = Rig::talking();
    rig.now = at(60_000);
    rig.give(Input::Control(Control::Switch(None))).assign(A2, "gemini");
    rig.frame(0x10).provider(A2, ready());
    rig.pass(ms(280)).frame(0xff);
    assert_eq!(rig.call.live(), Some(A1), "the service has not noticed yet, but our ear has");
    rig.pass(ms(20)).frame(0xff);
    assert_eq!(rig.call.live(), Some(A2));
}

#[test]
fn who_is_to_be_left_is_left_even_if_the_first_successors_fail() {
    let mut rig = Rig::talking();
    rig.give(Input::Control(Control::LeaveProvider(named("openai"))));
    rig.assign(A2, "gemini").said.clear();
    rig.provider(A2, ProviderEvent::Failed(Failure::Cut));
    assert_eq!(
        rig.wanted().pop().as_deref(),
        Some("attach a3 wish=None tried=[openai, gemini] last=None"),
        "the next one is asked at once"
    );
    rig.give(Input::Assigned(A3, None)).said.clear();
    rig.pass(ms(9_980));
    assert_eq!(rig.wanted(), [""; 0]);
    rig.pass(ms(20));
    assert_eq!(rig.wanted()[1], "attach a4 wish=None tried=[openai] last=None", "and all of them later");
    rig.assign(AttachmentId(4), "gemini").provider(AttachmentId(4), ready());
    rig.pass(ms(60_000)).said.clear();
    assert_eq!(rig.call.live(), Some(AttachmentId(4)));
    rig.pass(ms(60_000));
    assert_eq!(rig.wanted(), [""; 0], "and then it is over");
}

#[test]
fn who_is_to_be_left_is_left_after_another_switch_has_failed() {
    let mut rig = Rig::talking();
    rig.give(Input::Control(Control::Switch(Some(named("gemini"))))).assign(A2, "gemini");
    assert_eq!(order(&mut rig, Control::LeaveProvider(named("openai"))), [""; 0], "a switch is under way");
    rig.provider(A2, ProviderEvent::Failed(Failure::Cut));
    assert_eq!(rig.wanted().pop().as_deref(), Some("attach a3 wish=None tried=[gemini, openai] last=None"));
}

#[test]
fn two_wishes_in_a_gap_are_both_granted() {
    let mut rig = Rig::talking();
    rig.provider(A1, ProviderEvent::Failed(Failure::Cut));
    rig.give(Input::Control(Control::Say { cue: "one".into() }));
    rig.give(Input::Control(Control::Say { cue: "two".into() }));
    rig.assign(A2, "gemini").provider(A2, ready());
    assert_eq!(rig.wanted().pop().as_deref(), Some("tell a2 Speak { cue: Some(\"one\\ntwo\") }"));
    rig.provider(A2, ProviderEvent::Failed(Failure::Cut)).assign(A3, "openai").provider(A3, ready());
    assert_eq!(
        rig.wanted().pop().as_deref(),
        Some("tell a3 Speak { cue: Some(\"one\\ntwo\") }"),
        "nobody has answered yet, and nothing was asked twice"
    );
}

#[test]
fn an_hour_of_switches_does_not_run_dry() {
    let mut rig = Rig::talking();
    let names = ["openai", "gemini"];
    for n in 1..720_u32 {
        rig.now += ms(5_000);
        rig.said.clear();
        let id = AttachmentId(n + 1);
        rig.give(Input::Control(Control::Switch(None)))
            .assign(id, names[n as usize % 2])
            .provider(id, ready());
        assert_eq!(rig.call.live(), Some(id), "switch {n}: {:?}", rig.wanted());
    }
    let switches = rig.call.status().switches;
    assert_eq!((switches.done, switches.kept.len()), (719, limits::SWITCHES_KEPT));
}

#[test]
fn providers_that_flap_do_not_keep_a_call_busy_for_ever() {
    let mut rig = Rig::talking();
    let mut asked = 0;
    for n in 2..1_000 {
        rig.said.clear();
        rig.give(Input::Control(Control::Switch(None)));
        asked += rig.wanted().iter().filter(|word| word.starts_with("attach")).count();
        rig.give(Input::Assigned(AttachmentId(n), None));
    }
    assert_eq!(asked as u32, limits::ATTACHMENTS_MAX - 1, "the first one was the beginning");
    assert_eq!(rig.call.live(), Some(A1), "whoever talks goes on");
}

#[test]
fn attempts_that_came_to_nothing_are_remembered() {
    let mut rig = Rig::talking();
    rig.give(Input::Control(Control::Switch(Some(named("gemini"))))).assign(A2, "gemini");
    rig.give(Input::Control(Control::Switch(Some(named("deepgram")))));
    rig.provider(A2, ProviderEvent::Failed(Failure::Cut));
    rig.give(Input::Control(Control::Switch(Some(named("deepgram"))))).give(Input::Assigned(A3, None));
    rig.give(Input::Control(Control::Switch(None))).give(Input::Control(Control::SwitchBack));
    let Switches { done, failed, kept } = rig.call.status().switches;
    let seen: Vec<_> = kept
        .iter()
        .map(|attempt| match attempt {
            Attempt::Done(_) => ("", None, "done"),
            Attempt::Failed(failed) => {
                (failed.from.as_str(), failed.to.as_ref().map(ProviderId::as_str), failed.cause.name())
            }
        })
        .collect();
    assert_eq!((done, failed), (0, 4));
    assert_eq!(
        seen,
        [
            ("openai", Some("deepgram"), "switch_running"),
            ("openai", Some("gemini"), "cut"),
            ("openai", Some("deepgram"), "nobody"),
            ("openai", None, "withdrawn"),
        ]
    );
}
