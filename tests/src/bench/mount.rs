//! A mounted snapshot under everyday commands, beside the kernel's EROFS and the plain disk with the same files.
//!
//! Cold is a fresh mount with the kernel's names and inodes dropped; warm is the same command again. The file systems take turns, so that
//! a slow minute of the machine hits all of them. On the plain disk cold means from the disk.

use std::{collections::BTreeMap, path::PathBuf, process::Command};

use anyhow::{Context as _, ensure};

use super::{
    figure::{Figure, Target, median},
    machine::{self, drop_caches},
    process,
    stage::Stage,
    trees::{Disk, Erofs, Kstashfs, Trees, first_byte},
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
    let mut own = Kstashfs::new(&made.user, &made.repository, places("kstashfs"))?;
    own.renew()?;
    stage.say("copying the mounted files to the disk");
    let disk = Disk::copy(&own, places("disk"))?;
    let disk_name = disk.name().to_owned();
    let (no_cold, no_erofs) = (machine::no_cold_caches(), machine::no_erofs());
    let erofs = match &no_erofs {
        None => Some(Erofs::make(&disk, places("image"), places("erofs"))?),
        Some(_) => None,
    };
    let mut all: Vec<Box<dyn Trees + '_>> = vec![Box::new(own)];
    all.extend(erofs.map(|erofs| Box::new(erofs) as Box<dyn Trees>));
    if no_cold.is_none() {
        // Without, its files would be in memory from the copying.
        all.push(Box::new(disk));
    }

    let mut times = Times::default();
    let file = some_file(all[0].as_ref())?;
    for round in 1..=stage.options.rounds {
        for task in TASKS {
            let mut shown = Vec::new();
            for trees in &mut all {
                renew(trees.as_mut(), no_cold.is_none())?;
                let used = run(task, trees.as_ref())?;
                times.add(task.figure, trees.as_ref(), used.seconds);
                shown.push(used.out);
                if let Some((warm, _)) = task.warm {
                    times.add(warm, trees.as_ref(), run(task, trees.as_ref())?.seconds);
                }
            }
            ensure!(shown.windows(2).all(|pair| pair[0] == pair[1]), "{} shows different things on different file systems: {shown:?}", task.figure);
            let expected = (task.figure == "find").then(|| made.objects.to_string());
            ensure!(expected.is_none_or(|count| shown[0].trim() == count), "find does not find all {} objects: {shown:?}", made.objects);
        }
        for trees in &mut all {
            let mounting = renew(trees.as_mut(), no_cold.is_none())?;
            times.add("ready", trees.as_ref(), mounting);
            times.add("first_byte", trees.as_ref(), first_byte(&trees.folder(0).join(&file))?);
        }
        stage.say(&format!("mount: round {round} of {} done", stage.options.rounds));
    }
    let peak = all[0].peak_mib().context("the mount's memory is not known")?;
    Ok(report(stage, &times, &disk_name, peak, no_cold.as_deref(), no_erofs.as_deref()))
}

fn renew(trees: &mut dyn Trees, cold: bool) -> anyhow::Result<f64> {
    let seconds = trees.renew()?;
    if cold {
        drop_caches(trees.cold())?;
    }
    Ok(seconds)
}

/// The path of a file somewhere in the middle.
fn some_file(trees: &dyn Trees) -> anyhow::Result<PathBuf> {
    let found = process::run(Command::new("find").args(["namespaces", "-type", "f"]).current_dir(trees.folder(0)))?.expect("find", &[0])?;
    let files: Vec<&str> = found.out.lines().collect();
    Ok(files.get(files.len() / 2).context("the mount shows no file")?.into())
}

fn report(stage: &Stage, times: &Times, disk: &str, peak: f64, no_cold: Option<&str>, no_erofs: Option<&str>) -> Vec<Figure> {
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
        if name == "first_byte" {
            continue;
        }
        let beside = format!("mount.{name}.{disk}");
        figures.push(match times.median(name, disk) {
            Some(value) => Figure::cost(&beside, value, "s").over(floor),
            None => Figure::missing(&beside, "s", no_cold.unwrap_or("it was not measured")),
        });
    }
    figures.push(
        Figure::cost("mount.ready", times.median("ready", "kstashfs").unwrap_or_default(), "s")
            .over(times.median("ready", "erofs"))
            .noting("until the mount command is done; most of it turns the password into a key"),
    );
    figures.push(Figure::cost("mount.rss", peak, "MiB").aims_at(Target::Value(RESIDENT_MIB)));
    if let Some(first) = figures.first_mut() {
        first.note = Some(match (no_erofs, no_cold) {
            (Some(why), _) => format!("there is no floor: {why}"),
            (None, Some(why)) => format!("caches were not dropped, only mounts renewed: {why}"),
            (None, None) => format!("floor: EROFS images of the same files, mounted from their files; mount.*.{disk}: the files on the disk"),
        });
    }
    figures
}
