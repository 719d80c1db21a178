//! What a person sees when something is damaged, lost, full, locked or out of reach: what it is, what it hits, what to do next. And the rest
//! stays readable. No cluster is needed: the repository is filled through the library.
#![cfg(feature = "real")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::{
    collections::BTreeSet,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use kubestash::{
    object::KindInfo,
    repository::{BackupOptions, Password, Repository, Root},
    store::Store,
};
use kubestash_tests::{
    program::{Ran, User},
    write,
};

const NATIVE: &str = "cluster-resources/kstash/v1";

/// A user whose default repository holds two snapshots: `one` with 40 ConfigMaps, `two` with one more, which is large.
struct Prepared {
    user: User,
    packs_of_one: BTreeSet<PathBuf>,
}

impl Prepared {
    fn new() -> Self {
        let user = User::new();
        user.ok(&["repo", "init"]);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let folder = user.repository().join(NATIVE);
        let password = Password::new(std::fs::read_to_string(user.home().join(".config/kubestash/password")).unwrap());
        let mut packs_of_one = BTreeSet::new();
        runtime.block_on(async {
            let repository = Repository::open(Store::local(&folder, false).unwrap(), &password).await.unwrap();
            let one = back_up(&repository, "one", None, &[]).await;
            packs_of_one.extend(files(&folder.join("packs")));
            back_up(&repository, "two", Some(one), &["large"]).await;
        });
        Self { user, packs_of_one }
    }

    fn native(&self) -> PathBuf {
        self.user.repository().join(NATIVE)
    }

    fn only(&self, folder: &str) -> PathBuf {
        files(&self.native().join(folder)).pop().unwrap()
    }

    fn root(&self, name: &str) -> PathBuf {
        let roots: serde_json::Value = serde_json::from_str(&self.user.ok(&["snapshots", name, "-o", "json"])).unwrap();
        self.native().join("roots").join(roots[0]["id"].as_str().unwrap())
    }

    /// The pack that holds the large object of `two`.
    fn large_pack(&self) -> PathBuf {
        let packs = files(&self.native().join("packs")).into_iter().filter(|pack| !self.packs_of_one.contains(pack));
        packs.max_by_key(|pack| std::fs::metadata(pack).unwrap().len()).unwrap()
    }

    /// What a command shows, without what differs from run to run.
    fn shown(&self, args: &[&str]) -> String {
        let Ran { code, out, err, .. } = self.user.run(args);
        let text = format!("{err}{out}").replace(self.user.home().to_str().unwrap(), "~");
        format!("exit {code}\n{}", without_hashes(&text))
    }

    fn old_objects_read(&self) {
        for snapshot in ["one", "two"] {
            assert!(self.user.ok(&["cat", snapshot, "cm/settings-07", "-n", "shop"]).contains("number: \"7\""), "{snapshot}");
        }
    }
}

fn without_hashes(text: &str) -> String {
    let mut out = String::new();
    for word in text.split_inclusive(|c: char| !c.is_ascii_alphanumeric()) {
        let hash = word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
        let is_hash =
            [16, 26, 64].contains(&hash.len()) && hash.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase() == (hash.len() != 26));
        // The first two digits of a pack's name are its folder.
        let is_folder = out.ends_with("packs/") && hash.len() == 2;
        out.push_str(&if is_hash || is_folder { word.replace(hash, "<id>") } else { word.to_owned() });
    }
    out
}

async fn back_up(repository: &Repository, name: &str, parent: Option<Root>, more: &[&str]) -> Root {
    let mut names: BTreeSet<String> = (0..40).map(|n| format!("settings-{n:02}")).collect();
    names.extend(more.iter().map(|name| (*name).to_owned()));
    let kind = KindInfo { group: String::new(), version: "v1".into(), resource: "configmaps".into(), kind: "ConfigMap".into(), namespaced: true };
    let objects = names.into_iter().map(|name| {
        let value = name.strip_prefix("settings-").map_or_else(
            // Does not compress, so that its pack is the larger one.
            || (0..20_000_u64).map(|n| blake3::hash(&n.to_le_bytes()).to_hex().chars().next().unwrap()).collect::<String>(),
            |n| n.trim_start_matches('0').to_owned(),
        );
        let object = serde_json::json!({"metadata": {"name": name, "namespace": "shop", "uid": name}, "data": {"number": value}});
        (format!("shop/{name}"), object)
    });
    let options = BackupOptions { parent, ..BackupOptions::default() };
    write::snapshot(repository, options, name, [(kind, objects)]).await
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

fn flip(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 0x10;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn passwords_that_are_wrong_or_missing() {
    let prepared = Prepared::new();
    let password = prepared.user.home().join(".config/kubestash/password");
    insta::assert_snapshot!(prepared.shown(&["snapshots", "--password-file", "nowhere"]), @r#"
    exit 1
    error: cannot read the password file nowhere: No such file or directory (os error 2)
      hint: --password-file and KUBESTASH_PASSWORD_FILE name it; the default is .config/kubestash/password below your home
    "#);
    std::fs::write(prepared.user.home().join("other"), "guess\n").unwrap();
    insta::assert_snapshot!(prepared.shown(&["snapshots", "--password-file", "other"]), @r#"
    exit 1
    error: cannot open the repository at ~/.local/share/kubestash/repository
      cause: wrong password for the repository at ~/.local/share/kubestash/repository/cluster-resources/kstash/v1: none of its keys opens with it (keys tried: 1)
      hint: check --password-file, KUBESTASH_PASSWORD_FILE and KUBESTASH_PASSWORD; --repo may name another repository than you think
    "#);
    std::fs::write(prepared.user.home().join("other"), "\n").unwrap();
    insta::assert_snapshot!(prepared.shown(&["snapshots", "--password-file", "other"]), @r#"
    exit 1
    error: the password file other is empty
      hint: write the password into its first line
    "#);
    std::fs::rename(&password, prepared.user.home().join("kept")).unwrap();
    insta::assert_snapshot!(prepared.shown(&["snapshots"]), @r#"
    exit 1
    error: there is no password: ~/.config/kubestash/password does not exist
      hint: name the file with --password-file, or set KUBESTASH_PASSWORD
    "#);
    prepared.user.ok(&["snapshots", "--password-file", "kept"]);
}

#[test]
fn a_pack_that_is_cut_changed_or_gone() {
    let prepared = Prepared::new();
    let pack = prepared.large_pack();
    let good = std::fs::read(&pack).unwrap();

    std::fs::write(&pack, &good[..good.len() / 2]).unwrap();
    insta::assert_snapshot!(prepared.shown(&["cat", "two", "cm/large", "-n", "shop"]), @r#"
    exit 1
    error: cannot read configmaps/large -n shop
      cause: packs/<id>/<id> is damaged: it ends too early
      hint: `kubectl kubestash check --read-data` lists every snapshot and object that is hit; all others stay readable
    "#);
    insta::assert_snapshot!(prepared.shown(&["check"]), @r#"
    exit 1
    Snapshots that are not named can be read. A new backup with --no-parent stores every object anew; `kubectl kubestash repair` saves what can be saved of the old ones.
    2 snapshots, 4 packs, 8 blocks
    DAMAGED: packs/<id>/<id> has 5526 bytes instead of 11053: it was cut or changed
      snapshots: two
      objects, some of them: configmaps/large -n shop
    "#);
    prepared.old_objects_read();

    std::fs::write(&pack, &good).unwrap();
    flip(&pack, 1000);
    insta::assert_snapshot!(prepared.shown(&["cat", "two", "cm/large", "-n", "shop"]), @r#"
    exit 1
    error: cannot read configmaps/large -n shop
      cause: block <id> in packs/<id>/<id> is damaged: its content was changed or damaged (authentication failed)
      hint: `kubectl kubestash check --read-data` lists every snapshot and object that is hit; all others stay readable
    "#);
    insta::assert_snapshot!(prepared.shown(&["check", "--read-data"]), @r#"
    exit 1
    Snapshots that are not named can be read. A new backup with --no-parent stores every object anew; `kubectl kubestash repair` saves what can be saved of the old ones.
    2 snapshots, 4 packs, 8 blocks, 13.2 KiB read
    DAMAGED: packs/<id>/<id> is damaged: its bytes do not fit its name
      snapshots: two
      objects, some of them: configmaps/large -n shop
    "#);
    prepared.old_objects_read();

    std::fs::remove_file(&pack).unwrap();
    insta::assert_snapshot!(prepared.shown(&["cat", "two", "cm/large", "-n", "shop"]), @r#"
    exit 1
    error: cannot read configmaps/large -n shop
      cause: packs/<id>/<id> is missing from the repository
      hint: `kubectl kubestash check --read-data` lists every snapshot and object that is hit; all others stay readable
    "#);
    insta::assert_snapshot!(prepared.shown(&["check"]), @r#"
    exit 1
    Snapshots that are not named can be read. A new backup with --no-parent stores every object anew; `kubectl kubestash repair` saves what can be saved of the old ones.
    2 snapshots, 4 packs, 8 blocks
    DAMAGED: packs/<id>/<id> is missing
      snapshots: two
      objects, some of them: configmaps/large -n shop
    "#);
    prepared.old_objects_read();
}

#[test]
fn a_pack_with_a_catalog() {
    let prepared = Prepared::new();
    let data = prepared.large_pack();
    let catalog = files(&prepared.native().join("packs")).into_iter().find(|pack| *pack != data && !prepared.packs_of_one.contains(pack)).unwrap();
    flip(&catalog, 50);
    insta::assert_snapshot!(prepared.shown(&["ls", "two"]), @r#"
    exit 1
    error: block <id> in packs/<id>/<id>, part of the catalog of snapshot two, is damaged: its content was changed or damaged (authentication failed)
      hint: `kubectl kubestash check --read-data` lists every snapshot and object that is hit; all others stay readable
    "#);
    insta::assert_snapshot!(prepared.shown(&["check"]), @r#"
    exit 1
    Snapshots that are not named can be read. A new backup with --no-parent stores every object anew; `kubectl kubestash repair` saves what can be saved of the old ones.
    2 snapshots, 4 packs, 8 blocks
    DAMAGED: block <id> in packs/<id>/<id>, part of the catalog of snapshot two, is damaged: its content was changed or damaged (authentication failed)
      snapshots: two
    "#);
    assert!(prepared.user.ok(&["cat", "one", "cm/settings-07", "-n", "shop"]).contains("number: \"7\""));
}

#[test]
fn an_index_file_that_is_changed_or_gone_loses_nothing() {
    let prepared = Prepared::new();
    let index = prepared.only("index");
    flip(&index, 100);
    prepared.old_objects_read();
    insta::assert_snapshot!(prepared.shown(&["check", "--read-data"]), @r#"
    exit 1
    No snapshot has lost anything by that. `kubectl kubestash repair index` and `repair packs` mend what is damaged of indexes and packs.
    2 snapshots, 4 packs, 8 blocks, 13.2 KiB read
    DAMAGED: index/<id> is damaged: its bytes do not fit its name
    DAMAGED: an index file is missing or damaged: packs that stand in no other: 2; they can be read, and `kubectl kubestash repair index` makes an index of them
    "#);
    std::fs::remove_file(&index).unwrap();
    prepared.old_objects_read();
    insta::assert_snapshot!(prepared.shown(&["check"]), @r#"
    exit 1
    No snapshot has lost anything by that. `kubectl kubestash repair index` and `repair packs` mend what is damaged of indexes and packs.
    2 snapshots, 4 packs, 8 blocks
    DAMAGED: an index file is missing or damaged: packs that stand in no other: 2; they can be read, and `kubectl kubestash repair index` makes an index of them
    "#);
}

#[test]
fn a_root_that_is_changed_or_cut() {
    let prepared = Prepared::new();
    let root = prepared.root("two");
    flip(&root, 100);
    let shown = prepared.shown(&["cat", "two", "cm/large", "-n", "shop"]);
    insta::assert_snapshot!(shown.split("error:").next().unwrap(), @r#"
    exit 1
    warning: a snapshot cannot be read: roots/<id> is damaged: its content was changed or damaged (authentication failed)
    Put the file back from a copy of the storage, or remove it with `kubectl kubestash forget <id>`.
    "#);
    insta::assert_snapshot!(prepared.shown(&["check"]), @r#"
    exit 1
    Snapshots that are not named can be read. A new backup with --no-parent stores every object anew; `kubectl kubestash repair` saves what can be saved of the old ones.
    1 snapshot, 4 packs, 8 blocks
    DAMAGED: roots/<id> is damaged: its content was changed or damaged (authentication failed)
    "#);
    std::fs::write(&root, "").unwrap();
    insta::assert_snapshot!(prepared.shown(&["snapshots", "-o", "name"]), @r#"
    exit 3
    warning: a snapshot cannot be read: roots/<id> is damaged: it ends too early
    Put the file back from a copy of the storage, or remove it with `kubectl kubestash forget <id>`.
    one
    "#);
    prepared.user.ok(&["forget", root.file_name().unwrap().to_str().unwrap()]);
    assert!(prepared.user.ok(&["check", "--read-data"]).contains("no damage found"));
    assert!(prepared.user.ok(&["cat", "one", "cm/settings-07", "-n", "shop"]).contains("number: \"7\""));
}

#[test]
fn a_key_file_that_is_changed() {
    let prepared = Prepared::new();
    let key = prepared.only("keys");
    prepared.user.ok(&["key", "add", "--new-password-file", "second"]);
    flip(&key, 100);
    insta::assert_snapshot!(prepared.shown(&["snapshots"]), @r#"
    exit 1
    error: cannot open the repository at ~/.local/share/kubestash/repository
      cause: keys/<id> is damaged: its content was changed or damaged (authentication failed)
      hint: use another password of this repository, or put this file back from a copy of the storage; the snapshots are not damaged by this
    "#);
    // Another password still opens all, and can take the damage away.
    insta::assert_snapshot!(prepared.shown(&["check", "--password-file", "second"]), @r#"
    exit 1
    No snapshot has lost anything by that. `kubectl kubestash repair index` and `repair packs` mend what is damaged of indexes and packs.
    2 snapshots, 4 packs, 8 blocks
    DAMAGED: keys/<id> is damaged: its content was changed or damaged (authentication failed); put the file back from a copy of the storage, or remove it with `kubectl kubestash key remove <id>`
    "#);
    let id = key.file_name().unwrap().to_str().unwrap();
    prepared.user.ok(&["key", "remove", id, "--password-file", "second"]);
    assert!(prepared.user.ok(&["check", "--password-file", "second"]).contains("no damage found"));
}

#[test]
fn a_config_that_is_changed_or_gone() {
    let prepared = Prepared::new();
    let config = prepared.native().join("config");
    let good = std::fs::read(&config).unwrap();
    // Every byte is tried in memory; here some of each line.
    for at in (0..good.len()).step_by(11) {
        flip(&config, at);
        let ran = prepared.user.run(&["snapshots"]);
        assert!(ran.code == 1 && ran.err.contains("/config is damaged: "), "byte {at}: {ran:?}");
        flip(&config, at);
    }
    flip(&config, 20);
    insta::assert_snapshot!(prepared.shown(&["snapshots"]), @r#"
    exit 1
    error: cannot open the repository at ~/.local/share/kubestash/repository
      cause: ~/.local/share/kubestash/repository/cluster-resources/kstash/v1/config is damaged: its content was changed or damaged (authentication failed)
      hint: put this file back from a copy of the storage: it is written once and never changes; what lies beside it is not damaged by this
    "#);
    std::fs::remove_file(&config).unwrap();
    insta::assert_snapshot!(prepared.shown(&["snapshots"]), @r#"
    exit 1
    error: cannot open the repository at ~/.local/share/kubestash/repository
      cause: ~/.local/share/kubestash/repository/cluster-resources/kstash/v1/config is missing, and there is data of a repository beside it
      hint: put this file back from a copy of the storage: it is written once and never changes, and no snapshot can be read without it
    "#);
    insta::assert_snapshot!(prepared.shown(&["repo", "init"]), @r#"
    exit 1
    error: cannot open the repository at ~/.local/share/kubestash/repository
      cause: ~/.local/share/kubestash/repository/cluster-resources/kstash/v1/config is missing, and there is data of a repository beside it
      hint: put this file back from a copy of the storage: it is written once and never changes, and no snapshot can be read without it
    "#);
    std::fs::write(&config, good).unwrap();
    prepared.old_objects_read();
}

/// A store that nobody answers for, asked as a user does; gives what is shown and how long it took.
fn ask(endpoint: &str) -> (String, Duration) {
    let user = User::new().variable("AWS_ACCESS_KEY_ID", "k").variable("AWS_SECRET_ACCESS_KEY", "s").variable("KUBESTASH_PASSWORD", "p");
    let start = Instant::now();
    let ran = user.run(&["snapshots", "--repo", "s3://bucket/cluster", "--s3-endpoint", endpoint]);
    assert_eq!(ran.code, 1, "{ran:?}");
    (ran.err, start.elapsed())
}

#[test]
fn a_store_that_is_not_there() {
    let endpoint = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let (text, took) = ask(&endpoint);
    // How long the client tried stands in its words.
    let text = text.replace(&endpoint, "<endpoint>");
    let (head, tail) = text.split_once("max-keys=1 in ").unwrap();
    let (_, tail) = tail.split_once(',').unwrap();
    insta::assert_snapshot!(format!("{head}max-keys=1 in <time>,{tail}"), @r#"
    error: cannot open the repository at s3://bucket/cluster (endpoint <endpoint>)
      cause: s3://bucket/cluster/kstash/v1 failed for its names
      cause: Generic S3 error: Error performing list request: Error performing GET <endpoint>/bucket?list-type=2&prefix=cluster%2Fkstash%2Fv1%2F&max-keys=1 in <time>, after 6 retries, max_retries: 6, retry_timeout: 30s  - HTTP error: error sending request
      cause: client error (Connect)
      cause: tcp connect error
      cause: Connection refused (os error 111)
      hint: check that the store exists and is reachable from here; --repo names it, --s3-endpoint or --azure-endpoint where it listens
    "#);
    assert!(took < Duration::from_secs(25), "{took:?}");
}

#[test]
fn a_store_that_never_answers() {
    // Connections are taken by the kernel, and nobody reads from them.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (text, took) = ask(&endpoint);
    insta::assert_snapshot!(text.replace(&endpoint, "<endpoint>"), @r#"
    error: cannot open the repository at s3://bucket/cluster (endpoint <endpoint>)
      cause: s3://bucket/cluster/kstash/v1 did not answer within 20 s for its names
      hint: check that the store exists and is reachable from here; --repo names it, --s3-endpoint or --azure-endpoint where it listens
    "#);
    assert!(took < Duration::from_secs(30), "{took:?}");
}

/// Something mounted for a test; gone when it is dropped.
struct Mounted(PathBuf);

impl Mounted {
    fn new(arguments: &[&str], at: &Path) -> Self {
        std::fs::create_dir_all(at).unwrap();
        let mounted = Command::new("mount").args(arguments).arg(at).status().unwrap();
        assert!(mounted.success(), "this test mounts {at:?} and needs root");
        Self(at.to_owned())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_folder_that_nobody_may_write() {
    let prepared = Prepared::new();
    let folder = prepared.user.repository();
    let _bound = Mounted::new(&["--bind", folder.to_str().unwrap()], &folder);
    assert!(Command::new("mount").args(["-o", "remount,bind,ro"]).arg(&folder).status().unwrap().success());
    prepared.old_objects_read();
    assert!(prepared.user.ok(&["check", "--read-data"]).contains("no damage found"));
    insta::assert_snapshot!(prepared.shown(&["forget", "one"]), @r#"
    exit 1
    error: ~/.local/share/kubestash/repository/cluster-resources/kstash/v1 denies access to roots/<id>
      cause: Generic LocalFileSystem error: Unable to delete file ~/.local/share/kubestash/repository/cluster-resources/kstash/v1/roots/<id>: Read-only file system (os error 30)
      hint: check the credentials and their rights: read, write, list and delete
    "#);
    insta::assert_snapshot!(prepared.shown(&["key", "add", "--new-password-file", "second"]), @r#"
    exit 1
    Made a random password in second.
    error: cannot add the key
      cause: ~/.local/share/kubestash/repository/cluster-resources/kstash/v1 denies access to keys/<id>
      cause: Generic LocalFileSystem error: Unable to open file ~/.local/share/kubestash/repository/cluster-resources/kstash/v1/keys/<id>#1: Read-only file system (os error 30)
      hint: check the credentials and their rights: read, write, list and delete
    "#);
    prepared.old_objects_read();
}

#[test]
fn a_disk_that_is_full() {
    let prepared = Prepared::new();
    let small = prepared.user.home().join("small");
    let _mounted = Mounted::new(&["-t", "tmpfs", "-o", "size=1m", "tmpfs"], &small);
    assert!(Command::new("cp").args(["-a"]).arg(prepared.user.repository().join(".")).arg(&small).status().unwrap().success());
    let rest = std::fs::File::create(small.join("filler")).and_then(|mut file| std::io::copy(&mut std::io::repeat(0), &mut file));
    assert_eq!(rest.unwrap_err().kind(), std::io::ErrorKind::StorageFull);
    insta::assert_snapshot!(prepared.shown(&["key", "add", "--new-password-file", "second", "--repo", "small"]), @r#"
    exit 1
    Made a random password in second.
    error: cannot add the key
      cause: small/cluster-resources/kstash/v1 is full: cannot write keys/<id>
      hint: free some space and run the command again; nothing stored before is lost
    "#);
    assert!(prepared.user.ok(&["cat", "two", "cm/settings-07", "-n", "shop", "--repo", "small"]).contains("number: \"7\""));
    assert!(prepared.user.ok(&["check", "--read-data", "--repo", "small"]).contains("no damage found"));
    // Deleting frees space, so it must work without any.
    prepared.user.ok(&["forget", "two", "--repo", "small"]);
    assert_eq!(prepared.user.ok(&["snapshots", "-o", "name", "--repo", "small"]), "one\n");
}
