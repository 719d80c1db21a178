//! Keeping, freeing and repairing as a person does it. No cluster is needed: the repository is filled through the library.
#![cfg(feature = "real")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};
use kubestash::{
    object::KindInfo,
    repository::{BackupOptions, ClusterId, CommitInfo, Password, Repository},
    store::Store,
};
use kubestash_tests::program::User;

const NATIVE: &str = "cluster-resources/kstash/v1";

struct Kept {
    user: User,
    runtime: tokio::runtime::Runtime,
}

impl Kept {
    /// A snapshot a day, the last one on 10 March 2026 at noon UTC, each with other ConfigMaps and the same Secret.
    fn days(count: i64) -> Self {
        let user = User::new();
        user.ok(&["repo", "init"]);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let kept = Self { user, runtime };
        kept.runtime.block_on(async {
            let repository = kept.open().await;
            let last: Timestamp = "2026-03-10T12:00:00Z".parse().unwrap();
            for day in (0..count).rev() {
                let time = last - SignedDuration::from_hours(24 * day);
                let mut info = CommitInfo::new(format!("day-{}", time.strftime("%m-%d")), time);
                info.cluster = ClusterId { uid: "u1".to_owned(), name: "prod".to_owned(), server_version: String::new() };
                info.tags = if day == 1 { vec!["gold".to_owned()] } else { Vec::new() };
                back_up(&repository, info, day).await;
            }
        });
        kept
    }

    fn native(&self) -> PathBuf {
        self.user.repository().join(NATIVE)
    }

    async fn open(&self) -> Repository {
        let password = Password::new(std::fs::read_to_string(self.user.home().join(".config/kubestash/password")).unwrap());
        Repository::open(Store::local(&self.native(), false).unwrap(), &password).await.unwrap()
    }

    fn names(&self) -> Vec<String> {
        self.user.ok(&["snapshots", "-o", "name"]).lines().map(str::to_owned).collect()
    }

    fn packs(&self) -> Vec<PathBuf> {
        let folders = std::fs::read_dir(self.native().join("packs")).unwrap();
        folders.flat_map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap()).map(|pack| pack.unwrap().path()).collect()
    }

    fn checks(&self) {
        assert!(self.user.ok(&["check", "--read-data"]).ends_with("no damage found\n"));
    }
}

async fn back_up(repository: &Repository, info: CommitInfo, day: i64) {
    let writer = repository.backup(BackupOptions::default()).await.unwrap();
    let filled = tokio::task::spawn_blocking(move || {
        for (resource, kind, count) in [("configmaps", "ConfigMap", 20), ("secrets", "Secret", 1)] {
            let info = KindInfo { group: String::new(), version: "v1".into(), resource: resource.into(), kind: kind.into(), namespaced: true };
            let mut written = writer.kind(&info);
            for number in 0..count {
                let value = if kind == "Secret" { String::new() } else { format!("{day} {number}") };
                let object = serde_json::json!({"metadata": {"name": format!("c-{number:02}"), "namespace": "shop"}, "data": {"day": value}});
                written.push(Some("shop"), &format!("c-{number:02}"), object.to_string().as_bytes()).unwrap();
            }
            written.finish().unwrap();
        }
        writer
    });
    filled.await.unwrap().commit(info).await.unwrap();
}

#[test]
fn forget_keeps_what_rules_want_and_says_why() {
    let kept = Kept::days(10);
    let rules = ["forget", "--keep-last", "2", "--keep-weekly", "2", "--keep-tag", "gold"];
    let plan = kept.user.ok(&[&rules[..], &["--dry-run"]].concat());
    insta::assert_snapshot!(plan, @r"
    cluster prod
    NAME        TIME (UTC)            TAGS   ACTION   REASONS
    day-03-01   2026-03-01 12:00:00          forget
    day-03-02   2026-03-02 12:00:00          forget
    day-03-03   2026-03-03 12:00:00          forget
    day-03-04   2026-03-04 12:00:00          forget
    day-03-05   2026-03-05 12:00:00          forget
    day-03-06   2026-03-06 12:00:00          forget
    day-03-07   2026-03-07 12:00:00          forget
    day-03-08   2026-03-08 12:00:00          keep     weekly
    day-03-09   2026-03-09 12:00:00   gold   keep     last, tag gold
    day-03-10   2026-03-10 12:00:00          keep     last, weekly
    ");
    assert_eq!(kept.names().len(), 10, "a dry run removes nothing");
    let json: serde_json::Value = serde_json::from_str(&kept.user.ok(&[&rules[..], &["-o", "json"]].concat())).unwrap();
    let last = json.pointer("/groups/0/snapshots/9").unwrap();
    assert_eq!((last.get("keep").unwrap(), last.get("reasons").unwrap()), (&true.into(), &serde_json::json!(["last", "weekly"])));
    assert_eq!(kept.names(), ["day-03-08", "day-03-09", "day-03-10"]);
}

#[test]
fn forget_removes_nothing_by_accident() {
    let kept = Kept::days(3);
    for (args, code, said) in [
        (&["forget"][..], 1, "no rule says which snapshots to keep"),
        (&["forget", "--tag", "gold"], 1, "no rule says which snapshots to keep"),
        (&["forget", "--unsafe-allow-remove-all"], 1, "no rule says which snapshots to keep"),
        (&["forget", "--keep-tag", "none"], 1, "the rules keep none of the 3 snapshots of cluster prod (newest: day-03-10)"),
        (&["forget", "--keep-last", "some"], 2, "not a number from 0 up"),
        (&["forget", "day-03-10", "--keep-last", "1"], 2, "cannot be used with"),
        (&["forget", "--keep-within", "30"], 2, "a number has no unit"),
    ] {
        let ran = kept.user.run(args);
        assert!(ran.code == code && ran.err.contains(said), "{ran:?}");
        assert_eq!(kept.names().len(), 3, "{ran:?}");
    }
    kept.user.ok(&["forget", "--tag", "gold", "--unsafe-allow-remove-all"]);
    assert_eq!(kept.names(), ["day-03-08", "day-03-10"]);
    kept.user.ok(&["forget", "--keep-last", "0", "--keep-tag", "none", "--unsafe-allow-remove-all"]);
    assert!(kept.names().is_empty());
}

#[test]
fn prune_frees_what_was_forgotten() {
    let kept = Kept::days(6);
    let before = kept.packs().len();
    let out = kept.user.ok(&["forget", "--keep-last", "1", "--prune"]);
    assert!(out.contains("no snapshot needs them") && out.ends_with("0 B freed\n"), "{out}");
    assert!(kept.user.run(&["check"]).out.contains("given up, waiting for a later prune"));
    kept.checks();
    let planned = kept.user.run(&["prune", "--dry-run"]);
    assert!(planned.out.contains("still within the grace time") && planned.err.contains("can be deleted by a prune from"), "{planned:?}");
    let refused = kept.user.run(&["prune", "--grace", "10m"]);
    assert!(refused.code == 2 && refused.err.contains("10m is too short to protect running backups"), "{refused:?}");
    let report: serde_json::Value = serde_json::from_str(&kept.user.ok(&["prune", "--grace", "0h", "-o", "json"])).unwrap();
    let deleted = report.pointer("/deleted/packs").unwrap().as_u64().unwrap();
    assert!(deleted > 5 && kept.packs().len() < before - 5, "{report}");
    kept.checks();
    assert_eq!(kept.names(), ["day-03-10"]);
    assert!(kept.user.ok(&["check", "--read-data-subset", "1"]).contains(" of 1 pack read"));
}

#[test]
fn a_lock_that_was_left_behind_is_explained_and_removed() {
    let kept = Kept::days(1);
    let until = Timestamp::now() + SignedDuration::from_mins(30);
    std::fs::create_dir_all(kept.native().join("locks")).unwrap();
    std::fs::write(kept.native().join("locks/prune"), format!("{{\"id\":\"x\",\"until\":\"{until}\"}}\n")).unwrap();
    let refused = kept.user.run(&["prune"]);
    assert!(refused.code == 1 && refused.err.contains("another prune or repair is at work") && refused.err.contains("unlock"), "{refused:?}");
    kept.user.ok(&["unlock"]);
    kept.user.ok(&["prune"]);
}

#[test]
fn a_damaged_repository_is_repaired_step_by_step() {
    let kept = Kept::days(2);
    for file in std::fs::read_dir(kept.native().join("index")).unwrap() {
        std::fs::write(file.unwrap().path(), "damaged").unwrap();
    }
    let index = kept.user.ok(&["repair", "index"]);
    assert!(index.starts_with("the index names 4 packs, 4 of them anew\nreplaced, could not be read: index/"), "{index}");
    kept.checks();
    // The first block of a pack that holds objects of the last day.
    let hits = |pack: &PathBuf| {
        let good = std::fs::read(pack).unwrap();
        let mut bytes = good.clone();
        bytes.get_mut(100).map(|byte| *byte ^= 1).unwrap();
        std::fs::write(pack, &bytes).unwrap();
        let found = kept.user.run(&["check", "--read-data"]);
        let hit = found.code == 1 && found.out.contains("snapshots: day-03-10\n  objects, some of them: configmaps/c-00 -n shop");
        if !hit {
            std::fs::write(pack, &good).unwrap();
        }
        hit
    };
    kept.packs().iter().find(|pack| hits(pack)).unwrap();
    let packs = kept.user.run(&["repair", "packs"]);
    assert!(packs.code == 3 && packs.out.contains("4 packs looked at, 1 damaged") && packs.out.contains("1 block lost for good"), "{packs:?}");
    assert!(packs.out.contains("LOST: objects, some of them: configmaps/c-00 -n shop"), "{packs:?}");
    let planned = kept.user.run(&["repair", "snapshots", "--dry-run"]);
    assert!(planned.out.starts_with("day-03-10: damaged\n  lost of configmaps: shop/c-00, "), "{planned:?}");
    let snapshots = kept.user.run(&["repair", "snapshots", "--forget"]);
    assert!(snapshots.code == 3 && snapshots.out.starts_with("day-03-10: written again as day-03-10-repaired, and the damaged one"), "{snapshots:?}");
    kept.checks();
    assert_eq!(kept.names(), ["day-03-09", "day-03-10-repaired"]);
    assert_eq!(
        kept.user.ok(&["ls", "day-03-10-repaired", "all", "-A"]).lines().filter(|line| line.contains("c-00")).count(),
        1,
        "the Secret is left"
    );
    assert_eq!(kept.user.ok(&["repair", "snapshots"]), "no snapshot has lost anything\n");
}
