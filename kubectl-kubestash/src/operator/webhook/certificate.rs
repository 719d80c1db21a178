//! The certificate of the webhook: when a new one is due, and how it is made.
//!
//! Each certificate has a certificate authority of its own, whose key is thrown away as soon as it has signed: nothing that is kept can sign
//! another one. The authority before the present one stays trusted, so that operators which have not seen the new certificate yet are believed.

use std::{collections::BTreeMap, time::Duration};

use jiff::{SignedDuration, Timestamp};
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose};

/// How long a certificate is valid where nothing else is said: 90 days.
pub const VALIDITY: SignedDuration = SignedDuration::from_hours(90 * 24);
/// Clocks of other machines may be behind by this much.
const SKEW: SignedDuration = SignedDuration::from_mins(5);

/// Keys of the Secret.
mod key {
    pub const AUTHORITY: &str = "ca.crt";
    pub const PREVIOUS: &str = "previous-ca.crt";
    pub const CERTIFICATE: &str = "tls.crt";
    pub const KEY: &str = "tls.key";
    pub const NOT_BEFORE: &str = "not-before";
    pub const NOT_AFTER: &str = "not-after";
    pub const HOSTS: &str = "hosts";
}

/// A certificate as the Secret keeps it; texts are PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Held {
    /// The authority.
    pub authority: String,
    /// The authority of the certificate before.
    pub previous: String,
    /// The certificate.
    pub certificate: String,
    /// Its key.
    pub key: String,
    /// When it was made; it is valid a little longer, for clocks that are behind.
    pub not_before: Timestamp,
    /// Until when.
    pub not_after: Timestamp,
    /// The names that it is for.
    pub hosts: Vec<String>,
}

/// What is to be done about a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Move {
    /// It serves until it is looked at again.
    Keep,
    /// A new one is due, and why.
    Renew(String),
}

/// A certificate is renewed when a third of its time is left: operators that are down for weeks still find a valid one.
pub fn decide(held: Option<&Held>, hosts: &[String], now: Timestamp) -> Move {
    let Some(held) = held else { return Move::Renew("there is none".to_owned()) };
    if let Some(missing) = hosts.iter().find(|host| !held.hosts.contains(host)) {
        return Move::Renew(format!("it is not for {missing}"));
    }
    if now + SKEW < held.not_before {
        return Move::Renew(format!("it was made at {}, which is not yet", held.not_before));
    }
    let whole = held.not_after.duration_since(held.not_before);
    if held.not_after.duration_since(now) * 3 <= whole {
        return Move::Renew(format!("it ends at {}", held.not_after));
    }
    Move::Keep
}

impl Held {
    /// What a Secret holds; nothing where a part is missing or cannot be understood.
    pub fn read(data: &BTreeMap<String, Vec<u8>>) -> Option<Self> {
        let text = |name: &str| data.get(name).and_then(|bytes| String::from_utf8(bytes.clone()).ok());
        Some(Self {
            authority: text(key::AUTHORITY)?,
            previous: text(key::PREVIOUS).unwrap_or_default(),
            certificate: text(key::CERTIFICATE)?,
            key: text(key::KEY)?,
            not_before: text(key::NOT_BEFORE)?.parse().ok()?,
            not_after: text(key::NOT_AFTER)?.parse().ok()?,
            hosts: text(key::HOSTS)?.split(',').map(str::to_owned).collect(),
        })
    }

    /// As the data of a Secret.
    pub fn data(&self) -> BTreeMap<String, Vec<u8>> {
        let all = [
            (key::AUTHORITY, self.authority.clone()),
            (key::PREVIOUS, self.previous.clone()),
            (key::CERTIFICATE, self.certificate.clone()),
            (key::KEY, self.key.clone()),
            (key::NOT_BEFORE, self.not_before.to_string()),
            (key::NOT_AFTER, self.not_after.to_string()),
            (key::HOSTS, self.hosts.join(",")),
        ];
        all.into_iter().map(|(name, text)| (name.to_owned(), text.into_bytes())).collect()
    }

    /// Whom the API server shall trust.
    pub fn bundle(&self) -> String {
        format!("{}{}", self.authority, self.previous)
    }

    /// A new certificate, which begins now; `before` is the one that it replaces.
    ///
    /// # Errors
    /// Names that a certificate cannot hold.
    pub fn new(hosts: &[String], before: Option<&Self>, validity: SignedDuration, now: Timestamp) -> Result<Self, rcgen::Error> {
        let (not_before, not_after) = (now, now + validity);
        let dated = |mut params: CertificateParams| {
            // The library's type of a time has no name here, but it can be counted on from one that it makes.
            let after_epoch = |time: Timestamp| Duration::from_secs(u64::try_from(time.as_second()).unwrap_or(0));
            params.not_before = rcgen::date_time_ymd(1970, 1, 1) + after_epoch(not_before - SKEW);
            params.not_after = rcgen::date_time_ymd(1970, 1, 1) + after_epoch(not_after);
            params
        };
        let mut authority = dated(CertificateParams::default());
        authority.distinguished_name = named("kubestash-operator webhook authority");
        authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let authority_key = KeyPair::generate()?;
        let signed = authority.self_signed(&authority_key)?;
        let issuer = Issuer::new(authority, authority_key);
        let mut serving = dated(CertificateParams::new(hosts.to_vec())?);
        serving.distinguished_name = named("kubestash-operator webhook");
        serving.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        serving.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        serving.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = serving.signed_by(&key, &issuer)?;
        Ok(Self {
            authority: signed.pem(),
            previous: before.map(|before| before.authority.clone()).unwrap_or_default(),
            certificate: certificate.pem(),
            key: key.serialize_pem(),
            not_before,
            not_after,
            hosts: hosts.to_vec(),
        })
    }
}

fn named(name: &str) -> DistinguishedName {
    let mut all = DistinguishedName::new();
    all.push(DnType::CommonName, name);
    all
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn hosts() -> Vec<String> {
        kubestash::deploy::webhook::host_names("kubestash")
    }

    #[test]
    fn a_certificate_is_renewed_in_time() {
        let held = Held {
            authority: String::new(),
            previous: String::new(),
            certificate: String::new(),
            key: String::new(),
            not_before: at("2026-01-01T00:00:00Z"),
            not_after: at("2026-04-01T00:00:00Z"),
            hosts: hosts(),
        };
        let why = |held: Option<&Held>, hosts: &[String], now: &str| match decide(held, hosts, at(now)) {
            Move::Keep => String::new(),
            Move::Renew(why) => why,
        };
        let others = ["kubestash-operator.other.svc".to_owned()];
        let rows: [(Option<&Held>, &[String], &str, &str); 7] = [
            (None, &hosts(), "2026-01-02T00:00:00Z", "there is none"),
            (Some(&held), &hosts(), "2026-01-02T00:00:00Z", ""),
            (Some(&held), &hosts(), "2026-03-01T00:00:00Z", ""),
            (Some(&held), &hosts(), "2026-03-02T00:00:00Z", "it ends at 2026-04-01T00:00:00Z"),
            (Some(&held), &hosts(), "2026-05-01T00:00:00Z", "it ends at 2026-04-01T00:00:00Z"),
            (Some(&held), &hosts(), "2025-12-31T00:00:00Z", "it was made at 2026-01-01T00:00:00Z, which is not yet"),
            (Some(&held), &others, "2026-01-02T00:00:00Z", "it is not for kubestash-operator.other.svc"),
        ];
        for (held, hosts, now, wanted) in rows {
            assert_eq!(why(held, hosts, now), wanted, "{now}");
        }
    }

    #[test]
    fn a_new_certificate_is_kept_whole_and_trusts_the_one_before() {
        let first = Held::new(&hosts(), None, VALIDITY, at("2026-01-01T00:00:00Z")).unwrap();
        assert_eq!(decide(Some(&first), &hosts(), at("2026-01-01T00:00:00Z")), Move::Keep);
        assert!(Held::read(&first.data()).as_ref() == Some(&first));
        let second = Held::new(&hosts(), Some(&first), VALIDITY, at("2026-03-05T00:00:00Z")).unwrap();
        assert_eq!(second.bundle(), format!("{}{}", second.authority, first.authority));
        let mut broken = first.data();
        broken.remove("tls.key");
        assert!(Held::read(&broken).is_none() && Held::read(&BTreeMap::new()).is_none());
    }
}
