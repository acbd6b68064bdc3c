//! What a breaker does, one behaviour at a time; random histories are in `tests/breaker_model.rs`.

use super::*;

const CUT: Sample<'static> = Sample::Failure(&Failure::Cut);

fn at(secs: u64) -> MonoTime {
    MonoTime::from_millis(secs * 1_000)
}

fn breaker() -> Breaker {
    Breaker::new(BreakerConfig::default(), 1)
}

fn one(breaker: &mut Breaker, secs: u64, sample: Sample<'_>) {
    let permit = breaker.admit(at(secs)).expect("it admits");
    breaker.settle(at(secs), permit, sample);
}

fn tripped() -> Breaker {
    let mut breaker = breaker();
    (0..5).for_each(|_| one(&mut breaker, 0, CUT));
    assert_eq!(breaker.state(), State::Open);
    breaker
}

#[test]
fn five_failures_in_a_row_open_it_and_a_success_between_them_does_not() {
    let mut breaker = breaker();
    for _ in 0..4 {
        one(&mut breaker, 0, CUT);
    }
    one(&mut breaker, 0, Sample::Success);
    for _ in 0..4 {
        one(&mut breaker, 0, CUT);
    }
    assert_eq!(breaker.state(), State::Closed);
    one(&mut breaker, 0, CUT);
    assert_eq!(breaker.snapshot(at(0)).reason, Some(TripReason::InRow));
}

#[test]
fn half_an_outage_opens_it_once_there_are_enough_samples() {
    let mut breaker = breaker();
    for _ in 0..4 {
        one(&mut breaker, 1, Sample::Success);
        one(&mut breaker, 1, CUT);
    }
    one(&mut breaker, 1, Sample::Success);
    assert_eq!(breaker.state(), State::Closed);
    one(&mut breaker, 1, CUT);
    assert_eq!(breaker.snapshot(at(1)).reason, Some(TripReason::Rate));
}

#[test]
fn failures_of_long_ago_do_not_count_in_the_rate() {
    let mut breaker = breaker();
    for secs in [1, 100, 200] {
        for _ in 0..3 {
            one(&mut breaker, secs, Sample::Success);
            one(&mut breaker, secs, CUT);
        }
    }
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn slow_and_stalled_calls_open_it() {
    let mut breaker = breaker();
    let stalled = Failure::Stalled(Duration::from_secs(10));
    for _ in 0..2 {
        one(&mut breaker, 1, Sample::Success);
    }
    for _ in 0..4 {
        one(&mut breaker, 1, Sample::Slow);
    }
    for _ in 0..3 {
        one(&mut breaker, 1, Sample::Failure(&stalled));
    }
    assert_eq!(breaker.state(), State::Closed);
    one(&mut breaker, 1, Sample::Slow);
    assert_eq!(breaker.snapshot(at(1)).reason, Some(TripReason::Slow));
}

#[test]
fn our_fault_and_nobodys_never_count() {
    let mut breaker = breaker();
    let harmless = Failure::Harmless { code: "x".into() };
    for _ in 0..20 {
        one(&mut breaker, 0, Sample::Failure(&Failure::SessionLimit));
        one(&mut breaker, 0, Sample::Failure(&harmless));
        one(&mut breaker, 0, Sample::Unproven);
    }
    let snapshot = breaker.snapshot(at(0));
    assert_eq!((snapshot.state, snapshot.totals.failed, snapshot.totals.unproven), (State::Closed, 0, 60));
    assert_eq!(snapshot.recent, Sums::default());
}

#[test]
fn a_refused_key_opens_it_until_somebody_acts() {
    for failure in [Failure::Credentials, Failure::Quota, Failure::Settings { code: "model".into() }] {
        let mut breaker = breaker();
        one(&mut breaker, 0, Sample::Failure(&failure));
        assert_eq!(breaker.snapshot(at(0)).reason, Some(TripReason::Held(failure.kind())));
        assert_eq!(breaker.admit(at(1_000_000)), Err(Refusal { retry_after: None }));
        breaker.reset(at(1_000_001));
        assert!(breaker.admit(at(1_000_001)).is_ok());
    }
}

#[test]
fn a_throttled_service_is_left_alone_for_as_long_as_it_asks() {
    let mut breaker = breaker();
    let throttled = Failure::Throttled { retry_after: Some(Duration::from_secs(20)) };
    one(&mut breaker, 0, Sample::Failure(&throttled));
    assert_eq!(breaker.snapshot(at(0)).reason, Some(TripReason::Throttled));
    assert!(breaker.admit(at(19)).is_err());
    assert!(breaker.admit(at(22)).is_ok());
    // Nobody can send us away for a year.
    let mut breaker = self::breaker();
    let year = Failure::Throttled { retry_after: Some(Duration::from_secs(31_536_000)) };
    one(&mut breaker, 0, Sample::Failure(&year));
    assert!(breaker.admit(at(660)).is_ok());
}

#[test]
fn three_probes_and_two_successes_close_it() {
    let mut breaker = tripped();
    assert!(breaker.admit(at(59)).is_err());
    let probes: Vec<_> = (0..3).map(|_| breaker.admit(at(66)).expect("a probe")).collect();
    assert_eq!(breaker.state(), State::HalfOpen);
    assert_eq!(breaker.admit(at(66)), Err(Refusal { retry_after: Some(PROBES_TAKEN) }));
    let mut probes = probes.into_iter();
    let mut next = || probes.next().expect("three");
    breaker.settle(at(67), next(), Sample::Success);
    assert_eq!(breaker.state(), State::HalfOpen);
    breaker.settle(at(67), next(), Sample::Success);
    assert_eq!(breaker.state(), State::Closed);
    // The third comes late: it says nothing about the new period.
    breaker.settle(at(68), next(), CUT);
    let snapshot = breaker.snapshot(at(68));
    assert_eq!((snapshot.state, snapshot.totals.late, snapshot.failures_in_row), (State::Closed, 1, 0));
}

#[test]
fn a_failed_probe_opens_it_for_longer() {
    let mut breaker = tripped();
    let mut now = 66;
    for least in [120, 240, 300, 300] {
        one(&mut breaker, now, CUT);
        let snapshot = breaker.snapshot(at(now));
        assert_eq!(snapshot.reason, Some(TripReason::Probe));
        let wait = snapshot.retry_after.expect("it says how long").as_secs();
        assert!((least..=least * 11 / 10).contains(&wait), "{wait} for {least}");
        now += wait + 1;
    }
}

#[test]
fn growth_is_forgotten_after_a_good_time() {
    let wait_after = |pause: u64| {
        let mut breaker = tripped();
        (0..2).for_each(|_| one(&mut breaker, 66, Sample::Success));
        (0..5).for_each(|_| one(&mut breaker, 66 + pause, CUT));
        breaker.snapshot(at(66 + pause)).retry_after.expect("open").as_secs()
    };
    assert!((120..=132).contains(&wait_after(200)));
    assert!((60..=66).contains(&wait_after(400)));
}

#[test]
fn a_slow_probe_proves_nothing() {
    let mut breaker = tripped();
    for _ in 0..5 {
        one(&mut breaker, 66, Sample::Slow);
    }
    assert_eq!((breaker.state(), breaker.snapshot(at(66)).under_way), (State::HalfOpen, 0));
}

#[test]
fn old_permits_prove_nothing_whatever_they_say() {
    let mut breaker = breaker();
    let old: Vec<_> = (0..3).map(|_| breaker.admit(at(0)).expect("closed")).collect();
    (0..5).for_each(|_| one(&mut breaker, 0, CUT));
    let probe = breaker.admit(at(66)).expect("a probe");
    for (permit, sample) in old.into_iter().zip([Sample::Success, CUT, Sample::Failure(&Failure::Quota)]) {
        breaker.settle(at(66), permit, sample);
        assert_eq!((breaker.state(), breaker.snapshot(at(66)).under_way), (State::HalfOpen, 1));
    }
    breaker.release(probe);
    assert_eq!(breaker.snapshot(at(66)).totals.late, 3);
}

#[test]
fn probes_that_nobody_settles_do_not_keep_it_shut() {
    let mut breaker = tripped();
    for _ in 0..3 {
        drop(breaker.admit(at(66)).expect("a probe"));
    }
    assert!(breaker.admit(at(125)).is_err());
    assert!(breaker.would_admit(at(126)).is_ok());
    assert!(breaker.admit(at(126)).is_ok());
}

#[test]
fn whoever_has_nobody_else_may_insist_within_bounds() {
    let mut breaker = tripped();
    let insisted: Vec<_> = (0..32).map(|_| breaker.insist(at(1)).expect("within bounds")).collect();
    assert!(breaker.insist(at(1)).is_err());
    let mut insisted = insisted.into_iter();
    let mut next = || insisted.next().expect("many");
    // A failure does not prolong what is open, a success lets probes in before the time.
    let before = breaker.snapshot(at(2)).retry_after;
    breaker.settle(at(2), next(), CUT);
    assert_eq!(breaker.snapshot(at(2)).retry_after, before);
    breaker.settle(at(3), next(), Sample::Success);
    assert_eq!(breaker.state(), State::HalfOpen);
    one(&mut breaker, 3, Sample::Success);
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn nobody_insists_against_an_operator_and_one_at_a_time_against_a_refused_key() {
    let mut breaker = breaker();
    breaker.force_open(at(0));
    assert!(breaker.insist(at(9_000)).is_err());
    breaker.reset(at(9_000));
    one(&mut breaker, 9_000, Sample::Failure(&Failure::Credentials));
    let permit = breaker.insist(at(9_001)).expect("one");
    assert!(breaker.insist(at(9_001)).is_err());
    breaker.settle(at(9_002), permit, Sample::Success);
    assert_eq!(breaker.state(), State::HalfOpen);
}

#[test]
fn an_order_is_an_order() {
    let mut breaker = breaker();
    breaker.force_closed(at(0));
    (0..50).for_each(|_| one(&mut breaker, 1, CUT));
    one(&mut breaker, 1, Sample::Failure(&Failure::Credentials));
    let snapshot = breaker.snapshot(at(1));
    assert_eq!((snapshot.state, snapshot.forced), (State::Closed, true));
    breaker.reset(at(2));
    (0..5).for_each(|_| one(&mut breaker, 3, CUT));
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn what_has_proven_itself_may_still_fail() {
    let mut breaker = tripped();
    let probe = breaker.admit(at(66)).expect("a probe");
    let standing = breaker.settle_and_stand(at(67), probe, Sample::Success);
    assert_eq!(breaker.snapshot(at(67)).under_way, 0);
    breaker.settle(at(70), standing, CUT);
    assert_eq!(breaker.state(), State::Open);
    // What stood for an older period does not come back to life.
    let mut breaker = self::breaker();
    let old = breaker.admit(at(0)).expect("closed");
    breaker.reset(at(1));
    let standing = breaker.settle_and_stand(at(2), old, Sample::Success);
    breaker.settle(at(3), standing, Sample::Failure(&Failure::Credentials));
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn everything_is_counted() {
    let mut breaker = tripped();
    assert!(breaker.admit(at(1)).is_err());
    (0..2).for_each(|_| one(&mut breaker, 66, Sample::Success));
    let snapshot = breaker.snapshot(at(70));
    let totals = snapshot.totals;
    assert_eq!((totals.granted, totals.successful, totals.failed, totals.rejected), (7, 2, 5, 1));
    assert_eq!(totals.transitions(State::Closed, State::Open), 1);
    assert_eq!(totals.transitions(State::Open, State::HalfOpen), 1);
    assert_eq!(totals.transitions(State::HalfOpen, State::Closed), 1);
    assert_eq!(totals.changes(), 3);
    let times = snapshot.times;
    assert_eq!((times.failure, times.success, times.change), (Some(at(0)), Some(at(66)), Some(at(66))));
    assert_eq!(snapshot.successes_in_row, 2);
}

#[test]
fn states_have_the_codes_that_dashboards_expect() {
    assert_eq!(State::ALL.map(State::code), [0, 1, 2]);
}

#[test]
fn another_servers_word_opens_one_that_has_not_seen_better() {
    let told = |breaker: &mut Breaker, secs| {
        breaker.told_open(at(secs), Duration::from_secs(2), Duration::from_secs(50));
        breaker.state()
    };
    let mut idle = breaker();
    assert_eq!(told(&mut idle, 100), State::Open);
    assert_eq!(idle.snapshot(at(100)).reason, Some(TripReason::Elsewhere));
    assert!(idle.admit(at(149)).is_err() && idle.admit(at(150)).is_ok(), "for as long as over there");
    let mut busy = breaker();
    one(&mut busy, 99, Sample::Success);
    assert_eq!(told(&mut busy, 100), State::Closed, "it has seen the peer well since then");
    assert_eq!(told(&mut busy, 102), State::Open, "and now no more");
    let mut forced = breaker();
    forced.force_closed(at(1));
    assert_eq!(told(&mut forced, 100), State::Closed, "an operator's order stands");
    let mut own = tripped();
    assert_eq!(told(&mut own, 1), State::Open);
    assert_eq!(own.snapshot(at(1)).reason, Some(TripReason::InRow), "it has found out by itself");
}
