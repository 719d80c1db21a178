//! Every store passes one suite, and says the same of what goes wrong; the whole program works on each.
#![cfg(feature = "real")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use kubestash::store::{Credentials, Location, Provider, Store, StoreError, StoreOptions};
use kubestash_tests::{azure::AzureServer, contract, gcs::GcsServer, program::User, s3::S3Server};

fn wait<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(work)
}

/// One that asks is not let in, and one bucket is not there.
fn refuses(provider: Provider, bucket: &str, good: &StoreOptions, bad: Credentials) {
    let open = |bucket: &str, options: &StoreOptions| Location::bucket(provider, bucket, "p").unwrap().open(options, true).unwrap();
    wait(async {
        let stranger = open(bucket, &StoreOptions { credentials: bad, ..good.clone() });
        for refused in [stranger.put("a", "one".into()).await, stranger.get("a").await.map(|_| ()), stranger.list("").await.map(|_| ())] {
            let error = refused.unwrap_err();
            assert!(matches!(error, StoreError::Denied { .. }), "{error:?}");
            let text = format!("{error:?}");
            assert!(!text.contains("hush") && !text.contains("PRIVATE"), "{text}");
        }
        let nowhere = open("no-such-bucket", good);
        let mut refused = vec![nowhere.get("a").await.map(|_| ()), nowhere.list("").await.map(|_| ())];
        // SeaweedFS makes a bucket that is written to.
        if provider != Provider::S3 {
            refused.push(nowhere.put("a", "one".into()).await);
        }
        for refused in refused {
            let error = refused.unwrap_err();
            assert!(error.to_string().contains("no such bucket"), "{error:?}");
        }
    });
}

/// A repository from its making to its emptying, by a person's commands.
fn works(place: &str, variables: &[(&'static str, String)]) {
    let user = variables.iter().fold(User::new(), |user, (name, value)| user.variable(name, value)).variable("KUBESTASH_REPO", place);
    let made = user.run(&["repo", "init"]);
    assert_eq!(made.code, 0, "{made:?}");
    let again = user.run(&["repo", "init"]);
    assert!(again.code == 1 && again.err.starts_with("error: there is a repository already"), "{again:?}");
    user.ok(&["snapshots"]);
    user.ok(&["key", "list"]);
    assert!(user.ok(&["check", "--read-data"]).ends_with("no damage found\n"));
    user.ok(&["prune"]);
    user.ok(&["prune"]);
}

#[test]
fn memory() {
    wait(contract::holds(&Store::memory()));
}

#[test]
fn a_folder() {
    let folder = tempfile::tempdir().unwrap();
    wait(contract::holds(&Store::local(&folder.path().join("new"), true).unwrap()));
    assert!(Store::local(&folder.path().join("absent"), false).is_err());
}

#[test]
fn s3() {
    let server = S3Server::start();
    wait(contract::holds(&server.store("contract")));
    let bad = Credentials::AccessKey { id: "testkey".to_owned(), secret: "hush".to_owned(), session_token: None };
    refuses(Provider::S3, "bucket", &server.options(), bad);
    let (place, variables) = server.settings("works");
    works(&place, &variables);
}

#[test]
fn a_certificate_of_ones_own_authority() {
    let server = S3Server::start_tls();
    let good = server.options();
    let open = |options: &StoreOptions| Location::bucket(Provider::S3, "bucket", "tls").unwrap().open(options, true).unwrap();
    wait(async {
        open(&good).put("a", "one".into()).await.unwrap();
        let any = StoreOptions { ca_certificate: None, insecure_tls: true, ..good.clone() };
        assert_eq!(open(&any).get("a").await.unwrap(), "one");
        let stranger = StoreOptions { ca_certificate: None, ..good.clone() };
        let error = open(&stranger).get("a").await.unwrap_err();
        let text = format!("{error:?}");
        assert!(matches!(error, StoreError::Other { .. }) && text.contains("UnknownIssuer"), "{text}");
    });
}

#[test]
fn azure() {
    let server = AzureServer::start();
    wait(contract::holds(&server.store("contract")));
    refuses(Provider::Azure, "container", &server.options(), Credentials::AccountKey("aHVzaA==".to_owned()));
    let (place, variables) = server.settings("works");
    works(&place, &variables);
}

#[test]
fn google() {
    let server = GcsServer::start();
    wait(contract::holds(&server.store("contract")));
    refuses(Provider::Gcs, "bucket", &server.options(), Credentials::ServiceAccount(server.service_account("stranger@project")));
    let (place, variables) = server.settings("works");
    works(&place, &variables);
}
