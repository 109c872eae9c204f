"""SBOM (CycloneDX 1.5) and licence texts of what is linked into the binary of a release.

cargo-cyclonedx knows crates only. The libraries in C inside of them (OpenSSL, librdkafka, zlib, zstd), and those of the
system that a static binary contains (glibc, libgcc), are what a scanner has to find.
"""

import argparse
import datetime
import hashlib
import json
import os
import pathlib
import re
import subprocess
import tomllib

LICENCE_FILES = re.compile(r"^(licen[cs]e|copying|notice|copyright|unlicense)", re.IGNORECASE)


def output(*command: str) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def linked_crates(target: str, features: list[str]) -> dict:
    """Packages and edges of the build graph without tests. Build scripts and macros are in it, as `excluded`."""
    flags = ["--locked", "--offline", *features]
    metadata = json.loads(output("cargo", "metadata", "--format-version", "1", "--filter-platform", target, *flags))

    def names(edges: str) -> set[tuple[str, str]]:
        lines = output("cargo", "tree", "--target", target, *flags, "-e", edges, "--prefix", "none", "--format", "{p}")
        return {tuple(line.split(" v")[:2]) for line in re.sub(r" \(.*\)", "", lines).splitlines() if line}

    # `cargo tree` computes features as the build does. Its packages are found in the metadata by name and version.
    built = names("normal,build")
    linked = names("normal,no-proc-macro")
    packages = {p["id"]: p for p in metadata["packages"] if (p["name"], p["version"]) in built}
    edges = {
        node["id"]: sorted(
            dep["pkg"]
            for dep in node["deps"]
            if dep["pkg"] in packages and any(kind["kind"] != "dev" for kind in dep["dep_kinds"])
        )
        for node in metadata["resolve"]["nodes"]
        if node["id"] in packages
    }
    return {"root": metadata["resolve"]["root"], "packages": packages, "edges": edges, "linked": linked}


def purl(package: dict) -> str:
    return f"pkg:cargo/{package['name']}@{package['version'].replace('+', '%2B')}"


def c_libraries(packages: dict) -> list[dict]:
    """Libraries in C with the crate that contains their source, and the file with their licence."""
    found = []
    for package in packages.values():
        folder = pathlib.Path(package["manifest_path"]).parent
        bundled = package["version"].partition("+")[2].removeprefix("zstd.")
        if package["name"] == "openssl-src":
            cpe = f"cpe:2.3:a:openssl:openssl:{bundled}:*:*:*:*:*:*:*"
            found.append((package, "openssl", bundled, "Apache-2.0", folder / "openssl/LICENSE.txt", cpe))
        elif package["name"] == "rdkafka-sys":
            cpe = f"cpe:2.3:a:confluent:librdkafka:{bundled}:*:*:*:*:*:*:*"
            found.append((package, "librdkafka", bundled, "BSD-2-Clause", folder / "librdkafka/LICENSES.txt", cpe))
        elif package["name"] == "zstd-sys":
            cpe = f"cpe:2.3:a:facebook:zstandard:{bundled}:*:*:*:*:*:*:*"
            found.append((package, "zstd", bundled, "BSD-3-Clause", folder / "zstd/LICENSE", cpe))
        elif package["name"] == "libz-sys":
            header = (folder / "src/zlib/zlib.h").read_text()
            bundled = re.search(r'#define ZLIB_VERSION "(.*)"', header)[1]
            cpe = f"cpe:2.3:a:zlib:zlib:{bundled}:*:*:*:*:*:*:*"
            found.append((package, "zlib", bundled, "Zlib", folder / "src/zlib/LICENSE", cpe))
    return [
        {"crate": crate, "name": name, "version": version, "licence": licence, "file": file, "cpe": cpe}
        for crate, name, version, licence, file, cpe in found
    ]


def system_libraries() -> list[dict]:
    """Debian packages with the static libraries that the linker uses, and with the certificates of the image."""
    compiler = output("cc", "-dumpversion").strip()
    found = []
    for package, licence in [
        ("libc6-dev", "LGPL-2.1-or-later"),
        (f"libgcc-{compiler}-dev", "GPL-3.0-or-later WITH GCC-exception-3.1"),
        ("ca-certificates", "MPL-2.0"),
    ]:
        version, architecture = output("dpkg-query", "--show", "--showformat=${Version} ${Architecture}", package).split(" ")
        file = pathlib.Path("/usr/share/doc") / package / "copyright"
        link = f"pkg:deb/debian/{package}@{version.replace('+', '%2B').replace(':', '%3A')}?arch={architecture}"
        found.append({"name": package, "version": version, "licence": licence, "file": file, "purl": link})
    return found


def sbom(arguments: argparse.Namespace, graph: dict, bundled: list[dict], system: list[dict]) -> dict:
    with open("Cargo.lock", "rb") as file:
        checksums = {(p["name"], p["version"]): p.get("checksum") for p in tomllib.load(file)["package"]}
    packages, edges = graph["packages"], graph["edges"]
    root = packages[graph["root"]]
    components, dependencies = [], []

    for identifier, package in sorted(packages.items(), key=lambda item: purl(item[1])):
        inside = [f"{purl(package)}#{library['name']}" for library in bundled if library["crate"] is package]
        dependencies.append({"ref": purl(package), "dependsOn": sorted(purl(packages[d]) for d in edges[identifier]) + inside})
        if identifier == graph["root"]:
            dependencies[-1]["dependsOn"] += [library["purl"] for library in system]
            continue
        checksum = checksums[package["name"], package["version"]]
        # Old crates separate licences by a slash.
        licence = package["license"].replace("/", " OR ")
        components.append({
            "type": "library",
            "bom-ref": purl(package),
            "name": package["name"],
            "version": package["version"],
            "scope": "required" if (package["name"], package["version"]) in graph["linked"] else "excluded",
            "hashes": [{"alg": "SHA-256", "content": checksum}],
            "licenses": [{"expression": licence}],
            "purl": purl(package),
        })
    for library in bundled:
        components.append({
            "type": "library",
            "bom-ref": f"{purl(library['crate'])}#{library['name']}",
            "name": library["name"],
            "version": library["version"],
            "scope": "required",
            "licenses": [{"license": {"id": library["licence"]}}],
            "cpe": library["cpe"],
            "purl": f"pkg:generic/{library['name']}@{library['version']}",
        })
        dependencies.append({"ref": components[-1]["bom-ref"], "dependsOn": []})
    for library in system:
        components.append({
            "type": "data" if library["name"] == "ca-certificates" else "library",
            "bom-ref": library["purl"],
            "name": library["name"],
            "version": library["version"],
            "scope": "required",
            "licenses": [{"expression": library["licence"]}],
            "purl": library["purl"],
        })
        dependencies.append({"ref": library["purl"], "dependsOn": []})
    made = datetime.datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), datetime.timezone.utc)
    versions = [line.split(" (")[0] for line in [output("rustc", "--version"), output("cc", "--version").splitlines()[0]]]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "timestamp": made.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": {
                "type": "application",
                "bom-ref": purl(root),
                "name": root["name"],
                "version": root["version"],
                "description": root["description"],
                "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(arguments.binary.read_bytes()).hexdigest()}],
                "licenses": [{"expression": root["license"]}],
                "purl": purl(root),
                "externalReferences": [{"type": "vcs", "url": root["repository"]}],
            },
            "properties": [
                {"name": "foodstream:commit", "value": arguments.commit},
                {"name": "foodstream:target", "value": arguments.target},
                *({"name": "foodstream:compiler", "value": version} for version in versions),
            ],
        },
        "components": components,
        "dependencies": dependencies,
    }


def licences(graph: dict, bundled: list[dict], system: list[dict]) -> str:
    """The licence texts, each once, under the names of all that have it."""
    owners: dict[str, list[str]] = {}

    def add(file: pathlib.Path, owner: str) -> None:
        text = "\n".join(line.rstrip() for line in file.read_text(encoding="utf-8", errors="replace").splitlines()).strip("\n")
        names = owners.setdefault(text, [])
        if owner not in names:
            names.append(owner)

    lines = []
    for identifier, package in sorted(graph["packages"].items(), key=lambda item: purl(item[1])):
        if identifier == graph["root"] or (package["name"], package["version"]) not in graph["linked"]:
            continue
        owner = f"{package['name']} {package['version']}"
        lines.append(f"{owner}: {package['license']}")
        for file in sorted(pathlib.Path(package["manifest_path"]).parent.iterdir()):
            if LICENCE_FILES.match(file.name) and file.is_file():
                add(file, owner)
    for library in [*bundled, *system]:
        owner = f"{library['name']} {library['version']}"
        lines.append(f"{owner}: {library['licence']}")
        add(library["file"], owner)
    rule = "=" * 100
    head = "Libraries in the binary of foodstream, and their licences. The texts follow, each once."
    texts = [f"{rule}\n{', '.join(names)}\n{rule}\n\n{text}\n" for text, names in owners.items()]
    return "\n".join([head, "", *lines, "", *texts])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--target", required=True)
    parser.add_argument("--commit", required=True)
    parser.add_argument("--binary", required=True, type=pathlib.Path)
    parser.add_argument("--sbom", required=True, type=pathlib.Path)
    parser.add_argument("--licences", required=True, type=pathlib.Path)
    parser.add_argument("--features", required=True)
    arguments = parser.parse_args()
    graph = linked_crates(arguments.target, ["--features", arguments.features])
    bundled, system = c_libraries(graph["packages"]), system_libraries()
    document = sbom(arguments, graph, bundled, system)
    arguments.sbom.write_text(json.dumps(document, indent=1) + "\n")
    arguments.licences.write_text(licences(graph, bundled, system))


main()
