//! Readers of every kind at once, for as long as `STRESS_SECONDS` says, while the kernel forgets and the store fails, stalls and recovers: what
//! is read is right or fails with an I/O error, nobody waits for ever, memory stays bounded, and the mount can be taken away.
#![cfg(feature = "real")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::{
    path::Path,
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use kstashfs::{FileOptions, Forest, MountOptions};
use kubestash::store::faults::{Faults, Random, Reads};
use kubestash_tests::{
    bench::process::peak_kib,
    mounts::{Mounted, sh},
    sample::{PASSWORD, Sample, Shape},
};

/// More than the daemon keeps decoded.
const SHAPE: Shape = Shape { namespaces: 6, kinds: 6, each: 120, bytes: 8_000 };
/// Longest wait of a read for the store.
const DEADLINE: Duration = Duration::from_millis(300);
/// Whoever takes longer hangs: a reader that gets an error from each of its files after the deadline takes long, too.
const PATIENCE: &str = "300";
/// How much the process may grow once everything was read, MiB.
const GROWTH_MIB: u64 = 96;

/// Something that reads. It is run in the mount with `$TREE`, a folder with the same files, and `$EXPECTED`, a folder with what it shall
/// print. It prints to standard output what was wrong, and nothing else; errors go to standard error.
struct Reader {
    name: &'static str,
    script: &'static str,
}

const READERS: [Reader; 8] = [
    // Without an error no line may be missing.
    Reader {
        name: "grep",
        script: r#"grep -r connection . 2> "$EXPECTED/errors" | sort > "$EXPECTED/lines"; comm -23 "$EXPECTED/lines" "$EXPECTED/grep"
[ -s "$EXPECTED/errors" ] || cmp "$EXPECTED/lines" "$EXPECTED/grep" 2>&1; cat "$EXPECTED/errors" >&2"#,
    },
    // An archive of which a file was cut short is said to be none by tar's exit code.
    Reader {
        name: "tar",
        script: r#"sum=$(set -o pipefail; tar --sort=name --owner=0 --group=0 --mtime=@0 --mode=0 -c . | md5sum) && [ "$sum" != "$(cat "$EXPECTED/tar")" ] && echo "another archive"; true"#,
    },
    Reader { name: "find", script: r#"find . -type f | sort | cmp - "$EXPECTED/find" 2>&1"# },
    Reader {
        name: "cat",
        script: r#"shuf -n 60 "$EXPECTED/find" | while read -r file; do cat "$file" > "$EXPECTED/cat" && ! cmp -s "$EXPECTED/cat" "$TREE/$file" && echo "$file"; done; true"#,
    },
    // A page that cannot be read ends the process that touches it.
    Reader {
        name: "mmap",
        script: r#"shuf -n 20 "$EXPECTED/find" | while read -r file; do
{ python3 -c '
import mmap, sys
with open(sys.argv[1], "rb") as file, open(sys.argv[2], "rb") as same:
    if mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)[:] != same.read():
        print(sys.argv[1])
' "$file" "$TREE/$file"; } 2>/dev/null
code=$?
case $code in 0) ;; 135) echo "$file: Bus error" >&2 ;; *) echo "$file: exit code $code" ;; esac
done; true"#,
    },
    Reader {
        name: "ls",
        script: r#"ls -lR --time-style=+ . | sed 's/^\(.\{10\}\) *[0-9]* *[^ ]* *[^ ]* *\([0-9]*\) /\1 \2 /' | cmp - "$EXPECTED/ls" 2>&1"#,
    },
    Reader { name: "diff", script: r#"diff -r . "$TREE""# },
    Reader { name: "stat", script: r#"shuf -n 2000 "$EXPECTED/find" | sort | xargs -d '\n' stat -c '%n %s' | comm -23 - "$EXPECTED/stat""# },
];

/// What the readers are held against, from the mount itself while all is well; its bytes are compared with the tree first.
const EXPECTED: &str = r#"
set -e -o pipefail
diff -r . "$TREE"
grep -r connection . | sort > "$EXPECTED/grep"
tar --sort=name --owner=0 --group=0 --mtime=@0 --mode=0 -c . | md5sum > "$EXPECTED/tar"
find . -type f | sort > "$EXPECTED/find"
ls -lR --time-style=+ . | sed 's/^\(.\{10\}\) *[0-9]* *[^ ]* *[^ ]* *\([0-9]*\) /\1 \2 /' > "$EXPECTED/ls"
find . -type f -printf '%p %s\n' | sort > "$EXPECTED/stat"
"#;

/// Errors that a reader of a failing store may meet.
fn is_expected(line: &str) -> bool {
    ["Input/output error", "Bus error", "File shrank", "Exiting with failure status"].iter().any(|known| line.contains(known))
}

/// Runs a reader again and again. Gives how often, and how often it met errors.
fn read(reader: &Reader, mount: &Path, tree: &Path, expected: &Path, end: Instant) -> Result<(usize, usize), String> {
    let (mut rounds, mut failed) = (0, 0);
    while rounds == 0 || Instant::now() < end {
        let mut command = Command::new("timeout");
        command.args(["--kill-after=20", PATIENCE, "bash", "-c", reader.script]).current_dir(mount).env("LC_ALL", "C");
        let output = command.env("TREE", tree).env("EXPECTED", expected).output().map_err(|error| error.to_string())?;
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if output.status.code() == Some(124) || output.status.code() == Some(137) {
            return Err(format!("{} hangs", reader.name));
        }
        if !out.is_empty() {
            return Err(format!(
                "{} got something wrong: {}\n{}",
                reader.name,
                out.chars().take(2_000).collect::<String>(),
                err.chars().take(500).collect::<String>()
            ));
        }
        if let Some(line) = err.lines().find(|line| !is_expected(line)) {
            return Err(format!("{} failed: {line}", reader.name));
        }
        failed += usize::from(!err.is_empty());
        rounds += 1;
    }
    Ok((rounds, failed))
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_the_store_does_readers_get_the_right_bytes_or_an_error() {
    let number = |name: &str, default: u64| std::env::var(name).map_or(default, |text| text.parse().unwrap());
    let (seconds, seed) = (number("STRESS_SECONDS", 20), number("STRESS_SEED", 3));
    println!("STRESS_SECONDS={seconds} STRESS_SEED={seed}");
    let (faults, sample) = (Faults::default(), Sample::with_snapshot(SHAPE).await);
    let folder = tempfile::tempdir().unwrap();
    let (tree, expected) = (folder.path().join("tree"), folder.path().join("expected"));
    std::fs::create_dir(&expected).unwrap();
    let repository = sample.open_with(PASSWORD, |store| store.with_faults(&faults)).await;
    let root = repository.newest().await.unwrap().unwrap();
    let snapshot = repository.open_snapshot(&root).await.unwrap();
    Sample::write_tree(&snapshot, false, &tree).await;
    let look = FileOptions { deadline: DEADLINE, ..FileOptions::default() };
    let mut mounted = Mounted::new(Forest::of(&snapshot, look), &MountOptions::default());
    sh(mounted.path(), &format!("TREE={} EXPECTED={}\n{EXPECTED}", tree.display(), expected.display()));
    let before = peak_kib(std::process::id()).unwrap();

    let (mount, end) = (mounted.path().to_owned(), Instant::now() + Duration::from_secs(seconds));
    let changes = AtomicUsize::new(0);
    let results = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut random = Random::new(seed);
            // Once the time is over the store works, so that all come to an end.
            while Instant::now() < end {
                // Working most of the time, or nobody would come to an end.
                faults.reads(match random.below(10) {
                    0 | 1 => Reads::Fail,
                    2 => Reads::Stall,
                    3 | 4 => Reads::Late(Duration::from_millis(30)),
                    _ => Reads::Work,
                });
                changes.fetch_add(1, Ordering::Relaxed);
                if random.below(3) == 0 {
                    let what = if random.below(2) == 0 { "2" } else { "3" };
                    std::fs::write("/proc/sys/vm/drop_caches", what).expect("this test makes the kernel forget its caches and needs root");
                }
                std::thread::sleep(Duration::from_millis(50 + random.below(400)));
            }
            faults.reads(Reads::Work);
        });
        let (mount, tree, expected) = (&mount, &tree, &expected);
        let readers: Vec<_> = READERS.iter().map(|reader| scope.spawn(move || read(reader, mount, tree, expected, end))).collect();
        readers.into_iter().map(|reader| reader.join().unwrap()).collect::<Vec<_>>()
    });
    let mut failed = 0;
    for (reader, result) in READERS.iter().zip(results) {
        let (rounds, errors) = result.unwrap_or_else(|error| panic!("{error}"));
        println!("{}: {rounds} rounds, {errors} with errors", reader.name);
        failed += errors;
    }
    let grown = peak_kib(std::process::id()).unwrap().saturating_sub(before) / 1024;
    println!("{} changes of the store, {grown} MiB grown, {:?}", changes.into_inner(), mounted.counts());
    assert!(failed > 0 && mounted.counts().errors > 0, "nobody met a store that fails");
    assert!(grown < GROWTH_MIB, "the process grew by {grown} MiB");
    // All is well again.
    assert_eq!(sh(&mount, &format!("diff -r . {} && echo same", tree.display())), "same\n");
    faults.reads(Reads::Stall);
    mounted.end();
    assert_eq!(kstashfs::state(&mount), kstashfs::State::Free);
}
