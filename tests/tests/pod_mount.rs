//! The Pod of docs/mounting.md, on a real node: one container mounts, another reads.
#![cfg(feature = "real")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::{
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use kubestash_tests::{
    cluster::Cluster,
    image::{IMAGE, import},
    mounts::{sh, wait_for},
    sample::{PASSWORD, Sample, Shape},
    tests_folder,
};

/// Waits for a file, prints it, and stays.
const READER: &str = r#"
#include <stdio.h>
#include <unistd.h>
int main(int count, char **words) {
    FILE *file;
    char line[256];
    if (count < 2) return 1;
    while (!(file = fopen(words[1], "r"))) usleep(100000);
    while (fgets(line, sizeof line, file)) fputs(line, stdout);
    printf("end of file\n");
    fflush(stdout);
    for (;;) pause();
}
"#;

fn reader(folder: &Path) {
    let mut compiler =
        Command::new("cc").args(["-static", "-Os", "-x", "c", "-", "-o"]).arg(folder.join("reader")).stdin(Stdio::piped()).spawn().unwrap();
    compiler.stdin.take().unwrap().write_all(READER.as_bytes()).unwrap();
    assert!(compiler.wait().unwrap().success());
    let text = "FROM scratch\nCOPY reader /reader\nENTRYPOINT [\"/reader\", \"/k8s/latest/cluster/namespaces/odd.yaml\"]\n";
    std::fs::write(folder.join("Containerfile"), text).unwrap();
}

/// The example of the guide, with images and a repository that this node has.
fn example(repository: &str) -> String {
    let guide = std::fs::read_to_string(tests_folder("../docs/mounting.md")).unwrap();
    let start = guide.find("```yaml\napiVersion: v1\nkind: Pod\n").unwrap() + "```yaml\n".len();
    let text = &guide[start..start + guide[start..].find("```").unwrap()];
    let pod = text
        .replace("IMAGE", IMAGE)
        .replace("READER", "localhost/reader:1")
        .replace("s3://bucket/cluster", "/repository")
        .replace("volumeMounts:\n", "imagePullPolicy: Never\n      volumeMounts:\n        - {name: repository, mountPath: /repository}\n")
        .replace(
            "  volumes:\n",
            &format!("  terminationGracePeriodSeconds: 20\n  volumes:\n    - {{name: repository, hostPath: {{path: {repository}}}}}\n"),
        );
    format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: repository}}\nstringData: {{password: {PASSWORD}}}\n---\n{pod}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_mounts_for_its_other_containers() {
    let sample = Sample::with_snapshot(Shape { namespaces: 2, kinds: 3, each: 5, bytes: 200 }).await;
    // Below a folder that containers may enter.
    let folder = tempfile::tempdir_in(sample.place().parent().unwrap()).unwrap();
    reader(folder.path());
    let cluster = Cluster::with_node();
    import(&cluster);
    cluster.import_image("localhost/reader:1", folder.path());
    cluster.apply(&example(sample.place().to_str().unwrap()));
    cluster.kubectl(&["wait", "--for=condition=Ready", "pod/browse", "--timeout=180s"]);
    let logs = || cluster.try_kubectl(&["logs", "browse", "-c", "reader"], "").unwrap_or_default();
    let why = || cluster.try_kubectl(&["logs", "browse", "-c", "mount"], "").unwrap_or_default();
    wait_for("the reader sees the mount", std::time::Duration::from_secs(60), || logs().contains("end of file") || why().contains("error:"));
    assert!(logs().contains("kind: Namespace\n") && logs().contains("  name: odd\n"), "{}{}", logs(), why());
    // It ends in time, and the node is left without the mount: else the Pod would stay.
    cluster.kubectl(&["delete", "pod", "browse", "--timeout=60s"]);
    assert!(!sh(Path::new("/"), "cat /proc/self/mounts").contains("kstashfs:/repository"));
}
