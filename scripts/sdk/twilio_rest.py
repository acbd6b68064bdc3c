"""The official `twilio` client places calls at the fake REST API, which knows only parameters of its own."""

import asyncio
import inspect
import re

from twilio.base.exceptions import TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client
from twilio.rest.api.v2010.account.call import CallContext, CallList

from bench import ROOT, Results, Sim

ACCOUNT = "AC00112233445566778899aabbccddeeff"
TOKEN = "0123456789abcdef0123456789abcdef"
API = ROOT / "voice-telephony/src"


class Here(TwilioHttpClient):
    """Sends to the fake what is meant for Twilio."""

    def __init__(self, address):
        super().__init__()
        self.address = address

    def request(self, method, url, *arguments, **named):
        return super().request(
            method, url.replace("https://api.twilio.com", f"http://{self.address}"), *arguments, **named
        )


def client(sim, token=TOKEN):
    return Client(ACCOUNT, token, http_client=Here(sim.address))


async def talk(results: Results):
    parameters(results)
    async with Sim("twilio-api", "--account-sid", ACCOUNT, "--auth-token", TOKEN, "--rude", "no-answer") as sim:
        await asyncio.to_thread(calls, results, sim)


def parameters(results: Results):
    """Every name that we send, and that the fake takes, is one of the client's."""
    known = {re.sub("_", "", name).lower() for name in inspect.signature(CallList.create).parameters}
    ours = set(re.findall(r'push(?:_some|_flag)?\("(\w+)"', (API / "twilio/rest/call.rs").read_text()))
    ours -= {"Status", "PageSize"}  # Of an update and of a list.
    listed = (API / "sim/twilio/api/answers.rs").read_text()
    taken = set(re.findall(r'"(\w+)"', listed.split("CREATE_PARAMETERS")[1].split("];")[0]))
    for name, names in [("ours", ours), ("the fake's", taken)]:
        strangers = {one for one in names if one.lower() not in known}
        results.note("twilio", f"parameters of a call, {name} ({len(names)})", names and not strangers, strangers or "")
    update = inspect.signature(CallContext.update).parameters
    results.note("twilio", "parameters of an update", {"status", "twiml", "url"} <= set(update))


def calls(results: Results, sim):
    twilio = client(sim)
    hook = "http://127.0.0.1:9/hook"
    call = twilio.calls.create(
        to="+15005550006",
        from_="+15005550009",
        url=hook,
        status_callback=hook,
        status_callback_event=["initiated", "ringing", "answered", "completed"],
        timeout=30,
        time_limit=3600,
        machine_detection="DetectMessageEnd",
        async_amd="true",
        async_amd_status_callback=hook,
    )
    results.need("twilio", "a call is placed", call.sid.startswith("CA") and call.status == "queued", call.status)
    results.note("twilio", "its date is read", call.date_created is not None and call.date_created.year >= 2026)
    results.note("twilio", "it is fetched", twilio.calls(call.sid).fetch().sid == call.sid)
    found = twilio.calls.list(to="+15005550006", from_="+15005550009", limit=20)
    results.note("twilio", "it is found by its numbers", [one.sid for one in found] == [call.sid])
    ended = twilio.calls(call.sid).update(status="completed")
    results.note("twilio", "it is ended", ended.status in ("completed", "canceled"), ended.status)
    for what, code, attempt in [
        ("a call that is over", 20404, lambda: twilio.calls(call.sid).update(status="completed")),
        ("a bad number", 21211, lambda: twilio.calls.create(to="1", from_="+15005550009", url=hook)),
        ("a wrong token", 20003, lambda: client(sim, "wrong").calls(call.sid).fetch()),
    ]:
        try:
            attempt()
            results.note("twilio", what, False, "no error")
        except TwilioRestException as error:
            results.note("twilio", what, error.code == code, error.code)
