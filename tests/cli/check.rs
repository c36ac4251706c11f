//! `mcpgate check`, and starts that fail because of the configuration.

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::{golden_file, mcpgate, run, text};

#[test]
fn check_reports_every_problem_and_exits_78() {
    let file = golden_file("many-problems.toml");
    let check = |more: &[&str]| run(&[&["check", "--config", file.to_str().unwrap()], more].concat());
    let (people, programs) = (check(&[]), check(&["--json"]));
    assert_eq!((people.status.code(), programs.status.code()), (Some(78), Some(78)));
    let reported = text(&people.stdout).replace(file.to_str().unwrap(), "gateway.toml");
    assert_eq!(reported, std::fs::read_to_string(golden_file("many-problems.txt")).unwrap());
    let parsed: Value = serde_json::from_slice(&programs.stdout).unwrap();
    assert_eq!(parsed["problems"].as_array().unwrap().len(), reported.lines().count());
    assert_eq!(parsed["problems"][0]["line"], 1);
}

#[test]
fn serve_refuses_a_bad_file_with_78() {
    let output = run(&["serve", "--config", golden_file("many-problems.toml").to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(78));
    assert!(text(&output.stderr).contains("many-problems.toml:1: public_ulr: this key is unknown"));
}

#[test]
fn cf_05_check_warns_of_what_is_dangerous() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("gateway.toml");
    let config = "[operator]\naddress = \"0.0.0.0:9090\"\ndanger_open_to_network = true\n";
    std::fs::write(&file, config).unwrap();
    let output =
        mcpgate(&["check", "--up", "--config", file.to_str().unwrap()]).env("HOME", dir.path()).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stdout));
    assert!(text(&output.stdout).starts_with("warning: operator.danger_open_to_network"));
}

#[test]
fn check_warns_of_a_group_without_members_as_long_as_there_is_no_store() {
    let data = crate::Data::new();
    let file = data.folder.path().join("groups.toml");
    let config = |folder: &str| {
        format!(
            "data_dir = {folder:?}\n[[upstream]]\nname = \"a\"\npath = \"/mcp\"\nurl = \"http://127.0.0.1:1/\"\n\
             allow_groups = [\"staff\", \"interns\"]\n\
             [[upstream.rule]]\neffect = \"deny\"\ngroups = [\"staff\", \"guests\"]\n[[group]]\nname = \"staff\"\nmembers = [\"ada\"]\n"
        )
    };
    let warning = "warning: the upstream a: the group guests has no members\n\
                   warning: the upstream a: the group interns has no members\n";
    for (folder, warns) in [("nothing", true), (data.folder.path().to_str().unwrap(), false)] {
        std::fs::write(&file, config(folder)).unwrap();
        let output = run(&["check", "--up", "--config", file.to_str().unwrap()]);
        let said = text(&output.stdout);
        assert!(output.status.success() && said.contains(warning) == warns, "{folder}: {said}");
        assert!(!said.contains("group staff"), "{said}");
    }
}

#[test]
fn check_warns_of_a_certificate_with_an_rsa_key() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &str| {
        std::fs::write(dir.path().join(name), content).unwrap();
        std::fs::set_permissions(dir.path().join(name), std::fs::Permissions::from_mode(0o600)).unwrap();
    };
    // ring makes no RSA keys.
    let key = include_str!("../support/rsa-key.pem");
    let params = rcgen::CertificateParams::new(vec!["mcp.example.com".to_owned()]).unwrap();
    write("chain.pem", &params.self_signed(&rcgen::KeyPair::from_pem(key).unwrap()).unwrap().pem());
    write("key.pem", key);
    write(
        "gateway.toml",
        "public_url = \"https://mcp.example.com\"\n\
         listen = { address = \"0.0.0.0:443\", certificate = \"chain.pem\", key = \"key.pem\" }\n\
         [[upstream]]\nname = \"a\"\npath = \"/mcp\"\nurl = \"http://127.0.0.1:1/\"\n",
    );
    let output = run(&["check", "--config", dir.path().join("gateway.toml").to_str().unwrap()]);
    let said = text(&output.stdout);
    assert!(output.status.success() && said.starts_with("warning: the certificate has an RSA key"), "{said}");
}

#[test]
fn check_reads_the_certificate_as_a_start_does() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &str| {
        let file = dir.path().join(name);
        std::fs::write(&file, content).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    };
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = |host: &str, ends: time::OffsetDateTime| {
        let mut params = rcgen::CertificateParams::new(vec![host.to_owned()]).unwrap();
        params.not_after = ends;
        params.self_signed(&key).unwrap().pem()
    };
    write("key.pem", &key.serialize_pem());
    write("other.pem", &rcgen::KeyPair::generate().unwrap().serialize_pem());
    let check = |host: &str, ends: time::OffsetDateTime, key: &str| {
        write("chain.pem", &certificate(host, ends));
        let listen = "[listen]\naddress = \"0.0.0.0:443\"\ncertificate = \"chain.pem\"\n";
        let listen = format!("{listen}key = \"{key}\"\n");
        let upstream = "[[upstream]]\nname = \"a\"\npath = \"/mcp\"\nurl = \"http://127.0.0.1:1/\"\n";
        write(
            "gateway.toml",
            &format!("public_url = \"https://mcp.example.com\"\ndata_dir = \"data\"\n{listen}{upstream}"),
        );
        let output = run(&["check", "--config", dir.path().join("gateway.toml").to_str().unwrap()]);
        (output.status.code(), text(&output.stdout))
    };
    let (now, days) = (time::OffsetDateTime::now_utc(), time::Duration::days);
    let (code, said) = check("mcp.example.com", now + days(60), "key.pem");
    assert!(code == Some(0) && !said.contains("warning"), "{said}");
    let (code, said) = check("mcp.example.com", now + days(60), "other.pem");
    assert!(code == Some(78) && said.contains("this key does not belong to the certificate"), "{said}");
    let start = run(&["serve", "--config", dir.path().join("gateway.toml").to_str().unwrap()]);
    assert_eq!(start.status.code(), Some(78), "{}", text(&start.stderr));
    let (code, said) = check("mcp.example.com", now - days(1), "key.pem");
    assert!(code == Some(78) && said.contains("the certificate has expired"), "{said}");
    let (code, said) = check("other.example.com", now + days(3), "key.pem");
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("warning: the certificate is not for mcp.example.com"), "{said}");
    assert!(said.contains("warning: the certificate expires in 2 days"), "{said}");
    assert!(!said.contains("RSA"), "{said}");
}
