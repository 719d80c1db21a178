//! Key files: a password wraps the data keys.
//!
//! Three lines: a header in JSON that everybody may read; nonce, wrapped keys and tag in hex; BLAKE3 of both lines in hex, which tells a
//! damaged file from a wrong password. The wrapped keys are bound to the header, which names the repository, and to the file's name.

use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Payload},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{
    RepositoryError,
    crypto::{DataKey, KeyRing, NONCE_LEN, random},
    format::{FormatError, hex, unhex},
};

/// Memory above this is refused: a hostile key file must not take the machine down.
const MAX_MEMORY_KIB: u32 = 64 << 10;
const MAX_ITERATIONS: u32 = 8;
const MAX_PARALLELISM: u32 = 8;

/// A password. Never printed, wiped from memory when dropped.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// Takes a password as it is, without line breaks at its end.
    pub fn new(text: impl Into<String>) -> Self {
        let text = Zeroizing::new(text.into());
        Self(Zeroizing::new(text.trim_end_matches(['\n', '\r']).to_owned()))
    }

    /// Makes a random one of 256 bits.
    ///
    /// # Errors
    /// `Machine` when the system has no randomness.
    pub fn generate() -> Result<Self, RepositoryError> {
        Ok(Self(Zeroizing::new(hex(&random::<32>()?))))
    }

    /// Whether nothing was given.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The password itself, for writing a key file or handing it to a child process.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password")
    }
}

/// How much a password opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// Everything.
    Full,
    /// Everything but the values of Secrets and of kinds named sensitive.
    General,
}

/// Cost of turning a password into a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyCost {
    memory_kib: u32,
    iterations: u32,
    parallelism: u32,
}

impl Default for KeyCost {
    /// Argon2id with 64 MiB and 3 passes: fits a pod of 128 MiB, and costs a guesser the same.
    fn default() -> Self {
        Self { memory_kib: 64 << 10, iterations: 3, parallelism: 1 }
    }
}

impl KeyCost {
    /// Next to nothing, for tests and for repositories in memory.
    pub const CHEAP: Self = Self { memory_kib: 32, iterations: 1, parallelism: 1 };
}

/// What is told about a key without opening it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyInfo {
    /// Its name in the repository.
    pub id: String,
    /// What its owner called it.
    pub label: String,
    /// When it was added.
    pub created: Timestamp,
    /// What it opens.
    pub access: Access,
    /// Whether this is the key that opened the repository.
    pub current: bool,
    /// How many general data keys it opens: fewer than others when a rotation was cut off.
    #[serde(rename = "dataKeys")]
    pub data_keys: usize,
}

/// The keys of a repository.
#[derive(Debug, Default)]
pub struct KeyList {
    /// Oldest first.
    pub keys: Vec<KeyInfo>,
    /// Key files that cannot be read: the id and why.
    pub damaged: Vec<(String, RepositoryError)>,
}

#[derive(Serialize, Deserialize)]
struct Kdf {
    name: String,
    memory_kib: u32,
    iterations: u32,
    parallelism: u32,
    salt: String,
}

/// What stands in a key file for everybody.
#[derive(Serialize, Deserialize)]
pub(crate) struct KeyHeader {
    version: u32,
    /// Id of the repository that it opens.
    repository: String,
    pub(crate) label: String,
    pub(crate) created: Timestamp,
    pub(crate) access: Access,
    /// How many general data keys it wraps: of two files that a password opens, the one with more is newer.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub(crate) data_keys: usize,
    kdf: Kdf,
}

fn one() -> usize {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_one(number: &usize) -> bool {
    *number == 1
}

pub(crate) struct KeyFile {
    pub(crate) header: KeyHeader,
    /// The header as it is written.
    line: String,
    /// Nonce, wrapped keys, tag.
    sealed: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct Wrapped {
    general: Vec<WrappedKey>,
    #[serde(default)]
    sensitive: Vec<WrappedKey>,
}

#[derive(Serialize, Deserialize)]
struct WrappedKey {
    id: String,
    key: String,
}

impl Drop for WrappedKey {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.key);
    }
}

fn wrapping_cipher(password: &Password, kdf: &Kdf) -> Result<XChaCha20Poly1305, FormatError> {
    let bounded = |what, found: u32, maximum: u32| {
        if found > maximum { Err(FormatError::TooLarge { what, found: found.into(), maximum: maximum.into() }) } else { Ok(()) }
    };
    bounded("the memory of the key derivation in KiB", kdf.memory_kib, MAX_MEMORY_KIB)?;
    bounded("the number of passes of the key derivation", kdf.iterations, MAX_ITERATIONS)?;
    bounded("the parallelism of the key derivation", kdf.parallelism, MAX_PARALLELISM)?;
    if kdf.name != "argon2id" {
        return Err(FormatError::Invalid("an unknown key derivation"));
    }
    let params = Params::new(kdf.memory_kib, kdf.iterations, kdf.parallelism, Some(32))
        .map_err(|_| FormatError::Invalid("impossible parameters of the key derivation"))?;
    let salt = unhex(&kdf.salt).ok_or(FormatError::Invalid("a salt that is not hex"))?;
    let mut key = Zeroizing::new([0; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(password.0.as_bytes(), &salt, &mut *key)
        .map_err(|_| FormatError::Invalid("impossible parameters of the key derivation"))?;
    Ok(XChaCha20Poly1305::new((&*key).into()))
}

/// What the wrapped keys are bound to.
fn binding(id: &str, header: &str) -> Vec<u8> {
    format!("kubestash key {id}\n{header}").into_bytes()
}

fn checksum(header: &str, sealed: &str) -> String {
    blake3::hash(format!("{header}\n{sealed}\n").as_bytes()).to_hex().to_string()
}

impl KeyFile {
    pub(crate) fn seal(
        ring: &KeyRing,
        password: &Password,
        cost: KeyCost,
        (id, repository): (&str, &str),
        label: &str,
        created: Timestamp,
    ) -> Result<Vec<u8>, RepositoryError> {
        let kdf = Kdf {
            name: "argon2id".to_owned(),
            memory_kib: cost.memory_kib,
            iterations: cost.iterations,
            parallelism: cost.parallelism,
            salt: hex(&random::<16>()?),
        };
        let failed = |what: &str| RepositoryError::Machine(format!("a key cannot be made: {what}"));
        let wrap = |keys: &[DataKey]| keys.iter().map(|key| WrappedKey { id: hex(&key.id), key: hex(&*key.secret) }).collect();
        let keys = Wrapped { general: wrap(&ring.general), sensitive: wrap(&ring.sensitive) };
        let plain = Zeroizing::new(serde_json::to_vec(&keys).map_err(|_| failed("encoding"))?);
        let access = if ring.sensitive.is_empty() { Access::General } else { Access::Full };
        let cipher = wrapping_cipher(password, &kdf).map_err(|error| failed(&error.to_string()))?;
        let data_keys = ring.general.len();
        let header = KeyHeader { version: 1, repository: repository.to_owned(), label: label.to_owned(), created, access, data_keys, kdf };
        let line = serde_json::to_string(&header).map_err(|_| failed("encoding"))?;
        let nonce = random::<NONCE_LEN>()?;
        let wrapped = cipher.encrypt(&XNonce::from(nonce), Payload { msg: &plain, aad: &binding(id, &line) }).map_err(|_| failed("encryption"))?;
        let sealed = hex(&[&nonce[..], &wrapped].concat());
        let sum = checksum(&line, &sealed);
        Ok(format!("{line}\n{sealed}\n{sum}\n").into_bytes())
    }

    pub(crate) fn decode(bytes: &[u8], repository: &str) -> Result<Self, FormatError> {
        let text = std::str::from_utf8(bytes).map_err(|_| FormatError::Invalid("text that is not UTF-8"))?;
        let [line, sealed, sum, ""] = text.split('\n').collect::<Vec<_>>()[..] else {
            return Err(FormatError::Invalid("another number of lines than a key has"));
        };
        if checksum(line, sealed) != sum {
            return Err(FormatError::Forged);
        }
        let header: KeyHeader = serde_json::from_str(line).map_err(|_| FormatError::Invalid("something that is not a key"))?;
        if header.version != 1 {
            return Err(FormatError::Invalid("a key of another version"));
        }
        if header.repository != repository {
            return Err(FormatError::Invalid("a key of another repository"));
        }
        let sealed = unhex(sealed).ok_or(FormatError::Invalid("a key that is not hex"))?;
        Ok(Self { header, line: line.to_owned(), sealed })
    }

    /// The data keys, or `None` for a wrong password.
    pub(crate) fn open(&self, password: &Password, id: &str) -> Result<Option<KeyRing>, FormatError> {
        let (nonce, wrapped) = self.sealed.split_first_chunk::<NONCE_LEN>().ok_or(FormatError::Truncated)?;
        let cipher = wrapping_cipher(password, &self.header.kdf)?;
        let bound_to = binding(id, &self.line);
        let Ok(plain) = cipher.decrypt(&XNonce::from(*nonce), Payload { msg: wrapped, aad: &bound_to }) else {
            return Ok(None);
        };
        let plain = Zeroizing::new(plain);
        unwrap_keys(&plain).map(Some)
    }
}

/// The data keys that the decrypted part of a key file holds.
pub(super) fn unwrap_keys(plain: &[u8]) -> Result<KeyRing, FormatError> {
    let keys: Wrapped = serde_json::from_slice(plain).map_err(|_| FormatError::Invalid("a key that is not hex"))?;
    let unwrap = |keys: &[WrappedKey]| {
        let key = |key: &WrappedKey| Some(DataKey::new(unhex(&key.id)?.try_into().ok()?, unhex(&key.key)?.try_into().ok()?));
        keys.iter().map(|wrapped| key(wrapped).ok_or(FormatError::Invalid("a data key of the wrong length"))).collect::<Result<Vec<_>, _>>()
    };
    let ring = KeyRing { general: unwrap(&keys.general)?, sensitive: unwrap(&keys.sensitive)? };
    if ring.general.is_empty() { Err(FormatError::Invalid("a key that opens nothing")) } else { Ok(ring) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_key_opens_with_its_password_only() {
        let ring = KeyRing::generate().unwrap();
        let (right, wrong) = (Password::new("right\n"), Password::new("wrong"));
        let bytes = KeyFile::seal(&ring, &right, KeyCost::CHEAP, ("k", "r"), "laptop", Timestamp::UNIX_EPOCH).unwrap();
        let file = KeyFile::decode(&bytes, "r").unwrap();
        assert!(file.open(&wrong, "k").unwrap().is_none());
        assert!(file.open(&right, "other").unwrap().is_none());
        assert!(KeyFile::decode(&bytes, "another").is_err());
        let opened = file.open(&right, "k").unwrap().unwrap();
        assert_eq!(*opened.general[0].secret, *ring.general[0].secret);
        assert_eq!((file.header.access, file.header.label.as_str()), (Access::Full, "laptop"));
    }

    /// A file whose header somebody changed who knows how to make the checksum fit.
    fn with_header(bytes: &[u8], from: &str, to: &str) -> KeyFile {
        let text = std::str::from_utf8(bytes).unwrap();
        assert!(text.contains(from));
        let changed = text.replace(from, to);
        let lines: Vec<&str> = changed.lines().collect();
        KeyFile::decode(format!("{}\n{}\n{}\n", lines[0], lines[1], checksum(lines[0], lines[1])).as_bytes(), "r").unwrap()
    }

    #[test]
    fn costs_of_a_hostile_file_are_bounded() {
        let ring = KeyRing::generate().unwrap();
        let bytes = KeyFile::seal(&ring, &Password::new("p"), KeyCost::CHEAP, ("k", "r"), "", Timestamp::UNIX_EPOCH).unwrap();
        for (from, to) in
            [("\"memory_kib\":32", "\"memory_kib\":65537"), ("\"iterations\":1", "\"iterations\":9"), ("\"parallelism\":1", "\"parallelism\":9")]
        {
            let opened = with_header(&bytes, from, to).open(&Password::new("p"), "k");
            assert!(matches!(opened, Err(FormatError::TooLarge { .. })), "{to}");
        }
    }

    #[test]
    fn the_header_is_bound_to_the_keys() {
        let ring = KeyRing { sensitive: Vec::new(), ..KeyRing::generate().unwrap() };
        let password = Password::new("p");
        let bytes = KeyFile::seal(&ring, &password, KeyCost::CHEAP, ("k", "r"), "auditor", Timestamp::UNIX_EPOCH).unwrap();
        for (from, to) in [("auditor", "admin"), ("\"general\"", "\"full\""), ("1970", "1971")] {
            assert!(with_header(&bytes, from, to).open(&password, "k").unwrap().is_none(), "{to}");
        }
        let flipped = String::from_utf8(bytes).unwrap().replace("auditor", "auditer");
        assert!(matches!(KeyFile::decode(flipped.as_bytes(), "r"), Err(FormatError::Forged)));
    }
}
