//! `.kstashfs/`: what is mounted and how it fares, for programs that know nothing of it.

use std::{collections::BTreeSet, fs::File, io::Read as _, os::unix::fs::MetadataExt as _, path::Path, time::Duration};

use kstashfs::{
    FileOptions, Forest, MountOptions,
    status::info::{Info, Secrets},
    status::metrics,
};
use kubestash_tests::{
    damage::{damaged_pack, flip},
    mounts::{Mounted, sh},
    sample::{GENERAL_PASSWORD, PASSWORD, Sample, Shape},
};

fn info(place: &Path) -> Info {
    Info::parse(&std::fs::read(place.join(".kstashfs/info")).unwrap()).unwrap()
}

fn figure(place: &Path, name: &str) -> f64 {
    metrics::value(&std::fs::read_to_string(place.join(".kstashfs/metrics")).unwrap(), name).unwrap_or_else(|| panic!("no {name}"))
}

/// The kernel keeps a name, and so a moment, for a second.
fn a_second() {
    std::thread::sleep(Duration::from_millis(1_100));
}

async fn mounted(sample: &Sample, password: &str, all: bool) -> Mounted {
    let repository = sample.open_with(password, |store| store).await;
    let roots = repository.snapshots().await.unwrap().roots;
    let forest = if all {
        Forest::all(repository, roots, FileOptions::default())
    } else {
        Forest::of(&repository.open_snapshot(roots.last().unwrap()).await.unwrap(), FileOptions::default())
    };
    Mounted::new(forest, &MountOptions::default())
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_there_for_who_knows_it_and_says_what_is_mounted() {
    let sample = Sample::with_snapshot(Shape::SMALL).await;
    for all in [false, true] {
        let mounted = mounted(&sample, if all { GENERAL_PASSWORD } else { PASSWORD }, all).await;
        for hidden in ["ls -a", "find . -maxdepth 1", "grep -rl kstashfs_requests . || true", "tar c . | tar t"] {
            assert!(!sh(mounted.path(), hidden).contains(".kstashfs"), "{hidden}");
        }
        let info = info(mounted.path());
        let root = sample.repository().newest().await.unwrap().unwrap();
        let shown = info.snapshot.unwrap();
        assert_eq!((shown.name, shown.id, shown.objects), (root.name, root.id.to_string(), root.stats.objects));
        assert_eq!((info.process, info.mountpoint.as_str()), (std::process::id(), mounted.path().to_str().unwrap()));
        assert_eq!((info.snapshots, info.secrets), if all { (Some(1), Secrets::Hidden) } else { (None, Secrets::Readable) });
        assert_eq!((info.unreadable.count, info.full), (0, false));
        assert_eq!(sh(mounted.path(), "ls -a .kstashfs"), ".\n..\ninfo\nmetrics\n");
        assert_eq!(sh(mounted.path(), "stat -c '%a %F' .kstashfs .kstashfs/*"), "555 directory\n444 regular file\n444 regular file\n");
        assert!(!mounted.path().join(".kstashfs/other").exists() && !mounted.path().join(".kstashfs/info/x").exists());
        assert!(std::fs::write(mounted.path().join(".kstashfs/info"), "x").is_err());
        // Only at the root.
        assert!(!mounted.path().join("cluster/.kstashfs").exists() && !mounted.path().join("snapshots/.kstashfs").exists());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_reader_gets_the_whole_text_of_one_moment() {
    let sample = Sample::with_snapshot(Shape::SMALL).await;
    let mounted = mounted(&sample, PASSWORD, false).await;
    let reads = || figure(mounted.path(), "kstashfs_requests_total");
    let before = reads();
    sh(mounted.path(), "grep -r connection . | wc -l");
    a_second();
    assert!(reads() > before + 5.0);
    for name in ["kstashfs_decoded_blocks_total", "kstashfs_store_read_bytes_total", "kstashfs_pushed_files_total", "kstashfs_block_cache_bytes"] {
        assert!(figure(mounted.path(), name) > 0.0, "{name}");
    }
    assert!(figure(mounted.path(), "kstashfs_resident_memory_bytes") > 1e6);
    // Numbers get longer while they are read; nobody sees a text that is cut off, or the end of another.
    let whole = "test \"$(tail -c 1 FILE | xxd -p)\" = 0a && READ | tail -1 | grep -q '^kstashfs_resident_memory_bytes{.*} [0-9]*$'";
    for reader in [
        "cat FILE",
        "dd if=FILE bs=7 status=none",
        "curl -s file://$PWD/FILE",
        "cp FILE /dev/stdout",
        "grep '' FILE",
        "cat < FILE",
        "head -c 1000000 FILE",
    ] {
        let words = whole.replace("READ", reader).replace("FILE", ".kstashfs/metrics").replace("xxd -p", "od -An -tx1 | tr -d ' '");
        sh(mounted.path(), &format!("for n in 1 2 3 4 5; do cat cluster/namespaces/*.yaml >/dev/null; {words} || exit 1; done"));
    }
    // An open file stays what it was: its size is the length of what is read, however many look meanwhile.
    let path = mounted.path().join(".kstashfs/metrics");
    let mut open: Vec<File> = Vec::new();
    for _ in 0..3 {
        open.push(File::open(&path).unwrap());
        a_second();
    }
    let inodes: BTreeSet<u64> = open.iter().map(|file| file.metadata().unwrap().ino()).collect();
    assert_eq!(inodes.len(), 3, "each a moment of its own");
    let mut counted = Vec::new();
    for mut file in open {
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text.len() as u64, file.metadata().unwrap().len());
        counted.push(metrics::value(&text, "kstashfs_requests_total").unwrap());
    }
    assert!(counted.is_sorted() && counted[0] < counted[2], "{counted:?}");
    assert!(std::fs::read_to_string(mounted.path().join("cluster/namespaces/odd.yaml")).unwrap().contains("kind: Namespace"));
}

#[tokio::test(flavor = "multi_thread")]
async fn it_names_what_cannot_be_read() {
    let sample = Sample::with_snapshot(Shape::WIDE).await;
    let (pack, at, hit) = damaged_pack(&sample).await;
    let mounted = mounted(&sample, PASSWORD, false).await;
    sh(mounted.path(), "find namespaces cluster -type f -exec cat {} + >/dev/null 2>&1 || true");
    let unreadable = info(mounted.path()).unreadable;
    assert_eq!(unreadable.count, hit.len() as u64);
    assert_eq!(figure(mounted.path(), "kstashfs_unreadable_files"), hit.len() as f64);
    let named: BTreeSet<String> = unreadable.files.iter().map(|file| file.path.clone().unwrap()).collect();
    assert!(named.len() == hit.len().min(100) && named.is_subset(&hit), "{named:?} of {hit:?}");
    let name = pack.file_name().unwrap().to_str().unwrap();
    for file in &unreadable.files {
        assert!(file.snapshot == "one" && file.damaged.starts_with("block ") && file.damaged.contains(name) && !file.reason.is_empty(), "{file:?}");
    }
    assert!(figure(mounted.path(), "kstashfs_read_errors_total") >= hit.len() as f64);
    // Whoever puts the pack back finds the files again, and the list empty.
    flip(&pack, at);
    for path in &hit {
        assert!(!std::fs::read(mounted.path().join(path)).unwrap().is_empty(), "{path}");
    }
    a_second();
    assert_eq!(info(mounted.path()).unreadable.count, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_names_a_snapshot_that_cannot_be_opened() {
    let sample = Sample::with_snapshot(Shape::SMALL).await;
    let mounted = mounted(&sample, PASSWORD, true).await;
    std::fs::rename(sample.native().join("packs"), sample.native().join("away")).unwrap();
    assert!(std::fs::read_dir(mounted.path().join("snapshots/one")).and_then(|mut entries| entries.next().transpose()).is_err());
    let file = info(mounted.path()).unreadable.files.pop().unwrap();
    assert_eq!((file.snapshot.as_str(), file.path), ("one", None));
    std::fs::rename(sample.native().join("away"), sample.native().join("packs")).unwrap();
    assert!(mounted.path().join("snapshots/one/cluster").exists());
    a_second();
    assert_eq!(info(mounted.path()).unreadable.count, 0);
}
