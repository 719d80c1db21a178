//! Certificates as cert-manager keeps them: the wish, the request, and the Secret with the key.

use serde_json::json;

use super::{
    app::{App, Meta},
    kind,
    random::{Random, base64},
};

/// Base64 of a PEM text, which is base64 again: what such Secrets hold.
fn pem(random: &mut Random, bytes: usize) -> String {
    let body = random.base64(bytes);
    let lines: Vec<&str> = body.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    base64(format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n")).into_bytes())
}

impl App {
    pub(super) fn certificate(&mut self, host: &str) {
        let name = format!("{}-tls", self.name);
        let issuer = json!({"group": "cert-manager.io", "kind": "ClusterIssuer", "name": "letsencrypt"});
        let usages = json!(["digital signature", "key encipherment"]);
        let condition = json!({"lastTransitionTime": self.random.time(), "message": "Certificate is up to date and has not expired",
            "observedGeneration": 1, "reason": "Ready", "status": "True", "type": "Ready"});
        let content = json!({
            "spec": {"dnsNames": [host], "issuerRef": issuer, "secretName": name, "usages": usages},
            "status": {"conditions": [condition], "notAfter": self.random.time_between(300, 390), "notBefore": self.random.time(),
                "renewalTime": self.random.time_between(300, 390), "revision": self.random.between(1, 9)}});
        let meta = Meta {
            labels: Some(self.selector.clone()),
            manager: "cert-manager-ingress-shim",
            status_manager: Some("cert-manager-certificates-readiness"),
            generation: Some(1),
            ..Meta::default()
        };
        let certificate = self.add(kind::CERTIFICATE, &name, content, meta);

        let condition = json!({"lastTransitionTime": self.random.time(), "message": "Certificate fetched from issuer successfully",
            "reason": "Issued", "status": "True", "type": "Ready"});
        let content = json!({
            "spec": {"extra": {"authentication.kubernetes.io/pod-name": [format!("cert-manager-{}", self.random.suffix(10))]},
                "groups": ["system:serviceaccounts", "system:authenticated"], "issuerRef": issuer, "request": pem(&mut self.random, 620),
                "uid": self.random.uid(), "usages": usages, "username": "system:serviceaccount:cert-manager:cert-manager"},
            "status": {"certificate": pem(&mut self.random, 1800), "conditions": [condition]}});
        let meta = Meta {
            labels: Some(self.selector.clone()),
            annotations: Some(json!({"cert-manager.io/certificate-name": name})),
            owner: Some(&certificate),
            manager: "cert-manager-certificates-request-manager",
            status_manager: Some("cert-manager-certificaterequests-issuer-acme"),
            generation: Some(1),
            ..Meta::default()
        };
        let request = format!("{name}-{}", self.random.between(1, 9));
        self.add(kind::CERTIFICATE_REQUEST, &request, content, meta);

        let data = json!({"tls.crt": pem(&mut self.random, 1800), "tls.key": pem(&mut self.random, 1190)});
        let annotations = json!({"cert-manager.io/alt-names": host, "cert-manager.io/certificate-name": name, "cert-manager.io/common-name": host});
        let meta = Meta { annotations: Some(annotations), manager: "cert-manager-certificates-issuing", ..Meta::default() };
        self.add(kind::SECRET, &name, json!({"data": data, "type": "kubernetes.io/tls"}), meta);
    }
}
