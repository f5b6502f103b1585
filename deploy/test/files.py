"""Holds the files in deploy/ to what they speak of: settings that exist, metrics that exist, addresses that agree, and no secret.

It reads files and starts nothing. Called by scripts/check-deploy.sh from the repository's root; prints a sentence for each fault.
"""

import json
import re
import sys
import tomllib
from pathlib import Path

import yaml

DEPLOY = Path("deploy")

# Variables of compose.yaml itself, which the binary never sees.
OF_COMPOSE = {"DOORBUSTER_PORT", "DOORBUSTER_VERSION"}


def main():
    documents, faults = parse()
    if not faults:
        compose = documents[DEPLOY / "compose.yaml"][0]
        checks = [
            unknown_settings(),
            unknown_metrics(documents[DEPLOY / "prometheus/alerts.yml"][0]),
            alerts_without_a_word(documents[DEPLOY / "prometheus/alerts.yml"][0]),
            addresses_that_differ(compose),
            targets_that_differ(compose, documents[DEPLOY / "prometheus/prometheus.yml"][0]),
            secrets(compose),
            secrets_as_arguments(compose),
            times_to_drain(compose, documents),
            platforms(documents),
            artillery(documents[DEPLOY / "artillery/drop.yaml"][0]),
        ]
        faults = [fault for check in checks for fault in check]
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


class Strict(yaml.SafeLoader):
    """YAML in which no key stands twice: a parser would take the last one without a word."""

    def construct_mapping(self, node, deep=False):
        keys = [key.value for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.YAMLError(f"{key} stands twice, from line {node.start_mark.line + 1} on")
        return super().construct_mapping(node, deep)


def parse():
    documents, faults = {}, []
    for path in sorted([*DEPLOY.rglob("*.yaml"), *DEPLOY.rglob("*.yml")]):
        if "node_modules" in path.parts:
            continue
        try:
            documents[path] = [document for document in yaml.load_all(path.read_text(), Strict) if document]
        except yaml.YAMLError as error:
            faults.append(f"{path} is no YAML: {error}")
    for path, parser in [(path, parser) for ending, parser in [("*.toml", tomllib), ("*.json", json)]
                         for path in sorted((DEPLOY / "paas").rglob(ending))]:
        try:
            documents[path] = parser.loads(path.read_text())
        except ValueError as error:
            faults.append(f"{path} cannot be parsed: {error}")
    return documents, faults


def secrets_as_arguments(compose):
    """No argument of a program has a password: every user of the machine can read the arguments of a process."""
    for name, service in compose["services"].items():
        words = [service.get("command") or [], service.get("entrypoint") or []]
        for word in [word for part in words for word in ([part] if isinstance(part, str) else part)]:
            # `$$` is left to a shell in the container, which reads a variable: `$` is put in by compose.
            if re.search(r"(?<!\$)\$\{?[A-Z_]*(PASSWORD|SECRET|TOKEN)", word):
                yield f"compose.yaml gives the service {name} a secret as an argument."


def unknown_settings():
    """Every DOORBUSTER_… that a file sets or names is a setting of the binary."""
    known = set(re.findall(r"`(DOORBUSTER_[A-Z_]+)`", Path("docs/cli.md").read_text()))
    suffixes = {".yaml", ".yml", ".service", ".conf", ".md", ".toml", ".json", ""}
    for path in sorted(DEPLOY.rglob("*")):
        if not path.is_file() or path.suffix not in suffixes or {"node_modules", "k6", "secrets"} & set(path.parts):
            continue
        for name in sorted(set(re.findall(r"\bDOORBUSTER_[A-Z_]*[A-Z]\b", path.read_text())) - known - OF_COMPOSE):
            yield f"{path} names {name}, and docs/cli.md has no such variable."


def unknown_metrics(rules):
    """Every metric that an alert looks at has its row in docs/operations.md."""
    known = set(re.findall(r"`([a-z_]+)(?:\{[a-z,]+\})?`", Path("docs/operations.md").read_text()))
    for alert in alerts(rules):
        for name in re.findall(r"\bdoorbuster_([a-z_]+)", alert["expr"]):
            if name.removesuffix("_bucket") not in known:
                yield f"{alert['alert']} looks at doorbuster_{name}, and docs/operations.md has no such metric."


def alerts_without_a_word(rules):
    documented = Path("docs/operations.md").read_text()
    for alert in alerts(rules):
        if f"`{alert['alert']}`" not in documented:
            yield f"docs/operations.md does not say what to do about {alert['alert']}."
        if alert["labels"]["severity"] not in ("page", "ticket"):
            yield f"{alert['alert']} is neither a page nor a ticket."


def alerts(rules):
    return [rule for group in rules["groups"] for rule in group["rules"]]


def addresses_that_differ(compose):
    """nginx goes where compose puts the instances, and they believe nginx."""
    services = compose["services"]
    instances = {name: of_front(service) for name, service in services.items() if name.startswith("serve-")}
    named = re.findall(r"^server ([\d.]+):8080 ", (DEPLOY / "nginx/compose-instances.conf").read_text(), re.MULTILINE)
    if sorted(named) != sorted(instances.values()):
        yield f"nginx/compose-instances.conf has {named}, compose.yaml has {sorted(instances.values())}."
    for name in instances:
        trusted = services[name]["environment"]["DOORBUSTER_TRUSTED_PROXIES"]
        if trusted != of_front(services["nginx"]):
            yield f"{name} believes {trusted}, and nginx is at {of_front(services['nginx'])}."


def of_front(service):
    return service["networks"]["front"]["ipv4_address"]


def targets_that_differ(compose, prometheus):
    instances = sorted(f"{name}:9464" for name in compose["services"] if name.startswith("serve-"))
    watched = sorted(prometheus["scrape_configs"][0]["static_configs"][0]["targets"])
    if watched != instances:
        yield f"prometheus.yml watches {watched}, compose.yaml has {instances}."


def secrets(compose):
    """What is secret has to be given, has no default, and is named in .env.example without a value."""
    example = (DEPLOY / ".env.example").read_text()
    for name in ("POSTGRES_PASSWORD", "VALKEY_PASSWORD"):
        if not re.search(rf"^{name}=$", example, re.MULTILINE):
            yield f".env.example should have {name}, without a value."
        for use in sorted(set(re.findall(rf"\$\{{{name}[^}}]*\}}", str(compose)))):
            if not use.startswith(f"${{{name}:?"):
                yield f"compose.yaml uses {use}: the start must be refused where it is missing."
    for path in sorted(DEPLOY.rglob("*.example*")):
        for value in re.findall(r'^\s*[A-Za-z_.-]*(?:PASSWORD|DATABASE|VALKEY|pem)[=:][ "]*([^\s"]+)', path.read_text(), re.MULTILINE):
            yield f"{path} has a value that looks like a secret: {value[:3]}…"


def times_to_drain(compose, documents):
    """Nobody is killed while it may still drain: the grace, then twice the limit, for requests and for payments."""
    defaults = dict(re.findall(r"`(DOORBUSTER_DRAIN_\w+)` \| `(\w+)`", Path("docs/cli.md").read_text()))
    settings = next(part["data"] for part in documents[DEPLOY / "kubernetes/config.yaml"] if part["kind"] == "ConfigMap")
    stops = [(f"compose.yaml's {name}", seconds(service["stop_grace_period"]), defaults)
             for name, service in compose["services"].items() if name.startswith(("serve-", "worker"))]
    for name in ("serve", "worker"):
        pods = documents[DEPLOY / f"kubernetes/{name}.yaml"][0]["spec"]["template"]["spec"]
        stops.append((f"kubernetes/{name}.yaml", pods["terminationGracePeriodSeconds"], defaults | settings))
    for path in sorted(DEPLOY.glob("systemd/*.service")):
        limit = re.search(r"^TimeoutStopSec=(\d+)$", path.read_text(), re.MULTILINE)
        stops.append((str(path), int(limit[1]) if limit else 0, defaults))
    for where, given, drain in stops:
        needed = seconds(drain["DOORBUSTER_DRAIN_GRACE"]) + 2 * seconds(drain["DOORBUSTER_DRAIN_TIMEOUT"])
        if given <= needed:
            yield f"{where} is killed after {given} s, and may drain for {needed} s."


def platforms(documents):
    """What a platform is told of the image: its port, its health check, its volume, how long it drains, and who runs beside it."""
    image = (DEPLOY / "Dockerfile").read_text()
    port = re.search(r"DOORBUSTER_LISTEN=0\.0\.0\.0:(\d+)", image)[1]
    volume = re.search(r"^VOLUME (\S+)$", image, re.MULTILINE)[1]
    drain = dict(re.findall(r"`(DOORBUSTER_DRAIN_\w+)` \| `(\w+)`", Path("docs/cli.md").read_text()))
    needed = seconds(drain["DOORBUSTER_DRAIN_GRACE"]) + 2 * seconds(drain["DOORBUSTER_DRAIN_TIMEOUT"])
    paths = json.loads(Path("docs/openapi.json").read_text())["paths"]
    for name, read in {"render": of_render, "railway": of_railway, "fly": of_fly}.items():
        for kind in ("volume", "database"):
            path = next((DEPLOY / "paas" / name).glob(f"{kind}.*"))
            told = read(documents[path])
            if told["port"] not in (None, port):
                yield f"{path} sends requests to port {told['port']}, and the image listens on {port}."
            if told["check"] not in paths:
                yield f"{path} looks at {told['check']}, and docs/openapi.json has no such path."
            if told["mount"] != (volume if kind == "volume" else None):
                yield f"{path} mounts {told['mount']}, and the image's volume is {volume}."
            if (told["instances"] == 1) != (kind == "volume"):
                yield f"{path} has {told['instances']} instances: a volume has one, a database has more."
            if told["drain"] <= needed:
                yield f"{path} is killed after {told['drain']} s, and may drain for {needed} s."
            if not Path(told["image"]).is_file():
                yield f"{path} builds {told['image']}, which is not there."
    databases = documents[DEPLOY / "paas/render/database.yaml"][0]
    if databases["databases"][0]["postgresMajorVersion"] not in ("15", "16", "17"):
        yield "paas/render/database.yaml has a PostgreSQL that is not tested."
    valkey = next(service for service in databases["services"] if service["type"] == "keyvalue")
    if valkey["maxmemoryPolicy"] != "noeviction":
        yield "paas/render/database.yaml has a Valkey that drops keys."
    variables = {variable["key"] for variable in databases["services"][0]["envVars"]}
    if not {"DATABASE_URL", "REDIS_URL"} <= variables:
        yield "paas/render/database.yaml gives no DATABASE_URL and REDIS_URL."


def of_render(blueprint):
    web = next(service for service in blueprint[0]["services"] if service["type"] == "web")
    variables = {variable["key"]: variable.get("value") for variable in web["envVars"]}
    return {"port": variables["PORT"], "check": web["healthCheckPath"], "mount": web.get("disk", {}).get("mountPath"),
            "instances": web["numInstances"], "drain": web["maxShutdownDelaySeconds"], "image": web["dockerfilePath"]}


def of_railway(config):
    deploy = config["deploy"]
    return {"port": None, "check": deploy["healthcheckPath"], "mount": deploy.get("requiredMountPath"),
            "instances": deploy["numReplicas"], "drain": deploy["drainingSeconds"], "image": config["build"]["dockerfilePath"]}


def of_fly(config):
    service, mounts = config["http_service"], config.get("mounts", [{}])
    return {"port": str(service["internal_port"]), "check": service["checks"][0]["path"], "mount": mounts[0].get("destination"),
            "instances": service["min_machines_running"], "drain": seconds(config["kill_timeout"]), "image": "deploy/Dockerfile"}


def artillery(test):
    """The load of design E is one that Artillery understands, and it asks only for what the dialect `drop` has."""
    phases, ensured = test["config"]["phases"], test["config"]["ensure"]["thresholds"]
    if not phases or any(phase["duration"] <= 0 or "name" not in phase for phase in phases):
        yield "artillery/drop.yaml has a phase without a length or a name."
    if {"http.response_time.p95": 100} not in ensured:
        yield "artillery/drop.yaml does not ensure that 95 of 100 answers take less than 100 ms."
    calls = [call for scenario in test["scenarios"] for step in scenario["flow"] for call in step.values() if "url" in call]
    known = r"/api/sale/(status|purchase|user/\{\{ \$uuid \}\})"
    for call in calls:
        if not re.fullmatch(known, call["url"]):
            yield f"artillery/drop.yaml asks for {call['url']}, which the dialect does not have."
    if not calls:
        yield "artillery/drop.yaml asks for nothing."


def seconds(text):
    count, unit = re.fullmatch(r"(\d+)(ms|s|m)", text).groups()
    return int(count) * {"ms": 0.001, "s": 1, "m": 60}[unit]


if __name__ == "__main__":
    sys.exit(main())
