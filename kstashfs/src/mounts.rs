//! The mounts of this machine: what its table of mounts says, and what each says of itself in `.kstashfs/`.

use std::{
    ffi::OsString,
    io,
    os::unix::ffi::OsStringExt as _,
    path::{Path, PathBuf},
    sync::mpsc,
    time::Duration,
};

use crate::{
    place::{SOURCE, State, is_dead, totals, unescaped},
    status::{FOLDER, INFO, METRICS, info::Info},
};

/// How long a mount has to answer before it counts as silent.
const PATIENCE: Duration = Duration::from_secs(5);

/// One of our mounts, as the system knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mountpoint {
    /// The directory.
    pub place: PathBuf,
    /// The repository, as whoever mounted it named it.
    pub repository: String,
    /// Who mounted it.
    pub user: Option<u32>,
    /// The kernel's number of the connection.
    connection: Option<u32>,
}

/// What became of asking a mount.
#[derive(Debug, Clone, PartialEq)]
pub struct Survey {
    /// The mount.
    pub mountpoint: Mountpoint,
    /// Whether it lives; never [`State::Free`].
    pub state: State,
    /// The process that serves it; nothing where it does not say and the system does not, either.
    pub process: Option<u32>,
    /// What is mounted; nothing where it does not answer, is another user's, or of another version.
    pub info: Option<Info>,
    /// Figures, as text; [`crate::status::metrics::value`] reads them.
    pub metrics: Option<String>,
}

/// Our mounts in a `mountinfo`, those that are not covered by others, in its order.
fn parse(table: &str) -> Vec<Mountpoint> {
    let mut found: Vec<(PathBuf, Option<Mountpoint>)> = Vec::new();
    for line in table.lines() {
        let Some((own, rest)) = line.split_once(" - ") else { continue };
        let (mut own, mut rest) = (own.split(' '), rest.split(' '));
        let (Some(device), Some(place)) = (own.nth(2), own.nth(1)) else { continue };
        let (Some(_type), Some(source), options) = (rest.next(), rest.next(), rest.next().unwrap_or_default()) else { continue };
        let place = PathBuf::from(OsString::from_vec(unescaped(place)));
        let source = String::from_utf8_lossy(&unescaped(source)).into_owned();
        let ours = source.strip_prefix(SOURCE).map(|repository| Mountpoint {
            place: place.clone(),
            repository: repository.to_owned(),
            user: options.split(',').find_map(|option| option.strip_prefix("user_id=")?.parse().ok()),
            connection: device.split_once(':').and_then(|(_, minor)| minor.parse().ok()),
        });
        // Later lines lie above earlier ones.
        found.retain(|(other, _)| *other != place);
        found.push((place, ours));
    }
    found.into_iter().filter_map(|(_, ours)| ours).collect()
}

/// All our mounts that this process sees.
///
/// # Errors
/// The system's, when its table cannot be read.
pub fn list() -> io::Result<Vec<Mountpoint>> {
    Ok(parse(&std::fs::read_to_string("/proc/self/mountinfo")?))
}

/// Asks all mounts at the same time. Takes some seconds at most, also when some do not answer.
pub fn survey(mountpoints: Vec<Mountpoint>) -> Vec<Survey> {
    // Who asks a process that is stopped waits for it, so somebody else does.
    let asked: Vec<_> = mountpoints.into_iter().map(|mountpoint| (ask(mountpoint.place.clone()), mountpoint)).collect();
    let until = std::time::Instant::now() + PATIENCE;
    let answered = asked.into_iter().map(|(answer, mountpoint)| {
        let answer = answer.recv_timeout(until.saturating_duration_since(std::time::Instant::now()));
        let Answer { state, info, metrics } = answer.unwrap_or(Answer { state: State::Silent, info: None, metrics: None });
        let told = info.as_ref().map(|info| info.process);
        let process = told.or_else(|| mountpoint.connection.filter(|_| state != State::Dead).and_then(server_of));
        Survey { mountpoint, state, process, info, metrics }
    });
    answered.collect()
}

struct Answer {
    state: State,
    info: Option<Info>,
    metrics: Option<String>,
}

fn ask(place: PathBuf) -> mpsc::Receiver<Answer> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        // Attributes come from the kernel's memory, also when the process is gone; the totals it always asks for.
        let state = if totals(&place).is_err_and(|error| is_dead(&error)) { State::Dead } else { State::Alive };
        let read = |name: &str| std::fs::read(place.join(FOLDER).join(name)).ok().filter(|_| state == State::Alive);
        let info = read(INFO).and_then(|text| Info::parse(&text).ok());
        let metrics = read(METRICS).and_then(|text| String::from_utf8(text).ok());
        // Nobody may wait any more.
        let _ = sender.send(Answer { state, info, metrics });
    });
    receiver
}

/// The process that holds a connection open; newer kernels tell. Nothing where several do: the number of one that was taken away is given
/// again while its process may still end.
fn server_of(connection: u32) -> Option<u32> {
    let processes = std::fs::read_dir("/proc").ok()?.flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let mut holders = numbers.filter(|process| holds(Path::new("/proc").join(process.to_string()).join("fdinfo").as_path(), connection));
    holders.next().filter(|_| holders.next().is_none())
}

fn holds(folder: &Path, connection: u32) -> bool {
    let Ok(files) = std::fs::read_dir(folder) else { return false };
    files.flatten().filter_map(|file| std::fs::read_to_string(file.path()).ok()).any(|text| connection_of(&text) == Some(connection))
}

fn connection_of(file: &str) -> Option<u32> {
    file.lines().find_map(|line| line.strip_prefix("fuse_connection:")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_mounts_are_found_in_the_table() {
        let table = "25 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
            64 25 0:51 / /mnt/a\\040b ro,nosuid shared:7 - fuse kstashfs:s3://bucket/x ro,user_id=0,group_id=0,default_permissions\n\
            65 25 0:52 / /mnt/covered ro - fuse.kstashfs kstashfs:/repo ro,user_id=1000\n\
            66 25 0:53 / /mnt/covered rw - tmpfs tmpfs rw\n\
            67 25 0:54 / /mnt/twice ro master:1 - fuse kstashfs:/old ro,user_id=0\n\
            68 25 0:55 / /mnt/twice ro - fuse.kstashfs kstashfs:/new\\040one ro,user_id=1000,group_id=1000\n\
            69 25 0:56 / /mnt/other ro - fuse.sshfs host:/x ro,user_id=0\n\
            a line that is none\n";
        let mountpoint = |place: &str, repository: &str, user, connection| Mountpoint {
            place: place.into(),
            repository: repository.into(),
            user: Some(user),
            connection: Some(connection),
        };
        let wanted = [mountpoint("/mnt/a b", "s3://bucket/x", 0, 51), mountpoint("/mnt/twice", "/new one", 1000, 55)];
        assert_eq!(parse(table), wanted);
    }

    #[test]
    fn a_connection_is_told_by_its_files() {
        assert_eq!(connection_of("pos:\t0\nflags:\t02\nmnt_id:\t20\nfuse_connection:\t51\n"), Some(51));
        assert_eq!(connection_of("pos:\t0\nflags:\t02\n"), None);
    }
}
