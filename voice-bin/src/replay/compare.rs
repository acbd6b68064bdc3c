//! Two courses of one call side by side.

use std::time::Duration;

use voice_core::record::{CallEvent, Entry};
use voice_core::time::MonoTime;

/// A step of the call, with the time from its beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// Then and now, at these times.
    Both(Duration, Duration, String),
    /// Only then.
    Then(Duration, String),
    /// Only now.
    Now(Duration, String),
}

/// Steps that are compared with each other; longer courses are compared piece by piece.
const WINDOW: usize = 2_000;

/// Whatever is in one course and not in the other, in the order in which it was.
pub(super) fn compare(begin: MonoTime, then: &[Entry], now: &[Entry]) -> Vec<Line> {
    let (then, now) = (steps(begin, then), steps(begin, now));
    let mut lines = Vec::new();
    let (mut at_then, mut at_now) = (0, 0);
    while at_then < then.len() || at_now < now.len() {
        let left = &then[at_then..then.len().min(at_then + WINDOW)];
        let right = &now[at_now..now.len().min(at_now + WINDOW)];
        lines.extend(aligned(left, right));
        at_then += left.len();
        at_now += right.len();
    }
    lines
}

type Step = (Duration, String);

fn steps(begin: MonoTime, entries: &[Entry]) -> Vec<Step> {
    entries.iter().filter_map(|entry| Some((entry.at.since(begin), step(&entry.event)?))).collect()
}

/// The longest common course (the textbook's table), and around it what is only in one.
fn aligned(then: &[Step], now: &[Step]) -> Vec<Line> {
    let width = now.len() + 1;
    let mut longest = vec![0_u32; (then.len() + 1) * width];
    for (i, (_, a)) in then.iter().enumerate().rev() {
        for (j, (_, b)) in now.iter().enumerate().rev() {
            longest[i * width + j] = if a == b {
                longest[(i + 1) * width + j + 1] + 1
            } else {
                longest[(i + 1) * width + j].max(longest[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j, mut lines) = (0, 0, Vec::new());
    loop {
        match (then.get(i), now.get(j)) {
            (Some((was, a)), Some((is, b))) if a == b => {
                lines.push(Line::Both(*was, *is, a.clone()));
                (i, j) = (i + 1, j + 1);
            }
            (Some((was, a)), right)
                if right.is_none() || longest[(i + 1) * width + j] >= longest[i * width + j + 1] =>
            {
                lines.push(Line::Then(*was, a.clone()));
                i += 1;
            }
            (_, Some((is, b))) => {
                lines.push(Line::Now(*is, b.clone()));
                j += 1;
            }
            (_, None) => return lines,
        }
    }
}

/// A step that can be compared: nothing of sound, words, or single milliseconds.
#[allow(clippy::wildcard_enum_match_arm, reason = "of all that can be told, only this matters here")]
fn step(event: &CallEvent) -> Option<String> {
    Some(match event {
        CallEvent::Started { carrier, .. } => format!("started over {carrier}"),
        CallEvent::Attaching { attachment, why } => format!("{attachment} wanted: {}", why.name()),
        CallEvent::Assigned { attachment, provider } => format!("{attachment} is {provider}"),
        CallEvent::Ready { attachment, .. } => format!("{attachment} ready"),
        CallEvent::Live { attachment, .. } => format!("{attachment} live"),
        CallEvent::Detached { attachment } => format!("{attachment} let go"),
        CallEvent::Switched(switch) => {
            format!("switched from {} to {}: {}", switch.from, switch.to, switch.why.name())
        }
        CallEvent::Problem { attachment, failure } => format!("{attachment} failed: {}", failure.kind()),
        CallEvent::SwitchRefused { why } => format!("switch refused: {why:?}"),
        CallEvent::Retrying { round, .. } => format!("nobody found, round {round}"),
        CallEvent::CallerSpoke { utterance } => format!("caller speaks, {utterance}"),
        CallEvent::CallerPaused { utterance } => format!("caller pauses, {utterance}"),
        CallEvent::ReplyStarted { reply, .. } => format!("{reply} begins"),
        CallEvent::ReplyHeard { reply, cut: true, .. } => format!("{reply} cut"),
        CallEvent::ReplyHeard { reply, cut: false, .. } => format!("{reply} heard"),
        CallEvent::BargeIn { reply, .. } => format!("{reply} interrupted"),
        CallEvent::ToolCalled(call) => format!("tool called, {}", call.id),
        CallEvent::ToolAnswered { id, failed, .. } => {
            format!("tool {}, {id}", if *failed { "failed" } else { "answered" })
        }
        CallEvent::ToolCancelled { id } => format!("tool cancelled, {id}"),
        CallEvent::Digit { .. } => "key pressed".to_owned(),
        CallEvent::Held { .. } => "held".to_owned(),
        CallEvent::Resumed { timed_out, .. } => {
            format!("off hold{}", if *timed_out { ", too long" } else { "" })
        }
        CallEvent::Muted { on } => if *on { "muted" } else { "heard again" }.to_owned(),
        CallEvent::Ended { reason, .. } => format!("ended: {}", reason.kind()),
        _cannot_be_compared => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(names: &str) -> Vec<Step> {
        names.chars().map(|name| (Duration::ZERO, name.to_string())).collect()
    }

    #[test]
    fn what_is_only_in_one_is_found() {
        let shown = |then: &str, now: &str| -> String {
            let line = |line: Line| match line {
                Line::Both(.., name) => name,
                Line::Then(_, name) => format!("-{name}"),
                Line::Now(_, name) => format!("+{name}"),
            };
            aligned(&steps(then), &steps(now)).into_iter().map(line).collect()
        };
        assert_eq!(shown("abc", "abc"), "abc");
        assert_eq!(shown("abc", "ac"), "a-bc");
        assert_eq!(shown("ac", "abc"), "a+bc");
        assert_eq!(shown("abcd", "acbd"), "a-bc+bd");
        assert_eq!(shown("", "a"), "+a");
        assert_eq!(shown("a", ""), "-a");
    }
}
