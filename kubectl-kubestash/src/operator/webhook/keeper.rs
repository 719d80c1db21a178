//! Keeps the certificate: in a Secret, which all operators read, and its authority in the webhook configuration.
//!
//! Any operator may renew it, leader or not. A Secret is replaced only as it was read, so of two operators one finds that the other was
//! faster, and takes what is there.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::Context as _;
use jiff::SignedDuration;
use k8s_openapi::{
    ByteString,
    api::{admissionregistration::v1::ValidatingWebhookConfiguration, core::v1::Secret},
};
use kube::{
    Client,
    api::{Patch, PatchParams, PostParams},
};
use kubestash::deploy::{
    NAME,
    webhook::{CERTIFICATE_SECRET, WEBHOOK},
};
use serde_json::json;

use super::{
    certificate::{Held, Move, decide},
    tls::Current,
};
use crate::{
    operator::context::Context,
    resources::{cluster_wide, is_missing, namespaced, outcome::one_line},
};

/// Between two looks at the Secret, where a certificate lives for weeks.
const LOOK: Duration = Duration::from_secs(60);

/// What a keeper works for.
pub struct Keeper {
    /// Namespace of the Secret.
    pub namespace: String,
    /// Names that the API server calls.
    pub hosts: Vec<String>,
    /// How long a certificate is valid.
    pub validity: SignedDuration,
    /// Where the certificate is used.
    pub current: Arc<Current>,
}

impl Keeper {
    /// Keeps the certificate until the process ends.
    pub async fn run(self, context: Arc<Context>) {
        // A certificate of minutes is looked at more often.
        let pause = LOOK.min(Duration::from_secs(u64::try_from(self.validity.as_secs()).unwrap_or(0) / 12 + 1));
        let mut told = String::new();
        loop {
            match self.look(&context).await {
                Ok(()) => told.clear(),
                Err(error) => {
                    let text = one_line(&error);
                    if text != told {
                        tracing::warn!("the webhook's certificate: {text}");
                        told = text;
                    }
                }
            }
            tokio::time::sleep(pause).await;
        }
    }

    async fn look(&self, context: &Context) -> anyhow::Result<()> {
        let (client, now) = (&context.client, context.now());
        let api = namespaced::<Secret>(client, &self.namespace);
        let hint = "apply deploy/webhook.yaml, or run `kubectl kubestash install`";
        let found = api.get_opt(CERTIFICATE_SECRET).await.context("its Secret cannot be read")?;
        let secret = found.with_context(|| format!("Secret {}/{CERTIFICATE_SECRET} is missing; {hint}", self.namespace))?;
        let data: BTreeMap<String, Vec<u8>> = secret.data.clone().unwrap_or_default().into_iter().map(|(name, bytes)| (name, bytes.0)).collect();
        // One that cannot be used is as good as none.
        let usable = Held::read(&data).filter(|held| Current::read(held).is_ok());
        let held = match (decide(usable.as_ref(), &self.hosts, now), usable) {
            (Move::Keep, Some(held)) => held,
            (Move::Keep, None) => return Ok(()),
            (Move::Renew(why), before) => {
                let made = Held::new(&self.hosts, before.as_ref(), self.validity, now).context("it cannot be made")?;
                let data = made.data().into_iter().map(|(name, bytes)| (name, ByteString(bytes))).collect();
                match api.replace(CERTIFICATE_SECRET, &PostParams::default(), &Secret { data: Some(data), ..secret }).await {
                    Ok(_) => tracing::info!("the webhook has a new certificate, valid until {}; of the old one: {why}", made.not_after),
                    // Another operator was faster; its certificate is there at the next look.
                    Err(kube::Error::Api(status)) if status.code == 409 => return Ok(()),
                    Err(error) => return Err(error).context("its Secret cannot be written"),
                }
                made
            }
        };
        // The API server trusts a certificate before it is shown one.
        let trusted = trust(client, &held.bundle()).await;
        self.current.set(Current::read(&held)?);
        context.metrics.certificate(held.not_after);
        trusted
    }
}

/// Writes the authority into the webhook configuration, where it is another one.
async fn trust(client: &Client, bundle: &str) -> anyhow::Result<()> {
    let api = cluster_wide::<ValidatingWebhookConfiguration>(client);
    let found = match api.get(NAME).await {
        Ok(found) => found,
        // Somebody does not want the webhook.
        Err(error) if is_missing(&error) => return Ok(()),
        Err(error) => return Err(error).with_context(|| format!("ValidatingWebhookConfiguration {NAME} cannot be read")),
    };
    let own = found.webhooks.iter().flatten().find(|webhook| webhook.name == WEBHOOK);
    let Some(own) = own else { return Ok(()) };
    let wanted = ByteString(bundle.as_bytes().to_vec());
    if own.client_config.ca_bundle.as_ref() == Some(&wanted) {
        return Ok(());
    }
    let patch = json!({"webhooks": [{"name": WEBHOOK, "clientConfig": {"caBundle": wanted}}]});
    let written = api.patch(NAME, &PatchParams::default(), &Patch::Strategic(&patch)).await;
    written.with_context(|| format!("ValidatingWebhookConfiguration {NAME} cannot be given the authority"))?;
    Ok(())
}
