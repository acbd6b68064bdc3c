//! The ledger's arithmetic, frame by frame.

use super::*;
use crate::id::AttachmentId;

const LEAD: Duration = Duration::from_millis(300);

fn at(ms: u64) -> MonoTime {
    MonoTime::from_millis(ms)
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn reply(n: u32) -> ReplyId {
    ReplyId::new(AttachmentId(1), n)
}

fn playout_with(frames: usize) -> Playout {
    let mut playout = Playout::new(AudioFormat::MULAW_8K, LEAD);
    for _ in 0..frames {
        assert!(playout.push(reply(1), Bytes::from_static(&[0x11; 160])));
    }
    playout
}

/// Releases what is due and settles, as the call does; answers with frames and marks sent.
fn step(playout: &mut Playout, now: MonoTime) -> (usize, Vec<MarkId>, Vec<Finished>) {
    let (mut frames, mut marks, mut finished) = (0, Vec::new(), Vec::new());
    while let Some(release) = playout.release(now) {
        match release {
            Release::Frame(_) => frames += 1,
            Release::Mark(mark) => marks.push(mark),
            Release::Starts(_) => {}
        }
    }
    while let Some(over) = playout.settle(now) {
        finished.push(over);
    }
    (frames, marks, finished)
}

#[test]
fn the_carrier_is_never_more_than_the_lead_ahead() {
    let mut playout = playout_with(100);
    assert_eq!(step(&mut playout, at(1_000)).0, 15);
    assert_eq!(playout.wakes_at(), Some(at(1_020)));
    assert_eq!(step(&mut playout, at(1_019)).0, 0);
    assert_eq!(step(&mut playout, at(1_020)).0, 1);
    // After a pause of ours the carrier has run dry: it is filled again, no more.
    assert_eq!(step(&mut playout, at(5_000)).0, 15);
}

#[test]
fn a_cut_divides_what_was_given_into_heard_and_unheard() {
    let mut playout = playout_with(100);
    for now in (0..1_000).step_by(20) {
        step(&mut playout, at(now));
    }
    let cut = playout.cut(at(990));
    assert_eq!(cut.heard, [Heard { reply: reply(1), heard: ms(990), unheard: ms(1_010) }]);
    assert!(playout.is_silent());
    assert_eq!(playout.wakes_at(), None);
    assert_eq!(step(&mut playout, at(1_000)), (0, vec![], vec![]));
    assert!(playout.cut(at(1_000)).heard.is_empty());
}

#[test]
fn marks_correct_the_estimate_and_are_not_needed() {
    let mut playout = playout_with(100);
    let (_, marks, _) = step(&mut playout, at(0));
    assert_eq!(marks.len(), 1, "ten frames make a mark");
    // Without it, the clock counts.
    let (_, second, _) = step(&mut playout, at(100));
    // The ear is 80 ms later than the clock thought; but one mark may be a slow one.
    assert!(playout.played(at(280), marks[0]));
    assert!(!playout.played(at(281), marks[0]), "a mark counts once");
    assert_eq!(playout.lag, ms(0));
    let (_, third, _) = step(&mut playout, at(300));
    assert!(playout.played(at(490), second[0]));
    step(&mut playout, at(500));
    assert!(playout.played(at(680), third[0]));
    assert_eq!(playout.lag, ms(80));
    let cut = playout.cut(at(700));
    assert_eq!(cut.heard[0].heard, ms(620), "600 ms by the marks, 20 ms since");
}

#[test]
fn a_mark_that_comes_seconds_late_moves_nothing() {
    let mut playout = playout_with(40);
    let (_, marks, _) = step(&mut playout, at(0));
    for now in (20..700).step_by(20) {
        step(&mut playout, at(now));
    }
    playout.lag = ms(10);
    playout.played(at(9_000), marks[0]);
    assert_eq!(playout.lag, ms(10));
}

#[test]
fn a_mark_from_before_a_cut_says_nothing() {
    let mut playout = playout_with(40);
    let (_, marks, _) = step(&mut playout, at(0));
    playout.cut(at(40));
    assert!(!playout.played(at(50), marks[0]));
}

#[test]
fn a_reply_is_over_when_it_was_heard_not_when_it_was_sent() {
    let mut playout = playout_with(20);
    playout.words(reply(1), "hello there");
    playout.done(reply(1), ReplyEnd::Completed);
    let mut over = Vec::new();
    for now in (0..=400).step_by(20) {
        let (_, _, finished) = step(&mut playout, at(now));
        over.extend(finished.into_iter().map(|f| (now, f.text, f.cut, f.heard)));
    }
    assert_eq!(over, [(400, "hello there".to_owned(), false, ms(400))]);
    assert!(playout.is_silent());
}

#[test]
fn the_last_frame_of_a_reply_is_followed_by_a_mark() {
    let mut playout = playout_with(3);
    let (frames, marks, _) = step(&mut playout, at(0));
    assert_eq!((frames, marks.len()), (3, 0));
    playout.done(reply(1), ReplyEnd::Completed);
    let (_, marks, _) = step(&mut playout, at(1));
    assert_eq!(marks.len(), 1);
    let (_, marks, _) = step(&mut playout, at(2));
    assert_eq!(marks.len(), 0);
}

#[test]
fn what_does_not_fit_is_dropped_and_counted() {
    let room = (limits::PLAYOUT_MAX.as_millis() / FRAME.as_millis()) as usize;
    let mut playout = playout_with(room);
    assert!(!playout.push(reply(1), Bytes::from_static(&[0; 160])));
    let cut = playout.cut(at(0));
    assert_eq!(cut.finished[0].dropped, FRAME);
    assert_eq!(cut.heard[0].unheard, FRAME * (room as u32 + 1));
}

#[test]
fn a_reply_that_is_too_long_ends_and_has_no_holes() {
    let room = (limits::PLAYOUT_MAX.as_millis() / FRAME.as_millis()) as usize;
    let mut playout = playout_with(room);
    assert!(!playout.push(reply(1), Bytes::from_static(&[0; 160])));
    step(&mut playout, at(0));
    assert!(
        !playout.push(reply(1), Bytes::from_static(&[0; 160])),
        "there is room again, but not for this one"
    );
    assert!(playout.push(reply(2), Bytes::from_static(&[0; 160])));
}

#[test]
fn two_replies_are_kept_apart() {
    let mut playout = playout_with(5);
    playout.done(reply(1), ReplyEnd::Completed);
    for _ in 0..50 {
        playout.push(reply(2), Bytes::from_static(&[0; 160]));
    }
    for now in (0..160).step_by(20) {
        step(&mut playout, at(now));
    }
    let cut = playout.cut(at(160));
    assert_eq!(cut.heard, [Heard { reply: reply(2), heard: ms(60), unheard: ms(940) }]);
}

#[test]
fn of_several_marks_the_quickest_tells_where_the_ear_is() {
    let mut playout = playout_with(200);
    for lag in [90, 40, 700, 60] {
        playout.learn(ms(lag));
    }
    assert_eq!(playout.lag, ms(40));
    for _ in 0..LAGS {
        playout.learn(ms(70));
    }
    assert_eq!(playout.lag, ms(70), "and what was long ago is forgotten");
}
