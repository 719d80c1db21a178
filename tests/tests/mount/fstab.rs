//! Mounts by mount(8), as /etc/fstab asks for them. Each test has a mount namespace of its own, in which the helper is installed.

use std::process::Output;

use kubestash_tests::{
    mounts::script,
    program::programs,
    sample::{PASSWORD, Sample, Shape},
};

const TINY: Shape = Shape { namespaces: 2, kinds: 3, each: 5, bytes: 200 };

/// A machine with its own /sbin above the real one, a table of file systems and a password file. What is written to root's home and /var/log goes
/// with it.
struct Machine {
    folder: tempfile::TempDir,
    sample: Sample,
}

impl Machine {
    async fn new() -> Self {
        let (folder, sample) = (tempfile::tempdir().unwrap(), Sample::with_snapshot(TINY).await);
        std::fs::create_dir(folder.path().join("m")).unwrap();
        std::fs::write(folder.path().join("password"), PASSWORD).unwrap();
        Self { folder, sample }
    }

    /// Runs words; REPO, PWD and so on stand for what they say. `helper`: whether mount(8) finds the program by itself, else through mount.fuse3.
    fn run(&self, helper: bool, fstab: &str, words: &str) -> Output {
        let here = self.folder.path().to_str().unwrap();
        let filled = |text: &str| text.replace("REPO", self.sample.place().to_str().unwrap()).replace("HERE", here);
        std::fs::write(self.folder.path().join("fstab"), filled(fstab)).unwrap();
        std::fs::write(self.folder.path().join("words"), filled(words)).unwrap();
        let install = if helper { "ln -s PROGRAMS/kstashfs bin/mount.fuse.kstashfs" } else { "ln -s PROGRAMS/kstashfs bin/kstashfs" };
        let program = format!(
            "mkdir -p bin log && rm -f bin/* && {install} && \
             unshare -m --propagation private bash -e -c '\
             export PATH=$PATH:/usr/sbin:/sbin; mount -t tmpfs tmpfs log; mkdir log/root log/work; sbin=$(readlink -f /sbin); \
             mount -t overlay overlay -o lowerdir=/root,upperdir=log/root,workdir=log/work /root; \
             mount -t overlay overlay -o lowerdir=$PWD/bin:$sbin $sbin; mount --bind log /var/log; unset HOME XDG_STATE_HOME; . ./words'"
        );
        script(self.folder.path(), &program.replace("PROGRAMS", programs().to_str().unwrap()))
    }

    fn ok(&self, helper: bool, fstab: &str, words: &str) -> String {
        let output = self.run(helper, fstab, words);
        assert!(output.status.success(), "{words}: {}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

const FSTAB: &str = "kstashfs:REPO HERE/m fuse.kstashfs all,allow_other,password_file=HERE/password,uid=1234,gid=5678,umask=007,nofail,_netdev,x-systemd.automount 0 0\n";

#[tokio::test(flavor = "multi_thread")]
async fn mount_8_mounts_what_the_table_says() {
    let machine = Machine::new().await;
    let words = "
        mount -T HERE/fstab HERE/m
        stat -c '%u:%g %a' m/latest/cluster/namespaces/odd.yaml m/snapshots/one
        head -1 m/latest/cluster/namespaces/odd.yaml
        findmnt -n -o SOURCE,OPTIONS m | tr -s ' '
        mount -a -T HERE/fstab
        grep -c ' HERE/m ' /proc/self/mounts
        cat m/.kstashfs/info | grep mountpoint
        umount m
        grep -c ' HERE/m ' /proc/self/mounts || true
        find log -name '*.log' -printf '%f\n'";
    let here = machine.folder.path().display().to_string();
    for helper in [true, false] {
        let said = machine.ok(helper, FSTAB, words);
        let source =
            format!("kstashfs:{} ro,nosuid,nodev,noatime,user_id=0,group_id=0,default_permissions,allow_other", machine.sample.place().display());
        let log = here.trim_start_matches('/').replace('/', "_");
        let wanted = format!("1234:5678 440\n1234:5678 550\napiVersion: v1\n{source}\n1\nmountpoint: {here}/m\n0\n{log}_m.log\n");
        assert_eq!(said, wanted, "as a helper of its own: {helper}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn options_can_be_given_by_hand() {
    let machine = Machine::new().await;
    std::fs::write(machine.folder.path().join("env"), format!("# credentials\nKUBESTASH_PASSWORD=\"{PASSWORD}\"\n\nOTHER=x\n")).unwrap();
    let words = "
        mount -t fuse.kstashfs -o ro,nosuid,snapshot=one,env-file=HERE/env,secret-mode=444,umask=004 REPO HERE/m
        ls m; stat -c %a m/namespaces/team-0/secrets/secrets-1.yaml m/cluster/namespaces/odd.yaml; umount m
        mount -t fuse.kstashfs -o repo=REPO,env-file=HERE/env none HERE/m; ls m | head -1; umount m";
    for helper in [true, false] {
        assert_eq!(machine.ok(helper, "", words), "cluster\nnamespaces\nresources\n440\n440\ncluster\n");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_said_by_mount_8_as_well() {
    let machine = Machine::new().await;
    for (words, error) in [
        ("mount -t fuse.kstashfs -o snapshto=one REPO m", "the mount option \"snapshto\" is not known"),
        ("mount -t fuse.kstashfs -o password-file=HERE/password,snapshot=two REPO m", "there is no snapshot \"two\""),
        ("mount -t fuse.kstashfs -o password-file=HERE/password,umask=9 REPO m", "write an octal number"),
        ("mount -t fuse.kstashfs -o env-file=HERE/words REPO m", "line 1 is not NAME=VALUE"),
        ("mount -t fuse.kstashfs REPO m", "no password: name a --password-file"),
    ] {
        for helper in [true, false] {
            let output = machine.run(helper, "", words);
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(!output.status.success() && said.contains(error), "{words}, {helper}: {said}");
            assert_eq!(kstashfs::state(&machine.folder.path().join("m")), kstashfs::State::Free);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mount_as_if_mounts_nothing() {
    let machine = Machine::new().await;
    assert_eq!(machine.ok(true, FSTAB, "mount -f -T HERE/fstab HERE/m; grep -c ' HERE/m ' /proc/self/mounts || true"), "0\n");
}

/// mount(8) hands labels on only where the kernel has SELinux, so that the program is asked itself.
#[tokio::test(flavor = "multi_thread")]
async fn labels_reach_the_kernel() {
    let machine = Machine::new().await;
    let words = "HERE/bin/kstashfs REPO m -o 'rw,password-file=HERE/password,context=\"system_u:object_r:tmp_t:s0:c1,c2\"' && ls -Zd m";
    let output = machine.run(false, "", words);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if std::path::Path::new("/sys/fs/selinux/enforce").exists() {
        assert!(output.status.success() && out.contains("system_u:object_r:tmp_t:s0:c1,c2"), "{out}{err}");
    } else {
        // This kernel refuses what it does not know.
        assert!(!output.status.success() && err.contains("system_u:object_r:tmp_t:s0:c1,c2"), "{out}{err}");
        assert!(err.contains("hint: labels need a kernel with SELinux"), "{err}");
    }
}
