//! What a command costs at a bucket, and the cache on disk that several processes share.
#![cfg(feature = "real")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::{
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use jiff::{SignedDuration, Timestamp};
use kubestash::{
    object::KindInfo,
    repository::{BackupOptions, CommitInfo, Password, Repository, Root},
};
use kubestash_tests::{
    gcs::{Asked, GcsServer},
    program::User,
};

/// Days that are backed up, each on the day before.
const DAYS: i64 = 17;
const OBJECTS: u32 = 3_000;

fn name(number: u32) -> String {
    format!("c-{number:04}")
}

/// One object in a hundred changes each day.
async fn back_up(repository: &Repository, parent: Option<Root>, day: i64) -> Root {
    let writer = repository.backup(BackupOptions { parent, ..BackupOptions::default() }).await.unwrap();
    let filled = tokio::task::spawn_blocking(move || {
        let info = KindInfo { group: String::new(), version: "v1".into(), resource: "configmaps".into(), kind: "ConfigMap".into(), namespaced: true };
        let mut written = writer.kind(&info);
        for number in 0..OBJECTS {
            let value = if i64::from(number % 100) == day { format!("changed on day {day}") } else { format!("of number {number}") };
            let object = serde_json::json!({"metadata": {"name": name(number), "namespace": "shop"}, "data": {"text": value.repeat(20)}});
            written.push(Some("shop"), &name(number), object.to_string().as_bytes()).unwrap();
        }
        written.finish().unwrap();
        writer
    });
    let time = Timestamp::now() - SignedDuration::from_hours(24 * (DAYS - day));
    filled.await.unwrap().commit(CommitInfo::new(format!("day-{day:02}"), time)).await.unwrap()
}

fn prepared(server: &GcsServer) -> User {
    let (place, variables) = server.settings("cluster");
    let user = variables.iter().fold(User::new(), |user, (name, value)| user.variable(name, value)).variable("KUBESTASH_REPO", &place);
    user.ok(&["repo", "init"]);
    let password = Password::new(std::fs::read_to_string(user.home().join(".config/kubestash/password")).unwrap());
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(async {
        let repository = Repository::open(server.store("cluster/cluster-resources/kstash/v1"), &password).await.unwrap();
        let mut parent = None;
        for day in 0..DAYS {
            parent = Some(back_up(&repository, parent.take(), day).await);
        }
    });
    server.asked();
    user
}

fn files(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| if entry.path().is_dir() { files(&entry.path()) } else { entry.metadata().map_or(0, |meta| meta.len()) }).sum()
}

#[test]
fn a_listing_costs_few_requests_and_a_second_one_fewer() {
    let server = GcsServer::start();
    let user = prepared(&server);
    let list = ["ls", "latest", "configmaps", "-n", "shop"];
    let listed = user.ok(&[&list[..], &["--no-cache"]].concat());
    assert_eq!(listed.lines().filter(|line| line.contains("c-")).count() as u32, OBJECTS);
    let without = server.asked();
    assert!(without.requests <= 12 && without.bytes <= 5_000_000, "{without:?}");
    assert_eq!(files(&user.home().join(".cache")), 0);

    assert_eq!(user.ok(&list), listed);
    assert_eq!(server.asked(), without, "a cold cache costs nothing more");
    assert_eq!(user.ok(&list), listed);
    let warm = server.asked();
    assert!(warm.requests <= 7 && warm.bytes < 10_000, "{warm:?}");

    let object = ["cat", "latest", "configmaps/c-0042", "-n", "shop"];
    let text = user.ok(&object);
    let first = server.asked();
    assert_eq!(user.ok(&object), text);
    let second = server.asked();
    assert!(second.requests < first.requests && second.requests <= 7, "{first:?}, {second:?}");
    println!("ls of a snapshot behind {} others: {without:?}, with a cache {warm:?}; cat {first:?}, then {second:?}", DAYS - 1);
}

#[test]
fn several_processes_share_a_cache_that_others_delete() {
    let server = GcsServer::start();
    let user = prepared(&server);
    let folder = user.home().join("kept");
    let kept = folder.to_str().unwrap();
    let limit = 200_000;
    let size = limit.to_string();
    let names: Vec<String> = (0..OBJECTS).step_by(10).map(name).collect();
    let args = |rest: &[&'static str]| -> Vec<String> {
        let fixed = ["cat", "latest", "configmaps", "-n", "shop"].iter().chain(rest).map(|arg| (*arg).to_owned());
        fixed.chain(names.iter().cloned()).collect()
    };
    let run = |rest: &[String]| {
        let args: Vec<&str> = rest.iter().map(String::as_str).collect();
        let ran = user.command(&args).output().unwrap();
        assert!(ran.status.success(), "{ran:?}");
        ran.stdout
    };
    let expected = run(&args(&["--no-cache"]));
    assert!(expected.len() > 100_000);
    let cached: Vec<String> = args(&[]).into_iter().chain(["--cache-dir", kept, "--cache-size", &size].map(str::to_owned)).collect();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                std::thread::sleep(std::time::Duration::from_millis(30));
                let _ = std::fs::remove_dir_all(&folder);
            }
        });
        let readers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..3 {
                        assert!(run(&cached) == expected);
                    }
                })
            })
            .collect();
        let read: Vec<_> = readers.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        done.store(true, Ordering::SeqCst);
        assert!(read.iter().all(Result::is_ok));
    });
    // Nobody deletes any more: it stays within its bound.
    for _ in 0..2 {
        assert!(run(&cached) == expected);
    }
    let bytes = files(&folder);
    assert!(bytes > 0 && bytes <= limit + limit / 8, "{bytes}");
    let asked: Asked = server.asked();
    assert!(asked.requests > 0);
}
