//! The corpus on disk: one YAML file an object, or one line of JSON an object.

use std::{
    collections::HashSet,
    fs, io,
    io::Write,
    path::{Path, PathBuf},
};

use kubestash::object::yaml;

use super::Object;

/// What was written.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Written {
    /// Objects.
    pub objects: usize,
    /// Bytes of their texts.
    pub bytes: usize,
}

/// `deployments.apps/namespaces/demo/web.yaml`, `nodes/cluster/one.yaml`.
pub fn file(object: &Object) -> PathBuf {
    let place = object.namespace().map_or_else(|| PathBuf::from("cluster"), |namespace| Path::new("namespaces").join(namespace));
    Path::new(&object.kind.folder()).join(place).join(format!("{}.yaml", object.name()))
}

/// Writes a folder of YAML files.
///
/// # Errors
/// When the folder or a file cannot be written.
pub fn write_files(objects: impl Iterator<Item = Object>, folder: &Path) -> io::Result<Written> {
    let (mut written, mut made) = (Written::default(), HashSet::new());
    let mut text = Vec::new();
    for object in objects {
        let path = folder.join(file(&object));
        if let Some(parent) = path.parent()
            && made.insert(parent.to_owned())
        {
            fs::create_dir_all(parent)?;
        }
        text.clear();
        yaml::write_value(&object.value, &mut text).map_err(io::Error::other)?;
        fs::write(path, &text)?;
        written.objects += 1;
        written.bytes += text.len();
    }
    Ok(written)
}

/// Writes lines of JSON.
///
/// # Errors
/// When the target does not take them.
pub fn write_lines(objects: impl Iterator<Item = Object>, mut target: impl Write) -> io::Result<Written> {
    let mut written = Written::default();
    for object in objects {
        let line = object.value.to_string();
        target.write_all(line.as_bytes())?;
        target.write_all(b"\n")?;
        written.objects += 1;
        written.bytes += line.len() + 1;
    }
    target.flush()?;
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus::Corpus;

    #[test]
    fn each_object_has_its_file_and_its_line() {
        let corpus = Corpus::new(200, "tree");
        let folder = tempfile::tempdir().unwrap();
        let written = write_files(corpus.iter(), folder.path()).unwrap();
        assert_eq!(written.objects, 200);
        for object in corpus.iter() {
            let text = fs::read(folder.path().join(file(&object))).unwrap();
            assert_eq!(yaml::read(&text).unwrap(), object.value, "{}", file(&object).display());
        }
        let mut lines = Vec::new();
        assert_eq!(write_lines(corpus.iter(), &mut lines).unwrap().objects, 200);
        assert_eq!(lines.iter().filter(|&&byte| byte == b'\n').count(), 200);
    }
}
