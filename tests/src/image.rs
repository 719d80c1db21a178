//! Images for nodes: that of operator and Jobs, from the program as cargo has built it for the tests; and one that says hello.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{cluster::Cluster, program::programs};

/// Tag under which nodes know it.
pub const IMAGE: &str = "localhost/kubestash:test";

/// Tag of a program that says hello and ends, or stays where it has an argument.
pub const HELLO: &str = "localhost/hello:1";

const HELLO_PROGRAM: &str = r#"
#include <stdio.h>
#include <unistd.h>
int main(int count, char **words) {
    printf("hello from a pod\n");
    fflush(stdout);
    if (count > 1) for (;;) pause();
    return 0;
}
"#;

/// Puts [`HELLO`] into a cluster's node: one static program, and nothing else.
pub fn import_hello(cluster: &Cluster) {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("hello");
    let mut compiler = Command::new("cc").args(["-static", "-Os", "-x", "c", "-", "-o"]).arg(&program).stdin(Stdio::piped()).spawn().unwrap();
    compiler.stdin.take().unwrap().write_all(HELLO_PROGRAM.as_bytes()).unwrap();
    assert!(compiler.wait().unwrap().success());
    std::fs::write(folder.path().join("Containerfile"), "FROM scratch\nCOPY hello /hello\nENTRYPOINT [\"/hello\"]\n").unwrap();
    cluster.import_image(HELLO, folder.path());
}

/// Puts the program into a cluster's node.
///
/// It is the released image but for the libraries that a program of a test build is linked with: they lie where it looks for them.
pub fn import(cluster: &Cluster) {
    let folder = tempfile::tempdir().unwrap();
    let program = programs().join("kubectl-kubestash");
    let root = folder.path().join("root");
    std::fs::create_dir_all(root.join("etc/ssl/certs")).unwrap();
    // Buckets are reached over TLS, which needs the authorities of the world.
    std::fs::copy("/etc/ssl/certs/ca-certificates.crt", root.join("etc/ssl/certs/ca-certificates.crt")).unwrap();
    for library in libraries(&program) {
        let inside = root.join(library.strip_prefix("/").unwrap());
        std::fs::create_dir_all(inside.parent().unwrap()).unwrap();
        std::fs::copy(&library, inside).unwrap();
    }
    let stripped = Command::new("strip").arg("-o").arg(root.join("kubectl-kubestash")).arg(&program).status().unwrap();
    assert!(stripped.success());
    let released = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../Containerfile")).unwrap();
    let text: Vec<&str> = released.lines().filter(|line| !line.starts_with("COPY")).collect();
    let text = text.join("\n").replace("FROM scratch", "FROM scratch\nCOPY root /");
    std::fs::write(folder.path().join("Containerfile"), text).unwrap();
    cluster.import_image(IMAGE, folder.path());
}

/// The files that the dynamic linker would load, and the linker itself.
fn libraries(program: &Path) -> Vec<PathBuf> {
    let listed = Command::new("ldd").arg(program).output().unwrap();
    let text = String::from_utf8(listed.stdout).unwrap();
    text.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect()
}
