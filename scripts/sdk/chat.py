"""The official `openai` client talks with the fake language model."""

import json

import openai

from bench import KEY, TEXTS, TOOL, Results, Sim, Strict


def client(sim, key=KEY):
    return openai.AsyncOpenAI(api_key=key, base_url=f"http://{sim.address}/v1", max_retries=0)


async def talk(results: Results):
    note = lambda *rest: results.note("llm", *rest)
    strict = Strict()
    async with Sim("llm", "--key", KEY) as sim:
        models = await client(sim).models.list()
        note("models.list with the right key", len(models.data) == 1)
        try:
            await client(sim, "wrong").models.list()
            note("a wrong key", False)
        except openai.AuthenticationError as error:
            note("a wrong key raises AuthenticationError", error.code == "invalid_api_key")

        messages = [{"role": "system", "content": "Short spoken answers."}]
        messages.append({"role": "user", "content": TEXTS["caller-order"]})
        text, calls, usage = await stream(client(sim), strict, messages)
        note("says what it does", text == TEXTS["voice-check"], text)
        results.need("llm", "calls the tool, piece by piece", calls[0]["arguments"] == '{"number":"427"}', calls)
        note("counts tokens when asked", usage and usage.total_tokens == 40)
        call = {"id": calls[0]["id"], "type": "function"}
        call["function"] = {"name": calls[0]["name"], "arguments": calls[0]["arguments"]}
        messages.append({"role": "assistant", "content": text, "tool_calls": [call]})
        messages.append({"role": "tool", "tool_call_id": call["id"], "content": json.dumps({"arrives": "Friday"})})
        text, calls, _ = await stream(client(sim), strict, messages)
        note("goes on with the tool's answer", text == TEXTS["voice-order"] and not calls, text)

        whole = await client(sim).chat.completions.create(model="any", messages=messages)
        strict.look("completion", whole)
        note("answers in one piece, too", whole.choices[0].message.content == TEXTS["voice-order"])
        try:
            await client(sim).chat.completions.create(model="any", messages=[messages[-1]])
            note("an answer without a call", False)
        except openai.BadRequestError as error:
            note("an answer without a call raises BadRequestError", error.status_code == 400, error.code)
    strict.conclude(results, "llm")
    for rude, kind in [
        ("throttle", openai.RateLimitError),
        ("overloaded", openai.APIStatusError),
        ("error-midway", openai.APIError),
    ]:
        async with Sim("llm", "--rude", rude) as sim:
            try:
                await stream(client(sim), Strict(), messages[:2])
                note(f"--rude {rude}", False)
            except kind as error:
                note(f"--rude {rude} raises {type(error).__name__}", True)


async def stream(client, strict, messages):
    text, calls, usage = "", {}, None
    chunks = await client.chat.completions.create(
        model="any",
        messages=messages,
        tools=[{"type": "function", "function": TOOL}],
        stream=True,
        stream_options={"include_usage": True},
    )
    async for chunk in chunks:
        strict.look("chunk", chunk)
        usage = chunk.usage or usage
        for choice in chunk.choices:
            text += choice.delta.content or ""
            for piece in choice.delta.tool_calls or []:
                call = calls.setdefault(piece.index, {"id": "", "name": "", "arguments": ""})
                call["id"] = piece.id or call["id"]
                call["name"] = piece.function.name or call["name"]
                call["arguments"] += piece.function.arguments or ""
    return text, [calls[index] for index in sorted(calls)], usage
