//! What is said under `deploy/` can be read, and sets what there is to set.

use std::fs;
use std::path::PathBuf;

use yaml_rust2::{Yaml, YamlLoader};

/// Of the services beside the server, which the files name as well.
const OF_OTHERS: [&str; 1] = ["REDIS_PASSWORD"];

#[test]
fn the_compose_file_sets_what_there_is_to_set() {
    let [compose] = &read("compose.yml")[..] else { panic!("it is one document") };
    let voice = &compose["services"]["voice"];
    assert!(voice["deploy"]["replicas"].as_i64() > Some(1), "several servers");
    let settings = voice["environment"].as_hash().expect("settings");
    settings.keys().for_each(|name| is_setting(name.as_str().expect("a name")));
    assert_eq!(voice["environment"]["DRAIN_MODE"].as_str(), Some("handover"));
    for service in ["balancer", "postgres", "redis"] {
        assert!(compose["services"][service]["image"].as_str().is_some(), "{service}");
    }
    let example = text("deploy/voice.env.example");
    let lines = example.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.for_each(|line| is_setting(line.split_once('=').expect("a setting").0));
}

#[test]
fn the_kubernetes_example_sets_what_there_is_to_set() {
    let documents = read("kubernetes.yml");
    let of = |kind: &str, name: &str| {
        let is_it = |one: &&Yaml| {
            one["kind"].as_str() == Some(kind) && one["metadata"]["name"].as_str() == Some(name)
        };
        documents.iter().find(is_it).unwrap_or_else(|| panic!("no {kind} {name}"))
    };
    let secrets = of("Secret", "voice")["stringData"].as_hash().expect("secrets");
    let names = secrets.keys().filter_map(Yaml::as_str).filter(|name| !OF_OTHERS.contains(name));
    names.for_each(is_setting);
    let deployment = &of("Deployment", "voice")["spec"];
    let container = &deployment["template"]["spec"]["containers"][0];
    for one in container["env"].as_vec().expect("settings") {
        is_setting(one["name"].as_str().expect("a name"));
    }
    assert_eq!(deployment["strategy"]["rollingUpdate"]["maxUnavailable"].as_i64(), Some(0));
    assert_eq!(container["readinessProbe"]["httpGet"]["path"].as_str(), Some("/ready"));
    assert_eq!(container["livenessProbe"]["httpGet"]["path"].as_str(), Some("/live"));
    assert!(of("Service", "voice")["spec"]["ports"][0]["targetPort"].as_str() == Some("http"));
}

/// Every setting has a line in the manual, which another test compares with the code.
fn is_setting(name: &str) {
    assert!(text("docs/configuration.md").contains(&format!("| `{name}` |")), "{name} is no setting");
}

fn read(file: &str) -> Vec<Yaml> {
    YamlLoader::load_from_str(&text(&format!("deploy/{file}"))).expect("YAML")
}

fn text(file: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
    fs::read_to_string(path).unwrap()
}
