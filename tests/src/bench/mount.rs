//! A mounted snapshot under everyday commands, beside the kernel's EROFS and squashfs, the plain disk and restic's mount with the same files.
//!
//! Cold is a fresh mount with the kernel's names and inodes dropped; warm is the same command again. The file systems take turns, so that
//! a slow minute of the machine hits all of them. On the plain disk cold means from the disk.

use std::{collections::BTreeMap, path::PathBuf, process::Command};

use anyhow::{Context as _, ensure};

use super::{
    figure::{Figure, Size, Target, median},
    machine::{self, ImageKind, drop_caches},
    process,
    stage::Stage,
    trees::{Disk, Images, Kstashfs, Restic, Trees, first_byte},
};

/// One command and the figures of its first and second run.
struct Task {
    figure: &'static str,
    target: f64,
    warm: Option<(&'static str, f64)>,
    /// For a shell in the first snapshot's folder; `$1` is the second's.
    command: &'static str,
}

const TASKS: &[Task] = &[
    Task { figure: "find", target: 0.6, warm: None, command: "find namespaces cluster -type f | wc -l" },
    Task { figure: "ls", target: 1.0, warm: None, command: "ls -lR namespaces cluster | cat >/dev/null" },
    Task { figure: "grep_cold", target: 2.0, warm: Some(("grep_warm", 0.9)), command: "grep -r -c nomatch namespaces cluster | cat >/dev/null" },
    Task { figure: "tar", target: 2.6, warm: None, command: "tar cf - namespaces cluster | cat >/dev/null" },
    Task { figure: "diff", target: 4.2, warm: None, command: "for view in namespaces cluster; do diff -r $view $1/$view; done | wc -l" },
];
const FIRST_BYTE: f64 = 0.2;

/// How two file systems compare in one figure.
struct Comparison {
    figure: &'static str,
    of: &'static str,
    /// Compared with; `disk` is the disk's file system, whatever its name.
    with: &'static str,
    /// In this measurement.
    on: &'static str,
    target: f64,
    /// Whether the figure tells how many times faster it is, and not how many times as long it takes.
    is_speed: bool,
}

const fn takes(figure: &'static str, with: &'static str, on: &'static str, target: f64) -> Comparison {
    Comparison { figure, of: "kstashfs", with, on, target, is_speed: false }
}

const COMPARISONS: &[Comparison] = &[
    takes("grep_cold_by_erofs", "erofs", "grep_cold", 1.4),
    takes("grep_warm_by_erofs", "erofs", "grep_warm", 1.2),
    takes("ls_by_disk", "disk", "ls", 1.0),
    takes("tar_by_disk", "disk", "tar", 1.0),
    Comparison { of: "kstashfs-full", ..takes("full_by_manifests", "kstashfs", "grep_cold", 2.0) },
    Comparison { is_speed: true, ..takes("grep_faster_than_restic", "restic", "grep_cold", 15.0) },
    Comparison { is_speed: true, ..takes("ls_faster_than_restic", "restic", "ls", 20.0) },
];
const READY: f64 = 0.3;
const RESIDENT_MIB: f64 = 128.0;

/// Seconds by figure, then by file system.
#[derive(Default)]
struct Times(BTreeMap<&'static str, BTreeMap<String, Vec<f64>>>);

impl Times {
    fn add(&mut self, figure: &'static str, trees: &dyn Trees, seconds: f64) {
        self.0.entry(figure).or_default().entry(trees.name().to_owned()).or_default().push(seconds);
    }

    fn median(&self, figure: &str, trees: &str) -> Option<f64> {
        median(self.0.get(figure)?.get(trees)?.iter().copied())
    }
}

/// Runs a command in the first snapshot's folder.
fn run(task: &Task, trees: &dyn Trees) -> anyhow::Result<process::Used> {
    let mut shell = Command::new("sh");
    // Messages and sorting of other languages cost time that is not the file system's.
    shell.args(["-c", task.command, "sh"]).arg(trees.folder(1)).current_dir(trees.folder(0)).env("LC_ALL", "C");
    let used = process::run(&mut shell)?.expect(task.figure, &[0])?;
    ensure!(used.err.is_empty(), "{} on {}: {}", task.figure, trees.name(), used.err);
    Ok(used)
}

/// `mount.*`.
///
/// # Errors
/// When a snapshot cannot be mounted, or the file systems do not show the same.
pub fn figures(stage: &Stage) -> anyhow::Result<Vec<Figure>> {
    let made = stage.backups()?;
    let places = |name: &str| [stage.path(&format!("{name}-first")), stage.path(&format!("{name}-second"))];
    let mut own = Kstashfs::new(&made.user, &made.repository, places("kstashfs"), false)?;
    own.renew()?;
    stage.say("copying the mounted files to the disk");
    let disk = Disk::copy(&own, places("disk"))?;
    let disk_name = disk.name().to_owned();
    let no_cold = machine::no_cold_caches();
    let mut all: Vec<Box<dyn Trees + '_>> = vec![Box::new(own)];
    all.push(Box::new(Kstashfs::new(&made.user, &made.repository, places("kstashfs-full"), true)?));
    let mut absent = Vec::new();
    for kind in [ImageKind::Erofs, ImageKind::Squashfs] {
        match kind.unusable() {
            None => {
                let (name, images) = (kind.name(), places(&format!("{}-image", kind.name())));
                all.push(Box::new(Images::make(kind, &disk, images, places(name))?));
            }
            Some(why) => absent.push(why),
        }
    }
    match machine::no_restic() {
        None => {
            stage.say("backing the same files up with restic");
            all.push(Box::new(Restic::back_up(&disk, stage.path("restic"))?));
        }
        Some(why) => absent.push(why),
    }
    if no_cold.is_none() {
        // Without, its files would be in memory from the copying.
        all.push(Box::new(disk));
    }

    let mut times = Times::default();
    let file = some_file(all[0].as_ref())?;
    for round in 1..=stage.options.rounds {
        for task in TASKS {
            let mut shown = Vec::new();
            for trees in all.iter_mut().filter(|trees| trees.takes_part(task.figure, round)) {
                renew(trees.as_mut(), no_cold.is_none())?;
                let used = run(task, trees.as_ref())?;
                times.add(task.figure, trees.as_ref(), used.seconds);
                shown.push(used.out);
                if let Some((warm, _)) = task.warm
                    && trees.takes_part(warm, round)
                {
                    times.add(warm, trees.as_ref(), run(task, trees.as_ref())?.seconds);
                }
            }
            ensure!(shown.windows(2).all(|pair| pair[0] == pair[1]), "{} shows different things on different file systems: {shown:?}", task.figure);
            let expected = (task.figure == "find").then(|| made.objects.to_string());
            ensure!(expected.is_none_or(|count| shown[0].trim() == count), "find does not find all {} objects: {shown:?}", made.objects);
        }
        for trees in all.iter_mut().filter(|trees| trees.takes_part("ready", round)) {
            let mounting = renew(trees.as_mut(), no_cold.is_none())?;
            times.add("ready", trees.as_ref(), mounting);
            times.add("first_byte", trees.as_ref(), first_byte(&trees.folder(0).join(&file))?);
        }
        stage.say(&format!("mount: round {round} of {} done", stage.options.rounds));
    }
    let peak = all[0].peak_mib().context("the mount's memory is not known")?;
    Ok(report(stage, &times, &disk_name, peak, no_cold.as_deref(), &absent))
}

fn renew(trees: &mut dyn Trees, cold: bool) -> anyhow::Result<f64> {
    let seconds = trees.renew()?;
    if cold {
        drop_caches(trees.cold())?;
    }
    Ok(seconds)
}

/// The path of a file somewhere in the middle.
pub(super) fn some_file(trees: &dyn Trees) -> anyhow::Result<PathBuf> {
    let found = process::run(Command::new("find").args(["namespaces", "-type", "f"]).current_dir(trees.folder(0)))?.expect("find", &[0])?;
    let files: Vec<&str> = found.out.lines().collect();
    Ok(files.get(files.len() / 2).context("the mount shows no file")?.into())
}

fn report(stage: &Stage, times: &Times, disk: &str, peak: f64, no_cold: Option<&str>, absent: &[String]) -> Vec<Figure> {
    let size = stage.size();
    let wanted = TASKS.iter().flat_map(|task| std::iter::once((task.figure, task.target)).chain(task.warm));
    let mut figures: Vec<Figure> = Vec::new();
    for (name, target) in wanted.chain([("first_byte", FIRST_BYTE)]) {
        let floor = times.median(name, "erofs");
        let full = format!("mount.{name}");
        figures.push(match times.median(name, "kstashfs") {
            Some(value) => Figure::cost(&full, value, "s").over(floor).aims_at_in(size, Target::Value(target)),
            None => Figure::missing(&full, "s", "it was not measured"),
        });
        for beside in ["kstashfs-full", "squashfs", disk, "restic"] {
            if let Some(value) = times.median(name, beside).filter(|_| name != "first_byte") {
                figures.push(Figure::cost(&format!("mount.{name}.{beside}"), value, "s").over(floor));
            }
        }
    }
    figures.extend(COMPARISONS.iter().map(|comparison| comparison.figure(size, times, disk)));
    figures.push(
        Figure::cost("mount.ready", times.median("ready", "kstashfs").unwrap_or_default(), "s")
            .over(times.median("ready", "erofs"))
            .aims_at_in(size, Target::Value(READY))
            .noting("until the mount command is done; most of it turns the password into a key"),
    );
    figures.push(Figure::cost("mount.rss", peak, "MiB").aims_at(Target::Value(RESIDENT_MIB)));
    if let Some(first) = figures.first_mut() {
        let others = format!("floor: EROFS images of the same files, mounted from their files; mount.*.{disk}: the files on the disk");
        let cold = no_cold.map(|why| format!("caches were not dropped, only mounts renewed: {why}"));
        let notes: Vec<String> = absent.iter().cloned().chain(cold).chain([others]).collect();
        first.note = Some(notes.join("; "));
    }
    figures
}

impl Comparison {
    fn figure(&self, size: Size, times: &Times, disk: &str) -> Figure {
        let name = format!("mount.{}", self.figure);
        let with = if self.with == "disk" { disk } else { self.with };
        match (times.median(self.on, self.of), times.median(self.on, with)) {
            (Some(own), Some(other)) if self.is_speed => Figure::rate(&name, other / own, "x").aims_at_in(size, Target::Value(self.target)),
            (Some(own), Some(other)) => Figure::cost(&name, own / other, "x").aims_at_in(size, Target::Value(self.target)),
            _ => Figure::missing(&name, "x", "one of the two was not measured"),
        }
    }
}
