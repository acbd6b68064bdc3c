"""Every message of simulated conversations, ours and the fakes', is compared with the types of the SDKs.

What our sessions send must parse as what the vendor's own client would send, and hold no field that the SDK
does not know; what the fakes send, as what it would receive. The messages come from the example `wire_log`.
"""

import collections
import functools
import inspect
import json
import os
import typing
import urllib.parse

import pydantic
from deepgram.agent.v1 import socket_client as agent
from deepgram.agent.v1 import types as agent_types
from deepgram.listen.v1 import client as listen_client
from deepgram.listen.v1 import socket_client as listen
from deepgram.listen.v1 import types as listen_types
from deepgram.listen.v2 import client as flux_client
from deepgram.listen.v2 import socket_client as flux
from deepgram.listen.v2 import types as flux_types
from deepgram.speak.v1 import client as speak_client
from deepgram.speak.v1 import socket_client as speak
from deepgram.speak.v1 import types as speak_types
from google.genai import types as gemini
from openai.types.chat import completion_create_params as chat
from openai.types.realtime import RealtimeClientEvent, RealtimeServerEvent

from bench import Results, by_type, unknown_fields

# Sent by the service, in the protocol notes, and not in the SDK's types.
KNOWN_EXTRA = {"openai": {"expires_at", "id", "object", "type"}}


class Wrong(Exception):
    """What the SDK has against a message."""


def parse(model, message, known=()):
    try:
        parsed = adapter(model).validate_python(message)
    except pydantic.ValidationError as error:
        # A union complains about every one of its members; the one that got furthest is meant.
        worst = max(error.errors(), key=lambda found: len(found["loc"]))
        raise Wrong(f"{'.'.join(map(str, worst['loc']))}: {worst['msg']}") from error
    unknown = [field for field in unknown_fields(parsed) if field.rsplit(".", 1)[-1] not in known]
    if unknown:
        raise Wrong(f"unknown field {unknown[0]}")
    return parsed


class GeminiSetup(gemini.LiveClientSetup):
    """With what the SDK's converter puts there and its type has not."""

    realtime_input_config: typing.Optional[gemini.RealtimeInputConfig] = None


class GeminiClientMessage(gemini.LiveClientMessage):
    setup: typing.Optional[GeminiSetup] = None


def sent_by(module, names):
    return by_type(*(getattr(module, name) for name in names))


DEEPGRAM = {
    ("agent", "session"): sent_by(
        agent_types,
        ["AgentV1Settings", "AgentV1KeepAlive", "AgentV1UpdatePrompt", "AgentV1InjectUserMessage"]
        + ["AgentV1InjectAgentMessage", "AgentV1SendFunctionCallResponse"],
    ),
    ("agent", "service"): by_type(*typing.get_args(agent.V1SocketClientResponse)),
    ("listen", "session"): sent_by(listen_types, ["ListenV1Finalize", "ListenV1CloseStream", "ListenV1KeepAlive"]),
    ("listen", "service"): by_type(*typing.get_args(listen.V1SocketClientResponse)),
    ("flux", "session"): sent_by(flux_types, ["ListenV2CloseStream", "ListenV2Configure"]),
    ("flux", "service"): by_type(*typing.get_args(flux.V2SocketClientResponse)),
    ("speak", "session"): sent_by(speak_types, ["SpeakV1Text", "SpeakV1Flush", "SpeakV1Clear", "SpeakV1Close"]),
    ("speak", "service"): by_type(*typing.get_args(speak.V1SocketClientResponse)),
}
CONNECT = {
    "listen": listen_client.AsyncV1Client.connect,
    "flux": flux_client.AsyncV2Client.connect,
    "speak": speak_client.AsyncV1Client.connect,
}


@functools.cache
def adapter(model):
    """Adapters of large unions are costly to make."""
    return pydantic.TypeAdapter(model)


def look(entry):
    """Its kind; complains where the SDK would."""
    service, side = entry["service"], entry["from"]
    if "method" in entry:
        return look_at_request(service, entry)
    message = entry["event"]
    if service == "openai":
        kind = message["type"]
        event = parse_event(RealtimeClientEvent if side == "session" else RealtimeServerEvent, message, service)
        if event.type != kind:
            raise Wrong(f"parsed as {event.type}")
        return kind
    if service == "gemini":
        parse_event(GeminiClientMessage if side == "session" else gemini.LiveServerMessage, message, service)
        return "+".join(message)
    kind = message.get("type")
    model = DEEPGRAM[service, side].get(kind)
    if model is None:
        raise Wrong(f"no such message: {kind}")
    parse_event(model, message, service)
    return kind


def parse_event(model, message, service):
    return parse(model, message, KNOWN_EXTRA.get(service, ()))


def look_at_request(service, entry):
    query = urllib.parse.parse_qsl(urllib.parse.urlsplit(entry["target"]).query, strict_parsing=False)
    if service in CONNECT:
        parameters = typing.get_type_hints(inspect.unwrap(CONNECT[service]))
        for name, value in query:
            if name not in parameters:
                raise Wrong(f"unknown parameter {name}")
            parse(parameters[name], value)
    if service == "llm":
        look_at_completion(entry["body"])
    return "request"


def look_at_completion(body):
    model = chat.CompletionCreateParamsStreaming
    hints = typing.get_type_hints(model, include_extras=True)
    unknown = set(body) - set(hints)
    if unknown:
        raise Wrong(f"unknown field {sorted(unknown)}")
    parsed = parse(model, body)
    try:
        # What is iterable is looked at only when it is iterated over.
        messages, tools = list(parsed["messages"]), list(parsed.get("tools", []))
        for message in messages:
            list(message.get("tool_calls", []))
    except pydantic.ValidationError as error:
        raise Wrong(str(error.errors()[0])) from error
    if len(messages) != len(body["messages"]) or len(tools) != len(body.get("tools", [])):
        raise Wrong("something was lost")


async def compare(results: Results):
    seen, wrong = collections.Counter(), collections.Counter()
    with open(os.environ["WIRE_LOG"], encoding="utf-8") as log:
        for line in log:
            entry = json.loads(line)
            if "sound" in entry:
                continue
            side = entry["service"], entry["from"]
            try:
                seen[side, look(entry)] += 1
            except Wrong as complaint:
                kind = entry.get("event", {}).get("type", "")
                wrong[side, f"{kind} {complaint}"] += 1
    sides = sorted({side for side, _ in [*seen, *wrong]})
    for side in sides:
        kinds = ", ".join(f"{count} {kind}" for (s, kind), count in sorted(seen.items()) if s == side)
        who = "what our session sends" if side[1] == "session" else "what the fake sends"
        results.note(side[0], f"{who} satisfies the SDK's types", not any(s == side for s, _ in wrong), kinds)
        for (s, complaint), count in sorted(wrong.items()):
            if s == side:
                print(f"      {complaint} ({count} times)")
    finds_what_is_wrong(results)
    expected = {(service, "session") for service in ("openai", "gemini", "agent", "listen", "flux", "speak", "llm")}
    results.note("wire log", "holds messages of every session", expected <= set(sides))


def finds_what_is_wrong(results):
    """A comparison that cannot fail proves nothing."""
    for service, side, message in [
        ("openai", "session", {"type": "session.update", "session": {"type": "realtime", "voice": "marin"}}),
        ("openai", "service", {"type": "response.created", "event_id": "e"}),
        ("gemini", "session", {"setup": {"model": "models/m", "handle": None}}),
        ("gemini", "session", {"realtimeInput": {"audio": {"mime": "audio/pcm"}}}),
        ("gemini", "service", {"serverContent": {"modelTurn": "x"}}),
        ("agent", "session", {"type": "UpdatePrompt", "text": "x"}),
        ("agent", "session", {"type": "Shout"}),
        ("listen", "service", {"type": "Results", "start": "now"}),
        ("speak", "session", {"type": "Speak"}),
    ]:
        try:
            look({"service": service, "from": side, "event": message})
            results.note(service, "a wrong message is found", False, message)
        except Wrong as complaint:
            results.note(service, "a wrong message is found", True, complaint)
    try:
        look_at_completion({"model": "m", "stream": True, "messages": [{"role": "user", "text": "x"}]})
        results.note("llm", "a wrong message is found", False)
    except Wrong as complaint:
        results.note("llm", "a wrong message is found", True, complaint)
