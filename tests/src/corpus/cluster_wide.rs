//! What belongs to no app: namespaces, nodes, definitions.

use serde_json::{Value, json};

use super::{
    Corpus, Object,
    app::{self, DELIVERY_NAMESPACE, Meta},
    definitions, kind,
    random::Random,
    words,
};

pub(super) fn build(corpus: &Corpus) -> Vec<Object> {
    let mut random = Random::of(&format!("{}/cluster", corpus.seed));
    let mut objects = vec![namespace(&mut random, DELIVERY_NAMESPACE, "delivery")];
    for number in 0..corpus.namespaces() {
        let (name, team, ..) = app::namespace(&corpus.seed, number);
        objects.push(namespace(&mut random, &name, team));
    }
    objects.extend(kind::CUSTOM.iter().map(|own| definitions::of_own_kind(&mut random, own)));
    objects.extend((0..(corpus.objects / 800).clamp(2, 150)).map(|number| definitions::unused(&mut random, number)));
    objects.extend((0..(corpus.objects / 2000).max(3)).map(|_| node(&mut random)));
    objects
}

fn namespace(random: &mut Random, name: &str, team: &str) -> Object {
    let content = json!({"spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}});
    let labels = Some(json!({"kubernetes.io/metadata.name": name, "team": team}));
    app::object(random, kind::NAMESPACE, "", name, content, Meta { labels, manager: "kubectl", ..Meta::default() })
}

fn node(random: &mut Random) -> Object {
    let [a, b, c] = [4, 8, 255].map(|limit| random.below(limit));
    let name = format!("ip-10-{a}-{b}-{c}-{}.eu-central-1.compute.internal", random.hex(4));
    let mut memory = || format!("{}Ki", random.between(60_000_000, 65_000_000));
    let (allocatable, capacity) = (memory(), memory());
    let mut condition = |kind: &str, reason: &str| {
        json!({"type": kind, "status": "False", "reason": reason, "message": format!("kubelet reports {reason}"),
            "lastHeartbeatTime": random.time(), "lastTransitionTime": random.time()})
    };
    let conditions = [
        condition("MemoryPressure", "KubeletHasSufficientMemory"),
        condition("DiskPressure", "KubeletHasNoDiskPressure"),
        condition("Ready", "KubeletReady"),
    ];
    let image = |random: &mut Random| {
        let name = format!("{}/{}@sha256:{}", random.pick(words::REGISTRIES), random.pick(words::TRADES), random.hex(64));
        json!({"names": [name], "sizeBytes": random.between(10_000_000, 1_000_000_000)})
    };
    let images: Vec<Value> = (0..50).map(|_| image(random)).collect();
    let addresses = json!([{"address": random.address(), "type": "InternalIP"}, {"address": name, "type": "Hostname"}]);
    let content = json!({
        "spec": {"podCIDR": format!("10.{}.{}.0/24", random.between(64, 128), random.below(256)),
            "providerID": format!("aws:///eu-central-1a/i-0{}", random.hex(16))},
        "status": {"addresses": addresses, "allocatable": {"cpu": "15890m", "memory": allocatable, "pods": "110"},
            "capacity": {"cpu": "16", "memory": capacity, "pods": "110"}, "conditions": conditions, "images": images,
            "nodeInfo": {"architecture": "amd64", "bootID": random.uid(), "containerRuntimeVersion": "containerd://1.7.0",
                "kernelVersion": "6.1.0", "kubeProxyVersion": "", "kubeletVersion": "v1.31.2", "machineID": random.hex(32),
                "operatingSystem": "linux", "osImage": "Linux", "systemUUID": random.uid()}}});
    let labels = json!({"kubernetes.io/arch": "amd64", "kubernetes.io/hostname": name, "node.kubernetes.io/instance-type": "m6i.4xlarge",
        "topology.kubernetes.io/zone": "eu-central-1a"});
    let meta = Meta {
        labels: Some(labels),
        annotations: Some(json!({"node.alpha.kubernetes.io/ttl": "0"})),
        manager: "kubelet",
        status_manager: Some("kubelet"),
        ..Meta::default()
    };
    app::object(random, kind::NODE, "", &name, content, meta)
}
