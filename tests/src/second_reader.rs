//! The second reader of the repository format: a Python program that knows docs/format.md and no line of this code.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use crate::{cache_folder, tests_folder};

/// A Python with the packages that the reader needs, in an environment of its own outside of the checkout; made at first use.
fn python() -> PathBuf {
    let wanted = tests_folder("reader/requirements.txt");
    let hash = blake3::hash(&std::fs::read(&wanted).unwrap()).to_hex();
    let folder = cache_folder().join(format!("reader-{}", hash.get(..16).unwrap()));
    let python = folder.join("bin/python");
    let ready = folder.join("ready");
    if !ready.exists() {
        std::fs::create_dir_all(cache_folder()).unwrap();
        // One at a time: two would install over each other.
        let lock = std::fs::File::create(cache_folder().join("reader.lock")).unwrap();
        lock.lock().unwrap();
        if !ready.exists() {
            run(
                Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder),
                "python3 -m venv does not work (Debian: apt-get install python3-venv)",
            );
            let mut pip = Command::new(&python);
            pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]).arg(&wanted);
            run(&mut pip, "the packages of the second reader cannot be installed");
            std::fs::write(&ready, "").unwrap();
        }
    }
    python
}

fn run(command: &mut Command, problem: &str) {
    assert!(command.stdin(Stdio::null()).status().is_ok_and(|status| status.success()), "{problem}");
}

/// Runs the reader: repository, password file, then maybe a snapshot, a folder and `--full`.
pub fn read(repository: &Path, password_file: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(python());
    command.arg(tests_folder("reader/reader.py")).arg(repository).arg(password_file).args(arguments);
    command.stdin(Stdio::null()).output().unwrap()
}
