"""The official `deepgram-sdk` talks with the fake Deepgram: Voice Agent, Listen v1, Flux, Speak."""

import asyncio
import contextlib
import json
import typing

from deepgram import AsyncDeepgramClient
from deepgram.agent.v1 import socket_client as agent
from deepgram.agent.v1.types.agent_v1send_function_call_response import AgentV1SendFunctionCallResponse
from deepgram.agent.v1.types.agent_v1settings import AgentV1Settings
from deepgram.core.api_error import ApiError
from deepgram.environment import DeepgramClientEnvironment
from deepgram.listen.v1 import socket_client as listen
from deepgram.listen.v2 import socket_client as flux
from deepgram.speak.v1 import socket_client as speak
from deepgram.speak.v1.types.speak_v1text import SpeakV1Text

from bench import KEY, TEXTS, TOOL, Caller, Heard, Results, Sim, Strict

SETTINGS = {
    "type": "Settings",
    "audio": {
        "input": {"encoding": "mulaw", "sample_rate": 8000},
        "output": {"encoding": "mulaw", "sample_rate": 8000, "container": "none"},
    },
    "agent": {
        "listen": {"provider": {"type": "deepgram", "version": "v2", "model": "flux-general-en"}},
        "think": {
            "provider": {"type": "open_ai", "model": "gpt-4o-mini"},
            "prompt": "You answer the telephone of a book shop.",
            "functions": [TOOL],
        },
        "speak": {"provider": {"type": "deepgram", "model": "aura-2-thalia-en"}},
        "greeting": TEXTS["voice-greeting"],
    },
}


def client(sim, key=KEY):
    http, ws = f"http://{sim.address}", f"ws://{sim.address}"
    environment = DeepgramClientEnvironment(base=http, production=ws, agent=ws, agent_rest=http)
    return AsyncDeepgramClient(api_key=key, environment=environment)


class Tap:
    """Between an SDK's socket and the SDK: looks closely at what the SDK only glances at."""

    def __init__(self, socket, union, strict):
        self.socket, self.strict = socket, strict
        members = [member for member in typing.get_args(union) if member is not bytes]
        self.models = {typing.get_args(m.model_fields["type"].annotation)[0]: m for m in members if "type" in m.model_fields}

    def __getattr__(self, name):
        return getattr(self.socket, name)

    async def __aiter__(self):
        async for raw in self.socket:
            if isinstance(raw, str):
                message = json.loads(raw)
                model = self.models.get(message.get("type"))
                self.strict.look(message.get("type"), model.model_construct(**message) if model else raw)
            yield raw


@contextlib.asynccontextmanager
async def conversation(connecting, union, strict):
    """A connection of the SDK, and what comes from it."""
    async with connecting as connection:
        connection._websocket = Tap(connection._websocket, union, strict)
        heard = Heard()
        reader = asyncio.create_task(heard.read(connection))
        try:
            yield connection, heard
        finally:
            reader.cancel()


def is_a(kind):
    return lambda message: getattr(message, "type", None) == kind


async def knock(results: Results):
    async with Sim("deepgram", "--key", KEY) as sim:
        projects = await client(sim).manage.v1.projects.list()
        results.note("deepgram", "manage.projects.list with the right key", len(projects.projects) == 1)
        stranger = client(sim, "wrong")
        sound = {"encoding": "mulaw", "sample_rate": 8000}
        for name, knocking in [
            ("agent", lambda: stranger.agent.v1.connect()),
            ("listen", lambda: stranger.listen.v1.connect(model="nova-3", **sound)),
            ("flux", lambda: stranger.listen.v2.connect(model="flux-general-en", **sound)),
            ("speak", lambda: stranger.speak.v1.connect(model="aura-2-thalia-en", **sound)),
        ]:
            try:
                async with knocking():
                    results.note("deepgram", f"a wrong key for {name}", False)
            except ApiError as error:
                results.note("deepgram", f"a wrong key for {name} raises ApiError", error.status_code == 401)


async def talk_with_agent(results: Results):
    note = lambda *rest: results.note("agent", *rest)
    strict = Strict()
    async with Sim("deepgram", "--key", KEY) as sim:
        async with conversation(client(sim).agent.v1.connect(), agent.V1SocketClientResponse, strict) as (line, heard):
            results.need("agent", "welcomes", await heard.wait(is_a("Welcome")))
            await line.send_settings(AgentV1Settings.model_validate(SETTINGS))
            applied = await heard.wait(lambda m: is_a("SettingsApplied")(m) or is_a("Error")(m))
            results.need("agent", "takes the settings with a tool", is_a("SettingsApplied")(applied), getattr(applied, "description", ""))
            caller = Caller(line.send_media)
            speaker = asyncio.create_task(caller.run())
            try:
                await talk_about_an_order(results, line, heard, caller)
            finally:
                speaker.cancel()
    strict.conclude(results, "agent")


async def talk_about_an_order(results, line, heard, caller):
    note = lambda *rest: results.note("agent", *rest)
    said = lambda role: lambda m: is_a("ConversationText")(m) and m.role == role
    done = await heard.wait(is_a("AgentAudioDone"))
    words = " ".join(m.content for m in heard.all(said("assistant")))
    sound = sum(len(m) for m in heard.all(lambda m: isinstance(m, bytes)))
    note("greets with sound and words", done and sound > 8000 and words == TEXTS["voice-greeting"], words)

    since = heard.now()
    await caller.say("order")
    note("notices that the caller speaks", await heard.wait(is_a("UserStartedSpeaking"), since))
    text = await heard.wait(said("user"), since)
    note("understands the caller", text and text.content == TEXTS["caller-order"], text and text.content)
    request = await heard.wait(is_a("FunctionCallRequest"), since)
    call = request and request.functions[0]
    results.need("agent", "calls the tool", call and call.client_side and call.arguments == '{"number":"427"}')
    since = heard.now()
    await line.send_function_call_response(
        AgentV1SendFunctionCallResponse(type="FunctionCallResponse", id=call.id, name=call.name, content='{"arrives": "Friday"}')
    )
    text = await heard.wait(said("assistant"), since)
    note("goes on with the tool's answer", text and text.content == TEXTS["voice-order"], text and text.content)
    await heard.wait(is_a("AgentAudioDone"), since)

    since = heard.now()
    await caller.say("delivery")
    note("begins a long reply", await heard.wait(lambda m: isinstance(m, bytes), since))
    since = heard.now()
    await caller.say("price")
    note("a barge-in is told", await heard.wait(is_a("UserStartedSpeaking"), since))
    text = await heard.wait(lambda m: said("assistant")(m) and m.content in TEXTS["voice-price"], since)
    note("answers what was said instead", text, text and text.content)

    since = heard.now()
    await caller.say("goodbye")
    text = await heard.wait(lambda m: said("assistant")(m) and m.content in TEXTS["voice-goodbye"], since)
    note("says goodbye", text)
    note("no error", not heard.all(is_a("Error")) and not heard.all(is_a("Warning")))


async def listen_to_the_caller(results: Results):
    note = lambda *rest: results.note("listen", *rest)
    strict = Strict()
    async with Sim("deepgram", "--key", KEY) as sim:
        connecting = client(sim).listen.v1.connect(
            model="nova-3", encoding="mulaw", sample_rate=8000, interim_results=True, endpointing=300,
            utterance_end_ms=1000, vad_events=True, smart_format=True,
        )
        async with conversation(connecting, listen.V1SocketClientResponse, strict) as (line, heard):
            caller = Caller(line.send_media)
            speaker = asyncio.create_task(caller.run())
            await caller.say("order")
            note("notices that the caller speaks", await heard.wait(is_a("SpeechStarted")))
            interim = await heard.wait(lambda m: is_a("Results")(m) and not m.is_final)
            note("guesses on the way", interim, interim and interim.channel.alternatives[0].transcript)
            final = await heard.wait(lambda m: is_a("Results")(m) and m.speech_final)
            text = final and final.channel.alternatives[0].transcript
            note("understands the caller", text == TEXTS["caller-order"], text)
            note("ends the utterance", await heard.wait(is_a("UtteranceEnd")))
            await line.send_keep_alive()
            since = heard.now()
            await caller.say("hello")
            speaker.cancel()
            await line.send_finalize()
            final = await heard.wait(lambda m: is_a("Results")(m) and m.from_finalize, since)
            note("finalizes", final and final.channel.alternatives[0].transcript == TEXTS["caller-hello"])
            await line.send_close_stream()
            note("closes with metadata", await heard.wait(is_a("Metadata"), since))
    strict.conclude(results, "listen")


async def let_flux_take_turns(results: Results):
    note = lambda *rest: results.note("flux", *rest)
    strict = Strict()
    turn = lambda event: lambda m: is_a("TurnInfo")(m) and m.event == event
    async with Sim("deepgram", "--key", KEY) as sim:
        connecting = client(sim).listen.v2.connect(
            model="flux-general-en", encoding="mulaw", sample_rate=8000, eot_threshold=0.7, eager_eot_threshold=0.5
        )
        async with conversation(connecting, flux.V2SocketClientResponse, strict) as (line, heard):
            note("connects", await heard.wait(is_a("Connected")))
            caller = Caller(line.send_media)
            speaker = asyncio.create_task(caller.run())
            await caller.say("order")
            note("a turn starts", await heard.wait(turn("StartOfTurn")))
            note("a turn ends eagerly", await heard.wait(turn("EagerEndOfTurn")))
            end = await heard.wait(turn("EndOfTurn"))
            note("a turn ends", end and end.transcript == TEXTS["caller-order"], end and end.transcript)
            await line.send_configure({"type": "Configure", "thresholds": {"eot_threshold": 0.8}})
            configured = await heard.wait(is_a("ConfigureSuccess"))
            note("is configured", configured and configured.thresholds.eot_threshold == 0.8)
            speaker.cancel()
            await line.send_close_stream()
            await heard.wait(lambda m: False, patience=5)
            note("closes", heard.end)
    strict.conclude(results, "flux")


async def let_it_speak(results: Results):
    note = lambda *rest: results.note("speak", *rest)
    strict = Strict()
    is_sound = lambda m: isinstance(m, bytes)
    async with Sim("deepgram", "--key", KEY) as sim:
        connecting = client(sim).speak.v1.connect(model="aura-2-thalia-en", encoding="mulaw", sample_rate=8000)
        async with conversation(connecting, speak.V1SocketClientResponse, strict) as (line, heard):
            note("introduces itself", await heard.wait(is_a("Metadata")))
            await line.send_text(SpeakV1Text(type="Speak", text=TEXTS["voice-hours"]))
            await line.send_flush()
            note("speaks, and says when it has", await heard.wait(is_a("Flushed")))
            sound = sum(len(m) for m in heard.all(is_sound))
            note("all of it", sound > 16000, f"{sound} bytes")
            await line.send_text(SpeakV1Text(type="Speak", text=TEXTS["voice-delivery"]))
            await line.send_flush()
            since = heard.now()
            await heard.wait(is_sound, since)
            await line.send_clear()
            note("stops when told to", await heard.wait(is_a("Cleared"), since))
            after = heard.now()
            await line.send_close()
            await heard.wait(lambda m: False, after, patience=5)
            note("closes, with nothing more to say", heard.end and not heard.all(is_sound, after))
    strict.conclude(results, "speak")
