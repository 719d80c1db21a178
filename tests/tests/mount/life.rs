//! How mounts begin and end.

use std::{
    io::Read as _,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use kstashfs::State;
use kubestash_tests::{
    mounts::{Place, script, sh, wait_for},
    program::{User, programs},
    sample::{PASSWORD, Sample, Shape},
};

const TINY: Shape = Shape { namespaces: 2, kinds: 3, each: 5, bytes: 200 };

async fn tiny() -> Sample {
    Sample::with_snapshot(TINY).await
}

fn objects(user: &User) -> usize {
    user.ok(&["ls", "one", "all", "-A", "-o", "name"]).lines().count()
}

/// The process that serves a mount: the one that its parent named.
fn daemon(message: &str) -> u32 {
    let (_, rest) = message.split_once("(process ").unwrap_or_else(|| panic!("{message}"));
    rest.split_once(')').unwrap().0.parse().unwrap()
}

pub(crate) fn signal(process: u32, signal: i32) {
    // SAFETY: a plain system call; the process is one that this test started.
    assert_eq!(unsafe { libc::kill(process as i32, signal) }, 0, "process {process}");
}

fn is_gone(process: u32) -> bool {
    // A zombie has nobody left to be reaped by in some containers.
    std::fs::read_to_string(format!("/proc/{process}/stat")).map_or(true, |stat| stat.contains(") Z "))
}

/// Runs `mount` in the background and gives the process id.
pub(crate) fn mount(user: &User, place: &Place) -> u32 {
    let ran = user.run(&["mount", place.text()]);
    assert_eq!(ran.code, 0, "{ran:?}");
    daemon(&ran.err)
}

fn in_foreground(user: &User, place: &Place) -> Child {
    let child = user.command(&["mount", "--foreground", place.text()]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for("the mount comes up", Duration::from_secs(20), || place.path().join("cluster").exists());
    child
}

/// Waits for the end of a program, and for what it said.
fn ended(mut child: Child) -> (Option<i32>, String) {
    let mut said = String::new();
    wait_for("the program ends", Duration::from_secs(10), || child.try_wait().unwrap().is_some());
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    (child.wait().unwrap().code(), said)
}

#[tokio::test(flavor = "multi_thread")]
async fn in_the_foreground_signals_end_it_cleanly() {
    let sample = tiny().await;
    let user = sample.user(PASSWORD);
    for number in [libc::SIGINT, libc::SIGTERM] {
        let place = Place::new();
        let child = in_foreground(&user, &place);
        signal(child.id(), number);
        let (code, said) = ended(child);
        assert_eq!(code, Some(0), "{said}");
        assert_eq!(said, format!("Mounted one, {} objects, on {}. Ctrl-C ends it.\n", objects(&user), place.text()));
        assert_eq!(kstashfs::state(place.path()), State::Free);
    }
    // Unmounted by somebody else it ends too.
    let place = Place::new();
    let child = in_foreground(&user, &place);
    user.ok(&["umount", place.text()]);
    assert_eq!(ended(child).0, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_that_are_inside_do_not_keep_it() {
    let sample = Sample::with_snapshot(Shape::WIDE).await;
    let (user, place) = (sample.user(PASSWORD), Place::new());
    let child = in_foreground(&user, &place);
    let readers = "for n in 1 2 3 4; do (cd cluster && while ls -R . >/dev/null && cat namespaces/*.yaml >/dev/null; do :; done) & done; wait";
    let mut readers = Command::new("bash").args(["-c", readers]).current_dir(place.path()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(500));
    signal(child.id(), libc::SIGTERM);
    assert_eq!(ended(child).0, Some(0));
    assert_eq!(kstashfs::state(place.path()), State::Free);
    // What the kernel had in memory may last for a while; then they see that the mount is gone.
    kubestash_tests::mounts::forget_caches();
    wait_for("the readers end", Duration::from_secs(20), || readers.try_wait().unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn in_the_background_it_lets_go_of_its_caller() {
    let sample = tiny().await;
    let (user, place) = (sample.user(PASSWORD), Place::new());
    let start = Instant::now();
    // Reads stdout and stderr to their ends, which a daemon that kept them would never let come.
    let output = user.command(&["mount", place.text()]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && output.stdout.is_empty(), "{said}");
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    let process = daemon(&said);
    let end = format!("End it with: kubectl kubestash umount {}", place.text());
    assert_eq!(said, format!("Mounted one, {} objects (process {process}). {end}\n", objects(&user)));
    assert_eq!(std::fs::read_link(format!("/proc/{process}/cwd")).unwrap(), Path::new("/"));
    assert!(place.path().join("cluster/namespaces/team-0.yaml").exists(), "it answers when the command returns");
    let log = sh(user.home(), "ls -l .local/state/kubestash/mounts");
    assert!(log.contains("-rw-------"), "{log}");
    user.ok(&["umount", place.text()]);
    wait_for("the process ends", Duration::from_secs(5), || is_gone(process));

    // A lock that a script holds over it ends with the script.
    let words = format!(
        "exec 9>lock; flock 9; KUBESTASH_REPO={} KUBESTASH_PASSWORD='{PASSWORD}' HOME=$PWD {}/kubectl-kubestash mount -q {}; exec 9>&-; flock -n lock true",
        sample.place().display(),
        programs().display(),
        place.text()
    );
    sh(user.home(), &words);
    user.ok(&["umount", place.text()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_in_the_background_is_shown_once() {
    let sample = tiny().await;
    let (user, place) = (sample.user("wrong"), Place::new());
    let ran = user.run(&["mount", place.text()]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert_eq!(ran.err.matches("wrong password").count(), 1, "{ran:?}");
    assert_eq!(ran.err.matches("error:").count(), 1, "{ran:?}");
    let daemon = Command::new(programs().join("kstashfs")).args([sample.place(), place.path()]).env("KUBESTASH_PASSWORD", "wrong").output().unwrap();
    let said = String::from_utf8(daemon.stderr).unwrap();
    assert_eq!((daemon.status.code(), said.matches("wrong password").count(), said.matches("error:").count()), (Some(1), 1, 1), "{said}");
    assert_eq!(kstashfs::state(place.path()), State::Free);
}

#[tokio::test(flavor = "multi_thread")]
async fn unmounting_tells_when_somebody_is_inside() {
    let sample = tiny().await;
    let (user, place) = (sample.user(PASSWORD), Place::new());
    let process = mount(&user, &place);
    let mut inside = Command::new("sleep").arg("100").current_dir(place.path().join("cluster")).spawn().unwrap();
    let busy = user.run(&["umount", place.text()]);
    assert_eq!(busy.code, 1, "{busy:?}");
    assert!(busy.err.contains("is in use") && busy.err.contains("--lazy"), "{busy:?}");
    user.ok(&["umount", "--lazy", place.text()]);
    assert_eq!(kstashfs::state(place.path()), State::Free);
    assert!(!is_gone(process), "who is inside may stay");
    inside.kill().unwrap();
    inside.wait().unwrap();
    wait_for("the process ends behind the last one", Duration::from_secs(5), || is_gone(process));
    let none = user.run(&["umount", place.text()]);
    assert_eq!(none.code, 1, "{none:?}");
    assert!(none.err.contains("no snapshot is mounted on"), "{none:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_daemon_is_recovered_from() {
    let sample = tiny().await;
    let (user, place) = (sample.user(PASSWORD), Place::new());
    let killed = |place: &Place| {
        let process = mount(&user, place);
        // The kernel has it all in memory and would go on showing it.
        sh(place.path(), "grep -r x . | wc -l");
        signal(process, libc::SIGKILL);
        wait_for("it is dead", Duration::from_secs(5), || kstashfs::state(place.path()) == State::Dead);
    };
    killed(&place);
    user.ok(&["umount", place.text()]);
    assert_eq!(kstashfs::state(place.path()), State::Free);
    killed(&place);
    mount(&user, &place);
    assert_eq!(sh(place.path(), "cat namespaces/team-1/configmaps/configmaps-1.yaml | head -1"), "apiVersion: v1\n");
    user.ok(&["umount", place.text()]);
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0, "no mount is left below");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_hangs_can_be_taken_away() {
    let sample = tiny().await;
    let (user, place) = (sample.user(PASSWORD), Place::new());
    let process = mount(&user, &place);
    signal(process, libc::SIGSTOP);
    let again = user.run(&["mount", place.text()]);
    assert_eq!(again.code, 1, "{again:?}");
    assert!(again.err.contains("does not answer") && again.err.contains("umount --lazy"), "{again:?}");
    user.ok(&["umount", "--lazy", place.text()]);
    assert_eq!(kstashfs::state(place.path()), State::Free);
    signal(process, libc::SIGKILL);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_daemon_never_takes_a_new_mount_away() {
    let sample = tiny().await;
    let (user, place) = (sample.user(PASSWORD), Place::new());
    for _ in 0..5 {
        let old = mount(&user, &place);
        user.ok(&["umount", place.text()]);
        let new = mount(&user, &place);
        wait_for("the old process ends", Duration::from_secs(5), || is_gone(old));
        assert_eq!(kstashfs::state(place.path()), State::Alive);
        user.ok(&["umount", place.text()]);
        wait_for("the new process ends", Duration::from_secs(5), || is_gone(new));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_an_empty_directory_is_mounted_on() {
    let sample = tiny().await;
    let (user, place) = (sample.user(PASSWORD), Place::new());
    let refused = |path: &Path, words: &str| {
        for foreground in [true, false] {
            let mut args = vec!["mount", path.to_str().unwrap()];
            args.extend(foreground.then_some("--foreground"));
            let ran = user.run(&args);
            assert_eq!(ran.code, 1, "{ran:?}");
            assert!(ran.err.contains(words) && ran.err.contains(path.to_str().unwrap()), "{ran:?}");
        }
    };
    let folder = user.home().join("folder");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("file"), "x").unwrap();
    refused(&folder, "the directory is not empty");
    refused(&folder.join("file"), "it is not a directory");
    refused(&folder.join("file/below"), "ot a directory");
    mount(&user, &place);
    refused(place.path(), "a snapshot is mounted there already");

    // One that is missing is made, also with a name that the table of mounts has to escape, also given from where one stands.
    let missing = user.home().join("a b/c,d");
    user.ok(&["mount", "a b/c,d"]);
    assert_eq!(kstashfs::state(&missing), State::Alive);
    user.ok(&["umount", "a b/../a b/c,d"]);
    assert_eq!(kstashfs::state(&missing), State::Free);
    assert_eq!(missing.metadata().unwrap().permissions().mode() & 0o777, 0o755);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_device_the_error_says_what_to_do() {
    let sample = tiny().await;
    let (user, place) = (sample.user(PASSWORD), Place::new());
    let words = format!(
        "unshare -m sh -c 'mount -t tmpfs tmpfs /dev && mknod /dev/null c 1 3 && HOME={} KUBESTASH_REPO={} KUBESTASH_PASSWORD=x \
         {}/kubectl-kubestash mount {}'",
        user.home().display(),
        sample.place().display(),
        programs().display(),
        place.text()
    );
    let output = script(user.home(), &words);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(said.matches("this machine has no /dev/fuse").count(), 1, "{said}");
    assert!(said.contains("hint: load the module with `modprobe fuse`") && said.contains("--device /dev/fuse"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cluster_as_it_is_now_can_be_mounted() {
    let cluster = kubestash_tests::cluster::Cluster::shared();
    cluster.apply("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings, namespace: default}\ndata: {colour: blue}\n");
    let (user, place) = (User::with_cluster(cluster), Place::new());
    user.ok(&["repo", "init"]);
    user.ok(&["mount", "live", place.text()]);
    let manifest = sh(place.path(), "cat namespaces/default/configmaps/settings.yaml");
    assert!(manifest.contains("colour: blue") && !manifest.contains("resourceVersion"), "{manifest}");
    assert!(sh(place.path(), "cat resources/namespaces/cluster/default.yaml").contains("phase: Active"));
}
