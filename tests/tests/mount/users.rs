//! Users who are not root: they mount through fusermount3.

use std::os::unix::fs::PermissionsExt as _;

use kubestash_tests::{
    mounts::{script, sh},
    program::programs,
    sample::{GENERAL_PASSWORD, PASSWORD, Sample, Shape},
};

/// A user's machine in mount namespaces of its own: a device for everybody, as udev makes it, the programs and a home where the user can
/// reach them. All of it ends with the script.
struct Desk {
    folder: tempfile::TempDir,
    _sample: Sample,
}

impl Desk {
    async fn new() -> Self {
        let sample = Sample::with_snapshot(Shape::SMALL).await;
        let folder = tempfile::tempdir().unwrap();
        sh(
            folder.path(),
            &format!(
                "cp {0}/kubectl-kubestash {0}/kstashfs . && cp -r {1} repo && mkdir home && chmod -R a+rX . && chown -R 65534:65534 home",
                programs().display(),
                sample.place().display()
            ),
        );
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        Self { folder, _sample: sample }
    }

    /// Runs words as nobody.
    fn run(&self, password: &str, words: &str) -> std::process::Output {
        let user = format!(
            "set -e; export HOME=$PWD/home KUBESTASH_REPO=$PWD/repo KUBESTASH_PASSWORD='{password}'; export PATH=$PWD:$PATH; cd home\n{words}"
        );
        std::fs::write(self.folder.path().join("words"), user).unwrap();
        script(
            self.folder.path(),
            "unshare -m --propagation private bash -e -c '\
             mkdir device && mount -t tmpfs -o dev,mode=755 tmpfs device && mknod -m 666 device/fuse c 10 229 && mount --bind device/fuse /dev/fuse && \
             setpriv --reuid 65534 --regid 65534 --clear-groups bash words'; code=$?; rmdir device; exit $code",
        )
    }
}

/// Mounts and processes are looked for by this user's folder: those of tests beside this one show too.
#[tokio::test(flavor = "multi_thread")]
async fn a_user_mounts_and_unmounts() {
    let desk = Desk::new().await;
    let words = "
        kubectl-kubestash mount m
        grep -q 'user_id=65534' /proc/mounts && grep -q fuse.kstashfs /proc/mounts
        test $(stat -c %u m/cluster) = 65534
        find m -type f | wc -l
        cat m/namespaces/team-0/secrets/secrets-1.yaml | grep -c token:
        tar c m | wc -c | grep -q ......
        (cd m && sleep 100) & sleep 0.3
        kubectl-kubestash umount m && exit 7
        kill %1; wait || true
        kubectl-kubestash umount m
        if grep \"$PWD/m \" /proc/mounts; then exit 8; fi
        kstashfs $KUBESTASH_REPO m --all
        ls m/snapshots
        process=$(pgrep -u 65534 -f \"kstashfs $KUBESTASH_REPO m\" | head -1)
        kill -9 $process; sleep 0.3
        kubectl-kubestash mount m
        ls m
        kubectl-kubestash umount --lazy m
        if grep \"$PWD/m \" /proc/mounts; then exit 9; fi";
    let output = desk.run(PASSWORD, words);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{out}\n{err}", output.status);
    assert!(err.contains("m is in use"), "{err}");
    assert!(out.contains("one\ncluster\nnamespaces\nresources\n"), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_general_password_shows_secrets_hidden() {
    let desk = Desk::new().await;
    let output = desk.run(GENERAL_PASSWORD, "kubectl-kubestash mount m; cat m/namespaces/team-0/secrets/secrets-1.yaml; stat -c %a m/namespaces/team-0/secrets/*-1.yaml; kubectl-kubestash umount m");
    let out = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    assert!(out.contains("token: '<hidden: ") && out.contains("kind: Secret") && out.ends_with("444\n"), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_helper_or_the_right_the_error_says_what_to_do() {
    let desk = Desk::new().await;
    for (words, error, hint) in [
        ("PATH=$OLDPWD kubectl-kubestash mount m", "fusermount3 is not installed", "install the package fuse3"),
        ("kubectl-kubestash mount --allow-other m", "user_allow_other", "/etc/fuse.conf"),
    ] {
        let output = desk.run(PASSWORD, words);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(error) && said.contains(hint) && said.matches("error:").count() == 1, "{said}");
    }
    // A device that is root's alone, as where no udev runs.
    let script = kubestash_tests::mounts::script(
        desk.folder.path(),
        "unshare -m bash -e -c 'mkdir d && mount -t tmpfs -o dev tmpfs d && mknod -m 600 d/fuse c 10 229 && mount --bind d/fuse /dev/fuse && \
         HOME=$PWD/home setpriv --reuid 65534 --clear-groups ./kstashfs repo home/m'",
    );
    let said = String::from_utf8_lossy(&script.stderr);
    assert!(said.contains("/dev/fuse cannot be opened") && said.contains("hint: `chmod 666 /dev/fuse`"), "{said}");
}
