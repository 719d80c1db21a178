//! A restore that is killed at any moment, or stopped by its user, is finished by running the same command again.
#![cfg(feature = "real")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::{
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use kubestash_tests::{
    copies::{Copies, assert_same},
    fault_proxy::Fault,
};
use serde_json::Value;

/// Moments at which it is killed.
const MOMENTS: usize = 50;
/// More than any step of a test takes.
const LIMIT: Duration = Duration::from_secs(120);

fn start(copies: &Copies, number: usize) -> Child {
    let args = Copies::args(number);
    let mut command = copies.user.command(&args.iter().map(String::as_str).collect::<Vec<_>>());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn interrupt(child: &Child) {
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
}

fn ended(child: Child) -> (i32, Value, String) {
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    (status.code().unwrap_or(-1), serde_json::from_slice(&stdout).unwrap_or_default(), String::from_utf8(stderr).unwrap())
}

#[test]
fn killed_at_fifty_moments_it_is_finished_by_running_it_again() {
    let copies = Copies::start(MOMENTS + 1);
    copies.proxy.script(|_| Fault::Pass);
    assert_eq!(copies.restore(0).code, 0);
    let writes = copies.proxy.writes();
    for number in 1..=MOMENTS {
        // From the first write to the last one, alternately before and after the API server has done it.
        let moment = 1 + (number - 1) * (writes - 1) / (MOMENTS - 1);
        let fault = if number % 2 == 0 { Fault::Held } else { Fault::DoneAndHeld };
        copies.proxy.script(move |asked| if asked.write == moment { fault } else { Fault::Pass });
        let mut child = start(&copies, number);
        let held = copies.proxy.held(LIMIT).unwrap_or_else(|| panic!("there is no write {moment}: {:?}", copies.proxy.log()));
        child.kill().unwrap();
        child.wait().unwrap();
        copies.proxy.script(|_| Fault::Pass);
        let again = copies.restore(number);
        assert_eq!(again.code, 0, "killed at write {moment}, {held:?}: {again:?}");
    }
    let states = copies.states();
    for number in 1..=MOMENTS {
        assert_same(&states[&number], &states[&0], &format!("killed at moment {number}"));
    }
    // The ReplicaSet of a Deployment that was created anew belongs to nobody now: once more, and there is nothing to do.
    assert_eq!(copies.restore(1).code, 0);
    copies.proxy.script(|_| Fault::Pass);
    let idle = copies.restore(1);
    assert_eq!((idle.code, copies.proxy.writes()), (0, 0), "{idle:?}");
}

#[test]
fn stopped_by_its_user_it_says_how_to_go_on() {
    let copies = Copies::start(3);
    assert_eq!(copies.restore(0).code, 0);

    // What is on its way is finished: each of these requests takes a while.
    copies.proxy.script(|asked| if asked.write > 4 { Fault::Late(Duration::from_millis(500)) } else { Fault::Pass });
    let child = start(&copies, 1);
    let begun = Instant::now();
    while copies.proxy.writes() < 8 {
        assert!(begun.elapsed() < LIMIT, "nothing is written");
        std::thread::sleep(Duration::from_millis(20));
    }
    interrupt(&child);
    let (code, report, told) = ended(child);
    assert_eq!(code, 3, "{told}\n{report:#}");
    assert!(told.contains("Stopping: requests on their way are finished first."), "{told}");
    assert!(told.contains("; run the same command again to go on."), "{told}");
    assert_eq!(report["failed"], 0, "{report:#}");
    assert!(report["notAttempted"].as_u64().unwrap() > 0, "{report:#}");
    copies.proxy.script(|_| Fault::Pass);
    assert_eq!(copies.restore(1).code, 0);

    // A second time does not wait for what never comes.
    copies.proxy.script(|asked| if asked.write == 8 { Fault::DoneAndHeld } else { Fault::Pass });
    let child = start(&copies, 2);
    assert!(copies.proxy.held(LIMIT).is_some());
    interrupt(&child);
    std::thread::sleep(Duration::from_millis(200));
    interrupt(&child);
    let (code, _, told) = ended(child);
    assert_eq!(code, 3, "{told}");
    assert!(told.contains("Run the same command again to go on."), "{told}");
    copies.proxy.script(|_| Fault::Pass);
    assert_eq!(copies.restore(2).code, 0);

    let states = copies.states();
    assert_same(&states[&1], &states[&0], "stopped");
    assert_same(&states[&2], &states[&0], "stopped twice");
}
