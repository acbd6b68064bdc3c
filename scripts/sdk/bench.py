"""What all checks need: fakes on sockets, a caller with a recorded voice, and a list of results."""

import asyncio
import collections
import os
import pathlib
import struct
import sys

import pydantic

ROOT = pathlib.Path(__file__).resolve().parents[2]
CLIPS = ROOT / "voice-core/src/sim/speech/clips"
KEY = "the-right-key"
PATIENCE = 30  # Seconds; only a check that fails waits so long.

TOOL = {
    "name": "lookup_order",
    "description": "Finds an order by its number.",
    "parameters": {
        "type": "object",
        "properties": {"number": {"type": "string"}},
        "required": ["number"],
    },
}

TEXTS = {}
for line in (CLIPS.parent / "clips.txt").read_text().splitlines():
    who, name, text = line.split("|")
    TEXTS[f"{who}-{name}"] = text


class Failed(Exception):
    """A check that others build upon has failed."""


class Results:
    """Every check prints one line."""

    def __init__(self):
        self.passed = self.failed = 0

    def note(self, service, what, good, detail=""):
        if good:
            self.passed += 1
        else:
            self.failed += 1
        print(f"{'ok  ' if good else 'FAIL'}  {service:9} {what}{': ' + str(detail) if detail else ''}", flush=True)
        return good

    def need(self, service, what, good, detail=""):
        if not self.note(service, what, good, detail):
            raise Failed(what)


class Sim:
    """A running `voice-sim`."""

    def __init__(self, service, *arguments):
        self.command = [os.environ["VOICE_SIM"], service, "--listen", "127.0.0.1:0", *arguments]

    async def __aenter__(self):
        self.process = await asyncio.create_subprocess_exec(*self.command, stdout=asyncio.subprocess.PIPE)
        first = (await asyncio.wait_for(self.process.stdout.readline(), PATIENCE)).decode()
        if "://" not in first:
            raise Failed(f"{self.command} did not start")
        self.address = first.split("://")[1].split("/")[0].strip()
        return self

    async def __aexit__(self, *_):
        self.process.terminate()
        await self.process.wait()


def _linear(code):
    code = ~code & 0xFF
    magnitude = (((code & 0x0F) << 3) + 0x84 << (code >> 4 & 7)) - 0x84
    return -magnitude if code & 0x80 else magnitude


LINEAR = [_linear(code) for code in range(256)]


def encode(mulaw, encoding, rate):
    """Mu-law at 8 kHz in another form; each sample is repeated, which is good enough for ears here."""
    if encoding == "mulaw":
        return mulaw
    samples = [LINEAR[code] for code in mulaw for _ in range(rate // 8000)]
    return struct.pack(f"<{len(samples)}h", *samples)


class Caller:
    """Speaks recorded sentences in real time, with silence between them."""

    def __init__(self, send, encoding="mulaw", rate=8000):
        self.send, self.encoding, self.rate = send, encoding, rate
        self.waiting, self.spoken = asyncio.Queue(), {}
        self.left = b""
        self.sentence = None

    async def say(self, name):
        """Returns when the last sound of it has been sent."""
        self.spoken[name] = asyncio.Event()
        await self.waiting.put(name)
        await self.spoken[name].wait()

    async def run(self):
        due = asyncio.get_running_loop().time()
        while True:
            if not self.left:
                if self.sentence:
                    self.spoken[self.sentence].set()
                    self.sentence = None
                if not self.waiting.empty():
                    self.sentence = self.waiting.get_nowait()
                    self.left = (CLIPS / f"caller-{self.sentence}.ul").read_bytes()
            frame, self.left = self.left[:160], self.left[160:]
            await self.send(encode(frame.ljust(160, b"\xff"), self.encoding, self.rate))
            due += 0.02
            await asyncio.sleep(due - asyncio.get_running_loop().time())


class Heard:
    """What came from the other side, in order, and a way to wait for more."""

    def __init__(self):
        self.events, self.news, self.end = [], asyncio.Condition(), None

    async def read(self, events):
        try:
            async for event in events:
                async with self.news:
                    self.events.append(event)
                    self.news.notify_all()
        except Exception as error:  # The wait that needs it tells.
            self.end = error
        finally:
            async with self.news:
                self.end = self.end or EOFError("the connection ended")
                self.news.notify_all()

    def now(self):
        return len(self.events)

    async def wait(self, wanted, since=0, patience=PATIENCE):
        """The first event since then that `wanted` takes; `None` if there is none in time."""

        async def look():
            at = since
            async with self.news:
                while True:
                    for at in range(at, len(self.events)):
                        if wanted(self.events[at]):
                            return self.events[at]
                    at = len(self.events)
                    if self.end:
                        return None
                    await self.news.wait()

        try:
            return await asyncio.wait_for(look(), patience)
        except asyncio.TimeoutError:
            return None

    def all(self, wanted, since=0):
        return [event for event in self.events[since:] if wanted(event)]


def unknown_fields(model, path=""):
    """Fields of a parsed message that the SDK does not know."""
    if isinstance(model, pydantic.BaseModel):
        for name in model.model_extra or {}:
            yield f"{path}.{name}"
        for name in type(model).model_fields:
            yield from unknown_fields(getattr(model, name, None), f"{path}.{name}")
    elif isinstance(model, (list, tuple)):
        for item in model:
            yield from unknown_fields(item, f"{path}[]")


def complaints(model):
    """What the SDK's own type has against a message that the SDK parsed without looking closely."""
    if not isinstance(model, pydantic.BaseModel):
        return [f"no type for {str(model)[:120]}"]
    try:
        raw = model.model_dump(mode="json", by_alias=True, exclude_unset=True, warnings=False)
        again = type(model).model_validate(raw)
    except pydantic.ValidationError as error:
        return [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
    return list(unknown_fields(again))


class Strict:
    """Gathers complaints about messages, by kind."""

    def __init__(self, known=()):
        self.known, self.kinds, self.wrong = set(known), collections.Counter(), collections.Counter()

    def look(self, kind, model):
        self.kinds[kind] += 1
        for complaint in complaints(model):
            if complaint.rsplit(".", 1)[-1] not in self.known:
                self.wrong[f"{kind} {complaint}"] += 1

    def conclude(self, results, service):
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self.kinds.items()))
        results.note(service, "every message satisfies the SDK's types", self.kinds and not self.wrong, kinds)
        for complaint, count in sorted(self.wrong.items()):
            print(f"      {complaint} ({count} times)")


def run_all(*checks):
    """Runs the checks beside each other; the exit code tells."""
    results = Results()

    async def guarded(check):
        try:
            await check(results)
        except Failed:
            pass
        except Exception as error:
            import traceback

            traceback.print_exc()
            results.note(check.__module__, check.__name__, False, repr(error))

    async def everything():
        await asyncio.gather(*(guarded(check) for check in checks))

    asyncio.run(everything())
    print(f"{results.passed} checks passed, {results.failed} failed")
    sys.exit(1 if results.failed else 0)
