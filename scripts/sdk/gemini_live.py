"""The official `google-genai` client talks with the fake Gemini Live."""

import asyncio
import os
import tempfile

from google import genai
from google.genai import errors, types

import tls_front
from bench import KEY, TEXTS, TOOL, Caller, Heard, Results, Sim, Strict

MODEL = "gemini-3.8-live"


def config(**more):
    declaration = types.FunctionDeclaration(
        name=TOOL["name"], description=TOOL["description"], parameters_json_schema=TOOL["parameters"]
    )
    speech = types.SpeechConfig(
        voice_config=types.VoiceConfig(prebuilt_voice_config=types.PrebuiltVoiceConfig(voice_name="Kore"))
    )
    detection = types.AutomaticActivityDetection(silence_duration_ms=500, prefix_padding_ms=20)
    return types.LiveConnectConfig(
        response_modalities=["AUDIO"],
        system_instruction="You answer the telephone of a book shop.",
        speech_config=speech,
        tools=[types.Tool(function_declarations=[declaration])],
        input_audio_transcription=types.AudioTranscriptionConfig(),
        output_audio_transcription=types.AudioTranscriptionConfig(),
        realtime_input_config=types.RealtimeInputConfig(automatic_activity_detection=detection),
        context_window_compression=types.ContextWindowCompressionConfig(sliding_window=types.SlidingWindow()),
        **more,
    )


class Front:
    """A fake behind TLS, with clients that trust it."""

    def __init__(self, *arguments):
        self.sim = Sim("gemini", *arguments)

    async def __aenter__(self):
        await self.sim.__aenter__()
        descriptor, self.certificate = tempfile.mkstemp(suffix=".pem")
        os.close(descriptor)
        tls_front.certify(self.certificate)
        self.server = await tls_front.front(self.certificate, self.sim.address)
        return self

    async def __aexit__(self, *rest):
        self.server.close()
        os.unlink(self.certificate)
        await self.sim.__aexit__(*rest)

    def client(self, key=KEY):
        os.environ["SSL_CERT_FILE"] = self.certificate
        url = f"https://localhost:{self.server.sockets[0].getsockname()[1]}"
        return genai.Client(api_key=key, http_options=types.HttpOptions(base_url=url, api_version="v1beta"))


async def talk(results: Results):
    note = lambda *rest: results.note("gemini", *rest)
    strict = Strict()
    async with Front("--key", KEY) as front:
        model = await front.client().aio.models.get(model=MODEL)
        note("models.get with the right key", model.name == f"models/{MODEL}", model.name)
        await knock(results, front)
        handle = None
        async with front.client().aio.live.connect(
            model=MODEL, config=config(session_resumption=types.SessionResumptionConfig())
        ) as session:
            note("takes the setup", session.session_id, session.session_id)
            heard = Heard()
            reader = asyncio.create_task(heard.read(messages(session, strict)))
            send = lambda audio: session.send_realtime_input(
                audio=types.Blob(data=audio, mime_type="audio/pcm;rate=16000")
            )
            caller = Caller(send, "linear16", 16000)
            speaker = asyncio.create_task(caller.run())
            try:
                await conversation(results, session, heard, caller)
                update = heard.all(lambda m: m.session_resumption_update and m.session_resumption_update.resumable)
                handle = update[-1].session_resumption_update.new_handle if update else None
            finally:
                speaker.cancel()
                reader.cancel()
        note("gives handles to resume with", handle, handle)
        if handle:
            await resume(results, front, handle, strict)
        strict.conclude(results, "gemini")
    async with Front("--rude", "close-key") as front:
        try:
            async with front.client().aio.live.connect(model=MODEL, config=config()):
                note("a key that is refused late", False)
        except errors.APIError as error:
            note(f"a key that is refused late raises {type(error).__name__}", error.code == 1008, error.message)


async def messages(session, strict):
    while True:
        async for message in session.receive():
            named = message.model_dump(exclude_none=True)
            content = named.pop("server_content", {})
            strict.look("+".join([*named, *content]) or "empty", message)
            yield message


async def knock(results, front):
    try:
        await front.client("wrong").aio.models.get(model=MODEL)
        results.note("gemini", "a wrong key over HTTP", False)
    except errors.ClientError as error:
        results.note("gemini", "a wrong key over HTTP raises ClientError", error.code in (400, 403), error.code)
    try:
        async with front.client("wrong").aio.live.connect(model=MODEL, config=config()):
            results.note("gemini", "a wrong key for live", False)
    except Exception as error:
        status = getattr(getattr(error, "response", None), "status_code", None)
        results.note("gemini", f"a wrong key for live raises {type(error).__name__}", status == 403, status)


def content(message):
    return message.server_content or types.LiveServerContent()


def words(heard, since):
    parts = [content(m).output_transcription for m in heard.events[since:]]
    return "".join(part.text for part in parts if part and part.text)


async def conversation(results, session, heard, caller):
    note = lambda *rest: results.note("gemini", *rest)
    await session.send_realtime_input(text="Greet the caller.")
    complete = await heard.wait(lambda m: content(m).turn_complete)
    results.need("gemini", "speaks first when told to", complete)
    audio = b"".join(m.data or b"" for m in heard.events)
    said = words(heard, 0)
    note("the greeting has sound and words", len(audio) > 48000 and said == TEXTS["voice-greeting"], said)

    since = heard.now()
    await caller.say("order")
    transcript = await heard.wait(lambda m: content(m).input_transcription, since)
    text = transcript and content(transcript).input_transcription.text
    note("understands the caller", text and text.strip() in TEXTS["caller-order"], text)
    called = await heard.wait(lambda m: m.tool_call, since)
    results.need("gemini", "calls the tool", called and called.tool_call.function_calls[0].args == {"number": "427"})
    call = called.tool_call.function_calls[0]
    await heard.wait(lambda m: content(m).turn_complete, since)
    since = heard.now()
    await session.send_tool_response(
        function_responses=types.FunctionResponse(id=call.id, name=call.name, response={"output": {"arrives": "Friday"}})
    )
    await heard.wait(lambda m: content(m).generation_complete, since)
    said = words(heard, since)
    note("goes on with the tool's answer", said == TEXTS["voice-order"], said)
    await heard.wait(lambda m: content(m).turn_complete, since)

    since = heard.now()
    await caller.say("delivery")
    results.need("gemini", "begins a long reply", await heard.wait(lambda m: m.data, since))
    since = heard.now()
    await caller.say("price")
    note("a barge-in interrupts the reply", await heard.wait(lambda m: content(m).interrupted, since))
    await heard.wait(lambda m: content(m).generation_complete, since)
    said = words(heard, since)
    note("answers what was said instead", said.endswith(TEXTS["voice-price"]), said[-60:])

    since = heard.now()
    await caller.say("goodbye")
    await heard.wait(lambda m: content(m).generation_complete, since)
    note("says goodbye", words(heard, since).endswith(TEXTS["voice-goodbye"]))


async def resume(results, front, handle, strict):
    resumption = types.SessionResumptionConfig(handle=handle)
    async with front.client().aio.live.connect(model=MODEL, config=config(session_resumption=resumption)) as session:
        heard = Heard()
        reader = asyncio.create_task(heard.read(messages(session, strict)))
        # A session that has been greeted is not greeted again.
        await session.send_realtime_input(text="What are your opening hours?")
        await heard.wait(lambda m: content(m).generation_complete)
        reader.cancel()
        said = words(heard, 0)
        results.note("gemini", "resumes a session by its handle", said == TEXTS["voice-hours"], said)
