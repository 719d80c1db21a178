//! `kubectl kubestash mounts`: the mounts of this machine.

use anyhow::Context as _;
use clap::Args;
use jiff::Timestamp;
use kstashfs::{
    State,
    mounts::{self, Survey},
    status::metrics::value,
};
use serde::Serialize;

use crate::cli::{
    CliContext,
    args::{Format, OutputArgs},
    exit,
    output::{age, print_bytes, size, structured, table},
};

/// List the mounts of this machine, also those whose daemon died
///
/// What a mount says of itself stands in its hidden folder .kstashfs.
#[derive(Debug, Args)]
pub struct MountsArgs {
    #[command(flatten)]
    pub output: OutputArgs,
}

/// One mount. What it does not say is left out.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    mountpoint: String,
    state: &'static str,
    repository: String,
    /// The snapshot; of a mount of all the newest.
    snapshot: Option<String>,
    /// Their number, of a mount of all.
    snapshots: Option<u64>,
    process: Option<u32>,
    user: Option<String>,
    since: Option<Timestamp>,
    figures: Figures,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Figures {
    files: Option<u64>,
    unreadable_files: Option<u64>,
    requests: Option<u64>,
    pushed_files: Option<u64>,
    read_errors: Option<u64>,
    store_requests: Option<u64>,
    store_read_bytes: Option<u64>,
    disk_cache_hits: Option<u64>,
    disk_cache_misses: Option<u64>,
    decoded_blocks: Option<u64>,
    block_cache_bytes: Option<u64>,
    resident_memory_bytes: Option<u64>,
}

impl Figures {
    fn of(metrics: Option<&str>) -> Self {
        let figure = |name: &str| metrics.and_then(|text| value(text, name)).map(|value| value as u64);
        Self {
            files: figure("kstashfs_files"),
            unreadable_files: figure("kstashfs_unreadable_files"),
            requests: figure("kstashfs_requests_total"),
            pushed_files: figure("kstashfs_pushed_files_total"),
            read_errors: figure("kstashfs_read_errors_total"),
            store_requests: figure("kstashfs_store_requests_total"),
            store_read_bytes: figure("kstashfs_store_read_bytes_total"),
            disk_cache_hits: figure("kstashfs_disk_cache_hits_total"),
            disk_cache_misses: figure("kstashfs_disk_cache_misses_total"),
            decoded_blocks: figure("kstashfs_decoded_blocks_total"),
            block_cache_bytes: figure("kstashfs_block_cache_bytes"),
            resident_memory_bytes: figure("kstashfs_resident_memory_bytes"),
        }
    }
}

impl Listed {
    fn of(survey: Survey, users: &str) -> Self {
        let Survey { mountpoint, state, process, info, metrics } = survey;
        let (snapshot, snapshots, since) = info.map_or((None, None, None), |info| (info.snapshot, info.snapshots, Some(info.since)));
        Self {
            mountpoint: mountpoint.place.display().to_string(),
            state: match state {
                State::Alive | State::Free => "alive",
                State::Dead => "dead",
                State::Silent => "silent",
            },
            repository: mountpoint.repository,
            snapshot: snapshot.map(|snapshot| snapshot.name),
            snapshots,
            process,
            user: mountpoint.user.map(|id| user_name(users, id)),
            since,
            figures: Figures::of(metrics.as_deref()),
        }
    }

    fn row(&self, now: Timestamp, wide: bool) -> Vec<String> {
        let shown = |value: Option<u64>| value.map_or_else(|| "-".to_owned(), |value| value.to_string());
        let snapshot = match (&self.snapshot, self.snapshots) {
            (_, Some(number)) => format!("all ({number})"),
            (Some(name), None) => name.clone(),
            (None, None) => "-".to_owned(),
        };
        let mut row = vec![
            self.mountpoint.clone(),
            snapshot,
            self.state.to_owned(),
            shown(self.process.map(u64::from)),
            self.user.clone().unwrap_or_else(|| "-".to_owned()),
            self.since.map_or_else(|| "-".to_owned(), |since| age(since, now)),
            shown(self.figures.files),
            shown(self.figures.requests),
        ];
        if wide {
            let bytes = |value: Option<u64>| value.map_or_else(|| "-".to_owned(), size);
            let figures = &self.figures;
            row.extend([
                shown(figures.read_errors),
                shown(figures.store_requests),
                bytes(figures.store_read_bytes),
                shown(figures.disk_cache_hits),
                bytes(figures.block_cache_bytes),
                bytes(figures.resident_memory_bytes),
            ]);
        }
        row.push(self.repository.clone());
        row
    }
}

/// The name of a user in the system's list of them, else the number.
fn user_name(users: &str, id: u32) -> String {
    let mut named = users.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let (name, number) = (fields.next()?, fields.nth(1)?);
        (number.parse() == Ok(id)).then_some(name)
    });
    named.next().map_or_else(|| id.to_string(), str::to_owned)
}

pub fn run(args: &MountsArgs, context: &CliContext) -> anyhow::Result<u8> {
    let found = mounts::list().context("cannot read the table of mounts")?;
    if args.output.output == Format::Name {
        // What stands in the table need not be asked.
        let names: String = found.iter().map(|mountpoint| format!("{}\n", mountpoint.place.display())).collect();
        print_bytes(names.as_bytes())?;
        return Ok(exit::OK);
    }
    // A system without such a list has numbers only.
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let listed: Vec<Listed> = mounts::survey(found).into_iter().map(|survey| Listed::of(survey, &users)).collect();
    let wide = args.output.output == Format::Wide;
    match args.output.output {
        Format::Json | Format::Yaml => structured(&listed, args.output.output == Format::Yaml)?,
        _ if listed.is_empty() => context.note("No snapshot is mounted on this machine."),
        _ => {
            let mut header = vec!["DIR", "SNAPSHOT", "STATE", "PROCESS", "USER", "SINCE", "FILES", "REQUESTS"];
            if wide {
                header.extend(["ERRORS", "STORE REQUESTS", "STORE READ", "DISK CACHE HITS", "BLOCK CACHE", "MEMORY"]);
            }
            header.push("REPOSITORY");
            let now = Timestamp::now();
            let rows: Vec<Vec<String>> = listed.iter().map(|listed| listed.row(now, wide)).collect();
            print_bytes(table(&header, &rows).as_bytes())?;
            if listed.iter().any(|listed| listed.state != "alive") {
                context.note("`kubectl kubestash umount --lazy DIR` takes those away that are dead or do not answer.");
            }
        }
    }
    Ok(exit::OK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_have_names_where_the_system_knows_them() {
        let users = "root:x:0:0:root:/root:/bin/sh\nbroken\njane:x:1000:100::/home/jane:/bin/sh\n";
        for (id, name) in [(0, "root"), (1000, "jane"), (100, "100"), (7, "7")] {
            assert_eq!(user_name(users, id), name);
        }
    }

    #[test]
    fn figures_that_are_not_told_are_left_out() {
        let text = "kstashfs_files{mountpoint=\"/m\"} 7\nkstashfs_requests_total{mountpoint=\"/m\",operation=\"read\"} 3\n\
            kstashfs_requests_total{mountpoint=\"/m\",operation=\"lookup\"} 4\n";
        let figures = Figures::of(Some(text));
        assert_eq!((figures.files, figures.requests, figures.read_errors), (Some(7), Some(7), None));
        assert_eq!(Figures::of(None).files, None);
    }
}
