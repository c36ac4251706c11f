//! The dashboard and the alerting rules of docs/monitoring against Debian's Prometheus, which scrapes a real gateway.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::client::{Client, ask_operator};
use crate::support::free_address::free_address;
use crate::support::gateway::{Gateway, Home};
use crate::support::upstream::Upstream;

/// Ends the process with the test.
struct Prometheus(Child);

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ended = self.0.kill().and_then(|()| self.0.wait());
    }
}

fn page(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/monitoring").join(name)
}

fn text(name: &str) -> String {
    std::fs::read_to_string(page(name)).expect(name)
}

/// Reports that a program of Debian's package `prometheus` is missing; `tests/run` installs it.
fn is_missing() -> bool {
    let missing = Command::new("promtool").arg("--version").output().is_err();
    if missing {
        println!("note: Prometheus is not installed; dashboard and alerting rules were NOT tried");
    }
    missing
}

async fn ask(prometheus: SocketAddr, target: &str) -> Value {
    let reply = ask_operator(prometheus, target, &[]).await.expect("Prometheus answers");
    assert_eq!(reply.status, 200, "{target}: {}", reply.text());
    let answer = reply.json();
    assert_eq!(answer["status"], "success", "{target}: {answer}");
    answer["data"].clone()
}

/// The result of a query.
async fn query(prometheus: SocketAddr, expression: &str) -> Vec<Value> {
    let encoded: String = url::form_urlencoded::byte_serialize(expression.as_bytes()).collect();
    let data = ask(prometheus, &format!("/api/v1/query?query={encoded}")).await;
    data["result"].as_array().expect("a vector").clone()
}

/// Starts Prometheus with the configuration from the page, except that it scrapes this gateway every second.
fn start(folder: &Path, operator: SocketAddr) -> (Prometheus, SocketAddr) {
    let config = text("prometheus.yml")
        .replace("127.0.0.1:9090", &operator.to_string())
        .replace("scrape_interval: 15s", "scrape_interval: 1s")
        .replace("rule_files:", "global: { evaluation_interval: 1s }\nrule_files:");
    std::fs::write(folder.join("prometheus.yml"), config).expect("a file");
    std::fs::copy(page("alerts.yml"), folder.join("alerts.yml")).expect("a copy");
    let free = free_address();
    let log = std::fs::File::create(folder.join("log")).expect("a file");
    let child = Command::new("prometheus")
        .arg(format!("--config.file={}", folder.join("prometheus.yml").display()))
        .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
        .arg(format!("--web.listen-address={free}"))
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("prometheus starts");
    (Prometheus(child), free)
}

/// All queries of the dashboard, in the form in which Grafana sends them.
fn queries(dashboard: &Value) -> Vec<String> {
    let panels = dashboard["panels"].as_array().expect("panels");
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    let filled = |expression: &str| {
        let variables = [("$__rate_interval", "1m"), ("$job", "mcpgate"), ("$instance", ".*"), ("$upstream", ".*")];
        variables.iter().fold(expression.to_owned(), |text, (name, value)| text.replace(name, value))
    };
    targets.map(|target| filled(target["expr"].as_str().expect("a query"))).collect()
}

/// The metrics in an expression, without the suffixes of histograms.
fn metrics_of(expression: &str) -> BTreeSet<String> {
    let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("mcpgate_") || word.starts_with("process_")).map(str::to_owned).collect()
}

#[tokio::test]
async fn every_query_of_dashboard_and_alerts_is_answered_from_a_running_gateway() {
    if is_missing() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let upstream = Upstream::start();
    let gateway = Home::new("", Some(upstream.url.clone())).start().await;
    let issued = gateway.home.command(&["token", "issue", "--user", "admin", "--upstream", "mcp"]);
    let token = issued["access_token"].as_str().expect("a token").to_owned();
    let (_prometheus, address) = start(folder.path(), gateway.home.operator);
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut client = Client::new(&gateway.home);
    // A rate needs two different samples.
    while !ask_operator(address, "/-/ready", &[]).await.is_ok_and(|reply| reply.status == 200)
        || query(address, "count_over_time(up{job=\"mcpgate\"}[1m]) > 4").await.is_empty()
    {
        let said = std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();
        assert!(Instant::now() < deadline, "Prometheus sees nothing:\n{said}\n{}", gateway.log());
        client.call("/mcp", &token, "monitoring").await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(query(address, "up{job=\"mcpgate\"} == 1").await.len(), 1);
    let names = ask(address, "/api/v1/label/__name__/values").await;
    let known: BTreeSet<_> = names.as_array().expect("names").iter().filter_map(Value::as_str).collect();

    let dashboard: Value = serde_json::from_str(&text("grafana-dashboard.json")).expect("the dashboard is JSON");
    let sent = queries(&dashboard);
    assert!(sent.len() > 25, "{}", sent.len());
    for expression in &sent {
        let result = query(address, expression).await;
        // An expression that filters by value may return no series.
        assert!(!result.is_empty() || expression.contains("> 0"), "no data: {expression}");
        for metric in metrics_of(expression) {
            assert!(known.contains(metric.as_str()), "{expression}: no metric {metric}");
        }
    }

    let groups = ask(address, "/api/v1/rules").await;
    let rules: Vec<_> =
        groups["groups"].as_array().expect("groups").iter().filter_map(|g| g["rules"].as_array()).flatten().collect();
    assert!(rules.len() > 10);
    for rule in &rules {
        assert_eq!((rule["health"].as_str(), rule["state"].as_str()), (Some("ok"), Some("inactive")), "{rule}");
        for metric in metrics_of(rule["query"].as_str().expect("a query")) {
            assert!(known.contains(metric.as_str()), "{rule}: no metric {metric}");
        }
    }
    down(gateway, address).await;
}

/// A rule fires when its condition has occurred.
async fn down(gateway: Gateway, prometheus: SocketAddr) {
    std::fs::write(gateway.home.config(), "public_url = 7\n").expect("the configuration");
    gateway.signal("HUP");
    let deadline = Instant::now() + Duration::from_secs(30);
    while query(prometheus, "ALERTS{alertname=\"McpgateConfigurationRejected\", alertstate=\"firing\"}")
        .await
        .is_empty()
    {
        assert!(Instant::now() < deadline, "the rule does not fire:\n{}", gateway.log());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn promtool_finds_no_fault_in_rules_and_metrics() {
    if is_missing() {
        return;
    }
    let run = |command: &mut Command| {
        let output = command.output().expect("promtool runs");
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        said
    };
    run(Command::new("promtool").args(["check", "rules"]).arg(page("alerts.yml")));
    run(Command::new("promtool").args(["check", "config"]).arg(page("prometheus.yml")));
    let gateway = Gateway::start().await;
    let metrics = ask_operator(gateway.home.operator, "/metrics", &[]).await.expect("an answer").text();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("metrics");
    std::fs::write(&file, metrics).expect("a file");
    let said =
        run(Command::new("promtool").args(["check", "metrics"]).stdin(std::fs::File::open(&file).expect("the file")));
    assert_eq!(said.trim(), "", "a lint");
}

/// Checks that the dashboard uses only members of Grafana's model, and that no two panels overlap.
#[test]
fn the_dashboard_has_the_form_that_grafana_reads() {
    let dashboard: Value = serde_json::from_str(&text("grafana-dashboard.json")).expect("the dashboard is JSON");
    for (member, is_right) in [
        ("uid", dashboard["uid"].is_string()),
        ("title", dashboard["title"].is_string()),
        ("schemaVersion", dashboard["schemaVersion"].as_u64().is_some_and(|version| version >= 36)),
        ("time", dashboard["time"]["from"].is_string() && dashboard["time"]["to"].is_string()),
        ("annotations", dashboard["annotations"]["list"].is_array()),
        ("templating", dashboard["templating"]["list"].as_array().is_some_and(|list| list.len() == 4)),
    ] {
        assert!(is_right, "{member}");
    }
    let variables: BTreeSet<_> = dashboard["templating"]["list"]
        .as_array()
        .expect("variables")
        .iter()
        .filter_map(|v| v["name"].as_str())
        .collect();
    let (mut ids, mut cells) = (BTreeSet::new(), BTreeSet::new());
    for panel in dashboard["panels"].as_array().expect("panels") {
        assert!(ids.insert(panel["id"].as_u64().expect("an id")), "{panel}");
        assert!(["row", "timeseries", "stat"].contains(&panel["type"].as_str().expect("a type")), "{panel}");
        assert!(panel["title"].is_string(), "{panel}");
        let place = |name: &str| panel["gridPos"][name].as_u64().expect("a place");
        assert!(place("x") + place("w") <= 24, "{panel}");
        for x in place("x")..place("x") + place("w") {
            for y in place("y")..place("y") + place("h") {
                assert!(cells.insert((x, y)), "the panel overlaps another: {panel}");
            }
        }
        for target in panel["targets"].as_array().into_iter().flatten() {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{panel}");
            assert!(target["refId"].is_string() && target["legendFormat"].is_string(), "{panel}");
            let expression = target["expr"].as_str().expect("a query");
            for name in
                expression.split('$').skip(1).map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next())
            {
                let name = name.unwrap_or_default();
                assert!(name == "__rate_interval" || variables.contains(name), "{expression}");
            }
        }
    }
}
