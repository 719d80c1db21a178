//! `kubectl kubestash export`: what a mount shows, as a folder, an archive or an image.

mod archive;
mod folder;
mod image;
mod walk;

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use kstashfs::{
    Forest,
    browse::Browser,
    permissions::{PermissionArgs, Permissions},
};
use kubestash::repository::Root;

use super::shown::ShownArgs;
use crate::cli::{
    CliContext,
    errors::hinted,
    exit,
    objects::find_rows,
    output::{count, size},
};
use walk::{Outcome, Selection, Sink, walk};

/// What is exported of each object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum View {
    /// namespaces/ and cluster/: what one would apply
    Manifests,
    /// resources/: KubeStash's layout, with status
    Resources,
    /// namespaces/ and cluster/ with whole objects, as `mount --full` shows them
    Full,
}

/// Write what a mount of a snapshot shows into a folder, an archive or an image
///
/// Needs no FUSE. The same snapshot gives the same bytes; what is half done never bears the name.
#[derive(Debug, Args)]
#[command(override_usage = "kubectl kubestash export [OPTIONS] SNAPSHOT TARGET [OBJECTS]...")]
pub struct ExportArgs {
    /// A name, a unique beginning, `latest`, a time or `live`
    pub snapshot: String,
    /// A folder, which is empty or not there; a file that ends in .tar, .tar.gz, .tgz, .tar.zst, .erofs or .squashfs; or `-`: a tar to stdout
    pub target: String,
    /// Only these: kind, KIND/NAME or paths of a mount; -n and -A as with kubectl
    pub objects: Vec<String>,
    /// Only this view [default: all that a mount shows]
    #[arg(long, value_enum)]
    pub view: Option<View>,
    #[command(flatten)]
    pub shown: ShownArgs,
}

/// The form of an export.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Target {
    Folder(PathBuf),
    /// To a file, or to stdout.
    Tar(Option<PathBuf>, archive::Compression),
    Image(PathBuf, image::Format),
}

impl Target {
    /// By the end of its name.
    fn parse(text: &str) -> anyhow::Result<Self> {
        if text == "-" {
            return Ok(Self::Tar(None, archive::Compression::None));
        }
        let path = std::path::absolute(text).with_context(|| format!("cannot export to {text:?}"))?;
        let is = |suffix: &str| text.len() > suffix.len() && text.ends_with(suffix);
        Ok(match () {
            () if is(".tar") => Self::Tar(Some(path), archive::Compression::None),
            () if is(".tar.gz") || is(".tgz") => Self::Tar(Some(path), archive::Compression::Gzip),
            () if is(".tar.zst") => Self::Tar(Some(path), archive::Compression::Zstd),
            () if is(".erofs") => Self::Image(path, image::Format::Erofs),
            () if is(".squashfs") || is(".sqfs") => Self::Image(path, image::Format::Squashfs),
            () => Self::Folder(path),
        })
    }
}

/// The folder that a target is made in, so that it gets its name by one step; and that name.
fn beside(path: &Path) -> anyhow::Result<(&Path, String)> {
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => Ok((parent, name.to_string_lossy().into_owned())),
        _ => Err(hinted(format!("cannot export to {}", path.display()), "name a folder or file that is not there yet")),
    }
}

pub async fn run(args: &ExportArgs, context: &CliContext) -> anyhow::Result<u8> {
    let target = Target::parse(&args.target)?;
    match &target {
        Target::Folder(path) => folder::check(path)?,
        Target::Image(_, format) => format.check()?,
        Target::Tar(..) => {}
    }
    let shown = args.shown.understood(args.view == Some(View::Full), context)?;
    let open = context.repository(false).await?;
    let snapshot = shown.snapshot(&args.snapshot, &open, context).await?;
    let root = snapshot.root().clone();
    let namespace = context.args.namespace.as_deref().filter(|_| !context.args.all_namespaces);
    let rows: Option<HashSet<u32>> = match args.objects.as_slice() {
        [] => None,
        objects => Some(find_rows(snapshot.catalog(), objects, namespace)?.iter().map(|row| row.number).collect()),
    };
    if rows.as_ref().is_some_and(HashSet::is_empty) {
        let place = namespace.map_or_else(String::new, |namespace| format!(" in namespace {namespace}"));
        return Err(hinted(format!("snapshot {} holds no such object{place}", root.name), "look with `kubectl kubestash ls SNAPSHOT`"));
    }
    let folders: Option<&[&str]> = match args.view {
        None => None,
        Some(View::Manifests | View::Full) => Some(&["namespaces", "cluster"]),
        Some(View::Resources) => Some(&["resources"]),
    };
    let permissions = Permissions::of(&PermissionArgs::default());
    let browser = Browser::new(Forest::of(&snapshot, shown.look()), permissions, tokio::runtime::Handle::current());
    let selection = Selection { rows, folders };
    let written = tokio::select! {
        // First of all the signal is caught: what is half done is to be taken away.
        biased;
        interrupted = tokio::signal::ctrl_c() => {
            interrupted?;
            return Err(hinted("the export was stopped", "nothing of it is left; run it again"));
        }
        written = write(&browser, &selection, &target, &root) => written?,
    };
    report(&written, &root, args, context);
    Ok(if written.unreadable.is_empty() { exit::OK } else { exit::PARTIAL })
}

async fn write(browser: &Browser, selection: &Selection<'_>, target: &Target, root: &Root) -> anyhow::Result<Outcome> {
    match target {
        Target::Folder(path) => {
            let mut sink = folder::Folder::new(path)?;
            let outcome = walk(browser, selection, &mut sink).await?;
            sink.finish(path)?;
            Ok(outcome)
        }
        Target::Tar(path, compression) => {
            let mut sink = archive::Archive::new(path.as_deref(), *compression)?;
            let outcome = walk(browser, selection, &mut sink).await?;
            sink.finish()?;
            Ok(outcome)
        }
        Target::Image(path, format) => {
            let mut sink = folder::Folder::new(path)?;
            let outcome = walk(browser, selection, &mut sink).await?;
            format.make(sink.complete()?.path(), path, root)?;
            Ok(outcome)
        }
    }
}

fn report(written: &Outcome, root: &Root, args: &ExportArgs, context: &CliContext) {
    for (path, error) in &written.unreadable {
        // Also for those who want it quiet: it is part of the result.
        anstream::eprintln!("warning: {path} is left out: {error}");
    }
    let place = if args.target == "-" { "stdout" } else { &args.target };
    let left =
        if written.unreadable.is_empty() { String::new() } else { format!("; {} could not be read", count(written.unreadable.len() as u64, "file")) };
    context.note(&format!("Exported {} to {place}: {}, {}{left}.", root.name, count(written.files, "file"), size(written.bytes)));
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_guide_has_every_option() {
        let guide = include_str!("../../../../docs/guides/without-fuse.md");
        let command = ExportArgs::augment_args(clap::Command::new("export"));
        for long in command.get_arguments().filter_map(clap::Arg::get_long) {
            assert!(guide.contains(&format!("`--{long}")), "docs/guides/without-fuse.md lacks --{long}");
        }
    }

    #[test]
    fn the_end_of_its_name_says_what_is_made() {
        let at = |path: &str| Some(std::path::absolute(path).unwrap());
        for (text, wanted) in [
            ("-", Target::Tar(None, archive::Compression::None)),
            ("a.tar", Target::Tar(at("a.tar"), archive::Compression::None)),
            ("a.tar.gz", Target::Tar(at("a.tar.gz"), archive::Compression::Gzip)),
            ("/x/a.tgz", Target::Tar(at("/x/a.tgz"), archive::Compression::Gzip)),
            ("a.tar.zst", Target::Tar(at("a.tar.zst"), archive::Compression::Zstd)),
            ("a.erofs", Target::Image(at("a.erofs").unwrap(), image::Format::Erofs)),
            ("a.sqfs", Target::Image(at("a.sqfs").unwrap(), image::Format::Squashfs)),
            ("a.squashfs", Target::Image(at("a.squashfs").unwrap(), image::Format::Squashfs)),
            ("a.zip", Target::Folder(at("a.zip").unwrap())),
            (".tar", Target::Folder(at(".tar").unwrap())),
        ] {
            assert_eq!(Target::parse(text).unwrap(), wanted, "{text}");
        }
        assert!(Target::parse("").is_err());
    }
}
