//! The built programs, run as a user runs them, with a home of their own.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::OnceLock,
};

/// The folder that cargo builds into; builds the programs first.
pub fn programs() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        // A test is target/<profile>/deps/<test>, a program target/<profile>/<program>.
        let own = std::env::current_exe().unwrap();
        let mut folder = own.parent().unwrap().to_owned();
        if folder.ends_with("deps") {
            folder.pop();
        }
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "-p", "kubectl-kubestash", "-p", "kstashfs"]).current_dir(env!("CARGO_MANIFEST_DIR"));
        // What cargo tells this test of itself would look like a change to build scripts, and half of the dependencies would be built again.
        for (name, _) in std::env::vars_os().filter(|(name, _)| is_of_the_test(&name.to_string_lossy())) {
            cargo.env_remove(name);
        }
        if folder.ends_with("release") {
            cargo.arg("--release");
        }
        // Beside this program, wherever that was built.
        cargo.arg("--target-dir").arg(folder.parent().unwrap());
        assert!(cargo.status().unwrap().success(), "the programs do not build");
        folder
    })
}

/// Variables that cargo sets for the package that it runs.
fn is_of_the_test(variable: &str) -> bool {
    ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_CRATE_", "CARGO_BIN_", "CARGO_PRIMARY_"].iter().any(|begin| variable.starts_with(begin))
}

/// A user with a home folder, and maybe a cluster.
#[derive(Debug)]
pub struct User {
    home: tempfile::TempDir,
    kubeconfig: Option<PathBuf>,
    environment: Vec<(String, String)>,
}

impl User {
    /// A user without a cluster.
    pub fn new() -> Self {
        programs();
        Self { home: tempfile::tempdir().unwrap(), kubeconfig: None, environment: Vec::new() }
    }

    /// A user with a kubeconfig.
    pub fn with_cluster(cluster: &crate::cluster::Cluster) -> Self {
        Self { kubeconfig: Some(cluster.kubeconfig().to_owned()), ..Self::new() }
    }

    /// The same user, who reaches the cluster another way.
    #[must_use]
    pub fn through(mut self, kubeconfig: &Path) -> Self {
        self.kubeconfig = Some(kubeconfig.to_owned());
        self
    }

    /// Sets a variable for all commands.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The home folder.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// The default repository.
    pub fn repository(&self) -> PathBuf {
        self.home.path().join(".local/share/kubestash/repository")
    }

    /// A command that is not started yet.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(programs().join("kubectl-kubestash"));
        command.args(args).env_clear().env("HOME", self.home.path()).env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("KUBECONFIG", self.kubeconfig.clone().unwrap_or_else(|| "/nonexistent".into()));
        command.envs(self.environment.iter().cloned()).stdin(Stdio::null()).current_dir(self.home.path());
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, args: &[&str]) -> Ran {
        Ran::from(self.command(args).output().unwrap(), args)
    }

    /// Runs a command that must succeed, and gives its output.
    pub fn ok(&self, args: &[&str]) -> String {
        let ran = self.run(args);
        assert_eq!(ran.code, 0, "{ran:?}");
        ran.out
    }
}

impl Default for User {
    fn default() -> Self {
        Self::new()
    }
}

/// A command that has ended.
#[derive(Debug)]
pub struct Ran {
    /// What was run.
    pub args: Vec<String>,
    /// Exit code, -1 for a signal.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Ran {
    fn from(output: Output, args: &[&str]) -> Self {
        Self {
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}
