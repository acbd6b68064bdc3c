//! What a roster does, one behaviour at a time; whole fleets are in `sim/fleet_world`.

use super::*;
use crate::audio::AudioFormat;
use crate::breaker::{State, TripReason};
use crate::id::AttachmentId;

fn at(secs: u64) -> MonoTime {
    MonoTime::from_millis(secs * 1_000)
}

fn id(name: &'static str) -> ProviderId {
    ProviderId::from_static(name)
}

fn stay(number: u32) -> StayId {
    StayId { call: CallId::from_u128(u128::from(number)), attachment: AttachmentId(1) }
}

fn candidate(name: &'static str) -> Candidate<()> {
    Candidate::new(id(name), ())
}

/// A roster and a counter of stays.
struct Desk {
    roster: Roster<()>,
    stays: u32,
}

impl Desk {
    fn new(config: RosterConfig, candidates: Vec<Candidate<()>>) -> Self {
        Self { roster: Roster::new(config, candidates), stays: 0 }
    }

    fn of(strategy: Strategy) -> Self {
        let config = RosterConfig { strategy, ..RosterConfig::default() };
        Self::new(config, ["a", "b", "c"].map(candidate).to_vec())
    }

    fn choose(&mut self, now: u64, wanted: &Assignment) -> Option<(StayId, String)> {
        self.stays += 1;
        let stay = stay(self.stays);
        let chosen = self.roster.assign(at(now), stay, wanted).map(|(id, ())| id.to_string());
        chosen.map(|chosen| (stay, chosen))
    }

    fn any(&mut self, now: u64) -> String {
        self.choose(now, &Assignment::default()).expect("somebody can").1
    }

    /// So many stays of this provider fail.
    fn fail(&mut self, now: u64, name: &'static str, times: usize, failure: &Failure) {
        let wanted = Assignment { wish: Some(id(name)), ..Assignment::default() };
        for _ in 0..times {
            let (stay, _) = self.choose(now, &wanted).expect("it admits");
            self.roster.settle(at(now), stay, Settled::Failure(failure));
        }
    }

    fn last(&self) -> &Decision {
        self.roster.decisions().next_back().expect("there was a choice")
    }

    fn state(&self, now: u64, name: &'static str) -> State {
        let all = self.roster.snapshot(at(now));
        all.iter().find(|member| member.id == id(name)).expect("it is on the list").state()
    }
}

fn needing(needs: Needs) -> Assignment {
    Assignment { needs, ..Assignment::default() }
}

#[test]
fn wishes_failures_and_last_resorts_are_honoured() {
    let mut desk = Desk::of(Strategy::Priority);
    let pick =
        |desk: &mut Desk, wish: Option<&'static str>, tried: &[&'static str], last: Option<&'static str>| {
            let wanted = Assignment {
                wish: wish.map(id),
                tried: tried.iter().map(|name| id(name)).collect(),
                last_resort: last.map(id),
                ..Assignment::default()
            };
            desk.choose(0, &wanted).map(|(_, name)| name)
        };
    assert_eq!(pick(&mut desk, None, &[], None).as_deref(), Some("a"));
    assert_eq!(desk.last().reason, Reason::Strategy(Strategy::Priority));
    assert_eq!(desk.last().others, [(id("b"), Obstacle::Outranked), (id("c"), Obstacle::Outranked)]);
    assert_eq!(pick(&mut desk, None, &["b"], Some("a")).as_deref(), Some("c"));
    assert_eq!(desk.last().others, [(id("a"), Obstacle::FailedJustNow), (id("b"), Obstacle::Tried)]);
    assert_eq!(pick(&mut desk, None, &["b", "c"], Some("a")).as_deref(), Some("a"));
    assert_eq!(desk.last().reason, Reason::LastResort(Obstacle::FailedJustNow));
    assert_eq!(pick(&mut desk, Some("c"), &[], None).as_deref(), Some("c"));
    assert_eq!(desk.last().reason, Reason::Wish);
    assert_eq!(pick(&mut desk, Some("d"), &[], None), None);
    assert_eq!(pick(&mut desk, None, &["a", "b", "c"], None), None);
    assert_eq!((desk.last().reason, desk.last().confidence), (Reason::Nobody, 0));
}

#[test]
fn strategies_share_the_calls() {
    let turns = |desk: &mut Desk, n: usize| (0..n).map(|_| desk.any(0)).collect::<String>();
    assert_eq!(turns(&mut Desk::of(Strategy::RoundRobin), 7), "abcabca");
    assert_eq!(turns(&mut Desk::of(Strategy::LeastLoaded), 7), "abcabca");
    let config = RosterConfig { strategy: Strategy::Weighted, ..RosterConfig::default() };
    let weights = [("a", 5), ("b", 1), ("c", 1)];
    let weighted = weights.map(|(name, weight)| Candidate { weight, ..candidate(name) }).to_vec();
    let mut desk = Desk::new(config, weighted);
    let order = turns(&mut desk, 70);
    assert_eq!(order.matches('a').count(), 50);
    assert!(!order.contains("aaaaa"), "evenly spread: {order}");
}

#[test]
fn the_quickest_in_live_calls_is_asked_first() {
    let mut desk = Desk::of(Strategy::LeastLatency);
    for (name, millis) in [("a", 1_500), ("b", 600), ("c", 1_200)] {
        let wanted = Assignment { wish: Some(id(name)), ..Assignment::default() };
        let (stay, _) = desk.choose(0, &wanted).expect("it can");
        desk.roster.ready(at(0), stay, Duration::from_millis(300));
        desk.roster.replied(at(1), stay, Some(Duration::from_millis(millis)));
    }
    assert_eq!((desk.any(2), desk.any(2)), ("b".into(), "b".into()));
    // Nobody has answered for ten minutes: all may be the quickest.
    assert_ne!(desk.any(700), "b");
}

#[test]
fn who_cannot_do_it_is_not_asked() {
    let mut poor = candidate("poor");
    poor.skills =
        Skills { languages: vec!["en".into()], tools: false, cost_per_minute: Some(1), ..Skills::default() };
    let mut rich = candidate("rich");
    rich.skills.images = true;
    rich.skills.formats = vec![AudioFormat::MULAW_8K];
    rich.skills.cost_per_minute = Some(900);
    rich.labels = vec!["eu".into()];
    let mut desk = Desk::new(RosterConfig::default(), vec![poor, rich]);
    let none = Needs::default;
    for (needs, obstacle) in [
        (Needs { tools: true, ..none() }, Obstacle::Tools),
        (Needs { images: true, ..none() }, Obstacle::Images),
        (Needs { language: Some("de-AT".into()), ..none() }, Obstacle::Language),
        (Needs { format: Some(AudioFormat::MULAW_8K), ..none() }, Obstacle::Codec),
        (Needs { label: Some("eu".into()), ..none() }, Obstacle::Label),
    ] {
        assert_eq!(desk.choose(0, &needing(needs)).expect("rich can").1, "rich");
        assert_eq!(desk.last().others, [(id("poor"), obstacle)]);
        assert!(obstacle.is_final());
    }
    assert_eq!(
        desk.choose(0, &needing(Needs { language: Some("en".into()), ..none() })).expect("both").1,
        "poor"
    );
    let cannot = Needs { label: Some("us".into()), ..none() };
    assert_eq!(desk.choose(0, &needing(cannot)), None);
}

#[test]
fn a_ceiling_of_cost_yields_before_the_caller_does() {
    let mut dear = candidate("dear");
    dear.skills.cost_per_minute = Some(900);
    let mut cheap = candidate("cheap");
    cheap.skills.cost_per_minute = Some(100);
    let mut desk = Desk::new(RosterConfig::default(), vec![dear, cheap]);
    let wanted = needing(Needs { cost_max: Some(500), ..Needs::default() });
    assert_eq!(desk.choose(0, &wanted).expect("cheap").1, "cheap");
    desk.fail(0, "cheap", 5, &Failure::Cut);
    assert_eq!(desk.choose(0, &wanted).expect("better than nobody").1, "dear");
    assert_eq!(desk.last().reason, Reason::LastResort(Obstacle::Cost));
}

#[test]
fn a_full_provider_is_asked_last() {
    let mut desk = Desk::new(
        RosterConfig::default(),
        vec![Candidate { calls_max: Some(2), ..candidate("a") }, candidate("b")],
    );
    let first = desk.choose(0, &Assignment::default()).expect("a").0;
    assert_eq!((desk.any(0), desk.any(0), desk.any(0)), ("a".into(), "b".into(), "b".into()));
    desk.roster.settle(at(1), first, Settled::Success);
    assert_eq!(desk.any(1), "a");
    assert_eq!(desk.roster.snapshot(at(1))[0].live, 2);
}

#[test]
fn callers_return_to_whom_they_know_unless_that_one_fails() {
    let config =
        RosterConfig { strategy: Strategy::RoundRobin, sticky: Sticky::Caller, ..RosterConfig::default() };
    let mut desk = Desk::new(config, ["a", "b"].map(candidate).to_vec());
    let caller = |n: &str| needing(Needs { caller: Some(StickyKey::of(n)), ..Needs::default() });
    let (stay, first) = desk.choose(0, &caller("1")).expect("somebody");
    desk.roster.replied(at(0), stay, None);
    for _ in 0..5 {
        assert_eq!(desk.choose(0, &caller("1")).expect("the same").1, first);
        assert_eq!(desk.last().reason, Reason::Sticky);
    }
    assert_ne!(desk.choose(0, &caller("2")).expect("the other").1, first);
    let mut failed = caller("1");
    failed.last_resort = Some(first.parse().expect("a name"));
    let (stay, other) = desk.choose(0, &failed).expect("the other");
    assert_ne!(other, first);
    desk.roster.settle(at(9), stay, Settled::Success);
    assert_eq!(desk.choose(9, &caller("1")).expect("stays with them").1, other);
}

#[test]
fn who_could_replace_somebody_can_do_what_the_call_needs() {
    let mut desk = Desk::new(RosterConfig::default(), ["a", "b"].map(candidate).to_vec());
    let a = "a".parse().expect("a name");
    let german = Needs { language: Some("de".into()), label: Some("eu".into()), ..Needs::default() };
    assert!(desk.roster.could_replace(at(0), &a, &Needs::default()));
    assert!(!desk.roster.could_replace(at(0), &a, &german), "nobody carries the label");
    desk.roster.order(at(0), &"b".parse().expect("a name"), Order::Drain).expect("it is there");
    assert!(!desk.roster.could_replace(at(0), &a, &Needs::default()), "it is out of service");
}

#[test]
fn nobody_returns_to_somebody_who_only_stood_by() {
    let config = RosterConfig { sticky: Sticky::Caller, ..RosterConfig::default() };
    let mut desk = Desk::new(config, ["a", "b"].map(candidate).to_vec());
    let wanted = needing(Needs { caller: Some(StickyKey::of("1")), ..Needs::default() });
    let (talks, _) = desk.choose(0, &wanted).expect("a");
    desk.roster.replied(at(1), talks, None);
    let besides = Assignment { last_resort: Some("a".parse().expect("a name")), ..wanted.clone() };
    let (stands_by, other) = desk.choose(2, &besides).expect("b");
    assert_eq!(other, "b");
    desk.roster.ready(at(3), stands_by, Duration::from_millis(200));
    assert_eq!(desk.choose(4, &wanted).expect("who talked").1, "a");
    desk.roster.settle(at(5), stands_by, Settled::Unproven);
    assert_eq!(desk.choose(6, &wanted).expect("who talked").1, "a");
}

#[test]
fn an_open_breaker_sends_calls_elsewhere_and_comes_back_by_probes() {
    let mut desk = Desk::of(Strategy::Priority);
    desk.fail(0, "a", 5, &Failure::Cut);
    assert_eq!((desk.state(0, "a"), desk.any(0)), (State::Open, "b".into()));
    assert!(matches!(desk.last().others[1], (_, Obstacle::Refused(Some(_)))), "{:?}", desk.last());
    // Its health was seen to be bad, but by the time the breaker opens again that is old.
    let mut probes = vec![];
    for _ in 0..5 {
        probes.push(desk.choose(80, &Assignment::default()).expect("somebody"));
    }
    let names: Vec<_> = probes.iter().map(|(_, name)| name.as_str()).collect();
    assert_eq!(names, ["a", "a", "a", "b", "b"]);
    for (stay, _) in probes {
        desk.roster.ready(at(81), stay, Duration::from_millis(300));
        desk.roster.replied(at(82), stay, Some(Duration::from_millis(800)));
    }
    assert_eq!((desk.state(82, "a"), desk.any(82)), (State::Closed, "a".into()));
}

#[test]
fn a_wish_for_a_provider_whose_breaker_is_open_is_refused() {
    let mut desk = Desk::of(Strategy::Priority);
    desk.fail(0, "b", 5, &Failure::Cut);
    let wish = Assignment { wish: Some(id("b")), ..Assignment::default() };
    assert_eq!(desk.choose(1, &wish), None);
}

#[test]
fn a_caller_whom_nobody_else_can_serve_is_a_probe() {
    let mut desk = Desk::new(RosterConfig::default(), vec![candidate("only")]);
    desk.fail(0, "only", 5, &Failure::Cut);
    let (stay, _) = desk.choose(1, &Assignment::default()).expect("better than nobody");
    assert!(matches!(desk.last().reason, Reason::LastResort(Obstacle::Refused(Some(_)))));
    desk.roster.ready(at(2), stay, Duration::from_millis(300));
    assert_eq!(desk.state(2, "only"), State::HalfOpen);
    // But not without a bound, and not against an operator.
    let taken = (0..100).filter(|_| desk.choose(3, &Assignment::default()).is_some()).count();
    assert!((30..=40).contains(&taken), "{taken}");
    desk.roster.order(at(4), &id("only"), Order::ForceOpen).expect("it is on the list");
    assert_eq!(desk.choose(5, &Assignment::default()), None);
    assert!(!desk.roster.can_serve(at(5)));
    assert_eq!(desk.last().others, [(id("only"), Obstacle::Forced)]);
}

#[test]
fn a_refused_key_is_ours_and_opens_until_somebody_acts() {
    let mut desk = Desk::of(Strategy::Priority);
    desk.fail(0, "a", 1, &Failure::Credentials);
    assert_eq!(desk.any(9_999), "b");
    let breaker = desk.roster.snapshot(at(9_999))[0].connect;
    assert_eq!(breaker.reason, Some(TripReason::Held("credentials")));
    desk.roster.order(at(9_999), &id("a"), Order::Reset).expect("it is on the list");
    assert_eq!(desk.any(10_100), "a");
}

#[test]
fn callers_who_hang_up_and_session_limits_never_count() {
    let mut desk = Desk::of(Strategy::Priority);
    for _ in 0..50 {
        let (stay, _) = desk.choose(0, &Assignment::default()).expect("a");
        desk.roster.settle(at(1), stay, Settled::Unproven);
        let (stay, _) = desk.choose(0, &Assignment::default()).expect("a");
        desk.roster.ready(at(1), stay, Duration::from_millis(200));
        desk.roster.settle(at(3_600), stay, Settled::Failure(&Failure::SessionLimit));
    }
    let a = &desk.roster.snapshot(at(3_600))[0];
    assert_eq!((a.state(), a.live, a.converse.totals.failed), (State::Closed, 0, 0));
    assert_eq!(a.converse.totals.unproven, 100);
    assert_eq!((a.connect.totals.successful, a.health.status), (50, Status::Healthy));
}

#[test]
fn connecting_and_conversing_are_told_apart() {
    let mut desk = Desk::of(Strategy::Priority);
    let wish = Assignment { wish: Some(id("a")), ..Assignment::default() };
    for _ in 0..5 {
        let (stay, _) = desk.choose(0, &wish).expect("a");
        desk.roster.ready(at(1), stay, Duration::from_millis(200));
        desk.roster.settle(at(2), stay, Settled::Failure(&Failure::Stalled(Duration::from_secs(10))));
    }
    let a = &desk.roster.snapshot(at(2))[0];
    assert_eq!((a.connect.state, a.converse.state), (State::Closed, State::Open));
    assert_eq!(a.converse.totals.slow, 5);
    assert_eq!((a.connect.totals.granted, a.connect.totals.successful), (5, 5));
}

#[test]
fn a_refusal_by_the_second_breaker_gives_the_permit_of_the_first_back() {
    let mut desk = Desk::new(RosterConfig::default(), vec![candidate("only")]);
    let (stay, _) = desk.choose(0, &Assignment::default()).expect("only");
    desk.roster.ready(at(1), stay, Duration::from_millis(200));
    desk.roster.settle(at(2), stay, Settled::Failure(&Failure::Credentials));
    let (insisted, _) = desk.choose(3, &Assignment::default()).expect("one may look whether it was mended");
    assert_eq!(desk.choose(3, &Assignment::default()), None);
    desk.roster.settle(at(4), insisted, Settled::Unproven);
    for (_, breaker) in desk.roster.snapshot(at(4))[0].breakers() {
        let totals = breaker.totals;
        let settled = totals.successful + totals.failed + totals.unproven + totals.late;
        assert_eq!((totals.granted, breaker.under_way), (settled, 0));
    }
}

#[test]
fn slow_sessions_and_slow_answers_open_it() {
    for by_reply in [false, true] {
        let mut desk = Desk::of(Strategy::Priority);
        let wish = Assignment { wish: Some(id("a")), ..Assignment::default() };
        for n in 0..10 {
            let (stay, _) = desk.choose(n, &wish).expect("a");
            let took = if by_reply { 300 } else { 3_100 };
            desk.roster.ready(at(n), stay, Duration::from_millis(took));
            let latency = if by_reply { 4_100 } else { 500 };
            desk.roster.replied(at(n), stay, Some(Duration::from_millis(latency)));
        }
        let a = &desk.roster.snapshot(at(10))[0];
        let states = if by_reply { (State::Closed, State::Open) } else { (State::Open, State::Closed) };
        assert_eq!((a.connect.state, a.converse.state), states);
    }
}

#[test]
fn a_conversation_that_was_proven_counts_once_and_once_more_if_it_breaks() {
    let mut desk = Desk::of(Strategy::Priority);
    let mut live = vec![];
    for _ in 0..2 {
        let (stay, _) = desk.choose(0, &Assignment::default()).expect("a");
        desk.roster.ready(at(0), stay, Duration::from_millis(200));
        desk.roster.replied(at(5), stay, None);
        desk.roster.replied(at(9), stay, Some(Duration::from_secs(9)));
        live.push(stay);
    }
    desk.roster.settle(at(60), live[0], Settled::Success);
    desk.roster.settle(at(60), live[1], Settled::Failure(&Failure::Cut));
    let totals = desk.roster.snapshot(at(60))[0].converse.totals;
    assert_eq!((totals.successful, totals.failed, totals.slow, totals.unproven), (2, 1, 0, 1));
    // Without a reply, ten seconds are proof enough.
    for (lasted, proven) in [(9, 0), (10, 1)] {
        let mut desk = Desk::of(Strategy::Priority);
        let (stay, _) = desk.choose(0, &Assignment::default()).expect("a");
        desk.roster.settle(at(lasted), stay, Settled::Success);
        assert_eq!(desk.roster.snapshot(at(60))[0].converse.totals.successful, proven);
    }
}

#[test]
fn a_drained_provider_gets_no_new_calls_and_names_its_live_ones() {
    let mut desk = Desk::of(Strategy::Priority);
    let (stay, _) = desk.choose(0, &Assignment::default()).expect("a");
    desk.roster.order(at(1), &id("a"), Order::Drain).expect("it is on the list");
    assert_eq!(desk.any(1), "b");
    assert_eq!(desk.last().others[1], (id("a"), Obstacle::Drained));
    assert_eq!(desk.roster.calls_with(&id("a")), [stay.call]);
    let wish = Assignment { wish: Some(id("a")), ..Assignment::default() };
    assert_eq!(desk.choose(1, &wish), None);
    desk.roster.order(at(2), &id("a"), Order::Resume).expect("it is on the list");
    assert_eq!(desk.any(2), "a");
    assert_eq!(desk.roster.order(at(2), &id("z"), Order::Drain), Err(Unknown(id("z"))));
}

#[test]
fn what_fares_badly_is_asked_later_and_probes_tell_when_it_is_well() {
    let mut desk = Desk::of(Strategy::Priority);
    for secs in 0..3 {
        desk.roster.probed(at(secs), &id("a"), Check::Failed("unreachable"));
    }
    assert_eq!(desk.any(3), "b");
    assert!(matches!(desk.last().others[1], (_, Obstacle::Confidence | Obstacle::Ailing)));
    assert_eq!(desk.state(3, "a"), State::Closed, "looking does not open breakers");
    for secs in 30..60 {
        desk.roster.probed(at(secs), &id("a"), Check::Passed(Duration::from_millis(90)));
    }
    assert_eq!(desk.any(60), "a");
    assert_eq!(desk.roster.history(at(60), &id("a")).expect("it is on the list").len(), 1);
}

#[test]
fn nothing_grows_without_a_bound() {
    let mut desk = Desk::of(Strategy::RoundRobin);
    for _ in 0..(DECISIONS_MAX * 2) {
        desk.choose(0, &Assignment::default());
    }
    assert_eq!(desk.roster.decisions().len(), DECISIONS_MAX);
    desk.stays = 0;
    let live = |desk: &Desk| desk.roster.snapshot(at(0)).iter().map(|m| m.live as usize).sum::<usize>();
    assert_eq!(live(&desk), desk.roster.stays());
    // The same stays again: each takes the place of the one that nobody settled.
    for _ in 0..(DECISIONS_MAX * 2) {
        desk.choose(0, &Assignment::default());
    }
    assert_eq!((live(&desk), desk.roster.stays()), (DECISIONS_MAX * 2, DECISIONS_MAX * 2));
    for _ in 0..=STAYS_MAX {
        desk.choose(0, &Assignment::default());
    }
    assert_eq!((live(&desk), desk.roster.stays()), (STAYS_MAX, STAYS_MAX));
}

#[test]
fn of_two_with_the_same_name_the_first_stays() {
    let desk = Desk::new(RosterConfig::default(), vec![candidate("a"), candidate("a"), candidate("b")]);
    assert_eq!(desk.roster.iter().count(), 2);
}
