//! Buckets in which nothing can be deleted, or not even be replaced, for days: everything works, and prune says what has to wait.
#![cfg(feature = "real")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use jiff::{SignedDuration, Timestamp};
use kubestash::{
    object::KindInfo,
    repository::{
        BackupOptions, CheckDepth, CommitInfo, KeyCost, Password, Repository, RepositoryError, Root,
        prune::{Grace, PruneOptions, PruneReport},
    },
    store::{Store, StoreError},
};
use kubestash_tests::{gcs::GcsServer, s3::S3Server};

fn wait<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(work)
}

/// Each day by itself, so that a snapshot needs nothing of another.
async fn back_up(repository: &Repository, day: i64) -> Root {
    let writer = repository.backup(BackupOptions::default()).await.unwrap();
    let filled = tokio::task::spawn_blocking(move || {
        let info = KindInfo { group: String::new(), version: "v1".into(), resource: "configmaps".into(), kind: "ConfigMap".into(), namespaced: true };
        let mut written = writer.kind(&info);
        for number in 0..50 {
            let name = format!("c-{number:02}");
            let object = serde_json::json!({"metadata": {"name": name, "namespace": "shop"}, "data": {"day": format!("{day} {number}").repeat(50)}});
            written.push(Some("shop"), &name, object.to_string().as_bytes()).unwrap();
        }
        written.finish().unwrap();
        writer
    });
    filled.await.unwrap().commit(CommitInfo::new(format!("day-{day}"), Timestamp::now() + SignedDuration::from_secs(day))).await.unwrap()
}

async fn prune(repository: &Repository, hours: i64, grace: Grace) -> PruneReport {
    let options = PruneOptions { grace, ..PruneOptions::new(Timestamp::now() + SignedDuration::from_hours(hours)) };
    repository.prune(options, &mut |_, _, _| {}).await.unwrap()
}

async fn assert_whole(store: &Store, names: &[&str]) {
    let repository = Repository::open(store.clone(), &Password::new("p".to_owned())).await.unwrap();
    let report = repository.check(CheckDepth::Data, &mut |_, _| {}).await.unwrap();
    assert!(report.errors.is_empty(), "{report:?}");
    let found: Vec<String> = repository.snapshots().await.unwrap().roots.into_iter().map(|root| root.name).collect();
    assert_eq!(found, names);
}

#[test]
fn s3_with_object_lock() {
    let server = S3Server::start();
    let store = server.locked_store("locked", 2);
    wait(async {
        let repository = Repository::init(store.clone(), &Password::new("p".to_owned()), KeyCost::default(), "k", Timestamp::now()).await.unwrap();
        let first = back_up(&repository, 1).await;
        back_up(&repository, 2).await;
        let until = store.kept_until(&format!("roots/{}", first.id)).await.unwrap().expect("the bucket says until when");
        let away = until.duration_since(Timestamp::now());
        assert!(away > SignedDuration::from_hours(47) && away < SignedDuration::from_hours(49), "{away}");
        assert_eq!(store.kept_until("roots/none").await.unwrap(), None);
        // To the store a deletion is a mark, and what it hides stays.
        repository.forget(first.id).await.unwrap();
        assert_whole(&store, &["day-2"]).await;

        let given_up = prune(&repository, 0, Grace::default()).await;
        let packs = given_up.trashed.packs + given_up.repacked.packs;
        assert!(packs >= 2 && given_up.denied.packs == 0, "{given_up:?}");
        let protected = prune(&repository, 25, Grace::default()).await;
        assert_eq!((protected.deleted.packs, protected.denied.packs), (0, packs), "{protected:?}");
        let told = protected.denied_until.expect("prune says when");
        assert!(told.duration_since(until).abs() < SignedDuration::from_mins(2), "{told} {until}");
        assert_whole(&store, &["day-2"]).await;
        let third = back_up(&repository, 3).await;
        // When the lock is over.
        let freed = prune(&repository, 50, Grace::default()).await;
        assert_eq!((freed.deleted.packs, freed.denied.packs, freed.denied_until), (packs, 0, None), "{freed:?}");
        assert_whole(&store, &["day-2", &third.name]).await;
    });
}

#[test]
fn a_bucket_where_nothing_is_replaced_either() {
    let server = GcsServer::start();
    let store = server.store("retained");
    server.retain(true);
    wait(async {
        let repository = Repository::init(store.clone(), &Password::new("p".to_owned()), KeyCost::default(), "k", Timestamp::now()).await.unwrap();
        let first = back_up(&repository, 1).await;
        back_up(&repository, 2).await;
        let refused = repository.forget(first.id).await.unwrap_err();
        assert!(matches!(refused, RepositoryError::Store(StoreError::Denied { .. })), "{refused}");
        // What was forgotten before the policy came.
        server.retain(false);
        repository.forget(first.id).await.unwrap();
        server.retain(true);
        for hours in [0, 25, 50] {
            let report = prune(&repository, hours, Grace::default()).await;
            assert_eq!(report.deleted.packs, 0, "{report:?}");
            assert_eq!(report.denied.packs > 0, hours > 0, "{report:?}");
            assert_eq!(report.denied_until, None, "it does not say");
            assert_whole(&store, &["day-2"]).await;
        }
        let third = back_up(&repository, 3).await;
        server.retain(false);
        let last = prune(&repository, 75, Grace::default()).await;
        assert!(last.deleted.packs >= 2 && last.denied.packs == 0, "{last:?}");
        assert_whole(&store, &["day-2", &third.name]).await;
    });
}
