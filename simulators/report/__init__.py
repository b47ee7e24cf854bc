"""What a call leaves behind: recording, events, transcript, picture, page, and one sentence that says what happened."""
