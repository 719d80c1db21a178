//! A mount whose store is an S3 server 20 ms away, with nothing in the disk cache, beside one whose repository is a local folder.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::Context as _;
use bytes::Bytes;
use kubestash::store::Store;

use super::{
    figure::{Figure, Target, median},
    machine::{self, Forget, drop_caches},
    mount::some_file,
    process,
    stage::Stage,
    trees::{Kstashfs, Trees, first_byte},
};
use crate::{latency::Distance, program::User, s3::S3Server};

const ROUND_TRIP: Duration = Duration::from_millis(20);
const GREP: &str = "grep -r -c nomatch namespaces cluster | cat >/dev/null";
const PREFIX: &str = "far";

/// Puts all files below a folder into a store.
async fn upload(folder: &Path, below: &str, store: &Store) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder.join(below))? {
        let entry = entry?;
        let name = entry.file_name().into_string().ok().context("a file's name is not UTF-8")?;
        let key = if below.is_empty() { name } else { format!("{below}/{name}") };
        if entry.file_type()?.is_dir() {
            Box::pin(upload(folder, &key, store)).await?;
        } else {
            store.put(&key, Bytes::from(std::fs::read(entry.path())?)).await?;
        }
    }
    Ok(())
}

/// Seconds of the three figures of one mount.
struct Took {
    ready: f64,
    first_byte: f64,
    grep: f64,
}

/// Mounts for the first byte, and for the grep a second time as a user whose disk cache is as empty.
fn measure(repository: &Path, places: [PathBuf; 2], file: &Path, user: impl Fn() -> User) -> anyhow::Result<Took> {
    let renewed = |user: &User, work: &mut dyn FnMut(f64, PathBuf) -> anyhow::Result<()>| {
        let mut trees = Kstashfs::new(user, repository, places.clone(), false)?;
        let ready = trees.renew()?;
        drop_caches(Forget::Names)?;
        work(ready, trees.folder(0))
    };
    let mut took = Took { ready: 0.0, first_byte: 0.0, grep: 0.0 };
    renewed(&user(), &mut |ready, folder| {
        took.ready = ready;
        took.first_byte = first_byte(&folder.join(file))?;
        Ok(())
    })?;
    renewed(&user(), &mut |_, folder| {
        let mut grep = Command::new("sh");
        grep.args(["-c", GREP]).current_dir(folder).env("LC_ALL", "C");
        took.grep = process::run(&mut grep)?.expect("grep", &[0])?.seconds;
        Ok(())
    })?;
    Ok(took)
}

/// `remote.*`.
///
/// # Errors
/// When the server does not start or the mount fails.
pub fn figures(stage: &Stage) -> anyhow::Result<Vec<Figure>> {
    if let Some(why) = machine::no_cold_caches() {
        return Ok(vec![Figure::missing("remote.grep_cold", "s", &why)]);
    }
    let made = stage.backups()?;
    let server = S3Server::start();
    stage.wait(upload(&made.repository, "", &server.store(PREFIX)))?;
    let address: SocketAddr = server.endpoint().trim_start_matches("http://").parse()?;
    let distance = stage.wait(Distance::to(address, ROUND_TRIP))?;
    let (place, variables) = server.settings(PREFIX);
    let password_file = made.user.home().join(".config/kubestash/password");
    let user = |repository: &str| {
        let user = User::new().variable("KUBESTASH_REPO", repository).variable("KUBESTASH_PASSWORD_FILE", &password_file.to_string_lossy());
        variables.iter().fold(user, |user, (name, value)| match *name {
            "AWS_ENDPOINT_URL" => user.variable(name, &format!("http://{}", distance.address())),
            _ => user.variable(name, value),
        })
    };
    let places = |name: &str| [stage.path(&format!("{name}-first")), stage.path(&format!("{name}-second"))];
    let file = {
        let mut trees = Kstashfs::new(&made.user, &made.repository, places("near"), false)?;
        trees.renew()?;
        some_file(&trees)?
    };
    let (mut near_took, mut far_took) = (Vec::new(), Vec::new());
    for round in 1..=stage.options.rounds {
        near_took.push(measure(&made.repository, places("near"), &file, || user(&made.repository.to_string_lossy()))?);
        far_took.push(measure(&made.repository, places("far"), &file, || user(&place))?);
        stage.say(&format!("remote: round {round} of {} done", stage.options.rounds));
    }
    let size = stage.size();
    let of = |took: &[Took], value: fn(&Took) -> f64| median(took.iter().map(value));
    let figure = |name: &str, value: fn(&Took) -> f64| {
        Figure::cost(&format!("remote.{name}"), of(&far_took, value).unwrap_or_default(), "s").over(of(&near_took, value))
    };
    Ok(vec![
        figure("ready", |took| took.ready).noting("an S3 server 20 ms away, with an empty disk cache; floor: a local repository"),
        figure("first_byte", |took| took.first_byte).aims_at_in(size, Target::Value(0.2)),
        figure("grep_cold", |took| took.grep).aims_at_in(size, Target::TimesFloor(3.0)),
    ])
}
