"""What strangers' bytes can reach, fuzzed: `targets.py`. CI replays the corpora, `python -m tests.fuzz` grows them."""
