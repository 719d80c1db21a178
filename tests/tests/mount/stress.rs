//! Many readers at once while the kernel forgets: all bytes right, and nothing hangs.

use kstashfs::{FileOptions, Forest, MountOptions};
use kubestash_tests::{
    mounts::{Mounted, sh},
    sample::{Sample, Shape},
};

/// Six greps, eight readers of single files, and somebody who makes the kernel forget, for some seconds.
const CROWD: &str = r#"
set -o pipefail
find . -type f | sort > "$TREE.list"
(cd "$TREE" && grep -r -c connection . | sort) > "$TREE.counts"
end=$((SECONDS + 6)) jobs=()
for n in 1 2 3 4 5 6; do
  (while [ $SECONDS -lt $end ]; do grep -r -c connection . | sort | cmp - "$TREE.counts" || exit 1; done) & jobs+=($!)
done
for n in 1 2 3 4 5 6 7 8; do
  (while [ $SECONDS -lt $end ]; do shuf -n 50 "$TREE.list" | while read -r file; do cat "$file" | cmp - "$TREE/$file" || exit 1; done || exit 1; done) & jobs+=($!)
done
(while [ $SECONDS -lt $end ]; do echo 2 > /proc/sys/vm/drop_caches; sleep 0.15; done) & jobs+=($!)
for job in "${jobs[@]}"; do wait "$job" || exit 1; done
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_of_readers_gets_the_right_bytes() {
    let sample = Sample::with_snapshot(Shape::WIDE).await;
    let root = sample.repository().snapshots().await.unwrap().roots.pop().unwrap();
    let snapshot = sample.repository().open_snapshot(&root).await.unwrap();
    for (threads, full) in [(2, false), (3, true)] {
        let folder = tempfile::tempdir().unwrap();
        let tree = folder.path().join("tree");
        Sample::write_tree(&snapshot, full, &tree).await;
        let look = FileOptions { full, ..FileOptions::default() };
        let mut mounted = Mounted::new(Forest::of(&snapshot, look), &MountOptions { threads, ..MountOptions::default() });
        sh(mounted.path(), &format!("TREE={}\n{CROWD}", tree.display()));
        assert_eq!(sh(mounted.path(), &format!("diff -r . {}", tree.display())), "");
        let counts = mounted.counts();
        assert!(counts.pushed > 0 && counts.errors == 0, "{counts:?}");
        mounted.end();
        assert_eq!(kstashfs::state(mounted.path()), kstashfs::State::Free);
    }
}
