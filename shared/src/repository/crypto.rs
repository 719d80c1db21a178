//! Sealing, hashing, and the keys for both.
//!
//! A data key is 32 random bytes. Keys for its uses are derived from it with BLAKE3's `derive_key`. Sealed bytes are: 4 bytes, the head of
//! the data key's id; 24 bytes of random nonce; the XChaCha20 ciphertext; 16 bytes of Poly1305 tag.

use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Payload},
};
use zeroize::Zeroizing;

use super::{
    RepositoryError,
    format::{BlockId, Class, FormatError, hex},
};

/// Bytes at the beginning of whatever is sealed that tell the data key.
pub(crate) const KEY_ID_LEN: usize = 4;
pub(crate) const NONCE_LEN: usize = 24;
const TAG_LEN: usize = 16;

/// Fills an array with random bytes.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], RepositoryError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| RepositoryError::Machine(format!("no random bytes: {error}")))?;
    Ok(bytes)
}

/// One data key with what is derived from it.
#[derive(Clone)]
pub(crate) struct DataKey {
    pub(crate) id: [u8; 16],
    pub(crate) secret: Zeroizing<[u8; 32]>,
    cipher: XChaCha20Poly1305,
    hash: Zeroizing<[u8; 32]>,
    mac: Zeroizing<[u8; 32]>,
}

impl DataKey {
    pub(crate) fn generate() -> Result<Self, RepositoryError> {
        Ok(Self::new(random()?, random()?))
    }

    pub(crate) fn new(id: [u8; 16], secret: [u8; 32]) -> Self {
        let derive = |context: &str| Zeroizing::new(blake3::derive_key(context, &secret));
        let cipher = derive("kubestash repository v1 cipher");
        Self {
            id,
            cipher: XChaCha20Poly1305::new((&*cipher).into()),
            hash: derive("kubestash repository v1 hash"),
            mac: derive("kubestash repository v1 config"),
            secret: Zeroizing::new(secret),
        }
    }

    fn head(&self) -> &[u8] {
        self.id.get(..KEY_ID_LEN).unwrap_or_default()
    }

    fn seal(&self, bytes: &[u8], bound_to: &[u8]) -> Result<Vec<u8>, RepositoryError> {
        let nonce: [u8; NONCE_LEN] = random()?;
        let sealed = self
            .cipher
            .encrypt(&XNonce::from(nonce), Payload { msg: bytes, aad: bound_to })
            .map_err(|_| RepositoryError::Machine("encryption failed".to_owned()))?;
        let mut out = Vec::with_capacity(sealed.len() + KEY_ID_LEN + NONCE_LEN);
        out.extend_from_slice(self.head());
        out.extend_from_slice(&nonce);
        out.extend_from_slice(&sealed);
        Ok(out)
    }

    fn open(&self, sealed: &[u8], bound_to: &[u8]) -> Result<Vec<u8>, FormatError> {
        let rest = sealed.get(KEY_ID_LEN..).ok_or(FormatError::Truncated)?;
        let (nonce, body) = rest.split_first_chunk::<NONCE_LEN>().ok_or(FormatError::Truncated)?;
        if body.len() < TAG_LEN {
            return Err(FormatError::Truncated);
        }
        self.cipher.decrypt(&XNonce::from(*nonce), Payload { msg: body, aad: bound_to }).map_err(|_| FormatError::Forged)
    }
}

/// The data keys that a password opened. The first of each list names things, the last seals new ones; there is one of each until a
/// key is rotated.
#[derive(Clone)]
pub(crate) struct KeyRing {
    pub(crate) general: Vec<DataKey>,
    /// Empty for a password with general access.
    pub(crate) sensitive: Vec<DataKey>,
}

impl KeyRing {
    pub(crate) fn generate() -> Result<Self, RepositoryError> {
        Ok(Self { general: vec![DataKey::generate()?], sensitive: vec![DataKey::generate()?] })
    }

    fn keys(&self, sensitive: bool) -> &[DataKey] {
        if sensitive { &self.sensitive } else { &self.general }
    }

    /// Seals bytes, bound to what they are.
    pub(crate) fn seal(&self, sensitive: bool, bytes: &[u8], bound_to: &[u8]) -> Result<Vec<u8>, RepositoryError> {
        self.keys(sensitive).last().ok_or(RepositoryError::NeedsSensitiveKey)?.seal(bytes, bound_to)
    }

    /// Opens what [`KeyRing::seal`] sealed for the same purpose.
    pub(crate) fn open(&self, sensitive: bool, sealed: &[u8], bound_to: &[u8]) -> Result<Vec<u8>, FormatError> {
        let head = sealed.get(..KEY_ID_LEN).ok_or(FormatError::Truncated)?;
        self.keys(sensitive).iter().find(|key| key.head() == head).ok_or(FormatError::UnknownKey)?.open(sealed, bound_to)
    }

    /// Whether bytes were sealed with a data key that another one has taken the place of.
    pub(crate) fn is_old(&self, sealed: &[u8]) -> bool {
        let old = |keys: &[DataKey]| keys.split_last().is_some_and(|(_, old)| old.iter().any(|key| sealed.starts_with(key.head())));
        old(&self.general) || old(&self.sensitive)
    }

    /// The same keys, and a new one of each that seals from now on.
    pub(crate) fn rotated(&self) -> Result<Self, RepositoryError> {
        let mut ring = self.clone();
        for keys in [&mut ring.general, &mut ring.sensitive] {
            let mut new = DataKey::generate()?;
            // Sealed bytes name their key by its head alone.
            while keys.iter().any(|key| key.head() == new.head()) {
                new = DataKey::generate()?;
            }
            keys.push(new);
        }
        Ok(ring)
    }

    /// What a password of general access opens of it.
    pub(crate) fn general_only(&self) -> Self {
        Self { general: self.general.clone(), sensitive: Vec::new() }
    }

    /// Keyed BLAKE3 of raw bytes.
    pub(crate) fn hash(&self, sensitive: bool, raw: &[u8]) -> Result<[u8; 32], RepositoryError> {
        let key = self.keys(sensitive).first().ok_or(RepositoryError::NeedsSensitiveKey)?;
        Ok(*blake3::keyed_hash(&key.hash, raw).as_bytes())
    }

    /// The name of a block.
    pub(crate) fn block_id(&self, class: Class, raw: &[u8]) -> Result<BlockId, RepositoryError> {
        self.hash(class.sensitive, raw).map(BlockId)
    }

    /// What proves that the config was written by a holder of the general key.
    pub(crate) fn config_mac(&self, config: &[u8]) -> Result<String, RepositoryError> {
        let key = self.general.first().ok_or(RepositoryError::NeedsSensitiveKey)?;
        Ok(hex(blake3::keyed_hash(&key.mac, config).as_bytes()))
    }
}

/// What a sealed block is bound to: its id and class.
pub(crate) fn block_binding(id: BlockId, class: Class) -> [u8; 33] {
    let mut binding = [0; 33];
    let (head, tail) = binding.split_at_mut(32);
    head.copy_from_slice(&id.0);
    tail.fill(class.to_byte());
    binding
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{super::format::Content, *};

    #[test]
    fn sealed_bytes_open_for_the_same_purpose_only() {
        let ring = KeyRing::generate().unwrap();
        let class = Class::general(Content::Manifest);
        let binding = block_binding(BlockId([1; 32]), class);
        let sealed = ring.seal(false, b"hello", &binding).unwrap();
        assert_eq!(sealed.len(), 5 + KEY_ID_LEN + NONCE_LEN + TAG_LEN);
        assert_eq!(ring.open(false, &sealed, &binding).unwrap(), b"hello");
        assert!(ring.open(true, &sealed, &binding).is_err());
        assert!(ring.open(false, &sealed, b"else").is_err());
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(ring.open(false, &changed, &binding).is_err(), "{at}");
        }
        assert_eq!(ring.open(false, &sealed[..20], &binding), Err(FormatError::Truncated));
    }

    #[test]
    fn general_holders_cannot_test_guesses() {
        let ring = KeyRing::generate().unwrap();
        let general = KeyRing { sensitive: Vec::new(), ..ring.clone() };
        assert!(matches!(general.hash(true, b"x"), Err(RepositoryError::NeedsSensitiveKey)));
        assert_ne!(ring.hash(true, b"x").unwrap(), ring.hash(false, b"x").unwrap());
    }
}
