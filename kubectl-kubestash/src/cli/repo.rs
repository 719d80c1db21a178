//! Finding, opening and making the repository.
//!
//! `--repo` names a storage, which holds `metadata.yaml` and one directory a repository, or such a directory itself.

use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _, path::PathBuf};

use anyhow::Context as _;
use jiff::Timestamp;
use kubestash::{
    api::{NATIVE_PATH, ObjectReference, RepositoryEntry, find_repositories, repository_yaml, snapshot_yaml},
    backend,
    repository::{KeyCost, Password, Repository, Root},
    store::{Location, Store},
};

use super::{CliContext, errors::hinted};
use crate::{
    jobs::storage_of,
    resources::{
        is_missing, is_unserved, namespaced,
        storage::{is_local, open, password},
    },
};

/// What to do where there is none.
const NO_REPOSITORY: &str =
    "`kubectl kubestash backup` makes one on first use, `kubectl kubestash repo init` an empty one; --repo names another place";
/// Directory of a repository that a command makes.
const DEFAULT_DIRECTORY: &str = "cluster-resources";

/// An opened repository and its place in the storage.
pub struct OpenRepository {
    pub repository: Repository,
    pub entry: RepositoryEntry,
    /// The directory with `repository.yaml` and `snapshots/`.
    pub directory: Store,
    /// What `--repo` was, resolved.
    pub place: String,
}

/// Our folder in one of the user's: `$VARIABLE/kubestash`, or below the home folder.
pub fn home(variable: &str, below: &str) -> anyhow::Result<PathBuf> {
    if let Some(path) = std::env::var_os(variable).filter(|path| !path.is_empty()) {
        return Ok(PathBuf::from(path).join("kubestash"));
    }
    let home = std::env::var_os("HOME").filter(|path| !path.is_empty());
    let home =
        home.ok_or_else(|| hinted("there is no home folder for the default repository", "set $HOME, or name a --repo and a --password-file"))?;
    Ok(PathBuf::from(home).join(below).join("kubestash"))
}

impl CliContext {
    fn place(&self) -> anyhow::Result<String> {
        match &self.args.repo {
            Some(place) => Ok(place.clone()),
            None => Ok(home("XDG_DATA_HOME", ".local/share")?.join("repository").display().to_string()),
        }
    }

    fn default_password_file() -> anyhow::Result<PathBuf> {
        Ok(home("XDG_CONFIG_HOME", ".config")?.join("password"))
    }

    /// The password of the flags, of the environment or of the default file. A missing default file is made when `create` is set.
    pub fn password(&self, create: bool) -> anyhow::Result<Password> {
        if let Some(password) = &self.known_password {
            return Ok(password.clone());
        }
        if let Some(path) = &self.args.password_file {
            return read_password(path);
        }
        if let Some(text) = std::env::var("KUBESTASH_PASSWORD").ok().filter(|text| !text.is_empty()) {
            return Ok(Password::new(text));
        }
        let path = Self::default_password_file()?;
        if path.exists() {
            return read_password(&path);
        }
        if !create {
            return Err(hinted(
                format!("there is no password: {} does not exist", path.display()),
                "name the file with --password-file, or set KUBESTASH_PASSWORD",
            ));
        }
        let password = Password::generate()?;
        write_private(&path, password.expose())?;
        self.note(&format!(
            "Made a random password in {}.\nKeep a copy of it somewhere else: without it the backups cannot be read.",
            path.display()
        ));
        Ok(password)
    }

    /// Opens the repository; with `create`, makes it first where there is none.
    pub async fn repository(&self, create: bool) -> anyhow::Result<OpenRepository> {
        let place = self.place()?;
        if let Some(name) = cluster_repository(&place) {
            return self.repository_of_cluster(&name, &place).await;
        }
        let location = Location::parse(&place)?;
        let options = self.args.store_options(&location)?;
        let failed = || match &options.endpoint {
            Some(endpoint) => format!("cannot open the repository at {place} (endpoint {endpoint})"),
            None => format!("cannot open the repository at {place}"),
        };
        let storage = location.open(&options, create).map_err(|error| match &location {
            Location::Folder(path) if !path.exists() => hinted(format!("there is no repository at {place}"), NO_REPOSITORY),
            _ => error.into(),
        })?;
        let (directory, entry) = match self.find(&storage).await.with_context(failed)? {
            Some(found) => found,
            None if create => self.create(&storage, &location, &place).await?,
            None => {
                return Err(hinted(format!("there is no repository at {place}"), NO_REPOSITORY));
            }
        };
        let repository = Repository::open(directory.sub(NATIVE_PATH), &self.password(false)?).await.with_context(failed)?;
        let repository = self.args.cache(&location).iter().fold(repository, |repository, cache| repository.with_cache(cache));
        Ok(OpenRepository { repository, entry, directory, place })
    }

    /// The repository behind a Repository object, found with the caller's own rights.
    async fn repository_of_cluster(&self, name: &ObjectReference, place: &str) -> anyhow::Result<OpenRepository> {
        let cluster = self.cluster().await?;
        let client = cluster.client();
        let namespace = name.namespace_or(self.namespace(&cluster)).to_owned();
        let failed = || format!("cannot open Repository {namespace}/{} of the cluster", name.name);
        let api = namespaced::<kubestash::api::Repository>(&client, &namespace);
        let object = match api.get(&name.name).await {
            Err(error) if is_missing(&error) && !is_unserved(&error) => {
                return Err(hinted(
                    format!("there is no Repository {namespace}/{} in the cluster", name.name),
                    format!("`kubectl get repositories -n {namespace}` lists them; a folder of that name does not exist either"),
                ));
            }
            other => other.with_context(failed)?,
        };
        let storage = storage_of(&client, &object).await.with_context(failed)?;
        if is_local(&storage) {
            return Err(hinted(
                format!("Repository {namespace}/{} is on a volume that only Pods of the cluster reach", name.name),
                "mount the volume here and name its folder with --repo, or restore with a RestoreSession",
            ));
        }
        let path = object.spec.path.clone().unwrap_or_default();
        let directory = open(&client, &storage).await.with_context(failed)?.sub(&path);
        let given = self.known_password.is_some()
            || self.args.password_file.is_some()
            || std::env::var_os("KUBESTASH_PASSWORD").is_some_and(|text| !text.is_empty());
        let password = match &object.spec.encryption_secret {
            Some(secret) if !given => password(&client, secret, &namespace).await.with_context(failed)?,
            _ => self.password(false)?,
        };
        let repository = Repository::open(directory.sub(NATIVE_PATH), &password).await.with_context(failed)?;
        let entry = RepositoryEntry { name: name.name.clone(), namespace, path };
        Ok(OpenRepository { repository, entry, directory, place: place.to_owned() })
    }

    async fn find(&self, storage: &Store) -> anyhow::Result<Option<(Store, RepositoryEntry)>> {
        let mut found = find_repositories(storage, self.args.directory.as_deref()).await?;
        if found.len() > 1 {
            let names: Vec<&str> = found.iter().map(|(_, entry)| entry.path.as_str()).collect();
            return Err(hinted(format!("{} holds several repositories: {}", storage.label(), names.join(", ")), "choose one with --directory"));
        }
        Ok(found.pop())
    }

    /// As restic does, it asks nothing where other files are; none of them is touched, and what KubeStash wrote of the same directory stays.
    async fn create(&self, storage: &Store, location: &Location, place: &str) -> anyhow::Result<(Store, RepositoryEntry)> {
        let now = Timestamp::now();
        let others = matches!(location, Location::Folder(path) if std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some()));
        let meta = backend::initialise(storage, now).await?;
        let path = self.args.directory.as_deref().unwrap_or(DEFAULT_DIRECTORY).trim_matches('/').to_owned();
        let listed = meta.repositories.into_iter().find(|entry| entry.path.trim_matches('/') == path);
        let entry = listed.unwrap_or_else(|| {
            let name = kubestash::api::sanitize_name(&path);
            RepositoryEntry { name, namespace: "default".to_owned(), path }
        });
        let directory = storage.sub(&entry.path);
        let password = self.password(true)?;
        let label = std::env::var("USER").unwrap_or_else(|_| "first key".to_owned());
        Repository::init(directory.sub(NATIVE_PATH), &password, KeyCost::default(), &label, now)
            .await
            .with_context(|| format!("cannot make a repository at {place}"))?;
        directory.put_new(backend::REPOSITORY, repository_yaml(&entry, now).into()).await?;
        backend::enter(storage, &entry, now).await?;
        let beside = if others { ", beside files that were there before and stay as they are" } else { "" };
        self.note(&format!("Made an encrypted repository at {place} ({}){beside}.", entry.path));
        Ok((directory, entry))
    }
}

impl OpenRepository {
    /// Writes `snapshots/<name>.yaml` behind a commit.
    pub async fn write_snapshot_file(&self, root: &Root) -> anyhow::Result<()> {
        self.directory.put(&backend::snapshot_file(&root.name), snapshot_yaml(root, &self.entry).into()).await?;
        Ok(())
    }
}

/// The Repository object that a place names: `repository/NAME`, `repo/NAME`, or `NAMESPACE/NAME` where no folder is called so.
pub fn cluster_repository(place: &str) -> Option<ObjectReference> {
    let (first, name) = place.split_once('/')?;
    let is_name =
        |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.'));
    if !is_name(first) || !is_name(name) || first.starts_with('.') || std::path::Path::new(place).exists() {
        return None;
    }
    Some(match first {
        "repository" | "repo" => ObjectReference { name: name.to_owned(), namespace: None },
        namespace => ObjectReference::new(name, namespace),
    })
}

/// Reads a password file.
pub fn read_password(path: &std::path::Path) -> anyhow::Result<Password> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        hinted(
            format!("cannot read the password file {}: {error}", path.display()),
            "--password-file and KUBESTASH_PASSWORD_FILE name it; the default is .config/kubestash/password below your home",
        )
    })?;
    let password = Password::new(text);
    if password.is_empty() {
        return Err(hinted(format!("the password file {} is empty", path.display()), "write the password into its first line"));
    }
    Ok(password)
}

/// Writes a file that only its owner can read, and never over another.
pub fn write_private(path: &std::path::Path, text: &str) -> anyhow::Result<()> {
    let failed = || format!("cannot write {}", path.display());
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(failed)?;
    }
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).with_context(failed)?;
    writeln!(file, "{text}").and_then(|()| file.sync_all()).with_context(failed)
}
