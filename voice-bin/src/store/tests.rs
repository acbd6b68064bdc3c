//! What the port promises, on every database there is.

use std::time::Duration;

use voice_core::consent::{Consent, Scope};
use voice_core::id::{AttachmentId, CallId, CarrierId, CorrelationId, ProviderId, ReplyId, UtteranceId};
use voice_core::record::{CallEvent, EndReason, Entry, Switch, Totals, Why};
use voice_core::recording::{RecordingEnd, RecordingPlace, SavedRecording};
use voice_core::time::{MonoTime, UnixMillis};
use voice_telephony::status::CallStatus;

use super::losses::{Loss, Reason};
use super::write::{Line, Portion, StatusLine};
use super::*;

/// Runs a check on SQLite, and on PostgreSQL where there is one.
macro_rules! on_every_database {
    ($($(#[$doc:meta])* $name:ident($store:ident) $body:block)*) => {
        $($(#[$doc])* async fn $name($store: Store) $body)*

        mod on_sqlite {
            $(#[tokio::test]
            async fn $name() {
                let directory = tempfile::tempdir().unwrap();
                let url = format!("sqlite:{}", directory.path().join("voice.db").display());
                super::$name(crate::store::Store::open(&url).await.unwrap()).await;
            })*
        }

        mod on_postgres {
            $(#[tokio::test]
            async fn $name() {
                if let Some(database) = crate::services::postgres(stringify!($name)).await {
                    super::$name(crate::store::Store::open(&database).await.unwrap()).await;
                }
            })*
        }
    };
}

mod crash;
mod faults;
mod schema;

const CALL: CallId = CallId::from_u128(7);

on_every_database! {
    /// The numbers of the entries rise by one; a batch may be written again after a doubt.
    twice_is_the_same_as_once(store) {
        let lines = talk(CALL, 0);
        let first = write(&store, &lines).await;
        let again = write(&store, &lines).await;
        assert_eq!((first.entries, again.entries), (lines.len() as u64, lines.len() as u64));
        assert!(first.lost.is_empty() && again.lost.is_empty());
        assert_eq!(store.entries(CALL).await.unwrap().len(), lines.len());
        assert_eq!(store.turns(CALL).await.unwrap().len(), 2);
        assert_eq!(store.switches(CALL).await.unwrap().len(), 1);
        assert_eq!(store.counts(&CallFilter::default()).await.unwrap(), Counts { live: 0, ended: 1 });
    }

    derived_rows_say_what_the_events_say(store) {
        write(&store, &talk(CALL, 5_000)).await;
        let call = store.call(CALL).await.unwrap().unwrap();
        assert_eq!((call.started, call.ended), (UnixMillis(5_001), Some(UnixMillis(5_008))));
        assert_eq!((call.provider.as_deref(), call.reason.as_deref()), (Some("gemini"), Some("hung_up")));
        assert_eq!((call.from.expose().as_str(), call.to.expose().as_str()), ("+15550100", "+15550199"));
        let turns = store.turns(CALL).await.unwrap();
        let said: Vec<_> =
            turns.iter().map(|turn| (turn.speaker.name(), turn.words.expose().as_str(), turn.cut)).collect();
        // PostgreSQL has no place for a zero character.
        assert_eq!(said, [("caller", "hel\u{fffd}lo", false), ("voice", "good morning", true)]);
        assert_eq!((turns[0].heard, turns[1].heard), (None, Some(Duration::from_millis(900))));
        let switches = store.switches(CALL).await.unwrap();
        assert_eq!((switches[0].from.as_str(), switches[0].to.as_str()), ("openai", "gemini"));
        assert_eq!((switches[0].why.as_str(), switches[0].gap), ("failure", Duration::from_millis(320)));
    }

    every_sample_is_written_and_read(store) {
        let lines: Vec<Line> = (1..)
            .zip(samples::events())
            .map(|(seq, event)| line(CALL, seq, event, 0))
            .collect();
        write(&store, &lines).await;
        for (read, line) in store.entries(CALL).await.unwrap().into_iter().zip(&lines) {
            assert_eq!((read.seq, read.at, read.unix), (line.entry.seq, line.entry.at, line.unix));
            assert_eq!(read.event.unwrap(), line.entry.event);
        }
        let recordings = store.recordings(CALL).await.unwrap();
        assert!(!recordings.is_empty() && recordings.iter().any(|one| one.length.is_some()));
        assert!(["server", "carrier"].iter().all(|place| recordings.iter().any(|one| one.place == *place)));
        let page = store.entries_from(CALL, 5, 2).await.unwrap();
        assert_eq!(page.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [5, 6]);
        assert!(store.entries_from(CALL, u64::MAX, 1).await.unwrap().is_empty());
    }

    a_call_that_comes_back_is_live_again(store) {
        let lines = talk(CALL, 0);
        write(&store, &lines).await;
        assert!(store.unfinished(None).await.unwrap().is_empty());
        let last = lines.last().unwrap().entry.seq;
        write(&store, &[line(CALL, last + 1, CallEvent::Muted { on: false }, 0)]).await;
        let call = store.call(CALL).await.unwrap().unwrap();
        assert_eq!((call.ended, call.reason), (None, None));
        // Within one batch as well.
        let over = ended();
        let batch = [
            line(CALL, last + 2, over.clone(), 0),
            line(CALL, last + 3, CallEvent::Muted { on: true }, 0),
        ];
        write(&store, &batch).await;
        assert_eq!(store.unfinished(None).await.unwrap().len(), 1);
        write(&store, &[line(CALL, last + 4, over, 0)]).await;
        assert!(store.unfinished(None).await.unwrap().is_empty());
    }

    a_recording_told_of_after_the_end_brings_no_call_back(store) {
        let lines = talk(CALL, 0);
        write(&store, &lines).await;
        let last = lines.last().unwrap().entry.seq;
        let saved = |recording: &str| {
            let url = Some("https://recordings.example/1.wav".into());
            let (recording, length) = (recording.to_owned(), Some(Duration::from_secs(7)));
            CallEvent::RecordingSaved(SavedRecording { recording, length, url })
        };
        let absent = CallEvent::RecordingAbsent { recording: "RE2".to_owned() };
        let told = [line(CALL, last + 1, saved("RE1"), 0), line(CALL, last + 2, absent, 0)];
        write(&store, &told).await;
        write(&store, &told).await;
        let call = store.call(CALL).await.unwrap().unwrap();
        assert_eq!(call.reason.as_deref(), Some("hung_up"));
        let found = store.carrier_recordings(CALL).await.unwrap();
        let [one] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!((one.recording.as_str(), one.length), ("RE1", Some(Duration::from_secs(7))));
        assert!(one.url.as_ref().is_some_and(|url| url.expose().ends_with("1.wav")));
    }

    a_recording_that_ends_after_its_call_brings_no_call_back(store) {
        let basis = "told before".parse().unwrap();
        let consent = Consent::not_required(basis, Scope::RECORDING);
        let started = CallEvent::RecordingStarted { consent, place: RecordingPlace::Carrier };
        let mut lines = talk(CALL, 0);
        let mut over = lines.pop().unwrap();
        let seq = over.entry.seq;
        over.entry.seq += 1;
        lines.extend([line(CALL, seq, started, 0), over]);
        write(&store, &lines).await;
        let node = store.node().clone();
        assert_eq!(store.recorded_and_over(&node).await.unwrap(), [CALL]);
        assert_eq!(store.recorded_and_over(&Node::new("another")).await.unwrap(), []);
        let (reason, length) = (RecordingEnd::CallOver, Duration::from_secs(7));
        write(&store, &[line(CALL, seq + 2, CallEvent::RecordingStopped { reason, length }, 0)]).await;
        assert_eq!(store.recorded_and_over(&node).await.unwrap(), []);
        let call = store.call(CALL).await.unwrap().unwrap();
        assert_eq!(call.reason.as_deref(), Some("hung_up"), "it is as over as it was");
        assert_eq!(store.recordings(CALL).await.unwrap()[0].reason.as_deref(), Some("call_over"));
    }

    lists_are_paged_and_filtered(store) {
        for number in 0..25 {
            let mut lines = talk(CallId::from_u128(number), i64::try_from(number / 2).unwrap());
            if number % 5 == 0 {
                lines.pop();
            }
            write(&store, &lines).await;
        }
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let page = store.page(&CallFilter::default(), after, 10).await.unwrap();
            seen.extend(page.calls.iter().map(|row| row.call.as_u128()));
            after = match page.next {
                Some(next) => Some(next.to_string().parse().unwrap()),
                None => break,
            };
        }
        assert_eq!(seen, (0..25).rev().collect::<Vec<_>>());
        let count = async |filter: CallFilter| store.page(&filter, None, 1_000).await.unwrap().calls.len();
        let any = CallFilter::default();
        assert_eq!(count(CallFilter { state: Some(CallState::Live), ..any.clone() }).await, 5);
        assert_eq!(count(CallFilter { state: Some(CallState::Ended), ..any.clone() }).await, 20);
        assert_eq!(count(CallFilter { carrier: Some("twilio".to_owned()), ..any.clone() }).await, 25);
        assert_eq!(count(CallFilter { carrier: Some("telnyx".to_owned()), ..any.clone() }).await, 0);
        assert_eq!(count(CallFilter { provider: Some("gemini".to_owned()), ..any.clone() }).await, 25);
        let one = CallFilter { correlation: Some("c-7".to_owned()), ..any.clone() };
        assert_eq!(count(one).await, 1);
        let some = CallFilter { from: Some(UnixMillis(2)), to: Some(UnixMillis(4)), ..any.clone() };
        assert_eq!(count(some.clone()).await, 4);
        assert_eq!(store.counts(&some).await.unwrap(), Counts { live: 1, ended: 3 });
        assert_eq!(count(CallFilter { node: Some(Node::new("else")), ..any }).await, 0);
        let found = store.call_of("twilio", "CA7").await.unwrap().unwrap();
        assert_eq!(found.call, CallId::from_u128(7));
        assert!(store.call_of("telnyx", "CA7").await.unwrap().is_none());
        let unfinished = store.unfinished(Some(store.node())).await.unwrap();
        assert_eq!(unfinished.iter().map(|row| row.call.as_u128()).collect::<Vec<_>>(), [0, 5, 10, 15, 20]);
    }

    whoever_lost_a_call_writes_nothing_more_of_it(store) {
        let (old, new) = (store.clone().with_node(Node::new("old")), store.with_node(Node::new("new")));
        let lines = talk(CALL, 0);
        write(&old, &lines[..3]).await;
        assert!(!new.take_over(CALL, &Node::new("third")).await.unwrap(), "held by somebody else");
        assert!(new.take_over(CALL, old.node()).await.unwrap());
        assert!(new.take_over(CALL, old.node()).await.unwrap(), "and still does");
        let ours = line(CALL, 4, CallEvent::Muted { on: true }, 9);
        write(&new, std::slice::from_ref(&ours)).await;

        let late = write(&old, &lines[3..]).await;
        assert_eq!(late.entries, 0);
        assert_eq!(new.entries(CALL).await.unwrap().len(), 4);
        assert_eq!(new.turns(CALL).await.unwrap(), []);
        assert_eq!(new.unfinished(Some(new.node())).await.unwrap().len(), 1);
        let losses = new.losses(CALL).await.unwrap();
        let told: Vec<_> =
            losses.iter().map(|loss| (loss.first, loss.last, loss.node.as_str(), loss.reason.as_str())).collect();
        assert_eq!(told, [(4, 8, "old", "superseded")]);
    }

    /// Without a row of the call nobody can say who holds it; then the first to write a number has it.
    the_second_to_write_a_number_is_refused(store) {
        let (first, second) = (store.clone().with_node(Node::new("a")), store.with_node(Node::new("b")));
        write(&first, &[line(CALL, 2, CallEvent::Muted { on: true }, 0)]).await;
        let lines =
            [line(CALL, 2, CallEvent::Muted { on: false }, 0), line(CALL, 3, CallEvent::Muted { on: true }, 0)];
        let written = write(&second, &lines).await;
        assert_eq!((written.entries, written.lost.len()), (1, 1));
        assert_eq!((written.lost[0].first, written.lost[0].reason), (2, Reason::Superseded));
        let entries = first.entries(CALL).await.unwrap();
        assert!(matches!(entries[0].event, Ok(CallEvent::Muted { on: true })));
        assert_eq!(entries.len(), 2);
    }

    a_call_that_is_over_is_not_taken_over(store) {
        let old = store.clone().with_node(Node::new("old"));
        write(&old, &talk(CALL, 0)).await;
        assert!(!store.take_over(CALL, old.node()).await.unwrap());
        assert!(!store.take_over(CallId::from_u128(99), old.node()).await.unwrap());
    }

    changes_of_status_are_kept_once(store) {
        let change = |number, from, to, reason: &'static str| StatusLine {
            call: CALL,
            change: StatusChange { number, from, to, reason: reason.into(), unix: UnixMillis(number.into()) },
        };
        let statuses = [
            change(1, None, CallStatus::Initiated, "ordered"),
            change(2, Some(CallStatus::Initiated), CallStatus::Ringing, "carrier"),
            change(3, Some(CallStatus::Ringing), CallStatus::Failed, "busy"),
        ];
        for _ in 0..2 {
            store.write(Portion { statuses: &statuses, ..Portion::default() }).await.unwrap();
        }
        let read = store.transitions(CALL).await.unwrap();
        assert_eq!(read, statuses.map(|line| line.change));
        assert!(store.transitions(CallId::from_u128(99)).await.unwrap().is_empty());
    }

    losses_are_told_once(store) {
        let loss = Loss {
            call: CALL,
            reason: Reason::QueueFull,
            first: 3,
            last: 9,
            entries: 5,
            unix: UnixMillis(1),
        };
        for _ in 0..2 {
            store.write(Portion { losses: &[loss], ..Portion::default() }).await.unwrap();
        }
        let losses = store.losses(CALL).await.unwrap();
        assert_eq!((losses.len(), losses[0].entries, losses[0].reason.as_str()), (1, 5, "queue_full"));
    }

    a_great_batch_is_written_in_order(store) {
        let lines: Vec<Line> = (1..=700)
            .map(|seq| line(CallId::from_u128(u128::from(seq % 150)), seq, CallEvent::Muted { on: true }, 0))
            .collect();
        assert_eq!(write(&store, &lines).await.entries, 700);
        let all = store.entries(CallId::from_u128(10)).await.unwrap();
        assert_eq!(all.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [10, 160, 310, 460, 610]);
    }

    a_failed_write_is_found_to_work_again_without_a_trace(store) {
        store.note_write(false);
        assert!(store.can_write().await && store.is_up().await);
        store.note_write(false);
        assert!(store.can_write().await);
    }

    a_store_is_opened_twice(store) {
        write(&store, &talk(CALL, 0)).await;
        store.close().await;
        assert!(!store.is_up().await);
    }
}

#[test]
fn what_is_no_cursor_is_refused() {
    for text in ["", "-", "12", "12-", "x-0193a5b0-1c2d-7e3f-8a4b-5c6d7e8f9a0b", "12-0193a5b0"] {
        assert_eq!(text.parse::<Cursor>(), Err(CursorError), "{text}");
    }
}

async fn write(store: &Store, lines: &[Line]) -> write::Written {
    store.write(Portion { lines, ..Portion::default() }).await.unwrap()
}

/// A call with a switch and two turns, from its first entry to its last.
pub(super) fn talk(call: CallId, unix: i64) -> Vec<Line> {
    let attachment = AttachmentId(2);
    let events = [
        CallEvent::Started {
            carrier: CarrierId::from_static("twilio"),
            carrier_call: format!("CA{}", call.as_u128()),
            format: voice_core::audio::AudioFormat::MULAW_8K,
            from: "+15550100".into(),
            to: "+15550199".into(),
            correlation: format!("c-{}", call.as_u128()).parse::<CorrelationId>().unwrap(),
        },
        CallEvent::Assigned { attachment, provider: ProviderId::from_static("gemini") },
        CallEvent::Live { attachment, gap: Duration::ZERO },
        CallEvent::Switched(Switch {
            from: ProviderId::from_static("openai"),
            to: ProviderId::from_static("gemini"),
            attachment,
            why: Why::Failure,
            gap: Duration::from_millis(320),
            lost: Duration::ZERO,
            turns: 3,
            bytes: 99,
        }),
        CallEvent::CallerSaid { utterance: UtteranceId::from_u64(1), text: "hel\0lo".into() },
        CallEvent::CallerSaid { utterance: UtteranceId::from_u64(2), text: "".into() },
        CallEvent::ReplyHeard {
            reply: ReplyId::from_u64(1 << 33),
            text: "good morning".into(),
            heard: Duration::from_millis(900),
            unheard: Duration::ZERO,
            cut: true,
        },
        ended(),
    ];
    (1..).zip(events).map(|(seq, event)| line(call, seq, event, unix)).collect()
}

fn ended() -> CallEvent {
    CallEvent::Ended { reason: EndReason::HungUp, totals: Totals::default() }
}

pub(super) fn line(call: CallId, seq: u64, event: CallEvent, unix: i64) -> Line {
    Line {
        call,
        entry: Entry { seq, at: MonoTime::from_millis(seq), event },
        unix: UnixMillis(unix + seq.cast_signed()),
    }
}
