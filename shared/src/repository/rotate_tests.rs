//! New data keys: who opens what before and after, cut off anywhere, and until nothing is left under the old ones.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::{
    prune::{Grace, PruneOptions},
    tests::*,
    *,
};

const CHEAP: KeyCost = KeyCost::CHEAP;

fn other() -> Password {
    Password::new("other")
}

fn auditor() -> Password {
    Password::new("auditor")
}

async fn open(store: &Store, password: &Password) -> Result<Repository, RepositoryError> {
    Repository::open(store.clone(), password).await
}

/// A repository with three passwords more, and a snapshot.
async fn shared(store: &Store) -> (Repository, Root) {
    let repository = new_repository(store).await;
    for (password, access) in [(other(), Access::Full), (auditor(), Access::General), (Password::new("gone"), Access::Full)] {
        repository.add_key(&password, access, CHEAP, "theirs", Timestamp::UNIX_EPOCH).await.unwrap();
    }
    let root = back_up(&repository, &cluster(50, 0), None, info("one", 1)).await.unwrap();
    (repository, root)
}

async fn rotate(repository: &Repository) -> Result<Vec<String>, RepositoryError> {
    let rotation = repository.plan_rotation(&[password(), auditor(), other(), Password::new("of nobody")]).await?;
    assert_eq!(rotation.useless, [3]);
    repository.rotate(&rotation, CHEAP, Timestamp::now()).await
}

#[tokio::test]
async fn given_passwords_open_all_and_the_others_nothing() {
    let store = Store::memory();
    let (before, first) = shared(&store).await;
    let rotation = before.plan_rotation(&[password(), other(), auditor()]).await.unwrap();
    assert_eq!((rotation.carried.len(), rotation.removed.len(), rotation.useless.len()), (3, 1, 0));
    assert_eq!(rotate(&before).await.unwrap().len(), 3);
    let keys = open(&store, &other()).await.unwrap().keys().await.unwrap().keys;
    assert_eq!(
        keys.iter().map(|key| (key.access, key.label.as_str())).filter(|(access, _)| *access == Access::General).collect::<Vec<_>>(),
        [(Access::General, "theirs")]
    );
    assert!(matches!(open(&store, &Password::new("gone")).await, Err(RepositoryError::WrongPassword { keys: 3, .. })));

    let second = back_up(&open(&store, &other()).await.unwrap(), &cluster(50, 7), Some(first.clone()), info("two", 2)).await.unwrap();
    assert!(second.stats.unchanged > 0, "names of blocks and hashes stay");
    for password in [password(), other()] {
        let repository = open(&store, &password).await.unwrap();
        assert_holds(&repository, &first, &cluster(50, 0)).await;
        assert_holds(&repository, &second, &cluster(50, 7)).await;
    }
    let limited = open(&store, &auditor()).await.unwrap();
    assert_eq!(limited.access(), Access::General);
    assert_eq!(limited.open_snapshot(&second).await.unwrap().catalog().len(), 50);
    // Who had it open before reads what was there, and is told why not the rest.
    assert_holds(&before, &first, &cluster(50, 0)).await;
    let refused = before.snapshot(second.id).await.unwrap_err();
    assert!(refused.to_string().contains("the keys were rotated meanwhile"), "{refused}");
    // What he writes is read by all.
    let third = back_up(&before, &cluster(50, 9), Some(first), info("three", 3)).await.unwrap();
    assert_holds(&open(&store, &other()).await.unwrap(), &third, &cluster(50, 9)).await;
    assert!(open(&store, &password()).await.unwrap().check(CheckDepth::Data, &mut |_, _| {}).await.unwrap().errors.is_empty());
}

#[tokio::test]
async fn cut_off_anywhere_every_given_password_opens_everything() {
    for writes in 0.. {
        let store = Store::memory();
        let (_, first) = shared(&store).await;
        let cut = open(&store.failing_after(writes), &password()).await.unwrap();
        let ended = rotate(&cut).await;
        let second = back_up(&open(&store, &password()).await.unwrap(), &cluster(50, 7), None, info("two", 2)).await.unwrap();
        let all = |repository: Repository| async move {
            assert_holds(&repository, &first, &cluster(50, 0)).await;
            assert_holds(&repository, &second, &cluster(50, 7)).await;
        };
        // Those whose new key was not written yet go on with what the old one opens; the rotation is made again then.
        open(&store, &password()).await.unwrap().unlock().await.unwrap();
        rotate(&open(&store, &password()).await.unwrap()).await.unwrap();
        let keys = open(&store, &other()).await.unwrap().keys().await.unwrap();
        assert_eq!((keys.keys.len(), keys.damaged.len()), (3, 0), "after {writes} writes");
        all(open(&store, &other()).await.unwrap()).await;
        if ended.is_ok() {
            assert!(writes > 5);
            break;
        }
    }
}

#[tokio::test]
async fn a_prune_leaves_nothing_under_the_old_keys() {
    let store = Store::memory();
    let (before, first) = shared(&store).await;
    let second = back_up(&before, &cluster(50, 7), Some(first.clone()), info("two", 2)).await.unwrap();
    rotate(&before).await.unwrap();
    let repository = open(&store, &password()).await.unwrap();
    let old = async || {
        let mut old = Vec::new();
        for entry in store.list("").await.unwrap() {
            let sealed = ["packs/", "index/", "roots/"].iter().any(|folder| entry.key.starts_with(folder));
            if sealed && repository.inner.ring.is_old(&store.get_at_most(&entry.key, u64::MAX).await.unwrap()) {
                old.push(entry.key);
            }
        }
        old
    };
    let options = PruneOptions { grace: Grace::NONE, re_encrypt: true, ..PruneOptions::new(Timestamp::now()) };
    assert!(old().await.len() > 5);
    let planned = repository.plan_prune(options).await.unwrap();
    let report = repository.prune(options, &mut |_, _, _| {}).await.unwrap();
    assert_eq!((planned.repacked, report.re_encrypted_roots), (report.repacked, 2));
    assert!(report.damage.is_empty(), "{report:?}");
    assert_eq!(old().await, Vec::<String>::new());
    for (root, changed) in [(&first, 0), (&second, 7)] {
        assert_holds(&open(&store, &other()).await.unwrap(), root, &cluster(50, changed)).await;
    }
    let again = repository.prune(options, &mut |_, _, _| {}).await.unwrap();
    assert_eq!((again.repacked.packs, again.re_encrypted_roots), (0, 0));
    assert!(repository.check(CheckDepth::Data, &mut |_, _| {}).await.unwrap().errors.is_empty());
}

#[tokio::test]
async fn who_has_general_access_rotates_nothing() {
    let store = Store::memory();
    let (repository, _) = shared(&store).await;
    let limited = open(&store, &auditor()).await.unwrap();
    assert!(matches!(limited.plan_rotation(&[auditor()]).await, Err(RepositoryError::NeedsSensitiveKey)));
    // And nobody locks himself out.
    let rotation = repository.plan_rotation(&[auditor()]).await.unwrap();
    assert!(matches!(repository.rotate(&rotation, CHEAP, Timestamp::now()).await, Err(RepositoryError::LastKey { .. })));
    assert_eq!(repository.keys().await.unwrap().keys.len(), 4);
}

#[tokio::test]
async fn no_data_key_gets_lost_between_two_rotations() {
    let store = Store::memory();
    let (repository, _) = shared(&store).await;
    let beside = open(&store, &other()).await.unwrap();
    let planned = beside.plan_rotation(&[other()]).await.unwrap();
    // The first carries its own password over, and has written with its new keys.
    let mine = repository.plan_rotation(&[password()]).await.unwrap();
    repository.rotate(&mine, CHEAP, Timestamp::now()).await.unwrap();
    let newest = open(&store, &password()).await.unwrap();
    let root = back_up(&newest, &cluster(20, 1), None, info("two", 2)).await.unwrap();
    for refused in [beside.rotate(&planned, CHEAP, Timestamp::now()).await.err(), beside.plan_rotation(&[other()]).await.err()] {
        assert!(matches!(refused, Some(RepositoryError::KeysChanged { .. })), "{refused:?}");
    }
    // Nor by removing the one key that opens all of them.
    beside.add_key(&other(), Access::Full, CHEAP, "old", Timestamp::now()).await.unwrap();
    let keys = newest.keys().await.unwrap().keys;
    let own = keys.iter().find(|key| key.current).unwrap();
    assert_eq!((keys.len(), own.data_keys), (2, 2));
    assert!(matches!(newest.remove_key(&own.id).await, Err(RepositoryError::LastKey { .. })));
    assert_holds(&open(&store, &password()).await.unwrap(), &root, &cluster(20, 1)).await;
    assert!(!keys_of(&store).await.iter().any(|key| key.starts_with("locks/")));
}
