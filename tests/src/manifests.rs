//! Manifests of KubeStash's kinds: samples of our own, and those of a folder that is named.

use std::path::{Path, PathBuf};

use serde::Deserialize as _;
use serde_json::Value;

use crate::tests_folder;

/// One object of a file.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// The file that it stands in.
    pub file: PathBuf,
    /// The object.
    pub object: Value,
}

impl Manifest {
    /// Its kind.
    pub fn kind(&self) -> &str {
        self.object["kind"].as_str().unwrap_or_default()
    }

    /// Kind and name.
    pub fn label(&self) -> String {
        format!("{} {} of {}", self.kind(), self.object["metadata"]["name"].as_str().unwrap_or_default(), self.file.display())
    }

    /// Whether it is of one of KubeStash's kinds.
    pub fn is_kubestash_s(&self) -> bool {
        self.object["apiVersion"].as_str().is_some_and(|version| version.contains(".kubestash.com/"))
    }
}

fn files(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            into.push(path);
        }
    }
}

/// The objects of all YAML files below a folder. Documents without an object count nothing.
pub fn manifests_below(folder: &Path) -> Vec<Manifest> {
    let mut paths = Vec::new();
    files(folder, &mut paths);
    paths.sort();
    let mut found = Vec::new();
    for file in paths {
        let text = std::fs::read_to_string(&file).unwrap();
        for document in serde_yaml::Deserializer::from_str(&text) {
            let object = Value::deserialize(document).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            if object.is_object() {
                found.push(Manifest { file: file.clone(), object });
            }
        }
    }
    found
}

/// Our own samples, and where `KUBESTASH_EXAMPLES` names a folder, those in it; of KubeStash's kinds only.
pub fn samples() -> Vec<Manifest> {
    let mut found = manifests_below(&tests_folder("fixtures/kubestash"));
    if let Some(folder) = std::env::var_os("KUBESTASH_EXAMPLES") {
        found.extend(manifests_below(Path::new(&folder)));
    }
    found.retain(Manifest::is_kubestash_s);
    found
}
