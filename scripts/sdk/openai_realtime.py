"""The official `openai` client talks with the fake OpenAI Realtime."""

import asyncio
import base64

import openai
import pydantic
from openai.types.realtime import RealtimeServerEvent

from bench import KEY, TEXTS, TOOL, Caller, Heard, Results, Sim, Strict

MODEL = "gpt-realtime-2.1"
SESSION = {
    "type": "realtime",
    "instructions": "You answer the telephone of a book shop.",
    "output_modalities": ["audio"],
    "audio": {
        "input": {
            "format": {"type": "audio/pcmu"},
            "transcription": {"model": "gpt-4o-transcribe"},
            "turn_detection": {"type": "server_vad", "silence_duration_ms": 400},
        },
        "output": {"format": {"type": "audio/pcmu"}, "voice": "marin"},
    },
    "tools": [{"type": "function", **TOOL}],
}


def client(sim, key=KEY):
    url = f"{sim.address}/v1"
    return openai.AsyncOpenAI(
        api_key=key, base_url=f"http://{url}", websocket_base_url=f"ws://{url}", max_retries=0
    )


async def talk(results: Results):
    async with Sim("openai", "--key", KEY) as sim:
        await knock(results, sim)
        strict = Strict(known=["expires_at", "id", "object", "type"])
        adapter = pydantic.TypeAdapter(RealtimeServerEvent)
        async with client(sim).realtime.connect(model=MODEL) as connection:

            async def events():
                while True:
                    raw = await connection.recv_bytes()
                    event = connection.parse_event(raw)
                    strict.look(event.type, adapter.validate_json(raw))
                    yield event

            heard = Heard()
            reader = asyncio.create_task(heard.read(events()))
            send = lambda audio: connection.input_audio_buffer.append(audio=base64.b64encode(audio).decode())
            caller = Caller(send)
            await connection.session.update(session=SESSION)
            updated = await heard.wait(lambda e: e.type == "session.updated")
            results.need("openai", "takes session.update with a tool", updated and updated.session.tools)
            speaker = asyncio.create_task(caller.run())
            try:
                await conversation(results, connection, heard, caller)
            finally:
                speaker.cancel()
                reader.cancel()
        strict.conclude(results, "openai")


async def knock(results, sim):
    model = await client(sim).models.retrieve(MODEL)
    results.note("openai", "models.retrieve with the right key", model.id == MODEL)
    try:
        await client(sim, "wrong").models.retrieve(MODEL)
        results.note("openai", "a wrong key over HTTP", False)
    except openai.AuthenticationError as error:
        results.note("openai", "a wrong key over HTTP raises AuthenticationError", error.code == "invalid_api_key")
    try:
        async with client(sim, "wrong").realtime.connect(model=MODEL):
            results.note("openai", "a wrong key for realtime", False)
    except Exception as error:
        status = getattr(getattr(error, "response", None), "status_code", None)
        results.note("openai", f"a wrong key for realtime raises {type(error).__name__}", status == 401, status)


async def conversation(results, connection, heard, caller):
    note = lambda *rest: results.note("openai", *rest)
    await connection.response.create()
    done = await heard.wait(lambda e: e.type == "response.done")
    results.need("openai", "speaks first when told to", done and done.response.status == "completed")
    audio = b"".join(base64.b64decode(e.delta) for e in heard.all(lambda e: e.type == "response.output_audio.delta"))
    said = "".join(e.delta for e in heard.all(lambda e: e.type == "response.output_audio_transcript.delta"))
    note("the greeting has sound and words", len(audio) > 8000 and said == TEXTS["voice-greeting"], said)

    since = heard.now()
    await caller.say("order")
    spoken = await heard.wait(lambda e: e.type == "input_audio_buffer.speech_started", since)
    note("notices that the caller speaks", spoken)
    is_transcript = lambda e: e.type == "conversation.item.input_audio_transcription.completed"
    transcript = await heard.wait(is_transcript, since)
    note("understands the caller", transcript and transcript.transcript == TEXTS["caller-order"], transcript and transcript.transcript)
    call = await heard.wait(lambda e: e.type == "response.function_call_arguments.done", since)
    results.need("openai", "calls the tool", call and call.arguments == '{"number":"427"}', call and call.arguments)
    await heard.wait(lambda e: e.type == "response.done", since)
    output = {"type": "function_call_output", "call_id": call.call_id, "output": '{"arrives": "Friday"}'}
    since = heard.now()
    await connection.conversation.item.create(item=output)
    await connection.response.create()
    words = await heard.wait(lambda e: e.type == "response.output_audio_transcript.done", since)
    note("goes on with the tool's answer", words and words.transcript == TEXTS["voice-order"], words and words.transcript)
    await heard.wait(lambda e: e.type == "response.done", since)

    since = heard.now()
    await caller.say("delivery")
    delta = await heard.wait(lambda e: e.type == "response.output_audio.delta", since)
    results.need("openai", "begins a long reply", delta)
    since = heard.now()
    await caller.say("price")
    done = await heard.wait(lambda e: e.type == "response.done", since)
    cut = done and done.response.status == "cancelled" and done.response.status_details.reason
    if cut:
        note("a barge-in cancels the reply", cut == "turn_detected", cut)
    else:
        note("a barge-in finds the reply generated", done and done.response.status == "completed")
    await connection.conversation.item.truncate(item_id=delta.item_id, content_index=0, audio_end_ms=300)
    truncated = await heard.wait(lambda e: e.type == "conversation.item.truncated", since)
    note("takes what was heard of it", truncated and truncated.audio_end_ms == 300)

    await heard.wait(lambda e: is_transcript(e) and e.transcript == TEXTS["caller-price"], since)
    since = heard.now()
    await caller.say("goodbye")
    words = await heard.wait(
        lambda e: e.type == "response.output_audio_transcript.done" and e.transcript == TEXTS["voice-goodbye"], since
    )
    note("says goodbye", words)
    since = heard.now()
    await connection.send({"type": "session.update", "session": {"type": "realtime", "voice": "marin"}})
    error = await heard.wait(lambda e: e.type == "error", since)
    note("names what it does not know", error and error.error.param == "session.voice", error and error.error.message)
    quiet = heard.all(lambda e: e.type == "error", 0)
    note("no other error", len(quiet) == 1, [e.error.message for e in quiet if e is not error])
