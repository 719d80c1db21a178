//! The image of operator and Jobs, from the program as cargo has built it for the tests.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::{cluster::Cluster, program::programs};

/// Tag under which nodes know it.
pub const IMAGE: &str = "localhost/kubestash:test";

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
