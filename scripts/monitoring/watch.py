"""A real Prometheus watches a real server whose providers fail; the alerts that must fire do, and clear.

Rules are the shipped ones, made quicker: what is to last minutes lasts seconds here. Everything listens on
this machine alone, and ends with this script.
"""

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

BINARIES, RULES = os.path.abspath(sys.argv[1]), sys.argv[2]
TOKEN = "0123456789abcdef0123456789abcdef"
PATIENCE = 100

# What happens first: both providers refuse, callers are turned away, strangers knock.
FAILING = {
    "CircuitBreakerOpen",
    "AllProvidersDown",
    "HighProviderErrorRate",
    "ProviderOffline",
    "ProviderConsecutiveFailures",
    "LowProviderConfidence",
    "CallersGivenUp",
    "HighCallFailureRate",
    "ManyCoverPrompts",
    "WebhookSignatureFailures",
    "HighWebhookRejectionRate",
    "AuthenticationFailures",
}
# Of those, the ones that must be over soon after the providers are well and nobody knocks.
CLEARING = FAILING - {"LowProviderConfidence"}

started = []


def main():
    with tempfile.TemporaryDirectory() as folder:
        try:
            watch(folder)
        finally:
            for process in started:
                process.kill()
            for process in started:
                process.wait()


def watch(folder):
    ports = {name: free_port() for name in ("openai", "gemini", "server", "prometheus")}
    sick = [sim(name, ports[name], "refuse-503") for name in ("openai", "gemini")]
    server = serve(folder, ports)
    prometheus(folder, ports)
    until("the server answers", lambda: ask(ports["server"], "/live") is not None)
    until("prometheus answers", lambda: ask(ports["prometheus"], "/-/ready") is not None)

    begun = time.monotonic()
    callers = []

    def misery():
        callers[:] = [caller for caller in callers if caller.poll() is None]
        if len(callers) < 3:
            callers.append(call(ports))
        for _ in range(3):
            ask(ports["server"], "/api/v1/telephony/webhooks/twilio", data=b"CallSid=CA1")
            ask(ports["server"], "/api/v1/sessions", headers={"Authorization": "Bearer guess"})
        return FAILING <= firing(ports)

    until("all that must fire does", misery, lambda: FAILING - firing(ports))
    print(f"fired within {time.monotonic() - begun:.0f} s: {', '.join(sorted(firing(ports)))}")

    for process in sick:
        process.kill()
        process.wait()
    for name in ("openai", "gemini"):
        sim(name, ports[name])
    for name in ("openai", "gemini"):
        body = json.dumps({"action": "reset"}).encode()
        ask(ports["server"], f"/api/v1/providers/{name}/breaker", data=body, headers=authorised())

    def recovery():
        callers[:] = [caller for caller in callers if caller.poll() is None]
        if len(callers) < 2:
            callers.append(call(ports))
        return not CLEARING & firing(ports)

    until("all that fired clears", recovery, lambda: CLEARING & firing(ports))
    print(f"cleared within {time.monotonic() - begun:.0f} s; still firing: {sorted(firing(ports)) or 'nothing'}")

    server.kill()
    server.wait()
    until("a server that died is told", lambda: "ServerDown" in firing(ports))
    print("ServerDown fires")


def sim(service, port, *rude):
    arguments = [service, "--listen", f"127.0.0.1:{port}"]
    for name in rude:
        arguments += ["--rude", name]
    return start([os.path.join(BINARIES, "voice-sim"), *arguments])


def serve(folder, ports):
    settings = {
        "PORT": str(ports["server"]),
        "API_TOKEN": TOKEN,
        "DATABASE_URL": f"sqlite:{folder}/voice.db",
        "TWILIO_AUTH_TOKEN": TOKEN,
        "OPENAI_API_KEY": "sk-watch-0123456789",
        "OPENAI_REALTIME_URL": f"ws://127.0.0.1:{ports['openai']}/v1/realtime",
        "GEMINI_API_KEY": "AIza-watch-0123456789",
        "GEMINI_LIVE_URL": f"ws://127.0.0.1:{ports['gemini']}",
        "VOICE_PROBE_SECONDS": "5",
        "GAP_SECONDS": "2",
        "WEBHOOK_PER_MINUTE": "off",
        "WEBHOOK_BURST": "off",
        "LOG_LEVEL": "off",
    }
    environment = {**os.environ, **settings}
    return start([os.path.join(BINARIES, "voice-server")], env=environment, cwd=folder)


def call(ports):
    webhook = f"http://127.0.0.1:{ports['server']}/api/v1/telephony/webhooks/twilio"
    arguments = ["twilio-call", "--webhook", webhook, "--auth-token", TOKEN, "--calls", "3"]
    arguments += ["--seed", str(time.monotonic_ns() % 1_000_000_007)]
    return start([os.path.join(BINARIES, "voice-sim"), *arguments])


def prometheus(folder, ports):
    with open(RULES, encoding="utf-8") as file:
        rules = file.read()
    # Seconds instead of minutes: how long it must last, over what it is measured, how often it is looked at.
    rules = re.sub(r"for: \d+m", "for: 2s", rules)
    rules = re.sub(r"interval: \d+s", "interval: 1s", rules)
    rules = re.sub(r"\[\d+[mh]\]", "[15s]", rules)
    rules = re.sub(r"\[1h:1m\]", "[15s:1s]", rules)
    with open(f"{folder}/alerts.yml", "w", encoding="utf-8") as file:
        file.write(rules)
    with open(f"{folder}/prometheus.yml", "w", encoding="utf-8") as file:
        file.write(
            "global: {scrape_interval: 1s, evaluation_interval: 1s}\n"
            "rule_files: [alerts.yml]\n"
            "scrape_configs:\n"
            "  - job_name: voice\n"
            f"    static_configs: [{{targets: ['127.0.0.1:{ports['server']}']}}]\n"
        )
    arguments = [
        "prometheus",
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{ports['prometheus']}",
        "--log.level=error",
    ]
    return start(arguments)


def firing(ports):
    answer = ask(ports["prometheus"], "/api/v1/alerts")
    if answer is None:
        return set()
    alerts = json.loads(answer)["data"]["alerts"]
    return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}


def authorised():
    return {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}


def ask(port, path, data=None, headers=None):
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data=data, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=5) as response:
            return response.read()
    except (urllib.error.URLError, OSError):
        return None


def until(what, is_so, missing=lambda: ""):
    end = time.monotonic() + PATIENCE
    while not is_so():
        if time.monotonic() > end:
            sys.exit(f"not within {PATIENCE} s: {what} {missing()}")
        time.sleep(0.5)


def start(arguments, **options):
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)
    started.append(process)
    return process


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


main()
