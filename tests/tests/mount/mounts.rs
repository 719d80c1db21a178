//! The list of mounts of this machine. Other tests mount beside these: only own ones are looked for.

use std::time::{Duration, Instant};

use kubestash_tests::{
    mounts::{Place, sh, wait_for},
    program::User,
    sample::{PASSWORD, Sample, Shape},
};
use serde_json::Value;

use crate::life::{mount, signal};

const TINY: Shape = Shape { namespaces: 2, kinds: 3, each: 5, bytes: 200 };

/// What is told of a mount.
fn listed(user: &User, place: &Place) -> Value {
    let all: Vec<Value> = serde_json::from_str(&user.ok(&["mounts", "-o", "json"])).unwrap();
    all.into_iter().find(|mount| mount["mountpoint"] == place.text()).unwrap_or(Value::Null)
}

#[tokio::test(flavor = "multi_thread")]
async fn mounts_are_listed_with_what_they_say_of_themselves() {
    let sample = Sample::with_snapshot(TINY).await;
    let (user, one, all) = (sample.user(PASSWORD), Place::new(), Place::new());
    let process = mount(&user, &one);
    user.ok(&["mount", "--all", all.text()]);
    sh(one.path(), "grep -r x . | wc -l");
    let told = listed(&user, &one);
    let wanted = [("state", "alive".into()), ("snapshot", "one".into()), ("snapshots", Value::Null), ("process", process.into())];
    for (field, value) in wanted {
        assert_eq!(told[field], value, "{told}");
    }
    assert_eq!((told["user"].as_str(), told["repository"].as_str()), (Some("root"), sample.place().to_str()), "{told}");
    let figures = &told["figures"];
    let files: u64 = sh(one.path(), "find . | wc -l").trim().parse().unwrap();
    assert_eq!((figures["files"].as_u64(), figures["unreadableFiles"].as_u64()), (Some(files), Some(0)), "{told}");
    for figure in ["requests", "storeRequests", "storeReadBytes", "decodedBlocks", "blockCacheBytes", "residentMemoryBytes"] {
        assert!(figures[figure].as_u64().unwrap() > 0, "{figure}: {told}");
    }
    assert_eq!((listed(&user, &all)["snapshots"].as_u64(), listed(&user, &all)["snapshot"].as_str()), (Some(1), Some("one")));

    let table = user.ok(&["mounts"]);
    let line = table.lines().find(|line| line.starts_with(one.text())).unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(words.get(1..5), Some(&["one", "alive", process.to_string().as_str(), "root"][..]), "{table}");
    assert!(table.lines().any(|line| line.starts_with(all.text()) && line.contains("all (1)")), "{table}");
    assert!(user.ok(&["mounts", "-o", "wide"]).contains("BLOCK CACHE"));
    assert!(user.ok(&["mounts", "-o", "yaml"]).contains(&format!("mountpoint: {}\n", one.text())));
    assert!(user.ok(&["mounts", "-o", "name"]).lines().any(|line| line == one.text()));
    user.ok(&["umount", one.text()]);
    assert_eq!(listed(&user, &one), Value::Null);
    user.ok(&["umount", all.text()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_and_a_stopped_mount_are_told_and_keep_nobody() {
    let sample = Sample::with_snapshot(TINY).await;
    let (user, dead, stopped, alive) = (sample.user(PASSWORD), Place::new(), Place::new(), Place::new());
    let processes = [mount(&user, &dead), mount(&user, &stopped)];
    mount(&user, &alive);
    signal(processes[0], libc::SIGKILL);
    signal(processes[1], libc::SIGSTOP);
    wait_for("it is dead", Duration::from_secs(5), || kstashfs::state(dead.path()) == kstashfs::State::Dead);
    let start = Instant::now();
    let (first, second, third) = (listed(&user, &dead), listed(&user, &stopped), listed(&user, &alive));
    // Three times a few seconds: nobody waits for what never comes.
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
    assert_eq!((&first["state"], &first["process"], &first["since"]), (&"dead".into(), &Value::Null, &Value::Null), "{first}");
    assert_eq!((&second["state"], &second["snapshot"]), (&"silent".into(), &Value::Null), "{second}");
    // Newer kernels tell who holds the connection.
    assert!(second["process"].is_null() || second["process"] == processes[1], "{second}");
    assert_eq!(third["state"], "alive", "{third}");
    let ran = user.run(&["mounts"]);
    assert!(ran.code == 0 && ran.err.contains("umount --lazy"), "{ran:?}");
    user.ok(&["umount", "--lazy", stopped.text()]);
    signal(processes[1], libc::SIGKILL);
    // A new mount takes the dead one's place.
    mount(&user, &dead);
    assert_eq!(listed(&user, &dead)["state"], "alive");
    for place in [&dead, &alive] {
        user.ok(&["umount", place.text()]);
    }
}
