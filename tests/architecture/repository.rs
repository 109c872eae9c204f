//! The files of the repository that nothing else reads: workflows, issue templates, `deny.toml`, the nextest profile, the package.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use foodstream::audit::Check;
use serde::Deserialize;

use super::root;

fn text(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn yaml<T: for<'de> Deserialize<'de>>(path: &str) -> T {
    serde_saphyr::from_str(&text(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn toml(path: &str) -> toml::Table {
    text(path).parse().unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[derive(Deserialize)]
struct Workflow {
    on: serde_json::Value,
    jobs: BTreeMap<String, Job>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Job {
    runs_on: String,
    timeout_minutes: u32,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    uses: Option<String>,
    run: Option<String>,
}

#[derive(Deserialize)]
struct GitLab {
    gate: GitLabJob,
    release: GitLabJob,
}

#[derive(Deserialize)]
struct GitLabJob {
    image: String,
    timeout: String,
    script: Vec<String>,
    #[serde(default)]
    needs: Vec<String>,
}

/// The first step in an image without node, which actions of Forgejo need.
const INSTALLS_NODE: &str = "apt-get update -qq && apt-get install -y -qq --no-install-recommends nodejs";

#[test]
fn actions_have_node() {
    for path in [".forgejo/workflows/ci.yml", ".forgejo/workflows/release.yml"] {
        for (name, job) in yaml::<Workflow>(path).jobs {
            assert_eq!(job.steps[0].run.as_deref(), Some(INSTALLS_NODE), "{path}: {name}");
        }
    }
}

#[test]
fn workflows_run_the_gate_and_nothing_else() {
    for path in [".github/workflows/ci.yml", ".forgejo/workflows/ci.yml"] {
        let workflow: Workflow = yaml(path);
        assert!(workflow.on.get("push").is_some() && workflow.on.get("pull_request").is_some(), "{path}");
        for (name, job) in workflow.jobs {
            assert!(!job.runs_on.is_empty() && job.timeout_minutes >= 60, "{path}: {name}");
            assert!(job.steps.iter().all(|step| step.uses.is_some() != step.run.is_some()), "{path}: {name}");
            let runs: Vec<_> = job.steps.iter().filter_map(|step| step.run.as_deref()).collect();
            assert_eq!(runs.last(), Some(&".ci/run"), "{path}: {name}");
            let prepares = |run: &str| run.starts_with("rustup component add ") || run == INSTALLS_NODE;
            assert!(runs.iter().all(|run| *run == ".ci/run" || prepares(run)), "{path}: {name}");
        }
    }
    let gate = yaml::<GitLab>(".gitlab-ci.yml").gate;
    assert_eq!(gate.script.last().map(String::as_str), Some(".ci/run"));
    let rust: toml::Table = toml("Cargo.toml")["package"].as_table().expect("a package").clone();
    let version = rust["rust-version"].as_str().expect("a version");
    assert!(gate.image.contains(version) && gate.timeout == "90 minutes");
    assert!(text(".forgejo/workflows/ci.yml").contains(&format!("rust:{version}")));
}

/// On a tag, each forge makes and tests the files with the scripts that anyone can run, and nothing between them changes
/// the files.
#[test]
fn tags_release_what_the_scripts_make() {
    let steps = |path: &str, runs: &[&str]| {
        let position = |script: &str| {
            let found = runs.iter().position(|run| run.split(' ').next() == Some(script));
            found.unwrap_or_else(|| panic!("{path} does not run {script}: {runs:?}"))
        };
        assert!(position("scripts/release") < position("scripts/release-test"), "{path}: {runs:?}");
    };
    for path in [".github/workflows/release.yml", ".forgejo/workflows/release.yml"] {
        let workflow: Workflow = yaml(path);
        assert_eq!(workflow.on, serde_json::json!({"push": {"tags": ["v*"]}}), "{path}");
        let job = &workflow.jobs["build"];
        let runs: Vec<_> = job.steps.iter().filter_map(|step| step.run.as_deref()).collect();
        steps(path, &runs);
        assert!(job.timeout_minutes >= 60, "{path}");
        let last = job.steps.last().and_then(|step| step.uses.as_deref());
        assert!(
            last.is_some_and(|uses| uses.contains("upload-artifact") || uses.contains("release")),
            "{path}: {last:?}"
        );
    }
    let release = yaml::<GitLab>(".gitlab-ci.yml").release;
    assert_eq!(release.needs, ["gate"]);
    steps(".gitlab-ci.yml", &release.script.iter().map(String::as_str).collect::<Vec<_>>());
    let rust = toml("Cargo.toml")["package"]["rust-version"].as_str().expect("a version").to_owned();
    for path in [".github/workflows/release.yml", ".forgejo/workflows/release.yml", ".gitlab-ci.yml"] {
        // The system of the gate, on which the bytes are the same.
        assert!(text(path).contains(&format!("image: rust:{rust}-bookworm")), "{path}");
    }
}

/// `scripts/release` refuses what it cannot release, before it builds anything.
#[test]
fn a_release_needs_valid_arguments() {
    let fails = |arguments: &[&str]| {
        let output = Command::new(root().join("scripts/release")).args(arguments).output().expect("it runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for arguments in [&["--fast"][..], &["--out"], &["dist"]] {
        let (code, stderr) = fails(arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {stderr}");
        assert!(stderr.contains("try: scripts/release --help"), "{stderr}");
    }
}

/// `check_binary` finds the directory of the build, and takes no other path for it.
#[test]
fn a_release_names_no_directory_of_its_build() {
    let folder = tempfile::tempdir().expect("a folder");
    let binary = folder.path().join("foodstream");
    let accepts = |checkout: &str, content: &[u8]| {
        std::fs::write(&binary, content).expect("written");
        let script = "source scripts/release.d/build.bash; fail() { exit 9; }; readelf() { :; }; check_binary";
        let status = Command::new("bash")
            .args(["-c", script])
            .envs([("root", checkout), ("target", &format!("{checkout}/target/dist")), ("CARGO_HOME", "/var/cargo")])
            .env("binary", &binary)
            .current_dir(root())
            .status();
        match status.expect("bash").code() {
            Some(0) => true,
            Some(9) => false,
            code => panic!("{checkout}: {code:?}"),
        }
    };
    for (checkout, content, accepted) in [
        ("/src", &b"\0registry/zstd-1/src/lib.rsfoodstream/src/main.rs\0"[..], true),
        ("/src", b"\xff\0/src/src/main.rs", false),
        ("/foodstream", b"\0foodstream/src/main.rs\0foodstream/build.rs", true),
        ("/foodstream", b"\0/foodstream/src/main.rs", false),
        ("/home/ada/foodstream", b"a string of Rust/home/ada/foodstream/src/main.rs", false),
        ("/home/ada/foodstream", b"the crates of cargo/var/cargo/registry/src", false),
    ] {
        assert_eq!(accepts(checkout, content), accepted, "{checkout}: {}", String::from_utf8_lossy(content));
    }
}

#[derive(Deserialize)]
struct Template {
    name: String,
    description: String,
    body: Vec<Field>,
}

#[derive(Deserialize)]
struct Field {
    r#type: String,
    id: String,
    attributes: Attributes,
}

#[derive(Deserialize)]
struct Attributes {
    label: String,
}

#[test]
fn issue_templates_have_fields() {
    for path in [".github/ISSUE_TEMPLATE/bug.yml", ".github/ISSUE_TEMPLATE/idea.yml"] {
        let template: Template = yaml(path);
        assert!(!template.name.is_empty() && !template.description.is_empty() && !template.body.is_empty(), "{path}");
        let ids: BTreeSet<_> = template.body.iter().map(|field| &field.id).collect();
        assert_eq!(ids.len(), template.body.len(), "{path}: ids are unique");
        for field in &template.body {
            assert!(["textarea", "input", "dropdown"].contains(&field.r#type.as_str()), "{path}: {}", field.r#type);
            assert!(!field.attributes.label.is_empty(), "{path}: {}", field.id);
        }
    }
}

/// Whether an SPDX expression allows one of the licences: all parts of an `AND`, one part of an `OR`.
fn is_allowed(expression: &str, allowed: &BTreeSet<&str>) -> bool {
    let expression = expression.replace('/', " OR ");
    let expression = expression.trim();
    // Outermost operators only: a group in parentheses is one part.
    let split = |operator: &str| -> Vec<String> {
        let (mut parts, mut depth) = (vec![String::new()], 0_usize);
        for word in expression.split_inclusive(' ') {
            if depth == 0 && word.trim() == operator {
                parts.push(String::new());
                continue;
            }
            depth = depth + word.matches('(').count() - word.matches(')').count();
            parts.last_mut().expect("a part").push_str(word);
        }
        parts
    };
    let or = split("OR");
    if or.len() > 1 {
        return or.iter().any(|part| is_allowed(part, allowed));
    }
    let and = split("AND");
    if and.len() > 1 {
        return and.iter().all(|part| is_allowed(part, allowed));
    }
    match expression.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')) {
        Some(inner) => is_allowed(inner, allowed),
        None => allowed.contains(expression.split(" WITH ").next().unwrap_or(expression)),
    }
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(root()).output().expect("it runs");
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn dependencies_have_allowed_licences_and_sources() {
    let deny = toml("deny.toml");
    let allowed: BTreeSet<&str> =
        deny["licenses"]["allow"].as_array().expect("a list").iter().filter_map(toml::Value::as_str).collect();
    let version = output("rustc", &["-vV"]);
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).expect("a host");
    let metadata = output(
        env!("CARGO"),
        &["metadata", "--format-version", "1", "--locked", "--offline", "--filter-platform", host],
    );
    let metadata: serde_json::Value = serde_json::from_str(&metadata).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    assert!(packages.len() > 50, "only {} packages were checked", packages.len());
    for package in packages {
        let name = package["name"].as_str().expect("a name");
        let licence = package["license"].as_str().unwrap_or_else(|| panic!("{name} has no licence expression"));
        assert!(is_allowed(licence, &allowed), "{name}: {licence} is not in deny.toml");
        let source = package["source"].as_str();
        assert!(
            name == "foodstream" || source.is_some_and(|source| source.starts_with("registry+")),
            "{name}: {source:?}"
        );
        let banned = deny["bans"]["deny"].as_array().expect("a list");
        assert!(banned.iter().all(|banned| banned["crate"].as_str() != Some(name)), "{name} is banned in deny.toml");
    }
}

#[test]
fn licence_expressions_are_understood() {
    let allowed = BTreeSet::from(["MIT", "Apache-2.0", "Zlib"]);
    for (expression, expected) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("MIT OR GPL-3.0", true),
        ("MIT/Apache-2.0", true),
        ("MIT AND GPL-3.0", false),
        ("(MIT OR GPL-3.0) AND Zlib", true),
        ("(GPL-3.0 OR LGPL-2.1) AND Zlib", false),
        ("Apache-2.0 WITH LLVM-exception", true),
    ] {
        assert_eq!(is_allowed(expression, &allowed), expected, "{expression}");
    }
}

#[test]
fn the_nextest_profile_bounds_each_case() {
    let config = toml(".config/nextest.toml");
    let slow = &config["profile"]["default"]["slow-timeout"];
    assert_eq!((slow["period"].as_str(), slow["terminate-after"].as_integer()), (Some("60s"), Some(12)));
    assert!(config["profile"].get("ci").is_some());
}

#[test]
fn the_package_says_where_it_comes_from() {
    let manifest = toml("Cargo.toml");
    let package = manifest["package"].as_table().expect("a package");
    for key in ["description", "license", "repository", "documentation", "readme", "keywords", "categories", "include"]
    {
        assert!(package.contains_key(key), "Cargo.toml has no {key}");
    }
}

/// docs/reference/audit.md has a heading for each check, and below it the claim.
#[test]
fn the_reference_has_every_check() {
    let page = text("docs/reference/audit.md");
    let sections = page.split("\n### ").skip(1).map(|section| {
        let (name, rest) = section.split_once('\n').expect("a text below the heading");
        let claim = rest.trim_start().split("\n\n").next().unwrap_or_default();
        (name.to_owned(), claim.split_whitespace().collect::<Vec<_>>().join(" "))
    });
    let checks = Check::ALL.iter().map(|check| (check.name().to_owned(), format!("Claim: {}.", check.claim())));
    assert_eq!(sections.collect::<Vec<_>>(), checks.collect::<Vec<_>>());
}

#[test]
fn the_pages_have_every_exit_code() {
    let codes = foodstream::cli::exit_codes();
    assert!(codes.len() >= 12, "{codes:?}");
    for page in ["README.md", "docs/reference/exit-codes.md"] {
        let listed: BTreeSet<u8> = text(page)
            .lines()
            .filter_map(|line| line.strip_prefix("| ")?.split(" | ").next())
            .filter(|cell| cell.split(", ").all(|number| number.parse::<u8>().is_ok()))
            .flat_map(|cell| cell.split(", ").filter_map(|number| number.parse().ok()).collect::<Vec<u8>>())
            .collect();
        assert_eq!(listed, codes.iter().map(|(number, _, _)| *number).collect(), "{page}");
    }
}
