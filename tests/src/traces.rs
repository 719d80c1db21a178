//! What a folder's programs leave behind on this machine: processes, mounts, network namespaces, links, control groups, the folder itself.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    time::{Duration, Instant},
};

/// Everything found at one moment, one line each. Empty when nothing is left.
pub fn traces(folder: &Path) -> BTreeSet<String> {
    let text = folder.to_str().unwrap();
    let mut found = BTreeSet::new();
    if folder.exists() {
        found.insert(format!("folder {text}"));
    }
    for process in fs::read_dir("/proc").unwrap().flatten() {
        let pid = process.file_name().into_string().unwrap_or_default();
        if pid == std::process::id().to_string() || !pid.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        let read = |name: &str| fs::read(process.path().join(name)).unwrap_or_default();
        let link = |name: &str| fs::read_link(process.path().join(name)).unwrap_or_default().display().to_string();
        let command = String::from_utf8_lossy(&read("cmdline")).replace('\0', " ");
        let speaks = [read("environ"), read("mountinfo"), command.clone().into_bytes(), link("cwd").into_bytes()];
        if speaks.iter().any(|bytes| bytes.windows(text.len()).any(|window| window == text.as_bytes())) {
            found.insert(format!("process {pid} {command}"));
            if link("ns/net") != fs::read_link("/proc/self/ns/net").unwrap().display().to_string() {
                found.insert(format!("network namespace {}", link("ns/net")));
            }
        }
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    found.extend(mounts.lines().filter(|line| line.contains(text)).map(|line| format!("mount {line}")));
    found
}

/// Links to clusters' nodes and their control groups. Other tests may have some too: compare before and after.
pub fn node_traces() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut look = |folder: &Path, prefix: &str| {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(prefix) {
                found.insert(entry.path().display().to_string());
            }
        }
    };
    look(Path::new("/sys/class/net"), "ks-");
    look(Path::new("/sys/fs/cgroup"), "kubestash-");
    for tree in fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten() {
        look(&tree.path(), "kubestash-");
    }
    found
}

/// Whether one of the network namespaces among these traces is still used by any process.
pub fn lives_on(traces: &BTreeSet<String>) -> bool {
    let used: BTreeSet<String> = fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|process| fs::read_link(process.path().join("ns/net")).ok())
        .map(|namespace| format!("network namespace {}", namespace.display()))
        .collect();
    traces.iter().any(|trace| used.contains(trace))
}

/// Waits until nothing is left of a folder and its programs.
pub fn wait_until_gone(folder: &Path) {
    wait_for(&format!("the end of all in {}", folder.display()), || traces(folder).is_empty(), || format!("{:#?}", traces(folder)));
}

/// Waits for something, with patience: machines that run tests are busy. `state` tells what is there instead when it does not come.
pub fn wait_for(what: &str, mut holds: impl FnMut() -> bool, state: impl Fn() -> String) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(180), "waited in vain for {what}: {}", state());
        std::thread::sleep(Duration::from_millis(100));
    }
}
