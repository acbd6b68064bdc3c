"""Lets the vendors' own clients talk with the fakes of `voice-sim`. See scripts/check-sdks."""

import sys

import bench
import chat
import deepgram_voice as deepgram
import gemini_live
import openai_realtime

CHECKS = {
    "openai": [openai_realtime.talk],
    "gemini": [gemini_live.talk],
    "deepgram": [
        deepgram.knock,
        deepgram.talk_with_agent,
        deepgram.listen_to_the_caller,
        deepgram.let_flux_take_turns,
        deepgram.let_it_speak,
    ],
    "llm": [chat.talk],
}

wanted = sys.argv[1:] or list(CHECKS)
bench.run_all(*(check for name in wanted for check in CHECKS[name]))
