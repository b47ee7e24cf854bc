"""The fault campaign: every row R1 to R36, played or proved, and a page that says what came of it."""
