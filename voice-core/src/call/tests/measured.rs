//! What is measured on the way: how long an answer took, and in whose hands.

use super::*;
use crate::id::MarkId;

/// A caller who spoke until 100 ms, and of whom the provider says at 500 ms that they have finished; the
/// answer comes at 900 ms.
fn answered() -> Rig {
    let mut rig = Rig::talking();
    for _ in 0..5 {
        rig.now += FRAME;
        rig.frame(0x10);
    }
    rig.provider(A1, ProviderEvent::CallerSpoke(utterance(1)));
    rig.listen(ms(400)).provider(A1, ProviderEvent::CallerPaused(utterance(1)));
    rig.listen(ms(400)).speech(reply(A1, 1), 12);
    rig
}

#[test]
fn an_answer_is_measured_by_the_mark_of_the_carrier() {
    let mut rig = answered();
    assert!(rig.measured.is_empty(), "nobody has said that it was heard");
    // The mark after ten frames comes when they have been heard: 200 ms, and 90 ms of way.
    rig.listen(ms(280));
    rig.now += ms(10);
    rig.give(Input::Carrier(CarrierEvent::Played(MarkId(1))));
    let [told] = &rig.measured[..] else { panic!("{:?}", rig.measured) };
    let parts = (told.detection, told.provider, told.pacing, told.network);
    assert_eq!((told.reply, parts), (reply(A1, 1), (ms(400), ms(400), ms(0), ms(90))));
    assert_eq!(told.total(), ms(890));
}

#[test]
fn an_answer_that_was_cut_before_it_was_heard_is_none() {
    let mut rig = answered();
    rig.provider(A1, ProviderEvent::CallerSpoke(utterance(2)));
    rig.listen(ms(300)).give(Input::Carrier(CarrierEvent::Played(MarkId(1))));
    assert!(rig.measured.is_empty(), "{:?}", rig.measured);
}
