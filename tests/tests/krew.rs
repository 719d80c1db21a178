//! The krew manifest follows the rules that the public index checks, and the archive holds what the manifest says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::path::Path;

use kubestash_tests::tests_folder;
use serde_yaml::Value;

/// Pairs of system and processor that krew runs on.
const MACHINES: [(&str, &str); 11] = [
    ("linux", "386"),
    ("linux", "amd64"),
    ("linux", "arm"),
    ("linux", "arm64"),
    ("linux", "ppc64le"),
    ("darwin", "386"),
    ("darwin", "amd64"),
    ("darwin", "arm64"),
    ("windows", "386"),
    ("windows", "amd64"),
    ("windows", "arm64"),
];

fn text<'a>(value: &'a Value, path: &[&str]) -> &'a str {
    path.iter().fold(value, |value, key| &value[*key]).as_str().unwrap_or_default()
}

/// Whether a platform's selector takes a machine: `matchLabels` and `matchExpressions`, as the index evaluates them.
fn matches(platform: &Value, (os, arch): (&str, &str)) -> bool {
    let of = |key: &str| match key {
        "os" => os,
        "arch" => arch,
        other => panic!("a selector may name os and arch, not {other}"),
    };
    let mut labels = platform["selector"]["matchLabels"].as_mapping().into_iter().flatten();
    let by_labels = labels.all(|(key, value)| of(key.as_str().unwrap()) == value.as_str().unwrap());
    let mut rules = platform["selector"]["matchExpressions"].as_sequence().into_iter().flatten();
    let by_rules = rules.all(|rule| {
        let values: Vec<&str> = rule["values"].as_sequence().unwrap().iter().map(|value| value.as_str().unwrap()).collect();
        values.contains(&of(text(rule, &["key"]))) == (text(rule, &["operator"]) == "In")
    });
    by_labels && by_rules
}

/// Every rule of the index that can be checked without the archive; empty when the manifest is fine.
fn broken_rules(manifest: &Value, file_stem: &str) -> Vec<String> {
    let mut broken = Vec::new();
    let mut rule = |holds: bool, what: &str| {
        if !holds {
            broken.push(what.to_owned());
        }
    };
    let name = text(manifest, &["metadata", "name"]);
    rule(text(manifest, &["apiVersion"]) == "krew.googlecontainertools.github.com/v1alpha2", "apiVersion is v1alpha2");
    rule(text(manifest, &["kind"]) == "Plugin", "kind is Plugin");
    rule(!name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_'), "the name is made of letters, digits, - and _");
    rule(name == file_stem, "name and file name are the same");
    rule(!name.starts_with("kube-") && !name.starts_with("kubectl-") && name == name.to_lowercase(), "the name follows the naming guide");

    let version = text(manifest, &["spec", "version"]);
    let numbers: Vec<&str> = version.strip_prefix('v').unwrap_or("-").split('.').collect();
    rule(numbers.len() == 3 && numbers.iter().all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit())), "version is semver with a v");
    let short = text(manifest, &["spec", "shortDescription"]);
    rule(!short.is_empty() && !short.contains(['\n', '\r']), "shortDescription is one line");
    rule(short.len() <= 50 && !short.ends_with('.'), "shortDescription has at most 50 characters and no full stop");
    let description = text(manifest, &["spec", "description"]);
    rule(!description.is_empty() && description.lines().all(|line| line.len() <= 80), "description is there and wrapped at 80");
    rule(manifest["spec"].get("caveats").is_none_or(|caveats| caveats.as_str().is_some_and(|text| !text.trim().is_empty())), "caveats are not empty");
    rule(text(manifest, &["spec", "homepage"]).starts_with("https://"), "homepage is there");

    let platforms = manifest["spec"]["platforms"].as_sequence().cloned().unwrap_or_default();
    rule(!platforms.is_empty(), "there is a platform");
    for platform in &platforms {
        let uri = text(platform, &["uri"]);
        rule(uri.starts_with("https://") && (uri.ends_with(".tar.gz") || uri.ends_with(".zip")), "uri names a .tar.gz or .zip");
        rule(uri.contains(&format!("/{version}/")), "uri is of this version");
        let sum = text(platform, &["sha256"]);
        rule(sum.len() == 64 && sum.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)), "sha256 is 64 lower-case hex digits");
        let bin = text(platform, &["bin"]);
        rule(!bin.is_empty() && !bin.contains("..") && !bin.starts_with('/'), "bin is a path in the archive");
        rule(MACHINES.iter().any(|&machine| matches(platform, machine)), "a platform matches some machine");
    }
    for machine in MACHINES {
        let takers = platforms.iter().filter(|platform| matches(platform, machine)).count();
        rule(takers <= 1, "no two platforms match the same machine");
    }
    broken
}

fn manifest(path: &Path) -> Value {
    serde_yaml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn the_manifest_follows_the_rules_of_the_index() {
    let path = tests_folder("../krew.yaml");
    assert_eq!(broken_rules(&manifest(&path), "kubestash"), [""; 0]);
    let text = std::fs::read_to_string(path).unwrap();
    assert!(!text.contains('#'), "reviewers ask for no comments");
    assert!(text.contains(concat!("version: v", env!("CARGO_PKG_VERSION"))), "the manifest is of this version: run `make dist`");
}

#[test]
fn broken_manifests_are_found() {
    let good = manifest(&tests_folder("../krew.yaml"));
    for (path, bad, rule) in [
        (vec!["metadata", "name"], "kube stash", "the name is made of letters"),
        (vec!["spec", "version"], "0.1.0", "version is semver with a v"),
        (vec!["spec", "shortDescription"], "two\nlines", "shortDescription is one line"),
        (vec!["spec", "homepage"], "", "homepage is there"),
        (vec!["spec", "caveats"], " ", "caveats are not empty"),
    ] {
        let mut manifest = good.clone();
        *path.iter().fold(&mut manifest, |value, key| &mut value[*key]) = bad.into();
        assert!(broken_rules(&manifest, "kubestash").iter().any(|broken| broken.starts_with(rule)), "{bad:?}");
    }
    let mut twice = good;
    let platforms = twice["spec"]["platforms"].as_sequence_mut().unwrap();
    let again = platforms[0].clone();
    platforms.push(again);
    assert!(broken_rules(&twice, "kubestash").contains(&"no two platforms match the same machine".to_owned()));
}

#[cfg(feature = "real")]
#[test]
fn the_archive_installs_and_runs_everywhere() {
    use std::{collections::BTreeSet, process::Command};

    use kubestash_tests::cluster::kubectl;

    let folder = tempfile::tempdir().unwrap();
    // What is tested is the archive. Optimising the whole program at once takes a quarter of an hour of one core, and changes none of it.
    let quick = [("CARGO_PROFILE_RELEASE_LTO", "off"), ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16"), ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1")];
    let dist = Command::new(tests_folder("dist")).arg(folder.path()).envs(quick).output().unwrap();
    assert!(dist.status.success(), "{}", String::from_utf8_lossy(&dist.stderr));
    let archive = String::from_utf8(dist.stdout).unwrap().trim().to_owned();
    let manifest = manifest(&folder.path().join("krew.yaml"));
    assert_eq!(broken_rules(&manifest, "kubestash"), [""; 0]);
    let platform = &manifest["spec"]["platforms"][0];
    assert!(text(platform, &["uri"]).ends_with(archive.rsplit('/').next().unwrap()));
    let sum = Command::new("sha256sum").arg(&archive).output().unwrap();
    assert!(String::from_utf8(sum.stdout).unwrap().starts_with(text(platform, &["sha256"])));

    // As krew does: unpack, link `bin` under the plugin's name into a folder of PATH.
    let (store, path) = (folder.path().join("store"), folder.path().join("bin"));
    std::fs::create_dir_all(&store).unwrap();
    std::fs::create_dir_all(&path).unwrap();
    assert!(Command::new("tar").arg("-xzf").arg(&archive).arg("-C").arg(&store).status().unwrap().success());
    let files: BTreeSet<String> = std::fs::read_dir(&store).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(files, ["LICENSE", "kstashfs", "kubectl-kubestash"].map(str::to_owned).into());
    std::os::unix::fs::symlink(store.join(text(platform, &["bin"])), path.join("kubectl-kubestash")).unwrap();
    let listed = kubectl().args(["plugin", "list"]).env("PATH", &path).output().unwrap();
    assert!(String::from_utf8_lossy(&listed.stdout).contains("kubectl-kubestash"), "{listed:?}");
    let version = kubectl().args(["kubestash", "version"]).env("PATH", &path).output().unwrap();
    assert!(String::from_utf8_lossy(&version.stdout).starts_with(concat!("kubectl-kubestash v", env!("CARGO_PKG_VERSION"))), "{version:?}");
    for program in ["kubectl-kubestash", "kstashfs"] {
        // An ELF file without an interpreter needs no library of the system.
        let headers = Command::new("readelf").args(["-l"]).arg(store.join(program)).output().unwrap();
        let headers = String::from_utf8_lossy(&headers.stdout).into_owned();
        assert!(headers.contains("LOAD") && !headers.contains("INTERP"), "{program} is not static:\n{headers}");
    }
    the_image_holds_the_same_program(&store.join("kubectl-kubestash"), quick);
}

/// Here, as the program is built by now.
#[cfg(feature = "real")]
fn the_image_holds_the_same_program(program: &std::path::Path, quick: [(&str, &str); 3]) {
    use std::process::Command;

    const TAG: &str = "localhost/kubestash:of-a-test";
    // In a storage of its own, which is gone afterwards, and with the driver that works on every file system.
    let storage = tempfile::tempdir().unwrap();
    let settings = storage.path().join("storage.conf");
    let [images, running] = ["images", "running"].map(|name| storage.path().join(name).display().to_string());
    std::fs::write(&settings, format!("[storage]\ndriver = \"vfs\"\ngraphroot = \"{images}\"\nrunroot = \"{running}\"\n")).unwrap();
    let buildah = |args: &[&str]| {
        let ran = Command::new("buildah").args(args).env("CONTAINERS_STORAGE_CONF", &settings).output().unwrap();
        assert!(ran.status.success(), "buildah {args:?}: {}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8(ran.stdout).unwrap().trim().to_owned()
    };
    let built = Command::new(tests_folder("image")).arg(TAG).envs(quick).env("CONTAINERS_STORAGE_CONF", &settings).output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let image: serde_json::Value = serde_json::from_str(&buildah(&["inspect", "--type", "image", TAG])).unwrap();
    let config = &image["OCIv1"]["config"];
    assert_eq!(
        (config["User"].as_str().unwrap_or_default(), config["Entrypoint"].clone()),
        ("65534:65534", serde_json::json!(["/kubectl-kubestash", "job"]))
    );
    let container = buildah(&["from", "--pull-never", TAG]);
    let root = std::path::PathBuf::from(buildah(&["mount", &container]));
    assert!(std::fs::read(root.join("kubectl-kubestash")).unwrap() == std::fs::read(program).unwrap(), "it is another program");
    assert!(root.join("etc/ssl/certs/ca-certificates.crt").exists(), "nothing can be reached over TLS");
    let ran = Command::new("chroot").arg("--userspec=65534:65534").arg(&root).args(["/kubectl-kubestash", "version"]).output().unwrap();
    assert!(ran.status.success(), "{ran:?}");
    buildah(&["umount", &container]);
}
