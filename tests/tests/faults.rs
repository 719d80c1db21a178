//! Whatever goes wrong between a restore and the API server, a restore ends as an undisturbed one does, or says of each object why it does not.
#![cfg(feature = "real")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::{collections::BTreeMap, time::Duration};

use kubestash::restore::{
    Selection, Source,
    apply::{Mode, Patience},
    plan::Options,
};
use kubestash_tests::{
    cluster::Cluster,
    copies::{Copies, assert_same},
    fault_proxy::{Asked, Fault, Seen},
    program::Ran,
    restoring::{applied_with, planned, repository, restored},
};
use serde_json::Value;

/// What a person may call a report: what was done to how many objects.
fn done(ran: &Ran) -> BTreeMap<&'static str, u64> {
    let report: Value = serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
    let numbers = ["created", "updated", "recreated", "removed", "unchanged", "failed", "notAttempted"];
    numbers.into_iter().map(|name| (name, report[name].as_u64().unwrap())).collect()
}

/// The first try of every `step`th write.
fn every(step: usize, fault: Fault) -> impl FnMut(&Asked) -> Fault + Send + 'static {
    move |asked| if asked.write > 0 && asked.write % step == 0 && asked.before == 0 { fault } else { Fault::Pass }
}

const ALL: [Fault; 9] = [
    Fault::Refused(429, Some(1)),
    Fault::Refused(500, None),
    Fault::Refused(503, None),
    Fault::Refused(504, None),
    Fault::Closed,
    Fault::DoneAndClosed,
    Fault::DoneAndCut,
    Fault::DoneAndRefused(504),
    Fault::Late(Duration::from_millis(50)),
];

/// The first try of every third request, reads too: one fault after the other. A read that the API server fails to decide ends the command
/// before anything is written, so those are left out.
fn everything() -> impl FnMut(&Asked) -> Fault + Send + 'static {
    let mut number = 0;
    move |asked| {
        number += 1;
        let fault = if number % 3 == 0 && asked.before == 0 { ALL[number / 3 % ALL.len()] } else { Fault::Pass };
        if asked.write == 0 && fault == Fault::Refused(500, None) { Fault::Pass } else { fault }
    }
}

fn is_the_same(one: &Asked, other: &Asked) -> bool {
    (&one.method, &one.path, &one.name) == (&other.method, &other.path, &other.name)
}

/// Nothing that was to be asked later was asked sooner.
fn assert_retry_after_is_kept(log: &[Seen]) {
    let told = log.iter().enumerate().filter_map(|(at, seen)| match seen.fault {
        Fault::Refused(_, Some(seconds)) => Some((at, seen, seconds)),
        _ => None,
    });
    for (at, seen, seconds) in told {
        let again = log[at + 1..].iter().find(|later| is_the_same(&later.asked, &seen.asked));
        let again = again.unwrap_or_else(|| panic!("{:?} was not asked again", seen.asked));
        assert!(again.at - seen.at >= Duration::from_secs(seconds), "{:?} was asked again after {:?}", seen.asked, again.at - seen.at);
    }
}

#[test]
fn what_goes_wrong_on_the_way_leaves_no_trace() {
    let faults = [
        ("busy", 2, Fault::Refused(429, Some(1))),
        ("busy, without a time", 2, Fault::Refused(429, None)),
        ("an internal error", 2, Fault::Refused(500, None)),
        ("unavailable", 2, Fault::Refused(503, None)),
        ("closed", 2, Fault::Closed),
        ("done, and closed", 1, Fault::DoneAndClosed),
        ("done, and half of the answer", 2, Fault::DoneAndCut),
        ("done, and a gateway gave up", 2, Fault::DoneAndRefused(504)),
        ("done, and silence", 9, Fault::DoneAndSilent),
        ("late", 3, Fault::Late(Duration::from_millis(300))),
    ];
    let copies = Copies::start(faults.len() + 2);
    copies.tighten(faults.len() + 2);
    let undisturbed = copies.restore(0);
    assert_eq!(undisturbed.code, 0, "{undisturbed:?}");
    let expected = done(&undisturbed);
    assert!(["created", "updated", "recreated", "removed"].iter().all(|kind| expected[kind] > 0), "{expected:?}");

    for (number, (what, step, fault)) in faults.into_iter().enumerate() {
        copies.proxy.script(every(step, fault));
        let ran = copies.restore(number + 1);
        assert_eq!((ran.code, done(&ran)), (0, expected.clone()), "{what}: {ran:?}");
        let log = copies.proxy.log();
        assert!(log.iter().filter(|seen| seen.fault == fault).count() > 1, "{what}: next to nothing went wrong");
        assert_retry_after_is_kept(&log);
    }
    let last = faults.len() + 1;
    copies.proxy.script(everything());
    let ran = copies.restore(last);
    assert_eq!((ran.code, done(&ran)), (0, expected), "{ran:?}");

    let states = copies.states();
    for (number, (what, ..)) in faults.iter().enumerate() {
        assert_same(&states[&(number + 1)], &states[&0], what);
    }
    assert_same(&states[&last], &states[&0], "everything");
}

/// A moment in the middle of what a restore writes.
const MIDDLE: usize = 20;
/// More than any step of a test takes.
const LIMIT: Duration = Duration::from_secs(120);

#[test]
fn a_control_plane_that_crashes_in_the_middle_is_waited_for() {
    let copies = Copies::start(4);
    let undisturbed = copies.restore(0);
    assert_eq!(undisturbed.code, 0, "{undisturbed:?}");
    for (number, crashed) in [&["apiserver"][..], &["etcd"], &["apiserver", "etcd"]].into_iter().enumerate() {
        copies.proxy.script(|asked| if asked.write == MIDDLE { Fault::DoneAndHeld } else { Fault::Pass });
        let ran = std::thread::scope(|scope| {
            let restore = scope.spawn(|| copies.restore(number + 1));
            copies.proxy.held(LIMIT).expect("it writes");
            copies.cluster.crash(crashed);
            copies.cluster.start_again(&crashed.iter().rev().copied().collect::<Vec<_>>());
            restore.join().unwrap()
        });
        assert_eq!((ran.code, done(&ran)), (0, done(&undisturbed)), "{crashed:?}: {ran:?}");
    }
    let states = copies.states();
    for number in 1..=3 {
        assert_same(&states[&number], &states[&0], &format!("crash {number}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_api_server_ends_a_restore_which_goes_on_later() {
    let cluster = Cluster::own();
    cluster.apply("apiVersion: v1\nkind: Namespace\nmetadata: {name: demo}\n");
    let many = (0..200).map(|number| format!("---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c-{number:03}, namespace: demo}}\n"));
    cluster.apply(&many.collect::<String>());
    let source = Source::Snapshot(cluster.snapshot(&repository().await, "all").await);
    cluster.kubectl(&["-n", "demo", "delete", "configmaps", "--all"]);
    let demo = Selection::default().namespaces(&["demo".to_owned()]).unwrap();
    let plan = planned(&cluster, &source, &demo, &Options::default()).await;

    cluster.crash(&["apiserver"]);
    let impatient = Patience { outage: Duration::from_secs(2), ..Patience::default() };
    let report = applied_with(&cluster, &source, plan, Mode::Write, impatient).await;
    assert!(report.lost.as_ref().is_some_and(|why| why.starts_with("the API server did not answer for ")), "{report:#?}");
    assert_eq!(report.changed(), 0);
    // Only what was on its way has failed; nobody waits for each of the others.
    assert!((1..=64).contains(&report.failed) && report.not_attempted == 200 - report.failed, "{report:#?}");

    cluster.start_again(&["apiserver"]);
    let report = restored(&cluster, &source, &demo, &Options::default()).await;
    assert!(report.is_complete() && report.lost.is_none(), "{report:#?}");
    assert_eq!(report.created, 200);
}
