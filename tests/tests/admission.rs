//! What refuses objects of a restore: it is reported by object and cause, not asked again where it has decided, waited for where it has not; and
//! when the cause is gone, the same command finishes the work.
#![cfg(feature = "real")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use kubestash::restore::{
    Selection, Source,
    apply::{Mode, Patience},
    plan::Options,
};
use kubestash_tests::{
    cluster::Cluster,
    copies::{Copies, assert_same},
    fault_proxy::Fault,
    program::Ran,
    restoring::{applied_with, planned, repository, restored},
    traces::wait_for,
    webhook::{Verdict, Webhook},
};
use serde_json::Value;

/// Causes of failures by object, which are in the report, and the exit code says so.
fn failures(ran: &Ran) -> Vec<(String, String)> {
    assert_eq!(ran.code, 3, "{ran:?}");
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    let failures = report["failures"].as_array().unwrap();
    assert_eq!(report["failed"].as_u64().unwrap(), failures.len() as u64);
    let text = |failure: &Value, key: &str| failure[key].as_str().unwrap().to_owned();
    failures.iter().map(|failure| (text(failure, "object"), text(failure, "cause"))).collect()
}

/// No write was sent twice. What was there before is also asked about by dry runs, and patched again where it has too much.
fn assert_nothing_was_repeated(copies: &Copies) {
    let log = copies.proxy.log();
    let former = |name: &str| ["settings", "frozen", "web"].contains(&name);
    let repeated: Vec<_> = log.iter().filter(|seen| seen.asked.write > 0 && seen.asked.before > 0 && !former(&seen.asked.name)).collect();
    assert!(repeated.is_empty(), "{repeated:#?}");
}

const POLICY: &str = r#"
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: no-many}
spec:
  matchConstraints:
    namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: copy-02}}
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}]
  validations: [{expression: "object.metadata.name != 'many-03' && object.metadata.name != 'probe'", message: three are too many}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: no-many}
spec: {policyName: no-many, validationActions: [Deny]}
"#;

const JANE: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: jane}
rules: [{apiGroups: ['*'], resources: ['*'], verbs: [get, list]}, {apiGroups: [''], resources: [configmaps], verbs: [create, patch]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: jane}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: jane}
subjects: [{kind: User, name: jane, apiGroup: rbac.authorization.k8s.io}]
";

/// A new ConfigMap is refused, or not, a moment after what decides about it was changed.
fn wait_until_refused(cluster: &Cluster, namespace: &str, refused: bool) {
    let tried = || cluster.try_kubectl(&["-n", namespace, "create", "cm", "probe", "--dry-run=server"], "");
    wait_for("the decision about a probe", || tried().is_err() == refused, || format!("{:?}", tried()));
}

#[test]
fn denials_are_final_and_told() {
    let copies = Copies::start(6);
    let undisturbed = copies.restore(0);
    assert_eq!(undisturbed.code, 0, "{undisturbed:?}");
    let cluster = &copies.cluster;
    let again = |number: usize| {
        let ran = copies.restore(number);
        assert_eq!(ran.code, 0, "{ran:?}");
    };
    let refused = |number: usize, more: &[&str]| {
        copies.proxy.script(|_| Fault::Pass);
        let failures = failures(&copies.restore_with(number, more));
        assert_nothing_was_repeated(&copies);
        failures
    };

    // A webhook denies with whatever status it likes.
    let webhook = Webhook::start();
    webhook.judge(|object| match object["metadata"]["name"].as_str() {
        Some("many-03" | "probe") => Verdict::Deny(403),
        Some("many-05") => Verdict::Deny(500),
        Some("many-07") => Verdict::Deny(503),
        _ => Verdict::Allow,
    });
    cluster.apply(&webhook.configuration("sundays", "copy-01"));
    wait_until_refused(cluster, "copy-01", true);
    let mut denied = refused(1, &[]);
    denied.sort();
    let objects: Vec<&str> = denied.iter().map(|(object, _)| object.as_str()).collect();
    assert_eq!(objects, ["configmaps/many-03 -n copy-01", "configmaps/many-05 -n copy-01", "configmaps/many-07 -n copy-01"]);
    let cause = "admission webhook \"sundays.example.com\" denied the request: not on a Sunday";
    assert!(denied.iter().all(|(_, told)| told == cause), "{denied:?}");
    cluster.kubectl(&["delete", "validatingwebhookconfiguration", "sundays"]);
    wait_until_refused(cluster, "copy-01", false);
    again(1);

    cluster.apply(POLICY);
    wait_until_refused(cluster, "copy-02", true);
    let denied = refused(2, &[]);
    let [(object, cause)] = denied.as_slice() else { panic!("{denied:?}") };
    assert_eq!(object, "configmaps/many-03 -n copy-02");
    assert!(cause.ends_with("denied request: three are too many"), "{cause}");
    cluster.kubectl(&["delete", "validatingadmissionpolicybinding", "no-many"]);
    wait_until_refused(cluster, "copy-02", false);
    again(2);

    // A quota that is there already, and full in the middle.
    cluster.kubectl(&["-n", "copy-03", "create", "quota", "few", "--hard=count/configmaps=12"]);
    cluster.kubectl(&["-n", "copy-03", "wait", "--for=jsonpath={.status.hard}", "quota/few", "--timeout=60s"]);
    let denied = refused(3, &[]);
    assert!(denied.len() > 5, "{denied:?}");
    assert!(denied.iter().all(|(object, cause)| object.starts_with("configmaps/") && cause.contains("exceeded quota: few")), "{denied:?}");
    cluster.kubectl(&["-n", "copy-03", "delete", "quota", "few", "--ignore-not-found"]);
    again(3);

    // An account that may do little.
    cluster.apply(JANE);
    let denied = refused(4, &["--as", "jane"]);
    assert!(denied.len() > 5, "{denied:?}");
    let is_told = |(object, cause): &(String, String)| {
        let may = object.starts_with("configmaps/many");
        !may && (cause.contains("is forbidden: User \"jane\" cannot ") || cause.contains("is not ready"))
    };
    assert!(denied.iter().all(is_told), "{denied:#?}");
    again(4);

    // What does not answer at first is asked again.
    let asked = AtomicUsize::new(0);
    webhook.judge(move |_| if asked.fetch_add(1, Ordering::Relaxed) < 5 { Verdict::Hang } else { Verdict::Allow });
    cluster.apply(&webhook.configuration("slow", "copy-05"));
    wait_for(
        "the webhook",
        || {
            let _ = cluster.try_kubectl(&["-n", "copy-05", "create", "cm", "probe", "--dry-run=server"], "");
            !webhook.asked().is_empty()
        },
        String::new,
    );
    again(5);
    cluster.kubectl(&["delete", "validatingwebhookconfiguration", "slow"]);

    let states = copies.states();
    for number in 1..=5 {
        assert_same(&states[&number], &states[&0], &format!("refusal {number}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_hangs_is_not_waited_for_by_each_object() {
    const OBJECTS: usize = 40;
    let cluster = Cluster::own();
    cluster.apply("apiVersion: v1\nkind: Namespace\nmetadata: {name: demo}\n");
    let many = (0..OBJECTS).map(|number| format!("---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c-{number:02}, namespace: demo}}\n"));
    cluster.apply(&many.collect::<String>());
    cluster.kubectl(&["-n", "demo", "create", "secret", "generic", "login"]);
    let source = Source::Snapshot(cluster.snapshot(&repository().await, "all").await);
    cluster.kubectl(&["-n", "demo", "delete", "configmaps,secrets", "--all"]);
    let demo = Selection::default().namespaces(&["demo".to_owned()]).unwrap();

    let webhook = Webhook::start();
    cluster.apply(&webhook.configuration("hangs", "demo"));
    let probe = || cluster.try_kubectl(&["-n", "demo", "create", "cm", "probe", "--dry-run=server"], "");
    wait_for(
        "the webhook",
        || {
            let _ = probe();
            !webhook.asked().is_empty()
        },
        String::new,
    );
    webhook.judge(|_| Verdict::Hang);
    let impatient = Patience { undecided: Duration::from_secs(2), ..Patience::default() };
    let plan = planned(&cluster, &source, &demo, &Options::default()).await;
    let report = applied_with(&cluster, &source, plan, Mode::Write, impatient).await;
    assert_eq!((report.created, report.failed), (1, OBJECTS as u64), "{report:#?}");
    let [group] = report.causes.as_slice() else { panic!("{report:#?}") };
    assert!(group.cause.contains("failed calling webhook \"hangs.example.com\""), "{group:?}");
    assert!(group.cause.ends_with("(waiting 2 s for it did not help)"), "{group:?}");
    assert!(webhook.asked().len() <= 2 * OBJECTS, "it was asked {} times", webhook.asked().len());

    cluster.kubectl(&["delete", "validatingwebhookconfiguration", "hangs"]);
    let report = restored(&cluster, &source, &demo, &Options::default()).await;
    assert_eq!((report.created, report.failed), (OBJECTS as u64, 0), "{report:#?}");
}
