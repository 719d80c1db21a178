//! An export as a tar archive. Owners are left out, so that the same snapshot gives the same bytes everywhere.

use std::{
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use bytes::Bytes;
use flate2::{GzBuilder, write::GzEncoder};
use kstashfs::browse::{Browser, Entry};
use tempfile::NamedTempFile;

use super::{Sink, beside};

/// How an archive is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    None,
    Gzip,
    Zstd,
}

/// Where the bytes go; a file gets its name at the end.
enum Output {
    File(BufWriter<NamedTempFile>, PathBuf),
    Stdout(BufWriter<io::Stdout>),
}

impl Output {
    fn inner(&mut self) -> &mut dyn Write {
        match self {
            Self::File(file, _) => file,
            Self::Stdout(out) => out,
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.inner().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner().flush()
    }
}

/// One kind of compression around the output.
enum Packed {
    None(Output),
    Gzip(GzEncoder<Output>),
    Zstd(zstd::Encoder<'static, Output>),
}

impl Write for Packed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::None(output) => output.write(bytes),
            Self::Gzip(output) => output.write(bytes),
            Self::Zstd(output) => output.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::None(output) => output.flush(),
            Self::Gzip(output) => output.flush(),
            Self::Zstd(output) => output.flush(),
        }
    }
}

/// An archive that is being written.
pub struct Archive {
    builder: tar::Builder<Packed>,
}

impl Archive {
    /// Begins an archive; without a path it goes to stdout.
    pub fn new(path: Option<&Path>, compression: Compression) -> anyhow::Result<Self> {
        let output = match path {
            Some(path) => {
                let (parent, name) = beside(path)?;
                let file = tempfile::Builder::new().prefix(&format!(".{name}.")).tempfile_in(parent);
                let file = file.with_context(|| format!("cannot write into {}", parent.display()))?;
                Output::File(BufWriter::new(file), path.to_owned())
            }
            None => Output::Stdout(BufWriter::new(io::stdout())),
        };
        let packed = match compression {
            Compression::None => Packed::None(output),
            // Without a name and a time, which would differ from one export to the next.
            Compression::Gzip => Packed::Gzip(GzBuilder::new().write(output, flate2::Compression::default())),
            Compression::Zstd => Packed::Zstd(zstd::Encoder::new(output, 0)?),
        };
        Ok(Self { builder: tar::Builder::new(packed) })
    }

    fn append(&mut self, path: &str, entry: &Entry, kind: tar::EntryType, content: &[u8]) -> anyhow::Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(u32::from(entry.mode));
        header.set_mtime(Browser::seconds(entry.modified));
        header.set_size(content.len() as u64);
        header.set_uid(0);
        header.set_gid(0);
        self.builder.append_data(&mut header, path, content).with_context(|| format!("cannot write {path} into the archive"))
    }

    /// Ends it, and lets it have its name.
    pub fn finish(self) -> anyhow::Result<()> {
        let output = match self.builder.into_inner().context("cannot end the archive")? {
            Packed::None(output) => output,
            Packed::Gzip(output) => output.finish().context("cannot end the archive")?,
            Packed::Zstd(output) => output.finish().context("cannot end the archive")?,
        };
        match output {
            Output::Stdout(mut out) => out.flush().context("cannot write to stdout"),
            Output::File(file, path) => {
                let write = || {
                    let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
                    file.as_file().sync_all()?;
                    file.persist(&path).map_err(io::Error::from)
                };
                write().map(drop).with_context(|| format!("cannot write {}", path.display()))
            }
        }
    }
}

impl Sink for Archive {
    fn directory(&mut self, path: &str, entry: &Entry) -> anyhow::Result<()> {
        if path.is_empty() { Ok(()) } else { self.append(&format!("{path}/"), entry, tar::EntryType::Directory, &[]) }
    }

    fn file(&mut self, path: &str, entry: &Entry, content: &Bytes) -> anyhow::Result<()> {
        self.append(path, entry, tar::EntryType::Regular, content)
    }
}
