//! Which object this is: kind, namespace, name; its key in the API server's order and its path in a mount.

use std::{borrow::Cow, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::ObjectError;

/// The longest file name Linux file systems take, in bytes.
pub const MAX_FILE_NAME: usize = 255;
const EXTENSION: &str = ".yaml";
/// Stands between the kept head of a shortened name and its hash. Names that are path segments may hold it as well.
const SHORTENED_MARK: char = '~';
const SHORTENED_HASH: usize = 32;

/// A plural resource name with its API group: `deployments.apps`, `pods`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupResource {
    /// API group, empty for the core group.
    pub group: String,
    /// Plural resource name.
    pub resource: String,
}

impl GroupResource {
    /// Builds one from its two names.
    pub fn new(group: impl Into<String>, resource: impl Into<String>) -> Self {
        Self { group: group.into(), resource: resource.into() }
    }
}

impl fmt::Display for GroupResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.resource)?;
        if !self.group.is_empty() {
            write!(f, ".{}", self.group)?;
        }
        Ok(())
    }
}

impl FromStr for GroupResource {
    type Err = std::convert::Infallible;

    /// Splits at the first dot: a plural resource name never holds one.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (resource, group) = text.split_once('.').unwrap_or((text, ""));
        Ok(Self::new(group, resource))
    }
}

impl Serialize for GroupResource {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for GroupResource {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Ok(kind) = String::deserialize(deserializer)?.parse();
        Ok(kind)
    }
}

/// What the API server calls a kind, in the version that was read.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct KindInfo {
    /// API group, empty for the core group.
    pub group: String,
    /// Version the objects were read in.
    pub version: String,
    /// Plural resource name.
    pub resource: String,
    /// Kind as it stands in manifests.
    pub kind: String,
    /// Whether objects of this kind live in namespaces.
    pub namespaced: bool,
}

impl KindInfo {
    /// The plural name with its group.
    pub fn group_resource(&self) -> GroupResource {
        GroupResource::new(&self.group, &self.resource)
    }

    /// `v1` or `apps/v1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// Whether this is the core group's Secret, whose values are protected by default.
    pub fn is_secret(&self) -> bool {
        self.group.is_empty() && self.resource == "secrets"
    }
}

/// Identity of one object. The version is not part of it: one object is served in several.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ObjectId {
    /// Kind by plural name and group.
    pub kind: GroupResource,
    /// Namespace, or nothing for cluster-scoped kinds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub namespace: Option<String>,
    /// Object name.
    pub name: String,
}

impl ObjectId {
    /// `namespace/name`, or `name`. The API server lists a kind in the byte order of this string.
    pub fn key(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{namespace}/{}", self.name),
            None => self.name.clone(),
        }
    }

    /// Path of the manifest below a mounted snapshot.
    pub fn mount_path(&self) -> String {
        let (file, kind) = (file_name(&self.name), self.kind.to_string());
        match &self.namespace {
            Some(namespace) => format!("namespaces/{}/{}/{file}", directory_name(namespace), directory_name(&kind)),
            None => format!("cluster/{}/{file}", directory_name(&kind)),
        }
    }

    /// Reads a mount path back, with or without leading folders such as the mount point.
    ///
    /// # Errors
    /// `NotAMountPath` for anything else, and for a shortened file name: that one needs the catalog.
    pub fn from_mount_path(path: &str) -> Result<Self, ObjectError> {
        let wrong = || ObjectError::NotAMountPath { path: path.to_owned() };
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let (namespace, kind, file) = match parts.as_slice() {
            [.., "namespaces", namespace, kind, file] => (Some(unescape(namespace).ok_or_else(wrong)?), *kind, *file),
            [.., "cluster", kind, file] => (None, *kind, *file),
            _ => return Err(wrong()),
        };
        if is_shortened(file) {
            return Err(wrong());
        }
        let name = file.strip_suffix(EXTENSION).filter(|name| !name.is_empty()).ok_or_else(wrong)?;
        let kind = unescape(kind).ok_or_else(wrong)?.parse().map_err(|_| wrong())?;
        Ok(Self { kind, namespace, name: unescape(name).ok_or_else(wrong)? })
    }
}

impl fmt::Display for ObjectId {
    /// As kubectl names it: `deployments.apps/web -n demo`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.name)?;
        if let Some(namespace) = &self.namespace {
            write!(f, " -n {namespace}")?;
        }
        Ok(())
    }
}

/// File name of an object in a mount: its own name and `.yaml`; where that is over 255 bytes, the head of the name, `~`
/// and 32 hex digits of its BLAKE3. A name that already looks like one of those is shortened too, so that no name can pose as another.
pub fn file_name(name: &str) -> String {
    let mut file = String::with_capacity(name.len() + EXTENSION.len());
    push_file_name(name, &mut file);
    file
}

/// Appends the [`file_name`] of an object: for those who list many and keep one buffer.
pub fn push_file_name(name: &str, out: &mut String) {
    let escaped = escape(name);
    let length = escaped.len() + EXTENSION.len();
    let poses = length > MAX_FILE_NAME - 4 && is_shortened(&format!("{escaped}{EXTENSION}"));
    if length <= MAX_FILE_NAME && !poses {
        out.push_str(&escaped);
    } else {
        let mut keep = MAX_FILE_NAME - EXTENSION.len() - SHORTENED_HASH - SHORTENED_MARK.len_utf8();
        while !escaped.is_char_boundary(keep) {
            keep -= 1;
        }
        out.push_str(escaped.get(..keep).unwrap_or_default());
        out.push(SHORTENED_MARK);
        out.push_str(blake3::hash(name.as_bytes()).to_hex().get(..SHORTENED_HASH).unwrap_or_default());
    }
    out.push_str(EXTENSION);
}

/// Name of a directory in a mount for a namespace or a kind: its own name, unless no directory can be called that.
pub fn directory_name(name: &str) -> Cow<'_, str> {
    match name {
        "" => Cow::Borrowed("%"),
        "." => Cow::Borrowed("%2E"),
        ".." => Cow::Borrowed("%2E%2E"),
        name => escape(name),
    }
}

/// Replaces what the kernel refuses in a name: one such name would make its whole directory unreadable. The API server takes no `/` and no
/// `%` in names, but aggregated servers set their own rules.
fn escape(name: &str) -> Cow<'_, str> {
    if !name.bytes().any(|byte| matches!(byte, b'/' | b'%' | 0)) {
        return Cow::Borrowed(name);
    }
    Cow::Owned(name.replace('%', "%25").replace('/', "%2F").replace('\0', "%00"))
}

/// Reverses [`escape`] and [`directory_name`]; nothing for what neither writes.
fn unescape(text: &str) -> Option<String> {
    if text == "%" {
        return Some(String::new());
    }
    let mut pieces = text.split('%');
    let mut out = pieces.next()?.to_owned();
    for piece in pieces {
        let (code, rest) = (piece.get(..2)?, piece.get(2..)?);
        out.push(match code {
            "25" => '%',
            "2F" => '/',
            "2E" => '.',
            "00" => '\0',
            _ => return None,
        });
        out.push_str(rest);
    }
    Some(out)
}

/// The head that the names behind a shortened file name have in common; nothing for a file name that spells its object's name.
pub fn shortened_head(file: &str) -> Option<&str> {
    is_shortened(file).then(|| file.rsplit_once(SHORTENED_MARK).map(|(head, _)| head)).flatten()
}

/// Whether a file name was shortened by [`file_name`] and so does not spell the object's name.
pub fn is_shortened(file: &str) -> bool {
    file.len() > MAX_FILE_NAME - 4
        && file
            .strip_suffix(EXTENSION)
            .and_then(|stem| stem.rsplit_once(SHORTENED_MARK))
            .is_some_and(|(_, hash)| hash.len() == SHORTENED_HASH && hash.bytes().all(|b| b.is_ascii_hexdigit()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn group_resources_read_as_kubectl_prints_them() {
        for (text, group, resource) in [("pods", "", "pods"), ("deployments.apps", "apps", "deployments"), ("a.b.c", "b.c", "a")] {
            let parsed: GroupResource = text.parse().unwrap();
            assert_eq!(parsed, GroupResource::new(group, resource));
            assert_eq!(parsed.to_string(), text);
        }
    }

    #[test]
    fn long_names_are_shortened_and_told_apart() {
        let (a, b) = ("a".repeat(252), "a".repeat(253));
        assert_eq!(file_name(&"a".repeat(250)).len(), 255);
        assert_ne!(file_name(&a), file_name(&b));
        assert!(file_name(&b).len() <= MAX_FILE_NAME);
        assert!(is_shortened(&file_name(&a)));
        assert!(!is_shortened(&file_name("web")));
        let path = format!("namespaces/x/pods/{}", file_name(&b));
        assert!(ObjectId::from_mount_path(&path).is_err());
    }

    #[test]
    fn names_that_the_kernel_refuses_are_escaped() {
        for (name, file) in [("a/b", "a%2Fb.yaml"), ("50%", "50%25.yaml"), ("a\0", "a%00.yaml"), ("..", "...yaml"), ("system:a", "system:a.yaml")] {
            assert_eq!(file_name(name), file);
        }
        for (name, directory) in [("", "%"), (".", "%2E"), ("..", "%2E%2E"), ("a/b", "a%2Fb"), ("a.b", "a.b")] {
            assert_eq!(directory_name(name), directory);
            assert_eq!(unescape(directory).unwrap(), name);
        }
        assert_eq!(unescape("a%zz"), None);
        assert_eq!(unescape("a%2"), None);
    }

    #[test]
    fn paths_that_are_not_of_a_mount_are_refused() {
        for path in ["", "web.yaml", "namespaces/a/web.yaml", "cluster/pods/web", "namespaces/a/pods/.yaml", "x/y/z/w.yaml"] {
            assert!(ObjectId::from_mount_path(path).is_err(), "{path}");
        }
    }

    #[test]
    fn a_name_cannot_pose_as_a_shortened_one() {
        let long = "a".repeat(300);
        let file = file_name(&long);
        let poser = file.strip_suffix(EXTENSION).unwrap();
        assert!(poser.len() <= MAX_FILE_NAME - EXTENSION.len());
        assert_ne!(file_name(poser), file);
        assert!(is_shortened(&file_name(poser)) && file_name(poser).len() <= MAX_FILE_NAME);
        // Too short to be one: its file spells it.
        let short = &poser[200..];
        assert_eq!(file_name(short), format!("{short}.yaml"));
    }

    #[test]
    fn names_that_look_like_something_else_keep_their_own_path() {
        for name in ["a:b", "A", "a", "a%2fb", "..a", ".hidden", "a.yaml", ".yaml", "~", "-", "system:node", "namespaces", "cluster", "a~b", "é"] {
            for namespace in [None, Some("cluster"), Some("namespaces"), Some("pods")] {
                let id = ObjectId { kind: GroupResource::new("g.x", "roles"), namespace: namespace.map(str::to_owned), name: name.to_owned() };
                assert_eq!(ObjectId::from_mount_path(&id.mount_path()).unwrap(), id, "{}", id.mount_path());
            }
        }
    }

    proptest! {
        #[test]
        fn mount_path_is_a_bijection(
            resource in "[a-z]{1,20}", group in "([a-z]{1,8}(\\.[a-z]{1,8}){0,3})?",
            namespace in proptest::option::of("[a-z0-9-]{1,63}"), name in "[A-Za-z0-9:._~/%@ -]{1,80}",
        ) {
            let id = ObjectId { kind: GroupResource::new(group, resource), namespace, name };
            prop_assert_eq!(ObjectId::from_mount_path(&id.mount_path()).unwrap(), id.clone());
            let nested = format!("/mnt/x/{}", id.mount_path());
            prop_assert_eq!(ObjectId::from_mount_path(&nested).unwrap(), id);
        }

        #[test]
        fn file_names_fit_and_differ(head in "[a-zé:]{100,130}", a in "[ab~]{0,160}|~[0-9a-f]{32}", b in "[ab~]{0,160}|~[0-9a-f]{32}") {
            let (a, b) = (format!("{head}{a}"), format!("{head}{b}"));
            prop_assert_eq!(file_name(&a) == file_name(&b), a == b);
            prop_assert!(file_name(&a).len() <= MAX_FILE_NAME);
            // What is not shortened reads back.
            if let Some(name) = file_name(&a).strip_suffix(EXTENSION).filter(|_| !is_shortened(&file_name(&a))) {
                prop_assert_eq!(name, a.as_str());
            }
        }
    }
}
