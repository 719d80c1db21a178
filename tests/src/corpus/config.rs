//! ConfigMaps and Secrets.

use serde_json::{Map, Value, json};

use super::{
    app::{App, Meta},
    kind,
    random::Random,
    words::{DOMAINS, SETTINGS, TRADES, VARIABLES},
};

/// Lines as Java likes them: `pool.timeout=200ms`.
fn properties(random: &mut Random, lines: usize) -> String {
    let mut text = String::new();
    for _ in 0..lines {
        let words = random.between(2, 4);
        let key = random.several(SETTINGS, words).join(".");
        let value = match random.below(5) {
            0 => random.between(1, 10_000).to_string(),
            1 => random.pick(&["true", "false"]).to_owned(),
            2 => format!("{}ms", random.between(10, 9000)),
            3 => format!("{}.{}", random.pick(TRADES), random.pick(DOMAINS)),
            _ => format!("{}Mi", random.between(16, 4096)),
        };
        text.push_str(&format!("{key}={value}\n"));
    }
    text
}

/// A settings file in JSON, indented.
fn settings(random: &mut Random) -> String {
    let section = |random: &mut Random| (0..4).map(|_| (random.pick(SETTINGS).to_owned(), random.below(10_000).into())).collect::<Map<_, _>>();
    let sections = random.between(2, 11);
    let all: Map<String, Value> = (0..sections).map(|_| (random.pick(SETTINGS).to_owned(), section(random).into())).collect();
    format!("{}\n", serde_json::to_string_pretty(&all).unwrap())
}

impl App {
    pub(super) fn configuration(&mut self) {
        let lines = self.random.pick(&[5, 10, 20, 40]);
        let mut data = json!({"app.properties": properties(&mut self.random, lines)});
        if self.random.percent(40) {
            data["settings.json"] = settings(&mut self.random).into();
        }
        let name = format!("{}-config", self.name);
        self.add(kind::CONFIG_MAP, &name, json!({"data": data}), self.installed());
        for number in 0..self.random.pick(&[0, 1, 1, 2, 4]) {
            self.variables(number);
        }
        self.secrets();
    }

    /// A ConfigMap of single values.
    fn variables(&mut self, number: usize) {
        let name = format!("{}-{}-{number}", self.name, self.random.pick(&["env", "scripts", "rules", "dashboards"]));
        let count = self.random.between(2, 13);
        let mut data = Map::new();
        for variable in self.random.several(VARIABLES, count) {
            let value = match self.random.below(4) {
                0 => "info".to_owned(),
                1 => "true".to_owned(),
                2 => self.random.below(9999).to_string(),
                _ => format!("https://{}.{}", self.random.pick(TRADES), self.random.pick(DOMAINS)),
            };
            data.insert(variable.to_lowercase(), value.into());
        }
        self.add(kind::CONFIG_MAP, &name, json!({"data": data}), self.installed());
    }

    fn secrets(&mut self) {
        let count = self.random.between(1, 7);
        let mut data = Map::new();
        for variable in self.random.several(VARIABLES, count) {
            let length = self.random.pick(&[12, 24, 32, 64]);
            data.insert(variable.to_lowercase(), self.random.base64(length).into());
        }
        let name = format!("{}-secrets", self.name);
        self.add(kind::SECRET, &name, json!({"data": data, "type": "Opaque"}), self.installed());
        if self.random.percent(50) {
            let content = json!({"data": {".dockerconfigjson": self.random.base64(190)}, "type": "kubernetes.io/dockerconfigjson"});
            let meta = Meta { labels: Some(self.selector.clone()), manager: "image-pull-sync", ..Meta::default() };
            self.add(kind::SECRET, &format!("{}-registry", self.name), content, meta);
        }
        if !self.helm {
            return;
        }
        // Releases: a compressed chart each, so random bytes.
        for version in 1..self.random.between(2, 6) {
            let length = self.random.between(1500, 5200);
            let content = json!({"data": {"release": self.random.base64(length)}, "type": "helm.sh/release.v1"});
            let labels = json!({"modifiedAt": (1_735_689_600 + self.random.below(10_000_000)).to_string(), "name": self.name, "owner": "helm",
                "status": "deployed", "version": version.to_string()});
            let meta = Meta { labels: Some(labels), manager: "helm", ..Meta::default() };
            self.add(kind::SECRET, &format!("sh.helm.release.v1.{}.v{version}", self.name), content, meta);
        }
    }
}
