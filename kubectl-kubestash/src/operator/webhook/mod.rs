//! The validating webhook: the API server asks before it stores an object.
//!
//! ```text
//! review ─▶ observe (every read) ─▶ rules, powers (pure) ─▶ may the user? (SubjectAccessReview) ─▶ allowed, warnings or why not
//! ```
//! Nothing is changed, and nothing depends on the webhook alone but what only the request tells: who asks. What one object can know is checked
//! by the API server itself, with the rules of the definitions. Every operator answers, leader or not.

mod certificate;
mod ignored;
mod keeper;
mod observe;
mod powers;
pub mod rules;
mod tls;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use clap::Args;
use jiff::SignedDuration;
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use kube::{
    ResourceExt as _,
    api::PostParams,
    core::{
        DynamicObject,
        admission::{AdmissionRequest, AdmissionResponse, AdmissionReview, Operation},
    },
};
use kubestash::{
    api::{BackupConfiguration, BackupStorage, Repository, RestoreSession, RetentionPolicy},
    deploy::{
        NAME,
        webhook::{PATH, host_names},
    },
    session::names::OPERATOR_PORTS,
};
use serde::de::DeserializeOwned;

use self::{keeper::Keeper, observe::Observer, powers::Asked, tls::Current};
use super::{Error, context::Context};
use crate::resources::cluster_wide;

/// The API server waits for five seconds.
const PATIENCE: Duration = Duration::from_secs(4);
/// Bytes of a review: two objects of the size that the API server stores, and what it says about them.
const MAX_REVIEW: usize = 8 << 20;

/// Settings that only tests need.
#[derive(Debug, Args)]
pub struct WebhookArgs {
    /// Port of the webhook
    #[arg(long, hide = true, default_value_t = OPERATOR_PORTS.webhook)]
    webhook_port: u16,
    /// Another name that the certificate is for
    #[arg(long, hide = true)]
    webhook_host: Vec<String>,
    /// Seconds for which a certificate is valid
    #[arg(long, hide = true, default_value_t = certificate::VALIDITY.as_secs())]
    certificate_seconds: i64,
}

struct Server {
    context: Arc<Context>,
    /// The operator itself, which needs no permission of its own.
    operator: String,
}

/// Serves until the process ends, and keeps the certificate.
///
/// # Errors
/// A port that is taken.
pub async fn serve(args: &WebhookArgs, namespace: &str, context: Arc<Context>) -> anyhow::Result<()> {
    let current = Arc::new(Current::default());
    let listener = tls::Listener::bind(SocketAddr::from(([0, 0, 0, 0], args.webhook_port)), Arc::clone(&current)).await?;
    let keeper = Keeper {
        namespace: namespace.to_owned(),
        hosts: [host_names(namespace), args.webhook_host.clone()].concat(),
        validity: SignedDuration::from_secs(args.certificate_seconds),
        current,
    };
    tokio::spawn(keeper.run(Arc::clone(&context)));
    let server = Server { context, operator: format!("system:serviceaccount:{namespace}:{NAME}") };
    let app = Router::new().route(PATH, post(answer)).layer(DefaultBodyLimit::max(MAX_REVIEW)).with_state(Arc::new(server));
    Ok(axum::serve(listener, app).await?)
}

async fn answer(State(server): State<Arc<Server>>, body: Bytes) -> Response {
    let request: AdmissionRequest<DynamicObject> = match serde_json::from_slice::<AdmissionReview<DynamicObject>>(&body).map(TryInto::try_into) {
        Ok(Ok(request)) => request,
        _ => return (StatusCode::BAD_REQUEST, "this is no AdmissionReview with a request").into_response(),
    };
    let kind = request.kind.kind.clone();
    let (outcome, response) = match tokio::time::timeout(PATIENCE, server.review(&request)).await {
        Ok(Ok(verdict)) => {
            let outcome = if verdict.refusals.is_empty() { "allowed" } else { "refused" };
            (outcome, Json(verdict.response(&request).into_review()).into_response())
        }
        // The API server takes it for a webhook that does not work, and goes on as the failure policy says.
        Ok(Err(error)) => {
            tracing::warn!(%kind, name = request.name, "a review failed: {}", error.text());
            ("failed", (StatusCode::INTERNAL_SERVER_ERROR, error.text()).into_response())
        }
        Err(_) => ("failed", (StatusCode::INTERNAL_SERVER_ERROR, "the API server does not answer in time").into_response()),
    };
    server.context.metrics.review(&kind, outcome);
    response
}

/// What becomes of an object.
#[derive(Debug, Default)]
struct Verdict {
    refusals: Vec<String>,
    warnings: Vec<String>,
}

impl Verdict {
    fn response(self, request: &AdmissionRequest<DynamicObject>) -> AdmissionResponse {
        let mut response = AdmissionResponse::from(request);
        if !self.refusals.is_empty() {
            response = response.deny(self.refusals.join("; "));
        }
        // The API server cuts what is longer.
        let warnings: Vec<String> = self.warnings.into_iter().take(16).map(|text| text.chars().take(250).collect()).collect();
        response.warnings = (!warnings.is_empty()).then_some(warnings);
        response
    }
}

fn typed<K: DeserializeOwned>(object: &DynamicObject) -> Result<K, Error> {
    let value = serde_json::to_value(object).map_err(|error| Error::Machine(error.to_string()))?;
    serde_json::from_value(value).map_err(|error| Error::Machine(format!("the object cannot be understood: {error}")))
}

impl Server {
    async fn review(&self, request: &AdmissionRequest<DynamicObject>) -> Result<Verdict, Error> {
        let Some(object) = &request.object else { return Ok(Verdict::default()) };
        let old = request.old_object.as_ref().filter(|_| request.operation == Operation::Update);
        let unchanged = old.is_some_and(|old| old.data.get("spec") == object.data.get("spec"));
        let own = request.user_info.username.as_deref() == Some(&self.operator);
        if own || unchanged || object.metadata.deletion_timestamp.is_some() {
            return Ok(Verdict::default());
        }
        let namespace = request.namespace.clone().or_else(|| object.namespace()).unwrap_or_default();
        let observer = Observer::new(&self.context.client, &namespace);
        let (mut verdict, asked) = self.rules(&request.kind.kind, object, old, &observer).await?;
        if verdict.refusals.is_empty() {
            verdict.refusals = self.refused(&asked, request).await;
        }
        Ok(verdict)
    }

    async fn rules(
        &self,
        kind: &str,
        object: &DynamicObject,
        old: Option<&DynamicObject>,
        observer: &Observer<'_>,
    ) -> Result<(Verdict, Asked), Error> {
        let namespace = observer.namespace();
        Ok(match kind {
            "BackupStorage" => {
                let own: BackupStorage = typed(object)?;
                let known = observer.for_storage().await?;
                let refusals = [rules::second_default(&own, &known.storages), rules::same_place(&own, &known.storages)];
                let verdict = Verdict { refusals: refusals.into_iter().flatten().collect(), warnings: ignored::of_storage(&own.spec) };
                (verdict, powers::of_storage(&own.spec, namespace))
            }
            "RetentionPolicy" => {
                let own: RetentionPolicy = typed(object)?;
                let known = observer.for_policy().await?;
                let refusals = rules::second_default(&own, &known.policies).into_iter().collect();
                (Verdict { refusals, warnings: Vec::new() }, Asked::new())
            }
            "Repository" => {
                let own: Repository = typed(object)?;
                let known = observer.for_repository().await?;
                let refusals = rules::repository(&own, &known);
                (Verdict { refusals, warnings: Vec::new() }, powers::of_repository(&own.spec, namespace))
            }
            "BackupConfiguration" => {
                let own: BackupConfiguration = typed(object)?;
                let known = observer.for_configuration(&own).await?;
                let before = old.and_then(|old| typed::<BackupConfiguration>(old).ok());
                let asked = match before {
                    // Who may only pause and resume needs no other rights.
                    Some(before) if powers::asks_the_same(&before.spec, &own.spec) => Asked::new(),
                    _ => powers::of_configuration(&own.spec, namespace),
                };
                (Verdict { refusals: rules::configuration(&own, &known), warnings: ignored::of_configuration(&own.spec) }, asked)
            }
            "RestoreSession" => {
                let own: RestoreSession = typed(object)?;
                let (known, repository) = observer.for_restore(&own).await?;
                let refusals = rules::restore(&own, repository.as_ref(), &known);
                (Verdict { refusals, warnings: ignored::of_restore(&own.spec) }, powers::of_restore(&own.spec, namespace))
            }
            _ => (Verdict::default(), Asked::new()),
        })
    }

    /// What the user may not do of what the object asks for. A question that is not answered counts as no: the request can be made again.
    async fn refused(&self, asked: &Asked, request: &AdmissionRequest<DynamicObject>) -> Vec<String> {
        let user = request.user_info.username.clone().unwrap_or_default();
        let mut refusals = Vec::new();
        for (power, why) in asked {
            for review in power.reviews(&request.user_info) {
                let api = cluster_wide::<SubjectAccessReview>(&self.context.client);
                match api.create(&PostParams::default(), &review).await {
                    Ok(answered) if answered.status.as_ref().is_some_and(|status| status.allowed) => {}
                    Ok(_) => {
                        refusals.push(format!("{why}; for that {user:?} must be allowed to {}", power.text()));
                        break;
                    }
                    Err(error) => {
                        refusals.push(format!("whether {user:?} may {} cannot be found out: {}", power.text(), crate::resources::said(&error)));
                        break;
                    }
                }
            }
        }
        refusals
    }
}
